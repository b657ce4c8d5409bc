"""Reads a Desk as the engine does, one page after the other, without the engine: what the source itself hands over."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from connector_core.streams import Catalog, Page, Stream, Window
from connector_desk import source
from connector_desk.sandbox import Sandbox

LONG_AGO = datetime(2010, 1, 1, tzinfo=UTC)


def settings(desk: Sandbox, **changes: Any) -> dict[str, Any]:
    """The source's configuration for a sandbox."""
    known = desk.credentials
    config = {
        "site_url": desk.url,
        "key": known.key,
        "secret": known.secret,
        "token": known.token,
        "token_secret": known.token_secret,
    }
    return config | changes


@dataclass
class DeskReader:
    """`records` are the newest of each key, by stream."""

    config: dict[str, Any]
    lower: datetime = LONG_AGO
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.client = source.authenticate(self.config)
        self.catalog: Catalog = source.discover(self.config, self.client)
        self.streams = {stream.name: stream for stream in self.catalog.streams}
        self.records: dict[str, dict[tuple[Any, ...], dict[str, Any]]] = {name: {} for name in self.streams}

    def page(self, name: str, token: Hashable | None = None, *, parent: Any = None) -> Page:
        """One page."""
        stream = self.streams[name]
        window = Window(upper=self.catalog.served_at)
        if stream.replication == "incremental" and parent is None:
            window = Window(lower=self.lower, upper=self.catalog.served_at, overlap=stream.overlap)
        return source.extract(self.client, self.config, stream, window, parent, token)

    def read(self, *names: str) -> DeskReader:
        """Read these root streams (all, in their order) with their children."""
        for name in names or [name for name, stream in self.streams.items() if stream.parent is None]:
            for page in self.pages(name):
                for record in page.records:
                    self.keep(name, record)
        return self

    def pages(self, name: str, *, parent: Any = None) -> list[Page]:
        """All pages of one stream, for one parent."""
        found: list[Page] = []
        token: Hashable | None = None
        while True:
            found.append(self.page(name, token, parent=parent))
            self.notes += found[-1].notes
            token = found[-1].next
            if token is None:
                return found

    def keep(self, name: str, record: dict[str, Any]) -> None:
        """Take a record; read the children of one that is new."""
        stream: Stream = self.streams[name]
        key = stream.key_of(record)
        assert key is not None, f"{name} without a key: {record}"
        if self.records[name].get(key) == record:
            return
        self.records[name][key] = record
        for child in self.streams.values():
            if child.parent == name and child.when(record):
                for page in self.pages(child.name, parent=record):
                    for found in page.records:
                        self.keep(child.name, found)

    def stored(self, name: str) -> list[dict[str, Any]]:
        """What is stored of a stream, without the properties that the stream discards, sorted by key."""
        discard = self.streams[name].discard
        rows = sorted(self.records[name].items())
        return [{column: value for column, value in row.items() if column not in discard} for _, row in rows]
