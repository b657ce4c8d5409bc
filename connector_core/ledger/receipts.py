"""Receipts: what each commit of a destination did, recorded once for ever."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, and_, select, update

from connector_core.batch import Receipt, Reject, RejectIdentity
from connector_core.ledger.database import insert_once
from connector_core.ledger.schema import receipt_counts, receipt_tables, receipts, rejects


def record(
    connection: Connection,
    now: datetime,
    destination: str,
    namespace: str,
    receipt: Receipt,
    found: Sequence[Reject],
    clean: Callable[[str], str],
) -> bool:
    """Write one receipt with its reject copies; False when the ledger has it already. See `Ledger.record`."""
    made = insert_once(connection, receipts).values(_row(now, destination, namespace, receipt)).returning(receipts.c.id)
    number: int | None = connection.scalar(made)
    if number is None:
        return False
    _add(connection, receipt_tables, _tables(number, receipt))
    _add(connection, receipt_counts, _counts(number, receipt))
    _settle(connection, now, receipt)
    _add(connection, rejects, [_reject(number, receipt.connector, reject, clean) for reject in found])
    return True


def record_all(
    connection: Connection,
    now: datetime,
    destination: str,
    namespace: str,
    found: Sequence[Receipt],
    kept: Sequence[Reject],
    clean: Callable[[str], str],
) -> int:
    """Write those of the receipts that the ledger does not have, many at a time; returns how many they were.

    `kept` are all rejects of the destination: those that the ledger does not list are noted with the newest receipt.
    """
    place = and_(receipts.c.destination == destination, receipts.c.namespace == namespace)
    if not found:
        return 0
    oldest = min(receipt.sequence for receipt in found)
    asked = select(receipts.c.epoch, receipts.c.sequence, receipts.c.id).where(place, receipts.c.sequence >= oldest)
    known = {(row.epoch, row.sequence) for row in connection.execute(asked)}
    new = {(one.epoch, one.sequence): one for one in found if (one.epoch, one.sequence) not in known}
    _add(connection, receipts, [_row(now, destination, namespace, receipt) for receipt in new.values()])
    numbers = {(row.epoch, row.sequence): row.id for row in connection.execute(asked)} if new else {}
    _add(connection, receipt_tables, [row for at, one in new.items() for row in _tables(numbers[at], one)])
    _add(connection, receipt_counts, [row for at, one in new.items() for row in _counts(numbers[at], one)])
    for receipt in new.values():
        _settle(connection, now, receipt)
    if new and kept:
        last = max(new)
        connector = new[last].connector
        unknown = [reject for reject in kept if not _listed(connection, connector, reject)]
        _add(connection, rejects, [_reject(numbers[last], connector, reject, clean) for reject in unknown])
    return len(new)


def _listed(connection: Connection, connector: str, reject: Reject) -> bool:
    mine = (rejects.c.connector == connector, *_is(reject.identity), rejects.c.settled_at.is_(None))
    return connection.scalar(select(rejects.c.id).where(*mine).limit(1)) is not None


def newest(connection: Connection, destination: str, namespace: str) -> tuple[int, int]:
    """See `Ledger.newest`."""
    row = connection.execute(
        select(receipts.c.epoch, receipts.c.sequence)
        .where(receipts.c.destination == destination, receipts.c.namespace == namespace)
        .order_by(receipts.c.epoch.desc(), receipts.c.sequence.desc())
        .limit(1)
    ).one_or_none()
    return (row.epoch, row.sequence) if row else (0, 0)


def forget_bookmark(connection: Connection, destination: str, namespace: str, stream: str) -> None:
    """See `Ledger.forget_bookmark`."""
    place = and_(receipts.c.destination == destination, receipts.c.namespace == namespace, receipts.c.stream == stream)
    connection.execute(update(receipts).where(place).values(bookmark=None, older=None))


def _settle(connection: Connection, now: datetime, receipt: Receipt) -> None:
    """Rejects that were replayed are no longer listed nor counted."""
    for identity in receipt.settled:
        connection.execute(
            update(rejects)
            .where(rejects.c.connector == receipt.connector, *_is(identity), rejects.c.settled_at.is_(None))
            .values(settled_at=now)
        )


def _is(identity: RejectIdentity) -> list[ColumnElement[bool]]:
    columns = (rejects.c.stream, rejects.c.table_name, rejects.c.primary_key, rejects.c.record_hash)
    return [column == value for column, value in zip(columns, identity, strict=True)]  # None compares as IS NULL


def _add(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows; those that another process has inserted meanwhile are left alone."""
    if rows:
        connection.execute(insert_once(connection, table), rows)


def _row(now: datetime, destination: str, namespace: str, receipt: Receipt) -> dict[str, Any]:
    return {
        "destination": destination,
        "namespace": namespace,
        "epoch": receipt.epoch,
        "sequence": receipt.sequence,
        "connector": receipt.connector,
        "stream": receipt.stream,
        "kind": receipt.kind,
        "run_id": receipt.run_id,
        "number": receipt.number,
        "committed_at": receipt.committed_at,
        "day": receipt.committed_at.astimezone(UTC).date().isoformat(),
        "recorded_at": now,
        "bookmark": _json(receipt.bookmark) if receipt.bookmark is not None else None,
        "changes": _json([asdict(change) for change in receipt.changes]) if receipt.changes else None,
        "older": _json(receipt.older) if receipt.older else None,
    }


def _tables(number: int, receipt: Receipt) -> list[dict[str, Any]]:
    rows = {
        name: {"receipt": number, "table_name": name, "written": table.written, "deleted": table.deleted}
        for name, table in receipt.tables.items()
    }
    for row in rows.values():
        row |= {"stream": None, "place": None, "passed": None}
    for stream, tables in receipt.passed.items():
        for place, (name, passed) in enumerate(tables.items()):
            row = rows.setdefault(name, {"receipt": number, "table_name": name, "written": 0, "deleted": 0})
            row |= {"stream": stream, "place": place, "passed": passed}
    return [*rows.values()]


def _counts(number: int, receipt: Receipt) -> list[dict[str, Any]]:
    return [{"receipt": number, "stream": stream, **asdict(counts)} for stream, counts in receipt.counts.items()]


def _reject(number: int, connector: str, reject: Reject, clean: Callable[[str], str]) -> dict[str, Any]:
    return {
        "receipt": number,
        "connector": connector,
        "stream": reject.stream,
        "table_name": reject.table,
        "code": reject.code,
        "reason": clean(reject.reason),
        "path": clean(reject.path),
        "primary_key": reject.primary_key,
        "record_hash": reject.record_hash,
        "rejected_at": datetime.fromisoformat(reject.rejected_at),
    }


def _json(value: Mapping[str, Any] | Sequence[Any]) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
