"""Slots in the ledger: each once, taken over once, since when a schedule counts, pauses; and ledgers from before."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connector_core.errors import BusyError
from connector_core.ledger import Ledger
from connector_core.ledger.schema import METADATA
from connector_core.scheduling import Due, Interval, due, spec

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
HOURLY = Interval(every=HOUR)
WORDS = spec(HOURLY)


class Clock:
    """A clock that stands still until it is set."""

    now = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(tmp_path: Path, clock: Clock) -> Iterator[Ledger]:
    with Ledger.open(f"sqlite:///{tmp_path}/ledger.db", clock=clock) as ledger:
        yield ledger


def run(ledger: Ledger, run_id: str, slot: datetime | None = None, *, trigger: str = "schedule") -> None:
    ledger.begin_run("desk", trigger=trigger, run_id=run_id, slot=slot)


def test_e11_a_slot_begins_once(ledger: Ledger) -> None:
    run(ledger, "a", NOON)
    ledger.finish_run("a", status="failed", exit_code=4)
    with pytest.raises(BusyError, match="the slot 2026-06-01T12:00:00Z was run already"):
        run(ledger, "b", NOON)
    assert [one.run_id for one in ledger.runs("desk")] == ["a"]
    assert ledger.slot("desk", NOON + HOUR, "skipped", "overrun")
    with pytest.raises(BusyError, match="was skipped already"):
        run(ledger, "b", NOON + HOUR)
    assert not ledger.slot("desk", NOON, "skipped", "overrun")


def test_e12_a_slot_whose_process_died_is_taken_over_once(ledger: Ledger, clock: Clock) -> None:
    for run_id in ("a", "b"):
        ledger.follow("desk", WORDS)
        known = ledger.agenda("desk", WORDS).history
        found = due(HOURLY, known, clock(), catch_up="one", watched=clock())
        assert (found.run, found.again) == (NOON, run_id == "b")
        run(ledger, run_id, found.run)  # nobody holds the lease after that: the process has died
        clock.now += MINUTE
    assert ledger.agenda("desk", WORDS).history.broken is None
    with pytest.raises(BusyError):
        run(ledger, "c", NOON)
    (slot,) = ledger.slots("desk")
    assert (slot.at, slot.state, slot.run_id, slot.attempts) == (NOON, "run", "b", 2)
    assert {one.run_id: one.status for one in ledger.runs("desk")}["a"] == "crashed"


def test_e12_a_newer_slot_is_run_instead_of_one_whose_process_died(ledger: Ledger, clock: Clock) -> None:
    ledger.follow("desk", WORDS)
    run(ledger, "a", NOON)
    clock.now += HOUR
    found = due(HOURLY, ledger.agenda("desk", WORDS).history, clock(), catch_up="one", watched=clock())
    assert (found.run, found.again, found.skipped) == (NOON + HOUR, False, ())


def test_a_slot_is_not_taken_over_while_its_process_lives(ledger: Ledger, clock: Clock) -> None:
    ledger.follow("desk", WORDS)
    with ledger.lease("connector:desk", "a"):
        waiting = ledger.agenda("desk", WORDS).history  # it has the lease and has not begun yet
        assert (waiting.starting, waiting.broken) == (True, None)
        assert due(HOURLY, waiting, clock(), catch_up="one", watched=clock()) == Due()
        run(ledger, "a", NOON)
        clock.now += MINUTE
        going = ledger.agenda("desk", WORDS).history
        assert (going.running, going.broken, going.noted, going.base) == (True, None, NOON, NOON)
    assert ledger.agenda("desk", WORDS).history.broken == NOON


def test_an_interval_counts_from_the_last_start(ledger: Ledger, clock: Clock) -> None:
    ledger.follow("desk", WORDS)
    clock.now = NOON + 40 * timedelta(seconds=1)
    run(ledger, "a", NOON)
    ledger.finish_run("a", status="succeeded", exit_code=0)
    assert ledger.agenda("desk", WORDS).history.base == NOON  # that soon after its slot is at its slot
    clock.now = NOON + HOUR + 20 * MINUTE
    run(ledger, "b", NOON + HOUR)
    ledger.finish_run("b", status="succeeded", exit_code=0)
    assert ledger.agenda("desk", WORDS).history.base == clock()
    clock.now = NOON + 2 * HOUR
    run(ledger, "c", trigger="manual")
    assert ledger.agenda("desk", WORDS).history.base == clock()
    ledger.finish_run("c", status="succeeded", exit_code=0)
    run(ledger, "d", trigger="replay")
    assert ledger.agenda("desk", WORDS).history.base == clock()


def test_e14_another_schedule_counts_from_when_it_was_seen(ledger: Ledger, clock: Clock) -> None:
    ledger.follow("desk", WORDS)
    clock.now += 5 * MINUTE
    ledger.follow("desk", WORDS)
    assert ledger.agenda("desk", WORDS).history.since == NOON
    ledger.follow("desk", "every 2h")
    assert ledger.agenda("desk", "every 2h").history.since == clock()
    assert ledger.agenda("desk", "every 2h").followed
    assert not ledger.agenda("desk", WORDS).followed
    assert ledger.agenda("other", WORDS).history.since == clock()


def test_e14_what_is_missed_in_a_pause_is_not_made_up(ledger: Ledger, clock: Clock) -> None:
    ledger.follow("desk", WORDS)
    run(ledger, "a", NOON)
    clock.now += MINUTE
    ledger.finish_run("a", status="succeeded", exit_code=0)
    assert ledger.pause("desk", by="ada@host", why="the site\nmoves")
    assert not ledger.pause("desk", by="bob@host", why="again")
    paused = ledger.agenda("desk", WORDS).paused
    assert paused is not None
    assert (paused.at, paused.by, paused.why) == (clock(), "ada@host", "the site\\nmoves")
    clock.now = NOON + 5 * HOUR + MINUTE
    assert ledger.resume("desk", by="bob@host")
    assert not ledger.resume("desk", by="bob@host")
    assert ledger.agenda("desk", WORDS).paused is None
    known = ledger.agenda("desk", WORDS).history
    assert due(HOURLY, known, clock(), catch_up="one", watched=clock()).run is None
    assert due(HOURLY, known, NOON + 6 * HOUR, catch_up="one", watched=clock()).run == NOON + 6 * HOUR


def test_d11_what_a_wrong_clock_noted_in_the_far_future_stops_nothing(ledger: Ledger, clock: Clock) -> None:
    year = timedelta(days=365)
    clock.now = NOON + year
    ledger.follow("desk", WORDS)
    run(ledger, "a", clock())
    ledger.finish_run("a", status="succeeded", exit_code=0)
    clock.now = NOON
    known = ledger.agenda("desk", WORDS).history
    assert (known.since, known.noted, known.base) == (NOON, None, None)
    clock.now = NOON + year - HOUR  # set back by an hour: that slot was run
    assert ledger.agenda("desk", WORDS).history.noted == NOON + year


def test_f6_a_ledger_from_before_schedules_gets_what_is_missing(tmp_path: Path, clock: Clock) -> None:
    file = tmp_path / "ledger.db"
    with Ledger.open(f"sqlite:///{file}", clock=clock) as ledger:
        ledger.slot("desk", NOON - HOUR, "skipped", "overrun")
        run(ledger, "a")
        ledger.finish_run("a", status="succeeded", exit_code=0)
    with sqlite3.connect(file) as connection:  # as the first version made it
        for table in ("ledger_schedules", "ledger_pauses"):
            connection.execute(f"DROP TABLE {table}")
        for column in ("run_id", "attempts"):
            connection.execute(f"ALTER TABLE ledger_slots DROP COLUMN {column}")
        connection.execute("UPDATE ledger_version SET version = 1")
    connection.close()
    with Ledger.open(f"sqlite:///{file}", clock=clock) as ledger:
        assert [(slot.at, slot.run_id, slot.attempts) for slot in ledger.slots("desk")] == [(NOON - HOUR, None, 0)]
        ledger.follow("desk", WORDS)
        run(ledger, "b", NOON)
        assert ledger.slots("desk")[0].run_id == "b"
    with sqlite3.connect(file) as connection:
        there = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    connection.close()
    assert set(METADATA.tables) <= there
