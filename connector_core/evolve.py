"""Tables follow the records: create, add columns, rename on a split, repair what was dropped, register it all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from connector_core import adopt
from connector_core.batch import Part, SchemaChange
from connector_core.errors import DestinationError, Place
from connector_core.namespace import COLUMNS, SEQUENCE, TABLES, Registry, insert
from connector_core.sql import BulkColumn, Namespace
from connector_core.tables import Column, Kind, RegisteredTable, Slot, Table, Traits

UNIQUE = "__sdc_primary_key"
VERSION = "_sdc_table_version"
HASH = "_sdc_record_hash"
ROOT_COLUMNS: Mapping[str, Kind] = {
    "_sdc_extracted_at": "instant",
    "_sdc_received_at": "instant",
    "_sdc_batched_at": "instant",
    SEQUENCE: "integer",
    VERSION: "integer",
    HASH: "string",
}
SUB_COLUMNS: Mapping[str, Kind] = {
    name: kind for name, kind in ROOT_COLUMNS.items() if name not in ("_sdc_extracted_at", HASH)
}
"""System columns of root tables and of subtables (facts/stitch_semantics.md section 6.2)."""


def key_columns(root: Table) -> tuple[tuple[str, Kind], ...]:
    """Names and kinds of what identifies a root record: its primary key, or `__sdc_primary_key` without one."""
    return tuple((column.name, column.kind) for column in root.key) or ((UNIQUE, "string"),)


def source_key(name: str, traits: Traits) -> str:
    """The column of a subtable that holds the root's key column `name`."""
    return fitting(f"_sdc_source_key_{name}", traits.name_bytes)


def fitting(name: str, most: int) -> str:
    """`name` if it has at most `most` bytes, otherwise its beginning and a hash of all of it."""
    if len(name.encode()) <= most:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return name.encode()[: most - 9].decode(errors="ignore") + "_" + digest


def identity(root: Table, table: Table, traits: Traits) -> tuple[tuple[str, Kind], ...]:
    """Columns that say whose row a row is; they cannot be repaired, because their values cannot be told any more."""
    if not table.path:
        return key_columns(root)
    owners = tuple((source_key(name, traits), kind) for name, kind in key_columns(root))
    levels: tuple[tuple[str, Kind], ...] = tuple((f"_sdc_level_{level}_id", "integer") for level in range(table.levels))
    return owners + levels


def all_columns(root: Table, table: Table, traits: Traits) -> dict[str, Kind]:
    """Every column of the table in its order: identity, data, system columns."""
    data = {column.name: column.kind for column in table.columns}
    return {**dict(identity(root, table, traits)), **data, **(SUB_COLUMNS if table.path else ROOT_COLUMNS)}


MANY = 50
"""So many new columns are added in the batch's own transaction. DuckDB keeps each version of a table until the
transaction ends: 5,000 columns at once took 7 GB."""


@dataclass(kw_only=True)
class Plan:
    """Statements and registrations that make one batch fit; `changes` is what users are told. `adding` are those of the
    statements that could also come before the transaction: a column for data whose name nothing else has had."""

    statements: list[tuple[str, Sequence[object]]] = field(default_factory=list)
    changes: list[SchemaChange] = field(default_factory=list)
    tables: list[tuple[Part, Table, RegisteredTable | None]] = field(default_factory=list)
    columns: list[tuple[Table, Column, bool]] = field(default_factory=list)
    adding: list[tuple[str, SchemaChange]] = field(default_factory=list)


def plan(space: Namespace, known: Registry, parts: Iterable[Part]) -> Plan:
    """Compare the batch's tables with what is registered and what is there; changes nothing.

    Raises `DestinationError` for a table that is not ours, for a column whose type somebody changed and for a
    dropped column that identifies rows.
    """
    made = Plan()
    for part in parts:
        for table in part.tables:
            names = slot_names(known, table)
            registered = known.tables.get((table.stream, table.path))
            _fit(
                space,
                made,
                table,
                part.root.table,
                registered=registered,
                names=names,
                there=known.there.get(table.name),
            )
            for column in table.columns:
                if names.get(column.slot) != column.name:
                    made.columns.append((table, column, column.slot in names))
            if registered is None or (registered.shape, registered.shape_version) != (part.shape, part.shape_version):
                made.tables.append((part, table, registered))
    return made


