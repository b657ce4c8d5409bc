"""Rows: each record of a batch is new, changed, unchanged or superseded, and its sub-rows follow it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from connector_core.batch import Counts, TableCount
from connector_core.errors import ConnectorError
from connector_core.instants import from_datetime
from connector_core.tables import Kind
from connector_core.testing.reading import canonical
from connector_core.testing.shapes import CASES, READ_AT, Shape, reject
from connector_core.testing.warehouse import Warehouse, fate

HORIZON = "2026-11-23T12:00:00Z"
cases = Shape()
log = Shape(stream="log", columns={"line": "string"}, key=(), version=None, arrays={"tags": {"value": "string"}})


def case(number: int, *, day: int = 1, labels: tuple[Any, ...] = ("a", "b"), **more: Any) -> dict[str, Any]:
    """A record of the stream `cases`."""
    return {
        "id": number,
        "subject": f"case {number}",
        "updated_at": f"2026-01-{day:02}T00:00:00Z",
        "labels": list(labels),
        **more,
    }


class RowsContract:
    """What batches of kind rows do."""

    def test_new_rows_arrive_with_their_system_columns(self, house: Warehouse) -> None:
        part = cases.part([case(1), case(2, labels=())])
        receipt = house.load(part, bookmark={"version": 1, "value": "x"})
        assert fate(receipt, loaded=2)
        assert house.counts(receipt) == {"cases": TableCount(written=2), "cases__labels": TableCount(written=2)}
        assert house.changes(receipt) == [("cases", "created", ""), ("cases__labels", "created", "")]
        first, committed_at = receipt.sequence - 1, from_datetime(receipt.committed_at)
        assert first > 10**18
        rows = house.rows("cases")
        assert [(r["id"], r["subject"], r["_sdc_sequence"]) for r in rows] == [
            (1, "case 1", first),
            (2, "case 2", first + 1),
        ]
        assert [r["_sdc_record_hash"] for r in rows] == list(part.hashes)
        subs = house.rows("cases__labels")
        assert [(s["_sdc_source_key_id"], s["_sdc_level_0_id"], s["value"], s["_sdc_sequence"]) for s in subs] == [
            (1, 0, "a", first),
            (1, 1, "b", first),
        ]
        for row in (*rows, *subs):
            assert row["_sdc_table_version"] == 0
            assert canonical("instant", row["_sdc_received_at"]) == canonical("instant", READ_AT)
            assert canonical("instant", row["_sdc_batched_at"]) == canonical("instant", committed_at)
        assert {canonical("instant", row["_sdc_extracted_at"]) for row in rows} == {canonical("instant", READ_AT)}

    def test_the_same_batch_twice_changes_nothing(self, house: Warehouse) -> None:
        house.load(cases.part([case(1), case(2)]))
        before = house.users_content()
        receipt = house.load(cases.part([case(1), case(2)]))
        assert fate(receipt, unchanged=2)
        assert house.counts(receipt) == {}
        assert house.users_content() == before
        assert len(house.rows("_sdc_commits")) == 2

    def test_new_changed_and_unchanged_in_one_batch(self, house: Warehouse) -> None:
        house.load(cases.part([case(1), case(2), case(3)]))
        receipt = house.load(cases.part([case(4), case(2), case(3, day=2, labels=("c",))]))
        assert fate(receipt, loaded=2, unchanged=1)
        assert house.counts(receipt) == {
            "cases": TableCount(written=2),
            "cases__labels": TableCount(written=3, deleted=2),
        }
        assert house.ids() == [1, 2, 3, 4]
        subs = house.values("cases__labels", "_sdc_source_key_id", "value")
        assert subs == [(1, "a"), (1, "b"), (2, "a"), (2, "b"), (3, "c"), (4, "a"), (4, "b")]
        roots = set(house.values("cases", "id", "_sdc_sequence"))
        assert set(house.values("cases__labels", "_sdc_source_key_id", "_sdc_sequence")) == roots

    def test_a37_an_older_version_that_comes_later_does_not_win(self, house: Warehouse) -> None:
        house.load(cases.part([case(1, day=5, labels=("new",))]), horizon=HORIZON)
        receipt = house.load(cases.part([case(1, day=4, labels=("old",))]), horizon=HORIZON)
        assert fate(receipt, superseded=1)
        assert house.values("cases__labels", "value") == [("new",)]
        same_day = house.load(cases.part([case(1, day=5, labels=("same day",))]), horizon=HORIZON)
        assert fate(same_day, loaded=1)

    def test_b31_a_version_in_the_future_does_not_shut_out_what_comes_after(self, house: Warehouse) -> None:
        house.load(cases.part([case(1, updated_at="2099-01-01T00:00:00Z")]), horizon=HORIZON)
        assert fate(house.load(cases.part([case(1, day=4)]), horizon=HORIZON), loaded=1)
        assert house.column("instant", "cases", "updated_at")[0].year == 2026
        far = [case(2, updated_at=f"{year}-01-01T00:00:00Z", subject=f"{year}") for year in (2099, 2098)]
        house.load(cases.part(far), horizon=HORIZON)  # both count as the horizon, so the one read last wins
        assert (2, "2098") in house.values("cases", "id", "subject")

    @pytest.mark.parametrize(
        ("days", "winner"),
        [((1, 2, 3), 2), ((3, 2, 1), 0), ((2, 3, 1), 1), ((2, 2, 2), 2)],
        ids=["newest-last", "newest-first", "newest-between", "all-the-same-instant"],
    )
    def test_b23_a_key_several_times_in_a_batch(self, house: Warehouse, days: tuple[int, ...], winner: int) -> None:
        for key, there in ((1, False), (2, True)):
            if there:
                house.load(cases.part([case(key, day=1, labels=("x",))]))
            records = [case(key, day=day, labels=(f"l{i}",), subject=f"s{i}") for i, day in enumerate(days)]
            around = [case(10 * key + 1), *records, case(10 * key + 2)]
            assert fate(house.load(cases.part(around), horizon=HORIZON), loaded=3, superseded=2)
            assert (key, f"s{winner}") in house.values("cases", "id", "subject")
            subs = house.values("cases__labels", "_sdc_source_key_id", "value")
            assert [label for owner, label in subs if owner == key] == [f"l{winner}"]

    def test_b23_identical_records_of_one_key_are_stored_once(self, house: Warehouse) -> None:
        assert fate(house.load(cases.part([case(1), case(1)])), loaded=1, superseded=1)
        assert fate(house.load(cases.part([case(1), case(1)])), unchanged=1, superseded=1)
        assert house.values("cases__labels", "_sdc_level_0_id", "value") == [(0, "a"), (1, "b")]

    def test_fractions_of_a_second_are_compared_as_instants(self, house: Warehouse) -> None:
        def at(fraction: str, subject: str) -> dict[str, Any]:
            return case(1, updated_at=f"2026-01-01T00:00:05{fraction}Z", subject=subject)

        house.load(cases.part([at(".25", "later"), at("", "whole")]), horizon=HORIZON)
        assert house.values("cases", "subject") == [("later",)]
        assert fate(house.load(cases.part([at(".249999", "just before")]), horizon=HORIZON), superseded=1)
        assert fate(house.load(cases.part([at(".250001", "just after")]), horizon=HORIZON), loaded=1)

    def test_integer_versions(self, house: Warehouse) -> None:
        shape = Shape(columns={"id": "integer", "rev": "integer"}, version="rev", arrays={})
        house.load(shape.part([{"id": 1, "rev": 10}, {"id": 1, "rev": 9}]), horizon=HORIZON)
        assert fate(house.load(shape.part([{"id": 1, "rev": 2}]), horizon=HORIZON), superseded=1)
        assert house.values("cases", "rev") == [(10,)]

    def test_b30_a_record_without_a_version_is_believed_to_be_new(self, house: Warehouse) -> None:
        house.load(cases.part([case(1, day=5)]), horizon=HORIZON)
        assert fate(house.load(cases.part([case(1, updated_at=None)]), horizon=HORIZON), loaded=1)
        assert fate(house.load(cases.part([case(1, day=1)]), horizon=HORIZON), loaded=1)

    def test_rewrite_writes_what_is_unchanged_again(self, house: Warehouse) -> None:
        first = house.load(cases.part([case(1)]))
        receipt = house.load(cases.part([case(1)], rewrite=True))
        assert fate(receipt, loaded=1)
        assert house.counts(receipt) == {
            "cases": TableCount(written=1),
            "cases__labels": TableCount(written=2, deleted=2),
        }
        assert house.values("cases", "id", "_sdc_sequence") == [(1, receipt.sequence)]
        assert receipt.sequence > first.sequence

    def test_sub_rows_shrink_and_vanish_with_their_array(self, house: Warehouse) -> None:
        house.load(cases.part([case(1, labels=("a", "b", "c")), case(2)]))
        house.load(cases.part([case(1, day=2, labels=("b",)), case(2, day=2, labels=())]))
        columns = ("_sdc_source_key_id", "_sdc_level_0_id", "value")
        assert house.values("cases__labels", *columns) == [(1, 0, "b")]

    def test_sub_rows_of_a_subtable_that_the_batch_does_not_have_are_deleted_too(self, house: Warehouse) -> None:
        house.load(cases.part([case(1), case(2)]))
        receipt = house.load(Shape(arrays={}).part([{**case(1, day=2), "labels": None}]))
        assert house.counts(receipt) == {"cases": TableCount(written=1), "cases__labels": TableCount(deleted=2)}
        assert set(house.values("cases__labels", "_sdc_source_key_id")) == {(2,)}

    def test_composite_keys(self, house: Warehouse) -> None:
        columns: dict[str, Kind] = {"case_id": "integer", "reply_id": "string", "body": "string"}
        replies = Shape(
            stream="replies",
            columns=columns,
            key=("case_id", "reply_id"),
            version=None,
            arrays={"to": {"value": "string"}},
        )
        rows = [{"case_id": c, "reply_id": r, "body": f"{c}{r}", "to": ["x"]} for c in (1, 2) for r in ("a", "b")]
        house.load(replies.part(rows))
        receipt = house.load(replies.part([{**rows[1], "body": "new", "to": ["y"]}, rows[2]]))
        assert fate(receipt, "replies", loaded=1, unchanged=1)
        assert house.values("replies", "case_id", "reply_id", "body") == [
            (1, "a", "1a"),
            (1, "b", "new"),
            (2, "a", "2a"),
            (2, "b", "2b"),
        ]
        owners = ("_sdc_source_key_case_id", "_sdc_source_key_reply_id", "value")
        assert house.values("replies__to", *owners) == [(1, "a", "x"), (1, "b", "y"), (2, "a", "x"), (2, "b", "x")]

    def test_rows_without_a_primary_key_are_appended(self, house: Warehouse) -> None:
        assert fate(house.load(log.part([{"line": "x", "tags": ["t"]}, {"line": "x", "tags": []}])), "log", loaded=2)
        house.load(log.part([{"line": "y", "tags": ["u"]}]))
        assert house.values("log", "line") == [("x",), ("x",), ("y",)]
        lines = dict(house.values("log", "__sdc_primary_key", "line"))
        assert len(lines) == 3
        subs = house.values("log__tags", "_sdc_source_key___sdc_primary_key", "value")
        assert sorted((lines[owner], tag) for owner, tag in subs) == [("x", "t"), ("y", "u")]

    def test_receipts_say_how_many_rows_there_are(self, house: Warehouse) -> None:
        house.load(cases.part([case(n, labels=("a",) * (n % 3)) for n in range(50)]))
        for numbers in (range(25, 75), range(60, 80)):
            house.load(cases.part([case(n, day=2, labels=("b",) * (n % 2)) for n in numbers]))
        written = [house.counts(r) for r in house.receipts]
        subs = sum((w.get("cases__labels", TableCount()) for w in written), TableCount())
        assert subs.written - subs.deleted == len(house.rows("cases__labels"))
        assert len(house.rows("cases")) == 80
        assert [w.get("cases", TableCount()).written for w in written] == [50, 50, 5]
        assert [r.counts["cases"].balanced for r in house.receipts] == [True] * 3
        assert [r.metered for r in house.receipts] == [sum(t.written for t in w.values()) for w in written]
        assert list(house.target.commits()) == house.receipts

    def test_sequences_rise_for_ever_and_are_never_given_twice(self, house: Warehouse) -> None:
        for round_ in range(3):
            house.load(cases.part([case(n, day=1 + round_) for n in range(5)]))
            house.claim()
        sequences = [receipt.sequence for receipt in house.receipts]
        assert sequences == sorted(set(sequences))
        assert [receipt.epoch for receipt in house.receipts] == [1, 2, 3]
        given = [s for (s,) in house.values("cases", "_sdc_sequence")]
        assert given == list(range(sequences[-1] - 4, sequences[-1] + 1))
        assert sequences[-2] < given[0]

    def test_a_batch_of_counts_or_of_a_bookmark_only_is_a_commit(self, house: Warehouse) -> None:
        counted = cases.part([], counts=Counts(extracted=3, unchanged=2, filtered=1))
        receipt = house.load(counted, bookmark={"version": 1, "value": 1})
        assert fate(receipt, unchanged=2, filtered=1)
        house.load(stream="cases", bookmark={"version": 1, "value": "2"})
        claim = house.claim()
        assert claim.bookmarks == {"cases": {"version": 1, "value": "2"}}
        assert claim.first_committed_at is None
        assert house.rows("cases") == []
        first = house.load(cases.part([case(1)]))
        house.load(cases.part([case(2)]))
        assert house.claim().first_committed_at == first.committed_at
        assert len(house.rows("_sdc_commits")) == 4

    def test_a_batch_whose_counts_do_not_balance_is_not_written(self, house: Warehouse) -> None:
        house.load(cases.part([case(1)]))
        before = house.content()
        with pytest.raises(ConnectorError) as caught:
            house.load(cases.part([case(2), case(3)], counts=Counts(extracted=3)))
        assert (caught.value.code, caught.value.exit_code) == ("unbalanced", 6)
        assert house.content() == before

    def test_rejects_are_kept_once_and_counted(self, house: Warehouse) -> None:
        same, other, keyless = reject(1), reject(2), reject(None, record=[1])
        house.load(cases.part([], counts=Counts(extracted=4, rejected=4)), rejects=(same, other, keyless, same))
        house.load(cases.part([], counts=Counts(extracted=2, rejected=2)), rejects=(same, keyless))
        rest = ("run-1", "cases", "cases", "schema", "it is not good", "/id")
        columns = ("run_id", "stream", "table_name", "error_code", "reason", "path")
        assert house.values("_sdc_rejected", "primary_key", "seen", *columns) == [
            ("[1]", 3, *rest),
            ("[2]", 1, *rest),
            (None, 2, *rest),
        ]
        assert Counter(house.target.rejects()) == Counter(replace(kept, copies=1) for kept in (same, other, keyless))
        assert len(house.target.rejects(limit=2)) == 2
        assert list(house.target.rejects("users")) == []

    def test_replayed_rejects_are_taken_out_with_the_rows_that_replace_them(self, house: Warehouse) -> None:
        kept = [reject(n) for n in range(3)] + [reject(None, record=["x"])]
        house.load(cases.part([], counts=Counts(extracted=4, rejected=4)), rejects=tuple(kept))
        receipt = house.load(cases.part([case(0)]), settled=(kept[0], kept[3]))
        assert house.ids() == [0]
        assert Counter(house.target.rejects()) == Counter(replace(left, copies=1) for left in kept[1:3])
        assert receipt.settled == (kept[0].identity, kept[3].identity)
        assert list(house.target.commits()) == house.receipts

    def test_older_shapes_are_counted_until_there_are_none(self, house: Warehouse) -> None:
        house.load(cases.part([case(n) for n in range(5)]))
        second = Shape(columns=CASES, shape_version=2)
        assert house.load(second.part([case(0), case(1)])).older == {"cases": 3}
        assert house.load(second.part([case(2), case(7)])).older == {"cases": 2}
        house.claim()
        assert house.load(second.part([case(3), case(4)])).older == {"cases": 0}
        assert house.load(second.part([case(4)])).older == {}
