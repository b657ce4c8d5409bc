"""Printing results: aligned tables for people, one line of JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import date, datetime, timedelta
from typing import Any

from connector_core.redact import printable

NOWHERE_WIDTH = 10_000  # into a file or pipe tables are as wide as they are: nothing is cut or wrapped


def print_line(text: str = "") -> None:
    """One line to standard output. The caller has redacted it; terminal escapes are taken out here."""
    print(printable(text), file=sys.stdout)


def print_json(value: Any) -> None:
    """One line of JSON, ASCII only, to standard output."""
    print(json.dumps(value, ensure_ascii=True, separators=(", ", ": ")), file=sys.stdout)


def print_table(
    headers: Sequence[str], rows: Iterable[Sequence[object]], *, numbers: Iterable[int] = (), indent: int = 0
) -> None:
    """Rows under headers, aligned; the columns `numbers` to the right. On a terminal long cells wrap."""
    from rich.console import Console
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else NOWHERE_WIDTH, highlight=False)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=any(headers))
    right = set(numbers)
    for index, header in enumerate(headers):
        table.add_column(Text(header), justify="right" if index in right else "left", header_style="bold")
    for row in rows:
        table.add_row(*(Text(_cell(value)) for value in row))
    shown = Padding(table, (0, 0, 0, indent), expand=False)
    if console.is_terminal:
        console.print(shown)
    else:
        with console.capture() as captured:
            console.print(shown)
        print("\n".join(line.rstrip() for line in captured.get().splitlines()), file=sys.stdout)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, datetime):
        return instant(value)
    return printable(str(value))


def instant(value: datetime | None) -> str:
    """An instant for people, in UTC: 2026-11-23 07:30:00Z."""
    return "" if value is None else f"{value:%Y-%m-%d %H:%M:%S}Z"


def counted(number: int, word: str) -> str:
    """ "1 row", "12,000 rows"."""
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def as_json(value: Any, redact: Callable[[str], str] = str) -> Any:
    """Dataclasses, instants and durations as plain JSON values, every text redacted."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: as_json(getattr(value, f.name), redact) for f in fields(value)}
    if isinstance(value, Mapping):
        return {redact(str(key)): as_json(item, redact) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [as_json(item, redact) for item in value]
    return value
