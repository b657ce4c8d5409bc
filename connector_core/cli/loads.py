"""`connector-core report`: the loading report, table by table, from the ledger alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from connector_core.bookmarks import shown
from connector_core.cli.logs import SHORT, find_run
from connector_core.cli.output import as_json as plain
from connector_core.cli.output import instant, print_json, print_line, print_table
from connector_core.cli.session import Session
from connector_core.config import Config
from connector_core.config.problems import did_you_mean
from connector_core.errors import ConfigError
from connector_core.ledger import Ledger, Loads, Run, TableLoads
from connector_core.metering.periods import period, previous

HEADERS = (
    "table",
    "bookmark",
    "extracted",
    "rows this run",
    "24 hours",
    "this period",
    "previous",
    "unchanged",
    "rejected",
    "skipped",
)


def loading_report(session: Session, name: str | None, run: str | None, *, subtables: bool, as_json: bool) -> int:
    """Print the tables of one connector or of all that ever ran."""
    config = session.load(())
    reports: list[tuple[Loads, Run | None]] = []
    with session.ledger_if_there(config) as ledger:
        if ledger is not None:
            session.known_anywhere(config, ledger, name)
            chosen = None if run is None else find_run(ledger, run, name)
            keys = [one.connector for one in ledger.connectors()] if name is None else [name]
            if chosen is not None:
                keys = [chosen.connector]
            reports = [_loads(config, ledger, key, chosen) for key in keys]
    if as_json:
        print_json({"reports": [_json(session, loads, of) for loads, of in reports]})
        return 0
    if not reports:
        print_line("Nothing was loaded yet.")
    for nth, (loads, of) in enumerate(reports):
        if nth:
            print_line()
        _print(session, loads, of, subtables=subtables)
    return 0


def table_history(session: Session, name: str | None, table: str, limit: int, *, as_json: bool) -> int:
    """Print the loads of one table, newest first. Without a name there must be one connector only."""
    config = session.load(())
    with session.ledger_if_there(config) as ledger:
        found = []
        if name is None:
            names = [one.connector for one in ledger.connectors()] if ledger is not None else []
            if len(names) != 1:
                raise ConfigError(
                    "--table needs the connector's name", hint=f"there are: {', '.join(names) or 'none'}", code="usage"
                )
            (name,) = names
        if ledger is not None:
            session.known_anywhere(config, ledger, name)
            found = ledger.table_loads(name, table, limit=limit)
            if not found:
                tables = ledger.tables(name)
                raise ConfigError(
                    f"no run of {name!r} has loaded a table {table!r}",
                    hint=did_you_mean(table, tables, f"there are: {', '.join(tables) or 'none'}"),
                    code="table_unknown",
                )
    if as_json:
        print_json({"connector": name, "table": table, "loads": plain(found, session.redact)})
        return 0
    rows = [
        (
            load.completed_at or load.started_at,
            load.run_id[:SHORT],
            load.status,
            _value(load.bookmark),
            load.written,
            load.deleted,
            load.unchanged,
            session.redact(load.error or ""),
        )
        for load in found
    ]
    print_line(f"{name}: loads of {table}")
    headers = ["completed", "run", "status", "bookmark", "rows written", "deleted", "unchanged", "error"]
    print_table(headers, rows, numbers=(4, 5, 6), indent=2)
    return 0


def _loads(config: Config, ledger: Ledger, key: str, run: Run | None) -> tuple[Loads, Run | None]:
    now = ledger.now()
    last = run or next(iter(ledger.runs(key, limit=1)), None)
    this = period(now, config.metering, ledger.first_data_of_all())
    return (
        ledger.loads(
            key,
            None if last is None else last.run_id,
            day=now - timedelta(hours=24),
            period=this.begin,
            previous=previous(this, config.metering).begin,
        ),
        last,
    )


def _print(session: Session, loads: Loads, run: Run | None, *, subtables: bool) -> None:
    of = f"run {run.run_id[:SHORT]} of {instant(run.started_at)} {run.status}" if run else "no run is known"
    print_line(f"{loads.connector}: {of}; this period since {instant(loads.period)}")
    if run is not None and run.error:
        print_line(session.redact(f"  error: {run.error}"))
    if not loads.tables:
        print_line("  nothing was loaded in this period and the one before")
        return
    print_table(HEADERS, _rows(loads.tables, expand=subtables), numbers=range(3, 10), indent=2)
    if not subtables and any(one.subtable for one in loads.tables):
        print_line("  rows of subtables are in those of their table; --subtables shows them")


def _rows(tables: Sequence[TableLoads], *, expand: bool) -> Iterable[tuple[object, ...]]:
    for one in tables:
        under = [t for t in tables if t.subtable and t.stream == one.stream] if not one.subtable else []
        if one.subtable and not expand and any(not t.subtable and t.stream == one.stream for t in tables):
            continue
        whole = [one] if expand else [one, *under]
        more = f" (+{len(under)})" if under and not expand else ""
        counts = one.counts
        shared = (
            ("", "", "") if one.subtable else (counts.unchanged, counts.rejected, counts.superseded + counts.filtered)
        )
        yield (
            f"{'  ' if one.subtable and expand else ''}{one.table}{more}",
            "" if one.subtable else _value(one.bookmark) or "full table",
            one.extracted_at,
            sum(t.run for t in whole),
            sum(t.day for t in whole),
            sum(t.period for t in whole),
            sum(t.previous for t in whole),
            *shared,
        )


def _json(session: Session, loads: Loads, run: Run | None) -> dict[str, Any]:
    return {**plain(loads, session.redact), "run": plain(run, session.redact) if run else None}


def _value(bookmark: Any) -> str:
    value = shown(bookmark)
    return "" if value is None else str(value)
