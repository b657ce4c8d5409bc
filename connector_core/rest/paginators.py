"""How a list goes on after a page: by a link in the body or a header, by number, offset, cursor or key.

A paginator is a frozen object without state. Its tokens are what the engine hands back: small, immutable, hashable.
Pages end where the source says so, never because a page is shorter than was asked for: a server may serve smaller pages
without a word (facts/fault_catalogue.md A42), and a cut answer is never the end of the data (A18).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

from requests.utils import parse_header_links

from connector_core.entries import Entries
from connector_core.errors import Place, RetryableError, SourceError
from connector_core.rest.addresses import canonical
from connector_core.streams import Window


@dataclass(frozen=True, kw_only=True)
class Ask:
    """What to request for a token: a whole address (a link that was checked), or parameters for the stream's path.
    `since` replaces the window's lower end, `page` is the number of the page where pages are numbered."""

    url: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    since: datetime | int | None = None
    page: int | None = None


@dataclass(frozen=True, kw_only=True)
class Got:
    """A page as a paginator sees it. `records` as they are stored, `asked` the address, `total` what the source counts,
    `link` checks a link and makes it absolute (`SourceError` foreign_origin), `shown` is the address for errors."""

    document: Any
    headers: Mapping[str, str]
    records: Sequence[Any]
    asked: str
    link: Callable[[object], str]
    window: Window
    total: int | None = None
    served_at: datetime | None = None
    primary_key: tuple[str, ...] = ()
    replication_key: str | None = None
    shown: str = ""


@dataclass(frozen=True, kw_only=True)
class Turn:
    """How it goes on: the next token (None at the end), and what `streams.Page` calls settled and notes. `total` is
    what the whole pass should bring, where a page's own count means something else."""

    next: Hashable | None = None
    settled: datetime | int | None = None
    notes: tuple[str, ...] = ()
    total: int | None = None


@runtime_checkable
class Paginator(Protocol):
    """Anything with these three functions; none of them touches the network or keeps state."""

    def first(self, window: Window) -> Hashable:
        """The token of the first page."""

    def ask(self, token: Hashable) -> Ask:
        """What to request; the same token asks for the same page."""

    def turn(self, token: Hashable, got: Got) -> Turn:
        """What comes after this page. Raises `RetryableError` for a page that is not whole, `SourceError` for a list in
        a circle."""


def dig(document: Any, path: str) -> Any:
    """The value at a dotted path, None where there is none; the empty path is the document itself."""
    for name in path.split(".") if path else ():
        document = document.get(name) if isinstance(document, dict) else None
    return document


def _named(paginator: object, *names: str) -> None:
    """Raises ValueError for a paginator whose parameter or path is no text."""
    for name in names:
        value = getattr(paginator, name)
        if not isinstance(value, str) or not value:
            raise ValueError(f"{type(paginator).__name__}: {name} is {value!r}; it must be text")


def pointer(got: Got, path: str) -> Any:
    """What a page says about the next one. Its container must be there, as in `_links.next.href`: without `_links` the
    page is not whole (`RetryableError`)."""
    first, _, rest = path.partition(".")
    if rest and not (isinstance(got.document, dict) and isinstance(got.document.get(first), dict)):
        raise RetryableError(
            f"the answer lacks {first!r}, which says how the list goes on", place=Place(url=got.shown), code="no_links"
        )
    return dig(got.document, path)


def circle(got: Got) -> SourceError:
    """The error for a list that leads back to where it was."""
    return SourceError(
        "the list goes in a circle: its next page is one that was read already",
        hint="rows read so far are kept; tell the maintainer of the API",
        place=Place(url=got.shown),
        code="loop",
    )


@dataclass(frozen=True, kw_only=True)
class Link:
    """Token: the address of the `number`th page of a list, from 0. All tokens of a list share `visited`, the addresses
    of its pages by number, so that a circle is seen before it is walked."""

    url: str = ""
    number: int = field(default=0, compare=False)
    visited: dict[str, int] = field(default_factory=dict, compare=False, repr=False)

    def __str__(self) -> str:
        return self.url or "first"

    def after(self, got: Got, link: object) -> Link:
        """The token of the page that a link of this one's answer leads to. Raises `SourceError` (foreign_origin,
        loop)."""
        self.visited.setdefault(canonical(got.asked), self.number)
        target = canonical(got.link(link))
        if self.visited.get(target, self.number + 1) <= self.number:
            raise circle(got)
        return Link(url=target, number=self.number + 1, visited=self.visited)


