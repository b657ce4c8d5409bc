"""The Snowflake destination."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from connector_core.batch import Batch, Receipt
from connector_core.hookspecs import hookimpl
from connector_core.streams import Description
from connector_core.target import SqlTarget
from connector_snowflake.connection import (
    LOCK_TIMEOUT,
    LOGIN_TIMEOUT,
    NETWORK_TIMEOUT,
    QUERY_TAG,
    Database,
    address,
)
from connector_snowflake.sql import TRAITS


def _text(description: str, **more: Any) -> dict[str, Any]:
    return {"type": "string", "minLength": 1, "description": description, **more}


def _seconds(default: int, description: str) -> dict[str, Any]:
    return {"type": "integer", "minimum": 1, "maximum": 86_400, "default": default, "description": description}


CONFIG_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["account", "user", "database"],
    "properties": {
        "account": _text("The account's identifier, for instance `myorg-myaccount`."),
        "user": _text("The user to log in as."),
        "private_key": _text("Log in with a key pair: the text of its private key, PKCS#8.", writeOnly=True),
        "private_key_passphrase": _text("The passphrase of an encrypted private key.", writeOnly=True),
        "password": _text("Log in with a password, or a programmatic access token.", writeOnly=True),
        "token": _text("Log in with an OAuth access token.", writeOnly=True),
        "role": _text("The role to use; the user's default unless set."),
        "warehouse": _text("The warehouse to use; the user's default unless set."),
        "database": _text("The database; it must exist."),
        "url": _text("The server, `https://HOST`, where it does not follow from the account (private links)."),
        "query_tag": _text("Marks the statements in Snowflake's query history.", default=QUERY_TAG, maxLength=2000),
        "login_timeout": _seconds(LOGIN_TIMEOUT, "Seconds to wait for a session."),
        "network_timeout": _seconds(NETWORK_TIMEOUT, "Seconds during which a request that fails is repeated."),
        "lock_timeout": _seconds(LOCK_TIMEOUT, "Seconds to wait for a table that another session has locked."),
    },
}


class Snowflake:
    """The plugin object: hook implementations only."""

    @hookimpl
    def describe(self) -> Description:
        """A destination with many sessions at a time."""
        return Description(
            kind="destination",
            name="snowflake",
            title="Snowflake",
            summary="Tables in a Snowflake database; rows are loaded with PUT and COPY INTO.",
            config_schema=CONFIG_SCHEMA,
        )

    @hookimpl
    @contextmanager
    def connect(self, config: Mapping[str, Any], namespace: str) -> Iterator[SqlTarget]:
        """A target over one session, which is opened when it is first needed."""
        database = Database(address(config), namespace=namespace)
        try:
            yield SqlTarget(database.open, namespace=namespace, traits=TRAITS, probe=database.probe)
        finally:
            database.close()

    @hookimpl
    def load(self, target: SqlTarget, batch: Batch) -> Receipt:
        """One transaction."""
        return target.load(batch)


destination = Snowflake()
