"""`Sql` over Snowflake: what it does in another way than the plain dialect of SQLAlchemy.

Identifiers are upper case, so that queries may leave the quotes out; the engine's own `_sdc_*` names are folded here.
Temporary tables and the stage for files live in the namespace, are seen by this session alone and end with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from connector_core.errors import ConnectorError, DestinationError
from connector_core.sql import BulkColumn, Same
from connector_core.sql.alchemy import AlchemySql
from connector_core.tables import Kind, Traits
from connector_snowflake.bulk import FORMAT, packed
from connector_snowflake.errors import is_lost, sorted_out

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection
    from sqlalchemy import Connection
    from sqlalchemy.types import TypeEngine

LONGEST_TEXT = 16 * 1024 * 1024
DIGITS = 38

TRAITS = Traits(
    name_bytes=255,
    fold="upper",
    case_sensitive=False,
    suffixes={
        "string": "st",
        "integer": "it",
        "number": "de",
        "boolean": "bo",
        "instant": "ti",
        "date": "ti",
        "nested": "va",
    },
    rename_on_split=False,
    nested_natively=True,
    nested_digits=DIGITS,
    decimal=(DIGITS, 9),
    text_bytes=LONGEST_TEXT,
    ddl_in_transaction=False,
)

STAGE, ROWS, BATCH = "_sdc_files", "_sdc_rows", "batch"
"""The session's stage, and the temporary table that files are copied into; its column `batch` tells them apart."""


