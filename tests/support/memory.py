"""A folder in memory, for tests that write much and kill processes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory


@contextmanager
def folder_in_memory(otherwise: Path) -> Iterator[Path]:
    """A folder in memory where the machine has such a file system: a killed process loses nothing of what it has
    written, so waiting for a disk would prove nothing more."""
    memory = Path("/dev/shm")  # noqa: S108 - a folder of our own is made there
    with TemporaryDirectory(prefix="test-", dir=memory if os.access(memory, os.W_OK) else otherwise) as place:
        yield Path(place)
