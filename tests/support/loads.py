"""A DuckDB file to load batches into, and a look at what is really in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from connector_core.testing import SqlReader
from connector_core.testing import warehouse as kit
from connector_core.testing.shapes import CASES, READ_AT, Shape, digest, reject
from connector_core.testing.warehouse import hooks_of
from connector_duckdb import destination

__all__ = ["CASES", "READ_AT", "Shape", "Warehouse", "digest", "duck_reader", "reject", "warehouse"]


def duck_reader(path: Path) -> SqlReader:
    """A look at a DuckDB file with DuckDB itself."""

    def connect() -> duckdb.DuckDBPyConnection:
        connection = duckdb.connect(str(path))
        connection.execute("SET GLOBAL TimeZone = 'UTC'")  # a cursor is a session of its own
        return connection

    readable = {"TIMESTAMP WITH TIME ZONE": "strftime({}, '%Y-%m-%dT%H:%M:%S.%fZ')"}  # a datetime would need pytz
    return SqlReader(connect, readable=readable)


@dataclass(kw_only=True)
class Warehouse(kit.Warehouse):
    """One namespace of a DuckDB file, claimed, and a run that loads batches into it one after the other."""

    path: Path
    connector: str = "desk"

    def sql(self, text: str, *parameters: object) -> list[tuple[Any, ...]]:
        """What a user's own program sees or does."""
        with duckdb.connect(str(self.path)) as connection:
            connection.execute("SET TimeZone = 'UTC'; SET search_path = 'ns'")
            return connection.execute(text, list(parameters)).fetchall()

    def one(self, text: str, *parameters: object) -> Any:
        return self.sql(text, *parameters)[0][0]


@contextmanager
def warehouse(path: Path, *, namespace: str = "ns", now: datetime | None = None, **config: Any) -> Iterator[Warehouse]:
    """A warehouse over the plugin's own `connect`, or with a clock that stands still."""
    with destination.connect({"path": str(path), **config}, namespace) as target:
        if now is not None:
            target._now = lambda: now.astimezone(UTC)
        yield Warehouse(hooks=hooks_of(destination), target=target, reader=duck_reader(path), path=path)
