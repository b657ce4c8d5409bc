"""The ledger's tables, and the steps that bring an older ledger to the present shape."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    insert,
    inspect,
    select,
    text,
    update,
)

from connector_core.errors import ConfigError


class Instant(TypeDecorator[datetime]):
    """An aware UTC datetime: `timestamptz` in Postgres, text of a fixed width (which sorts) in SQLite."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("the ledger takes aware datetimes only")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


METADATA = MetaData()
_ID = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows by itself only in an INTEGER column


def _id() -> Column[int]:
    return Column("id", _ID, primary_key=True, autoincrement=True)


# every name starts with ledger_: in Postgres the ledger may share a schema with other tables

version = Table("ledger_version", METADATA, Column("version", Integer, nullable=False))

connectors = Table(
    "ledger_connectors",
    METADATA,
    Column("connector", String, primary_key=True),
    Column("namespace", String, nullable=False, unique=True),
    Column("name", String, nullable=False),
    Column("destination", String),  # NULL until the first run, when only a rebuild has seen the connector
    Column("registered_at", Instant, nullable=False),
    Column("start_date", Instant),
    Column("first_data_at", Instant),  # what the destination remembers; receipts may know an earlier instant
)

leases = Table(
    "ledger_leases",
    METADATA,
    Column("resource", String, primary_key=True),
    Column("fencing", BigInteger, nullable=False),
    Column("held", Boolean, nullable=False),
    Column("holder", String, nullable=False),
    Column("host", String, nullable=False),
    Column("machine", String, nullable=False),
    Column("pid", BigInteger, nullable=False),
    Column("process_started", String, nullable=False),
    Column("since", Instant, nullable=False),
    Column("heartbeat", Instant, nullable=False),
    Column("ttl", Integer, nullable=False),  # milliseconds
)

