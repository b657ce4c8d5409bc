"""The promises of a destination, kept by Snowflake as far as its stand-in shows them.

A statement costs the stand-in some ten milliseconds, so what other tests show on it as well is left to them: single
values to `test_snowflake_values`, and what users change by hand to `test_snowflake_faults`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from connector_core.testing import DestinationContract, SqlReader
from connector_core.testing.contract.tables import HOSTILE
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


class TestSnowflake(DestinationContract):
    preload = ("snowflake.connector", "snowflake.sqlalchemy", "connector_snowflake.sql")
    widest = 200  # the stand-in reads every statement letter by letter
    hostile = tuple(name for name in HOSTILE if "'" not in name)  # it puts names into texts of its own, unquoted

    test_b8_b10_b11_b12_b13_texts = None
    test_b10_every_character_of_unicode = None
    test_b1_integers_of_64_bits = None
    test_b2_numbers_are_exact = None
    test_b18_instants_are_exact_and_do_not_depend_on_the_machine = None
    test_dates = None
    test_booleans = None
    test_values_survive_whatever_stands_beside_them = None
    test_f3_claims_at_the_same_time_get_different_epochs = None  # its sessions wait as the tests make them

    @pytest.fixture
    def destination(self) -> Any:
        return destination

    @pytest.fixture
    def config(self, database: str) -> dict[str, Any]:
        return shared().config(database)

    @pytest.fixture
    def reader(self, database: str) -> SqlReader:
        return reader(shared(), database)
