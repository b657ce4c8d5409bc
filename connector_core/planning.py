"""What a run would do, without doing it: asks the source for its streams and for one page of each root stream, looks at
the destination, and changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import takewhile

from connector_core import beginning, shape
from connector_core.batch import Claim, Counts, Part, SchemaChange, Target
from connector_core.bookmarks import Bookmark
from connector_core.config import Connector
from connector_core.fetch import Fetcher
from connector_core.layout import Layout
from connector_core.run_report import RunOptions
from connector_core.scheduling import Interval, Schedule, following
from connector_core.streams import Page, Stream, Window
from connector_core.target import SqlTarget


@dataclass(frozen=True, kw_only=True)
class StreamPlan:
    """What a run would do for one root stream. `since` is where it would go on (None: the whole table), `records` how
    many it would read and `calls` how many calls that takes, children included; None where the source does not tell.
    `exact` tells that both are known and not estimated from the first page.
    """

    stream: str
    since: str | None
    records: int | None
    calls: int | None
    exact: bool
    children: Mapping[str, int | None] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class RunPlan:
    """What a run would do. `calls` of all streams and of discovery, None when one of them is not known; `changes` to
    tables, None where the destination cannot tell them beforehand.
    """

    connector: str
    streams: tuple[StreamPlan, ...]
    calls: int | None
    changes: tuple[SchemaChange, ...] | None


def plan(connector: Connector, *, fetch: Fetcher, target: Target, start: datetime | None, now: datetime) -> RunPlan:
    """Ask, look, and tell. `start` is the start date that the ledger knows.

    Raises what a run would raise before it loads: `SourceError`, `DestinationError`, `ConfigError`, `PluginError`.
    """
    known = target.look() if isinstance(target, SqlTarget) else _remembered(target)
    catalog = fetch.discover()
    families = beginning.families(catalog.streams, connector, RunOptions())
    found = beginning.bookmarks([family[0] for family in families], known.bookmarks)
    begin = beginning.start_date(connector, known=start, found=found, confirmed=False, now=now)
    found = {
        name: bookmark if bookmark.start else replace(bookmark, start=begin)
        for name, bookmark in beginning.resume(found, start=begin, full=False).items()
    }
    streams = tuple(_stream(family, found[family[0].name], fetch, catalog.served_at) for family in families)
    calls = [catalog.requests, *(one.calls for one in streams)]
    changes = None
    if isinstance(target, SqlTarget):
        changes = tuple(target.changes([*_parts(connector, families, known, target)]))
    return RunPlan(
        connector=connector.key,
        streams=streams,
        calls=None if None in calls else sum(one or 0 for one in calls),
        changes=changes,
    )


def _remembered(target: Target) -> Claim:
    """Bookmarks from the commits, for a destination that tells no more."""
    found = {one.stream: one.bookmark for one in target.commits() if one.bookmark is not None}
    return Claim(epoch=0, sequence=0, bookmarks=found)


def _stream(family: Sequence[Stream], bookmark: Bookmark, fetch: Fetcher, served_at: datetime | None) -> StreamPlan:
    root, *children = family
    incremental = root.replication == "incremental"
    lower = (bookmark.value if bookmark.value is not None else bookmark.start) if incremental else None
    if isinstance(lower, datetime) and root.lookback:
        lower -= root.lookback
    window = Window(lower=lower, upper=served_at, overlap=root.overlap)
    if root.stateful:
        window = Window(upper=served_at, state=bookmark.state)
    page = fetch.page(root, window, None, None)
    records, calls, exact = _size(page)
    asked = {child.name: _asked(child, page, records, fetch) for child in children}
    if asked:
        exact = exact and page.next is None
        calls = None if calls is None or None in asked.values() else calls + sum(one or 0 for one in asked.values())
    return StreamPlan(
        stream=root.name,
        since=bookmark.begins if incremental else None,
        records=records,
        calls=calls,
        exact=exact,
        children=asked,
    )


def _size(page: Page) -> tuple[int | None, int | None, bool]:
    """Records, calls, and whether they are certain."""
    read = len(page.records)
    if page.next is None:
        return read, max(1, page.requests), True
    if page.total is None or not read:
        return None, None, False
    return page.total, math.ceil(page.total / read), False


def _asked(child: Stream, page: Page, records: int | None, fetch: Fetcher) -> int | None:
    """How many parents the child stream would be asked for: at least one call each."""
    parents = [record for record in page.records if isinstance(record, Mapping)]
    wanted = sum(fetch.wants(child, record) for record in parents)
    if page.next is None:
        return wanted
    return None if records is None or not parents else round(records * wanted / len(parents))


def _parts(connector: Connector, families: Sequence[Sequence[Stream]], known: Claim, target: Target) -> Iterator[Part]:
    """An empty part for each stream: what is declared of its tables."""
    layout = Layout(target.traits, known.tables, known.columns, known.adopted)
    for family in families:
        for stream in family:
            own = connector.stream(stream.name)
            made = layout.stream(
                stream,
                nested=own.nested,
                schema=own.schema_mode or "evolve",
                type_conflict=own.type_conflict or "split",
            )
            yield shape.merge(made, [], counts=Counts())


def runs_in(schedule: Schedule, begin: datetime, end: datetime) -> int:
    """How many runs the schedule starts in a period, if each ends before the next slot."""
    if isinstance(schedule, Interval):
        return round((end - begin) / schedule.every)
    slots = following(schedule, begin - timedelta(microseconds=1), base=begin)
    return sum(1 for _ in takewhile(lambda slot: slot < end, slots))
