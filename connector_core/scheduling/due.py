"""What is due now, and what is skipped and why: a pure function of the schedule, the history and `now`.

Slots are skipped, never queued: of all that have come since the last look at most one is run, the newest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import dropwhile, islice, takewhile

from connector_core.config.models import CatchUp
from connector_core.scheduling.slots import Interval, Schedule, following

LATE = timedelta(minutes=15)
"""A slot that is older when somebody starts to look was missed."""
ON_TIME = timedelta(minutes=1)
"""A run that starts this soon after its slot started at its slot: an interval does not drift by the time that starting
takes."""
MOST = 1000
"""At most so many of the newest missed slots are noted one by one; older ones are passed over."""

MISSED = "nobody was running the schedule"
NO_WORKER = "no worker was free until the next slot came"


@dataclass(frozen=True, kw_only=True)
class History:
    """What has happened to a connector, as far as its schedule is concerned.

    `since`: the schedule counts from here, when it was first seen, edited or resumed. `noted`: the newest slot that
    was run or skipped. `base`: the start of the last run by hand or by schedule (its slot, if it began on time).
    `began` and `ended` of the last run; `ended` is None while one is going on, `began` while there was none.
    `starting`: somebody holds the connector and has not begun yet, perhaps with the very slot that is due. `broken`:
    the newest slot, if the process that ran it died in the middle and it was not taken over before.
    """

    since: datetime
    noted: datetime | None = None
    base: datetime | None = None
    began: datetime | None = None
    ended: datetime | None = None
    starting: bool = False
    broken: datetime | None = None

    @property
    def running(self) -> bool:
        """Whether a run is going on."""
        return self.began is not None and self.ended is None


@dataclass(frozen=True, kw_only=True)
class Skip:
    """A slot that is not run, and why."""

    at: datetime
    reason: str


@dataclass(frozen=True, kw_only=True)
class Due:
    """The slot to run now, if any, the slots that are skipped, and whether `run` is one whose process had died."""

    run: datetime | None = None
    skipped: tuple[Skip, ...] = ()
    again: bool = False


def due(schedule: Schedule, history: History, now: datetime, *, catch_up: CatchUp, watched: datetime) -> Due:
    """What to do now. Doing it and asking again gives nothing, at any later instant before the next slot.

    `watched` is since when the caller has been looking at the clock without interruption: a slot of more than `LATE`
    before it was missed. One missed slot, the newest, is caught up, unless `catch_up` is none or a later run has done
    so already.
    """
    if history.starting:
        return Due()
    open_slots: list[datetime] = []
    skipped: list[Skip] = []
    for slot in _passed(schedule, history, now):
        if history.began is None or (history.ended is not None and slot > history.ended):
            open_slots.append(slot)
        elif slot < history.began:
            if history.running:  # when it ends, it may turn out that it was no run that has read the source
                break  # to note a later slot now would pass this one over for ever
            skipped.append(Skip(at=slot, reason=f"{MISSED}; the run of {_clock(history.began)} came after it"))
        else:
            skipped.append(Skip(at=slot, reason=f"the run of {_clock(history.began)} was still going on"))
    if not open_slots:
        again = history.broken is not None and not history.running and not skipped
        return Due(run=history.broken if again else None, skipped=tuple(skipped), again=again)
    *older, newest = open_slots
    skipped += (Skip(at=slot, reason=NO_WORKER if slot >= watched else MISSED) for slot in older)
    if catch_up == "none" and newest < watched - LATE:
        skipped.append(Skip(at=newest, reason=f'{MISSED}, and catch_up is "none"'))
        return Due(skipped=tuple(skipped))
    return Due(run=newest, skipped=tuple(skipped))


def preview(schedule: Schedule, history: History, now: datetime, *, catch_up: CatchUp) -> Iterator[datetime]:
    """The slots to come, without end; the first is in the past or `now` when a run is due. Assumes that each run ends
    before the next slot."""
    present = due(schedule, history, now, catch_up=catch_up, watched=now)
    if present.run is not None:
        yield present.run
        history = replace(history, noted=present.run, base=started(present.run, now))
    yield from dropwhile(lambda slot: slot <= now, _slots(schedule, history))


def started(slot: datetime, at: datetime) -> datetime:
    """Where an interval counts from when the run of `slot` begins at `at`."""
    return slot if slot <= at <= slot + ON_TIME else at


def _slots(schedule: Schedule, history: History) -> Iterator[datetime]:
    """All slots that were neither run nor skipped yet, from the first on."""
    after = max(history.since, history.noted or history.since)
    base = history.base or history.noted
    if (
        isinstance(schedule, Interval)
        and history.noted is None
        and (base is None or base + schedule.every <= history.since)
    ):
        yield history.since  # seen for the first time: at once, unless its last run is younger than the interval
        base = history.since
    yield from following(schedule, after, base=base or after)


def _passed(schedule: Schedule, history: History, now: datetime) -> list[datetime]:
    """The slots up to now; when there are very many, the newest of them."""
    found = list(islice(takewhile(lambda slot: slot <= now, _slots(schedule, history)), MOST))
    while len(found) == MOST:
        nearer = found[-1] + (now - found[-1]) / 2
        newer = following(schedule, nearer, base=history.base or found[0])
        newest = list(islice(takewhile(lambda slot: slot <= now, newer), MOST))
        if not newest:
            break
        found = newest
    return found


def _clock(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M:%SZ}"
