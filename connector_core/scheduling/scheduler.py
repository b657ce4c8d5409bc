"""The daemon's loop: looks at the clock, starts what is due as processes of their own, notes what is skipped.

It keeps nothing that matters: slots, runs and leases are in the ledger, so several of them may share one, and any of
them may be killed at any time. Clock, processes and waiting are parameters.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from connector_core.clock import Clock
from connector_core.config import Connector
from connector_core.config.units import spoken
from connector_core.errors import ConnectorError
from connector_core.ledger import Ledger
from connector_core.scheduling.calendar import Entry, look
from connector_core.scheduling.due import Skip

LONGEST_WAIT = 30.0
"""Seconds between two looks at most: pauses, edits and dead processes are noticed this soon."""
JUMP = 10.0
"""Seconds by which the wall clock may drift from the monotonic one between two looks."""
SETTLE = 25.0
"""After a leap ahead every lease looks old; in this time (seconds) those who live have renewed theirs."""
BUSY = 75


class Worker(Protocol):
    """A process that runs one slot of one connector."""

    def ended(self) -> int | None:
        """Its exit code (below zero: the signal that ended it); None while it lives."""

    def waiting(self) -> bool:
        """Whether it waits for its source's limit, and leaves the machine to others."""

    def stop(self) -> None:
        """Ask it to end: it finishes or rolls back the commit in hand, within ten seconds."""

    def kill(self) -> None:
        """End it now."""


Spawn = Callable[[Connector, datetime], Worker]


@dataclass(kw_only=True)
class Started:
    """A worker of this scheduler, and the slot it was started for."""

    worker: Worker
    slot: datetime


class Scheduler:
    """Runs due connectors in workers, at most `max_parallel` at work at a time (waiting ones do not count).

    `calendar` gives the connectors at each look, `spawn` starts a worker, `say` takes a line for the operator,
    `skipped` is told every slot that this scheduler noted as skipped. `wake` ends a wait early: set it when a worker
    has ended or changed its mind.
    """

    def __init__(
        self,
        *,
        calendar: Callable[[], Sequence[Entry]],
        ledger: Ledger,
        clock: Clock,
        spawn: Spawn,
        max_parallel: int,
        say: Callable[[str], None],
        skipped: Callable[[Connector, Skip], None],
        wake: threading.Event,
    ) -> None:
        self._calendar, self._ledger, self._clock, self._spawn = calendar, ledger, clock, spawn
        self._max_parallel, self._say, self._skipped, self._wake = max_parallel, say, skipped, wake
        self._workers: dict[str, Started] = {}
        self._killed: dict[str, datetime] = {}  # slots whose process was killed before its run began
        self._watched = clock.now()
        self._last = (clock.now(), clock.monotonic())
        self._settled = clock.monotonic()
        self._trouble = ""

    @property
    def busy(self) -> bool:
        """Whether a worker of this scheduler lives."""
        return bool(self._workers)

    def serve(self, stop: threading.Event) -> None:
        """Look and wait until `stop` is set (set `wake` too, to end a wait)."""
        while not stop.is_set():
            seconds = self.tick()
            self._clock.wait(seconds, self._wake)
            self._wake.clear()

    def drain(self, seconds: float, hurry: threading.Event) -> None:
        """Start nothing more and wait for the workers; after `seconds`, or when `hurry` is set, ask them to stop."""
        end = self._clock.monotonic() + seconds
        while self._reap() and self._clock.monotonic() < end and not hurry.is_set():
            self._clock.wait(min(1.0, max(0.0, end - self._clock.monotonic())), self._wake)
            self._wake.clear()
        for one in self._workers.values():
            one.worker.stop()
        end = self._clock.monotonic() + 20.0
        while self._reap() and self._clock.monotonic() < end:
            self._clock.wait(0.2, self._wake)
            self._wake.clear()
        for one in self._workers.values():
            one.worker.kill()

    def tick(self) -> float:
        """One look at the clock; gives the seconds until the next one is worth while.

        A ledger that cannot be read or written is said once, and looked at again later: a full disk ends no daemon.
        """
        self._notice_jumps()
        if (settling := self._settled - self._clock.monotonic()) > 0:
            return settling
        try:
            self._reap()
            wait = self._look()
        except ConnectorError as error:
            if str(error) != self._trouble:
                self._say(f"error: {error}; trying again")
            self._trouble = str(error)
            return LONGEST_WAIT / 6
        if self._trouble:
            self._say("the ledger can be used again")
            self._trouble = ""
        return wait

    def _look(self) -> float:
        now = self._clock.now()
        waits, wanted = [LONGEST_WAIT], []
        for one in self._calendar():
            key = one.connector.key
            found = look(one, self._ledger, watched=self._watched)
            for skip in found.due.skipped:
                self._skipped(one.connector, skip)
            if found.due.run is not None and key not in self._workers:
                wanted.append((found.due.run, one.connector))
            if found.next is not None:
                waits.append((found.next - now).total_seconds())
        for slot, connector in sorted(wanted, key=lambda one: (one[0], one[1].key)):
            if sum(not one.worker.waiting() for one in self._workers.values()) >= self._max_parallel:
                break
            self._workers[connector.key] = Started(worker=self._spawn(connector, slot), slot=slot)
        return max(0.05, min(waits))

    def _reap(self) -> bool:
        """Forget workers that have ended; tells whether some still live."""
        for key, one in list(self._workers.items()):
            code = one.worker.ended()
            if code is None:
                continue
            del self._workers[key]
            if code < 0:
                self._say(f"{key}: its process was ended by signal {-code}; the next run goes on from the last commit")
            if code in (0, BUSY):
                continue
            if code < 0 and self._killed.get(key) != one.slot:
                self._killed[key] = one.slot  # once more; where its run had begun, the ledger sees to that
            else:  # noted only if the run had not begun, for instance because the configuration is wrong
                how = f"exit code {code}" if code > 0 else f"signal {-code}"
                self._ledger.slot(key, one.slot, "skipped", f"the run could not begin ({how})")
        return bool(self._workers)

    def _notice_jumps(self) -> None:
        (wall, steady), self._last = self._last, (self._clock.now(), self._clock.monotonic())
        passed = self._last[1] - steady
        jump = (self._last[0] - wall).total_seconds() - passed
        if abs(jump) > JUMP:
            self._say(f"the clock was set {'forward' if jump > 0 else 'back'} by {spoken(abs(jump))}")
            self._settled = self._last[1] + (SETTLE if jump > 0 else 0)
        if abs(jump) > JUMP or passed > 4 * LONGEST_WAIT:  # this process stood still, or the machine slept
            self._watched = self._last[0]
        self._watched = min(self._watched, self._last[0] + timedelta(seconds=1))
