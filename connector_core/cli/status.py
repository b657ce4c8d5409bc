"""`connector-core status`: where every connector stands, from the ledger alone."""

from __future__ import annotations

from typing import Any

from connector_core.cli.output import as_json as plain
from connector_core.cli.output import instant, print_json, print_line, print_table
from connector_core.cli.session import Session
from connector_core.config import Config
from connector_core.config.units import spoken
from connector_core.ledger import ConnectorStatus

PENDING = "pending"
"""A configured connector that has never run, as Stitch calls it."""


def status(session: Session, *, as_json: bool) -> int:
    """Print every configured or once run connector. Makes no ledger where there is none."""
    config = session.load(())
    known = {one.connector: one for one in _statuses(session, config)}
    keys = list(dict.fromkeys([*config.connectors, *known]))
    if as_json:
        print_json({"connectors": [_json(session, config, key, known.get(key)) for key in keys]})
        return 0
    rows = [_row(config, key, known.get(key)) for key in keys]
    headers = ["connector", "schema", "status", "last run", "took", "rows today", "rows 30 days", "rejects"]
    print_table(headers, rows, numbers=(5, 6, 7))
    for key in keys:
        if key in known:
            _print_streams(session, known[key])
    return 0


def _statuses(session: Session, config: Config) -> list[ConnectorStatus]:
    with session.ledger_if_there(config) as ledger:
        return ledger.status() if ledger else []


def _state(config: Config, key: str, found: ConnectorStatus | None) -> str:
    if key not in config.connectors:
        return "not configured"
    if not config.connectors[key].enabled:
        return "disabled"
    return found.last_run.status if found and found.last_run else PENDING


def _row(config: Config, key: str, found: ConnectorStatus | None) -> tuple[object, ...]:
    run = found.last_run if found else None
    took = spoken((run.finished_at - run.started_at).total_seconds()) if run and run.finished_at else ""
    namespace = config.connectors[key].namespace if key in config.connectors else found.namespace if found else ""
    return (
        key,
        namespace,
        _state(config, key, found),
        run.started_at if run else None,
        took,
        found.rows_today if found else None,
        found.rows_30_days if found else None,
        found.rejects if found else None,
    )


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
        at = (one.bookmark or {}).get("value")
        rows.append((one.stream, at, one.counts.loaded, one.rows, instant(one.committed_at), older))
    headers = ["stream", "bookmark", "records loaded", "rows written", "last commit", "rows of an older shape"]
    print_table(headers, rows, numbers=(2, 3), indent=2)


def _json(session: Session, config: Config, key: str, found: ConnectorStatus | None) -> dict[str, Any]:
    configured = config.connectors.get(key)
    facts = plain(found, session.redact) if found else {}
    return {
        **facts,
        "connector": key,
        "state": _state(config, key, found),
        "enabled": configured.enabled if configured else False,
        "namespace": configured.namespace if configured else facts.get("namespace"),
    }
