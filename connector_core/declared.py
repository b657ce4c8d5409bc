"""What a stream's JSON Schema says about the shape of its tables: types of properties, nested objects, arrays.

Understands `type` (also lists of types), `format` date-time and date, `properties`, `additionalProperties`, `items`,
local `$ref`, `enum` and `const` without a type, and unions by `anyOf`, `oneOf`, `allOf`. What it does not understand
is undeclared: its type is inferred from the values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from connector_core.tables import Kind, Path


@dataclass(frozen=True, kw_only=True)
class Declared:
    """What is declared for the values of one path.

    `kinds` are scalar types; empty, with neither `object` nor `array`, means that the type is inferred. `properties`
    are those of an object, `rest` what holds for its other properties (None: they are unknown to the schema), `items`
    what holds for the entries of an array.
    """

    kinds: frozenset[Kind] = frozenset()
    object: bool = False
    array: bool = False
    properties: Mapping[str, Declared] = field(default_factory=dict)
    rest: Declared | None = None
    items: Declared | None = None

    @property
    def typed(self) -> bool:
        """Whether a type is declared at all."""
        return bool(self.kinds or self.object or self.array)

    def child(self, name: str) -> Declared | None:
        """What is declared for a property; None when the schema does not know it."""
        return self.properties.get(name, self.rest)


OPEN = Declared()
"""Nothing is declared, anything may come, at every depth."""
object.__setattr__(OPEN, "rest", OPEN)
object.__setattr__(OPEN, "items", OPEN)

_SCALARS: Mapping[str, Kind] = {"integer": "integer", "number": "number", "boolean": "boolean"}
_BY_VALUE: Mapping[type, str] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    dict: "object",
    list: "array",
}


def declare(schema: Mapping[str, Any]) -> Declared:
    """What the JSON Schema of one record declares. Raises `ValueError` for a reference that leaves the schema."""
    found = _declare(schema, schema, ())
    return Declared(object=True, properties=found.properties, rest=found.rest)


def resolve(reference: str, root: Mapping[str, Any]) -> Any:
    """The part of `root` that a local reference ("#/$defs/name") points at. Raises `ValueError` when there is none."""
    if not reference.startswith("#"):
        raise ValueError(
            f"the reference {reference!r} leaves the schema; only references within it (#/$defs/...) are followed"
        )
    if reference != "#" and not reference.startswith("#/"):
        raise ValueError(f"the reference {reference!r} is an anchor; write it as #/$defs/...")
    at: Any = root
    for step in unquote(reference[1:]).split("/")[1:]:
        step = step.replace("~1", "/").replace("~0", "~")
        try:
            at = at[int(step)] if isinstance(at, Sequence) and not isinstance(at, str) else at[step]
        except (KeyError, IndexError, ValueError, TypeError):
            raise ValueError(f"the reference {reference!r} points at nothing") from None
    return at


def _declare(schema: Any, root: Mapping[str, Any], through: tuple[str, ...]) -> Declared:
    if not isinstance(schema, Mapping):
        return OPEN  # true; false allows nothing, which validation sees to
    found = _own(schema, root, through)
    reference = schema.get("$ref")
    if isinstance(reference, str):
        # a schema that contains itself has no end: below the second turn types are inferred
        inner = OPEN if reference in through else _declare(resolve(reference, root), root, (*through, reference))
        found = _together(found, inner)
    for branch in schema.get("allOf", ()):
        found = _together(found, _declare(branch, root, through))
    for union in (schema.get("anyOf", ()), schema.get("oneOf", ())):
        branches = [
            _declare(b, root, through) for b in union if not (isinstance(b, Mapping) and b.get("type") == "null")
        ]
        if branches and all(branch.typed for branch in branches):
            either = branches[0]
            for branch in branches[1:]:
                either = _either(either, branch)
            found = _together(found, either)
    return found


def _own(schema: Mapping[str, Any], root: Mapping[str, Any], through: tuple[str, ...]) -> Declared:
    types = _types(schema)
    kinds: set[Kind] = {_SCALARS[name] for name in types & _SCALARS.keys()}
    if "string" in types:
        kinds.add(_text_kind(schema.get("format")))
    if "number" in kinds:
        kinds.discard("integer")
    properties = {name: _declare(child, root, through) for name, child in schema.get("properties", {}).items()}
    additional = schema.get("additionalProperties", None if properties else True)
    is_object, is_array = "object" in types, "array" in types
    return Declared(
        kinds=frozenset(kinds),
        object=is_object,
        array=is_array,
        properties=properties,
        rest=_declare(additional, root, through) if additional else None,
        items=_declare(schema.get("items", True), root, through) if is_array else None,
    ) if types else OPEN  # fmt: skip


def _types(schema: Mapping[str, Any]) -> set[str]:
    declared = schema.get("type")
    if isinstance(declared, str):
        return {declared} - {"null"}
    if declared is not None:
        return set(declared) - {"null"}
    if "properties" in schema:
        return {"object"}
    if "items" in schema:
        return {"array"}
    if schema.get("format") in ("date-time", "date"):
        return {"string"}
    values = [schema["const"]] if "const" in schema else schema.get("enum", ())
    return {_BY_VALUE[type(value)] for value in values if type(value) in _BY_VALUE}


def _text_kind(text_format: Any) -> Kind:
    if text_format == "date-time":
        return "instant"
    return "date" if text_format == "date" else "string"


def _together(one: Declared, other: Declared) -> Declared:
    """Both hold: what either of them knows."""
    if not one.typed or not other.typed:
        return one if one.typed else other
    shared = one.kinds & other.kinds
    return Declared(
        kinds=shared or one.kinds or other.kinds,
        object=one.object and other.object,
        array=one.array and other.array,
        properties=_merged(one.properties, other.properties, _together),
        rest=one.rest if one.rest is not None and one.rest.typed else other.rest,
        items=one.items or other.items,
    )


def _either(one: Declared, other: Declared) -> Declared:
    """One of them holds."""
    if one is OPEN or other is OPEN:
        return OPEN
    kinds = one.kinds | other.kinds
    drop: set[Kind] = {"integer"} if "number" in kinds else set()
    drop |= {"instant", "date"} if "string" in kinds else set()
    return Declared(
        kinds=kinds - drop,
        object=one.object or other.object,
        array=one.array or other.array,
        properties=_merged(one.properties, other.properties, _either),
        rest=OPEN if one.rest is OPEN or other.rest is OPEN else one.rest or other.rest,
        items=_either(one.items, other.items) if one.items and other.items else one.items or other.items,
    )


def _merged(
    one: Mapping[str, Declared], other: Mapping[str, Declared], both: Callable[[Declared, Declared], Declared]
) -> dict[str, Declared]:
    shared = {name: both(one[name], other[name]) for name in one if name in other}
    return {**one, **other, **shared}


def nested_kinds(declared: Declared) -> frozenset[Kind]:
    """The kinds of a path where objects and arrays stay whole."""
    return declared.kinds | {"nested"} if declared.object or declared.array else declared.kinds


def pointer(path: Path) -> str:
    """The JSON pointer (RFC 6901) of a path."""
    return "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in path)
