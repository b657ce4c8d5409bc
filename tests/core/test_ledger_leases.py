"""Leases: one living holder, the dead ones found, the frozen ones told. Real processes, really killed and stopped."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connector_core.errors import BusyError
from connector_core.ledger import Ledger

ROOT = Path(__file__).parents[2]
HOLD = """
import sys
from datetime import UTC, datetime
from connector_core.ledger import Ledger
file, ttl = sys.argv[1], float(sys.argv[2])
with Ledger.open(f"sqlite:///{file}", clock=lambda: datetime.now(UTC)) as ledger:
    with ledger.lease("connector:desk", "run-1", ttl=ttl) as lease:
        print("held", lease.fencing, flush=True)
        for command in sys.stdin:
            if command == "leave\\n":
                break
            lease.lost.wait(60)
            print("lost", lease.lost.is_set(), flush=True)
"""
Holding = Callable[[float], subprocess.Popen[str]]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def ledger(file: Path) -> Iterator[Ledger]:
    with Ledger.open(f"sqlite:///{file}", clock=lambda: datetime.now(UTC)) as ledger:
        yield ledger


@pytest.fixture
def holding(file: Path, ledger: Ledger) -> Iterator[Holding]:
    """Starts a process that holds the lease for as long as its input is open."""
    started: list[subprocess.Popen[str]] = []

    def start(ttl: float) -> subprocess.Popen[str]:
        child = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(file), str(ttl)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        started.append(child)
        assert child.stdout
        assert child.stdout.readline().startswith("held")
        return child

    yield start
    for child in started:
        child.kill()
        child.communicate()


def alter(file: Path, **values: object) -> None:
    with sqlite3.connect(file) as connection:
        names = ", ".join(f"{name} = ?" for name in values)
        connection.execute(f"UPDATE ledger_leases SET {names}", tuple(values.values()))
    connection.close()


def test_f1_a_second_holder_is_told_at_once_who_holds_it(ledger: Ledger, holding: Holding) -> None:
    child = holding(60)
    with pytest.raises(BusyError) as caught, ledger.lease("connector:desk", "run-2"):
        pass
    assert caught.value.exit_code == 75
    assert f"connector:desk is held by run-1 on {os.uname().nodename}, pid {child.pid}, since 20" in str(caught.value)


def test_other_resources_are_free(ledger: Ledger, holding: Holding) -> None:
    holding(60)
    with ledger.lease("destination:warehouse", "run-2") as lease:
        assert lease.fencing == 1


def test_two_threads_of_one_process_do_not_share_a_lease(ledger: Ledger) -> None:
    with (
        ledger.lease("connector:desk", "run-1"),
        pytest.raises(BusyError, match=str(os.getpid())),
        ledger.lease("connector:desk", "run-2"),
    ):
        pass


def test_a_released_lease_is_free_and_its_fencing_goes_on(ledger: Ledger, holding: Holding) -> None:
    child = holding(60)
    assert child.stdin
    child.stdin.write("leave\n")
    child.stdin.flush()
    assert child.wait(60) == 0
    with ledger.lease("connector:desk", "run-2") as second:
        assert (second.fencing, second.taken_from) == (2, None)
    with ledger.lease("connector:desk", "run-3") as third:
        assert third.fencing == 3


@pytest.mark.parametrize("reaped", [True, False])
def test_d10_a_killed_holder_is_replaced_at_once(ledger: Ledger, holding: Holding, reaped: bool) -> None:
    child = holding(3600)
    child.kill()
    if reaped:
        child.wait()
    else:  # a zombie: its parent has not asked for it yet
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    with ledger.lease("connector:desk", "run-2") as lease:
        assert lease.fencing == 2
        assert lease.taken_from == f"run-1 on {os.uname().nodename}, pid {child.pid}"


def test_d10_a_pid_that_was_given_to_a_later_process_does_not_hold(
    file: Path, ledger: Ledger, holding: Holding
) -> None:
    holding(3600)
    alter(file, process_started="1")  # the holder began at another tick than the process that has its pid now
    with ledger.lease("connector:desk", "run-2") as lease:
        assert lease.fencing == 2


def test_f3_a_frozen_holder_is_replaced_after_its_time_and_told_when_it_wakes(ledger: Ledger, holding: Holding) -> None:
    child = holding(0.6)
    assert child.stdin
    assert child.stdout
    child.stdin.write("wait\n")
    child.stdin.flush()
    os.kill(child.pid, signal.SIGSTOP)
    with ledger.lease("connector:desk", "run-2", wait=60) as lease:
        assert lease.fencing == 2
        os.kill(child.pid, signal.SIGCONT)
        assert child.stdout.readline() == "lost True\n"
        child.stdin.write("leave\n")
        child.stdin.flush()
        assert child.wait(60) == 0
        with pytest.raises(BusyError, match="run-2"), ledger.lease("connector:desk", "run-3"):
            pass  # the zombie has not released what is not its own any more
        assert not lease.lost.is_set()


def test_a_living_holder_keeps_its_lease_far_beyond_its_time_to_live(file: Path) -> None:
    now = datetime(2026, 3, 1, 12, tzinfo=UTC)
    with (
        Ledger.open(f"sqlite:///{file}", clock=lambda: now) as ledger,
        ledger.lease("connector:desk", "run-1", ttl=0.3) as lease,
        contextlib.closing(sqlite3.connect(file)) as connection,
    ):
        for _ in range(3):
            now += timedelta(hours=1)
            renewed = f"{now:%Y-%m-%d %H:%M:%S}.000000"
            while connection.execute("SELECT heartbeat FROM ledger_leases").fetchone() != (renewed,):
                lease.lost.wait(0.05)
            with pytest.raises(BusyError, match="run-1"), ledger.lease("connector:desk", "run-2"):
                pass


def test_a_holder_elsewhere_is_dead_when_it_was_silent_for_its_own_time_to_live(file: Path) -> None:
    now = datetime(2026, 3, 1, 12, tzinfo=UTC)
    with (
        Ledger.open(f"sqlite:///{file}", clock=lambda: now) as ledger,
        ledger.lease("connector:desk", "run-1", ttl=60),
    ):
        alter(file, machine="another one", host="elsewhere", pid=1)
        now += timedelta(seconds=60)
        with pytest.raises(BusyError, match="run-1 on elsewhere, pid 1"), ledger.lease("connector:desk", "run-2"):
            pass
        now += timedelta(microseconds=1)
        with ledger.lease("connector:desk", "run-2", ttl=60) as lease:
            assert lease.taken_from == "run-1 on elsewhere, pid 1"


def test_waiting_ends_with_the_lease_when_the_holder_leaves(ledger: Ledger, holding: Holding) -> None:
    child = holding(60)

    def leave_then_sleep(seconds: float) -> None:
        assert child.stdin
        if child.poll() is None:
            child.stdin.write("leave\n")
            child.stdin.flush()
        child.wait(60)

    with ledger.lease("connector:desk", "run-2", wait=60, sleep=leave_then_sleep) as lease:
        assert lease.fencing == 2


def test_waiting_is_ended_by_what_sleep_raises(ledger: Ledger, holding: Holding) -> None:
    holding(60)

    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), ledger.lease("connector:desk", "run-2", wait=60, sleep=interrupted):
        pass


def test_an_error_inside_the_block_releases_the_lease(ledger: Ledger) -> None:
    with pytest.raises(ZeroDivisionError), ledger.lease("connector:desk", "run-1"):
        raise ZeroDivisionError
    with ledger.lease("connector:desk", "run-2") as lease:
        assert lease.taken_from is None


def test_e11_one_of_many_processes_gets_the_lease(file: Path, ledger: Ledger) -> None:
    code = """
import sys
from datetime import UTC, datetime
from connector_core.errors import BusyError
from connector_core.ledger import Ledger
with Ledger.open(f"sqlite:///{sys.argv[1]}", clock=lambda: datetime.now(UTC)) as ledger:
    try:
        with ledger.lease("connector:desk", sys.argv[2]):
            print("held", flush=True)
            sys.stdin.readline()
    except BusyError:
        print("busy", flush=True)
"""
    children = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(file), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        for name in ("a", "b", "c", "d")
    ]
    answers = [child.stdout.readline() if child.stdout else "" for child in children]  # nobody has left yet
    for child in children:
        child.communicate("go\n", timeout=60)
    assert sorted(answers) == ["busy\n", "busy\n", "busy\n", "held\n"]
