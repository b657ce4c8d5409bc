"""Bulk files: rows as compressed CSV, in memory only, as Snowflake's COPY INTO reads them.

A text stands in quotes, `""` is the empty text, nothing at all is NULL; in quotes every character stands for itself.
The other kinds travel as their canonical texts, which Snowflake casts to the column's type.
"""

from __future__ import annotations

import gzip
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, Any

from connector_core.sql import BulkColumn
from connector_core.tables import Kind

FORMAT = (
    "TYPE = CSV COMPRESSION = GZIP FIELD_OPTIONALLY_ENCLOSED_BY = '\"' ESCAPE_UNENCLOSED_FIELD = NONE "
    "NULL_IF = () EMPTY_FIELD_AS_NULL = TRUE"
)
"""How COPY INTO reads a file. Without NULL_IF, its default would take the text `\\N` for NULL."""

ROWS = 1_000  # encoded at a time
IN_MEMORY = 8 * 1024 * 1024  # bytes, compressed: a batch has less; more goes to a private file that has no name


def _quoted(value: str) -> str:
    return '"' + value.replace('"', '""') + '"'


WAYS: Mapping[Kind, Callable[[Any], str]] = {
    "string": _quoted,
    "integer": str,
    "number": str,
    "boolean": lambda value: "true" if value else "false",
    "instant": str,
    "date": str,
    "nested": _quoted,
}


def lines(columns: Sequence[BulkColumn], count: int, batch: str) -> Iterator[bytes]:
    """The file's lines, some at a time; each begins with `batch`."""
    values = [list(column.values) for column in columns]  # type: ignore[arg-type]
    for begin in range(0, count, ROWS):
        encoded = [
            ["" if value is None else way(value) for value in column[begin : begin + ROWS]]
            for column, way in zip(values, (WAYS[column.kind] for column in columns), strict=True)
        ]
        yield "".join(f"{batch},{','.join(row)}\n" for row in zip(*encoded, strict=True)).encode()


@contextmanager
def packed(columns: Sequence[BulkColumn], count: int, batch: str) -> Iterator[IO[bytes]]:
    """The compressed file, to be read from its beginning. Nothing of it stays on the disk, however the process ends."""
    with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY) as file:
        with gzip.GzipFile(fileobj=file, mode="wb", compresslevel=1, mtime=0) as pressed:
            for piece in lines(columns, count, batch):
                pressed.write(piece)
        file.seek(0)
        yield file
