"""What the ledger answers. Everything is computed from runs, receipts and rejects; there are no counters that could
drift.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, Select, func, select

from connector_core.batch import Counts
from connector_core.errors import ConfigError
from connector_core.ledger import connectors as registry
from connector_core.ledger import journal, loads, meter, run_reports
from connector_core.ledger import slots as schedule
from connector_core.ledger.answers import (
    Agenda,
    ConnectorStatus,
    Family,
    KnownConnector,
    Loads,
    LoggedLine,
    RejectedRecord,
    Run,
    RunReport,
    SlotNote,
    Step,
    StreamPass,
    StreamStatus,
    TableLoad,
    UsageRow,
)
from connector_core.ledger.database import Database
from connector_core.ledger.journal import LogFilter
from connector_core.ledger.meter import Count
from connector_core.ledger.schema import (
    connectors,
    receipt_counts,
    receipt_tables,
    receipts,
    rejects,
    runs,
    slots,
)


class Queries:
    """The reading half of `Ledger`."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    def status(self) -> list[ConnectorStatus]:
        """Every connector that was ever registered, by name of its key."""
        now = self._clock()
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        with self._database.read() as connection:
            known = connection.execute(select(connectors).order_by(connectors.c.connector)).all()
            return [
                ConnectorStatus(
                    connector=row.connector,
                    name=row.name,
                    namespace=row.namespace,
                    destination=row.destination,
                    last_run=next(iter(run_reports.runs_of(connection, row.connector, 1)), None),
                    streams=_streams(connection, row.connector),
                    rejects=_count_rejects(connection, row.connector),
                    rows_today=_rows_since(connection, row.connector, midnight),
                    rows_30_days=_rows_since(connection, row.connector, now - timedelta(days=30)),
                    first_data_at=registry.first_data_at(connection, row.connector),
                )
                for row in known
            ]

    def connectors(self) -> list[KnownConnector]:
        """Every connector that was ever registered, by name of its key."""
        with self._database.read() as connection:
            return [
                KnownConnector(
                    connector=row.connector,
                    name=row.name,
                    namespace=row.namespace,
                    destination=row.destination,
                    first_data_at=registry.first_data_at(connection, row.connector),
                )
                for row in connection.execute(select(connectors).order_by(connectors.c.connector)).all()
            ]

    def first_data_of_all(self) -> datetime | None:
        """When the first metered row of any connector was committed; None before that."""
        return min((one.first_data_at for one in self.connectors() if one.first_data_at is not None), default=None)

    def usage(
        self,
        connector: str | None = None,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        count: Count = "rows",
    ) -> list[UsageRow]:
        """Rows by connector, table and UTC day of the commit, of commits in [`since`, `until`): those that were
        written, or with `count` "stitch" all that passed through.

        A commit is free as a whole when it was made in [t0, t0 + 168 h), t0 being `first_data_at` (design section 11).
        """
        with self._database.read() as connection:
            found = [connector] if connector is not None else meter.known(connection)
            return [row for name in found for row in meter.usage(connection, name, since, until, count)]

    def used(self, *, since: datetime, until: datetime, count: Count = "rows") -> int:
        """Rows of all connectors that count, of commits in [`since`, `until`)."""
        with self._database.read() as connection:
            return meter.used(connection, since, until, count)

    def rejected(self, connector: str, *, since: datetime, until: datetime) -> int:
        """How many records were rejected by commits in [`since`, `until`), repeats too."""
        with self._database.read() as connection:
            return meter.rejected(connection, connector, since, until)

    def passes(self, connector: str, *, since: datetime, until: datetime) -> list[StreamPass]:
        """What each run did for each stream, by its first commit, of commits in [`since`, `until`)."""
        with self._database.read() as connection:
            return meter.passes(connection, connector, since, until)

    def report(self, run_id: str) -> RunReport:
        """The loading report of a run; `ConfigError` when there is no such run.

        Counts are those of the run's receipts. Records of a full-table pass stand in `staged` when they are staged, and
        have their fates once the pass is activated. Records that were read and never committed are in no receipt.
        """
        with self._database.read() as connection:
            row = connection.execute(select(runs).where(runs.c.run_id == run_id)).one_or_none()
            if row is None:
                raise ConfigError(
                    f"the ledger knows no run {run_id!r}",
                    hint="`connector-core logs` lists the runs",
                    code="unknown_run",
                )
            return RunReport(
                run=run_reports.run(row),
                steps=run_reports.steps_of(connection, run_id),
                tables=run_reports.tables_of(connection, run_id),
                streams=run_reports.streams_of(connection, run_id),
                changes=run_reports.changes_of(connection, run_id),
            )

    def loads(
        self, connector: str, run_id: str | None, *, day: datetime, period: datetime, previous: datetime
    ) -> Loads:
        """The loading report of a connector: rows by table in the run, since `day`, since `period`, and between
        `previous` and `period`. Tables that had no part in a load since `previous` are left out.
        """
        with self._database.read() as connection:
            return loads.loads(connection, connector, run_id, day=day, period=period, previous=previous)

    def families(self, connector: str) -> list[Family]:
        """The root streams that a connector has loaded into its present destination, by name."""
        with self._database.read() as connection:
            return loads.families(connection, connector)

    def tables(self, connector: str) -> list[str]:
        """The tables that a connector has ever loaded, by name."""
        asked = select(receipt_tables.c.table_name).distinct().order_by(receipt_tables.c.table_name)
        asked = asked.join(receipts, receipts.c.id == receipt_tables.c.receipt).where(receipts.c.connector == connector)
        with self._database.read() as connection:
            return list(connection.scalars(asked))

    def table_loads(self, connector: str, table: str, *, limit: int) -> list[TableLoad]:
        """The loads of one table, run by run, newest first; empty for a table that never took part in one."""
        with self._database.read() as connection:
            return loads.table_loads(connection, connector, table, limit)

    def rejects(self, connector: str, stream: str | None = None, *, limit: int | None = None) -> list[RejectedRecord]:
        """Rejected records that were not replayed yet, each once, the last rejected first."""
        with self._database.read() as connection:
            return _rejects(connection, connector, stream, limit)

    def logs(self, run_id: str | None = None, *, limit: int | None = None, **wanted: Any) -> list[LoggedLine]:
        """Log lines of one run or of all, oldest first; with `limit` the newest so many. `wanted`: more of
        `LogFilter`.
        """
        with self._database.read() as connection:
            return journal.logged(connection, LogFilter(run_id=run_id, **wanted), limit)

    def runs(self, connector: str | None = None, *, begins: str | None = None, limit: int | None = None) -> list[Run]:
        """Runs of one connector or all, newest first; with `begins` those whose id begins so."""
        with self._database.read() as connection:
            return run_reports.runs_of(connection, connector, limit, begins)

    def steps(self, run_id: str) -> tuple[Step, ...]:
        """The steps of a run, in the order in which they began."""
        with self._database.read() as connection:
            return run_reports.steps_of(connection, run_id)

    def slots(self, connector: str, *, limit: int | None = None) -> list[SlotNote]:
        """What became of the slots of a connector's schedule, latest slot first."""
        asked = select(slots).where(slots.c.connector == connector).order_by(slots.c.at.desc()).limit(limit)
        with self._database.read() as connection:
            return [
                SlotNote(
                    connector=row.connector,
                    at=row.at,
                    state=row.state,
                    reason=row.reason,
                    run_id=row.run_id,
                    attempts=row.attempts or 0,
                )
                for row in connection.execute(asked)
            ]

    def agenda(self, connector: str, spec: str) -> Agenda:
        """What one has to know to find the next slot of a connector whose schedule reads `spec` in words.

        Slots and runs that lie more than 24 hours in the future were noted by a clock that was wrong: they are not
        looked at, so that a clock that was set right again stops nothing.
        """
        with self._database.read() as connection:
            return schedule.agenda(connection, self._clock(), connector, spec)


