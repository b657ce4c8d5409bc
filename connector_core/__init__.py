"""connector-core, the open Stitch: extract records from any source, load them effectively once, know what it costs.

The names below are the public interface for plugins; they are imported when they are first used, so that
`import connector_core` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "hookimpl": "hookspecs",
    "Catalog": "streams",
    "Description": "streams",
    "Page": "streams",
    "RateLimit": "streams",
    "Stream": "streams",
    "Window": "streams",
    "Batch": "batch",
    "Claim": "batch",
    "Counts": "batch",
    "Receipt": "batch",
    "Target": "batch",
    "Traits": "tables",
    "AuthError": "errors",
    "ConfigError": "errors",
    "ConnectorError": "errors",
    "DestinationError": "errors",
    "NotFoundError": "errors",
    "Place": "errors",
    "RetryableError": "errors",
    "SourceError": "errors",
    "RestSource": "rest",
    "RestStream": "rest",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'connector_core' has no attribute {name!r}")
    return getattr(import_module(f"connector_core.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
