"""One HTTP exchange over urllib3, bounded in time and size: what goes wrong on the wire becomes the engine's errors.

requests takes part only where a request is signed or has a form: its schemes (OAuth 1.0a, basic) sign its prepared
requests. Its sessions would cost as much as reading a page of records does.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import certifi
import requests
import urllib3
from requests.auth import AuthBase
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

from connector_core.errors import ConnectorError, Place, RetryableError, SourceError
from connector_core.rest.resolve import Resolver

_NOT_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "PACKET_LENGTH_TOO_LONG")
"""What OpenSSL calls an answer that is no TLS."""
PIECE = 64 * 1024  # bytes read and unpacked at a time
MIB = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one request may take: seconds for connecting, headers and body together, seconds of these for connecting,
    bytes of the body when it is unpacked."""

    deadline: float = 120.0
    connect: float = 30.0
    body: int = 256 * MIB


@dataclass(frozen=True, kw_only=True)
class Raw:
    """An answer as it came, whatever its status. `headers` ignore case, `body` is unpacked."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class _Asked(NamedTuple):
    """A request as it is sent, with its signature."""

    url: str
    headers: Mapping[str, str]
    body: Any


class _Timed(io.RawIOBase):
    """Reads a socket until an instant: no trickle of bytes can prolong it (facts/fault_catalogue.md A13)."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._raw = sock.makefile("rb", buffering=0)  # keeps the socket open after `Connection: close`
        timeout = sock.gettimeout()
        self._until = None if timeout is None else time.monotonic() + timeout

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._until is not None:
            left = self._until - time.monotonic()
            if left <= 0:
                raise TimeoutError("the time for this request is over")
            self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Answer(http.client.HTTPResponse):
    """urllib3 gives the socket what is left of the total time just before this is made."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp.close()
        self.fp = io.BufferedReader(_Timed(sock), PIECE)


class _Pinned(HTTPConnection):
    """Connects to the addresses that the run's resolver gives for the host, whose name stays that of the site."""

    resolve: ClassVar[Resolver]

    def _new_conn(self) -> socket.socket:
        name = self._dns_host
        try:
            addresses = self.resolve(name, self.port)
        except socket.gaierror as error:
            raise NameResolutionError(name, self, error) from error
        failed: NewConnectionError | ConnectTimeoutError | None = None
        for address in addresses:
            self._dns_host = address
            try:
                return super()._new_conn()
            except (NewConnectionError, ConnectTimeoutError) as error:
                failed = error
            finally:
                self._dns_host = name  # the certificate is checked against it
        raise failed or NewConnectionError(self, f"{name} has no address")


def _pools(resolver: Resolver) -> urllib3.PoolManager:
    """A connection per site, kept open between requests."""

    class Plain(_Pinned):
        response_class = _Answer
        resolve = resolver

    class Tls(_Pinned, HTTPSConnection):
        response_class = _Answer
        resolve = resolver

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class TlsPool(HTTPSConnectionPool):
        ConnectionCls = Tls

    # a context of our own: the ready-made ones write session keys where SSLKEYLOGFILE says (H4)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    pools = urllib3.PoolManager(
        num_pools=2, maxsize=1, ssl_context=context, cert_reqs="CERT_REQUIRED", ca_certs=certifi.where()
    )
    pools.pool_classes_by_scheme = {"http": PlainPool, "https": TlsPool}
    return pools


