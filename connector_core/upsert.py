"""Rows of one stream into its tables: which are new or changed, what they replace, and how they go in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from connector_core.batch import Counts, Part, TableCount
from connector_core.evolve import HASH, UNIQUE, VERSION, identity, key_columns, source_key
from connector_core.namespace import SEQUENCE, Registry
from connector_core.seams import step
from connector_core.sql import BulkColumn, Namespace, Same
from connector_core.tables import Column, Rows, Table

Positions = Sequence[int]


@dataclass(kw_only=True)
class Effect:
    """What was done for one stream: fates of its records, rows per table, root rows of an `older` shape that were
    replaced, rows per table that `passed` through, written or not."""

    counts: Counts
    tables: dict[str, TableCount] = field(default_factory=dict)
    older: int = 0
    passed: dict[str, int] = field(default_factory=dict)

    def count(self, table: str, *, written: int = 0, deleted: int = 0) -> None:
        """Add rows of one table."""
        if written or deleted:
            self.tables[table] = self.tables.get(table, TableCount()) + TableCount(written=written, deleted=deleted)


@dataclass(frozen=True, kw_only=True)
class Staged:
    """A table of keys, hashes and versions that are compared with the destination's; all names are quoted.

    `table` is its full name, `outer` the name by which a statement over it refers to its columns.
    """

    table: str
    outer: str
    keys: tuple[str, ...]
    hash: str
    version: str | None
    received: str | None = None


def scratch(space: Namespace, part: Part, number: int, *, replayed: bool = False) -> Staged | None:
    """The temporary table in which a part's keys are compared, made before the transaction; None if it needs none.

    Rows that are `replayed` and have no version are compared by when they were received.
    """
    if not part.root.table.key or not part.root.count:
        return None
    sql = space.sql
    columns = [(f"k{i}", sql.type_name(kind)) for i, (_, kind) in enumerate(key_columns(part.root.table))]
    keys = tuple(sql.quote(name) for name, _ in columns)
    columns += [("h", sql.type_name("string")), ("s", sql.type_name("integer"))]
    if (version := version_column(part)) is not None:
        columns.append(("v", sql.type_name(version.kind)))
    elif replayed:
        columns.append(("r", sql.type_name("instant")))
    table = sql.temporary(f"_sdc_changed_{number}", columns)
    return Staged(
        table=table,
        outer=table,
        keys=keys,
        hash=sql.quote("h"),
        version=None if version is None else sql.quote("v"),
        received=sql.quote("r") if replayed and version is None else None,
    )


def version_column(part: Part) -> Column | None:
    """The column of the replication key."""
    return None if part.version is None else next(c for c in part.root.table.columns if c.name == part.version)


def write(
    space: Namespace,
    known: Registry,
    part: Part,
    *,
    first: int,
    batched_at: str,
    horizon: str | None,
    changed: Staged | None,
    older: bool = False,
) -> Effect:
    """Insert or replace the part's rows, within the open transaction.

    `first` is the `_sdc_sequence` of its first record, `changed` what `scratch` made for it; `older` says that rows of
    an older shape are to be counted.
    """
    effect = Effect(counts=part.counts, passed=part.passed)
    if not part.root.count:
        return effect
    kept = newest(part, horizon)
    if changed is not None and not _beyond(space, known, part):
        with step("load.stage"):
            _stage(space, part, kept, first=first, staged=changed)
        with step("load.compare"):
            same, newer = compare(space, part, changed, horizon=horizon)
        if same or newer:
            kept = sorted(s - first for (s,) in space.sql.query(f"SELECT s FROM {changed.table}"))
        effect.counts += Counts(unchanged=same)
        if kept is None or kept:
            with step("load.delete"):
                effect.older = _count_older(space, part, changed) if older else 0
                delete(space, known, part, effect, partial(matching, changed))
    count = part.root.count if kept is None else len(kept)
    fates = Counts(loaded=count, superseded=part.root.count - count - (effect.counts.unchanged - part.counts.unchanged))
    effect.counts += fates
    if count:
        version = known.tables[part.stream.name, ()].table_version
        stamps = {"_sdc_batched_at": Same(batched_at), VERSION: Same(version)}
        with step("load.insert"):
            for rows in (part.root, *part.subtables):
                columns, size = bulk_columns(space, part, rows, kept, first=first, stamps=stamps)
                if size:
                    space.sql.bulk(space.table(rows.table.name), columns, size)
                effect.count(rows.table.name, written=size)
    return effect


def newest(part: Part, horizon: str | None) -> Positions | None:
    """Positions of the records that win within the batch, ascending; None when no key occurs twice.

    The newer version wins, then the one read last. A version above the horizon, and one that is NULL, counts as the
    horizon: that record is believed to be as new as the moment it was read.
    """
    root, key = part.root, part.root.table.key
    if not key:
        return None
    places = {column.name: place for place, column in enumerate(root.table.columns)}
    columns = [root.values[places[column.name]] for column in key]
    keys: Sequence[Any] = columns[0] if len(columns) == 1 else list(zip(*columns, strict=True))
    if len(set(keys)) == len(keys):
        return None
    version = version_column(part)
    ranks = [0] * root.count if version is None else _ranks(root.values[places[version.name]], version, horizon)
    best: dict[Any, int] = {}
    for position, key_value in enumerate(keys):
        other = best.get(key_value)
        if other is None or ranks[position] >= ranks[other]:
            best[key_value] = position
    return sorted(best.values())


def _ranks(values: Sequence[Any], version: Column, horizon: str | None) -> list[Any]:
    """Versions as Python compares them: canonical instants sort by their text once the Z is off."""
    if version.kind == "integer":
        return [float("inf") if value is None else value for value in values]
    top = "\U0010ffff" if horizon is None else limit(version, horizon).rstrip("Z")
    return [top if value is None else min(value.rstrip("Z"), top) for value in values]


def limit(version: Column, horizon: str) -> str:
    """The horizon as a value of the version's kind."""
    return horizon[:10] if version.kind == "date" else horizon


