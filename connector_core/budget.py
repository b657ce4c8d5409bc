"""The call budget of one source: how many calls may be under way or made in the present window of its rate limit."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from connector_core.clock import Clock
from connector_core.streams import RateLimit

LONGEST_WINDOW = 3600.0  # seconds; a reset later than that is not believed
ROUNDING = 1.5  # seconds by which two answers of one window may disagree: the reset is told in whole seconds


class Stopped(Exception):  # noqa: N818 - not an error: the run was asked to stop
    """The run was stopped while a call waited for its turn."""


class Budget:
    """Gives out calls so that a window's limit is never met while nobody else uses the source's budget.

    All numbers come from the answers (`RateLimit`): of `limit` calls a window `share` are spent, calls under way
    count as made. When a window is over, one call alone finds out about the next. A source that tells nothing is only
    limited by `in_flight`. `waiting(seconds)` is told before each wait. Times are seconds.
    """

    def __init__(
        self, *, share: float, in_flight: int, clock: Clock, stop: threading.Event, waiting: Callable[[float], None]
    ) -> None:
        self._share, self._most, self._clock, self._stop, self._waiting = share, in_flight, clock, stop, waiting
        self._turn = threading.Condition()
        self._running = 0
        self._asked = False
        self._limit: int | None = None
        self._used = 0
        self._window = 0.0
        self._resets_at: float | None = None
        self._paused_until = 0.0
        self._sleepers = 0
        self.calls = 0
        self.waited = 0.0

    @contextmanager
    def call(self) -> Iterator[Callable[[RateLimit | None, int], None]]:
        """Wait for a turn, then make the call inside; pass what its answer said to the function that is yielded.

        The second argument is the number of requests that were really made. Raises `Stopped`.
        """
        self._acquire()
        learned: list[tuple[RateLimit | None, int]] = []
        try:
            yield lambda rate, requests: learned.append((rate, requests))
        finally:
            rate, requests = learned[-1] if learned else (None, 1)
            self._release(rate, requests)

    def pause(self, seconds: float) -> None:
        """Nobody calls before so many seconds have passed: the source asked for it."""
        with self._turn:
            self._paused_until = max(self._paused_until, self._clock.monotonic() + seconds)
            self._turn.notify_all()

    @property
    def left(self) -> int | None:
        """Calls that may still be made in the present window, None where the source tells no limit."""
        with self._turn:
            return None if self._limit is None else max(0, self._allowed() - self._used - self._running)

    @property
    def pace(self) -> float | None:
        """Calls a second that the limit allows in the long run, None where the source tells no limit. A window is
        taken to be as long as the longest wait for its end that was told."""
        with self._turn:
            return self._allowed() / self._window if self._limit is not None and self._window else None

    def _allowed(self) -> int:
        return max(1, math.floor((self._limit or 0) * self._share))

    def _acquire(self) -> None:
        with self._turn:
            while (pause := self._pause()) is not None:
                if self._stop.is_set():
                    raise Stopped
                if pause > 0.0:
                    self._sleep(pause)
                else:
                    self._turn.wait(0.1)  # another call's answer decides; the bound is for `stop`
            if self._stop.is_set():
                raise Stopped
            self._running += 1

    def _pause(self) -> float | None:
        """None: go. 0: wait for an answer that is under way. Otherwise the seconds until something changes by
        itself."""
        now = self._clock.monotonic()
        if now < self._paused_until:
            return self._paused_until - now
        if self._running >= self._most:
            return 0.0
        if not self._asked:
            return None if self._running == 0 else 0.0
        if self._limit is None:
            return None
        if self._resets_at is not None and now >= self._resets_at:
            self._resets_at, self._used = None, 0
        if self._resets_at is None:
            return None if self._running == 0 else 0.0
        if self._used + self._running < self._allowed():
            return None
        return self._resets_at - now if self._used >= self._allowed() else 0.0

    def _sleep(self, seconds: float) -> None:
        """Wait outside the lock, so that answers can still be counted. Of several that wait, the first one reports
        it."""
        first = self._sleepers == 0
        self._sleepers += 1
        self._turn.release()
        started = self._clock.monotonic()
        try:
            if first:
                self._waiting(seconds)
            self._clock.wait(seconds, self._stop)
        finally:
            self._turn.acquire()
            self._sleepers -= 1
            if first:
                self.waited += self._clock.monotonic() - started

    def _release(self, rate: RateLimit | None, requests: int) -> None:
        with self._turn:
            self._running -= 1
            self.calls += requests
            self._asked = True
            now = self._clock.monotonic()
            if rate is not None and rate.limit is not None and rate.remaining is not None:
                used = rate.limit - rate.remaining
                reset = min(LONGEST_WINDOW, max(0.0, rate.reset if rate.reset is not None else 60.0))
                resets_at, self._window = now + reset, max(self._window, reset)
                self._limit = rate.limit
                if self._resets_at is None or resets_at > self._resets_at + ROUNDING:
                    self._used, self._resets_at = used, resets_at
                elif resets_at > self._resets_at - ROUNDING:
                    self._used, self._resets_at = max(self._used, used), max(self._resets_at, resets_at)
                # otherwise the answer was given in the window before this one: it says nothing about now
            elif self._limit is not None:
                self._used += requests
            self._turn.notify_all()
