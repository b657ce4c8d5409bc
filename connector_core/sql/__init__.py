"""What the commit protocol asks of a database: the small `Sql` protocol, and names as they stand in statements."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from connector_core.tables import Kind, Traits

V = TypeVar("V")


@dataclass(frozen=True)
class Same:
    """One value for every row of a bulk column; a database may send it once."""

    value: Any


@dataclass(frozen=True, kw_only=True)
class BulkColumn:
    """A column of rows on their way into a table: `values` are canonical values of `kind`, one per row."""

    name: str
    kind: Kind
    values: Sequence[Any] | Same


@dataclass(frozen=True, kw_only=True)
class Adoption:
    """How a destination continues tables of Stitch: `kinds` are column types (without lengths, spelt as `Sql.columns`
    spells them) whose values a kind holds exactly, and `widen(table, column, type)` gives the statement that makes a
    column of such a type one of the kind's own type, empty where it holds all that a kind has; table and column are
    quoted."""

    kinds: Mapping[str, Kind]
    widen: Callable[[str, str, str], str]


class Sql(Protocol):
    """An open connection, used by one thread.

    Errors are `DestinationError` or one of its kinds, `RetryableError` where nothing was written and the same
    transaction may succeed when repeated, `BusyError` where another process holds what is needed. Identifiers in a
    text are always quoted by `quote`, values always parameters. A text is plain SQL that Postgres, Snowflake and DuckDB
    read alike.
    """

    traits: Traits
    placeholder: str
    """What stands for a parameter: "?" or "%s"."""
    adoption: Adoption | None
    """Set where the user wants tables of Stitch to be continued."""

    def begin(self) -> None:
        """Start a transaction. Where DDL commits implicitly (`traits.ddl_in_transaction` false) it is only executed
        outside one."""

    def commit(self) -> None:
        """Raises `UnknownCommitError` when it cannot be told whether the commit happened."""

    def rollback(self) -> None:
        """Give the transaction up; never raises, also when none is open."""

    def execute(self, text: str, parameters: Sequence[Any] = ()) -> int:
        """Execute one statement; returns the number of rows it inserted, updated or deleted (0 for DDL)."""

    def query(self, text: str, parameters: Sequence[Any] = ()) -> Sequence[tuple[Any, ...]]:
        """Execute one SELECT of texts, integers and booleans; returns all its rows."""

    def bulk(self, table: str, columns: Sequence[BulkColumn], count: int) -> None:
        """Append `count` rows to `table` (quoted), exactly as they are. Belongs to the open transaction."""

    def make_schema(self, name: str) -> None:
        """Make a schema unless it exists; one that does may be used without the right to make one."""

    def temporary(self, name: str, columns: Sequence[tuple[str, str]]) -> str:
        """An empty temporary table with (column, type) pairs, made anew if it exists; returns its quoted name.

        Seen by this connection only. Called outside transactions.
        """

    def columns(self, schema: str) -> Mapping[str, Mapping[str, str]]:
        """Tables of `schema` with the types of their columns, spelt as `type_name` spells them; empty when there is no
        such schema."""

    def type_name(self, kind: Kind) -> str:
        """The column type for a kind."""

    def quote(self, identifier: str) -> str:
        """The identifier as it stands in a text, whatever characters it has."""

    def given(self, kind: Kind) -> str:
        """A parameter with a type of its own, so that no database has to guess one."""

    def micros(self, expression: str) -> str:
        """An integer expression: microseconds since 1970 (UTC) of an instant."""

    def findable(self, table: str, columns: Sequence[str], *, unique: bool) -> Sequence[str]:
        """Statements after which rows of a new table (all names are quoted) are found quickly by the values of
        `columns`, which are never NULL and, with `unique`, occur once. Only speed may depend on them: users drop what
        they make. None where the database needs none."""

    def limits(self, table: str, like: str, columns: Sequence[str]) -> Sequence[str]:
        """Statements after which the new table `table` refuses the values that indexes of the table `like` refuse (both
        are quoted), as far as these have to do with `columns` alone; for tables in which rows wait for another one."""

    def dependents(self, schema: str, table: str, column: str) -> Sequence[str]:
        """What users have made that depends on a column, views and indexes, each as a text for people. Asked before a
        column is renamed; none where the database refuses the renaming by itself."""


ASCII_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


@dataclass(frozen=True, kw_only=True)
class Namespace:
    """A schema of an open database: quotes and joins the names of what is in it."""

    sql: Sql
    name: str

    def table(self, name: str) -> str:
        """The qualified, quoted name of a table."""
        return f"{self.sql.quote(self.name)}.{self.sql.quote(name)}"

    def names(self, columns: Iterable[str]) -> str:
        """Quoted column names, separated by commas."""
        return ", ".join(map(self.sql.quote, columns))

    def given(self, kind: Kind) -> str:
        """A parameter for a canonical value of a kind."""
        return self.sql.given(kind)

    def same(self, identifier: str) -> str:
        """What two identifiers share when the database takes them for one."""
        return identifier if self.sql.traits.case_sensitive else identifier.translate(ASCII_LOWER)

    def there(self) -> Mapping[str, Mapping[str, str]]:
        """What is really in the schema (`Sql.columns`); tables and columns are found under any spelling that the
        database takes for theirs."""
        return _Found(
            {table: _Found(columns, self.same) for table, columns in self.sql.columns(self.name).items()}, self.same
        )


class _Found(Mapping[str, V]):
    """Things by name: iteration gives the names as they are, look-up takes whatever is the `same`."""

    def __init__(self, things: Mapping[str, V], same: Callable[[str], str]) -> None:
        self._things, self._same = things, same
        self._names = {same(name): name for name in things}

    def __getitem__(self, name: str) -> V:
        return self._things[self._names[self._same(name)]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._things)

    def __len__(self) -> int:
        return len(self._things)
