"""`rejects replay` of streams without a primary key: every record of the source becomes one row, whatever was read
again before, between or after; twins are records of their own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from connector_core.events import Warned
from tests.support.engine import INTEGER, START, Shop, fates, incremental, served, stream

STRICT = START + 'type_conflict = "reject"\n'
EARLY, LATE = "2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z"


def events(*records: Any, **more: Any) -> dict[str, Any]:
    """An incremental stream without a key, in ascending order unless `more` says otherwise, whose v is a number."""
    usual = {"primary_key": [], "ascending": True, "overlap": 1}
    return served([incremental("events", {"v": INTEGER}, **usual | more)], {"events": records}, page_size=2)


def whole(*records: Any, **more: Any) -> dict[str, Any]:
    """The same as a full table."""
    fields = {"v": INTEGER, "at": {"type": "string", "format": "date-time"}}
    return served([stream("events", fields, primary_key=[])], {"events": records}, page_size=2, **more)


def event(number: int, v: Any, at: str = EARLY) -> dict[str, Any]:
    return {"id": number, "at": at, "v": v}


def numbers(shop: Shop) -> list[int]:
    return sorted(row["id"] for row in shop.rows("events")) if "events" in shop.tables() else []


def copies(shop: Shop) -> list[tuple[int, int]]:
    return [(row["seen"], row["copies"]) for row in shop.rejected()]


def replayed(shop: Shop) -> Mapping[str, int]:
    """Replays under settings that take everything; the fates of the records."""
    shop.write(START)
    return fates(shop.replay().total)


TWIN = event(1, "twin", LATE)


@pytest.mark.parametrize("ascending", [True, False], ids=["sorted", "unsorted"])
def test_rejected_twins_are_as_many_rows_however_often_they_were_read_again(tmp_path: Path, ascending: bool) -> None:
    shop = Shop(tmp_path, events(event(0, 5), TWIN, TWIN, ascending=ascending), STRICT)
    shop.go()
    shop.go()
    assert copies(shop) == [(4, 2)]
    shop.serve(events(event(0, 5), TWIN, TWIN, TWIN, ascending=ascending))  # a third one has come
    shop.go()
    assert copies(shop) == [(7, 3)]
    assert replayed(shop) == {"extracted": 3, "loaded": 3}
    assert numbers(shop) == [0, 1, 1, 1]
    assert shop.rejected() == []
    shop.go()
    assert numbers(shop) == [0, 1, 1, 1]


def test_what_is_stored_and_rejected_when_it_is_read_again_is_not_stored_twice(tmp_path: Path) -> None:
    shop = Shop(tmp_path, events(TWIN))
    shop.go()
    assert numbers(shop) == [1]
    shop.write(STRICT)
    assert shop.go().counts["events"].rejected == 1
    assert replayed(shop) == {"extracted": 1, "superseded": 1}
    assert numbers(shop) == [1]
    assert shop.rejected() == []


def test_a_full_table_stores_the_rejects_of_its_last_pass_only(tmp_path: Path) -> None:
    shop = Shop(tmp_path, whole(event(0, 5), TWIN, TWIN, event(2, "gone")), STRICT)
    shop.go()
    shop.serve(whole(event(0, 5), TWIN, TWIN))
    shop.go()
    assert sorted(copies(shop)) == [(1, 0), (4, 2)]
    assert replayed(shop) == {"extracted": 3, "loaded": 2, "superseded": 1}
    assert "were not added" in shop.told(Warned)[0].text
    assert numbers(shop) == [0, 1, 1]
    assert shop.rejected() == []
    shop.go()
    assert numbers(shop) == [0, 1, 1]


def test_a_full_table_that_has_the_record_by_now_does_not_get_it_twice(tmp_path: Path) -> None:
    shop = Shop(tmp_path, whole(event(0, 5), TWIN), STRICT)
    shop.go()
    shop.write(START)
    shop.go()
    assert numbers(shop) == [0, 1]
    assert replayed(shop) == {"extracted": 1, "superseded": 1}
    assert numbers(shop) == [0, 1]


@pytest.mark.parametrize("served_as", [whole, events], ids=["full", "incremental"])
def test_the_rejects_of_a_pass_that_was_refused_are_left_to_the_next_one(tmp_path: Path, served_as: Any) -> None:
    """They were committed before the activation, and with it the bookmark."""
    more: dict[str, Any] = {} if served_as is whole else {"ascending": False}
    short = {**served_as(event(0, 5), TWIN, **more), "totals": {"events": 9}}
    shop = Shop(tmp_path, short, STRICT)
    shop.go(code=4)
    assert [row["copies"] for row in shop.rejected()] == [0]
    assert replayed(shop) == {"extracted": 1, "superseded": 1}
    assert numbers(shop) == []
    shop.serve(served_as(event(0, 5), TWIN, **more))
    shop.go()
    assert numbers(shop) == [0, 1]


def test_what_is_still_bad_stays_although_its_pass_is_gone_and_makes_no_column(tmp_path: Path) -> None:
    future = {"id": 3, "at": "2031-01-01T00:00:00Z", "v": "\ud800"}
    shop = Shop(tmp_path, events(event(0, 5), future, {**future, "v": "later", "new": 1}), STRICT)
    shop.go()
    assert replayed(shop) == {"extracted": 1, "superseded": 1}
    assert ["ud800" in row["record"] for row in shop.rejected()] == [True]
    assert not {name for name in shop.rows("events")[0] if name == "new" or name.startswith("v__")}
    shop.go()
    assert numbers(shop) == [0, 3]


@pytest.mark.parametrize("replay_first", [True, False])
def test_after_a_reset_what_was_rejected_before_is_stored_once(tmp_path: Path, replay_first: bool) -> None:
    shop = Shop(tmp_path, events(event(0, 5), TWIN), STRICT)
    shop.go()
    shop.reset("events")
    if replay_first:
        replayed(shop)
    shop.write(START)
    shop.go()
    replayed(shop)
    assert numbers(shop) == [0, 1]


def test_after_a_reset_a_keyed_reject_counts_when_it_is_read_again(tmp_path: Path) -> None:
    keyed = events(event(0, 5), event(1, "one"), primary_key=["id"])
    shop = Shop(tmp_path, keyed, STRICT)
    shop.go()
    shop.reset("events")
    shop.go()
    assert copies(shop) == [(2, 1)]
    assert replayed(shop) == {"extracted": 1, "loaded": 1}
    assert numbers(shop) == [0, 1]


def test_a_stream_that_lost_its_key_gets_a_rejected_record_once(tmp_path: Path) -> None:
    shop = Shop(tmp_path, events(event(0, 5), event(1, "one"), primary_key=["id"]), STRICT)
    shop.go()
    shop.serve(events(event(0, 5), event(1, "one")))
    shop.reset("events")
    shop.go()
    assert sorted(row["copies"] for row in shop.rejected()) == [0, 1]
    assert replayed(shop) == {"extracted": 2, "loaded": 1, "superseded": 1}
    assert numbers(shop) == [0, 1]


def test_full_makes_the_rejects_of_its_pass_the_ones_that_count(tmp_path: Path) -> None:
    shop = Shop(tmp_path, events(event(0, 5), TWIN, TWIN), STRICT)
    shop.go()
    shop.go(full=True)
    assert copies(shop) == [(4, 2)]
    assert replayed(shop) == {"extracted": 2, "loaded": 2}
    shop.go()
    assert numbers(shop) == [0, 1, 1]
