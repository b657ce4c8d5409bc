"""The settings of the Singer source: their JSON Schema, and what is made of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

Method = Literal["incremental", "full_table", "log_based"]

HIDDEN: Final = (
    "[Pp]ass(w(or)?d|phrase|wd)|[Ss]ecret|[Tt]oken|[Cc]redential|[Cc]ookie|[Aa]uthorization|[Dd]sn$|[Ss]qlalchemy_url|"
    "([Aa]pi|[Aa]ccess|[Pp]rivate|[Aa]uth|[Aa]ccount|[Ee]ncryption)[_-]?[Kk]ey"
)
"""Names of a tap's settings whose values are hidden for their name alone."""
DEPTH: Final = 4
"""How deep in a tap's settings a name tells a secret; deeper ones belong into `secrets`."""

_NAMES: Final = {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1, "uniqueItems": True}


def _values(depth: int) -> dict[str, Any]:
    """Any JSON, in which a name tells that a value is secret."""
    if not depth:
        return {}
    inner = _values(depth - 1)
    secret = {HIDDEN: {"writeOnly": True}}
    return {"patternProperties": secret, "additionalProperties": inner, "items": inner}


_STREAM: Final[dict[str, Any]] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "properties": {**_NAMES, "description": "the properties that are wanted; left out: all"},
        "exclude": {**_NAMES, "description": "properties that are not wanted"},
        "primary_key": {**_NAMES, "description": "properties that name a record, in place of what the tap says"},
        "replication": {
            "type": "string",
            "enum": ["incremental", "full_table", "log_based"],
            "description": "the replication method, in place of what the tap says",
        },
        "replication_key": {
            "type": "string",
            "minLength": 1,
            "description": "the property by which the tap finds what is new",
        },
    },
}

CONFIG: Final[dict[str, Any]] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "additionalProperties": False,
    "required": ["executable"],
    "properties": {
        "executable": {
            "type": "string",
            "minLength": 1,
            "pattern": "^(/|~/|[^/~]+$)",
            "description": "the tap: the name of one that is installed or on PATH, or a full path",
        },
        "tap": {
            "type": "object",
            **_values(DEPTH),
            "description": "the tap's own settings, as its documentation names them",
        },
        "secrets": {
            "type": "object",
            "writeOnly": True,
            "description": "settings of the tap whose values are never shown; they are put into `tap`",
        },
        "select": {**_NAMES, "description": "patterns (*, ?) of the streams that are wanted; left out: all"},
        "streams": {
            "type": "object",
            "additionalProperties": _STREAM,
            "description": "how a stream is read, where that is not as the tap says",
        },
        "catalog_option": {
            "type": "string",
            "enum": ["--catalog", "--properties"],
            "default": "--catalog",
            "description": "how the tap takes its catalog; old ones want --properties",
        },
        "silence_seconds": {
            "type": "integer",
            "minimum": 1,
            "default": 1800,
            "description": "a tap that says nothing at all for so long is ended",
        },
        "taps_at_once": {
            "type": "integer",
            "minimum": 1,
            "default": 2,
            "description": "how many streams are read at a time, each by a process of its own",
        },
        "taps": {
            "type": "string",
            "format": "path",
            "default": ".connector-core/taps",
            "description": "the folder of the taps that `connector-core plugins install-tap` installs",
        },
    },
}


@dataclass(frozen=True, kw_only=True)
class Choice:
    """How one stream is read, as far as the configuration says."""

    properties: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    primary_key: tuple[str, ...] = ()
    replication: Method | None = None
    replication_key: str | None = None


def choices(config: Mapping[str, Any]) -> dict[str, Choice]:
    """By name of the stream, what the configuration says of it."""
    return {name: _choice(given) for name, given in config.get("streams", {}).items()}


def _choice(given: Mapping[str, Any]) -> Choice:
    settings: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in given.items()}
    return Choice(**settings)


def tap_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """The tap's own configuration, secrets put in."""
    return _merged(config.get("tap", {}), config.get("secrets", {}))


def _merged(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    both = {name for name in one.keys() & other.keys() if isinstance(one[name], dict) and isinstance(other[name], dict)}
    return {**one, **other, **{name: _merged(one[name], other[name]) for name in both}}
