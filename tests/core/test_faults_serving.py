"""The fault front as the server itself: an answering coroutine, what is spared and remembered, plans as JSON."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from connector_core.testing.faults import (
    ACTIONS,
    Call,
    Entries,
    Fault,
    FaultFront,
    Fin,
    Headers,
    Raw,
    Redirect,
    Request,
    Response,
    Status,
    Total,
    plan_from_json,
    plan_to_json,
)
from connector_core.testing.faults.__main__ import main
from tests.support.commands import environment


def get(front: FaultFront, target: str = "/") -> Any:
    with urllib.request.urlopen(front.url + target, timeout=10) as answer:  # noqa: S310  our own address
        return json.loads(answer.read())


def status(front: FaultFront, target: str) -> int:
    try:
        with urllib.request.urlopen(front.url + target, timeout=10) as answer:  # noqa: S310  our own address
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def page(request: Request) -> Response:
    """Three entries of the page asked for, numbered through."""
    first = 3 * int(request.target.rpartition("=")[2])
    return Response.of_json({"_embedded": {"entries": list(range(first, first + 3))}})


def test_a_coroutine_answers_in_the_fronts_own_thread_and_several_at_once() -> None:
    both = asyncio.Barrier(2)
    threads: list[str] = []

    async def answer(request: Request) -> Response:
        threads.append(threading.current_thread().name)
        await both.wait()  # neither is answered before the other has come
        return Response.of_json(request.target)

    with FaultFront(None, respond=answer) as front:
        seen: list[Any] = []
        asking = [threading.Thread(target=lambda path=path: seen.append(get(front, path))) for path in ("/a", "/b")]
        for thread in asking:
            thread.start()
        for thread in asking:
            thread.join(20)
        assert sorted(seen) == ["/a", "/b"]
        assert threads == ["fault-front", "fault-front"]


def test_what_a_coroutine_raises_is_raised_at_the_end() -> None:
    async def answer(request: Request) -> Response:
        raise LookupError("a mistake of the test")

    def failing() -> None:
        with FaultFront(None, respond=answer) as front, pytest.raises(ConnectionError):
            get(front)

    with pytest.raises(LookupError, match="a mistake"):
        failing()


def test_a_chunked_answer_is_chunked_on_the_wire() -> None:
    long = "x" * 10_000
    respond = lambda request: Response(body=json.dumps(long).encode(), framing="chunked")  # noqa: E731
    with FaultFront(None, respond=respond) as front:
        assert get(front) == long
        with socket.create_connection(("127.0.0.1", front.port), timeout=10) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            raw = b"".join(iter(lambda: sock.recv(65_536), b""))
    head, _, body = raw.partition(b"\r\n\r\n")
    assert b"transfer-encoding: chunked" in head.lower()
    assert b"content-length" not in head.lower()
    assert (body[:6], body[-5:]) == (b"1000\r\n", b"0\r\n\r\n")


def test_it_listens_where_it_is_told_and_a_taken_port_is_an_error() -> None:
    with FaultFront(None) as first:
        port = first.port
        with pytest.raises(OSError, match="in use"), FaultFront(None, port=port):
            pass
    with FaultFront(None, port=port) as second:
        assert second.url == f"http://127.0.0.1:{port}"


def test_spared_requests_are_neither_counted_nor_hit() -> None:
    plan = [Fault(nth=2, times=None, action=Status(code=503))]
    with FaultFront(None, plan, respond=lambda _: Response.of_json(1), spare="^GET /health") as front:
        paths = ("/health", "/a", "/health", "/b", "/health")
        assert [status(front, path) for path in paths] == [200, 200, 200, 503, 200]
        assert [hit.request.target for hit in front.hits] == ["/b"]
        assert [request.target for request in front.requests] == list(paths)


def test_only_the_latest_are_remembered_and_numbers_go_on() -> None:
    plan = [Fault(times=None, action=Headers(set={"X-A": "b"}))]
    with FaultFront(None, plan, respond=lambda _: Response.of_json(1), keep=2) as front:
        for number in range(5):
            get(front, f"/{number}")
        assert [request.number for request in front.requests] == [4, 5]
        assert [hit.request.target for hit in front.hits] == ["/3", "/4"]
        assert [contact.number for contact in front.contacts] == [4, 5]


@pytest.mark.parametrize(
    ("nth", "count", "served"),
    [
        (2, 1, [[0, 1, 2], [2, 3, 4], [6, 7, 8]]),
        (2, 2, [[0, 1, 2], [1, 2, 3], [6, 7, 8]]),
        (2, 9, [[0, 1, 2], [0, 1, 2], [6, 7, 8]]),
        (1, 1, [[0, 1], [3, 4, 5], [6, 7, 8]]),
    ],
)
def test_a28_a_page_is_shifted_over_the_boundary(nth: int, count: int, served: list[list[int]]) -> None:
    plan = [Fault(nth=nth, action=Entries(how="shift", count=count))]
    with FaultFront(None, plan, respond=page) as front:
        assert [get(front, f"/?page={number}")["_embedded"]["entries"] for number in range(3)] == served


def test_a_plan_can_be_written_and_read_again() -> None:
    plan = [
        Fault(match="^GET /a", nth=3, times=None, action=[Status(code=429, headers={"X": "y"}), Fin(at="half")]),
        Fault(action=Redirect(location="http://127.0.0.1:9")),
        Fault(action=Headers(drop=["Date"], clock=-3600.0)),
        Fault(action=Total(value={"a": [1, None]})),
    ]
    written = json.dumps(plan_to_json(plan))
    again = plan_from_json(written)
    assert plan_to_json(again) == json.loads(written)
    assert [fault.actions for fault in again] == [fault.actions for fault in plan]


def test_what_json_cannot_hold_is_told_as_text() -> None:
    (told,) = plan_to_json(
        [Fault(match=lambda request: True, action=[Call(run=print), Total(value=Raw(text="1e400"))])]
    )
    assert told["match"].startswith("<function")
    assert [action["name"] for action in told["action"]] == ["Call", "total"]
    assert "1e400" in told["action"][1]["value"]
    assert "Call" not in ACTIONS


def test_the_command_stands_before_a_server(tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    status = {"match": "/a", "nth": 2, "action": {"name": "status", "code": 429}}
    plan.write_text(json.dumps([status, {"match": "/c", "action": {"name": "total", "value": 1}}]))
    command = [sys.executable, "-m", "connector_core.testing.faults"]
    with FaultFront(None, respond=lambda request: Response.of_json(request.target)) as server:
        process = subprocess.Popen(
            [*command, server.url, "--plan", str(plan)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        with process:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            found = [urllib.request.Request(url + path) for path in ("/a", "/a", "/b")]  # noqa: S310  our own address
            codes = []
            for one in found:
                with contextlib.suppress(urllib.error.HTTPError), urllib.request.urlopen(one, timeout=10) as answer:  # noqa: S310
                    codes.append(answer.status)
            assert codes == [200, 200]
            with pytest.raises(ConnectionError):
                urllib.request.urlopen(url + "/c", timeout=10)  # noqa: S310  our own address
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 1
            assert process.stdout.read() == "request 2 GET /a: Status\nrequest 4 GET /c: Total\n"
            assert process.stderr is not None
            assert "total_entries" in process.stderr.read()


@pytest.mark.parametrize(
    ("upstream", "plan", "complaint"),
    [
        ("https://example.test", "[]", "http://host:port"),
        ("http://127.0.0.1:9", '[{"action": {"name": "rest"}}]', r"plan\[0\]"),
        ("http://127.0.0.1:9", None, "No such file"),
    ],
)
def test_the_command_says_what_makes_no_sense(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], upstream: str, plan: str | None, complaint: str
) -> None:
    path = tmp_path / "plan.json"
    if plan is not None:
        path.write_text(plan)
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        assert main([upstream, "--plan", str(path)]) == 2
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert re.search(complaint, capsys.readouterr().err)
