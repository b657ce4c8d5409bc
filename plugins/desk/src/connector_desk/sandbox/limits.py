"""The call budget: a fixed window on the clock's grid, one counter for the site's one credential (facts/desk_api.md
section 5)."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Allowance:
    """What the three rate headers say, and whether the request may pass. ``reset``: whole seconds to the next window,
    at least 1."""

    allowed: bool
    limit: int
    remaining: int
    reset: int

    def headers(self) -> dict[str, str]:
        """The headers that every answer carries, errors included."""
        return {
            "X-Rate-Limit-Limit": str(self.limit),
            "X-Rate-Limit-Remaining": str(self.remaining),
            "X-Rate-Limit-Reset": str(self.reset),
        }


class Window:
    """Counts the requests of the current window."""

    def __init__(self) -> None:
        self._window = -1
        self._used = 0

    def spend(self, now: float, limit: int, seconds: float, *, cost: int = 1) -> Allowance:
        """Take one request (``cost`` 0: only look). A request beyond the limit is refused and takes nothing."""
        window = math.floor(now / seconds)
        if window != self._window:
            self._window, self._used = window, 0
        allowed = self._used + cost <= limit
        if allowed:
            self._used += cost
        reset = max(1, math.ceil((window + 1) * seconds - now))
        return Allowance(allowed, limit, max(0, limit - self._used), reset)
