"""`Sql` over Postgres: what it does in another way than the plain dialect of SQLAlchemy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from connector_core.errors import ConnectorError
from connector_core.sql import Adoption, BulkColumn
from connector_core.sql.alchemy import AlchemySql
from connector_core.tables import Kind, Traits
from connector_postgres.bulk import FORMAT, pieces
from connector_postgres.errors import ended, sorted_out

if TYPE_CHECKING:
    from psycopg import Connection as Driver
    from sqlalchemy import Connection
    from sqlalchemy.types import TypeEngine

ANALYZE_FROM = 5_000  # rows
TRAITS = Traits(
    name_bytes=63,
    suffixes={
        "string": "st",
        "integer": "bi",
        "number": "de",
        "boolean": "bo",
        "instant": "ti",
        "date": "ti",
        "nested": "va",
    },
    columns=1_600,
    reserved=frozenset(("tableoid", "xmin", "cmin", "xmax", "cmax", "ctid")),
)


WIDER: Mapping[str, tuple[Kind, str]] = {
    "SMALLINT": ("integer", "CAST({} AS BIGINT)"),
    "INTEGER": ("integer", "CAST({} AS BIGINT)"),
    "REAL": ("number", "CAST(CAST({} AS TEXT) AS NUMERIC)"),  # by way of its text: the digits that users have seen
    "DOUBLE PRECISION": ("number", "CAST(CAST({} AS TEXT) AS NUMERIC)"),
    "CHARACTER VARYING": ("string", "CAST({} AS TEXT)"),
    "TIMESTAMP WITHOUT TIME ZONE": ("instant", ""),  # it stays: our sessions are in UTC, and so were Stitch's
    "JSON": ("nested", "CAST({} AS JSONB)"),
}
"""Types of Stitch's columns, the kind that they hold, and how their values become ours."""


def _widen(table: str, column: str, spelt: str) -> str:
    from sqlalchemy.dialects import postgresql

    kind, made = WIDER.get(spelt, ("number", "{}"))  # NUMERIC with a limit
    if not made:
        return ""
    wanted = PostgresSql.kinds()[kind].compile(dialect=postgresql.dialect())  # type: ignore[no-untyped-call]
    return f"ALTER TABLE {table} ALTER COLUMN {column} TYPE {wanted} USING {made.format(column)}"


ADOPTION = Adoption(kinds={spelt: kind for spelt, (kind, _) in WIDER.items()}, widen=_widen)


LIMITS = """
SELECT substring(d.text FROM position(' USING ' || m.amname || ' (' IN d.text))
FROM pg_catalog.pg_index AS i
JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_am AS m ON m.oid = c.relam
CROSS JOIN LATERAL (SELECT pg_catalog.pg_get_indexdef(i.indexrelid) AS text) AS d
CROSS JOIN LATERAL (
    SELECT bool_and(coalesce(a.attname = ANY (%s), false)) AS ours, bool_or(a.attlen < 0) AS long
    FROM (
        SELECT CAST(unnest(i.indkey) AS integer) AS number
        UNION SELECT n.refobjsubid FROM pg_catalog.pg_depend AS n
        WHERE n.objid = i.indexrelid AND n.refobjid = i.indrelid
        AND n.classid = 'pg_catalog.pg_class'::regclass AND n.refclassid = n.classid
    ) AS used
    LEFT JOIN pg_catalog.pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = used.number
    WHERE used.number <> 0
) AS o
WHERE i.indrelid = CAST(%s AS regclass) AND i.indisvalid AND o.ours AND position('.*' IN d.text) = 0
AND (o.long OR i.indexprs IS NOT NULL OR i.indpred IS NOT NULL)
"""
"""Indexes of a table that use none but the given columns: what follows the table's name where they are made. Those of
an expression over the whole row name the table, and are left out."""