def slot_names(known: Registry, table: Table) -> dict[Slot, str]:
    """The registered names of a table's columns, by path and kind."""
    return {(c.path, c.kind): c.name for c in known.columns if (c.stream, c.table_path) == (table.stream, table.path)}


def _fit(
    space: Namespace,
    made: Plan,
    table: Table,
    root: Table,
    *,
    registered: RegisteredTable | None,
    names: Mapping[Slot, str],
    there: Mapping[str, str] | None,
) -> None:
    """Add to the plan what the table itself needs."""
    wanted = all_columns(root, table, space.sql.traits)
    if there is None:
        made.statements.append((create_table(space, table.name, wanted), ()))
        made.statements += [(text, ()) for text in findable(space, root, table)]
        what = "created" if registered is None else "repaired"
        detail = "" if registered is None else "the table had been dropped; its rows come back when they are read again"
        made.changes.append(SchemaChange(table=table.name, what=what, detail=detail))
        return
    system = SUB_COLUMNS if table.path else ROOT_COLUMNS
    have = {space.same(name): kind for name, kind in there.items()}
    if registered is None and not all(space.same(name) in have for name in _expected(space, root, table)):
        raise DestinationError(
            f"there is a table {table.name!r} in {space.name!r} that this connector did not make",
            hint="rename or move that table, or set adopt = true if Stitch has made it; it was not touched",
            place=Place(stream=table.stream, table=table.name),
            code="foreign_table",
        )
    if space.sql.adoption is not None and registered is None and table.path:
        made.statements += [(text, ()) for text in findable(space, root, table)]
    names = {**names, **adopt.before_split(space, table, names, have)}
    renames = renamed(space, table, names, have)
    for old, new in renames:
        _refuse_dependents(space, table, old)
        made.statements.append((rename_column(space, table.name, old, new), ()))
        have[space.same(new)] = have.pop(space.same(old))
        made.changes.append(SchemaChange(table=table.name, what="renamed", column=new, detail=f"was {old}"))
    moved = {space.same(name) for pair in renames for name in pair}
    lost = dict(identity(root, table, space.sql.traits))
    slots = {column.name: column.slot for column in table.columns}
    before, together = len(made.statements), not space.sql.traits.ddl_in_transaction
    fresh: dict[str, Kind] = {}
    for name, kind in wanted.items():
        found = have.get(space.same(name))
        if found is None:
            if registered is not None and name in lost:
                raise _identity_lost(space, table, name)
            repaired = name in system or slots.get(name) in names
            text = add_column(space, table.name, name, kind)
            change = SchemaChange(table=table.name, what="repaired" if repaired else "added", column=name)
            if together:
                fresh[name] = kind
            else:
                made.statements.append((text, ()))
            made.changes.append(change)
            if name in slots and space.same(name) not in moved:
                made.adding.append((text, change))
            if name == VERSION and registered is not None:
                text = f"UPDATE {space.table(table.name)} SET {space.sql.quote(VERSION)} = {space.given('integer')}"
                made.statements.append((text, [registered.table_version]))
        elif found != space.sql.type_name(kind):
            if (widening := adopt.widened(space, table.name, name, found, kind)) is not None:
                if widening:
                    made.statements.append((widening, ()))
                    change = SchemaChange(table=table.name, what="widened", column=name, detail=f"was {found}")
                    made.changes.append(change)
                continue
            raise DestinationError(
                f"the column {name!r} of {table.name!r} is {found}, it was made as {space.sql.type_name(kind)}",
                hint=f"somebody changed it: change it back, or run `connector-core reset {table.stream}`",
                place=Place(stream=table.stream, table=table.name),
                code="column_type",
            )
    if fresh:
        made.statements.insert(before, (add_columns(space, table.name, fresh), ()))


