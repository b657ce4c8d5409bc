"""Validation by the compiled schema: what it rejects, what it leaves to columns, that it agrees with the reference."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import jsonschema
import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector_core.metaschema import schema_error
from connector_core.relax import relaxed
from connector_core.streams import Stream
from connector_core.validate import Problem, SchemaError, Validator, check_schema


def stream(schema: Mapping[str, Any], **more: Any) -> Stream:
    return Stream(name="things", schema=schema, **more)


def problem(schema: Mapping[str, Any], record: Any, **more: Any) -> Problem | None:
    return Validator(stream(schema), **more).problems([record]).get(0)


RULES = {
    "type": "object",
    "required": ["id"],
    "properties": {
        "id": {"type": "integer"},
        "status": {"type": ["string", "null"], "enum": ["new", "open", None]},
        "priority": {"type": "integer", "minimum": 1, "maximum": 10},
        "subject": {"type": "string", "maxLength": 5, "pattern": "^[a-z]*$"},
        "tags": {"type": "array", "items": {"type": "string", "minLength": 2}, "maxItems": 2},
        "address": {"type": "object", "required": ["city"], "properties": {"city": {"type": "string"}}},
        "at": {"type": "string", "format": "date-time"},
    },
}


@pytest.mark.parametrize(
    ("record", "path"),
    [
        ({}, ""),
        ({"id": 1, "status": "gone"}, "/status"),
        ({"id": 1, "priority": 11}, "/priority"),
        ({"id": 1, "priority": Decimal(11)}, "/priority"),
        ({"id": 1, "priority": 2**80}, "/priority"),
        ({"id": 1, "subject": "abcdef"}, "/subject"),
        ({"id": 1, "subject": "A"}, "/subject"),
        ({"id": 1, "tags": ["aa", "b"]}, "/tags/1"),
        ({"id": 1, "tags": ["aa", "bb", "cc"]}, "/tags"),
        ({"id": 1, "address": {"town": "x"}}, "/address"),
    ],
)
@pytest.mark.parametrize("type_conflict", ["split", "reject"])
def test_keywords_reject_with_a_path_and_without_the_value(
    record: dict[str, Any], path: str, type_conflict: str
) -> None:
    found = problem(RULES, record, type_conflict=type_conflict)
    assert found is not None
    assert (found.code, found.path) == ("schema", path)
    assert "gone" not in found.reason
    assert "abcdef" not in found.reason


@pytest.mark.parametrize(
    "record",
    [
        {"id": "x", "priority": "7", "subject": 5, "tags": "a", "address": [], "at": "now"},
        {"id": None, "tags": [1, None], "address": {"city": 5}, "extra": [{}]},
        {"id": 1.5, "priority": True, "subject": {"a": 1}},
    ],
)
def test_types_are_left_to_the_columns(record: dict[str, Any]) -> None:
    """B4 to B7: a value of another type is stored in a column of its own."""
    assert problem(RULES, record) is None


@pytest.mark.parametrize(
    ("record", "path"),
    [({"id": 1, "priority": "7"}, "/priority"), ({"id": 1, "tags": [5]}, "/tags/0"), ({"id": None}, "/id")],
)
def test_types_reject_when_asked_to(record: dict[str, Any], path: str) -> None:
    found = problem(RULES, record, type_conflict="reject")
    assert found is not None
    assert (found.code, found.path) == ("type_conflict", path)


def test_null_means_absent_also_when_types_reject() -> None:
    """B34."""
    record = {"id": 1, "priority": None, "subject": None, "tags": None, "address": None, "at": None}
    assert problem(RULES, record, type_conflict="reject") is None


def test_a_closed_schema_leaves_unknown_properties_to_the_setting() -> None:
    closed = {
        "type": "object",
        "additionalProperties": False,
        "properties": {"o": {"type": "object", "additionalProperties": False}},
    }
    assert problem(closed, {"a": 1, "o": {"b": 2}}) is None


def test_what_the_stream_discards_is_not_part_of_the_record() -> None:
    few = {"maxProperties": 1, "properties": {"id": {"type": "integer"}}}
    validator = Validator(stream(few, discard=frozenset({"_links"})))
    assert validator.problems([{"id": 1, "_links": {}}, {"id": 1, "x": 2}]).keys() == {1}


@pytest.mark.parametrize(("number", "bad"), [("10", False), ("10.0000000000000000000000001", True)])
def test_limits_are_exact(number: str, bad: bool) -> None:
    """B2: a double would see 10 in both."""
    assert bool(problem(RULES, {"id": 1, "priority": Decimal(number)})) == bad


def test_each_record_is_judged_by_itself() -> None:
    """A value that is not JSON at all does not keep the others from being judged."""
    validator = Validator(stream(RULES))
    records = [{"id": 1}, {"id": 1, "x": object(), "priority": 0}, {"priority": 5}, {"id": 1, "x": object()}]
    assert validator.problems(records).keys() == {1, 2}


@pytest.mark.parametrize(
    ("union", "good", "bad"),
    [
        ({"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]}, [5, None, "x", [1]], []),
        ({"oneOf": [{"type": "integer"}, {"type": "string"}]}, [5, "x", 1.5, {}], []),
        ({"anyOf": [{"type": "string", "maxLength": 2}, {"type": "null"}]}, [5, None, "xx"], ["xxx"]),
        ({"oneOf": [{"type": "integer", "minimum": 3}, {"type": "null"}]}, [5, None, "x"], [2]),
        ({"anyOf": [{"type": "integer", "minimum": 3}, {"type": "string", "maxLength": 2}]}, [5, "xx"], []),
        ({"allOf": [{"type": "integer"}, {"minimum": 3}]}, [5, "x"], [2]),
        ({"$ref": "#/$defs/small"}, [2, "x", None], [7]),
        (
            {"properties": {"x": {"type": "string"}}, "additionalProperties": {"maximum": 3}},
            [{"x": 9, "y": 2}],
            [{"y": 9}],
        ),
        ({"not": {"type": "string"}}, [2], ["x"]),
        ({"oneOf": [{"type": "integer", "minimum": 3}, {"type": "number", "maximum": 2}]}, [5, 1.5], [2.5]),
        ({"const": 3}, [3], [4, None]),
    ],
)
def test_unions_and_references(union: dict[str, Any], good: list[Any], bad: list[Any]) -> None:
    schema = {"properties": {"a": union}, "$defs": {"small": {"type": "integer", "maximum": 5}}}
    assert [v for v in good if problem(schema, {"a": v})] == []
    assert [v for v in bad if not problem(schema, {"a": v})] == []


def test_a_schema_that_contains_itself() -> None:
    tree = {
        "$ref": "#/$defs/node",
        "$defs": {"node": {"required": ["n"], "properties": {"n": {"maximum": 5}, "child": {"$ref": "#/$defs/node"}}}},
    }
    assert problem(tree, {"n": 1, "child": {"n": 2, "child": {"n": 3}}}) is None
    assert problem(tree, {"n": 1, "child": {"n": 2, "child": {"n": 9}}}) is not None


def test_a_record_nested_deeper_than_any_stack() -> None:
    deep: Any = {}
    for _ in range(20_000):
        deep = {"a": deep}
    assert problem({"properties": {"b": {"maximum": 5}}}, deep) is None


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        (stream({"properties": {"a": {"type": "strin"}}}), "not a JSON Schema"),
        (stream({"properties": {"a": {"pattern": "("}}}), "things"),
        (stream({"properties": {"a": {"$ref": "https://example.org/x.json"}}}), "leaves the schema"),
        (stream({"properties": {"a": {"$ref": "#/$defs/none"}}}), "points at nothing"),
        (stream({"properties": {"a": {"$ref": "#name"}}}), "anchor"),
        (stream({"properties": {}}, primary_key=("id",)), "'id' must be declared"),
        (stream({"properties": {"id": {"type": "boolean"}}}, primary_key=("id",)), "'id' must be declared"),
        (stream({"properties": {"id": {"type": ["string", "integer"]}}}, primary_key=("id",)), "'id' must be declared"),
        (stream({"properties": {"id": {"type": "object"}}}, primary_key=("id",)), "'id' must be declared"),
        (
            stream({"properties": {"u": {"type": "string"}}}, replication="incremental", replication_key="u"),
            "replication key 'u'",
        ),
        (stream({}, replication="incremental"), "replication key"),
    ],
)
def test_a_stream_that_cannot_be_is_refused_by_name(declared: Stream, words: str) -> None:
    with pytest.raises(SchemaError, match=words) as raised:
        Validator(declared)
    assert "'things'" in str(raised.value)


def test_a_child_needs_no_replication_key() -> None:
    check_schema(stream({"properties": {}}, replication="incremental", parent="cases"))


_TYPES = st.sampled_from(["string", "integer", "number", "boolean", "null", "array", "object"])
_VALUE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-4, 6)
    | st.sampled_from([0.5, 2.0, -1.5])
    | st.sampled_from(["", "a", "ab", "B", "é", "abc"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)


def _schemas() -> st.SearchStrategy[dict[str, Any]]:
    """Schemas of the keywords that streams use."""

    def keywords(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
        return st.fixed_dictionaries(
            {},
            optional={
                "type": _TYPES | st.lists(_TYPES, min_size=1, max_size=3, unique=True),
                "enum": st.lists(_VALUE, min_size=1, max_size=3),
                "const": _VALUE,
                **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), st.integers(-3, 5)),
                **dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems"), st.integers(0, 3)),
                "multipleOf": st.sampled_from([1, 2, 0.5]),
                "pattern": st.sampled_from(["^a", "b$", "^[a-z]*$"]),
                "uniqueItems": st.booleans(),
                "items": inner,
                "required": st.lists(st.sampled_from("abc"), max_size=2, unique=True),
                "properties": st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
                "additionalProperties": st.booleans() | inner,
                "unevaluatedProperties": st.booleans(),
                "unevaluatedItems": st.booleans(),
                "minProperties": st.integers(0, 2),
                "maxProperties": st.integers(0, 3),
                "anyOf": st.lists(inner, min_size=1, max_size=2),
                "oneOf": st.lists(inner, min_size=1, max_size=2),
                "allOf": st.lists(inner, min_size=1, max_size=2),
                "not": inner,
            },
        )

    return st.recursive(st.just({}), keywords, max_leaves=4)


@settings(deadline=None)
@given(_schemas(), _VALUE)
def test_the_compiled_validator_agrees_with_the_reference(schema: dict[str, Any], value: Any) -> None:
    fast = jsonschema_rs.Draft202012Validator(schema, validate_formats=False).is_valid(value)
    assert fast == jsonschema.Draft202012Validator(schema).is_valid(value)


@settings(max_examples=500, deadline=None)
@given(_schemas(), _VALUE)
def test_a_record_that_the_schema_allows_is_never_rejected(schema: dict[str, Any], value: Any) -> None:
    """Taking the types out of a schema must not make it stricter, whatever its unions are."""
    whole = {"properties": {"a": schema}}
    if jsonschema.Draft202012Validator(whole).is_valid({"a": value}):
        for types in (False, True):
            left = relaxed(whole, types=types)
            assert jsonschema.Draft202012Validator(left).is_valid({"a": value}), left


@pytest.mark.parametrize(
    "schema",
    [
        *({}, {"type": "object"}, {"type": "objct"}, {"properties": []}, {"pattern": "["}, {"pattern": "^a$"}),
        *(
            {"required": "id"},
            {"minimum": "1"},
            {"enum": []},
            {"$ref": "#/$defs/none"},
            {"$ref": "https://a.example/x"},
        ),
        {"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"type": "string"}]},
        {"properties": {"a": {"type": ["string", "null"], "format": "date-time"}}, "required": ["a"]},
    ],
    ids=str,
)
def test_a_schema_is_judged_as_by_the_reference(schema: dict[str, Any]) -> None:
    errors = jsonschema.Draft202012Validator(jsonschema.Draft202012Validator.META_SCHEMA).iter_errors(schema)
    formats = jsonschema.Draft202012Validator.FORMAT_CHECKER
    is_one = not [*errors] and formats.conforms(schema.get("pattern", ""), "regex")
    assert (schema_error(schema) is None) == is_one
