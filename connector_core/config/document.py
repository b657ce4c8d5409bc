"""Reading a TOML file safely, and knowing in which line each key stands.

tomllib gives values without lines, recurses on nested arrays and needs quadratic time for very long dotted keys. So
the text is first scanned once, in linear time: that finds the lines and refuses what is nested deeper than any
configuration is.
"""

from __future__ import annotations

import os
import re
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from connector_core.config.problems import InvalidConfigError, KeyPath, Problem

MOST_BYTES = 256 * 1024
DEEPEST = 32

_PIECE = re.compile(
    r"""
    (?P<skip>[\ \t]+|\#[^\n]*)
  | (?P<long>\"{3}(?:[^\\]|\\.)*?\"{3,5}|'{3}.*?'{3,5})
  | (?P<text>"(?:[^"\\\n]|\\[^\n])*"|'[^'\n]*')
  | (?P<word>[A-Za-z0-9_+:-]+)
  | (?P<newline>\n)
  | (?P<open>["'])
  | (?P<mark>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_AT_LINE = re.compile(r"\(at line (\d+), column (\d+)\)|\(at end of document\)")
_MENDED = (
    ("Invalid value", 'text goes in quotes: name = "value"'),
    ("Expected ']' at the end of a table", "a table is named with letters, digits, _ and -"),
)
"""How tomllib's commonest complaints begin, and what mends them."""


@dataclass(frozen=True, kw_only=True)
class Document:
    """A parsed file: its values, the line (from 1) of every key, and whether every user of the machine may read it."""

    path: Path
    data: dict[str, Any]
    lines: Mapping[KeyPath, int]
    readable_by_all: bool = False


def line_of(lines: Mapping[KeyPath, int], path: KeyPath) -> int | None:
    """The line of a key, or of the nearest table around it; None for what stands nowhere."""
    while path:
        if path in lines:
            return lines[path]
        path = path[:-1]
    return None


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A configuration that is not written yet: its text, and the texts of files of secrets by their full paths."""

    text: str
    files: Mapping[Path, str] = field(default_factory=dict, repr=False)


def read(path: Path) -> Document:
    """Read and parse `path`. Raises `ConfigError` for a file that is missing, a directory, unreadable, empty,
    longer than 256 KiB, not UTF-8, with a byte order mark or CR LF, nested deeper than 32, or not TOML; each in
    well under a second."""
    raw, mode = _bytes_of(path)
    return parse(path, raw, readable_by_all=bool(mode & stat.S_IROTH))


def parse(path: Path, raw: bytes, *, readable_by_all: bool = False) -> Document:
    """Parse what stands, or is going to stand, in the file `path`. Raises `ConfigError` as `read` does."""
    text = _text_of(path, raw)
    lines = _scan(path, text)
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # tomllib's messages hold keys and single characters, never values
        raise _refused(path, *_explained(str(error), text)) from None
    if not data:
        raise _refused(path, "says nothing", hint="it needs at least one [destinations.NAME] and one [connectors.NAME]")
    return Document(path=path, data=data, lines=lines, readable_by_all=readable_by_all)


def _bytes_of(path: Path) -> tuple[bytes, int]:
    where = "give the file with --config PATH or the variable CONNECTOR_CORE_CONFIG"
    try:
        # Without O_NONBLOCK a named pipe would hang here for ever.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    except FileNotFoundError:
        raise _refused(path, "there is no such file", hint=f"{where}, or make one: connector-core init") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a possible name of a file"
        raise _refused(path, f"cannot be read: {reason}", hint="check its owner and its permissions") from None
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode):
        os.close(handle)
        what = "is a directory" if stat.S_ISDIR(status.st_mode) else "is not a regular file"
        raise _refused(path, what, hint=where)
    with os.fdopen(handle, "rb") as file:
        try:
            raw = file.read(MOST_BYTES + 1)
        except OSError as error:
            raise _refused(path, f"cannot be read: {error.strerror}") from None
    if len(raw) > MOST_BYTES:
        raise _refused(path, "is longer than 256 KiB", hint="a configuration is not that long; is it the right file?")
    return raw, status.st_mode


def _text_of(path: Path, raw: bytes) -> str:
    if not raw.strip():
        raise _refused(path, "is empty", hint="it needs at least one [destinations.NAME] and one [connectors.NAME]")
    if raw.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise _refused(path, "starts with a byte order mark", line=1, hint="save it as UTF-8 without BOM")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        line, column = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
        raise _refused(path, f"is not UTF-8 (byte {column} of the line)", line=line, hint="save it as UTF-8") from None
    if (at := text.find("\r")) >= 0:
        line = text.count("\n", 0, at) + 1
        raise _refused(path, "has a carriage return (Windows line ends)", line=line, hint="save it with LF line ends")
    return text


def _explained(message: str, text: str) -> tuple[str, int | None, str]:
    """What tomllib said, the line, and what to do where tomllib's words do not say it."""
    message = message.partition("; use sys.")[0]
    match = _AT_LINE.search(message)
    what = _AT_LINE.sub("", message).strip() or "cannot be parsed"
    hint = next((told for words, told in _MENDED if what.startswith(words)), "")
    if match is None:
        return f"is not valid TOML: {what}", None, hint
    if match[1] is None:
        return f"is not valid TOML: {what} (at the end of the file)", text.count("\n") + 1, hint
    return f"is not valid TOML: {what} (column {match[2]})", int(match[1]), hint


def _refused(path: Path, message: str, line: int | None = None, hint: str = "") -> InvalidConfigError:
    return InvalidConfigError(path, [Problem(path=(), message=message, hint=hint, line=line)], code="config_file")


@dataclass(slots=True)
class _Frame:
    """An open container: the file itself, an inline table or an array."""

    path: KeyPath
    array: bool = False
    keys: list[str] = field(default_factory=list)
    in_value: bool = False

    @property
    def here(self) -> KeyPath:
        return self.path if self.array else (*self.path, *self.keys)


def _scan(path: Path, text: str) -> dict[KeyPath, int]:
    """The line of every key. Lenient with what is not TOML (tomllib will say so), strict with depth."""
    lines: dict[KeyPath, int] = {}
    tables: dict[KeyPath, int] = {}  # how often an [[array of tables]] was opened
    stack = [_Frame(())]
    line, brackets = 1, 0  # brackets: of the [header] or [[header]] we are in
    for match in _PIECE.finditer(text):
        kind, piece, frame = match.lastgroup, match[0], stack[-1]
        if kind == "newline":
            if len(stack) == 1:
                frame.keys, frame.in_value, brackets = [], False, 0
        elif kind == "open":
            break  # a text without end: tomllib stops there too
        elif kind in ("text", "word", "long") and not frame.in_value and not frame.array:
            frame.keys.append(_unquoted(piece))
        elif kind == "mark" and len(stack) == 1 and not frame.in_value and piece in "[]":
            if piece == "[":
                brackets += 1
                frame.path = ()
            elif frame.keys:
                frame.path = _opened(tables, tuple(frame.keys), brackets == 2)
                _note(lines, frame.path, line)
                frame.keys = []
        elif kind == "mark" and (frame.in_value or frame.array):
            if piece in "[{":
                stack.append(_Frame((*frame.here, 0) if piece == "[" else frame.here, array=piece == "["))
            elif piece in "]}" and len(stack) > 1:
                stack.pop()
            elif piece == ",":
                _next(frame)
        elif piece == "=":
            frame.in_value = True
            _note(lines, frame.here, line)
        elif piece == "}" and len(stack) > 1:
            stack.pop()
        if len(stack[-1].path) + len(stack[-1].keys) > DEEPEST:
            raise _refused(path, f"is nested deeper than {DEEPEST} levels", line=line)
        line += piece.count("\n")
    return lines


def _next(frame: _Frame) -> None:
    if frame.array:
        frame.path = (*frame.path[:-1], int(frame.path[-1]) + 1)
    else:
        frame.keys, frame.in_value = [], False


def _opened(tables: dict[KeyPath, int], keys: KeyPath, repeated: bool) -> KeyPath:
    """The path of a header, with the index of each array of tables on the way."""
    found: KeyPath = ()
    for key in keys[:-1]:
        found = (*found, key)
        if found in tables:
            found = (*found, tables[found])
    found = (*found, keys[-1])
    if repeated:
        tables[found] = tables.get(found, -1) + 1
        found = (*found, tables[found])
    return found


def _note(lines: dict[KeyPath, int], path: KeyPath, line: int) -> None:
    for length in range(len(path), 0, -1):
        if path[:length] in lines:
            break
        lines[path[:length]] = line


def _unquoted(piece: str) -> str:
    if piece[0] == "'":
        return piece[1:-1]
    if piece[0] == '"':
        try:
            return str(tomllib.loads(f"k = {piece}")["k"])
        except ValueError:
            return piece[1:-1]
    return piece
