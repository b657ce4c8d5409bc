"""Hostile records: strategies that make them, and in the plainest words what has to become of each."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from connector_core.instants import NoSuchInstant, date_text, instant
from connector_core.layout import step
from connector_core.numbers import fits, plain
from connector_core.shape import Shaper
from connector_core.tables import Traits

HOSTILE = [
    "",
    " ",
    "[]",
    "é",
    "e\u0301",
    "a.b",
    "a/b",
    "a~b",
    "#",
    "%s",
    '"',
    "_sdc_x",
    "x" * 70,
    "x" * 70 + "y",
    "a\0",
    "\ud800",
]
USUAL = ["text", "count", "price", "flag", "at", "day", "tags", "lines", "address", "a__st", "a__bi"]
NAMES = st.sampled_from(["a", "b", "A", "a__b", "value", "id__2", *HOSTILE, *USUAL])
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.sampled_from(
        [
            2**63 - 1,
            2**63,
            -(2**63) - 1,
            2**200,
            0.5,
            -2.0,
            1e22,
            1e-7,
            Decimal("1.50"),
            Decimal("0.12345678901234567890"),
        ]
    )
    | st.sampled_from(
        [
            "",
            "x",
            "7",
            "now",
            "true",
            "2016-03-01",
            "2016-03-01T10:00:05.120+02:00",
            "2016-02-30",
            "a\0b",
            "\ud800",
            "é",
            "😀",
        ]
    )
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=6
)
KEYS = st.integers(1, 10**6) | st.sampled_from([None, "1", 1.0, True, 2**64])
RECORDS = st.builds(lambda key, rest: {**rest, "id": key}, KEYS, st.dictionaries(NAMES, VALUES, max_size=5))
PAGES = st.lists(st.lists(RECORDS | SCALARS, max_size=4), min_size=1, max_size=3)

DECLARED = {
    "text": {"type": ["string", "null"]},
    "count": {"type": ["integer", "null"]},
    "price": {"type": ["number", "null"]},
    "flag": {"type": ["boolean", "null"]},
    "at": {"type": ["string", "null"], "format": "date-time"},
    "day": {"type": ["string", "null"], "format": "date"},
    "tags": {"type": "array", "items": {"type": "string"}},
    "lines": {
        "type": "array",
        "items": {"type": "object", "properties": {"price": {"type": "number"}, "tags": {"type": "array"}}},
    },
    "address": {
        "type": "object",
        "properties": {"text": {"type": "string"}, "at": {"type": "string", "format": "date-time"}},
    },
}


def stored(value: Any, traits: Traits, declared: Any = None) -> Any:
    """What a value must read back as: null, absent and empty are one; numbers by value; declared instants as instants.

    Where objects and arrays stay whole they come back as they were.
    """
    declared = declared or {}
    if isinstance(value, dict):
        known = declared.get("properties", {})
        kept = {step(name): stored(item, traits, known.get(name)) for name, item in value.items()}
        return {name: item for name, item in kept.items() if item is not None} or None
    if isinstance(value, list):
        return [stored(item, traits, declared.get("items")) for item in value] or None
    if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
        text = plain(value)
        whole = declared.get("type") in (["integer", "null"], "integer")
        if whole and Decimal(text) == int(Decimal(text)) and abs(Decimal(text)) < 2**63 - 1:
            return Decimal(text)
        return Decimal(text) if fits(text, traits.decimal) or (type(value) is int and abs(value) < 2**63) else text
    if isinstance(value, str) and declared.get("format") in ("date-time", "date"):
        kind, read = ("instant", instant) if declared["format"] == "date-time" else ("date", date_text)
        canonical = read(value)
        return (kind, canonical) if canonical is not None else value
    return value


def exact(value: Any) -> Any:
    """A value that stays whole: only numbers have another form."""
    if isinstance(value, dict):
        return {name: exact(item) for name, item in value.items()}
    if isinstance(value, list):
        return [exact(item) for item in value]
    return Decimal(plain(value)) if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool) else value


def expected(record: dict[str, Any], of: Shaper) -> dict[str, Any]:
    traits = of.layout.traits
    if not traits.nested_natively:
        return stored(record, traits, {"properties": of.stream.schema["properties"]}) or {}
    known = of.stream.schema["properties"]
    kept = {
        step(name): exact(item) if isinstance(item, (dict, list)) else stored(item, traits, known.get(name))
        for name, item in record.items()
    }
    return {name: item for name, item in kept.items() if item is not None}


def must_reject(entry: Any, of: Shaper) -> bool:
    """Said once more, in the plainest words: what cannot be stored."""
    if not isinstance(entry, dict):
        return True
    if type(entry.get("id")) is not int or abs(entry["id"]) >= 2**63:
        return True
    written = json.dumps(entry, default=str)
    if "\\ud800" in written:
        return True
    if not of.layout.traits.nul_in_text and has_nul(entry, of.layout.traits.nested_natively):
        return True
    try:
        expected(entry, of)
    except NoSuchInstant:
        return True
    return False


def has_nul(value: Any, names: bool) -> bool:
    if isinstance(value, dict):
        return any(has_nul(item, names) for item in value.values()) or (
            names and any("\0" in n for v in value.values() for n in all_names(v))
        )
    return (
        any(has_nul(item, names) for item in value)
        if isinstance(value, list)
        else isinstance(value, str) and "\0" in value
    )


def all_names(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [*value, *(name for item in value.values() for name in all_names(item))]
    return [name for item in value for name in all_names(item)] if isinstance(value, list) else []


def same(read: Any, sent: Any) -> bool:
    return bool(exact(read) == exact(sent))