def _beyond(space: Namespace, known: Registry, part: Part) -> bool:
    """Whether the records lie beyond everything that the stream's tables hold: these are empty, or all their keys are
    smaller (as in the first pass over a list that is sorted by its numbers). Then there is nothing to compare with and
    nothing to delete."""
    sql, root = space.sql, part.root.table
    keys = key_columns(root)
    tables = {name: source_key(keys[0][0], sql.traits) for name in known.subtables(part.stream.name)}
    tables = {root.name: keys[0][0], **tables}
    if len(keys) > 1 or keys[0][1] != "integer":
        return not any(sql.query(f"SELECT 1 FROM {space.table(name)} LIMIT 1") for name in tables)
    place = next(place for place, column in enumerate(root.columns) if column.name == keys[0][0])
    smallest = min(part.root.values[place])
    for name, key in tables.items():
        ((greatest,),) = sql.query(f"SELECT max({sql.quote(key)}) FROM {space.table(name)}")
        if greatest is not None and greatest >= smallest:
            return False
    return True


def _stage(space: Namespace, part: Part, kept: Positions | None, *, first: int, staged: Staged) -> None:
    """Keys, hashes, versions and sequences of the part's records into the scratch table."""
    root = part.root
    values = {column.name: values for column, values in zip(root.table.columns, root.values, strict=True)}
    columns = [
        BulkColumn(name=f"k{i}", kind=kind, values=pick(values[name], kept))
        for i, (name, kind) in enumerate(key_columns(root.table))
    ]
    columns.append(BulkColumn(name="h", kind="string", values=pick(part.hashes, kept)))
    columns.append(BulkColumn(name="s", kind="integer", values=pick(range(first, first + root.count), kept)))
    if (version := version_column(part)) is not None:
        columns.append(BulkColumn(name="v", kind=version.kind, values=pick(values[version.name], kept)))
    if staged.received is not None:
        columns.append(BulkColumn(name="r", kind="instant", values=pick(part.received_at, kept)))
    space.sql.bulk(staged.table, columns, root.count if kept is None else len(kept))


