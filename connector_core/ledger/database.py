"""Opens the ledger's database: the rules for its file, one transaction at a time, errors that say what to do."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import urllib.parse
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.pool import QueuePool
from sqlalchemy.sql.schema import Table

from connector_core.errors import ConfigError, ConnectorError, Place
from connector_core.ledger.schema import migrate, stored_version
from connector_core.seams import seam

BUSY_SECONDS = 10.0
"""How long a transaction waits for another one's end."""

_ADVISORY_LOCK = 7_310_864_215_907_201  # any fixed number: migrations of one Postgres ledger wait for each other
_REBUILD = (
    "move the file away: the next run rebuilds receipts, namespaces and the free window from the destinations "
    "(runs and logs are lost)"
)
_WRITES = "connector_core_writes"


class Database:
    """An open ledger database. `created` tells that there was none before.

    Every read is one short transaction, every write one that takes the write lock first (SQLite: BEGIN IMMEDIATE),
    so that two writers wait for each other instead of failing.
    """

    def __init__(self, engine: Engine, where: str, file: Path | None, *, created: bool) -> None:
        self.where = where
        self.created = created
        self._engine = engine
        self._file = file

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that sees one state of the ledger. Raises `ConnectorError` when the database fails."""
        with self._errors(), self._engine.connect() as connection, connection.begin():
            yield connection

    @contextlib.contextmanager
    def write(self, name: str) -> Iterator[Connection]:
        """A transaction that is committed as a whole or not at all; `name` names its seams."""
        seam(f"ledger.{name}.before")
        with (
            self._errors(),
            self._engine.connect().execution_options(**{_WRITES: True}) as connection,
            connection.begin(),
        ):
            yield connection
            seam(f"ledger.{name}.commit")
        seam(f"ledger.{name}.after")

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            raise _explained(
                error, self.where, self._file
            ) from None  # the statement's parameters stay out of tracebacks


def insert_once(connection: Connection, table: Table) -> Any:
    """An INSERT into `table` that does nothing when a unique constraint already holds such a row.

    Ask what it did with RETURNING; not every driver counts the rows of an INSERT.
    """
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects import postgresql  # 10 ms that a ledger in a file saves

        return postgresql.insert(table).on_conflict_do_nothing()
    return sqlite.insert(table).on_conflict_do_nothing()


def open_database(url: str) -> Database:
    """Open the ledger at `url` (`sqlite:///path` or `postgresql://...`), make it when there is none, migrate it when
    it is old.

    Raises `ConfigError` naming the file and what to do for anything that is not a usable ledger: a directory, a link,
    an empty, cut off, foreign, damaged, read-only or newer file (facts/fault_catalogue.md D9, F6, G14).
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ConfigError(
            "the ledger's url cannot be read",  # not shown: it may hold a password
            hint="write sqlite:///path/to/ledger.db or postgresql://user:password@host/database",
            code="ledger_url",
        ) from None
    kind = parsed.get_backend_name() if parsed.drivername != "postgres" else "postgresql"
    if kind == "sqlite":
        return _open_sqlite(parsed)
    if kind == "postgresql":
        return _open_postgres(parsed)
    raise ConfigError(
        f"a ledger cannot live in {kind}", hint="use sqlite:///path or postgresql://...", code="ledger_url"
    )


def _open_postgres(url: URL) -> Database:
    where = url.set(query={}).render_as_string(hide_password=True)  # a query may hold a password too
    if url.drivername in ("postgres", "postgresql"):
        url = url.set(drivername="postgresql+psycopg")
    try:
        engine = create_engine(url, pool_pre_ping=True, hide_parameters=True)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"the ledger {where} needs the Python package {error.name!r}",
            hint='pip install "connector-core[postgres]"',
            code="ledger_driver",
        ) from None
    return _migrated(Database(engine, where, None, created=False))


def _open_sqlite(url: URL) -> Database:
    if not url.database or url.database == ":memory:" or url.database.startswith("file:") or url.query:
        raise ConfigError("the ledger must be a file", hint="write sqlite:///path/to/ledger.db", code="ledger_url")
    try:
        file = Path(url.database).absolute()
    except OSError as error:
        raise ConfigError(
            f"the ledger's path {url.database} is relative and the working directory is not there: {error.strerror}",
            hint="give an absolute path",
            code="ledger_file",
        ) from None
    created = _prepare(file)
    log = Path(f"{file}-wal")
    before = _size(log)

    engine = _sqlite_engine(file)
    database = Database(engine, str(file), file, created=created)
    try:
        with database.read() as connection:
            found = stored_version(connection)
            tables = connection.scalar(text("SELECT count(*) FROM sqlite_master"))
            pages = int(connection.scalar(text("PRAGMA page_count")) or 0)
            page = int(connection.scalar(text("PRAGMA page_size")) or 0)
        if found is None:
            what = "another program's database" if tables else "an empty database"
            raise _refused(file, f"is not a ledger but {what}", "give the ledger a path of its own")
        # While the log beside it is empty the file must be whole; otherwise SQLite itself sees what is missing.
        size = _size(file)
        if not before and not _size(log) and (size % page or size < pages * page):
            raise _refused(file, "is cut off", _REBUILD)
    except BaseException:
        database.close()
        raise
    return _migrated(database)


