"""`connector-core run` and `rejects replay`: run connectors one after the other and report what each has done."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from datetime import datetime

from connector_core.cli.exit_codes import worst
from connector_core.cli.output import as_json as plain
from connector_core.cli.output import print_json, print_line
from connector_core.cli.progress import Tell, shown
from connector_core.cli.report import coded, print_report
from connector_core.cli.session import Session
from connector_core.cli.signals import Signals, end_hard
from connector_core.cli.skips import skip_for_quota, tell_skipped
from connector_core.config import Config, Connector
from connector_core.errors import BusyError, ConfigError, ConnectorError, QuotaError
from connector_core.events import Event, StreamFinished
from connector_core.ledger import Ledger
from connector_core.run_report import RunOptions, RunReport

Work = Callable[[Connector, Config, Ledger, threading.Event, Tell], RunReport]


def run(session: Session, names: Collection[str], options: RunOptions, *, as_json: bool) -> int:
    """Run the named connectors, else all enabled ones. Gives the gravest exit code of all runs."""
    config = session.load(names or None)
    connectors = _enabled(session, config, names)

    def work(connector: Connector, config: Config, ledger: Ledger, stop: threading.Event, tell: Tell) -> RunReport:
        from connector_core.pipeline import run_connector

        return run_connector(
            connector,
            config=config,
            ledger=ledger,
            options=options,
            stop=stop,
            report=tell,
            hung=lambda error: end_hard(session.say, f"error: {connector.key}: {error}", error.exit_code),
        )

    return _all(session, config, connectors, work, as_json=as_json)


def run_due(session: Session, names: Collection[str], *, as_json: bool) -> int:
    """Run those of the named connectors, else of all enabled ones, that are due by their schedules.

    Slots that have passed meanwhile are noted as skipped, and said. A connector that another process is running is no
    failure: its slot is that one's affair.
    """
    from connector_core.scheduling.calendar import entry, look

    config = session.load(names or None)
    slots: dict[str, datetime] = {}
    with session.ledger(config) as ledger:
        for connector in _enabled(session, config, names):
            found = look(entry(connector), ledger, watched=ledger.now())
            for skip in found.due.skipped:
                tell_skipped(session, config, connector, skip)
            if found.due.run is not None:
                slots[connector.key] = found.due.run

    def work(connector: Connector, config: Config, ledger: Ledger, stop: threading.Event, tell: Tell) -> RunReport:
        from connector_core.pipeline import run_connector

        slot = slots[connector.key]
        try:
            return run_connector(
                connector,
                config=config,
                ledger=ledger,
                options=RunOptions(trigger="schedule", slot=slot),
                stop=stop,
                report=tell,
                hung=lambda error: end_hard(session.say, f"error: {connector.key}: {error}", error.exit_code),
            )
        except QuotaError as error:
            skip_for_quota(session, config, ledger, connector, slot, error)
            raise

    if not slots and not as_json:
        print_line("nothing is due; `connector-core schedule` shows what comes next")
    chosen = [connector for key, connector in config.connectors.items() if key in slots]
    return _all(session, config, chosen, work, as_json=as_json, harmless=(BusyError, QuotaError)) if chosen else 0


def _enabled(session: Session, config: Config, names: Collection[str]) -> list[Connector]:
    connectors = session.chosen(config, names)
    for connector in connectors:
        if not connector.enabled:
            raise ConfigError(
                f"connector {connector.key!r} is disabled",
                hint=f"set enabled = true in [connectors.{connector.key}]",
                code="connector_disabled",
            )
    return connectors


def replay(session: Session, name: str, stream: str | None, *, as_json: bool) -> int:
    """Try the rejected records of one connector again."""
    config = session.load([name])

    def work(connector: Connector, config: Config, ledger: Ledger, stop: threading.Event, tell: Tell) -> RunReport:
        from connector_core.replay import replay_rejects

        return replay_rejects(connector, config=config, ledger=ledger, stream=stream, stop=stop, report=tell)

    return _all(session, config, session.chosen(config, [name]), work, as_json=as_json, replay=True)


def _all(
    session: Session,
    config: Config,
    connectors: list[Connector],
    work: Work,
    *,
    as_json: bool,
    replay: bool = False,
    harmless: tuple[type[ConnectorError], ...] = (),
) -> int:
    stop = threading.Event()
    codes: list[int] = []
    unfinished = False
    with session.ledger(config) as ledger, Signals(stop, session.say) as signals:
        for connector in connectors:
            if stop.is_set():
                break
            report = _one(session, config, connector, ledger, stop, work, harmless)
            if report is None:
                codes.append(0)
                continue
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
    session: Session,
    config: Config,
    connector: Connector,
    ledger: Ledger,
    stop: threading.Event,
    work: Work,
    harmless: tuple[type[ConnectorError], ...],
) -> RunReport | None:
    """One run. What it raises (busy, a wrong option, a defect) concerns this connector only: the next one goes on.

    None when it did not begin for a reason that is `harmless` here.
    """
    failures: list[str] = []
    try:
        with shown(connector.key, session.say, session.clean) as tell:

            def told(event: Event) -> None:
                if isinstance(event, StreamFinished) and event.error:
                    failures.append(event.error)
                tell(event)

            report = work(connector, config, ledger, stop, told)
    except harmless as error:
        session.say(f"{connector.key}: {error}")
        return None
    except Exception as error:
        code = session.failed(error)
        known = isinstance(error, ConnectorError)
        return RunReport(
            connector=connector.key,
            run_id="",
            status="failed",
            exit_code=code,
            error=str(error) if known else f"internal error: {type(error).__name__}: {error}",
            error_codes=(error.code if isinstance(error, ConnectorError) else "internal",),
        )
    if report.error:
        left = report.error
        for failure in failures:
            left = left.replace(failure, "")
        new = left.strip("; ")
        session.say(f"error: {connector.key}: {report.error if new else f'{coded(report)}, as told above'}")
    return report
