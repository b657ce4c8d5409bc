"""The DuckDB destination: a local file, the default."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from connector_core.batch import Batch, Receipt
from connector_core.hookspecs import hookimpl
from connector_core.streams import Description
from connector_core.target import SqlTarget
from connector_duckdb.connection import DEFAULT_MEMORY, DEFAULT_THREADS, Database
from connector_duckdb.sql import TRAITS

CONFIG_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["path"],
    "properties": {
        "path": {
            "type": "string",
            "format": "path",
            "minLength": 1,
            "description": "The database file; made by the first run. Its folder must exist.",
        },
        "memory_limit": {
            "type": "string",
            "pattern": "^[1-9][0-9]*(\\.[0-9]+)? ?[KMG]i?B$",
            "default": DEFAULT_MEMORY,
            "description": "How much memory DuckDB may reserve; wide tables get more by themselves.",
        },
        "threads": {
            "type": "integer",
            "minimum": 1,
            "maximum": 256,
            "default": DEFAULT_THREADS,
            "description": "How many threads DuckDB may use.",
        },
    },
}


class DuckDb:
    """The plugin object: hook implementations only."""

    @hookimpl
    def describe(self) -> Description:
        """A destination with one file that one process at a time may open."""
        return Description(
            kind="destination",
            name="duckdb",
            title="DuckDB",
            summary="Tables in a local DuckDB file, which is open only while rows are written.",
            config_schema=CONFIG_SCHEMA,
            exclusive=True,
        )

    @hookimpl
    @contextmanager
    def connect(self, config: Mapping[str, Any], namespace: str) -> Iterator[SqlTarget]:
        """A target over the file; nothing is opened yet."""
        database = Database(
            path=config["path"],
            memory_limit=config.get("memory_limit", DEFAULT_MEMORY),
            threads=config.get("threads", DEFAULT_THREADS),
        )
        yield SqlTarget(
            database.open, namespace=namespace, traits=TRAITS, probe=database.probe, together=database.together
        )

    @hookimpl
    def load(self, target: SqlTarget, batch: Batch) -> Receipt:
        """One transaction."""
        return target.load(batch)


destination = DuckDb()
