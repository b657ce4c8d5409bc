"""The API that every tool reads: pages of 100 records over HTTP on a free port of the loopback.

`python api_server.py DATA` prints its port, then serves until its standard input ends.

    GET /api/v2/cases?page=3&since_updated_at=1325376000

A bookmark within the year of the full files gets the records that changed since, everything else the full list. All
answers are made before the port is printed, so that what is measured is the reader and not this program: a request
costs one small search and one write.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

RECORDS = 100  # of a page
BOOKMARK = int(
    datetime(2014, 1, 1, tzinfo=UTC).timestamp()
)  # the newest records are later, every start date is earlier
REQUEST = re.compile(rb"GET (?:http://[^/]+)?/api/v2/(\w+)(?:\?(\S*))? HTTP")
PAGE = re.compile(rb"(?:^|&)page=(\d+)")
SINCE = re.compile(rb"(?:^|&)since_updated_at=(\d+)")
HEAD = b"\r\n".join(
    (
        b"HTTP/1.1 %s",
        b"Content-Type: application/json",
        b"Date: Mon, 01 Jun 2026 12:00:00 GMT",
        b"Content-Length: %d",
        b"",
        b"",
    )
)
Lists = dict[tuple[bytes, bool], list[bytes]]


def answer(body: bytes, status: bytes = b"200 OK") -> bytes:
    """A whole answer as it goes over the wire."""
    return HEAD % (status, len(body)) + body


def pages(file: Path, address: str, since: int) -> Iterator[bytes]:
    """The answers of one list, each with the link to the next."""
    lines = file.read_bytes().splitlines()
    count = max(1, -(-len(lines) // RECORDS))
    for number in range(1, count + 1):
        entries = b",".join(lines[(number - 1) * RECORDS : number * RECORDS])
        link = f'{{"href":"{address}?page={number + 1}&since_updated_at={since}","class":"page"}}'
        following = link.encode() if number < count else b"null"
        yield answer(
            b'{"total_entries":%d,"page":%d,"_links":{"next":%s},"_embedded":{"entries":[%s]}}'
            % (len(lines), number, following, entries)
        )


class Api(asyncio.Protocol):
    """One connection."""

    def __init__(self, lists: Lists) -> None:
        self._lists, self._received = lists, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what the answers are written to."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every request that is complete."""
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head, self._received = self._received[:end], self._received[end + 4 :]
            self._transport.write(self._answer(head))

    def _answer(self, head: bytes) -> bytes:
        asked = REQUEST.match(head)
        query = (asked and asked[2]) or b""
        number, since = PAGE.search(query), SINCE.search(query)
        changed = since is not None and int(since[1]) > BOOKMARK
        found = self._lists.get((asked[1], changed)) if asked else None
        place = int(number[1]) if number else 1
        if not found or not 1 <= place <= len(found):
            return answer(b"{}", b"404 Not Found")
        return found[place - 1]


async def serve(lists: Lists) -> None:
    """Listen on a free port until standard input ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Api(lists), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


def main(folder: Path) -> None:
    """Make all answers, then serve them."""
    lists: Lists = {}
    for phase, since in (("full", 0), ("changed", BOOKMARK + 1)):
        for stream in ("cases", "customers"):
            file = folder / phase / f"{stream}.ndjson"
            lists[stream.encode(), phase == "changed"] = [*pages(file, f"/api/v2/{stream}", since)]
    asyncio.run(serve(lists))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
