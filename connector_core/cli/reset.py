"""`connector-core reset`: read streams again from their beginning, after saying what that means."""

from __future__ import annotations

import sys
import threading
from collections.abc import Collection

from connector_core.bookmarks import shown
from connector_core.cli.output import as_json as plain
from connector_core.cli.output import instant, print_json, print_line, print_table
from connector_core.cli.session import Session
from connector_core.clock import SystemClock
from connector_core.errors import ConfigError
from connector_core.reset_streams import ResetPlan, plan_reset, reset_streams


def reset(
    session: Session, name: str, streams: Collection[str], *, whole: bool, dry_run: bool, yes: bool, as_json: bool
) -> int:
    """Reset the named root streams, or all with `whole`. `dry_run` only tells; else `yes`, or a yes on the terminal,
    is needed."""
    if bool(streams) == whole:
        raise ConfigError(
            "name the streams to reset, or all of them with --all", hint=f"reset {name} STREAM", code="usage"
        )
    config = session.load([name])
    (connector,) = session.chosen(config, [name])
    clock, stop = SystemClock(), threading.Event()
    with session.ledger(config) as ledger:
        plan = plan_reset(connector, streams, config=config, ledger=ledger, clock=clock, stop=stop)
        if not as_json:
            _print(plan, connector.namespace)
        done = bool(plan.families) and not dry_run
        if done:
            _confirm(plan, yes=yes)
            names = [family.stream for family in plan.families]
            reset_streams(connector, names, config=config, ledger=ledger, clock=clock, stop=stop)
    if as_json:
        print_json({**plain(plan, session.redact), "done": done})
    elif done:
        print_line(f"Done. `connector-core run {name}` reads them again.")
    elif dry_run:
        print_line("Nothing was changed (--dry-run).")
    return 0


def _print(plan: ResetPlan, namespace: str) -> None:
    if not plan.families:
        print_line(f"{plan.connector}: nothing was loaded yet, there is nothing to reset")
        return
    print_line(f"{plan.connector}: a reset drops these tables of schema {namespace} and forgets the bookmarks:")
    rows = [
        (
            family.stream,
            shown(family.bookmark) or "full table",
            ", ".join(family.tables),
            family.rows,
        )
        for family in plan.families
    ]
    print_table(["stream", "bookmark", "tables", "rows written so far"], rows, numbers=(3,), indent=2)
    start = f"from {instant(plan.start_date)}" if plan.start_date else "from the start date"
    print_line(f"The next run reads them again {start}; full tables as a whole.")
    if plan.free_until is not None:
        free = SystemClock().now() < plan.free_until
        what = "is free; the free window ends" if free else "counts; the free window ended"
        print_line(f"What it writes {what} at {instant(plan.free_until)}.")


def _confirm(plan: ResetPlan, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise ConfigError(
            "a reset needs your confirmation", hint="look at it with --dry-run, then add --yes", code="not_confirmed"
        )
    print("Type yes to go on: ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip() != "yes":
        raise ConfigError(
            f"the reset of {plan.connector!r} was not confirmed", hint="nothing was changed", code="not_confirmed"
        )
