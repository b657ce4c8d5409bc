"""Faults of what a page says: its total, its next link, its entries, single values.

These edits touch answers of status 200 only. Numbers keep every digit on the way through. A page that lacks what an
edit is for makes the edit raise LookupError, which the front raises again when it closes. Places in a page are dotted
paths; the defaults are those of HAL (`_links.next.href`, `_embedded.entries`), list positions are numbers
(`_embedded.entries.0.id`).
"""

from __future__ import annotations

import decimal
import json
import random
import re
import secrets
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from connector_core.testing.faults.action import Action, Exchange
from connector_core.testing.faults.messages import Response


@dataclass(frozen=True, kw_only=True)
class Raw:
    """Text put into the page as it stands where a JSON value would be: `NaN`, `-Infinity`, `1e400`, `0123`, nothing."""

    text: str


class _Page(Action):
    """An edit of a parsed page; a subclass changes the document in place or returns another."""

    def edit(self, page: Any, exchange: Exchange) -> Any:
        """The page to serve; None stands for the given one, changed in place."""

    async def change(self, exchange: Exchange, response: Response) -> Response:
        if response.status != 200:
            return response
        plain = response.decoded()
        page = load(plain.body)
        edited = self.edit(page, exchange)
        return replace(plain, body=dump(page if edited is None else edited))


def _integer(text: str) -> int | decimal.Decimal:
    return int(text) if len(text) < 4000 else decimal.Decimal(text)  # int() refuses more than 4,300 digits


def load(body: bytes) -> Any:
    """JSON with every digit of its numbers. ValueError for anything else."""
    return json.loads(body, parse_float=decimal.Decimal, parse_int=_integer)


def dump(page: Any, *, indent: int | None = None, sort_keys: bool = False) -> bytes:
    """JSON in ASCII; a Decimal becomes a number with all its digits, a Raw becomes its text."""
    mark = secrets.token_hex(8)
    texts: list[str] = []

    def stand_in(value: Any) -> str:
        if not isinstance(value, Raw | decimal.Decimal):
            raise TypeError(f"{type(value).__name__} has no JSON form")
        texts.append(value.text if isinstance(value, Raw) else str(value))
        return f"{mark}-{len(texts) - 1}"

    separators = (",", ":") if indent is None else (",", ": ")
    text = json.dumps(page, default=stand_in, separators=separators, indent=indent, sort_keys=sort_keys)
    return re.sub(f'"{mark}-([0-9]+)"', lambda found: texts[int(found[1])], text).encode()


def get(page: Any, path: str) -> Any:
    """The value at a dotted path. LookupError where the page has none."""
    value = page
    for step in path.split("."):
        if isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        elif isinstance(value, dict) and step in value:
            value = value[step]
        else:
            raise LookupError(f"the page has no {path}: {json.dumps(page, default=str)[:200]}")
    return value


def put(page: Any, path: str, value: Any) -> None:
    """Sets the value at a dotted path; objects that are missing or null on the way there are made."""
    above, _, last = path.rpartition(".")
    if above:
        try:
            owner = get(page, above)
        except LookupError:
            owner = None
        if owner is None:
            put(page, above, {})
            owner = get(page, above)
    else:
        owner = page
    if isinstance(owner, list) and last.isdecimal() and int(last) < len(owner):
        owner[int(last)] = value
    elif isinstance(owner, dict):
        owner[last] = value
    else:
        raise LookupError(f"the page has no place for {path}")


@dataclass(frozen=True, kw_only=True)
class Edit(_Page):
    """Edits the page by a function of the test: it changes the parsed page in place, or returns another (not None)."""

    run: Callable[[Any], Any]

    def edit(self, page: Any, exchange: Exchange) -> Any:
        return self.run(page)


@dataclass(frozen=True, kw_only=True)
class Value(_Page):
    """Puts the raw text `text` in place of the value at `at` (A24, and any value of groups B and H): `NaN`,
    `"\\ud800"`."""

    at: str
    text: str

    def edit(self, page: Any, exchange: Exchange) -> Any:
        get(page, self.at)  # a typing error in the path shall not add a field
        put(page, self.at, Raw(text=self.text))


@dataclass(frozen=True, kw_only=True)
class Total(_Page):
    """Says another total (A30): any JSON value or a Raw."""

    value: Any
    at: str = "total_entries"

    def edit(self, page: Any, exchange: Exchange) -> Any:
        put(page, self.at, self.value)


