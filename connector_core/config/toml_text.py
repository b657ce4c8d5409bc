"""Writing TOML: values, keys, and lines whose comments stand in one column. Reading is `document.py`'s part."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime, time
from typing import Any

COMMENT_COLUMN = 40  # where comments begin when the line leaves room

_BARE = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


def key(name: str) -> str:
    """A key as TOML writes it: bare where it may be, else quoted."""
    return name if _BARE.fullmatch(name) else text(name)


def text(value: str) -> str:
    """A basic string. JSON's escapes are TOML's, but TOML also wants DEL escaped."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def value(item: Any) -> str:
    """A value on one line: text, number, boolean, date, time, list, or a mapping as an inline table.

    Raises TypeError for what TOML does not have (None).
    """
    if isinstance(item, str):
        return text(item)
    if isinstance(item, bool):
        return "true" if item else "false"
    if isinstance(item, int):
        return str(item)
    if isinstance(item, float):
        return repr(item) if math.isfinite(item) else str(item)
    if isinstance(item, datetime):
        return item.isoformat().replace("+00:00", "Z")
    if isinstance(item, (date, time)):
        return item.isoformat()
    if isinstance(item, Mapping):
        inside = ", ".join(f"{key(name)} = {value(inner)}" for name, inner in item.items())
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(item, (list, tuple)):
        return f"[{', '.join(map(value, item))}]"
    raise TypeError(f"TOML has no {type(item).__name__}")


def header(*names: str, about: str = "") -> str:
    """The line that opens a table."""
    return _commented(f"[{'.'.join(map(key, names))}]", about)


def setting(name: str, item: Any, *, about: str = "", out: bool = False) -> str:
    """One line `name = value  # about`. With `out` it is commented out: shown, and not in force."""
    return _commented(f"{'# ' if out else ''}{key(name)} = {value(item)}", about)


def comment(lines: Iterable[str]) -> list[str]:
    """Lines of a comment; what is not printable, which TOML forbids there, becomes a blank."""
    return [f"# {_plain(line)}".rstrip() for line in lines]


def _commented(line: str, about: str) -> str:
    about = _plain(" ".join(about.split()))
    return f"{line:<{COMMENT_COLUMN - 2}} # {about}" if about else line


def _plain(line: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in line)
