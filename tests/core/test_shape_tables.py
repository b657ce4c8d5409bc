"""Tables and columns that come out of records: nesting, type conflicts, unknown properties."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from connector_core.batch import Counts
from connector_core.shape import merge
from tests.support.shaping import (
    BOOLEAN,
    INSTANT,
    INTEGER,
    NOW,
    NUMBER,
    SNOWFLAKE,
    TEXT,
    page,
    rebuilt,
    rejected,
    rows,
    shaper,
    stream,
    tables,
)


def test_objects_become_columns_and_arrays_become_tables() -> None:
    of = shaper(
        stream(
            {
                "labels": {"type": "array", "items": TEXT},
                "address": {"type": "object", "properties": {"city": TEXT}},
                "lines": {
                    "type": "array",
                    "items": {
                        "properties": {
                            "sku": TEXT,
                            "taxes": {"type": "array", "items": {"properties": {"rate": NUMBER}}},
                        }
                    },
                },
            }
        )
    )
    records = [
        {
            "id": 1,
            "labels": ["a", None, "b"],
            "address": {"city": "X"},
            "lines": [{"sku": "s", "taxes": [{"rate": 5.99}, {"rate": 6}]}],
        },
        {"id": 2, "labels": [], "address": None, "lines": [{"sku": "t"}, None, {"taxes": [{"rate": 0.50}]}]},
        {"id": 3},
    ]
    assert tables(of, page(of, records)) == {
        "things": [{"id": 1, "address__city": "X"}, {"id": 2}, {"id": 3}],
        "things__labels": [{"#": (0, 0), "value": "a"}, {"#": (0, 1)}, {"#": (0, 2), "value": "b"}],
        "things__lines": [{"#": (0, 0), "sku": "s"}, {"#": (1, 0), "sku": "t"}, {"#": (1, 1)}, {"#": (1, 2)}],
        "things__lines__taxes": [
            {"#": (0, 0, 0), "rate": "5.99"},
            {"#": (0, 0, 1), "rate": "6"},
            {"#": (1, 2, 0), "rate": "0.5"},
        ],
    }


def test_arrays_in_arrays() -> None:
    of = shaper(stream())
    assert tables(of, page(of, [{"id": 1, "m": [[1, 2], [], [3]]}]))["things__m__value"] == [
        {"#": (0, 0, 0), "value": 1},
        {"#": (0, 0, 1), "value": 2},
        {"#": (0, 2, 0), "value": 3},
    ]


def test_nested_values_stay_whole_with_sorted_keys() -> None:
    of = shaper(stream({"labels": {"type": "array"}}), SNOWFLAKE)
    record = {
        "id": 1,
        "labels": ["b", "a"],
        "o": {"z": 1, "a": {"y": None, "x": [1.5, Decimal("0.10000000000000000001"), 2**70]}},
    }
    assert rows(of, record) == [
        {
            "ID": 1,
            "LABELS": '["b","a"]',
            "O": '{"a":{"x":[1.5,0.10000000000000000001,1180591620717411303424],"y":null},"z":1}',
        }
    ]


def test_columns_of_several_pages_are_filled_up() -> None:
    """A column that only the second page brings is NULL in the first; one split in between has its new name in both."""
    of = shaper(stream({"x": INTEGER}))
    one = page(of, [{"id": 1, "x": 5, "l": [1]}])
    two = page(of, [{"id": 2, "x": "five", "y": True}, {"id": 3, "l": [2, 3]}])
    assert tables(of, one, two) == {
        "things": [{"id": 1, "x__bi": 5}, {"id": 2, "x__st": "five", "y": True}, {"id": 3}],
        "things__l": [{"#": (0, 0), "value": 1}, {"#": (2, 0), "value": 2}, {"#": (2, 1), "value": 3}],
    }


def test_a_part_carries_what_the_destination_needs() -> None:
    declared = stream({"updated_at": INSTANT}, replication="incremental", replication_key="updated_at")
    of = shaper(declared)
    shaped = page(of, [{"id": 7, "updated_at": "2016-03-01T10:00:05+02:00"}, {"id": 8}])
    assert shaped.keys == [(7,), (8,)]
    assert list(shaped.versions) == [datetime(2016, 3, 1, 8, 0, 5, tzinfo=UTC), None]
    part = merge(of.layout, [shaped.chunk], counts=Counts(extracted=2), rewrite=True)
    assert (part.version, part.rewrite, part.counts, part.shape_version) == ("updated_at", True, Counts(extracted=2), 1)
    assert list(part.hashes) == list(shaped.hashes)
    assert list(part.extracted_at) == list(part.received_at) == [NOW, NOW]
    assert part.unique == []


def test_records_without_a_key_get_one_each() -> None:
    of = shaper(stream(key=()))
    shaped = page(of, [{"a": 1}, {"a": 1}, {}])
    part = merge(of.layout, [shaped.chunk, page(of, [{"a": 1}]).chunk], counts=Counts())
    assert shaped.keys is None
    assert len(set(part.unique)) == 4
    assert part.root.count == 4


def test_an_empty_page_and_no_page() -> None:
    of = shaper(stream({"labels": {"type": "array", "items": TEXT}}))
    for chunks in ([], [page(of, []).chunk]):
        part = merge(of.layout, chunks, counts=Counts())
        assert (part.root.count, part.subtables[0].count) == (0, 0)
        assert len(part.root.values) == 1


def test_taking_some_records_takes_their_sub_rows() -> None:
    of = shaper(stream())
    records = [{"id": i, "tags": [{"t": i, "deep": [i] * i}] * i} for i in range(4)]
    shaped = page(of, records)
    taken = shaped.chunk.take([1, 3])
    whole = page(of, [records[1], records[3]])
    assert taken.hashes == [shaped.hashes[1], shaped.hashes[3]] == whole.hashes
    one, other = (rebuilt(merge(of.layout, [chunk], counts=Counts())) for chunk in (taken, whole.chunk))
    assert one == other
    assert len(one[1]["tags"]) == 3
    assert shaped.chunk.take([]).count == 0


@pytest.mark.parametrize(
    ("declared", "value", "row"),
    [
        (INTEGER, True, {"x__bo": True}),
        (BOOLEAN, "yes", {"x__st": "yes"}),
        (BOOLEAN, 1, {"x__bi": 1}),
        (TEXT, 5, {"x__bi": 5}),
        (TEXT, 1.5, {"x__de": "1.5"}),
        (TEXT, {"a": 1, "b": {"c": None, "d": "e"}}, {"x__a": 1, "x__b__d": "e"}),
        (INTEGER, "", {"x__st": ""}),
        (INSTANT, 5, {"x__bi": 5}),
        (INSTANT, False, {"x__bo": False}),
        (INSTANT, {"a": "2016"}, {"x__a": "2016"}),
        ({"type": "object", "properties": {"a": TEXT}}, "flat", {"x": "flat"}),
        ({"type": "array"}, 5, {"x": 5}),
    ],
)
def test_a_value_of_another_type_gets_a_column_of_its_own(declared: Any, value: Any, row: dict[str, Any]) -> None:
    assert rows(shaper(stream({"x": declared})), {"id": 1, "x": value}) == [{"id": 1, **row}]


def test_an_array_where_a_scalar_was_declared_gets_a_table() -> None:
    """B7."""
    of = shaper(stream({"x": TEXT}))
    assert tables(of, page(of, [{"id": 1, "x": ["a", 1]}, {"id": 2, "x": "b"}])) == {
        "things": [{"id": 1}, {"id": 2, "x": "b"}],
        "things__x": [{"#": (0, 0), "value__st": "a"}, {"#": (0, 1), "value__bi": 1}],
    }


def test_labels_of_mixed_kinds_are_exact() -> None:
    """B26."""
    of = shaper(stream({"labels": {"type": "array", "items": TEXT}}))
    mixed = ["a", 5, True, None, {"k": 1}, [2, "b"], 1.5]
    found = tables(
        of, page(of, [{"id": 1, "labels": mixed}, {"id": 2, "labels": ["x"] * 10_000}, {"id": 3, "labels": "no list"}])
    )
    assert found["things"] == [{"id": 1}, {"id": 2}, {"id": 3, "labels": "no list"}]
    assert found["things__labels"][:7] == [
        {"#": (0, 0), "value__st": "a"},
        {"#": (0, 1), "value__de": "5"},
        {"#": (0, 2), "value__bo": True},
        {"#": (0, 3)},
        {"#": (0, 4), "k": 1},
        {"#": (0, 5)},
        {"#": (0, 6), "value__de": "1.5"},
    ]
    assert found["things__labels__value"] == [{"#": (0, 5, 0), "value__bi": 2}, {"#": (0, 5, 1), "value__st": "b"}]
    assert len(found["things__labels"]) == 10_007


@pytest.mark.parametrize(
    ("declared", "value", "path"),
    [
        *((INTEGER, value, "/x") for value in ("7", True, 1.5, 2**63)),
        *((TEXT, value, "/x") for value in (5, [1], {"a": 1})),
        (INSTANT, "now", "/x"),
        (BOOLEAN, "yes", "/x"),
        ({"type": "array", "items": TEXT}, ["a", 5], "/x/1"),
        ({"type": "object", "properties": {"a": TEXT}}, {"a": 5}, "/x/a"),
        ({"type": "object"}, 5, "/x"),
        ({"type": "array"}, {}, "/x"),
    ],
)
def test_a_type_conflict_rejects_when_asked_to(declared: Any, value: Any, path: str) -> None:
    of = shaper(stream({"x": declared}), type_conflict="reject")
    assert rejected(of, {"id": 1, "x": value}) == ("type_conflict", path)


def test_without_a_declared_type_the_first_value_decides_what_conflicts() -> None:
    of = shaper(stream(), type_conflict="reject")
    assert [r.record for r in page(of, [{"id": 1, "x": 5}, {"id": 2, "x": "a"}, {"id": 3, "x": 1.5}]).rejects] == [
        '{"id":2,"x":"a"}'
    ]
    assert rejected(of, {"id": 4, "x": {"a": 1}}) == ("type_conflict", "/x")
    assert rows(of, {"id": 5, "x": None}) == [{"id": 5}]


def test_null_is_no_conflict() -> None:
    """B34."""
    declared = stream(
        {"a": {"type": "string"}, "b": {"type": "integer"}, "c": {"type": "array"}, "d": {"type": "object"}}
    )
    for mode in ("split", "reject"):
        of = shaper(declared, type_conflict=mode)
        assert rows(of, {"id": 1, "a": None, "b": None, "c": None, "d": None}, {"id": 2}) == [{"id": 1}, {"id": 2}]


UNKNOWN = [{"id": 1, "x": "new", "o": {"new": 1, "old": 2}}, {"id": 2, "x": None, "o": {"old": 3}}]
KNOWN = {"o": {"type": "object", "properties": {"old": INTEGER}}, "open": {"type": "object"}}


def test_unknown_properties_get_columns() -> None:
    assert rows(shaper(stream(KNOWN)), *UNKNOWN) == [
        {"id": 1, "x": "new", "o__new": 1, "o__old": 2},
        {"id": 2, "o__old": 3},
    ]


def test_unknown_properties_reject_in_a_frozen_schema() -> None:
    of = shaper(stream(KNOWN), schema="freeze")
    shaped = page(of, [*UNKNOWN, {"id": 3, "o": {"new": 1}}, {"id": 4, "open": {"any": {"thing": 1}}}])
    assert [(r.code, r.path) for r in shaped.rejects] == [("unknown_property", "/x"), ("unknown_property", "/o/new")]
    assert tables(of, shaped)["things"] == [{"id": 2, "o__old": 3}, {"id": 4, "open__any__thing": 1}]


def test_unknown_properties_are_dropped_and_counted() -> None:
    of = shaper(stream(KNOWN), schema="discard")
    shaped = page(of, UNKNOWN)
    assert shaped.discarded == 2
    assert tables(of, shaped)["things"] == [{"id": 1, "o__old": 2}, {"id": 2, "o__old": 3}]
    assert shaped.hashes == page(of, [{"id": 1, "o": {"old": 2}}, {"id": 2, "o": {"old": 3}}]).hashes


def test_an_object_where_a_scalar_was_declared_holds_nothing_that_the_schema_knows() -> None:
    declared = stream({"x": TEXT, "any": {}})
    records = [{"id": 1, "x": {"a": 1}}, {"id": 2, "any": {"a": 1}}]
    frozen = page(shaper(declared, schema="freeze"), records)
    assert [(r.code, r.path) for r in frozen.rejects] == [("unknown_property", "/x/a")]
    of = shaper(declared, schema="discard")
    shaped = page(of, records)
    assert (shaped.discarded, tables(of, shaped)["things"]) == (1, [{"id": 1}, {"id": 2, "any__a": 1}])


def test_a_property_that_is_only_null_adds_nothing() -> None:
    of = shaper(stream())
    rows(of, {"id": 1, "x": None, "o": {"a": None}, "l": [], "e": {}})
    assert [c.name for t in of.layout.tables() for c in t.columns] == ["id"]


def test_a_rejected_record_adds_no_column() -> None:
    of = shaper(stream({"t": INSTANT}))
    rejected(of, {"id": 1, "t": "2016-02-30", "new": 1, "l": [1]})
    assert [c.name for t in of.layout.tables() for c in t.columns] == ["id", "t"]


def test_what_the_stream_discards_leaves_no_trace() -> None:
    of = shaper(stream(discard=frozenset({"_links"})))
    hostile = {"id": 1, "_links": {"\ud800": float("nan"), "self": {"href": "x"}}}
    shaped = page(of, [hostile, {"id": 1}])
    assert shaped.discarded == 0
    assert tables(of, shaped)["things"] == [{"id": 1}, {"id": 1}]
    assert shaped.hashes[0] == shaped.hashes[1]
