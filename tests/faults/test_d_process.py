"""Faults of the process, the clock and the plugins, and of a state that does not fit the destination (D and E)."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import shutil
import subprocess
import sys
import termios
import threading
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count, cycle
from pathlib import Path
from typing import Any
from urllib.parse import quote

import duckdb
import pytest

from connector_core.errors import ConfigError
from connector_core.events import Warned
from connector_core.testing.faults import Fault, FaultFront, Status
from connector_desk.sandbox import Sandbox, Settings
from tests.support.commands import command, environment
from tests.support.crash import metered
from tests.support.engine import START, TEXT, Shop, fates, incremental, served, stream
from tests.support.project import SECRETS, SITE, Project
from tests.support.trees import distribution


def things(*numbers: int, **more: Any) -> dict[str, Any]:
    """Records with these keys, each a second after the one before."""
    records = [{"id": n, "at": f"2026-03-01T08:00:{n:02}Z", "v": f"of {n}"} for n in numbers]
    return served([incremental(fields={"v": TEXT})], {"things": records}, page_size=2, **more)


def keys(shop: Shop) -> list[int]:
    return sorted(row["id"] for row in shop.rows("things"))


# --- the terminal


def own_terminal() -> None:
    """Make standard input the controlling terminal of a new session: runs in the child, before the command."""
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def test_d5_the_terminal_is_closed(tmp_path: Path) -> None:
    shop = Shop(tmp_path, things(*range(40), delay=0.2), START + "batch_records = 2\n")
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "connector_core", "run"],
        cwd=tmp_path, env=environment(trees=[SITE]), stdin=theirs, stdout=theirs, stderr=theirs,
        preexec_fn=own_terminal,
    ) as process:  # fmt: skip
        os.close(theirs)
        seen = b""
        while b"things" not in seen:
            seen += os.read(ours, 1000)
        os.close(ours)
        assert process.wait(timeout=60) == 129
    shop.serve(things(*range(40)))
    shop.go()
    assert keys(shop) == list(range(40))
    assert metered(shop) == {"things": 40}


# --- clocks


class JumpingClock:
    """A wall clock that jumps by hours, forward and back, each time it is read; its durations are true."""

    def __init__(self) -> None:
        self._jumps = cycle(timedelta(hours=hours) for hours in (0, 5, -3, 26, -40))
        self._ticks = count()

    def now(self) -> datetime:
        return datetime.now(UTC) + next(self._jumps)

    def monotonic(self) -> float:
        return next(self._ticks) / 1000

    def wait(self, seconds: float, stop: threading.Event) -> bool:
        return stop.wait(0)


@pytest.mark.parametrize("served_at", ["2026-06-01T00:00:00+00:00", None], ids=["the source's clock", "ours alone"])
def test_d11_the_clock_jumps_during_a_run(tmp_path: Path, served_at: str | None) -> None:
    shop = Shop(tmp_path, things(*range(9), served_at=served_at), START + "batch_records = 2\n")
    first = shop.go(clock=JumpingClock())
    assert fates(first.counts["things"]) == {"extracted": 9, "loaded": 9}
    assert first.seconds < 3600
    shop.serve(things(*range(12), served_at=served_at))
    again = shop.go(clock=JumpingClock())
    assert fates(again.counts["things"]) == {"extracted": 4, "loaded": 3, "unchanged": 1}
    assert [(row["id"], row["v"]) for row in sorted(shop.rows("things"), key=lambda row: row["id"])] == [
        (n, f"of {n}") for n in range(12)
    ]
    sequences = [row["_sdc_sequence"] for row in sorted(shop.rows("things"), key=lambda row: row["id"])]
    assert sequences == sorted(set(sequences))
    assert metered(shop) == {"things": 12}


# --- plugins

SABOTEUR = """
import os
from connector_core import Description, hookimpl

def fail(verb):
    if os.environ.get("SABOTAGE") == verb:
        raise RuntimeError(f"sabotage of {verb}")

@hookimpl
def describe():
    return Description(kind="extension", name="saboteur")

@hookimpl
def observe(event):
    fail("observe")
"""
WRAPPER = """
@hookimpl(wrapper=True)
def {verb}({arguments}):
    fail("{verb}")
    return (yield)
