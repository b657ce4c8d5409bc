"""One open file, read record by record: lines, CSV rows, JSON values, and what could not be read of them."""

from __future__ import annotations

import csv
import gzip
import json
import os
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal, InvalidOperation
from io import BufferedReader
from typing import Any, Final, NamedTuple

from connector_core.errors import Place, SourceError

from .listing import File, identity, unreadable
from .settings import Form

PAGE: Final = 1024 * 1024
"""Bytes (unpacked) of a page; it may exceed them by one record."""
LONGEST: Final = 4 * 1024 * 1024
"""Bytes of a CSV record over several lines; beyond that its first quote is taken for a stray one."""
LONGEST_LINE: Final = 16 * 1024 * 1024
RESERVED: Final = ("_file", "_file_line", "_file_modified_at")
"""Columns that the source adds: a header's column of that name gets a number."""
_MARK: Final = b"\xef\xbb\xbf"
_WIDE: Final = (b"\xff\xfe", b"\xfe\xff")


class Entry(NamedTuple):
    """One record: the line on which it begins and its cells or properties; or its text, and why it is `wrong`."""

    line: int
    value: Any
    wrong: str = ""


class _BadRecord(Exception):  # noqa: N818 - the record is what is bad
    """The record cannot be read; the text says why."""


class Reader:
    """A file at a position: `offset` unpacked bytes and `line` lines lie before the next record.

    `names` are the columns of a CSV file, `ended` says that nothing is left, `check` that it is the same file.
    Raises `SourceError` when the file is not the one that was listed, is damaged or cannot be read.
    """

    def __init__(self, file: File, form: Form, *, offset: int = 0, line: int = 0) -> None:
        self._file, self._form = file, form
        self._held: deque[bytes] = deque()
        self._taken: list[bytes] = []
        self._size = 0
        self.offset = self.line = 0
        self.names = _unique(form.columns)
        self.ended = False
        self._csv = form.format_of(file.name) == "csv"
        try:
            self._raw = file.path.open("rb")
        except FileNotFoundError:
            raise self._changed("is gone") from None
        except OSError as error:
            raise unreadable(file.name, error) from error
        packed = file.name.endswith(".gz")
        self._bytes: gzip.GzipFile | BufferedReader = gzip.GzipFile(fileobj=self._raw) if packed else self._raw
        self.check()
        self._start()
        if offset:
            self._guarded(lambda: self._bytes.seek(offset))
            self._held.clear()
            self.offset, self.line = offset, line

    def close(self) -> None:
        """Close the file."""
        self._bytes.close()
        self._raw.close()

    def check(self) -> None:
        """Raise `SourceError` when the file was written to or replaced since it was listed."""
        try:
            same = identity(os.fstat(self._raw.fileno())) == identity(self._file.path.stat()) == self._file.identity
        except FileNotFoundError:
            raise self._changed("is gone") from None
        except OSError as error:
            raise unreadable(self._file.name, error) from error
        if not same:
            raise self._changed("was changed")

    def entries(self, most: int = PAGE) -> Iterator[Entry]:
        """The next records, until `most` bytes are read or the file is at its end; blank lines are passed over."""
        until = self.offset + most
        rows = self._rows() if self._csv else self._values()
        while self.offset < until:
            entry = next(rows, None)
            if entry is None:
                self.ended = True
                return
            yield entry

    def _start(self) -> None:
        first = self._guarded(self._read_line)
        if first.startswith(_WIDE) and self._form.encoding == "utf-8":
            raise self._damaged("it begins as UTF-16 does, which is not read; store it as UTF-8")
        if first.startswith(_MARK) and self._form.encoding == "utf-8":
            self.offset, first = len(_MARK), first[len(_MARK) :]
        if first:
            self._held.append(first)
        if self._csv and self._form.header:
            header = next(self._rows(), None)
            if header is not None and header.wrong:
                raise self._damaged(f"its header cannot be read: {header.wrong}")
            self.names = _unique(header.value if header is not None else ())

    # --- lines

    def _read_line(self) -> bytes:
        return self._bytes.readline(LONGEST_LINE + 1)

    def _guarded(self, act: Callable[[], Any]) -> Any:
        try:
            return act()
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise self._damaged(f"it cannot be unpacked: {error}") from error
        except OSError as error:
            raise unreadable(self._file.name, error) from error

    def _line(self) -> bytes:
        line: bytes = self._held.popleft() if self._held else self._guarded(self._read_line)
        if len(line) > LONGEST_LINE:
            raise self._damaged(f"line {self.line + len(self._taken) + 1} has more than {LONGEST_LINE:,} bytes")
        return line

    def _text(self, line: bytes) -> str:
        try:
            return line.decode(self._form.encoding)
        except UnicodeDecodeError as error:
            raise _BadRecord(f"byte {error.start + 1} of the line is not {self._form.encoding}") from None

    def _done(self) -> int:
        """The taken lines are a record: move over them; returns the line on which it began."""
        began = self.line + 1
        self.offset += self._size
        self.line += len(self._taken)
        self._taken, self._size = [], 0
        return began

    def _refused(self, why: str) -> Entry:
        """The first line of what was taken is no record; what came after it is read anew."""
        first, *others = self._taken
        self._held.extendleft(reversed(others))
        self._taken, self._size = [first], len(first)
        text = first.decode(self._form.encoding, errors="backslashreplace").rstrip("\r\n")
        return Entry(self._done(), text, why)

    # --- CSV

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        """The next line for the CSV reader, which asks for more as long as a quote is open."""
        line = self._line()
        if not line:
            raise StopIteration
        self._taken.append(line)
        self._size += len(line)
        if len(self._taken) > 1 and self._size > LONGEST:
            raise _BadRecord("a quote is not closed")
        return self._text(line)

    def _rows(self) -> Iterator[Entry]:
        csv.field_size_limit(LONGEST_LINE)  # of the whole process: no other limit than ours
        while True:
            reader = csv.reader(self, delimiter=self._form.delimiter, strict=True)
            try:
                for cells in reader:
                    if not cells:
                        self._done()
                    elif self.names and len(cells) != len(self.names):
                        yield self._whole(f"{len(cells)} cells where there are {len(self.names)} columns")
                    else:
                        yield Entry(self._done(), cells)
                return
            except (csv.Error, _BadRecord) as error:
                yield self._refused(str(error))

    def _whole(self, why: str) -> Entry:
        """All lines of what was taken are one record that is no good."""
        text = b"".join(self._taken).decode(self._form.encoding).rstrip("\r\n")
        return Entry(self._done(), text, why)

    # --- NDJSON

    def _values(self) -> Iterator[Entry]:
        while line := self._line():
            self._taken, self._size = [line], len(line)
            if not line.strip():
                self._done()
                continue
            try:
                value = _record(self._text(line).rstrip("\r\n"))
            except _BadRecord as error:
                yield self._refused(str(error))
            else:
                yield Entry(self._done(), value)

    # --- problems

    def _damaged(self, why: str) -> SourceError:
        return SourceError(
            f"the file is damaged: {why}",
            hint="put a whole file in its place; what was read before it is stored",
            place=Place(file=self._file.name),
            code="file_damaged",
        )

    def _changed(self, how: str) -> SourceError:
        return SourceError(
            f"the file {how} while it was read",
            hint="the next run reads it from its start; write files under another name and rename them when they are "
            "complete",
            place=Place(file=self._file.name),
            code="file_changed",
        )