def renamed(
    space: Namespace, table: Table, names: Mapping[Slot, str], have: Mapping[str, object]
) -> list[tuple[str, str]]:
    """Columns that are there under an older name, as (old, new), in an order in which no name is taken twice."""
    left = {
        names[column.slot]: column.name
        for column in table.columns
        if names.get(column.slot, column.name) != column.name and space.same(names[column.slot]) in have
    }
    taken, ordered = {space.same(name) for name in have}, []
    while left:
        free = [old for old, new in left.items() if space.same(new) not in taken]
        if not free:
            old, new = next(iter(left.items()))
            raise DestinationError(
                f"the column {old!r} of {table.name!r} must become {new!r}, but there is a column of that name",
                hint="somebody added it: rename it",
                place=Place(stream=table.stream, table=table.name),
                code="column_name",
            )
        for old in free:
            new = left.pop(old)
            taken.discard(space.same(old))
            taken.add(space.same(new))
            ordered.append((old, new))
    return ordered


def _expected(space: Namespace, root: Table, table: Table) -> Iterable[str]:
    """Columns by which a table is told to be one of ours, or where that is wanted one of Stitch's."""
    if space.sql.adoption is None:
        return SUB_COLUMNS if table.path else ROOT_COLUMNS
    return (SEQUENCE, *(name for name, _ in identity(root, table, space.sql.traits)))


def _refuse_dependents(space: Namespace, table: Table, column: str) -> None:
    """What users have made of a column would silently show one half of its values after a split (C14)."""
    if found := space.sql.dependents(space.name, table.name, column):
        them, depend = ("it", "depends") if len(found) == 1 else ("them", "depend")
        raise DestinationError(
            f"the column {column!r} of {table.name!r} must be split, because a value of another type has come, but "
            f"{' and '.join(found)} {depend} on it",
            hint=f'drop {them} and make {them} again after a run, or set type_conflict = "reject"; nothing was changed',
            place=Place(stream=table.stream, table=table.name),
            code="dependents",
        )


def _identity_lost(space: Namespace, table: Table, name: str) -> DestinationError:
    return DestinationError(
        f"the column {name!r} of {table.name!r} was dropped; it says whose row a row is and cannot be repaired",
        hint=f"restore it from a backup, or run `connector-core reset {table.stream}`, which reads the stream again",
        place=Place(stream=table.stream, table=table.name),
        code="column_dropped",
    )


def apply(space: Namespace, made: Plan) -> None:
    """Execute the plan's statements. Repeatable: after a crash in between, the next plan holds what is left."""
    for text, values in made.statements:
        space.sql.execute(text, values)


def widen(space: Namespace, made: Plan) -> Sequence[SchemaChange]:
    """Add the plan's new columns in transactions of their own, `MANY` in each; says what was added. After a crash in
    between the next plan holds what is left, and a column that is not registered yet is registered then."""
    for start in range(0, len(made.adding), MANY):
        space.sql.begin()
        for text, _ in made.adding[start : start + MANY]:
            space.sql.execute(text)
        space.sql.commit()
    return [change for _, change in made.adding]


def register(space: Namespace, made: Plan, known: Registry) -> None:
    """Write what the plan did into `_sdc_tables` and `_sdc_columns`."""
    sql = space.sql
    for part, table, registered in made.tables:
        stream, path = table.stream, json.dumps(table.path)
        if registered is not None:
            sql.execute(
                f"UPDATE {space.table(TABLES)} SET {sql.quote('shape')} = {space.given('string')}, "
                f"{sql.quote('shape_version')} = {space.given('integer')} WHERE {of(space, 'stream', 'path')}",
                [part.shape, part.shape_version, stream, path],
            )
            continue
        sql.execute(f"DELETE FROM {space.table(TABLES)} WHERE {of(space, 'stream', 'path')}", [stream, path])
        row = {
            "stream": stream,
            "path": path,
            "name": table.name,
            "parent": part.stream.parent,
            "shape": part.shape,
            "shape_version": part.shape_version,
            "table_version": known.versions.get(stream, 0) if table.path else _table_version(space, known, table),
            "reset_at": None,
        }
        insert(space, TABLES, row)
    if made.columns:
        _register_columns(space, made)


