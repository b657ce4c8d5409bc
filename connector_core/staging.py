"""Full-table passes: rows wait in staging tables, slice by slice, until `activate.py` makes them visible.

Staging tables are real tables of the namespace, `_sdc_stage_<epoch>_<table>`: a pass outlives connections, and a
staging table of an older epoch is the rest of a pass that was interrupted.
"""

from __future__ import annotations

import re
from dataclasses import replace

from connector_core import evolve, upsert
from connector_core.batch import Batch, Counts, Part
from connector_core.evolve import VERSION, all_columns, fitting
from connector_core.namespace import Registry
from connector_core.seams import step
from connector_core.sql import Namespace
from connector_core.tables import Traits
from connector_core.upsert import Effect

STAGING = "_sdc_stage_"
STAGED = re.compile(rf"{STAGING}([0-9]+)_")
STAMPS = ("_sdc_batched_at", VERSION)  # not staged: they tell of the activation


def family(batch: Batch) -> set[str] | None:
    """The streams that a batch concerns; None for all (a discard names the root stream only)."""
    return None if batch.kind == "discard" else {batch.stream, *(part.stream.name for part in batch.parts)}


def staging_name(table: str, epoch: int, traits: Traits) -> str:
    """The staging table of a table. A name that would be too long is shortened, the same way in every epoch."""
    return f"{STAGING}{epoch}_{_suffix(table, traits)}"


def _suffix(table: str, traits: Traits) -> str:
    return fitting(table, traits.name_bytes - len(STAGING) - len(str(2**63)) - 1)


def make_staging(space: Namespace, known: Registry, batch: Batch) -> None:
    """Make the staging tables of this pass fit the batch. `known` is what was registered before the batch: under
    those names older batches of the pass staged their columns."""
    sql = space.sql
    for part in batch.parts:
        for table in part.tables:
            name = staging_name(table.name, batch.staging_epoch, sql.traits)
            wanted = {
                column: kind
                for column, kind in all_columns(part.root.table, table, sql.traits).items()
                if column not in STAMPS
            }
            there = known.there.get(name)
            if there is None:
                sql.execute(evolve.create_table(space, name, wanted))
                # what is too long for an index of the table itself is refused here already, record by record
                owners = {column for column, _ in evolve.identity(part.root.table, table, sql.traits) if table.path}
                for text in sql.limits(space.table(name), space.table(table.name), [*(wanted.keys() - owners)]):
                    sql.execute(text)
                continue
            have = {space.same(column) for column in there}
            staged = replace(table, name=name)
            for old, new in evolve.renamed(space, staged, evolve.slot_names(known, table), dict.fromkeys(have, "")):
                sql.execute(evolve.rename_column(space, name, old, new))
                have = have - {space.same(old)} | {space.same(new)}
            for column, kind in wanted.items():
                if space.same(column) not in have:
                    sql.execute(evolve.add_column(space, name, column, kind))


def stage(space: Namespace, batch: Batch, part: Part, *, first: int) -> Effect:
    """Append the part's rows to the staging tables; `first` is the `_sdc_sequence` of its first record."""
    with step("load.stage"):
        for rows in (part.root, *part.subtables):
            columns, size = upsert.bulk_columns(space, part, rows, None, first=first, stamps={})
            if size:
                name = staging_name(rows.table.name, batch.staging_epoch, space.sql.traits)
                space.sql.bulk(space.table(name), columns, size)
    known = {table: part.known.get(table, 0) for table in part.passed} if part.known else {}
    return Effect(counts=part.counts + Counts(staged=part.root.count), passed=known)


def drop(space: Namespace, known: Registry, batch: Batch) -> None:
    """After an activation, and to discard a pass: drop the staging tables of the stream and its children."""
    if batch.kind in ("activate", "discard"):
        streams = evolve.with_children(batch.stream, known.parents) | (family(batch) or set())
        with step("load.drop"):
            drop_all(space, known, streams)


def drop_all(space: Namespace, known: Registry, streams: set[str]) -> None:
    """Drop the staging tables of these streams, of every epoch."""
    suffixes = {
        space.same(_suffix(table.name, space.sql.traits)) for table in known.tables.values() if table.stream in streams
    }
    for name in space.there():
        found = re.fullmatch(rf"{STAGING}[0-9]+_(.*)", space.same(name), re.DOTALL)
        if found and found[1] in suffixes:
            space.sql.execute(f"DROP TABLE {space.table(name)}")


def sweep(space: Namespace, *, below: int) -> None:
    """Drop what passes of epochs before `below` have left: they were interrupted, and the fence keeps them from going
    on."""
    sql = space.sql
    left = [name for name in space.there() if (found := STAGED.match(space.same(name))) and int(found[1]) < below]
    if not left:
        return
    with step("claim.sweep"):
        if sql.traits.ddl_in_transaction:
            sql.begin()
        for name in left:
            sql.execute(f"DROP TABLE {space.table(name)}")
        if sql.traits.ddl_in_transaction:
            sql.commit()
