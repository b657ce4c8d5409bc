"""The commit protocol, written once for all destinations: what one transaction does with a batch.

    fence       take sequences, or learn that a later run has taken over
    schema      tables and columns that the batch needs                              evolve.py
    stage       keys, hashes and versions of the batch into a temporary table        upsert.py
    compare     what the destination has already is unchanged, a newer version stays
    delete      sub-rows and older rows of what changed
    insert      rows and sub-rows of what is new or changed
    rejects     records that cannot be stored, and those that were replayed          rejected.py
    commit_row  the receipt with the bookmark
    commit

A key that a batch holds twice is decided before anything is staged (`upsert.newest`). What batches of kind stage,
activate and discard do between `schema` and `rejects` is in `staging.py` and `activate.py`. Where DDL commits
implicitly, `schema` comes before the transaction, and staging tables are dropped after it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime

from connector_core import activate, evolve, refused, rejected, staging, upsert
from connector_core.batch import Batch, Receipt, TableCount
from connector_core.errors import ConnectorError, Place, RefusedError
from connector_core.evolve import Plan
from connector_core.instants import from_datetime
from connector_core.namespace import COMMITS, FENCE, Fence, Registry, check_fence, insert, pass_fence, registry
from connector_core.seams import step
from connector_core.sql import Namespace, Sql
from connector_core.upsert import Effect


def load(sql: Sql, namespace: str, batch: Batch, *, now: Callable[[], datetime]) -> Receipt:
    """Do what the batch says in one transaction, or nothing. `now` gives `committed_at`; errors as `hookspecs.load`.

    A `RefusedError` says which records the database does not take (`refused.py`); nothing was written.
    """

    def refuses(some: Batch) -> str | None:
        try:
            _transaction(sql, namespace, some, now=now, keep=False)
        except RefusedError as error:
            return error.message
        return None

    try:
        return _transaction(sql, namespace, batch, now=now)
    except RefusedError as error:
        if found := refused.find(refuses, batch):
            raise RefusedError(error.message, records=found, place=error.place) from error
        raise


def _transaction(sql: Sql, namespace: str, batch: Batch, *, now: Callable[[], datetime], keep: bool = True) -> Receipt:
    """One transaction; without `keep` it is tried to its end and rolled back."""
    space = Namespace(sql=sql, name=namespace)
    inside = sql.traits.ddl_in_transaction
    scratch = _Scratch(space, batch)
    taken = max(1, sum(part.root.count for part in batch.parts))
    try:
        if not inside:
            plan, known = _schema(space, batch)
            _fit(space, batch, plan, known)
        fence = _begin(space, batch, taken)
        if inside:
            plan, known = _schema(space, batch)
            if len(plan.adding) > evolve.MANY:
                sql.rollback()
                added = evolve.widen(space, plan)
                fence = _begin(space, batch, taken)
                plan, known = _schema(space, batch)
                plan.changes += added
            _fit(space, batch, plan, known)
        known, raised = _registered(space, batch, plan, known)
        before = _last_older(space, batch)
        committed_at = now()
        at = from_datetime(committed_at)
        effects = _effects(space, known, batch, fence=fence, at=at, scratch=scratch, older=before)
        if batch.rejects:
            with step("load.rejects"):
                rejected.keep(space, batch.rejects, run_id=batch.run_id, fresh=scratch.rejects)
        rejected.recount(space, batch, fresh=scratch.recounted)
        if batch.settled:
            with step("load.settle"):
                rejected.settle(space, batch.settled, gone=scratch.settled)
        receipt = Receipt(
            connector=batch.connector,
            stream=batch.stream,
            kind=batch.kind,
            run_id=batch.run_id,
            number=batch.number,
            epoch=batch.epoch,
            sequence=fence.sequence + taken,
            committed_at=committed_at,
            counts={name: effect.counts for name, effect in effects.items()},
            tables=_tables(effects),
            bookmark=batch.bookmark,
            changes=tuple(plan.changes),
            older=_older(space, batch, effects, raised=raised, before=before),
            settled=tuple(reject.identity for reject in batch.settled),
            passed={name: effect.passed for name, effect in effects.items() if effect.passed},
        )
        _balance(receipt)
        with step("load.commit_row"):
            _commit_row(space, receipt, fence)
        if inside:
            staging.drop(space, known, batch)
        if not keep:
            sql.rollback()
            return receipt
        with step("load.commit"):
            sql.commit()
    except BaseException:
        sql.rollback()
        raise
    if not inside:
        staging.drop(space, known, batch)
    return receipt


class _Scratch:
    """The temporary tables that a batch needs, made before its transaction."""

    def __init__(self, space: Namespace, batch: Batch) -> None:
        rows, replayed = batch.kind == "rows", bool(batch.settled)
        self.parts = [
            upsert.scratch(space, part, i, replayed=replayed) if rows else None for i, part in enumerate(batch.parts)
        ]
        self.rejects = rejected.scratch(space, "_sdc_new_rejects") if batch.rejects else ""
        recounts = batch.activation is not None and batch.activation.copies
        self.recounted = rejected.scratch(space, "_sdc_recounted") if recounts else ""
        self.settled = rejected.scratch(space, "_sdc_settled") if batch.settled else ""
        self.kept = activate.scratch(space, batch)


def _begin(space: Namespace, batch: Batch, taken: int) -> Fence:
    space.sql.begin()
    with step("load.fence"):
        return pass_fence(space, epoch=batch.epoch, connector=batch.connector, taken=taken)


def _schema(space: Namespace, batch: Batch) -> tuple[Plan, Registry]:
    """What makes the tables fit the batch, and what is registered now."""
    known = registry(space, staging.family(batch))
    return evolve.plan(space, known, batch.parts), known


def _fit(space: Namespace, batch: Batch, plan: Plan, known: Registry) -> None:
    """Make the tables fit the batch."""
    with step("load.schema"):
        if not space.sql.traits.ddl_in_transaction and (plan.statements or batch.kind in ("stage", "activate")):
            check_fence(space, epoch=batch.epoch)
        evolve.apply(space, plan)
        if batch.kind in ("stage", "activate"):
            staging.make_staging(space, known, batch)


def _registered(space: Namespace, batch: Batch, plan: Plan, before: Registry) -> tuple[Registry, Mapping[str, int]]:
    """Register what was done; returns what is registered now, and the streams whose shape version rose, with it."""
    raised = {
        part.stream.name: part.shape_version
        for part, table, registered in plan.tables
        if not table.path and registered is not None and part.shape_version > registered.shape_version
    }
    if not (plan.statements or plan.tables or plan.columns):
        return before, raised
    evolve.register(space, plan, before)
    return registry(space, staging.family(batch)), raised


def _effects(
    space: Namespace,
    known: Registry,
    batch: Batch,
    *,
    fence: Fence,
    at: str,
    scratch: _Scratch,
    older: Mapping[str, int],
) -> dict[str, Effect]:
    """What the batch does to the rows, by stream."""
    effects: dict[str, Effect] = {}
    first = fence.sequence + 1
    for part, changed in zip(batch.parts, scratch.parts, strict=True):
        if batch.kind in ("stage", "activate"):
            effects[part.stream.name] = staging.stage(space, batch, part, first=first)
        else:
            effects[part.stream.name] = upsert.write(
                space,
                known,
                part,
                first=first,
                batched_at=at,
                horizon=batch.horizon,
                changed=changed,
                older=bool(older.get(part.stream.name)),
            )
        first += part.root.count
    if batch.kind == "activate":
        return activate.activate(space, known, batch, at=at, kept=scratch.kept)
    return effects


def _tables(effects: Mapping[str, Effect]) -> dict[str, TableCount]:
    return {name: count for effect in effects.values() for name, count in effect.tables.items()}


def _balance(receipt: Receipt) -> None:
    """Nothing may vanish: each extracted record has exactly one fate, or the transaction does not happen."""
    for stream, counts in receipt.counts.items():
        if receipt.kind in ("rows", "activate") and not counts.balanced:
            raise ConnectorError(
                f"the counts of a batch do not balance: {counts}",
                hint="nothing was written; this is a defect of the engine or of the plugin, please report it",
                place=Place(connector=receipt.connector, stream=stream),
                code="unbalanced",
            )


def _last_older(space: Namespace, batch: Batch) -> Mapping[str, int]:
    """How many rows carried an older shape after the last commit of this root stream, by stream."""
    sql = space.sql
    found = sql.query(
        f"SELECT {sql.quote('rows')} FROM {space.table(COMMITS)} WHERE {evolve.of(space, 'stream')} "
        f"ORDER BY {sql.quote('sequence')} DESC LIMIT 1",
        [batch.stream],
    )
    last: dict[str, int] = json.loads(found[0][0]).get("older", {}) if found else {}
    return last


def _older(
    space: Namespace,
    batch: Batch,
    effects: Mapping[str, Effect],
    *,
    raised: Mapping[str, int],
    before: Mapping[str, int],
) -> dict[str, int]:
    """How many rows carry an older shape: counted when the shape version rises and when a pass replaces the table,
    else what was `before` less what this batch has replaced. A stream with none is not told again."""
    sql, counts = space.sql, {}
    for part in batch.parts:
        stream = part.stream.name
        if stream not in raised and not before.get(stream):
            continue
        if stream not in raised and batch.kind != "activate":
            counts[stream] = before[stream] - effects[stream].older
            continue
        found = sql.query(
            f"SELECT count(*) FROM {space.table(part.root.table.name)} WHERE {upsert.is_older(space)}",
            [f"{part.shape_version}:%"],
        )
        counts[stream] = int(found[0][0])
    return counts


def _commit_row(space: Namespace, receipt: Receipt, fence: Fence) -> None:
    row = {
        "connector": receipt.connector,
        "stream": receipt.stream,
        "epoch": receipt.epoch,
        "sequence": receipt.sequence,
        "kind": receipt.kind,
        "run_id": receipt.run_id,
        "bookmark": None if receipt.bookmark is None else json.dumps(receipt.bookmark, sort_keys=True),
        "rows": json.dumps(receipt.details()),
        "committed_at": from_datetime(receipt.committed_at),
    }
    insert(space, COMMITS, row)
    if receipt.metered and fence.first_committed_at is None:
        text = f"UPDATE {space.table(FENCE)} SET {space.sql.quote('first_committed_at')} = {space.given('instant')}"
        space.sql.execute(text, [row["committed_at"]])
