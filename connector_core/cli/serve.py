"""`connector-core serve`: the daemon that runs connectors by their schedules."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import datetime

from connector_core.cli.output import as_json as plain
from connector_core.cli.output import counted, instant, print_json
from connector_core.cli.session import Session
from connector_core.cli.signals import Signals
from connector_core.cli.skips import tell_skipped
from connector_core.clock import SystemClock
from connector_core.config import Config, Connector
from connector_core.errors import ConnectorError
from connector_core.scheduling.calendar import Entry, entry
from connector_core.scheduling.due import Skip
from connector_core.scheduling.scheduler import Scheduler
from connector_core.scheduling.workers import ProcessWorker, command


def serve(session: Session, *, as_json: bool) -> int:
    """Run connectors by their schedules until a signal comes; then finish the runs that are going on.

    The configuration is read again when its file has changed; one with mistakes is said, and the former one stays. With
    `as_json` what begins, ends and is skipped is also printed as JSON, an object a line.
    """
    clock, wake = SystemClock(), threading.Event()
    calendar = Calendar(session)

    def tell(what: str, connector: str, **facts: object) -> None:
        if as_json:
            print_json({"at": plain(clock.now()), "what": what, "connector": connector, **plain(facts, session.redact)})

    def spawn(connector: Connector, slot: datetime) -> ProcessWorker:
        session.say(f"{connector.key}: slot {instant(slot)}: begins")
        tell("begins", connector.key, slot=slot)
        arguments = command(session.file, connector, slot, debug=session.debug)
        return ProcessWorker(
            arguments, clock=clock, wake=wake, ended=lambda report: tell("ended", connector.key, slot=slot, run=report)
        )

    def skipped(connector: Connector, skip: Skip) -> None:
        tell_skipped(session, calendar.config, connector, skip)
        tell("skipped", connector.key, slot=skip.at, reason=skip.reason)

    settings = calendar.config.serve
    with session.ledger(calendar.config) as ledger, Stopping(wake, session.say) as stopping:
        scheduler = Scheduler(
            calendar=calendar,
            ledger=ledger,
            clock=clock,
            spawn=spawn,
            max_parallel=settings.max_parallel,
            say=session.say,
            skipped=skipped,
            wake=wake,
        )
        count = counted(sum(one.schedule is not None for one in calendar()), "connector")
        session.say(f"serving {count} of {session.file}, at most {settings.max_parallel} at a time")
        scheduler.serve(stopping.stop)
        if scheduler.busy:
            session.say("stopping: runs that are going on are finished; once more stops them after the commit in hand")
        scheduler.drain(settings.drain, stopping.hurry)
    return stopping.exit_code or 0


class Calendar:
    """The connectors and their schedules, as the file has them now."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._seen = self._stamp()
        self.config: Config = session.load()
        self._entries = [entry(connector) for connector in self.config.connectors.values()]

    def __call__(self) -> Sequence[Entry]:
        """Every connector; the file is read again if it was changed."""
        stamp = self._stamp()
        if stamp != self._seen:
            self._seen = stamp
            try:
                config = self._session.load()
                self._entries = [entry(connector) for connector in config.connectors.values()]
                self.config = config
                self._session.say(f"{self._session.file} has changed: read again")
            except ConnectorError as error:
                self._session.failed(error)
                self._session.say("the configuration from before stays in force")
        return self._entries

    def _stamp(self) -> tuple[int, int, int]:
        try:
            found = self._session.file.stat()
        except OSError:
            return (0, 0, 0)
        return (found.st_mtime_ns, found.st_size, found.st_ino)


class Stopping(Signals):
    """While the block lasts, the first signal sets `stop`, any further one `hurry`; both set `wake`."""

    def __init__(self, wake: threading.Event, say: Callable[[str], None]) -> None:
        self.stop, self.hurry, self._wake = threading.Event(), threading.Event(), wake
        super().__init__(self.stop, say)

    def take(self, number: int) -> None:
        """A signal was heard."""
        if self.first is None:
            self.first = number
            self.stop.set()
        else:
            self.hurry.set()
        self._wake.set()
