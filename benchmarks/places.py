"""Where a work takes place: the servers that its tools talk to, and a new, empty database for each."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from databases import DURABLE
from generate import Data

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True, kw_only=True)
class Place:
    """`url` is the API (empty where there is none), `fresh` makes an empty database for a tool that works in a folder,
    `servers` are the sessions of the servers' processes.
    """

    url: str
    fresh: Callable[[Path], str]
    servers: Sequence[int] = ()


@contextmanager
def files(data: Data) -> Iterator[Place]:
    """NDJSON files to a DuckDB file."""
    yield Place(url="", fresh=lambda folder: str(folder / "out.duckdb"))


@contextmanager
def api(data: Data) -> Iterator[Place]:
    """The API of `api_server.py` to a Postgres that is as durable as a production server."""
    from tests.support.postgres import server

    command = [sys.executable, str(HERE / "api_server.py"), str(data.folder)]
    with ExitStack() as stack:
        postgres = stack.enter_context(server(18, **DURABLE))
        pipe = subprocess.PIPE
        served = stack.enter_context(
            subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, start_new_session=True)
        )
        stack.callback(served.kill)
        assert served.stdout is not None
        port = served.stdout.readline().strip()
        assert postgres.process is not None

        def fresh(folder: Path) -> str:
            postgres.query("DROP DATABASE IF EXISTS bench WITH (FORCE)")
            postgres.query("CREATE DATABASE bench")
            postgres.query("CHECKPOINT")
            return postgres.url("bench", password="bench")  # nobody asks for it, but dlt wants one

        yield Place(url=f"http://127.0.0.1:{port}", fresh=fresh, servers=(postgres.process.pid, served.pid))
