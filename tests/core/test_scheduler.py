"""The daemon's loop on a simulated clock: two of them on one ledger, crashes, limits, clocks that jump, full disks."""

from __future__ import annotations

import random
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import pytest

from connector_core.config import Connector
from connector_core.errors import BusyError, ConnectorError
from connector_core.ledger import Ledger
from connector_core.scheduling import Grid, Interval, Schedule, Skip, following
from connector_core.scheduling.calendar import Entry
from connector_core.scheduling.scheduler import LONGEST_WAIT, SETTLE, Scheduler
from tests.support import postgres

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
LEASE = 3600.0
"""Seconds without a renewal until a lease counts as dead; simulated processes renew nothing."""


@dataclass
class SimulatedClock:
    """Time that passes only when somebody waits."""

    at: datetime = NOON
    steady: float = 0.0

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.steady

    def wait(self, seconds: float, stop: threading.Event) -> bool:
        self.at += timedelta(seconds=seconds)
        self.steady += seconds
        return stop.is_set()


@dataclass
class SimulatedWorker:
    """A process: begins `latency` after it was started, runs for `lasting`, ends with `code`. Killed, it leaves its
    lease as it was."""

    machine: Machine
    connector: Connector
    slot: datetime
    lasting: timedelta
    begins: datetime
    code: int | None = None
    run_id: str = ""
    held: ExitStack = field(default_factory=ExitStack)
    waits: bool = False
    told_to_stop: int = 0

    def step(self) -> None:
        """What has happened to it by now."""
        if self.code is not None or self.machine.clock.now() < self.begins:
            return
        if not self.run_id:
            self._begin()
        elif self.machine.clock.now() >= self.begins + self.lasting:
            self.machine.ledger.finish_run(self.run_id, status="succeeded", exit_code=0)
            self.held.close()
            self.code = 0

    def _begin(self) -> None:
        self.run_id = f"run-{next(self.machine.numbers)}"
        try:
            self.held.enter_context(
                self.machine.ledger.lease(f"connector:{self.connector.key}", self.run_id, ttl=LEASE)
            )
            self.machine.ledger.begin_run(self.connector.key, trigger="schedule", run_id=self.run_id, slot=self.slot)
        except BusyError as error:
            self.held.close()
            self.code = error.exit_code

    def ended(self) -> int | None:
        return self.code

    def waiting(self) -> bool:
        return self.waits

    def stop(self) -> None:
        self.told_to_stop += 1

    def kill(self) -> None:
        self.code = -9


class Machine:
    """A ledger and a clock, shared by the daemons of a test; `lasting` says how long a run takes."""

    def __init__(
        self, url: str, entries: list[Entry], lasting: Callable[[], timedelta], latency: Callable[[], timedelta]
    ) -> None:
        self.clock = SimulatedClock()
        self.ledger = Ledger.open(url, clock=self.clock.now)
        self.entries, self.lasting, self.latency = entries, lasting, latency
        self.numbers = iter(range(10**6))
        self.workers: list[SimulatedWorker] = []
        self.said: list[str] = []
        self.skipped: list[tuple[str, Skip]] = []
        for one in entries:
            self.ledger.follow(one.connector.key, one.spec)

    def daemon(self, max_parallel: int = 4) -> Scheduler:
        return Scheduler(
            calendar=lambda: self.entries,
            ledger=self.ledger,
            clock=self.clock,
            spawn=self.spawn,
            max_parallel=max_parallel,
            say=self.said.append,
            skipped=lambda connector, skip: self.skipped.append((connector.key, skip)),
            wake=threading.Event(),
        )

    def spawn(self, connector: Connector, slot: datetime) -> SimulatedWorker:
        worker = SimulatedWorker(self, connector, slot, self.lasting(), self.clock.now() + self.latency())
        self.workers.append(worker)
        return worker

    def step(self) -> None:
        for worker in self.alive:
            worker.step()

    @property
    def alive(self) -> list[SimulatedWorker]:
        return [worker for worker in self.workers[-20:] if worker.code is None]

    def slots(self, key: str) -> list[Any]:
        return self.ledger.slots(key)


def connector(key: str, **settings: Any) -> Connector:
    return Connector.model_validate({"key": key, "source": "scripted", "destination": "warehouse", **settings})


def entry(key: str, schedule: Schedule, **settings: Any) -> Entry:
    return Entry(connector=connector(key, **settings), schedule=schedule)


