"""A source as the engine holds it: its hooks, its client and its streams, asked for one page after the other."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime
from typing import Any

import pluggy

from connector_core import hookspecs, instants
from connector_core.hooks import Hooks, Origin
from connector_core.streams import Catalog, Page, Record, Stream, Window

LONGEST = 10_000  # pages of one list that the contract reads at most

Target = tuple[Stream, Record | None]
"""What can be asked for: a root stream, or a child stream for one record of its parent."""


class SourceReader:
    """One run's view of a source, through the engine's own facade: what breaks a hook's contract is a `PluginError`.

    `start` is where incremental streams begin, `parents` for how many records of a parent each child is asked.
    """

    def __init__(self, source: Any, config: Mapping[str, Any], *, start: datetime, parents: int) -> None:
        manager = pluggy.PluginManager(hookspecs.PROJECT)
        manager.add_hookspecs(hookspecs)
        manager.register(source)
        self.hooks = Hooks(manager, source=Origin(plugin="source"), destination=Origin(plugin="none"))
        self.config, self._start, self._parents = config, start, parents
        self._held = ExitStack()
        self.client = self._held.enter_context(self.hooks.client(config))
        self.catalog: Catalog = self.hooks.discover(config, self.client)

    def close(self) -> None:
        """The run is over."""
        self._held.close()

    @property
    def incremental(self) -> list[Stream]:
        """The root streams that are read from a replication key on."""
        return [stream for stream in self.catalog.streams if begins_with_a_key(stream)]

    def window(self, stream: Stream, lower: datetime | int | None = None) -> Window:
        """The window of a run that goes on from `lower`; None: the first run."""
        upper = self.catalog.served_at
        if not begins_with_a_key(stream):
            return Window(upper=upper)
        if lower is None and declared(stream) != "integer":
            lower = self._start
        return Window(lower=lower, upper=upper, overlap=stream.overlap)

    def page(self, target: Target, token: Hashable | None = None, window: Window | None = None) -> Page:
        """One page, by default the first of a first run."""
        stream, parent = target
        given = window or self.window(stream)
        return self.hooks.extract(self.client, self.config, stream, given, parent, token)

    def walk(self, target: Target, window: Window | None = None) -> Iterator[tuple[Hashable | None, Page]]:
        """Each page of a list with the token that it was asked with. AssertionError for a list that never ends."""
        given = window or self.window(target[0])
        token: Hashable | None = None
        seen: set[Hashable] = set()
        for _ in range(LONGEST):
            page = self.page(target, token, given)
            yield token, page
            token = page.next
            if token is None:
                return
            assert token not in seen, f"stream {target[0].name!r} goes in a circle: the token {token!r} came before"
            seen.add(token)
        raise AssertionError(f"stream {target[0].name!r} has no end after {LONGEST:,} pages")

    def records(self, target: Target, window: Window | None = None) -> list[Record]:
        """The objects of all pages."""
        return [record for _, page in self.walk(target, window) for record in objects(page)]

    def targets(self) -> list[Target]:
        """Every root stream, and each child for the first few records of its parent that it wants."""
        found: list[Target] = []
        parents: dict[str, Sequence[Record]] = {}
        for stream in self.catalog.streams:
            if stream.parent is None:
                found.append((stream, None))
                if any(child.parent == stream.name for child in self.catalog.streams):
                    parents[stream.name] = self.records((stream, None))
            else:
                wanted = [one for one in parents[stream.parent] if self.hooks.wants(stream, one)]
                assert wanted, f"no record of {stream.parent!r} has records of {stream.name!r}: serve one that has"
                found += [(stream, parent) for parent in wanted[: self._parents]]
        return found


def objects(page: Page) -> list[Record]:
    """The records of a page that are objects; the engine rejects the others."""
    return [record for record in page.records if isinstance(record, dict)]


def begins_with_a_key(stream: Stream) -> bool:
    """Whether it is a root stream that is read from a replication key on."""
    return stream.replication == "incremental" and stream.parent is None and not stream.stateful


def declared(stream: Stream) -> str:
    """The type that the replication key is declared with."""
    told = stream.schema.get("properties", {}).get(stream.replication_key, {}).get("type", "string")
    return "integer" if "integer" in told else "string"


def version(stream: Stream, record: Record) -> datetime | int | None:
    """The replication key of a record as the engine compares it, None where there is none that can be read."""
    value = record.get(stream.replication_key or "")
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    try:
        text = (instants.instant(value) or instants.date_text(value)) if isinstance(value, str) else None
    except instants.NoSuchInstant:
        return None
    return instants.to_datetime(text) if text else None


def versions(stream: Stream, records: Sequence[Record]) -> list[Any]:
    """The replication keys of records, each one readable. AssertionError for one that is not."""
    found = [version(stream, record) for record in records]
    assert None not in found, f"stream {stream.name!r}: a record without a readable {stream.replication_key!r}"
    return found


def shape(stream: Stream) -> tuple[Any, ...]:
    """What a stream is called, where it belongs and how its records are told apart."""
    return stream.name, stream.parent, stream.primary_key, stream.replication, stream.replication_key
