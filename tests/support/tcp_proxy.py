"""A TCP proxy before a Postgres server that cuts connections at a chosen instant, stands still, or speaks TLS."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal

SSL_REQUEST, GSS_REQUEST = 80877103, 80877104
Fate = Literal["pass", "cut", "answer", "freeze"]
"""Of what a client sends: hand it on; cut the connection before the server sees it; hand it on, wait for the server's
answer, and cut the connection instead of handing that back; hand on nothing any more, in either direction."""


@dataclass
class Proxy:
    """`judge(data)` decides about all that clients send, `retell(data)` is what they get of the server's answers;
    `cut` counts what it has cut or frozen."""

    port: int
    upstream: tuple[str, int]
    tls: ssl.SSLContext | None = None
    judge: Callable[[bytes], Fate] = lambda data: "pass"
    retell: Callable[[bytes], bytes] = bytes
    cut: int = 0
    seen: list[bytes] = field(default_factory=list)
    _open: list[socket.socket] = field(default_factory=list)
    _ended: threading.Event = field(default_factory=threading.Event)

    def at(self, sign: bytes, number: int, fate: Fate, then: Callable[[], None] = lambda: None) -> None:
        """Do this to the `number`th (from 1) message from now on that holds the sign, and call `then` first."""
        left = [number]

        def judge(data: bytes) -> Fate:
            if sign not in data:
                return "pass"
            left[0] -= 1
            if left[0]:
                return "pass"
            then()
            return fate

        self.judge = judge

    def end(self) -> None:
        """Cut every connection now, also those that stand still."""
        self.judge = lambda data: "cut"
        self._ended.set()
        for one in self._open:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def serve(self, client: socket.socket) -> None:
        """One connection."""
        server = socket.create_connection(self.upstream)
        self._open += [client, server]
        withheld, frozen = threading.Event(), threading.Event()
        client = self._greeted(client)
        back = threading.Thread(target=self._answers, args=(server, client, withheld, frozen), daemon=True)
        back.start()
        try:
            while data := client.recv(65536):
                self.seen.append(data[:200])
                fate = self.judge(data)
                if fate != "pass":
                    self.cut += 1
                if fate == "cut":
                    break
                if fate == "answer":
                    withheld.set()
                if fate == "freeze":
                    frozen.set()
                if not frozen.is_set():
                    server.sendall(data)
        except OSError:
            pass
        finally:
            if withheld.is_set():
                back.join(10)
            if frozen.is_set():
                self._ended.wait()
            _shut(server, client)
            back.join(10)  # or the number of a socket that is closed under it may soon be another connection's
            server.close()
            client.close()

    def _greeted(self, client: socket.socket) -> socket.socket:
        """Answer what a client asks before it says who it is: encryption by GSS no, by TLS if there is a context."""
        while True:
            first = client.recv(8, socket.MSG_PEEK)
            code = struct.unpack("!ii", first)[1] if len(first) == 8 else 0
            if code not in (SSL_REQUEST, GSS_REQUEST):
                return client
            client.recv(8)
            if code == SSL_REQUEST and self.tls is not None:
                client.sendall(b"S")
                return self.tls.wrap_socket(client, server_side=True)
            client.sendall(b"N")

    def _answers(
        self, server: socket.socket, client: socket.socket, withheld: threading.Event, frozen: threading.Event
    ) -> None:
        try:
            while data := server.recv(65536):
                if withheld.is_set():
                    break
                if not frozen.is_set():
                    client.sendall(self.retell(data))
        except OSError:
            pass
        finally:
            if frozen.is_set():
                self._ended.wait()
            _shut(server, client)


def _shut(*sockets: socket.socket) -> None:
    for one in sockets:
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)


@contextmanager
def proxy(port: int, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> Iterator[Proxy]:
    """A proxy before the server at `port` of this machine, while the block lasts; it listens on all addresses."""
    with socket.create_server(("0.0.0.0", 0)) as listener:  # noqa: S104 - also under an address that is not loopback
        made = Proxy(port=listener.getsockname()[1], upstream=(host, port), tls=tls)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    threading.Thread(target=_served, args=(made, client), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield made
        finally:
            made.end()


def _served(made: Proxy, client: socket.socket) -> None:
    try:
        made.serve(client)
    except OSError:  # the client has gone while it was greeted, or does not trust us
        client.close()
