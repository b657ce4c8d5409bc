"""The JSON Schemas of taps (draft 4 and later, and what taps make of it) in the form that the engine reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

_TYPES: Final = ("null", "boolean", "integer", "number", "string", "object", "array")
_SCHEMAS: Final = ("additionalProperties", "not", "contains")
_LISTS: Final = ("anyOf", "oneOf", "allOf")
_NAMED: Final = ("properties", "patternProperties", "definitions", "$defs")
_SHAPE: Final = {"type", "format", "properties", "items", "additionalProperties", *_LISTS}
_LIMITS: Final = {"minLength", "maxLength", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "pattern"}
_KNOWN: Final = {*_SHAPE, *_SCHEMAS, *_NAMED, *_LIMITS, "required", "enum", "const", "$ref", "minItems", "maxItems"}


def modern(schema: Any, *, shape_only: bool = False) -> Any:
    """The same schema in draft 2020-12. What tells a target how to store a value (`multipleOf`), and what is no keyword
    (`selected`, `inclusion`), is left out. With `shape_only` nothing is left but what makes columns."""
    if not isinstance(schema, Mapping):
        return schema if isinstance(schema, bool) else {}
    kept = _SHAPE if shape_only else _KNOWN
    out: dict[str, Any] = {}
    for name, value in schema.items():
        if name not in kept:
            continue
        if name == "type":
            types = [one for one in ([value] if isinstance(value, str) else value) if one in _TYPES]
            if types:
                out["type"] = types if len(types) > 1 else types[0]
        elif name in _NAMED and isinstance(value, Mapping):
            out[name] = {key: modern(one, shape_only=shape_only) for key, one in value.items()}
        elif name in _LISTS and isinstance(value, list):
            out[name] = [modern(one, shape_only=shape_only) for one in value]
        elif name == "items":
            out["items"] = {} if isinstance(value, list) else modern(value, shape_only=shape_only)
        elif name in _SCHEMAS:
            out[name] = modern(value, shape_only=shape_only)
        elif name in ("exclusiveMinimum", "exclusiveMaximum") and isinstance(value, bool):
            limit = name.removeprefix("exclusive").lower()
            if value and limit in schema:
                out[name] = schema[limit]
                out.pop(limit, None)
        elif name == "required" and not isinstance(value, list):
            continue  # draft 3
        elif name in ("minimum", "maximum") and schema.get(f"exclusive{name.capitalize()}") is True:
            continue
        else:
            out[name] = value
    return out


def with_keys(schema: Mapping[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    """The schema of a record whose keys are never null; a key that it does not have, or has with several types, is
    text."""
    properties = dict(schema.get("properties", {}))
    for name in keys:
        given = properties.get(name)
        shape = given if isinstance(given, Mapping) else {}
        found = shape.get("type", ())
        types = [one for one in ([found] if isinstance(found, str) else found) if one != "null"]
        if len(types) == 1 and types[0] in ("string", "integer", "number"):
            properties[name] = {**shape, "type": types[0]}
        else:
            properties[name] = {"type": "string"}
    return {**schema, "type": "object", "properties": properties}
