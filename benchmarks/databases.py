"""The two destinations of the benchmark, as `verify` reads them and as the tools are told where they are."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

sys.path.append(str(Path(__file__).resolve().parent.parent))  # the tests' Postgres is the benchmark's

DURABLE = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "shared_buffers": "1GB",
    "work_mem": "64MB",
    "maintenance_work_mem": "256MB",
    "max_wal_size": "16GB",  # checkpoints do not fall at random into a measured run
    "checkpoint_timeout": "30min",
}
"""Settings of the measured Postgres: as durable as a production server's."""


class Reader(Protocol):
    """An open database. Statements are the same for both, but for what these methods give."""

    def rows(self, statement: str, ids: Sequence[int] | None = None) -> list[tuple[Any, ...]]:
        """The rows of a statement; `{ids}` in it stands for a list of numbers."""

    def columns(self, schema: str, table: str) -> dict[str, str]:
        """The columns of a table with their types, in order."""

    def micros(self, column: str) -> str:
        """An expression: the microseconds since 1970 of an instant."""

    def length(self, column: str) -> str:
        """An expression: how many items an array has that is kept in a column."""


class DuckDb:
    """A DuckDB file, open for reading."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def rows(self, statement: str, ids: Sequence[int] | None = None) -> list[tuple[Any, ...]]:
        """See `Reader`."""
        given = [] if ids is None else [list(ids)]
        found: list[tuple[Any, ...]] = self._connection.execute(
            statement.replace("{ids}", "(SELECT unnest(?))"), given
        ).fetchall()
        return found

    def columns(self, schema: str, table: str) -> dict[str, str]:
        """See `Reader`."""
        return {name: kind for name, kind, *_ in self.rows(f"DESCRIBE {schema}.{table}")}

    def micros(self, column: str) -> str:
        """See `Reader`."""
        return f"epoch_us({column})"

    def length(self, column: str) -> str:
        """See `Reader`."""
        return f"json_array_length({column}::JSON)"


class Postgres:
    """A database of a Postgres server."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def rows(self, statement: str, ids: Sequence[int] | None = None) -> list[tuple[Any, ...]]:
        """See `Reader`."""
        given = None if ids is None else [list(ids)]
        text = statement.replace("{ids}", "(SELECT unnest(%s::bigint[]))")
        found: list[tuple[Any, ...]] = self._connection.execute(text, given).fetchall()
        return found

    def columns(self, schema: str, table: str) -> dict[str, str]:
        """See `Reader`."""
        statement = (
            "SELECT column_name, upper(data_type) FROM information_schema.columns "
            f"WHERE table_schema = '{schema}' AND table_name = '{table}' ORDER BY ordinal_position"
        )
        return dict(self.rows(statement))

    def micros(self, column: str) -> str:
        """See `Reader`."""
        return f"(extract(epoch FROM {column}) * 1000000)::bigint"

    def length(self, column: str) -> str:
        """See `Reader`."""
        return f"jsonb_array_length(to_jsonb({column}))"


@contextmanager
def reading(where: str) -> Iterator[Reader]:
    """Open what a tool has filled: the address of a Postgres database, or the path of a DuckDB file."""
    if "://" in where:
        import psycopg

        with psycopg.connect(where, autocommit=True) as connection:
            yield Postgres(connection)
    else:
        import duckdb

        with duckdb.connect(where, read_only=True) as file:
            yield DuckDb(file)
