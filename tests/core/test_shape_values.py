"""What becomes of single values: numbers, text, instants. By their numbers in facts/fault_catalogue.md."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from connector_core import parse
from connector_core.layout import Layout
from tests.support.shaping import (
    DATE,
    DUCKDB,
    INSTANT,
    INTEGER,
    NUMBER,
    POSTGRES,
    SNOWFLAKE,
    TEXT,
    page,
    rejected,
    remembered,
    rows,
    shaper,
    stored_values,
    stream,
    tables,
)


@pytest.mark.parametrize("traits", [POSTGRES, DUCKDB])
@pytest.mark.parametrize(
    ("number", "column", "stored"),
    [
        (2**63 - 1, "n", 2**63 - 1),
        (-(2**63), "n", -(2**63)),
        (1.0, "n", 1),
        (Decimal("1E+3"), "n", 1000),
        (2**63, "n__de", "9223372036854775808"),
        (2.5, "n__de", "2.5"),
        (1e-7, "n__de", "0.0000001"),
        (Decimal("0.5000"), "n__de", "0.5"),
        (-0.25, "n__de", "-0.25"),
    ],
)
def test_numbers_in_an_integer_column(traits: Any, number: Any, column: str, stored: Any) -> None:
    """B1, B4: exactly, in the column that holds them."""
    (row,) = rows(shaper(stream({"n": INTEGER}), traits), {"id": 1, "n": number})
    assert row == {"id": 1, column: stored}


@pytest.mark.parametrize(
    ("number", "stored"),
    [
        (5, "5"),
        (-0.0, "0"),
        (Decimal("-0.0"), "0"),
        (1e22, "1" + "0" * 22),
        (100.0, "100"),
        (Decimal("1.50"), "1.5"),
        (Decimal("1E+2"), "100"),
    ],
)
def test_a_number_is_a_plain_decimal(number: Any, stored: str) -> None:
    assert rows(shaper(stream({"n": NUMBER}), DUCKDB), {"id": 1, "n": number}) == [{"id": 1, "n": stored}]


@pytest.mark.parametrize("digits", ["9" * 39, "9" * 4301, "0.0000000001", "123456789012345678901234567890.1"])
def test_a_number_that_no_number_column_holds_is_kept_as_text(digits: str) -> None:
    """B1, B2: DECIMAL(38, 9)."""
    (entry,) = parse.page(f'[{{"id":1,"n":{digits}}}]'.encode())
    assert rows(shaper(stream({"n": NUMBER}), DUCKDB), entry) == [{"id": 1, "n__st": digits}]
    assert rows(shaper(stream({"n": INTEGER}), DUCKDB), entry) == [{"id": 1, "n__st": digits}]


def test_a_number_kept_as_text_and_a_text_share_a_column() -> None:
    of = shaper(stream({"n": INTEGER}), DUCKDB)
    assert rows(of, {"id": 1, "n": 10**39}, {"id": 2, "n": "x"}, {"id": 3, "n": 5}) == [
        {"id": 1, "n__st": "1" + "0" * 39},
        {"id": 2, "n__st": "x"},
        {"id": 3, "n__bi": 5},
    ]


def test_a_decimal_that_no_double_holds_is_exact() -> None:
    """B2."""
    (entry,) = parse.page(b'[{"id":1,"n":50000.0000000000000001}]')
    assert rows(shaper(stream({"n": NUMBER})), entry) == [{"id": 1, "n": "50000.0000000000000001"}]


@pytest.mark.parametrize(
    ("number", "code"),
    [
        ("1e400", "number_out_of_range"),
        ("-1e400", "number_out_of_range"),
        ("1e999999999", "number_out_of_range"),
        ("NaN", "not_json"),
        ("-Infinity", "not_json"),
    ],
)
@pytest.mark.parametrize("place", ['"n":{}', '"o":{{"n":{}}}', '"l":[1,{}]', '"t":{}', '"new":{}'])
@pytest.mark.parametrize("traits", [POSTGRES, SNOWFLAKE])
def test_numbers_that_cannot_be_are_rejected(number: str, code: str, place: str, traits: Any) -> None:
    """B3, A24: never an infinity and never null."""
    of = shaper(stream({"n": NUMBER, "t": INSTANT}), traits)
    body = '[{"id":1,' + place.format(number) + "}," + '{"id":2}]'
    shaped = page(of, parse.page(body.encode()))
    (reject,) = shaped.rejects
    assert reject.code == code
    assert number in reject.record
    assert list(shaped.positions) == [1]


@pytest.mark.parametrize(
    "number", [float("nan"), float("inf"), Decimal("NaN"), Decimal("Infinity"), Decimal("1e999999999")]
)
@pytest.mark.parametrize("wrap", [lambda v: v, lambda v: [v], lambda v: {"a": v}])
@pytest.mark.parametrize("traits", [POSTGRES, SNOWFLAKE])
def test_a_source_that_parses_by_itself_cannot_smuggle_them_in(number: Any, wrap: Any, traits: Any) -> None:
    assert rejected(shaper(stream({"n": NUMBER}), traits), {"id": 1, "n": wrap(number)})[0] == "number_out_of_range"


@pytest.mark.parametrize("text", ["007", "\uff11", "1_000", " 7 ", "7", "1e3"])
def test_text_in_an_integer_column_is_text(text: str) -> None:
    """B5: never read as a number."""
    assert rows(shaper(stream({"n": INTEGER})), {"id": 1, "n": text}, {"id": 2, "n": 7}) == [
        {"id": 1, "n__st": text},
        {"id": 2, "n__bi": 7},
    ]


@pytest.mark.parametrize(
    "place", [lambda t: {"x": t}, lambda t: {"o": {"a": t}}, lambda t: {"l": ["x", t]}, lambda t: {"l": [{"a": t}]}]
)
def test_nul_characters(place: Any) -> None:
    """B8: rejected where text cannot hold them, stored where it can, taken out and counted where asked to."""
    record = {"id": 1, **place("a\0b\0")}
    assert rejected(shaper(stream()), record)[0] == "nul_character"
    assert rejected(shaper(stream(), SNOWFLAKE), record)[0] == "nul_character"
    kept = shaper(stream(), DUCKDB)
    assert "a\0b\0" in stored_values(tables(kept, page(kept, [record])))
    stripped = shaper(stream(), nul="strip")
    shaped = page(stripped, [record])
    assert shaped.stripped == 2
    assert "ab" in stored_values(tables(stripped, shaped))


def test_nul_characters_in_nested_values_are_taken_out_unless_names_would_become_one() -> None:
    of = shaper(stream(), SNOWFLAKE, nul="strip")
    assert rows(of, {"id": 1, "o": {"a\0": ["b\0", "\\u0000"]}}) == [{"ID": 1, "O": '{"a":["b","\\\\u0000"]}'}]
    assert rejected(of, {"id": 1, "o": {"a\0": 1, "a": 2}})[0] == "nul_character"


@pytest.mark.parametrize("traits", [POSTGRES, DUCKDB, SNOWFLAKE])
@pytest.mark.parametrize(
    "record",
    [
        *(
            {"id": 1, "x": "\ud800"},
            {"id": 1, "x": "é\udfff"},
            {"id": 1, "o": {"a": "\ud800"}},
            {"id": 1, "l": ["\ud800"]},
        ),
        *(
            {"id": 1, "t": "\ud800"},
            {"id": 1, "\ud800": 1},
            {"id": 1, "o": {"\ud800": 1}},
            {"id": 1, "l": [{"\ud800": 1}]},
        ),
    ],
)
def test_lone_surrogates_are_rejected(traits: Any, record: dict[str, Any]) -> None:
    """B9: in values and names; what is kept and said of it is plain ASCII."""
    of = shaper(stream({"t": INSTANT}), traits)
    shaped = page(of, [{"id": 90}, record])
    (reject,) = shaped.rejects
    assert reject.code == "lone_surrogate"
    assert parse.page(reject.record.encode()) == record
    reject.path.encode()
    reject.reason.encode()


@pytest.mark.parametrize(
    "text",
    [
        *(
            "e\u0301",
            "\u00e9",
            "😀",
            "\u202eabc",
            "a\ufeffb",
            "\ufffe",
            "\x01\x1f\x7f",
            "\\N",
            "\\.",
            "NULL",
            "",
            "\t",
            '"',
        ),
        *(
            "a,b\r\n",
            "\u2028",
            "'; DROP TABLE things; --",
            "%s {0} ${HOME} {{x}}",
            "=1+1",
            "\x1b[2J",
            "now",
            "true",
            "1",
        ),
    ],
)
@pytest.mark.parametrize("traits", [POSTGRES, DUCKDB])
def test_text_is_stored_exactly(text: str, traits: Any) -> None:
    """B10 to B13: and "" is not null."""
    of = shaper(stream({"x": TEXT}), traits)
    assert tables(of, page(of, [{"id": 1, "x": text, "l": [text], "o": {"new": text}}])) == {
        "things": [{"id": 1, "x": text, "o__new": text}],
        "things__l": [{"#": (0, 0), "value": text}],
    }


def test_long_text() -> None:
    """B14: stored, or rejected with its size; never cut."""
    of = shaper(stream(), SNOWFLAKE)
    assert len(rows(of, {"id": 1, "x": "é" * 1_000_000})[0]["X"]) == 1_000_000
    shaped = page(of, [{"id": 1, "x": "é" * 8_400_000}, {"id": 2, "o": ["x" * 17_000_000]}, {"id": 3}])
    assert [r.code for r in shaped.rejects] == ["too_long", "too_long"]
    assert "16800000 bytes" in shaped.rejects[0].reason
    assert len(rows(shaper(stream()), {"id": 1, "x": "é" * 8_400_000})[0]["x"]) == 8_400_000


def test_a_limit_on_records() -> None:
    """B14."""
    of = shaper(stream(), most=100)
    shaped = page(of, [{"id": 1, "x": "a" * 50}, {"id": 2, "x": "a" * 100}])
    assert [(r.code, json.loads(r.record)["id"]) for r in shaped.rejects] == [("too_large", 2)]


@pytest.mark.parametrize(
    "text", ["now", "today", "infinity", "epoch", "", "01/02/2017", "2016-03-01T08:00:05Z x", "\uff12016-03-01"]
)
def test_what_is_no_instant_is_text(text: str) -> None:
    """B15, B20: in a column of its own, never a date."""
    of = shaper(stream({"t": INSTANT}))
    assert rows(of, {"id": 1, "t": text}, {"id": 2, "t": "2016-03-01 10:00+02"}) == [
        {"id": 1, "t__st": text},
        {"id": 2, "t__ti": "2016-03-01T08:00:00Z"},
    ]


@pytest.mark.parametrize(
    "text",
    [
        "2016-02-30",
        "2016-12-31T23:59:60Z",
        "2016-03-01T24:00:00Z",
        "0000-01-01",
        "10000-01-01",
        "2016-03-01T00:00:00+99:99",
    ],
)
def test_instants_that_do_not_exist_are_rejected(text: str) -> None:
    """B16, B17."""
    of = shaper(stream({"t": INSTANT, "l": {"type": "array", "items": INSTANT}}))
    assert rejected(of, {"id": 1, "t": text}) == ("no_such_instant", "/t")
    assert rejected(of, {"id": 1, "l": ["2016-01-01", text]}) == ("no_such_instant", "/l/1")


def test_instants_have_one_form() -> None:
    """B17 to B19."""
    texts = [
        "2016-03-01T08:00:05Z",
        "2016-03-01T08:00:05.1234567Z",
        "2016-03-01T08:00:05",
        "2016-03-01",
        "2016-03-01T00:00:00-23:59",
        None,
    ]
    of = shaper(stream({"t": INSTANT}))
    assert [row.get("t") for row in rows(of, *({"id": i, "t": t} for i, t in enumerate(texts)))] == [
        "2016-03-01T08:00:05Z",
        "2016-03-01T08:00:05.123456Z",
        "2016-03-01T08:00:05Z",
        "2016-03-01T00:00:00Z",
        "2016-03-01T23:59:00Z",
        None,
    ]


def test_dates() -> None:
    of = shaper(stream({"d": DATE}))
    assert rows(of, {"id": 1, "d": "2016-02-29"}) == [{"id": 1, "d": "2016-02-29"}]
    assert rejected(of, {"id": 2, "d": "2015-02-29"}) == ("no_such_instant", "/d")
    assert rows(of, {"id": 3, "d": "2016-02-29T10:00:00Z"}) == [{"id": 3, "d__st": "2016-02-29T10:00:00Z"}]


def test_strings_are_never_sniffed_for_dates() -> None:
    of = shaper(stream())
    assert rows(of, {"id": 1, "x": "2016-03-01T10:00:00+02:00"}) == [{"id": 1, "x": "2016-03-01T10:00:00+02:00"}]


def test_a_column_that_was_declared_once_is_used_when_the_declaration_is_gone() -> None:
    """The source forgets a field for a day: its values still go to the column that is there."""
    first = shaper(stream({"t": INSTANT, "n": NUMBER}))
    rows(first, {"id": 1, "t": "2016-03-01T08:00:05Z", "n": 5})
    again = shaper(stream(), layout=Layout(POSTGRES, *remembered(first.layout)).stream(stream()))
    assert rows(again, {"id": 1, "t": "2016-03-01T10:00:05+02:00", "n": 5}) == [
        {"id": 1, "t": "2016-03-01T08:00:05Z", "n": "5"}
    ]