@dataclass(frozen=True)
class NextLink:
    """The body holds the address of the next page, null or no key at the end: HAL's `_links.next.href`, JSON:API's
    `links.next`."""

    path: str = "_links.next.href"

    def __post_init__(self) -> None:
        _named(self, "path")

    def first(self, window: Window) -> Hashable:
        """The stream's own path."""
        return Link()

    def ask(self, token: Hashable) -> Ask:
        """The link as it was given."""
        return Ask(url=str(token)) if isinstance(token, Link) and token.url else Ask()

    def turn(self, token: Hashable, got: Got) -> Turn:
        """Follow the link, also from an empty page."""
        assert isinstance(token, Link)  # noqa: S101 - it came from here
        link = pointer(got, self.path)
        if link is None or link == "":
            return Turn(total=got.total)
        notes = () if got.records else ("an empty page with a next link was read",)
        return Turn(next=token.after(got, link), total=got.total, notes=notes)


@dataclass(frozen=True)
class LinkHeader:
    """The header `Link: <address>; rel="next"` (RFC 8288), missing at the end."""

    rel: str = "next"

    def __post_init__(self) -> None:
        _named(self, "rel")

    def first(self, window: Window) -> Hashable:
        """The stream's own path."""
        return Link()

    def ask(self, token: Hashable) -> Ask:
        """The link as it was given."""
        return Ask(url=str(token)) if isinstance(token, Link) and token.url else Ask()

    def turn(self, token: Hashable, got: Got) -> Turn:
        """Follow the link, also from an empty page."""
        assert isinstance(token, Link)  # noqa: S101 - it came from here
        header = got.headers.get("Link") or ""
        for link in parse_header_links(header):
            if self.rel in str(link.get("rel", "")).split():
                return Turn(next=token.after(got, link["url"]), total=got.total)
        return Turn(total=got.total)


def goes_on(got: Got, more: str | None) -> bool:
    """Whether a list without links has another page: as `more` (a path to true/false or to a link) says; without it
    until an empty page."""
    if more is None:
        return bool(got.records)
    value = pointer(got, more)
    return bool(value)


@dataclass(frozen=True, kw_only=True)
class Number:
    """Token: a page number or an offset; the parameter's name is the paginator's. `keys` are those of the page before
    it, so that a source which answers every number with the same page is found out."""

    value: int
    keys: int | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        return str(self.value)


