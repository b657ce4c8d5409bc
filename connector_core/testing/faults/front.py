"""The front itself: a server in its own thread that forwards, breaks what the plan names, and records everything."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import inspect
import re
import threading
import time
import types
import urllib.parse
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from connector_core.testing.faults.action import ClientGoneError, Exchange, Line
from connector_core.testing.faults.messages import (
    HEAD_LIMIT,
    Contact,
    MalformedError,
    Request,
    Response,
    client_keeps_open,
    encode,
    read_body,
    read_head,
    read_response,
)
from connector_core.testing.faults.plan import Fault, Hit

Answerer = Callable[[Request], Response] | Callable[[Request], Awaitable[Response]]

UPSTREAM_LIMIT = 60.0  # seconds an upstream may take for one answer
JOIN_LIMIT = 0.5  # seconds that closing waits for functions of the test which are still running


@dataclass
class _Memory:
    """What the front remembers for one fault of the plan."""

    fault: Fault
    matched: int = 0
    hits: int = 0
    first: Request | None = None
    previous: Response | None = None


@dataclass
class _Waiting:
    """The answers that are being held; the condition guards both numbers."""

    changed: threading.Condition = field(default_factory=threading.Condition)
    count: int = 0
    gates: set[asyncio.Event] = field(default_factory=set)  # touched by the front's own thread only

    @contextlib.contextmanager
    def one(self) -> Iterator[None]:
        self._add(1)
        try:
            yield
        finally:
            self._add(-1)

    def _add(self, change: int) -> None:
        with self.changed:
            self.count += change
            self.changed.notify_all()


class FaultFront:
    """An HTTP/1.1 server on 127.0.0.1 that forwards each request to `upstream_url` and breaks answers by `plan`.

    Requests are forwarded byte for byte, each on a connection of its own, so that `Host` stays what the client sent: a
    signature made for `url` holds. Answers that no fault touches come back byte for byte. Without an upstream,
    `respond(request)` answers, in a thread of its own, or in the front's loop where it is a coroutine function; without
    both, what no fault answers is a 404. An upstream that cannot be reached, or breaks off, is a 502.

    `port` is where it listens (0: a free port). Requests in whose `METHOD path?query` the regex `spare` is found are
    counted and hit by no fault. `keep` is how many of the latest requests, contacts and hits are remembered (None:
    all).

    Use it as a context manager. Leaving it ends every connection at once, and then raises the first exception that a
    function of the plan, `respond` or an action has raised (`errors`), unless another exception is on its way.
    ValueError for an upstream that is not a plain `http://host:port`.
    """

    def __init__(
        self,
        upstream_url: str | None,
        plan: Sequence[Fault] = (),
        *,
        respond: Answerer | None = None,
        port: int = 0,
        spare: str | None = None,
        keep: int | None = None,
    ) -> None:
        if upstream_url is not None and respond is not None:
            raise ValueError("either an upstream or respond, not both")
        self._upstream = None if upstream_url is None else _address(upstream_url)
        self._respond = respond
        self._memories = [_Memory(fault) for fault in plan]
        self._waiting = _Waiting()
        self._spare = None if spare is None else re.compile(spare)
        self._requests: deque[Request] = deque(maxlen=keep)
        self._contacts: deque[Contact] = deque(maxlen=keep)
        self._hits: deque[Hit] = deque(maxlen=keep)
        self._received = self._connected = 0
        self._errors: list[BaseException] = []
        self._calls: list[threading.Thread] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._wanted, self._port = port, 0

    # --- life

    def __enter__(self) -> Self:
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), name="fault-front", daemon=True)
        self._thread.start()
        started.wait()
        if not self._port:
            self._thread.join()
            raise self._errors[0]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        self.close()
        if error is None and self._errors:
            raise self._errors[0]

    def close(self) -> None:
        """Ends every connection, held or not, and the threads; raises nothing of `errors`. Again it does nothing."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed already
                self._loop.call_soon_threadsafe(self._stop.set)
        if self._thread is not None:
            self._thread.join()
        deadline = time.monotonic() + JOIN_LIMIT
        for thread in self._calls:
            thread.join(max(deadline - time.monotonic(), 0))

    def _run(self, started: threading.Event) -> None:
        try:
            asyncio.run(self._main(started))
        except OSError as error:
            self._errors.append(error)
        finally:
            started.set()

    async def _main(self, started: threading.Event) -> None:
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self._serve, "127.0.0.1", self._wanted, limit=HEAD_LIMIT, backlog=512)
        self._port = server.sockets[0].getsockname()[1]
        self._loop = asyncio.get_running_loop()
        started.set()
        await self._stop.wait()
        self._loop.remove_reader(server.sockets[0].fileno())  # take no more connections, but begin with those taken:
        await _settle()  # asyncio leaves a connection open whose server closes, or task is cancelled, before that
        server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await _settle()

    # --- what a test may ask and do, from any thread

    @property
    def port(self) -> int:
        """The TCP port it listens on."""
        return self._port

    @property
    def url(self) -> str:
        """`http://127.0.0.1:port`, without a slash at the end."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def requests(self) -> list[Request]:
        """Every request received so far, in the order of arrival."""
        return list(self._requests)

    @property
    def contacts(self) -> list[Contact]:
        """Every connection so far, also those that sent nothing, and those the kernel has just taken."""
        thread = self._thread
        running = thread is not None and thread.is_alive() and thread is not threading.current_thread()
        if self._loop is not None and running:
            with contextlib.suppress(RuntimeError):  # closed in this very moment
                asyncio.run_coroutine_threadsafe(_settle(), self._loop).result(timeout=5)
        return list(self._contacts)

    @property
    def hits(self) -> list[Hit]:
        """Which request met which fault, in order: a test asks here whether its fault happened at all."""
        return list(self._hits)

    @property
    def errors(self) -> list[BaseException]:
        """What functions of the test, or actions, have raised; their requests met a reset."""
        return list(self._errors)

    @property
    def plan(self) -> list[Fault]:
        """The faults that are waiting for their requests, or had them."""
        return [memory.fault for memory in self._memories]

    def replan(self, plan: Sequence[Fault]) -> None:
        """Replaces the plan, counting from the start; `[]` heals all. Requests on their way keep their faults."""
        self._memories = [_Memory(fault) for fault in plan]

    def release(self) -> None:
        """Opens every Gate that holds at this moment; later ones hold again."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._open_gates)

    @property
    def held(self) -> int:
        """How many answers a Gate or a Silence holds at this moment."""
        return self._waiting.count

    def wait_held(self, count: int = 1, *, timeout: float = 10.0) -> None:
        """Waits until `count` answers are held by a Gate or a Silence. TimeoutError after `timeout` seconds."""
        with self._waiting.changed:
            if not self._waiting.changed.wait_for(lambda: self._waiting.count >= count, timeout):
                raise TimeoutError(f"{self._waiting.count} of {count} answers are held after {timeout} s")

    # --- connections

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, port = (writer.get_extra_info("peername") or ("", 0))[:2]
        self._connected += 1
        contact = Contact(number=self._connected, time=_now(), at=time.monotonic(), peer=(host, port))
        self._contacts.append(contact)
        line = Line(reader, writer)
        try:
            while await self._one(reader, line, contact.number):
                pass
        except (OSError, EOFError):  # the client has gone, which it may
            pass
        except MalformedError as error:
            with contextlib.suppress(ClientGoneError):
                await line.send(encode(Response(status=400, body=str(error).encode()), "GET"))
        except asyncio.CancelledError:  # the front closes; asyncio would log a connection's task that ends as cancelled
            writer.transport.abort()
        except Exception as error:
            self._errors.append(error)
            line.reset()
        finally:
            line.finish()

    async def _one(self, reader: asyncio.StreamReader, line: Line, connection: int) -> bool:
        """Takes one request and answers it; whether another may follow on the connection."""
        request = await self._receive(reader, line, connection)
        self._requests.append(request)
        if line.ending is not None:
            line.reset() if line.ending == "reset" else line.finish()
            return False
        met = self._meet(request)
        exchanges = [(memory, self._exchange(request, line, memory)) for memory, hit in met if hit]
        steps = [(action, exchange) for memory, exchange in exchanges for action in memory.fault.actions]
        for action, exchange in steps:
            await action.before(exchange)
        answers = (action.answer(exchange) for action, exchange in steps)
        response = next((answer for answer in answers if answer is not None), None)
        raw, open_ = b"", True
        if response is None:
            response, raw, open_ = await self._forward(request)
        received = response
        for action, exchange in steps:
            response = await action.change(exchange, response)
        for memory, _ in met:
            memory.previous = response
        open_ = open_ or response is not received  # the upstream's "close" goes with its own head
        for action, exchange in steps:
            delivered = await action.deliver(exchange, response)
            if delivered is not None:
                return delivered and client_keeps_open(request)
        await line.send(raw if raw and response is received else encode(response, request.method))
        return open_ and client_keeps_open(request)

    async def _receive(self, reader: asyncio.StreamReader, line: Line, connection: int) -> Request:
        first, headers, head = await read_head(reader)
        method, _, rest = first.partition(" ")
        target, _, version = rest.rpartition(" ")
        if not version.startswith("HTTP/1.") or not target:
            raise MalformedError(f"not a request line: {first[:80]!r}")
        if any(name.lower() == "expect" and value.lower() == "100-continue" for name, value in headers):
            await line.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        body, raw = await read_body(reader, headers, until_close=False)
        self._received += 1
        return Request(
            number=self._received,
            connection=connection,
            time=_now(),
            at=time.monotonic(),
            method=method,
            target=target,
            headers=headers,
            body=body,
            raw=head + raw,
        )

    def _meet(self, request: Request) -> list[tuple[_Memory, bool]]:
        """The faults that this request matches, each with whether it is hit."""
        met: list[tuple[_Memory, bool]] = []
        if self._spare is not None and self._spare.search(request.line):
            return met
        for memory in self._memories:
            if memory.fault.matches(request):
                memory.matched += 1
                memory.first = memory.first or request
                hit = memory.fault.hits(memory.matched)
                if hit:
                    memory.hits += 1
                    self._hits.append(Hit(fault=memory.fault, request=request))
                met.append((memory, hit))
        return met

    def _exchange(self, request: Request, line: Line, memory: _Memory) -> Exchange:
        async def gate(seconds: float) -> None:
            event = asyncio.Event()
            self._waiting.gates.add(event)
            try:
                with self._waiting.one():
                    await line.hold(seconds, event)
            finally:
                self._waiting.gates.discard(event)

        return Exchange(
            request=request,
            line=line,
            hit=memory.hits,
            first=memory.first or request,
            previous=memory.previous,
            url=self.url,
            gate=gate,
            call=self._call,
            held=self._waiting.one,
        )

    def _open_gates(self) -> None:
        for event in self._waiting.gates:
            event.set()

    # --- answers

    async def _forward(self, request: Request) -> tuple[Response, bytes, bool]:
        """The unbroken answer: it, its raw bytes where an upstream sent it, and whether the connection stays open."""
        if self._upstream is None:
            if self._respond is None:
                return Response.of_json({"message": "Nobody answers this."}, status=404), b"", True
            if inspect.iscoroutinefunction(self._respond):
                return await self._respond(request), b"", True
            return await self._call(self._respond, request), b"", True
        writer = None
        try:
            async with asyncio.timeout(UPSTREAM_LIMIT):
                reader, writer = await asyncio.open_connection(*self._upstream, limit=HEAD_LIMIT)
                writer.write(request.raw)
                return await read_response(reader, request.method)
        except (OSError, MalformedError, TimeoutError) as error:
            message = f"The fault front got no answer from its upstream: {type(error).__name__}: {error}"
            return Response.of_json({"message": message}, status=502), b"", True
        finally:
            if writer is not None:
                writer.transport.abort()

    async def _call(self, function: Callable[..., Any], *args: Any) -> Any:
        """Runs a function of the test in a thread of its own, so that it may block and may use the front."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()

        def tell(value: Any, error: BaseException | None) -> None:
            if future.done():
                return
            if error is None:
                future.set_result(value)
            else:
                future.set_exception(error)

        def run() -> None:
            value: Any = None
            error: Exception | None = None
            try:
                value = function(*args)
            except StopIteration as stop:  # no future can carry it
                error = RuntimeError(f"{function!r} raised {stop!r}")
            except Exception as raised:
                error = raised
            with contextlib.suppress(RuntimeError):  # the front has closed meanwhile
                loop.call_soon_threadsafe(tell, value, error)

        thread = threading.Thread(target=run, name="fault-front-call", daemon=True)
        self._calls = [*(other for other in self._calls if other.is_alive()), thread]
        thread.start()
        return await future


def _address(url: str) -> tuple[str, int]:
    parts = urllib.parse.urlsplit(url)
    if parts.scheme != "http" or not parts.hostname or parts.path not in ("", "/") or parts.query or parts.username:
        raise ValueError(f"the upstream must be http://host:port and nothing else, not {url!r}")
    return parts.hostname, parts.port or 80


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


async def _settle() -> None:
    """Lets the loop take every connection that the kernel has already finished, and end those that were closed."""
    for _ in range(10):
        await asyncio.sleep(0)