@dataclass(frozen=True, kw_only=True)
class NextLink(_Page):
    """Points the next link elsewhere (A33 to A36, H1).

    `null`: no next page, too early · `self`: this request again · `circle`: the first request that matched this fault ·
    `relative`, `absolute`: the right target in that form · `foreign`: the right target at `origin`, another scheme and
    host · `protocol_relative`: the same as `//host` · `userinfo`: this front's address as user name of `origin` ·
    `file`: a file of this machine · `crlf`: the right target with a line break and a header in it · `literal`: `href`
    as it stands. The right target is the page's own next link, else the request's target. With `null` and a path that
    ends in `href`, the whole link becomes null.
    """

    to: Literal[
        "null",
        "self",
        "circle",
        "relative",
        "absolute",
        "foreign",
        "protocol_relative",
        "userinfo",
        "file",
        "crlf",
        "literal",
    ]
    origin: str | None = None
    href: str | None = None
    at: str = "_links.next.href"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.to in ("foreign", "protocol_relative", "userinfo") and self.origin is None:
            raise ValueError(f"NextLink: to={self.to!r} needs origin, the URL of the foreign host")
        if self.to == "literal" and self.href is None:
            raise ValueError("NextLink: to='literal' needs href")

    def edit(self, page: Any, exchange: Exchange) -> Any:
        if self.to == "null":
            put(page, self.at.removesuffix(".href"), None)
        else:
            put(page, self.at, self._href(page, exchange))

    def _href(self, page: Any, exchange: Exchange) -> str:
        try:
            link = get(page, self.at)
        except LookupError:
            link = None
        if not isinstance(link, str):
            link = exchange.request.target
        parts = urllib.parse.urlsplit(link)
        target = urllib.parse.urlunsplit(("", "", parts.path, parts.query, ""))
        origin = (self.origin or "").rstrip("/")
        scheme, _, host = origin.partition("://")
        match self.to:
            case "self":
                return exchange.request.target
            case "circle":
                return exchange.first.target
            case "absolute":
                return exchange.url + target
            case "foreign":
                return origin + target
            case "protocol_relative":
                return f"//{host}{target}"
            case "userinfo":
                return f"{scheme}://{urllib.parse.urlsplit(exchange.url).netloc}@{host}{target}"
            case "file":
                return "file:///etc/passwd"
            case "crlf":
                return f"{target}\r\nX-Injected: yes"
            case "literal":
                return str(self.href)
            case _:
                return target


@dataclass(frozen=True, kw_only=True)
class Entries(_Page):
    """Changes the list of entries at `at`.

    `drop` and `duplicate` take `count` entries from position `index` on; duplicates follow their originals (A26, A31) ·
    `shift`: the page begins with the last `count` entries of the previous answer that matched, and its own last `count`
    are lost, as when rows slide over the boundary and back while somebody pages (A28) ·
    `reverse`, `shuffle` by `seed` (A27) · `null` and `not_object` insert `count` nulls, or numbers, texts, booleans and
    arrays, at `index`, and lose no entry (A32) · `missing`: the page has no entries and no `_embedded`, which is the
    path's first step · `empty`: no entries and whatever next link there is (A33).
    """

    how: Literal["drop", "duplicate", "shift", "reverse", "shuffle", "null", "not_object", "missing", "empty"]
    index: int = 0
    count: int = 1
    seed: int = 0
    at: str = "_embedded.entries"

    def edit(self, page: Any, exchange: Exchange) -> Any:
        entries = get(page, self.at)
        if not isinstance(entries, list):
            raise LookupError(f"{self.at} is no list of entries")
        chosen = slice(self.index, self.index + self.count)
        match self.how:
            case "drop":
                del entries[chosen]
            case "duplicate":
                entries[chosen] = [entry for entry in entries[chosen] for _ in range(2)]
            case "shift":
                before: list[Any] = []
                if exchange.previous is not None and exchange.previous.status == 200:
                    before = get(json.loads(exchange.previous.decoded().body, parse_int=_integer), self.at)
                keep = max(len(entries) - self.count, 0)
                entries[:] = [*before[len(before) - min(self.count, len(before)) :], *entries[:keep]]
            case "reverse":
                entries.reverse()
            case "shuffle":
                random.Random(self.seed).shuffle(entries)  # noqa: S311  replayable, guards nothing
            case "null":
                entries[self.index : self.index] = [None] * self.count
            case "not_object":
                kinds: list[Any] = [7, "an entry", True, []]
                entries[self.index : self.index] = [kinds[number % len(kinds)] for number in range(self.count)]
            case "missing":
                del page[self.at.partition(".")[0]]
            case "empty":
                entries.clear()
