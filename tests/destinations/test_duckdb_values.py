"""Values on DuckDB's own road: its types, and the lines of the spool. All the others are in the contract
(facts/hard_values.md)."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connector_core.tables import Kind
from connector_duckdb.bulk import LINE, ROWS, WIDE
from tests.support.loads import Shape, Warehouse, warehouse

TEXTS = [
    "",
    " ",
    "NULL",
    "null",
    "\\N",
    "\\.",
    "\0",
    "a\0b",
    "\\u0000",
    "\x01\x02\x1f\x7f\x80\x9f",
    "\ufeffbom",
    "\uffff\ufffe\U0010ffff",
    "e\u0301 \u00e9",
    "\u202eright to left",
    "\u2028\u2029",
    "\U0001f600\U0001f1e9\U0001f1ea",
    "'\"`;--",
    "%s %(x)s {} ${HOME} {{7*7}}",
    '=cmd|"/c calc"!A1',
    "a\tb\r\nc",
    "\x1b[31mred\x1b[0m",
    '{"json": "text"}',
    "[1,2]",
    "1e400",
    "true",
    "2016-03-01",
]
INSTANTS = {
    "0001-01-01T00:00:00Z": "0001-01-01T00:00:00.000000",
    "1969-12-31T23:59:59.999999Z": "1969-12-31T23:59:59.999999",
    "2016-03-01T08:00:05Z": "2016-03-01T08:00:05.000000",
    "2016-03-01T08:00:05.2Z": "2016-03-01T08:00:05.200000",
    "2016-03-01T08:00:05.25Z": "2016-03-01T08:00:05.250000",
    "2016-03-01T08:00:05.123Z": "2016-03-01T08:00:05.123000",
    "2016-03-01T08:00:05.1234Z": "2016-03-01T08:00:05.123400",
    "2016-03-01T08:00:05.12345Z": "2016-03-01T08:00:05.123450",
    "2016-03-01T08:00:05.123456Z": "2016-03-01T08:00:05.123456",
    "2026-03-29T01:30:00Z": "2026-03-29T01:30:00.000000",
    "9999-12-31T23:59:59.999999Z": "9999-12-31T23:59:59.999999",
}
NUMBERS = {
    "0": "0.000000000",
    "-12.5": "-12.500000000",
    "0.000000001": "0.000000001",
    "50000.000000001": "50000.000000001",
    "99999999999999999999999999999.999999999": "99999999999999999999999999999.999999999",
    "-99999999999999999999999999999.999999999": "-99999999999999999999999999999.999999999",
    "123456789012345678": "123456789012345678.000000000",
}
NESTED = [
    "{}",
    "[]",
    '"text"',
    '{"a":[1,{"b":null}],"c":1.000000000000000000001}',
    '{"big":123456789012345678901234567890}',
    '{"nul":"\\u0000","slash":"\\\\","uni":"é"}',
    "[" * 60 + "]" * 60,
]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Warehouse]:
    with warehouse(tmp_path / "w.duckdb") as house:
        yield house


def store(house: Warehouse, kind: Kind, values: list[Any], read: str = "v") -> list[Any]:
    shape = Shape(columns={"id": "integer", "v": kind}, version=None, arrays={})
    house.load(shape.part([{"id": n, "v": value} for n, value in enumerate([*values, None])]))
    found = [row[0] for row in house.sql(f"SELECT {read} FROM cases ORDER BY id")]
    assert found.pop() is None
    return found


def test_b2_b18_b25_types_that_users_meet(house: Warehouse) -> None:
    kinds: dict[str, Kind] = {"id": "integer", "n": "number", "t": "instant", "j": "nested", "b": "boolean"}
    shape = Shape(columns=kinds, version=None, arrays={})
    record = {"id": 1, "n": "12.5", "t": "2016-03-01T08:00:05.25Z", "j": NESTED[3], "b": True}
    house.load(shape.part([record]))
    types = "typeof(id), typeof(n), typeof(t), typeof(j), typeof(b), j->>'$.a[0]', n + 1 > 13"
    assert house.sql(f"SELECT {types} FROM cases") == [
        ("BIGINT", "DECIMAL(38,9)", "TIMESTAMP WITH TIME ZONE", "JSON", "BOOLEAN", "1", True)
    ]


def test_b25_nested_values_are_kept_byte_for_byte(house: Warehouse) -> None:
    assert store(house, "nested", NESTED) == NESTED


def test_values_survive_whatever_stands_beside_them(house: Warehouse) -> None:
    """Batches of several lines, of every length: each value is in its own row and column."""
    dice = random.Random(3)
    columns: dict[str, Kind] = {"id": "integer", "a": "string", "n": "number", "t": "instant", "j": "nested"}
    shape = Shape(columns=columns, version=None, arrays={"l": {"value": "string"}})
    records = [
        {
            "id": n,
            "a": dice.choice(TEXTS) * dice.choice((1, 1, 1, 400)) if dice.random() > 0.1 else None,
            "n": dice.choice([*NUMBERS, None]),
            "t": dice.choice([*INSTANTS, None]),
            "j": dice.choice([*NESTED, None]),
            "l": dice.sample(TEXTS, dice.randint(0, 3)),
        }
        for n in range(2 * ROWS + 345)
    ]
    house.load(shape.part(records))
    found = house.sql("SELECT id, a, n::VARCHAR, strftime(t, '%Y-%m-%dT%H:%M:%S.%f'), j FROM cases ORDER BY id")
    assert found == [(r["id"], r["a"], NUMBERS.get(r["n"]), INSTANTS.get(r["t"]), r["j"]) for r in records]
    subs = house.sql("SELECT _sdc_source_key_id, _sdc_level_0_id, value FROM cases__l ORDER BY 1, 2")
    assert subs == [(r["id"], i, text) for r in records for i, text in enumerate(r["l"])]


@pytest.mark.parametrize("megabytes", [1, 5, 17])
def test_b14_long_texts_are_never_cut(house: Warehouse, megabytes: int) -> None:
    text = "\u00e9\0x" * (megabytes * 1_000_000 // 4)
    assert store(house, "string", ["before", text, "after"], "md5(v)")[1] == house.one("SELECT md5(?)", text)
    assert house.sql("SELECT v FROM cases WHERE id IN (0, 2) ORDER BY id") == [("before",), ("after",)]


def test_b14_many_rows_that_are_long_together(house: Warehouse) -> None:
    texts = [f"{n}" + "y" * (LINE // 3) for n in range(10)]
    assert store(house, "string", texts, "md5(v)") == [house.one("SELECT md5(?)", text) for text in texts]


@pytest.mark.parametrize("count", [WIDE - 1, WIDE + 1])
def test_b27_wide_tables(house: Warehouse, count: int) -> None:
    names = [f"f{n}" for n in range(count)]
    columns: dict[str, Kind] = {"id": "integer", **dict.fromkeys(names, "string"), "n": "number", "j": "nested"}
    shape = Shape(columns=columns, version=None, arrays={})
    records = [{"id": row, "n": "1.5", "j": "[1]", **{n: f"{row} {n}" for n in names[1:]}} for row in range(40)]
    house.load(shape.part(records))
    house.load(shape.part([{**records[0], "f1": "new"}, records[1]]))
    last = names[-1]
    assert house.sql(f"SELECT id, f0, f1, {last}, n::VARCHAR, j FROM cases WHERE id < 2 ORDER BY id") == [
        (0, None, "new", f"0 {last}", "1.500000000", "[1]"),
        (1, None, "1 f1", f"1 {last}", "1.500000000", "[1]"),
    ]
    assert house.one("SELECT count(*) FROM cases") == 40
