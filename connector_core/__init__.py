"""connector-core, the open Stitch: extract records from any source, load them effectively once, know what it costs.

The names below are the public interface for plugins; they are imported when they are first used, so that
`import connector_core` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what a type checker sees of the names below
    from connector_core.batch import Batch as Batch
    from connector_core.batch import Claim as Claim
    from connector_core.batch import Counts as Counts
    from connector_core.batch import Receipt as Receipt
    from connector_core.batch import Target as Target
    from connector_core.errors import AuthError as AuthError
    from connector_core.errors import ConfigError as ConfigError
    from connector_core.errors import ConnectorError as ConnectorError
    from connector_core.errors import DestinationError as DestinationError
    from connector_core.errors import NotFoundError as NotFoundError
    from connector_core.errors import Place as Place
    from connector_core.errors import RetryableError as RetryableError
    from connector_core.errors import SourceError as SourceError
    from connector_core.hookspecs import hookimpl as hookimpl
    from connector_core.rest import RestSource as RestSource
    from connector_core.rest import RestStream as RestStream
    from connector_core.streams import Catalog as Catalog
    from connector_core.streams import Description as Description
    from connector_core.streams import Page as Page
    from connector_core.streams import RateLimit as RateLimit
    from connector_core.streams import Stream as Stream
    from connector_core.streams import Unreadable as Unreadable
    from connector_core.streams import Window as Window
    from connector_core.tables import Traits as Traits

__version__ = "0.1.0"

_HOMES = {
    "hookimpl": "hookspecs",
    "Catalog": "streams",
    "Description": "streams",
    "Page": "streams",
    "RateLimit": "streams",
    "Stream": "streams",
    "Unreadable": "streams",
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
