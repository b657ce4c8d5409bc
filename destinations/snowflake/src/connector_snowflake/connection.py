"""The session: who logs in and how, and its own settings, whatever the account's are."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from connector_core.errors import ConfigError, ConnectorError, Place
from connector_snowflake.errors import not_connected
from connector_snowflake.grants import check_grants
from connector_snowflake.sql import SnowflakeSql

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection
    from sqlalchemy import Connection, Engine

QUERY_TAG = "connector-core"
LOGIN_TIMEOUT = 60
NETWORK_TIMEOUT = 300
LOCK_TIMEOUT = 600  # Snowflake ends a transaction that is idle and in somebody's way after 5 minutes, not earlier
WAYS_IN = ("private_key", "password", "token")
SESSION: Mapping[str, Any] = {
    "TIMEZONE": "UTC",
    "TIMESTAMP_INPUT_FORMAT": "AUTO",
    "DATE_INPUT_FORMAT": "AUTO",
    "DEFAULT_DDL_COLLATION": "",  # keys are compared letter by letter
    "QUOTED_IDENTIFIERS_IGNORE_CASE": False,
    "ROWS_PER_RESULTSET": 0,
    "ABORT_DETACHED_QUERY": True,  # of a process that was killed
    "CLIENT_TELEMETRY_ENABLED": False,
}
"""Settings of our sessions, so that those of the account, the user and the role have no effect on values."""


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where the database is, and who logs in; times in seconds. One of the three secrets is set."""

    account: str
    user: str
    database: str
    warehouse: str = ""
    role: str = ""
    url: str = ""
    private_key: str = field(default="", repr=False)
    private_key_passphrase: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    query_tag: str = QUERY_TAG
    login_timeout: int = LOGIN_TIMEOUT
    network_timeout: int = NETWORK_TIMEOUT
    lock_timeout: int = LOCK_TIMEOUT

    def __str__(self) -> str:
        return f"snowflake://{self.account}/{self.database}"

    def parameters(self) -> dict[str, Any]:
        """The parameters of the driver. Raises `ConfigError` for a key that cannot be read."""
        given = {
            "account": self.account,
            "user": self.user,
            "database": self.database,
            "warehouse": self.warehouse,
            "role": self.role,
            "password": self.password,
            "token": self.token,
            "authenticator": "oauth" if self.token else "",
            "private_key": self._key(),
        }
        return {
            **{name: value for name, value in given.items() if value},
            **self._where(),
            "application": "connector_core",
            "paramstyle": "qmark",
            "autocommit": True,
            "login_timeout": self.login_timeout,
            "network_timeout": self.network_timeout,
            "session_parameters": {**SESSION, "QUERY_TAG": self.query_tag, "LOCK_TIMEOUT": self.lock_timeout},
        }

    def _where(self) -> dict[str, Any]:
        if not self.url:
            return {}
        parts = urlsplit(self.url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        return {"host": parts.hostname, "port": port, "protocol": parts.scheme}

    def _key(self) -> bytes:
        if not self.private_key:
            return b""
        from cryptography.hazmat.primitives import serialization

        passphrase = self.private_key_passphrase.encode() or None
        try:
            key = serialization.load_pem_private_key(self.private_key.strip().encode(), passphrase)
        except (ValueError, TypeError) as error:
            wanted = "passphrase" in str(error).lower() or "password" in str(error).lower()
            raise _wrong(
                "private_key cannot be read" + (", or private_key_passphrase is not the right one" if wanted else ""),
                "private_key is the text of a PKCS#8 file, `-----BEGIN ...PRIVATE KEY-----` and all",
                "private_key",
            ) from None  # the driver's text may show parts of the key
        return key.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


def address(config: Mapping[str, Any]) -> Address:
    """The address that a destination's settings describe. Raises `ConfigError`."""
    given = {name: value for name, value in config.items() if value not in (None, "")}
    for name in ("account", "user", "database"):
        if name not in given:
            raise _wrong(f"{name} is not set", f"set {name}", name)
    ways = [name for name in WAYS_IN if name in given]
    if len(ways) != 1:
        what = f"{' and '.join(ways)} are both set" if ways else "there are no credentials"
        raise _wrong(what, f"set one of {', '.join(WAYS_IN)}", ways[-1] if ways else "private_key")
    if "private_key_passphrase" in given and "private_key" not in given:
        raise _wrong("private_key_passphrase is set without private_key", "set private_key", "private_key_passphrase")
    if "url" in given:
        _check_url(given["url"])
    return Address(**given)


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        usable = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable or parts.path.strip("/") or parts.query or parts.fragment or parts.username:
        raise _wrong("url is no address of a server", "write https://HOST", "url")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(str(parts.hostname))):
        raise _wrong("url is not encrypted", "write https://HOST", "url")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _wrong(what: str, hint: str, path: str) -> ConfigError:
    return ConfigError(
        f"destination of type snowflake: {what}", hint=hint, place=Place(path=path), code="destination_setting"
    )


class Database:
    """A Snowflake database over one session, which is opened when it is first needed and again when it was lost."""

    def __init__(self, address: Address, *, namespace: str) -> None:
        self.address, self._namespace = address, namespace
        self._engine: Engine | None = None
        self._sql: SnowflakeSql | None = None
        self._connection: Connection | None = None

    @contextmanager
    def open(self, *, write: bool, tidy: bool = False) -> Iterator[SnowflakeSql]:
        """The session, for one call. Raises `DestinationError` when there is none to be had."""
        sql = self._sql
        if sql is None:
            sql = self._sql = self._connect()
        try:
            yield sql
        except BaseException as error:
            # after an error nobody knows what the session is still doing; the next call opens a new one
            self.close()
            if isinstance(error, ConnectorError):
                error.at(url=str(self.address))
            raise

    def close(self) -> None:
        """Close the session, which rolls back what it has open and drops its temporary tables and files; never
        raises."""
        connection, self._connection, self._sql = self._connection, None, None
        if connection is None:
            return
        driver: SnowflakeConnection = connection.connection.driver_connection  # type: ignore[assignment]
        with suppress(Exception):  # a session that cannot be told ends by itself
            driver.close(retry=False)
        connection.invalidate()
        connection.close()

    def probe(self) -> Sequence[str]:
        """What `check` says of the database itself. Raises `DestinationError` that lists every missing grant."""
        with self.open(write=False) as sql:
            said = check_grants(sql, self.address.database, self._namespace)
        return [f"{said}, account {self.address.account}, user {self.address.user}"]

    def _connect(self) -> SnowflakeSql:
        from snowflake.connector.errors import Error
        from sqlalchemy import create_engine
        from sqlalchemy.exc import DBAPIError
        from sqlalchemy.pool import NullPool

        parameters = self.address.parameters()
        engine = self._engine = self._engine or create_engine(
            "snowflake://",
            creator=lambda: _driver(parameters),
            poolclass=NullPool,
            paramstyle="qmark",
            isolation_level="AUTOCOMMIT",
        )
        try:
            self._connection = engine.connect()
            return SnowflakeSql(self._connection, namespace=self._namespace, place=str(self.address))
        except (Error, DBAPIError) as error:
            self.close()
            raise not_connected(error, place=str(self.address), user=self.address.user) from error


def _driver(parameters: Mapping[str, Any]) -> SnowflakeConnection:
    from snowflake.connector import connect

    return connect(**parameters)
