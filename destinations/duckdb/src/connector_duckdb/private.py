"""Files that DuckDB itself makes are their owner's alone."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_changed = threading.Lock()
"""The umask belongs to the process: two threads that change it at once would not give back what they found."""


@contextmanager
def owner_only(wanted: bool = True) -> Iterator[None]:
    """No other user may read the files that are made while the block lasts; without effect unless `wanted`."""
    if not wanted:
        yield
        return
    with _changed:
        before = os.umask(0o077)
        try:
            yield
        finally:
            os.umask(before)
