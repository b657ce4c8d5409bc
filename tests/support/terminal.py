"""A command on a real pseudo terminal: somebody reads its prompts and types the answers."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.support.canaries import holds_canary
from tests.support.commands import environment


def typed(
    *arguments: str,
    answers: Iterable[tuple[str, str]],
    cwd: Path,
    env: Mapping[str, str] | None = None,
    trees: Iterable[Path] = (),
    seconds: float = 60.0,
) -> tuple[int, str]:
    """Run `connector-core` on a terminal. Each answer is typed when the screen, after the last answer, shows its prompt
    (a piece of it). Returns the exit code and the whole screen as text; fails when a prompt never comes."""
    controller, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 400, 0, 0))
    command = [sys.executable, "-m", "connector_core", *arguments]
    child = subprocess.Popen(
        command, cwd=cwd, env={**environment(env, trees=list(trees)), "TERM": "xterm", "COLUMNS": "400"},
        stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True,
    )  # fmt: skip
    os.close(terminal)
    screen, seen = "", 0
    waiting = list(answers)
    try:
        while True:
            if not select.select([controller], [], [], seconds)[0]:
                raise AssertionError(f"nothing happens any more; waited for {waiting[:1]} on:\n{screen}")
            try:
                piece = os.read(controller, 65536)
            except OSError:  # how a terminal ends on Linux
                break
            if not piece:
                break
            screen += piece.decode("utf-8", "replace")
            if waiting and waiting[0][0] in screen[seen:]:
                seen = len(screen)
                os.write(controller, waiting.pop(0)[1].encode() + b"\n")
        code = child.wait(seconds)
    finally:
        child.kill()
        child.wait()
        os.close(controller)
    assert not holds_canary(screen), f"{arguments} shows a credential"
    assert waiting == [], f"never asked: {waiting}\n{screen}"
    return code, re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen).replace("\r\n", "\n")
