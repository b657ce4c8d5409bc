"""The window walk against a list that moves: nothing quiet is missed, and it costs what the rule says."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector_core.errors import SourceError
from connector_core.rest import Walk
from connector_core.rest.addresses import within
from connector_core.rest.paginators import Got
from connector_core.streams import Window

START = datetime(2026, 1, 1, tzinfo=UTC)
SITE = "https://acme.example.test"
WALK = Walk(cap=200)


def at(second: float) -> datetime:
    return START + timedelta(seconds=second)


def text(second: int) -> str:
    return f"{at(second).replace(tzinfo=None).isoformat()}Z"


@dataclass
class Site:
    """A list of records by key, each with the second of its last change; seconds are counted from START."""

    records: dict[int, int]
    size: int = 3
    inclusive: bool = False
    now: int = 10_000
    date_off: int = 0  # seconds that the `Date` header is behind
    calls: list[tuple[int, int]] = field(default_factory=list)
    spoil: Callable[[int, dict[str, Any]], dict[str, Any]] = lambda call, document: document

    def answer(self, since: int, page: int) -> dict[str, Any]:
        self.calls.append((since, page))
        listed = sorted(
            (second, key)
            for key, second in self.records.items()
            if second > since or (self.inclusive and second == since)
        )
        part = listed[(page - 1) * self.size : page * self.size]
        following = len(listed) > page * self.size
        link = {"href": f"/list?since={since}&page={page + 1}"} if following else None
        document = {
            "total_entries": len(listed),
            "_links": {"next": link},
            "entries": [{"id": key, "updated_at": text(second)} for second, key in part],
        }
        return self.spoil(len(self.calls), document)


@dataclass
class Outcome:
    emitted: set[tuple[int, int]] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)
    pages: int = 0
    settled: datetime | None = None
    total: int | None = None


def steps(
    site: Site, *, walk: Walk = WALK, start: int = 0, upper: int | None = None, most: int = 5_000
) -> Iterator[Outcome]:
    """Walk over the site as the engine does, one page at a time."""
    outcome = Outcome()
    window = Window(lower=at(start), upper=None if upper is None else at(upper), overlap=timedelta(seconds=1))
    token: Hashable | None = walk.first(window)
    tokens = set()
    while token is not None:
        assert token not in tokens, "the engine takes a repeated token for a circle"
        tokens.add(token)
        ask = walk.ask(token)
        assert isinstance(ask.since, datetime)
        since, page = int((ask.since - START).total_seconds()), ask.params["page"]
        asked = f"{SITE}/list?since={since}&page={page}"
        document = site.answer(since, page)
        count = document["total_entries"]
        got = Got(
            document=document,
            headers={},
            records=document["entries"],
            asked=asked,
            link=lambda link, asked=asked: within(SITE, link, asked=asked),
            window=window,
            total=count if type(count) is int and count >= 0 else None,
            served_at=at(site.now - site.date_off),
            primary_key=("id",),
            replication_key="updated_at",
        )
        turn = walk.turn(token, got)
        outcome.pages += 1
        outcome.total = turn.total if turn.total is not None else outcome.total
        outcome.notes += turn.notes
        for entry in document["entries"]:
            if isinstance(entry, dict) and isinstance(entry.get("updated_at"), str):
                read = datetime.fromisoformat(entry["updated_at"])
                outcome.emitted.add((entry["id"], int((read - START).total_seconds())))
        assert turn.settled is not None
        outcome.settled = turn.settled if outcome.settled is None else max(outcome.settled, turn.settled)
        yield outcome
        assert outcome.pages < most, "the walk does not end"
        token = turn.next


def run(site: Site, **more: Any) -> Outcome:
    outcome = Outcome()
    for latest in steps(site, **more):
        outcome = latest
    return outcome


def expected_calls(site: Site, start: int) -> list[tuple[int, int]]:
    """The rule on quiet data, written down once more: page 1 of a `since`; further pages while the page's last second
    is less than two above the first one's; several pages are read twice; from the last second less one anew."""
    calls, since = [], start - 1
    while True:
        listed = sorted(s for s in site.records.values() if s > since or (site.inclusive and s == since))
        page = 1
        while True:
            part = listed[(page - 1) * site.size : page * site.size]
            ended = len(listed) <= page * site.size
            if ended or part[-1] >= listed[0] + 2:
                break
            page += 1
        calls += [(since, number) for _ in range(1 if page == 1 else 2) for number in range(1, page + 1)]
        if ended:
            return calls
        since = part[-1] - 1


keys = st.integers(1, 30)
crowded = st.dictionaries(keys, st.integers(0, 3), max_size=30) | st.dictionaries(keys, st.integers(0, 25), max_size=30)
spread = st.dictionaries(keys, st.integers(0, 2_000), max_size=30)


