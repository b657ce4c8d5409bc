"""The fault front does on the wire what its plan says: each fault is seen by a client that knows only sockets."""

from __future__ import annotations

import contextlib
import datetime
import decimal
import email.utils
import gc
import gzip
import http.client
import json
import re
import socket
import threading
import time
import tracemalloc
import urllib.parse
import urllib.request
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from connector_core.testing import faults
from connector_core.testing.faults import (
    Action,
    Body,
    Call,
    CanaryServer,
    DeadConnection,
    Edit,
    Entries,
    Exchange,
    Fault,
    FaultFront,
    Fin,
    Framing,
    Gate,
    GzipBomb,
    Headers,
    Latency,
    Nested,
    NextLink,
    Raw,
    Redirect,
    Repeat,
    Replace,
    Request,
    Reset,
    Response,
    Silence,
    SlowLoris,
    Status,
    Total,
    Value,
    plan_from_json,
)

TIMEOUT = 10.0  # seconds; a client that waits longer has found a defect

PAGE = {
    "total_entries": 3,
    "price": decimal.Decimal("50000.0000000000000001"),
    "_links": {"next": {"href": "/cases?page=2", "class": "page"}},
    "_embedded": {"entries": [{"id": 1, "subject": "Grüße"}, {"id": 2, "subject": "b"}, {"id": 3, "subject": "c"}]},
}
TEXT = json.dumps(PAGE, ensure_ascii=False, default=lambda number: "PRICE").replace('"PRICE"', str(PAGE["price"]))
BODY = TEXT.encode()


def page(request: Request) -> Response:
    return Response(body=BODY)


@dataclass
class Seen:
    """What came over the wire until the connection ended, and how it ended: fin, reset, or open (not at all)."""

    data: bytes
    ending: str

    @property
    def head(self) -> bytes:
        return self.data.partition(b"\r\n\r\n")[0]

    @property
    def body(self) -> bytes:
        return self.data.partition(b"\r\n\r\n")[2]

    @property
    def status(self) -> int:
        return int(self.data.split(b" ", 2)[1])

    def header(self, name: str) -> str | None:
        found = re.search(rf"(?im)^{name}: *(.*?)\r?$", self.head.decode("latin-1"))
        return found and found[1]


def read(sock: socket.socket) -> Seen:
    """Everything until the server ends the connection, in whatever way."""
    data = b""
    try:
        while piece := sock.recv(65536):
            data += piece
    except ConnectionResetError:
        return Seen(data, "reset")
    except TimeoutError:
        return Seen(data, "open")
    return Seen(data, "fin")


def connect(front: FaultFront, timeout: float = TIMEOUT) -> socket.socket:
    return socket.create_connection(("127.0.0.1", front.port), timeout=timeout)


def ask(front: FaultFront, target: str = "/cases", *, timeout: float = TIMEOUT) -> Seen:
    """One request on a connection of its own that the server shall close when it has answered."""
    with connect(front, timeout) as sock:
        sock.sendall(f"GET {target} HTTP/1.1\r\nHost: desk.example\r\nConnection: close\r\n\r\n".encode())
        return read(sock)


def seen_with(*actions: Action, target: str = "/cases") -> Seen:
    """What one request sees of an answer that these actions touch."""
    with FaultFront(None, [Fault(action=actions)], respond=page) as front:
        return ask(front, target)


def page_with(*actions: Action, target: str = "/cases") -> Any:
    """The page that one request sees, parsed."""
    seen = seen_with(*actions, target=target)
    assert seen.status == 200
    return json.loads(seen.body, parse_float=decimal.Decimal)


def via_http_client(front: FaultFront, target: str = "/cases", method: str = "GET") -> tuple[int, Any, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", front.port, timeout=TIMEOUT)
    with contextlib.closing(connection):
        connection.request(method, target)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()


@dataclass
class Upstream:
    """A server of nothing but sockets: keeps the bytes of each request, answers each with the same bytes."""

    answer: bytes
    received: list[bytes] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @contextlib.contextmanager
    def running(self) -> Iterator[Upstream]:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
            thread = threading.Thread(target=self.serve, args=(listener,))
            thread.start()
            try:
                yield self
            finally:
                listener.shutdown(socket.SHUT_RDWR)
                thread.join()

    def serve(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock = listener.accept()[0]
                with sock:
                    sock.settimeout(TIMEOUT)
                    data = sock.recv(65536)
                    while not self.complete(data):
                        data += sock.recv(65536)
                    self.received.append(data)
                    sock.sendall(self.answer)

    def complete(self, data: bytes) -> bool:
        head, blank, body = data.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        if b"chunked" in head:
            return body.endswith(b"0\r\n\r\n")
        return bool(blank) and len(body) >= (int(length[1]) if length else 0)


# --- forwarding


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /cases?page=2&per_page=50 HTTP/1.1\r\nhOsT: d:81\r\nX-A: 1\r\nx-a:  2 \r\nConnection: close\r\n\r\n",
        b"POST /cases HTTP/1.1\r\nHost: d\r\nConnection: close\r\nContent-Length: 6\r\n\r\n\x00\xff\r\n\r\n",
        b"PUT /c HTTP/1.1\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
    ],
)
def test_requests_and_untouched_answers_pass_byte_for_byte(request_bytes: bytes) -> None:
    answer = b"HTTP/1.1 299 Odd Phrase\r\nx-lower: 1\r\nX-Twice: a\r\nX-Twice: b\r\nContent-Length: 3\r\n\r\n\x00\xfe\r"
    with Upstream(answer).running() as upstream, FaultFront(upstream.url, []) as front, connect(front) as sock:
        sock.sendall(request_bytes)
        assert read(sock) == Seen(answer, "fin")
    assert upstream.received == [request_bytes]


