"""The engine's own tables in a namespace: fence, commits, registered tables and columns, rejected records."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from connector_core.batch import Claim, Receipt
from connector_core.errors import ConfigError, DestinationError, StaleWriterError
from connector_core.seams import step
from connector_core.sql import Namespace
from connector_core.tables import Kind, Path, RegisteredColumn, RegisteredTable

FENCE, COMMITS, TABLES, COLUMNS, REJECTED = (
    "_sdc_fence",
    "_sdc_commits",
    "_sdc_tables",
    "_sdc_columns",
    "_sdc_rejected",
)
FIRST_SEQUENCE = 10**18  # above a number that Stitch's clock gave out before 2001, as its sequences are nanoseconds
SEQUENCE = "_sdc_sequence"

OWN_TABLES: Mapping[str, Mapping[str, Kind]] = {
    FENCE: {"connector": "string", "epoch": "integer", "sequence": "integer", "first_committed_at": "instant"},
    COMMITS: {
        "connector": "string",
        "stream": "string",
        "epoch": "integer",
        "sequence": "integer",
        "kind": "string",
        "run_id": "string",
        "bookmark": "string",
        "rows": "string",
        "committed_at": "instant",
    },
    TABLES: {
        "stream": "string",
        "path": "string",
        "name": "string",
        "parent": "string",
        "shape": "string",
        "shape_version": "integer",
        "table_version": "integer",
        "reset_at": "instant",
    },
    COLUMNS: {
        "stream": "string",
        "table_path": "string",
        "table_name": "string",
        "path": "string",
        "kind": "string",
        "name": "string",
    },
    REJECTED: {
        "_sdc_rejected_at": "instant",
        "run_id": "string",
        "stream": "string",
        "table_name": "string",
        "error_code": "string",
        "reason": "string",
        "path": "string",
        "primary_key": "string",
        "record_hash": "string",
        "seen": "integer",
        "copies": "integer",
        "record": "string",
    },
}
"""Columns of the engine's tables. Texts hold JSON where a list or an object is kept, so that reading them needs no
extension of any database. `_sdc_tables.reset_at` marks a stream that was reset: only its `table_version` is kept, and
until its tables are dropped their names, with their `shape` (see `reset.py`)."""


@dataclass(frozen=True, kw_only=True)
class Fence:
    """The fence's row as a transaction found it; `sequence` is the last one given out before."""

    connector: str
    epoch: int
    sequence: int
    first_committed_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Registry:
    """What a namespace remembers of some streams' tables, and what is really there (tables, columns, types)."""

    tables: Mapping[tuple[str, Path], RegisteredTable]
    columns: tuple[RegisteredColumn, ...]
    parents: Mapping[str, str | None]
    versions: Mapping[str, int]
    there: Mapping[str, Mapping[str, str]]

    def subtables(self, stream: str) -> tuple[str, ...]:
        """Names of the stream's subtables that are really there."""
        return tuple(t.name for t in self.tables.values() if t.stream == stream and t.path and t.present)


def instant(micros: int | None) -> datetime | None:
    """The aware UTC datetime of microseconds since 1970."""
    return None if micros is None else datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)


def insert(space: Namespace, table: str, row: Mapping[str, Any]) -> None:
    """Insert one row into one of the engine's own tables. Snowflake takes few expressions in VALUES, all in SELECT."""
    kinds = OWN_TABLES[table]
    values = ", ".join(space.given(kinds[name]) for name in row)
    space.sql.execute(
        f"INSERT INTO {space.table(table)} ({space.names(row)}) SELECT {values}",
        [*row.values()],
    )


def claim(space: Namespace, connector: str, *, epoch: int, after: int) -> Claim:
    """See `Target.claim`. The caller's transaction: DDL is inside it where the database allows that."""
    sql = space.sql
    in_transaction = sql.traits.ddl_in_transaction
    try:
        if in_transaction:
            sql.begin()
        there = space.there()
        with step("claim.create"):
            _refuse_another(space, connector, there)
            new = create(space, there)
        if not in_transaction:
            sql.begin()
        with step("claim.epoch"):
            if FENCE in new or not sql.execute(
                f"UPDATE {space.table(FENCE)} SET {sql.quote('epoch')} = 1 + {_at_least(space, 'epoch')}, "
                f"{sql.quote('sequence')} = {_at_least(space, 'sequence')} "
                f"WHERE {sql.quote('connector')} = {space.given('string')}",
                [epoch, epoch, after, after, connector],
            ):
                first = max(FIRST_SEQUENCE, _highest_sequence(space, there), after)
                row = {"connector": connector, "epoch": epoch + 1, "sequence": first, "first_committed_at": None}
                insert(space, FENCE, row)
            fence = read_fence(space)
        found = registry(space)
        answer = Claim(
            epoch=fence.epoch,
            sequence=fence.sequence,
            bookmarks=bookmarks(space),
            receipts=receipts(space, after),
            tables=tuple(found.tables.values()),
            columns=found.columns,
            first_committed_at=fence.first_committed_at,
            newest=int(
                sql.query(f"SELECT coalesce(max({sql.quote('sequence')}), 0) FROM {space.table(COMMITS)}")[0][0]
            ),
        )
        with step("claim.commit"):
            sql.commit()
        return answer
    except BaseException:
        sql.rollback()
        raise


