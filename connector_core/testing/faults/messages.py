"""HTTP/1.1 messages as the front sees them: read from a stream byte for byte, and written with any framing."""

from __future__ import annotations

import asyncio
import datetime
import gzip
import http
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

HEAD_LIMIT = 1 << 20  # bytes of a head or of one chunk-size line; longer ones are refused
CHUNK = 4096  # bytes of a chunk where nobody asks for another size

Pairs = tuple[tuple[str, str], ...]
BodyFraming = Literal["length", "chunked", "close"]


class MalformedError(Exception):
    """These bytes are no HTTP/1.1 message, or they ended inside one."""


@dataclass(frozen=True, kw_only=True)
class Contact:
    """One TCP connection that reached the front: counted from 1, with both clocks and the client's (host, port)."""

    number: int
    time: datetime.datetime  # aware, UTC
    at: float  # seconds of time.monotonic(), for differences
    peer: tuple[str, int]


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request as it was received. `headers` keep the client's order, case and repeats; `raw` is every byte."""

    number: int  # in the front, from 1, by arrival
    connection: int  # the number of its Contact
    time: datetime.datetime  # aware, UTC: when the last byte had come
    at: float  # the same instant by time.monotonic(), in seconds
    method: str
    target: str  # path and query as sent
    headers: Pairs
    body: bytes  # without chunk framing
    raw: bytes

    @property
    def line(self) -> str:
        """`GET /path?query`, what the `match` of a fault is searched in."""
        return f"{self.method} {self.target}"

    def header(self, name: str) -> str | None:
        """The first value of a header, whatever its case; None where it was not sent."""
        return header(self.headers, name)


