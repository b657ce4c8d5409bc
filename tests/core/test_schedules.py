"""Schedules: Stitch's published examples, daylight saving in three zones over twenty years, and random histories."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from itertools import count, islice, takewhile
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as some

from connector_core.scheduling import Cron, Grid, History, Interval, Schedule, due, following, preview, spec
from connector_core.scheduling.due import MOST
from tests.support.timetable import MINUTE, Life, at, clock

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NEW_YORK = -4  # Stitch's examples are in summer time


def minutes(*numbers: int) -> list[timedelta]:
    return [timedelta(minutes=number) for number in numbers]


def after(schedule: Schedule, instant: datetime, number: int) -> list[datetime]:
    return list(islice(following(schedule, instant, base=instant), number))


# --- Stitch's published examples (facts/stitch_semantics.md 1.4 and 1.5)


def test_e9_every_30_minutes_and_runs_of_42_29_and_33_minutes() -> None:
    life = Life(Interval(every=timedelta(minutes=30)), at("12:00"), minutes(42, 29, 33, 5)).until(at("14:30"))
    assert clock(life.ran) == ["12:00", "13:00", "13:30", "14:30"]
    assert [(f"{slot:%H:%M}", reason) for slot, reason in life.skipped] == [
        ("12:30", "the run of 2026-06-01 12:00:00Z was still going on"),
        ("14:00", "the run of 2026-06-01 13:30:00Z was still going on"),
    ]


def test_e9_every_hour_and_a_run_of_68_minutes() -> None:
    life = Life(Interval(every=HOUR), at("2:30"), minutes(55, 68, 51, 5)).until(at("6:30"))
    assert clock(life.ran) == ["02:30", "03:30", "05:30", "06:30"]
    assert clock(slot for slot, _ in life.skipped) == ["04:30"]


def test_every_6_hours() -> None:
    life = Life(Interval(every=6 * HOUR), at("9:00")).until(at("9:00", 2))
    assert clock(life.ran) == ["09:00", "15:00", "21:00", "03:00", "09:00"]


def test_e16_now_8_every_6_hours_anchor_9() -> None:
    life = Life(Grid(every=6 * HOUR, anchor=at("9:00", offset=NEW_YORK)), at("8:00", offset=NEW_YORK))
    life.until(at("9:00", 2, offset=NEW_YORK))
    assert clock(life.ran, offset=NEW_YORK) == ["09:00", "15:00", "21:00", "03:00", "09:00"]
    assert clock(life.ran) == ["13:00", "19:00", "01:00", "07:00", "13:00"]


def test_e16_now_12_every_day_anchor_9_is_tomorrow() -> None:
    life = Life(Grid(every=DAY, anchor=at("9:00", offset=NEW_YORK)), at("12:00", offset=NEW_YORK))
    life.until(at("12:00", 3, offset=NEW_YORK))
    assert life.ran == [at("9:00", 2, offset=NEW_YORK), at("9:00", 3, offset=NEW_YORK)]


def test_e16_e9_now_13_30_every_hour_anchor_14_30_and_a_run_of_68_minutes() -> None:
    grid = Grid(every=HOUR, anchor=at("14:30"))
    life = Life(grid, at("13:30"), minutes(55, 68, 51)).until(at("18:30"))
    assert clock(life.ran) == ["14:30", "15:30", "17:30", "18:30"]
    assert [(f"{slot:%H:%M}", reason) for slot, reason in life.skipped] == [
        ("16:30", "the run of 2026-06-01 15:30:00Z was still going on")
    ]


@pytest.mark.parametrize(
    ("anchor", "slots"),
    [("3:30", ["03:30", "09:30", "15:30", "21:30"]), ("12:00", ["00:00", "06:00", "12:00", "18:00"])],
)
def test_an_anchor_is_a_point_of_a_grid_without_end_on_either_side(anchor: str, slots: list[str]) -> None:
    for day in (1, 15, 30):
        grid = Grid(every=6 * HOUR, anchor=at(anchor, day))
        assert sorted(clock(after(grid, at("0:00", 15) - MINUTE, 4))) == slots


def test_working_days_at_half_past_seven() -> None:
    slots = after(Cron(expression="30 7 * * 1-5"), at("8:00", 5), 3)  # a Friday
    assert slots == [at("7:30", 8), at("7:30", 9), at("7:30", 10)]


# --- by hand, edits, pauses


def test_a_run_by_hand_moves_an_interval_and_never_a_grid() -> None:
    for schedule, expected in (
        (Interval(every=6 * HOUR), ["08:59", "17:20", "23:20"]),
        (Grid(every=6 * HOUR, anchor=at("9:00")), ["09:00", "15:00", "21:00"]),
    ):
        life = Life(schedule, at("8:59")).until(at("11:19"))
        life.by_hand()
        assert clock(life.until(at("23:59")).ran) == expected
        assert life.skipped == []


def test_e14_an_edited_schedule_counts_from_its_next_slot() -> None:
    ran = History(since=at("9:00"), noted=at("12:00"), base=at("12:00"), began=at("12:00"), ended=at("12:10"))
    edited = History(**{**vars(ran), "since": at("20:10")})
    for schedule, expected in (
        (Interval(every=HOUR), "21:00"),
        (Grid(every=HOUR, anchor=at("0:30")), "20:30"),
        (Cron(expression="0 * * * *"), "21:00"),
    ):
        assert due(schedule, edited, at("20:10"), catch_up="one", watched=at("20:10")).run is None
        assert clock(islice(preview(schedule, edited, at("20:10"), catch_up="one"), 1)) == [expected]
        assert due(schedule, ran, at("20:10"), catch_up="one", watched=at("20:10")).run is not None  # without the edit


def test_e14_an_edit_while_a_run_goes_on_lets_it_finish() -> None:
    going = History(since=at("12:20"), noted=at("12:00"), base=at("12:00"), began=at("12:00"))
    found = due(Interval(every=timedelta(minutes=15)), going, at("12:31"), catch_up="one", watched=at("12:00"))
    assert found.run is None
    assert clock(skip.at for skip in found.skipped) == ["12:30"]


def test_a_first_look_at_a_connector_that_ran_by_hand_waits_for_the_interval_only() -> None:
    young = History(since=at("12:00"), base=at("10:00"), began=at("10:00"), ended=at("10:05"))
    old = History(since=at("12:00"), base=at("1:00"), began=at("1:00"), ended=at("1:05"))
    six = Interval(every=6 * HOUR)
    assert clock(islice(preview(six, young, at("12:00"), catch_up="one"), 2)) == ["16:00", "22:00"]
    assert clock(islice(preview(six, old, at("12:00"), catch_up="one"), 2)) == ["12:00", "18:00"]


# --- downtime


def test_e10_after_downtime_one_run_catches_up_and_the_missed_slots_are_noted() -> None:
    life = Life(Grid(every=HOUR, anchor=at("0:00")), at("8:30")).until(at("10:10"))
    life.sleep(at("15:40"))
    life.until(at("17:00"))
    assert clock(life.ran) == ["09:00", "10:00", "15:00", "16:00", "17:00"]
    assert clock(slot for slot, _ in life.skipped) == ["11:00", "12:00", "13:00", "14:00"]
    assert {reason for _, reason in life.skipped} == {"nobody was running the schedule"}


def test_e10_an_interval_goes_on_from_its_catch_up() -> None:
    life = Life(Interval(every=HOUR), at("9:00")).until(at("10:10"))
    life.sleep(at("15:40"))
    assert clock(life.until(at("17:00")).ran) == ["09:00", "10:00", "15:00", "16:40"]


def test_e10_without_catch_up_the_next_run_is_the_next_slot() -> None:
    life = Life(Grid(every=HOUR, anchor=at("0:00")), at("8:30"), catch_up="none").until(at("10:10"))
    life.sleep(at("15:40"))
    assert clock(life.until(at("17:00")).ran) == ["09:00", "10:00", "16:00", "17:00"]
    assert clock(slot for slot, _ in life.skipped) == ["11:00", "12:00", "13:00", "14:00", "15:00"]
    short = Life(Grid(every=HOUR, anchor=at("0:00")), at("8:30"), catch_up="none")
    short.sleep(at("9:10"))  # as late as a timer may be
    assert clock(short.until(at("9:30")).ran) == ["09:00"]


def test_e10_a_run_by_hand_during_downtime_has_caught_up() -> None:
    life = Life(Grid(every=HOUR, anchor=at("0:00")), at("8:30")).until(at("10:10"))
    life.sleep(at("13:20"))
    life.by_hand()
    life.sleep(at("13:40"))
    life.until(at("14:00"))
    assert clock(life.ran) == ["09:00", "10:00", "14:00"]
    assert [reason[:31] for _, reason in life.skipped] == ["nobody was running the schedule"] * 3


@pytest.mark.parametrize(
    "schedule", [Interval(every=MINUTE), Grid(every=MINUTE, anchor=at("0:00")), Cron(expression="* * * * *")]
)
def test_e10_a_year_of_missed_minutes_is_one_run_and_takes_no_time(schedule: Schedule) -> None:
    now = at("12:00") + 365 * DAY
    history = History(since=at("11:00"), noted=at("12:00"), base=at("12:00"), began=at("12:00"), ended=at("12:00"))
    found = due(schedule, history, now, catch_up="one", watched=now)
    assert found.run == now
    assert 0 < len(found.skipped) < MOST
    assert found.skipped[-1].at == now - MINUTE


# --- clocks that jump


def test_e15_d11_a_clock_that_is_set_back_runs_no_slot_twice() -> None:
    half = timedelta(minutes=30)
    for schedule, first in ((Grid(every=half, anchor=at("0:00")), "9:30"), (Interval(every=half), "9:00")):
        life = Life(schedule, at("9:00")).until(at("12:10"))
        life.sleep(at("11:10"))
        life.until(at("13:00"))
        assert life.ran == list(takewhile(lambda slot: slot <= at("13:00"), (at(first) + n * half for n in count())))


def test_d11_a_clock_that_leaps_ahead_runs_the_newest_slot_only() -> None:
    life = Life(Grid(every=timedelta(minutes=30), anchor=at("0:00")), at("9:00")).until(at("10:10"))
    life.now = at("16:10")  # without a break in looking
    assert clock(life.until(at("16:40")).ran) == ["09:30", "10:00", "16:00", "16:30"]


# --- daylight saving (E13)

ZONES = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]  # the last one changes by half an hour
WALLS = [time(1, 15), time(2, 15)]
YEARS = range(2016, 2036)


def on_the_wall(day: date, wall: time, zone: ZoneInfo) -> datetime:
    """By brute force: the first minute of that day whose clock shows `wall`, else the first that shows more."""
    minute = datetime.combine(day, time(12), tzinfo=zone).astimezone(UTC) - 13 * HOUR
    shown = [(minute + n * MINUTE, (minute + n * MINUTE).astimezone(zone).replace(tzinfo=None)) for n in range(780)]
    wanted = datetime.combine(day, wall)
    exact = [instant for instant, local in shown if local == wanted]
    return exact[0] if exact else min(instant for instant, local in shown if local > wanted)


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("wall", WALLS, ids=str)
def test_e13_twenty_years_of_daylight_saving(zone: str, wall: time) -> None:
    there = ZoneInfo(zone)
    begin = datetime(YEARS.start, 1, 1, tzinfo=there).astimezone(UTC)
    end = datetime(YEARS.stop, 1, 1, tzinfo=there).astimezone(UTC)
    days = [date(YEARS.start, 1, 1) + n * DAY for n in range((date(YEARS.stop, 1, 1) - date(YEARS.start, 1, 1)).days)]
    anchor = datetime(2020, 7, 1, wall.hour, wall.minute, tzinfo=there).astimezone(UTC)
    changes = 0
    for schedule in (
        Grid(every=DAY, anchor=anchor, zone=zone),
        Cron(expression=f"{wall.minute} {wall.hour} * * *", zone=zone),
    ):
        slots = list(takewhile(lambda slot: slot < end, following(schedule, begin - MINUTE, base=begin)))
        assert len(slots) == len(days)
        for day, slot in zip(days, slots, strict=True):
            local = slot.astimezone(there)
            midnight, next_midnight = (datetime.combine(d, time(), tzinfo=there) for d in (day, day + DAY))
            if midnight.utcoffset() != next_midnight.utcoffset():
                changes += 1
                assert slot == on_the_wall(day, wall, there), day
            else:
                assert local.replace(tzinfo=None) == datetime.combine(day, wall), day
    assert changes == 2 * 2 * len(YEARS)


def test_e13_several_slots_in_one_gap_are_one_slot() -> None:
    """At 2:00 on 29 March 2026 clocks in Berlin jump to 3:00."""
    gap = datetime(2026, 3, 29, 1, tzinfo=UTC)
    tens = Cron(expression="*/10 * * * *", zone="Europe/Berlin")
    assert after(tens, gap - timedelta(minutes=11), 3) == [
        gap - timedelta(minutes=10),
        gap,
        gap + timedelta(minutes=10),
    ]
    hours = Grid(every=HOUR, anchor=gap, zone="Europe/Berlin")
    assert after(hours, gap - HOUR, 2) == [gap, gap + HOUR]


def test_e13_the_second_of_two_equal_hours_has_no_slots() -> None:
    """At 3:00 on 25 October 2026 clocks in Berlin go back to 2:00."""
    back = datetime(2026, 10, 25, 1, tzinfo=UTC)
    halves = Cron(expression="*/30 * * * *", zone="Europe/Berlin")
    for instant in (back - timedelta(minutes=31), back - timedelta(minutes=30, microseconds=1)):
        assert after(halves, instant, 2) == [back - timedelta(minutes=30), back + HOUR]
    assert after(halves, back + timedelta(minutes=10), 1) == [back + HOUR]


def test_e13_a_grid_without_zone_is_in_utc_the_whole_year() -> None:
    slots = after(Grid(every=6 * HOUR, anchor=at("7:30")), datetime(2026, 1, 1, tzinfo=UTC), 4 * 365)
    assert {f"{slot:%H:%M}" for slot in slots} == {"01:30", "07:30", "13:30", "19:30"}


# --- random histories

SCHEDULES: Sequence[Schedule] = (
    Interval(every=timedelta(minutes=7)),
    Interval(every=HOUR),
    Grid(every=HOUR, anchor=at("0:17")),
    Grid(every=6 * HOUR, anchor=at("7:30"), zone="America/New_York"),
    Cron(expression="*/20 8-18 * * *"),
    Cron(expression="5 2 * * *", zone="Europe/Berlin"),
)
DEEDS = some.lists(
    some.tuples(some.sampled_from(["look", "look", "look", "sleep", "hand", "back"]), some.integers(1, 400)),
    max_size=25,
)


FORGOTTEN = [*[("look", 1)] * 4, ("look", 186), ("look", 273), ("sleep", 343), ("hand", 1), ("look", 1)]
"""Slots are missed, then a run is started by hand at the very instant of the next."""


@settings(deadline=None, max_examples=150, derandomize=True)
@example(schedule=SCHEDULES[4], deeds=FORGOTTEN, lasting=[])
@given(schedule=some.sampled_from(SCHEDULES), deeds=DEEDS, lasting=some.lists(some.integers(1, 200), max_size=25))
def test_random_histories(schedule: Schedule, deeds: list[tuple[str, int]], lasting: list[int]) -> None:
    life = Life(schedule, datetime(2026, 3, 28, 20, tzinfo=UTC), minutes(*lasting), step=timedelta(minutes=3))
    for deed, length in deeds:
        span = length * MINUTE
        if deed == "look":
            before = len(life.ran)
            began = life.now
            life.until(life.now + span)
            caught = [slot for slot in life.ran[before:] if slot < began]
            assert len(caught) <= 1  # at most one catch-up
        elif deed == "sleep":
            life.sleep(life.now + span)
        elif deed == "back":
            life.sleep(life.now - min(span, 2 * HOUR))
        elif not life.history.running:
            life.by_hand()
    slots = [*life.ran, *(slot for slot, _ in life.skipped)]
    assert len(set(slots)) == len(slots)  # each slot is run or skipped once
    assert life.ran == sorted(life.ran)
    if not isinstance(schedule, Interval):  # none is forgotten, and none invented
        first = datetime(2026, 3, 28, 20, tzinfo=UTC)
        newest = max(slots, default=first)
        assert sorted(slots) == list(takewhile(lambda slot: slot <= newest, following(schedule, first, base=first)))


def test_words() -> None:
    assert [spec(one) for one in SCHEDULES] == [
        "every 7m",
        "every 1h",
        "every 1h through 2026-06-01T00:17:00Z",
        "every 6h through 2026-06-01T07:30:00Z in America/New_York",
        "cron */20 8-18 * * *",
        "cron 5 2 * * * in Europe/Berlin",
    ]