def compare(
    space: Namespace, part: Part, staged: Staged, *, horizon: str | None, versions: bool = True
) -> tuple[int, int]:
    """Take out of the staged rows what the destination has already, and (with `versions`) what it has in a newer
    version that is not above the horizon; returns how many of each."""
    sql, quote = space.sql, space.sql.quote
    root = part.root.table
    same = (
        f"DELETE FROM {staged.table} USING {space.table(root.name)} AS t WHERE {_keys_equal(space, part, staged, 't')}"
    )
    unchanged = superseded = 0
    if not part.rewrite:
        unchanged = sql.execute(f"{same} AND t.{quote(HASH)} = {staged.outer}.{staged.hash}")
    version = version_column(part) if versions else None
    if version is not None:
        theirs, values, believed = f"t.{quote(version.name)}", [], ""
        if horizon is not None and version.kind in ("instant", "date"):
            believed, values = f" AND {theirs} <= {space.given(version.kind)}", [limit(version, horizon)]
        superseded = sql.execute(f"{same} AND {theirs} > {staged.outer}.{staged.version}{believed}", values)
    if staged.received is not None:
        superseded += sql.execute(f"{same} AND t.{quote('_sdc_received_at')} > {staged.outer}.{staged.received}")
    return unchanged, superseded


def is_older(space: Namespace) -> str:
    """The condition for a row of another shape than the one of the parameter (`<shape version>:%`)."""
    return f"({space.sql.quote(HASH)} IS NULL OR {space.sql.quote(HASH)} NOT LIKE {space.given('string')})"


def _count_older(space: Namespace, part: Part, changed: Staged) -> int:
    """How many of the rows that are about to be replaced carry an older shape."""
    root, quote = part.root.table, space.sql.quote
    columns = [quote(key) for key, _ in key_columns(root)]
    found = space.sql.query(
        f"SELECT count(*) FROM {space.table(root.name)} WHERE {is_older(space)} "
        f"AND {has(changed, quote(root.name), columns)}",
        [f"{part.shape_version}:%"],
    )
    return int(found[0][0])


def delete(
    space: Namespace, known: Registry, part: Part, effect: Effect, which: Callable[[str, Sequence[str]], str]
) -> int:
    """Delete root rows and their sub-rows in all subtables of the stream, also in those that this batch does not have;
    returns the number of root rows. `which(table, key columns)` gives the clauses after DELETE FROM; all names are
    quoted."""
    sql, root = space.sql, part.root.table
    keys = [key for key, _ in key_columns(root)]
    for name in known.subtables(part.stream.name):
        columns = [sql.quote(source_key(key, sql.traits)) for key in keys]
        gone = sql.execute(f"DELETE FROM {space.table(name)} {which(sql.quote(name), columns)}")
        effect.count(name, deleted=gone)
    columns = [sql.quote(key) for key in keys]
    return sql.execute(f"DELETE FROM {space.table(root.name)} {which(sql.quote(root.name), columns)}")


def matching(staged: Staged, outer: str, columns: Sequence[str]) -> str:
    """`USING ... WHERE ...`, to delete the rows of the table `outer` that have the key of a staged row in these
    columns; all are quoted. Snowflake joins in a DELETE, but correlates subqueries only by equality."""
    return f"USING {staged.table} AS s WHERE {_equal(staged, outer, columns)}"


def has(staged: Staged, outer: str, columns: Sequence[str]) -> str:
    """`EXISTS (...)`: a staged row has the key that stands in these columns of the table `outer`; all are quoted."""
    return f"EXISTS (SELECT 1 FROM {staged.table} AS s WHERE {_equal(staged, outer, columns)})"


