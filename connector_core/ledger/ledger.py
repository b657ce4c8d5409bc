"""`Ledger`: the engine's own database, behind one door."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from types import TracebackType
from typing import Self

from connector_core.batch import Receipt, Reject
from connector_core.errors import ConnectorError
from connector_core.ledger import connectors, journal, leases, runs, slots
from connector_core.ledger import receipts as commits
from connector_core.ledger.connectors import Registered
from connector_core.ledger.database import Database, open_database
from connector_core.ledger.leases import Lease
from connector_core.ledger.queries import Queries
from connector_core.ledger.runs import LogLine
from connector_core.redact import Redact, printable


class Ledger(Queries):
    """An open ledger. Every method is one transaction of its own and may be called from several threads.

    All of them raise `ConnectorError` (exit 6, code "ledger") when the database fails for a passing reason, for
    instance a full disk, and `ConfigError` (exit 2) when its file is damaged or must not be used. Instants come from
    the clock it was opened with.
    """

    def __init__(self, database: Database, clock: Callable[[], datetime], redact: Redact) -> None:
        super().__init__(database, clock)
        self._redact = redact

    @classmethod
    def open(cls, url: str, *, clock: Callable[[], datetime], redact: Redact = str) -> Ledger:
        """Open the ledger at `url`: `sqlite:///relative/or//absolute/path.db`, or a Postgres URL. Use it as a context
        manager.

        Makes it when there is none (the file 0600, its directory 0700 when that is made too) and migrates it when it
        is old; several processes may do so at once. `clock` gives aware datetimes. `redact` is applied to everything
        that is kept as text for people. Raises `ConfigError`, naming the file and what to do, for a file that is a
        directory or a link, empty, cut off, damaged, foreign, read-only, or of a newer version; a damaged ledger is
        never replaced by itself (facts/fault_catalogue.md D9, F6, G14, H15).
        """
        return cls(open_database(url), clock, redact)

    @property
    def created(self) -> bool:
        """Whether opening it made it: there was no ledger before, so receipts must come from the destinations."""
        return self._database.created

    def now(self) -> datetime:
        """The ledger's present instant, aware UTC."""
        return self._clock()

    def clean(self, text: str) -> str:
        """The text as the ledger keeps it: without secrets, printable, one line."""
        return printable(self._redact(text))

    def close(self) -> None:
        """Close the database; leases must have ended before."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- connectors

    def register(self, connector: str, namespace: str, name: str, destination: str) -> Registered:
        """Note a connector at its first run, and hold it to its namespace for ever after.

        Raises `ConfigError` when the namespace belongs to another connector (E3), also to one that is no longer
        configured, and when a known connector comes with another namespace. `name` and `destination` may change;
        `Registered.moved_from` then names the former destination.
        """
        with self._database.write("register") as connection:
            return connectors.register(connection, self._clock(), connector, namespace, name, destination)

    def start_date(self, connector: str) -> datetime | None:
        """The start date that was fixed for the connector; None before that."""
        with self._database.read() as connection:
            return connectors.start_date(connection, connector)

    def set_start_date(self, connector: str, value: datetime) -> None:
        """Fix the start date of a registered connector, or replace it."""
        with self._database.write("start_date") as connection:
            connectors.set_start_date(connection, connector, value)

    def first_data_at(self, connector: str) -> datetime | None:
        """When the connector's first metered row was committed: t0 of the free window. None before that.

        The earlier of what receipts say and what the destination remembered when the ledger was rebuilt.
        """
        with self._database.read() as connection:
            return connectors.first_data_at(connection, connector)

    # --- leases

    def lease(
        self,
        resource: str,
        holder: str,
        *,
        ttl: float = 60.0,
        wait: float = 0.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> AbstractContextManager[Lease]:
        """Hold `resource` (any text, for instance a connector or a destination) for as long as the block lasts.

        Raises `BusyError` (exit 75; names holder, host, pid and since) at once when another holder lives, or after
        `wait` seconds of trying. A holder is dead, and is replaced without a word to it, when its process is gone
        (same machine: the pid does not exist, is a zombie, or belongs to a process that started later) or when it has
        not renewed the lease for `ttl` seconds of its own choosing (D10, F1, F3). A thread renews the lease every
        ttl/3 and sets `Lease.lost` when it finds it taken. While the ledger cannot be written the lease is not given
        up; the destination's fence is what protects data. `sleep` is called between tries and may raise to end the
        waiting.
        """
        return leases.hold(self._database, self._clock, resource, holder, ttl=ttl, wait=wait, sleep=sleep)

    # --- runs

    def begin_run(self, connector: str, *, trigger: str, run_id: str, slot: datetime | None = None) -> tuple[str, ...]:
        """Note that a run begins (its caller holds the connector's lease). `trigger` says what started it, for
        instance manual or schedule; `slot` is the slot of the schedule that this run is.

        Raises `BusyError`, and notes nothing, when that slot was run or skipped by somebody else (E11). A slot whose
        process died in the middle is taken over, once (E12).

        Runs of the connector that are still open have crashed: they are closed as `crashed`, at their last sign of
        life, and returned by id.
        """
        with self._database.write("begin_run") as connection:
            left_open = runs.begin_run(connection, self._clock(), connector, trigger, run_id)
            if slot is not None:
                slots.begin(connection, self._clock(), connector, slot, run_id)
            return left_open

    @contextlib.contextmanager
    def step(self, run_id: str, name: str, stream: str | None = None) -> Iterator[None]:
        """Note a step of a run: its start, its end, and how it ended. `name` is discovery, extraction or loading.

        The exit status is 0, or that of the error which leaves the block (6 for one that is none of ours), with its
        text. When the ledger fails while a step is closed after an error, that error is the one raised.
        """
        with self._database.write("step") as connection:
            number = runs.start_step(connection, self._clock(), run_id, name, stream)
        try:
            yield
        except BaseException as error:
            status = error.exit_code if isinstance(error, ConnectorError) else 6
            with contextlib.suppress(ConnectorError):
                self._finish_step(number, status, str(error) or type(error).__name__)
            raise
        self._finish_step(number, 0, "")

    def _finish_step(self, number: int, status: int, text: str) -> None:
        with self._database.write("step_end") as connection:
            runs.finish_step(connection, self._clock(), number, status, self.clean(text))

    def finish_run(self, run_id: str, status: str, exit_code: int, error: str | None = None) -> None:
        """Note how a run ended: `status` is succeeded, partial, failed, rejected or stopped.

        A second end of the same run changes nothing; a run that was taken for crashed and ends after all says itself
        how.
        """
        text = self.clean(error) if error is not None else None
        with self._database.write("finish_run") as connection:
            runs.finish_run(connection, self._clock(), run_id, status, exit_code, text)

    def log(self, run_id: str | None, lines: Sequence[LogLine]) -> None:
        """Append log lines to a run (None: outside of any run). They are kept redacted and printable, one line each."""
        with self._database.write("log") as connection:
            runs.write_lines(connection, run_id, lines, self.clean)

    def prune(self, before: datetime) -> int:
        """Forget runs, steps and log lines of runs that ended before an instant, at most 1,000 runs at a time; returns
        how many runs. The newest run of each connector stays; receipts are never forgotten.
        """
        with self._database.read() as connection:
            if not journal.prunable(connection, before):
                return 0
        with self._database.write("prune") as connection:
            return journal.prune(connection, before)

    def slot(self, connector: str, at: datetime, state: str, reason: str = "") -> bool:
        """Note what becomes of the slot at the instant `at`: `state` is run or skipped. False when that slot was
        noted before (E11).
        """
        with self._database.write("slot") as connection:
            return slots.note(connection, self._clock(), connector, at, state, reason)

    def follow(self, connector: str, spec: str) -> None:
        """Note that the connector is run by the schedule that reads `spec` in words. A schedule that was not seen
        before, or another one than before, counts from now on: nothing before is made up (E14).
        """
        with self._database.write("follow") as connection:
            slots.follow(connection, self._clock(), connector, spec)

    def pause(self, connector: str, *, by: str, why: str = "") -> bool:
        """Pause a connector's schedule; a run that is going on goes on. False when it is paused already."""
        with self._database.write("pause") as connection:
            return slots.pause(connection, self._clock(), connector, by, self.clean(why))

    def resume(self, connector: str, *, by: str) -> bool:
        """Let a paused connector's schedule go on with the next slot; False when it is not paused."""
        with self._database.write("resume") as connection:
            return slots.resume(connection, self._clock(), connector, by)

    def notice(self, subject: str) -> bool:
        """Note something that is told once; False when it was noted before, by whatever process."""
        with self._database.write("notice") as connection:
            return runs.note(connection, self._clock(), subject)

    # --- receipts

    def record(
        self,
        destination_id: str,
        namespace: str,
        receipt: Receipt,
        rejects: Sequence[Reject] = (),
        lines: Sequence[LogLine] = (),
    ) -> bool:
        """Record what a commit did: receipt, copies of its rejects (without the records' text) and log lines, in one
        transaction.

        A receipt is unique by (destination id, namespace, epoch, sequence). One that is known already changes nothing
        at all and gives False: receipts that a crash kept from the ledger can be recorded at the next claim without
        being metered twice (E5, E6).
        """
        with self._database.write("record") as connection:
            new = commits.record(connection, self._clock(), destination_id, namespace, receipt, rejects, self.clean)
            if new:
                runs.write_lines(connection, receipt.run_id, lines, self.clean)
            return new

    def forget_bookmark(self, destination_id: str, namespace: str, stream: str) -> None:
        """Forget the bookmarks of a root stream, as a reset has done in the destination. May be repeated."""
        with self._database.write("forget") as connection:
            commits.forget_bookmark(connection, destination_id, namespace, stream)

    def newest(self, destination_id: str, namespace: str) -> tuple[int, int]:
        """Epoch and sequence of the newest receipt known for a namespace, of the newest epoch first; (0, 0) when
        there is none.
        """
        with self._database.read() as connection:
            return commits.newest(connection, destination_id, namespace)

    def rebuild(
        self,
        destination_id: str,
        namespace: str,
        connector: str,
        receipts: Sequence[Receipt],
        first_committed_at: datetime | None,
        rejects: Sequence[Reject] = (),
    ) -> int:
        """Take over what a destination remembers: namespace, instant of the first data, its receipts and its rejects;
        returns how many receipts were new. Rejects are looked at only if there is a new receipt.

        One transaction; may be repeated. Raises `ConfigError` when the namespace belongs to another connector.
        """
        now = self._clock()
        with self._database.write("rebuild") as connection:
            connectors.remember(connection, now, connector, namespace, first_committed_at)
            return commits.record_all(connection, now, destination_id, namespace, receipts, rejects, self.clean)
