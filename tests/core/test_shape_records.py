"""What becomes of records as a whole: keys, replication keys, depth, width, names, rejects."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from connector_core import parse
from connector_core.shape import key_text
from tests.support.shaping import (
    DATE,
    DUCKDB,
    INSTANT,
    INTEGER,
    NOW,
    POSTGRES,
    SNOWFLAKE,
    page,
    rejected,
    rows,
    shaper,
    stored_values,
    stream,
    tables,
)


@pytest.mark.parametrize("value", [None, "7", 1.5, 1.0, True, {"a": 1}, [1], 2**63, Decimal(7), "absent"])
def test_a_key_that_is_none(value: Any) -> None:
    """B22."""
    record = {"x": 1} if value == "absent" else {"id": value, "x": 1}
    of = shaper(stream())
    assert rejected(of, record) == ("bad_key", "/id")
    assert page(of, [record]).rejects[0].primary_key is None


@pytest.mark.parametrize(
    ("declared", "good", "stored", "bad"),
    [
        ({"type": "string"}, "a\u00e9", "a\u00e9", 5),
        ({"type": "string", "format": "date-time"}, "2016-03-01T10:00+02:00", "2016-03-01T08:00:00Z", "now"),
        ({"type": "string", "format": "date"}, "2016-03-01", "2016-03-01", "2016-02-30"),
        ({"type": "number"}, 5, "5", 5.5),
    ],
)
def test_keys_of_other_types(declared: Any, good: Any, stored: Any, bad: Any) -> None:
    of = shaper(stream({"k": declared}, key=("id", "k")))
    shaped = page(of, [{"id": 1, "k": good}, {"id": 2, "k": bad}])
    assert shaped.keys == [(1, stored)]
    assert [(r.code, r.path, r.primary_key) for r in shaped.rejects] == [("bad_key", "/k", None)]


def test_text_keys_are_never_changed() -> None:
    of = shaper(stream({"k": {"type": "string"}}, key=("k",)), nul="strip")
    shaped = page(of, [{"k": "a\0"}, {"k": "\ud800"}, {"k": ""}])
    assert [r.code for r in shaped.rejects] == ["nul_character", "lone_surrogate"]
    assert shaped.keys == [("",)]


def test_a_reject_with_a_readable_key_names_it() -> None:
    of = shaper(stream({"k": {"type": "string"}, "t": INSTANT}, key=("id", "k")))
    (reject,) = page(of, [{"id": 1, "k": "é", "t": "2016-02-30"}]).rejects
    assert reject.primary_key == key_text((1, "é")) == '[1, "\\u00e9"]'
    assert (reject.stream, reject.table, reject.rejected_at) == ("things", "things", NOW)
    assert json.loads(reject.record) == {"id": 1, "k": "é", "t": "2016-02-30"}
    assert "2016-02-30" not in reject.reason


@pytest.mark.parametrize(
    "body", ['{"id":1,"x":1,"x":2}', '{"id":1,"id":2}', '{"id":1,"o":{"a":1,"a":1}}', '{"id":1,"l":[{"a":1,"a":1}]}']
)
@pytest.mark.parametrize("traits", [POSTGRES, SNOWFLAKE])
def test_a_field_named_twice(body: str, traits: Any) -> None:
    """B24: rejected with both values."""
    of = shaper(stream(), traits)
    shaped = page(of, parse.page(f'[{{"id":90}},{body}]'.encode()))
    assert [(r.code, r.record) for r in shaped.rejects] == [("duplicate_property", body)]
    assert list(shaped.positions) == [0]


def test_what_is_said_of_a_reject_is_printable() -> None:
    """B9, B13: the place is named on one line, whatever the property is called."""
    (reject,) = page(shaper(stream()), [{"id": 1, "a\n\0\x1b[2J": {"\u202eb": "\ud800"}}]).rejects
    assert reject.path == "/a\\n\\u0000\\u001b[2J/\\u202eb"


@pytest.mark.parametrize("declared", [INSTANT, INTEGER, DATE])
@pytest.mark.parametrize("value", [None, "absent"])
def test_a_replication_key_that_is_not_there_is_stored(declared: Any, value: Any) -> None:
    """B30."""
    of = shaper(stream({"u": declared}, replication="incremental", replication_key="u"))
    shaped = page(of, [{"id": 1} if value == "absent" else {"id": 1, "u": value}])
    assert list(shaped.versions) == [None]


@pytest.mark.parametrize(
    ("declared", "value"),
    [
        (INSTANT, "now"),
        (INSTANT, 5),
        (INSTANT, "2016-02-30"),
        (INSTANT, {}),
        (INTEGER, "5"),
        (INTEGER, 5.5),
        (INTEGER, 2**63),
        (DATE, "2016"),
        (INTEGER, True),
    ],
)
def test_a_replication_key_that_cannot_be_read_is_rejected(declared: Any, value: Any) -> None:
    """B30: it never splits."""
    of = shaper(stream({"u": declared}, replication="incremental", replication_key="u"))
    assert rejected(of, {"id": 1, "u": value}) == ("bad_replication_key", "/u")


def test_versions_are_instants_or_integers() -> None:
    """B33: compared as instants, not as texts."""
    texts = ["2016-03-01T10:00:00+05:00", "2016-03-01T06:00:00Z", "2016-03-01T06:00:00.5Z"]
    of = shaper(stream({"u": INSTANT}, replication="incremental", replication_key="u"))
    found = page(of, [{"id": i, "u": t} for i, t in enumerate(texts)]).versions
    assert [v.isoformat() for v in found if isinstance(v, datetime)] == [
        "2016-03-01T05:00:00+00:00", "2016-03-01T06:00:00+00:00", "2016-03-01T06:00:00.500000+00:00"
    ]  # fmt: skip
    of = shaper(stream({"u": DATE}, replication="incremental", replication_key="u"))
    assert page(of, [{"id": 1, "u": "2016-03-01"}]).versions == [datetime(2016, 3, 1, tzinfo=UTC)]
    of = shaper(stream(replication="incremental", replication_key="id"))
    assert list(page(of, [{"id": 5}]).versions) == [5]


@pytest.mark.parametrize("entry", [None, 5, "x", True, [], [{"id": 1}], 1.5])
def test_entries_that_are_no_objects(entry: Any) -> None:
    """A32."""
    assert rejected(shaper(stream()), entry) == ("not_an_object", "")


@pytest.mark.parametrize("traits", [POSTGRES, SNOWFLAKE])
@pytest.mark.parametrize("value", [b"x", datetime(2016, 1, 1, tzinfo=UTC), (1, 2), {1: 2}, {"a": {1, 2}}, [object()]])
def test_values_that_are_not_json(value: Any, traits: Any) -> None:
    of = shaper(stream(), traits)
    assert rejected(of, {"id": 1, "x": value})[0] == "not_json"
    assert rejected(of, {"id": 1, 5: 1})[0] == "not_json"


@pytest.mark.parametrize("traits", [POSTGRES, SNOWFLAKE])
@pytest.mark.parametrize("kind", ["object", "array"])
def test_nesting(traits: Any, kind: str) -> None:
    """B25: 60 deep is stored, 400 and 50,000 deep are rejected, and nothing breaks."""

    def deep(levels: int) -> Any:
        value: Any = 1
        for _ in range(levels):
            value = {"a": value} if kind == "object" else [value]
        return value

    of = shaper(stream(), traits)
    found = tables(of, page(of, [{"id": 1, "x": deep(60)}]))
    assert 1 in stored_values(found) or kind in ("array", "object")
    assert rejected(of, {"id": 1, "x": deep(400)})[0] == "too_deep"
    assert rejected(of, {"id": 1, "x": deep(50_000)})[0] == "too_deep"


def test_many_new_fields() -> None:
    """B27: each gets a column; where the destination has no room more, the record that needs it is kept apart."""
    wide = {f"c{i}": i for i in range(1_700)}
    of = shaper(stream(), DUCKDB)
    assert rows(of, {"id": 1, **wide}) == [{"id": 1, **wide}]
    of = shaper(stream())
    assert rejected(of, {"id": 1, **wide})[0] == "too_many_columns"
    assert rows(of, {"id": 2, "other": 5}) == [{"id": 2, "other": 5}]
    few = [{"id": i, **{f"c{i}_{k}": k for k in range(400)}} for i in range(6)]
    shaped = page(of, few)
    assert list(shaped.positions) == [0, 1, 2]
    assert [reject.code for reject in shaped.rejects] == ["too_many_columns"] * 3


@pytest.mark.parametrize(
    "name",
    [
        "; DROP TABLE x; --",
        'a"b',
        "",
        " ",
        "select",
        "xmin",
        "_sdc_batched_at",
        "__sdc_primary_key",
        "%s",
        "%(id)s",
        "a\0b",
        "value",
        "[]",
        "[][]",
        "x" * 300,
    ],
)
@pytest.mark.parametrize("traits", [POSTGRES, DUCKDB, SNOWFLAKE])
def test_no_name_loses_a_value(name: str, traits: Any) -> None:
    """B28."""
    of = shaper(stream(), traits)
    (row,) = rows(of, {"id": 1, name: "here"})
    assert sorted(map(str, row.values())) == ["1", "here"]


@pytest.mark.parametrize(
    "names",
    [("Id", "ID"), ("\u00e9", "e\u0301"), ("x" * 70 + "1", "x" * 70 + "2"), ("a__b", "a.b"), ("\0", "\x01"), ("", " ")],
)
@pytest.mark.parametrize("traits", [POSTGRES, DUCKDB, SNOWFLAKE])
def test_names_that_collide_keep_bothstored_values(names: tuple[str, str], traits: Any) -> None:
    """B29."""
    (row,) = rows(shaper(stream(), traits), {"id": 1, names[0]: "first", names[1]: "second"})
    assert sorted(map(str, row.values())) == ["1", "first", "second"]


def test_flattening_keeps_bothstored_values() -> None:
    """B29: {"a": {"b": 1}} and {"a__b": 2}; an object and an array under one name."""
    (row,) = rows(shaper(stream()), {"id": 1, "a": {"b": "one"}, "a__b": "two"})
    assert row == {"id": 1, "a__b": "one", "a__b__2": "two"}
    of = shaper(stream())
    found = tables(of, page(of, [{"id": 1, "a": {"b": [1]}}, {"id": 2, "a": [{"b": [2]}]}]))
    assert sorted(len(held) for held in found.values()) == [1, 1, 1, 2]
