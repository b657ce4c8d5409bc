"""A JSON Schema of connectors.toml for editors: the engine's own settings and those of every installed plugin.

It is never stricter than loading is: what only a look at the clock, the environment or a calendar can tell is left to
`connector-core check`. An editor sees TOML's dates as texts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any, Final

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from connector_core.config import models
from connector_core.config.fields import checker, literals, types
from connector_core.config.metering import MeteringSettings
from connector_core.config.secrets import Secret
from connector_core.config.units import BYTES, SECONDS, brief
from connector_core.streams import Description

FILE: Final = "connectors.schema.json"
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

_TEXT: Final = {"$ref": "#/$defs/text_from_elsewhere"}
_ELSEWHERE: Final = {
    "text_from_elsewhere": {
        "description": "${NAME} is replaced by the environment variable NAME, ${NAME:-default} has a default.",
        "type": "string",
        "pattern": "\\$\\{",
    },
    "value_from_elsewhere": {
        "description": "The value of an environment variable, or the text of a file.",
        "type": "object",
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": False,
        "properties": {"env": {"type": "string"}, "file": {"type": "string"}},
    },
}
_NUMBER: Final = r"^\s*[+-]?[0-9][0-9_]*(\.[0-9_]*)?([eE][+-]?[0-9]+)?\s*$"
_BOOLEAN: Final = (
    "^([01]|[TtYyFfNn]|[Oo][Nn]|[Oo][Ff][Ff]|[Yy][Ee][Ss]|[Nn][Oo]|[Tt][Rr][Uu][Ee]|[Ff][Aa][Ll][Ss][Ee])$"
)
_KEY: Final = "^[A-Za-z0-9_-]{1,50}$"


def _amount(units: Mapping[str, int], *, bare: str = "") -> dict[str, Any]:
    """A text with an amount in one of these units, in capitals or not; `bare` is "?" where the unit may be missing."""
    names = "|".join("".join(f"[{c.upper()}{c.lower()}]" for c in unit) for unit in units)
    return {"type": "string", "pattern": rf"^\s*[0-9]+(\.[0-9]+)?\s*({names}){bare}\s*$"}


_FORMS: Final[Mapping[str, list[dict[str, Any]]]] = {
    "duration": [{"type": "number"}, _amount(SECONDS, bare="?")],
    "_lookback": [{"type": "number", "minimum": 0}, _amount(SECONDS, bare="?")],
    "_keep": [{"type": "number", "minimum": 3600}, _amount(SECONDS, bare="?")],
    "size": [{"type": "number"}, _amount(BYTES, bare="?")],
    "_number": [{"type": "number"}, {"type": "string", "pattern": _NUMBER}],
    "_from": [{"type": "string", "pattern": r"^[0-9]{4}"}],
    "_start": [{"type": "string", "pattern": r"^[0-9]{4}"}],
    "_anchor": [{"type": "string", "pattern": r"(Z|[+-][0-9]{2}:?[0-9]{2}(:?[0-9]{2})?)$"}],
    "_frequency": [_amount(SECONDS)],
    "_thresholds": [
        {"type": "array", "minItems": 1, "items": {"type": "integer", "minimum": 1, "maximum": 1000}},
    ],
    "_cron": [{"type": "string", "maxLength": 200, "pattern": r"^\s*\S+(\s+\S+){4}\s*$"}],
    "_timezone": [{"type": "string", "minLength": 1}],
    "_reject_limit": [
        {"type": "integer", "minimum": 0},
        {"type": "string", "pattern": r"^\s*[0-9]{1,12}\s*$"},
        {"type": "string", "pattern": r"^\s*[0-9]{1,3}(\.[0-9]{1,6})?\s*%\s*$"},
    ],
}
"""What the checking function of a setting takes, as far as a schema can say it."""


def json_schema(described: Iterable[Description]) -> dict[str, Any]:
    """The schema (draft 2020-12) of a connectors.toml that may use these plugins."""
    plugins = sorted(described, key=lambda one: (one.kind, one.name))
    definitions: dict[str, Any] = dict(_ELSEWHERE)
    definitions["ledger"], definitions["metering"] = _table(models.LedgerSettings), _table(MeteringSettings)
    definitions["serve"], definitions["stream"] = _table(models.ServeSettings), _table(models.StreamSettings)
    destination, connector = _table(models.Destination), _table(models.Connector)
    extension = _table(models.Extension)
    del extension["required"]  # `type` is the NAME, unless it is given
    destination["additionalProperties"] = extension["additionalProperties"] = True
    connector["properties"]["config"] = {
        "description": "The source's own settings.",
        "type": "object",
    }
    connector["properties"]["streams"] = {
        "description": _sentence(_told(models.Connector, "streams")),
        "type": "object",
        "additionalProperties": {"$ref": "#/$defs/stream"},
    }
    kinds = (("type", "destination", destination), ("source", "source", connector), ("type", "extension", extension))
    for field, kind, of in kinds:
        named = [one for one in plugins if one.kind == kind]
        names: Any = of["properties"][field]["anyOf"]
        names.insert(0, {"enum": [one.name for one in named]})  # for completion; others may be installed elsewhere
        if named:
            of["allOf"] = [_when(field, one, definitions) for one in named]
    definitions |= {"destination": destination, "connector": connector, "extension": extension}
    return {
        "$schema": DIALECT,
        "title": "connectors.toml",
        "description": "Configuration of connector-core",
        "type": "object",
        "required": ["connectors", "destinations"],
        "additionalProperties": False,
        "properties": {
            "ledger": {"$ref": "#/$defs/ledger"},
            "metering": {"$ref": "#/$defs/metering"},
            "serve": {"$ref": "#/$defs/serve"},
            "extensions": _tables("extension", "Settings of extensions"),
            "destinations": _tables("destination", "Places to load into"),
            "connectors": {**_tables("connector", "Sources loaded into destinations"), "minProperties": 1},
        },
        "$defs": definitions,
    }


def _tables(name: str, about: str) -> dict[str, Any]:
    return {
        "description": about,
        "type": "object",
        "propertyNames": {"pattern": _KEY},
        "additionalProperties": {"$ref": f"#/$defs/{name}"},
    }


# --- the engine's settings


def _table(model: type[BaseModel]) -> dict[str, Any]:
    properties, required = {}, []
    for name, field in model.model_fields.items():
        if name not in ("key", "config", "streams"):
            properties[field.alias or name] = _setting(field)
            required += [field.alias or name] if field.is_required() else []
    shown = {"type": "object", "additionalProperties": False, "properties": properties}
    return {**shown, "required": required} if required else shown


def _setting(field: FieldInfo) -> dict[str, Any]:
    found: dict[str, Any] = {"description": _sentence(field.description or "")}
    default = None if field.is_required() else field.get_default(call_default_factory=True)
    if isinstance(default, timedelta):
        default = brief(default.total_seconds()) if default else "0s"
    if isinstance(default, (str, bool, int, float)) and default != "":
        found["default"] = default
    elif isinstance(default, Secret):
        found["default"] = default.reveal()
    return {**found, "anyOf": [*_forms(field), _TEXT, {"$ref": "#/$defs/value_from_elsewhere"}]}


def _forms(field: FieldInfo) -> list[dict[str, Any]]:
    kinds = types(field.annotation)
    if name := checker(field):
        forms = _FORMS.get(name, [{}])
        bounds, number = _bounds(field), "integer" if name == "_number" and int in kinds else "number"
        return [{**form, **bounds, "type": number} if form.get("type") == "number" else form for form in forms]
    if values := literals(field.annotation):
        return [{"enum": values}]
    if bool in kinds:
        return [{"type": "boolean"}, {"enum": [0, 1]}, {"type": "string", "pattern": _BOOLEAN}]
    if tuple in kinds:
        return [{"type": "array", "items": {"type": "string"}}]
    if Secret in kinds:
        return [{"type": "string", "pattern": r"^(sqlite(\+pysqlite)?:///.|postgresql(\+\w+)?://)"}]
    if kinds & {int, float}:
        return [
            {"type": "integer" if int in kinds else "number", **_bounds(field)},
            {"type": "string", "pattern": _NUMBER},
        ]
    return [{"type": "string", **_limits(field, {"min_length": "minLength", "max_length": "maxLength"})}]


def _bounds(field: FieldInfo) -> dict[str, Any]:
    words = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}
    return _limits(field, words)


def _limits(field: FieldInfo, words: Mapping[str, str]) -> dict[str, Any]:
    """What pydantic's limits of a field are called in a schema."""
    return {word: getattr(one, name) for one in field.metadata for name, word in words.items() if hasattr(one, name)}