def every(minutes: int) -> Grid:
    return Grid(every=minutes * MINUTE, anchor=NOON)


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A ledger of each kind."""
    if request.param == "sqlite":
        memory = Path("/dev/shm")  # noqa: S108 - where there is one: it writes much, which need not survive
        with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else tmp_path) as folder:
            yield f"sqlite:///{folder}/ledger.db"
        return
    server = postgres.shared()
    with server.database() as name:
        yield server.url(name)


@pytest.fixture
def file(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/ledger.db"


def test_e11_e12_two_daemons_and_a_thousand_slots(url: str) -> None:
    """Two daemons look in any order, their workers begin late, one run in ten is killed in the middle, and now and then
    a daemon is killed and another one started. Each slot is run or skipped once, none is lost, none runs twice at once.
    """
    chance = random.Random(17)
    entries = [entry("often", every(30)), entry("seldom", every(180))]
    machine = Machine(
        url, entries, lambda: chance.choice([1, 7, 25, 42]) * MINUTE, lambda: chance.choice([0, 1]) * MINUTE
    )
    daemons = [machine.daemon(), machine.daemon()]
    end, killed = NOON + 860 * timedelta(minutes=30), 0
    while machine.clock.now() < end:
        chance.shuffle(daemons)
        for one in daemons[: chance.choice([1, 2])]:
            one.tick()
            machine.step()
        for worker in machine.alive:
            if worker.run_id and chance.random() < 0.05:
                worker.kill()
                killed += 1
        if chance.random() < 0.01:
            daemons[0] = machine.daemon()  # its former workers live on without it
        machine.clock.wait(chance.choice([600, 1500, 2100]), threading.Event())
    total = 0
    for one in entries:
        assert one.schedule is not None
        noted = sorted(slot.at for slot in machine.slots(one.connector.key))
        assert noted == list(islice(following(one.schedule, NOON, base=NOON), len(noted)))
        assert noted[-1] > end - timedelta(minutes=200)
        total += len(noted)
    assert total >= 1000
    assert killed >= 10
    attempts = Counter(slot.attempts for one in entries for slot in machine.slots(one.connector.key))
    assert attempts[1] > 400  # run once
    assert attempts[0] > 20  # skipped
    assert attempts[2] > 3  # taken over
    assert set(attempts) == {0, 1, 2}
    for one in entries:
        runs = sorted(machine.ledger.runs(one.connector.key), key=lambda run: run.started_at)
        for before, after in pairwise(runs):
            assert before.finished_at is not None
            assert before.finished_at <= after.started_at


def test_e12_the_slot_of_a_killed_process_is_taken_over_when_its_lease_ends(url: str) -> None:
    machine = Machine(url, [entry("shop", every(240))], lambda: 10 * MINUTE, lambda: timedelta(0))
    first, second = machine.daemon(), machine.daemon()
    machine.clock.wait(240 * 60, threading.Event())
    first.tick()
    machine.step()
    (worker,) = machine.workers
    worker.kill()
    del first  # daemon and worker are gone, the lease is left as it was
    machine.clock.wait(LEASE - 60, threading.Event())
    second.tick()
    assert len(machine.workers) == 1
    machine.clock.wait(120, threading.Event())
    second.tick()
    machine.step()
    _, other = machine.workers
    assert other.slot == worker.slot
    (slot,) = machine.slots("shop")
    assert (slot.state, slot.attempts, slot.run_id) == ("run", 2, other.run_id)


def test_at_most_so_many_at_work_and_who_waits_for_a_limit_frees_a_place(file: str) -> None:
    entries = [entry(name, every(60)) for name in "abc"]
    machine = Machine(file, entries, lambda: 90 * MINUTE, lambda: timedelta(0))
    daemon = machine.daemon(max_parallel=1)
    machine.clock.wait(3600, threading.Event())
    daemon.tick()
    machine.step()
    daemon.tick()
    assert [worker.connector.key for worker in machine.workers] == ["a"]
    machine.workers[0].waits = True
    daemon.tick()
    machine.step()
    daemon.tick()
    assert [worker.connector.key for worker in machine.workers] == ["a", "b"]
    for _ in range(70):  # the next slot comes before there is a place for this one
        machine.clock.wait(60, threading.Event())
        machine.step()
        daemon.tick()
    skipped = {key: skip.reason for key, skip in machine.skipped}
    assert skipped["c"] == "no worker was free until the next slot came"
    assert "still going on" in skipped["a"]
    assert skipped.keys() == {"a", "b", "c"}


def test_a_worker_that_cannot_begin_is_not_started_again_and_again(file: str) -> None:
    machine = Machine(file, [entry("shop", every(60))], lambda: MINUTE, lambda: 10 * HOUR)
    daemon = machine.daemon()
    machine.clock.wait(3600, threading.Event())
    daemon.tick()
    machine.workers[0].code = 2  # a mistake in connectors.toml
    daemon.tick()
    daemon.tick()
    assert len(machine.workers) == 1
    assert [(slot.state, slot.reason) for slot in machine.slots("shop")] == [
        ("skipped", "the run could not begin (exit code 2)")
    ]
    machine.clock.wait(3600, threading.Event())
    daemon.tick()
    machine.workers[1].code = -9  # killed before it began: tried once more
    daemon.tick()
    machine.workers[2].code = -9
    daemon.tick()
    daemon.tick()
    assert len(machine.workers) == 3
    assert machine.slots("shop")[0].reason == "the run could not begin (signal 9)"


def test_it_sleeps_until_the_next_slot_and_at_most_half_a_minute(file: str) -> None:
    machine = Machine(file, [entry("shop", every(60))], lambda: MINUTE, lambda: timedelta(0))
    daemon = machine.daemon()
    assert daemon.tick() == LONGEST_WAIT
    machine.clock.wait(3590, threading.Event())
    assert daemon.tick() == pytest.approx(10)


def test_an_interval_runs_at_once_and_then_on_time(file: str) -> None:
    machine = Machine(file, [entry("shop", Interval(every=30 * MINUTE))], lambda: 5 * MINUTE, lambda: timedelta(0))
    daemon = machine.daemon()
    while machine.clock.now() < NOON + 2 * HOUR:
        seconds = daemon.tick()
        machine.step()
        machine.clock.wait(seconds, threading.Event())
    assert [worker.slot - NOON for worker in machine.workers] == [30 * n * MINUTE for n in range(4)]


def test_e14_a_changed_calendar_and_a_pause_reach_a_daemon_at_its_next_look(file: str) -> None:
    machine = Machine(file, [entry("shop", every(60))], lambda: MINUTE, lambda: timedelta(0))
    daemon = machine.daemon()
    daemon.tick()
    machine.entries = [entry("shop", Grid(every=2 * HOUR, anchor=NOON + 30 * MINUTE))]
    for minute in range(240):
        if minute == 60:
            machine.ledger.pause("shop", by="ada")
        if minute == 200:
            machine.ledger.resume("shop", by="ada")
        daemon.tick()
        machine.step()
        machine.clock.wait(60, threading.Event())
    assert [worker.slot - NOON for worker in machine.workers] == [30 * MINUTE]
    assert machine.skipped == []
    machine.entries = [entry("shop", every(60), enabled=False)]
    machine.clock.wait(7200, threading.Event())
    daemon.tick()
    assert len(machine.workers) == 1


def test_d11_e15_clocks_that_jump(file: str) -> None:
    machine = Machine(file, [entry("shop", every(30))], lambda: MINUTE, lambda: timedelta(0))
    daemon = machine.daemon()
    machine.clock.wait(1800, threading.Event())
    daemon.tick()
    machine.step()
    machine.clock.wait(60, threading.Event())
    machine.step()
    machine.clock.at -= HOUR
    assert daemon.tick() == LONGEST_WAIT
    assert machine.said == ["the clock was set back by 1 h 00 min"]
    machine.clock.wait(3600, threading.Event())
    daemon.tick()
    assert len(machine.workers) == 1  # no slot twice
    machine.clock.at += 10 * HOUR
    assert daemon.tick() == pytest.approx(SETTLE)  # holders of leases have to be heard first
    assert machine.said[-1] == "the clock was set forward by 10 h 00 min"
    machine.clock.wait(SETTLE, threading.Event())
    daemon.tick()
    assert [worker.slot - NOON for worker in machine.workers] == [30 * MINUTE, 630 * MINUTE]
    assert {skip.reason for _, skip in machine.skipped} == {"nobody was running the schedule"}


def test_c9_a_ledger_that_cannot_be_written_is_said_once_and_tried_again(
    file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(file, [entry("shop", every(30))], lambda: MINUTE, lambda: timedelta(0))
    daemon = machine.daemon()
    machine.clock.wait(1800, threading.Event())
    with monkeypatch.context() as broken:
        broken.setattr(machine.ledger, "agenda", full_disk)
        for _ in range(3):
            assert daemon.tick() == 5
    daemon.tick()
    assert machine.said == [
        "error: the ledger failed: disk is full [ledger]; trying again",
        "the ledger can be used again",
    ]
    assert len(machine.workers) == 1


def full_disk(*_: object) -> None:
    raise ConnectorError("the ledger failed: disk is full", code="ledger")


def test_a_drain_waits_and_then_stops_and_at_last_kills(file: str) -> None:
    machine = Machine(file, [entry("shop", every(30))], lambda: 10 * HOUR, lambda: timedelta(0))
    daemon = machine.daemon()
    machine.clock.wait(1800, threading.Event())
    daemon.tick()
    (worker,) = machine.workers
    began = machine.clock.monotonic()
    daemon.drain(300, threading.Event())
    assert machine.clock.monotonic() - began == pytest.approx(320, abs=1)
    assert (worker.told_to_stop, worker.code) == (1, -9)
    hurry = threading.Event()
    hurry.set()
    daemon.drain(300, hurry)
    assert machine.clock.monotonic() - began == pytest.approx(320, abs=1)
