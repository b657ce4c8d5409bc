"""Running `connector-core` as a user does: a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.support.canaries import holds_canary


def environment(env: Mapping[str, str] | None = None, *, trees: Sequence[Path] = ()) -> dict[str, str]:
    """This process's environment with the same import path, then `trees` with plugins, then `env`. A plugin that only
    tests in this process use (`support/engine.py`) is not handed on."""
    own = [path for path in sys.path if path != str(Path(__file__).parent / "site")]
    python_path = os.pathsep.join([*own, *map(str, trees)])
    return {**os.environ, "PYTHONPATH": python_path, "COLUMNS": "200", **(env or {})}


def command(
    *arguments: str, cwd: Path, env: Mapping[str, str] | None = None, trees: Sequence[Path] = (), **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run the command to its end. It must never show a traceback (but with `--debug`) nor a credential of a sandbox."""
    done = subprocess.run(
        [sys.executable, "-m", "connector_core", *arguments],
        **{
            "cwd": cwd,
            "env": environment(env, trees=trees),
            "text": True,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "stdin": subprocess.DEVNULL,
            "timeout": 90,
            **options,
        },
    )
    told = (done.stderr or "") + (done.stdout or "")
    assert "Traceback" not in told or "--debug" in arguments, done.stderr
    assert not holds_canary(told), f"{arguments} prints a credential"
    return done
