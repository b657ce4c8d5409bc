"""The promises of a destination, kept by Snowflake as far as its stand-in shows them.

A statement costs the stand-in some ten milliseconds, a test a hundred statements, so `CHOSEN` are those tests in which
each statement of the commit protocol is executed at least once. Kills are in `tests/crash/test_every_destination.py`,
single values in `test_snowflake_values.py`, lost connections in `test_snowflake_faults.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from connector_core.testing import DestinationContract, SqlReader
from connector_core.testing.contract.tables import HOSTILE
from connector_snowflake import destination
from tests.support.snowflake import ROLE, reader, shared

CHOSEN = {
    "test_new_changed_and_unchanged_in_one_batch",
    "test_a37_an_older_version_that_comes_later_does_not_win",
    "test_sub_rows_shrink_and_vanish_with_their_array",
    "test_composite_keys",
    "test_rows_without_a_primary_key_are_appended",
    "test_receipts_say_how_many_rows_there_are",
    "test_rejects_are_kept_once_and_counted",
    "test_replayed_rejects_are_taken_out_with_the_rows_that_replace_them",
    "test_b35_a_split_keeps_the_old_values_beside_the_new",
    "test_a_batch_of_several_streams_is_one_commit",
    "test_h7_names_are_only_names",
    "test_b25_nested_values",
    "test_staged_rows_become_visible_at_once",
    "test_new_changed_unchanged_and_vanished",
    "test_a_key_that_was_staged_twice_is_stored_once",
    "test_keys_of_rejected_records_count_and_stay",
    "test_the_guard_refuses_to_delete_too_much",
    "test_what_an_interrupted_pass_left_is_swept_away_and_never_activated",
    "test_rows_without_a_key_are_replaced_and_the_table_version_rises",
    "test_f3_a_run_that_was_overtaken_neither_stages_nor_activates",
    "test_a_claim_gives_what_the_last_run_left",
    "test_e3_c16_another_connectors_namespace_is_refused_and_not_touched",
    "test_f3_a_run_that_was_overtaken_writes_nothing",
    "test_f2_connectors_that_make_their_tables_at_once_do_not_meet",
    "test_e4_reset_forgets_a_stream_with_its_children_and_nothing_else",
    "test_check_tells_whose_namespace_it_is_and_changes_nothing",
    "test_a_reader_never_sees_half_a_load",
}


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
    hostile = tuple(name for name in HOSTILE if "'" not in name)  # it puts names into texts of its own, unquoted

    @pytest.fixture
    def destination(self) -> Any:
        return destination

    @pytest.fixture
    def config(self, database: str) -> dict[str, Any]:
        return shared().config(database)

    @pytest.fixture
    def reader(self, database: str) -> SqlReader:
        return reader(shared(), database)


for _name in {name for name in dir(DestinationContract) if name.startswith("test_")} - CHOSEN:
    setattr(TestSnowflake, _name, None)
