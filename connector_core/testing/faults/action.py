"""The seam for faults: an `Action` has four moments at which it may interfere with one exchange on one connection."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from connector_core.testing.faults.messages import Request, Response

POLL = 0.02  # seconds between two looks whether a waiting client is still there
SEND_LIMIT = 60.0  # seconds a client may take to accept what is written; then it counts as gone


class ClientGoneError(ConnectionError):
    """The client closed its connection before the front was done with it."""


class Line:
    """One client's connection: sends, waits, and the three ways to end it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.ending: Literal["reset", "fin"] | None = None  # what the next request on this connection meets
        writer.transport.set_write_buffer_limits(high=0)  # drained means: handed to the kernel

    @property
    def gone(self) -> bool:
        """Whether the client, or we, ended the connection."""
        return self._reader.at_eof() or self._reader.exception() is not None or self._writer.is_closing()

    async def send(self, data: bytes) -> None:
        """Hands `data` to the kernel; ClientGoneError where the client does not take it."""
        try:
            async with asyncio.timeout(SEND_LIMIT):
                self._writer.write(data)
                await self._writer.drain()
        except (OSError, TimeoutError) as error:
            raise ClientGoneError(str(error)) from error

    async def hold(self, seconds: float, gate: asyncio.Event | None = None) -> None:
        """Waits until `seconds` are over or `gate` is set; ClientGoneError as soon as the client is gone."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + seconds
        while (left := deadline - clock()) > 0:
            if self.gone:
                raise ClientGoneError
            if gate is None:
                await asyncio.sleep(min(left, POLL))
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left, POLL)):
                    await gate.wait()
                    return

    def reset(self) -> None:
        """Ends the connection with RST: what the client has not read may be lost to it."""
        if not self._writer.is_closing():
            sock: Any = self._writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    def finish(self) -> None:
        """Ends the connection with FIN."""
        self._writer.close()


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """One request on its way through one fault, and what that fault remembers of earlier ones.

    `hit` counts this fault's hits from 1. `first` is the first request that matched it, hit or not, and `previous` the
    last finished answer to a request that matched it. `url` is the front's own. `gate(seconds)` holds until the test
    releases; `call(function, *args)` runs a function of the test in a thread of its own; `held()` marks a wait for
    `wait_held`.
    """

    request: Request
    line: Line
    hit: int
    first: Request
    previous: Response | None
    url: str
    gate: Callable[[float], typing.Awaitable[None]]
    call: Callable[..., typing.Awaitable[Any]]
    held: Callable[[], contextlib.AbstractContextManager[None]]


class Action:
    """One thing that goes wrong. A subclass overrides the moments it needs; each is a no-op here.

    In order: `before` forwarding, `answer` instead of forwarding, `change` the answer, `deliver` it. Where several
    actions hit one request, all changes are applied in the plan's order, and the first that answers or delivers does so
    alone. Subclasses are frozen, keyword-only dataclasses; choices and plain scalars among their fields are checked.
    """

    def __post_init__(self) -> None:
        for name, hint in typing.get_type_hints(type(self)).items():
            value = getattr(self, name, None)
            if typing.get_origin(hint) is Literal:
                if value not in typing.get_args(hint):
                    choices = ", ".join(repr(choice) for choice in typing.get_args(hint))
                    raise ValueError(f"{type(self).__name__}: {name} is {value!r}; it must be one of {choices}")
            elif (wanted := _scalars(hint)) and (
                not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted)
            ):
                names = " or ".join(kind.__name__ for kind in wanted)
                raise ValueError(f"{type(self).__name__}: {name} is {value!r}; it must be of type {names}")

    async def before(self, exchange: Exchange) -> None:
        """Runs when the request has come and nothing has been forwarded."""

    def answer(self, exchange: Exchange) -> Response | None:
        """Another answer, for which nothing is forwarded; None leaves it to the upstream."""
        return None

    async def change(self, exchange: Exchange, response: Response) -> Response:
        """The answer to deliver; the given one where nothing is to be changed."""
        return response

    async def deliver(self, exchange: Exchange, response: Response) -> bool | None:
        """Writes the answer: True where the connection may serve another request; None leaves the writing to others."""
        return None


def _scalars(hint: Any) -> tuple[type, ...]:
    """The plain types that a field's hint allows, float taking int; () where the hint says more than those."""
    options = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
    if not all(option in (int, float, str, bool, type(None)) for option in options):
        return ()
    return (*options, int) if float in options and int not in options else tuple(options)
