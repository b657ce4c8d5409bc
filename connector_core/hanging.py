"""A call of a plugin that never comes back, seen from a thread of its own: nothing inside the run could end it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from connector_core.errors import PluginError
from connector_core.hooks import Hooks

log = logging.getLogger("connector_core.hanging")
EVERY = 0.5  # seconds between two looks


@contextmanager
def watched(hooks: Hooks, *, after: float, patience: float, hung: Callable[[PluginError], None]) -> Iterator[None]:
    """Tell `hung`, once and from another thread, when the block lasts longer than `after` seconds and a call of a hook
    has by then lasted `patience` seconds. Nothing is told of a block that goes on without such a call."""
    over = threading.Event()

    def watch() -> None:
        if over.wait(after):
            return
        while not over.wait(EVERY):
            if (error := hooks.hanging(patience)) is not None:
                log.error("%s", error)
                hung(error)
                return

    threading.Thread(target=watch, name="hanging", daemon=True).start()
    try:
        yield
    finally:
        over.set()
