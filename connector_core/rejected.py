"""`_sdc_rejected`: keep records that cannot be stored, read them again, take out those that were replayed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

from connector_core.batch import Batch, Reject, RejectIdentity
from connector_core.instants import from_datetime
from connector_core.namespace import OWN_TABLES, REJECTED, instant
from connector_core.sql import BulkColumn, Namespace, Same

IDENTITY = ("stream", "table_name", "primary_key", "record_hash")


def scratch(space: Namespace, name: str) -> str:
    """A temporary table that `keep` or `settle` needs, made before the transaction; its quoted name."""
    sql = space.sql
    columns = [(column, sql.type_name(kind)) for column, kind in OWN_TABLES[REJECTED].items()]
    return sql.temporary(name, columns)


def keep(space: Namespace, rejects: Sequence[Reject], *, run_id: str, fresh: str) -> None:
    """Keep these records; one that is kept already is counted in `seen`, with the reason of today. Belongs to the open
    transaction."""
    times = Counter(reject.identity for reject in rejects)
    copies: dict[RejectIdentity, int] = {}
    for reject in rejects:
        if reject.copies is not None:
            copies[reject.identity] = copies.get(reject.identity, 0) + reject.copies
    once = list({reject.identity: reject for reject in rejects}.values())
    values: dict[str, Sequence[object] | Same] = {
        "_sdc_rejected_at": [reject.rejected_at for reject in once],
        "run_id": Same(run_id),
        "stream": [reject.stream for reject in once],
        "table_name": [reject.table for reject in once],
        "error_code": [reject.code for reject in once],
        "reason": [reject.reason for reject in once],
        "path": [reject.path for reject in once],
        "primary_key": [reject.primary_key for reject in once],
        "record_hash": [reject.record_hash for reject in once],
        "seen": [times[reject.identity] for reject in once],
        "copies": [copies.get(reject.identity) for reject in once],
        "record": [reject.record for reject in once],
    }
    sql, kinds = space.sql, OWN_TABLES[REJECTED]
    columns = [BulkColumn(name=name, kind=kinds[name], values=given) for name, given in values.items()]
    sql.bulk(fresh, columns, len(once))
    kept, seen = space.table(REJECTED), sql.quote("seen")
    reasons = ", ".join(f"{sql.quote(name)} = s.{sql.quote(name)}" for name in ("error_code", "reason", "path"))
    mine, copied = sql.quote(REJECTED), sql.quote("copies")
    total = (
        f"CASE WHEN s.{copied} IS NOT NULL THEN {mine}.{copied} + s.{copied} "
        f"WHEN {mine}.{copied} < 1 THEN 1 ELSE {mine}.{copied} END"
    )
    sql.execute(
        f"UPDATE {kept} SET {seen} = {mine}.{seen} + s.{seen}, {copied} = {total}, {reasons}"
        f" FROM {fresh} AS s WHERE {_same_reject(space, mine)}"
    )
    fields = ", ".join(
        f"coalesce(s.{sql.quote(name)}, 1)" if name == "copies" else f"s.{sql.quote(name)}" for name in kinds
    )
    sql.execute(
        f"INSERT INTO {kept} ({space.names(kinds)}) SELECT {fields} FROM {fresh} AS s "
        f"LEFT JOIN {kept} AS k ON {_same_reject(space, 'k')} WHERE k.{sql.quote('stream')} IS NULL"
    )


def read(space: Namespace, stream: str | None, limit: int | None) -> tuple[Reject, ...]:
    """Rejected records, newest first."""
    sql = space.sql
    names = ("stream", "table_name", "error_code", "reason", "path", "primary_key", "record_hash", "record", "copies")
    only, values = f" WHERE {sql.quote('stream')} IS NOT NULL", []  # others were here before us: Stitch's own
    if stream is not None:
        only, values = f" WHERE {sql.quote('stream')} = {space.given('string')}", [stream]
    most = "" if limit is None else f" LIMIT {int(limit)}"
    found = sql.query(
        f"SELECT {space.names(names)}, {sql.micros(sql.quote('_sdc_rejected_at'))} FROM {space.table(REJECTED)}{only} "
        f"ORDER BY {sql.quote('_sdc_rejected_at')} DESC, {space.names(IDENTITY)}{most}",
        values,
    )
    return tuple(
        Reject(
            stream=of,
            table=table,
            code=code,
            reason=reason,
            path=path,
            primary_key=key,
            record_hash=digest,
            record=record,
            rejected_at=from_datetime(instant(at) or datetime(1970, 1, 1, tzinfo=UTC)),
            copies=int(copies),
        )
        for of, table, code, reason, path, key, digest, record, copies, at in found
    )


def recount(space: Namespace, batch: Batch, *, fresh: str) -> None:
    """What rejects of streams without a primary key stand for once a pass becomes visible: those of the pass for their
    records in it, others, where it replaces all rows, for none. `fresh` is what `scratch` made. Belongs to the open
    transaction, after `keep`."""
    activation = batch.activation
    if activation is None:
        return
    if activation.mode == "replace":
        for part in batch.parts:
            if not part.root.table.key:
                supersede(space, part.stream.name)
    if not fresh:
        return
    names = zip(IDENTITY, zip(*activation.copies, strict=True), strict=True)
    columns = [BulkColumn(name=name, kind="string", values=given) for name, given in names]
    columns.append(BulkColumn(name="copies", kind="integer", values=[*activation.copies.values()]))
    space.sql.bulk(fresh, columns, len(activation.copies))
    mine, copied = space.sql.quote(REJECTED), space.sql.quote("copies")
    space.sql.execute(
        f"UPDATE {space.table(REJECTED)} SET {copied} = {mine}.{copied} + s.{copied} FROM {fresh} AS s "
        f"WHERE {_same_reject(space, mine)}"
    )


def supersede(space: Namespace, stream: str) -> None:
    """The stream's rejects stand for nothing any more: their records are read again."""
    quote = space.sql.quote
    space.sql.execute(
        f"UPDATE {space.table(REJECTED)} SET {quote('copies')} = 0 WHERE {quote('stream')} = {space.given('string')}",
        [stream],
    )


def settle(space: Namespace, rejects: Sequence[Reject], *, gone: str) -> None:
    """Delete these records, which are among the batch's rows; `gone` is what `scratch` made. Belongs to the open
    transaction."""
    names = zip(IDENTITY, zip(*(reject.identity for reject in rejects), strict=True), strict=True)
    columns = [BulkColumn(name=name, kind="string", values=given) for name, given in names]
    space.sql.bulk(gone, columns, len(rejects))
    same = _same_reject(space, space.sql.quote(REJECTED))
    space.sql.execute(f"DELETE FROM {space.table(REJECTED)} USING {gone} AS s WHERE {same}")


def _same_reject(space: Namespace, kept: str) -> str:
    """Only the key may be NULL, and databases find rows quickly by `=` alone."""
    same = {space.sql.quote(name): "IS NOT DISTINCT FROM" if name == "primary_key" else "=" for name in IDENTITY}
    return " AND ".join(f"{kept}.{name} {equal} s.{name}" for name, equal in same.items())
