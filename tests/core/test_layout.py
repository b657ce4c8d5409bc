"""Tables and columns of a stream: what is declared, what the destination remembers, how a column splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from connector_core.errors import ConfigError
from connector_core.layout import Layout, StreamLayout, TooManyColumns
from connector_core.streams import Stream
from connector_core.tables import Kind, Path, Traits
from tests.support.shaping import SUFFIXES, remembered

POSTGRES = Traits(name_bytes=63, suffixes=SUFFIXES)
SNOWFLAKE = Traits(
    name_bytes=255, suffixes=SUFFIXES | {"integer": "it"}, fold="upper", rename_on_split=False, nested_natively=True
)

TEXT = {"type": ["string", "null"]}
SCHEMA = {
    "type": "object",
    "properties": {
        "subject": TEXT,
        "id": {"type": "integer"},
        "at": {"type": "string", "format": "date-time"},
        "born": {"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}]},
        "price": {"type": ["integer", "number"]},
        "any": {},
        "either": {"type": ["string", "boolean"]},
        "address": {
            "type": "object",
            "properties": {"city": TEXT, "geo": {"type": "object", "properties": {"lat": {"type": "number"}}}},
        },
        "labels": {"type": "array", "items": TEXT},
        "lines": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "sku": TEXT,
                    "taxes": {"type": "array", "items": {"properties": {"rate": {"type": "number"}}}},
                },
            },
        },
        "matrix": {"type": "array", "items": {"type": "array", "items": {"type": "integer"}}},
        "_links": {"type": "object", "properties": {"self": TEXT}},
    },
}


def stream(schema: Mapping[str, Any] = SCHEMA, name: str = "orders", key: tuple[str, ...] = ("id",)) -> Stream:
    return Stream(name=name, schema=schema, primary_key=key, discard=frozenset({"_links"}))


def one(kind: str | list[str], **more: Any) -> dict[str, Any]:
    return {"properties": {"id": {"type": "integer"}, "x": {"type": kind, **more}}}


def layout(
    declared: Mapping[str, Any] = SCHEMA,
    traits: Traits = POSTGRES,
    registered: StreamLayout | None = None,
    *,
    absent: Sequence[str] = (),
    **modes: Any,
) -> StreamLayout:
    """A stream's layout in a namespace that remembers `registered`; somebody dropped what is named in `absent`."""
    tables, columns = remembered(registered, absent) if registered else ((), ())
    return Layout(traits, tables, columns).stream(stream(declared), **modes)


def names(of: StreamLayout, path: Path = ()) -> dict[str, Kind]:
    return {c.name: c.kind for table in of.tables() if table.path == path for c in table.columns}


def test_the_declared_tables_exist_before_the_first_record() -> None:
    made = layout()
    assert {table.name: (table.path, table.levels) for table in made.tables()} == {
        "orders": ((), 0),
        "orders__labels": (("labels",), 1),
        "orders__lines": (("lines",), 1),
        "orders__lines__taxes": (("lines", "[]", "taxes"), 2),
        "orders__matrix": (("matrix",), 1),
        "orders__matrix__value": (("matrix", "[]"), 2),
    }
    assert names(made) == {
        "id": "integer", "subject": "string", "at": "instant", "born": "date", "price": "number",
        "address__city": "string", "address__geo__lat": "number",
    }  # fmt: skip
    assert names(made, ("labels",)) == {"value": "string"}
    assert names(made, ("lines", "[]", "taxes")) == {"rate": "number"}
    assert names(made, ("matrix",)) == {}
    assert names(made, ("matrix", "[]")) == {"value": "integer"}
    assert [column.name for column in made.root.key] == ["id"]


def test_nested_values_stay_whole_where_the_destination_holds_them() -> None:
    made = layout(traits=SNOWFLAKE)
    assert [table.name for table in made.tables()] == ["ORDERS"]
    assert names(made) == {
        "ID": "integer", "SUBJECT": "string", "AT": "instant", "BORN": "date", "PRICE": "number",
        "ADDRESS": "nested", "LABELS": "nested", "LINES": "nested", "MATRIX": "nested",
    }  # fmt: skip
    assert [table.path for table in layout(nested="native").tables()] == [()]
    assert len(layout(traits=SNOWFLAKE, nested="subtables").tables()) == 6


