"""The faults of the wire: statuses, waits, early ends, odd framings.

Seconds are floats. Nothing here waits longer than its `max_hold`, nor longer than the front is open. A client that
closes or half-closes its connection while it waits counts as gone.
"""

from __future__ import annotations

import abc
import asyncio
import datetime
import email.utils
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from connector_core.testing.faults.action import Action, Exchange
from connector_core.testing.faults.messages import Request, Response, bodiless, chunked, encode, head

StopPoint = Literal["start", "head", "half", "body", "end"]


def error_page(code: int) -> str:
    """What a proxy in front of an API says when the API is down."""
    return f"<!DOCTYPE html>\n<html><head><title>{code}</title></head><body><h1>{code}</h1></body></html>\n"


@dataclass(frozen=True, kw_only=True)
class Status(Action):
    """Answers with this status instead of forwarding (A1 to A8, A17 to A19).

    `body` None is an HTML error page; with `code` 200 that page is A17, and `body=""` is A19. `retry_after` is sent as
    it is (seconds, a negative number, text); `retry_after_date` is seconds from now, sent as an HTTP date, in the past
    when negative.
    """

    code: int = 503
    body: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "text/html; charset=utf-8"
    reason: str = ""
    retry_after: str | int | float | None = None
    retry_after_date: float | None = None

    def answer(self, exchange: Exchange) -> Response | None:
        body = error_page(self.code) if self.body is None else self.body
        if self.code in (204, 304):
            body = ""
        response = Response(
            status=self.code, headers=(("Content-Type", self.content_type),), body=body.encode(), reason=self.reason
        )
        if self.retry_after is not None:
            response = response.with_headers({"Retry-After": str(self.retry_after)})
        elif self.retry_after_date is not None:
            response = response.with_headers({"Retry-After": http_date(self.retry_after_date)})
        return response.with_headers(self.headers)


def http_date(seconds: float) -> str:
    """The instant `seconds` from now (UTC) as HTTP writes it (RFC 9110 section 5.6.7)."""
    instant = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)
    return email.utils.format_datetime(instant.replace(microsecond=0), usegmt=True)


@dataclass(frozen=True, kw_only=True)
class Redirect(Action):
    """Answers with a redirect: to `location` as it stands, or, with None, to the request's own URL, for ever (H2)."""

    code: int = 302
    location: str | None = None

    def answer(self, exchange: Exchange) -> Response | None:
        location = exchange.url + exchange.request.target if self.location is None else self.location
        return Response(status=self.code, headers=(("Location", location),))


@dataclass(frozen=True, kw_only=True)
class Repeat(Action):
    """Serves the previous matching request's answer again instead of forwarding (A25); the first one is forwarded."""

    def answer(self, exchange: Exchange) -> Response | None:
        return exchange.previous


