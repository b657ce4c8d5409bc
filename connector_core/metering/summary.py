"""The usage of a period: rows, forecast and hints, put together from the ledger's receipts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from connector_core.config.metering import MeteringSettings
from connector_core.ledger import Ledger, UsageRow
from connector_core.metering.forecast import LOOKS_BACK, Forecast, forecast
from connector_core.metering.hints import hints
from connector_core.metering.periods import Period, period
from connector_core.metering.whatif import WhatIf, what_if

LESS_OFTEN = timedelta(hours=24)
"""The frequency that the hints compare with."""
WATCHED = timedelta(days=30)
"""From how long a time the costs of another frequency are learnt."""


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Rows of a time, by connector, table and day. `first` is the instant of each connector's first data, `rejected`
    how many records were rejected, `used` the rows of all connectors that count in it. `forecast` and `hints` are of
    the present period only."""

    period: Period
    rows: tuple[UsageRow, ...]
    first: Mapping[str, datetime]
    rejected: Mapping[str, int]
    used: int
    forecast: Forecast | None = None
    hints: tuple[str, ...] = ()


def summary(
    ledger: Ledger, settings: MeteringSettings, *, now: datetime, connectors: Sequence[str], when: Period | None = None
) -> Usage:
    """The usage of these connectors in the present period, or in another time."""
    this = period(now, settings, ledger.first_data_of_all())
    asked = when or this
    first = {
        one.connector: one.first_data_at
        for one in ledger.connectors()
        if one.first_data_at is not None and one.connector in connectors
    }
    rows = tuple(
        row for key in first for row in ledger.usage(key, since=asked.begin, until=asked.end, count=settings.count)
    )
    rejected = {key: ledger.rejected(key, since=asked.begin, until=asked.end) for key in first}
    used = ledger.used(since=asked.begin, until=asked.end, count=settings.count)
    if when is not None:
        return Usage(period=asked, rows=rows, first=first, rejected=rejected, used=used)
    counted: Counter[str] = Counter()
    for row in rows:
        counted[row.connector] += row.counted
    past = [row for key in first for row in ledger.usage(key, since=now - LOOKS_BACK, until=now, count=settings.count)]
    whole = set(first) == {one.connector for one in ledger.connectors() if one.first_data_at is not None}
    others = what_ifs(ledger, settings, now=now, connectors=list(first), other=LESS_OFTEN)
    return Usage(
        period=asked,
        rows=rows,
        first=first,
        rejected=rejected,
        used=used,
        forecast=forecast(past, counted, now=now, period=this, first=first, quota=settings.quota if whole else None),
        hints=tuple(hints(rows, [one for one in others if one.every < LESS_OFTEN], settings.count)),
    )


def what_ifs(
    ledger: Ledger, settings: MeteringSettings, *, now: datetime, connectors: Sequence[str], other: timedelta
) -> list[WhatIf]:
    """What a period would cost these connectors with `other` between two runs; those of which too little is known are
    left out."""
    this = period(now, settings, ledger.first_data_of_all())
    found = []
    for key in connectors:
        passes = ledger.passes(key, since=now - WATCHED, until=now + timedelta(seconds=1))
        one = what_if(key, passes, other, period=this.end - this.begin, count=settings.count)
        if one is not None:
            found.append(one)
    return found
