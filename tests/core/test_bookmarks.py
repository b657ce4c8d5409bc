"""The bookmark: how far it follows, what it remembers, and what it refuses to guess."""

from __future__ import annotations

import json
import tracemalloc
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector_core.bookmarks import Bookmark, Passed, Position
from connector_core.errors import ConfigError
from connector_core.streams import Stream

START = datetime(2025, 1, 1, tzinfo=UTC)
UPPER = datetime(2026, 1, 1, tzinfo=UTC)
KEYED = Stream(
    name="cases",
    schema={},
    primary_key=("id",),
    replication="incremental",
    replication_key="updated_at",
    overlap=timedelta(seconds=1),
)
KEYLESS = Stream(
    name="events", schema={}, replication="incremental", replication_key="at", overlap=timedelta(seconds=1)
)


def at(seconds: float) -> datetime:
    return START + timedelta(days=1, seconds=seconds)


def passed(
    seconds: float | None, key: str | None, digest: str = "h", *, complete: bool = True, fresh: bool = True
) -> Passed:
    return Passed(None if seconds is None else at(seconds), key, digest, complete, fresh)


def again(bookmark: Bookmark) -> Bookmark:
    return Bookmark.from_json(json.loads(json.dumps(bookmark.as_json())), stream="cases")


def test_it_survives_being_stored() -> None:
    position = Position(KEYED, Bookmark(start=START))
    position.advance([passed(0.25, "[1]", "a"), passed(1, "[2]", "b", complete=False)])
    position.settle(position.top)
    bookmark = position.bookmark(UPPER)
    assert again(bookmark) == bookmark
    assert bookmark.value == at(1)
    assert bookmark.start == START


def test_it_never_passes_the_upper_bound() -> None:
    position = Position(KEYED, Bookmark(start=START))
    position.advance([passed(0, "[1]"), Passed(datetime(2099, 1, 1, tzinfo=UTC), "[2]", "h", True, True)])
    position.settle(position.top)
    assert position.bookmark(UPPER).value == UPPER


def test_it_stays_where_the_run_began_until_an_unsorted_pass_is_complete() -> None:
    unsorted = Stream(
        name="cases",
        schema={},
        primary_key=("id",),
        replication="incremental",
        replication_key="updated_at",
        ascending=False,
    )
    position = Position(unsorted, Bookmark(start=START, value=at(-5)))
    position.advance([passed(9, "[1]")])
    position.settle(position.top)
    assert position.bookmark(UPPER).value == at(-5)
    position.advance([passed(3, "[2]")])
    position.finish()
    assert position.bookmark(UPPER).value == at(9)


def test_a27_a_record_that_contradicts_the_order_holds_it_back() -> None:
    position = Position(KEYED, Bookmark(start=START, value=at(0)))
    position.advance([passed(100, "[1]")])
    position.settle(position.top)
    assert position.bookmark(UPPER).value == at(100)
    position.advance([passed(50, "[2]")])
    assert position.bookmark(UPPER).value == at(0), "a crash now must read from where the run began"
    position.advance([passed(200, "[3]")])
    position.settle(position.top)
    assert position.bookmark(UPPER).value == at(0)
    position.finish()
    assert position.bookmark(UPPER).value == at(200)


def test_records_of_the_overlap_are_known_by_key_and_hash_with_their_children() -> None:
    position = Position(KEYED, Bookmark(start=START))
    position.advance([passed(0, "[1]", "old"), passed(10, "[2]", "x", complete=False), passed(10, "[3]", "y")])
    position.settle(position.top)
    following = Position(KEYED, again(position.bookmark(UPPER)))
    assert following.lower == at(10)
    assert not following.unchanged("[1]", "old"), "before the overlap nothing is remembered"
    assert following.unchanged("[2]", "x")
    assert not following.unchanged("[2]", "x", complete=True)
    assert following.unchanged("[3]", "y", complete=True)
    assert not following.unchanged("[3]", "other")


