"""Commands as `connector-core` runs them, in this process: for what a new interpreter would not prove better."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connector_core.cli.app import invoke


@dataclass(frozen=True, kw_only=True)
class Typed:
    """What a command has said, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its standard output as JSON."""
        return json.loads(self.out)

    def cells(self, first: str) -> list[str]:
        """The words of the line that begins with this word."""
        return next(line.split() for line in self.out.splitlines() if line.split()[:1] == [first])


def typed(folder: Path, *words: str, code: int = 0) -> Typed:
    """Type a command in the folder of a connectors.toml; its exit code must be `code`."""
    out, err = io.StringIO(), io.StringIO()
    with _own_logging(), redirect_stdout(out), redirect_stderr(err):
        ended = invoke(["--config", str(folder / "connectors.toml"), *words])
    told = Typed(code=ended, out=out.getvalue(), err=err.getvalue())
    assert ended == code, told
    assert "Traceback" not in told.out + told.err
    return told


@contextmanager
def _own_logging() -> Iterator[None]:
    """A command sets up logging for its process; this process keeps its own."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
