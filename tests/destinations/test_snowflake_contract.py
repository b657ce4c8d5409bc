"""Every promise of a destination, kept by Snowflake as far as its stand-in shows them (what it does otherwise than
Snowflake is listed in `tests/support/snowflake.py`).

One thing it cannot express: a name with `'` in it, see `hostile`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from connector_core.testing import DestinationContract, SqlReader, UserChangesContract
from connector_core.testing.contract.tables import HOSTILE
from connector_core.testing.warehouse import Warehouse
from connector_snowflake import destination
from tests.support.snowflake import ROLE, reader, shared


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    name = shared().database()
    gate = shared().gates[name]
    columns = ["created_on", "privilege", "granted_on", "name", "granted_to", "grantee_name"]
    gate.answers = {"SHOW GRANTS ON": (columns, [[None, "OWNERSHIP", "X", "X", "ROLE", ROLE]])}
    gate.roles = (ROLE, "SYSADMIN")  # the stand-in says that tables belong to SYSADMIN
    yield name
    shared().drop(name)


class TestSnowflake(DestinationContract, UserChangesContract):
    preload = ("snowflake.connector", "snowflake.sqlalchemy", "connector_snowflake.sql")
    hostile = tuple(name for name in HOSTILE if "'" not in name)  # it puts names into texts of its own, unquoted

    @pytest.fixture
    def destination(self) -> Any:
        return destination

    @pytest.fixture
    def namespace(self, reader: SqlReader) -> Iterator[str]:
        """The same name for every test, one after the other: the stand-in has read its statements before."""
        yield "contract"
        reader.drop("contract")

    @pytest.fixture
    def config(self, database: str) -> dict[str, Any]:
        return shared().config(database)

    @pytest.fixture
    def reader(self, database: str) -> SqlReader:
        return reader(shared(), database)

    @pytest.fixture
    def break_connection(self, database: str) -> Callable[[Warehouse], None]:
        return lambda _: shared().end_sessions(database)