@given(records=crowded | spread, size=st.integers(1, 7), inclusive=st.booleans())
@settings(deadline=None, max_examples=100)
def test_quiet_data_costs_exactly_what_the_rule_says(records: dict[int, int], size: int, inclusive: bool) -> None:
    site = Site(records=records, size=size, inclusive=inclusive)
    outcome = run(site, upper=site.now)
    assert site.calls == expected_calls(site, 0)
    assert outcome.emitted == set(records.items())
    assert outcome.total == len(records)
    assert outcome.notes == []
    if records:
        assert outcome.settled == at(max(records.values()))


Change = tuple[str, int, int]
changes = st.lists(
    st.tuples(st.sampled_from(["touch", "touch", "touch", "vanish", "appear"]), keys, st.integers(0, 2)),
    max_size=20,
)


@given(
    records=crowded | spread,
    size=st.integers(1, 5),
    inclusive=st.booleans(),
    moves=st.lists(changes, max_size=12),
    lag=st.sampled_from([0, 1, 5, 500]),
)
@settings(deadline=None, max_examples=250)
def test_moving_data_the_bookmark_never_passes_a_record_that_was_not_read(
    records: dict[int, int], size: int, inclusive: bool, moves: list[list[Change]], lag: int
) -> None:
    site = Site(records=dict(records), size=size, inclusive=inclusive)
    site.now = max(records.values(), default=0) + lag
    upper = site.now
    untouched = set(records.items())
    before = set(records.items())
    left = iter(moves)
    for outcome in steps(site, upper=upper):
        # what stood in the list when this page was served and lies below the bookmark was read: a crash loses nothing
        assert outcome.settled is not None
        covered = {(k, s) for k, s in before if at(s) < outcome.settled and s <= upper}
        assert covered <= outcome.emitted
        for what, key, delay in next(left, []):
            site.now += delay
            if what == "vanish":
                site.records.pop(key, None)
            elif what == "appear" or key in site.records:
                site.records[key] = site.now
            untouched = {pair for pair in untouched if pair[0] != key}
        before = set(site.records.items())
    assert untouched <= outcome.emitted, "a record that was there all the time and never changed was missed"
    # one quiet run later the source and the reader agree
    second_run = run(site, start=int((min(outcome.settled or at(0), at(upper)) - START).total_seconds()))
    assert set(site.records.items()) <= outcome.emitted | second_run.emitted


def test_a28_records_that_slide_over_a_page_boundary_are_read_in_the_same_run() -> None:
    site = Site(records=dict.fromkeys(range(1, 10), 5), size=3)
    for outcome in steps(site, upper=site.now):
        if outcome.pages == 1:
            site.records[1] = 9_000  # everything behind it slides one place forward, 4 onto the page that was read
    assert {(key, 5) for key in range(2, 10)} <= outcome.emitted


def test_the_bookmark_follows_page_by_page() -> None:
    site = Site(records={key: 10 * key for key in range(1, 8)}, size=3)
    assert [outcome.settled for outcome in steps(site, upper=site.now)] == [at(30), at(50), at(70)]


def test_the_bookmark_waits_where_records_may_have_slid_away() -> None:
    site = Site(records=dict.fromkeys(range(1, 6), 5) | dict.fromkeys(range(6, 12), 6) | {12: 50}, size=3)
    reached = []
    for outcome in steps(site, upper=site.now):
        reached.append(outcome.settled)
        if outcome.pages == 1:
            site.records[1] = 9_000  # 4 slides onto the page that was read: only the next pass shows it
    assert reached == [at(5)] * 9 + [at(6)] * 2 + [at(9_000)]  # three passes of four pages
    assert (4, 5) in outcome.emitted


def test_the_bookmark_waits_in_a_repeated_pass_that_differs() -> None:
    site = Site(records=dict.fromkeys(range(1, 8), 5) | dict.fromkeys(range(8, 12), 6) | {12: 50}, size=2)
    moves = {2: [1], 7: [2, 3]}  # the record 5 slides over a boundary in the first pass and again in the second
    for outcome in steps(site, upper=site.now):
        missed = {(key, second) for key, second in site.records.items() if at(second) < (outcome.settled or at(0))}
        assert missed <= outcome.emitted
        for key in moves.get(outcome.pages, []):
            site.records[key] = 9_000
    assert (5, 5) in outcome.emitted


def test_two_passes_that_miss_the_same_record_do_not_fool_it() -> None:
    # "nothing new" would end here: in both passes the record 5 slides over a boundary just in time
    site = Site(records=dict.fromkeys(range(1, 8), 5), size=2)
    moves = {2: [1], 3: [], 4: [], 5: [2, 3]}
    for outcome in steps(site, upper=site.now):
        for key in moves.get(outcome.pages, []):
            site.records[key] = 9_000
    assert {(key, 5) for key in range(4, 8)} <= outcome.emitted


