"""What fakesnow lacks of Snowflake's sessions: they wait for one another, and one whose client is gone is ended.

Snowflake locks what a transaction has changed, and rolls back a transaction whose client is gone once it is in
somebody's way, after minutes. Here a transaction has its database for itself, and a client is gone when its sockets
are closed.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import re
from collections.abc import Callable, Collection, MutableMapping
from dataclasses import dataclass, field
from typing import Any

STRUCTURE = re.compile(r"\s*(CREATE|DROP|ALTER)\b(?!\s+(OR\s+REPLACE\s+)?TEMP)", re.IGNORECASE)
BEGINS, ENDS = re.compile(r"\s*BEGIN\b", re.IGNORECASE), re.compile(r"\s*(COMMIT|ROLLBACK)\b", re.IGNORECASE)


@dataclass
class State:
    """Of one database: which session has a transaction open, and whether a table is being made."""

    holder: str = ""
    structure: asyncio.Lock = field(default_factory=asyncio.Lock)


class Locks:
    """An ASGI application around another. `sessions` are fakesnow's by token, `connected` tells the addresses of all
    clients whose sockets are open."""

    def __init__(
        self,
        app: Any,
        sessions: MutableMapping[str, Any],
        connected: Callable[[], Collection[tuple[str, int]]],
    ) -> None:
        self._app, self._sessions, self._connected = app, sessions, connected
        self._states: dict[str, State] = {}
        self._clients: dict[str, set[tuple[str, int]]] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request when it is its turn."""
        headers = dict(scope.get("headers", ()))
        token = headers.get(b"authorization", b"").decode()[17:-1]
        session = self._sessions.get(token)
        if scope["type"] != "http" or session is None:
            await self._app(scope, receive, send)
            return
        self._clients.setdefault(token, set()).add(tuple(scope["client"]))
        state = self._states.setdefault(str(session.database), State())
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)

        async def again() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        refused = False

        async def told(message: Any) -> None:
            nonlocal refused
            refused = refused or message.get("status", 200) != 200 or b'"success": false' in message.get("body", b"")
            await send(message)

        text = ""
        if scope["path"] == "/queries/v1/query-request":
            plain = gzip.decompress(body) if headers.get(b"content-encoding") == b"gzip" else body
            text = json.loads(plain)["sqlText"]
        if BEGINS.match(text):
            await self._free(state, token)
            state.holder = token
        if STRUCTURE.match(text):
            async with state.structure:
                await self._free(state, token)
                await self._app(scope, again, told)
        else:
            await self._app(scope, again, told)
        gone = token not in self._sessions
        if state.holder == token and (gone or ENDS.match(text) or (refused and BEGINS.match(text))):
            self._end(state, session if gone else None)

    async def _free(self, state: State, token: str) -> None:
        while state.holder not in ("", token):
            there = state.holder in self._sessions and self._clients[state.holder] & set(self._connected())
            if not there:
                self._end(state, self._sessions.pop(state.holder, None))
            await asyncio.sleep(0.005)

    def _end(self, state: State, session: Any) -> None:
        state.holder = ""
        if session is not None:
            session._duck_conn.close()  # which rolls back
