"""What a source makes of an API in trouble: the engine's errors, at once and without secrets. The front breaks it."""

from __future__ import annotations

import json
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence

import pytest

from connector_core.errors import AuthError, ConnectorError, NotFoundError, RetryableError, SourceError
from connector_core.redact import redactor
from connector_core.testing.faults import (
    Action,
    Body,
    CanaryServer,
    Fault,
    FaultFront,
    Fin,
    Redirect,
    Reset,
    Status,
)
from connector_core.testing.sources.reader import SourceReader, Target

PASSING: Mapping[str, Action] = {
    "429": Status(code=429, retry_after=7),
    "500": Status(code=500),
    "503": Status(code=503, retry_after=7),
    "html": Status(code=200),
    "empty": Body(kind="empty"),
    "truncated": Body(kind="truncated"),
    "not_utf8": Body(kind="not_utf8"),
    "fin": Fin(at="half"),
    "reset": Reset(at="half"),
}
"""Trouble that may pass: the engine waits and asks for the page again."""


class WireContract:
    """Answers that went wrong on the wire, credentials that are refused, and what errors may say."""

    refused: int = 403
    """A status by which the API refuses a request for good; another one where the source repeats 403."""

    @pytest.mark.parametrize("trouble", PASSING)
    def test_passing_trouble_may_be_repeated(self, reading: SourceReader, front: FaultFront, trouble: str) -> None:
        for target, error in failed(reading, front, PASSING[trouble]):
            assert isinstance(error, RetryableError), f"stream {target[0].name!r}: {error!r}"
            if trouble in ("429", "503"):
                assert error.retry_after == 7, f"stream {target[0].name!r} does not say how long it was asked to wait"

    def test_after_trouble_the_same_call_gives_the_page(self, reading: SourceReader, front: FaultFront) -> None:
        for target in reading.targets():
            before = list(reading.page(target).records)
            front.replan([Fault(action=Body(kind="truncated"))])
            try:
                reading.page(target)
            except RetryableError:
                assert list(reading.page(target).records) == before, target[0].name
            front.replan([])

    @pytest.mark.parametrize("code", [429, 500])
    def test_the_source_neither_waits_nor_asks_again_by_itself(
        self, reading: SourceReader, front: FaultFront, monkeypatch: pytest.MonkeyPatch, code: int
    ) -> None:
        waits: list[float] = []
        me, sleep = threading.get_ident(), time.sleep

        def watch(seconds: float) -> None:
            if threading.get_ident() == me:
                waits.append(seconds)
            else:
                sleep(seconds)

        targets = reading.targets()
        monkeypatch.setattr(time, "sleep", watch)
        for target in targets:
            asked = len(front.requests)
            for _ in failed(reading, front, Status(code=code, retry_after=1), [target]):
                again = len(front.requests) - asked - 1
                assert again == 0, f"stream {target[0].name!r} asks again {again} times; that is the engine's"
        assert waits == []

    def test_refused_credentials_are_an_auth_error(self, reading: SourceReader, front: FaultFront) -> None:
        for target, error in failed(reading, front, Status(code=401)):
            assert isinstance(error, AuthError), f"stream {target[0].name!r}: {error!r}"

    def test_refused_credentials_are_told_by_discover_too(
        self, front: FaultFront, connect: Callable[[], SourceReader]
    ) -> None:
        front.replan([Fault(action=Status(code=401), times=None)])
        try:
            connect()
        except AuthError:
            return
        refused = len(front.hits)
        assert refused == 0, "discover was refused and did not say so"

    def test_a_refused_request_is_final(self, reading: SourceReader, front: FaultFront) -> None:
        for target, error in failed(reading, front, Status(code=self.refused)):
            assert isinstance(error, SourceError), f"stream {target[0].name!r}: {error!r}"
            assert not isinstance(error, RetryableError), f"stream {target[0].name!r}: {error!r}"

    def test_what_is_gone_is_not_found(self, reading: SourceReader, front: FaultFront) -> None:
        children = [target for target in reading.targets() if target[1] is not None]
        for target, error in failed(reading, front, Status(code=404), children) if children else ():
            assert isinstance(error, NotFoundError), f"stream {target[0].name!r}: {error!r}"

    def test_another_origin_is_never_contacted(self, reading: SourceReader, front: FaultFront) -> None:
        with CanaryServer() as canary:
            for target, error in failed(reading, front, Redirect(location=f"{canary.url}/elsewhere")):
                assert isinstance(error, SourceError), f"stream {target[0].name!r}: {error!r}"
            assert canary.contacts == []

    def test_errors_do_not_show_secrets(self, reading: SourceReader, front: FaultFront, secrets: Sequence[str]) -> None:
        echo = json.dumps({"message": " ".join(secrets), "error": " ".join(secrets)})
        answers = [Status(code=code, body=echo, content_type="application/json") for code in (400, 401, 403, 404, 500)]
        hide = redactor(secrets)
        for answer in (*answers, Status(code=200, body=f"<p>{echo}</p>"), Body(kind="truncated"), Reset(at="half")):
            for target, error in failed(reading, front, answer):
                for text in (str(error), repr(error), "".join(traceback.format_exception(error))):
                    shown = hide(text) != text
                    assert not shown, f"stream {target[0].name!r}: an error shows a secret ({type(error).__name__})"

    def test_clients_and_pages_do_not_show_secrets(self, reading: SourceReader, secrets: Sequence[str]) -> None:
        hide = redactor(secrets)
        for text in (repr(reading.client), str(reading.client), repr(reading.catalog)):
            shown = hide(text) != text
            assert not shown, "the client or the catalog shows a secret"
        for target in reading.targets():
            for _, page in reading.walk(target):
                text = f"{page.url} {page.next!r} {page.notes}"
                shown = hide(text) != text
                assert not shown, f"stream {target[0].name!r}: a page's address, token or notes show a secret"


def failed(
    reading: SourceReader, front: FaultFront, action: Action, targets: Sequence[Target] | None = None
) -> Iterator[tuple[Target, ConnectorError]]:
    """What becomes of the first page of each target when every answer is broken so.

    A page that comes from memory meets no answer and is passed over, but not all pages may. AssertionError for a
    broken answer that is taken for a page. What is no error of the engine's is a `PluginError`.
    """
    chosen = reading.targets() if targets is None else targets
    fault = Fault(action=action, times=None)
    asked = 0
    for target in chosen:
        front.replan([fault])
        met = len(front.hits)
        problem: ConnectorError | None = None
        try:
            reading.page(target)
        except ConnectorError as error:
            problem = error
        front.replan([])
        if len(front.hits) > met:
            asked += 1
            assert problem is not None, f"stream {target[0].name!r}: {action} was taken for a page"
            yield target, problem
    assert asked or targets is not None, "no stream asked the API: is `config` made with the fixture `url`?"
