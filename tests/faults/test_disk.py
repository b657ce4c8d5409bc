"""Disks that fail to keep what was written, a machine that stops before everything is on them, and a process that may
open no more files (C10, D7, D8)."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import pytest
from sqlalchemy import text

from connector_core.clock import SystemClock
from connector_core.ledger import Ledger
from connector_core.ledger.database import open_database
from connector_core.testing.instants import listening
from tests.support.commands import environment
from tests.support.crash import metered
from tests.support.engine import START, TEXT, Shop, incremental, served
from tests.support.postgres import PostgresShop, shared
from tests.support.project import ROOT, SITE

SETTINGS = f"{START}batch_records = 2\n"
THINGS: list[dict[str, Any]] = [{"id": n, "at": f"2026-03-01T08:00:{n:02}Z", "v": f"of {n}"} for n in range(6)]
DATA = served([incremental(fields={"v": TEXT})], {"things": THINGS}, page_size=2)
EACH = {"things": len(THINGS)}

FAILING = """
import sys
from connector_core.__main__ import main
from tests.support.failing_disk import fsync_fails
name, left = sys.argv[1], int(sys.argv[2])
def look(event, arguments):
    global left
    if event == "connector_core.seam" and arguments[0] == name:
        left -= 1
        if not left:
            fsync_fails()
sys.addaudithook(look)
sys.exit(main(["run"]))
"""


@pytest.fixture
def database() -> Iterator[str]:
    with shared().database() as name:
        yield name


class ShopWithLedger(Shop):
    """A project whose ledger is at `url`."""

    def __init__(self, folder: Path, url: str) -> None:
        self.where = url
        super().__init__(folder, DATA, SETTINGS)

    def write(self, settings: str) -> None:
        super().write(settings)
        with (self.folder / "connectors.toml").open("a") as file:
            file.write(f'\n[ledger]\nurl = "{self.where}"\n')

    def ledger(self) -> Ledger:
        return Ledger.open(self.where, clock=SystemClock().now)


def run_until_fsync_fails(shop: Shop, seam: str, number: int) -> subprocess.CompletedProcess[str]:
    """The command in a process whose fsync fails from the `number`th time on that it comes to this seam."""
    return subprocess.run(
        [sys.executable, "-c", FAILING, seam, str(number)],
        cwd=shop.folder, env=environment(trees=[SITE, ROOT]), capture_output=True, text=True, timeout=90,
    )  # fmt: skip


def keys(shop: Shop) -> list[int]:
    return sorted(row["id"] for row in shop.rows("things"))


def test_c10_fsync_of_the_duckdb_file_fails_at_commit(tmp_path: Path, database: str) -> None:
    """The ledger is on a disk that works: Postgres's."""
    shop = ShopWithLedger(tmp_path, shared().url(database))
    done = run_until_fsync_fails(shop, "load.commit.before", 2)
    assert done.returncode == 5, done.stderr
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("error: "))
    assert "fsync failed" in line
    assert str(shop.warehouse) in line
    receipts = "SELECT coalesce(sum(written), 0) FROM ledger_receipt_tables"
    assert shared().query(receipts, database=database) == [(2,)]  # what was not sure to be kept was not recorded
    assert keys(shop) in ([0, 1], [0, 1, 2, 3])
    shop.go()
    assert keys(shop) == [record["id"] for record in THINGS]
    assert shared().query(receipts, database=database) == [(len(THINGS),)]


def test_c10_fsync_of_the_ledger_fails_after_the_data_are_committed(tmp_path: Path) -> None:
    shop = Shop(tmp_path, DATA, SETTINGS)
    done = run_until_fsync_fails(shop, "ledger.record.commit", 2)
    assert done.returncode == 6
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("error: "))
    assert "disk I/O error" in line
    assert "ledger.db" in line
    assert keys(shop) == [0, 1, 2, 3]
    shop.go()
    assert keys(shop) == [record["id"] for record in THINGS]
    assert metered(shop) == EACH


COMMIT_FAILS = """
CREATE SEQUENCE public.tries;
CREATE FUNCTION public.fails() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    PERFORM nextval('public.tries');
    RAISE EXCEPTION 'could not fsync file "base/5/1259": Input/output error' USING ERRCODE = 'io_error';
END $$;
CREATE CONSTRAINT TRIGGER fails AFTER INSERT ON shop._sdc_commits DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION public.fails();
"""


def test_c10_an_io_error_of_postgres_at_commit(tmp_path: Path, database: str) -> None:
    """58030 as the server's answer to COMMIT. (An fsync of its log that fails makes the server stop: C6.)"""
    shop = PostgresShop(tmp_path, DATA, SETTINGS, server=shared(), database=database)
    shop.go()
    for statement in COMMIT_FAILS.strip().split(";\nCREATE"):
        shop.query(statement if statement.startswith("CREATE") else f"CREATE{statement}")
    more = [{**record, "id": record["id"] + 10, "at": f"2026-03-02T08:00:{record['id']:02}Z"} for record in THINGS]
    shop.serve(served([incremental(fields={"v": TEXT})], {"things": [*THINGS, *more]}, page_size=2))
    report = shop.go(code=5)
    assert "Input/output error" in str(report.error)
    assert "its disks" in str(report.error)
    assert shop.query("SELECT last_value, is_called FROM public.tries") == [(1, True)]  # it was not tried again
    assert keys(shop) == [record["id"] for record in THINGS]
    assert metered(shop) == EACH
    shop.query("DROP TRIGGER fails ON shop._sdc_commits")
    shop.go()
    assert keys(shop) == [record["id"] for record in [*THINGS, *more]]
    assert metered(shop) == {"things": 12}


