"""A connector's schedule: from its settings, the source's default, and the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from connector_core import plugins
from connector_core.errors import ConfigError, ConnectorError, Place
from connector_core.scheduling.due import Due, due, preview
from connector_core.scheduling.slots import Cron, Grid, Interval, Schedule, spec

if TYPE_CHECKING:
    from connector_core.config import Connector
    from connector_core.ledger import Ledger

OFF = "off"
"""The words for a connector that has no schedule at present."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A connector in the calendar. `schedule` is None when it has no frequency: it runs only by hand."""

    connector: Connector
    schedule: Schedule | None

    @property
    def spec(self) -> str:
        """The schedule in words; "off" when there is none or the connector is disabled."""
        return spec(self.schedule) if self.schedule is not None and self.connector.enabled else OFF


def entry(connector: Connector) -> Entry:
    """The connector's schedule: `cron` wins, then `frequency` with or without `anchor_time`, then the source's
    default frequency.

    Only for that default its plugin is asked; a plugin that cannot say leaves the connector without a schedule, as
    its run says what is wrong. Raises `ConfigError` when default, anchor and zone do not go together.
    """
    if connector.cron:
        return Entry(connector=connector, schedule=Cron(expression=connector.cron, zone=connector.timezone or "UTC"))
    seconds = connector.frequency or _default(connector)
    if seconds is None:
        return Entry(connector=connector, schedule=None)
    every = timedelta(seconds=seconds)
    if connector.anchor_time is None:
        return Entry(connector=connector, schedule=Interval(every=every))
    if connector.timezone and 86400 % seconds and seconds % 86400:
        raise ConfigError(
            f"the default frequency of {connector.source} does not fit into days, so no time zone can keep its hours",
            hint="set a frequency that divides 24h, or a multiple of 24h, or leave timezone out",
            place=Place(connector=connector.key),
            code="schedule",
        )
    grid = Grid(every=every, anchor=connector.anchor_time, zone=connector.timezone)
    return Entry(connector=connector, schedule=grid)


def _default(connector: Connector) -> int | None:
    try:
        return plugins.load("source", connector.source).description.frequency
    except ConnectorError:
        return None


@dataclass(frozen=True, kw_only=True)
class Looked:
    """What a look at a connector found: what is `due`, and the `next` slot that has not come yet (None: there is
    none)."""

    due: Due
    next: datetime | None = None


def look(one: Entry, ledger: Ledger, *, watched: datetime) -> Looked:
    """What is due now; notes the schedule that is followed, and the slots that are skipped, in the ledger.

    Only skips that this call noted are in the answer: of two processes that look, one tells of them. A paused
    connector has no slots.
    """
    key, now = one.connector.key, ledger.now()
    known = ledger.agenda(key, one.spec)
    if not known.followed:
        ledger.follow(key, one.spec)
    if one.schedule is None or not one.connector.enabled or known.paused is not None:
        return Looked(due=Due())
    catch_up = one.connector.catch_up
    found = due(one.schedule, known.history, now, catch_up=catch_up, watched=watched)
    noted = tuple(skip for skip in found.skipped if ledger.slot(key, skip.at, "skipped", skip.reason))
    coming = (slot for slot in preview(one.schedule, known.history, now, catch_up=catch_up) if slot > now)
    return Looked(due=Due(run=found.run, skipped=noted, again=found.again), next=next(coming))