def test_a26_a_row_that_comes_twice_in_a_page_changes_nothing() -> None:
    site = Site(records={key: 10 * key for key in range(1, 10)}, size=3)

    def twice(call: int, document: dict[str, Any]) -> dict[str, Any]:
        return document | {"entries": [*document["entries"], document["entries"][-1]]}

    site.spoil = twice
    assert run(site, upper=site.now).emitted == set(site.records.items())


def test_a25_an_answer_that_is_served_twice_is_healed_in_the_same_run() -> None:
    site = Site(records={key: 10 * key for key in range(1, 20)}, size=4)
    served: list[dict[str, Any]] = []

    def again(call: int, document: dict[str, Any]) -> dict[str, Any]:
        served.append(document)
        return served[1] if call == 3 else document

    site.spoil = again
    assert run(site, upper=site.now).emitted == set(site.records.items())


def test_a27_rows_in_any_order_inside_a_page() -> None:
    site = Site(records={key: 10 * key for key in range(1, 20)}, size=4)
    site.spoil = lambda call, document: document | {"entries": document["entries"][::-1]}
    outcome = run(site, upper=site.now)
    assert outcome.emitted == set(site.records.items())
    assert site.calls == expected_calls(site, 0)


@pytest.mark.parametrize("count", [None, "many", -3, 2, 10_000])
def test_a30_a_count_that_is_wrong_neither_stops_it_early_nor_keeps_it_going(count: Any) -> None:
    site = Site(records={key: 10 * key for key in range(1, 20)}, size=4)
    site.spoil = lambda call, document: document | {"total_entries": count}
    outcome = run(site, upper=site.now)
    assert outcome.emitted == set(site.records.items())
    assert len(site.calls) <= 2 * len(expected_calls(site, 0)) + 2
    assert bool(outcome.notes) == (count in (2, 10_000)), "what is no count at all is remarked by the stream"


def test_a31_a_row_that_is_counted_but_not_shown_is_found_in_the_same_run() -> None:
    site = Site(records={key: 10 * key for key in range(1, 20)}, size=4)
    site.spoil = lambda call, document: (
        document | {"entries": [e for e in document["entries"] if e["id"] != 6]} if call == 2 else document
    )
    outcome = run(site, upper=site.now)
    assert outcome.emitted == set(site.records.items())
    assert any("1 records that the source counts" in note for note in outcome.notes)


def test_a31_a_row_that_is_never_shown_is_reported_and_does_not_stop_it() -> None:
    site = Site(records={key: 10 * key for key in range(1, 20)}, size=4)
    site.spoil = lambda call, document: document | {"entries": [e for e in document["entries"] if e["id"] != 6]}
    outcome = run(site, upper=site.now)
    assert outcome.emitted == set(site.records.items()) - {(6, 60)}
    assert any("nor on a second reading" in note for note in outcome.notes)


def test_a32_entries_that_are_no_objects_do_not_stop_it() -> None:
    site = Site(records={key: 10 * key for key in range(1, 20)}, size=4)
    site.spoil = lambda call, document: document | {"entries": [None, *document["entries"], "text", 7]}
    assert run(site, upper=site.now).emitted == set(site.records.items())


def test_a33_an_empty_page_with_a_next_link_is_turned_over_and_what_it_hid_is_read() -> None:
    site = Site(records={key: 10 * key for key in range(1, 20)}, size=4)
    site.spoil = lambda call, document: document | {"entries": []} if call == 2 else document
    outcome = run(site, upper=site.now)
    assert outcome.emitted == set(site.records.items())
    assert "an empty page with a next link was read" in outcome.notes


def test_a33_empty_pages_for_ever_are_an_error() -> None:
    site = Site(records={key: 10 * key for key in range(1, 20)}, size=4)
    site.spoil = lambda call, document: (
        document
        | {
            "entries": [],
            "_links": {"next": {"href": f"/list?page={call + 1}"}},
        }
    )
    with pytest.raises(SourceError, match="3 empty pages in a row") as caught:
        run(site, upper=site.now)
    assert caught.value.code == "empty_pages"
    assert len(site.calls) == 3


def test_a34_a_next_link_to_the_page_itself_is_an_error_at_once() -> None:
    site = Site(records={key: 10 * key for key in range(1, 20)}, size=4)
    site.spoil = lambda call, document: document | {"_links": {"next": {"href": "/list?page=1&since=-1"}}}
    with pytest.raises(SourceError, match="the page itself") as caught:
        run(site, upper=site.now)
    assert caught.value.code == "loop"
    assert len(site.calls) == 1


