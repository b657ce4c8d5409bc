"""The call budget on a simulated clock: no call above the share, none before its time, concurrency bounded."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest

from connector_core.budget import Budget, Stopped
from connector_core.streams import RateLimit


class SimulatedClock:
    """Time that only passes when somebody waits."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    def wait(self, seconds: float, stop: threading.Event) -> bool:
        self.seconds += max(0.0, seconds)
        return stop.is_set()


class Site:
    """A server with a fixed window of 60 seconds, as Desk has it; counts what it refused."""

    def __init__(self, clock: SimulatedClock, limit: int) -> None:
        self.clock, self.limit = clock, limit
        self.window, self.used, self.refused, self.calls = -1, 0, 0, []

    def call(self) -> RateLimit:
        window = int(self.clock.seconds // 60)
        if window != self.window:
            self.window, self.used = window, 0
        self.used += 1
        self.calls.append(self.clock.seconds)
        if self.used > self.limit:
            self.refused += 1
        reset = 60 - int(self.clock.seconds % 60)
        return RateLimit(limit=self.limit, remaining=max(0, self.limit - self.used), reset=float(reset))


def budget(
    clock: SimulatedClock, *, share: float = 0.9, in_flight: int = 8
) -> tuple[Budget, threading.Event, list[float]]:
    stop, waits = threading.Event(), []
    return Budget(share=share, in_flight=in_flight, clock=clock, stop=stop, waiting=waits.append), stop, waits


@pytest.mark.parametrize("limit", [1, 5, 60, 300])
@pytest.mark.parametrize("pace", [0.0, 0.3, 2.0])
def test_a_steady_run_never_meets_the_limit_and_uses_its_share(limit: int, pace: float) -> None:
    clock = SimulatedClock()
    site = Site(clock, limit)
    spender, _, _ = budget(clock)
    calls = min(40 * limit, 2000)
    for _ in range(calls):
        with spender.call() as learn:
            clock.seconds += pace
            learn(site.call(), 1)
    assert site.refused == 0
    assert spender.calls == calls
    allowed = max(1, int(limit * 0.9))
    windows = calls / min(allowed, 60 / pace if pace else calls)
    assert clock.seconds <= (windows + 2) * 61, "the share is spent in each window, not less"


def test_what_others_spend_counts() -> None:
    clock = SimulatedClock()
    site = Site(clock, 10)
    spender, _, waits = budget(clock, share=1.0)
    with spender.call() as learn:
        learn(site.call(), 1)
    for _ in range(7):
        site.call()
    for _ in range(2):
        with spender.call() as learn:
            learn(site.call(), 1)
    assert not waits
    with spender.call() as learn:
        learn(site.call(), 1)
    assert waits == [60.0]
    assert site.refused == 0


def test_the_first_call_is_made_alone_and_calls_under_way_count_as_made() -> None:
    clock = SimulatedClock()
    spender, _, _ = budget(clock, share=1.0, in_flight=64)
    running = most = 0
    lock = threading.Lock()
    gate = threading.Event()
    started: list[int] = []

    def one() -> None:
        nonlocal running, most
        with spender.call() as learn:
            with lock:
                running += 1
                most = max(most, running)
                started.append(running)
            if len(started) > 1:
                gate.wait(10)
            learn(RateLimit(limit=4, remaining=3 if len(started) == 1 else 0, reset=60.0), 1)
            with lock:
                running -= 1

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    while len(started) < 4:
        pass
    gate.set()
    for thread in threads:
        thread.join(10)
    assert started[0] == 1, "nothing is known before the first answer"
    assert most == 3, "limit 4, one made: three may be under way"


def test_a_pause_that_the_source_asked_for_holds_everybody() -> None:
    clock = SimulatedClock()
    spender, _, _ = budget(clock)
    spender.pause(30)
    with spender.call() as learn:
        assert clock.seconds == 30
        learn(None, 1)


def test_a_stop_is_heard_while_waiting() -> None:
    clock = SimulatedClock()
    spender, stop, _ = budget(clock)
    stop.set()
    with pytest.raises(Stopped), spender.call():
        raise AssertionError("no call after a stop")


def test_an_answer_of_the_last_window_does_not_close_the_new_one() -> None:
    clock = SimulatedClock()
    spender, _, waits = budget(clock, share=1.0)
    with spender.call() as learn:
        learn(RateLimit(limit=10, remaining=9, reset=60.0), 1)
    clock.seconds = 61
    with spender.call() as learn:
        learn(RateLimit(limit=10, remaining=9, reset=59.0), 1)
    with spender.call() as late:
        late(RateLimit(limit=10, remaining=0, reset=1.0), 1)
    with spender.call() as learn:
        learn(RateLimit(limit=10, remaining=8, reset=59.0), 1)
    assert not waits


def test_the_pace_is_what_the_share_of_the_limit_allows() -> None:
    clock = SimulatedClock()
    site = Site(clock, 60)
    one, _, _ = budget(clock)
    assert one.pace is None
    clock.seconds = 15.0
    for _ in range(55):
        with one.call() as learn:
            learn(site.call(), 1)
    assert clock.seconds >= 60, "the last call is made in the next window, which tells the whole length"
    assert one.pace == pytest.approx(54 / 60)
