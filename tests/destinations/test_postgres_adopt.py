"""A schema that Stitch has made is taken over: its tables, `_sdc_*` columns and split columns are continued
(facts/stitch_semantics.md sections 6.2 to 6.4)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connector_core.events import SchemaChanged
from tests.support.engine import BOOLEAN, INTEGER, NUMBER, TEXT, fates, incremental, served, stream
from tests.support.postgres import PostgresShop, shared

ADOPT = "adopt = true"
SEQUENCE = 1_565_276_078_922_000_095
VERSION = 1_565_276_078_922
STITCH = f"""
CREATE SCHEMA shop;
CREATE TABLE shop.things (
    _sdc_batched_at timestamp, _sdc_received_at timestamp, _sdc_sequence bigint, _sdc_table_version bigint,
    id bigint PRIMARY KEY, at timestamp, name varchar(40), amount__bi bigint, amount__st text, flag__bl boolean,
    flag__st text, score double precision, small integer, later bigint, meta__color text, gone text
);
INSERT INTO shop.things VALUES
    ('2019-08-08 15:07', '2019-08-08 15:06', {SEQUENCE}, {VERSION}, 1, '2019-08-08 15:00', 'one', 5, NULL, true, NULL,
     0.1, 7, 1, 'red', 'x'),
    ('2019-08-08 15:07', '2019-08-08 15:06', {SEQUENCE - 1}, {VERSION}, 2, '2019-08-08 15:01', 'two', NULL, 'six', NULL,
     'yes', 1e22, 8, 2, 'blue', 'y');
CREATE TABLE shop.things__tags (
    _sdc_batched_at timestamp, _sdc_received_at timestamp, _sdc_sequence bigint, _sdc_table_version bigint,
    _sdc_source_key_id bigint, _sdc_level_0_id bigint, value text
);
INSERT INTO shop.things__tags VALUES
    ('2019-08-08 15:07', '2019-08-08 15:06', {SEQUENCE}, {VERSION}, 1, 0, 'a'),
    ('2019-08-08 15:07', '2019-08-08 15:06', {SEQUENCE}, {VERSION}, 1, 1, 'b'),
    ('2019-08-08 15:07', '2019-08-08 15:06', {SEQUENCE - 1}, {VERSION}, 2, 0, 'c');
