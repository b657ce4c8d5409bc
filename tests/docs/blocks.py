"""The documents as the tests read them: their fenced blocks, and the shell commands in them."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
DOCUMENTS = [README, ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Block:
    """A fenced block: its document, language and text."""

    document: Path
    language: str
    text: str


def blocks(document: Path, language: str | None = None) -> list[Block]:
    """The fenced blocks of a document, of one language or all."""
    found = [Block(document=document, language=of, text=text) for of, text in _BLOCK.findall(document.read_text())]
    return [block for block in found if language in (None, block.language)]


def block(document: Path, language: str, holding: str) -> str:
    """The text of the one block that holds a word."""
    (found,) = [one.text for one in blocks(document, language) if holding in one.text]
    return found


def shell_lines(document: Path) -> list[list[str]]:
    """The words of every line of the document's shell blocks."""
    return [shlex.split(line) for one in blocks(document, "sh") for line in one.text.splitlines() if line.strip()]