def test_d7_the_ledger_is_on_disk_when_its_commit_returns(tmp_path: Path) -> None:
    """In WAL mode SQLite syncs at each commit with FULL alone; each connection has to ask for it."""
    with closing(open_database(f"sqlite:///{tmp_path}/ledger.db")) as database:
        for use in (database.read, lambda: database.write("test"), database.read):
            with use() as connection, database.read() as second:
                for one in (connection, second):
                    assert one.scalar(text("PRAGMA synchronous")) == 2
                    assert one.scalar(text("PRAGMA journal_mode")) == "wal"


def test_d7_the_ledger_is_never_ahead_of_the_data_and_a_torn_one_opens_to_an_earlier_state(tmp_path: Path) -> None:
    """The files as they are at every instant between two steps of a run: what a disk holds when the machine stops."""
    shop = Shop(tmp_path / "p", DATA, SETTINGS)
    seen: list[tuple[str, Path]] = []

    def copy(name: str) -> None:
        if name.startswith(("load.commit.", "ledger.record.")):
            kept = tmp_path / f"{len(seen):03}"
            shutil.copytree(shop.folder, kept)
            seen.append((name, kept))

    with listening(copy):
        shop.go()
    assert [name for name, _ in seen] == [
        "load.commit.before",
        "load.commit.after",
        "ledger.record.before",
        "ledger.record.commit",
        "ledger.record.after",
    ] * 4  # the last commit has no rows: it says that the window was read to its end
    torn = tmp_path / "torn"  # looking at a copy changes it: SQLite takes the log into the file
    shutil.copytree(seen[-1][1], torn)
    ledger = torn / ".connector-core"
    shutil.copytree(ledger, tmp_path / "whole")
    counts = []
    for name, kept in seen:
        state, data = recorded(kept), committed(kept)
        assert state <= data, name
        counts.append((len(state), len(data)))
    assert counts[-1] == (4, 4)
    assert all(earlier <= later for earlier, later in pairwise(counts))
    size = (ledger / "ledger.db-wal").stat().st_size
    found = set()
    for cut in range(0, size, size // 12):
        shutil.rmtree(ledger)
        shutil.copytree(tmp_path / "whole", ledger)
        os.truncate(ledger / "ledger.db-wal", cut)
        found.add(frozenset(recorded(torn)))
    assert len(found) > 1
    assert all(state <= committed(torn) for state in found)


def recorded(folder: Path) -> set[int]:
    """The sequences of the receipts in a copy of the ledger, which must be whole."""
    with closing(sqlite3.connect(folder / ".connector-core" / "ledger.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return {sequence for (sequence,) in connection.execute("SELECT sequence FROM ledger_receipts")}


def committed(folder: Path) -> set[int]:
    """The sequences of the commits in a copy of the DuckDB file, all with their rows."""
    with duckdb.connect(str(folder / "warehouse.duckdb")) as connection:
        if not connection.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = 'things'").fetchall():
            return set()
        found = {one for (one,) in connection.execute("SELECT sequence FROM shop._sdc_commits").fetchall()}
        rows = connection.execute("SELECT count(*) FROM shop.things").fetchall()
        assert rows == [(min(2 * len(found), len(THINGS)),)]
        return found


NO_MORE_FILES = """
import os, resource, sys
from connector_core.__main__ import main
name, left = sys.argv[1], int(sys.argv[2])
def look(event, arguments):
    global left
    if event == "connector_core.seam" and arguments[0] == name:
        left -= 1
        if not left:
            free = os.dup(0)
            os.close(free)
            resource.setrlimit(resource.RLIMIT_NOFILE, (free, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
sys.addaudithook(look)
sys.exit(main(["run"]))
"""


@pytest.mark.parametrize("seam", ["hook.extract.before", "hook.load.before"])
def test_d8_too_many_open_files(tmp_path: Path, seam: str) -> None:
    """In the source, and in the destination; the engine reads and writes its ledger through files it has open."""
    shop = Shop(tmp_path, DATA, SETTINGS)
    done = subprocess.run(
        [sys.executable, "-c", NO_MORE_FILES, seam, "2"],
        cwd=tmp_path, env=environment(trees=[SITE, ROOT]), capture_output=True, text=True, timeout=90,
    )  # fmt: skip
    assert done.returncode == 6, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert lines
    for line in lines:  # of the run, and of the command, which cannot keep its own files either
        assert "too many open files" in line
        assert "ulimit -n" in line
        assert line.endswith("[open_files]")
    shop.go()
    assert keys(shop) == [record["id"] for record in THINGS]
    assert metered(shop) == EACH
