"""Running `connector-core` as a user does: a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def environment(env: Mapping[str, str] | None = None, *, trees: Sequence[Path] = ()) -> dict[str, str]:
    """This process's environment with the same import path, then `trees` with plugins, then `env`."""
    python_path = os.pathsep.join([*sys.path, *map(str, trees)])
    return {**os.environ, "PYTHONPATH": python_path, "COLUMNS": "200", **(env or {})}


def command(
    *arguments: str, cwd: Path, env: Mapping[str, str] | None = None, trees: Sequence[Path] = (), **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run the command to its end. It must never show a traceback."""
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
    assert "Traceback" not in (done.stderr or "") + (done.stdout or ""), done.stderr
    return done
