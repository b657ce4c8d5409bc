"""The meter: a query over receipts. No counter can drift: what the destination has committed is counted, once, whatever
crashed in between.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Select, and_, case, func, or_, select

from connector_core.ledger import connectors as registry
from connector_core.ledger.answers import StreamPass, UsageRow
from connector_core.ledger.schema import receipt_counts, receipt_tables, receipts

Count = Literal["rows", "stitch"]

_WRITTEN = receipt_tables.c.written
_PASSED = func.coalesce(receipt_tables.c.passed, receipt_tables.c.written)


def _amount(count: Count) -> ColumnElement[int]:
    return _WRITTEN if count == "rows" else _PASSED


def _between(asked: Select[Any], since: datetime | None, until: datetime | None) -> Select[Any]:
    if since is not None:
        asked = asked.where(receipts.c.committed_at >= since)
    return asked if until is None else asked.where(receipts.c.committed_at < until)


def _free(first: datetime) -> ColumnElement[bool]:
    """A commit is free as a whole by its own instant (design section 11)."""
    return and_(receipts.c.committed_at >= first, receipts.c.committed_at < first + registry.FREE_WINDOW)


def known(connection: Connection) -> list[str]:
    """The connectors that have receipts, by key."""
    return [*connection.scalars(select(receipts.c.connector).distinct().order_by(receipts.c.connector))]


def usage(
    connection: Connection, connector: str, since: datetime | None, until: datetime | None, count: Count
) -> list[UsageRow]:
    """See `Ledger.usage`."""
    first = registry.first_data_at(connection, connector)
    if first is None:
        return []
    amount, free = _amount(count), _free(first)
    asked = (
        select(
            receipts.c.stream.label("root"),
            receipt_tables.c.table_name,
            func.max(receipt_tables.c.stream).label("stream"),
            func.max(receipt_tables.c.place).label("place"),
            receipts.c.day,
            func.sum(case((free, amount), else_=0)).label("free"),
            func.sum(case((free, 0), else_=amount)).label("counted"),
            func.sum(_PASSED - _WRITTEN).label("unchanged"),
        )
        .join(receipts, receipts.c.id == receipt_tables.c.receipt)
        .where(receipts.c.connector == connector, or_(_WRITTEN > 0, _PASSED > 0))
        .group_by(receipts.c.stream, receipt_tables.c.table_name, receipts.c.day)
        .order_by(receipts.c.day, receipt_tables.c.table_name)
    )
    return [
        UsageRow(
            connector=connector,
            stream=row.stream if row.stream is not None else row.root,
            table=row.table_name,
            subtable=bool(row.place),
            day=date.fromisoformat(row.day),
            free=int(row.free),
            counted=int(row.counted),
            unchanged=int(row.unchanged),
        )
        for row in connection.execute(_between(asked, since, until))
    ]


def used(connection: Connection, since: datetime, until: datetime, count: Count) -> int:
    """See `Ledger.used`."""
    total = 0
    for connector in known(connection):
        first = registry.first_data_at(connection, connector)
        if first is None:
            continue
        asked = (
            select(func.sum(_amount(count)))
            .join(receipts, receipts.c.id == receipt_tables.c.receipt)
            .where(receipts.c.connector == connector, or_(*_outside(first)))
        )
        total += int(connection.scalar(_between(asked, since, until)) or 0)
    return total


def _outside(first: datetime) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return receipts.c.committed_at < first, receipts.c.committed_at >= first + registry.FREE_WINDOW


def rejected(connection: Connection, connector: str, since: datetime, until: datetime) -> int:
    """See `Ledger.rejected`."""
    asked = select(func.sum(receipt_counts.c.rejected)).join(receipts, receipts.c.id == receipt_counts.c.receipt)
    asked = asked.where(receipts.c.connector == connector)
    return int(connection.scalar(_between(asked, since, until)) or 0)


def passes(connection: Connection, connector: str, since: datetime, until: datetime) -> list[StreamPass]:
    """See `Ledger.passes`."""
    stream = func.coalesce(receipt_tables.c.stream, receipts.c.stream)
    asked = (
        select(
            receipts.c.run_id,
            stream.label("stream"),
            func.min(receipts.c.committed_at).label("at"),
            func.max(case((receipts.c.kind == "activate", 1), else_=0)).label("whole"),
            func.sum(_WRITTEN).label("written"),
            func.sum(_PASSED).label("passed"),
        )
        .join(receipts, receipts.c.id == receipt_tables.c.receipt)
        .where(receipts.c.connector == connector, receipts.c.kind.in_(("rows", "activate")))
        .group_by(receipts.c.run_id, stream)
        .order_by(func.min(receipts.c.committed_at))
    )
    return [
        StreamPass(
            run_id=row.run_id,
            stream=row.stream,
            at=row.at,
            whole=bool(row.whole),
            written=int(row.written),
            passed=int(row.passed),
        )
        for row in connection.execute(_between(asked, since, until))
    ]
