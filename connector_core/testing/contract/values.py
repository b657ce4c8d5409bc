"""Values are stored exactly as the engine hands them over, whatever they look like."""

from __future__ import annotations

import random
from typing import Any

import pytest

from connector_core.tables import Kind, Traits
from connector_core.testing.reading import canonical
from connector_core.testing.shapes import Shape
from connector_core.testing.warehouse import Warehouse

TEXTS = (
    "",
    " ",
    "NULL",
    "null",
    "\\N",
    "\\.",
    "\\u0000",
    "\\",
    '"',
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
    "\r",
    "\n",
    "\t",
    ",",
    "\x1b[31mred\x1b[0m",
    '{"json": "text"}',
    "[1,2]",
    "1e400",
    "true",
    "2016-03-01",
    "trailing blanks  ",
)
NUL_TEXTS = ("\0", "a\0b")
INTEGERS = (0, 1, -1, 2**31, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63), 1_565_276_078_922_000_095)
INSTANTS = (
    "0001-01-01T00:00:00Z",
    "1582-10-10T00:00:00Z",
    "1899-12-31T23:59:59Z",
    "1969-12-31T23:59:59.999999Z",
    "1970-01-01T00:00:00Z",
    "2016-02-29T12:00:00Z",
    "2016-03-01T08:00:05.2Z",
    "2016-03-01T08:00:05.25Z",
    "2016-03-01T08:00:05.123456Z",
    "2016-03-01T08:00:05.000001Z",
    "2026-03-29T01:30:00Z",
    "2026-10-25T01:30:00Z",
    "2038-01-19T03:14:08Z",
    "2262-04-11T23:47:16.854776Z",
    "9999-12-31T23:59:59.999999Z",
)
DATES = ("0001-01-01", "1582-10-10", "1970-01-01", "2016-02-29", "9999-12-31")
NESTED = (
    "{}",
    "[]",
    '"text"',
    "true",
    '{"a":[1,{"b":null}],"c":1.5}',
    '{"big":12345678901234567890123456789}',
    '{"quote":"\\"","slash":"\\\\","tab":"\\t","uni":"é日\U0001f600"}',
    "[" * 60 + "]" * 60,
)
NUMBERS = ("0", "-12.5", "0.1", "0.000000001", "50000.000000001", "-0.000000001", "123456789012345678", "1", "100")


def numbers(traits: Traits) -> tuple[str, ...]:
    """Decimals up to what a column can hold."""
    precision, scale = traits.decimal or (100, 40)
    most = "9" * (precision - scale) + "." + "9" * scale
    return (*NUMBERS, most, f"-{most}", "0." + "0" * (scale - 1) + "1")


def texts(traits: Traits) -> tuple[str, ...]:
    """Texts, those with U+0000 only where they can be stored."""
    return (*TEXTS, *NUL_TEXTS) if traits.nul_in_text else TEXTS


def stored(house: Warehouse, kind: Kind, values: list[Any]) -> None:
    """Store the values and a NULL, as new rows and as changed ones, and find each of them."""
    shape = Shape(columns={"id": "integer", "v": kind}, version=None, arrays={"more": {"value": kind}})
    for turn in range(2):
        given = [None, *values] if turn else [*values, None]
        house.load(shape.part([{"id": n, "v": value, "more": [value]} for n, value in enumerate(given)]))
        expected = [canonical(kind, value) for value in given]
        assert house.column(kind, "cases", "v") == expected
        assert house.column(kind, "cases__more", "value", by="_sdc_source_key_id") == expected