def test_without_a_key_the_overlap_is_used_up_record_by_record() -> None:
    position = Position(KEYLESS, Bookmark(start=START))
    position.advance([passed(10, None, "same"), passed(10, None, "same"), passed(10, None, "other")])
    position.settle(position.top)
    following = Position(KEYLESS, again(position.bookmark(UPPER)))
    assert [following.unchanged(None, "same") for _ in range(3)] == [True, True, False]
    following.advance([passed(10, None, "same", fresh=False)] * 2 + [passed(10, None, "same")])
    following.settle(following.top)
    third = Position(KEYLESS, again(following.bookmark(UPPER)))
    assert [third.unchanged(None, "same") for _ in range(4)] == [True, True, True, False]


def test_b32_more_than_a_thousand_records_at_one_instant_are_not_all_remembered() -> None:
    position = Position(KEYED, Bookmark(start=START))
    position.advance([passed(1, f"[{n}]") for n in range(1500)])
    position.settle(position.top)
    assert len(position.bookmark(UPPER).seen) == 1000


def test_b32_nor_held_in_memory_while_they_are_read() -> None:
    position = Position(KEYED, Bookmark())
    tracemalloc.start()
    try:
        for page in range(40):
            position.advance([passed(5, str(page * 1_000 + row)) for row in range(1_000)])
            position.settle(at(5))
        assert tracemalloc.get_traced_memory()[0] < 2 * 1024 * 1024
    finally:
        tracemalloc.stop()
    assert len(position.bookmark(UPPER).seen) == 1_000


def test_a_lookback_does_not_move_it_back() -> None:
    stream = Stream(**{**KEYED.__dict__, "lookback": timedelta(hours=1)})
    position = Position(stream, Bookmark(start=START, value=at(7200)))
    assert position.lower == at(3600)
    position.advance([passed(3700, "[1]")])
    position.settle(position.top)
    assert position.bookmark(UPPER).value == at(7200)
    position.advance([passed(7300, "[2]")])
    position.settle(position.top)
    assert position.bookmark(UPPER).value == at(7300)


def test_what_the_source_has_not_settled_is_not_passed() -> None:
    position = Position(KEYED, Bookmark(start=START))
    position.advance([passed(0, "[1]"), passed(1, "[2]"), passed(3, "[3]")])
    position.settle(at(1))
    assert position.bookmark(UPPER).value == at(1)


@pytest.mark.parametrize(
    "stored",
    [
        {},
        {"version": 1},
        {"version": 2, "value": None},
        {"version": 1, "value": "x", "start": None, "upper": None, "seen": [], "counts": []},
    ],
)
def test_d9_a_bookmark_that_cannot_be_understood_is_never_no_bookmark(stored: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="bookmark"):
        Bookmark.from_json(stored, stream="cases")


@given(st.lists(st.lists(st.integers(0, 50), min_size=1, max_size=5), min_size=1, max_size=8), st.integers(0, 7))
def test_a_crash_after_any_page_loses_nothing(pages: list[list[int]], crash: int) -> None:
    """Whatever order a source sends, everything that a crash left unread lies at or above the bookmark less the
    overlap."""
    position = Position(KEYED, Bookmark(start=START, value=at(-1)))
    committed = position.bookmark(UPPER)
    for number, page in enumerate(pages):
        if number == crash:
            break
        position.advance([passed(second, f"[{second}]") for second in page])
        position.settle(position.top)
        committed = position.bookmark(UPPER)
    ordered = all(min(b) >= max(a) - 1 for n, a in enumerate(pages) for b in pages[n + 1 :])
    unread = [second for page in pages[crash:] for second in page]
    assert committed.value is not None
    if ordered or any(min(b) < max(max(p) for p in pages[:n]) - 1 for n, b in enumerate(pages[:crash]) if n):
        assert all(at(second) >= committed.value - timedelta(seconds=1) for second in unread)  # type: ignore[operator]


def test_what_is_settled_beyond_the_last_record_is_the_bookmark_of_a_complete_pass() -> None:
    position = Position(KEYED, Bookmark(start=START, value=at(0)))
    position.advance([passed(100, "[1]")])
    position.settle(at(101))
    position.finish()
    assert position.bookmark(UPPER).value == at(101)