def _at_least(space: Namespace, name: str) -> str:
    """The column or the value of two parameters, whichever is greater."""
    column, value = space.sql.quote(name), space.given("integer")
    return f"CASE WHEN {column} > {value} THEN {column} ELSE {value} END"


def create(space: Namespace, there: Mapping[str, object]) -> set[str]:
    """Make what is missing of the schema and the engine's tables; returns the names of the tables it made."""
    sql, missing = space.sql, [name for name in OWN_TABLES if name not in there]
    if missing:
        sql.make_schema(space.name)
    for name in missing:
        columns = ", ".join(f"{sql.quote(column)} {sql.type_name(kind)}" for column, kind in OWN_TABLES[name].items())
        sql.execute(f"CREATE TABLE IF NOT EXISTS {space.table(name)} ({columns})")
    return set(missing)


def read_fence(space: Namespace) -> Fence:
    """The fence's row. Raises `DestinationError` when there is none."""
    sql = space.sql
    rows = sql.query(
        f"SELECT {space.names(('connector', 'epoch', 'sequence'))}, "
        f"{sql.micros(sql.quote('first_committed_at'))} FROM {space.table(FENCE)}"
    )
    if len(rows) != 1:
        raise DestinationError(
            f"{space.name}.{FENCE} has {len(rows)} rows, it must have one",
            hint="somebody changed the engine's own tables; restore them from a backup",
            code="namespace",
        )
    connector, epoch, sequence, first = rows[0]
    return Fence(connector=connector, epoch=epoch, sequence=sequence, first_committed_at=instant(first))


def check_fence(space: Namespace, *, epoch: int) -> None:
    """Before statements that no transaction guards: a run that is stale already changes nothing any more.

    Raises `StaleWriterError`.
    """
    if read_fence(space).epoch != epoch:
        raise _stale(space, epoch)


def pass_fence(space: Namespace, *, epoch: int, connector: str, taken: int) -> Fence:
    """The first statement of every transaction that writes: take `taken` sequences, or learn that this run is stale.

    Returns the fence as it was before. Raises `StaleWriterError`.
    """
    sql = space.sql
    passed = sql.execute(
        f"UPDATE {space.table(FENCE)} SET {sql.quote('sequence')} = {sql.quote('sequence')} + "
        f"{space.given('integer')} WHERE {sql.quote('epoch')} = {space.given('integer')} "
        f"AND {sql.quote('connector')} = {space.given('string')}",
        [taken, epoch, connector],
    )
    if not passed:
        raise _stale(space, epoch)
    after = read_fence(space)
    return Fence(
        connector=after.connector,
        epoch=after.epoch,
        sequence=after.sequence - taken,
        first_committed_at=after.first_committed_at,
    )


def _stale(space: Namespace, epoch: int) -> StaleWriterError:
    return StaleWriterError(
        f"a later run has claimed {space.name}: this one (epoch {epoch}) must not write any more",
        hint="nothing was written; the later run goes on from the last commit",
    )


def receipts(space: Namespace, after: int) -> tuple[Receipt, ...]:
    """Receipts of all commits with a sequence above `after`, oldest first."""
    sql = space.sql
    names = ("connector", "stream", "kind", "run_id", "epoch", "sequence", "bookmark", "rows")
    found = sql.query(
        f"SELECT {space.names(names)}, {sql.micros(sql.quote('committed_at'))} FROM {space.table(COMMITS)} WHERE "
        f"{sql.quote('sequence')} > {space.given('integer')} ORDER BY {sql.quote('sequence')}",
        [after],
    )
    made = []
    for *values, committed_at in found:
        known = dict(zip(names, values, strict=True))
        with _understood(space, f"the commit {known['sequence']} of stream {known['stream']!r}"):
            details = json.loads(known.pop("rows"))
            known["bookmark"] = None if known["bookmark"] is None else json.loads(known["bookmark"])
            made.append(Receipt.from_details(details, committed_at=instant(committed_at), **known))
    return tuple(made)


