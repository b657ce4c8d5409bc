"""A stand-in for Snowflake: fakesnow's server, reached by the real driver over HTTP, with a database per test.

One server per test process, made when it is first asked for (`shared`). Between the driver and fakesnow stands a gate
that keeps every statement, and makes trouble when a test asks for it.

What fakesnow does otherwise than Snowflake and is put right here, so that what the destination sends stays as it is:

- COPY INTO of CSV lets DuckDB guess types and takes `""` for NULL: `_read_csv` reads as Snowflake documents it;
- it writes names of tables and columns into statements of its own as they are: `_escaped` and `_Told` double their
  quotes;
- CURRENT_ROLE(), CURRENT_WAREHOUSE() and IS_ROLE_IN_SESSION() are unknown, SHOW GRANTS too: the gate answers for them.

What stays otherwise, and is seen in the texts of statements alone: names in quotes keep their case in Snowflake,
temporary tables may be qualified, DDL commits what is open, VARCHAR and VARIANT have a greatest length, VARIANT keeps
JSON as a value. Sessions wait for one another as `snowflake_locks` makes them.
"""

from __future__ import annotations

import asyncio
import atexit
import csv
import gzip
import itertools
import json
import logging
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import parse_qs

from connector_core.testing import SqlReader
from connector_core.testing.warehouse import hooks_of
from connector_snowflake import destination
from tests.support import snowflake_quick
from tests.support.loads import Warehouse
from tests.support.snowflake_locks import Locks

ROLE, WAREHOUSE = "LOADER", "LOADING"
KNOWN = (("CURRENT_ROLE()", f"'{ROLE}'"), ("CURRENT_WAREHOUSE()", f"'{WAREHOUSE}'"))
FIELD_LIMIT = 64 * 1024 * 1024


@dataclass
class Trouble:
    """What the gate does to the next `times` statements that `match`: answers with an error of Snowflake (`code`,
    `state`, `message`) or with an HTTP `status`, instead of executing it or `after` that; or calls `act` before."""

    match: str
    code: str = ""
    message: str = "trouble"
    state: str = "58000"
    status: int = 0
    after: bool = False
    act: Callable[[], None] | None = None
    times: int = 1
    met: int = 0


@dataclass
class Gate:
    """What happened to one database: its statements with their parameters, and the trouble that is left.

    `answers` are given by pattern of a statement (columns and rows), `roles` are those of the sessions; a file that has
    `refuses` in it has a value that Snowflake does not take.
    """

    statements: list[tuple[str, list[Any]]] = field(default_factory=list)
    trouble: list[Trouble] = field(default_factory=list)
    answers: dict[str, tuple[list[str], list[list[str | None]]]] = field(default_factory=dict)
    roles: tuple[str, ...] = (ROLE, "PUBLIC")
    refuses: bytes = b""
    uploads: list[str] = field(default_factory=list)
    logins: list[dict[str, Any]] = field(default_factory=list)

    def next_trouble(self, text: str) -> Trouble | None:
        """The trouble that is due for a statement."""
        for one in self.trouble:
            if one.met < one.times and re.search(one.match, text):
                one.met += 1
                return one
        return None


class _Told(Template):
    """What fakesnow answers to a statement, as a statement: names are texts in it."""

    def substitute(self, *_: object, **names: object) -> str:
        """The statement."""
        return super().substitute({key: str(name).replace("'", "''") for key, name in names.items()})


