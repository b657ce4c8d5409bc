"""The connection: where to, how it is protected, and the session's own settings, whatever the server's are."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Any

from connector_core.errors import ConfigError, ConnectorError, DestinationError, Place
from connector_postgres.errors import SILENT, not_connected
from connector_postgres.grants import missing
from connector_postgres.sql import PostgresSql

if TYPE_CHECKING:
    import psycopg
    from sqlalchemy import Connection, Engine

DEFAULT_PORT = 5432
OLDEST = 14  # older ones get no fixes any more
CONNECT_TIMEOUT = 10
LOCK_TIMEOUT = 60
STATEMENT_TIMEOUT = 900
PARTS = ("host", "port", "database", "user", "password", "sslmode", "sslrootcert")
FORM = "postgresql://USER:PASSWORD@HOST/DATABASE"
IN_URL = {"dbname": "database", **{name: name for name in PARTS}}
SESSION: Mapping[str, str] = {
    "TimeZone": "UTC",
    "DateStyle": "ISO, YMD",
    "standard_conforming_strings": "on",
    "search_path": "",  # temporary tables and pg_catalog only: everything else is qualified
    "client_min_messages": "warning",
    "idle_session_timeout": "0",
    "extra_float_digits": "1",
    "row_security": "off",  # an error rather than rows that are silently left out
    "jit": "off",
    "random_page_cost": "1.1",  # keys of a batch are looked up in an index, however large the table has grown
}
"""Settings of our sessions, so that those of the server, the database and the role have no effect on values."""


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where the database is, and how it is reached; times in seconds."""

    host: str
    port: int
    database: str
    user: str
    password: str = field(default="", repr=False)
    sslmode: str = ""
    sslrootcert: str = ""
    connect_timeout: int = CONNECT_TIMEOUT
    lock_timeout: float = LOCK_TIMEOUT
    statement_timeout: float = STATEMENT_TIMEOUT

    def __str__(self) -> str:
        return f"{self.host}:{self.port}/{self.database}"

    @property
    def tls(self) -> str:
        """What is asked of the connection: `verify-full`, unless it stays on this machine or something else is set."""
        return self.sslmode or ("prefer" if is_loopback(self.host) else "verify-full")

    def parameters(self) -> dict[str, Any]:
        """The parameters of libpq."""
        return {
            "host": self.host,
            "port": self.port,
            "dbname": self.database,
            "user": self.user,
            **({"password": self.password} if self.password else {}),
            "sslmode": self.tls,
            **({"sslrootcert": self.sslrootcert or _authorities()} if self.tls.startswith("verify") else {}),
            "connect_timeout": self.connect_timeout,
            "keepalives": 1,
            "keepalives_idle": 30,
            "keepalives_interval": 10,
            "keepalives_count": 3,
            "application_name": "connector-core",
            "client_encoding": "UTF8",
        }


def address(config: Mapping[str, Any]) -> Address:
    """The address that a destination's settings describe: an URL, or parts. Raises `ConfigError`."""
    given = {name: config[name] for name in PARTS if config.get(name) not in (None, "")}
    if "url" in config:
        told = _of_url(config["url"])
        beside = {name: value for name, value in given.items() if (name, value) != ("port", DEFAULT_PORT)}
        if both := [name for name in beside if name in told or not name.startswith("ssl")]:
            raise _wrong(f"url and {both[0]} are both set", "write it into url, or set the parts without url", "url")
        given = {**told, **beside}
    for name in ("host", "database", "user"):
        if not given.get(name):
            raise _wrong(f"{name} is not set", "set url, or host, database and user", name)
    times = {name: config[name] for name in ("connect_timeout", "lock_timeout", "statement_timeout") if name in config}
    return Address(**{"port": DEFAULT_PORT, **given, **times})


def _of_url(url: str) -> dict[str, Any]:
    from psycopg import ProgrammingError, conninfo

    if not url.startswith(("postgresql://", "postgres://")):
        raise _wrong("url is no address of a Postgres database", f"write {FORM}", "url")
    try:
        told = conninfo.conninfo_to_dict(url)
    except ProgrammingError:  # its text may show the password
        raise _wrong("url cannot be read", f"write {FORM}", "url") from None
    if other := sorted(told.keys() - IN_URL.keys()):
        raise _wrong(f"url sets {other[0]}", "only sslmode and sslrootcert may stand behind the ?", "url")
    given: dict[str, Any] = {IN_URL[name]: value for name, value in told.items()}
    if "port" in given:
        if not str(given["port"]).isdecimal():
            raise _wrong("url has several ports", "name one host and one port", "url")
        given["port"] = int(given["port"])
    return given


def _wrong(what: str, hint: str, path: str) -> ConfigError:
    return ConfigError(
        f"destination of type postgres: {what}", hint=hint, place=Place(path=path), code="destination_setting"
    )


def is_loopback(host: str) -> bool:
    """Whether a connection to this host cannot leave the machine."""
    if host.startswith(("/", "@")) or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _authorities() -> str:
    """Certificates of the authorities that this machine trusts: where Python's own TLS finds them. The driver brings
    its own OpenSSL, which may look elsewhere."""
    import ssl

    return ssl.get_default_verify_paths().cafile or "system"


