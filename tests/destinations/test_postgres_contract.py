"""Every promise of a destination, kept by Postgres 16 and 18."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from connector_core.testing import DestinationContract, SqlReader, UserChangesContract
from connector_core.testing.warehouse import Warehouse
from connector_postgres import destination
from tests.support.postgres import VERSIONS, Server, reader, shared


@dataclass(frozen=True)
class Database:
    """A database of its own for all tests of a version."""

    server: Server
    name: str


@pytest.fixture(scope="module", params=VERSIONS)
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    with shared(request.param).database() as name:
        yield Database(shared(request.param), name)


class TestPostgres(DestinationContract, UserChangesContract):
    preload = ("psycopg", "sqlalchemy.dialects.postgresql.psycopg", "connector_postgres.sql")

    @pytest.fixture
    def destination(self) -> Any:
        return destination

    @pytest.fixture
    def config(self, database: Database) -> dict[str, Any]:
        return {"url": database.server.url(database.name)}

    @pytest.fixture
    def reader(self, database: Database) -> SqlReader:
        return reader(database.server, database.name)

    @pytest.fixture
    def break_connection(self, database: Database) -> Callable[[Warehouse], None]:
        def terminate(house: Warehouse) -> None:
            text = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s"
            database.server.query(text, [database.name])

        return terminate
