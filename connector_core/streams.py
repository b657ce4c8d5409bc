"""What a source tells the engine: streams, windows, pages and the call budget."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, Self

Record = dict[str, Any]
"""One record as JSON gives it. Numbers: int, float (at most 15 significant digits) or Decimal (exact)."""


class Unreadable(str):
    """In place of a record that the source cannot read: its text as it stands there, and `reason`, which says what is
    wrong with it and where, without its values. The engine keeps it as a reject with the code `unreadable`."""

    reason: str

    def __new__(cls, text: str, *, reason: str) -> Self:
        made = super().__new__(cls, text)
        made.reason = reason
        return made


Replication = Literal["incremental", "full_table"]


def _always(record: Mapping[str, Any]) -> bool:
    return True


@dataclass(frozen=True, kw_only=True)
class Stream:
    """One table's worth of records, declared.

    `schema` is a JSON Schema (2020-12) of one record as `extract` returns it, less the properties in `discard`
    (dropped without being counted, for instance `_links`). `primary_key` names top-level properties; empty means that
    the stream has no key. `replication_key` names a top-level property that is a date-time, a date or an integer and
    only counts for `incremental`. `ascending` says that pages come in ascending order of the replication key;
    otherwise the bookmark moves only with the last commit of a pass. `overlap` is how far before the bookmark a
    source reads again (a time span for instants, ignored for integers). A child names its `parent` and is asked for
    once per parent record for which the parent-record predicate `when` holds. `after` names root streams that must
    have been extracted first. `lookback` re-reads a window before the bookmark (needs a key). `stateful` says that the
    source itself keeps where an incremental root stream goes on, in `Page.state`: it has no replication key, and of
    two versions of a record the one that was read last wins.
    """

    name: str
    schema: Mapping[str, Any]
    primary_key: tuple[str, ...] = ()
    replication: Replication = "full_table"
    replication_key: str | None = None
    ascending: bool = True
    overlap: timedelta = timedelta(0)
    lookback: timedelta = timedelta(0)
    parent: str | None = None
    when: Callable[[Mapping[str, Any]], bool] = _always
    after: tuple[str, ...] = ()
    discard: frozenset[str] = frozenset()
    stateful: bool = False

    def key_of(self, record: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """The primary key's values, or None when there is no key or a part is missing or not text, integer or date."""
        if not self.primary_key:
            return None
        values = tuple(record.get(name) for name in self.primary_key)
        return None if any(type(v) not in (int, str) for v in values) else values


@dataclass(frozen=True, kw_only=True)
class Window:
    """What part of an incremental stream is asked for. A full-table stream gets an empty window.

    `lower` is the bookmark or the start date (inclusive; an aware UTC datetime or an integer), `overlap` how far before
    it to read again, `upper` the upper bound of the run (the `Date` of its first response, None until that is known):
    records above it may be returned, they are stored and move nothing. `state`, for a stateful stream, is the last
    `Page.state` that was committed, None to begin.
    """

    lower: datetime | int | None = None
    upper: datetime | None = None
    overlap: timedelta = timedelta(0)
    state: Mapping[str, Any] | None = None

    @property
    def since(self) -> datetime | int | None:
        """Where reading starts: `lower` less the overlap (an integer has no overlap)."""
        return self.lower - self.overlap if isinstance(self.lower, datetime) else self.lower


@dataclass(frozen=True, kw_only=True)
class RateLimit:
    """What one answer said about the call budget: calls allowed per window, calls left, seconds until the next
    window."""

    limit: int | None = None
    remaining: int | None = None
    reset: float | None = None


@dataclass(frozen=True, kw_only=True)
class Page:
    """What one request returned.

    `records` as the source gives them, a list or `entries.Entries`: an entry that is not an object is kept (the engine
    rejects it; an `Unreadable` says why). `next` is the
    token of the next page, opaque, hashable, None at the end; the same token twice is an error. `total` is the number
    of records that the source says the whole request has, None where it does not tell. `served_at` is the server's
    `Date` (aware UTC), `size` the body's bytes (0: the engine measures the records), `rate` what the answer said about
    the budget, `url` the address for logs (without secrets), `requests` how many requests were made (0 when the page
    came from memory). `settled` is the replication key below which (less the overlap) no record will come on later
    pages of this pass; None means the greatest of this page, for streams in ascending order. `notes` are remarks for
    the log, for instance a total that is not a number.

    Of a stateful stream: `state` (JSON) is where the next run goes on once everything up to the end of this page is
    stored; None where the source cannot go on from here. It is committed in the transaction of the records that it
    covers. Records with a key may be stored before, and are read again after a failure; without a key they wait for it
    in staging tables. `replaces`, at the latest on the first page with records, says that the pass takes the place of
    all that is stored.
    """

    records: Sequence[Any]
    next: Hashable | None = None
    total: int | None = None
    served_at: datetime | None = None
    size: int = 0
    rate: RateLimit | None = None
    url: str = ""
    requests: int = 1
    settled: datetime | int | None = None
    notes: tuple[str, ...] = ()
    state: Mapping[str, Any] | None = None
    replaces: bool = False


@dataclass(frozen=True, kw_only=True)
class Catalog:
    """What `discover` found: streams, parents first, and what the answers on the way said.

    `requests` is the number of requests made, `served_at` the `Date` of the first of them. `notes` are remarks for
    people, for instance why a type was inferred; `check` shows them.
    """

    streams: tuple[Stream, ...]
    served_at: datetime | None = None
    rate: RateLimit | None = None
    requests: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Description:
    """What a plugin says of itself, without the network.

    `config_schema` is a JSON Schema; `writeOnly` marks a secret. `snapshot` is the feature snapshot, section by
    section, as `describe` prints it. `streams` are the tables as far as they are known without asking the source.
    `frequency` is the source's default (seconds between starts). `fixed` names the configuration keys that this
    plugin does not allow (`cron`, `streams`, ...), each with the reason. `exclusive` (destinations): one process at a
    time may load.
    """

    kind: Literal["source", "destination", "extension"]
    name: str
    title: str = ""
    versions: tuple[str, ...] = ()
    summary: str = ""
    config_schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "object"})
    snapshot: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    streams: tuple[Stream, ...] = ()
    frequency: int | None = None
    fixed: Mapping[str, str] = field(default_factory=dict)
    exclusive: bool = False
