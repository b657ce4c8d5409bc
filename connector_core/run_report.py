"""What a run is told to do, and what it says it has done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal

from connector_core.batch import Counts, SchemaChange, TableCount

Status = Literal["succeeded", "partial", "failed", "rejected", "stopped"]


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How one run differs from an ordinary one.

    `full` reads every stream from its start again; `select` names the only streams to read (empty: all that are
    selected); `allow_deletes` names streams whose full-table pass may delete without the guard, this once; `confirm`
    accepts a changed start date; `trigger` says what started the run (manual, schedule, replay), `slot` which slot of
    the schedule it is.
    """

    full: bool = False
    select: tuple[str, ...] = ()
    allow_deletes: tuple[str, ...] = ()
    confirm: bool = False
    trigger: str = "manual"
    slot: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class RunReport:
    """What one run did. Only what was committed counts; `counts` by stream, `tables` by table, in records and rows.

    `bookmarks` by root stream, where they moved; `calls` made to the source; `waited` seconds for the rate limit and
    for repeats; `seconds` in all; `rejects` by error code; `error` the text of what stopped it, None when nothing did,
    `error_codes` the codes of all that it tells.
    """

    connector: str
    run_id: str
    status: str
    exit_code: int
    counts: Mapping[str, Counts] = field(default_factory=dict)
    tables: Mapping[str, TableCount] = field(default_factory=dict)
    bookmarks: Mapping[str, Any] = field(default_factory=dict)
    calls: int = 0
    waited: float = 0.0
    seconds: float = 0.0
    error: str | None = None
    error_codes: Sequence[str] = ()
    rejects: Mapping[str, int] = field(default_factory=dict)
    changes: Sequence[SchemaChange] = ()

    @property
    def rows_written(self) -> int:
        """Rows written to all tables that users query."""
        return sum(table.written for table in self.tables.values())

    @property
    def rows_deleted(self) -> int:
        """Rows deleted from all tables that users query."""
        return sum(table.deleted for table in self.tables.values())

    @property
    def total(self) -> Counts:
        """The counts of all streams together."""
        return sum(self.counts.values(), Counts())

    def as_json(self) -> dict[str, Any]:
        """The report as plain JSON values: what `run --json` prints."""
        return {
            "connector": self.connector,
            "run_id": self.run_id,
            "status": self.status,
            "exit_code": self.exit_code,
            "error": self.error,
            "seconds": round(self.seconds, 3),
            "waited": round(self.waited, 3),
            "calls": self.calls,
            "rows_written": self.rows_written,
            "rows_deleted": self.rows_deleted,
            "streams": {name: asdict(counts) for name, counts in self.counts.items()},
            "tables": {name: asdict(count) for name, count in self.tables.items()},
            "bookmarks": dict(self.bookmarks),
            "rejects": dict(self.rejects),
            "changes": [asdict(change) for change in self.changes],
        }
