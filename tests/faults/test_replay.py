"""`rejects replay`: what was mended goes to its table, once, and never over a newer version."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.crash import metered
from tests.support.engine import INTEGER, START, TEXT, Shop, fates, incremental, served, stream
from tests.support.zygote import Zygote

STRICT = START + 'type_conflict = "reject"\n'


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    with Zygote() as zygote:
        yield zygote


def things(*records: Any, kind: Any = INTEGER, **more: Any) -> dict[str, Any]:
    """An incremental stream whose v is a number."""
    fields = {"v": kind, "tags": {"type": "array", "items": TEXT}}
    return served([incremental(fields=fields, **more)], {"things": records})


def thing(number: int, v: Any, day: int = 1) -> dict[str, Any]:
    """A record of a day in March, with two tags."""
    return {"id": number, "at": f"2026-03-{day:02}T00:00:00Z", "v": v, "tags": ["a", "b"]}


def stored(shop: Shop) -> dict[int, Any]:
    """What is in v, or split off it, by key."""
    return {
        row["id"]: next((row[name] for name in row if name.startswith("v") and row[name] is not None), None)
        for row in shop.rows("things")
    }


def test_what_is_mended_goes_to_its_table_and_leaves_the_rejects(tmp_path: Path) -> None:
    shop = Shop(tmp_path, things(thing(1, 5), thing(2, "two"), thing(3, "three"), thing(4, "\ud800")), STRICT)
    assert fates(shop.go().counts["things"])["rejected"] == 3
    unchanged = shop.replay()
    assert unchanged.rows_written == 0
    assert len(shop.rejected()) == 3
    shop.write(START)
    report = shop.replay()
    assert fates(report.counts["things"]) == {"extracted": 2, "loaded": 2}
    assert stored(shop) == {1: 5, 2: "two", 3: "three"}
    assert len(shop.rows("things__tags")) == 6
    assert [row["error_code"] for row in shop.rejected()] == ["type_conflict"]
    with shop.ledger() as ledger:
        assert [reject.primary_key for reject in ledger.rejects("shop")] == ["[4]"]
    assert shop.replay().rows_written == 0
    assert metered(shop) == {"things": 3, "things__tags": 6}


def test_the_record_was_kept_whole(tmp_path: Path) -> None:
    odd = {"n": 1.0000000000000002, "big": 2**70, "deep": [{"x": [None, "é", "\ud83d\ude00"]}], "é": "\x00"}
    shop = Shop(tmp_path, things({**thing(1, "one"), "odd": odd}), START + 'schema = "freeze"\n')
    shop.go()
    shop.write(START)
    shop.replay()
    direct = Shop(tmp_path / "direct", things({**thing(1, "one"), "odd": odd}))
    direct.go()

    def lasting(row: dict[str, Any]) -> list[tuple[str, Any]]:
        passing = ("_at", "sequence", "record_hash")
        return sorted((name, value) for name, value in row.items() if not name.endswith(passing) and value is not None)

    assert shop.tables() == direct.tables()
    for name in direct.tables():
        one, two = (sorted(map(repr, map(lasting, each.rows(name)))) for each in (shop, direct))
        assert one == two


def test_a_replayed_record_never_replaces_a_newer_one(tmp_path: Path) -> None:
    shop = Shop(tmp_path, things(thing(1, "old", day=1), thing(2, "only", day=1)), STRICT)
    shop.go()
    shop.serve(things(thing(1, 7, day=5)))
    shop.go()
    shop.write(START)
    report = shop.replay()
    assert fates(report.counts["things"]) == {"extracted": 2, "loaded": 1, "superseded": 1}
    assert stored(shop) == {1: 7, 2: "only"}
    assert shop.rejected() == []


def test_without_a_replication_key_what_was_read_last_is_the_newer_one(tmp_path: Path) -> None:
    def whole(*records: Any) -> dict[str, Any]:
        return served([stream("things", {"v": INTEGER})], {"things": records})

    shop = Shop(tmp_path, whole({"id": 1, "v": "old"}, {"id": 2, "v": "old"}, {"id": 3, "v": 3}), STRICT)
    shop.go()
    shop.serve(whole({"id": 1, "v": 7}, {"id": 2, "v": "new"}, {"id": 3, "v": "changed"}))
    shop.go()
    shop.write(START)
    assert fates(shop.replay().counts["things"]) == {"extracted": 4, "loaded": 2, "superseded": 2}
    assert stored(shop) == {1: 7, 2: "new", 3: "changed"}
    assert shop.rejected() == []


def test_the_bookmark_stays_and_the_next_run_writes_nothing(tmp_path: Path) -> None:
    shop = Shop(tmp_path, things(thing(1, 1, day=1), thing(2, "two", day=2), thing(3, 3, day=3), overlap=1), STRICT)
    shop.go()
    before = shop.bookmark("things")
    shop.write(START)
    shop.replay()
    assert shop.bookmark("things") == before
    assert shop.go().rows_written == 0
    assert stored(shop) == {1: 1, 2: "two", 3: 3}


def test_one_stream_alone_and_a_name_that_is_none(tmp_path: Path) -> None:
    streams = [stream("a", {"v": INTEGER}), stream("b", {"v": INTEGER}), stream("c", {"v": INTEGER}, parent="a")]
    records = {
        "a": [{"id": 1}, {"id": 2, "v": "x"}],
        "b": [{"id": 1, "v": "x"}],
        "c": [{"_parent": 1, "id": 7, "v": "y"}],
    }
    shop = Shop(tmp_path, served(streams, records), STRICT)
    shop.go()
    shop.write(START)
    shop.replay("c")
    assert [row["v__st"] for row in shop.rows("c")] == ["y"]
    assert sorted(row["stream"] for row in shop.rejected()) == ["a", "b"]
    assert "'nothing'" in str(shop.replay("nothing", code=2).error)
    shop.replay()
    assert shop.rejected() == []
    assert len(shop.rows("a")) == 2


def test_a_stream_that_cannot_be_replayed_does_not_stop_the_others(tmp_path: Path) -> None:
    names = ("a", "b", "c")
    records = {name: [{"id": 1, "v": 1}, {"id": 2, "v": "x"}] for name in names}
    shop = Shop(tmp_path, served([stream(name, {"v": INTEGER}) for name in names], records), STRICT)
    shop.go()
    shop.write(START)
    texts = [stream("a", {"v": INTEGER}), *(stream(name, {"id": TEXT, "v": INTEGER}) for name in ("b", "c"))]
    shop.serve(served(texts[::-1], records))
    error = str(shop.replay(code=2).error)
    assert "stream b" in error
    assert "stream c" in error
    assert "the primary key 'id' is now string" in error
    assert len(shop.rows("a")) == 2
    assert sorted(row["stream"] for row in shop.rejected()) == ["b", "c"]


def test_a_mended_schema_of_the_source_is_enough(tmp_path: Path) -> None:
    shop = Shop(tmp_path, things(thing(1, "new"), kind={"enum": ["open"]}))
    shop.go()
    assert [row["error_code"] for row in shop.rejected()] == ["schema"]
    shop.serve(things(kind={"enum": ["open", "new"]}))
    shop.replay()
    assert stored(shop) == {1: "new"}
    assert shop.rejected() == []


@pytest.mark.parametrize("key", [["id"], []], ids=["keyed", "keyless"])
def test_d1_a_kill_while_replaying_loses_and_doubles_nothing(tmp_path: Path, zygote: Zygote, key: list[str]) -> None:
    data = things(thing(1, "one"), thing(2, "two"), primary_key=key)
    for number, seam in enumerate(
        ("load.settle.after", "load.commit.before", "load.commit.after", "ledger.record.after")
    ):
        shop = Shop(tmp_path / str(number), data, STRICT)
        shop.go()
        shop.write(START)
        arguments = ["rejects", "replay", "shop"]
        assert zygote.run(arguments, cwd=shop.folder, env=shop.env, kill_at=(seam, 1)).killed, seam
        shop.replay()
        assert sorted(row["id"] for row in shop.rows("things")) == [1, 2], seam
        assert shop.rejected() == [], seam
        with shop.ledger() as ledger:
            assert ledger.rejects("shop") == [], seam
        assert metered(shop) == {"things": 2, "things__tags": 4}, seam
