"""Keeps what the other side sent when it went wrong: a file that its owner alone can read, and that the error names."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from connector_core.errors import ConnectorError, Evidence
from connector_core.redact import printable

FOLDER = Path(".connector-core") / "captured"
"""Where the files lie, beside connectors.toml."""
MOST_FILES = 20  # the oldest ones go
MOST_CHARACTERS = 64 * 1024  # of one page or of a few records; what is longer is cut, after secrets were taken out


def keep(error: ConnectorError, *, beside: Path, redact: Callable[[str], str], now: datetime) -> None:
    """Write the error's evidence, without secrets, to a file below the folder `beside`, and name it in the place.

    Does nothing for an error without evidence, or that was kept already; a disk that does not take the file changes
    nothing about the error.
    """
    if error.evidence is None or error.place.captured is not None:
        return
    text = _text(error, error.evidence, redact, now)
    path = beside / FOLDER / f"{now:%Y%m%dT%H%M%S.%fZ}-{os.getpid()}-{error.code}.txt"
    with contextlib.suppress(OSError):
        for folder in (path.parent.parent, path.parent):
            folder.mkdir(mode=0o700, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
        with os.fdopen(os.open(path, flags, 0o600), "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
        error.at(captured=str(path))
        for old in sorted(path.parent.glob("*.txt"))[:-MOST_FILES]:
            old.unlink(missing_ok=True)


def _text(error: ConnectorError, evidence: Evidence, redact: Callable[[str], str], now: datetime) -> str:
    sent = evidence.text.decode("utf-8", "backslashreplace") if isinstance(evidence.text, bytes) else evidence.text
    clean = redact(sent)
    head = {"Error": str(error), "Captured": f"{now:%Y-%m-%dT%H:%M:%SZ}, the {evidence.kind} without secrets"}
    lines = [f"{name}: {value}" for name, value in {**head, **evidence.head}.items()]
    body = clean[:MOST_CHARACTERS].split("\n")
    more = ["(cut here)"] if len(clean) > MOST_CHARACTERS else []
    return "\n".join([*(printable(redact(line)) for line in lines), "", *map(printable, body), *more]) + "\n"