def _told(model: type[BaseModel], name: str) -> str:
    return model.model_fields[name].description or ""


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:]


# --- what the plugins say


def _when(field: str, plugin: Description, definitions: dict[str, Any]) -> dict[str, Any]:
    """The part of a table's schema that holds where its `source` or `type` names this plugin."""
    own = _Opened(f"{plugin.kind}_{plugin.name}", plugin.config_schema, definitions).root()
    then: dict[str, Any] = {"properties": {}}
    if plugin.kind != "source":
        settings = definitions[own.rpartition("/")[2]]
        settings.setdefault("properties", {})["type"] = True  # the engine's own key in the plugin's table
        then["$ref"] = own
    else:
        then["properties"]["config"] = {"$ref": own}
        then["required"] = ["config"] if plugin.config_schema.get("required") else []
        if len(plugin.versions) > 1:
            then["required"].append("version")
        if plugin.versions:
            then["properties"]["version"] = {"anyOf": [{"enum": list(plugin.versions)}, *_anything_from_elsewhere()]}
        else:
            then["properties"]["version"] = {"description": f"{plugin.name} has no versions; leave it out", "not": {}}
    for pattern, reason in plugin.fixed.items():
        _forbid(then, pattern.split("."), reason)
    return {"if": {"required": [field], "properties": {field: {"const": plugin.name}}}, "then": then}


