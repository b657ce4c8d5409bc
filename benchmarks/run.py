"""The benchmark's command: `python3 dev.py bench [--work files api] [--n CASES] [--runs RUNS] [--only TOOL ...]`.

Two works are measured: NDJSON files into a DuckDB file, and an API into Postgres. Every run of a tool starts with an
empty destination, loads all records, is checked, loads the one per cent that changed, and is checked again. The tools
take turns, so that a busy minute of the machine hits all of them. Exit code 1 when a gate was missed or what we
left was wrong; what others left wrong is told below the table.
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

import places
import tools
from generate import Data, generate
from measure import CORES, MIB, cost, wait_until_calm
from report import GATES, MB, Run, gates_table, table
from tools import HERE, TOOLS, Job, Tool

WARM_UP = 500  # cases
LONGEST = 1_200.0  # seconds for one load
TITLES = {"files": "NDJSON files to DuckDB", "api": "An API to Postgres"}
PLACES = {"files": places.files, "api": places.api}


def main() -> int:
    """Prepare everything, measure one work after the other, print."""
    wanted = _arguments()
    if sys.platform != "linux":
        print("the benchmark reads its figures from /proc, so it needs Linux", file=sys.stderr)
        return 2
    good = [_work(work, wanted) for work in wanted.work if not wanted.only or _chosen(work, wanted)]
    return 0 if good and all(good) else 1


def _work(work: str, wanted: argparse.Namespace) -> bool:
    """Measure the tools of one work and print what came of it; whether all were right and all gates held."""
    cache: Path = wanted.cache
    small, data = (generate(cache / "data" / str(n), n) for n in (WARM_UP, wanted.n))
    if work == "api":
        _prepare_csv(small, data)
    bench = Bench(work=work, cache=cache)
    ready, missing = bench.prepare(_chosen(work, wanted), small)
    runs: list[Run] = []
    with PLACES[work](data) as place:
        for number in range(wanted.runs):
            for tool in ready:
                if number and tool.most is not None and tool.most < wanted.n:
                    continue  # once is enough of a tool that takes minutes
                for run in bench.measure(tool, data, place, calm=wanted.calm):
                    runs.append(run)
                    _say(f"{tool.name}, {run.phase}: {run.cost.wall:.2f} s, {run.cost.peak / MIB:.0f} MiB", run.wrong)
    starting = _help_seconds() if any(tool.name == "connector-core" for tool in ready) else None
    _keep(runs, cache / "results.jsonl", work, wanted.n)
    held = list(GATES[work](runs, help_seconds=starting))
    print(_heading(work, data))
    print(table(runs), gates_table(held), sep="\n\n")
    for tool, wrong in {(run.tool, run.wrong[0]) for run in runs if run.wrong}:
        print(f"\nWhat {tool} left is not right: {wrong}")
    for name, reason in missing.items():
        print(f"\nNot measured: {name}: {reason}")
    ours = [run for run in runs if run.tool == "connector-core"]
    return bool(runs) and all(gate.held for gate in held) and not any(run.wrong for run in ours)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python3 dev.py bench", description=(__doc__ or "").split("\n\n")[1])
    parser.add_argument("--n", type=int, default=100_000, help="cases; customers are half as many (default 100000)")
    parser.add_argument("--runs", type=int, default=3, help="runs of each tool; medians are printed (default 3)")
    names = sorted({tool.name for work in TOOLS.values() for tool in work})
    parser.add_argument("--work", nargs="+", choices=[*TOOLS], default=[*TOOLS], help="measure only these works")
    parser.add_argument("--only", nargs="+", choices=names, metavar="TOOL", help=f"only these: {', '.join(names)}")
    parser.add_argument("--calm", type=float, default=10, help="wait up to so many seconds for others to be quiet")
    default = Path(tempfile.gettempdir()) / "connector-core-bench"
    parser.add_argument("--cache", type=Path, default=default, help=f"environments, data, work (default {default})")
    wanted = parser.parse_args()
    if wanted.n < 100 or wanted.runs < 1:
        parser.error("at least 100 cases and one run")
    return wanted


def _chosen(work: str, wanted: argparse.Namespace) -> list[Tool]:
    if wanted.only:
        return [tool for tool in TOOLS[work] if tool.name in wanted.only]
    return [tool for tool in TOOLS[work] if tool.most is None or wanted.n <= tool.most]


def _prepare_csv(*wanted: Data) -> None:
    """The files that psql copies, made by the peer that copies them."""
    sys.path.append(str(HERE / "peers"))
    from psql_copy import prepare

    for data in wanted:
        prepare(data.folder / "full")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bench:
    """One work; `cache` holds environments, data, and what the tools write."""

    work: str
    cache: Path

    def prepare(self, chosen: list[Tool], small: Data) -> tuple[list[Tool], dict[str, str]]:
        """Makes the environments and lets each tool load a little, which compiles its Python; returns what works, and
        what does not with the reason.
        """
        ready, missing = [], {}
        with PLACES[self.work](small) as place:
            for tool in chosen:
                _say(f"preparing {tool.name}")
                try:
                    tools.python_of(tool, self.cache / "environments")
                except subprocess.CalledProcessError as error:
                    missing[tool.name] = f"cannot be installed: {_last_line(error.stderr)}"
                    continue
                (run, *_) = self.measure(tool, small, place, compiling=True)
                if run.cost.code:
                    missing[tool.name] = f"does not load the warm-up data: {run.wrong[0]}"
                else:
                    ready.append(tool)
        return ready, missing

    def measure(
        self, tool: Tool, data: Data, place: places.Place, *, compiling: bool = False, calm: float = 0
    ) -> list[Run]:
        """The full load, and the increment where the tool has one, into a new destination."""
        work = self.cache / "work" / self.work / tool.name
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        log = self.cache / f"{self.work}-{tool.name}.log"
        log.write_bytes(b"")
        python = tools.python_of(tool, self.cache / "environments")
        versions, database = tools.versions_of(tool, python), place.fresh(work)
        runs = []
        for phase in ("full", "changed") if tool.increments else ("full",):
            job = Job(python=python, data=data.folder / phase, url=place.url, work=work, database=database)
            command = tool.command(job)
            wait_until_calm(calm)
            spent = cost(
                command,
                cwd=work,
                env=tools.environment_of(tool, compiling=compiling),
                log=log,
                seconds=LONGEST,
                servers=place.servers,
            )
            wrong = _check(tool, job, data, phase) if spent.code == 0 else (_failure(spent.code, log),)
            rows = sum(data.full.values()) if phase == "full" else None
            runs.append(Run(tool=tool.name, versions=versions, phase=phase, cost=spent, rows=rows, wrong=wrong))
            if spent.code:
                break
        return runs


def _check(tool: Tool, job: Job, data: Data, phase: str) -> tuple[str, ...]:
    if not tool.layout:
        return ()
    command = [sys.executable, str(HERE / "verify.py"), job.database, tool.layout, str(data.folder), phase]
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


def _keep(runs: list[Run], file: Path, work: str, n: int) -> None:
    """Every single run, for whoever wants more than medians."""
    with file.open("a") as out:
        for run in runs:
            out.write(json.dumps({"work": work, "n": n, **dataclasses.asdict(run)}) + "\n")


def _heading(work: str, data: Data) -> str:
    size = sum(file.stat().st_size for file in (data.folder / "full").iterdir()) / MB
    rows, tables = sum(data.full.values()), len(data.full)
    return (
        f"\n{TITLES[work]}: {data.n:,} cases and {data.n // 2:,} customers ({size:,.0f} MB) as {rows:,} rows of "
        f"{tables} tables.\nMedians; {CORES} cores, Python {platform.python_version()}, {platform.system()}.\n"
    )


def _say(text: str, wrong: tuple[str, ...] = ()) -> None:
    print("bench:", text, *(f"\n  BAD: {finding}" for finding in wrong[:5]), file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
