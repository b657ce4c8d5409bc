"""`connector-core schedule`: the next slots of every connector, in UTC and in local time."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

from connector_core.cli.output import as_json as plain
from connector_core.cli.output import print_json, print_line, print_table
from connector_core.cli.session import Session
from connector_core.clock import SystemClock
from connector_core.config import Connector
from connector_core.ledger import Agenda, Ledger, Pause
from connector_core.scheduling import History, preview
from connector_core.scheduling.calendar import Entry, entry


def schedule(session: Session, names: Collection[str], count: int, *, as_json: bool) -> int:
    """Print the next `count` slots of the named connectors, else of all. Reads the configuration and the ledger, and
    makes none where there is none."""
    config = session.load(())
    session.known(config, names)
    now = SystemClock().now()
    with session.ledger_if_there(config) as ledger:
        for index, (key, connector) in enumerate(config.connectors.items()):
            if names and key not in names:
                continue
            one = entry(connector)
            known = agenda(one, ledger, now)
            paused, slots = known.paused, upcoming(one, known, now, count)
            if as_json:
                print_json(
                    {
                        "connector": key,
                        "schedule": one.spec,
                        "paused": plain(paused, session.redact),
                        "slots": [
                            {"at": plain(slot), "local": _local(slot, connector).isoformat(), "due": slot <= now}
                            for slot in slots
                        ],
                    }
                )
                continue
            if index and not names:
                print_line()
            print_line(f"{key}: {described(one, paused)}")
            rows = [("due now" if slot <= now else f"UTC {slot:%H:%M}", spoken(slot, connector, now)) for slot in slots]
            if rows:
                print_table(["", ""], rows, indent=2)
    return 0


def agenda(one: Entry, ledger: Ledger | None, now: datetime) -> Agenda:
    """What the ledger knows of the connector's schedule; where there is none, it would be seen for the first time."""
    if ledger is None:
        return Agenda(followed=False, paused=None, history=History(since=now))
    return ledger.agenda(one.connector.key, one.spec)


def upcoming(one: Entry, known: Agenda, now: datetime, count: int) -> list[datetime]:
    """The next slots; the first has passed when a run is due. None for a connector that does not run by schedule."""
    if one.schedule is None or known.paused is not None or not one.connector.enabled:
        return []
    return list(islice(preview(one.schedule, known.history, now, catch_up=one.connector.catch_up), count))


def described(one: Entry, paused: Pause | None) -> str:
    """The schedule in a sentence, or why there is none."""
    if not one.connector.enabled:
        return "disabled in connectors.toml"
    if paused is not None:
        why = f": {paused.why}" if paused.why else ""
        return f"paused by {paused.by} at {paused.at:%Y-%m-%d %H:%MZ}{why}; connector-core resume {one.connector.key}"
    if one.schedule is None:
        return "runs by hand only: it has no frequency, and its source has no default"
    return one.spec


def spoken(slot: datetime, connector: Connector, now: datetime) -> str:
    """A slot in local time: "Today at 09:30 CET", "Tomorrow at 15:30 CET", "Mon 30 Nov at 09:30 CET"."""
    local = _local(slot, connector)
    days = (local.date() - _local(now, connector).date()) // timedelta(days=1)
    day = {0: "Today", 1: "Tomorrow", -1: "Yesterday"}.get(days, f"{local:%a %d %b %Y}")
    return f"{day} at {local:%H:%M} {local.tzname()}"


def _local(slot: datetime, connector: Connector) -> datetime:
    """In the connector's time zone, else in that of this machine."""
    return slot.astimezone(ZoneInfo(connector.timezone) if connector.timezone else None)
