"""The instants between the steps of a load, as tests use them: hear of each, and act there."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from connector_core.seams import EVENT

Heard = Callable[[str], None]

_listeners: dict[int, list[Heard]] = {}
_installed = threading.Event()


@contextmanager
def listening(heard: Heard) -> Iterator[None]:
    """Call `heard(name)` at each seam that this thread passes within the block; what it raises stops the load there."""
    if not _installed.is_set():
        _installed.set()
        sys.addaudithook(_hook)  # it cannot be taken away again: one for all, idle while nobody listens
    mine = _listeners.setdefault(threading.get_ident(), [])
    mine.append(heard)
    try:
        yield
    finally:
        mine.remove(heard)


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if event == EVENT and _listeners:
        for heard in tuple(_listeners.get(threading.get_ident(), ())):
            heard(arguments[0])