def _equal(staged: Staged, outer: str, columns: Sequence[str]) -> str:
    return " AND ".join(f"s.{mine} = {outer}.{theirs}" for mine, theirs in zip(staged.keys, columns, strict=True))


def _keys_equal(space: Namespace, part: Part, staged: Staged, alias: str) -> str:
    keys = zip(key_columns(part.root.table), staged.keys, strict=True)
    return " AND ".join(f"{alias}.{space.sql.quote(theirs)} = {staged.outer}.{mine}" for (theirs, _), mine in keys)


def bulk_columns(
    space: Namespace,
    part: Part,
    rows: Rows,
    kept: Positions | None,
    *,
    first: int,
    stamps: Mapping[str, Same],
) -> tuple[list[BulkColumn], int]:
    """The columns of one table for `Sql.bulk` and the number of rows, for the records at the positions `kept`.

    `stamps` are the columns that are the same for all.
    """
    table = rows.table
    columns: list[BulkColumn]
    if not table.path:
        size = rows.count if kept is None else len(kept)
        columns = [
            BulkColumn(name=column.name, kind=column.kind, values=pick(values, kept))
            for column, values in zip(table.columns, rows.values, strict=True)
        ]
        if not table.key:
            columns.insert(0, BulkColumn(name=UNIQUE, kind="string", values=pick(part.unique, kept)))
        columns += [
            BulkColumn(name="_sdc_extracted_at", kind="instant", values=pick(part.extracted_at, kept)),
            BulkColumn(name="_sdc_received_at", kind="instant", values=pick(part.received_at, kept)),
            BulkColumn(name=SEQUENCE, kind="integer", values=pick(range(first, first + rows.count), kept)),
            BulkColumn(name=HASH, kind="string", values=pick(part.hashes, kept)),
        ]
    else:
        chosen = _owned(rows, part.root.count, kept)
        owners = pick(rows.owner, chosen)
        size = len(owners)
        sources = _owner_values(space, part, table)
        columns = [BulkColumn(name=name, kind=kind, values=pick(values, owners)) for name, kind, values in sources]
        columns += [
            BulkColumn(name=f"_sdc_level_{level}_id", kind="integer", values=pick(values, chosen))
            for level, values in enumerate(rows.levels)
        ]
        columns += [
            BulkColumn(name=column.name, kind=column.kind, values=pick(values, chosen))
            for column, values in zip(table.columns, rows.values, strict=True)
        ]
        columns += [
            BulkColumn(name="_sdc_received_at", kind="instant", values=pick(part.received_at, owners)),
            BulkColumn(name=SEQUENCE, kind="integer", values=[first + owner for owner in owners]),
        ]
    columns += [
        BulkColumn(name=name, kind="instant" if name.endswith("_at") else "integer", values=same)
        for name, same in stamps.items()
    ]
    return columns, size


def _owner_values(space: Namespace, part: Part, table: Table) -> list[tuple[str, Any, Sequence[Any]]]:
    """The `_sdc_source_key_*` columns of a subtable, with the key values of the root records by position."""
    root = part.root
    values = {column.name: given for column, given in zip(root.table.columns, root.values, strict=True)}
    values.setdefault(UNIQUE, part.unique)
    names = identity(root.table, table, space.sql.traits)
    return [(name, kind, values[key]) for (name, kind), (key, _) in zip(names, key_columns(root.table), strict=False)]


def _owned(rows: Rows, records: int, kept: Positions | None) -> Positions | None:
    """Which sub-rows belong to the records at the positions `kept`."""
    if kept is None:
        return None
    wanted = bytearray(records)
    for position in kept:
        wanted[position] = 1
    return [row for row, owner in enumerate(rows.owner) if wanted[owner]]


def pick(values: Sequence[Any], positions: Positions | None) -> Sequence[Any]:
    """The values at these positions; all of them for None."""
    return values if positions is None else [values[position] for position in positions]