"""
VERBS = {"connect": "config", "authenticate": "config", "discover": "client", "extract": "page", "load": "batch"}


@pytest.fixture
def sabotaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    text = SABOTEUR + "".join(WRAPPER.format(verb=verb, arguments=given) for verb, given in VERBS.items())
    tree = distribution(
        tmp_path / "site", "shop-saboteur", extensions={"saboteur": "shop_saboteur"}, modules={"shop_saboteur": text}
    )
    monkeypatch.syspath_prepend(tree)
    yield Shop(tmp_path / "p", things(*range(5)), START + 'extensions = ["saboteur"]\n')
    sys.modules.pop("shop_saboteur", None)


def test_d12_an_exception_in_any_hook_names_plugin_and_hook_and_the_next_run_completes(
    sabotaged: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = sabotaged
    for verb in VERBS:
        monkeypatch.setenv("SABOTAGE", verb)
        error = str(shop.go(code=6).error)
        assert f"RuntimeError: sabotage of {verb}" in error
        assert "'saboteur'" in error
        assert f"hook {verb}" in error
    monkeypatch.setenv("SABOTAGE", "observe")  # it is told what has happened, and stops nothing
    shop.go()
    assert keys(shop) == list(range(5))
    monkeypatch.delenv("SABOTAGE")
    assert fates(shop.go().counts["things"]) == {"extracted": 1, "unchanged": 1}
    assert metered(shop) == {"things": 5}


HANGING = """
import time
from connector_core import Description, hookimpl

@hookimpl
def describe():
    return Description(kind="extension", name="sleeper")

@hookimpl(wrapper=True)
def load(batch):
    time.sleep(600)
    return (yield)
