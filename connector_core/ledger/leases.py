"""Leases: one living holder for each resource, found dead or alive without anybody's help."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, select, update

from connector_core.errors import BusyError, ConnectorError
from connector_core.ledger.database import Database, insert_once
from connector_core.ledger.processes import Process
from connector_core.ledger.schema import leases

_POLL_SECONDS = 0.2


@dataclass(frozen=True, kw_only=True)
class Lease:
    """A lease that this process holds.

    `fencing` rises with each holder of the resource. `lost` is set when another took it: this process was stopped for
    longer than its time to live and must not go on. `taken_from` names the dead holder whose lease this was.
    """

    resource: str
    holder: str
    fencing: int
    since: datetime
    taken_from: str | None = None
    lost: threading.Event = field(default_factory=threading.Event)


@contextlib.contextmanager
def hold(
    database: Database,
    clock: Callable[[], datetime],
    resource: str,
    holder: str,
    *,
    ttl: float,
    wait: float,
    sleep: Callable[[float], None],
) -> Iterator[Lease]:
    """Hold the lease and renew it every third of `ttl` until the block ends; see `Ledger.lease`."""
    deadline = time.monotonic() + wait
    while True:
        try:
            lease = _take(database, clock(), resource, holder, ttl)
            break
        except BusyError:
            left = deadline - time.monotonic()
            if left <= 0:
                raise
            sleep(min(_POLL_SECONDS, left))
    ended = threading.Event()
    heart = threading.Thread(
        target=_beat, args=(database, clock, lease, ttl / 3, ended), name=f"lease {resource}", daemon=True
    )
    heart.start()
    try:
        yield lease
    finally:
        ended.set()
        heart.join()
        with contextlib.suppress(
            ConnectorError
        ):  # it runs out by itself, and is free as soon as this process has ended
            _release(database, lease)


def _take(database: Database, now: datetime, resource: str, holder: str, ttl: float) -> Lease:
    me = Process.current()
    mine = {
        "held": True,
        "holder": holder,
        "host": me.host,
        "machine": me.machine,
        "pid": me.pid,
        "process_started": me.started,
        "since": now,
        "heartbeat": now,
        "ttl": round(ttl * 1000),
    }
    with database.write("lease") as connection:
        first = insert_once(connection, leases).values(resource=resource, fencing=1, **mine)
        if connection.scalar(first.returning(leases.c.fencing)) is not None:
            return Lease(resource=resource, holder=holder, fencing=1, since=now)
        row = connection.execute(select(leases).where(leases.c.resource == resource).with_for_update()).one()
        if row.held and not _dead(row, now):
            raise BusyError(
                f"{resource} is held by {_named(row)}, since {row.since:%Y-%m-%dT%H:%M:%SZ}",
                hint="wait until it ends; a holder that has died is replaced by itself",
            )
        fencing = row.fencing + 1
        connection.execute(update(leases).where(leases.c.resource == resource).values(fencing=fencing, **mine))
    dead = _named(row) if row.held else None
    return Lease(resource=resource, holder=holder, fencing=fencing, since=now, taken_from=dead)


def living(connection: Connection, now: datetime, resource: str) -> str | None:
    """The living holder of the resource; None when nobody has it."""
    row = connection.execute(select(leases).where(leases.c.resource == resource)).one_or_none()
    holder: str | None = None if row is None or not row.held or _dead(row, now) else row.holder
    return holder


def _named(row: Row[Any]) -> str:
    return f"{row.holder} on {row.host}, pid {row.pid}"


def _dead(row: Row[Any], now: datetime) -> bool:
    """The process is gone, its pid belongs to a later one, or it has not renewed the lease within its own time to
    live.
    """
    if now - row.heartbeat > timedelta(milliseconds=row.ttl):
        return True
    return Process(host=row.host, machine=row.machine, pid=row.pid, started=row.process_started).gone()


def _beat(
    database: Database, clock: Callable[[], datetime], lease: Lease, every: float, ended: threading.Event
) -> None:
    while not ended.wait(every):
        try:
            with database.write("heartbeat") as connection:
                if not _change(connection, lease, heartbeat=clock()):
                    lease.lost.set()
                    return
        except ConnectorError:
            continue  # a full disk or a locked ledger takes nothing away from us; the next beat may succeed


def _release(database: Database, lease: Lease) -> None:
    with database.write("release") as connection:
        _change(connection, lease, held=False)


def _change(connection: Connection, lease: Lease, **values: object) -> bool:
    """Change the lease if it is still ours."""
    ours = (leases.c.resource == lease.resource) & (leases.c.fencing == lease.fencing)
    return connection.execute(update(leases).where(ours).values(**values)).rowcount == 1