def test_a35_an_end_that_comes_too_early_is_not_believed_while_the_count_says_more() -> None:
    site = Site(records={key: 10 * key for key in range(1, 20)}, size=4)
    site.spoil = lambda call, document: document | {"_links": {"next": None}} if call == 2 else document
    assert run(site, upper=site.now).emitted == set(site.records.items())


def test_a35_an_early_end_inside_one_second_is_reported_and_the_bookmark_allows_to_go_on() -> None:
    site = Site(records=dict.fromkeys(range(1, 10), 50), size=4)
    site.spoil = lambda call, document: document | {"_links": {"next": None}}
    outcome = run(site, upper=site.now)
    assert any("counts 9 records" in note and "shows 5 less" in note for note in outcome.notes)
    assert outcome.settled == at(50)
    site.spoil = lambda call, document: document
    assert run(site, start=50, upper=site.now).emitted == set(site.records.items())


def test_a37_a_stale_record_in_a_later_page_does_not_turn_the_walk_back() -> None:
    site = Site(records={key: 10 * key for key in range(1, 20)}, size=4)
    site.spoil = lambda call, document: (
        document | {"entries": [{"id": 2, "updated_at": text(1)}, *document["entries"]]} if call == 3 else document
    )
    assert set(site.records.items()) <= run(site, upper=site.now).emitted


@pytest.mark.parametrize("off", [-7_200, 7_200])
def test_a38_a_server_clock_that_is_hours_off_its_data_loses_nothing(off: int) -> None:
    site = Site(records={key: 9_000 + 10 * key for key in range(1, 20)}, size=4, date_off=off)
    outcome = run(site, upper=site.now - off)
    assert outcome.emitted == set(site.records.items())


def test_a42_smaller_pages_than_asked_for_are_no_end() -> None:
    site = Site(records={key: 10 * key for key in range(1, 20)}, size=5)

    def smaller(call: int, document: dict[str, Any]) -> dict[str, Any]:
        site.size = 2
        return document

    site.spoil = smaller
    assert run(site, upper=site.now).emitted == set(site.records.items())


def test_it_stops_when_a_whole_page_lies_above_the_upper_bound() -> None:
    site = Site(records={key: 9_000 + 10 * key for key in range(1, 20)}, size=3, now=9_300)
    for outcome in steps(site, upper=9_100):
        site.now += 100
        site.records[1_000 + outcome.pages] = site.now  # a source that grows faster than it is read
    assert {(key, second) for key, second in site.records.items() if second <= 9_100} <= outcome.emitted
    assert outcome.pages < 15


def test_a_source_without_a_bound_is_read_to_its_end() -> None:
    site = Site(records={key: 10 * key for key in range(1, 20)}, size=4)
    assert run(site).emitted == set(site.records.items())


def test_one_second_with_more_pages_than_the_cap_is_a_loud_error_that_names_it() -> None:
    site = Site(records={1: 5, 2: 6} | dict.fromkeys(range(3, 40), 60), size=2)
    with pytest.raises(SourceError, match=re.escape("more than 4 pages of records share the second " + text(60))) as e:
        run(site, walk=Walk(cap=4), upper=site.now)
    assert e.value.code == "page_cap"


def test_records_that_move_for_ever_are_an_error_in_the_end() -> None:
    site = Site(records=dict.fromkeys(range(1, 400), 5), size=3)

    def touch_one(call: int, document: dict[str, Any]) -> dict[str, Any]:
        site.records[call] = 9_000 + call
        return document

    site.spoil = touch_one
    with pytest.raises(SourceError, match=r"5 readings of the records since .* differ") as caught:
        run(site, walk=Walk(passes=5), upper=site.now)
    assert caught.value.code == "moving"


def test_h1_a_next_link_to_another_host_is_refused_though_it_would_not_be_followed() -> None:
    site = Site(records={key: 10 * key for key in range(1, 20)}, size=4)
    site.spoil = lambda call, document: document | {"_links": {"next": {"href": "https://evil.example.test/list"}}}
    with pytest.raises(SourceError) as caught:
        run(site, upper=site.now)
    assert caught.value.code == "foreign_origin"


def test_a_token_costs_only_its_own_page() -> None:
    site = Site(records=dict.fromkeys(range(1, 2_000), 5), size=10)
    window = Window(lower=at(0), upper=at(site.now), overlap=timedelta(seconds=1))
    token: Any = WALK.first(window)
    for _ in range(100):
        ask = WALK.ask(token)
        document = site.answer(-1, ask.params["page"])
        got = Got(
            document=document, headers={}, records=document["entries"], asked=f"{SITE}/list?page={ask.params['page']}",
            link=lambda link: f"{SITE}{link}", window=window, primary_key=("id",), replication_key="updated_at",
        )  # fmt: skip
        token = WALK.turn(token, got).next
    assert len(token.seen.page) == 10
    assert str(token) == "101 since 2025-12-31T23:59:59Z"
