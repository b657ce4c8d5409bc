"""The benchmark's command: `python3 dev.py bench [--n CASES] [--runs RUNS] [--only TOOL ...]`.

Every run of a tool starts with an empty destination, loads all records, is checked, loads the one per cent that
changed, and is checked again. The tools take turns, so that a busy minute of the machine hits all of them. Exit code
1 when a run failed or was wrong or a gate was missed.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

import tools
from generate import Data, generate
from measure import CORES, MIB, cost, wait_until_calm
from report import MB, Run, gates, gates_table, table
from tools import HERE, TOOLS, Job, Tool

WARM_UP = 500  # cases
LONGEST = 1_200.0  # seconds for one load


def main() -> int:
    """Prepare everything, measure, print."""
    wanted = _arguments()
    if sys.platform != "linux":
        print("the benchmark reads its figures from /proc, so it needs Linux", file=sys.stderr)
        return 2
    cache: Path = wanted.cache
    small, data = (generate(cache / "data" / str(n), n) for n in (WARM_UP, wanted.n))
    ready, missing = _prepare(_chosen(wanted.only, wanted.n), small, cache)
    runs: list[Run] = []
    for number in range(wanted.runs):
        for tool, python, versions in ready:
            if number and tool.most is not None and tool.most < wanted.n:
                continue  # once is enough of a tool that takes minutes
            for run in _measure(tool, python, versions, data, cache, calm=wanted.calm):
                runs.append(run)
                _say(f"{tool.name}, {run.phase}: {run.cost.wall:.2f} s, {run.cost.peak / MIB:.0f} MiB", run.wrong)
    starting = _help_seconds() if any(tool.name == "connector-core" for tool, _, _ in ready) else None
    _keep(runs, cache / "results.jsonl", wanted.n)
    held = list(gates(runs, help_seconds=starting))
    print(_heading(data))
    print(table(runs), gates_table(held), sep="\n\n")
    for name, reason in missing.items():
        print(f"\nNot measured: {name}: {reason}")
    return 0 if runs and all(gate.held for gate in held) and not any(run.wrong for run in runs) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python3 dev.py bench", description=(__doc__ or "").split("\n\n")[1])
    parser.add_argument("--n", type=int, default=100_000, help="cases; customers are half as many (default 100000)")
    parser.add_argument("--runs", type=int, default=3, help="runs of each tool; medians are printed (default 3)")
    parser.add_argument("--only", nargs="+", choices=[tool.name for tool in TOOLS], help="measure only these")
    parser.add_argument("--calm", type=float, default=10, help="wait up to so many seconds for others to be quiet")
    default = Path(tempfile.gettempdir()) / "connector-core-bench"
    parser.add_argument("--cache", type=Path, default=default, help=f"environments, data, work (default {default})")
    wanted = parser.parse_args()
    if wanted.n < 100 or wanted.runs < 1:
        parser.error("at least 100 cases and one run")
    return wanted


def _chosen(only: list[str] | None, n: int) -> list[Tool]:
    if only:
        return [tool for tool in TOOLS if tool.name in only]
    return [tool for tool in TOOLS if tool.most is None or n <= tool.most]


def _prepare(chosen: list[Tool], small: Data, cache: Path) -> tuple[list[tuple[Tool, str, str]], dict[str, str]]:
    """Makes the environments and lets each tool load a little, which compiles its Python; returns what works, and
    what does not with the reason.
    """
    ready, missing = [], {}
    for tool in chosen:
        _say(f"preparing {tool.name}")
        try:
            python = tools.python_of(tool, cache / "environments")
            versions = tools.versions_of(tool, python)
        except subprocess.CalledProcessError as error:
            missing[tool.name] = f"cannot be installed: {_last_line(error.stderr)}"
            continue
        (run, *_) = _measure(tool, python, versions, small, cache, compiling=True)
        if run.wrong:
            missing[tool.name] = f"does not load the warm-up data: {run.wrong[0]}"
        else:
            ready.append((tool, python, versions))
    return ready, missing


def _measure(
    tool: Tool, python: str, versions: str, data: Data, cache: Path, *, compiling: bool = False, calm: float = 0
) -> list[Run]:
    """The full load, and the increment where the tool has one, into a new destination."""
    work = cache / "work" / tool.name
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    log = cache / f"{tool.name}.log"
    log.write_bytes(b"")
    runs = []
    for phase in ("full", "changed") if tool.increments else ("full",):
        job = Job(python=python, data=data.folder / phase, work=work)
        command = tool.command(job)
        wait_until_calm(calm)
        spent = cost(
            command, cwd=work, env=tools.environment_of(tool, compiling=compiling), log=log, seconds=LONGEST
        )  # fmt: skip
        wrong = _check(tool, job, data, phase) if spent.code == 0 else (_failure(spent.code, log),)
        rows = sum(data.full.values()) if phase == "full" else None
        runs.append(Run(tool=tool.name, versions=versions, phase=phase, cost=spent, rows=rows, wrong=wrong))
        if spent.code:
            break
    return runs


def _check(tool: Tool, job: Job, data: Data, phase: str) -> tuple[str, ...]:
    command = [sys.executable, str(HERE / "verify.py"), str(job.out), tool.layout, str(data.folder), phase]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode == 0:
        return ()
    return tuple(done.stdout.split("\n")[:-1]) or (_last_line(done.stderr),)


def _failure(code: int, log: Path) -> str:
    reason = "took too long" if code == -9 else f"ended with exit code {code}"
    return f"{reason}: {_last_line(log.read_text(errors='replace'))} (see {log})"


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "it said nothing")


def _help_seconds() -> float:
    """The median wall time of `--help`, of five."""
    command = [sys.executable, "-m", "connector_core", "--help"]
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        return median(cost(command, cwd=HERE, env=dict(os.environ), log=log, seconds=60).wall for _ in range(5))


def _keep(runs: list[Run], file: Path, n: int) -> None:
    """Every single run, for whoever wants more than medians."""
    with file.open("a") as out:
        for run in runs:
            out.write(json.dumps({"n": n, **dataclasses.asdict(run)}) + "\n")


def _heading(data: Data) -> str:
    size = sum(file.stat().st_size for file in (data.folder / "full").iterdir()) / MB
    rows, tables = sum(data.full.values()), len(data.full)
    return (
        f"\nNDJSON to DuckDB: {data.n:,} cases and {data.n // 2:,} customers ({size:,.0f} MB) as {rows:,} rows of "
        f"{tables} tables.\nMedians; {CORES} cores, Python {platform.python_version()}, {platform.system()}.\n"
    )


def _say(text: str, wrong: tuple[str, ...] = ()) -> None:
    print("bench:", text, *(f"\n  BAD: {finding}" for finding in wrong[:5]), file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
