"""A connector's life by the minute: what its schedule starts and skips while runs take their time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from connector_core.config.models import CatchUp
from connector_core.scheduling import History, Schedule, due
from connector_core.scheduling.due import started

MINUTE = timedelta(minutes=1)


@dataclass
class Life:
    """Looks at the clock every `step`; runs last as long as `durations` says, one after the other, then a minute."""

    schedule: Schedule
    now: datetime
    durations: Iterable[timedelta] = ()
    catch_up: CatchUp = "one"
    step: timedelta = MINUTE
    ran: list[datetime] = field(default_factory=list)
    skipped: list[tuple[datetime, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.history = History(since=self.now)
        self._durations: Iterator[timedelta] = iter(self.durations)
        self._ends: datetime | None = None
        self._watched: datetime | None = None

    def until(self, end: datetime) -> Life:
        """Live on, looking all the time, until `end` (inclusive)."""
        while self.now <= end:
            self.look()
            self.now += self.step
        self._watched = None
        return self

    def look(self) -> None:
        """One look at the clock."""
        self._watched = self._watched or self.now
        if self._ends is not None and self.now >= self._ends:
            self.history, self._ends = replace(self.history, ended=self._ends), None
        found = due(self.schedule, self.history, self.now, catch_up=self.catch_up, watched=self._watched)
        self.skipped += [(skip.at, skip.reason) for skip in found.skipped]
        noted = [*(skip.at for skip in found.skipped), *([found.run] if found.run else [])]
        if noted:
            self.history = replace(self.history, noted=max([*noted, *filter(None, [self.history.noted])]))
        if found.run is not None:
            self.ran.append(found.run)
            self._begin(started(found.run, self.now))

    def by_hand(self) -> None:
        """A run is started by hand, now."""
        assert not self.history.running
        self._begin(self.now)

    def _begin(self, base: datetime) -> None:
        self.history = replace(self.history, base=base, began=self.now, ended=None)
        self._ends = self.now + next(self._durations, MINUTE)

    def sleep(self, until: datetime) -> None:
        """Nobody looks until then; a run that is going on ends on its own."""
        self.now = until


def at(text: str, day: int = 1, *, offset: int = 0) -> datetime:
    """The clock time of a day in June 2026; `offset` hours are what local time is ahead of UTC."""
    hour, minute = map(int, text.split(":"))
    return datetime(2026, 6, day, hour, minute, tzinfo=UTC) - timedelta(hours=offset)


def clock(slots: Iterable[datetime], *, offset: int = 0) -> list[str]:
    """The slots as clock times of a zone."""
    return [f"{slot + timedelta(hours=offset):%H:%M}" for slot in slots]