class _Look:
    """A DuckDB session as a connection and its cursor: a cursor that DuckDB makes would forget its database. The
    information schema tells of this database alone, as Snowflake's does."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.fetchall, self.close = session.fetchall, session.close

    def cursor(self) -> _Look:
        """Itself."""
        return self

    def execute(self, text: str, parameters: Sequence[object] = ()) -> None:
        """Execute one statement."""
        here = r"(SELECT * FROM information_schema.\1 WHERE table_catalog = current_database())"
        self._session.execute(re.sub(r"information_schema\.(\w+)", here, text), list(parameters))


class Server:
    """The running server."""

    def __init__(self) -> None:
        import fakesnow.copy_into
        import fakesnow.cursor
        import fakesnow.info_schema
        import fakesnow.server
        import uvicorn

        snowflake_quick.install()
        fakesnow.copy_into.ReadCSV.read_expression = _read_csv  # type: ignore[method-assign]
        fakesnow.info_schema.insert_text_lengths_sql = partial(_escaped, fakesnow.info_schema.insert_text_lengths_sql)
        for name in ("SQL_CREATED_TABLE", "SQL_DROPPED"):
            setattr(fakesnow.cursor, name, _Told(getattr(fakesnow.cursor, name).template))
        for name in ("fakesnow.server", "snowflake.connector"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self.gates: dict[str, Gate] = {}
        self._fake = fakesnow.server
        self._fake.shared_fs.duck_conn.execute("SET threads = 1")  # its tables are small
        self._numbers = itertools.count(1)
        self._socket = socket.create_server(("127.0.0.1", 0))
        # asyncio does it for sockets of its own; without it each answer waits 40 ms for the client's acknowledgement
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        locks = Locks(self._app, fakesnow.server.sessions, self._connected)
        self._server = uvicorn.Server(
            uvicorn.Config(
                locks,
                log_level="critical",
                access_log=False,
                proxy_headers=False,
                lifespan="off",
                interface="asgi3",
                timeout_keep_alive=600,
            )
        )
        threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True).start()
        while not self._server.started:
            time.sleep(0.01)

    def _connected(self) -> set[tuple[str, int]]:
        return {tuple(one.client) for one in self._server.server_state.connections if one.client}

    def stop(self) -> None:
        """Stop listening."""
        self._server.should_exit = True

    def database(self) -> str:
        """The name of a new database; the first login makes it."""
        name = f"DB_{next(self._numbers)}"
        self.gates[name] = Gate()
        return name

    def drop(self, name: str) -> None:
        """Forget a database."""
        self.gates.pop(name)
        with self._fake.shared_fs.duck_conn.cursor() as cursor:
            cursor.execute(f"DETACH DATABASE IF EXISTS {name}")

    def query(self, database: str, text: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """What is really stored, asked of the DuckDB behind fakesnow, in its own SQL; the schema is NS."""
        with self._fake.shared_fs.duck_conn.cursor() as cursor:
            cursor.execute(f"SET TimeZone = 'UTC'; SET schema = '{database}.NS'")
            return [tuple(row) for row in cursor.execute(text, list(parameters)).fetchall()]

    def look(self, database: str) -> Any:
        """A connection to the DuckDB behind fakesnow, in this database."""
        cursor = self._fake.shared_fs.duck_conn.cursor()
        cursor.execute(f"SET TimeZone = 'UTC'; USE {database}")
        return _Look(cursor)

    def config(self, database: str, **more: Any) -> dict[str, Any]:
        """The destination's settings for a database."""
        return {
            "account": "standin",
            "user": "LOADER",
            "password": "snow",
            "database": database,
            "url": self.url,
        } | more

    def end_sessions(self, database: str) -> None:
        """What Snowflake does to sessions that have been idle for too long."""
        for token, session in list(self._fake.sessions.items()):
            if session.database == database:
                self._fake.sessions.pop(token)._duck_conn.close()

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", scope["type"] == "http"
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        gate = self._gate(scope)
        if scope["type"] == "http" and scope["path"] == "/session/v1/login-request":
            gate = self.gates[parse_qs(scope["query_string"].decode())["databaseName"][0]]
            gate.logins.append(json.loads(gzip.decompress(body))["data"])
            if trouble := gate.next_trouble("LOGIN"):
                await _answer(send, trouble.status or 200, _refusal(trouble))
                return
        if scope["type"] == "http" and scope["path"] == "/queries/v1/query-request" and gate is not None:
            body = await self._statement(gate, scope, body, send)
            if not body:
                return
            scope = {**scope, "headers": [(k, v) for k, v in scope["headers"] if k != b"content-encoding"]}
        elif scope["type"] == "http" and scope["path"].startswith("/fs_bucket/"):
            name = scope["path"].split("/")[2]
            gate = self.gates[name]
            gate.uploads.append(scope["path"])
            if gate.refuses and gate.refuses in gzip.decompress(body):
                message = f"String '{gate.refuses.decode()}' is too long and would be truncated"
                gate.trouble.append(Trouble("^COPY INTO", code="100078", state="22000", message=message))
            if trouble := gate.next_trouble("UPLOAD"):
                await _answer(send, trouble.status, b"")
                return
        await self._fake.app(scope, _received(body), send)

    def _gate(self, scope: Any) -> Gate | None:
        given = dict(scope.get("headers", ())).get(b"authorization", b"").decode()
        session = self._fake.sessions.get(given[17:-1])
        return None if session is None else self.gates.get(str(session.database))

    async def _statement(self, gate: Gate, scope: Any, body: bytes, send: Any) -> bytes:
        """The body for fakesnow; nothing when the answer was given here."""
        headers = dict(scope["headers"])
        given = json.loads(gzip.decompress(body) if headers.get(b"content-encoding") == b"gzip" else body)
        text = given["sqlText"]
        bound = given.get("bindings") or {}
        told = (text, [bound[key]["value"] for key in sorted(bound, key=int)])
        if not text.startswith("PUT") or told != gate.statements[-1]:  # the driver asks twice where to put a file
            gate.statements.append(told)
        trouble = gate.next_trouble(text)
        if trouble and trouble.act:
            trouble.act()
            trouble = None
        if trouble and trouble.after:
            await self._fake.app(scope, _received(body), _nowhere)
        if trouble and trouble.status:
            await _answer(send, trouble.status, b"")
            return b""
        if trouble:
            await _answer(send, 200, _refusal(trouble))
            return b""
        for match, (columns, rows) in gate.answers.items():
            if re.search(match, text):
                await _answer(send, 200, _rows(columns, rows))
                return b""
        for name, value in KNOWN:
            text = text.replace(name, value)
        roles = ", ".join(f"'{role}'" for role in gate.roles)
        given["sqlText"] = text.replace("IS_ROLE_IN_SESSION(r)", f"r IN ({roles})")
        return json.dumps(given).encode()


