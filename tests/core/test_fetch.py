"""Repeating calls: when, how long, and when to give up; on a simulated clock with a source of our own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pluggy
import pytest

from connector_core import hookspecs
from connector_core.budget import Budget, Stopped
from connector_core.errors import AuthError, NotFoundError, RetryableError, SourceError
from connector_core.fetch import Fetcher, RetryRules
from connector_core.hooks import Hooks, Origin
from connector_core.hookspecs import hookimpl
from connector_core.streams import Page, RateLimit, Stream, Window

STREAM = Stream(name="orders", schema={"type": "object"})


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


class Bench:
    """A fetcher over a scripted source; `calls` holds the instants of its calls."""

    def __init__(self, script: list[Exception | Page], **rules: Any) -> None:
        self.clock, self.stop, self.calls, self.waits = SimulatedClock(), threading.Event(), [], []
        self.script = script
        bench = self

        class Source:
            @hookimpl
            def extract(self, page: Any) -> Page:
                bench.calls.append(bench.clock.seconds)
                answer = bench.script[min(len(bench.calls), len(bench.script)) - 1]
                if isinstance(answer, Exception):
                    raise answer
                return answer

        manager = pluggy.PluginManager(hookspecs.PROJECT)
        manager.add_hookspecs(hookspecs)
        manager.register(Source())
        waiting: Callable[..., None] = lambda *wait: self.waits.append(wait)  # noqa: E731
        self.budget = Budget(share=0.9, in_flight=4, clock=self.clock, stop=self.stop, waiting=waiting)
        self.fetcher = Fetcher(
            Hooks(manager, source=Origin(plugin="shop"), destination=Origin(plugin="store")),
            {},
            object(),
            budget=self.budget,
            rules=RetryRules(**rules),
            clock=self.clock,
            stop=self.stop,
            waiting=waiting,
        )

    def page(self) -> Page:
        return self.fetcher.page(STREAM, Window(), None, None)


GOOD = Page(records=[{"id": 1}], size=10)


def test_a1_no_request_before_the_time_that_the_source_asked_for() -> None:
    bench = Bench([RetryableError("429", retry_after=17.0), GOOD])
    assert bench.page() is GOOD
    assert bench.calls[1] >= 17.0
    assert bench.waits[0][2] == "retry"


def test_a1_the_pause_holds_other_calls_too() -> None:
    bench = Bench([RetryableError("429", retry_after=17.0), GOOD])
    bench.page()
    bench.budget.pause(5)
    bench.page()
    assert bench.calls[2] >= bench.calls[1] + 5


def test_a2_without_a_time_the_pauses_double() -> None:
    bench = Bench([RetryableError("503")] * 4 + [GOOD], pause=1.0)
    bench.page()
    pauses = [b - a for a, b in zip(bench.calls, bench.calls[1:], strict=False)]
    for pause, due in zip(pauses, [1, 2, 4, 8], strict=True):
        assert 0.75 * due <= pause <= 1.25 * due


def test_a4_trouble_for_ever_ends_with_a_source_error_that_says_so() -> None:
    bench = Bench([RetryableError("the source answered 429")], attempts=4)
    with pytest.raises(SourceError, match="the source answered 429; given up after 4 attempts") as caught:
        bench.page()
    assert not isinstance(caught.value, RetryableError)
    assert len(bench.calls) == 4
    assert caught.value.place.stream == "orders"
    assert "address" not in caught.value.hint


def test_a9_who_never_gets_through_is_told_to_look_at_the_address() -> None:
    bench = Bench([RetryableError("the connection failed", code="connection")], attempts=2)
    with pytest.raises(SourceError) as caught:
        bench.page()
    assert caught.value.hint.startswith("look at the address in the configuration, the network and the source's status")


def test_a5_a_wait_of_years_is_named_and_not_waited() -> None:
    bench = Bench([RetryableError("429", retry_after=31 * 365 * 86400.0)], longest_wait=600)
    with pytest.raises(SourceError, match="977,616,000 seconds"):
        bench.page()
    assert bench.clock.seconds < 1
    with bench.budget.call():
        assert bench.clock.seconds < 1, "nobody else waits for it either"


def test_the_engines_own_waiting_is_bounded_in_seconds() -> None:
    bench = Bench([RetryableError("503")], attempts=100, seconds=20, pause=1.0)
    with pytest.raises(SourceError):
        bench.page()
    assert bench.clock.seconds < 60


def test_nothing_is_repeated_when_the_time_for_it_is_over() -> None:
    bench = Bench([RetryableError("503")], attempts=100, within=2.0, pause=1.0)
    with pytest.raises(SourceError, match="given up after 3 attempts"):
        bench.page()
    single = Bench([RetryableError("503")], attempts=100, within=0.0)
    with pytest.raises(SourceError) as caught:
        single.page()
    assert caught.value.message == "503"


@pytest.mark.parametrize("error", [AuthError("refused"), NotFoundError("gone"), SourceError("closed")])
def test_a7_what_will_not_pass_is_not_repeated(error: SourceError) -> None:
    bench = Bench([error])
    with pytest.raises(type(error)):
        bench.page()
    assert len(bench.calls) == 1


def test_an_error_tells_the_budget_what_is_left() -> None:
    bench = Bench([RetryableError("429", rate=RateLimit(limit=10, remaining=0, reset=40.0)), GOOD], pause=0.1)
    bench.page()
    assert bench.calls[1] >= 40.0


def test_a_stop_ends_the_waiting() -> None:
    bench = Bench([RetryableError("503", retry_after=1000.0)])
    bench.stop.set()
    with pytest.raises(Stopped):
        bench.page()


@pytest.mark.parametrize("record", [{"a": "x" * 5_000}, {"a": "\ud800" * 5_000}, {"a": 10**5_000 - 1}])
def test_d6_a_page_that_does_not_tell_its_size_is_measured(record: dict[str, Any]) -> None:
    page = Bench([Page(records=[record] * 3)]).page()
    assert 15_000 <= page.size <= 100_000
