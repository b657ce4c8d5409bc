"""The extraction log: which lines and runs are kept, and how they are found again."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Select, delete, func, or_, select

from connector_core.ledger.answers import LoggedLine
from connector_core.ledger.schema import lines, runs, steps

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
"""Levels of log lines, from the finest to the gravest."""


@dataclass(frozen=True, kw_only=True)
class LogFilter:
    """Which lines are wanted; None: all. `level` and graver ones; instants are half open, [`since`, `until`); `after`
    is the number of a line: those behind it."""

    run_id: str | None = None
    connector: str | None = None
    stream: str | None = None
    component: str | None = None
    level: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    after: int | None = None


def logged(connection: Connection, wanted: LogFilter, limit: int | None) -> list[LoggedLine]:
    """Log lines, oldest first; with `limit` the newest so many."""
    of_run = runs.c.connector.label("of_run")
    asked = select(lines, of_run).outerjoin(runs, runs.c.run_id == lines.c.run_id).order_by(lines.c.id.desc())
    if wanted.run_id is not None:
        asked = asked.where(lines.c.run_id == wanted.run_id)
    if wanted.connector is not None:
        asked = asked.where(or_(runs.c.connector == wanted.connector, lines.c.connector == wanted.connector))
    if wanted.stream is not None:
        asked = asked.where(lines.c.stream == wanted.stream)
    if wanted.component is not None:
        asked = asked.where(lines.c.component == wanted.component)
    if wanted.level is not None:
        asked = asked.where(lines.c.level.not_in(_finer(wanted.level)))
    if wanted.since is not None:
        asked = asked.where(lines.c.at >= wanted.since)
    if wanted.until is not None:
        asked = asked.where(lines.c.at < wanted.until)
    if wanted.after is not None:
        asked = asked.where(lines.c.id > wanted.after)
    return [
        LoggedLine(
            number=row.id,
            run_id=row.run_id,
            connector=row.connector or row.of_run,
            stream=row.stream,
            at=row.at,
            component=row.component,
            level=row.level,
            text=row.text,
        )
        for row in reversed(connection.execute(asked.limit(limit)).all())
    ]


def _finer(level: str) -> list[str]:
    """The levels below one; a level that only a plugin knows is never below."""
    least = logging.getLevelNamesMapping()[level]
    return [name for name in LEVELS if logging.getLevelNamesMapping()[name] < least]


def prunable(connection: Connection, before: datetime) -> bool:
    """Whether `prune` would find anything."""
    outside = select(lines.c.id).where(lines.c.run_id.is_(None), lines.c.at < before).limit(1)
    return connection.scalar(_old(before).limit(1)) is not None or connection.scalar(outside) is not None


def _old(before: datetime) -> Select[tuple[str]]:
    newest = select(func.max(runs.c.id)).group_by(runs.c.connector)
    return select(runs.c.run_id).where(runs.c.finished_at < before, runs.c.id.not_in(newest))


def prune(connection: Connection, before: datetime) -> int:
    """Forget runs that ended before an instant, with their steps and lines, and lines outside of runs; returns how
    many runs. The newest run of each connector stays, and so does every receipt."""
    old = connection.scalars(_old(before).limit(1_000)).all()
    if old:
        connection.execute(delete(lines).where(lines.c.run_id.in_(old)))
        connection.execute(delete(steps).where(steps.c.run_id.in_(old)))
        connection.execute(delete(runs).where(runs.c.run_id.in_(old)))
    connection.execute(delete(lines).where(lines.c.run_id.is_(None), lines.c.at < before))
    return len(old)
