"""Full-table replication: a pass becomes visible as a whole, deletes what vanished, and is refused when it cannot be
right (design section 7)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from connector_core.events import Event, SchemaChanged, Warned
from tests.support.crash import metered
from tests.support.engine import START, TEXT, Shop, fates, incremental, served, stream
from tests.support.zygote import Zygote

TAGS = {"type": "array", "items": TEXT}
SYSTEM = ("_sdc_extracted_at", "_sdc_received_at", "_sdc_batched_at", "_sdc_sequence", "_sdc_record_hash")


def table(*records: Any, page_size: int = 5, name: str = "things", total: int | None = None, **more: Any) -> Any:
    """A full-table stream of these records; each has some tags."""
    totals = {} if total is None else {name: total}
    streams = [stream(name, {"v": TEXT, "tags": TAGS}, **more)]
    return served(streams, {name: records}, page_size=page_size, totals=totals)


def rows(numbers: Any, v: str = "x") -> list[dict[str, Any]]:
    """Records with two tags each."""
    return [{"id": i, "v": v, "tags": [f"{v}{i}", "b"]} for i in numbers]


def ids(shop: Shop, name: str = "things") -> list[int]:
    """The keys that are stored, sorted."""
    return sorted(row["id"] for row in shop.rows(name))


def staging(shop: Shop) -> list[str]:
    """Names of staging tables that are still there."""
    found = shop.query(
        "select table_name from information_schema.tables where table_name like '!_sdc!_stage%' escape '!'"
    )
    return [name for (name,) in found]


def test_vanished_rows_are_deleted_changed_ones_replaced_and_the_others_left_alone(tmp_path: Path) -> None:
    shop = Shop(tmp_path, table(*rows(range(6))))
    assert fates(shop.go().counts["things"]) == {"extracted": 6, "loaded": 6}
    before = {row["id"]: row for row in shop.rows("things")}
    shop.serve(table(*rows([0, 1, 2]), *rows([3], "changed"), *rows([7])))
    report = shop.go()
    counts = fates(report.counts["things"])
    assert counts == {"extracted": 5, "loaded": 2, "unchanged": 3, "deleted": 2}
    assert ids(shop) == [0, 1, 2, 3, 7]
    after = {row["id"]: row for row in shop.rows("things")}
    assert [after[i] for i in (0, 1, 2)] == [before[i] for i in (0, 1, 2)]
    assert after[3]["v"] == "changed"
    assert all(after[3][name] >= before[3][name] for name in SYSTEM if name.endswith("_at"))
    assert after[3]["_sdc_sequence"] > max(row["_sdc_sequence"] for row in before.values())
    tags = {(row["_sdc_source_key_id"], row["value"]) for row in shop.rows("things__tags")}
    assert tags == {(i, tag) for i in (0, 1, 2, 7) for tag in (f"x{i}", "b")} | {(3, "changed3"), (3, "b")}
    assert metered(shop) == {"things": 6 + 2, "things__tags": 12 + 4}
    assert staging(shop) == []


def test_nothing_new_writes_nothing(tmp_path: Path) -> None:
    shop = Shop(tmp_path, table(*rows(range(6))))
    shop.go()
    before = (shop.rows("things"), shop.rows("things__tags"))
    report = shop.go()
    assert fates(report.counts["things"]) == {"extracted": 6, "unchanged": 6}
    assert (report.rows_written, report.rows_deleted) == (0, 0)
    assert (shop.rows("things"), shop.rows("things__tags")) == before


def test_unchanged_rewrite_refreshes_and_meters_every_row(tmp_path: Path) -> None:
    shop = Shop(tmp_path, table(*rows(range(4))), START + 'streams.things.unchanged = "rewrite"\n')
    shop.go()
    before = {row["id"]: row["_sdc_batched_at"] for row in shop.rows("things")}
    report = shop.go()
    assert report.rows_written == 12
    assert all(row["_sdc_batched_at"] > before[row["id"]] for row in shop.rows("things"))
    assert metered(shop) == {"things": 8, "things__tags": 16}


def test_keys_of_rejected_records_are_never_deleted(tmp_path: Path) -> None:
    shop = Shop(tmp_path, table(*rows(range(6))))
    shop.go()
    bad = [{"id": 4, "v": "x", "tags": ["\ud800"]}, {"id": 5, "v": "\ud800"}]
    shop.serve(table(*rows([0, 1]), *bad))
    report = shop.go()
    assert fates(report.counts["things"]) == {
        "extracted": 4, "unchanged": 2, "rejected": 2, "deleted": 2,
    }  # fmt: skip
    assert ids(shop) == [0, 1, 4, 5]
    shop.serve(table(*rows([0, 1]), {"id": None}, {"id": "2"}))
    assert fates(shop.go().counts["things"]).get("deleted") is None  # whose record that was cannot be told
    assert ids(shop) == [0, 1, 4, 5]


def test_rejected_children_keep_their_rows_too(tmp_path: Path) -> None:
    streams = [stream("orders"), stream("lines", {"v": TEXT}, parent="orders")]
    lines = [{"_parent": 1, "id": i, "v": "x"} for i in range(3)]
    shop = Shop(tmp_path, served(streams, {"orders": [{"id": 1}], "lines": lines}))
    shop.go()
    shop.serve(served(streams, {"orders": [{"id": 1}], "lines": [lines[0], {**lines[1], "v": "\ud800"}]}))
    report = shop.go()
    assert fates(report.counts["lines"])["rejected"] == 1
    assert ids(shop, "lines") == [0, 1]


def test_a_pass_that_deletes_more_than_half_is_refused_until_it_is_allowed(tmp_path: Path) -> None:
    shop = Shop(tmp_path, table(*rows(range(20)), page_size=50))
    shop.go()
    before = shop.rows("things")
    shop.serve(table(*rows(range(9)), page_size=50))
    report = shop.go(code=4)
    assert "would delete 11 of 20 rows" in str(report.error)
    assert "--allow-deletes things" in str(report.error)
    assert shop.rows("things") == before
    assert staging(shop) == []
    shop.go(allow_deletes=("things",))
    assert ids(shop) == list(range(9))
    shop.serve(table(*rows(range(4)), page_size=50))
    shop.go()  # below 20 rows more than half may go
    assert ids(shop) == list(range(4))


def test_half_may_go_and_the_share_is_a_setting(tmp_path: Path) -> None:
    shop = Shop(tmp_path, table(*rows(range(20)), page_size=50), START + "most_deleted = 0.1\n")
    shop.go()
    shop.serve(table(*rows(range(17)), page_size=50))
    shop.go(code=4)
    shop.write(START)
    shop.serve(table(*rows(range(10)), page_size=50))
    shop.go()
    assert ids(shop) == list(range(10))


def test_b36_an_empty_answer_wipes_nothing_and_other_streams_go_on(tmp_path: Path) -> None:
    def data(*records: Any) -> Any:
        streams = [stream(), stream("others"), incremental("moving")]
        moving = [{"id": 1, "at": "2026-03-01T08:00:00Z"}]
        return served(streams, {"things": records, "others": rows([1, 2]), "moving": moving})

    shop = Shop(tmp_path, data(*rows(range(3))))
    shop.go()
    shop.serve(data() | {"records": {"things": [], "others": rows([1, 2, 3]), "moving": []}})
    report = shop.go(code=4)
    assert "things" in str(report.error)
    assert ids(shop) == [0, 1, 2]
    assert ids(shop, "others") == [1, 2, 3]
    shop.go(allow_deletes=("things",))
    assert ids(shop) == []


def test_the_guard_of_a_child_is_released_by_its_own_name(tmp_path: Path) -> None:
    streams = [stream("orders"), stream("lines", parent="orders")]
    lines = [{"_parent": 1, "id": i} for i in range(30)]
    shop = Shop(tmp_path, served(streams, {"orders": [{"id": 1}], "lines": lines}, page_size=100))
    shop.go()
    shop.serve(served(streams, {"orders": [{"id": 1}], "lines": lines[:3]}))
    report = shop.go(code=4)
    assert "--allow-deletes lines" in str(report.error)
    shop.go(allow_deletes=("lines",))
    assert ids(shop, "lines") == [0, 1, 2]


def test_a31_a35_an_incomplete_pass_is_read_once_more_and_then_refused(tmp_path: Path) -> None:
    shop = Shop(tmp_path, table(*rows(range(6))))
    shop.go()
    shop.serve(table(*rows([1, 2, 9]), total=4))
    report = shop.go(code=4)
    assert "found 3 records, the source says it has 4" in str(report.error)
    assert report.calls == 2
    assert fates(report.counts["things"]) == {"discarded": 6}
    assert ids(shop) == list(range(6))
    assert staging(shop) == []


def test_a31_a_second_reading_that_is_complete_is_taken(tmp_path: Path) -> None:
    shop = Shop(tmp_path, table(*rows([0, 1, 3]), total=4))

    def heal(event: Event) -> None:
        if isinstance(event, Warned):
            shop.serve(table(*rows(range(4)), total=4))

    report = shop.go(watch=heal)
    assert "once more" in shop.told(Warned)[0].text
    assert fates(report.counts["things"]) == {"extracted": 4, "loaded": 4, "discarded": 3}
    assert ids(shop) == [0, 1, 2, 3]


def test_a26_a_pass_counts_distinct_keys_and_rejects(tmp_path: Path) -> None:
    shop = Shop(tmp_path, table(*rows([0, 1, 1, 2, 0]), {"id": 7, "v": "\ud800"}, {"id": None}, total=5))
    report = shop.go()
    assert fates(report.counts["things"]) == {
        "extracted": 7, "loaded": 3, "superseded": 2, "rejected": 2,
    }  # fmt: skip
    assert ids(shop) == [0, 1, 2]
    assert len(shop.rows("things__tags")) == 6


def test_max_rejects_as_a_share_counts_what_was_read(tmp_path: Path) -> None:
    records = [{"id": i if i % 10 else None} for i in range(2000)]
    shop = Shop(tmp_path, table(*records, page_size=500), START + 'batch_records = 400\nmax_rejects = "11%"\n')
    assert fates(shop.go().counts["things"])["rejected"] == 200
    shop.write(START + 'batch_records = 400\nmax_rejects = "9%"\n')
    shop.serve(table(*records[:1], *rows([1]), *records[2:], page_size=500))
    assert "200 of 2,000" in str(shop.go(code=3).error) or "of 1," in str(shop.go(code=3).error)
    assert len(ids(shop)) == 1800


def test_an_interrupted_pass_is_discarded_and_started_again(tmp_path: Path) -> None:
    data = table(*rows(range(12)), page_size=3)
    shop = Shop(tmp_path, data, START + "batch_records = 3\n")
    shop.go()
    before = shop.rows("things")
    changed = table(*rows(range(1, 12), "new"), page_size=3)
    with Zygote() as zygote:
        for seam in (("load.stage.after", 2), ("load.commit.after", 2), ("hook.load.before", 4)):
            shop.serve(changed)
            assert zygote.run(["run"], cwd=shop.folder, env=shop.env, kill_at=seam).killed
            assert shop.rows("things") == before
        assert zygote.run(["run"], cwd=shop.folder, env=shop.env, kill_at=("activate.insert.after", 1)).killed
        assert shop.rows("things") == before
    shop.go()
    assert ids(shop) == list(range(1, 12))
    assert {row["v"] for row in shop.rows("things")} == {"new"}
    assert staging(shop) == []
    assert metered(shop) == {"things": 12 + 11, "things__tags": 24 + 22}


def test_a_failing_source_discards_the_pass_of_its_stream(tmp_path: Path) -> None:
    shop = Shop(tmp_path, table(*rows(range(12)), page_size=3), START + "batch_records = 3\n")
    shop.go()
    shop.serve(table(*rows(range(11), "new"), page_size=3) | {"faults": {"things": {"3": "fail"}}})
    report = shop.go(code=4)
    assert fates(report.counts["things"]) == {"discarded": 6}
    assert {row["v"] for row in shop.rows("things")} == {"x"}
    shop.serve(table(*rows(range(12)), page_size=3))
    shop.go()
    assert staging(shop) == []


def test_without_a_key_all_rows_are_replaced_and_the_version_rises(tmp_path: Path) -> None:
    shop = Shop(tmp_path, table(*rows([1, 1, 2]), primary_key=[]))
    assert fates(shop.go().counts["things"]) == {"extracted": 3, "loaded": 3}
    first = {row["_sdc_table_version"] for row in shop.rows("things")}
    shop.serve(table(*rows([1, 1, 1, 3]), primary_key=[]))
    shop.go()
    assert ids(shop) == [1, 1, 1, 3]
    second = {row["_sdc_table_version"] for row in shop.rows("things")}
    assert len(first) == len(second) == 1
    assert max(second) > max(first)
    assert {row["_sdc_table_version"] for row in shop.rows("things__tags")} == second
    owners = {row["__sdc_primary_key"] for row in shop.rows("things")}
    assert {row["_sdc_source_key___sdc_primary_key"] for row in shop.rows("things__tags")} == owners
    newest = shop.query(
        'select count(*) from "shop"."things" where _sdc_table_version = '
        '(select max(_sdc_table_version) from "shop"."things")'
    )
    assert newest == [(4,)]


def test_without_a_key_the_guard_counts_rows(tmp_path: Path) -> None:
    shop = Shop(tmp_path, table(*rows(range(20)), primary_key=[], page_size=50))
    shop.go()
    shop.serve(table(*rows(range(9)), primary_key=[], page_size=50))
    shop.go(code=4)
    assert len(ids(shop)) == 20
    shop.serve(table(primary_key=[]))
    shop.go(code=4)
    assert len(ids(shop)) == 20


def test_tables_of_a_full_stream_are_never_renamed_or_dropped(tmp_path: Path) -> None:
    """A view of the user lives on."""
    import duckdb

    shop = Shop(tmp_path, table(*rows(range(4))))
    shop.go()
    with duckdb.connect(str(shop.warehouse)) as connection:
        connection.execute('create view mine as select id, v from "shop"."things"')
    shop.serve(table(*rows(range(5), "y")))
    shop.go()
    assert sorted(shop.query("select id, v from mine")) == [(i, "y") for i in range(5)]
    assert shop.told(SchemaChanged) == []


@pytest.mark.parametrize("key", [["id"], []], ids=["keyed", "keyless"])
def test_a_new_column_in_the_middle_of_a_pass_reaches_the_table(tmp_path: Path, key: list[str]) -> None:
    more = [{"id": 8, "v": 5, "new": {"deep": [1.5]}}, {"id": 9, "new": "text"}]
    shop = Shop(tmp_path, table(*rows(range(4)), *more, page_size=2, primary_key=key), START + "batch_records = 2\n")
    shop.go()
    stored = {row["id"]: row for row in shop.rows("things")}
    assert (stored[8]["v__bi"], stored[0]["v__st"], stored[9]["new"]) == (5, "x", "text")
    (deep,) = [name for name in shop.tables() if name.endswith("deep")]
    assert [float(row["value"]) for row in shop.rows(deep)] == [1.5]
