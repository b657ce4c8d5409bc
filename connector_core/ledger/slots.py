"""Slots of the schedule: which were run or skipped and why, since when a schedule counts, who paused a connector."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection, func, insert, select, update

from connector_core.errors import BusyError, Place
from connector_core.ledger import leases
from connector_core.ledger.answers import Pause
from connector_core.ledger.database import insert_once
from connector_core.ledger.schema import pauses, runs, schedules, slots
from connector_core.scheduling.due import History, started

AHEAD = timedelta(hours=24)
"""What lies further in the future was noted by a clock that was wrong, and is not looked at."""
ATTEMPTS = 2
"""A slot whose process died is run once more."""


def note(connection: Connection, now: datetime, connector: str, at: datetime, state: str, reason: str) -> bool:
    """See `Ledger.slot`."""
    row = insert_once(connection, slots).values(connector=connector, at=at, state=state, reason=reason, noted_at=now)
    return connection.scalar(row.returning(slots.c.state)) is not None


def begin(connection: Connection, now: datetime, connector: str, at: datetime, run_id: str) -> None:
    """Note that a run of the slot `at` begins, in the transaction that begins the run.

    Raises `BusyError` when the slot was run or skipped by somebody else. One whose process has died is taken over,
    once; the caller holds the connector's lease, so a run that is still open is a dead one.
    """
    row = insert_once(connection, slots).values(
        connector=connector, at=at, state="run", reason="", noted_at=now, run_id=run_id, attempts=1
    )
    if connection.scalar(row.returning(slots.c.state)) is not None:
        return
    mine = (slots.c.connector == connector) & (slots.c.at == at)
    asked = select(slots.c.state, slots.c.attempts, runs.c.status).outerjoin(runs, runs.c.run_id == slots.c.run_id)
    known = connection.execute(asked.where(mine)).one()
    if known.state != "run" or known.status != "crashed" or known.attempts >= ATTEMPTS:
        raise BusyError(
            f"the slot {at:%Y-%m-%dT%H:%M:%SZ} was {'run' if known.state == 'run' else known.state} already",
            place=Place(connector=connector),
            code="slot_taken",
        )
    connection.execute(update(slots).where(mine).values(run_id=run_id, attempts=known.attempts + 1))


def follow(connection: Connection, now: datetime, connector: str, spec: str) -> None:
    """Note that the connector's schedule is now the one with these words: another one counts from now on."""
    new = insert_once(connection, schedules).values(connector=connector, spec=spec, since=now)
    if connection.scalar(new.returning(schedules.c.spec)) is None:
        changed = (schedules.c.connector == connector) & (schedules.c.spec != spec)
        connection.execute(update(schedules).where(changed).values(spec=spec, since=now))


def followed(connection: Connection, connector: str) -> str | None:
    """The words of the schedule that was last followed."""
    return connection.scalar(select(schedules.c.spec).where(schedules.c.connector == connector))


def history(connection: Connection, now: datetime, connector: str, spec: str) -> History:
    """See `Ledger.history`."""
    horizon = now + AHEAD
    own = slots.c.connector == connector
    noted = connection.scalar(select(func.max(slots.c.at)).where(own, slots.c.at <= horizon))
    asked = select(slots.c.at, slots.c.noted_at, slots.c.attempts, runs.c.status)
    asked = asked.outerjoin(runs, runs.c.run_id == slots.c.run_id).where(own, slots.c.state == "run")
    newest = connection.execute(asked.where(slots.c.at <= horizon).order_by(slots.c.at.desc()).limit(1)).one_or_none()
    by_hand = connection.scalar(
        select(func.max(runs.c.started_at)).where(
            runs.c.connector == connector, runs.c.trigger == "manual", runs.c.started_at <= horizon
        )
    )
    bases = [by_hand, started(newest.at, newest.noted_at) if newest else None]
    began, ended = _last_run(connection, connector)
    holder = leases.living(connection, now, f"connector:{connector}")
    if holder is not None:
        began, ended = connection.scalar(select(runs.c.started_at).where(runs.c.run_id == holder)), None
    dead = newest is not None and newest.status in ("running", "crashed") and newest.attempts < ATTEMPTS
    return History(
        since=_since(connection, now, connector, spec, horizon),
        noted=noted,
        base=max((base for base in bases if base is not None), default=None),
        began=began,
        ended=ended,
        starting=holder is not None and began is None,
        broken=newest.at if newest and dead and holder is None and newest.at == noted else None,
    )


def _last_run(connection: Connection, connector: str) -> tuple[datetime | None, datetime | None]:
    """Start and end of the last run that read the source; one that crashed in the middle may have no end of its own."""
    asked = select(runs.c.started_at, runs.c.finished_at).where(
        runs.c.connector == connector, runs.c.trigger.in_(("manual", "schedule"))
    )
    last = connection.execute(asked.order_by(runs.c.id.desc()).limit(1)).one_or_none()
    return (None, None) if last is None else (last.started_at, last.finished_at or last.started_at)


def _since(connection: Connection, now: datetime, connector: str, spec: str, horizon: datetime) -> datetime:
    known = connection.execute(select(schedules).where(schedules.c.connector == connector)).one_or_none()
    resumed = connection.scalar(
        select(func.max(pauses.c.resumed_at)).where(pauses.c.connector == connector, pauses.c.resumed_at <= horizon)
    )
    since = known.since if known is not None and known.spec == spec and known.since <= horizon else now
    return max(since, resumed) if resumed is not None else since


def pause(connection: Connection, now: datetime, connector: str, who: str, why: str) -> bool:
    """See `Ledger.pause`."""
    if paused(connection, connector) is not None:
        return False
    connection.execute(insert(pauses).values(connector=connector, paused_at=now, paused_by=who, why=why))
    return True


def resume(connection: Connection, now: datetime, connector: str, who: str) -> bool:
    """See `Ledger.resume`."""
    open_ones = (pauses.c.connector == connector) & pauses.c.resumed_at.is_(None)
    changed = connection.execute(update(pauses).where(open_ones).values(resumed_at=now, resumed_by=who))
    return changed.rowcount > 0


def paused(connection: Connection, connector: str) -> Pause | None:
    """See `Ledger.paused`."""
    open_ones = (pauses.c.connector == connector) & pauses.c.resumed_at.is_(None)
    row = connection.execute(select(pauses).where(open_ones).order_by(pauses.c.id.desc()).limit(1)).one_or_none()
    return None if row is None else Pause(connector=connector, at=row.paused_at, by=row.paused_by, why=row.why)
