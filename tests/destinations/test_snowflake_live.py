"""The real Snowflake, where credentials for one are in the environment; otherwise there is nothing here to collect, and
the summary says so (`tests/conftest.py`).

SNOWFLAKE_ACCOUNT, SNOWFLAKE_USER and SNOWFLAKE_DATABASE, one of SNOWFLAKE_PRIVATE_KEY (with
SNOWFLAKE_PRIVATE_KEY_PASSPHRASE), SNOWFLAKE_PASSWORD and SNOWFLAKE_TOKEN; SNOWFLAKE_ROLE and SNOWFLAKE_WAREHOUSE. The
tests make a schema CONTRACT_... in that database and drop it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import pytest

from connector_core.testing import DestinationContract, SqlReader, UserChangesContract
from connector_snowflake import CONFIG_SCHEMA, destination
from connector_snowflake.connection import address


def given(environment: Mapping[str, str]) -> dict[str, Any]:
    """The destination's settings that the environment has, empty without an account."""
    settings = {name: environment.get(f"SNOWFLAKE_{name.upper()}", "") for name in CONFIG_SCHEMA["properties"]}
    return {name: value for name, value in settings.items() if value} if settings["account"] else {}


CONFIG = given(os.environ)

if CONFIG:

    class TestLive(DestinationContract, UserChangesContract):
        """Every promise of a destination, kept by the real service."""

        preload = ("snowflake.connector", "snowflake.sqlalchemy", "connector_snowflake.connection")

        @pytest.fixture
        def destination(self) -> Any:
            return destination

        @pytest.fixture
        def config(self) -> dict[str, Any]:
            return CONFIG

        @pytest.fixture
        def reader(self) -> SqlReader:
            def connect() -> Any:
                from snowflake.connector import connect

                return connect(**address(CONFIG).parameters())

            return SqlReader(connect, readable={"VARIANT": "TO_JSON({})"})


def test_the_environment_becomes_settings_that_log_in() -> None:
    told = {"SNOWFLAKE_ACCOUNT": "a", "SNOWFLAKE_USER": "u", "SNOWFLAKE_DATABASE": "d", "SNOWFLAKE_TOKEN": "t"}
    assert address(given({**told, "SNOWFLAKE_ROLE": "r", "PATH": "x"})).parameters()["role"] == "r"
    assert given({name: value for name, value in told.items() if name != "SNOWFLAKE_ACCOUNT"}) == {}