def test_the_record_holds_requests_as_received_and_their_connections() -> None:
    with FaultFront(None, respond=page) as front:
        connection = http.client.HTTPConnection("127.0.0.1", front.port, timeout=TIMEOUT)
        with contextlib.closing(connection):
            for body in (b"\xff1", b"22"):
                connection.request("POST", "/a?b=%20", body, {"X-Case": "1", "x-case": "2"})
                connection.getresponse().read()
        ask(front, "/c")
        first, second, third = front.requests
        assert [contact.number for contact in front.contacts] == [1, 2]
        assert front.contacts[0].peer[0] == "127.0.0.1"
    assert (first.method, first.target, first.body, second.body) == ("POST", "/a?b=%20", b"\xff1", b"22")
    assert [pair for pair in first.headers if pair[0].lower() == "x-case"] == [("X-Case", "1"), ("x-case", "2")]
    assert (first.connection, second.connection, third.connection) == (1, 1, 2)
    assert first.at < second.at < third.at
    assert datetime.datetime.now(datetime.UTC) - first.time < datetime.timedelta(minutes=1)
    assert third.header("hOST") == "desk.example"


def test_a_chunked_upstream_answer_passes_and_can_be_edited() -> None:
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"".join(
        b"%x;e\r\n%s\r\n" % (len(part), part) for part in (BODY[:10], BODY[10:])
    )
    answer += b"0\r\nX-Trailer: t\r\n\r\n"
    plan = [Fault(nth=2, action=Total(value=9))]
    with Upstream(answer).running() as upstream, FaultFront(upstream.url, plan) as front:
        assert ask(front).data == answer
        assert json.loads(ask(front).body)["total_entries"] == 9


def test_a_compressed_upstream_answer_can_be_edited() -> None:
    packed = gzip.compress(BODY)
    answer = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s" % (len(packed), packed)
    with Upstream(answer).running() as upstream, FaultFront(upstream.url, [Fault(action=Total(value=9))]) as front:
        seen = ask(front)
    assert seen.header("Content-Encoding") is None
    assert json.loads(seen.body)["total_entries"] == 9


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", b"nonsense\r\n\r\n"])
def test_an_upstream_that_breaks_off_is_a_502_that_says_so(answer: bytes) -> None:
    with Upstream(answer).running() as upstream, FaultFront(upstream.url, []) as front:
        seen = ask(front)
    assert seen.status == 502
    assert b"upstream" in seen.body


def test_an_upstream_that_is_not_there_is_a_502() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with FaultFront(f"http://127.0.0.1:{port}", []) as front:
        assert ask(front).status == 502


@pytest.mark.parametrize(
    "url", ["https://127.0.0.1", "http://127.0.0.1/path", "127.0.0.1:80", "http://u@h", "http://h?q"]
)
def test_an_upstream_must_be_a_plain_http_origin(url: str) -> None:
    with pytest.raises(ValueError, match="http://host:port"):
        FaultFront(url, [])


def test_head_and_keep_alive() -> None:
    with FaultFront(None, respond=page) as front:
        connection = http.client.HTTPConnection("127.0.0.1", front.port, timeout=TIMEOUT)
        with contextlib.closing(connection):
            for method, body in (("HEAD", b""), ("GET", BODY), ("GET", BODY)):
                connection.request(method, "/cases")
                answer = connection.getresponse()
                assert (answer.getheader("Content-Length"), answer.read()) == (str(len(BODY)), body)
        assert len(front.contacts) == 1


def test_head_has_no_body_on_the_wire() -> None:
    with FaultFront(None, respond=page) as front, connect(front) as sock:
        sock.sendall(b"HEAD / HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n")
        seen = read(sock)
        assert (seen.header("Content-Length"), seen.body, seen.ending) == (str(len(BODY)), b"", "fin")


def test_a_client_that_asks_before_it_sends_a_body_is_told_to_go_on() -> None:
    with FaultFront(None, respond=page) as front, connect(front) as sock:
        sock.sendall(
            b"POST / HTTP/1.1\r\nHost: d\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
        )
        assert sock.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"ab")
        assert read(sock).body == BODY
        assert front.requests[0].body == b"ab"


