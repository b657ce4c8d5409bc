"""Calling the source: one page at a time, within the call budget, repeated while the trouble may pass."""

from __future__ import annotations

import math
import random
import threading
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import orjson
import tenacity

from connector_core.budget import Budget, Stopped
from connector_core.clock import Clock
from connector_core.errors import RetryableError, SourceError
from connector_core.hooks import Hooks
from connector_core.parse import text
from connector_core.streams import Catalog, Page, RateLimit, Stream, Window

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class RetryRules:
    """How long the engine tries: attempts in all, seconds of its own waiting in all, first pause (doubles, with
    jitter), longest wait that a source may ask for. Nothing is repeated later than `within` seconds after the first
    attempt."""

    attempts: int = 6
    seconds: float = 300.0
    pause: float = 0.5
    longest_wait: float = 3600.0
    within: float = math.inf


class Fetcher:
    """The source of one run, as the extraction sees it: safe to call from several threads.

    `waiting(stream, seconds, reason, detail)` is told before each wait, reason being rate_limit or retry.
    """

    def __init__(
        self,
        hooks: Hooks,
        config: Mapping[str, Any],
        client: Any,
        *,
        budget: Budget,
        rules: RetryRules,
        clock: Clock,
        stop: threading.Event,
        waiting: Callable[[str, float, str, str], None],
    ) -> None:
        self._hooks, self._config, self._client = hooks, config, client
        self._budget, self._rules, self._clock, self._stop, self._waiting = budget, rules, clock, stop, waiting

    def discover(self) -> Catalog:
        """The streams. Raises `SourceError` when the source stays in trouble, `Stopped`."""
        return self._retried(
            "discovery",
            lambda: self._hooks.discover(self._config, self._client),
            lambda catalog: (catalog.rate, catalog.requests),
        )

    def page(self, stream: Stream, window: Window, parent: Mapping[str, Any] | None, token: Hashable | None) -> Page:
        """One page, its size measured where the source tells none: what is held in memory is bounded by it. Raises
        `SourceError` when the source stays in trouble, `NotFoundError`, `AuthError`, `PluginError`, `Stopped`."""
        page = self._retried(
            stream.name,
            lambda: self._hooks.extract(self._client, self._config, stream, window, parent, token),
            lambda page: (page.rate, page.requests),
        )
        return page if page.size or not page.records else replace(page, size=_measured(page.records))

    def wants(self, child: Stream, parent: Mapping[str, Any]) -> bool:
        """Whether the child stream is asked for this parent's records. Raises `PluginError`."""
        return self._hooks.wants(child, parent)

    def _retried(self, stream: str, call: Callable[[], T], said: Callable[[T], tuple[RateLimit | None, int]]) -> T:
        waited, began = 0.0, self._clock.monotonic()

        def attempt() -> T:
            with self._budget.call() as learn:
                try:
                    answer = call()
                except RetryableError as error:
                    learn(error.rate if isinstance(error.rate, RateLimit) else None, 1)
                    raise
                learn(*said(answer))
                return answer

        def pause(state: tenacity.RetryCallState) -> float:
            nonlocal waited
            asked = _error(state).retry_after
            if asked is not None:
                return max(0.0, asked)
            own = min(60.0, self._rules.pause * 2.0 ** (state.attempt_number - 1)) * random.uniform(0.75, 1.25)  # noqa: S311
            waited += own
            return own

        def enough(state: tenacity.RetryCallState) -> bool:
            asked = _error(state).retry_after
            too_long = asked is not None and asked > self._rules.longest_wait
            late = self._clock.monotonic() - began >= self._rules.within
            return too_long or late or state.attempt_number >= self._rules.attempts or waited >= self._rules.seconds

        def sleep(seconds: float) -> None:
            if self._clock.wait(seconds, self._stop):
                raise Stopped

        def announce(state: tenacity.RetryCallState) -> None:
            error = _error(state)
            if error.retry_after is not None:
                self._budget.pause(error.retry_after)
            self._waiting(stream, state.upcoming_sleep, "retry", f"attempt {state.attempt_number}: {error.message}")

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(RetryableError),
            wait=pause,
            stop=enough,
            sleep=sleep,
            before_sleep=announce,
            retry_error_callback=self._give_up,
        )
        return retrying(attempt)

    def _give_up(self, state: tenacity.RetryCallState) -> Any:
        error = _error(state)
        if error.retry_after is not None and error.retry_after > self._rules.longest_wait:
            raise SourceError(
                f"the source asks to wait {error.retry_after:,.0f} seconds, longer than longest_wait allows "
                f"({self._rules.longest_wait:,.0f}): {error.message}",
                hint="run again later, or raise longest_wait",
                place=error.place,
                code="wait_too_long",
            ).showing(error.evidence) from error
        often = f"; given up after {state.attempt_number} attempts" if state.attempt_number > 1 else ""
        raise SourceError(
            f"{error.message}{often}",
            hint=error.hint or f"{_looked_at(error)}; rows loaded so far are safe and the next run goes on from there",
            place=error.place,
            code=error.code,
        ).showing(error.evidence) from error


def _measured(records: Sequence[Any]) -> int:
    """About how many bytes of JSON text the records are."""
    try:
        return len(orjson.dumps([*records], default=str))
    except TypeError:  # half a surrogate pair, an integer of more than 64 bits, nested too deeply, ...
        return len(text(records))


def _looked_at(error: RetryableError) -> str:
    """Who never got through may have the wrong address; who got an answer has not."""
    if error.code in ("connection", "timeout"):
        return "look at the address in the configuration, the network and the source's status"
    return "look at the source's status"


def _error(state: tenacity.RetryCallState) -> RetryableError:
    error = state.outcome.exception() if state.outcome else None
    assert isinstance(error, RetryableError)  # noqa: S101 - tenacity calls these functions for nothing else
    return error
