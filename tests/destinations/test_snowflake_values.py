"""Values as Snowflake stores them: exactly, or not at all (facts/hard_values.md)."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from connector_core.nested import Refused, whole
from connector_core.sql import BulkColumn
from connector_core.tables import Kind
from connector_snowflake.bulk import IN_MEMORY, packed
from connector_snowflake.sql import LONGEST_TEXT, TRAITS
from tests.destinations.test_duckdb_values import INSTANTS, NESTED, NUMBERS, TEXTS
from tests.support.loads import Shape
from tests.support.snowflake import SnowflakeWarehouse, warehouse

STORABLE = [text for text in TEXTS if "\0" not in text]


@pytest.fixture(scope="module")
def house() -> Iterator[SnowflakeWarehouse]:
    with warehouse() as house:
        yield house


def store(house: SnowflakeWarehouse, stream: str, kind: Kind, values: list[Any], read: str = "v") -> list[Any]:
    shape = Shape(stream=stream, columns={"id": "integer", "v": kind}, version=None, arrays={})
    house.load(shape.part([{"id": n, "v": value} for n, value in enumerate([*values, None])]))
    found = [row[0] for row in house.sql(f"SELECT {read} FROM {stream} ORDER BY id")]
    assert found.pop() is None
    return found


def test_b10_b11_b12_b13_texts(house: SnowflakeWarehouse) -> None:
    assert store(house, "texts", "string", STORABLE) == STORABLE
    assert house.one("SELECT count(*) FROM texts WHERE v IS NULL") == 1


def test_b10_every_character_of_unicode_but_nul(house: SnowflakeWarehouse) -> None:
    points = [chr(point) for point in range(1, 0x110000) if not 0xD800 <= point < 0xE000]
    whole = ["".join(points[begin : begin + 65536]) for begin in range(0, len(points), 65536)]
    assert store(house, "unicode", "string", whole) == whole


def test_b2_integers_and_numbers_are_exact(house: SnowflakeWarehouse) -> None:
    integers = [0, -1, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63), 1_565_276_078_922_000_095]
    assert store(house, "integers", "integer", integers, "v::BIGINT") == integers
    assert store(house, "numbers", "number", list(NUMBERS), "v::VARCHAR") == list(NUMBERS.values())


def test_b17_b18_instants_dates_and_booleans(house: SnowflakeWarehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    read = "strftime(v, '%Y-%m-%dT%H:%M:%S.%f')"
    assert store(house, "instants", "instant", list(INSTANTS), read) == list(INSTANTS.values())
    dates = ["0001-01-01", "1582-10-15", "1970-01-01", "2016-02-29", "9999-12-31"]
    assert store(house, "dates", "date", dates, "v::VARCHAR") == dates
    assert store(house, "flags", "boolean", [True, False]) == [True, False]


def test_nested_values_are_stored_as_values_not_as_text(house: SnowflakeWarehouse) -> None:
    nested = [text for text in NESTED if "\\u0000" not in text]
    found = store(house, "nested", "nested", nested, "v::VARCHAR")
    assert list(map(json.loads, found)) == list(map(json.loads, nested))
    assert house.one("SELECT v->>'$.a[0]' FROM nested WHERE id = 3") == "1"


def test_values_survive_whatever_stands_beside_them(house: SnowflakeWarehouse) -> None:
    """Each value is in its own row and column, also where a file has many lines and fields many lines."""
    dice = random.Random(3)
    columns: dict[str, Kind] = {"id": "integer", "a": "string", "n": "number", "t": "instant", "j": "nested"}
    shape = Shape(stream="mixed", columns=columns, version=None, arrays={"l": {"value": "string"}})
    records = [
        {
            "id": n,
            "a": dice.choice(STORABLE) * dice.choice((1, 1, 1, 40)) if dice.random() > 0.1 else None,
            "n": dice.choice([*NUMBERS, None]),
            "t": dice.choice([*INSTANTS, None]),
            "j": dice.choice(['{"a": "x,\\"y"}', "[]", None]),
            "l": dice.sample(STORABLE, dice.randint(0, 3)),
        }
        for n in range(1_234)
    ]
    house.load(shape.part(records))
    found = house.sql("SELECT id, a, n::VARCHAR, strftime(t, '%Y-%m-%dT%H:%M:%S.%f'), j FROM mixed ORDER BY id")
    assert [(*row[:4], row[4] and json.loads(row[4])) for row in found] == [
        (r["id"], r["a"], NUMBERS.get(r["n"]), INSTANTS.get(r["t"]), r["j"] and json.loads(r["j"])) for r in records
    ]
    subs = house.sql("SELECT _sdc_source_key_id, _sdc_level_0_id, value FROM mixed__l ORDER BY 1, 2")
    assert subs == [(r["id"], i, text) for r in records for i, text in enumerate(r["l"])]


def test_b14_a_text_of_the_greatest_length_is_stored_whole(house: SnowflakeWarehouse) -> None:
    text = '\u00e9"\n,' * (LONGEST_TEXT // 5)
    assert store(house, "long", "string", ["before", text], "md5(v)")[1] == house.one("SELECT md5(?)", text)
    assert TRAITS.text_bytes == LONGEST_TEXT


def test_b27_a_thousand_columns(house: SnowflakeWarehouse) -> None:
    names = [f"f{n}" for n in range(1_000)]
    columns: dict[str, Kind] = {"id": "integer", **dict.fromkeys(names, "string"), "n": "number"}
    shape = Shape(stream="wide", columns=columns, version=None, arrays={})
    house.load(shape.part([{"id": row, "n": "1.5", **{n: f"{row} {n}" for n in names[1:]}} for row in range(3)]))
    found = house.sql("SELECT id, f0, f1, f999, n::VARCHAR FROM wide ORDER BY id")
    assert found == [(row, None, f"{row} f1", f"{row} f999", "1.500000000") for row in range(3)]


def test_a_large_file_leaves_the_memory_for_a_file_without_a_name(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    dice = random.Random(1)
    column = BulkColumn(name="v", kind="string", values=[dice.randbytes(IN_MEMORY // 5).hex() for _ in range(6)])
    with packed([column], 6, "0") as file:
        assert list(tmp_path.iterdir()) == []
        assert file.fileno() > 0
        assert gzip.decompress(file.read()).decode() == "".join(f'0,"{text}"\n' for text in column.values)


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ([10**37], True),
        ([10**38], False),
        ({"a": ["9" * 50, '"' + "9" * 50]}, True),  # digits of a text are no number
        ({"9" * 50: 1e300}, True),
    ],
)
def test_numbers_that_variant_would_round_are_refused(value: Any, kept: bool) -> None:
    if kept:
        assert whole(value, nul="keep", digits=TRAITS.nested_digits).text == whole(value, nul="keep").text
    else:
        with pytest.raises(Refused, match="more than 38 digits"):
            whole(value, nul="keep", digits=TRAITS.nested_digits)