def test_a_second_type_renames_the_first_column() -> None:
    """Stitch's split on Postgres and DuckDB (facts/stitch_semantics.md section 6.4)."""
    made = layout(one("integer"))
    before = made.tables()
    assert made.slot((), ("x",), "string").name == "x__st"
    assert names(made) == {"id": "integer", "x__bi": "integer", "x__st": "string"}
    assert made.slot((), ("x",), "boolean").name == "x__bo"
    assert made.slot((), ("x",), "integer").name == "x__bi"
    assert [c.name for c in before[0].columns] == ["id", "x"]  # a snapshot never changes


def test_a_second_type_gets_a_column_of_its_own() -> None:
    """Stitch's split on Snowflake."""
    made = layout(one("integer"), traits=SNOWFLAKE)
    assert made.slot((), ("x",), "string").name == "X__ST"
    assert made.slot((), ("x",), "boolean").name == "X__BO"
    assert names(made) == {"ID": "integer", "X": "integer", "X__ST": "string", "X__BO": "boolean"}


def test_a_split_avoids_columns_that_have_such_names() -> None:
    schema = {"properties": {"id": {"type": "integer"}, "x": {"type": "integer"}, "x__st": TEXT, "x__bi": TEXT}}
    made = layout(schema)
    made.slot((), ("x",), "string")
    assert len(names(made)) == 5
    assert names(made)["x__st"] == "string"
    assert {c.name for c in made.root.columns if c.path == ("x",)} == {"x__2__bi", "x__2__st"}


def test_a_name_that_a_split_has_freed_is_given_to_nobody_else() -> None:
    """A query on `x` must not silently read another field, in this run or a later one."""
    cased = Traits(name_bytes=63, suffixes=SUFFIXES, case_sensitive=False)
    made = layout(one("integer"), traits=cased)
    made.slot((), ("x",), "string")
    assert made.slot((), ("X",), "string").name == "X__2"
    again = layout(one("integer"), cased, layout(one("string"), cased, layout(one("integer"), traits=cased)))
    assert again.slot((), ("X",), "string").name == "X__2"
    assert again.slot((), ("x",), "boolean").name == "x__bo"


@pytest.mark.parametrize("traits", [POSTGRES, SNOWFLAKE])
def test_what_is_registered_keeps_its_name_for_ever(traits: Traits) -> None:
    first = layout(one("integer"), traits=traits)
    first.slot((), ("x",), "string")
    first.slot((), ("new",), "boolean")
    first.slot((), ("tags",), "nested")
    again = layout(one("integer"), traits, first)
    assert names(again) == names(first)
    assert again.slot((), ("x",), "number").name.lower() == "x__de"
    assert again.shape_version == first.shape_version == 1


def test_a_name_is_kept_when_the_source_forgets_the_field() -> None:
    """B29: `Id` came first; without it `id` must not take its column over."""
    cased = Traits(name_bytes=63, suffixes=SUFFIXES, case_sensitive=False)
    first = layout({"properties": {"id": {"type": "integer"}, "Name": TEXT, "name": TEXT}}, traits=cased)
    assert names(first).keys() == {"id", "Name", "name__2"}
    again = layout({"properties": {"id": {"type": "integer"}, "name": TEXT}}, cased, first)
    assert {c.path: c.name for c in again.root.columns}[("name",)] == "name__2"


def test_a_declared_type_that_changes_splits_and_raises_the_shape_version() -> None:
    """B35: old values stay, new ones get a column, rows are rewritten when next read."""
    first = layout(one("integer"))
    second = layout(one("string"), registered=first)
    assert names(second) == {"id": "integer", "x__bi": "integer", "x__st": "string"}
    assert second.shape_version == 2
    assert layout(one("string"), registered=second).shape_version == 2


def test_a_field_that_appears_or_goes_rewrites_nothing() -> None:
    """A new custom field must not rewrite and bill every case."""
    first = layout(one("integer"))
    more = one("integer")
    more["properties"]["y"] = TEXT
    more["properties"]["tags"] = {"type": "array", "items": TEXT}
    second = layout(more, registered=first)
    assert second.shape_version == 1
    assert "y" in names(second)
    assert layout(one("integer"), registered=second).shape_version == 1
    found = layout(one("integer"), registered=first)
    found.slot((), ("grown",), "string")
    assert layout(one("integer"), registered=found).shape_version == 1


