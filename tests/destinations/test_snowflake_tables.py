"""Names, splits and nested values in Snowflake as the whole engine makes them: a source, two runs, one namespace."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.engine import INTEGER, START, TEXT, Shop, fates, incremental, served
from tests.support.snowflake import shared

LABELS = {"type": "array", "items": TEXT}
AT = "2026-01-01T00:00:00Z"
INSTANTS = "TIMESTAMP WITH TIME ZONE"
INTEGERS = "BIGINT"  # what the stand-in makes of DECIMAL(38, 0)


class SnowShop(Shop):
    """A scripted project that loads into the stand-in."""

    def __init__(self, folder: Path, data: Any, settings: str = START) -> None:
        self.running = shared()
        self.database = self.running.database()
        given = {"type": "snowflake", **self.running.config(self.database)}
        lines = "\n".join(f"{key} = {json.dumps(value)}" for key, value in given.items())
        super().__init__(folder, data, settings=settings, destination=lines)

    def sql(self, text: str) -> list[tuple[Any, ...]]:
        """What is stored, in DuckDB's SQL."""
        look = self.running.look(self.database)
        look.execute("SET schema = 'SHOP'")
        look.execute(text)
        return [tuple(row) for row in look.fetchall()]

    def columns(self, table: str) -> dict[str, str]:
        """The columns of a table that are not the engine's, as Snowflake would spell their names."""
        found = self.sql(f"SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = '{table}'")
        return {name: kind for name, kind in found if not name.startswith("_SDC")}


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[SnowShop]:
    shops = SnowShop(tmp_path, {})
    yield shops
    shops.running.drop(shops.database)


def test_names_are_folded_and_a_split_keeps_the_column_as_stitch_did(shop: SnowShop) -> None:
    fields = {"seats": INTEGER, "Id": TEXT, 'a "b" %s?': TEXT, "größe": INTEGER, "_sdc_x": TEXT}
    first = {"id": 1, "at": AT, "seats": 2, "Id": "x", 'a "b" %s?': "y", "größe": 3, "_sdc_x": "z"}
    shop.serve(served([incremental("Things", fields)], {"Things": [first]}))
    shop.go()
    second = {**first, "id": 2, "at": "2026-01-02T00:00:00Z", "seats": "many"}
    third = {**first, "id": 3, "at": "2026-01-02T00:00:00Z", "seats": 2.5}
    shop.serve(served([incremental("Things", fields)], {"Things": [first, second, third]}))
    shop.go()
    assert shop.columns("THINGS") == {
        "ID": INTEGERS,
        "AT": INSTANTS,
        "SEATS": INTEGERS,
        "ID__2": "VARCHAR",
        'A "B" %S?': "VARCHAR",
        "GRÖSSE": INTEGERS,
        "FIELD_SDC_X": "VARCHAR",
        "SEATS__ST": "VARCHAR",
        "SEATS__DE": "DECIMAL(38,9)",
    }
    assert shop.sql("SELECT id, seats, seats__st, seats__de::VARCHAR, id__2, field_sdc_x FROM things ORDER BY id") == [
        (1, 2, None, None, "x", "z"),
        (2, None, "many", None, "x", "z"),
        (3, None, None, "2.500000000", "x", "z"),
    ]


def test_nested_values_stay_whole_unless_subtables_are_asked_for(shop: SnowShop) -> None:
    record = {"id": 1, "at": AT, "labels": ["a", "b"], "who": {"name": "Ann"}}
    data = served([incremental("things", {"labels": LABELS})], {"things": [record]})
    shop.serve(data)
    assert fates(shop.go().counts["things"]) == {"extracted": 1, "loaded": 1}
    assert shop.columns("THINGS") == {"ID": INTEGERS, "AT": INSTANTS, "LABELS": "JSON", "WHO": "JSON"}
    assert shop.sql("SELECT labels::VARCHAR, who->>'$.name' FROM things") == [('["a","b"]', "Ann")]
    assert shop.sql("SELECT table_name FROM duckdb_tables() WHERE table_name LIKE 'THINGS\\__%' ESCAPE '\\'") == []
    shop.write(START + 'nested = "subtables"\n')
    shop.go(full=True)
    assert shop.sql("SELECT _sdc_source_key_id, _sdc_level_0_id, value FROM things__labels ORDER BY 2") == [
        (1, 0, "a"),
        (1, 1, "b"),
    ]
    assert shop.sql("SELECT who__name FROM things") == [("Ann",)]


def test_what_cannot_be_stored_is_rejected_and_the_others_are_loaded(shop: SnowShop) -> None:
    """U+0000, a nested number that VARIANT would round and a missing key, beside a good record."""
    records = [
        {"id": 1, "at": AT, "name": "good", "labels": []},
        {"id": 2, "at": AT, "name": "a\0b", "labels": []},
        {"id": 3, "at": AT, "name": "x", "labels": [10**38]},
        {"id": None, "at": AT, "name": "x", "labels": []},
    ]
    shop.serve(served([incremental("things", {"name": TEXT, "labels": {"type": "array"}})], {"things": records}))
    assert fates(shop.go().counts["things"]) == {"extracted": 4, "loaded": 1, "rejected": 3}
    assert shop.sql("SELECT id FROM things") == [(1,)]
    codes = shop.sql("SELECT error_code, primary_key, record FROM _sdc_rejected ORDER BY primary_key")
    assert [(code, key) for code, key, _ in codes[:2]] == [("nul_character", "[2]"), ("number_out_of_range", "[3]")]
    assert json.loads(codes[0][2]) == records[1]
