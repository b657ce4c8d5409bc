"""Looks for credentials where none may be: in what commands print and in every file that tests leave behind.

All credentials that the sandbox of Desk draws begin with the same digits, so that one search finds any of them: as
they are (percent-encoded they look the same) and in base64.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

from connector_desk.sandbox import CANARY

EXPECTED = {
    ".secrets": "where `init` puts secrets",
    "given": "what a test gives as a file with a secret",
    "sources": "copies of the project's own files, which make the canary",
    "site-packages": "the same, installed",
}
"""Folders whose files hold credentials on purpose."""


def _inside(raw: bytes, shift: int) -> bytes:
    """The characters of base64 that depend on `raw` alone when it begins `shift` bytes into a group of three."""
    code = base64.b64encode(b"\0" * shift + raw)
    return code[-(-shift * 8 // 6) : (shift + len(raw)) * 8 // 6]


SPELLINGS = (CANARY.encode(), *(_inside(CANARY.encode(), shift) for shift in range(3)))


def holds_canary(content: bytes | str) -> bool:
    """Whether a credential of the sandbox stands in it."""
    raw = content.encode("utf-8", "replace") if isinstance(content, str) else content
    return any(spelling in raw for spelling in SPELLINGS)


def leaks(folder: Path) -> Iterator[Path]:
    """The files below `folder` that hold a credential, but for those in folders that hold them on purpose."""
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder).parts
        if path.is_file() and not path.is_symlink() and not EXPECTED.keys() & set(inside[:-1]):
            try:
                content = path.read_bytes()
            except OSError:  # a test has made it unreadable
                continue
            if holds_canary(content):
                yield path
