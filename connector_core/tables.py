"""Tables, columns and column-wise rows: the shape in which records travel from `shape` to a destination."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["string", "integer", "number", "boolean", "instant", "date", "nested"]
"""The type of a column. Its canonical values, as the engine hands them to a destination (None is NULL):

    string   str, no lone surrogates; U+0000 only where `Traits.nul_in_text`
    integer  int, 64 bit
    number   str, a plain decimal without exponent and without trailing zeros of the fraction: "-12.5", "3"
    boolean  bool
    instant  str, UTC: "2016-03-01T08:00:05Z" or with one to six digits of a second "2016-03-01T08:00:05.25Z"
    date     str "2016-03-01"
    nested   str, JSON text with sorted keys
"""

Path = tuple[str, ...]
"""Names of properties from the record (or the item of an array) down to a value; () is the item itself."""

Slot = tuple[Path, Kind]
"""What a column holds: values of one path and one kind. A split path has several slots."""


@dataclass(frozen=True, kw_only=True)
class Traits:
    """What a destination can hold; fixed per destination, known before the first record.

    `name_bytes` longest identifier in UTF-8 bytes; `fold` what becomes of an identifier's case; `case_sensitive`
    whether `Id` and `id` are two columns; `suffixes` for split columns by kind; `rename_on_split` (`col` becomes
    `col__bi` and `col__st` is added) or not (`col` stays, `col__st` is added); `nested_natively` default of the
    `nested` setting; `nested_digits` most digits of a number inside a nested value, None for any; `decimal` (precision,
    scale) of a number column, None for any; `text_bytes` longest text; `columns` most columns of a table; `reserved`
    identifiers (folded) that cannot be columns; `ddl_in_transaction` whether DDL rolls back with the transaction.
    """

    name_bytes: int
    fold: Literal["keep", "lower", "upper"] = "keep"
    case_sensitive: bool = True
    suffixes: Mapping[Kind, str]
    rename_on_split: bool = True
    nested_natively: bool = False
    nested_digits: int | None = None
    decimal: tuple[int, int] | None = None
    text_bytes: int | None = None
    nul_in_text: bool = False
    columns: int | None = None
    reserved: frozenset[str] = frozenset()
    ddl_in_transaction: bool = True


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of a table: the values of `path` that have `kind`, under the identifier `name`."""

    path: Path
    kind: Kind
    name: str

    @property
    def slot(self) -> Slot:
        """Path and kind: what identifies the column when its name changes."""
        return self.path, self.kind


@dataclass(frozen=True, kw_only=True)
class Table:
    """One table: the root table of a stream (`path` is ()) or the subtable of an array.

    `columns` are the data columns in their order; `key` the columns of the primary key (root tables; empty without
    one). `levels` is the number of `_sdc_level_<n>_id` columns: 0 for a root table. System columns are not listed:
    `write` adds them.
    """

    stream: str
    path: Path
    name: str
    columns: tuple[Column, ...]
    key: tuple[Column, ...] = ()
    levels: int = 0


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Rows of one table in one batch, column by column.

    `values[i]` holds the canonical values of `table.columns[i]`, each `count` long. For a subtable `owner[r]` is the
    position (from 0) of the root record within the `Part` and `levels[k][r]` the index in the array of nesting level
    k. For a root table `owner` is `range(count)` and `levels` is empty.
    """

    table: Table
    count: int
    values: tuple[Sequence[Any], ...]
    owner: Sequence[int]
    levels: tuple[Sequence[int], ...] = ()


@dataclass(frozen=True, kw_only=True)
class RegisteredColumn:
    """A column that the destination remembers in `_sdc_columns`; `present` tells whether the table really has it."""

    stream: str
    table_path: Path
    table: str
    path: Path
    kind: Kind
    name: str
    present: bool = True


@dataclass(frozen=True, kw_only=True)
class RegisteredTable:
    """A table that the destination remembers in `_sdc_tables`, with the shape its rows were last written in.

    `shape` is the digest of what was declared (fields, types, `schema`, `nested`), `shape_version` rises when it
    changes or a column is repaired; `table_version` is `_sdc_table_version`.
    """

    stream: str
    path: Path
    name: str
    shape: str
    shape_version: int
    table_version: int
    present: bool = True
