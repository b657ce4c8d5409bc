"""A ledger in Postgres: the commands of a day, and a migration that several processes begin at once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
import time_machine

from connector_core.errors import ConfigError
from connector_core.ledger import Ledger
from connector_core.ledger.schema import STEPS
from tests.support import postgres
from tests.support.engine import START, Shop, served, stream
from tests.support.typed import typed

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.fixture
def database() -> Iterator[str]:
    with postgres.shared().database() as name:
        yield name


@pytest.fixture
def url(database: str) -> str:
    return postgres.shared().url(database)


def test_the_commands_of_a_day(tmp_path: Path, url: str) -> None:
    shop = Shop(tmp_path, served([stream("things")], {"things": [{"id": 1}, {"id": "x"}]}))
    shop.write(f'{START}frequency = "6h"\nanchor_time = 2026-01-01T07:30:00Z\n')
    path = tmp_path / "connectors.toml"
    path.write_text(f'{path.read_text()}\n[ledger]\nurl = "{url}"\n')
    with time_machine.travel("2026-06-01T07:00:00Z", tick=False):
        assert "nothing is due" in typed(tmp_path, "run", "--due").out
    with time_machine.travel("2026-06-01T19:31:00Z", tick=False):
        told = typed(tmp_path, "run", "--due")
        assert "slot 2026-06-01 07:30:00Z skipped" in told.err
        assert "slot 2026-06-01 13:30:00Z skipped" in told.err
        assert "shop: succeeded" in told.out
        assert "nothing is due" in typed(tmp_path, "run", "--due").out
        typed(tmp_path, "pause", "shop", "--why", "the site moves")
        (one,) = typed(tmp_path, "status", "--json").json["connectors"]
        assert (one["state"], one["last_sync"], one["rejects"]) == ("paused", "2026-06-01T19:31:00Z", 1)
        typed(tmp_path, "resume", "shop")
        assert json.loads(typed(tmp_path, "schedule", "--json").out)["slots"][0]["at"] == "2026-06-02T01:30:00Z"
        for command in (["logs", "shop", "--run", "last"], ["report"], ["usage"], ["rejects", "list"], ["plan"]):
            typed(tmp_path, *command)
    assert not (tmp_path / ".connector-core" / "ledger.db").exists()


def test_f6_several_processes_that_find_an_older_ledger_migrate_it_once(database: str, url: str) -> None:
    server = postgres.shared()

    def opened(_: int) -> int:
        with Ledger.open(url, clock=lambda: NOW) as ledger:
            return len(ledger.slots("desk"))

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(opened, range(4))) == [0] * 4
    for statement in (
        "DROP TABLE ledger_schedules",
        "DROP TABLE ledger_pauses",
        "ALTER TABLE ledger_slots DROP COLUMN run_id, DROP COLUMN attempts",
        "UPDATE ledger_version SET version = 1",
    ):
        server.query(statement, database=database)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(opened, range(4))) == [0] * 4
    assert server.query("SELECT version FROM ledger_version", database=database) == [(len(STEPS),)]
    server.query("UPDATE ledger_version SET version = 99", database=database)
    with pytest.raises(ConfigError, match="has version 99"):
        opened(0)
