"""What a plugin's author needs to prove a plugin: the contract of destinations, and `faults`, an HTTP front that breaks
answers on purpose.

The contract needs pytest: `pip install "connector-core[testing]"`. The names below are imported when they are first
used, so that `faults` needs nothing more.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "DestinationContract": "contract",
    "UserChangesContract": "contract",
    "Reader": "reading",
    "SqlReader": "reading",
}

__all__ = ["DestinationContract", "Reader", "SqlReader", "UserChangesContract"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'connector_core.testing' has no attribute {name!r}")
    if _HOMES[name] == "contract":
        import pytest

        pytest.register_assert_rewrite("connector_core.testing.contract")
    return getattr(import_module(f"connector_core.testing.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
