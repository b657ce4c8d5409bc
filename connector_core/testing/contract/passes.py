"""Full-table passes: staged slice by slice, visible at once or not at all."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from connector_core.batch import Activation, BatchKind, Counts, TableCount
from connector_core.errors import ActivationError, ConnectorError, StaleWriterError
from connector_core.testing.contract.rows import log
from connector_core.testing.shapes import Shape, reject, split
from connector_core.testing.warehouse import Warehouse, fate

users = Shape(
    stream="users", columns={"id": "integer", "name": "string"}, version=None, arrays={"tags": {"value": "string"}}
)
TAGS = ("_sdc_source_key_id", "value")


def user(number: int, name: str = "", tags: tuple[str, ...] = ("t",)) -> dict[str, Any]:
    """A record of the stream `users`."""
    return {"id": number, "name": name or f"user {number}", "tags": list(tags)}


def line(text: str, *tags: str) -> dict[str, Any]:
    """A record of the stream `log`, which has no key."""
    return {"line": text, "tags": list(tags)}


class PassesContract:
    """What batches of kind stage, activate and discard do."""

    def test_staged_rows_become_visible_at_once(self, house: Warehouse) -> None:
        house.stage(users, [user(1), user(2)], [user(3, tags=())])
        assert {r.counts["users"].staged for r in house.receipts} == {2, 1}
        assert [dict(r.tables) for r in house.receipts] == [{}, {}]
        assert house.rows("users") == house.rows("users__tags") == []
        receipt = house.activate(users, totals={"users": 3})
        assert fate(receipt, "users", loaded=3)
        assert house.counts(receipt) == {"users": TableCount(written=3), "users__tags": TableCount(written=2)}
        assert house.ids("users") == [1, 2, 3]
        assert house.staged() == set()
        roots = dict(house.values("users", "id", "_sdc_sequence"))
        subs = house.values("users__tags", "_sdc_source_key_id", "_sdc_sequence")
        assert subs == [(1, roots[1]), (2, roots[2])]
        assert {(r["_sdc_table_version"], r["_sdc_batched_at"] is None) for r in house.rows("users")} == {(0, False)}

    def test_new_changed_unchanged_and_vanished(self, house: Warehouse) -> None:
        house.full_pass(users, [user(n) for n in range(1, 6)])
        before = dict(house.values("users", "id", "_sdc_sequence"))
        second = [user(1), user(2, "new name", ("x", "y")), user(3), user(4), user(6)]
        receipt = house.full_pass(users, second, totals={"users": 5})
        assert fate(receipt, "users", loaded=2, unchanged=3, deleted=1)
        assert house.counts(receipt) == {
            "users": TableCount(written=2, deleted=1),
            "users__tags": TableCount(written=3, deleted=2),
        }
        after = dict(house.values("users", "id", "_sdc_sequence"))
        assert sorted(after) == [1, 2, 3, 4, 6]
        assert {n for n in before if before[n] == after.get(n)} == {1, 3, 4}
        tags = [(1, "t"), (2, "x"), (2, "y"), (3, "t"), (4, "t"), (6, "t")]
        assert house.values("users__tags", *TAGS) == tags

    def test_the_same_pass_again_writes_nothing(self, house: Warehouse) -> None:
        house.full_pass(users, [user(1), user(2)])
        before = house.users_content()
        receipt = house.full_pass(users, [user(1), user(2)])
        assert fate(receipt, "users", unchanged=2)
        assert house.counts(receipt) == {}
        assert house.users_content() == before

    def test_rewrite_refreshes_every_row(self, house: Warehouse) -> None:
        house.full_pass(users, [user(1), user(2)])
        house.stage(users, [user(1), user(2)])
        last = users.part([], counts=Counts(), rewrite=True)
        receipt = house.load(last, kind="activate", activation=Activation())
        assert fate(receipt, "users", loaded=2)
        assert house.counts(receipt)["users__tags"] == TableCount(written=2, deleted=2)

    def test_a_key_that_was_staged_twice_is_stored_once(self, house: Warehouse) -> None:
        house.stage(users, [user(1, "first"), user(2)], [user(1, "last", ("z",))])
        receipt = house.activate(users, totals={"users": 2})
        assert fate(receipt, "users", loaded=2, superseded=1)
        assert house.values("users", "id", "name") == [(1, "last"), (2, "user 2")]
        assert house.values("users__tags", *TAGS) == [(1, "z"), (2, "t")]

    @pytest.mark.parametrize("total", [2, 4])
    def test_a31_an_incomplete_pass_changes_nothing_and_names_both_numbers(self, house: Warehouse, total: int) -> None:
        house.full_pass(users, [user(1), user(2), user(3)])
        house.stage(users, [user(1, "new"), user(2), user(9)])
        before = house.content()
        with pytest.raises(ActivationError, match=rf"3 records.*{total}") as caught:
            house.activate(users, totals={"users": total})
        assert (caught.value.code, caught.value.exit_code) == ("incomplete", 4)
        assert house.content() == before

    def test_keys_of_rejected_records_count_and_stay(self, house: Warehouse) -> None:
        house.full_pass(users, [user(n) for n in range(1, 5)])
        house.stage(users, [user(1), user(2)])
        receipt = house.activate(
            users,
            totals={"users": 4},
            kept_keys={"users": ["[3]", "[3]", '["not a number"]']},
            counts={"users": Counts(extracted=5, rejected=3)},
        )
        assert fate(receipt, "users", rejected=3, unchanged=2, deleted=1)
        assert house.ids("users") == [1, 2, 3]
        assert house.values("users__tags", *TAGS) == [(1, "t"), (2, "t"), (3, "t")]

    def test_a_reject_without_a_key_keeps_the_pass_from_deleting(self, house: Warehouse) -> None:
        house.full_pass(users, [user(1), user(2), user(3)])
        house.stage(users, [user(1, "new")])
        counts = {"users": Counts(extracted=2, rejected=1)}
        receipt = house.activate(users, totals={"users": 2}, counts=counts, may_delete=False)
        assert fate(receipt, "users", rejected=1, loaded=1)
        assert house.values("users", "id", "name") == [(1, "new"), (2, "user 2"), (3, "user 3")]

    def test_the_guard_refuses_to_delete_too_much(self, house: Warehouse) -> None:
        house.full_pass(users, [user(n) for n in range(20)])
        house.stage(users, [user(n) for n in range(9)])
        before = house.content()
        with pytest.raises(ActivationError, match="11 of 20") as caught:
            house.activate(users)
        assert caught.value.code == "guard"
        assert "--allow-deletes users" in caught.value.hint
        assert house.content() == before
        allowed = house.activate(users, allow_deletes=frozenset({"users"}))
        assert fate(allowed, "users", unchanged=9, deleted=11)

    def test_the_guard_lets_half_pass_and_small_tables_shrink(self, house: Warehouse) -> None:
        house.full_pass(users, [user(n) for n in range(20)])
        assert house.full_pass(users, [user(n) for n in range(10)]).counts["users"].deleted == 10
        assert house.full_pass(users, [user(0)]).counts["users"].deleted == 9

    def test_b36_a_pass_without_records_does_not_wipe_a_table(self, house: Warehouse) -> None:
        house.full_pass(users, [user(1), user(2)])
        with pytest.raises(ActivationError) as caught:
            house.activate(users, totals={"users": 0})
        assert caught.value.code == "guard"
        assert house.ids("users") == [1, 2]
        allowed = house.activate(users, totals={"users": 0}, allow_deletes=frozenset({"users"}))
        assert fate(allowed, "users", deleted=2)
        assert house.rows("users") == house.rows("users__tags") == []
        assert fate(house.activate(users, totals={"users": 0}), "users")

    def test_what_an_interrupted_pass_left_is_swept_away_and_never_activated(self, house: Warehouse) -> None:
        house.stage(users, [user(1)])
        assert len(house.staged()) == 2
        house.claim()
        assert house.staged() == set()
        house.stage(users, [user(2)])
        assert fate(house.activate(users), "users", loaded=1)
        assert house.ids("users") == [2]

    def test_discard_drops_a_pass_and_only_of_that_stream(self, house: Warehouse) -> None:
        house.stage(users, [user(2)])
        house.stage(log, [line("x")])
        assert len(house.staged()) == 4
        assert house.load(kind="discard", stream="users").kind == "discard"
        assert len(house.staged()) == 2
        assert fate(house.activate(log), "log", loaded=1)
        assert house.rows("users") == []

    def test_f3_a_run_that_was_overtaken_neither_stages_nor_activates(self, house: Warehouse) -> None:
        house.full_pass(users, [user(1)])
        house.stage(users, [user(2)])
        old = house.claimed
        assert old is not None
        house.claim()
        before = house.content()
        kinds: tuple[tuple[BatchKind, Activation | None], ...] = (
            ("stage", None),
            ("activate", Activation(allow_deletes=frozenset({"users"}))),
            ("discard", None),
        )
        for kind, rules in kinds:
            with pytest.raises(StaleWriterError):
                house.load(users.slice([user(3)]), kind=kind, activation=rules, epoch=old.epoch)
        assert house.content() == before

    def test_rows_without_a_key_are_replaced_and_the_table_version_rises(self, house: Warehouse) -> None:
        lines = [line("a", "x"), line("a")]
        assert fate(house.full_pass(log, lines, totals={"log": 2}), "log", loaded=2)
        receipt = house.full_pass(log, [*lines, line("b", "y")])
        assert house.counts(receipt) == {
            "log": TableCount(written=3, deleted=2),
            "log__tags": TableCount(written=2, deleted=1),
        }
        assert house.values("log", "line") == [("a",), ("a",), ("b",)]
        assert set(house.values("log", "_sdc_table_version")) == {(2,)}
        assert set(house.values("log__tags", "_sdc_table_version")) == {(2,)}
        assert {t.table_version for t in house.claim().tables} == {2}
        house.stage(log, lines)
        with pytest.raises(ActivationError, match="says it has 3"):
            house.activate(log, totals={"log": 3})
        assert len(house.rows("log")) == 3

    def test_rows_without_a_key_are_guarded_too(self, house: Warehouse) -> None:
        house.full_pass(log, [line(str(n)) for n in range(20)])
        for left in (0, 9):
            house.load(kind="discard", stream="log")
            with pytest.raises(ActivationError) as caught:
                house.full_pass(log, [line(str(n)) for n in range(left)])
            assert caught.value.code == "guard"
        assert len(house.rows("log")) == 20

    def test_append_adds_all_staged_rows_with_the_bookmark(self, house: Warehouse) -> None:
        house.full_pass(log, [line("a", "x")], mode="append")
        house.stage(log, [line("a")], [line("b", "y")])
        receipt = house.activate(log, mode="append", bookmark={"version": 1})
        assert fate(receipt, "log", loaded=2)
        assert house.values("log", "line", "_sdc_table_version") == [("a", 0), ("a", 0), ("b", 0)]
        assert house.claim().bookmarks == {"log": {"version": 1}}

    def test_a_family_becomes_visible_together_or_not_at_all(self, house: Warehouse) -> None:
        groups = Shape(
            stream="groups",
            columns={"user_id": "integer", "id": "integer"},
            key=("user_id", "id"),
            version=None,
            arrays={},
            parent="users",
        )
        none = (users.slice([]), groups.slice([]))
        both = (users.slice([user(1), user(2)]), groups.slice([{"user_id": 1, "id": 7}]))
        house.load(*both, kind="stage")
        house.load(*none, kind="activate", activation=Activation(totals={"users": 2}))
        assert house.values("groups", "user_id", "id") == [(1, 7)]
        house.load(users.slice([user(1, "new"), user(2)]), groups.slice([]), kind="stage")
        with pytest.raises(ActivationError) as caught:  # the guard of the child stops its parent as well
            house.load(*none, kind="activate", activation=Activation())
        assert caught.value.place.stream == "groups"
        assert house.values("users", "name") == [("user 1",), ("user 2",)]

    def test_columns_may_come_and_split_within_a_pass(self, house: Warehouse) -> None:
        first = Shape(stream="users", columns={"id": "integer", "n": "integer"}, version=None, arrays={})
        old, new = split(house.traits, "n", "integer", "string")
        second = Shape(
            stream="users",
            columns={"id": "integer", "n": "integer", "n|s": "string", "more": "boolean"},
            names={("n", "integer"): old, ("n|s", "string"): new},
            version=None,
            arrays={},
        )
        house.full_pass(first, [{"id": 1, "n": 1}])
        house.stage(first, [{"id": 1, "n": 1}, {"id": 2, "n": 2}])
        house.stage(second, [{"id": 3, "n|s": "three", "more": True}])
        assert fate(house.activate(second), "users", loaded=2, unchanged=1)
        assert house.values("users", "id", old, new, "more") == [
            (1, 1, None, None),
            (2, 2, None, None),
            (3, None, "three", True),
        ]

    def test_rejects_of_a_pass_are_kept_as_they_come(self, house: Warehouse) -> None:
        house.load(users.slice([user(1)]), kind="stage", rejects=(reject(5, stream="users"),))
        assert len(house.target.rejects("users")) == 1

    def test_rejects_without_a_key_stand_for_the_records_of_the_last_pass(self, house: Warehouse) -> None:
        twin, gone = (replace(reject(None, record=text, stream="log"), copies=0) for text in ("twin", "gone"))
        pending = {"log": Counts(extracted=3, rejected=3)}

        def copies(**kept: int) -> bool:
            return {json.loads(one.record): one.copies for one in house.target.rejects("log")} == kept

        house.load(log.slice([]), kind="stage", rejects=(twin, twin, gone))
        assert copies(twin=0, gone=0)
        house.activate(log, counts=pending, copies={twin.identity: 2, gone.identity: 1})
        assert copies(twin=2, gone=1)
        house.load(log.slice([]), kind="stage", rejects=(twin, twin))
        assert copies(twin=2, gone=1)
        two = {"log": Counts(extracted=2, rejected=2)}
        house.activate(log, counts=two, copies={twin.identity: 2})
        assert copies(twin=2, gone=0)
        house.load(log.slice([]), kind="stage", rejects=(twin,))
        house.activate(log, counts={"log": Counts(extracted=1, rejected=1)}, copies={twin.identity: 1}, mode="append")
        assert copies(twin=3, gone=0)
        house.target.reset("log", connector=house.connector, epoch=house.claim().epoch)
        assert copies(twin=0, gone=0)

    def test_a_pass_whose_counts_do_not_balance_is_not_made_visible(self, house: Warehouse) -> None:
        house.stage(users, [user(1)])
        before = house.content()
        with pytest.raises(ConnectorError, match="do not balance"):
            house.activate(users, counts={"users": Counts(extracted=9)})
        assert house.content() == before
