"""Bulk loading: rows as the CSV that COPY reads.

A row is written as a JSON array by msgspec, some thousands in one call, and JSON is nearly that CSV: quotes and
backslashes in texts are escaped by a backslash, `null` without quotes is NULL, with quotes it is a text. Left to do are
the brackets, which every line has, and the characters that CSV holds as they are and JSON does not (a tab is `\\t`).
That is several times faster than handing the driver one row after the other. Values are canonical, so their text means
the same to every server, whatever its settings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import repeat
from operator import itemgetter

import msgspec

from connector_core.sql import BulkColumn, Same

FORMAT = "FORMAT csv, NULL 'null', ESCAPE '\\'"
"""What COPY has to be told."""

CELLS = 50_000  # of one piece of the stream: what is in memory as text at a time

_encode = msgspec.json.Encoder().encode_lines
_without_brackets = itemgetter(slice(1, -1))
_NOT_CSV = re.compile(rb"\\[bfnrtu]")
_ESCAPE = re.compile(rb"\\(?:\\|[bfnrt]|u00[0-9a-f]{2})")  # of a backslash too: what follows it is no escape
_CHARACTERS = {f"\\u{code:04x}".encode(): bytes((code,)) for code in range(1, 32)}
_CHARACTERS |= {b"\\\\": b"\\\\", b"\\b": b"\b", b"\\f": b"\f", b"\\n": b"\n", b"\\r": b"\r", b"\\t": b"\t"}


def pieces(columns: Sequence[BulkColumn], count: int) -> Iterator[bytes]:
    """The rows as COPY reads them, some 50,000 cells at a time."""
    rows = max(1, CELLS // len(columns))
    for begin in range(0, count, rows):
        end = min(begin + rows, count)
        cells = [
            repeat(column.values.value, end - begin) if isinstance(column.values, Same) else column.values[begin:end]
            for column in columns
        ]
        lines = _encode([*zip(*cells, strict=True)]).split(b"\n")  # the last one is empty, and stays so
        text = b"\n".join(map(_without_brackets, lines))
        yield _ESCAPE.sub(_character, text) if _NOT_CSV.search(text) else text


def _character(found: re.Match[bytes]) -> bytes:
    return _CHARACTERS[found[0]]
