"""What a stream is changes between two runs: nothing is lost or doubled for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from connector_core.events import Warned
from tests.support.engine import INSTANT, INTEGER, START, TEXT, Shop, fates, incremental, raw, served, stream

EARLY, LATE = "2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z"


def by(key: str, *records: Any) -> dict[str, Any]:
    """An incremental stream with this replication key."""
    fields = {"at": INSTANT, "n": INTEGER, "m": INTEGER}
    return served(
        [stream(fields=fields, replication="incremental", replication_key=key, overlap=1)], {"things": records}
    )


@pytest.mark.parametrize(("before", "after"), [("n", "m"), ("n", "at"), ("at", "n")])
def test_another_replication_key_reads_the_stream_again(tmp_path: Path, before: str, after: str) -> None:
    shop = Shop(tmp_path, by(before, {"id": 1, "n": 500, "m": 1, "at": LATE}))
    shop.go()
    shop.serve(by(after, {"id": 1, "n": 500, "m": 1, "at": LATE}, {"id": 2, "n": 7, "m": 5, "at": EARLY}))
    report = shop.go()
    assert sorted((row["id"], row["n"]) for row in shop.rows("things")) == [(1, 500), (2, 7)]
    assert report.counts["things"].unchanged == 1
    assert [warned.text for warned in shop.told(Warned)] == [
        "the replication key of 'things' is another one now: it is read again from its start date"
    ]
    assert shop.go().rows_written == 0
    assert not shop.told(Warned)


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (["id"], ["n"], "the primary key was 'id' and is 'n' now"),
        (["id"], ["id", "n"], "the primary key was 'id' and is 'id' and 'n' now"),
        (["id"], [], "the primary key was 'id' and is none now"),
        ([], ["id"], "the primary key was none and is 'id' now"),
    ],
)
def test_another_primary_key_is_told_and_changes_nothing(
    tmp_path: Path, before: list[str], after: list[str], told: str
) -> None:
    def keyed(key: list[str]) -> dict[str, Any]:
        fields = {"n": INTEGER, "tags": {"type": "array", "items": TEXT}}
        return served([stream(fields=fields, primary_key=key)], {"things": [{"id": 1, "n": 5, "tags": ["a"]}]})

    shop = Shop(tmp_path, keyed(before))
    shop.go()
    rows = shop.rows("things")
    shop.serve(keyed(after))
    error = str(shop.go(code=2).error)
    assert told in error
    assert "`reset` the stream" in error
    assert shop.rows("things") == rows
    shop.reset("things")
    shop.go()
    assert [(row["id"], row["n"]) for row in shop.rows("things")] == [(1, 5)]


def test_the_same_primary_key_in_another_order_is_the_same(tmp_path: Path) -> None:
    def keyed(*key: str) -> dict[str, Any]:
        return served([stream(fields={"n": INTEGER}, primary_key=key)], {"things": [{"id": 1, "n": 5}]})

    shop = Shop(tmp_path, keyed("id", "n"))
    shop.go()
    shop.serve(keyed("n", "id"))
    assert shop.go().counts["things"].unchanged == 1


# --- without a key


def events(*records: Any, kind: Any = INTEGER) -> dict[str, Any]:
    """An incremental stream in ascending order, without a key, whose v is a number."""
    fields = {"v": kind, "tags": {"type": "array", "items": TEXT}}
    one = incremental("events", fields, primary_key=[], ascending=True, overlap=1)
    return served([one], {"events": records}, page_size=2)


def event(number: int, v: Any, at: str = EARLY) -> dict[str, Any]:
    return {"id": number, "at": at, "v": v, "tags": ["a", "b"]}


def numbers(shop: Shop) -> list[int]:
    return sorted(row["id"] for row in shop.rows("events"))


def test_without_a_key_another_replication_method_and_back_doubles_and_loses_nothing(tmp_path: Path) -> None:
    def whole(*records: Any) -> dict[str, Any]:
        return served([stream("events", {"at": INSTANT, "v": INTEGER}, primary_key=[])], {"events": records})

    two, three = (event(2, 6, LATE), event(2, 6, LATE)), event(3, 7, "2026-03-03T00:00:00Z")
    shop = Shop(tmp_path, whole(event(1, 5), *two))
    shop.go()
    for _ in range(2):
        shop.serve(events(event(1, 5), *two))
        shop.go()
        assert "takes the place of its rows" in shop.told(Warned)[0].text
        assert numbers(shop) == [1, 2, 2]
        assert shop.go().rows_written == 0
        assert not shop.told(Warned)
        shop.serve(events(event(1, 5), *two, three))
        shop.go()
        assert numbers(shop) == [1, 2, 2, 3]
        shop.serve(whole(event(1, 5), *two, three))
        shop.go()
        assert numbers(shop) == [1, 2, 2, 3]
        shop.serve(whole(event(1, 5), *two))
        shop.go()
        assert numbers(shop) == [1, 2, 2]


@pytest.mark.parametrize("settings", ['schema = "freeze"', 'nested = "native"'])
def test_without_a_key_another_way_of_storing_doubles_nothing(tmp_path: Path, settings: str) -> None:
    shop = Shop(tmp_path, events(event(1, 5), event(2, 6)))
    shop.go()
    shop.write(START + settings)
    assert fates(shop.go().counts["events"]) == {"extracted": 2, "unchanged": 2}
    assert numbers(shop) == [1, 2]


def test_without_a_key_another_declared_type_doubles_nothing(tmp_path: Path) -> None:
    shop = Shop(tmp_path, events(event(1, 5), event(2, 6)))
    shop.go()
    shop.serve(events(event(1, 5), event(2, 6), kind=TEXT))
    shop.go()
    assert numbers(shop) == [1, 2]


def test_without_a_key_another_spelling_of_a_number_doubles_nothing(tmp_path: Path) -> None:
    one = incremental("events", {"v": {"type": "number"}}, primary_key=[], ascending=True, overlap=1)
    texts = [f'{{"id": 1, "at": "{EARLY}", "v": 1.50}}', f'{{"id": 2, "at": "{EARLY}", "v": 2}}']
    shop = Shop(tmp_path, raw([one], {"events": texts}))
    shop.go()
    texts[0] = f'{{"v": 15e-1, "at": "{EARLY}", "id": 1}}'
    shop.serve(raw([one], {"events": texts}))
    shop.go()
    assert numbers(shop) == [1, 2]


@pytest.mark.parametrize("replay_first", [True, False])
@pytest.mark.parametrize("first", [[], [event(1, 5)]])
def test_without_a_key_what_was_rejected_is_stored_once(
    tmp_path: Path, first: list[dict[str, Any]], replay_first: bool
) -> None:
    shop = Shop(tmp_path, events(*first, event(2, "two", LATE)), START + 'type_conflict = "reject"\n')
    for _ in range(2):
        assert shop.go().counts["events"].rejected == 1
    shop.write(START)
    for replayed in (replay_first, not replay_first):
        if replayed:
            shop.replay()
        else:
            shop.go()
    assert numbers(shop) == [*(record["id"] for record in first), 2]
    assert shop.rejected() == []
    shop.go()
    assert numbers(shop) == [*(record["id"] for record in first), 2]
