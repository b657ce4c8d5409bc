"""A fixture for pytest: name this module in a `conftest.py`, `pytest_plugins = ["connector_desk.sandbox.fixtures"]`."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from connector_core.testing.faults import Fault

from .server import Sandbox
from .settings import Settings


@pytest.fixture
def desk_sandbox() -> Iterator[Callable[..., Sandbox]]:
    """`desk_sandbox(faults=plan, cases=50, …)` starts a `Sandbox` with any of the `Settings`; it ends with the test."""
    with contextlib.ExitStack() as started:

        def start(settings: Settings | None = None, *, faults: Sequence[Fault] = (), **changed: Any) -> Sandbox:
            chosen = dataclasses.replace(settings or Settings(), **changed)
            return started.enter_context(Sandbox(chosen, faults=faults))

        yield start
