"""Plays the transcript of docs/first-hour.md: its commands in a folder of their own, its answers on a real terminal.

`python -m tests.docs.first_hour` plays it and writes what came into the document: for whoever changes a message on
purpose. A line `$ COMMAND` is a command, what follows up to the next one is what it shows. What differs from machine
to machine and from day to day (times, the folder, the port, process ids) is written as in the document's examples.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.docs.blocks import ROOT
from tests.support.commands import environment
from tests.support.terminal import typed

DOCUMENT = ROOT / "docs" / "first-hour.md"
PORT = "18040"  # as many digits as a free port has: comments in the file stand in one column
FOLDER = "/srv/desk"
SANDBOX = f"connector_desk.sandbox --port {PORT} "
BLOCK = re.compile(r"^```text\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Step:
    """A command and what the document shows of it."""

    command: str
    shown: str


def steps(block: str) -> list[Step]:
    """The commands of a block."""
    parts = re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]
    return [Step(command=part.partition("\n")[0], shown=part.partition("\n")[2]) for part in parts]


class Player:
    """Types the commands of one reader, who has a folder and a sandbox."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "desk"
        self.folder.mkdir()
        self._tools = folder / "bin"
        self._tools.mkdir()
        for name, module in (("connector-core", "-m connector_core"), ("python", "")):
            tool = self._tools / name
            tool.write_text(f'#!/bin/sh\nexec "{sys.executable}" {module} "$@"\n')
            tool.chmod(0o755)
        self._known: dict[str, str] = {}
        self._sandbox: subprocess.Popen[str] | None = None

    def close(self) -> None:
        """End the sandbox."""
        if self._sandbox:
            self._sandbox.terminate()
            self._sandbox.communicate()

    def play(self, step: Step) -> str:
        """What a command shows, in the document's spelling."""
        if SANDBOX in step.command:
            return self._plain(self._serve(step.command))
        if step.command.startswith("connector-core init"):
            return self._plain(self._init(step.shown))
        port = self._known["url"].rpartition(":")[2]
        env = environment({"PATH": f"{self._tools}{os.pathsep}{os.environ['PATH']}"})
        done = subprocess.run(
            ["bash", "-c", step.command.replace(PORT, port)], cwd=self.folder, env=env, text=True,
            stdin=subprocess.DEVNULL, capture_output=True, timeout=90,
        )  # fmt: skip
        told = [line for line in done.stderr.splitlines(True) if not line.startswith("stitch_desk")]  # progress
        return self._plain("".join(told) + done.stdout)

    def _serve(self, command: str) -> str:
        words = command.replace(f"--port {PORT}", "--port 0").removesuffix(" &").split()[1:]
        self._sandbox = subprocess.Popen(
            [sys.executable, *words, "--until-eof"], cwd=self.folder, env=environment(), text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert self._sandbox.stdout is not None
        line = self._sandbox.stdout.readline()
        self._known = json.loads(line)
        return line

    def _init(self, shown: str) -> str:
        """The answers are those that the document shows; hidden ones are the sandbox's credentials."""
        hidden = iter(("key", "secret", "token", "token_secret"))
        answers = []
        for prompt, answer in re.findall(r"^(\S.*?[\])]):(?: (.*))?$", shown, re.MULTILINE):
            if prompt.endswith("(not shown)"):
                answers.append((prompt, self._known[next(hidden)]))
            elif not prompt.startswith("Desk ("):
                answers.append((prompt, answer.replace(f"http://127.0.0.1:{PORT}", self._known["url"])))
        code, screen = typed("init", "--source", "desk", answers=answers, cwd=self.folder)
        assert code == 0, screen
        return screen

    def _plain(self, text: str) -> str:
        """Without what differs from day to day."""
        text = text.replace(self._known["url"], f"http://127.0.0.1:{PORT}").replace(str(self.folder), FOLDER)
        text = re.sub(r"\d+(\.\d+)? s\b", "1.2 s", text)
        text = re.sub(r"\d{8}T\d{6}\.\d{6}Z-\d+", "20261125T073002.114512Z-4711", text)
        text = re.sub(r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\dZ", "2026-11-25 07:30:02Z", text)
        text = re.sub(r"^(Captured: )[^,]*", r"\g<1>2026-11-25T07:30:02Z", text, flags=re.MULTILINE)
        text = re.sub(r"^(Date: ).*", r"\g<1>Wed, 25 Nov 2026 07:30:02 GMT", text, flags=re.MULTILINE)
        text = re.sub(r"[\d,]+ bytes; schema", "7,352,320 bytes; schema", text)
        lines = [line.rstrip() for line in text.splitlines()]
        return "\n".join(lines) + "\n" if lines else ""


@contextmanager
def player(folder: Path) -> Iterator[Player]:
    """A player, whose sandbox ends with the block."""
    one = Player(folder)
    try:
        yield one
    finally:
        one.close()


def played(text: str, one: Player) -> str:
    """The document with what its commands show now."""

    def again(block: re.Match[str]) -> str:
        found = steps(block[1])
        if not found:
            return block[0]
        return "```text\n" + "".join(f"$ {step.command}\n{one.play(step)}" for step in found) + "```"

    return BLOCK.sub(again, text)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, player(Path(folder)) as reader:
        DOCUMENT.write_text(played(DOCUMENT.read_text(), reader))