def registry(space: Namespace, streams: Iterable[str] | None = None) -> Registry:
    """What is remembered of these streams' tables (None: of all), checked against what is there."""
    sql = space.sql
    there = space.there()
    wanted = None if streams is None else sorted(set(streams))
    only, values = "", []
    if wanted is not None:
        only = f" WHERE {sql.quote('stream')} IN ({', '.join(space.given('string') for _ in wanted) or 'NULL'})"
        values = wanted
    rows = sql.query(
        f"SELECT {space.names(('stream', 'path', 'name', 'parent', 'shape', 'shape_version', 'table_version'))}, "
        f"{sql.micros(sql.quote('reset_at'))} FROM {space.table(TABLES)}{only}",
        values,
    )
    tables: dict[tuple[str, Path], RegisteredTable] = {}
    parents: dict[str, str | None] = {}
    versions: dict[str, int] = {}
    for stream, path, name, parent, shape, shape_version, table_version, reset_at in rows:
        way = tuple(json.loads(path))
        if not way:
            parents[stream], versions[stream] = parent, table_version
        if reset_at is None:
            tables[stream, way] = RegisteredTable(
                stream=stream,
                path=way,
                name=name,
                shape=shape,
                shape_version=shape_version,
                table_version=table_version,
                present=name in there,
            )
    found = sql.query(
        f"SELECT {space.names(OWN_TABLES[COLUMNS])} FROM {space.table(COLUMNS)}{only}",
        values,
    )
    columns = tuple(
        RegisteredColumn(
            stream=stream,
            table_path=tuple(json.loads(table_path)),
            table=table,
            path=tuple(json.loads(path)),
            kind=kind,
            name=name,
            present=name in there.get(table, ()),
        )
        for stream, table_path, table, path, kind, name in found
    )
    return Registry(tables=tables, columns=columns, parents=parents, versions=versions, there=there)


def _refuse_another(space: Namespace, connector: str, there: Mapping[str, Mapping[str, str]]) -> None:
    """Before anything is made or changed: whose namespace is this?"""
    if FENCE not in there:
        if (
            REJECTED in there
            and space.sql.adoption is None
            and not OWN_TABLES[REJECTED].keys() <= there[REJECTED].keys()
        ):
            raise ConfigError(
                f"{space.name!r} is a schema that Stitch has made: it has a {REJECTED} of another form",
                hint="set adopt = true where the destination has that setting, to continue its tables, or give this "
                "connector another namespace; nothing was touched",
                code="namespace",
            )
        return
    owners = [owner for (owner,) in space.sql.query(f"SELECT {space.sql.quote('connector')} FROM {space.table(FENCE)}")]
    if owners and owners != [connector]:
        raise ConfigError(
            f"the namespace {space.name!r} belongs to the connector {owners[0]!r}, not to {connector!r}",
            hint="give this connector another name; nothing was touched",
            code="namespace",
        )


def _highest_sequence(space: Namespace, there: Mapping[str, Mapping[str, str]]) -> int:
    """The highest `_sdc_sequence` of any table that was here before us, for instance of Stitch itself."""
    sql = space.sql
    column = sql.quote(SEQUENCE)
    tables = [name for name, columns in there.items() if SEQUENCE in columns]
    highest = [sql.query(f"SELECT max({column}) FROM {space.table(name)}")[0][0] for name in tables]
    return max((int(value) for value in highest if value is not None), default=0)


def bookmarks(space: Namespace) -> dict[str, Mapping[str, Any]]:
    """The newest bookmark of each root stream."""
    sql = space.sql
    stream, bookmark, sequence = map(sql.quote, ("stream", "bookmark", "sequence"))
    found = sql.query(
        f"SELECT {stream}, {bookmark} FROM (SELECT {stream}, {bookmark}, row_number() OVER "
        f"(PARTITION BY {stream} ORDER BY {sequence} DESC) AS place FROM {space.table(COMMITS)} "
        f"WHERE {bookmark} IS NOT NULL) AS newest WHERE place = 1"
    )
    read = {}
    for name, text in found:
        with _understood(space, f"the bookmark of stream {name!r}"):
            read[name] = json.loads(text)
    return read


@contextmanager
def _understood(space: Namespace, what: str) -> Iterator[None]:
    """Whatever in the engine's own tables cannot be understood stops the run: it never starts over silently (D9)."""
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{what} in {space.name}.{COMMITS} cannot be read: {error!r}",
            hint="somebody changed the engine's own tables: restore them from a backup, or reset the stream",
            code="namespace",
        ) from error
