"""Runs, their steps and their log lines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, insert, select, update

from connector_core.errors import ConnectorError
from connector_core.ledger.database import insert_once
from connector_core.ledger.processes import Process
from connector_core.ledger.schema import lines, notices, receipts, runs, steps


@dataclass(frozen=True, kw_only=True)
class LogLine:
    """One line of a run's log. `component` is who speaks (engine, source, destination), `level` a name of `logging`,
    `stream` the one it is about. `connector` is needed by lines outside of runs only."""

    at: datetime
    component: str
    level: str
    text: str
    stream: str | None = None
    connector: str | None = None


def begin_run(connection: Connection, now: datetime, connector: str, trigger: str, run_id: str) -> tuple[str, ...]:
    """See `Ledger.begin_run`."""
    left_open = connection.execute(
        select(runs.c.run_id, runs.c.started_at).where(runs.c.connector == connector, runs.c.finished_at.is_(None))
    ).all()
    for run in left_open:
        connection.execute(
            update(runs)
            .where(runs.c.run_id == run.run_id)
            .values(
                status="crashed",
                finished_at=_last_sign_of_life(connection, run.run_id, run.started_at),
                error="the process ended without closing the run",
            )
        )
    me = Process.current()
    connection.execute(
        insert(runs).values(
            run_id=run_id,
            connector=connector,
            trigger=trigger,
            started_at=now,
            status="running",
            host=me.host,
            machine=me.machine,
            pid=me.pid,
            process_started=me.started,
        )
    )
    return tuple(run.run_id for run in left_open)


def _last_sign_of_life(connection: Connection, run_id: str, started_at: datetime) -> datetime:
    signs = (
        select(func.max(lines.c.at)).where(lines.c.run_id == run_id),
        select(func.max(receipts.c.committed_at)).where(receipts.c.run_id == run_id),
        select(func.max(steps.c.started_at)).where(steps.c.run_id == run_id),
        select(func.max(steps.c.finished_at)).where(steps.c.run_id == run_id),
    )
    found = (connection.scalar(sign) for sign in signs)
    return max((instant for instant in found if instant is not None and instant > started_at), default=started_at)


def finish_run(
    connection: Connection, now: datetime, run_id: str, status: str, exit_code: int, error: str | None
) -> None:
    """See `Ledger.finish_run`."""
    # A run that was taken for dead and ends after all says itself how; a second end changes nothing.
    open_or_crashed = runs.c.status.in_(("running", "crashed"))
    connection.execute(
        update(runs)
        .where(runs.c.run_id == run_id, open_or_crashed)
        .values(status=status, finished_at=now, exit_code=exit_code, error=error)
    )
    if connection.scalar(select(runs.c.id).where(runs.c.run_id == run_id)) is None:
        raise ConnectorError(f"the ledger does not know the run {run_id!r}", code="ledger")


def start_step(connection: Connection, now: datetime, run_id: str, name: str, stream: str | None) -> int:
    """Note that a step begins; returns its number."""
    made = connection.execute(
        insert(steps).values(run_id=run_id, name=name, stream=stream, started_at=now, text="").returning(steps.c.id)
    )
    return int(made.scalar_one())


def finish_step(connection: Connection, now: datetime, number: int, exit_status: int, text: str) -> None:
    """Note how the step with this number ended."""
    connection.execute(
        update(steps).where(steps.c.id == number).values(finished_at=now, exit_status=exit_status, text=text)
    )


def note(connection: Connection, now: datetime, subject: str) -> bool:
    """See `Ledger.notice`."""
    made = insert_once(connection, notices).values(subject=subject, noted_at=now).returning(notices.c.subject)
    return connection.scalar(made) is not None


def write_lines(
    connection: Connection, run_id: str | None, found: Sequence[LogLine], clean: Callable[[str], str]
) -> None:
    """Append log lines."""
    if found:
        connection.execute(
            insert(lines),
            [
                {
                    "run_id": run_id,
                    "at": line.at,
                    "component": line.component,
                    "level": line.level,
                    "text": clean(line.text),
                    "stream": None if line.stream is None else clean(line.stream),
                    "connector": line.connector,
                }
                for line in found
            ],
        )
