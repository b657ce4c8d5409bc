"""Bulk loading: rows column by column, as JSON lines in a private file that DuckDB reads with explicit types.

A line holds a list per column for some 1,000 rows, `{"c0": [1, 2], "c1": ["a", null]}`; columns are called c0, c1, ...
so that no name from outside meets the JSON reader. Numbers travel as texts and become DECIMAL exactly, instants as
canonical texts. A list costs DuckDB memory per column, so rows of wide tables travel as objects, one a line; a row too
long for a line travels as parameters.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from connector_core.sql import BulkColumn, Same
from connector_core.tables import Kind

if TYPE_CHECKING:
    import duckdb

ROWS = 1_000  # of one line
LINE = 1024 * 1024  # bytes; a longer row goes as parameters
WIDE = 100  # columns from which on rows travel as objects
TRAVELS = {"number": "DECIMAL(38,9)", "nested": "VARCHAR"}


class Spool:
    """Bulk loading over one connection; `folder` is made when it is first needed."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
        self._connection, self._folder = connection, folder
        self._files = 0

    def append(
        self,
        table: str,
        columns: Sequence[BulkColumn],
        count: int,
        *,
        quote: Callable[[str], str],
        type_name: Callable[[Kind], str],
    ) -> None:
        """Append the rows to `table`."""
        listed = [column for column in columns if not isinstance(column.values, Same)]
        same = [column for column in columns if isinstance(column.values, Same)]
        values = [_list(column.values) for column in listed]
        names = ", ".join(quote(column.name) for column in (*listed, *same))
        into = f"INSERT INTO {table} ({names}) "
        constants = [column.values.value for column in same if isinstance(column.values, Same)]
        wide = len(listed) > WIDE
        path, self._files = self._folder / f"{self._files}.json", self._files + 1
        self._folder.mkdir(mode=0o700, exist_ok=True)
        long: list[int] = []
        longest = 0
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as file:
            for line in _objects(values, count, long) if wide else _lists(values, count, long):
                file.write(line)
                file.write(b"\n")
                longest = max(longest, len(line))
        types = [type_name(column.kind) for column in (*listed, *same)]
        if longest:
            travels = [TRAVELS.get(column.kind, kind) for column, kind in zip(listed, types, strict=False)]
            described = ", ".join(f"'c{i}': '{kind}{'' if wide else '[]'}'" for i, kind in enumerate(travels))
            chosen = [f"c{i}" if wide else f"unnest(c{i})" for i in range(len(listed))]
            chosen = [
                f"CAST({one} AS {kind})" if kind == "JSON" else one for one, kind in zip(chosen, types, strict=False)
            ]
            chosen += [f"CAST(? AS {type_name(column.kind)})" for column in same]
            where = str(path).replace("'", "''")
            self._connection.execute(
                f"{into}SELECT {', '.join(chosen)} FROM read_json('{where}', format = 'newline_delimited', "
                f"columns = {{{described}}}, maximum_object_size = {max(longest + 1, 65_536)})",
                constants,
            )
        for row in long:
            given = ", ".join(f"CAST(? AS {kind})" for kind in types)
            self._connection.execute(f"{into}VALUES ({given})", [*(column[row] for column in values), *constants])
        path.unlink()


def _list(values: Sequence[Any] | Same) -> Sequence[Any]:
    return values if isinstance(values, (list, tuple)) else list(values)  # type: ignore[arg-type]


def _lists(values: Sequence[Sequence[Any]], count: int, long: list[int]) -> Iterator[bytes]:
    """Lines of up to 1,000 rows, fewer where they are long; rows that are too long by themselves are put in `long`."""
    pieces = [(begin, min(begin + ROWS, count)) for begin in range(0, count, ROWS)][::-1]
    while pieces:
        begin, end = pieces.pop()
        line = orjson.dumps({f"c{i}": column[begin:end] for i, column in enumerate(values)})
        if len(line) <= LINE:
            yield line
        elif end - begin == 1:
            long.append(begin)
        else:
            middle = (begin + end) // 2
            pieces += [(middle, end), (begin, middle)]


def _objects(values: Sequence[Sequence[Any]], count: int, long: list[int]) -> Iterator[bytes]:
    """One line per row."""
    names = [f"c{i}" for i in range(len(values))]
    for row, cells in enumerate(zip(*values, strict=True)):
        line = orjson.dumps(dict(zip(names, cells, strict=True)))
        if len(line) <= LINE:
            yield line
        else:
            long.append(row)
