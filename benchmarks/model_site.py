"""A Desk site of any size that keeps nothing: every record is made up from its number when it is asked for.

The Desk source reads it through its own client: walk, pages, children and call budget are the real ones; only HTTP and
signatures are left out. `extension` puts the site in their place; it is installed like any other extension.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from connector_core import Description, hookimpl
from connector_core.clock import Clock
from connector_core.errors import RetryableError
from connector_core.rest.transport import Answer
from connector_core.streams import RateLimit
from connector_desk.sandbox.limits import Window

BEGIN = int(datetime(2025, 1, 1, tzinfo=UTC).timestamp())
YEAR = 360 * 86_400
REPLIES = (0, 1, 1, 2, 4)
"""Replies of a case, by its number: 1.6 on average."""

USERS, GROUPS = 60, 10


@dataclass(frozen=True, kw_only=True)
class Changes(Sequence[int]):
    """When the records of a list were changed last: ascending Unix seconds. The first `moved` of `count` records have
    changed after the year, all others within it."""

    count: int
    moved: int = 0

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, place: Any) -> Any:
        step = max(1, YEAR // self.count)
        stayed = self.count - self.moved
        return BEGIN + (place + self.moved) * step if place < stayed else BEGIN + YEAR + 10 * (place - stayed)

    def number(self, place: int) -> int:
        """Which record stands there."""
        return (place + self.moved) % self.count


@dataclass(kw_only=True)
class Site:
    """A site with so many cases and half as many customers, and so many calls a minute. Stands where the transport of
    the source stands."""

    cases: int
    limit: int
    clock: Clock
    moved: int = 0
    calls: int = 0
    refused: int = 0
    address: str = "https://model.desk.com"
    _window: Window = field(default_factory=Window)

    @property
    def base(self) -> str:
        """What the paths of the API begin with."""
        return f"{self.address}/api/v2"

    def lists(self) -> dict[str, Changes]:
        """When cases and customers were changed."""
        customers, moved = self.cases // 2, self.moved // 2
        return {
            "/cases": Changes(count=self.cases, moved=self.moved),
            "/customers/search": Changes(count=customers, moved=moved),
        }

    def link(self, link: str, *, asked: str) -> str:
        """Links are complete as they are."""
        return link

    def get(self, target: str, params: Mapping[str, Any] | None = None) -> Answer:
        """One call of the API."""
        now = self.clock.now()
        allowance = self._window.spend(now.timestamp(), self.limit, 60.0)
        rate = RateLimit(limit=self.limit, remaining=allowance.remaining, reset=float(allowance.reset))
        self.calls += 1
        if not allowance.allowed:
            self.refused += 1
            raise RetryableError("too many calls", retry_after=float(allowance.reset), rate=rate)
        parts = urlsplit(target)
        asked = {name: int(text) for name, text in parse_qsl(parts.query) if text.isdigit()}
        asked |= {name: value for name, value in (params or {}).items() if isinstance(value, int | str)}
        path = parts.path.removeprefix("/api/v2")
        total, entries, more = self._answer(path, asked)
        link = f"{self.base}{path}?page={int(asked.get('page', 1)) + 1}" if more else None
        links = {"next": {"href": link} if link else None}
        body = json.dumps({"total_entries": total, "_links": links, "_embedded": {"entries": entries}}).encode()
        url = self.base + path
        return Answer(status=200, headers={}, body=body, url=url, shown=url, rate=rate, served_at=now)

    def _answer(self, path: str, asked: Mapping[str, Any]) -> tuple[int, list[dict[str, Any]], bool]:
        lists = self.lists()
        if path in lists:
            return self._walked(path, lists[path], asked)
        if path.endswith("/replies"):
            case = int(path.split("/")[2])
            entries = [_reply(case, i) for i in range(REPLIES[case % len(REPLIES)])]
        elif path == "/users":
            entries = [{"id": i, "name": f"user {i}"} for i in range(USERS)]
        elif path == "/groups":
            entries = [{"id": i, "name": f"group {i}"} for i in range(GROUPS)]
        elif path.endswith("/users"):
            group = int(path.split("/")[2])
            entries = [{"id": i} for i in range(USERS) if i % GROUPS == group]
        else:
            entries = []
        return len(entries), entries, False

    def _walked(self, path: str, changes: Changes, asked: Mapping[str, Any]) -> tuple[int, list[dict[str, Any]], bool]:
        size, page = int(asked["per_page"]), int(asked["page"])
        first = bisect_right(changes, int(asked["since_updated_at"]))
        begin, end = first + (page - 1) * size, min(first + page * size, len(changes))
        make = _case if path == "/cases" else _customer
        entries = [make(changes.number(place), changes[place]) for place in range(begin, end)]
        return len(changes) - first, entries, end < len(changes)


def _instant(second: int) -> str:
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _case(number: int, changed: int) -> dict[str, Any]:
    links = {"replies": {"href": f"/api/v2/cases/{number}/replies", "count": REPLIES[number % len(REPLIES)]}}
    return {"id": number, "subject": f"case {number}", "updated_at": _instant(changed), "_links": links}


def _customer(number: int, changed: int) -> dict[str, Any]:
    return {"id": number, "first_name": f"customer {number}", "updated_at": _instant(changed), "_links": {}}


def _reply(case: int, number: int) -> dict[str, Any]:
    self_link, of = f"/api/v2/cases/{case}/replies/{number}", f"/api/v2/cases/{case}"
    return {"id": case * 10 + number, "_links": {"self": {"href": self_link}, "case": {"href": of}}}


class Extension:
    """Gives the Desk source a model site to read; `site` is set before a run."""

    site: Site

    @hookimpl
    def describe(self) -> Description:
        """See `connector_core.hookspecs.describe`."""
        return Description(kind="extension", name="model_site", config_schema={"type": "object"})

    @hookimpl(wrapper=True)
    def authenticate(self) -> Generator[None, Any, Any]:
        """The source's client, its calls going to the model."""
        client = yield
        client.transport = self.site
        return client


extension = Extension()