CREATE TABLE shop._sdc_rejected (_sdc_rejected_at timestamp, table_name text, reason text, record text);
INSERT INTO shop._sdc_rejected VALUES ('2019-08-08 15:07', 'things', 'Field collision on id', '{{"id": 3}}');
"""
FIELDS = {
    "name": TEXT,
    "amount": INTEGER,
    "flag": BOOLEAN,
    "score": NUMBER,
    "small": INTEGER,
    "meta": {"type": "object", "properties": {"color": TEXT}},
    "tags": {"type": "array", "items": TEXT},
}


@pytest.fixture
def database() -> Iterator[str]:
    with shared().database() as name:
        shared().query(STITCH, database=name)
        yield name


def shop(folder: Path, database: str, records: list[dict[str, Any]], more: str = ADOPT, **changed: Any) -> PostgresShop:
    data = served([incremental(fields=FIELDS, **changed)], {"things": records}, page_size=50)
    settings = 'start_date = "2016-01-01"\n'
    return PostgresShop(folder, data, settings, server=shared(), database=database, more=more)


NEW = [
    {
        "id": 2,
        "at": "2019-08-08T16:00:00Z",  # newer by an hour than what Stitch has stored, in UTC only
        "name": "a name that is longer than forty characters, as the source allows",
        "amount": 6,
        "flag": False,
        "score": 1234567890.0625,
        "small": 2**40,
        "meta": {"color": "green"},
        "tags": ["d"],
    },
    {"id": 3, "at": "2019-08-10T00:00:00Z", "amount": "seven", "flag": "no", "tags": ["e", "f"]},
]


def test_tables_and_split_columns_of_stitch_are_continued(tmp_path: Path, database: str) -> None:
    project = shop(tmp_path, database, NEW)
    project.query(f"ALTER DATABASE {database} SET TimeZone = 'America/St_Johns'")
    columns = project.query("SELECT attname FROM pg_attribute WHERE attrelid = 'shop.things'::regclass AND attnum > 0")
    project.query("CREATE VIEW shop.newest AS SELECT * FROM shop.things__tags")
    report = project.go()
    assert fates(report.counts["things"]) == {"extracted": 2, "loaded": 2}
    after = project.query("SELECT attname FROM pg_attribute WHERE attrelid = 'shop.things'::regclass AND attnum > 0")
    assert {name for (name,) in after} - {name for (name,) in columns} == {"_sdc_extracted_at", "_sdc_record_hash"}
    rows = {row["id"]: row for row in project.rows("things")}
    assert {name: value for name, value in rows[1].items() if not name.startswith("_sdc")} == {
        "id": 1,
        "at": "2019-08-08T15:00:00",
        "name": "one",
        "amount__bi": 5,
        "amount__st": None,
        "flag__bl": True,
        "flag__st": None,
        "score": 0.1,
        "small": 7,
        "later": 1,
        "meta__color": "red",
        "gone": "x",
    }
    assert rows[1]["_sdc_sequence"] == SEQUENCE
    assert rows[1]["_sdc_batched_at"] == "2019-08-08T15:07:00"
    assert (rows[2]["amount__bi"], rows[2]["flag__bl"], rows[2]["flag__st"], rows[2]["small"]) == (
        6,
        False,
        None,
        2**40,
    )
    assert (rows[2]["name"], rows[2]["meta__color"], rows[2]["gone"]) == (NEW[0]["name"], "green", None)
    assert (rows[3]["amount__st"], rows[3]["flag__st"], rows[3]["amount__bi"]) == ("seven", "no", None)
    scores = project.query("SELECT score::text FROM shop.things ORDER BY id")
    assert scores == [("0.1",), ("1234567890.0625",), (None,)]
    assert {row["_sdc_table_version"] for row in rows.values()} == {VERSION}
    assert min(rows[2]["_sdc_sequence"], rows[3]["_sdc_sequence"]) > SEQUENCE
    tags = sorted((row["_sdc_source_key_id"], row["_sdc_level_0_id"], row["value"]) for row in project.rows("newest"))
    assert tags == [(1, 0, "a"), (1, 1, "b"), (2, 0, "d"), (3, 0, "e"), (3, 1, "f")]
    assert rows[2]["_sdc_batched_at"] > "2020"
    assert rows[2]["at"] == "2019-08-08T16:00:00"
    widened = {change.change.column for change in project.told(SchemaChanged) if change.change.what == "widened"}
    assert widened == {"name", "score", "small"}


def test_a_column_of_stitch_is_split_when_its_property_comes_later_with_another_type(
    tmp_path: Path, database: str
) -> None:
    project = shop(tmp_path, database, NEW)
    project.go()
    more = {"id": 4, "at": "2019-08-11T00:00:00Z", "later": "text", "small": "text", "tags": []}
    project.serve(served([incremental(fields=FIELDS)], {"things": [*NEW, more]}, page_size=50))
    project.go()
    rows = {row["id"]: row for row in project.rows("things")}
    assert [(rows[n]["later__bi"], rows[n]["later__st"], rows[n]["small__bi"]) for n in (1, 2, 4)] == [
        (1, None, 7),
        (None, None, 2**40),
        (None, "text", None),
    ]
    assert "later" not in rows[1]
    assert project.go().exit_code == 0


def test_rejects_of_stitch_stay_and_ours_join_them(tmp_path: Path, database: str) -> None:
    project = shop(tmp_path, database, [*NEW, {"id": None, "at": "2019-08-11T00:00:00Z"}])
    project.go()
    kept = project.query("SELECT reason, stream, _sdc_rejected_at FROM shop._sdc_rejected ORDER BY 3")
    assert [(reason, of) for reason, of, _ in kept[:1]] == [("Field collision on id", None)]
    assert kept[1][1] == "things"
    project.replay()  # a reject of another loader cannot be replayed


def test_a_full_table_goes_on_with_the_version_and_loses_what_has_vanished(tmp_path: Path, database: str) -> None:
    data = served(
        [stream(fields={"name": TEXT, "tags": FIELDS["tags"]})], {"things": [{"id": 2, "name": "zwei", "tags": ["x"]}]}
    )
    project = PostgresShop(tmp_path, data, server=shared(), database=database, more=ADOPT)
    project.go()
    assert [(row["id"], row["name"], row["_sdc_table_version"]) for row in project.rows("things")] == [
        (2, "zwei", VERSION)
    ]
    assert [row["value"] for row in project.rows("things__tags")] == ["x"]


def test_c16_without_adopt_nothing_is_touched(tmp_path: Path, database: str) -> None:
    project = shop(tmp_path, database, NEW, more="")
    before = project.tables()
    report = project.go(code=2)
    assert "adopt = true" in str(report.error)
    assert project.tables() == before
    assert project.query("SELECT count(*) FROM pg_class WHERE relname = '_sdc_fence'") == [(0,)]


def test_a_table_without_the_key_of_its_rows_is_not_taken(tmp_path: Path, database: str) -> None:
    project = shop(tmp_path, database, NEW)
    project.query("ALTER TABLE shop.things__tags RENAME COLUMN _sdc_source_key_id TO other")
    report = project.go(code=5)
    assert "'things__tags'" in str(report.error)
    assert {row["id"] for row in project.rows("things")} == {1, 2}


def test_a_view_on_a_column_that_must_be_widened_is_named(tmp_path: Path, database: str) -> None:
    project = shop(tmp_path, database, NEW)
    project.query("CREATE VIEW shop.mine AS SELECT id, score FROM shop.things")
    report = project.go(code=5)
    assert "mine" in str(report.error)
    project.query("DROP VIEW shop.mine")
    project.go()
