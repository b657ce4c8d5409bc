"""`connector-core logs`: what runs have said, line by line, from the ledger alone."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import datetime

from connector_core.cli.moments import moment
from connector_core.cli.output import as_json as plain
from connector_core.cli.output import counted, print_json, print_line, print_table
from connector_core.cli.session import Session
from connector_core.clock import SystemClock
from connector_core.config.problems import did_you_mean
from connector_core.config.units import spoken
from connector_core.errors import ConfigError
from connector_core.ledger import LEVELS, Ledger, LogFilter, LoggedLine, Run, Step

EVERY = 1.0
"""Seconds between two looks at the ledger while following."""
SHORT = 12
"""Characters of a run's id that are shown: enough to name it."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the options ask for, as they were typed."""

    name: str | None = None
    run: str | None = None
    stream: str | None = None
    component: str | None = None
    level: str | None = None
    since: str | None = None
    until: str | None = None
    limit: int = 200


def logs(session: Session, wanted: Wanted, *, follow: bool, as_json: bool) -> int:
    """Print log lines, oldest first; with `follow` go on until the run has ended, or for ever without one."""
    config = session.load(())
    with session.ledger(config) if follow else session.ledger_if_there(config) as ledger:
        if ledger is None:
            return _nothing(as_json)
        session.known_anywhere(config, ledger, wanted.name)
        asked = _filter(ledger, wanted)
        found = ledger.logs(limit=wanted.limit, **vars(asked))
        _print(session, found, as_json=as_json)
        if not follow:
            if asked.run_id and not as_json:
                print_line()
                print_line(session.redact(ending(ledger.report(asked.run_id).run, ledger.steps(asked.run_id))))
            return 0 if found or asked.run_id else _nothing(as_json)
        _follow(session, ledger, asked, found[-1].number if found else 0, as_json=as_json)
    return 0


def list_runs(session: Session, name: str | None, limit: int, *, as_json: bool) -> int:
    """Print the newest runs with their steps."""
    config = session.load(())
    with session.ledger_if_there(config) as ledger:
        if ledger is not None:
            session.known_anywhere(config, ledger, name)
        runs = ledger.runs(name, limit=limit) if ledger is not None else []
        steps = {run.run_id: ledger.steps(run.run_id) for run in runs} if ledger is not None else {}
    if as_json:
        print_json({"runs": [{**plain(r, session.redact), "steps": plain(steps[r.run_id])} for r in runs]})
        return 0
    if not runs:
        print_line("No runs.")
        return 0
    rows = [
        (
            r.started_at,
            r.connector,
            r.run_id[:SHORT],
            r.trigger,
            _took(r),
            r.status,
            r.exit_code,
            _failed(steps[r.run_id]),
        )
        for r in runs
    ]
    headers = ["started", "connector", "run", "trigger", "took", "status", "exit", "failed in"]
    print_table(headers, rows, numbers=(6,))
    return 0


def _filter(ledger: Ledger, wanted: Wanted) -> LogFilter:
    if wanted.level is not None and wanted.level.upper() not in LEVELS:
        names = [level.lower() for level in LEVELS]
        raise ConfigError(
            f"there is no level {wanted.level!r}",
            hint=did_you_mean(wanted.level.lower(), names, f"there are: {', '.join(names)}"),
            code="usage",
        )
    now = ledger.now()
    return LogFilter(
        run_id=None if wanted.run is None else find_run(ledger, wanted.run, wanted.name).run_id,
        connector=wanted.name,
        stream=wanted.stream,
        component=wanted.component,
        level=None if wanted.level is None else wanted.level.upper(),
        since=moment(wanted.since, now, "--since"),
        until=moment(wanted.until, now, "--until"),
    )


def find_run(ledger: Ledger, asked: str, connector: str | None = None) -> Run:
    """The run with this id, with an id that begins so, or the `last` one. Raises `ConfigError` for none, or several."""
    found = ledger.runs(connector, limit=1) if asked == "last" else ledger.runs(connector, begins=asked, limit=2)
    if len(found) != 1:
        what = "several runs begin with" if found else "there is no run"
        raise ConfigError(f"{what} {asked!r}", hint="`connector-core logs --runs` lists them", code="unknown_run")
    return found[0]


def _follow(session: Session, ledger: Ledger, asked: LogFilter, after: int, *, as_json: bool) -> None:
    clock, stop = SystemClock(), threading.Event()
    while True:
        over = asked.run_id is not None and ledger.report(asked.run_id).run.status != "running"
        found = ledger.logs(**{**vars(asked), "after": after})
        _print(session, found, as_json=as_json)
        after = found[-1].number if found else after
        if over:
            return
        clock.wait(EVERY, stop)


def _print(session: Session, found: list[LoggedLine], *, as_json: bool) -> None:
    for line in found:
        if as_json:
            print_json(plain(line, session.redact))
        else:
            who = " ".join(word for word in (line.connector, line.stream) if word)
            told = f"{stamp(line.at)} {line.component:<11} {line.level:<8} {f'{who}: ' if who else ''}{line.text}"
            print_line(session.redact(told))


def stamp(at: datetime) -> str:
    """An instant to the millisecond, in UTC."""
    return f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03}Z"


def ending(run: Run, steps: tuple[Step, ...]) -> str:
    """One line that says how each step of a run ended."""
    told = [_step(step) for step in steps]
    ended = f"exit status {run.exit_code}" if run.exit_code is not None else run.status
    return f"Run {run.run_id}: {run.status}, {ended}. {' '.join(told)}".rstrip()


def _step(step: Step) -> str:
    name = f"{step.name} of {step.stream}" if step.stream else step.name
    if step.exit_status is None:
        return f"{name.capitalize()} did not end."
    if step.exit_status == 0:
        return f"{name.capitalize()} succeeded."
    return f"{name.capitalize()} failed with code {step.exit_status}: {step.text}."


def _failed(steps: tuple[Step, ...]) -> str:
    names = [step.stream or step.name for step in steps if step.exit_status not in (0, None)]
    return ", ".join(names)


def _took(run: Run) -> str:
    return "" if run.finished_at is None else spoken((run.finished_at - run.started_at).total_seconds())


def _nothing(as_json: bool) -> int:
    if not as_json:
        print_line(f"No log lines ({counted(0, 'run')} kept).")
    return 0
