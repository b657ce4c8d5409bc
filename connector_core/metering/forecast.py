"""How many rows a period will have: what it has, and for each day that is left what such a weekday usually brings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from statistics import fmean, median

from connector_core.ledger import FREE_WINDOW, UsageRow
from connector_core.metering.periods import DAY, Period

WEEKS = 4
"""How many of the same weekday are averaged, the latest ones."""
LOOKS_BACK = WEEKS * 7 * DAY
"""How far back the days lie that a forecast needs."""
UNUSUAL = 10
"""A day with this many times the rows of the median day is a backfill or a reset, and no part of a rhythm."""
ROUGH = 7
"""With fewer full days than this there is no week to learn from."""


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """Rows that will count when the period ends. `rough`: of a connector less than a week is known; `unknown` are those
    without a full day yet, of which only what there is is counted. `reached` is the day on which the quota is used up
    at this pace (None: not in this period, or there is no quota)."""

    rows: int
    by_connector: Mapping[str, int]
    rough: bool
    unknown: tuple[str, ...] = ()
    reached: date | None = None


def forecast(
    past: Sequence[UsageRow],
    counted: Mapping[str, int],
    *,
    now: datetime,
    period: Period,
    first: Mapping[str, datetime],
    quota: int | None = None,
) -> Forecast:
    """The forecast for the connectors of `first`, each with the instant of its first data: days before it are unknown,
    and what is committed in its free window will not count.

    `counted` are the rows that count in the period so far, by connector, `past` those since `LOOKS_BACK` before now.
    """
    expected = dict.fromkeys(_days(now, period), 0.0)
    totals = {connector: float(counted.get(connector, 0)) for connector in first}
    so_far, rough, unknown = sum(totals.values()), False, []
    for connector, begin in first.items():
        rhythm = Rhythm.of([row for row in past if row.connector == connector], now=now, first=begin)
        if rhythm is None:
            unknown.append(connector)
            continue
        rough = rough or rhythm.rough
        for day in expected:
            more = rhythm.left(day, now) * _share(day, now, begin + FREE_WINDOW, period)
            totals[connector] += more
            expected[day] += more
    return Forecast(
        rows=round(sum(totals.values())),
        by_connector={name: round(value) for name, value in totals.items()},
        rough=rough or bool(unknown),
        unknown=tuple(unknown),
        reached=None if quota is None or so_far >= quota else _reached(so_far, expected, quota),
    )


@dataclass(frozen=True, kw_only=True)
class Rhythm:
    """What the days of one connector bring. `weekdays` has an average for each of the seven, `today` the rows that
    have come today."""

    weekdays: Sequence[float]
    today: int
    rough: bool

    @staticmethod
    def of(rows: Iterable[UsageRow], *, now: datetime, first: datetime) -> Rhythm | None:
        """Learn from the full days before today; None while there is none."""
        by_day: Counter[date] = Counter()
        for row in rows:
            by_day[row.day] += row.free + row.counted
        today = now.date()
        begin = max(first.date() + DAY, today - LOOKS_BACK)  # the first day is not a full one
        full = [begin + DAY * n for n in range((today - begin).days)]
        known = _usual({day: by_day[day] for day in full})
        if not known:
            return None
        rough = len(full) < ROUGH
        average = fmean(known.values())
        latest = [[n for day, n in sorted(known.items()) if day.weekday() == weekday][-WEEKS:] for weekday in range(7)]
        weekdays = [fmean(some) if some and not rough else average for some in latest]
        return Rhythm(weekdays=weekdays, today=by_day[today], rough=rough)

    def left(self, day: date, now: datetime) -> float:
        """Rows that are still to come on this day."""
        usual = self.weekdays[day.weekday()]
        return max(0.0, usual - self.today) if day == now.date() else usual


def _usual(days: Mapping[date, int]) -> dict[date, int]:
    busy = [rows for rows in days.values() if rows]
    if len(busy) < 3:
        return dict(days)
    most = UNUSUAL * median(busy)
    return {day: rows for day, rows in days.items() if rows <= most}


def _days(now: datetime, period: Period) -> list[date]:
    last = (period.end - timedelta(microseconds=1)).date()
    return [now.date() + DAY * n for n in range((last - now.date()).days + 1)]


def _share(day: date, now: datetime, free_until: datetime, period: Period) -> float:
    """The part of what is left of a day that counts and lies in the period."""
    midnight_before = datetime.combine(day, time(), UTC)
    begin, end = max(midnight_before, now), midnight_before + DAY
    return max(0.0, (min(end, period.end) - max(begin, free_until)) / (end - begin))


def _reached(so_far: float, expected: Mapping[date, float], quota: int) -> date | None:
    total = so_far
    for day, rows in expected.items():
        total += rows
        if total >= quota:
            return day
    return None