@dataclass(frozen=True, kw_only=True)
class Headers(Action):
    """Sets and drops header lines.

    `clock` is how many seconds the Date header is off (A38, A39); `filler` is how many bytes of further lines to add,
    in lines of 1,000 bytes (A43: 24,576).
    """

    set: Mapping[str, str] = field(default_factory=dict)
    drop: tuple[str, ...] | list[str] = ()
    clock: float | None = None
    filler: int = 0

    async def change(self, exchange: Exchange, response: Response) -> Response:
        response = response.without(*self.drop).with_headers(self.set)
        if self.clock is not None:
            response = response.with_headers({"Date": http_date(self.clock)})
        names = [f"X-Filler-{number}" for number in range(-(-self.filler // 1000))]
        extra = tuple((name, "f" * (1000 - len(name) - 4)) for name in names)  # 4: ": " and the line's end
        return replace(response, headers=(*response.headers, *extra))


# --- waits


@dataclass(frozen=True, kw_only=True)
class Latency(Action):
    """Delays the answer by `seconds` and up to `jitter` more (A12).

    Under one `seed` the n-th hit waits the same in every run.
    """

    seconds: float
    jitter: float = 0.0
    seed: int = 0

    async def change(self, exchange: Exchange, response: Response) -> Response:
        await exchange.line.hold(self.wait(exchange.hit))
        return response

    def wait(self, hit: int) -> float:
        """How many seconds the hit of this number waits, from 1."""
        chance = random.Random(f"{self.seed}/{hit}").random()  # noqa: S311  replayable, guards nothing
        return self.seconds + self.jitter * chance


@dataclass(frozen=True, kw_only=True)
class Gate(Action):
    """Holds the answer, or with `when="before"` the forwarding, until `front.release()`; then goes on as if nothing
    was."""

    when: Literal["before", "after"] = "after"
    max_hold: float = 30.0

    async def before(self, exchange: Exchange) -> None:
        if self.when == "before":
            await exchange.gate(self.max_hold)

    async def change(self, exchange: Exchange, response: Response) -> Response:
        if self.when == "after":
            await exchange.gate(self.max_hold)
        return response


@dataclass(frozen=True, kw_only=True)
class Call(Action):
    """Runs a function of the test just before or just after forwarding, for instance one that changes the source.

    It is given the request and runs in a thread of its own while the request waits. What it raises is raised again when
    the front closes.
    """

    run: Callable[[Request], object]
    when: Literal["before", "after"] = "after"

    async def before(self, exchange: Exchange) -> None:
        if self.when == "before":
            await exchange.call(self.run, exchange.request)

    async def change(self, exchange: Exchange, response: Response) -> Response:
        if self.when == "after":
            await exchange.call(self.run, exchange.request)
        return response


@dataclass(frozen=True, kw_only=True)
class SlowLoris(Action):
    """Sends the answer's body, with `head` its head too, by `size` bytes every `every` seconds (A13).

    Ends with RST after `max_hold` seconds.
    """

    size: int = 1
    every: float = 0.1
    head: bool = False
    max_hold: float = 30.0

    async def deliver(self, exchange: Exchange, response: Response) -> bool | None:
        data = encode(response, exchange.request.method)
        sent = 0 if self.head else data.index(b"\r\n\r\n") + 4
        await exchange.line.send(data[:sent])
        try:
            async with asyncio.timeout(self.max_hold):
                for start in range(sent, len(data), self.size):
                    await exchange.line.hold(self.every)
                    await exchange.line.send(data[start : start + self.size])
        except TimeoutError:
            exchange.line.reset()
            return False
        return True


# --- ends


@dataclass(frozen=True, kw_only=True)
class _Stop(Action, abc.ABC):
    """Sends the answer up to a point and no further.

    `start`: nothing, and nothing is forwarded · `head` · `half`: half the body · `body`: all of it but, when chunked,
    not the last, empty chunk · `end`. `framing` says how the body was announced.
    """

    at: StopPoint = "start"
    framing: Literal["length", "chunked"] = "length"

    def answer(self, exchange: Exchange) -> Response | None:
        return Response() if self.at == "start" else None

    async def deliver(self, exchange: Exchange, response: Response) -> bool | None:
        if self.at != "start":
            await exchange.line.send(self._begin(response, exchange.request.method))
        await self.end(exchange)
        return False

    def _begin(self, response: Response, method: str) -> bytes:
        begin = head(response, self.framing)
        if self.at == "head" or bodiless(response.status, method):
            return begin
        body = response.body
        half = body[: len(body) // 2]
        if self.framing == "length":
            return begin + (half if self.at == "half" else body)
        if self.at == "half":
            return begin + b"%x\r\n%s" % (len(body), half)
        return begin + chunked(body) + (b"0\r\n\r\n" if self.at == "end" else b"")

    @abc.abstractmethod
    async def end(self, exchange: Exchange) -> None:
        """Ends the connection at that point."""


@dataclass(frozen=True, kw_only=True)
class Reset(_Stop):
    """RST, before the answer or inside it (A9)."""

    async def end(self, exchange: Exchange) -> None:
        exchange.line.reset()


@dataclass(frozen=True, kw_only=True)
class Fin(_Stop):
    """FIN too early: Content-Length not reached; `framing="chunked", at="body"` never ends its chunks (A10). At `end`
    the answer is complete and the connection is closed without a word (A11)."""

    at: StopPoint = "half"

    async def end(self, exchange: Exchange) -> None:
        exchange.line.finish()


@dataclass(frozen=True, kw_only=True)
class Silence(_Stop):
    """Nothing more is sent (A14, A15): until the client goes, or RST after `max_hold` seconds."""

    max_hold: float = 30.0

    async def end(self, exchange: Exchange) -> None:
        with exchange.held():
            await exchange.line.hold(self.max_hold)
        exchange.line.reset()


@dataclass(frozen=True, kw_only=True)
class DeadConnection(Action):
    """Answers and keeps the connection; the next request on it is read and then meets RST or FIN (A11).

    A pool cannot see this before it sends, unlike `Fin(at="end")`. That next request is recorded, and no fault counts
    it.
    """

    how: Literal["reset", "fin"] = "reset"

    async def deliver(self, exchange: Exchange, response: Response) -> bool | None:
        await exchange.line.send(encode(response, exchange.request.method))
        exchange.line.ending = self.how
        return True


@dataclass(frozen=True, kw_only=True)
class Framing(Action):
    """An odd but legal way to say the same (A43).

    `chunk` bytes a chunk (0: one chunk) with `extensions` and `trailers`; `close`: no length, the end of the connection
    is the end of the body, as `http10` does too; `lower_case` header names; `folded`: one header on two lines
    (obs-fold) and one twice.
    """

    body: Literal["length", "chunked", "close"] = "chunked"
    chunk: int = 0
    extensions: bool = False
    trailers: bool = False
    lower_case: bool = False
    folded: bool = False
    http10: bool = False

    async def deliver(self, exchange: Exchange, response: Response) -> bool | None:
        if self.folded:
            odd = (("X-Folded", "one\r\n two"), ("X-Twice", "one"), ("X-Twice", "two"))
            response = replace(response, headers=(*response.headers, *odd))
        body = "close" if self.http10 else self.body
        data = head(response, body, http10=self.http10)
        if self.lower_case:
            first, *lines = data.split(b"\r\n")
            named = [line.partition(b":") for line in lines]
            data = b"\r\n".join([first, *(name.lower() + colon + value for name, colon, value in named)])
        if not bodiless(response.status, exchange.request.method):
            if body == "chunked":
                data += chunked(response.body, self.chunk, extension=';name="value";flag' if self.extensions else "")
                data += b"0\r\n" + (b"X-Trailer: seen\r\n" if self.trailers else b"") + b"\r\n"
            else:
                data += response.body
        await exchange.line.send(data)
        return body != "close"
