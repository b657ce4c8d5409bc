"""The process that `connector-core serve` starts for one slot: `python -m connector_core.cli.worker FILE NAME SLOT`.

It runs the connector once, says on standard output when it waits for the source, and on standard error how it ended.
Exit codes are those of `run`; 75, without a word, when another process has taken the slot.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from connector_core.cli.report import headline
from connector_core.cli.session import Session
from connector_core.cli.signals import Signals, end_hard
from connector_core.cli.skips import skip_for_quota
from connector_core.cli.streams import forgiving
from connector_core.errors import BusyError, QuotaError
from connector_core.events import Event, Waiting
from connector_core.run_report import RunOptions

WORTH_TELLING = 2.0
"""Seconds; a shorter wait frees no place for another run."""


def main(argv: Sequence[str]) -> int:
    """Run the slot and return the exit code."""
    forgiving()
    session = Session()
    *options, file, name, slot = argv
    session.file, session.debug = Path(file), "--debug" in options
    return session.guarded(lambda: run_slot(session, name, datetime.fromisoformat(slot)))


def run_slot(session: Session, name: str, slot: datetime) -> int:
    """Run one slot of one connector."""
    from connector_core.pipeline import run_connector

    config = session.load([name])
    stop = threading.Event()
    with session.ledger(config) as ledger, Signals(stop, _silent) as signals:
        try:
            report = run_connector(
                config.connectors[name],
                config=config,
                ledger=ledger,
                options=RunOptions(trigger="schedule", slot=slot),
                stop=stop,
                report=_tell,
                hung=lambda error: end_hard(session.say, f"error: {name}: {error}", error.exit_code),
            )
        except BusyError as error:
            return error.exit_code
        except QuotaError as error:
            skip_for_quota(session, config, ledger, config.connectors[name], slot, error)
            return error.exit_code
    if report.error:
        session.say(f"error: {name}: {report.error}")
    session.say(headline(report))
    print(json.dumps({"report": session.cleaned(report.as_json())}), flush=True)
    return signals.exit_code or 130 if report.status == "stopped" else report.exit_code


def _tell(event: Event) -> None:
    if isinstance(event, Waiting) and event.seconds >= WORTH_TELLING:
        print(json.dumps({"waiting": event.seconds}), flush=True)


def _silent(text: str) -> None:
    """The daemon has said that it stops."""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
