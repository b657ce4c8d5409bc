"""The quota: shares of it that a period has used, each told once, and whether a run may begin."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from connector_core.clock import Clock
from connector_core.config.metering import MeteringSettings
from connector_core.errors import QuotaError
from connector_core.ledger import Ledger
from connector_core.metering.periods import Period, period

SECONDS = 1.0
"""How often a run looks at what others have used."""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How much of the quota a period has used, in rows that count."""

    used: int
    quota: int
    period: Period

    @property
    def exhausted(self) -> bool:
        """Whether nothing is left."""
        return self.used >= self.quota

    def rows_to(self, thresholds: Iterable[int]) -> int:
        """How many rows are left until one of these shares, or the whole, is reached."""
        marks = [-(-self.quota * share // 100) for share in (*thresholds, 100)]
        return min((mark - self.used for mark in marks if mark > self.used), default=self.quota)

    def reached(self, threshold: int) -> bool:
        """Whether so many percent are used."""
        return self.used * 100 >= self.quota * threshold


def standing(ledger: Ledger, settings: MeteringSettings, now: datetime) -> Standing | None:
    """Where the present period stands; None without a quota."""
    if settings.quota is None:
        return None
    this = period(now, settings, ledger.first_data_of_all())
    used = ledger.used(since=this.begin, until=this.end, count=settings.count)
    return Standing(used=used, quota=settings.quota, period=this)


def crossed(ledger: Ledger, settings: MeteringSettings, found: Standing) -> list[int]:
    """The thresholds that are reached and were not told in this period yet, by any process: told by the caller now.

    A higher quota arms them again."""
    return [
        threshold
        for threshold in settings.thresholds
        if found.reached(threshold)
        and ledger.notice(f"quota {found.quota} {threshold} % {found.period.begin.isoformat()}")
    ]


class Watch:
    """Looks at the quota while a run goes on. It asks the ledger at most once a second, unless the run's own rows may
    have reached something."""

    def __init__(self, ledger: Ledger, settings: MeteringSettings, clock: Clock) -> None:
        self._ledger, self._settings, self._clock = ledger, settings, clock
        self._asked_at: float | None = None
        self._left = 0

    def look(self, rows: int) -> Standing | None:
        """Where the quota stands after a commit of at most so many rows that count; None when there is none, or when
        nothing can have been reached since it was asked last."""
        self._left -= rows
        now = self._clock.monotonic()
        recently = self._asked_at is not None and now - self._asked_at < SECONDS
        if self._settings.quota is None or (recently and self._left > 0):
            return None
        found = standing(self._ledger, self._settings, self._clock.now())
        if found is not None:
            self._asked_at = now
            self._left = found.rows_to(self._settings.thresholds)
        return found


def admit(ledger: Ledger, settings: MeteringSettings, now: datetime) -> None:
    """Raise `QuotaError` when the quota is used up and `on_quota` is pause."""
    found = standing(ledger, settings, now)
    if found is None or settings.on_quota != "pause" or not found.exhausted:
        return
    raise QuotaError(
        f"the quota is used up: {found.used:,} of {found.quota:,} rows since {found.period.begin:%Y-%m-%d}",
        hint=f"the next period begins on {found.period.end:%Y-%m-%d}; raise [metering] quota to go on before",
    )
