"""A small REST API to read, behind a front that breaks what its plan names, and a source declared for it."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

from connector_core.rest import Auth, Client, Limits, NextLink, OAuth1, RateHeaders, RestSource, RestStream
from connector_core.streams import Page, Stream, Window
from connector_core.testing.faults import FaultFront, Request, Response

CREDENTIALS = {
    "key": "canary-key-1",
    "secret": "canary-secret-2",
    "token": "canary-token-3",
    "token_secret": "canary-4",
}
OAUTH = OAuth1()
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "id": {"type": "integer"},
        "name": {"type": "string"},
        "updated_at": {"type": "string", "format": "date-time"},
    },
}
CONFIG_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"url": {"type": "string"}, **{name: {"type": "string", "writeOnly": True} for name in CREDENTIALS}},
}
RATE = {"X-RateLimit-Limit": "60", "X-RateLimit-Remaining": "41", "X-RateLimit-Reset": "17"}


@dataclass
class Api:
    """Serves `/api/things` in pages of `size`, linked as HAL does. `answer` may serve other paths."""

    things: int = 7
    size: int = 3
    headers: Mapping[str, str] = field(default_factory=lambda: RATE)
    answer: Callable[[Request], Response | None] = lambda request: None

    def __call__(self, request: Request) -> Response:
        other = self.answer(request)
        if other is not None:
            return other
        query = {name: values[0] for name, values in parse_qs(urlsplit(request.target).query).items()}
        number = int(query.get("page", 1))
        first, last = (number - 1) * self.size, min(number * self.size, self.things)
        document = {
            "total_entries": self.things,
            "_links": {"next": {"href": f"/api/things?page={number + 1}"} if last < self.things else None},
            "_embedded": {"entries": [{"id": id, "name": f"thing {id}"} for id in range(first + 1, last + 1)]},
        }
        return Response.of_json(document, headers=self.headers)


def things(**changes: Any) -> RestStream:
    """The stream behind `/api/things`."""
    usual: dict[str, Any] = {
        "name": "things",
        "path": "/things",
        "records": "_embedded.entries",
        "total": "total_entries",
        "schema": SCHEMA,
        "primary_key": ("id",),
        "paginator": NextLink(),
    }
    return RestStream(**(usual | changes))


def shop(*streams: RestStream, auth: Auth | None = OAUTH, limits: Limits | None = None, **changes: Any) -> RestSource:
    """A source over `{url}/api` with these streams."""
    usual: dict[str, Any] = {
        "name": "shop",
        "base_url": "{url}/api",
        "auth": auth,
        "streams": streams or (things(),),
        "config_schema": CONFIG_SCHEMA,
        "rate_limit": RateHeaders(),
        "limits": limits or Limits(deadline=5.0),
    }
    return RestSource(**(usual | changes))


@dataclass
class Reader:
    """A source with its client, as the engine holds them."""

    source: RestSource
    client: Client
    config: Mapping[str, Any]
    streams: dict[str, Stream]

    def page(
        self,
        token: Hashable | None = None,
        *,
        stream: str | None = None,
        window: Window | None = None,
        parent: Mapping[str, Any] | None = None,
    ) -> Page:
        """One page, by default of the first stream."""
        chosen = self.streams[stream or next(iter(self.streams))]
        return self.source.extract(self.client, self.config, chosen, window or Window(), parent, token)

    def records(self, **more: Any) -> list[Any]:
        """All records of all pages."""
        found: list[Any] = []
        token: Hashable | None = None
        for _ in range(1_000):
            page = self.page(token, **more)
            found += page.records
            token = page.next
            if token is None:
                return found
        raise AssertionError("the list does not end")


def reader(front: FaultFront, source: RestSource | None = None, **config: Any) -> Reader:
    """Authenticate and discover against the front."""
    source = source or shop()
    given = {"url": front.url, **CREDENTIALS, **config}
    client = source.authenticate(given)
    catalog = source.discover(given, client)
    return Reader(source, client, given, {stream.name: stream for stream in catalog.streams})


def ids(records: list[Any]) -> list[Any]:
    """The ids of records."""
    return [record["id"] for record in records]


def with_body(response: Response, **document: Any) -> Response:
    """The same answer with another JSON body."""
    return replace(response, body=json.dumps(document).encode())
