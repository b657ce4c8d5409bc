"""Records that Postgres refuses: each becomes a reject with the database's reason, everything else is loaded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connector_core.batch import Activation, Counts
from connector_core.errors import RefusedError
from connector_core.events import RecordsRejected
from tests.support.engine import INSTANT, INTEGER, NUMBER, START, TEXT, fates, incremental, raw, served, stream
from tests.support.loads import Shape
from tests.support.postgres import PostgresShop, PostgresWarehouse, shared, warehouse

AT = "2026-01-01T00:00:00Z"
LONG = "".join(chr(33 + (7 * i * i + i // 91) % 90) for i in range(9000)).replace("\\", "/")  # does not compress


@pytest.fixture
def database() -> Iterator[str]:
    with shared().database() as name:
        yield name


def shop(folder: Path, database: str, data: Any, settings: str = START) -> PostgresShop:
    return PostgresShop(folder, data, settings, server=shared(), database=database)


def test_c17_c18_a_row_that_is_too_big_and_one_with_too_many_columns(tmp_path: Path, database: str) -> None:
    wide = {f"w{i:04}": f"a text of thirty characters {i % 90:02}" for i in range(1_100)}
    narrow = {f"n{i:04}": 1 for i in range(700)}
    records: list[dict[str, Any]] = [{"id": n, "at": f"2026-01-01T00:00:{n:02}Z", "t": "x"} for n in range(1, 20)]
    records[7] |= wide  # its row would have more than 8,160 bytes
    records[11] |= narrow  # fits, but only 490 columns are left
    project = shop(tmp_path, database, served([incremental(fields={"t": TEXT})], {"things": records}, page_size=50))
    report = project.go()
    rejected = {row["primary_key"]: row for row in project.rejected()}
    assert {key: row["error_code"] for key, row in rejected.items()} == {"[8]": "refused", "[12]": "too_many_columns"}
    assert "row is too big" in rejected["[8]"]["reason"]
    assert json.loads(rejected["[8]"]["record"]) == records[7]
    stored = sorted(row["id"] for row in project.rows("things"))
    assert stored == [n for n in range(1, 20) if n not in (8, 12)]
    assert fates(report.counts["things"]) == {"extracted": 19, "loaded": 17, "rejected": 2}
    assert report.rejects == {"refused": 1, "too_many_columns": 1}
    assert project.told(RecordsRejected)[-1].codes == {"refused": 1, "too_many_columns": 1}
    again = project.go()
    assert fates(again.counts["things"]).get("loaded", 0) == 0


def test_c18_a_key_that_is_too_long_for_an_index_and_a_number_with_too_many_digits(
    tmp_path: Path, database: str
) -> None:
    schema = {"type": "object", "properties": {"key": TEXT, "n": NUMBER, "at": INSTANT}}
    declared = incremental(schema=schema, primary_key=["key"])
    digits = "9" * 140_000
    texts = [f'{{"key": "k{n}", "n": {n}, "at": "{AT}"}}' for n in range(40)]
    texts[3] = json.dumps({"key": LONG, "n": 1, "at": AT})
    texts[20] = f'{{"key": "k20", "n": {digits}, "at": "{AT}", "tags": [{{"a": 1, "b": [2, 3]}}, {{"a": 4}}]}}'
    project = shop(tmp_path, database, raw([declared], {"things": texts}, page_size=50))
    project.go()
    rejected = {row["primary_key"][:6]: row for row in project.rejected()}
    assert {key: row["error_code"] for key, row in rejected.items()} == {
        '["k20"': "refused",
        json.dumps([LONG])[:6]: "refused",
    }
    assert "overflow" in rejected['["k20"']["reason"]
    assert json.loads(rejected['["k20"']["record"], parse_int=str) == {
        "key": "k20",
        "n": digits,
        "at": AT,
        "tags": [{"a": "1", "b": ["2", "3"]}, {"a": "4"}],
    }
    assert len(project.rows("things")) == 38


def test_c18_a_key_that_is_too_long_costs_one_record_of_a_full_table_too(tmp_path: Path, database: str) -> None:
    keyed = stream(schema={"type": "object", "properties": {"key": TEXT}}, primary_key=["key"])
    keys = ["a", LONG, "b", "c"]
    project = shop(tmp_path, database, served([keyed], {"things": [{"key": key} for key in keys]}))
    report = project.go()
    assert fates(report.counts["things"]) == {"extracted": 4, "loaded": 3, "rejected": 1}
    assert {row["key"] for row in project.rows("things")} == {"a", "b", "c"}
    assert [row["error_code"] for row in project.rejected()] == ["refused"]


def test_a_refused_record_keeps_the_version_that_is_stored_and_its_sub_rows(tmp_path: Path, database: str) -> None:
    before = {"id": 1, "n": 1, "tags": ["a"]}
    others = [{"id": n, "n": n, "tags": ["b", "c"]} for n in range(2, 30)]
    project = shop(tmp_path, database, served([stream(fields={"n": NUMBER})], {"things": [before, *others]}))
    project.go()
    texts = [json.dumps(record) for record in others]
    bad = f'{{"id": 1, "n": {"9" * 140_000}, "tags": ["z"]}}'
    project.serve(raw([stream(fields={"n": NUMBER})], {"things": [*texts[:5], bad, *texts[5:]]}))
    report = project.go()
    assert fates(report.counts["things"]) == {"extracted": 29, "unchanged": 28, "rejected": 1}
    assert {row["id"] for row in project.rows("things")} == set(range(1, 30))
    assert [row["value"] for row in project.rows("things__tags", where="where _sdc_source_key_id = 1")] == ["a"]


def test_max_rejects_counts_refused_records_before_the_commit(tmp_path: Path, database: str) -> None:
    texts = [
        f'{{"id": {n}, "n": {"9" * 140_000 if n % 5 == 0 else n}, "at": "2026-01-01T00:00:00Z"}}' for n in range(20)
    ]
    data = raw([incremental(fields={"n": NUMBER})], {"things": texts}, page_size=50)
    project = shop(tmp_path, database, data, f"{START}max_rejects = 3\n")
    report = project.go(code=3)
    assert "max_rejects" in str(report.error)
    assert "things" not in project.tables()
    project.write(f"{START}max_rejects = 4\n")
    assert fates(project.go().counts["things"]) == {"extracted": 20, "loaded": 16, "rejected": 4}


def test_a_refused_record_is_replayed_when_it_fits(tmp_path: Path, database: str) -> None:
    records = [{"id": n, "t": LONG if n == 3 else "x", "at": "2026-01-01T00:00:00Z"} for n in range(1, 6)]
    project = shop(tmp_path, database, served([incremental(fields={"t": TEXT})], {"things": records[:2]}))
    project.go()
    project.query("CREATE INDEX too_small ON shop.things (t)")
    project.serve(served([incremental(fields={"t": TEXT})], {"things": records}))
    project.go()
    assert [row["primary_key"] for row in project.rejected()] == ["[3]"]
    project.replay()
    assert [(row["primary_key"], row["seen"]) for row in project.rejected()] == [("[3]", 1)]
    project.query("DROP INDEX shop.too_small")
    project.replay()
    assert project.rejected() == []
    assert sorted(row["id"] for row in project.rows("things")) == [1, 2, 3, 4, 5]


def test_without_a_key_what_is_still_refused_stays_and_the_others_are_replayed_once(
    tmp_path: Path, database: str
) -> None:
    records = [
        {"t": LONG if n == 3 else "x", "v": "two" if n == 2 else n, "at": f"2026-01-0{n}T00:00:00Z"}
        for n in (1, 2, 2, 3, 3)
    ]
    keyless = incremental(fields={"t": TEXT, "v": INTEGER}, primary_key=[], ascending=True)
    strict = f'{START}type_conflict = "reject"\n'
    project = shop(tmp_path, database, served([keyless], {"things": [records[0]]}), strict)
    project.go()
    project.query("CREATE INDEX too_small ON shop.things (t)")
    project.serve(served([keyless], {"things": records}, page_size=9))
    project.go()
    assert [(row["error_code"], row["copies"]) for row in project.rejected()] == [("refused", 2), ("type_conflict", 2)]
    project.write(START)
    project.replay()
    assert [(row["error_code"], row["copies"]) for row in project.rejected()] == [("refused", 2)]
    project.query("DROP INDEX shop.too_small")
    project.replay()
    assert project.rejected() == []
    project.go()
    assert len(project.rows("things")) == 5


def test_a_constraint_of_the_user_is_no_property_of_a_record(tmp_path: Path, database: str) -> None:
    records = [{"id": 1, "n": 5}]
    project = shop(tmp_path, database, served([stream(fields={"n": INTEGER})], {"things": records}))
    project.go()
    project.query("ALTER TABLE shop.things ADD CHECK (n < 10)")
    project.serve(served([stream(fields={"n": INTEGER})], {"things": [{"id": 1, "n": 50}]}))
    report = project.go(code=5)
    assert "things_n_check" in str(report.error)
    assert [row["n"] for row in project.rows("things")] == [5]


@pytest.fixture
def house() -> Iterator[PostgresWarehouse]:
    with warehouse() as house:
        yield house


def test_a_load_names_the_refused_records_and_writes_nothing(house: PostgresWarehouse) -> None:
    shape = Shape(columns={"id": "integer", "n": "number"}, version=None)
    house.load(shape.part([{"id": 1, "n": "1", "labels": ["a"]}]))
    before = house.content()
    records = [{"id": n, "n": "9" * 140_000 if n in (7, 8, 99) else "1", "labels": ["x"]} for n in range(100)]
    with pytest.raises(RefusedError) as caught:
        house.load(shape.part(records))
    assert {stream: sorted(found) for stream, found in caught.value.records.items()} == {"cases": [7, 8, 99]}
    assert house.content() == before


@pytest.mark.parametrize(
    ("index", "key"),
    [
        ("(t)", ["id"]),
        ("((7 / n))", ["id"]),
        ('USING hash (t COLLATE "C") WHERE length(t) < 10 / n', ["id"]),
        ("(t)", []),
    ],
)
def test_what_an_index_of_the_user_refuses_costs_its_record_of_a_full_table_only(
    tmp_path: Path, database: str, index: str, key: list[str]
) -> None:
    def table(*bad: int) -> Any:
        records = [{"id": n, "n": 0 if n in bad else 1, "t": LONG if n in bad else "x"} for n in range(1, 13)]
        declared = stream(fields={"n": INTEGER, "t": TEXT}, primary_key=key)
        return served([declared], {"things": [*records, *[r for r in records if r["id"] in bad]]}, page_size=4)

    project = shop(tmp_path, database, table(), START + "batch_records = 4\n")
    project.go()
    project.query(f"CREATE INDEX mine ON shop.things {index}")
    project.query("CREATE INDEX whole ON shop.things ((things.* IS NULL))")
    project.query("CREATE UNIQUE INDEX ours ON shop.things (t, id, _sdc_sequence) NULLS NOT DISTINCT")
    project.query("CREATE INDEX of_stamps ON shop.things (t, _sdc_batched_at)")
    project.serve(table(2, 11))
    report = project.go()
    assert report.counts["things"].rejected == 4
    assert {(row["error_code"], row["seen"], row["copies"]) for row in project.rejected()} == {
        ("refused", 2, 1 if key else 2)
    }
    kept = {2, 11} if key else set()
    assert {row["id"] for row in project.rows("things")} == {*range(1, 13)} - {2, 11} | kept
    project.query("DROP INDEX shop.mine, shop.whole, shop.ours, shop.of_stamps")
    project.replay()
    assert sorted(row["id"] for row in project.rows("things")) == sorted([*range(1, 13), *([] if key else [2, 11])])


def test_an_activation_that_is_refused_as_a_whole_names_nobody(house: PostgresWarehouse) -> None:
    shape = Shape(columns={"id": "integer", "t": "string"}, version=None, arrays={})
    house.load(shape.part([{"id": 1, "t": "x"}]))
    house.load(shape.part([{"id": n, "t": LONG} for n in (1, 2)], counts=Counts()), kind="stage")
    house.sql("CREATE INDEX too_small ON cases (t)")
    with pytest.raises(RefusedError) as caught:
        house.load(
            shape.part([], counts=Counts()),
            kind="activate",
            activation=Activation(counts={"cases": Counts(extracted=2)}),
        )
    assert caught.value.records == {}
    assert "index row" in str(caught.value)
    assert house.sql("SELECT id, t FROM cases") == [(1, "x")]


def test_nested_values_stay_whole_when_asked(tmp_path: Path, database: str) -> None:
    nested = {"tags": ["b", "a"], "meta": {"z": 1.10, "a": [{"x": None}, {}]}}
    data = served([stream()], {"things": [{"id": 1, **nested}, {"id": 2, "tags": []}]})
    project = shop(tmp_path, database, data, f'{START}nested = "native"\n')
    project.go()
    assert project.tables() == {"things"}
    rows = {row["id"]: row for row in project.rows("things")}
    assert {name: rows[1][name] for name in nested} == nested
    assert (rows[2]["tags"], rows[2]["meta"]) == ([], None)
    assert project.query("SELECT id FROM shop.things WHERE tags @> '[\"a\"]'") == [(1,)]
    assert project.go().rows_written == 0
