"""The first hour of a new user goes as docs/first-hour.md says: every command and every line that it shows."""

from __future__ import annotations

import re
from pathlib import Path

from tests.docs.first_hour import BLOCK, DOCUMENT, player, steps


def lines(text: str) -> list[str]:
    """Lines in any order, as streams that are read side by side finish so; also the tables that a run has created."""
    return sorted(
        ", ".join(sorted(line.removeprefix("  created ").split(", "))) if line.startswith("  created ") else line
        for line in text.splitlines()
    )


def test_g3_g5_g12_the_first_hour_goes_as_it_is_written(tmp_path: Path) -> None:
    text = DOCUMENT.read_text()
    found = [step for block in BLOCK.findall(text) for step in steps(block)]
    assert len(found) > 15
    with player(tmp_path) as reader:
        for step in found:
            assert lines(reader.play(step)) == lines(step.shown), step.command
    shown = "".join(step.shown for step in found)
    assert re.findall(r"\[(auth|site_url|config_invalid)\]$", shown, re.MULTILINE)
    assert "the-right-token" not in shown.partition("connector-core init")[2]
