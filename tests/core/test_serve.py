"""`serve` with real processes: what it runs, how it ends, and what becomes of a slot when a process dies or freezes."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from connector_core.cli import invoke
from connector_core.cli.serve import Calendar
from connector_core.cli.session import Session
from connector_core.ledger import Run
from tests.support.engine import Shop, incremental, served

SLOW = 'start_date = "2020-01-01"\nbatch_records = 1\nretry_wait = "3s"\nretry_attempts = 20\n'
OTHER = """
[connectors.other]
source = "scripted"
destination = "warehouse"
{settings}
config = {{ data = "{file}" }}
[serve]
{serve}
"""


def things(number: int, **more: Any) -> dict[str, Any]:
    records = [{"id": n, "at": f"2026-01-01T00:00:{n:02}Z"} for n in range(number)]
    return served([incremental()], {"things": records}, page_size=1, served_at="2026-06-01T00:00:00Z", **more)


class Site(Shop):
    """A shop with a second connector into the same file."""

    def add(self, data: dict[str, Any], serve: str = "") -> None:
        """Add the connector `other`, which serves this."""
        file = self.folder / "other.json"
        file.write_text(json.dumps(data))
        path = self.folder / "connectors.toml"
        path.write_text(path.read_text() + OTHER.format(file=file, serve=serve, settings=SLOW))

    def runs(self, key: str = "shop") -> list[Run]:
        with self.ledger() as ledger:
            return ledger.runs(key)

    def pid(self, run_id: str) -> int:
        """The process of a run."""
        with sqlite3.connect(self.folder / ".connector-core" / "ledger.db") as connection:
            (pid,) = connection.execute("SELECT pid FROM ledger_runs WHERE run_id = ?", [run_id]).fetchone()
        connection.close()
        return int(pid)

    def workers(self) -> list[int]:
        """The processes of runs that have not ended."""
        if not (self.folder / ".connector-core" / "ledger.db").exists():
            return []
        with sqlite3.connect(self.folder / ".connector-core" / "ledger.db") as connection:
            found = connection.execute("SELECT pid FROM ledger_runs WHERE status IN ('running', 'crashed')").fetchall()
        connection.close()
        return [int(pid) for (pid,) in found]

    def ids(self, schema: str = "shop") -> list[int]:
        return sorted(row["id"] for row in self.rows("things", schema=schema))


Serve = Callable[[], subprocess.Popen[str]]


@pytest.fixture
def shop(tmp_path: Path) -> Site:
    return Site(tmp_path, things(3), settings=SLOW)


@pytest.fixture
def serve(shop: Site) -> Iterator[Serve]:
    """Starts a daemon; those that still live at the end are killed, with their workers."""
    started: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        started.append(shop.popen("serve", "--json"))
        return started[-1]

    yield start
    for one in started:
        one.kill()
    for pid in shop.workers():  # they hold the daemons' output open
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    for one in started:
        one.communicate()


def wait_for(condition: Callable[[], Any], seconds: float = 60.0) -> Any:
    for _ in range(int(seconds * 10)):
        if found := condition():
            return found
        time.sleep(0.1)
    raise AssertionError("it did not come to that")


def ended(daemon: subprocess.Popen[str], number: int = signal.SIGTERM) -> str:
    """Send the signal and wait for the end; what the daemon and its workers said."""
    daemon.send_signal(number)
    out, err = daemon.communicate(timeout=60)
    assert {json.loads(line)["what"] for line in out.splitlines()} <= {"begins", "ended", "skipped"}
    assert "Traceback" not in err
    return err


def begun(shop: Site, *keys: str) -> bool:
    """Whether each of these connectors has a run that has committed something."""
    ledger = shop.folder / ".connector-core" / "ledger.db"
    if not ledger.exists():
        return False
    with sqlite3.connect(ledger) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
        asked = "SELECT DISTINCT connector FROM ledger_receipts"
        found = {key for (key,) in connection.execute(asked)} if "ledger_receipts" in tables else set()
    connection.close()
    return found >= set(keys)


def alter(shop: Site, *statements: str) -> None:
    with sqlite3.connect(shop.folder / ".connector-core" / "ledger.db") as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


def test_e11_d4_two_daemons_run_each_slot_once_and_finish_what_goes_on(shop: Site, serve: Serve) -> None:
    """Both connectors load into one DuckDB file, which one process at a time may open: they take turns."""
    shop.serve(things(8, delay=1.5))
    shop.add(things(8, delay=1.5))
    daemons = [serve(), serve()]
    wait_for(lambda: begun(shop, "shop", "other"))
    said = "".join([ended(daemon) for daemon in daemons])
    assert [daemon.returncode for daemon in daemons] == [143, 143]
    assert "runs that are going on are finished" in said
    for key in ("shop", "other"):
        (run,) = shop.runs(key)
        assert (run.status, run.trigger) == ("succeeded", "schedule")
        assert shop.ids(key) == list(range(8))
        assert len(re.findall(rf"^{key}: succeeded", said, re.MULTILINE)) == 1
        with shop.ledger() as ledger:
            assert [slot.state for slot in ledger.slots(key)] == ["run"]


def test_d4_a_second_signal_stops_what_goes_on(shop: Site, serve: Serve) -> None:
    shop.serve(things(60, delay=0.25))
    daemon = serve()
    wait_for(lambda: begun(shop, "shop"))
    daemon.send_signal(signal.SIGINT)
    time.sleep(0.5)  # one after the other, as somebody types them
    said = ended(daemon, signal.SIGINT)
    assert daemon.returncode == 130
    assert shop.runs()[0].status == "stopped"
    assert "shop: stopped" in said
    assert 0 < len(shop.ids()) < 60


def test_e12_f3_slots_of_dead_and_frozen_processes_are_taken_over_and_the_frozen_one_cannot_commit(
    shop: Site, serve: Serve
) -> None:
    shop.serve(things(8, delay=4))
    shop.add(things(8, delay=4))
    first = serve()
    wait_for(lambda: begun(shop, "shop", "other"))
    time.sleep(1)  # they have claimed their tables and wait for their source: nobody holds the file
    killed, frozen = (shop.pid(shop.runs(key)[0].run_id) for key in ("shop", "other"))
    for pid in (first.pid, frozen):
        os.kill(pid, signal.SIGSTOP)
    os.kill(killed, signal.SIGKILL)
    alter(shop, "UPDATE ledger_leases SET heartbeat = '2026-01-01 00:00:00.000000'")  # an hour goes by
    shop.serve(things(8))
    (shop.folder / "other.json").write_text(json.dumps(things(8)))
    second = serve()
    for key in ("shop", "other"):
        wait_for(lambda key=key: len(shop.runs(key)) == 2 and shop.runs(key)[0].status == "succeeded")  # type: ignore[misc]
    (shop.folder / "other.json").write_text(json.dumps(things(9)))  # what the frozen one would read and store now
    for pid in (frozen, first.pid):
        os.kill(pid, signal.SIGCONT)
    wait_for(lambda: shop.runs("other")[1].status == "failed")
    said = ended(first)
    ended(second)
    assert "run has" in said
    assert "shop: its process was ended by signal 9" in said
    for key, former in (("shop", "crashed"), ("other", "failed")):
        assert [run.status for run in shop.runs(key)] == ["succeeded", former]
        assert shop.ids(key) == list(range(8))
        with shop.ledger() as ledger:
            (slot,) = ledger.slots(key)
        assert (slot.attempts, slot.run_id) == (2, shop.runs(key)[0].run_id)


def test_a_connector_that_waits_for_its_source_does_not_keep_another_one_from_running(shop: Site, serve: Serve) -> None:
    shop.serve(things(3, faults={"things": {"2": "retry"}}))
    shop.add(things(3), serve="max_parallel = 1\n")
    path = shop.folder / "connectors.toml"  # `shop` comes first at the same instant
    path.write_text(path.read_text().replace("connectors.other", "connectors.zzz"))
    daemon = serve()
    wait_for(lambda: begun(shop, "zzz"))
    assert [run.status for run in shop.runs()] == ["running"]
    shop.serve(things(3))
    wait_for(lambda: shop.runs()[0].status == "succeeded" and shop.runs("zzz")[0].status == "succeeded")
    ended(daemon)
    assert shop.ids() == shop.ids("zzz") == [0, 1, 2]


def test_g11_an_edited_file_is_read_again_and_one_with_mistakes_is_not_taken(
    shop: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(shop.folder)
    calendar = Calendar(Session())
    assert [one.spec for one in calendar()] == ["every 1h"]
    shop.write(f'{SLOW}frequency = "61s"\n')
    assert [one.spec for one in calendar()] == ["every 1h"]
    said = capsys.readouterr().err
    assert "frequency" in said
    assert "the configuration from before stays in force" in said
    assert [one.spec for one in calendar()] == ["every 1h"]
    assert capsys.readouterr().err == ""
    shop.write(f'{SLOW}frequency = "2h"\n')
    assert [one.spec for one in calendar()] == ["every 2h"]


def test_g14_a_ledger_that_cannot_be_used_ends_it_before_anything_begins(
    shop: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(shop.folder)
    (shop.folder / ".connector-core").mkdir()
    (shop.folder / ".connector-core" / "ledger.db").mkdir()
    assert invoke(["serve"]) == 2
    assert "is a directory" in capsys.readouterr().err
    assert not shop.warehouse.exists()
