"""Every shipped destination as the tests of whole runs use it, and one way to look at what is in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connector_core.evolve import ROOT_COLUMNS
from connector_core.tables import Kind
from connector_core.testing.reading import SqlReader, canonical
from tests.support import postgres, snowflake
from tests.support.loads import duck_reader
from tests.support.project import DUCKDB, PER_RUN, Project


@dataclass(frozen=True, kw_only=True)
class Destination:
    """`lines` of `[destinations.warehouse]`, `reader` for a project's folder, `drivers` that a run imports."""

    lines: str
    reader: Callable[[Path], SqlReader]
    drivers: tuple[str, ...] = ()


def _duckdb() -> Iterator[Destination]:
    yield Destination(lines=DUCKDB, reader=lambda folder: duck_reader(folder / "warehouse.duckdb"))


def _postgres() -> Iterator[Destination]:
    server = postgres.shared()
    with server.database() as name:
        lines = f'type = "postgres"\nurl = "{server.url(name)}"'
        drivers = ("psycopg", "sqlalchemy.dialects.postgresql.psycopg", "connector_postgres.sql")
        yield Destination(lines=lines, reader=lambda _: postgres.reader(server, name), drivers=drivers)


def _snowflake() -> Iterator[Destination]:
    server = snowflake.shared()
    name = server.database()
    lines = "\n".join(f'{key} = "{value}"' for key, value in {"type": "snowflake", **server.config(name)}.items())
    drivers = ("snowflake.connector", "snowflake.sqlalchemy", "connector_snowflake.sql")
    yield Destination(lines=lines, reader=lambda _: snowflake.reader(server, name), drivers=drivers)
    server.drop(name)


DESTINATIONS: Mapping[str, Callable[[], Iterator[Destination]]] = {
    "duckdb": _duckdb,
    "postgres": _postgres,
    "snowflake": _snowflake,
}


@contextmanager
def destination(name: str) -> Iterator[Destination]:
    """The destination while the block lasts."""
    yield from DESTINATIONS[name]()


def rows(reader: SqlReader, schema: str) -> dict[str, list[dict[str, Any]]]:
    """Every row of the users' tables of a schema, column by column in canonical values, without what differs from run
    to run; names in lower case, NULLs left out."""
    read = {table.lower(): [_lower(row) for row in found] for table, found in reader.read(schema).items()}
    registered = _registered(read["_sdc_columns"])
    return {
        table: sorted((_values(row, table, registered) for row in found), key=lambda row: repr(sorted(row.items())))
        for table, found in read.items()
        if not table.startswith("_sdc_")
    }


def columns(reader: SqlReader, schema: str) -> dict[tuple[str, str], Kind]:
    """The kind of each column of a source's property, by names of table and column in lower case."""
    (found,) = reader.read(schema, ["_sdc_columns"]).values()
    return _registered(map(_lower, found))


def _registered(found: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], Kind]:
    return {(one["table_name"].lower(), one["name"].lower()): one["kind"] for one in found}


def _lower(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name.lower(): value for name, value in row.items() if value is not None}


def _values(row: Mapping[str, Any], table: str, registered: Mapping[tuple[str, str], Kind]) -> dict[str, Any]:
    kinds = {name: registered.get((table, name)) or ROOT_COLUMNS.get(name, "integer") for name in row}
    return {name: canonical(kinds[name], value) for name, value in row.items() if name not in PER_RUN}


def project_of(destination: Destination, folder: Path, desk: Any, *, number: int, settings: str) -> Project:
    """A project that loads a site into a schema of its own of the destination."""
    return Project(
        folder,
        desk.url,
        desk.credentials,
        settings=settings,
        destination=destination.lines,
        name=f"Stitch Desk {number}",
    )