def _sqlite_engine(file: Path, *, new: bool = False) -> Engine:
    # mode=rw: SQLite never makes the file, so one that vanishes during a run is an error and not an empty ledger
    address = f"file:{urllib.parse.quote(str(file))}?mode=rw"

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(
            address, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = FULL")
        if new:  # the file itself remembers this
            connection.execute("PRAGMA journal_mode = WAL")
        return connection

    engine = create_engine("sqlite://", creator=connect, poolclass=QueuePool, hide_parameters=True)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get(_WRITES)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _migrated(database: Database) -> Database:
    try:
        with database.write("migrate") as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
                database.created = stored_version(connection) is None
            migrate(connection, database.where)
    except BaseException:
        database.close()
        raise
    return database


def _prepare(file: Path) -> bool:
    """Make sure that `file` is a private regular file, and make the ledger when there is none; True when it was made.

    An existing file is only looked at by name: opening and closing it here would drop the locks that SQLite holds on
    it in this process.
    """
    try:
        if not file.parent.exists():
            file.parent.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                file.parent.mkdir(mode=0o700)
        created = not os.path.lexists(file) and _create(file)
        found = file.lstat()
        if stat.S_ISLNK(found.st_mode):
            raise _refused(file, "is a symbolic link", "name the file itself")
        if stat.S_ISDIR(found.st_mode):
            raise _refused(file, "is a directory", "name a file in it")
        if not stat.S_ISREG(found.st_mode):
            raise _refused(file, "is not a regular file", "name another path")
        if not found.st_mode & stat.S_IWUSR or not os.access(file, os.W_OK):
            raise _refused(file, "is read-only", "give yourself the right to write it, or name another path")
        if not found.st_size:
            raise _refused(file, "is empty", _REBUILD)
        if found.st_mode & 0o077:
            file.chmod(0o600)
    except OSError as error:
        raise ConfigError(
            f"the ledger {file} cannot be used: {error.strerror or error}",
            hint="check the path, the rights and the space in its directory",
            place=Place(file=str(file)),
            code="ledger_file",
        ) from None
    return created


def _create(file: Path) -> bool:
    """Make a complete ledger beside `file` and give it its name in one step: a crash leaves no half ledger behind.

    False when another process was faster.
    """
    created = True
    for suffix in ("-wal", "-journal"):
        if os.path.lexists(f"{file}{suffix}"):
            raise _refused(
                file,
                f"is missing but its {suffix} is there",
                f"bring the file back, or move {file.name}{suffix} away too: the next run then rebuilds "
                "what the destinations remember",
            )
    made = file.with_name(f"{file.name}.new-{uuid.uuid4().hex}")
    try:
        _build(made, str(file))
        seam("ledger.create.link")
        os.link(made, file)
        _sync(file.parent)
    except (OSError, ConnectorError):
        if not os.path.lexists(file):
            made.unlink(missing_ok=True)
            raise
        created = False  # the faster one may have cleared ours away
    for left in file.parent.glob(f"{file.name}.new-*"):  # ours, and those of processes that were killed at this
        left.unlink(missing_ok=True)
    return created


def _build(made: Path, where: str) -> None:
    os.close(os.open(made, os.O_CREAT | os.O_EXCL | os.O_RDWR | getattr(os, "O_NOFOLLOW", 0), 0o600))
    with (
        contextlib.closing(Database(_sqlite_engine(made, new=True), where, made, created=True)) as database,
        database.write("create") as connection,
    ):
        migrate(connection, where)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _size(file: Path) -> int:
    try:
        return file.lstat().st_size
    except FileNotFoundError:
        return 0


def _refused(file: Path, what: str, hint: str) -> ConfigError:
    return ConfigError(f"the ledger {file} {what}", hint=hint, place=Place(file=str(file)), code="ledger_file")


def _explained(error: SQLAlchemyError, where: str, file: Path | None) -> ConnectorError:
    """What a user can do about an error of the database."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    name = getattr(cause, "sqlite_errorname", "")
    if file is not None and name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
        return _refused(file, "is damaged or not a ledger", _REBUILD)
    if file is not None and name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
        return _refused(
            file, f"cannot be used ({cause})", "check that it is there and its rights, and those of its directory"
        )
    hints: dict[str, str] = {
        "SQLITE_FULL": "make room on its disk; data that was loaded is recorded by the next run",
        "SQLITE_IOERR": "check its disk and the space on it; data that was loaded is recorded by the next run",
        "SQLITE_BUSY": f"another process has kept it locked for {BUSY_SECONDS:.0f} s; is one stopped in the middle?",
    }
    hint = next(
        (text for prefix, text in hints.items() if name.startswith(prefix)), "the next run records what was loaded"
    )
    return ConnectorError(
        f"the ledger {where} failed: {cause or type(error).__name__}",
        hint=hint,
        place=Place(file=str(file) if file else None),
        code="ledger",
    )
