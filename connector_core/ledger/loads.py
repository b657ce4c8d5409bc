"""The loading report: what became of each table, in a run and over time. Computed from receipts alone."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, case, func, or_, select

from connector_core.batch import Counts
from connector_core.ledger.answers import Family, Loads, TableLoad, TableLoads
from connector_core.ledger.run_reports import counts, sums
from connector_core.ledger.schema import receipt_counts, receipt_tables, receipts, runs, steps

_NEVER = datetime.min.replace(tzinfo=UTC)


def here(connection: Connection, connector: str) -> ColumnElement[bool]:
    """The receipts of a connector in its present destination: one that has moved began anew there."""
    newest = select(receipts.c.destination).where(receipts.c.connector == connector)
    place = connection.scalar(newest.order_by(receipts.c.committed_at.desc(), receipts.c.id.desc()).limit(1))
    return and_(receipts.c.connector == connector, receipts.c.destination == place)


def loads(
    connection: Connection, connector: str, run_id: str | None, *, day: datetime, period: datetime, previous: datetime
) -> Loads:
    """Every table that took part in a load since `previous` or in the run. See `Ledger.loads`."""
    mine = here(connection, connector)
    written, at = receipt_tables.c.written, receipts.c.committed_at
    in_run = receipts.c.run_id == run_id

    def rows(when: ColumnElement[bool], name: str) -> Any:
        return func.coalesce(func.sum(case((when, written), else_=0)), 0).label(name)

    asked = (
        select(
            receipts.c.stream.label("root"),
            receipt_tables.c.table_name,
            func.max(receipt_tables.c.stream).label("stream"),
            func.max(receipt_tables.c.place).label("place"),
            func.max(at).label("loaded_at"),
            rows(in_run, "run"),
            rows(at >= day, "day"),
            rows(at >= period, "period"),
            rows(and_(at >= previous, at < period), "previous"),
        )
        .join(receipts, receipts.c.id == receipt_tables.c.receipt)
        .where(mine, or_(at >= previous, in_run))
        .group_by(receipts.c.stream, receipt_tables.c.table_name)
    )
    found = [*connection.execute(asked)]
    of_run = _counts_of(connection, run_id)
    roots = {row.root for row in found}
    bookmarks = {root: bookmark(connection, and_(mine, receipts.c.stream == root)) for root in roots}
    extracted = {root: _extracted_at(connection, and_(mine, receipts.c.stream == root), root) for root in roots}
    tables = [
        TableLoads(
            table=row.table_name,
            stream=_stream(row),
            root=row.root,
            subtable=_is_subtable(row),
            bookmark=bookmarks[row.root],
            extracted_at=extracted[row.root],
            loaded_at=row.loaded_at,
            run=int(row.run),
            day=int(row.day),
            period=int(row.period),
            previous=int(row.previous),
            counts=Counts() if _is_subtable(row) else of_run.get(_stream(row), Counts()),
        )
        for row in sorted(found, key=_order)
    ]
    return Loads(connector=connector, run_id=run_id, day=day, period=period, previous=previous, tables=tuple(tables))


def _stream(row: Row[Any]) -> str:
    return str(row.stream if row.stream is not None else row.root)


def _is_subtable(row: Row[Any]) -> bool:
    return bool(row.place) if row.place is not None else row.table_name != _stream(row)


def _order(row: Row[Any]) -> tuple[Any, ...]:
    return row.root, row.root != _stream(row), _stream(row), row.place or 0, row.table_name


def _counts_of(connection: Connection, run_id: str | None) -> dict[str, Counts]:
    asked = (
        select(receipt_counts.c.stream, *sums())
        .join(receipts, receipts.c.id == receipt_counts.c.receipt)
        .where(receipts.c.run_id == run_id)
        .group_by(receipt_counts.c.stream)
    )
    return {row.stream: counts(row) for row in connection.execute(asked)}


def bookmark(connection: Connection, where: ColumnElement[bool]) -> dict[str, Any] | None:
    """The newest bookmark of some receipts."""
    newest = select(receipts.c.bookmark).where(where, receipts.c.bookmark.is_not(None))
    text = connection.scalar(newest.order_by(receipts.c.epoch.desc(), receipts.c.sequence.desc()).limit(1))
    return None if text is None else dict(json.loads(text))


def _extracted_at(connection: Connection, where: ColumnElement[bool], root: str) -> datetime | None:
    """When the newest load of a root stream was extracted: the end of that step, its start while it goes on; the
    commit where the run is not known any more."""
    newest = select(receipts.c.run_id, receipts.c.committed_at).where(where)
    last = connection.execute(newest.order_by(receipts.c.epoch.desc(), receipts.c.sequence.desc()).limit(1)).first()
    if last is None:
        return None
    step = connection.execute(
        select(steps.c.started_at, steps.c.finished_at)
        .where(steps.c.run_id == last.run_id, steps.c.name == "extraction", steps.c.stream == root)
        .order_by(steps.c.id.desc())
        .limit(1)
    ).first()
    at: datetime = last.committed_at if step is None else step.finished_at or step.started_at
    return at


def families(connection: Connection, connector: str) -> list[Family]:
    """See `Ledger.families`."""
    mine = here(connection, connector)
    named = connection.execute(
        select(receipts.c.stream.label("root"), receipt_counts.c.stream)
        .distinct()
        .join(receipt_counts, receipt_counts.c.receipt == receipts.c.id)
        .where(mine)
    ).all()
    tables = connection.execute(
        select(
            receipts.c.stream.label("root"),
            receipt_tables.c.table_name,
            func.max(receipt_tables.c.stream).label("stream"),
            func.max(receipt_tables.c.place).label("place"),
            func.sum(receipt_tables.c.written).label("rows"),
        )
        .join(receipts, receipts.c.id == receipt_tables.c.receipt)
        .where(mine)
        .group_by(receipts.c.stream, receipt_tables.c.table_name)
    ).all()
    return [
        Family(
            stream=root,
            children=tuple(sorted({row.stream for row in named if row.root == root} - {root})),
            bookmark=bookmark(connection, and_(mine, receipts.c.stream == root)),
            tables=tuple(row.table_name for row in sorted(tables, key=_order) if row.root == root),
            rows=sum(int(row.rows or 0) for row in tables if row.root == root),
        )
        for root in sorted({row.root for row in tables})
    ]


def table_loads(connection: Connection, connector: str, table: str, limit: int) -> list[TableLoad]:
    """The loads of one table, newest first: one for each run that has committed something of its root stream, or
    whose extraction of it failed."""
    mine = here(connection, connector)
    owner = select(receipts.c.stream).join(receipt_tables, receipt_tables.c.receipt == receipts.c.id)
    newest = owner.where(mine, receipt_tables.c.table_name == table).order_by(receipts.c.id.desc()).limit(1)
    root = connection.scalar(newest)
    if root is None:
        return []
    asked = (
        select(
            receipts.c.run_id,
            func.max(receipts.c.committed_at).label("completed_at"),
            func.sum(receipt_tables.c.written).label("written"),
            func.sum(receipt_tables.c.deleted).label("deleted"),
            func.sum(func.coalesce(receipt_tables.c.passed, receipt_tables.c.written)).label("passed"),
        )
        .outerjoin(
            receipt_tables, and_(receipt_tables.c.receipt == receipts.c.id, receipt_tables.c.table_name == table)
        )
        .where(mine, receipts.c.stream == root)
        .group_by(receipts.c.run_id)
        .order_by(func.max(receipts.c.id).desc())
        .limit(limit)
    )
    made = {row.run_id: row for row in connection.execute(asked)}
    tried = (
        select(runs.c.run_id, runs.c.started_at, steps.c.finished_at, steps.c.exit_status, steps.c.text, runs.c.status)
        .join(steps, steps.c.run_id == runs.c.run_id)
        .where(runs.c.connector == connector, steps.c.name == "extraction", steps.c.stream == root)
        .order_by(runs.c.id.desc())
        .limit(limit)
    )
    steps_of = {row.run_id: row for row in connection.execute(tried)}
    found = [_load(connection, run_id, root, made.get(run_id), steps_of.get(run_id)) for run_id in {**steps_of, **made}]
    found.sort(key=lambda load: load.completed_at or load.started_at or _NEVER, reverse=True)
    return found[:limit]


def _load(connection: Connection, run_id: str, root: str, made: Row[Any] | None, step: Row[Any] | None) -> TableLoad:
    failed = step is not None and step.exit_status not in (None, 0)
    status = "succeeded" if step is None else "failed" if failed else step.status
    where = and_(receipts.c.run_id == run_id, receipts.c.stream == root)
    return TableLoad(
        run_id=run_id,
        started_at=None if step is None else step.started_at,
        completed_at=made.completed_at if made is not None else step.finished_at if step is not None else None,
        status=status,
        error=step.text if step is not None and failed else None,
        bookmark=bookmark(connection, where),
        written=int(made.written or 0) if made is not None else 0,
        deleted=int(made.deleted or 0) if made is not None else 0,
        unchanged=max(0, int(made.passed or 0) - int(made.written or 0)) if made is not None else 0,
    )