"""


@pytest.mark.parametrize("verb", ["extract", "load"])
def test_d13_a_hook_that_hangs_is_ended_by_the_limit_of_the_run_and_named(tmp_path: Path, verb: str) -> None:
    tree = distribution(
        tmp_path / "site", "shop-sleeper", extensions={"sleeper": "shop_sleeper"}, modules={"shop_sleeper": HANGING}
    )
    slow = {"delay": 600} if verb == "extract" else {}
    extension = 'extensions = ["sleeper"]\n' if verb == "load" else ""
    shop = Shop(tmp_path / "p", things(*range(5), **slow), START + f"run_seconds = 1\nhook_seconds = 1\n{extension}")
    done = command("run", cwd=shop.folder, trees=[SITE, tree])
    assert done.returncode == 6
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("error: "))
    assert f"hook {verb}" in line
    assert "has not come back for " in line
    assert "stream things" in line
    with shop.ledger() as ledger:
        (status,) = ledger.status()
    assert status.last_run is not None
    assert (status.last_run.status, status.last_run.exit_code) == ("failed", 6)
    shop.serve(things(*range(5)))
    shop.write(START)
    shop.go()
    assert keys(shop) == list(range(5))
    assert metered(shop) == {"things": 5}


def test_a_run_that_lasts_longer_than_its_limit_without_hanging_is_left_alone(tmp_path: Path) -> None:
    data = things(*range(12), delay=0.6)
    shop = Shop(tmp_path, data, START + "run_seconds = 1\nhook_seconds = 1\nbatch_records = 2\n")
    assert shop.go().status == "partial"


# --- the state


def test_e1_the_destination_wins_over_an_older_ledger_and_the_log_says_so(tmp_path: Path) -> None:
    shop = Shop(tmp_path, things(*range(3)))
    shop.go()
    ledger = tmp_path / ".connector-core"
    shutil.copytree(ledger, tmp_path / "kept")
    shop.serve(things(*range(6)))
    shop.go()
    shutil.rmtree(ledger)
    (tmp_path / "kept").rename(ledger)
    shop.serve(things(*range(7)))
    report = shop.go()
    assert fates(report.counts["things"]) == {"extracted": 2, "loaded": 1, "unchanged": 1}
    assert any("not in the ledger; recorded now" in event.text for event in shop.told(Warned))
    assert keys(shop) == list(range(7))
    assert metered(shop) == {"things": 7}


def test_e1_the_destination_wins_over_a_newer_ledger_and_the_log_says_so(tmp_path: Path) -> None:
    shop = Shop(tmp_path, things(*range(3)))
    shop.go()
    shutil.copy(shop.warehouse, tmp_path / "kept.duckdb")
    shop.serve(things(*range(6)))
    shop.go()
    (tmp_path / "kept.duckdb").rename(shop.warehouse)
    report = shop.go()
    assert fates(report.counts["things"]) == {"extracted": 4, "loaded": 3, "unchanged": 1}
    assert any("the destination is older than the ledger" in event.text for event in shop.told(Warned))
    assert keys(shop) == list(range(6))


@pytest.mark.parametrize("bookmark", ['{"version": 7}', '{"version": 1, "value": "yesterday"}', "[]", "{}", "garbage"])
def test_d9_a_bookmark_that_cannot_be_understood_starts_nothing(tmp_path: Path, bookmark: str) -> None:
    shop = Shop(tmp_path, things(*range(3)))
    shop.go()
    with duckdb.connect(str(shop.warehouse)) as connection:
        connection.execute("update shop._sdc_commits set bookmark = ?", [bookmark])
    shop.serve(things(*range(6)))
    assert "bookmark" in str(shop.go(code=2).error)
    assert keys(shop) == list(range(3))


def test_g4_a_name_cannot_change_after_the_first_run(tmp_path: Path) -> None:
    shop = Shop(tmp_path, things(1), START + 'name = "Web Shop"\n')
    shop.go()
    shop.write(START + 'name = "Other Shop"\n')
    with pytest.raises(ConfigError, match="'web_shop' since its first run and cannot change to 'other_shop'") as caught:
        shop.go()
    assert caught.value.exit_code == 2
    assert shop.tables("other_shop") == set()


def test_h9_a_streams_name_cannot_lead_out_of_the_folder(tmp_path: Path) -> None:
    name = "../../evil"
    shop = Shop(tmp_path / "p", served([stream(name)], {name: [{"id": 1}, {"id": "bad"}]}))
    assert fates(shop.go().counts[name]) == {"extracted": 2, "loaded": 1, "rejected": 1}
    assert shop.tables() == {name}
    assert {path.name for path in tmp_path.iterdir()} == {"p"}
    assert not [path for path in tmp_path.rglob("*") if "evil" in path.name]


# --- secrets


def test_h5_no_secret_is_in_any_file_or_output_at_debug_level(tmp_path: Path) -> None:
    """Also where the source repeats what it was sent, in each spelling; only the environment holds the secrets."""
    with Sandbox(Settings(seed=5, cases=6, customers=4, now="2026-06-01T12:00:00Z")) as sandbox:
        secrets = [getattr(sandbox.credentials, name) for name in SECRETS]
        spellings = [
            spelling
            for secret in secrets
            for spelling in (secret, quote(secret, safe=""), b64encode(secret.encode()).decode().rstrip("="))
        ]
        body = json.dumps({"message": f"refused for {' '.join(spellings)}"})

        def says(match: str, code: int) -> Fault:
            return Fault(match=match, action=Status(code=code, body=body, content_type="application/json"), times=None)

        with FaultFront(sandbox.url, [says("/replies", 403), says("/customers", 500)]) as front:
            patience = 'start_date = "2020-01-01"\nretry_attempts = 2\nretry_wait = 0.01\n'
            project = Project(tmp_path, front.url, sandbox.credentials, settings=patience)
            done = [project.command("--debug", "run")]
            front.replan([says("/api", 401)])
            done += [project.command(*words) for words in (["--debug", "run"], ["logs"], ["status", "--json"])]
    assert [one.returncode for one in done] == [4, 4, 0, 0]
    kept = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert any(path.name == "ledger.db" for path in kept)
    everything = "".join(one.stdout + one.stderr for one in done).encode() + b"".join(kept.values())
    assert all(code in everything for code in (b"403", b"500", b"credentials refused"))
    assert b"***" in everything
    assert [spelling for spelling in spellings if spelling.encode() in everything] == []


# --- where it runs


def test_g14_a_working_directory_that_cannot_be_written_is_said_before_data_move(tmp_path: Path) -> None:
    shop = Shop(tmp_path, things(1))
    (tmp_path / ".connector-core").write_text("a file in the place of the folder")
    done = command("run", cwd=tmp_path, trees=[SITE])
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert ".connector-core" in line
    assert not shop.warehouse.exists()
