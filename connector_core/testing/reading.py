"""Looking at the tables of a destination from outside, as a user's own program does."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import closing
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Protocol

from connector_core.instants import from_datetime, to_datetime
from connector_core.tables import Kind


class Reader(Protocol):
    """How a contract kit sees what is really there. It must not use the code that it judges.

    Names are those that the engine gave to the destination; a database that folds their case finds them all the same.
    Values may be what a driver gives: `Decimal`, int or text for numbers, an aware `datetime` or canonical text for
    instants, `date` or text for dates, JSON text for nested values.
    """

    def tables(self, namespace: str) -> Iterable[str]:
        """The names of the tables of a namespace; none when it does not exist."""

    def read(self, namespace: str, tables: Collection[str] | None = None) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        """Every row of these tables (None: of all), by table and column name, in any order."""

    def drop(self, namespace: str) -> None:
        """Remove a namespace with all that is in it, also one that does not exist. Called after each test."""


class SqlReader:
    """A reader over any database with DB-API connections and an `information_schema`.

    `connect` opens a connection that commits each statement. `readable` says for some types (as the
    `information_schema` spells them) which expression gives their values to Python, `{}` being the column: a JSON type
    as text, for instance.
    """

    def __init__(
        self, connect: Callable[[], Any], *, placeholder: str = "?", readable: Mapping[str, str] | None = None
    ) -> None:
        self._connect, self._placeholder, self._readable = connect, placeholder, readable or {}

    def tables(self, namespace: str) -> list[str]:
        """See `Reader.tables`."""
        with closing(self._connect()) as connection:
            return sorted(self._columns(connection, namespace)[1])

    def read(self, namespace: str, tables: Collection[str] | None = None) -> dict[str, list[dict[str, Any]]]:
        """See `Reader.read`."""
        read = {}
        with closing(self._connect()) as connection:
            schema, there = self._columns(connection, namespace)
            for table in there if tables is None else tables:
                name = _found(there, table)
                columns = [column for column, _ in there[name]]
                listed = ", ".join(
                    self._readable.get(kind, "{}").format(_quoted(column)) for column, kind in there[name]
                )
                text = f"SELECT {listed} FROM {_quoted(schema)}.{_quoted(name)}"
                read[table] = [dict(zip(columns, row, strict=True)) for row in _all(connection, text)]
        return read

    def drop(self, namespace: str) -> None:
        """See `Reader.drop`."""
        with closing(self._connect()) as connection:
            schema, there = self._columns(connection, namespace)
            if there:
                connection.cursor().execute(f"DROP SCHEMA {_quoted(schema)} CASCADE")

    def execute(self, text: str) -> None:
        """A statement of a user, for `UserChangesContract`."""
        with closing(self._connect()) as connection:
            connection.cursor().execute(text)

    def query(self, text: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a SELECT of the author's own tests."""
        with closing(self._connect()) as connection:
            return _all(connection, text, parameters)

    def _columns(self, connection: Any, namespace: str) -> tuple[str, dict[str, list[tuple[str, str]]]]:
        """The schema as it is spelt there, and its tables with names and types of their columns."""
        schema, found = namespace, dict[str, list[tuple[str, str]]]()
        rows = _all(
            connection,
            "SELECT c.table_schema, c.table_name, c.column_name, c.data_type FROM information_schema.columns AS c "
            "JOIN information_schema.tables AS t ON t.table_schema = c.table_schema AND t.table_name = c.table_name "
            f"WHERE lower(c.table_schema) = {self._placeholder} AND t.table_type = 'BASE TABLE' "
            "ORDER BY c.table_name, c.ordinal_position",
            [namespace.lower()],
        )
        for spelt, table, column, kind in rows:
            schema = spelt
            found.setdefault(table, []).append((column, kind))
        return schema, found


def _all(connection: Any, text: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    cursor = connection.cursor()
    cursor.execute(text, list(parameters)) if parameters else cursor.execute(text)  # without, % is only a percent sign
    return [tuple(row) for row in cursor.fetchall()]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _found(names: Iterable[str], wanted: str) -> str:
    """The name itself, or the one that differs in case only."""
    known = list(names)
    return wanted if wanted in known else next(name for name in known if name.casefold() == wanted.casefold())


def plain(value: Any) -> Any:
    """What a driver gives as something that can be compared: instants and dates as canonical texts, whole decimals as
    integers."""
    if isinstance(value, datetime):
        return from_datetime(value.astimezone(UTC))
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal) and value == value.to_integral_value():
        return int(value)
    return value


def canonical(kind: Kind, value: Any) -> Any:
    """A value of a column of this kind, so that equal values are equal however they are spelt."""
    if value is None:
        return None
    value = plain(value)
    if kind == "number":
        return Decimal(value)
    if kind == "instant":
        return to_datetime(value)
    if kind == "date":
        return str(value)[:10]
    if kind == "nested":
        return json.loads(value, parse_float=Decimal)
    return value
