"""Values as Postgres stores them: exactly, or not at all (facts/hard_values.md)."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from connector_core.tables import Kind
from connector_postgres.bulk import CELLS
from tests.destinations.test_duckdb_values import INSTANTS, NESTED, NUMBERS, TEXTS
from tests.support.loads import Shape
from tests.support.postgres import VERSIONS, PostgresWarehouse, shared, warehouse


@pytest.fixture(params=VERSIONS)
def house(request: pytest.FixtureRequest) -> Iterator[PostgresWarehouse]:
    with warehouse(request.param) as house:
        yield house


def store(house: PostgresWarehouse, kind: Kind, values: list[Any], read: str = "v") -> list[Any]:
    shape = Shape(columns={"id": "integer", "v": kind}, version=None, arrays={})
    house.load(shape.part([{"id": n, "v": value} for n, value in enumerate([*values, None])]))
    found = [row[0] for row in house.sql(f"SELECT {read} FROM cases ORDER BY id")]
    assert found.pop() is None
    return found


def test_b10_b11_b12_b13_texts(house: PostgresWarehouse) -> None:
    texts = [text for text in TEXTS if "\0" not in text]
    assert store(house, "string", texts) == texts
    assert house.one("SELECT count(*) FROM cases WHERE v IS NULL") == 1


def test_b10_every_character_of_unicode_but_nul(house: PostgresWarehouse) -> None:
    points = [chr(point) for point in range(1, 0x110000) if not 0xD800 <= point < 0xE000]
    whole = ["".join(points[begin : begin + 65536]) for begin in range(0, len(points), 65536)]
    assert store(house, "string", whole) == whole


def test_integers_booleans_dates(house: PostgresWarehouse) -> None:
    integers = [0, -1, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63), 1_565_276_078_922_000_095]
    shape = Shape(columns={"id": "integer", "b": "boolean", "d": "date"}, version=None, arrays={})
    dates = ["0001-01-01", "1582-10-15", "2016-02-29", "9999-12-31", None, None, "1970-01-01"]
    flags = [True, False, None, True, None, False, False]
    rows = zip(integers, flags, dates, strict=True)
    house.load(shape.part([{"id": i, "b": b, "d": d} for i, b, d in rows]))
    assert house.sql("SELECT id, b, d::text FROM cases ORDER BY id") == sorted(zip(integers, flags, dates, strict=True))


def test_b2_numbers_are_exact_and_have_no_limit_of_digits(house: PostgresWarehouse) -> None:
    numbers = [*NUMBERS, "9" * 300, "0." + "1" * 300, "-0.000000000000000000000000000000001"]
    assert store(house, "number", numbers, "v::text") == numbers


def test_b17_b19_instants(house: PostgresWarehouse) -> None:
    read = "to_char(v, 'YYYY-MM-DD\"T\"HH24:MI:SS.US')"
    assert store(house, "instant", list(INSTANTS), read) == list(INSTANTS.values())


def test_nested_values_are_jsonb_with_exact_numbers(house: PostgresWarehouse) -> None:
    nested = [text for text in NESTED if "u0000" not in text] + ['{"a\\tb":"c\\\\d\\ne"}', '"\\\\N"']
    found = store(house, "nested", nested, "v::text")
    assert [json.loads(text, parse_float=str) for text in found] == [json.loads(t, parse_float=str) for t in nested]
    assert house.one("SELECT pg_typeof(v)::text FROM cases LIMIT 1") == "jsonb"


def test_more_rows_than_one_piece_of_the_stream(house: PostgresWarehouse) -> None:
    rng = random.Random(1)
    words = ["", "a\tb", "c\\d", "e\nf", "\\N", None, "plain", "\r", "tab\\t"]
    texts = [rng.choice(words) for _ in range(CELLS // 6 + 7)]
    assert store(house, "string", texts) == texts


def test_b28_h7_names_are_names_whatever_is_in_them(house: PostgresWarehouse) -> None:
    names = [
        'a"b',
        "a%sb",
        "100%",
        "%(x)s",
        "a'b;--",
        "Id",
        "ID",
        "a b",
        "é" * 20,
        "select",
        "a\\b",
        "oid",
        "{x}",
        ":p",
    ]
    columns: dict[str, Kind] = {"id": "integer", **dict.fromkeys(names, "string")}
    table = 'x"; DROP SCHEMA ns; -- %s'
    shape = Shape(columns=columns, version=None, arrays={"l%bels": {"value": "string"}}, table=table)
    for generation in (1, 2):
        house.load(shape.part([{"id": 1, "l%bels": ["x"], **{name: f"{name}{generation}" for name in names}}]))
    quoted = table.replace('"', '""').replace("%", "%%")
    assert (
        house.one(f'SELECT to_jsonb(t) FROM "{quoted}" AS t WHERE 1 = %s', 1).items()
        >= {
            "id": 1,
            **{name: f"{name}2" for name in names},
        }.items()
    )
    assert house.one(f'SELECT count(*) FROM "{quoted}__l%%bels" WHERE 1 = %s', 1) == 1


@pytest.mark.parametrize(
    "settings",
    [
        {"TimeZone": "America/St_Johns", "DateStyle": "SQL, DMY", "IntervalStyle": "sql_standard"},
        {"standard_conforming_strings": "off", "backslash_quote": "on", "client_encoding": "LATIN1"},
        {"search_path": "evil, pg_temp", "default_transaction_isolation": "serializable", "row_security": "on"},
    ],
)
def test_c19_settings_of_the_role_have_no_effect_on_values(settings: dict[str, str]) -> None:
    server = shared()
    role = f"role_{abs(hash(frozenset(settings)))}"
    with warehouse(url=server.url("{}", user=role)) as house:
        house.sql(f"CREATE ROLE {role} LOGIN")
        for name, value in settings.items():
            house.sql(f"ALTER ROLE {role} SET {name} = {value if ',' in value else chr(39) + value + chr(39)}")
        house.sql(f"GRANT CREATE ON DATABASE {house.database} TO {role}")
        house.sql(
            "CREATE SCHEMA evil; GRANT USAGE ON SCHEMA evil TO PUBLIC;"
            "CREATE FUNCTION evil.upper(text) RETURNS text LANGUAGE sql AS 'SELECT 1 / 0 || $1';"
            "CREATE FUNCTION evil.coalesce(bigint) RETURNS text LANGUAGE sql AS 'SELECT 1 / 0'"
        )
        try:
            columns: dict[str, Kind] = {"id": "integer", "t": "string", "at": "instant", "d": "date", "n": "number"}
            shape = Shape(columns=columns, version="at", arrays={})
            record = {"id": 1, "t": "a\\b'é漢\\", "at": "2016-03-01T08:00:05.25Z", "d": "2016-03-01", "n": "1.10"}
            for _ in range(2):
                house.load(shape.part([record]))
            assert house.sql("SELECT id, t, at::text, d::text, n::text FROM cases") == [
                (1, "a\\b'é漢\\", "2016-03-01 08:00:05.25+00", "2016-03-01", "1.10")
            ]
            assert house.receipts[-1].counts["cases"].unchanged == 1
            again = house.claim()
            assert again.receipts[-1].committed_at == house.receipts[-1].committed_at
        finally:
            house.sql(f"DROP OWNED BY {role}; DROP ROLE {role}")
