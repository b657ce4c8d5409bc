"""Fixtures for pytest: name this module in a `conftest.py`, `pytest_plugins = ["connector_core.testing.fixtures"]`.

Whatever a fixture starts ends with the test. What functions of a plan raised is raised then.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest

from connector_core.testing.faults import CanaryServer, Fault, FaultFront
from connector_core.testing.json_api import JsonApi


@pytest.fixture
def fault_front() -> Iterator[Callable[..., FaultFront]]:
    """`fault_front(upstream_url, plan, …)` starts a `FaultFront` before a server that the test has, with the same
    arguments."""
    with contextlib.ExitStack() as started:

        def start(upstream_url: str | None = None, plan: Sequence[Fault] = (), **options: Any) -> FaultFront:
            return started.enter_context(FaultFront(upstream_url, plan, **options))

        yield start


@pytest.fixture
def json_api() -> Iterator[Callable[..., JsonApi]]:
    """`json_api(routes, plan, …)` starts a `JsonApi`, with the same arguments."""
    with contextlib.ExitStack() as started:

        def start(routes: Mapping[str, Any], plan: Sequence[Fault] = (), **options: Any) -> JsonApi:
            return started.enter_context(JsonApi(routes, plan, **options))

        yield start


@pytest.fixture
def canary() -> Iterator[CanaryServer]:
    """A foreign origin that nobody must contact: assert that its `contacts` are empty."""
    with CanaryServer() as server:
        yield server
