"""The shapes of what the ledger answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from connector_core.batch import Counts, SchemaChange
from connector_core.scheduling.due import History


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run. `status` is running, succeeded, partial, failed, rejected, stopped or crashed; a crashed run has no exit
    code.

    A run that still counts as running but whose process of this machine is gone is shown as crashed.
    """

    run_id: str
    connector: str
    trigger: str
    status: str
    started_at: datetime
    finished_at: datetime | None
    exit_code: int | None
    error: str | None


@dataclass(frozen=True, kw_only=True)
class Step:
    """A step of a run: discovery, extraction or loading. `exit_status` is 0 when it succeeded, None while it runs or
    when the run crashed in it.
    """

    name: str
    stream: str | None
    started_at: datetime
    finished_at: datetime | None
    exit_status: int | None
    text: str


@dataclass(frozen=True, kw_only=True)
class StreamStatus:
    """Where a root stream stands: its newest bookmark (None: none yet), its own records of all times (without its
    children's), rows written to its tables (with subtables and children), its newest commit. `older` tells by stream
    how many rows carried an older shape when that was last counted.
    """

    stream: str
    bookmark: Mapping[str, Any] | None
    counts: Counts
    rows: int
    committed_at: datetime
    older: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class ConnectorStatus:
    """A connector at a glance. `rejects` counts the records kept in `_sdc_rejected` (repeats once, replayed ones
    not). Rows are those written to users' tables: since midnight UTC, and in the last 30 times 24 hours.
    """

    connector: str
    name: str
    namespace: str
    destination: str | None
    last_run: Run | None
    streams: tuple[StreamStatus, ...]
    rejects: int
    rows_today: int
    rows_30_days: int
    first_data_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class KnownConnector:
    """A connector that once ran: its namespace is never forgotten. `destination` is None until the first run after a
    rebuild."""

    connector: str
    name: str
    namespace: str
    destination: str | None
    first_data_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class UsageRow:
    """Rows of one table on one UTC day: inside the free window, those that count, and those that came again
    `unchanged` (they are in the first two only when the meter counts as Stitch did). `stream` is the table's own."""

    connector: str
    stream: str
    table: str
    subtable: bool
    day: date
    free: int
    counted: int
    unchanged: int


@dataclass(frozen=True, kw_only=True)
class StreamPass:
    """What one run did for one stream, over all its tables: rows written, and rows that passed through. `at` is its
    first commit; `whole` says that the stream was read as a whole (a full table)."""

    run_id: str
    stream: str
    at: datetime
    whole: bool
    written: int
    passed: int


@dataclass(frozen=True, kw_only=True)
class TableReport:
    """What a run did to one table. `stream` is the root stream."""

    table: str
    stream: str
    written: int
    deleted: int


@dataclass(frozen=True, kw_only=True)
class StreamReport:
    """What became of one stream's records in a run. `root` is the root stream whose `bookmark` this is (None: it did
    not move).
    """

    stream: str
    root: str
    counts: Counts
    bookmark: Mapping[str, Any] | None


@dataclass(frozen=True, kw_only=True)
class RunReport:
    """The loading report of one run."""

    run: Run
    steps: tuple[Step, ...]
    tables: tuple[TableReport, ...]
    streams: tuple[StreamReport, ...]
    changes: tuple[SchemaChange, ...]


@dataclass(frozen=True, kw_only=True)
class Family:
    """A root stream with its children: where it stands, the tables that it has loaded, the rows ever written there."""

    stream: str
    children: tuple[str, ...]
    bookmark: Mapping[str, Any] | None
    tables: tuple[str, ...]
    rows: int


@dataclass(frozen=True, kw_only=True)
class TableLoads:
    """One table in the loading report. `stream` is the one it belongs to, `root` its root stream, whose newest
    `bookmark` this is (None: a full table, or none yet).

    `extracted_at` and `loaded_at` tell of the newest load. Rows written: by the `run`, in the last `day` (24 hours), in
    this metering `period`, in the `previous` one. `counts` are the records of the stream in the run; a subtable has
    none of its own.
    """

    table: str
    stream: str
    root: str
    subtable: bool
    bookmark: Mapping[str, Any] | None
    extracted_at: datetime | None
    loaded_at: datetime | None
    run: int
    day: int
    period: int
    previous: int
    counts: Counts


@dataclass(frozen=True, kw_only=True)
class Loads:
    """The loading report of a connector: its tables, a stream's root table before its subtables. `run_id` is the run
    that is told apart; the instants are those at which day, period and the previous period begin."""

    connector: str
    run_id: str | None
    day: datetime
    period: datetime
    previous: datetime
    tables: tuple[TableLoads, ...]


@dataclass(frozen=True, kw_only=True)
class TableLoad:
    """One run's load of one table. `bookmark` is where its root stream stood afterwards (None: it did not move),
    `unchanged` the rows that came again as they were. `status` and `error` are those of the stream's extraction."""

    run_id: str
    started_at: datetime | None
    completed_at: datetime | None
    status: str
    error: str | None
    bookmark: Mapping[str, Any] | None
    written: int
    deleted: int
    unchanged: int


@dataclass(frozen=True, kw_only=True)
class RejectedRecord:
    """The ledger's copy of a rejected record; its text is only in the destination. `seen` counts how often it was
    rejected.

    `first_at` and `last_at` are the first and the last time; code, reason and path those of the last.
    """

    connector: str
    stream: str
    table: str
    code: str
    reason: str
    path: str
    primary_key: str | None
    record_hash: str
    seen: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, kw_only=True)
class LoggedLine:
    """A log line as it was kept. `number` rises with each line; `run_id` is None for lines outside of runs."""

    number: int
    run_id: str | None
    connector: str | None
    stream: str | None
    at: datetime
    component: str
    level: str
    text: str


@dataclass(frozen=True, kw_only=True)
class SlotNote:
    """What became of a slot of the schedule: `state` run or skipped, and why. `run_id` is the run of a slot that was
    run, `attempts` how often it began (twice when the first process died).
    """

    connector: str
    at: datetime
    state: str
    reason: str
    run_id: str | None = None
    attempts: int = 0


@dataclass(frozen=True, kw_only=True)
class Pause:
    """Since when a connector is paused, by whom and why."""

    connector: str
    at: datetime
    by: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Agenda:
    """What the ledger knows of a connector's schedule. `followed` tells that the schedule in question is the one that
    was last followed; `paused` is None when it is not paused.
    """

    followed: bool
    paused: Pause | None
    history: History
