"""What a plugin's author needs to prove a plugin: the contracts of sources and destinations, recordings of real APIs,
and `faults`, an HTTP front that breaks answers on purpose.

The contracts need pytest: `pip install "connector-core[testing]"`. The names below are imported when they are first
used, so that `faults` needs nothing more.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what a type checker sees of the names below
    from connector_core.testing.contract import DestinationContract as DestinationContract
    from connector_core.testing.contract import UserChangesContract as UserChangesContract
    from connector_core.testing.reading import Reader as Reader
    from connector_core.testing.reading import SqlReader as SqlReader
    from connector_core.testing.recording import Playback as Playback
    from connector_core.testing.recording import Recorder as Recorder
    from connector_core.testing.recording import Recording as Recording
    from connector_core.testing.sources import LocalSourceContract as LocalSourceContract
    from connector_core.testing.sources import SourceContract as SourceContract
    from connector_core.testing.sources.values import hard_values as hard_values
    from connector_core.testing.sources.values import hostile_names as hostile_names

_HOMES = {
    "DestinationContract": "contract",
    "LocalSourceContract": "sources",
    "SourceContract": "sources",
    "UserChangesContract": "contract",
    "Playback": "recording",
    "Reader": "reading",
    "Recorder": "recording",
    "Recording": "recording",
    "SqlReader": "reading",
    "hard_values": "sources.values",
    "hostile_names": "sources.values",
}

__all__ = [
    "DestinationContract",
    "LocalSourceContract",
    "Playback",
    "Reader",
    "Recorder",
    "Recording",
    "SourceContract",
    "SqlReader",
    "UserChangesContract",
    "hard_values",
    "hostile_names",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'connector_core.testing' has no attribute {name!r}")
    home = f"connector_core.testing.{_HOMES[name]}"
    if name.endswith("Contract"):
        import pytest

        pytest.register_assert_rewrite(home)
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted(__all__)
