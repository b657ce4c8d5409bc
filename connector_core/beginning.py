"""Where a run begins: which streams it reads, from which start date, from which bookmarks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Any

from connector_core.bookmarks import Bookmark
from connector_core.config import Connector
from connector_core.config.problems import did_you_mean
from connector_core.declared import declare
from connector_core.errors import ConfigError, Place
from connector_core.run_report import RunOptions
from connector_core.streams import Stream

YEAR = timedelta(days=365)
Family = tuple[Stream, ...]
"""A root stream and its children."""


def families(streams: Sequence[Stream], connector: Connector, options: RunOptions) -> tuple[Family, ...]:
    """Root streams with their children, less what was not selected; lookback as configured.

    Selecting a child selects its root. Raises `ConfigError` for a name that the source does not have.
    """
    names = {stream.name for stream in streams}
    configured = (*options.select, *options.allow_deletes, *connector.streams)
    if unknown := list(dict.fromkeys(name for name in configured if name not in names)):
        raise ConfigError(
            f"there is no stream {' or '.join(map(repr, unknown))} in {connector.source}",
            hint=", ".join(dict.fromkeys(did_you_mean(name, sorted(names)) for name in unknown)),
            place=Place(connector=connector.key),
            code="stream_unknown",
        )
    wanted = set(options.select)
    found = []
    for root in streams:
        if root.parent is not None or not connector.stream(root.name).selected:
            continue
        children = [s for s in streams if s.parent == root.name and connector.stream(s.name).selected]
        if not wanted or wanted & {root.name, *(child.name for child in children)}:
            lookback = connector.stream(root.name).lookback or root.lookback
            if not root.primary_key:
                _refuse_lookback(root, connector)
                lookback = timedelta(0)
            found.append((replace(root, lookback=lookback), *children))
    return tuple(found)


def _refuse_lookback(root: Stream, connector: Connector) -> None:
    """Without a key a record that is read again could not be told from a new one. What is set for all streams holds
    for those that can have it."""
    own = connector.streams.get(root.name)
    if own is not None and own.lookback:
        raise ConfigError(
            f"stream {root.name!r} has no primary key, and lookback needs one",
            hint=f"take lookback out of [connectors.{connector.key}.streams.{root.name}]",
            place=Place(connector=connector.key, stream=root.name),
            code="lookback_key",
        )


def bookmarks(roots: Sequence[Stream], stored: Mapping[str, Mapping[str, Any]]) -> dict[str, Bookmark]:
    """The bookmark of each root stream as the destination has it. Raises `ConfigError` for one that cannot be read.

    The value of another replication key than today's says nothing about this one: then the stream begins again.
    """
    found = {}
    for root in roots:
        bookmark = Bookmark.from_json(stored[root.name], stream=root.name) if root.name in stored else Bookmark()
        found[root.name] = bookmark if _of_this_key(bookmark, root) else Bookmark(start=bookmark.start)
    return found


def _of_this_key(bookmark: Bookmark, root: Stream) -> bool:
    """Whether the bookmark's value is one of the stream's replication key, by name and type."""
    if bookmark.value is None or root.replication_key is None:
        return True
    key = declare(root.schema).child(root.replication_key)
    numbered = key is not None and "integer" in key.kinds
    return bookmark.key in (None, root.replication_key) and isinstance(bookmark.value, datetime) != numbered


def start_date(
    connector: Connector, *, known: datetime | None, found: Mapping[str, Bookmark], confirmed: bool, now: datetime
) -> datetime:
    """The start date: what is configured, else what the first run fixed (`known` by the ledger, or in a bookmark),
    else one year before `now`, midnight UTC (facts/stitch_semantics.md section 3).

    Another one than in the first run means to read everything again from there: `ConfigError` unless that was
    `confirmed`.
    """
    first = known or next((bookmark.start for bookmark in found.values() if bookmark.start), None)
    wanted = connector.start_date
    if first is not None and wanted is not None and wanted != first and not confirmed:
        raise ConfigError(
            f"start_date was {_day(first)} in the first run and is {_day(wanted)} now: every incremental stream would "
            "be read again from there, at the cost of its calls",
            hint=f"run it once with --confirm, or set start_date = {_day(first)}",
            place=Place(connector=connector.key),
            code="start_date_changed",
        )
    return wanted or first or datetime.combine((now - YEAR).date(), time(), UTC)


def resume(found: Mapping[str, Bookmark], *, start: datetime, full: bool) -> dict[str, Bookmark]:
    """The bookmarks to go on from: none where everything is read again (`full`, or another start date than the
    bookmark's)."""
    return {
        name: Bookmark(start=start) if full or bookmark.start not in (None, start) else bookmark
        for name, bookmark in found.items()
    }


def _day(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d}" if instant.time() == time() else f"{instant:%Y-%m-%dT%H:%M:%SZ}"
