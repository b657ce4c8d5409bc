"""Types from samples: what the columns of a stream hold, why that is thought, and cells turned into values."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?")
_PADDED = re.compile(r"[+-]?0[0-9]+(?:\.[0-9]+)?|\+[0-9.]+")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_INSTANT = re.compile(_DATE.pattern + r"[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?(?:Z|[+-][0-9]{2}:?[0-9]{2})?")
_BOOLEANS: Final = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}

WORDS: Final = {
    "integer": "whole numbers",
    "number": "numbers",
    "boolean": "true or false",
    "date": "dates",
    "date-time": "instants",
    "string": "text",
    "padded": "numbers with leading zeros or a plus, which a number would lose",
    "nested": "objects or arrays",
}


def kind_of(value: Any) -> str | None:
    """What a value is: a kind, padded or nested; None for nothing. Texts of CSV cells are judged by their form."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, Decimal):
        return "number"
    if not isinstance(value, str):
        return "nested"
    return "date-time" if _is_instant(value) else "date" if _is_date(value) else "string"


def kind_of_cell(cell: str) -> str | None:
    """What a CSV cell is by its form; None for an empty one."""
    if not cell:
        return None
    if _INTEGER.fullmatch(cell):
        return "integer"
    if _NUMBER.fullmatch(cell):
        return "number"
    if cell in _BOOLEANS:
        return "boolean"
    return "padded" if _PADDED.fullmatch(cell) else kind_of(cell)


def _is_date(text: str) -> bool:
    return _DATE.fullmatch(text) is not None and _exists(text)


def _is_instant(text: str) -> bool:
    return _INSTANT.fullmatch(text) is not None and _exists(text[:10])


def _exists(day: str) -> bool:
    try:
        datetime.strptime(day, "%Y-%m-%d")
    except ValueError:
        return False
    return True


@dataclass(kw_only=True)
class Column:
    """What the samples have in one column: how many values of which kind."""

    found: dict[str, int] = field(default_factory=dict)

    def kind(self) -> str | None:
        """The kind that holds all values of the samples; None when only the engine can say, value by value."""
        kinds = set(self.found)
        if "nested" in kinds:
            return None
        if kinds <= {"integer", "number"} and kinds:
            return "number" if "number" in kinds else "integer"
        return kinds.pop() if len(kinds) == 1 and "padded" not in kinds else "string"

    def why(self) -> str:
        """Why, without a value."""
        if not self.found:
            return "no value in the samples"
        parts = sorted(self.found.items(), key=lambda item: -item[1])
        return ", ".join(f"{count:,} {WORDS[kind]}" for kind, count in parts)


def note(found: dict[str, Column], values: Iterable[tuple[str, Any]], kind: Callable[[Any], str | None]) -> None:
    """Count one record's values in the columns of its names."""
    for name, value in values:
        column = found.setdefault(name, Column())
        if (one := kind(value)) is not None:
            column.found[one] = column.found.get(one, 0) + 1


def declared(kind: str | None, *, key: bool = False) -> dict[str, Any]:
    """The JSON Schema of a kind."""
    if kind is None:
        return {}
    plain = "string" if kind in ("date", "date-time") else kind
    shape: dict[str, Any] = {"type": plain if key else [plain, "null"]}
    return {**shape, "format": kind} if kind in ("date", "date-time") else shape


def _number(cell: str) -> Any:
    return Decimal(cell) if _NUMBER.fullmatch(cell) else cell


def _integer(cell: str) -> Any:
    return int(cell) if _INTEGER.fullmatch(cell) else cell


def _boolean(cell: str) -> Any:
    return _BOOLEANS.get(cell, cell)


def converter(shape: Mapping[str, Any] | None) -> Callable[[str], Any] | None:
    """Turns a cell (not an empty one) into a value of the declared type; a cell that is none stays text, for which the
    engine has a column or a reject. None when cells stay as they are."""
    types = (shape or {}).get("type", ())
    for name, convert in (("integer", _integer), ("number", _number), ("boolean", _boolean)):
        if name in types:
            return convert
    return None
