"""The two schemas of a declared source, in short: what its records hold, and which settings it needs."""

from __future__ import annotations

import string
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

_TYPES: Mapping[str, Mapping[str, str]] = {
    "string": {"type": "string"},
    "integer": {"type": "integer"},
    "number": {"type": "number"},
    "boolean": {"type": "boolean"},
    "date-time": {"type": "string", "format": "date-time"},
    "date": {"type": "string", "format": "date"},
}


def fields(**types: str | Mapping[str, Any]) -> dict[str, Any]:
    """The JSON Schema of an object with these properties: `fields(id="integer", changed="date-time")`.

    A type is one of string, integer, number, boolean, date-time and date, or any JSON Schema: `fields(...)` for an
    object within, `{"type": "array", "items": ...}` for a list. Raises ValueError for another word.
    """
    return {"type": "object", "properties": {name: _schema(name, told) for name, told in types.items()}}


def settings(templates: Iterable[object], secrets: Iterable[str]) -> dict[str, Any]:
    """The JSON Schema of a configuration that holds what `templates` name (a placeholder is `name` or `config.name`)
    and the `secrets`: all of them needed, and nothing else."""
    properties: dict[str, Any] = {name: {"type": "string"} for name in _placeholders(templates)}
    properties |= {name: {"type": "string", "writeOnly": True} for name in secrets}
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _schema(name: str, told: str | Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(told, Mapping):
        return dict(told)
    if told not in _TYPES:
        raise ValueError(f"property {name!r}: {told!r} is no type; there are {', '.join(_TYPES)}, or a JSON Schema")
    return dict(_TYPES[told])


def _placeholders(templates: Iterable[object]) -> Iterator[str]:
    for template in templates:
        for _, name, _, _ in string.Formatter().parse(template) if isinstance(template, str) else ():
            setting = (name or "").removeprefix("config.")
            if setting and not setting.startswith("parent."):
                yield setting
