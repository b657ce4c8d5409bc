"""`connector-core run` and `rejects replay`: run connectors one after the other and report what each has done."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection

from connector_core.cli.exit_codes import worst
from connector_core.cli.output import as_json as plain
from connector_core.cli.output import print_json, print_line
from connector_core.cli.progress import Tell, shown
from connector_core.cli.report import print_report
from connector_core.cli.session import Session
from connector_core.cli.signals import Signals
from connector_core.config import Config, Connector
from connector_core.errors import ConfigError, ConnectorError
from connector_core.ledger import Ledger
from connector_core.run_report import RunOptions, RunReport

Work = Callable[[Connector, Config, Ledger, threading.Event, Tell], RunReport]


def run(session: Session, names: Collection[str], options: RunOptions, *, as_json: bool) -> int:
    """Run the named connectors, else all enabled ones. Gives the gravest exit code of all runs."""
    config = session.load(names or None)
    connectors = session.chosen(config, names)
    for connector in connectors:
        if not connector.enabled:
            raise ConfigError(
                f"connector {connector.key!r} is disabled", hint=f"set enabled = true in [connectors.{connector.key}]"
            )

    def work(connector: Connector, config: Config, ledger: Ledger, stop: threading.Event, tell: Tell) -> RunReport:
        from connector_core.pipeline import run_connector

        return run_connector(connector, config=config, ledger=ledger, options=options, stop=stop, report=tell)

    return _all(session, config, connectors, work, as_json=as_json)


def replay(session: Session, name: str, stream: str | None, *, as_json: bool) -> int:
    """Try the rejected records of one connector again."""
    config = session.load([name])

    def work(connector: Connector, config: Config, ledger: Ledger, stop: threading.Event, tell: Tell) -> RunReport:
        from connector_core.replay import replay_rejects

        return replay_rejects(connector, config=config, ledger=ledger, stream=stream, stop=stop, report=tell)

    return _all(session, config, session.chosen(config, [name]), work, as_json=as_json, replay=True)


def _all(
    session: Session, config: Config, connectors: list[Connector], work: Work, *, as_json: bool, replay: bool = False
) -> int:
    stop = threading.Event()
    codes: list[int] = []
    unfinished = False
    with session.ledger(config) as ledger, Signals(stop, session.say) as signals:
        for connector in connectors:
            if stop.is_set():
                break
            report = _one(session, config, connector, ledger, stop, work)
            codes.append(report.exit_code)
            if as_json:
                print_json(plain(report.as_json(), session.redact))
            else:
                if len(codes) > 1:
                    print_line()
                print_report(session, report, replay=replay)
            unfinished = report.status == "stopped"
    if stop.is_set() and (unfinished or len(codes) < len(connectors)):
        return signals.exit_code or 130
    return worst(codes)


def _one(
    session: Session, config: Config, connector: Connector, ledger: Ledger, stop: threading.Event, work: Work
) -> RunReport:
    """One run. What it raises (busy, a wrong option, a defect) concerns this connector only: the next one goes on."""
    try:
        with shown(connector.key, session.say, session.clean) as tell:
            report = work(connector, config, ledger, stop, tell)
    except Exception as error:
        code = session.failed(error)
        text = str(error) if isinstance(error, ConnectorError) else f"internal error: {type(error).__name__}: {error}"
        return RunReport(connector=connector.key, run_id="", status="failed", exit_code=code, error=text)
    if report.error:
        session.say(f"error: {connector.key}: {report.error}")
    return report
