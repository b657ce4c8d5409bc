"""Child streams: read with their parents, stored with them, never ahead of them (design section 5)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connector_core.events import PageExtracted, ParentVanished
from tests.support.crash import metered
from tests.support.engine import START, TEXT, Shop, fates, incremental, served, stream
from tests.support.zygote import Zygote

NOW = "2026-06-01T00:00:00+00:00"


def orders(*records: Any, lines: Any = (), page_size: int = 3, child: Any = None, **more: Any) -> dict[str, Any]:
    """Orders, key-based, and their lines."""
    child = child or stream("lines", {"sku": TEXT}, parent="orders")
    streams = [incremental("orders", {"v": TEXT}, overlap=1), child]
    data = served(streams, {"orders": records, "lines": list(lines)}, page_size=page_size, served_at=NOW)
    return data | more


def order(number: int, second: int | None = None, **more: Any) -> dict[str, Any]:
    """An order, last changed so many seconds after 8 o'clock (its number, unless told otherwise)."""
    return {"id": number, "at": f"2026-03-01T08:00:{number if second is None else second:02}Z", **more}


def line(parent: int, number: int, **more: Any) -> dict[str, Any]:
    """A line of an order."""
    return {"_parent": parent, "id": 100 * parent + number, "sku": f"s{number}", **more}


