"""Tables follow their records: new, changed and dropped columns, schema modes, and which rows are rewritten when
(design sections 7 and 8)."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

from connector_core.events import SchemaChanged
from tests.support.commands import environment
from tests.support.crash import metered
from tests.support.engine import BOOLEAN, INSTANT, INTEGER, NUMBER, START, TEXT, Shop, fates, incremental, served
from tests.support.project import SITE

AT = "2026-03-01T08:00:00Z"


def things(*records: Any, fields: Any = None, **more: Any) -> dict[str, Any]:
    """Records at one instant: every run reads all of them again."""
    stamped = [{"at": AT, **record} for record in records]
    return served([incremental(fields={"v": TEXT, **(fields or {})}, **more)], {"things": stamped}, page_size=10)


def changes(shop: Shop) -> list[tuple[str, str, str]]:
    """What the last run did to tables."""
    return [(event.change.what, event.change.table, event.change.column) for event in shop.told(SchemaChanged)]


def by_id(shop: Shop) -> dict[int, dict[str, Any]]:
    """The rows of things by key."""
    return {row["id"]: row for row in shop.rows("things")}


def test_a_new_property_rewrites_only_the_records_that_have_a_value(tmp_path: Path) -> None:
    shop = Shop(tmp_path, things(*({"id": i, "v": "x"} for i in range(6))))
    shop.go()
    before = by_id(shop)
    new = [{"id": i, "v": "x", "new": "value" if i == 3 else None} for i in range(6)]
    shop.serve(things(*new))
    report = shop.go()
    assert fates(report.counts["things"]) == {"extracted": 6, "loaded": 1, "unchanged": 5}
    assert changes(shop) == [("added", "things", "new")]
    after = by_id(shop)
    assert after[3]["new"] == "value"
    for i in (0, 1, 2, 4, 5):
        assert {name: value for name, value in after[i].items() if name != "new"} == before[i]
    shop.serve(things(*new, fields={"new": TEXT, "declared": INTEGER}))  # declaring it rewrites nothing either
    assert fates(shop.go().counts["things"]) == {"extracted": 6, "unchanged": 6}
    assert metered(shop) == {"things": 7}


def test_equal_values_written_differently_are_unchanged(tmp_path: Path) -> None:
    fields = {"i": INSTANT, "n": NUMBER, "o": {"type": "object"}}
    one = {"id": 1, "v": None, "i": "2026-03-01T08:00:00Z", "n": 1.50, "o": {"a": 1, "b": {"c": None, "d": [1, 2]}}}
    two = {"id": 1, "o": {"b": {"d": [1, 2]}, "a": 1}, "n": 1.5, "i": "2026-03-01T09:00:00.000+01:00", "empty": None}
    for nested in ("subtables", "native"):
        shop = Shop(tmp_path / nested, things(one, fields=fields), START + f'nested = "{nested}"\n')
        shop.go()
        shop.serve(things(two, fields=fields))
        assert fates(shop.go().counts["things"]) == {"extracted": 1, "unchanged": 1}, nested
        shop.serve(things({**two, "o": {"a": 1, "b": {"d": [2, 1]}}}, fields=fields))
        assert fates(shop.go().counts["things"]) == {"extracted": 1, "loaded": 1}, nested


def test_b35_a_changed_declared_type_splits_the_column_and_keeps_old_values(tmp_path: Path) -> None:
    shop = Shop(tmp_path, things({"id": 1, "n": 5}, {"id": 2, "n": 6}, fields={"n": INTEGER}))
    shop.go()
    shop.serve(things({"id": 2, "n": "six"}, {"id": 3, "n": "seven"}, fields={"n": TEXT}))
    shop.go()
    assert changes(shop) == [("renamed", "things", "n__bi"), ("added", "things", "n__st")]
    stored = {key: (row["n__bi"], row["n__st"]) for key, row in by_id(shop).items()}
    assert stored == {1: (5, None), 2: (None, "six"), 3: (None, "seven")}


def test_a_changed_declared_type_rewrites_rows_when_they_are_next_read(tmp_path: Path) -> None:
    shop = Shop(tmp_path, things({"id": 1, "n": 5}, {"id": 2, "n": 6}, fields={"n": INTEGER}))
    shop.go()
    shop.serve(things({"id": 1, "n": 5}, {"id": 2, "n": 6}, fields={"n": TEXT}))
    report = shop.go()
    assert fates(report.counts["things"]) == {"extracted": 2, "loaded": 2}
    assert fates(shop.go().counts["things"]) == {"extracted": 2, "unchanged": 2}


def test_type_conflicts_are_rejected_where_the_user_says_so(tmp_path: Path) -> None:
    records = [
        {"id": 1, "n": 1},
        {"id": 2, "n": "two"},
        {"id": 3, "n": None},
        {"id": 4, "n": True},
        {"id": 5, "n": 1.5},
    ]
    data = things(*records, fields={"n": INTEGER})
    shop = Shop(tmp_path, data, START + 'type_conflict = "reject"\n')
    report = shop.go()
    assert fates(report.counts["things"]) == {"extracted": 5, "loaded": 2, "rejected": 3}
    assert {(row["error_code"], row["path"]) for row in shop.rejected()} == {("type_conflict", "/n")}
    assert set(by_id(shop)) == {1, 3}
    assert not {name for name in by_id(shop)[1] if name.startswith("n__")}


def test_schema_freeze_rejects_and_discard_drops_what_nobody_declared(tmp_path: Path) -> None:
    records = [{"id": 1, "v": "a"}, {"id": 2, "v": "b", "extra": 1}, {"id": 3, "v": "c", "extra": None}]
    shop = Shop(tmp_path / "freeze", things(*records), START + 'schema = "freeze"\n')
    report = shop.go()
    assert fates(report.counts["things"]) == {"extracted": 3, "loaded": 2, "rejected": 1}
    assert [(row["error_code"], row["path"]) for row in shop.rejected()] == [("unknown_property", "/extra")]
    shop = Shop(tmp_path / "discard", things(*records), START + 'schema = "discard"\n')
    report = shop.go()
    assert fates(report.counts["things"]) == {"extracted": 3, "loaded": 3}
    assert "extra" not in by_id(shop)[2]


def test_another_schema_mode_rewrites_rows_when_they_are_next_read(tmp_path: Path) -> None:
    early = {"id": 1, "v": "a", "extra": 1, "at": "2026-02-01T00:00:00Z"}
    shop = Shop(tmp_path, things(early, {"id": 2, "v": "b", "extra": 2}), START + 'schema = "discard"\n')
    shop.go()
    shop.write(START)
    report = shop.go()
    assert fates(report.counts["things"]) == {"extracted": 1, "loaded": 1}
    stored = {key: row["extra"] for key, row in by_id(shop).items()}
    assert stored == {1: None, 2: 2}
    with shop.ledger() as ledger:
        (status,) = ledger.status()
        assert [dict(one.older) for one in status.streams] == [{"things": 1}]
    shop.go(full=True)
    assert {key: row["extra"] for key, row in by_id(shop).items()} == {1: 1, 2: 2}
    with shop.ledger() as ledger:
        (status,) = ledger.status()
        assert not any(older for one in status.streams for older in one.older.values())


def test_c13_a_dropped_column_is_repaired_and_said_so(tmp_path: Path) -> None:
    early = {"id": 1, "v": "a", "at": "2026-02-01T00:00:00Z"}
    data = things(early, {"id": 2, "v": "b"})
    shop = Shop(tmp_path, data)
    shop.go()
    with duckdb.connect(str(shop.warehouse)) as connection:
        connection.execute('alter table "shop"."things" drop column "v"')
    report = shop.go()
    assert ("repaired", "things", "v") in changes(shop)
    assert [change.what for change in report.changes] == ["repaired"]
    assert fates(report.counts["things"]) == {"extracted": 1, "loaded": 1}
    assert {key: row["v"] for key, row in by_id(shop).items()} == {1: None, 2: "b"}
    shop.go(full=True)
    assert {key: row["v"] for key, row in by_id(shop).items()} == {1: "a", 2: "b"}
    assert changes(shop) == []


def test_c13_a_dropped_table_is_made_again_and_said_so(tmp_path: Path) -> None:
    shop = Shop(tmp_path, things({"id": 1, "v": "a", "tags": ["x"]}))
    shop.go()
    with duckdb.connect(str(shop.warehouse)) as connection:
        connection.execute('drop table "shop"."things__tags"')
    shop.go()
    assert ("repaired", "things__tags", "") in changes(shop)
    assert [row["value"] for row in shop.rows("things__tags")] == ["x"]


def test_c13_a_changed_type_and_a_dropped_key_are_told_and_nothing_is_written(tmp_path: Path) -> None:
    shop = Shop(tmp_path, things({"id": 1, "v": "1"}))
    shop.go()
    shop.serve(things({"id": 1, "v": "1"}, {"id": 2, "v": "2"}))
    with duckdb.connect(str(shop.warehouse)) as connection:
        connection.execute('alter table "shop"."things" alter column "v" type integer')
    report = shop.go(code=5)
    assert "'v'" in str(report.error)
    assert "INTEGER" in str(report.error)
    with duckdb.connect(str(shop.warehouse)) as connection:
        connection.execute('alter table "shop"."things" alter column "v" type varchar')
        connection.execute('alter table "shop"."things" rename column "id" to "other"')
    assert "'id'" in str(shop.go(code=5).error)
    with duckdb.connect(str(shop.warehouse)) as connection:
        connection.execute('alter table "shop"."things" rename column "other" to "id"')
    shop.go()
    assert set(by_id(shop)) == {1, 2}


def test_a_shrunken_and_an_emptied_array_leave_nothing_behind(tmp_path: Path) -> None:
    shop = Shop(tmp_path, things({"id": 1, "tags": ["a", "b", "c"]}, {"id": 2, "tags": [{"deep": ["x", "y"]}]}))
    shop.go()
    shop.serve(things({"id": 1, "tags": ["b"]}, {"id": 2, "tags": []}))
    report = shop.go()
    assert [(row["_sdc_source_key_id"], row["value"]) for row in shop.rows("things__tags")] == [(1, "b")]
    assert shop.rows("things__tags__deep") == []
    assert (report.tables["things__tags"].written, report.tables["things__tags"].deleted) == (1, 4)


def test_another_way_of_nesting_moves_the_values(tmp_path: Path) -> None:
    record = {"id": 1, "o": {"a": 1, "b": ["x"]}}
    fields = {"o": {"type": "object", "properties": {"a": INTEGER, "b": {"type": "array", "items": TEXT}}}}
    shop = Shop(tmp_path, things(record, fields=fields))
    shop.go()
    assert by_id(shop)[1]["o__a"] == 1
    shop.write(START + 'nested = "native"\n')
    shop.go()
    assert by_id(shop)[1]["o"] == '{"a":1,"b":["x"]}'
    assert by_id(shop)[1]["o__a"] is None
    assert shop.rows("things__o__b") == []


def test_b28_b29_names_that_collide_or_are_reserved_keep_every_value(tmp_path: Path) -> None:
    record = {
        "id": 1, "Id": 2, "ID": 3, "_sdc_sequence": 4, "__sdc_primary_key": 5, "": 6, " ": 7, 'a"b': 8, "a'b; --": 9,
        "a": {"b": 10}, "a__b": 11, "x" * 300: 12, "x" * 300 + "y": 13, "é": 14, "e\u0301": 15, "rowid": 16,
        "%s": 17, "select": 18, "a.b": 19, "%(x)s": 20, "_dlt_id": 21, "_airbyte_raw_id": 22, "_fivetran_synced": 23,
        "ID ": 24, "_sdc_batched_at": 25,
    }  # fmt: skip
    shop = Shop(tmp_path, things(record))
    assert fates(shop.go().counts["things"]) == {"extracted": 1, "loaded": 1}
    row = by_id(shop)[1]
    values = sorted(
        value for name, value in row.items() if isinstance(value, int) and value < 100 and "table" not in name
    )
    assert values == list(range(1, 26))
    assert fates(shop.go().counts["things"]) == {"extracted": 1, "unchanged": 1}
    assert set(by_id(shop)[1]) == set(row)


def test_b27_many_new_fields_at_once(tmp_path: Path) -> None:
    shop = Shop(tmp_path, things({"id": 1}))
    shop.go()
    shop.serve(things({"id": 1, **{f"f{i}": i for i in range(200)}}, {"id": 2}))
    report = shop.go()
    one, two = by_id(shop)[1], by_id(shop)[2]
    assert [one[f"f{i}"] for i in range(200)] == list(range(200))
    assert {two[f"f{i}"] for i in range(200)} == {None}
    assert [change.column for change in report.changes] == [f"f{i}" for i in range(200)]
    assert shop.go().rows_written == 0


def test_b27_ten_thousand_fields(tmp_path: Path) -> None:
    shop = Shop(tmp_path, things({"id": 1, **{f"f{i}": i for i in range(10_000)}}, {"id": 2, "v": "x"}))
    assert fates(shop.go().counts["things"]) == {"extracted": 2, "loaded": 2}
    with duckdb.connect(str(shop.warehouse), read_only=True) as connection:
        rows = connection.execute("select columns('^(v|f[0-9]+)$') from shop.things order by id").fetchall()
    assert rows == [(None, *range(10_000)), ("x", *[None] * 10_000)]


MEASURED = """
import sys
from connector_core.__main__ import main
try:
    main()
