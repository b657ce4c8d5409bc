"""connectors.toml: what it says, checked as a whole before anything starts."""

from connector_core.config.document import Draft
from connector_core.config.loading import Config, load
from connector_core.config.models import (
    Connector,
    Destination,
    Extension,
    LedgerSettings,
    RejectLimit,
    ServeSettings,
    StreamSettings,
    namespace_problem,
    slug,
)
from connector_core.config.problems import InvalidConfigError, Problem
from connector_core.config.secrets import Secret, revealed

__all__ = [
    "Config",
    "Connector",
    "Destination",
    "Draft",
    "Extension",
    "InvalidConfigError",
    "LedgerSettings",
    "Problem",
    "RejectLimit",
    "Secret",
    "ServeSettings",
    "StreamSettings",
    "load",
    "namespace_problem",
    "revealed",
    "slug",
]
