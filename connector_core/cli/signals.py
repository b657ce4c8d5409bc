"""Signals that stop a run: the first one lets it end in order, a second Ctrl-C ends it at once."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import NoReturn, Self

GRACE = 10.0
"""Seconds in which a run finishes or rolls back the commit in hand; after that the process ends hard, which is as
safe as any other crash (facts/fault_catalogue.md D1, D4)."""

SHOW_CURSOR = "\x1b[?25h"  # a live display has hidden it
_STOPPING = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]


class Signals:
    """While the block lasts, SIGINT, SIGTERM and SIGHUP set `stop` instead of ending the process.

    A thread of its own hears them, so that it does even while the main thread is inside a long call of a database.
    `exit_code` is 128 plus the first signal's number, None when none came. `say` is told what happens next.
    """

    def __init__(self, stop: threading.Event, say: Callable[[str], None], *, grace: float = GRACE) -> None:
        self._stop, self._say, self._grace = stop, say, grace
        self.first: int | None = None
        self._over = threading.Event()
        self._reader, self._writer = socket.socketpair()
        self._kept: dict[int, signal._HANDLER] = {}
        self._wakeup = -1

    @property
    def exit_code(self) -> int | None:
        """The exit code that the first signal asks for."""
        return None if self.first is None else 128 + self.first

    def __enter__(self) -> Self:
        self._writer.setblocking(False)
        self._kept = {number: signal.signal(number, _heard) for number in _STOPPING}
        self._wakeup = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        threading.Thread(target=self._listen, name="signals", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        signal.set_wakeup_fd(self._wakeup)
        for number, handler in self._kept.items():
            signal.signal(number, handler)
        self._writer.close()  # ends the listener

    def _listen(self) -> None:
        with self._reader:
            while heard := self._reader.recv(16):
                for number in heard:
                    if number in _STOPPING and not self._over.is_set():
                        self.take(number)

    def take(self, number: int) -> None:
        """A signal was heard; called in the listener's thread."""
        if self.first is None:
            self.first = number
            self._stop.set()
            threading.Thread(target=self._enforce, name="grace", daemon=True).start()
            self._say("stopping: the transaction in hand is finished or rolled back; Ctrl-C ends at once")
        elif number == signal.SIGINT:
            self._end("ended at once: the next run goes on from the last commit")

    def _enforce(self) -> None:
        if not self._over.wait(self._grace):
            self._end(f"still busy after {self._grace:g} s, ended hard: the next run goes on from the last commit")

    def _end(self, why: str) -> None:
        end_hard(self._say, why, self.exit_code or 130)


def end_hard(say: Callable[[str], None], why: str, code: int) -> NoReturn:
    """Say why and end the process at once, from whatever thread: for what would not end by itself."""
    say(why)
    if sys.stderr.isatty():
        print(SHOW_CURSOR, end="", file=sys.stderr, flush=True)
    os._exit(code)


def _heard(number: int, frame: FrameType | None) -> None:
    """Nothing: that a handler exists keeps the process alive, the wake-up descriptor tells the listener."""
