"""Loading rows: each record new, changed, unchanged or superseded, in a real DuckDB file."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from connector_core.batch import Counts, SchemaChange, TableCount
from connector_core.errors import ConnectorError, DestinationError, StaleWriterError
from tests.support.loads import CASES, Shape, Warehouse, reject, warehouse

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
HORIZON = "2026-11-23T12:00:00Z"
cases = Shape()


def case(number: int, *, day: int = 1, labels: tuple[str, ...] = ("a", "b"), **more: Any) -> dict[str, Any]:
    return {
        "id": number,
        "subject": f"case {number}",
        "updated_at": f"2026-01-{day:02}T00:00:00Z",
        "labels": list(labels),
        **more,
    }


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Warehouse]:
    with warehouse(tmp_path / "w.duckdb", now=NOON) as house:
        yield house


def test_new_rows_arrive_with_their_system_columns(house: Warehouse) -> None:
    receipt = house.load(cases.part([case(1), case(2, labels=())]), bookmark={"version": 1, "value": "x"})
    assert receipt.counts == {"cases": Counts(extracted=2, loaded=2)}
    assert receipt.tables == {"cases": TableCount(written=2), "cases__labels": TableCount(written=2)}
    assert receipt.changes == (
        SchemaChange(table="cases", what="created"),
        SchemaChange(table="cases__labels", what="created"),
    )
    assert receipt.committed_at == NOON
    first = receipt.sequence - 1
    assert first > 10**18
    rows = house.sql(
        "SELECT id, subject, strftime(updated_at, '%xT%X'), strftime(_sdc_extracted_at, '%X'), "
        "strftime(_sdc_received_at, '%X'), strftime(_sdc_batched_at, '%X'), _sdc_sequence, _sdc_table_version, "
        "_sdc_record_hash FROM cases ORDER BY id"
    )
    hashes = cases.part([case(1), case(2, labels=())]).hashes
    assert rows == [
        (1, "case 1", "2026-01-01T00:00:00", "08:00:05", "08:00:05", "12:00:00", first, 0, hashes[0]),
        (2, "case 2", "2026-01-01T00:00:00", "08:00:05", "08:00:05", "12:00:00", first + 1, 0, hashes[1]),
    ]
    subs = house.sql(
        "SELECT _sdc_source_key_id, _sdc_level_0_id, value, _sdc_sequence, _sdc_table_version, "
        "strftime(_sdc_batched_at, '%X'), strftime(_sdc_received_at, '%X') FROM cases__labels ORDER BY 2"
    )
    assert subs == [(1, 0, "a", first, 0, "12:00:00", "08:00:05"), (1, 1, "b", first, 0, "12:00:00", "08:00:05")]


def test_the_same_batch_twice_changes_nothing(house: Warehouse) -> None:
    house.load(cases.part([case(1), case(2)]))
    before = house.content()
    receipt = house.load(cases.part([case(1), case(2)]))
    after = house.content()
    assert receipt.counts == {"cases": Counts(extracted=2, unchanged=2)}
    assert receipt.tables == {}
    assert {name: after[name] for name in ("cases", "cases__labels")} == {
        name: before[name] for name in ("cases", "cases__labels")
    }
    assert len(after["_sdc_commits"]) == 2


def test_new_changed_and_unchanged_in_one_batch(house: Warehouse) -> None:
    house.load(cases.part([case(1), case(2), case(3)]))
    receipt = house.load(cases.part([case(4), case(2), case(3, day=2, labels=("c",))]))
    assert receipt.counts["cases"] == Counts(extracted=3, loaded=2, unchanged=1)
    assert receipt.tables == {
        "cases": TableCount(written=2),
        "cases__labels": TableCount(written=3, deleted=2),
    }
    assert house.ids() == [1, 2, 3, 4]
    assert house.sql(
        "SELECT _sdc_source_key_id, value FROM cases__labels WHERE _sdc_source_key_id > 2 ORDER BY ALL"
    ) == [
        (3, "c"),
        (4, "a"),
        (4, "b"),
    ]
    joined = "cases__labels l JOIN cases c ON c.id = l._sdc_source_key_id AND l._sdc_sequence = c._sdc_sequence"
    assert house.one(f"SELECT count(*) FROM {joined}") == house.one("SELECT count(*) FROM cases__labels")


def test_a37_an_older_version_that_comes_later_does_not_win(house: Warehouse) -> None:
    house.load(cases.part([case(1, day=5, labels=("new",))]), horizon=HORIZON)
    receipt = house.load(cases.part([case(1, day=4, labels=("old",))]), horizon=HORIZON)
    assert receipt.counts["cases"] == Counts(extracted=1, superseded=1)
    assert house.one("SELECT value FROM cases__labels") == "new"
    assert house.load(cases.part([case(1, day=5, labels=("same day",))]), horizon=HORIZON).counts["cases"].loaded == 1


def test_b31_a_version_in_the_future_does_not_shut_out_what_comes_after(house: Warehouse) -> None:
    house.load(cases.part([case(1, updated_at="2099-01-01T00:00:00Z")]), horizon=HORIZON)
    receipt = house.load(cases.part([case(1, day=4)]), horizon=HORIZON)
    assert receipt.counts["cases"].loaded == 1
    assert house.one("SELECT year(updated_at) FROM cases") == 2026


@pytest.mark.parametrize(
    ("days", "winner"),
    [((1, 2, 3), 2), ((3, 2, 1), 0), ((2, 3, 1), 1), ((2, 2, 2), 2)],
    ids=["newest last", "newest first", "newest between", "all the same instant"],
)
@pytest.mark.parametrize("into", ["an empty table", "a table with rows"])
def test_b23_a_key_several_times_in_a_batch(house: Warehouse, days: tuple[int, ...], winner: int, into: str) -> None:
    if into == "a table with rows":
        house.load(cases.part([case(1, day=1, labels=("x",)), case(9)]))
    records = [case(1, day=day, labels=(f"l{place}",), subject=f"s{place}") for place, day in enumerate(days)]
    receipt = house.load(cases.part([case(7), *records, case(8)]), horizon=HORIZON)
    assert receipt.counts["cases"] == Counts(extracted=5, loaded=3, superseded=2)
    assert house.sql("SELECT subject FROM cases WHERE id = 1") == [(f"s{winner}",)]
    assert house.sql("SELECT value FROM cases__labels WHERE _sdc_source_key_id = 1") == [(f"l{winner}",)]


def test_b23_identical_records_of_one_key_are_stored_once(house: Warehouse) -> None:
    receipt = house.load(cases.part([case(1), case(1)]))
    assert receipt.counts["cases"] == Counts(extracted=2, loaded=1, superseded=1)
    again = house.load(cases.part([case(1), case(1)]))
    assert again.counts["cases"] == Counts(extracted=2, unchanged=1, superseded=1)
    assert house.sql("SELECT value FROM cases__labels ORDER BY _sdc_level_0_id") == [("a",), ("b",)]


def test_versions_beyond_the_horizon_count_as_the_horizon_within_a_batch(house: Warehouse) -> None:
    far, farther = "2098-01-01T00:00:00Z", "2099-01-01T00:00:00Z"
    records = [case(1, updated_at=farther, subject="first"), case(1, updated_at=far, subject="last")]
    house.load(cases.part(records), horizon=HORIZON)
    assert house.one("SELECT subject FROM cases") == "last"


def test_fractions_of_a_second_are_compared_as_instants(house: Warehouse) -> None:
    whole, later = "2026-01-01T00:00:05Z", "2026-01-01T00:00:05.25Z"
    records = [case(1, updated_at=later, subject="later"), case(1, updated_at=whole, subject="whole")]
    house.load(cases.part(records), horizon=HORIZON)
    assert house.one("SELECT subject FROM cases") == "later"


def test_integer_versions(house: Warehouse) -> None:
    shape = Shape(columns={"id": "integer", "rev": "integer"}, version="rev", arrays={})
    house.load(shape.part([{"id": 1, "rev": 10}, {"id": 1, "rev": 9}]), horizon=HORIZON)
    receipt = house.load(shape.part([{"id": 1, "rev": 2}]), horizon=HORIZON)
    assert receipt.counts["cases"].superseded == 1
    assert house.sql("SELECT rev FROM cases") == [(10,)]


def test_b30_a_record_without_a_version_is_believed_to_be_new(house: Warehouse) -> None:
    house.load(cases.part([case(1, day=5)]), horizon=HORIZON)
    assert house.load(cases.part([case(1, updated_at=None)]), horizon=HORIZON).counts["cases"].loaded == 1
    assert house.load(cases.part([case(1, day=1)]), horizon=HORIZON).counts["cases"].loaded == 1


def test_rewrite_writes_what_is_unchanged_again(house: Warehouse) -> None:
    house.load(cases.part([case(1)]))
    before = house.one("SELECT _sdc_sequence FROM cases")
    receipt = house.load(cases.part([case(1)], rewrite=True))
    assert receipt.counts["cases"] == Counts(extracted=1, loaded=1)
    assert receipt.tables == {"cases": TableCount(written=1), "cases__labels": TableCount(written=2, deleted=2)}
    assert house.one("SELECT _sdc_sequence FROM cases") > before
    assert house.ids() == [1]


def test_sub_rows_shrink_and_vanish_with_their_array(house: Warehouse) -> None:
    house.load(cases.part([case(1, labels=("a", "b", "c")), case(2)]))
    house.load(cases.part([case(1, day=2, labels=("b",)), case(2, day=2, labels=())]))
    assert house.sql("SELECT _sdc_source_key_id, _sdc_level_0_id, value FROM cases__labels") == [(1, 0, "b")]


def test_sub_rows_of_a_subtable_that_the_batch_does_not_have_are_deleted_too(house: Warehouse) -> None:
    house.load(cases.part([case(1), case(2)]))
    bare = Shape(arrays={})
    receipt = house.load(bare.part([{**case(1, day=2), "labels": None}]))
    assert receipt.tables == {"cases": TableCount(written=1), "cases__labels": TableCount(deleted=2)}
    assert house.sql("SELECT DISTINCT _sdc_source_key_id FROM cases__labels") == [(2,)]


def test_composite_keys(house: Warehouse) -> None:
    columns = {"case_id": "integer", "reply_id": "string", "body": "string"}
    replies = Shape(
        stream="replies", columns=columns, key=("case_id", "reply_id"), version=None, arrays={"to": {"value": "string"}}
    )
    rows = [{"case_id": c, "reply_id": r, "body": f"{c}{r}", "to": ["x"]} for c in (1, 2) for r in ("a", "b")]
    house.load(replies.part(rows))
    receipt = house.load(replies.part([{**rows[1], "body": "new"}, rows[2]]))
    assert receipt.counts["replies"] == Counts(extracted=2, loaded=1, unchanged=1)
    assert house.sql("SELECT case_id, reply_id, body FROM replies ORDER BY ALL") == [
        (1, "a", "1a"),
        (1, "b", "new"),
        (2, "a", "2a"),
        (2, "b", "2b"),
    ]
    assert house.one("SELECT count(*) FROM replies__to WHERE _sdc_source_key_case_id = 1") == 2


def test_rows_without_a_primary_key_are_appended(house: Warehouse) -> None:
    log = Shape(stream="log", columns={"line": "string"}, key=(), version=None, arrays={"tags": {"value": "string"}})
    first = house.load(log.part([{"line": "x", "tags": ["t"]}, {"line": "x", "tags": []}]))
    house.load(log.part([{"line": "y", "tags": ["u"]}]))
    assert first.counts["log"] == Counts(extracted=2, loaded=2)
    assert house.sql("SELECT line FROM log ORDER BY _sdc_sequence") == [("x",), ("x",), ("y",)]
    join = "log__tags t JOIN log l ON l.__sdc_primary_key = t._sdc_source_key___sdc_primary_key"
    assert house.sql(f"SELECT l.line, t.value FROM {join} ORDER BY 1") == [("x", "t"), ("y", "u")]


def test_receipts_say_how_many_rows_there_are(house: Warehouse) -> None:
    house.load(cases.part([case(n, labels=("a",) * (n % 3)) for n in range(50)]))
    house.load(cases.part([case(n, day=2, labels=("b",) * (n % 2)) for n in range(25, 75)]))
    house.load(cases.part([case(n, day=2, labels=("b",) * (n % 2)) for n in range(60, 80)]))
    subs = sum((r.tables.get("cases__labels", TableCount()) for r in house.receipts), TableCount())
    assert subs.written - subs.deleted == house.one("SELECT count(*) FROM cases__labels")
    assert house.one("SELECT count(*) FROM cases") == 80
    assert [r.counts["cases"].balanced for r in house.receipts] == [True] * 3
    assert [r.metered for r in house.receipts] == [sum(t.written for t in r.tables.values()) for r in house.receipts]
    assert list(house.target.commits()) == house.receipts


def test_sequences_rise_for_ever_and_are_never_given_twice(house: Warehouse) -> None:
    for round_ in range(4):
        house.load(cases.part([case(n, day=1 + round_) for n in range(5)]))
        house.claim()
    sequences = [receipt.sequence for receipt in house.receipts]
    assert sequences == sorted(set(sequences))
    assert [receipt.epoch for receipt in house.receipts] == [1, 2, 3, 4]
    lowest, highest = house.sql("SELECT min(_sdc_sequence), max(_sdc_sequence) FROM cases")[0]
    assert sequences[-2] < lowest <= highest == sequences[-1]


def test_a_batch_of_counts_or_of_a_bookmark_only_is_a_commit(house: Warehouse) -> None:
    counted = cases.part([], counts=Counts(extracted=3, unchanged=2, filtered=1))
    receipt = house.load(counted, bookmark={"version": 1, "value": 1})
    assert receipt.counts["cases"] == Counts(extracted=3, unchanged=2, filtered=1)
    house.load(stream="cases", bookmark={"version": 1, "value": 2})
    claim = house.claim()
    assert claim.bookmarks == {"cases": {"version": 1, "value": 2}}
    assert claim.first_committed_at is None
    assert house.ids() == []
    house.load(cases.part([case(1)]))
    assert house.claim().first_committed_at == NOON
    assert house.one("SELECT count(*) FROM _sdc_commits") == 3


def test_the_first_metered_commit_fixes_the_free_window(tmp_path: Path) -> None:
    with warehouse(tmp_path / "w.duckdb", now=NOON) as early:
        early.load(cases.part([case(1)]))
    with warehouse(tmp_path / "w.duckdb", now=NOON.replace(day=24)) as late:
        late.load(cases.part([case(2)]))
        assert late.claim().first_committed_at == NOON


def test_f3_a_run_that_was_overtaken_writes_nothing(house: Warehouse) -> None:
    old = house.claim().epoch
    house.load(cases.part([case(1)]))
    house.claim()
    before = house.content()
    with pytest.raises(StaleWriterError, match="later run"):
        house.load(cases.part([case(2)]), epoch=old, rejects=(reject(),))
    assert house.content() == before


def test_a_batch_whose_counts_do_not_balance_is_not_written(house: Warehouse) -> None:
    house.load(cases.part([case(1)]))
    before = house.content()
    with pytest.raises(ConnectorError) as caught:
        house.load(cases.part([case(2), case(3)], counts=Counts(extracted=3)))
    assert (caught.value.code, caught.value.exit_code) == ("unbalanced", 6)
    assert house.content() == before


def test_a_batch_that_fails_half_way_leaves_nothing(house: Warehouse) -> None:
    house.load(cases.part([case(1)]))
    before = house.content()
    broken = Shape(
        columns={**CASES, "added": "string"}, arrays={"labels": {"value": "string"}, "sizes": {"value": "integer"}}
    )
    with pytest.raises(DestinationError):
        house.load(broken.part([case(2, added="x", sizes=["not a number"])]), rejects=(reject(),))
    assert house.content() == before
    assert house.load(cases.part([case(2)])).counts["cases"].loaded == 1


def test_rejects_are_kept_once_and_counted(house: Warehouse) -> None:
    same, other, keyless = reject(1), reject(2), reject(None, record=[1])
    counts = Counts(extracted=4, rejected=4)
    house.load(cases.part([], counts=counts), rejects=(same, other, keyless, same))
    house.load(cases.part([], counts=replace(counts, extracted=2, rejected=2)), rejects=(same, keyless))
    seen = house.sql(
        "SELECT primary_key, seen, run_id, stream, table_name, error_code, reason, path FROM _sdc_rejected ORDER BY 1"
    )
    assert seen == [
        ("[1]", 3, "run-1", "cases", "cases", "schema", "it is not good", "/id"),
        ("[2]", 1, "run-1", "cases", "cases", "schema", "it is not good", "/id"),
        (None, 2, "run-1", "cases", "cases", "schema", "it is not good", "/id"),
    ]
    assert Counter(house.target.rejects()) == Counter([same, other, keyless])
    assert len(house.target.rejects(limit=2)) == 2
    assert house.target.rejects("users") == ()


def test_replayed_rejects_are_taken_out(house: Warehouse) -> None:
    kept = [reject(n) for n in range(3)] + [reject(None, record=["x"])]
    house.load(cases.part([], counts=Counts(extracted=4, rejected=4)), rejects=tuple(kept))
    receipt = house.load(cases.part([], counts=Counts()), settled=(kept[0], kept[3]))
    assert Counter(house.target.rejects()) == Counter(kept[1:3])
    assert receipt.settled == (kept[0].identity, kept[3].identity)


def test_older_shapes_are_counted_until_there_are_none(house: Warehouse) -> None:
    house.load(cases.part([case(n) for n in range(5)]))
    second = Shape(shape_version=2)
    house.run_id = "run-2"
    assert house.load(second.part([case(0), case(1)])).older == {"cases": 3}
    assert house.load(second.part([case(2)])).older == {"cases": 2}
    house.run_id = "run-3"
    assert house.load(second.part([case(2), case(7)])).older == {"cases": 2}
    assert house.load(second.part([case(3), case(4)])).older == {"cases": 0}
    assert house.load(second.part([case(4)])).older == {}


def test_commits_hold_receipts_that_any_reader_understands(house: Warehouse) -> None:
    house.load(cases.part([case(1)]), bookmark={"version": 1, "value": "2026-01-01T00:00:00Z"})
    row = house.sql(
        "SELECT connector, stream, epoch, kind, run_id, bookmark, rows, strftime(committed_at, '%X') FROM _sdc_commits"
    )[0]
    assert row[:5] == ("desk", "cases", 1, "rows", "run-1")
    assert json.loads(row[5]) == {"version": 1, "value": "2026-01-01T00:00:00Z"}
    assert json.loads(row[6])["tables"] == {"cases": [1, 0], "cases__labels": [2, 0]}
    assert row[7] == "12:00:00"