def _forbid(schema: dict[str, Any], keys: list[str], reason: str) -> None:
    """Let no key match this path; `*` stands for any letters."""
    pattern = "^" + re.escape(keys[0]).replace(r"\*", ".*") + "$"
    known = schema.setdefault("patternProperties", {})
    if len(keys) == 1:
        known[pattern] = {"description": reason, "not": {}}
    else:
        _forbid(known.setdefault(pattern, {}), keys[1:], reason)


def _anything_from_elsewhere() -> list[dict[str, Any]]:
    return [dict(_TEXT), {"$ref": "#/$defs/value_from_elsewhere"}]


class _Opened:
    """A plugin's schema as part of ours: its references lead to `$defs` of ours, and every value in it may also come
    from elsewhere (`${NAME}`, `{ env = ... }`, `{ file = ... }`)."""

    _NAMED = ("properties", "patternProperties", "dependentSchemas")
    _VALUES = ("additionalProperties", "unevaluatedProperties", "items", "contains", "unevaluatedItems")
    _SAME = ("allOf", "anyOf", "oneOf")
    _BRANCHES = ("then", "else")
    _DROPPED = ("$schema", "$id", "$defs", "definitions", "$anchor", "$dynamicAnchor", "$comment")

    def __init__(self, name: str, schema: Mapping[str, Any], definitions: dict[str, Any]) -> None:
        self._name, self._schema, self._definitions = re.sub(r"[^A-Za-z0-9_-]", "_", name), schema, definitions
        self._known: dict[str, str] = {}

    def root(self) -> str:
        """The reference to the whole of it."""
        return self._reference("#")

    def _reference(self, pointer: str) -> str:
        if pointer not in self._known:
            name = self._name if pointer == "#" else f"{self._name}_{len(self._known)}"
            self._known[pointer] = name
            self._definitions[name] = {}  # known before it is read: a schema may contain itself
            self._definitions[name] = self._part(_pointed(self._schema, pointer), self._value)
        return f"#/$defs/{self._known[pointer]}"

    def _part(self, part: Any, inner: Callable[[Any], Any]) -> Any:
        if not isinstance(part, Mapping):
            return True if part is None else part
        opened: dict[str, Any] = {}
        for keyword, what in part.items():
            if keyword in self._DROPPED:
                continue
            if keyword == "$ref":
                if str(what).startswith("#/") or what == "#":
                    opened["$ref"] = self._reference(str(what))
            elif keyword in self._NAMED and isinstance(what, Mapping):
                opened[keyword] = {name: inner(one) for name, one in what.items()}
            elif keyword == "prefixItems":
                opened[keyword] = [inner(one) for one in what]
            elif keyword in self._VALUES:
                opened[keyword] = inner(what)
            elif keyword in self._SAME:
                opened[keyword] = [self._part(one, inner) for one in what]
            elif keyword in self._BRANCHES:
                opened[keyword] = self._part(what, inner)
            elif keyword in ("if", "not"):  # a value from elsewhere must not fulfil a condition
                opened[keyword] = self._part(what, self._closed)
            else:
                opened[keyword] = what
        return opened

    def _closed(self, part: Any) -> Any:
        return self._part(part, self._closed)

    def _value(self, part: Any) -> Any:
        if not isinstance(part, Mapping):
            return part
        about = {word: part[word] for word in ("title", "description", "default", "examples") if word in part}
        return {**about, "anyOf": [self._part(part, self._value), *_anything_from_elsewhere()]}


def _pointed(root: Any, pointer: str) -> Any:
    for name in pointer.lstrip("#").strip("/").split("/"):
        if name:
            root = root.get(name.replace("~1", "/").replace("~0", "~")) if isinstance(root, Mapping) else None
    return root
