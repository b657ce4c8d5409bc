"""`Sql` over DuckDB's own API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from connector_core.sql import Adoption, BulkColumn
from connector_core.tables import Kind, Traits
from connector_duckdb.bulk import WIDE, Spool
from connector_duckdb.errors import raised
from connector_duckdb.private import owner_only

if TYPE_CHECKING:
    import duckdb

TYPES: Mapping[Kind, str] = {
    "string": "VARCHAR",
    "integer": "BIGINT",
    "number": "DECIMAL(38,9)",
    "boolean": "BOOLEAN",
    "instant": "TIMESTAMP WITH TIME ZONE",
    "date": "DATE",
    "nested": "JSON",
}
"""Nested values are of DuckDB's type JSON: text that is kept byte for byte, with operators for users (`custom->>'a'`).
The names are those that DuckDB's catalog gives back."""

COLUMN_MEMORY = 320 * 1024
"""Bytes per column of the widest table: measured, 1,700 columns need 256 to 512 MB and 10,000 need 1 to 2 GB. What is
really used is a third of that or less."""

MAX_COLUMNS = 12_000
"""DuckDB itself has no limit, but memory and time grow with each column: a record of 200,000 fields would keep a run
busy for hours (facts/fault_catalogue.md H10). 10,000 are stored (B27)."""

TRAITS = Traits(
    name_bytes=255,
    case_sensitive=False,
    suffixes={
        "string": "st",
        "integer": "bi",
        "number": "de",
        "boolean": "bo",
        "instant": "ti",
        "date": "ti",
        "nested": "va",
    },
    decimal=(38, 9),
    columns=MAX_COLUMNS,
    nul_in_text=True,
)


class DuckSql:
    """One open connection. `path` is the database file, `spool` the folder where bulk rows are written for DuckDB to
    read, `memory` the limit (bytes) that it was opened with."""

    traits = TRAITS
    placeholder = "?"
    adoption: Adoption | None = None

    def __init__(self, connection: duckdb.DuckDBPyConnection, *, path: Path, spool: Path, memory: int) -> None:
        self._connection, self._path, self._memory = connection, path, memory
        self._spool = Spool(connection, spool)
        self._open = False

    def begin(self) -> None:
        """Start a transaction."""
        self.execute("BEGIN TRANSACTION")
        self._open = True

    def commit(self) -> None:
        """Write the transaction to disk."""
        self._open = False
        shared = self._path.stat().st_mode & 0o077  # the log beside the file is made here: as private as the file
        with owner_only(not shared), raised(self._path, unknown=True):
            self._connection.execute("COMMIT")

    def rollback(self) -> None:
        """Give the transaction up; closing the connection does the same where this fails."""
        if self._open:
            self._open = False
            import duckdb

            try:
                self._connection.execute("ROLLBACK")
            except duckdb.Error:
                return

    def execute(self, text: str, parameters: Sequence[Any] = ()) -> int:
        """Execute one statement."""
        with raised(self._path):
            rows = self._connection.execute(text, list(parameters)).fetchall()
        return int(rows[0][0]) if rows and isinstance(rows[0][0], int) else 0

    def query(self, text: str, parameters: Sequence[Any] = ()) -> Sequence[tuple[Any, ...]]:
        """Execute one SELECT."""
        with raised(self._path):
            return self._connection.execute(text, list(parameters)).fetchall()

    def bulk(self, table: str, columns: Sequence[BulkColumn], count: int) -> None:
        """Append rows."""
        if count:
            self._make_room(len(columns))
            with raised(self._path):
                self._spool.append(table, columns, count, quote=self.quote, type_name=self.type_name)

    def make_schema(self, name: str) -> None:
        """Make a schema unless it exists."""
        self.execute(f"CREATE SCHEMA IF NOT EXISTS {self.quote(name)}")

    def temporary(self, name: str, columns: Sequence[tuple[str, str]]) -> str:
        """An empty temporary table."""
        listed = ", ".join(f"{self.quote(column)} {kind}" for column, kind in columns)
        self.execute(f"CREATE OR REPLACE TEMPORARY TABLE {self.quote(name)} ({listed})")
        return self.quote(name)

    def columns(self, schema: str) -> Mapping[str, Mapping[str, str]]:
        """Tables and columns as the catalog has them."""
        found: dict[str, dict[str, str]] = {}
        for table, column, kind in self.query(
            "SELECT table_name, column_name, data_type FROM duckdb_columns() "
            "WHERE database_name = current_database() AND schema_name = ? ORDER BY table_oid, column_index",
            [schema],
        ):
            found.setdefault(table, {})[column] = kind
        self._make_room(max(map(len, found.values()), default=0))
        return found

    def type_name(self, kind: Kind) -> str:
        """DuckDB's type for a kind."""
        return TYPES[kind]

    def given(self, kind: Kind) -> str:
        """A parameter with a type of its own."""
        return f"CAST(? AS {TYPES[kind]})"

    def quote(self, identifier: str) -> str:
        """The identifier in double quotes."""
        return '"' + identifier.replace('"', '""') + '"'

    def _make_room(self, columns: int) -> None:
        """Raise the memory limit for wide tables: DuckDB reserves memory per column, however few rows there are."""
        if columns > WIDE and (needed := columns * COLUMN_MEMORY) > self._memory:
            self._memory = needed
            self.execute(f"SET memory_limit = '{needed}B'")

    def micros(self, expression: str) -> str:
        """Microseconds since 1970."""
        return f"epoch_us({expression})"

    def findable(self, table: str, columns: Sequence[str], *, unique: bool) -> Sequence[str]:
        """Nothing: DuckDB finds keys without an index, and one would cost more than it brings."""
        return ()

    def limits(self, table: str, like: str, columns: Sequence[str]) -> Sequence[str]:
        """Indexes take every value that a column does."""
        return ()

    def dependents(self, schema: str, table: str, column: str) -> Sequence[str]:
        """Nothing: DuckDB itself refuses to rename a column that an index depends on, and views name no columns."""
        return ()
