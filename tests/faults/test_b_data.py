"""Hard values end to end (facts/fault_catalogue.md B): each is stored exactly, split off exactly, or its record is
rejected whole, and the other records of its page are stored."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.support.engine import (
    BOOLEAN,
    INSTANT,
    INTEGER,
    NUMBER,
    START,
    TEXT,
    Shop,
    fates,
    incremental,
    raw,
    served,
)

AT = "2026-03-01T08:00:00Z"
GOOD = 1000
"""The key of a good record that stands in the middle of every page."""


def texts(values: Sequence[Any]) -> list[str]:
    """JSON texts of values."""
    return [json.dumps(value) for value in values]


def load(folder: Path, kind: Mapping[str, Any], values: Sequence[str], good: str, settings: str = START) -> Shop:
    """Load one page with a record for each JSON text in the property v (keys from 0), a good one among them."""
    records = [f'{{"id": {i}, "at": "{AT}", "v": {value}}}' for i, value in enumerate(values)]
    records.insert(len(records) // 2, f'{{"id": {GOOD}, "at": "{AT}", "v": {good}}}')
    shop = Shop(folder, raw([incremental(fields={"v": kind})], {"things": records}, page_size=1000), settings)
    report = shop.go()
    rejected = report.counts["things"].rejected
    assert report.counts["things"].extracted == len(values) + 1
    assert report.counts["things"].loaded == len(values) + 1 - rejected == len(shop.rows("things"))
    assert rejected == len(shop.rejected())
    assert GOOD in {row["id"] for row in shop.rows("things")}
    return shop


def columns(shop: Shop, table: str = "things") -> dict[str, list[Any]]:
    """The values of each column that is v, or was split off it, by id of the record; NULLs left out."""
    rows = sorted(shop.rows(table), key=lambda row: row["id"])
    return {
        name: [row[name] for row in rows if row[name] is not None and row["id"] != GOOD]
        for name in (rows[0] if rows else {})
        if name == "v" or name.startswith("v__")
    }


def codes(shop: Shop) -> dict[str, int]:
    """How many records were rejected, by code."""
    found = [row["error_code"] for row in shop.rejected()]
    return {code: found.count(code) for code in found}


def test_b1_integers_beyond_64_bits(tmp_path: Path) -> None:
    long = "1" * 39
    digits = "7" * 4301
    values = [str(2**63 - 1), str(-(2**63)), str(2**63), str(-(2**63) - 1), long, digits]
    shop = load(tmp_path, INTEGER, values, "1")
    assert columns(shop) == {
        "v__bi": [2**63 - 1, -(2**63)],
        "v__de": [Decimal(2**63), Decimal(-(2**63) - 1)],
        "v__st": [long, digits],
    }


def test_b2_decimals_that_a_double_cannot_hold(tmp_path: Path) -> None:
    values = ["50000.0000000000000001", "0.123456789", "12345678901234567890123456789.123456789", "0.1", "1e-3"]
    shop = load(tmp_path, NUMBER, values, "2.5")
    assert columns(shop) == {
        "v__de": list(map(Decimal, ["0.123456789", values[2], "0.1", "0.001"])),
        "v__st": ["50000.0000000000000001"],
    }


def test_b3_numbers_that_nothing_can_hold(tmp_path: Path) -> None:
    shop = load(tmp_path, NUMBER, ["1e400", "-1e400", "NaN", "Infinity", "1e999999999999999999999"], "2.5")
    assert columns(shop) == {"v": []}
    assert codes(shop) == {"number_out_of_range": 3, "not_json": 2}
    assert {row["record"] for row in shop.rejected()} >= {f'{{"id":0,"at":"{AT}","v":1e400}}'}
    assert {row["path"] for row in shop.rejected()} == {"/v"}


def test_b4_fractions_in_an_integer_column(tmp_path: Path) -> None:
    shop = load(tmp_path, INTEGER, ["1.5", "-0.25", "3.0"], "1")
    assert columns(shop) == {"v__bi": [3], "v__de": [Decimal("1.5"), Decimal("-0.25")]}


def test_b5_texts_that_look_like_integers(tmp_path: Path) -> None:
    values = ["007", "\uff11", "1_000", " 7 ", "7", "+7", "0x10"]
    shop = load(tmp_path, INTEGER, texts(values), "1")
    assert columns(shop) == {"v__bi": [], "v__st": values}


def test_b6_booleans_and_what_looks_like_them(tmp_path: Path) -> None:
    shop = load(tmp_path / "integer", INTEGER, ["true", "false"], "1")
    assert columns(shop) == {"v__bi": [], "v__bo": [True, False]}
    shop = load(tmp_path / "boolean", BOOLEAN, ['"yes"', "1", "0", '"true"'], "true")
    assert columns(shop) == {"v__bo": [], "v__st": ["yes", "true"], "v__bi": [1, 0]}


def test_b7_objects_arrays_and_nothing_in_a_scalar_column(tmp_path: Path) -> None:
    shop = load(tmp_path, INTEGER, ['{"a": 1}', "[5, 6]", '""', "[]", "{}"], "1")
    rows = {row["id"]: row for row in shop.rows("things")}
    assert rows[0]["v__a"] == 1
    assert [(row["_sdc_source_key_id"], row["value"]) for row in shop.rows("things__v")] == [(1, 5), (1, 6)]
    assert rows[2]["v__st"] == ""
    assert {rows[i]["v__bi"] for i in range(5)} == {rows[i]["v__st"] for i in (0, 1, 3, 4)} == {None}


@pytest.mark.parametrize(
    ("kind", "good", "name"), [(NUMBER, "2.5", "v__de"), (BOOLEAN, "true", "v__bo"), (INSTANT, f'"{AT}"', "v__ti")]
)
def test_b7_in_columns_of_other_types_too(tmp_path: Path, kind: Any, good: str, name: str) -> None:
    shop = load(tmp_path, kind, ['{"a": 1}', '["x"]', '""'], good)
    rows = {row["id"]: row for row in shop.rows("things")}
    assert rows[0]["v__a"] == 1
    assert [(row["_sdc_source_key_id"], row["value"]) for row in shop.rows("things__v")] == [(1, "x")]
    assert rows[2]["v__st"] == ""
    assert {rows[i][name] for i in range(3)} == {None}
    assert rows[GOOD][name] is not None


def test_b8_nul_characters(tmp_path: Path) -> None:
    fields = {"v": TEXT, "o": {"type": "object"}, "tags": {"type": "array", "items": TEXT}}
    record = {"id": 1, "at": AT, "v": "a\0b", "o": {"p\0q": "\0"}, "tags": ["\0", "x"]}
    shop = Shop(tmp_path, served([incremental(fields=fields)], {"things": [record, {"id": 2, "at": AT, "v": ""}]}))
    assert fates(shop.go().counts["things"]) == {"extracted": 2, "loaded": 2}
    one, two = sorted(shop.rows("things"), key=lambda row: row["id"])
    assert (one["v"], two["v"]) == ("a\0b", "")
    (name,) = {name for name in one if name.startswith("o__")}
    assert one[name] == "\0"
    assert "\0" not in name
    assert [row["value"] for row in shop.rows("things__tags")] == ["\0", "x"]


def test_b9_lone_surrogates(tmp_path: Path) -> None:
    shop = load(
        tmp_path, TEXT, ['"\\ud800"', '"a\\udfffb"', '{"\\ud800": 1}', '["\\udc00"]', '"\\ud83d\\ude00"'], '"x"'
    )
    assert columns(shop) == {"v": ["\U0001f600"]}
    assert codes(shop) == {"lone_surrogate": 4}
    assert '"v":"\\ud800"' in "".join(row["record"] for row in shop.rejected())
    listed = shop.command("rejects", "list", "shop", "--json")
    assert listed.returncode == 0
    for row in shop.rejected():
        row["reason"].encode()
        row["path"].encode()
    with shop.ledger() as ledger:
        for reject in ledger.rejects("shop"):
            (reject.reason + reject.path).encode()


def test_b10_every_other_character(tmp_path: Path) -> None:
    values = [
        "e\u0301", "\u00e9", "\U0001d11e", "\u202eabc", "a\ufeffb", "\ufeff", "\uffff", "\ufdd0", "\x01\x1f\x7f\x85",
        "\u2028\u2029", " ", "\u00a0", "\U0010ffff", "ß", "İ",
    ]  # fmt: skip
    shop = load(tmp_path, TEXT, texts(values), '"x"')
    assert columns(shop) == {"v": values}


def test_b11_texts_that_mean_something_to_loaders(tmp_path: Path) -> None:
    values = [
        "\\N",
        "\\.",
        '"',
        '""',
        "'",
        "\t",
        ",",
        "NULL",
        "null",
        "",
        "\\",
        "\\\\",
        '\\"',
        "a\tb,c;d|e",
        "{}",
        "[]",
    ]
    shop = load(tmp_path, TEXT, texts([*values, None]), '"x"')
    assert columns(shop) == {"v": values}
    assert [row["v"] for row in shop.rows("things", where=f"where id = {len(values)}")] == [None]


def test_b12_texts_that_mean_something_to_programs(tmp_path: Path) -> None:
    values = [
        "'; drop table shop.things; --", "%s %(x)s %d", "{0} {x} {{", "${HOME} $(id) `id`", "=1+1", "@SUM(A1)", "-2+3",
        "{{ 7*7 }}", "<script>alert(1)</script>", "?", ":name", "$1", "\\x41", "\\u0041",
    ]  # fmt: skip
    shop = load(tmp_path, TEXT, texts(values), '"x"')
    assert columns(shop) == {"v": values}


def test_b13_line_breaks_and_escape_codes(tmp_path: Path) -> None:
    values = ["a\nb", "a\r\nb", "\x1b[31mred\x1b[0m", "\x07", "\x9b1m", "a\x00b"]
    shop = load(tmp_path / "values", TEXT, texts(values), '"x"')
    assert columns(shop) == {"v": values}
    forged = "1\nERROR forged line \x1b[2J"
    fields = {"id": TEXT, "v": {"enum": ["x", "y"]}}
    records = [{"id": forged, "at": AT, "v": "z\n\x1b[31m"}, {"id": "2", "at": AT, "v": "x"}]
    shop = Shop(tmp_path / "key", served([incremental(fields=fields)], {"things": records}))
    done = shop.command("run")
    assert done.returncode == 0, done.stderr
    listed = shop.command("rejects", "list", "shop")
    assert listed.returncode == 0
    for text in (done.stdout, done.stderr, listed.stdout):
        assert "\x1b" not in text
        assert not any(line.lstrip().startswith("ERROR forged") for line in text.splitlines())
    assert [json.loads(row["primary_key"]) for row in shop.rejected()] == [[forged]]


def test_b14_long_texts_and_large_records(tmp_path: Path) -> None:
    million, large = "ä" * (1 << 19), "x" * (17 << 20)
    wide = [f"{i:05}" * 1000 for i in range(1000)]
    assert len(json.dumps(wide)) > 5_000_000
    data = [
        {"id": 1, "at": AT, "v": million, "tags": []},
        {"id": 2, "at": AT, "v": "short", "tags": wide},
        {"id": 3, "at": AT, "v": large},
        {"id": 4, "at": AT, "v": "last"},
    ]
    fields = {"v": TEXT, "tags": {"type": "array", "items": TEXT}}
    shop = Shop(tmp_path, served([incremental(fields=fields)], {"things": data}))
    assert fates(shop.go().counts["things"]) == {"extracted": 4, "loaded": 4}
    stored = {row["id"]: row["v"] for row in shop.rows("things")}
    assert stored == {1: million, 2: "short", 3: large, 4: "last"}
    tags = sorted(shop.rows("things__tags"), key=lambda row: row["_sdc_level_0_id"])
    assert [row["value"] for row in tags] == wide


def test_b15_words_that_databases_take_for_instants(tmp_path: Path) -> None:
    values = ["now", "today", "infinity", "-infinity", "epoch", "yesterday", "tomorrow", "allballs"]
    shop = load(tmp_path, INSTANT, texts(values), f'"{AT}"')
    assert columns(shop) == {"v__ti": [], "v__st": values}


def test_b16_instants_that_do_not_exist(tmp_path: Path) -> None:
    values = [
        "2016-02-30T00:00:00Z", "2015-02-29T00:00:00Z", "0000-01-01T00:00:00Z", "10000-01-01T00:00:00Z",
        "2016-12-31T23:59:60Z", "2016-01-01T24:00:00Z", "2016-13-01T00:00:00Z", "2016-01-01T00:60:00Z",
    ]  # fmt: skip
    shop = load(tmp_path, INSTANT, texts(values), f'"{AT}"')
    assert codes(shop) == {"no_such_instant": len(values)}
    assert {json.loads(row["record"])["v"] for row in shop.rejected()} == set(values)


def test_b17_offsets(tmp_path: Path) -> None:
    instants = {
        "2016-03-01T10:00:00+02:00": "2016-03-01T08:00:00.000000Z",
        "2016-03-01T00:30:00-0530": "2016-03-01T06:00:00.000000Z",
        "2016-03-01T10:00:00+16:00": "2016-02-29T18:00:00.000000Z",
        "0001-01-01T10:00:00+02:00": "0001-01-01T08:00:00.000000Z",
        "9999-12-31T21:59:59-02:00": "9999-12-31T23:59:59.000000Z",
    }
    lost = ["2016-03-01T00:00:00+99:99", "2016-03-01T00:00:00+24:00", "0001-01-01T00:00:00+02:00",
            "9999-12-31T23:59:59-02:00"]  # fmt: skip
    shop = load(tmp_path, INSTANT, texts([*instants, *lost]), f'"{AT}"')
    assert columns(shop) == {"v": list(instants.values())}
    assert codes(shop) == {"no_such_instant": len(lost)}


def test_b18_no_zone_is_utc_wherever_the_machine_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    shop = Shop(tmp_path, {})
    values = ["2016-03-01T08:00:00", "2016-03-01 08:00:00", "2016-03-01", "2016-03-13T02:30:00"]
    records = [{"id": i, "at": AT, "v": value} for i, value in enumerate(values)]
    shop.serve(served([incremental(fields={"v": INSTANT})], {"things": records}))
    shop.run()
    assert columns(shop)["v"] == [
        "2016-03-01T08:00:00.000000Z",
        "2016-03-01T08:00:00.000000Z",
        "2016-03-01T00:00:00.000000Z",
        "2016-03-13T02:30:00.000000Z",
    ]


def test_b19_nanoseconds_are_cut_by_us(tmp_path: Path) -> None:
    values = ["2016-03-01T08:00:00.123456789Z", "2016-03-01T08:00:00.9999999Z", "2016-03-01T08:00:00.1Z"]
    shop = load(tmp_path, INSTANT, texts(values), f'"{AT}"')
    assert columns(shop) == {
        "v": ["2016-03-01T08:00:00.123456Z", "2016-03-01T08:00:00.999999Z", "2016-03-01T08:00:00.100000Z"]
    }


def test_b20_nothing_is_guessed(tmp_path: Path) -> None:
    values = [
        "01/02/2017",
        "\uff12\uff10\uff11\uff16-03-01T08:00:00Z",
        "2016-03-01T08:00:00Z or so",
        " 2016-03-01T08:00:00Z",
        "20160301",
    ]
    shop = load(tmp_path, INSTANT, texts(values), f'"{AT}"')
    assert columns(shop) == {"v__ti": [], "v__st": values}


def test_b21_numbers_booleans_and_objects_in_an_instant_column(tmp_path: Path) -> None:
    shop = load(tmp_path, INSTANT, ["1456819200", "true", '{"t": 1}'], f'"{AT}"')
    rows = {row["id"]: row for row in shop.rows("things")}
    assert rows[0]["v__bi"] == 1456819200
    assert rows[1]["v__bo"] is True
    assert rows[2]["v__t"] == 1
    assert {rows[i]["v__ti"] for i in range(3)} == {None}


def test_b22_keys_that_are_none(tmp_path: Path) -> None:
    keys = ["null", '"1"', "1.5", "true", '{"a": 1}', "[1]", str(2**63)]
    records = [f'{{"id": {key}, "at": "{AT}"}}' for key in keys] + [f'{{"at": "{AT}"}}', f'{{"id": 7, "at": "{AT}"}}']
    shop = Shop(tmp_path, raw([incremental()], {"things": records}, page_size=100))
    assert fates(shop.go().counts["things"]) == {"extracted": 9, "loaded": 1, "rejected": 8}
    assert codes(shop) == {"bad_key": 8}
    assert [row["id"] for row in shop.rows("things")] == [7]
    assert sorted(row["record"] for row in shop.rejected())[0] == f'{{"at":"{AT}"}}'


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_b23_one_key_several_times_in_a_batch(tmp_path: Path, order: tuple[int, ...]) -> None:
    versions = [
        {"id": 1, "at": f"2026-03-0{day}T00:00:00Z", "v": f"of day {day}", "tags": [str(day)] * day}
        for day in (1, 2, 3)
    ]
    fields = {"v": TEXT, "tags": {"type": "array", "items": TEXT}}
    records = [versions[i] for i in order]
    data = served([incremental(fields=fields, ascending=False)], {"things": records}, page_size=10)
    shop = Shop(tmp_path, data)
    assert fates(shop.go().counts["things"]) == {"extracted": 3, "loaded": 1, "superseded": 2}
    assert [row["v"] for row in shop.rows("things")] == ["of day 3"]
    assert [row["value"] for row in shop.rows("things__tags")] == ["3"] * 3


def test_b23_identical_twins(tmp_path: Path) -> None:
    twin = {"id": 1, "at": AT, "v": "x", "tags": ["a"]}
    fields = {"v": TEXT, "tags": {"type": "array", "items": TEXT}}
    shop = Shop(tmp_path, served([incremental(fields=fields)], {"things": [twin] * 5}))
    counts = fates(shop.go().counts["things"])
    assert (counts["extracted"], counts["loaded"]) == (5, 1)
    assert len(shop.rows("things")) == len(shop.rows("things__tags")) == 1


def test_b24_a_property_twice_in_one_record(tmp_path: Path) -> None:
    records = [
        f'{{"id": 1, "at": "{AT}", "v": "a", "v": "b"}}',
        f'{{"id": 2, "id": 3, "at": "{AT}", "v": "a"}}',
        f'{{"id": 4, "at": "{AT}", "v": {{"x": 1, "x": 2}}}}',
        f'{{"id": 5, "at": "{AT}", "v": "good"}}',
    ]
    shop = Shop(tmp_path, raw([incremental(fields={"v": TEXT})], {"things": records}))
    assert fates(shop.go().counts["things"]) == {"extracted": 4, "loaded": 1, "rejected": 3}
    assert codes(shop) == {"duplicate_property": 3}
    kept = {row["record"] for row in shop.rejected()}
    assert f'{{"id":1,"at":"{AT}","v":"a","v":"b"}}' in kept
    assert [row["v"] for row in shop.rows("things")] == ["good"]
