"""The Postgres destination."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from connector_core.batch import Batch, Receipt
from connector_core.hookspecs import hookimpl
from connector_core.streams import Description
from connector_core.target import SqlTarget
from connector_postgres.connection import (
    CONNECT_TIMEOUT,
    DEFAULT_PORT,
    LOCK_TIMEOUT,
    STATEMENT_TIMEOUT,
    Database,
    address,
)
from connector_postgres.sql import TRAITS

CONFIG_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": [],
    "properties": {
        "url": {
            "type": "string",
            "writeOnly": True,
            "minLength": 1,
            "description": "The whole address, `postgresql://USER:PASSWORD@HOST:PORT/DATABASE`, or set its parts.",
        },
        "host": {
            "type": "string",
            "minLength": 1,
            "description": "The server, or the folder of its socket.",
        },
        "port": {
            "type": "integer",
            "minimum": 1,
            "maximum": 65535,
            "description": f"Its port, {DEFAULT_PORT} unless set.",
        },
        "database": {"type": "string", "minLength": 1, "description": "The database; it must exist."},
        "user": {"type": "string", "minLength": 1, "description": "The role to log in as."},
        "password": {"type": "string", "writeOnly": True, "description": "Its password."},
        "sslmode": {
            "enum": ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"],
            "type": "string",
            "description": "How it is protected; unless set `verify-full`, to this machine itself `prefer`.",
        },
        "sslrootcert": {
            "type": "string",
            "description": "File with the certificates of the authorities to trust; the system's unless set.",
        },
        "connect_timeout": {
            "type": "integer",
            "minimum": 2,
            "maximum": 600,
            "default": CONNECT_TIMEOUT,
            "description": "Seconds to wait for a connection.",
        },
        "lock_timeout": {
            "type": "number",
            "minimum": 0.1,
            "maximum": 86400,
            "default": LOCK_TIMEOUT,
            "description": "Seconds to wait for a table that another session has locked.",
        },
        "statement_timeout": {
            "type": "number",
            "minimum": 1,
            "maximum": 86400,
            "default": STATEMENT_TIMEOUT,
            "description": "Seconds that one statement may take, and that the server may be silent.",
        },
        "adopt": {
            "type": "boolean",
            "default": False,
            "description": "Continue the tables of a schema that Stitch has made.",
        },
    },
}


class Postgres:
    """The plugin object: hook implementations only."""

    @hookimpl
    def describe(self) -> Description:
        """A destination with many sessions at a time."""
        return Description(
            kind="destination",
            name="postgres",
            title="Postgres",
            summary="Tables in a Postgres database, version 14 or newer; rows are loaded with COPY.",
            config_schema=CONFIG_SCHEMA,
        )

    @hookimpl
    @contextmanager
    def connect(self, config: Mapping[str, Any], namespace: str) -> Iterator[SqlTarget]:
        """A target over one connection, which is made when it is first needed."""
        database = Database(address(config), namespace=namespace, adopt=config.get("adopt", False))
        try:
            yield SqlTarget(database.open, namespace=namespace, traits=TRAITS, probe=database.probe)
        finally:
            database.close()

    @hookimpl
    def load(self, target: SqlTarget, batch: Batch) -> Receipt:
        """One transaction."""
        return target.load(batch)


destination = Postgres()
