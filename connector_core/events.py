"""What `observe` is told: one frozen class per kind of event; `EVENTS` lists them all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from connector_core.batch import Counts, Receipt, SchemaChange


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that has happened, to which connector and when (aware UTC)."""

    connector: str
    run_id: str
    at: datetime


@dataclass(frozen=True, kw_only=True)
class RunStarted(Event):
    """A run has claimed its destination."""

    streams: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class StreamStarted(Event):
    """A root stream starts to be read. `since` is its bookmark or start date as text, None for a full table."""

    stream: str
    since: str | None = None


@dataclass(frozen=True, kw_only=True)
class PageExtracted(Event):
    """A page has arrived, of a child stream with the name of its `parent`. `total` as the source tells it; `calls` made
    so far in this run; `calls_left` in the present window of the budget; `calls_per_second` that the limit allows in
    the long run, None where there is none."""

    stream: str
    records: int
    size: int
    url: str
    total: int | None = None
    calls: int = 0
    calls_left: int | None = None
    calls_per_second: float | None = None
    parent: str | None = None


@dataclass(frozen=True, kw_only=True)
class Waiting(Event):
    """The engine waits `seconds` before it calls the source again: `reason` is rate_limit or retry."""

    stream: str
    seconds: float
    reason: str
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class BatchLoaded(Event):
    """A transaction was committed in the destination and recorded in the ledger."""

    receipt: Receipt


@dataclass(frozen=True, kw_only=True)
class SchemaChanged(Event):
    """A table was created or changed by a commit."""

    stream: str
    change: SchemaChange


@dataclass(frozen=True, kw_only=True)
class RecordsRejected(Event):
    """Records of a commit were kept in `_sdc_rejected`: how many, by error code, and the first reason."""

    stream: str
    codes: Mapping[str, int]
    first: str


@dataclass(frozen=True, kw_only=True)
class ParentVanished(Event):
    """A child request answered that its parent does not exist any more; the parent was loaded as read."""

    stream: str
    parent_key: str


@dataclass(frozen=True, kw_only=True)
class Warned(Event):
    """Something an operator should know and that stopped nothing."""

    stream: str | None
    text: str


@dataclass(frozen=True, kw_only=True)
class StreamFinished(Event):
    """A root stream was read to its end, or failed with `error`."""

    stream: str
    counts: Counts
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class RunFinished(Event):
    """A run has ended; `status` is succeeded, partial, failed, rejected or stopped."""

    status: str
    exit_code: int
    counts: Mapping[str, Counts]
    rows_written: int
    seconds: float
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class QuotaReached(Event):
    """The rows of this metering period have reached a share (in percent) of the quota; told once a period. `used` and
    `quota` in rows of all connectors, `period_end` when the next period begins."""

    threshold: int
    used: int
    quota: int
    period_end: datetime


@dataclass(frozen=True, kw_only=True)
class SlotSkipped(Event):
    """A slot of the schedule was not run, and why."""

    slot: datetime
    reason: str


EVENTS: tuple[type[Event], ...] = (
    RunStarted,
    StreamStarted,
    PageExtracted,
    Waiting,
    BatchLoaded,
    SchemaChanged,
    RecordsRejected,
    ParentVanished,
    Warned,
    StreamFinished,
    RunFinished,
    QuotaReached,
    SlotSkipped,
)