def lines_of(shop: Shop) -> dict[int, int]:
    """How many lines are stored, by order."""
    found: dict[int, int] = {}
    for row in shop.rows("lines"):
        found[row["id"] // 100] = found.get(row["id"] // 100, 0) + 1
    return found


def asked(shop: Shop) -> int:
    """How many pages of lines were asked for in the last run."""
    return sum(event.stream == "lines" for event in shop.told(PageExtracted))


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    with Zygote() as zygote:
        yield zygote


def test_children_of_unchanged_parents_are_not_asked_for_again(tmp_path: Path) -> None:
    shop = Shop(tmp_path, orders(*map(order, range(5)), lines=[line(i, k) for i in range(5) for k in range(2)]))
    shop.go()
    assert lines_of(shop) == dict.fromkeys(range(5), 2)
    assert asked(shop) == 5
    report = shop.go()
    assert fates(report.counts["orders"]) == {"extracted": 2, "unchanged": 2}
    assert asked(shop) == 0
    changed = [*map(order, range(4)), order(4, 5, v="changed")]
    shop.serve(orders(*changed, lines=[line(4, k, sku="new" if k else "s0") for k in range(3)]))
    report = shop.go()
    assert fates(report.counts["lines"]) == {"extracted": 3, "loaded": 2, "unchanged": 1}
    assert asked(shop) == 1
    assert lines_of(shop)[4] == 3


def test_children_of_a_parent_that_changed_in_the_second_it_was_served_are_asked_for_again(tmp_path: Path) -> None:
    data = orders(order(1), order(2), lines=[line(2, 0)]) | {"served_at": "2026-03-01T08:00:03+00:00"}
    shop = Shop(tmp_path, data)
    shop.go()
    late = orders(order(1), order(2), lines=[line(2, 0), line(2, 1)]) | {"served_at": "2026-03-01T08:00:09+00:00"}
    shop.serve(late)
    shop.go()
    assert lines_of(shop) == {2: 2}
    assert asked(shop) == 1  # the first order was two seconds old
    shop.go()
    assert asked(shop) == 0


def test_a_vanished_parent_is_stored_as_read_and_said(tmp_path: Path) -> None:
    data = orders(*map(order, range(4)), lines=[line(i, 0) for i in range(4)], faults={"lines": {"2:1": "missing"}})
    shop = Shop(tmp_path, data)
    shop.go()
    assert sorted(row["id"] for row in shop.rows("orders")) == [0, 1, 2, 3]
    assert lines_of(shop) == {0: 1, 1: 1, 3: 1}
    assert [event.parent_key for event in shop.told(ParentVanished)] == ["[2]"]
    assert shop.bookmark("orders")["value"] == "2026-03-01T08:00:03Z"


def test_children_of_a_rejected_parent_are_read_if_its_key_is_readable(tmp_path: Path) -> None:
    bad = [order(1, v="\ud800"), {**order(2), "id": "2"}, "not an order"]
    shop = Shop(tmp_path, orders(order(0), *bad, order(3), lines=[line(i, 0) for i in range(4)]))
    report = shop.go()
    assert fates(report.counts["orders"]) == {"extracted": 5, "loaded": 2, "rejected": 3}
    assert lines_of(shop) == {0: 1, 1: 1, 3: 1}
    assert asked(shop) >= 3


def test_many_vanished_parents_on_one_page(tmp_path: Path) -> None:
    numbers = range(50)
    faults = {"lines": {f"{i}:1": "missing" for i in numbers if i % 10}}
    lines = [line(i, 0) for i in numbers]
    shop = Shop(tmp_path, orders(*map(order, numbers), lines=lines, faults=faults, page_size=50))
    shop.go()
    assert len(shop.rows("orders")) == 50
    assert lines_of(shop) == {0: 1, 10: 1, 20: 1, 30: 1, 40: 1}
    assert len(shop.told(ParentVanished)) == 45


def test_children_are_asked_for_where_the_source_says_so(tmp_path: Path) -> None:
    child = stream("lines", {"sku": TEXT}, parent="orders", when="open")
    some = [order(1, open=True), order(2, open=False), {"id": 3, "at": 5}, order(4, open=True)]
    shop = Shop(tmp_path, orders(*some, lines=[line(i, 0) for i in range(5)], child=child, page_size=9))
    report = shop.go()  # of the rejected one nobody can say whether it has lines
    assert lines_of(shop) == {1: 1, 4: 1}
    assert fates(report.counts["orders"]) == {"extracted": 4, "loaded": 3, "rejected": 1}
    shop.serve(orders(order(5), child=child))
    report = shop.go(code=6)
    for word in ("lines", "when", "KeyError", "scripted"):
        assert word in str(report.error)


def test_a_rejected_child_costs_one_child(tmp_path: Path) -> None:
    lines = [line(1, 0), line(1, 1, sku="\ud800"), {"_parent": 1, "sku": "no key"}, line(1, 2), line(2, 0)]
    shop = Shop(tmp_path, orders(order(1), order(2), lines=lines))
    report = shop.go()
    assert fates(report.counts["lines"]) == {"extracted": 5, "loaded": 3, "rejected": 2}
    assert lines_of(shop) == {1: 2, 2: 1}
    assert [json.loads(row["record"]).get("_parent") for row in shop.rejected()] == [None, None]


def test_a_parent_with_more_children_than_a_batch(tmp_path: Path, zygote: Zygote) -> None:
    """Its children are committed in several transactions, its own row in the last; only then the bookmark moves."""
    many = [line(1, k) for k in range(20)]
    data = orders(order(0), order(1), order(2), lines=[line(0, 0), *many, line(2, 0)], page_size=4)
    for seam, parents in ((("load.commit.after", 2), {0}), (("load.commit.before", 4), {0})):
        shop = Shop(tmp_path / f"{seam[1]}", data, START + "batch_records = 4\n")
        assert zygote.run(["run"], cwd=shop.folder, env=shop.env, kill_at=seam).killed
        assert {row["id"] for row in shop.rows("orders")} == parents
        assert lines_of(shop)[1] > 0
        assert shop.bookmark("orders")["value"] == "2026-03-01T08:00:00Z"
        shop.go()
        assert lines_of(shop) == {0: 1, 1: 20, 2: 1}
        assert metered(shop) == {"orders": 3, "lines": 22}


def test_f7_children_out_of_order_never_move_the_bookmark_past_an_unfinished_parent(
    tmp_path: Path, zygote: Zygote
) -> None:
    """The first parent's children come last; a kill before that leaves nothing of the later ones for granted."""
    data = orders(*map(order, range(6)), lines=[line(i, 0) for i in range(6)], page_size=6)
    shop = Shop(tmp_path, data | {"delays": {"lines": {"1": 3.0}}}, START + "batch_records = 1\n")
    ended = zygote.run(["run"], cwd=shop.folder, env=shop.env, kill_after=2.5)
    assert ended.killed
    done = (
        {row["id"] for row in shop.rows("orders")} if shop.warehouse.exists() and "orders" in shop.tables() else set()
    )
    assert done <= {0}
    assert shop.bookmark("orders").get("value") in (None, "2026-03-01T08:00:00Z") if done else True
    shop.serve(data)
    shop.go()
    assert {row["id"] for row in shop.rows("orders")} == set(range(6))
    assert lines_of(shop) == dict.fromkeys(range(6), 1)
    assert metered(shop) == {"orders": 6, "lines": 6}


def test_f7_a_fault_of_one_childs_page_keeps_the_finished_prefix(tmp_path: Path) -> None:
    data = orders(*map(order, range(6)), lines=[line(i, 0) for i in range(6)], page_size=6)
    shop = Shop(tmp_path, data | {"faults": {"lines": {"3:1": "fail"}}, "delays": {"lines": {"0": 0.3}}})
    report = shop.go(code=4)
    assert "lines" in str(report.error)
    assert {row["id"] for row in shop.rows("orders")} == {0, 1, 2}
    assert lines_of(shop) == {0: 1, 1: 1, 2: 1}
    assert shop.bookmark("orders")["value"] == "2026-03-01T08:00:02Z"
    shop.serve(data)
    shop.go()
    assert lines_of(shop) == dict.fromkeys(range(6), 1)
    assert metered(shop) == {"orders": 6, "lines": 6}


def test_children_of_a_full_table_vanish_with_it(tmp_path: Path) -> None:
    streams = [stream("orders"), stream("lines", {"sku": TEXT}, parent="orders")]

    def data(*numbers: int) -> Any:
        lines = [line(i, k) for i in (1, 2, 3) for k in range(2)]
        return served(streams, {"orders": [{"id": i} for i in numbers], "lines": lines})

    shop = Shop(tmp_path, data(1, 2, 3))
    shop.go()
    assert lines_of(shop) == {1: 2, 2: 2, 3: 2}
    shop.serve(data(1, 3))
    report = shop.go()
    assert fates(report.counts["lines"]) == {"extracted": 4, "unchanged": 4, "deleted": 2}
    assert lines_of(shop) == {1: 2, 3: 2}


def test_a_child_stream_without_a_key_needs_a_full_table(tmp_path: Path) -> None:
    """When its incremental parent is read again its records could not be told from the old ones."""
    child = stream("lines", {"sku": TEXT}, parent="orders", primary_key=[])
    shop = Shop(tmp_path / "incremental", orders(order(1), lines=[line(1, 0)], child=child))
    report = shop.go(code=6)
    for word in ("lines", "primary key", "scripted", "discover"):
        assert word in str(report.error)
    full = served([stream("orders"), child], {"orders": [{"id": 1}], "lines": [line(1, 0), line(1, 0)]})
    shop = Shop(tmp_path / "full", full)
    shop.go()
    shop.go()
    assert len(shop.rows("lines")) == 2


@pytest.mark.parametrize(
    ("streams", "said"),
    [
        ([stream("lines", parent="orders")], "orders"),
        ([stream("a"), stream("b", parent="a"), stream("c", parent="b")], "'c'"),
        ([stream("a"), stream("a")], "twice"),
        ([stream("b", parent="a"), stream("a")], "before"),
        ([stream("a", primary_key=["nothing"])], "nothing"),
        ([stream("a", replication="incremental", replication_key="id2")], "id2"),
        ([{"name": "a", "schema": {"type": 5}, "primary_key": []}], "JSON Schema"),
    ],
    ids=["no parent", "grandchild", "twice", "order", "key", "replication key", "schema"],
)
def test_d12_a_catalog_that_cannot_be_read_is_the_plugins_fault(tmp_path: Path, streams: Any, said: str) -> None:
    shop = Shop(tmp_path, served(streams, {}))
    report = shop.go(code=6)
    for word in (said, "scripted", "discover"):
        assert word in str(report.error)
