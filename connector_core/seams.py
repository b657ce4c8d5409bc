"""Named instants between the steps of a run, announced to Python's audit hooks.

`sys.audit` costs some 50 ns while nobody listens. Tests kill the process at each of these instants, operators may trace
them; nothing in the engine listens.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

EVENT = "connector_core.seam"


def seam(name: str) -> None:
    """Announce the instant `name`, for instance `load.commit.before`."""
    sys.audit(EVENT, name)


@contextmanager
def step(name: str) -> Iterator[None]:
    """Announce `<name>.before` and, unless the step failed, `<name>.after`."""
    seam(f"{name}.before")
    yield
    seam(f"{name}.after")
