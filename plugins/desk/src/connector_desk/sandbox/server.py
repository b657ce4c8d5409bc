"""A real HTTP server around the site, on a thread of its own: `Sandbox` is what tests and the command line start."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Sequence
from typing import Any, Self

from connector_core.testing.faults import Fault, FaultFront, Request, Response

from . import control
from .desk import Desk, Incoming, Reply
from .settings import Settings


class Sandbox(Desk):
    """``with Sandbox(Settings(cases=200)) as desk:`` serves on ``desk.url`` (http://127.0.0.1:port) until the block
    ends.

    ``desk.credentials``, ``desk.store`` (change the data), ``desk.ledger`` (what was served), ``desk.script`` (while
    paging), ``desk.configure`` (switches), ``desk.break_answers`` (faults), ``desk.advance`` (the clock), ``desk.dump``
    and ``desk.expected`` (the truth). ``faults`` are those it starts with. Leaving the block raises RuntimeError when a
    script, a fault or the sandbox itself failed while serving."""

    def __init__(self, settings: Settings | None = None, *, port: int = 0, faults: Sequence[Fault] = ()) -> None:
        super().__init__(settings or Settings())
        # The faults spare the control: a test must always be able to heal what it broke.
        self.front = FaultFront(
            None, faults, respond=self._respond, port=port, spare=f"^[A-Z]+ {control.PREFIX}", keep=HITS_KEPT
        )
        self.url = ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.stop()
        if kind is None and (failed := self.failed()):
            raise RuntimeError(f"the sandbox failed while serving:\n{failed[0]}")

    def start(self) -> None:
        """Listen and serve on a new thread; returns when requests are answered. OSError when the port is taken."""
        self.front.__enter__()
        self.url = self.front.url

    def stop(self) -> None:
        """Stop serving; requests under way are dropped."""
        self.front.close()

    def failed(self) -> list[str]:
        """What went wrong in the sandbox itself, in scripts and in faults that did not fit an answer."""
        return [*self.failures, *(f"{type(error).__name__}: {error}" for error in self.front.errors)]

    def break_answers(self, plan: Sequence[Fault]) -> None:
        """From now on answers are broken by this plan, counted from its start; ``[]`` heals all."""
        self.front.replan(plan)

    async def _respond(self, request: Request) -> Response:
        path, _, query = request.target.partition("?")
        incoming = Incoming(
            method=request.method,
            path=path,
            query=query,
            headers={name.lower(): value for name, value in request.headers},
            body=request.body,
        )
        if path.startswith(control.PREFIX):
            return _response(self._controlled(incoming))
        served = self.ledger.begin(incoming.method, incoming.path, incoming.query)
        try:
            reply = self.answer(incoming, served)
            if reply.delay:
                await asyncio.sleep(reply.delay)
            if reply.silent:
                raise ConnectionAbortedError("this request is never answered")  # the front closes its connection
            return _response(reply)
        finally:
            self.ledger.end(served)

    def _controlled(self, incoming: Incoming) -> Reply:
        try:
            return control.respond(self, incoming)
        except Exception as error:
            self.failures.append(traceback.format_exc())
            return control.reply(500, {"error": f"{type(error).__name__}: {error}"})


HITS_KEPT = 1000
"""How many of the latest requests and hits of faults the front remembers; the ledger has all requests."""


def _response(reply: Reply) -> Response:
    headers: tuple[tuple[str, Any], ...] = tuple(reply.headers.items())
    return Response(
        status=reply.status, headers=headers, body=reply.body, framing="chunked" if reply.chunked else "length"
    )