class SnowflakeSql(AlchemySql):
    """One session. `namespace` is the schema that temporary tables live in; `place` says where, for errors."""

    traits = TRAITS
    placeholder = "?"
    starts = "BEGIN TRANSACTION"

    def __init__(self, connection: Connection, *, namespace: str, place: str) -> None:
        super().__init__(connection)
        self._driver: SnowflakeConnection = connection.connection.driver_connection  # type: ignore[assignment]
        self._namespace, self._place = namespace, place
        self._entered = False
        self._widest = self._files = 0

    @staticmethod
    def kinds() -> Mapping[Kind, TypeEngine[Any]]:
        """Snowflake's types."""
        from snowflake.sqlalchemy import TIMESTAMP_TZ, VARIANT
        from sqlalchemy import DECIMAL, Boolean, Date, String

        return {
            "string": String(),
            "integer": DECIMAL(DIGITS, 0),
            "number": DECIMAL(DIGITS, 9),
            "boolean": Boolean(),
            "instant": TIMESTAMP_TZ(),
            "date": Date(),
            "nested": VARIANT(),
        }

    # --- transactions and statements

    def begin(self) -> None:
        """Start a transaction, after what `bulk` needs in it: DDL would commit it."""
        self._enter()
        columns = ", ".join(f"{self.quote(name)} VARCHAR" for name in (BATCH, *map(_field, range(self._widest))))
        self.execute(f"CREATE OR REPLACE TEMPORARY TABLE {self.quote(ROWS)} ({columns})")
        super().begin()

    def execute(self, text: str, parameters: Sequence[Any] = ()) -> int:
        """Execute one statement."""
        listed = text.count(",") - text.count(f"({DIGITS}, ") + 1
        if text.startswith("CREATE TABLE"):  # as wide as it may have become, or wider
            self._widest = max(self._widest, listed)
        elif text.startswith("ALTER TABLE"):
            self._widest += listed
        return super().execute(text, parameters)

    def named(self, text: str) -> Sequence[Mapping[str, Any]]:
        """The rows of a SHOW, whose columns Snowflake adds to, by their names in lower case."""
        with self._refusing(text):
            found = self._connection.exec_driver_sql(text)
            names = list(map(str.lower, found.keys()))
            return [dict(zip(names, row, strict=True)) for row in found]

    def make_schema(self, name: str) -> None:
        """Make a schema unless it exists."""
        super().make_schema(name.upper())

    def temporary(self, name: str, columns: Sequence[tuple[str, str]]) -> str:
        """An empty temporary table."""
        self._enter()
        self._widest = max(self._widest, len(columns))
        listed = ", ".join(f"{self.quote(column)} {kind}" for column, kind in columns)
        self.execute(f"CREATE OR REPLACE TEMPORARY TABLE {self.quote(name)} ({listed})")
        return self.quote(name)

    def bulk(self, table: str, columns: Sequence[BulkColumn], count: int) -> None:
        """Upload a file, copy it into the session's temporary table, and from there into `table`.

        All columns travel as text; numbers, instants and nested values are made of it by INSERT ... SELECT.
        """
        if not count:
            return
        batch, self._files = str(self._files), self._files + 1
        sent = [column for column in columns if not isinstance(column.values, Same)]
        same = [column for column in columns if isinstance(column.values, Same)]
        staged, path = self.quote(ROWS), f"@{self.quote(STAGE)}/{batch}/"
        self._upload(f"PUT 'file://rows.csv.gz' {path} AUTO_COMPRESS = FALSE OVERWRITE = TRUE", sent, count, batch)
        fields = ", ".join(self.quote(name) for name in (BATCH, *map(_field, range(len(sent)))))
        options = f"FILE_FORMAT = ({FORMAT}) ON_ERROR = ABORT_STATEMENT PURGE = TRUE"
        self.execute(f"COPY INTO {staged} ({fields}) FROM {path} {options}")
        names = ", ".join(self.quote(column.name) for column in (*sent, *same))
        values = [self._made(column.kind, self.quote(_field(place))) for place, column in enumerate(sent)]
        values += [self._made(column.kind, self.placeholder) for column in same]
        written = self.execute(
            f"INSERT INTO {table} ({names}) SELECT {', '.join(values)} FROM {staged} WHERE {self.quote(BATCH)} = ?",
            [*(column.values.value for column in same if isinstance(column.values, Same)), batch],
        )
        if written != count:
            raise DestinationError(
                f"Snowflake stored {written:,} of {count:,} rows in {table}",
                hint="the transaction was given up; please report it",
                code="row_count",
            )

    def _upload(self, text: str, columns: Sequence[BulkColumn], count: int, batch: str) -> None:
        with self._refusing("PUT"), packed(columns, count, batch) as file, self._driver.cursor() as cursor:
            cursor.execute(text, file_stream=file)

    def _made(self, kind: Kind, text: str) -> str:
        """The expression that makes a value of a kind from its canonical text."""
        if kind == "nested":
            return f"PARSE_JSON({text})"
        return text if kind == "string" else f"CAST({text} AS {self.type_name(kind)})"

    def _enter(self) -> None:
        """Make the namespace the session's schema, and the stage in it, once."""
        if not self._entered:
            self.execute(f"USE SCHEMA {self.quote(self._namespace)}")
            self.execute(f"CREATE TEMPORARY STAGE IF NOT EXISTS {self.quote(STAGE)}")
            self._entered = True

    # --- names, reflection, errors

    def quote(self, identifier: str) -> str:
        """The identifier in upper case and quotes."""
        return super().quote(identifier.upper())

    def columns(self, schema: str) -> Mapping[str, Mapping[str, str]]:
        """Tables and columns, asked of the information schema: SQLAlchemy's reflection asks for keys and comments too,
        and changes the case of names."""
        found: dict[str, dict[str, str]] = {}
        for table, column, kind, precision, scale, length in self.query(
            "SELECT table_name, column_name, data_type, numeric_precision, numeric_scale, character_maximum_length "
            "FROM information_schema.columns WHERE table_schema = ? ORDER BY table_name, ordinal_position",
            [schema.upper()],
        ):
            if table != ROWS.upper():
                found.setdefault(table, {})[column] = _spelt(kind, precision, scale, length)
        self._widest = max([self._widest, *map(len, found.values())])
        return found

    def micros(self, expression: str) -> str:
        """Microseconds since 1970."""
        return f"DATE_PART(EPOCH_MICROSECOND, {expression})"

    def refused(self, error: Exception, text: str) -> ConnectorError | None:
        """See `errors.py`."""
        return sorted_out(error, text, place=self._place, lost=self.lost(error))

    def lost(self, error: Exception) -> bool:
        """Whether the session is gone, or nobody knows what became of the statement."""
        return super().lost(error) or is_lost(error) or self._driver.is_closed()


def _field(place: int) -> str:
    return f"c{place}"


def _spelt(kind: str, precision: int | None, scale: int | None, length: int | None) -> str:
    """A column's type as `type_name` spells it."""
    if kind == "NUMBER":
        return f"DECIMAL({precision}, {scale})"
    if kind == "TEXT":
        return "VARCHAR" if length is None or length >= LONGEST_TEXT else f"VARCHAR({length})"
    return kind