finally:
    print(*(line for line in open("/proc/self/status") if line.startswith("VmHWM")), file=sys.stderr)
"""


def test_b27_seventeen_hundred_new_fields_cost_little_memory(tmp_path: Path) -> None:
    shop = Shop(tmp_path, things({"id": 1}))
    shop.go()
    shop.serve(things({"id": 1, **{f"f{i}": i for i in range(1700)}}))
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, "run"],
        cwd=shop.folder,
        env=environment(trees=[SITE]),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    row = by_id(shop)[1]
    assert [row[f"f{i}"] for i in range(1700)] == list(range(1700))
    most = int(done.stderr.split()[-2])
    assert most < 400 * 1024, "KiB; all of them in one transaction took 1 GB"


def test_b25_b26_deep_and_mixed_values(tmp_path: Path) -> None:
    def deep(levels: int) -> Any:
        return {"d": deep(levels - 1)} if levels else "bottom"

    mixed = ["text", 1, 1.5, True, None, {"k": "v"}, ["x"], AT]
    records = [{"id": 1, "o": deep(60)}, {"id": 2, "o": deep(400)}, {"id": 3, "labels": mixed}]
    records += [{"id": 4, "labels": "not a list"}, {"id": 5, "labels": [f"l{i}" for i in range(10_000)]}]
    fields = {"labels": {"type": "array", "items": TEXT}, "flag": BOOLEAN}
    shop = Shop(tmp_path, things(*records, fields=fields))
    report = shop.go()
    assert fates(report.counts["things"]) == {"extracted": 5, "loaded": 4, "rejected": 1}
    assert [row["error_code"] for row in shop.rejected()] == ["too_deep"]
    assert "bottom" in by_id(shop)[1].values()
    assert labels_of(shop, 3) == ["text", 1, Decimal("1.5"), True, None, "v", None, AT]
    assert [(row["_sdc_level_0_id"], row["value"]) for row in shop.rows("things__labels__value")] == [(6, "x")]
    assert labels_of(shop, 5) == [f"l{i}" for i in range(10_000)]
    assert "not a list" in by_id(shop)[4].values()


def labels_of(shop: Shop, key: int) -> list[Any]:
    """The values of a record's labels in their order; each stands in one of the columns of its type."""
    rows = [row for row in shop.rows("things__labels") if row["_sdc_source_key_id"] == key]
    found = []
    for row in sorted(rows, key=lambda row: row["_sdc_level_0_id"]):
        held = [v for name, v in row.items() if not name.startswith("_sdc") and v is not None]
        assert len(held) <= 1
        found.append(held[0] if held else None)
    return found


def test_b34_records_of_only_nulls_and_without_optional_fields_are_alike(tmp_path: Path) -> None:
    shop = Shop(tmp_path, things({"id": 1, "v": None, "o": None, "tags": None}, {"id": 2}))
    shop.go()
    one, two = by_id(shop)[1], by_id(shop)[2]
    data = {name for name in one if not name.startswith("_sdc") and name not in ("id", "at")}
    assert {one[name] for name in data} == {two[name] for name in data} == {None}
