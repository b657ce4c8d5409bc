"""Faults of a body's bytes: cut, mislabelled, not text, far too much once unpacked, far too deep."""

from __future__ import annotations

import gzip
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from connector_core.testing.faults.action import Action, Exchange
from connector_core.testing.faults.messages import Response, bodiless, head

BLOCK = 1 << 20  # bytes: a bomb consists of blocks of blanks, of which JSON may have any number

ERROR_OBJECT = b'{"message":"Something went wrong on our side."}'


@dataclass(frozen=True, kw_only=True)
class Body(Action):
    """Damages the answer's body; its framing stays right.

    `truncated`: the first half (A16) · `error_object`: an error in place of the page, with the answer's own status
    (A18) · `empty`: no bytes (A19) · `not_utf8`: a byte that UTF-8 never has, inside the first string (A20) · `bom`: a
    UTF-8 byte order mark first · `utf16`: UTF-16 labelled UTF-8 · `wrong_gzip`: labelled gzip and is not (A21) ·
    `unlabelled_gzip`: is gzip and says nothing · `gzip`: rightly labelled gzip, which is no fault.
    """

    kind: Literal[
        "truncated",
        "error_object",
        "empty",
        "not_utf8",
        "bom",
        "utf16",
        "wrong_gzip",
        "unlabelled_gzip",
        "gzip",
    ]

    async def change(self, exchange: Exchange, response: Response) -> Response:
        plain = response.decoded()
        body = plain.body
        match self.kind:
            case "truncated":
                return replace(plain, body=body[: len(body) // 2])
            case "error_object":
                return replace(plain, body=ERROR_OBJECT)
            case "empty":
                return replace(plain, body=b"")
            case "not_utf8":
                start, quote, end = body.partition(b'"')
                return replace(plain, body=start + quote + b"\xff" + end)
            case "bom":
                return replace(plain, body=b"\xef\xbb\xbf" + body)
            case "utf16":
                label = {"Content-Type": "application/json; charset=utf-8"}
                return replace(plain.with_headers(label), body=body.decode().encode("utf-16"))
            case "wrong_gzip":
                return plain.with_headers({"Content-Encoding": "gzip"})
            case "unlabelled_gzip":
                return replace(plain, body=gzip.compress(body))
            case "gzip":
                return replace(plain.with_headers({"Content-Encoding": "gzip"}), body=gzip.compress(body))


@dataclass(frozen=True, kw_only=True)
class Replace(Action):
    """Replaces raw text in a UTF-8 body: the regex `pattern` by `text` as it stands, `count` times (0: everywhere).

    ValueError, raised when the front closes, where the pattern is not found.
    """

    pattern: str
    text: str
    count: int = 1

    async def change(self, exchange: Exchange, response: Response) -> Response:
        plain = response.decoded()
        body, times = re.subn(self.pattern, lambda _: self.text, plain.body.decode(), count=self.count)
        if not times:
            raise ValueError(f"Replace: {self.pattern!r} is not in the answer to {exchange.request.line}")
        return replace(plain, body=body.encode())


@dataclass(frozen=True, kw_only=True)
class Nested(Action):
    """Answers with `depth` arrays inside each other, well-formed, instead of forwarding (A23, H10)."""

    depth: int = 200_000

    def answer(self, exchange: Exchange) -> Response | None:
        return Response(body=b"[" * self.depth + b"]" * self.depth)


@dataclass(frozen=True, kw_only=True)
class GzipBomb(Action):
    """Answers with JSON of about `size` bytes, nearly all blanks, as a thousandth of that in gzip (A22, H10).

    It is made while it is sent, 1 MiB of blanks at a time, and announced by its packed length. Nothing is forwarded.
    """

    size: int = 1 << 30

    def answer(self, exchange: Exchange) -> Response | None:
        return Response().with_headers({"Content-Encoding": "gzip"})

    async def deliver(self, exchange: Exchange, response: Response) -> bool | None:
        blocks = max(self.size // BLOCK, 1)
        length = sum(len(piece) for piece in bomb(0)) + blocks * len(packed_block())
        await exchange.line.send(head(response, length=length))
        if not bodiless(response.status, exchange.request.method):
            for piece in bomb(blocks):
                await exchange.line.send(piece)
        return True


def packed_block() -> bytes:
    """One block of blanks as deflate, ended by a full flush: it can be repeated, as it refers to nothing before it."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(b" " * BLOCK) + packer.flush(zlib.Z_FULL_FLUSH)


def bomb(blocks: int) -> Iterator[bytes]:
    """The pieces of one gzip member that holds `[`, that many blocks of blanks, and `]`."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    yield b"\x1f\x8b\x08" + bytes(6) + b"\xff" + packer.compress(b"[") + packer.flush(zlib.Z_FULL_FLUSH)
    checksum = zlib.crc32(b"[")
    blanks, block = b" " * BLOCK, packed_block()
    for _ in range(blocks):
        yield block
        checksum = zlib.crc32(blanks, checksum)
    last = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    ending = last.compress(b"]") + last.flush()
    yield ending + struct.pack("<II", zlib.crc32(b"]", checksum), (2 + blocks * BLOCK) % 2**32)