def _unique(cells: Sequence[str]) -> tuple[str, ...]:
    """The header's names; an empty one is column_N, one that occurs again gets a number."""
    names: list[str] = []
    for number, cell in enumerate(cells, 1):
        wanted = name = cell.strip() or f"column_{number}"
        nth = 1
        while name in names or name in RESERVED:
            nth += 1
            name = f"{wanted}_{nth}"
        names.append(name)
    return tuple(names)


def numbered(cells: Sequence[str]) -> tuple[str, ...]:
    """Names for the cells of a file without header."""
    return tuple(f"column_{number}" for number in range(1, len(cells) + 1))


def _record(text: str) -> dict[str, Any]:
    value = _json(text)
    if not isinstance(value, dict):
        raise _BadRecord("it is no object")
    if clash := value.keys() & set(RESERVED):
        raise _BadRecord(f"it has a property named {min(clash)}")
    return value


def _json(text: str) -> Any:
    try:
        return json.loads(text, parse_float=Decimal, parse_constant=_no_constant, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        raise _BadRecord(f"it is not JSON: {error.msg} at character {error.pos + 1}") from None
    except (ValueError, InvalidOperation):
        raise _BadRecord("it has a number that cannot be read") from None
    except RecursionError:
        raise _BadRecord("it is nested too deeply") from None


def _no_constant(name: str) -> Any:
    raise _BadRecord(f"it is not JSON: {name}")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise _BadRecord("an object names a property twice")
    return value
