"""The sandbox's clock: the real one, moved and stretched as the settings say."""

from __future__ import annotations

from collections.abc import Callable

from .settings import Settings


class Clock:
    """Call it for unix seconds. Offset and speed follow the settings while the sandbox serves."""

    def __init__(self, settings: Callable[[], Settings]) -> None:
        self._settings = settings
        self._start = settings().clock()

    def __call__(self) -> float:
        settings = self._settings()
        real = settings.clock()
        if settings.clock_speed != 1.0:
            real = self._start + (real - self._start) * settings.clock_speed
        return real + settings.clock_offset
