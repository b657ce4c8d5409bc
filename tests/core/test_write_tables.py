"""Tables that follow the records: new columns, splits, repairs, and what users did to them meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connector_core.batch import SchemaChange, TableCount
from connector_core.errors import DestinationError
from tests.support.loads import CASES, Shape, Warehouse, warehouse

cases = Shape()
AMOUNT = Shape(columns={**CASES, "amount": "integer"})
SPLIT = Shape(
    columns={**CASES, "amount": "integer", "amount|text": "string"},
    names={("amount", "integer"): "amount__bi", ("amount|text", "string"): "amount__st"},
)


def case(number: int, **more: Any) -> dict[str, Any]:
    return {"id": number, "subject": f"case {number}", "updated_at": "2026-01-01T00:00:00Z", "labels": ["a"], **more}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Warehouse]:
    with warehouse(tmp_path / "w.duckdb") as house:
        yield house


def test_a_new_column_is_added_and_rewrites_nothing(house: Warehouse) -> None:
    house.load(cases.part([case(1)]))
    values = "SELECT id, subject, _sdc_sequence, _sdc_record_hash FROM cases WHERE id = 1"
    before = house.sql(values)
    receipt = house.load(AMOUNT.part([case(2, amount=5)]))
    assert receipt.changes == (SchemaChange(table="cases", what="added", column="amount"),)
    assert house.sql("SELECT id, amount FROM cases ORDER BY id") == [(1, None), (2, 5)]
    assert house.sql(values) == before
    assert house.load(AMOUNT.part([case(3)])).changes == ()
    columns = {c.name: c.kind for c in house.claim().columns if c.table == "cases"}
    assert columns == {**CASES, "amount": "integer"}


def test_a_batch_without_a_column_leaves_it_null(house: Warehouse) -> None:
    house.load(AMOUNT.part([case(1, amount=5)]))
    assert house.load(cases.part([case(2)])).changes == ()
    assert house.sql("SELECT id, amount FROM cases ORDER BY id") == [(1, 5), (2, None)]


def test_b35_a_split_renames_the_column_and_keeps_the_old_values(house: Warehouse) -> None:
    house.load(AMOUNT.part([case(1, amount=5), case(2, amount=6)]))
    receipt = house.load(SPLIT.part([{**case(2), "amount|text": "six"}, case(3, amount=7)]))
    assert receipt.changes == (
        SchemaChange(table="cases", what="renamed", column="amount__bi", detail="was amount"),
        SchemaChange(table="cases", what="added", column="amount__st"),
    )
    assert house.sql("SELECT id, amount__bi, amount__st FROM cases ORDER BY id") == [
        (1, 5, None),
        (2, None, "six"),
        (3, 7, None),
    ]
    claim = house.claim()
    assert {(c.path, c.kind, c.name, c.present) for c in claim.columns if c.path == ("amount",)} == {
        (("amount",), "integer", "amount__bi", True),
        (("amount",), "string", "amount__st", True),
    }
    assert house.load(SPLIT.part([case(4, amount=1)])).changes == ()


def test_b35_a_column_of_a_subtable_splits_too(house: Warehouse) -> None:
    numbers = Shape(arrays={"labels": {"value": "integer"}})
    house.load(numbers.part([case(1, labels=[1, 2])]))
    both = Shape(
        arrays={"labels": {"value": "integer", "text": "string"}},
        names={("value", "integer"): "value__bi", ("text", "string"): "value__st"},
    )
    house.load(both.part([case(2, labels=[{"value": None, "text": "x"}, {"value": 3, "text": None}])]))
    rows = house.sql("SELECT _sdc_source_key_id, value__bi, value__st FROM cases__labels ORDER BY 1, _sdc_level_0_id")
    assert rows == [(1, 1, None), (1, 2, None), (2, None, "x"), (2, 3, None)]


def test_a_split_onto_a_name_that_a_user_took_changes_nothing(house: Warehouse) -> None:
    house.load(AMOUNT.part([case(1, amount=5)]))
    house.sql("ALTER TABLE cases ADD COLUMN amount__bi VARCHAR")
    before = house.content()
    with pytest.raises(DestinationError, match="amount__bi") as caught:
        house.load(SPLIT.part([case(2)]))
    assert caught.value.code == "column_name"
    assert house.content() == before


def test_c14_a_split_of_a_column_that_somebody_uses_names_the_table(house: Warehouse) -> None:
    house.load(AMOUNT.part([case(1, amount=5)]))
    house.sql("CREATE INDEX mine ON cases (amount)")
    before = house.content()
    with pytest.raises(DestinationError, match="cases"):
        house.load(SPLIT.part([case(2)]))
    assert house.content() == before


def test_c13_a_dropped_column_is_repaired_and_said_so(house: Warehouse) -> None:
    house.load(AMOUNT.part([case(1, amount=5), case(2, amount=6)]))
    house.sql("ALTER TABLE cases DROP COLUMN amount")
    assert [c.present for c in house.claim().columns if c.name == "amount"] == [False]
    again = Shape(columns=AMOUNT.columns, shape_version=2)
    receipt = house.load(again.part([case(1, amount=5)]))
    assert receipt.changes == (SchemaChange(table="cases", what="repaired", column="amount"),)
    assert receipt.older == {"cases": 1}
    assert house.sql("SELECT id, amount FROM cases ORDER BY id") == [(1, 5), (2, None)]


@pytest.mark.parametrize("column", ["_sdc_batched_at", "_sdc_sequence", "_sdc_table_version", "_sdc_record_hash"])
def test_c13_a_dropped_system_column_is_repaired(house: Warehouse, column: str) -> None:
    house.load(cases.part([case(1)]))
    house.sql(f"ALTER TABLE cases DROP COLUMN {column}")
    receipt = house.load(cases.part([case(2)]))
    assert receipt.changes == (SchemaChange(table="cases", what="repaired", column=column),)
    assert house.ids() == [1, 2]
    assert (
        house.one("SELECT count(*) FROM cases WHERE _sdc_table_version = (SELECT max(_sdc_table_version) FROM cases)")
        == 2
    )


def test_c13_a_dropped_table_comes_back_without_stale_sub_rows(house: Warehouse) -> None:
    house.load(cases.part([case(1, labels=["old"]), case(2)]))
    house.sql("DROP TABLE cases")
    assert [(t.name, t.present) for t in house.claim().tables] == [("cases", False), ("cases__labels", True)]
    receipt = house.load(cases.part([case(1, labels=["new"])]))
    assert [(change.table, change.what) for change in receipt.changes] == [("cases", "repaired")]
    assert receipt.counts["cases"].loaded == 1
    assert receipt.tables["cases__labels"] == TableCount(written=1, deleted=1)
    assert house.sql("SELECT value FROM cases__labels WHERE _sdc_source_key_id = 1") == [("new",)]


def test_c13_a_dropped_subtable_comes_back(house: Warehouse) -> None:
    house.load(cases.part([case(1)]))
    house.sql("DROP TABLE cases__labels")
    receipt = house.load(cases.part([case(2, labels=["x"])]))
    assert [(change.table, change.what) for change in receipt.changes] == [("cases__labels", "repaired")]
    assert house.sql("SELECT value FROM cases__labels") == [("x",)]


@pytest.mark.parametrize(
    ("table", "column"),
    [("cases", "id"), ("cases__labels", "_sdc_source_key_id"), ("cases__labels", "_sdc_level_0_id")],
)
def test_c13_a_dropped_key_stops_the_load_and_says_what_to_do(house: Warehouse, table: str, column: str) -> None:
    house.load(cases.part([case(1)]))
    house.sql(f"ALTER TABLE {table} DROP COLUMN {column}")
    before = house.content()
    with pytest.raises(DestinationError, match=column) as caught:
        house.load(cases.part([case(2)]))
    assert "reset cases" in caught.value.hint
    assert house.content() == before


def test_c13_a_changed_type_stops_the_load_and_names_it(house: Warehouse) -> None:
    house.load(AMOUNT.part([case(1, amount=5)]))
    house.sql("ALTER TABLE cases ALTER amount TYPE VARCHAR")
    before = house.content()
    with pytest.raises(DestinationError, match="'amount' of 'cases' is VARCHAR, it was made as BIGINT"):
        house.load(AMOUNT.part([case(2, amount=6)]))
    assert house.content() == before


def test_a_table_of_somebody_else_is_not_touched(house: Warehouse) -> None:
    house.claim()
    house.sql("CREATE TABLE cases (id BIGINT, mine VARCHAR)")
    before = house.content()
    with pytest.raises(DestinationError, match="did not make") as caught:
        house.load(cases.part([case(1)]))
    assert caught.value.code == "foreign_table"
    assert house.content() == before


def test_columns_that_users_added_stay(house: Warehouse) -> None:
    house.load(cases.part([case(1)]))
    house.sql("ALTER TABLE cases ADD COLUMN note VARCHAR")
    house.sql("CREATE VIEW open_cases AS SELECT id, note FROM cases")
    house.load(cases.part([case(2)]))
    assert house.sql("SELECT id FROM open_cases ORDER BY id") == [(1,), (2,)]


def test_subtables_of_empty_arrays_exist(house: Warehouse) -> None:
    house.load(cases.part([case(1, labels=[])]))
    assert house.one("SELECT count(*) FROM cases__labels") == 0
    house.load(Shape(stream="users", arrays={"groups": {"value": "integer"}}).part([]))
    assert house.one("SELECT count(*) FROM users") == house.one("SELECT count(*) FROM users__groups") == 0


HOSTILE = [
    'a"b',
    "a'b; DROP TABLE cases; --",
    "a%sb",
    "?",
    "{}",
    "a\nb",
    "select",
    "rowid",
    "ünïcödé 日本 \U0001f600",
    "c0",
    "x" * 250,
    "$1",
    "\\",
    " ",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_h7_names_are_only_names(house: Warehouse, name: str) -> None:
    shape = Shape(stream=f"t{name}", columns={**CASES, name: "string"}, arrays={name: {name: "string"}})
    record = {**case(1), name: "in the column"}
    house.load(shape.part([{**record, name: "in the column"}], subtables=()))
    house.load(shape.part([{**record, name: None}, case(2)]))
    house.load(
        Shape(stream=f"t{name}", columns=CASES, arrays={name: {name: "string"}}).part(
            [{**case(3), name: [{name: "sub"}]}]
        )
    )
    quoted = '"' + f"t{name}".replace('"', '""') + '"'
    column = '"' + name.replace('"', '""') + '"'
    assert house.sql(f"SELECT id, {column} FROM {quoted} ORDER BY id") == [(1, None), (2, None), (3, None)]
    sub = '"' + f"t{name}__{name}".replace('"', '""') + '"'
    assert house.sql(f"SELECT {column}, _sdc_source_key_id FROM {sub}") == [("sub", 3)]
    house.target.reset(f"t{name}", connector="desk", epoch=1)
    assert [table for table in house.content() if not table.startswith("_sdc")] == []
