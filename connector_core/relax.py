"""Which part of a JSON Schema validation checks, and which part is left to the columns.

A value of another type than declared is no error where it gets a column of its own, nor is a property that the schema
does not know: shaping decides. So at the places that become columns `type`, `format`, `additionalProperties: false`
and the `unevaluated...` keywords are taken out. The rest is never stricter than the whole: what the declared schema
allows, the relaxed one allows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from connector_core.declared import resolve

_NOTES = {"title", "description", "default", "examples", "$comment", "readOnly", "writeOnly", "deprecated", "format"}
_LEFT_OUT = {"$defs", "definitions", "$schema", "$id", "unevaluatedProperties", "unevaluatedItems"}
_EMPTY_MEANS_NOTHING = {"properties", "items", "allOf", "additionalProperties"}


def relaxed(schema: Mapping[str, Any], *, types: bool = False) -> dict[str, Any]:
    """The schema without what shaping decides. Raises `ValueError` for a reference that leaves the schema.

    With `types` the types stay; null is then allowed for a property that is not required, since null means absent.
    Where a schema decides by types (a `oneOf` of several, `not`, `if`, `contains`) it stays as it is.
    """
    whole: dict[str, Any] = _relaxed(schema, schema, types, ())
    # the references that stay need their targets
    return whole | {name: schema[name] for name in ("$defs", "definitions") if name in schema and _refers(whole)}


def _relaxed(schema: Any, root: Mapping[str, Any], types: bool, through: tuple[str, ...]) -> Any:
    if not isinstance(schema, Mapping):
        return schema if schema is False else {}

    def inner(part: Any) -> Any:
        return _relaxed(part, root, types, through)

    out = {name: value for name, value in schema.items() if name not in _NOTES and name not in _LEFT_OUT}
    if not types:
        out.pop("type", None)
    if "additionalProperties" in out:
        out["additionalProperties"] = {} if out["additionalProperties"] is False else inner(out["additionalProperties"])
    if "properties" in out:
        required = out.get("required", ())
        properties = {
            name: _or_null(inner(child)) if types and name not in required else inner(child)
            for name, child in out["properties"].items()
        }
        if not out.get("additionalProperties"):  # otherwise that would hold for a property that is not listed any more
            properties = {name: child for name, child in properties.items() if child != {}}
        out["properties"] = properties
    if "items" in out and "prefixItems" not in out:
        out["items"] = inner(out["items"])
    also = [inner(branch) for branch in out.pop("allOf", ())]
    also += [_union(union, out.pop(union), inner) for union in ("anyOf", "oneOf") if union in out and not types]
    reference = out.get("$ref")
    if isinstance(reference, str) and reference not in through:
        del out["$ref"]
        also.append(_relaxed(resolve(reference, root), root, types, (*through, reference)))
    out["allOf"] = [branch for branch in also if branch != {}]
    return {name: value for name, value in out.items() if not (name in _EMPTY_MEANS_NOTHING and value in ({}, []))}


def _union(union: str, branches: Sequence[Any], inner: Any) -> dict[str, Any]:
    """A union of types allows everything; where one match is enough each branch may be relaxed by itself."""
    nulls = [isinstance(branch, Mapping) and branch.get("type") == "null" for branch in branches]
    kept = [{"type": "null"} if null else inner(branch) for branch, null in zip(branches, nulls, strict=True)]
    types_only = all(null or branch == {} for branch, null in zip(kept, nulls, strict=True))
    if types_only or (union == "anyOf" and {} in kept):
        return {}
    if union == "anyOf" or sum(nulls) == len(branches) - 1:
        return {"anyOf": kept}
    return {union: list(branches)}


def _or_null(schema: Any) -> Any:
    if not isinstance(schema, dict) or "type" not in schema:
        return schema
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return schema | {"type": [*types, "null"]} if "null" not in types else schema


def _refers(schema: Any) -> bool:
    if isinstance(schema, Mapping):
        return "$ref" in schema or any(map(_refers, schema.values()))
    return isinstance(schema, (list, tuple)) and any(map(_refers, schema))