class ValuesContract:
    """What becomes of single values."""

    def test_b8_b10_b11_b12_b13_texts(self, house: Warehouse) -> None:
        stored(house, "string", list(texts(house.traits)))

    def test_b10_every_character_of_unicode(self, house: Warehouse) -> None:
        first = 0 if house.traits.nul_in_text else 1
        points = [chr(point) for point in range(first, 0x110000) if not 0xD800 <= point < 0xE000]
        whole = ["".join(points[begin : begin + 4096]) for begin in range(0, len(points), 4096)]
        shape = Shape(columns={"id": "integer", "v": "string"}, version=None, arrays={})
        house.load(shape.part([{"id": n, "v": text} for n, text in enumerate(whole)]))
        assert house.column("string", "cases", "v") == whole

    def test_b1_integers_of_64_bits(self, house: Warehouse) -> None:
        stored(house, "integer", list(INTEGERS))

    def test_b2_numbers_are_exact(self, house: Warehouse) -> None:
        stored(house, "number", list(numbers(house.traits)))

    @pytest.mark.parametrize("zone", ["UTC", "Pacific/Auckland"])
    def test_b18_instants_are_exact_and_do_not_depend_on_the_machine(
        self, house: Warehouse, zone: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TZ", zone)
        stored(house, "instant", list(INSTANTS))

    def test_dates(self, house: Warehouse) -> None:
        stored(house, "date", list(DATES))

    def test_booleans(self, house: Warehouse) -> None:
        stored(house, "boolean", [True, False])

    def test_b25_nested_values(self, house: Warehouse) -> None:
        nul = ['{"nul":"\\u0000"}'] if house.traits.nul_in_text else []
        stored(house, "nested", [*NESTED, *nul])

    def test_b14_long_texts_are_never_cut(self, house: Warehouse) -> None:
        most = min(house.traits.text_bytes or 2_000_000, 2_000_000)
        stored(house, "string", ["before", "é" * (most // 2), "y" * most, "after"])

    def test_keys_of_every_kind(self, house: Warehouse) -> None:
        kinds: dict[Kind, tuple[Any, ...]] = {
            "string": ("", "a", "A", "a ", "é"),
            "integer": (0, -1, 2**63 - 1),
            "instant": INSTANTS[:3],
            "date": DATES[:3],
        }
        for kind, keys in kinds.items():
            shape = Shape(
                stream=f"by_{kind}",
                columns={"id": kind, "v": "string"},
                version=None,
                arrays={"more": {"value": "string"}},
            )
            house.load(shape.part([{"id": key, "v": "old", "more": ["x", "y"]} for key in keys]))
            house.load(shape.part([{"id": key, "v": "new", "more": ["z"]} for key in keys]))
            for table, column in ((shape.stream, "id"), (f"{shape.stream}__more", "_sdc_source_key_id")):
                found = [canonical(kind, row[column]) for row in house.rows(table)]
                assert sorted(found, key=repr) == sorted((canonical(kind, key) for key in keys), key=repr), kind
            assert set(house.values(shape.stream, "v")) == {("new",)}

    def test_values_survive_whatever_stands_beside_them(self, house: Warehouse) -> None:
        """Rows of every mixture: each value is in its own row and column."""
        dice = random.Random(3)  # noqa: S311 - seeded on purpose
        columns: dict[str, Kind] = {
            "id": "integer",
            "a": "string",
            "n": "number",
            "t": "instant",
            "d": "date",
            "b": "boolean",
            "j": "nested",
        }
        choices = {
            "a": texts(house.traits),
            "n": numbers(house.traits),
            "t": INSTANTS,
            "d": DATES,
            "b": (True, False),
            "j": NESTED,
        }
        records: list[dict[str, Any]] = [
            {
                "id": n,
                **{name: dice.choice([*values, None]) for name, values in choices.items()},
                "l": dice.sample(texts(house.traits), dice.randint(0, 3)),
            }
            for n in range(1_200)
        ]
        shape = Shape(columns=columns, version=None, arrays={"l": {"value": "string"}})
        house.load(shape.part(records))
        for name, kind in columns.items():
            assert house.column(kind, "cases", name) == [canonical(kind, record[name]) for record in records]
        subs = [(record["id"], i, text) for record in records for i, text in enumerate(record["l"])]
        found = house.rows("cases__l")
        assert sorted((r["_sdc_source_key_id"], r["_sdc_level_0_id"], r["value"]) for r in found) == subs