class Wire:
    """Sends requests; safe for several threads, each of which has connections of its own.

    A host's addresses are looked up once, by `resolver`, and used until the end (H3).
    Nothing comes from the environment: no .netrc, proxy, certificate bundle or key log (H4). Cookies are not kept,
    redirects not followed, nothing is repeated: a request is signed right before it is sent, once.
    """

    def __init__(self, limits: Limits, headers: Mapping[str, str], resolver: Resolver | None = None) -> None:
        self._limits = limits
        self._resolver = resolver or Resolver()
        usual = {"Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": "connector-core"}
        self._headers = {**usual, **headers}
        self._mine = threading.local()

    def send(
        self, method: str, url: str, *, auth: AuthBase | None, shown: str, data: Mapping[str, str] | None = None
    ) -> Raw:
        """One request, one answer. `shown` is the address for errors. Raises `RetryableError` for everything that may
        pass: no connection, no answer in time, a body that ends early or is not packed as announced; `SourceError` for
        a body over the limit and for a certificate that does not hold.
        """
        limits = self._limits
        until = time.monotonic() + limits.deadline
        timeout = urllib3.Timeout(total=limits.deadline, connect=min(limits.connect, limits.deadline))
        place = Place(url=shown)
        try:
            asked = self._asked(method, url, auth, data)
            response = self._connections().urlopen(
                method, asked.url, body=asked.body, headers=asked.headers, timeout=timeout,
                redirect=False, retries=False, preload_content=False, decode_content=False,
            )  # fmt: skip
            try:
                body = self._body(response, until, place)
            finally:
                response.close()
                response.release_conn()
        except ConnectorError as error:
            raise error.at(url=shown) from None
        except (
            requests.RequestException,
            urllib3.exceptions.HTTPError,
            http.client.HTTPException,
            OSError,
            ValueError,
        ) as error:
            raise self._failure(error, place) from None  # its own text may hold a signed address
        return Raw(status=response.status, headers=response.headers, body=body)

    def _asked(self, method: str, url: str, auth: AuthBase | None, data: Mapping[str, str] | None) -> _Asked:
        if auth is None and data is None:
            return _Asked(url, self._headers, None)
        signed = requests.Request(method, url, headers=self._headers, data=data, auth=auth).prepare()
        return _Asked(str(signed.url), signed.headers, signed.body)

    def _connections(self) -> urllib3.PoolManager:
        pools: urllib3.PoolManager | None = getattr(self._mine, "pools", None)
        if pools is None:
            pools = self._mine.pools = _pools(self._resolver)
        return pools

    def _body(self, response: urllib3.BaseHTTPResponse, until: float, place: Place) -> bytes:
        encoding = response.headers.get("Content-Encoding", "identity").strip().lower() or "identity"
        if encoding not in ("identity", "gzip", "x-gzip"):
            raise RetryableError(
                f"the answer is packed as {encoding[:40]!r}, which was not asked for", place=place, code="packing"
            )
        unpack = _Unpacker(self._limits.body, place) if encoding != "identity" else None
        pieces: list[bytes] = []
        size = 0
        for piece in response.stream(PIECE, decode_content=False):
            size += len(piece)
            if size > self._limits.body:
                raise too_large(self._limits.body, place)
            if time.monotonic() > until:  # bytes that were there already cost no waiting, but they count as well
                raise TimeoutError
            pieces.extend(unpack.feed(piece) if unpack else (piece,))
        if unpack:
            unpack.finish(anything=size > 0)
        return b"".join(pieces)

    def _failure(self, error: Exception, place: Place) -> SourceError:
        text = str(error)
        if "CERTIFICATE_VERIFY_FAILED" in text or "doesn't match" in text:
            return SourceError(
                "the source's TLS certificate does not hold: it is self-signed, expired, or made for another host",
                hint="nothing was sent to it; check the address, then tell the source's administrator",
                place=place,
                code="tls",
            )
        if any(reason in text for reason in _NOT_TLS):
            return SourceError(
                "the server does not speak TLS: it answers https with plain http",
                hint="nothing was sent to it; look at host and port of the address; http:// is for this machine only",
                place=place,
                code="tls",
            )
        if "handshake operation timed out" in str(error.__context__):
            return RetryableError(
                f"the server did not answer the TLS handshake within {self._limits.connect:g} seconds",
                hint="look at host and port of the address: a server that speaks plain http may stay silent",
                place=place,
                code="timeout",
            )
        if isinstance(error, requests.exceptions.InvalidURL | urllib3.exceptions.LocationValueError):
            return SourceError("this is no address that can be asked", place=place, code="bad_address")
        refused = isinstance(error, urllib3.exceptions.NewConnectionError)  # which counts as a timeout for urllib3
        if (not refused and isinstance(error, TimeoutError | urllib3.exceptions.TimeoutError)) or "timed out" in text:
            limit = f"{self._limits.deadline:g} seconds for connecting, headers and body together"
            return RetryableError(f"no complete answer within {limit}", place=place, code="timeout")
        if isinstance(error, zlib.error):
            return RetryableError("the answer is labelled gzip but is not", place=place, code="packing")
        return RetryableError(f"the connection failed: {_reason(error)}", place=place, code="connection")


class _Unpacker:
    """Unpacks gzip piece by piece and counts what comes out, so that a small bomb never grows large (A22)."""

    def __init__(self, limit: int, place: Place) -> None:
        self._limit, self._left, self._place = limit, limit, place
        self._gzip = zlib.decompressobj(wbits=31)

    def feed(self, piece: bytes) -> list[bytes]:
        """What this piece of the packed body unpacks to, in parts of at most PIECE bytes."""
        out = []
        while True:
            if self._gzip.eof:
                if not piece:
                    break
                self._gzip = zlib.decompressobj(wbits=31)  # a gzip file may have several members
            unpacked = self._unpack(piece)
            self._left -= len(unpacked)
            if self._left < 0:
                raise too_large(self._limit, self._place)
            out.append(unpacked)
            piece = self._gzip.unconsumed_tail or self._gzip.unused_data
            if not piece and len(unpacked) < PIECE:  # a full part may leave more behind although all input is taken
                break
        return out

    def _unpack(self, piece: bytes) -> bytes:
        try:
            return self._gzip.decompress(piece, PIECE)
        except zlib.error:
            raise RetryableError("the answer is labelled gzip but is not", place=self._place, code="packing") from None

    def finish(self, *, anything: bool) -> None:
        """The packed body has ended. Raises `RetryableError` when it ended early."""
        if anything and not self._gzip.eof:
            raise RetryableError("the packed answer ends early", place=self._place, code="short_body")


def too_large(limit: int, place: Place) -> SourceError:
    """The error for a body over the limit (bytes)."""
    return SourceError(
        f"the answer is larger than {limit:,} bytes when unpacked",
        hint="a page should not be that large: ask for fewer records a page, or raise the source's body limit",
        place=place,
        code="too_large",
    )


def _reason(error: BaseException) -> str:
    """What happened, from the innermost exception: the outer ones spell out the address with its query."""
    seen = error
    while True:
        inner = seen.__cause__ or seen.__context__ or getattr(seen, "reason", None)
        inner = (
            inner
            if isinstance(inner, BaseException)
            else next((a for a in seen.args if isinstance(a, BaseException)), None)
        )
        if inner is None or inner is seen:
            break
        seen = inner
    if isinstance(seen, OSError) and seen.strerror:
        return f"{type(seen).__name__} ({seen.strerror})"
    if isinstance(seen, http.client.IncompleteRead | urllib3.exceptions.IncompleteRead):
        return "the body ended before its announced end"
    return type(seen).__name__