@pytest.mark.parametrize(
    "garbage", [b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nno colon\r\n\r\n", b"GET / FTP/1\r\n\r\n"]
)
def test_what_is_not_http_is_refused(garbage: bytes) -> None:
    with FaultFront(None, respond=page) as front, connect(front) as sock:
        sock.sendall(garbage)
        seen = read(sock)
        assert (seen.status, seen.ending, front.requests) == (400, "fin", [])


# --- plans


def statuses(front: FaultFront, *targets: str) -> list[int]:
    return [ask(front, target).status for target in targets]


def test_nth_and_times_count_matching_requests_only() -> None:
    plan = [Fault(match=r"^GET /a\?", nth=2, times=2, action=Status(code=503))]
    with FaultFront(None, plan, respond=page) as front:
        assert statuses(front, "/a?1", "/b", "/a?2", "/b", "/a", "/a?3", "/a?4") == [200, 200, 503, 200, 200, 503, 200]
        assert [hit.request.target for hit in front.hits] == ["/a?2", "/a?3"]
        assert front.hits[0].fault is plan[0]


def test_times_none_hits_for_ever_until_the_plan_is_replaced() -> None:
    with FaultFront(None, [Fault(nth=2, times=None, action=Status(code=500))], respond=page) as front:
        assert statuses(front, *["/"] * 4) == [200, 500, 500, 500]
        front.replan([])
        assert statuses(front, "/", "/") == [200, 200]
        front.replan([Fault(nth=2, action=Status(code=429))])
        assert statuses(front, "/", "/", "/") == [200, 429, 200]


def test_match_may_be_a_function_of_the_request() -> None:
    def from_second(request: Request) -> bool:
        return request.header("host") == "desk.example" and request.number > 1

    with FaultFront(None, [Fault(match=from_second, action=Status(code=500))], respond=page) as front:
        assert statuses(front, "/", "/", "/") == [200, 500, 200]


def test_each_fault_counts_for_itself_and_several_apply_in_order() -> None:
    plan = [
        Fault(nth=2, action=[Replace(pattern="Gr", text="Hr"), Headers(set={"X-One": "1"})]),
        Fault(nth=2, times=2, action=[Replace(pattern="Hr|Gr", text="Ir"), Headers(set={"x-one": "2"})]),
        Fault(nth=3, action=Status(code=500)),
    ]
    with FaultFront(None, plan, respond=page) as front:
        first, second = ask(front), ask(front)
        assert (first.header("X-One"), second.header("X-One")) == (None, "2")
        assert "Irüße" in second.body.decode()
        front.replan([Fault(action=Status(code=500)), Fault(action=Status(code=429)), Fault(action=Headers(clock=0))])
        third = ask(front)
        assert (third.status, third.header("Date") is not None) == (500, True)


def test_a_plan_from_json_does_the_same() -> None:
    text = """[{"match": "^GET /a", "nth": 2, "action": {"name": "status", "code": 429, "retry_after": 7}},
               {"match": "^GET /b", "times": null, "action": [{"name": "total", "value": null},
                                                              {"name": "headers", "set": {"X-A": "b"}}]}]"""
    with FaultFront(None, plan_from_json(text), respond=page) as front:
        assert statuses(front, "/a", "/a", "/a") == [200, 429, 200]
        for _ in range(2):
            seen = ask(front, "/b")
            assert (json.loads(seen.body)["total_entries"], seen.header("X-A")) == (None, "b")


@pytest.mark.parametrize(
    ("plan", "complaint"),
    [
        ("{}", "a list"),
        ('[{"action": {"name": "explode"}}]', r"plan\[0\].*must be one of body, dead_connection"),
        ('[{"action": {"name": "call"}}]', r"must be one of"),
        ('[{"action": {"name": "status", "kode": 1}}]', r"Status has no kode; it has code, body"),
        ('[{"action": {"name": "status", "code": "429"}}]', r"code is '429'; it must be of type int"),
        ('[{"action": {"name": "gate", "max_hold": true}}]', r"max_hold is True"),
        ('[{"action": {"name": "body", "kind": "x"}}]', r"kind is 'x'; it must be one of 'truncated'"),
        ('[{"action": {"name": "value", "at": "a"}}]', r"Value needs text"),
        ('[{"action": {"name": "next_link", "to": "foreign"}}]', r"needs origin"),
        ('[{"action": {"name": "next_link", "to": "literal"}}]', r"needs href"),
        ('[{"match": "a"}]', r"Fault needs action"),
        ('[{"match": "(", "action": {"name": "repeat"}}]', r"plan\[0\]"),
        ('[{"match": 1, "action": {"name": "repeat"}}]', r"match is 1"),
        ('[{"nth": 0, "action": {"name": "repeat"}}]', r"nth is 0"),
        ('[{"nth": 1.5, "action": {"name": "repeat"}}]', r"nth is 1.5"),
        ('[{"times": 0, "action": {"name": "repeat"}}]', r"times is 0"),
        ('[{"action": []}]', r"action is"),
        ("[1]", r"plan\[0\]: 1 is no object"),
    ],
)
def test_a_wrong_plan_is_refused_with_its_place(plan: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        plan_from_json(plan)


def test_every_action_has_a_name_or_takes_a_function() -> None:
    kinds = {kind for kind in vars(faults).values() if isinstance(kind, type) and issubclass(kind, Action)}
    assert kinds - set(faults.ACTIONS.values()) == {Action, Call, Edit}


def test_a_third_party_may_add_an_action() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Shout(Action):
        async def change(self, exchange: Exchange, response: Response) -> Response:
            return Response(body=f"{exchange.hit} {response.body.decode().upper()}".encode())

    with FaultFront(None, [Fault(times=None, action=Shout())], respond=page) as front:
        assert [ask(front).body.decode() for _ in range(2)] == [f"{n} {TEXT.upper()}" for n in (1, 2)]


# --- A1 to A8, A17 to A19: statuses


@pytest.mark.parametrize(
    ("value", "sent"), [(7, "7"), (0.5, "0.5"), (-3, "-3"), ("soon", "soon"), (978307200, "978307200"), (None, None)]
)
def test_retry_after_as_it_is_given(value: Any, sent: str | None) -> None:  # A1 to A5
    seen = seen_with(Status(code=429, retry_after=value))
    assert (seen.status, seen.header("Retry-After"), seen.ending) == (429, sent, "fin")


@pytest.mark.parametrize("seconds", [90.0, -90.0])
def test_retry_after_as_a_date(seconds: float) -> None:  # A3
    value = seen_with(Status(code=429, retry_after_date=seconds)).header("Retry-After")
    assert value is not None
    assert value.endswith(" GMT")
    distance = (email.utils.parsedate_to_datetime(value) - datetime.datetime.now(datetime.UTC)).total_seconds()
    assert abs(distance - seconds) < 30


@pytest.mark.parametrize("code", [200, 401, 403, 404, 500, 502, 503, 504])
def test_error_pages_are_html(code: int) -> None:  # A6 to A8, A17
    seen = seen_with(Status(code=code))
    assert (seen.status, seen.header("Content-Type")) == (code, "text/html; charset=utf-8")
    assert seen.body.startswith(b"<!DOCTYPE html>")
    assert seen.header("Content-Length") == str(len(seen.body))


def test_status_takes_headers_body_and_phrase() -> None:
    seen = seen_with(Status(code=418, body="{}", headers={"X-A": "1"}, content_type="application/json", reason="Tea"))
    assert seen.data == (b"HTTP/1.1 418 Tea\r\nContent-Type: application/json\r\nX-A: 1\r\nContent-Length: 2\r\n\r\n{}")
    assert seen_with(Status(code=599)).head.startswith(b"HTTP/1.1 599 ")


def test_zero_bytes_and_204() -> None:  # A19
    empty, none = seen_with(Status(code=200, body="")), seen_with(Status(code=204))
    assert (empty.status, empty.body, empty.header("Content-Length")) == (200, b"", "0")
    assert (none.status, none.body, none.header("Content-Length")) == (204, b"", None)


def test_instead_of_an_answer_nothing_is_forwarded() -> None:
    server = Upstream(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    plan = [Fault(action=Status(code=500)), Fault(nth=2, action=Reset())]
    with server.running() as upstream, FaultFront(upstream.url, plan) as front:
        assert (ask(front).status, ask(front).ending, ask(front).status) == (500, "reset", 200)
    assert len(upstream.received) == 1


def test_redirects() -> None:  # H2
    with FaultFront(None, [Fault(times=None, action=Redirect(code=307))], respond=page) as front:
        status, headers, _ = via_http_client(front, "/a?b=c")
        assert (status, headers["Location"]) == (307, f"{front.url}/a?b=c")
    seen = seen_with(Redirect(code=308, location="file:///etc/passwd"))
    assert (seen.status, seen.header("Location")) == (308, "file:///etc/passwd")


# --- A9 to A11, A14, A15: early ends


@pytest.mark.parametrize(("kind", "ending"), [(Reset, "reset"), (Fin, "fin")])
def test_an_early_end(kind: type[Reset] | type[Fin], ending: str) -> None:  # A9, A10
    assert seen_with(kind(at="start")) == Seen(b"", ending)
    for at, body in (("head", b""), ("half", BODY[: len(BODY) // 2]), ("body", BODY), ("end", BODY)):
        seen = seen_with(kind(at=at))
        assert (seen.header("Content-Length"), seen.body, seen.ending) == (str(len(BODY)), body, ending)


@pytest.mark.parametrize(("kind", "ending"), [(Reset, "reset"), (Fin, "fin")])
def test_chunks_without_an_end(kind: type[Reset] | type[Fin], ending: str) -> None:  # A10
    half, size = BODY[: len(BODY) // 2], b"%x\r\n" % len(BODY)
    for at, body in (
        ("half", size + half),
        ("body", size + BODY + b"\r\n"),
        ("end", size + BODY + b"\r\n0\r\n\r\n"),
    ):
        seen = seen_with(kind(at=at, framing="chunked"))
        assert (seen.header("Transfer-Encoding"), seen.header("Content-Length")) == ("chunked", None)
        assert (seen.body, seen.ending) == (body, ending)


def test_a_connection_closed_after_the_answer_without_a_word() -> None:  # A11
    with FaultFront(None, [Fault(action=Fin(at="end"))], respond=page) as front, connect(front) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: d\r\n\r\n")
        seen = read(sock)
    assert (seen.body, seen.ending, seen.header("Connection")) == (BODY, "fin", None)


@pytest.mark.parametrize(("how", "ending"), [("reset", "reset"), ("fin", "fin")])
def test_a_dead_pooled_connection(how: Any, ending: str) -> None:  # A11
    ask_again = b"GET /two HTTP/1.1\r\nHost: d\r\n\r\n"
    plan = [Fault(action=DeadConnection(how=how)), Fault(nth=2, action=Status(code=500))]
    with FaultFront(None, plan, respond=page) as front, connect(front) as sock:
        sock.sendall(b"GET /one HTTP/1.1\r\nHost: d\r\n\r\n")
        answer = http.client.HTTPResponse(sock)
        answer.begin()
        assert (answer.read(), answer.will_close) == (BODY, False)
        sock.sendall(ask_again)
        assert read(sock) == Seen(b"", ending)
        assert [request.target for request in front.requests] == ["/one", "/two"]
        assert ask(front).status == 500  # the request that met the dead connection was not counted


@pytest.mark.parametrize(("at", "sent"), [("start", None), ("head", b""), ("half", BODY[: len(BODY) // 2])])
def test_silence_lasts_until_the_client_goes(at: Any, sent: bytes | None) -> None:  # A14, A15
    with FaultFront(None, [Fault(action=Silence(at=at))], respond=page) as front:
        with connect(front) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n")
            front.wait_held()  # what it will ever send has been sent
            sock.settimeout(0.1)
            seen = read(sock)
        assert seen.ending == "open"
        assert (seen.body if seen.data else None) == sent
        deadline = time.monotonic() + TIMEOUT
        while front.held and time.monotonic() < deadline:
            time.sleep(0.01)
        assert front.held == 0
        assert ask(front).body == BODY  # the next one is served


def test_silence_is_bounded() -> None:  # A14
    assert seen_with(Silence(max_hold=0.05)) == Seen(b"", "reset")


# --- A12, A13: waits


def waits(front: FaultFront, count: int) -> list[float]:
    """How long each of several requests in a row took, in seconds."""
    found = []
    for _ in range(count):
        start = time.monotonic()
        assert ask(front).body == BODY
        found.append(time.monotonic() - start)
    return found


def test_latency() -> None:  # A12
    with FaultFront(None, [Fault(times=None, action=Latency(seconds=0.1, jitter=0.1, seed=1))], respond=page) as front:
        assert min(waits(front, 3)) >= 0.1


def test_one_seed_of_latency_waits_alike_in_every_run() -> None:  # A12
    first, again, other = (Latency(seconds=1, jitter=2, seed=seed) for seed in (1, 1, 2))
    waited = [[latency.wait(hit) for hit in (1, 2, 3)] for latency in (first, again, other)]
    assert waited[0] == waited[1] != waited[2]
    assert len(set(waited[0])) == 3
    assert all(1 <= seconds <= 3 for seconds in waited[0])


def test_slow_loris_sends_all_of_it_bit_by_bit() -> None:  # A13
    plan = [Fault(action=SlowLoris(size=len(BODY) // 4, every=0.1))]
    with FaultFront(None, plan, respond=page) as front, connect(front) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n")
        pieces = []
        while piece := sock.recv(65536):
            pieces.append(piece)
    assert b"".join(pieces).partition(b"\r\n\r\n")[2] == BODY
    assert len(pieces) >= 3  # five when none of them met another on the way


def test_slow_loris_for_ever_is_bounded() -> None:  # A13
    seen = seen_with(SlowLoris(size=1, every=0.02, head=True, max_hold=0.4))
    assert seen.ending == "reset"
    assert 0 < len(seen.data) < 30
    assert b"HTTP/1.1 200 OK\r\n".startswith(seen.data[:10])


def test_a_gate_holds_the_answer_until_it_is_released() -> None:
    called: list[str] = []
    plan = [Fault(match="^GET /after", action=Gate()), Fault(match="^GET /before", action=Gate(when="before"))]

    def respond(request: Request) -> Response:
        called.append(request.target)
        return Response(body=BODY)

    with FaultFront(None, plan, respond=respond) as front:
        with connect(front) as after, connect(front) as before:
            after.sendall(b"GET /after HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n")
            front.wait_held(1)
            before.sendall(b"GET /before HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n")
            front.wait_held(2)
            assert called == ["/after"]
            assert ask(front, "/free").body == BODY
            after.settimeout(0.1)
            assert read(after) == Seen(b"", "open")
            front.release()
            after.settimeout(TIMEOUT)
            assert (read(after).body, read(before).body) == (BODY, BODY)
        assert called == ["/after", "/free", "/before"]
        with pytest.raises(TimeoutError, match="0 of 1"):
            front.wait_held(timeout=0.01)


def test_a_gate_is_bounded() -> None:
    assert seen_with(Gate(max_hold=0.05)).body == BODY


@pytest.mark.parametrize(("when", "served"), [("before", ["changed"]), ("after", ["old"])])
def test_a_call_changes_the_source_before_or_after_forwarding(when: Any, served: list[str]) -> None:
    state = ["old"]
    told: list[str] = []

    def change(request: Request) -> None:
        assert ask(front, "/other").status == 200  # the front serves others meanwhile
        state[:] = ["changed"]
        told.append(request.target)

    plan = [Fault(match="^GET /cases", action=Call(run=change, when=when))]
    with FaultFront(None, plan, respond=lambda request: Response.of_json(state)) as front:
        assert json.loads(ask(front).body) == served
        assert (state, told) == (["changed"], ["/cases"])


# --- A16 to A24: bodies


def test_damaged_bodies() -> None:  # A16, A18 to A21
    bodies = {
        "truncated": BODY[: len(BODY) // 2],
        "empty": b"",
        "bom": b"\xef\xbb\xbf" + BODY,
        "utf16": TEXT.encode("utf-16"),
        "not_utf8": BODY.replace(b'"', b'"\xff', 1),
    }
    for kind, body in bodies.items():
        seen = seen_with(Body(kind=kind))
        assert (seen.status, seen.body, seen.header("Content-Length")) == (200, body, str(len(body)))
        assert seen.header("Content-Type") == "application/json; charset=utf-8"
    with pytest.raises(UnicodeDecodeError):
        bodies["not_utf8"].decode()
    error = seen_with(Body(kind="error_object"))
    assert (error.status, list(json.loads(error.body))) == (200, ["message"])


def test_gzip_labels() -> None:  # A21
    wrong, unlabelled, right = (seen_with(Body(kind=kind)) for kind in ("wrong_gzip", "unlabelled_gzip", "gzip"))
    assert (wrong.header("Content-Encoding"), wrong.body) == ("gzip", BODY)
    assert (unlabelled.header("Content-Encoding"), gzip.decompress(unlabelled.body)) == (None, BODY)
    assert (right.header("Content-Encoding"), gzip.decompress(right.body)) == ("gzip", BODY)


def test_a_gzip_bomb_is_valid_json_of_the_size_that_was_asked_for() -> None:  # A22
    seen = seen_with(GzipBomb(size=8 << 20))
    assert (seen.header("Content-Encoding"), seen.header("Content-Length")) == ("gzip", str(len(seen.body)))
    text = gzip.decompress(seen.body)
    assert len(text) == (8 << 20) + 2
    assert json.loads(text) == []


def test_the_gzip_bomb_is_a_gibibyte_behind_a_mebibyte_and_is_never_held() -> None:  # A22, H10
    gc.collect()
    tracemalloc.start()
    try:
        with FaultFront(None, [Fault(action=GzipBomb())]) as front, connect(front) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n")
            answer = http.client.HTTPResponse(sock)
            answer.begin()
            unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
            packed = answer.read(4096)
            assert len(unpacker.decompress(packed, 2 << 20)) == 2 << 20
            total = len(packed)
            while piece := answer.read(65536):
                total += len(piece)
                packed = piece
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert total < 1.1 * (1 << 20)
    assert int.from_bytes(packed[-4:], "little") == (1 << 30) + 2  # the size that gzip's trailer names
    assert peak < 16 << 20


def test_deep_nesting() -> None:  # A23
    seen = seen_with(Nested())
    assert seen.body == b"[" * 200_000 + b"]" * 200_000
    assert seen_with(Nested(depth=2)).body == b"[[]]"


@pytest.mark.parametrize("text", ["NaN", "-Infinity", "tru", "01", "1e400", '"\\ud800"', "9" * 5000, ""])
def test_literals_are_put_in_as_they_stand(text: str) -> None:  # A24
    body = seen_with(Value(at="_embedded.entries.1.id", text=text)).body.decode()
    assert f'{{"id":{text},"subject":"b"}}' in body
    assert '"price":50000.0000000000000001' in body


def test_raw_text_is_replaced() -> None:
    assert seen_with(Replace(pattern=r'"id": \d', text=r'"id": 1, "id": \1', count=2)).body.decode() == re.sub(
        r'"id": [12]', lambda _: r'"id": 1, "id": \1', TEXT
    )


# --- A25 to A36: pages


def test_the_previous_page_is_served_again() -> None:  # A25
    plan = [Fault(match="^GET /cases", nth=2, action=Repeat())]
    with FaultFront(None, plan, respond=lambda request: Response.of_json(request.target)) as front:
        served = [json.loads(ask(front, target).body) for target in ("/cases?1", "/other", "/cases?2", "/cases?3")]
    assert served == ["/cases?1", "/other", "/cases?1", "/cases?3"]
    assert seen_with(Repeat()).body == BODY  # there is no previous one


def ids(page: Any) -> list[Any]:
    return [entry["id"] if isinstance(entry, dict) else entry for entry in page["_embedded"]["entries"]]


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        (Entries(how="duplicate"), [1, 1, 2, 3]),  # A26
        (Entries(how="duplicate", index=1, count=2), [1, 2, 2, 3, 3]),
        (Entries(how="reverse"), [3, 2, 1]),  # A27
        (Entries(how="shuffle", seed=2), [2, 3, 1]),
        (Entries(how="drop", index=1), [1, 3]),  # A31
        (Entries(how="drop", count=2), [3]),
        (Entries(how="null", index=1), [1, None, 2, 3]),  # A32
        (Entries(how="not_object", index=3, count=5), [1, 2, 3, 7, "an entry", True, [], 7]),
        (Entries(how="empty"), []),  # A33
    ],
)
def test_entries(action: Entries, expected: list[Any]) -> None:
    page = page_with(action)
    assert ids(page) == expected
    assert (page["total_entries"], page["_links"]) == (3, PAGE["_links"])  # an empty page keeps its next link


def test_entries_missing() -> None:  # A33
    page = page_with(Entries(how="missing"))
    assert "_embedded" not in page
    assert page["_links"] == PAGE["_links"]


@pytest.mark.parametrize("value", [0, 10**30, -1, None, "three", 1.5, [3]])
def test_totals(value: Any) -> None:  # A30
    page = page_with(Total(value=value))
    assert page["total_entries"] == value
    assert ids(page) == [1, 2, 3]


def test_a_total_may_be_raw() -> None:  # A30
    assert b'"total_entries":NaN' in seen_with(Total(value=Raw(text="NaN"))).body


def href(action: NextLink, target: str = "/cases?page=1") -> Any:
    link = page_with(action, target=target)["_links"]["next"]
    assert link["class"] == "page"
    return link["href"]


def test_next_links() -> None:  # A34, A36, H1
    assert href(NextLink(to="self")) == "/cases?page=1"
    assert href(NextLink(to="relative")) == "/cases?page=2"
    assert href(NextLink(to="foreign", origin="http://evil.example:81/")) == "http://evil.example:81/cases?page=2"
    assert href(NextLink(to="protocol_relative", origin="http://evil.example:81")) == "//evil.example:81/cases?page=2"
    assert href(NextLink(to="file")) == "file:///etc/passwd"
    assert href(NextLink(to="crlf")) == "/cases?page=2\r\nX-Injected: yes"
    assert href(NextLink(to="literal", href="gopher://x")) == "gopher://x"
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/cases\?page=2", href(NextLink(to="absolute")))
    assert re.fullmatch(
        r"http://127\.0\.0\.1:\d+@evil/cases\?page=2", href(NextLink(to="userinfo", origin="http://evil"))
    )


def test_the_next_link_ends_too_early() -> None:  # A35
    assert page_with(NextLink(to="null"))["_links"] == {"next": None}
    assert page_with(NextLink(to="null", at="_links.next"))["_links"] == {"next": None}


def test_the_next_link_runs_in_a_circle() -> None:  # A34
    with FaultFront(None, [Fault(match="cases", nth=3, action=NextLink(to="circle"))], respond=page) as front:
        pages = [
            json.loads(ask(front, f"/{name}").body)
            for name in ("other", "cases?page=1", "cases?page=2", "cases?page=3")
        ]
    assert [page["_links"]["next"]["href"] for page in pages] == ["/cases?page=2"] * 3 + ["/cases?page=1"]


def test_a_next_link_is_made_where_there_is_none() -> None:  # A33
    plan = [Fault(action=NextLink(to="self", at="paging.next"))]
    with FaultFront(None, plan, respond=lambda request: Response.of_json({"paging": None})) as front:
        assert json.loads(ask(front, "/x?y").body) == {"paging": {"next": "/x?y"}}


def test_an_edit_by_a_function_keeps_every_digit() -> None:
    def edit(page: Any) -> None:
        page["seen"] = page["price"] * 2

    page = page_with(Edit(run=edit))
    assert (page["price"], page["seen"]) == (PAGE["price"], decimal.Decimal("100000.0000000000000002"))
    assert page["_embedded"]["entries"][0]["subject"] == "Grüße"
    assert page_with(Edit(run=lambda page: [1, Raw(text="1.10")])) == [1, decimal.Decimal("1.10")]


def test_edits_leave_error_answers_alone() -> None:
    plan = [Fault(action=Entries(how="drop"))]
    with FaultFront(None, plan, respond=lambda request: Response(status=429, body=b"slow down")) as front:
        seen = ask(front)
    assert (seen.status, seen.body) == (429, b"slow down")


# --- A38, A39, A43: headers and framings


def test_headers() -> None:  # A38, A39, A43
    status, headers, body = 0, {}, b""
    with FaultFront(None, [Fault(action=Headers(filler=24_576, clock=-7200))], respond=page) as front:
        status, headers, body = via_http_client(front)
    assert (status, body) == (200, BODY)
    assert 24_576 <= sum(len(name) + len(value) + 4 for name, value in headers.items()) < 26_000
    off = datetime.datetime.now(datetime.UTC) - email.utils.parsedate_to_datetime(headers["Date"])
    assert datetime.timedelta(hours=2) <= off < datetime.timedelta(hours=2, minutes=1)
    assert seen_with(Headers(drop=["content-type"], set={"X-A": "1"})).head == (
        b"HTTP/1.1 200 OK\r\nX-A: 1\r\nContent-Length: %d" % len(BODY)
    )


def chunks(body: bytes) -> list[tuple[bytes, bytes]]:
    """Each chunk's size line and content."""
    found = []
    while body:
        line, _, body = body.partition(b"\r\n")
        size = int(line.split(b";")[0], 16)
        if not size:
            found.append((line, body))
            break
        found.append((line, body[:size]))
        assert body[size : size + 2] == b"\r\n"
        body = body[size + 2 :]
    return found


@pytest.mark.parametrize("size", [0, 1, 100])
def test_chunks(size: int) -> None:  # A43
    seen = seen_with(Framing(chunk=size, extensions=True, trailers=True))
    assert (seen.header("Transfer-Encoding"), seen.header("Content-Length")) == ("chunked", None)
    *parts, last = chunks(seen.body)
    assert last == (b"0", b"X-Trailer: seen\r\n\r\n")
    assert b"".join(content for _, content in parts) == BODY
    assert {len(content) for _, content in parts[:-1]} == ({size} if size else set())
    assert all(line.endswith(b';name="value";flag') for line, _ in parts)


def test_odd_heads() -> None:  # A43
    lower = seen_with(Framing(body="length", lower_case=True))
    assert (
        lower.head
        == b"HTTP/1.1 200 OK\r\ncontent-type: application/json; charset=utf-8\r\ncontent-length: %d" % len(BODY)
    )
    folded = seen_with(Framing(body="length", folded=True))
    assert b"\r\nX-Folded: one\r\n two\r\nX-Twice: one\r\nX-Twice: two\r\n" in folded.head
    assert (lower.body, folded.body) == (BODY, BODY)


def test_bodies_that_end_with_the_connection() -> None:  # A43
    for framing, version in ((Framing(http10=True), b"HTTP/1.0"), (Framing(body="close"), b"HTTP/1.1")):
        with FaultFront(None, [Fault(action=framing)], respond=page) as front, connect(front) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: d\r\n\r\n")
            seen = read(sock)
        assert seen.head.startswith(version)
        assert (seen.header("Content-Length"), seen.header("Transfer-Encoding")) == (None, None)
        assert (seen.body, seen.ending) == (BODY, "fin")


def test_odd_framings_are_understood_by_a_client() -> None:  # A43
    plan = [
        Fault(nth=number, action=framing)
        for number, framing in enumerate(
            (
                Framing(chunk=1, extensions=True, trailers=True),
                Framing(http10=True),
                Framing(folded=True, lower_case=True),
            ),
            1,
        )
    ]
    with FaultFront(None, plan, respond=page) as front:
        assert [via_http_client(front)[2] for _ in range(4)] == [BODY] * 4


# --- the canary


@pytest.mark.parametrize("origin", ["foreign", "protocol_relative", "userinfo"])
def test_a_client_that_follows_a_foreign_link_is_caught(origin: Any) -> None:  # H1
    with (
        CanaryServer() as canary,
        FaultFront(None, [Fault(action=NextLink(to=origin, origin=canary.url))], respond=page) as front,
    ):
        link = urllib.parse.urljoin(front.url, json.loads(ask(front).body)["_links"]["next"]["href"])
        assert canary.contacts == []
        with urllib.request.urlopen(re.sub("//.*@", "//", link), timeout=TIMEOUT) as answer:  # noqa: S310  loopback
            assert answer.status == 200
        assert [request.target for request in canary.requests] == ["/cases?page=2"]


def test_the_canary_sees_even_a_bare_connection() -> None:  # H1, H2
    with CanaryServer() as canary:
        assert (canary.contacts, canary.requests) == ([], [])
        with connect(canary):
            assert len(canary.contacts) == 1
        assert json.loads(ask(canary, "/x").body)["_embedded"] == {"entries": []}
        assert [request.line for request in canary.requests] == ["GET /x"]
        assert len(canary.contacts) == 2
    assert len(canary.contacts) == 2  # also when it has closed


# --- ends


def front_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("fault-front")]


def test_closing_frees_every_held_connection_and_leaves_no_thread(caplog: pytest.LogCaptureFixture) -> None:
    plan = [
        Fault(match="silence", action=Silence(at="half", max_hold=600)),
        Fault(match="gate", action=Gate(max_hold=600)),
        Fault(match="latency", action=Latency(seconds=600)),
        Fault(match="loris", action=SlowLoris(every=600, max_hold=600)),
    ]
    front = FaultFront(None, plan, respond=page)
    with contextlib.ExitStack() as stack:
        with front:
            clients = [stack.enter_context(connect(front)) for _ in range(5)]
            for client, name in zip(clients, ("silence", "gate", "latency", "loris"), strict=False):
                client.sendall(f"GET /{name} HTTP/1.1\r\nHost: d\r\n\r\n".encode())
            front.wait_held(2)
            while len(front.hits) < 4:
                time.sleep(0.01)
            while front_threads() != ["fault-front"]:  # those that made the answers are ending
                time.sleep(0.01)
        assert all(read(client).ending in ("fin", "reset") for client in clients)  # not one is left to its 600 s
    assert (front_threads(), caplog.records) == ([], [])
    with pytest.raises(ConnectionRefusedError):
        connect(front)
    front.close()


def test_clients_that_vanish_hurt_nobody() -> None:
    plan = [Fault(match="silence", times=None, action=Silence()), Fault(match="loris", times=None, action=SlowLoris())]
    with FaultFront(None, plan, respond=page) as front:
        for target in ("silence", "loris", "plain"):
            for abrupt in (True, False):
                with connect(front) as sock:
                    if abrupt:
                        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    sock.sendall(f"GET /{target} HTTP/1.1\r\nHost: d\r\n\r\n".encode())
                    while front.requests[-1:] == [] or target not in front.requests[-1].target:
                        time.sleep(0.01)
        with connect(front) as sock:
            sock.sendall(b"GET / HTT")
        deadline = time.monotonic() + TIMEOUT
        while front.held and time.monotonic() < deadline:
            time.sleep(0.01)
        assert front.held == 0  # the held ones were let go when their clients went
        assert ask(front).body == BODY
    assert front.errors == []


def boom(*args: Any) -> Any:
    raise LookupError("the test's own mistake")


@pytest.mark.parametrize(
    "plan",
    [
        [Fault(action=Call(run=boom))],
        [Fault(action=Edit(run=boom))],
        [Fault(match=boom, action=Repeat())],
        [Fault(action=Value(at="_embedded.entriez", text="1"))],
        [Fault(action=Entries(how="drop", at="total_entries"))],
    ],
)
def test_a_mistake_of_the_test_resets_the_request_and_is_raised_at_the_end(plan: list[Fault]) -> None:
    with pytest.raises(LookupError), FaultFront(None, plan, respond=page) as front:  # noqa: PT012  raised by the exit
        assert ask(front).ending == "reset"
        assert ask(front).ending in ("fin", "reset")  # it goes on serving


def test_a_pattern_that_is_not_there_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="is not in the answer to GET /cases"):
        seen_with(Replace(pattern="nowhere", text=""))


def test_a_mistake_does_not_hide_the_exception_on_its_way() -> None:
    with pytest.raises(ZeroDivisionError), FaultFront(None, respond=boom) as front:  # noqa: PT012  raised by the exit
        ask(front)
        raise ZeroDivisionError
    assert [type(error) for error in front.errors] == [LookupError]
