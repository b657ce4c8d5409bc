"""`AlchemySql`: the `Sql` protocol over a connection of SQLAlchemy Core, for every database that it has a dialect for.

A destination adds its bulk way, its types and its errors; statements, names and reflection are here. The connection is
in autocommit mode: transactions begin and end by their own statements, so that nothing begins one unasked.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from connector_core.errors import ConnectorError, UnknownCommitError
from connector_core.sql import Adoption, BulkColumn
from connector_core.tables import Kind, Traits

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.types import TypeEngine


class AlchemySql(ABC):
    """One open connection, used by one thread. `connection` has the isolation level AUTOCOMMIT.

    A subclass sets `traits`, and gives `kinds`, `bulk`, `micros` and `refused`; it may override anything that its
    database does in another way.
    """

    traits: Traits
    placeholder = "%s"
    adoption: Adoption | None = None
    starts = "BEGIN"
    """The statement that starts a transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._dialect = connection.dialect
        self._preparer = connection.dialect.identifier_preparer
        self._types: dict[Kind, str] = {kind: self._spelt(one) for kind, one in self.kinds().items()}
        self._inside = False

    # --- what a destination adds

    @staticmethod
    @abstractmethod
    def kinds() -> Mapping[Kind, TypeEngine[Any]]:
        """The column type for each kind."""

    @abstractmethod
    def bulk(self, table: str, columns: Sequence[BulkColumn], count: int) -> None:
        """See `Sql.bulk`."""

    @abstractmethod
    def micros(self, expression: str) -> str:
        """See `Sql.micros`."""

    @abstractmethod
    def refused(self, error: Exception, text: str) -> ConnectorError | None:
        """Our error for one of the driver's, raised by the statement `text`; None for one that is not the driver's.

        A lost connection is a `RetryableError`: outside COMMIT nothing of its transaction has happened.
        """

    def lost(self, error: Exception) -> bool:
        """Whether the connection is gone, so that nobody has told what became of the statement."""
        return bool(getattr(error, "connection_invalidated", False))

    def findable(self, table: str, columns: Sequence[str], *, unique: bool) -> Sequence[str]:
        """See `Sql.findable`."""
        return ()

    def limits(self, table: str, like: str, columns: Sequence[str]) -> Sequence[str]:
        """See `Sql.limits`; there are none."""
        return ()

    def dependents(self, schema: str, table: str, column: str) -> Sequence[str]:
        """See `Sql.dependents`."""
        return ()

    # --- transactions

    def begin(self) -> None:
        """Start a transaction."""
        self.execute(self.starts)
        self._inside = True

    def commit(self) -> None:
        """End it. A server that answers with an error has not committed; one that does not answer may have."""
        self._inside = False
        try:
            self._connection.exec_driver_sql("COMMIT")
        except Exception as error:
            ours = self.refused(error, "COMMIT")
            if ours is None:
                raise
            if self.lost(error):
                raise UnknownCommitError(
                    f"the connection was lost at COMMIT: {ours.message}",
                    hint="the engine asks the destination what was committed",
                    place=ours.place,
                ) from error
            raise ours from error

    def rollback(self) -> None:
        """Give the transaction up; closing the connection does the same where this fails."""
        if self._inside:
            self._inside = False
            if self._connection.invalidated:
                return
            try:
                self._connection.exec_driver_sql("ROLLBACK")
            except Exception as error:
                if self.refused(error, "ROLLBACK") is None:
                    raise

    # --- statements

    def execute(self, text: str, parameters: Sequence[Any] = ()) -> int:
        """Execute one statement."""
        with self._refusing(text):
            return max(0, self._connection.exec_driver_sql(text, tuple(parameters)).rowcount)

    def query(self, text: str, parameters: Sequence[Any] = ()) -> Sequence[tuple[Any, ...]]:
        """Execute one SELECT."""
        with self._refusing(text):
            return [tuple(row) for row in self._connection.exec_driver_sql(text, tuple(parameters))]

    def make_schema(self, name: str) -> None:
        """Make a schema unless it exists: CREATE ... IF NOT EXISTS asks for the right to make it even if it does."""
        text = f"SELECT 1 FROM information_schema.schemata WHERE schema_name = {self.placeholder}"
        if not self.query(text, [name]):
            self.execute(f"CREATE SCHEMA IF NOT EXISTS {self.quote(name)}")

    def temporary(self, name: str, columns: Sequence[tuple[str, str]]) -> str:
        """An empty temporary table."""
        quoted = self.quote(name)
        listed = ", ".join(f"{self.quote(column)} {kind}" for column, kind in columns)
        self.execute(f"DROP TABLE IF EXISTS {quoted}")
        self.execute(f"CREATE TEMPORARY TABLE {quoted} ({listed})")
        return quoted

    @contextmanager
    def _refusing(self, text: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            ours = self.refused(error, text)
            if ours is None:
                raise
            raise ours from error

    # --- names, types, reflection

    def quote(self, identifier: str) -> str:
        """The identifier in quotes, whatever it is; `%` doubled where the driver looks for parameters.

        What is no valid UTF-8, and U+0000, never come here (CVE-2025-1094): `names.identifier` has replaced them.
        """
        return self._preparer.quote_identifier(identifier)

    def type_name(self, kind: Kind) -> str:
        """The column type for a kind, as the dialect spells it."""
        return self._types[kind]

    def given(self, kind: Kind) -> str:
        """See `Sql.given`."""
        return f"CAST({self.placeholder} AS {self.type_name(kind)})"

    def columns(self, schema: str) -> Mapping[str, Mapping[str, str]]:
        """Tables and columns as SQLAlchemy reflects them."""
        from sqlalchemy import inspect

        with self._refusing("reflection"):
            found = inspect(self._connection).get_multi_columns(schema=schema)
        return {
            str(table): {column["name"]: self._spelt(column["type"]) for column in columns}
            for (_, table), columns in found.items()
        }

    def _spelt(self, one: TypeEngine[Any]) -> str:
        return one.compile(dialect=self._dialect)
