"""Slots of the schedule: which were run or skipped and why, since when a schedule counts, who paused a connector."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import BindParameter, Connection, bindparam, func, insert, select, update

from connector_core.errors import BusyError, Place
from connector_core.ledger import leases
from connector_core.ledger.answers import Agenda, Pause
from connector_core.ledger.database import insert_once
from connector_core.ledger.schema import Instant, pauses, runs, schedules, slots
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


# The daemon asks these for every connector at every look; built once, they cost half as much.
_MINE: BindParameter[str] = bindparam("connector")
_HORIZON: BindParameter[datetime] = bindparam("horizon", type_=Instant())
_FOLLOWED = select(schedules).where(schedules.c.connector == _MINE)
_PAUSED = select(pauses).where(pauses.c.connector == _MINE).order_by(pauses.c.id.desc()).limit(1)
_NOTED = select(func.max(slots.c.at)).where(slots.c.connector == _MINE, slots.c.at <= _HORIZON)
_NEWEST = (
    select(slots.c.at, slots.c.noted_at, slots.c.attempts, runs.c.status)
    .outerjoin(runs, runs.c.run_id == slots.c.run_id)
    .where(slots.c.connector == _MINE, slots.c.state == "run", slots.c.at <= _HORIZON)
    .order_by(slots.c.at.desc())
    .limit(1)
)
_BY_HAND = select(func.max(runs.c.started_at)).where(
    runs.c.connector == _MINE, runs.c.trigger == "manual", runs.c.started_at <= _HORIZON
)
_LAST = (
    select(runs.c.started_at, runs.c.finished_at)
    .where(runs.c.connector == _MINE, runs.c.trigger.in_(("manual", "schedule")))
    .order_by(runs.c.id.desc())
    .limit(1)
)


def agenda(connection: Connection, now: datetime, connector: str, spec: str) -> Agenda:
    """See `Ledger.agenda`."""
    mine = {"connector": connector}
    known = connection.execute(_FOLLOWED, mine).one_or_none()
    pause = connection.execute(_PAUSED, mine).one_or_none()
    same = known is not None and known.spec == spec
    since = known.since if known is not None and same else now
    paused = None
    if pause is not None and pause.resumed_at is not None:
        since = max(since, pause.resumed_at)
    elif pause is not None:
        paused = Pause(connector=connector, at=pause.paused_at, by=pause.paused_by, why=pause.why)
    history = _history(connection, now, connector, since if since <= now + AHEAD else now)
    return Agenda(followed=same, paused=paused, history=history)


def _history(connection: Connection, now: datetime, connector: str, since: datetime) -> History:
    mine = {"connector": connector}
    seen = {**mine, "horizon": now + AHEAD}
    noted = connection.scalar(_NOTED, seen)
    newest = connection.execute(_NEWEST, seen).one_or_none()
    bases = [connection.scalar(_BY_HAND, seen), started(newest.at, newest.noted_at) if newest else None]
    last = connection.execute(_LAST, mine).one_or_none()
    # a run that crashed may have no end of its own
    began, ended = (last.started_at, last.finished_at or last.started_at) if last else (None, None)
    holder = leases.living(connection, now, f"connector:{connector}")
    if holder is not None:
        began, ended = connection.scalar(select(runs.c.started_at).where(runs.c.run_id == holder)), None
    dead = newest is not None and newest.status in ("running", "crashed") and newest.attempts < ATTEMPTS
    return History(
        since=since,
        noted=noted,
        base=max((base for base in bases if base is not None), default=None),
        began=began,
        ended=ended,
        starting=holder is not None and began is None,
        broken=newest.at if newest and dead and holder is None and newest.at == noted else None,
    )


def pause(connection: Connection, now: datetime, connector: str, who: str, why: str) -> bool:
    """See `Ledger.pause`."""
    open_ones = (pauses.c.connector == connector) & pauses.c.resumed_at.is_(None)
    if connection.scalar(select(pauses.c.id).where(open_ones)) is not None:
        return False
    connection.execute(insert(pauses).values(connector=connector, paused_at=now, paused_by=who, why=why))
    return True


def resume(connection: Connection, now: datetime, connector: str, who: str) -> bool:
    """See `Ledger.resume`."""
    open_ones = (pauses.c.connector == connector) & pauses.c.resumed_at.is_(None)
    changed = connection.execute(update(pauses).where(open_ones).values(resumed_at=now, resumed_by=who))
    return changed.rowcount > 0