def _keys(records: Sequence[Any], names: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """The primary keys of a page as text. Records that were read by columns are not read one by one for it."""
    if isinstance(records, Entries):
        columns = dict(zip(records.names, records.values, strict=True))
        parts = [map(str, columns.get(name, ())) for name in names]
        return zip(*parts, strict=False)
    return (tuple(str(one.get(name)) for name in names) for one in records if isinstance(one, dict))


def _following(token: Number, got: Got, value: int) -> Number:
    """The token of the page after this one. Raises `SourceError` (loop) when this page holds the records of the page
    before it; without a primary key, equal pages may well follow each other."""
    keys = tuple(_keys(got.records, got.primary_key)) if got.primary_key else ()
    mine = hash(keys) if keys else None
    if mine is not None and mine == token.keys:
        raise circle(got)
    return Number(value=value, keys=mine)


@dataclass(frozen=True, kw_only=True)
class PageNumber:
    """Pages are numbered: `?page=2`. They end where `more` says (a path to true/false or to a next link), or `pages` (a
    path to the number of the last one); with neither at the first empty page. `most` is the API's own cap on numbers,
    `SourceError` beyond it."""

    param: str = "page"
    start: int = 1
    more: str | None = None
    pages: str | None = None
    most: int | None = None

    def __post_init__(self) -> None:
        _named(self, "param")
        if self.more is not None and self.pages is not None:
            raise ValueError("PageNumber: more and pages both say where the list ends; give one of them")
        if self.most is not None and self.most < self.start:
            raise ValueError(f"PageNumber: most is {self.most}, which lies before the first page, {self.start}")

    def first(self, window: Window) -> Hashable:
        """The first number."""
        return Number(value=self.start)

    def ask(self, token: Hashable) -> Ask:
        """This number."""
        assert isinstance(token, Number)  # noqa: S101 - it came from here
        return Ask(params={self.param: token.value}, page=token.value)

    def turn(self, token: Hashable, got: Got) -> Turn:
        """One further."""
        assert isinstance(token, Number)  # noqa: S101 - it came from here
        last = pointer(got, self.pages) if self.pages else None
        on = token.value < last if isinstance(last, int) else goes_on(got, self.more)
        if on and self.most is not None and token.value >= self.most:
            raise SourceError(
                f"the list goes on after page {self.most}, where the API stops answering",
                hint="rows read so far are kept; a narrower request is needed: tell the plugin's author",
                place=Place(url=got.shown),
                code="page_cap",
            )
        return Turn(next=_following(token, got, token.value + 1) if on else None, total=got.total)


@dataclass(frozen=True, kw_only=True)
class Offset:
    """Records are counted: `?offset=200`, by what the pages really held. They end as with `PageNumber`."""

    param: str = "offset"
    start: int = 0
    more: str | None = None

    def __post_init__(self) -> None:
        _named(self, "param")
        if self.start < 0:
            raise ValueError(f"Offset: start is {self.start}; it cannot be negative")

    def first(self, window: Window) -> Hashable:
        """The first offset."""
        return Number(value=self.start)

    def ask(self, token: Hashable) -> Ask:
        """This offset."""
        assert isinstance(token, Number)  # noqa: S101 - it came from here
        return Ask(params={self.param: token.value})

    def turn(self, token: Hashable, got: Got) -> Turn:
        """As many further as the page held."""
        assert isinstance(token, Number)  # noqa: S101 - it came from here
        if not goes_on(got, self.more):
            return Turn(total=got.total)
        if not got.records:
            raise RetryableError(
                "an empty page says that the list goes on", place=Place(url=got.shown), code="empty_page"
            )
        return Turn(next=_following(token, got, token.value + len(got.records)), total=got.total)


@dataclass(frozen=True, kw_only=True)
class Mark:
    """Token: a cursor or a key as the source gave it; None asks for the first page."""

    value: str | int | None = None

    def __str__(self) -> str:
        return "first" if self.value is None else str(self.value)


@dataclass(frozen=True, kw_only=True)
class Cursor:
    """The body holds a cursor at `path` that goes into the parameter `param`; null or empty at the end."""

    path: str
    param: str = "cursor"

    def __post_init__(self) -> None:
        _named(self, "path", "param")

    def first(self, window: Window) -> Hashable:
        """No cursor."""
        return Mark()

    def ask(self, token: Hashable) -> Ask:
        """This cursor."""
        assert isinstance(token, Mark)  # noqa: S101 - it came from here
        return Ask(params={} if token.value is None else {self.param: token.value})

    def turn(self, token: Hashable, got: Got) -> Turn:
        """The next cursor."""
        value = pointer(got, self.path)
        if value is None or value == "":
            return Turn(total=got.total)
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise RetryableError(
                "the cursor is neither text nor a number", place=Place(url=got.shown), code="bad_cursor"
            )
        if token == Mark(value=value):
            raise circle(got)
        return Turn(next=Mark(value=value), total=got.total)


@dataclass(frozen=True, kw_only=True)
class Keyset:
    """Records come in ascending order of `key`; the next page holds those above the greatest seen: `?since_id=4102`.
    They end as with `PageNumber`. For an incremental stream whose replication key is `key` the first page starts at the
    window's lower end, less one."""

    key: str = "id"
    param: str = "since_id"
    more: str | None = None

    def __post_init__(self) -> None:
        _named(self, "key", "param")

    def first(self, window: Window) -> Hashable:
        """The window's lower end, if it is a number."""
        return Mark(value=window.lower - 1 if isinstance(window.lower, int) else None)

    def ask(self, token: Hashable) -> Ask:
        """Everything above this key."""
        assert isinstance(token, Mark)  # noqa: S101 - it came from here
        return Ask(params={} if token.value is None else {self.param: token.value})

    def turn(self, token: Hashable, got: Got) -> Turn:
        """Above the greatest key of this page."""
        assert isinstance(token, Mark)  # noqa: S101 - it came from here
        if not goes_on(got, self.more):
            return Turn(total=got.total)
        keys = [record.get(self.key) for record in got.records if isinstance(record, dict)]
        known: list[Any] = [key for key in keys if type(key) is int] or [key for key in keys if isinstance(key, str)]
        if not known:
            raise RetryableError(
                f"no record of the page has a readable {self.key!r} to go on from",
                place=Place(url=got.shown),
                code="no_key",
            )
        greatest = max(known)
        before: Any = token.value
        if type(before) is type(greatest) and greatest <= before:
            raise circle(got)
        return Turn(next=Mark(value=greatest), total=got.total)