class PostgresSql(AlchemySql):
    """One open connection. `place` says where, for errors."""

    traits = TRAITS
    starts = "BEGIN ISOLATION LEVEL READ COMMITTED"  # whatever the role's default is

    def __init__(self, connection: Connection, *, place: str, adopt: bool = False) -> None:
        super().__init__(connection)
        self.adoption = ADOPTION if adopt else None
        self._driver: Driver[Any] = connection.connection.driver_connection  # type: ignore[assignment]
        self._place = place
        self._temporary: dict[str, Sequence[tuple[str, str]]] = {}
        self._appended: dict[str, int] = {}
        self._analyzed: dict[str, int] = {}

    @staticmethod
    def kinds() -> Mapping[Kind, TypeEngine[Any]]:
        """Postgres's types."""
        from sqlalchemy import BigInteger, Boolean, Date, DateTime, Numeric, Text
        from sqlalchemy.dialects.postgresql import JSONB

        return {
            "string": Text(),
            "integer": BigInteger(),
            "number": Numeric(),
            "boolean": Boolean(),
            "instant": DateTime(timezone=True),
            "date": Date(),
            "nested": JSONB(),
        }

    def bulk(self, table: str, columns: Sequence[BulkColumn], count: int) -> None:
        """COPY."""
        if not count:
            return
        names = ", ".join(self.quote(column.name) for column in columns)
        text = f"COPY {table} ({names}) FROM STDIN ({FORMAT})"
        with self._refusing(text), self._driver.cursor() as cursor, cursor.copy(text.replace("%%", "%")) as copy:
            for piece in pieces(columns, count):
                copy.write(piece)
        self._analyze(table, count)

    def _analyze(self, table: str, count: int) -> None:
        """Each time a session has doubled a table, let the planner know its keys: autovacuum comes once a minute, and
        until then keys are looked up by reading the whole table (measured: three times slower at 300,000 rows)."""
        rows = self._appended[table] = self._appended.get(table, 0) + count
        if rows < max(ANALYZE_FROM, 2 * self._analyzed.get(table, 0)):
            return
        self._analyzed[table] = rows
        keys = self.query(
            "SELECT DISTINCT a.attname FROM pg_catalog.pg_index AS i JOIN pg_catalog.pg_attribute AS a "
            "ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey) WHERE i.indrelid = CAST(%s AS regclass)",
            [table.replace("%%", "%")],
        )
        if keys:
            self.execute(f"ANALYZE (SKIP_LOCKED) {table} ({', '.join(self.quote(key) for (key,) in keys)})")

    def temporary(self, name: str, columns: Sequence[tuple[str, str]]) -> str:
        """An empty temporary table; it lives as long as the connection and is empty after each transaction."""
        quoted = self.quote(name)
        if self._temporary.get(name) != columns:
            self._temporary.pop(name, None)
            listed = ", ".join(f"{self.quote(column)} {kind}" for column, kind in columns)
            self.execute(f"DROP TABLE IF EXISTS pg_temp.{quoted}")
            self.execute(f"CREATE TEMPORARY TABLE {quoted} ({listed}) ON COMMIT DELETE ROWS")
            self._temporary[name] = list(columns)
        return quoted

    def columns(self, schema: str) -> Mapping[str, Mapping[str, str]]:
        """Tables and columns, asked of the catalog: every batch asks, and SQLAlchemy's reflection reads ten times as
        much."""
        found: dict[str, dict[str, str]] = {}
        for table, column, kind in self.query(
            "SELECT c.relname, a.attname, upper(pg_catalog.format_type(a.atttypid, a.atttypmod)) "
            "FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace "
            "LEFT JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped "
            "WHERE n.nspname = %s AND c.relkind IN ('r', 'p') ORDER BY c.oid, a.attnum",
            [schema],
        ):
            found.setdefault(table, {})
            if column is not None:
                found[table][column] = kind
        return found

    def micros(self, expression: str) -> str:
        """Microseconds since 1970, exactly: the seconds of `extract` are a numeric."""
        return f"CAST(extract(epoch FROM {expression}) * 1000000 AS BIGINT)"

    def findable(self, table: str, columns: Sequence[str], *, unique: bool) -> Sequence[str]:
        """A primary key, or an index."""
        listed = ", ".join(columns)
        if unique:
            return (f"ALTER TABLE {table} ADD PRIMARY KEY ({listed})",)
        return (f"CREATE INDEX ON {table} ({listed})",)

    def limits(self, table: str, like: str, columns: Sequence[str]) -> Sequence[str]:
        """The indexes whose entries may be too large, or whose expressions may fail, made again; none is unique."""
        found = self.query(LIMITS, [list(columns), like.replace("%%", "%")])
        tails = [str(tail).replace(" NULLS NOT DISTINCT", "").replace("%", "%%") for (tail,) in found]
        return [f"CREATE INDEX ON {table}{tail}" for tail in tails]

    def dependents(self, schema: str, table: str, column: str) -> Sequence[str]:
        """Views and whatever else the catalog says depends on the column; indexes too."""
        found = self.query(
            "SELECT DISTINCT CASE d.classid WHEN 'pg_catalog.pg_rewrite'::regclass THEN "
            "(SELECT pg_catalog.pg_describe_object('pg_catalog.pg_class'::regclass, r.ev_class, 0) "
            "FROM pg_catalog.pg_rewrite AS r WHERE r.oid = d.objid) "
            "ELSE pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid) END "
            "FROM pg_catalog.pg_depend AS d JOIN pg_catalog.pg_attribute AS a "
            "ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid "
            "JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid "
            "JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace "
            "WHERE d.refclassid = 'pg_catalog.pg_class'::regclass AND n.nspname = %s AND c.relname = %s "
            "AND a.attname = %s ORDER BY 1",
            [schema, table, column],
        )
        return [str(name) for (name,) in found]

    def refused(self, error: Exception, text: str) -> ConnectorError | None:
        """See `errors.py`."""
        return sorted_out(error, text, place=self._place, lost=self.lost(error))

    def lost(self, error: Exception) -> bool:
        """Whether the connection is gone."""
        return super().lost(error) or self._driver.closed or ended(error)
