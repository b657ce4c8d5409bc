"""The quota: shares of it that a period has used, each told once, and whether a run may begin."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from connector_core.config.metering import MeteringSettings
from connector_core.errors import QuotaError
from connector_core.ledger import Ledger
from connector_core.metering.periods import Period, period


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


def admit(ledger: Ledger, settings: MeteringSettings, now: datetime) -> None:
    """Raise `QuotaError` when the quota is used up and `on_quota` is pause."""
    found = standing(ledger, settings, now)
    if found is None or settings.on_quota != "pause" or not found.exhausted:
        return
    raise QuotaError(
        f"the quota is used up: {found.used:,} of {found.quota:,} rows since {found.period.begin:%Y-%m-%d}",
        hint=f"the next period begins on {found.period.end:%Y-%m-%d}; raise [metering] quota to go on before",
    )