class Database:
    """A Postgres database over one connection, which is made when it is first needed and again when it was lost."""

    def __init__(self, address: Address, *, namespace: str, adopt: bool = False) -> None:
        self.address, self._namespace, self._adopt = address, namespace, adopt
        self._engine: Engine | None = None
        self._sql: PostgresSql | None = None
        self._connection: Connection | None = None

    @contextmanager
    def open(self, *, write: bool, tidy: bool = False) -> Iterator[PostgresSql]:
        """The connection, for one call. Raises `DestinationError` when there is none to be had."""
        sql = self._sql
        if sql is None:
            sql = self._sql = self._connect()
        try:
            yield sql
        except BaseException as error:
            if isinstance(error, ConnectorError) and error.code == "permission":
                error.hint = self._rights(sql) or error.hint
            self.close()  # nobody knows what the session is still doing; the next call makes a new one
            raise

    def close(self) -> None:
        """Close the connection, without a word to the server where a transaction is open; never raises."""
        connection, self._connection, self._sql = self._connection, None, None
        if connection is not None:
            if not connection.invalidated:
                connection.invalidate()
            connection.close()

    def probe(self) -> Sequence[str]:
        """What `check` says of the database itself."""
        with self.open(write=False) as sql:
            ((version, user, encrypted),) = sql.query(
                "SELECT current_setting('server_version'), current_user, "
                "coalesce((SELECT ssl FROM pg_catalog.pg_stat_ssl WHERE pid = pg_catalog.pg_backend_pid()), false)"
            )
            if rights := missing(sql, self._namespace):
                raise DestinationError(
                    f"the role {user!r} lacks rights that loading into {self._namespace!r} needs",
                    hint=" ".join(rights),
                    place=Place(url=str(self.address)),
                    code="permission",
                )
        return [f"Postgres {version} at {self.address} as {user}{', TLS' if encrypted else ''}"]

    def _rights(self, sql: PostgresSql) -> str:
        """The statements that grant what is missing, after a statement was refused for it."""
        try:
            return " ".join(missing(sql, self._namespace))
        except ConnectorError:  # the session is gone
            return ""

    def _connect(self) -> PostgresSql:
        import psycopg
        from sqlalchemy import create_engine
        from sqlalchemy.exc import DBAPIError
        from sqlalchemy.pool import NullPool

        engine = self._engine = self._engine or create_engine(
            "postgresql+psycopg://",
            creator=self._driver,
            poolclass=NullPool,
            isolation_level="AUTOCOMMIT",
            use_native_hstore=False,
        )
        try:
            connection = self._connection = engine.connect()
            self._check_version(connection.connection.driver_connection)
            sql = PostgresSql(connection, place=str(self.address), adopt=self._adopt)
            self._settle(sql)
        except (psycopg.Error, DBAPIError) as error:
            self.close()
            raise not_connected(error, place=str(self.address), user=self.address.user) from error
        return sql

    def _driver(self) -> psycopg.Connection[Any]:
        limit = self.address.statement_timeout * 1.5  # the server has had its chance to end the statement
        return _watched(limit).connect(**self.address.parameters(), autocommit=True, prepare_threshold=None)

    def _check_version(self, driver: Any) -> None:
        """The server has told its version when it was connected to."""
        if driver.info.server_version >= OLDEST * 10_000:
            return
        told = driver.info.parameter_status("server_version")
        self.close()
        raise DestinationError(
            f"Postgres {told} is older than {OLDEST}",
            hint=f"load into a server of version {OLDEST} or newer; nothing was changed",
            place=Place(url=str(self.address)),
            code="server_version",
        )

    def _settle(self, sql: PostgresSql) -> None:
        """The session's own settings; those that this server does not have are left out."""
        given = self.address
        wanted = {
            **SESSION,
            "lock_timeout": f"{given.lock_timeout * 1000:.0f}ms",
            "statement_timeout": f"{given.statement_timeout * 1000:.0f}ms",
            "idle_in_transaction_session_timeout": f"{given.statement_timeout * 1000:.0f}ms",
            "transaction_timeout": "0",
        }
        names = ", ".join("%s" for _ in wanted)
        values = " ".join("WHEN %s THEN %s" for _ in wanted)
        sql.query(
            f"SELECT set_config(name, CASE name {values} END, false) FROM pg_catalog.pg_settings "
            f"WHERE name IN ({names})",
            [*(word for pair in wanted.items() for word in pair), *wanted],
        )


def _watched(limit: float) -> type[psycopg.Connection[Any]]:
    """A connection that gives up when the server does not answer for `limit` seconds: a server that stands still keeps
    its sockets alive, and its own timeouts do not come."""
    import psycopg

    class Watched(psycopg.Connection[Any]):
        def wait(self, gen: Any, *arguments: Any, **more: Any) -> Any:
            return super().wait(_within(gen, limit, self.pgconn.finish), *arguments, **more)

    return Watched


def _within(gen: Generator[Any, Any, Any], limit: float, give_up: Callable[[], None]) -> Generator[Any, Any, Any]:
    """The same generator of waits, ended when none of them has brought anything for `limit` seconds."""
    import psycopg

    deadline = monotonic() + limit
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            if ready:
                deadline = monotonic() + limit
            elif monotonic() > deadline:
                give_up()
                raise psycopg.OperationalError(f"{SILENT} for {limit:g} s")
            wanted = gen.send(ready)
    except StopIteration as end:
        return end.value
