"""The slots of a schedule: instants at which a run is due, as pure functions.

Three kinds of schedules (facts/stitch_semantics.md section 1): an interval from the start of the last run, a grid
through an anchor, a cron expression. Instants are aware UTC datetimes. A schedule with a zone lives on that zone's
wall clock: a wall time that occurs twice on the night of a change counts once, the first time; one that does not exist
counts at the first instant after the gap (and several that fall into one gap are one slot).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from connector_core.config.units import brief

SECOND = timedelta(seconds=1)


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A run every so often, counted from the start of the last one."""

    every: timedelta


@dataclass(frozen=True, kw_only=True)
class Grid:
    """The instants `anchor + k * every` for every integer k; with a `zone`, its wall times instead."""

    every: timedelta
    anchor: datetime
    zone: str | None = None


@dataclass(frozen=True, kw_only=True)
class Cron:
    """A cron expression of five fields on the wall clock of `zone`."""

    expression: str
    zone: str = "UTC"


Schedule = Interval | Grid | Cron


def spec(schedule: Schedule) -> str:
    """The schedule in words; two schedules with the same slots from the same history have the same words."""
    if isinstance(schedule, Cron):
        return f"cron {schedule.expression}" + ("" if schedule.zone == "UTC" else f" in {schedule.zone}")
    every = f"every {brief(schedule.every.total_seconds())}"
    if isinstance(schedule, Interval):
        return every
    zone = f" in {schedule.zone}" if schedule.zone else ""
    return f"{every} through {schedule.anchor:%Y-%m-%dT%H:%M:%SZ}{zone}"


def following(schedule: Schedule, instant: datetime, *, base: datetime) -> Iterator[datetime]:
    """The slots strictly after `instant`, in ascending order, without end.

    `base` is the start of the last run: an interval counts from there (its slots are base + k * every, k from 1 on);
    the other kinds do not look at it.
    """
    if isinstance(schedule, Interval):
        yield from _steps(base, schedule.every, max(instant, base))
    elif isinstance(schedule, Cron):
        yield from _cron(schedule, instant)
    elif schedule.zone is None:
        yield from _steps(schedule.anchor, schedule.every, instant)
    else:
        yield from _wall(schedule, ZoneInfo(schedule.zone), instant)


def instant_of(wall: datetime, zone: ZoneInfo) -> datetime:
    """The instant at which a zone's clocks show `wall` (naive) for the first time, or jump over it."""
    early, late = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if early.astimezone(zone).replace(tzinfo=None) == wall:
        return early
    before, after = late, early  # in a gap the two change places, and the jump lies between them
    offset = before.astimezone(zone).utcoffset()
    while after - before > SECOND:
        middle = before + (after - before) // 2
        before, after = (middle, after) if middle.astimezone(zone).utcoffset() == offset else (before, middle)
    return after.replace(microsecond=0)


def _steps(start: datetime, every: timedelta, instant: datetime) -> Iterator[datetime]:
    slot = start + ((instant - start) // every + 1) * every
    while True:
        yield slot
        slot += every


def _wall(grid: Grid, zone: ZoneInfo, instant: datetime) -> Iterator[datetime]:
    anchor = grid.anchor.astimezone(zone).replace(tzinfo=None)
    walls = _steps(anchor, grid.every, instant.astimezone(zone).replace(tzinfo=None))
    return _instants(walls, zone, instant)


def _cron(cron: Cron, instant: datetime) -> Iterator[datetime]:
    from croniter import croniter  # 0.1 s, and few schedules need it

    zone = ZoneInfo(cron.zone)
    walls = croniter(cron.expression, instant.astimezone(zone).replace(tzinfo=None, microsecond=0))
    return _instants(iter(lambda: walls.get_next(datetime), None), zone, instant)


def _instants(walls: Iterator[datetime], zone: ZoneInfo, instant: datetime) -> Iterator[datetime]:
    """Wall times in ascending order as instants after `instant`, each instant once."""
    last = instant
    for wall in walls:
        slot = instant_of(wall, zone)
        if slot > last:
            yield slot
            last = slot
