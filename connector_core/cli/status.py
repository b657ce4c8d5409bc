"""`connector-core status`: where every connector stands, from the ledger alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from connector_core.bookmarks import shown
from connector_core.cli.output import as_json as plain
from connector_core.cli.output import instant, print_json, print_line, print_table
from connector_core.cli.schedule import agenda, described, upcoming
from connector_core.cli.session import Session
from connector_core.clock import SystemClock
from connector_core.config import Config, Connector
from connector_core.ledger import Agenda, ConnectorStatus, Ledger
from connector_core.metering.periods import period
from connector_core.scheduling.calendar import entry

MOST_RUNS = 200
"""So many runs are looked through for one that succeeded."""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Where a connector stands. `state` in Stitch's words: pending (no run has ended yet), in progress, active, paused
    (by hand, or disabled in connectors.toml), in error (its last run failed), not configured (known to the ledger
    alone). `last_sync` is the end of the last run that succeeded, `next_sync` the next slot (it has passed when a run
    is due).
    """

    key: str
    state: str
    namespace: str | None
    why: str = ""
    found: ConnectorStatus | None = None
    last_sync: datetime | None = None
    next_sync: datetime | None = None
    rows_this_period: int | None = None


def status(session: Session, *, as_json: bool) -> int:
    """Print every configured or once run connector. Makes no ledger where there is none."""
    config = session.load(())
    now = SystemClock().now()
    with session.ledger_if_there(config) as ledger:
        known = {one.connector: one for one in ledger.status()} if ledger else {}
        keys = dict.fromkeys([*config.connectors, *known])
        stands = [_standing(config, key, known.get(key), ledger, now) for key in keys]
    if as_json:
        print_json({"connectors": [_json(session, config, one) for one in stands]})
        return 0
    headers = ["connector", "schema", "status", "last sync", "next sync", "rows today", "rows this period", "rejects"]
    print_table(headers, [_row(one, now) for one in stands], numbers=(5, 6, 7))
    for one in stands:
        if one.why:
            print_line(f"{one.key}: {one.why}")
        if one.found is not None:
            _print_streams(session, one.found)
    return 0


def _standing(
    config: Config, key: str, found: ConnectorStatus | None, ledger: Ledger | None, now: datetime
) -> Standing:
    last_sync, rows = None, None
    if ledger is not None and found is not None:
        ended = (run.finished_at for run in ledger.runs(key, limit=MOST_RUNS) if run.status in ("succeeded", "partial"))
        last_sync = next(ended, None)
        metering = config.metering
        begin = period(now, metering, ledger.first_data_of_all()).begin
        usage = ledger.usage(key, since=begin, count=metering.count)
        rows = sum(row.free + row.counted for row in usage)
    connector = config.connectors.get(key)
    if connector is None:
        namespace = found.namespace if found else None
        return Standing(
            key=key,
            state="not configured",
            namespace=namespace,
            found=found,
            last_sync=last_sync,
            rows_this_period=rows,
        )
    one = entry(connector)
    known = agenda(one, ledger, now)
    return Standing(
        key=key,
        state=_state(connector, known, found),
        namespace=connector.namespace,
        why=described(one, known.paused) if known.paused or not connector.enabled else "",
        found=found,
        last_sync=last_sync,
        next_sync=next(iter(upcoming(one, known, now, 1)), None),
        rows_this_period=rows,
    )


def _state(connector: Connector, known: Agenda, found: ConnectorStatus | None) -> str:
    run = found.last_run if found else None
    if known.history.running or (run is not None and run.status == "running"):
        return "in progress"
    if known.paused is not None or not connector.enabled:
        return "paused"
    if run is None:
        return "pending"
    return "in error" if run.status in ("failed", "rejected", "crashed") else "active"


def _row(one: Standing, now: datetime) -> tuple[object, ...]:
    coming = "due now" if one.next_sync and one.next_sync <= now else one.next_sync
    today, rejects = (one.found.rows_today, one.found.rejects) if one.found else (None, None)
    return (one.key, one.namespace, one.state, one.last_sync, coming, today, one.rows_this_period, rejects)


def _print_streams(session: Session, found: ConnectorStatus) -> None:
    if found.last_run and found.last_run.error:
        print_line()
        print_line(f"{found.connector}: last error: {session.redact(found.last_run.error)}")
    if not found.streams:
        return
    print_line()
    print_line(f"{found.connector}:")
    rows = []
    for one in found.streams:
        older = ", ".join(f"{count:,} in {stream}" for stream, count in one.older.items() if count)
        rows.append((one.stream, shown(one.bookmark), one.counts.loaded, one.rows, instant(one.committed_at), older))
    headers = ["stream", "bookmark", "records loaded", "rows written", "last commit", "rows of an older shape"]
    print_table(headers, rows, numbers=(2, 3), indent=2)


def _json(session: Session, config: Config, one: Standing) -> dict[str, Any]:
    configured = config.connectors.get(one.key)
    facts = plain(one.found, session.redact) if one.found else {}
    return {
        **facts,
        "connector": one.key,
        "state": one.state,
        "why": session.redact(one.why),
        "enabled": configured.enabled if configured else False,
        "namespace": one.namespace,
        "last_sync": plain(one.last_sync),
        "next_sync": plain(one.next_sync),
        "rows_this_period": one.rows_this_period,
    }
