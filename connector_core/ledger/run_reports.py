"""What a single run was and did: its steps, its rows by table, the fates of its records, its changes of tables."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, func, select

from connector_core.batch import Counts, SchemaChange
from connector_core.ledger.answers import Run, Step, StreamReport, TableReport
from connector_core.ledger.processes import Process
from connector_core.ledger.schema import COUNTS, receipt_counts, receipt_tables, receipts, runs, steps


def runs_of(connection: Connection, connector: str | None, limit: int | None, begins: str | None = None) -> list[Run]:
    """See `Ledger.runs`."""
    asked = select(runs).order_by(runs.c.id.desc()).limit(limit)
    if begins is not None:
        asked = asked.where(runs.c.run_id.startswith(begins, autoescape=True))
    if connector is not None:
        asked = asked.where(runs.c.connector == connector)
    return [run(row) for row in connection.execute(asked)]


def run(row: Row[Any]) -> Run:
    """A row of `runs` as it is told: a run whose process is gone has crashed."""
    process = Process(host=row.host, machine=row.machine, pid=row.pid, started=row.process_started)
    return Run(
        run_id=row.run_id,
        connector=row.connector,
        trigger=row.trigger,
        status="crashed" if row.status == "running" and process.gone() else row.status,
        started_at=row.started_at,
        finished_at=row.finished_at,
        exit_code=row.exit_code,
        error=row.error,
    )


def steps_of(connection: Connection, run_id: str) -> tuple[Step, ...]:
    """See `Ledger.steps`."""
    made = connection.execute(select(steps).where(steps.c.run_id == run_id).order_by(steps.c.id))
    return tuple(
        Step(
            name=step.name,
            stream=step.stream,
            started_at=step.started_at,
            finished_at=step.finished_at,
            exit_status=step.exit_status,
            text=step.text,
        )
        for step in made
    )


def sums() -> list[Any]:
    """The sums of all counts, as columns."""
    return [func.sum(receipt_counts.c[name]).label(name) for name in COUNTS]


def counts(row: Row[Any]) -> Counts:
    """The counts that a row of such sums is."""
    return Counts(**{name: int(getattr(row, name) or 0) for name in COUNTS})


def newest(
    connection: Connection, where: ColumnElement[bool], column: str, streams: Iterable[str]
) -> dict[str, Mapping[str, Any]]:
    """The newest value of a JSON column for each of these root streams."""
    value = receipts.c[column]
    newest = select(value).where(where, value.is_not(None))
    newest = newest.order_by(receipts.c.epoch.desc(), receipts.c.sequence.desc()).limit(1)
    found = {stream: connection.scalar(newest.where(receipts.c.stream == stream)) for stream in streams}
    return {stream: json.loads(text) for stream, text in found.items() if text is not None}


def tables_of(connection: Connection, run_id: str) -> tuple[TableReport, ...]:
    """Rows by table that a run has written and deleted."""
    asked = (
        select(
            receipts.c.stream,
            receipt_tables.c.table_name,
            func.sum(receipt_tables.c.written).label("written"),
            func.sum(receipt_tables.c.deleted).label("deleted"),
        )
        .join(receipts, receipts.c.id == receipt_tables.c.receipt)
        .where(receipts.c.run_id == run_id)
        .group_by(receipts.c.stream, receipt_tables.c.table_name)
        .order_by(receipts.c.stream, receipt_tables.c.table_name)
    )
    return tuple(
        TableReport(table=row.table_name, stream=row.stream, written=int(row.written), deleted=int(row.deleted))
        for row in connection.execute(asked)
    )


def streams_of(connection: Connection, run_id: str) -> tuple[StreamReport, ...]:
    """What became of the records of each stream in a run, a root stream before its children."""
    mine = receipts.c.run_id == run_id
    asked = (
        select(receipts.c.stream.label("root"), receipt_counts.c.stream, *sums())
        .join(receipt_counts, receipt_counts.c.receipt == receipts.c.id)
        .where(mine)
        .group_by(receipts.c.stream, receipt_counts.c.stream)
    )
    found = sorted(connection.execute(asked), key=lambda row: (row.root, row.root != row.stream, row.stream))
    bookmarks = newest(connection, mine, "bookmark", {row.root for row in found})
    return tuple(
        StreamReport(stream=row.stream, root=row.root, counts=counts(row), bookmark=bookmarks.get(row.root))
        for row in found
    )


def changes_of(connection: Connection, run_id: str) -> tuple[SchemaChange, ...]:
    """The changes of tables that a run has made, in their order."""
    asked = (
        select(receipts.c.changes)
        .where(receipts.c.run_id == run_id, receipts.c.changes.is_not(None))
        .order_by(receipts.c.epoch, receipts.c.sequence)
    )
    return tuple(SchemaChange(**change) for text in connection.scalars(asked) for change in json.loads(text))
