"""Full-table passes: staged slice by slice, visible at once or not at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from connector_core.batch import Activation, Counts, Part, Receipt, TableCount
from connector_core.errors import ActivationError, StaleWriterError
from tests.support.loads import Shape, Warehouse, reject, warehouse

users = Shape(
    stream="users", columns={"id": "integer", "name": "string"}, version=None, arrays={"tags": {"value": "string"}}
)
log = Shape(stream="log", columns={"line": "string"}, key=(), version=None, arrays={"tags": {"value": "string"}})


def user(number: int, name: str = "", tags: tuple[str, ...] = ("t",)) -> dict[str, Any]:
    return {"id": number, "name": name or f"user {number}", "tags": list(tags)}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Warehouse]:
    with warehouse(tmp_path / "w.duckdb") as house:
        yield house


def staged(house: Warehouse) -> list[str]:
    return [name for name in house.content() if name.startswith("_sdc_stage_")]


def stage(house: Warehouse, *parts: Part) -> None:
    """Each part a slice of its own, as the extraction hands them over: the counts come with the activation."""
    for part in parts:
        receipt = house.load(part, kind="stage")
        assert receipt.counts[part.stream.name].staged == part.root.count
        assert receipt.tables == {}


def empty(shape: Shape) -> Part:
    return shape.part([], counts=Counts())


def slices(shape: Shape, *records: list[dict[str, Any]]) -> list[Part]:
    return [shape.part(some, counts=Counts()) for some in records]


def activate(house: Warehouse, shape: Shape = users, **rules: Any) -> Receipt:
    return house.load(empty(shape), kind="activate", activation=Activation(**rules))


def full_pass(house: Warehouse, records: list[dict[str, Any]], shape: Shape = users, **rules: Any) -> Receipt:
    stage(house, *slices(shape, records))
    return activate(house, shape, **rules)


def test_staged_rows_become_visible_at_once(house: Warehouse) -> None:
    stage(house, *slices(users, [user(1), user(2)], [user(3, tags=())]))
    assert house.ids("users") == []
    assert len(staged(house)) == 2
    receipt = activate(house, totals={"users": 3})
    assert receipt.counts == {"users": Counts(extracted=3, loaded=3)}
    assert receipt.tables == {"users": TableCount(written=3), "users__tags": TableCount(written=2)}
    assert house.ids("users") == [1, 2, 3]
    assert staged(house) == []
    rows = house.sql(
        "SELECT u.id, t.value FROM users u JOIN users__tags t "
        "ON t._sdc_source_key_id = u.id AND t._sdc_sequence = u._sdc_sequence ORDER BY 1"
    )
    assert rows == [(1, "t"), (2, "t")]
    assert (
        house.one(
            "SELECT count(*) FROM users WHERE _sdc_batched_at IS NOT NULL AND _sdc_extracted_at IS NOT NULL "
            "AND _sdc_table_version = 0"
        )
        == 3
    )


def test_new_changed_unchanged_and_vanished(house: Warehouse) -> None:
    full_pass(house, [user(n) for n in range(1, 6)])
    before = dict(house.sql("SELECT id, _sdc_sequence FROM users"))
    receipt = full_pass(
        house, [user(1), user(2, "new name", ("x", "y")), user(3), user(4), user(6)], totals={"users": 5}
    )
    assert receipt.counts["users"] == Counts(extracted=5, loaded=2, unchanged=3, deleted=1)
    assert receipt.tables == {
        "users": TableCount(written=2, deleted=1),
        "users__tags": TableCount(written=3, deleted=2),
    }
    after = dict(house.sql("SELECT id, _sdc_sequence FROM users"))
    assert sorted(after) == [1, 2, 3, 4, 6]
    assert {n for n in before if before[n] == after.get(n)} == {1, 3, 4}
    assert house.sql("SELECT _sdc_source_key_id, value FROM users__tags ORDER BY ALL") == [
        (1, "t"),
        (2, "x"),
        (2, "y"),
        (3, "t"),
        (4, "t"),
        (6, "t"),
    ]


def test_the_same_pass_again_writes_nothing(house: Warehouse) -> None:
    full_pass(house, [user(1), user(2)])
    before = house.content()
    receipt = full_pass(house, [user(1), user(2)])
    assert (receipt.counts["users"], receipt.tables) == (Counts(extracted=2, unchanged=2), {})
    after = house.content()
    assert all(after[name] == before[name] for name in ("users", "users__tags"))


def test_rewrite_refreshes_every_row(house: Warehouse) -> None:
    full_pass(house, [user(1), user(2)])
    stage(house, *slices(users, [user(1), user(2)]))
    receipt = house.load(users.part([], counts=Counts(), rewrite=True), kind="activate", activation=Activation())
    assert receipt.counts["users"] == Counts(extracted=2, loaded=2)
    assert receipt.tables["users__tags"] == TableCount(written=2, deleted=2)


def test_a_key_that_was_staged_twice_is_stored_once(house: Warehouse) -> None:
    stage(house, *slices(users, [user(1, "first"), user(2)], [user(1, "last", ("z",))]))
    receipt = activate(house, totals={"users": 2})
    assert receipt.counts["users"] == Counts(extracted=3, loaded=2, superseded=1)
    assert house.sql("SELECT name FROM users ORDER BY id") == [("last",), ("user 2",)]
    assert house.sql("SELECT value FROM users__tags WHERE _sdc_source_key_id = 1") == [("z",)]


@pytest.mark.parametrize("total", [2, 4])
def test_an_incomplete_pass_changes_nothing_and_names_both_numbers(house: Warehouse, total: int) -> None:
    full_pass(house, [user(1), user(2), user(3)])
    stage(house, *slices(users, [user(1, "new"), user(2), user(9)]))
    before = house.content()
    with pytest.raises(ActivationError, match=rf"3 records.*{total}") as caught:
        activate(house, totals={"users": total})
    assert (caught.value.code, caught.value.exit_code) == ("incomplete", 4)
    assert house.content() == before


def test_keys_of_rejected_records_count_and_stay(house: Warehouse) -> None:
    full_pass(house, [user(n) for n in range(1, 5)])
    stage(house, *slices(users, [user(1), user(2)]))
    counts = {"users": Counts(extracted=5, rejected=3)}
    kept = {"users": ["[3]", "[3]", '["not a number"]']}
    receipt = activate(house, totals={"users": 4}, kept_keys=kept, counts=counts)
    assert receipt.counts["users"] == Counts(extracted=5, rejected=3, unchanged=2, deleted=1)
    assert house.ids("users") == [1, 2, 3]
    assert house.one("SELECT count(*) FROM users__tags") == 3


def test_a_reject_without_a_key_keeps_the_pass_from_deleting(house: Warehouse) -> None:
    full_pass(house, [user(1), user(2), user(3)])
    stage(house, *slices(users, [user(1, "new")]))
    counts = {"users": Counts(extracted=2, rejected=1)}
    receipt = activate(house, totals={"users": 2}, counts=counts, may_delete=False)
    assert receipt.counts["users"] == Counts(extracted=2, rejected=1, loaded=1)
    assert house.sql("SELECT name FROM users ORDER BY id") == [("new",), ("user 2",), ("user 3",)]
    stage(house, *slices(users, [user(1, "new")]))
    with pytest.raises(ActivationError, match="says it has 3"):
        activate(house, totals={"users": 3}, counts=counts, may_delete=False)


def test_the_guard_refuses_to_delete_too_much(house: Warehouse) -> None:
    full_pass(house, [user(n) for n in range(20)])
    stage(house, *slices(users, [user(n) for n in range(9)]))
    before = house.content()
    with pytest.raises(ActivationError, match="11 of 20") as caught:
        activate(house)
    assert caught.value.code == "guard"
    assert "--allow-deletes users" in caught.value.hint
    assert house.content() == before
    allowed = activate(house, allow_deletes=frozenset({"users"}))
    assert allowed.counts["users"] == Counts(extracted=9, unchanged=9, deleted=11)


def test_the_guard_lets_half_pass_and_small_tables_shrink(house: Warehouse) -> None:
    full_pass(house, [user(n) for n in range(20)])
    assert full_pass(house, [user(n) for n in range(10)]).counts["users"].deleted == 10
    assert full_pass(house, [user(0)]).counts["users"].deleted == 9


def test_b36_a_pass_without_records_does_not_wipe_a_table(house: Warehouse) -> None:
    full_pass(house, [user(1), user(2)])
    with pytest.raises(ActivationError) as caught:
        activate(house, totals={"users": 0})
    assert caught.value.code == "guard"
    assert house.ids("users") == [1, 2]
    assert activate(house, totals={"users": 0}, allow_deletes=frozenset({"users"})).counts["users"] == Counts(deleted=2)
    assert house.ids("users") == []
    assert activate(house, totals={"users": 0}).counts["users"] == Counts()


def test_a_claim_sweeps_away_what_interrupted_passes_left(house: Warehouse) -> None:
    stage(house, *slices(users, [user(1)]))
    assert len(staged(house)) == 2
    house.claim()
    assert staged(house) == []


def test_discard_drops_a_pass_and_only_of_that_stream(house: Warehouse) -> None:
    stage(house, *slices(users, [user(2)]))
    stage(house, *slices(log, [{"line": "x", "tags": []}]))
    assert len(staged(house)) == 4
    receipt = house.load(kind="discard", stream="users")
    assert receipt.kind == "discard"
    assert [name.split("_", 4)[-1] for name in staged(house)] == ["log", "log__tags"]
    assert activate(house, log).counts["log"].loaded == 1
    assert house.ids("users") == []


def test_an_activation_only_takes_what_its_own_epoch_staged(house: Warehouse) -> None:
    stage(house, *slices(users, [user(1)]))
    house.claim()
    stage(house, *slices(users, [user(2)]))
    assert activate(house).counts["users"] == Counts(extracted=1, loaded=1)
    assert house.ids("users") == [2]
    assert staged(house) == []


def test_f3_a_run_that_was_overtaken_neither_stages_nor_activates(house: Warehouse) -> None:
    stage(house, *slices(users, [user(1)]))
    old = house.claimed
    assert old is not None
    house.claim()
    before = house.content()
    for kind, rules in (("stage", None), ("activate", Activation()), ("discard", None)):
        with pytest.raises(StaleWriterError):
            house.load(empty(users), kind=kind, activation=rules, epoch=old.epoch)  # type: ignore[arg-type]
    assert house.content() == before


def test_rows_without_a_key_are_replaced_and_the_table_version_rises(house: Warehouse) -> None:
    lines: list[dict[str, Any]] = [{"line": "a", "tags": ["x"]}, {"line": "a", "tags": []}]
    first = full_pass(house, lines, log, totals={"log": 2})
    assert first.counts["log"] == Counts(extracted=2, loaded=2)
    second = full_pass(house, [*lines, {"line": "b", "tags": ["y"]}], log)
    assert second.tables == {"log": TableCount(written=3, deleted=2), "log__tags": TableCount(written=2, deleted=1)}
    assert house.sql("SELECT line FROM log ORDER BY 1") == [("a",), ("a",), ("b",)]
    versions = "SELECT DISTINCT _sdc_table_version FROM {}"
    assert house.sql(versions.format("log")) == house.sql(versions.format("log__tags")) == [(2,)]
    assert {t.table_version for t in house.claim().tables} == {2}
    stage(house, *slices(log, lines))
    with pytest.raises(ActivationError, match="says it has 3"):
        activate(house, log, totals={"log": 3})
    assert house.one("SELECT count(*) FROM log") == 3


def test_rows_without_a_key_are_guarded_too(house: Warehouse) -> None:
    full_pass(house, [{"line": str(n), "tags": []} for n in range(20)], log)
    for left in (0, 9):
        house.load(kind="discard", stream="log")
        with pytest.raises(ActivationError) as caught:
            full_pass(house, [{"line": str(n), "tags": []} for n in range(left)], log)
        assert caught.value.code == "guard"
    assert house.one("SELECT count(*) FROM log") == 20


def test_append_adds_all_staged_rows_with_the_bookmark(house: Warehouse) -> None:
    full_pass(house, [{"line": "a", "tags": ["x"]}], log, mode="append")
    stage(house, *slices(log, [{"line": "a", "tags": []}], [{"line": "b", "tags": ["y"]}]))
    receipt = house.load(empty(log), kind="activate", activation=Activation(mode="append"), bookmark={"version": 1})
    assert receipt.counts["log"] == Counts(extracted=2, loaded=2)
    assert house.sql("SELECT line, _sdc_table_version FROM log ORDER BY 1") == [("a", 0), ("a", 0), ("b", 0)]
    assert house.claim().bookmarks == {"log": {"version": 1}}


def test_a_family_becomes_visible_together_or_not_at_all(house: Warehouse) -> None:
    groups = Shape(
        stream="groups",
        columns={"user_id": "integer", "id": "integer"},
        key=("user_id", "id"),
        version=None,
        arrays={},
        parent="users",
    )
    both = (users.part([user(1), user(2)], counts=Counts()), groups.part([{"user_id": 1, "id": 7}], counts=Counts()))
    house.load(*both, kind="stage")
    house.load(empty(users), empty(groups), kind="activate", activation=Activation(totals={"users": 2}))
    assert house.sql("SELECT user_id, id FROM groups") == [(1, 7)]
    house.load(*both, kind="stage")
    house.load(kind="discard", stream="users")
    assert staged(house) == []
    house.load(users.part([user(1, "new"), user(2)], counts=Counts()), empty(groups), kind="stage")
    with pytest.raises(ActivationError) as caught:  # the guard of the child stops its parent as well
        house.load(empty(users), empty(groups), kind="activate", activation=Activation())
    assert caught.value.place.stream == "groups"
    assert house.sql("SELECT name FROM users ORDER BY id") == [("user 1",), ("user 2",)]


def test_columns_may_come_and_split_within_a_pass(house: Warehouse) -> None:
    first = Shape(stream="users", columns={"id": "integer", "n": "integer"}, version=None, arrays={})
    split = Shape(
        stream="users",
        columns={"id": "integer", "n": "integer", "n|s": "string", "more": "boolean"},
        names={("n", "integer"): "n__bi", ("n|s", "string"): "n__st"},
        version=None,
        arrays={},
    )
    full_pass(house, [{"id": 1, "n": 1}], first)
    stage(house, *slices(first, [{"id": 1, "n": 1}, {"id": 2, "n": 2}]))
    stage(house, *slices(split, [{"id": 3, "n|s": "three", "more": True}]))
    receipt = activate(house, split)
    assert receipt.counts["users"] == Counts(extracted=3, loaded=2, unchanged=1)
    assert house.sql("SELECT id, n__bi, n__st, more FROM users ORDER BY id") == [
        (1, 1, None, None),
        (2, 2, None, None),
        (3, None, "three", True),
    ]


def test_rejects_of_a_pass_are_kept_as_they_come(house: Warehouse) -> None:
    house.load(users.part([user(1)], counts=Counts()), kind="stage", rejects=(reject(5, stream="users"),))
    assert len(house.target.rejects("users")) == 1


def test_long_table_names_are_staged_and_dropped(house: Warehouse) -> None:
    name = "t" * 250
    long = Shape(stream=name, columns={"id": "integer"}, version=None, arrays={})
    stage(house, *slices(long, [{"id": 1}]))
    house.claim()
    stage(house, *slices(long, [{"id": 2}]))
    assert len(staged(house)) == 1
    assert activate(house, long).counts[name].loaded == 1
    assert staged(house) == []
    assert house.ids(name) == [2]


COUNTS: Mapping[str, Counts] = {"users": Counts(extracted=9)}


def test_a_pass_whose_counts_do_not_balance_is_not_made_visible(house: Warehouse) -> None:
    stage(house, *slices(users, [user(1)]))
    before = house.content()
    with pytest.raises(Exception, match="do not balance"):
        activate(house, counts=COUNTS)
    assert house.content() == before