def _table_version(space: Namespace, known: Registry, table: Table) -> int:
    """The version of a table that is registered now: that of its rows, if it was there before."""
    version = known.versions.get(table.stream, 0)
    if VERSION not in known.there.get(table.name, ()):
        return version
    highest = space.sql.query(f"SELECT max({space.sql.quote(VERSION)}) FROM {space.table(table.name)}")[0][0]
    return max(version, int(highest or 0))


def _register_columns(space: Namespace, made: Plan) -> None:
    sql = space.sql
    for table, column, known in made.columns:
        if known:
            sql.execute(
                f"UPDATE {space.table(COLUMNS)} SET {sql.quote('name')} = {space.given('string')} "
                f"WHERE {of(space, 'stream', 'table_path', 'path', 'kind')}",
                [column.name, table.stream, json.dumps(table.path), json.dumps(column.path), column.kind],
            )
    fresh = [(table, column) for table, column, known in made.columns if not known]
    if fresh:
        values: dict[str, list[str]] = {
            "stream": [table.stream for table, _ in fresh],
            "table_path": [json.dumps(table.path) for table, _ in fresh],
            "table_name": [table.name for table, _ in fresh],
            "path": [json.dumps(column.path) for _, column in fresh],
            "kind": [column.kind for _, column in fresh],
            "name": [column.name for _, column in fresh],
        }
        columns = [BulkColumn(name=name, kind="string", values=given) for name, given in values.items()]
        sql.bulk(space.table(COLUMNS), columns, len(fresh))


def of(space: Namespace, *names: str) -> str:
    """A condition with one text parameter for each of these columns."""
    return " AND ".join(f"{space.sql.quote(name)} = {space.given('string')}" for name in names)


def create_table(space: Namespace, name: str, columns: Mapping[str, Kind]) -> str:
    """The statement that makes a table."""
    sql = space.sql
    listed = ", ".join(f"{sql.quote(column)} {sql.type_name(kind)}" for column, kind in columns.items())
    return f"CREATE TABLE {space.table(name)} ({listed})"


def findable(space: Namespace, root: Table, table: Table) -> Sequence[str]:
    """Statements after which the rows of a record are found quickly by its key."""
    if not root.key:
        return ()
    columns = [space.sql.quote(name) for name, _ in identity(root, table, space.sql.traits)[: len(root.key)]]
    return space.sql.findable(space.table(table.name), columns, unique=not table.path)


def add_column(space: Namespace, table: str, name: str, kind: Kind) -> str:
    """The statement that adds a column, NULL in every row."""
    return add_columns(space, table, {name: kind})


def add_columns(space: Namespace, table: str, columns: Mapping[str, Kind]) -> str:
    """The statement that adds columns. Only databases where DDL commits by itself get several at a time."""
    listed = ", ".join(f"{space.sql.quote(name)} {space.sql.type_name(kind)}" for name, kind in columns.items())
    return f"ALTER TABLE {space.table(table)} ADD COLUMN {listed}"


def rename_column(space: Namespace, table: str, old: str, new: str) -> str:
    """The statement that renames a column."""
    return f"ALTER TABLE {space.table(table)} RENAME COLUMN {space.sql.quote(old)} TO {space.sql.quote(new)}"


def with_children(stream: str, parents: Mapping[str, str | None]) -> set[str]:
    """The stream with its children, and theirs."""
    found = {stream}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found