def _received(body: bytes) -> Any:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


async def _nowhere(message: Any) -> None:
    await asyncio.sleep(0)


async def _answer(send: Any, status: int, body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": body})


def _refusal(trouble: Trouble) -> bytes:
    said = {"errorCode": trouble.code, "sqlState": trouble.state}
    return json.dumps({"data": said, "code": trouble.code, "message": trouble.message, "success": False}).encode()


def _rows(columns: Sequence[str], rows: Sequence[Sequence[str | None]]) -> bytes:
    """The answer of Snowflake with rows of texts."""
    one = {"type": "text", "nullable": True, "length": 1000, "scale": None, "precision": None}
    kinds = [{"name": name, **one} for name in columns]
    data = {
        "parameters": [],
        "rowtype": kinds,
        "rowset": rows,
        "total": len(rows),
        "returned": len(rows),
        "queryId": "0",
        "queryResultFormat": "json",
        "statementTypeId": 4096,
    }
    return json.dumps({"data": data, "success": True}).encode()


def _escaped(
    original: Callable[..., str], catalog: str, schema: str, table: str, lengths: list[tuple[str, int]]
) -> str:
    """The statement with which fakesnow remembers how long texts may be."""
    names = [(name.replace("'", "''"), size) for name, size in lengths]
    return original(catalog, schema, table.replace("'", "''"), names)


def _read_csv(self: Any, url: str) -> Any:
    """What stands for the file in the DuckDB statement of fakesnow's COPY INTO: all fields are texts, `""` is empty,
    nothing is NULL."""
    import sqlglot

    csv.field_size_limit(FIELD_LIMIT)
    with gzip.open(url, "rt", newline="") as file:
        count = len(next(csv.reader(file)))
        size = file.seek(0, 2)
    columns = ", ".join(f"'column{place}': 'VARCHAR'" for place in range(count))
    return sqlglot.parse_one(
        f"read_csv('{url}', auto_detect = false, header = false, delim = ',', quote = '\"', escape = '\"', "
        f"nullstr = '', allow_quoted_nulls = false, compression = 'gzip', parallel = false, strict_mode = true, "
        f"new_line = '\\n', max_line_size = {size + 1}, buffer_size = {2 * size + 4096}, columns = {{{columns}}})",
        read="duckdb",
    )


_shared: dict[int, Server] = {}


def shared() -> Server:
    """The server that all tests of this process share; it stops when the process ends."""
    if os.getpid() not in _shared:
        _shared[os.getpid()] = Server()
        atexit.register(_shared[os.getpid()].stop)
    return _shared[os.getpid()]


@dataclass
class SnowflakeWarehouse(Warehouse):
    """One claimed namespace, `ns`, of a database of its own."""

    server: Server = field(kw_only=True)
    database: str = field(kw_only=True)

    @property
    def gate(self) -> Gate:
        """What happened to the database."""
        return self.server.gates[self.database]

    def sql(self, text: str, *parameters: object) -> list[tuple[Any, ...]]:
        """What is stored, in DuckDB's SQL."""
        return self.server.query(self.database, text, parameters)


def reader(running: Server, database: str) -> SqlReader:
    """A look at what is stored, asked of the DuckDB behind fakesnow."""

    def connect() -> Any:
        return running.look(database)

    readable = {"TIMESTAMP WITH TIME ZONE": "strftime({}, '%Y-%m-%dT%H:%M:%S.%fZ')"}  # a datetime would need pytz
    return SqlReader(connect, readable=readable)


@contextmanager
def warehouse(*, namespace: str = "ns", **config: Any) -> Iterator[SnowflakeWarehouse]:
    """A warehouse over the plugin's own `connect`, in a new database."""
    running = shared()
    name = running.database()
    try:
        with destination.connect(running.config(name, **config), namespace) as target:
            yield SnowflakeWarehouse(
                path=Path(),
                hooks=hooks_of(destination),
                target=target,
                reader=reader(running, name),
                server=running,
                database=name,
            )
    finally:
        running.drop(name)
