"""The one place that reads the wall clock, and the one that waits."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Time as the engine sees it: instants are aware UTC, durations come from `monotonic` (seconds)."""

    def now(self) -> datetime:
        """The wall clock's instant in UTC."""

    def monotonic(self) -> float:
        """Seconds that never jump, for durations."""

    def wait(self, seconds: float, stop: threading.Event) -> bool:
        """Wait so long or until `stop` is set; tells whether it was set."""


class SystemClock:
    """The machine's clocks."""

    def now(self) -> datetime:
        """The wall clock's instant in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds since some instant of this boot."""
        return time.monotonic()

    def wait(self, seconds: float, stop: threading.Event) -> bool:
        """Sleep until the time is over or `stop` is set."""
        return stop.wait(max(0.0, seconds))
