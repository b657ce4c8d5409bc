"""A real HTTP server around the site, on a thread of its own: `Sandbox` is what tests and the command line start."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Self

import uvicorn

from . import control
from .desk import Desk, Incoming, Reply
from .settings import Settings

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Sandbox(Desk):
    """``with Sandbox(Settings(cases=200)) as desk:`` serves on ``desk.url`` (http://127.0.0.1:port) until the block
    ends.

    ``desk.credentials``, ``desk.store`` (change the data), ``desk.ledger`` (what was served), ``desk.script`` (while
    paging), ``desk.configure`` (switches), ``desk.dump`` and ``desk.expected`` (the truth). Leaving the block raises
    RuntimeError when a script or the sandbox itself failed while serving."""

    def __init__(self, settings: Settings | None = None, *, port: int = 0) -> None:
        super().__init__(settings or Settings())
        self._port = port
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
        self.url = ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.stop()
        if self.failures and kind is None:
            raise RuntimeError(f"the sandbox failed while serving:\n{self.failures[0]}")

    def start(self) -> None:
        """Listen and serve on a new thread; returns when requests are answered. OSError when the port is taken."""
        # The protocol is named because asyncio sets TCP_NODELAY only then; without it an answer takes 40 ms.
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", self._port))
        except OSError:
            listener.close()
            raise
        listener.listen(512)
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        config = uvicorn.Config(
            self._app,
            interface="asgi3",
            proxy_headers=False,
            loop="asyncio",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=120,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([listener],), name="desk-sandbox", daemon=True)
        self._thread.start()
        while not self._server.started and self._thread.is_alive():
            time.sleep(0.002)

    def stop(self) -> None:
        """Stop serving; requests under way are dropped."""
        if self._server is None or self._thread is None:
            return
        self._server.should_exit = self._server.force_exit = True
        self._thread.join()
        self._server = self._thread = None

    async def _app(self, scope: Message, receive: Receive, send: Send) -> None:
        try:
            incoming = Incoming(
                method=scope["method"],
                path=scope["raw_path"].decode("latin-1"),
                query=scope["query_string"].decode("latin-1"),
                headers={name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]},
                body=b"" if scope["method"] == "GET" else await _body(receive),
            )
            if incoming.path.startswith(control.PREFIX):
                await _send(control.respond(self, incoming), send)
            else:
                await self._serve(incoming, send)
        except Exception:
            self.failures.append(traceback.format_exc())
            raise

    async def _serve(self, incoming: Incoming, send: Send) -> None:
        served = self.ledger.begin(incoming.method, incoming.path, incoming.query)
        try:
            reply = self.answer(incoming, served)
            if reply.delay:
                await asyncio.sleep(reply.delay)
            await _send(reply, send)
        finally:
            self.ledger.end(served)


async def _body(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


async def _send(reply: Reply, send: Send) -> None:
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers.items()]
    if reply.chunked and reply.status != 304:
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        for start in range(0, len(reply.body), 4096):
            await send({"type": "http.response.body", "body": reply.body[start : start + 4096], "more_body": True})
        await send({"type": "http.response.body", "body": b""})
        return
    if not any(name == b"content-length" for name, _ in headers):
        headers.append((b"content-length", str(len(reply.body)).encode()))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})
