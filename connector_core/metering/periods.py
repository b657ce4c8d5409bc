"""Periods of the meter: pure functions of `now`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from connector_core.config.metering import MeteringSettings

LENGTH = timedelta(days=30)
DAY = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class Period:
    """Instants in [begin, end), aware UTC."""

    begin: datetime
    end: datetime


def period(now: datetime, settings: MeteringSettings, first: datetime | None) -> Period:
    """The period that holds `now`. `first` is when the ledger's first row was committed (None: never): without
    `period_start` periods of 30 days are counted from its midnight."""
    now = now.astimezone(UTC)
    if settings.period == "month":
        begin = midnight(now).replace(day=1)
        return Period(begin=begin, end=(begin + 32 * DAY).replace(day=1))
    origin = settings.period_start or midnight(first or now)
    begin = origin + (now - origin) // LENGTH * LENGTH
    return Period(begin=begin, end=begin + LENGTH)


def previous(now: Period, settings: MeteringSettings) -> Period:
    """The period before this one."""
    if settings.period == "month":
        return Period(begin=midnight(now.begin - DAY).replace(day=1), end=now.begin)
    return Period(begin=now.begin - LENGTH, end=now.begin)


def midnight(instant: datetime) -> datetime:
    """The beginning of its UTC day."""
    return instant.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