runs = Table(
    "ledger_runs",
    METADATA,
    _id(),
    Column("run_id", String, nullable=False, unique=True),
    Column("connector", String, nullable=False),
    Column("trigger", String, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("finished_at", Instant),
    Column("status", String, nullable=False),
    Column("exit_code", Integer),
    Column("error", Text),
    Column("host", String, nullable=False),
    Column("machine", String, nullable=False),
    Column("pid", BigInteger, nullable=False),
    Column("process_started", String, nullable=False),
    Index("ledger_runs_of", "connector", "id"),
)

steps = Table(
    "ledger_steps",
    METADATA,
    _id(),
    Column("run_id", String, ForeignKey("ledger_runs.run_id"), nullable=False, index=True),
    Column("name", String, nullable=False),
    Column("stream", String),
    Column("started_at", Instant, nullable=False),
    Column("finished_at", Instant),
    Column("exit_status", Integer),
    Column("text", Text, nullable=False),
)

lines = Table(
    "ledger_lines",
    METADATA,
    _id(),
    Column("run_id", String),  # no foreign key: a daemon logs outside of runs
    Column("at", Instant, nullable=False),
    Column("component", String, nullable=False),
    Column("level", String, nullable=False),
    Column("text", Text, nullable=False),
    Column("connector", String),  # of a line outside of runs; the others have their run's
    Column("stream", String),
    Index("ledger_lines_of", "run_id", "id"),
)

receipts = Table(
    "ledger_receipts",
    METADATA,
    _id(),
    Column("destination", String, nullable=False),
    Column("namespace", String, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("connector", String, nullable=False),
    Column("stream", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("run_id", String, nullable=False, index=True),  # no foreign key: a rebuilt ledger does not know the runs
    Column("number", BigInteger, nullable=False),
    Column("committed_at", Instant, nullable=False),
    Column("day", String(10), nullable=False),  # the UTC day of committed_at, spelled the same in every database
    Column("recorded_at", Instant, nullable=False),
    Column("bookmark", Text),
    Column("changes", Text),
    Column("older", Text),
    UniqueConstraint("destination", "namespace", "epoch", "sequence"),
    Index("ledger_receipts_when", "connector", "committed_at"),
    Index("ledger_receipts_of", "connector", "stream", "epoch", "sequence"),
)

receipt_tables = Table(
    "ledger_receipt_tables",
    METADATA,
    Column("receipt", _ID, ForeignKey("ledger_receipts.id"), primary_key=True),
    Column("table_name", String, primary_key=True),
    Column("written", BigInteger, nullable=False),
    Column("deleted", BigInteger, nullable=False),
    # NULL in receipts of versions that did not count this
    Column("stream", String),
    Column("place", Integer),  # 0: the stream's root table
    Column("passed", BigInteger),  # rows that were written or found unchanged
)

COUNTS = (
    "extracted",
    "loaded",
    "unchanged",
    "superseded",
    "rejected",
    "filtered",
    "staged",
    "discarded",
    "deleted",
)

receipt_counts = Table(
    "ledger_receipt_counts",
    METADATA,
    Column("receipt", _ID, ForeignKey("ledger_receipts.id"), primary_key=True),
    Column("stream", String, primary_key=True),
    *(Column(name, BigInteger, nullable=False) for name in COUNTS),
)

rejects = Table(
    "ledger_rejects",
    METADATA,
    _id(),
    Column("receipt", _ID, ForeignKey("ledger_receipts.id"), nullable=False, index=True),
    Column("connector", String, nullable=False),
    Column("stream", String, nullable=False),
    Column("table_name", String, nullable=False),
    Column("code", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("primary_key", Text),
    Column("record_hash", String, nullable=False),
    Column("rejected_at", Instant, nullable=False),
    Column("settled_at", Instant),
    Index("ledger_rejects_of", "connector", "stream", "record_hash"),
)

slots = Table(
    "ledger_slots",
    METADATA,
    Column("connector", String, primary_key=True),
    Column("at", Instant, primary_key=True),
    Column("state", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("noted_at", Instant, nullable=False),
    Column("run_id", String),  # the run of a slot that was run; the last one, when the first process died
    Column("attempts", Integer),  # how many runs that slot has had; NULL where it was skipped
)

schedules = Table(
    "ledger_schedules",
    METADATA,
    Column("connector", String, primary_key=True),
    Column("spec", String, nullable=False),  # the schedule in words, as it was last seen
    Column("since", Instant, nullable=False),  # when it was first seen in this form
)

pauses = Table(
    "ledger_pauses",
    METADATA,
    _id(),
    Column("connector", String, nullable=False, index=True),
    Column("paused_at", Instant, nullable=False),
    Column("paused_by", String, nullable=False),
    Column("why", Text, nullable=False),
    Column("resumed_at", Instant),
    Column("resumed_by", String),
)


notices = Table(
    "ledger_notices",
    METADATA,
    Column("subject", String, primary_key=True),
    Column("noted_at", Instant, nullable=False),
)


def _create(connection: Connection) -> None:
    METADATA.create_all(connection)
    connection.execute(insert(version).values(version=0))


def _grow(connection: Connection) -> None:
    """Make the tables and columns that are missing. New columns may be NULL."""
    METADATA.create_all(connection)
    found = inspect(connection)
    quote = connection.dialect.identifier_preparer.quote
    for table in METADATA.sorted_tables:
        there = {column["name"] for column in found.get_columns(table.name)}
        for column in table.columns:
            if column.name not in there:
                kind = column.type.compile(connection.dialect)
                connection.execute(text(f"ALTER TABLE {quote(table.name)} ADD COLUMN {quote(column.name)} {kind}"))


Step = Callable[[Connection], None]
STEPS: tuple[Step, ...] = (_create, _grow, _grow)  # each growth of METADATA is a step
"""Step n leads from version n to n + 1. A step that was released is never changed; a new one is added at the end."""


def stored_version(connection: Connection) -> int | None:
    """The version of the tables that are there; None when there are none."""
    if not inspect(connection).has_table(version.name):
        return None
    found: Any = connection.scalar(select(version.c.version))
    return None if found is None else int(found)


def migrate(connection: Connection, where: str, *, steps: Sequence[Step] = STEPS) -> None:
    """Bring the ledger to version `len(steps)`, inside the caller's transaction, which holds the lock.

    `where` names the ledger in errors. A ledger of a newer version is left alone: `ConfigError`
    (facts/fault_catalogue.md F6).
    """
    found = stored_version(connection) or 0
    if found > len(steps):
        raise ConfigError(
            f"the ledger {where} has version {found}, this program knows versions up to {len(steps)}",
            hint="a newer connector-core wrote it: install that version or a later one",
            code="ledger_version",
        )
    for step in steps[found:]:
        step(connection)
    if found < len(steps):
        connection.execute(update(version).values(version=len(steps)))
