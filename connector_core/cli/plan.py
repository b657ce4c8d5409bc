"""`connector-core plan`: what a run would do, without doing it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict

from connector_core.cli.check import fetcher
from connector_core.cli.output import as_json as plain
from connector_core.cli.output import counted, print_json, print_line, print_table
from connector_core.cli.session import Session
from connector_core.clock import SystemClock
from connector_core.config import Config, Connector
from connector_core.config.units import brief
from connector_core.ledger import Ledger
from connector_core.metering.periods import Period, period
from connector_core.metering.summary import what_ifs
from connector_core.metering.whatif import WhatIf
from connector_core.planning import RunPlan, plan, runs_in
from connector_core.plugins import assemble
from connector_core.scheduling.calendar import Entry, entry


def planned(session: Session, names: Collection[str], *, as_json: bool) -> int:
    """Print what a run of the named connectors, else of all enabled ones, would do, and what that costs."""
    config = session.load(names or None)
    clock = SystemClock()
    with session.ledger_if_there(config) as ledger:
        for index, connector in enumerate(session.chosen(config, names)):
            hooks = assemble(connector, config)
            to = config.destination_config(connector.destination)
            with (
                fetcher(session, hooks, config, connector) as fetch,
                hooks.connect(to, connector.namespace) as target,
            ):
                start = ledger.start_date(connector.key) if ledger else None
                found = plan(connector, fetch=fetch, target=target, start=start, now=clock.now())
            one = entry(connector)
            first = ledger.first_data_of_all() if ledger else None
            span = period(clock.now(), config.metering, first)
            runs = runs_in(one.schedule, span.begin, span.end) if one.schedule else None
            cost = _cost(config, ledger, connector, span, runs)
            if as_json:
                print_json(
                    plain(
                        {**asdict(found), "schedule": one.spec, "runs_in_period": runs, "rows_in_period": _rows(cost)},
                        session.redact,
                    )
                )
                continue
            if index:
                print_line()
            _print(session, found, one, runs, cost)
    return 0


def _cost(config: Config, ledger: Ledger | None, connector: Connector, span: Period, runs: int | None) -> WhatIf | None:
    """What a period would count at this schedule, judged by the runs so far; None when too few are known."""
    if ledger is None or not runs:
        return None
    every = (span.end - span.begin) / runs
    now = SystemClock().now()
    return next(iter(what_ifs(ledger, config.metering, now=now, connectors=[connector.key], other=every)), None)


def _rows(cost: WhatIf | None) -> int | None:
    return None if cost is None else cost.other_rows


def _print(session: Session, found: RunPlan, one: Entry, runs: int | None, cost: WhatIf | None) -> None:
    calls = "" if found.calls is None else f", about {counted(found.calls, 'call')}"
    print_line(f"{found.connector}: {counted(len(found.streams), 'stream')}{calls}; nothing was changed")
    rows = []
    for stream in found.streams:
        about = "" if stream.exact else "about "
        asked = ", ".join(f"{name}: {_told(number)}" for name, number in stream.children.items())
        records = "not told" if stream.records is None else f"{about}{stream.records:,}"
        needed = "not told" if stream.calls is None else f"{about}{stream.calls:,}"
        rows.append((stream.stream, stream.since or "the whole table", records, needed, asked))
    print_line()
    print_table(["stream", "since", "records", "calls", "asked for children"], rows, numbers=(2, 3), indent=2)
    print_line()
    if found.changes is None:
        print_line("  tables: this destination does not tell beforehand")
    elif not found.changes:
        print_line("  tables: stay as they are")
    for change in found.changes or ():
        column = f".{change.column}" if change.column else ""
        detail = f" ({change.detail})" if change.detail else ""
        print_line(session.redact(f"  {change.what} {change.table}{column}{detail}"))
    if runs is None:
        print_line("  schedule: none; it runs by hand")
        return
    times = f"  schedule: {one.spec}, {counted(runs, 'run')} in a period"
    if cost is None:
        print_line(f"{times}; what it costs is known after a day of runs")
    else:
        print_line(f"{times}, about {counted(cost.other_rows, 'row')} that count (runs so far: every {_every(cost)})")


def _told(number: int | None) -> str:
    return "not told" if number is None else f"{number:,}"


def _every(cost: WhatIf) -> str:
    return brief(max(60, round(cost.every.total_seconds() / 60) * 60))
