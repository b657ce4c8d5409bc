"""What a command costs that has nothing to load: `--help`, `status`, and a run that finds nothing new.

The idle run is one of Desk into DuckDB against the sandbox: its two full tables are read and found unchanged, cases and
customers are asked for once each.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from measure import MIB, Cost, cost, wait_until_calm
from report import Gate, Section, gates_table, markdown
from tools import HERE

TIMES = 5
COMMANDS = {"--help": (0.4, 0.2), "status": (1.0, 0.5), "run": (1.5, 0.7)}
"""Gate and goal of each, in seconds of CPU."""
NAMES = {"--help": "`--help`", "status": "`status`", "run": "an idle run"}


def started(wanted: argparse.Namespace) -> Section:
    """Measure the commands one after the other, several times; the least wanted is what is noisy, so medians count."""
    work = wanted.cache / "work" / "start-up"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    shutil.copy2(HERE.parent / "connectors.toml", work)
    with sandbox() as access:
        env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        env |= {f"DESK_{name.upper()}": access[name] for name in ("key", "secret", "token", "token_secret")}
        env["DESK_SITE_URL"] = access["url"]
        _cost(work, env, "run")
        wait_until_calm(wanted.calm)
        costs: dict[str, list[Cost]] = {name: [] for name in COMMANDS}
        for _ in range(TIMES):
            for name in COMMANDS:
                costs[name].append(_cost(work, env, name))
    lines = [["command", "runs", "CPU s", "wall s", "peak MiB"], ["---", *["---:"] * 4]]
    gates = []
    for name, mine in costs.items():
        cpu, wall, peak = (median(getattr(one, what) for one in mine) for what in ("cpu", "wall", "peak"))
        lines.append([NAMES[name], str(len(mine)), f"{cpu:.2f}", f"{wall:.2f}", f"{peak / MIB:.0f}"])
        gate, goal = COMMANDS[name]
        gates.append(Gate(what=f"CPU of {NAMES[name]}", value=cpu, gate=gate, goal=goal, unit="s"))
    text = f"**Start-up**: medians of {TIMES}.\n\n{markdown(lines)}\n\n{gates_table(gates)}"
    return Section(name="start-up", text=text, good=all(gate.held for gate in gates))


def _cost(work: Path, env: dict[str, str], command: str) -> Cost:
    words = [sys.executable, "-m", "connector_core", command]
    spent = cost(words, cwd=work, env=env, log=work / "log", seconds=60)
    if spent.code:
        raise SystemExit(f"`connector-core {command}` ended with exit code {spent.code}; see {work / 'log'}")
    return spent


@contextmanager
def sandbox(*options: str) -> Iterator[dict[str, str]]:
    """A sandbox of Desk on a free port: its address and credentials."""
    command = [sys.executable, "-m", "connector_desk.sandbox", *(options or ("--demo",)), "--port", "0", "--until-eof"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, start_new_session=True) as child:
        try:
            assert child.stdout is not None
            yield json.loads(child.stdout.readline())
        finally:
            child.kill()
