"""The call budget of a source: what its answers tell of it, or what its documentation says."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from connector_core.clock import SystemClock
from connector_core.streams import RateLimit

RateReader = Callable[[Mapping[str, str]], RateLimit | None]
"""Reads the call budget out of an answer's headers (which ignore case); None where they tell none."""


@dataclass(frozen=True, kw_only=True)
class RateHeaders:
    """The names of the headers that tell the call budget. `reset` is seconds until the next window, or with `epoch` the
    Unix second at which it begins."""

    limit: str = "X-RateLimit-Limit"
    remaining: str = "X-RateLimit-Remaining"
    reset: str = "X-RateLimit-Reset"
    epoch: bool = False

    def __call__(self, headers: Mapping[str, str]) -> RateLimit | None:
        """What the headers say; numbers that cannot be read count as not told."""
        limit, remaining, reset = (number(headers.get(name)) for name in (self.limit, self.remaining, self.reset))
        if limit is None and remaining is None and reset is None:
            return None
        if reset is not None and self.epoch:
            reset = max(0.0, reset - (http_date(headers.get("Date")) or SystemClock().now()).timestamp())
        return RateLimit(limit=_whole(limit), remaining=_whole(remaining), reset=reset)


@dataclass(frozen=True, kw_only=True)
class RateFigure:
    """A budget that the source only documents: `calls` in any `seconds`. The calls of this run are counted, and no
    others. Raises ValueError for figures that are none."""

    calls: int
    seconds: float = 60.0

    def __post_init__(self) -> None:
        if type(self.calls) is not int or self.calls < 1:
            raise ValueError(f"RateFigure: calls is {self.calls!r}; it must be a whole number of at least 1")
        if not self.seconds > 0:
            raise ValueError(f"RateFigure: seconds is {self.seconds!r}; it must be above 0")


class Meter:
    """Counts the calls of one run against a figure; safe for several threads. `now` are seconds of a clock that never
    goes back."""

    def __init__(self, figure: RateFigure, now: Callable[[], float] = time.monotonic) -> None:
        self._figure, self._now = figure, now
        self._lock = threading.Lock()
        self._made: deque[float] = deque()

    def call(self) -> None:
        """A call is made now."""
        with self._lock:
            self._made.append(self._now())

    def read(self) -> RateLimit:
        """What is left, and the seconds until half of the calls that count do not count any more: by then it pays to
        look again."""
        with self._lock:
            now, seconds = self._now(), self._figure.seconds
            while self._made and self._made[0] <= now - seconds:
                self._made.popleft()
            half = self._made[len(self._made) // 2] if self._made else now
            left = max(0, self._figure.calls - len(self._made))
            return RateLimit(limit=self._figure.calls, remaining=left, reset=max(0.0, half + seconds - now))


def http_date(text: str | None) -> datetime | None:
    """An HTTP date (RFC 9110 section 5.6.7) as aware UTC, None where there is none that can be read."""
    try:
        found = parsedate_to_datetime(text) if text else None
        return found and (found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC))
    except (TypeError, ValueError, OverflowError):
        return None


def number(text: str | None) -> float | None:
    try:
        value = float(text) if text else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)
