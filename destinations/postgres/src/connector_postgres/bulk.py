"""Bulk loading: rows column by column, as the text that COPY reads.

Everything is done for a column at once, in C: one join and a few replacements escape all texts of a column, one zip
and one join make the lines. That is several times faster than handing the driver one row after the other, and the
server reads the text form as fast as the binary one. Values are canonical, so their text means the same to every
server, whatever its settings.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import repeat
from typing import Any

from connector_core.sql import BulkColumn, Same
from connector_core.tables import Kind

CELLS = 50_000  # of one piece of the stream: what is in memory as text at a time
NULL = "\\N"
BOOLEANS = {True: "t", False: "f", None: NULL}
PLAIN: frozenset[Kind] = frozenset(("number", "instant", "date"))
"""Kinds whose canonical texts have no character that COPY reads in another way."""

ESCAPES = (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r"))
"""What COPY reads in another way, the backslash first."""

_BETWEEN = "\0"  # between the texts of a column while they are escaped: no text that Postgres can hold has it


def pieces(columns: Sequence[BulkColumn], count: int) -> Iterator[bytes]:
    """The rows as COPY text, some 50,000 cells at a time."""
    rows = max(1, CELLS // len(columns))
    for begin in range(0, count, rows):
        end = min(begin + rows, count)
        cells = [_cells(column, begin, end) for column in columns]
        yield ("\n".join(map("\t".join, zip(*cells, strict=True))) + "\n").encode()


def _cells(column: BulkColumn, begin: int, end: int) -> Sequence[str] | repeat[str]:
    """The texts of one column's values."""
    if isinstance(column.values, Same):
        return repeat(_texts(column.kind, (column.values.value,))[0], end - begin)
    return _texts(column.kind, column.values[begin:end])


def _texts(kind: Kind, values: Sequence[Any]) -> Sequence[str]:
    if kind == "boolean":
        return [BOOLEANS[value] for value in values]
    if kind == "integer":
        return [NULL if value is None else str(value) for value in values] if None in values else [*map(str, values)]
    if kind in PLAIN:
        return [NULL if value is None else value for value in values] if None in values else values
    return _escaped(values)


def _escaped(values: Sequence[Any]) -> Sequence[str]:
    nulls = None in values
    joined = _BETWEEN.join([value or "" for value in values] if nulls else values)
    special = [(raw, escape) for raw, escape in ESCAPES if raw in joined]
    if special:
        for raw, escape in special:
            joined = joined.replace(raw, escape)
        texts = joined.split(_BETWEEN)
        return [NULL if value is None else text for value, text in zip(values, texts, strict=True)] if nulls else texts
    return [NULL if value is None else value for value in values] if nulls else values