@dataclass(frozen=True, kw_only=True)
class Response:
    """An answer before it is framed: `headers` lack length and transfer encoding, which come with the framing.

    `framing` is how the body is announced where no action says otherwise.
    """

    status: int = 200
    headers: Pairs = (("Content-Type", "application/json; charset=utf-8"),)
    body: bytes = b""
    reason: str = ""  # "" stands for the usual phrase of the status
    framing: Literal["length", "chunked"] = "length"

    @classmethod
    def of_json(cls, document: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
        """An answer whose body is `document` as JSON."""
        pairs = (("Content-Type", "application/json; charset=utf-8"), *(headers or {}).items())
        return cls(status=status, headers=pairs, body=json.dumps(document).encode())

    def header(self, name: str) -> str | None:
        """The first value of a header, whatever its case; None where there is none."""
        return header(self.headers, name)

    def without(self, *names: str) -> Response:
        """The same answer without these headers."""
        gone = {name.lower() for name in names}
        return replace(self, headers=tuple(pair for pair in self.headers if pair[0].lower() not in gone))

    def with_headers(self, headers: Mapping[str, str]) -> Response:
        """The same answer, with these headers instead of any of the same names."""
        kept = self.without(*headers).headers
        return replace(self, headers=(*kept, *headers.items()))

    def decoded(self) -> Response:
        """The same answer with its gzip or deflate encoding undone. MalformedError where the label is wrong."""
        encoding = (self.header("Content-Encoding") or "identity").lower()
        try:
            if encoding in ("gzip", "x-gzip"):
                body = gzip.decompress(self.body)
            elif encoding == "deflate":
                body = zlib.decompress(self.body)
            elif encoding == "identity":
                body = self.body
            else:
                raise MalformedError(f"the answer has Content-Encoding {encoding}, which the front cannot undo")
        except (OSError, EOFError, zlib.error) as error:
            raise MalformedError(f"the answer is labelled {encoding} but is not: {error}") from error
        return replace(self.without("Content-Encoding"), body=body)


def header(headers: Pairs, name: str) -> str | None:
    """The first value of a header, whatever its case; None where there is none."""
    return next((value for key, value in headers if key.lower() == name.lower()), None)


def bodiless(status: int, method: str) -> bool:
    """Whether an answer of this status to this method has no body on the wire (RFC 9112 section 6.3)."""
    return method == "HEAD" or status in (204, 304) or 100 <= status < 200


# --- reading


TLS_HANDSHAKE = b"\x16"
"""The first byte of a client that speaks TLS (RFC 8446 section 5.1); it would wait for an answer for ever."""


async def read_head(reader: asyncio.StreamReader) -> tuple[str, Pairs, bytes]:
    """Reads one head: its first line, its headers in order, and the raw bytes. EOFError where nothing came at all."""
    raw = b""
    try:
        raw = await reader.readexactly(1)
        if raw == TLS_HANDSHAKE:
            raise MalformedError("a TLS handshake instead of a head")
        raw += await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if not raw:
            raise EOFError from error
        raise MalformedError(f"the connection ended inside a head: {error.partial[:80]!r}") from error
    except asyncio.LimitOverrunError as error:
        raise MalformedError(f"a head is longer than {HEAD_LIMIT} bytes") from error
    first, *lines = raw[:-4].decode("latin-1").split("\r\n")
    pairs: list[tuple[str, str]] = []
    for line in lines:
        if line[:1] in (" ", "\t") and pairs:  # obs-fold, RFC 9112 section 5.2
            pairs[-1] = (pairs[-1][0], f"{pairs[-1][1]} {line.strip()}")
            continue
        name, colon, value = line.partition(":")
        if not colon or not name:
            raise MalformedError(f"not a header line: {line[:80]!r}")
        pairs.append((name, value.strip()))
    return first, tuple(pairs), raw


async def read_body(reader: asyncio.StreamReader, headers: Pairs, *, until_close: bool) -> tuple[bytes, bytes]:
    """Reads the body that `headers` announce: (content, raw bytes). Without any announcement: all, or nothing."""
    try:
        if "chunked" in (header(headers, "Transfer-Encoding") or "").lower():
            return await _read_chunks(reader)
        length = header(headers, "Content-Length")
        if length is not None:
            if not (length.isascii() and length.isdigit()):
                raise MalformedError(f"Content-Length is {length[:40]!r}")
            content = await reader.readexactly(int(length))
        else:
            content = await reader.read() if until_close else b""
    except asyncio.IncompleteReadError as error:
        raise MalformedError("the connection ended inside a body") from error
    except asyncio.LimitOverrunError as error:
        raise MalformedError("a chunk-size line has no end") from error
    return content, content


async def _read_chunks(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    content: list[bytes] = []
    raw: list[bytes] = []
    while True:
        line = await reader.readuntil(b"\r\n")
        raw.append(line)
        try:
            size = int(line.split(b";")[0].strip(), 16)
        except ValueError as error:
            raise MalformedError(f"not a chunk size: {line[:40]!r}") from error
        if not size:
            break
        chunk = await reader.readexactly(size + 2)
        raw.append(chunk)
        content.append(chunk[:-2])
    while line != b"\r\n":  # trailers
        line = await reader.readuntil(b"\r\n")
        raw.append(line)
    return b"".join(content), b"".join(raw)


async def read_response(reader: asyncio.StreamReader, method: str) -> tuple[Response, bytes, bool]:
    """Reads one answer to `method`: it, its raw bytes, and whether its sender keeps the connection open afterwards."""
    while True:
        try:
            first, headers, raw = await read_head(reader)
        except EOFError as error:
            raise MalformedError("the connection ended before an answer") from error
        version, _, rest = first.partition(" ")
        code, _, reason = rest.partition(" ")
        if not version.startswith("HTTP/1.") or not (code.isascii() and code.isdigit()):
            raise MalformedError(f"not a status line: {first[:80]!r}")
        if int(code) >= 200:
            break
    framed = header(headers, "Content-Length") or "chunked" in (header(headers, "Transfer-Encoding") or "").lower()
    if bodiless(int(code), method):
        content, raw_body, framed = b"", b"", "nothing to frame"
    else:
        content, raw_body = await read_body(reader, headers, until_close=True)
    response = Response(status=int(code), headers=headers, body=content, reason=reason)
    response = response.without("Content-Length", "Transfer-Encoding", "Connection", "Keep-Alive", "Trailer")
    return response, raw + raw_body, bool(framed) and keeps_open(version, headers)


def keeps_open(version: str, headers: Pairs) -> bool:
    """Whether the sender of a message of this version with these headers keeps its connection open."""
    connection = (header(headers, "Connection") or "").lower()
    return "keep-alive" in connection if version == "HTTP/1.0" else "close" not in connection


def client_keeps_open(request: Request) -> bool:
    """Whether the client wants to send another request on the same connection."""
    first = request.raw[: request.raw.index(b"\r\n")].decode("latin-1")
    return keeps_open(first.rpartition(" ")[2], request.headers)


# --- writing


def head(
    response: Response, framing: BodyFraming = "length", *, length: int | None = None, http10: bool = False
) -> bytes:
    """The head of an answer with this framing; `length` is announced instead of the body's own, in bytes."""
    reason = response.reason
    if not reason:
        known = response.status in {status.value for status in http.HTTPStatus}
        reason = http.HTTPStatus(response.status).phrase if known else "Unknown"
    lines = [f"HTTP/1.{0 if http10 else 1} {response.status} {reason}"]
    lines += [f"{name}: {value}" for name, value in response.headers]
    if response.status not in (204, 304):
        if framing == "length":
            lines.append(f"Content-Length: {len(response.body) if length is None else length}")
        elif framing == "chunked":
            lines.append("Transfer-Encoding: chunked")
        elif not http10:
            lines.append("Connection: close")
    return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace")


def encode(response: Response, method: str) -> bytes:
    """A whole answer to `method`, framed as it says."""
    begin = head(response, response.framing)
    if bodiless(response.status, method):
        return begin
    if response.framing == "length":
        return begin + response.body
    return begin + chunked(response.body, CHUNK) + b"0\r\n\r\n"


def chunked(body: bytes, size: int = 0, *, extension: str = "") -> bytes:
    """`body` in chunks of `size` bytes (0: one chunk), without the last, empty chunk."""
    step = size or max(len(body), 1)
    pieces = (body[start : start + step] for start in range(0, len(body), step))
    return b"".join(b"%x%s\r\n%s\r\n" % (len(piece), extension.encode(), piece) for piece in pieces)