def _streams(connection: Connection, connector: str) -> tuple[StreamStatus, ...]:
    mine = loads.here(connection, connector)
    own = _by_stream(
        connection,
        select(receipts.c.stream, *run_reports.sums())
        .join(receipt_counts, receipt_counts.c.receipt == receipts.c.id)
        .where(mine, receipt_counts.c.stream == receipts.c.stream),
    )
    rows = _by_stream(
        connection,
        select(receipts.c.stream, func.sum(receipt_tables.c.written).label("rows"))
        .join(receipt_tables, receipt_tables.c.receipt == receipts.c.id)
        .where(mine),
    )
    last = _by_stream(connection, select(receipts.c.stream, func.max(receipts.c.committed_at).label("at")).where(mine))
    bookmarks = run_reports.newest(connection, mine, "bookmark", last)
    older = run_reports.newest(connection, mine, "older", last)
    return tuple(
        StreamStatus(
            stream=stream,
            bookmark=bookmarks.get(stream),
            counts=run_reports.counts(own[stream]) if stream in own else Counts(),
            rows=int(rows[stream].rows or 0) if stream in rows else 0,
            committed_at=last[stream].at,
            older=older.get(stream, {}),
        )
        for stream in sorted(last)
    )


def _by_stream(connection: Connection, asked: Select[Any]) -> dict[str, Row[Any]]:
    return {row.stream: row for row in connection.execute(asked.group_by(receipts.c.stream))}


def _rows_since(connection: Connection, connector: str, since: datetime) -> int:
    written = (
        select(func.sum(receipt_tables.c.written))
        .join(receipts, receipts.c.id == receipt_tables.c.receipt)
        .where(receipts.c.connector == connector, receipts.c.committed_at >= since)
    )
    return int(connection.scalar(written) or 0)


_IDENTITY = (rejects.c.stream, rejects.c.table_name, rejects.c.primary_key, rejects.c.record_hash)


def _grouped(connector: str) -> Select[Any]:
    return (
        select(
            func.max(rejects.c.id).label("last"),
            func.count().label("seen"),
            func.min(rejects.c.rejected_at).label("first_at"),
            func.max(rejects.c.rejected_at).label("last_at"),
        )
        .where(rejects.c.connector == connector, rejects.c.settled_at.is_(None))
        .group_by(*_IDENTITY)
    )


def _count_rejects(connection: Connection, connector: str) -> int:
    return int(connection.scalar(select(func.count()).select_from(_grouped(connector).subquery())) or 0)


def _rejects(connection: Connection, connector: str, stream: str | None, limit: int | None) -> list[RejectedRecord]:
    grouped = _grouped(connector)
    if stream is not None:
        grouped = grouped.where(rejects.c.stream == stream)
    kept = grouped.subquery()
    asked = (
        select(rejects, kept.c.seen, kept.c.first_at, kept.c.last_at)
        .join(kept, kept.c.last == rejects.c.id)
        .order_by(rejects.c.id.desc())
        .limit(limit)
    )
    return [
        RejectedRecord(
            connector=connector,
            stream=row.stream,
            table=row.table_name,
            code=row.code,
            reason=row.reason,
            path=row.path,
            primary_key=row.primary_key,
            record_hash=row.record_hash,
            seen=row.seen,
            first_at=row.first_at,
            last_at=row.last_at,
        )
        for row in connection.execute(asked)
    ]