@pytest.mark.parametrize("change", [{"schema": "discard"}, {"schema": "freeze"}, {"nested": "native"}])
def test_a_changed_mode_raises_the_shape_version(change: dict[str, Any]) -> None:
    first = layout()
    changed = layout(registered=first, **change)
    assert changed.shape_version == 2
    assert changed.shape != first.shape
    assert layout(registered=changed, **change).shape_version == 2


@pytest.mark.parametrize(("absent", "columns"), [(["subject"], ["subject"]), (["orders__labels"], [])])
def test_what_somebody_dropped_is_repaired_and_said(absent: list[str], columns: list[str]) -> None:
    repaired = layout(registered=layout(), absent=absent)
    assert repaired.shape_version == 2
    assert [column.name for column in repaired.repaired] == columns
    assert "subject" in names(repaired)


def test_a_key_never_changes_its_type() -> None:
    first = layout(one("integer"))
    with pytest.raises(ConfigError, match="primary key 'id'"):
        layout({"properties": {"id": TEXT}}, registered=first)


def test_tables_of_all_streams_have_different_names() -> None:
    """B29: a stream called as another's subtable; two streams that differ by case."""
    space = Layout(Traits(name_bytes=63, suffixes=SUFFIXES, case_sensitive=False), (), ())
    found = [
        t.name
        for name in ("orders", "orders__labels", "Orders", "_sdc_fence")
        for t in space.stream(stream(name=name)).tables()
    ]
    assert len({name.lower() for name in found}) == len(found)
    assert not [name for name in found if name.startswith("_sdc")]


def test_table_names_are_handed_out_once_to_many_threads() -> None:
    space = Layout(POSTGRES, (), ())
    with ThreadPoolExecutor(8) as pool:
        found = [*pool.map(lambda _: space.table_name("orders", ()), range(200))]
    assert len(set(found)) == 200


def test_columns_are_handed_out_once_to_many_threads() -> None:
    made = layout(one("integer"))
    kinds: list[Kind] = ["string", "boolean", "number", "instant"]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: made.slot((), (f"c{i % 50}",), kinds[i % 4]), range(2_000)))
    columns = made.root.columns
    assert len({c.name for c in columns}) == len({c.slot for c in columns}) == len(columns) == 2 + 2 * 50


def test_the_limit_of_columns_leaves_room_for_the_engines_own() -> None:
    """B27, C17."""
    made = layout(one("integer"), traits=Traits(name_bytes=63, suffixes=SUFFIXES, columns=20))
    free = 20 - 10 - len(made.root.columns) - 1  # less the engine's own, and the key that subtables carry
    for i in range(free):
        made.slot((), (f"c{i}",), "string")
    with pytest.raises(TooManyColumns, match="20 columns"):
        made.slot((), ("more",), "string")
    assert made.slot((), ("x",), "integer").name == "x"


def test_a_schema_with_more_columns_than_fit_still_has_its_key() -> None:
    wide = {"properties": {**{f"c{i}": TEXT for i in range(50)}, "id": {"type": "integer"}}}
    made = layout(wide, traits=Traits(name_bytes=63, suffixes=SUFFIXES, columns=20))
    assert [column.name for column in made.root.key] == ["id"]


def test_references_and_unions_declare_columns() -> None:
    schema = {
        "allOf": [{"$ref": "#/$defs/base"}, {"properties": {"b": {"enum": ["x", "y"]}}}],
        "properties": {
            "c": {"oneOf": [{"$ref": "#/$defs/geo"}, {"type": "null"}]},
            "d": {"const": 5},
            "tree": {"$ref": "#/$defs/tree"},
        },
        "$defs": {
            "base": {"properties": {"id": {"type": "integer"}}},
            "geo": {"type": "object", "properties": {"lat": {"type": "number"}}},
            "tree": {"type": "object", "properties": {"name": TEXT, "child": {"$ref": "#/$defs/tree"}}},
        },
    }
    assert names(layout(schema)) == {
        "id": "integer", "b": "string", "c__lat": "number", "d": "integer", "tree__name": "string"
    }  # fmt: skip
