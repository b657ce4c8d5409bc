"""Measures the tools of one work: full load into an empty destination, check, increment, check.

The tools take turns, so that a busy minute of the machine hits all of them. Every run's full load is checked; in the
first run every field of every record is compared, later a sample.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import places
import tools
from generate import Data, generate
from measure import CORES, MB, MIB, Cost, cost, wait_until_calm
from report import GATES, Run, Section, gates_table, lacks_table, table
from tools import HERE, NOT_HERE, TOOLS, Job, Tool

WARM_UP = 500  # cases
LONGEST = 1_200.0  # seconds for one load
TITLES = {"files": "NDJSON files to DuckDB", "api": "An API to Postgres"}
PLACES = {"files": places.files, "api": places.api}


def measured(work: str, wanted: argparse.Namespace) -> Section | None:
    """Measure the tools of one work; None when none of its tools was asked for."""
    chosen = _chosen(work, wanted)
    if not chosen:
        return None
    cache: Path = wanted.cache
    small, data = (generate(cache / "data" / str(n), n) for n in (WARM_UP, wanted.n))
    if work == "api":
        _prepare_csv(small, data)
    bench = Bench(work=work, cache=cache)
    ready, missing = bench.prepare(chosen, small)
    runs: list[Run] = []
    with PLACES[work](data) as place:
        for number in range(wanted.runs):
            for tool in ready:
                if number and tool.once is not None and tool.once < wanted.n:
                    continue  # once is enough of a tool that takes minutes
                for run in bench.measure(tool, data, place, calm=wanted.calm, every=not number):
                    runs.append(run)
                    say(f"{tool.name}, {run.phase}: {run.cost.wall:.2f} s, {run.cost.peak / MIB:.0f} MiB", run.wrong)
    _keep(runs, cache / "results.jsonl", work, wanted.n)
    held = list(GATES[work](runs))
    parts = [_heading(work, data), table(runs), gates_table(held), "What each does less of:", lacks_table(ready)]
    bad = {run.tool: run.wrong[0] for run in runs[::-1] if run.wrong}
    parts += [f"What {name} left is not right, for instance {bad[name]}" for name in sorted(bad)]
    absent = missing | ({} if wanted.only else NOT_HERE)
    parts += ["Not measured:", "\n".join(f"- {name}: {reason}" for name, reason in absent.items())] if absent else []
    ours = [run for run in runs if run.tool == "connector-core"]
    good = bool(runs) and all(gate.held for gate in held) and not any(run.wrong for run in ours)
    return Section(name=work, text="\n\n".join(parts), good=good)


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
                say(f"preparing {tool.name}")
                try:
                    tools.pythons_of(tool, self.cache / "environments")
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
        self,
        tool: Tool,
        data: Data,
        place: places.Place,
        *,
        compiling: bool = False,
        calm: float = 0,
        every: bool = False,
    ) -> list[Run]:
        """The full load, and the increment where the tool has one, into a new destination. `every` record is compared,
        or a sample."""
        work = self.cache / "work" / self.work / tool.name
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        log = self.cache / f"{self.work}-{tool.name}.log"
        log.write_bytes(b"")
        pythons = tools.pythons_of(tool, self.cache / "environments")
        versions, database = tools.versions_of(tool, pythons), place.fresh(work)
        runs = []
        for phase in ("full", "changed") if tool.increments else ("full",):
            folder, again = data.folder / phase, phase == "changed"
            job = Job(pythons=pythons, data=folder, url=place.url, work=work, database=database, again=again)
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
            wrong = _check(tool, job, data, phase, every=every) if spent.code == 0 else (_failure(spent, log),)
            rows = sum(data.full.values()) if phase == "full" else None
            runs.append(Run(tool=tool.name, versions=versions, phase=phase, cost=spent, rows=rows, wrong=wrong))
            if spent.code:
                break
        return runs


def _check(tool: Tool, job: Job, data: Data, phase: str, *, every: bool) -> tuple[str, ...]:
    if not tool.layout:
        return ()
    which = "every" if every else "sample"
    command = [sys.executable, str(HERE / "verify.py"), job.database, tool.layout, str(data.folder), phase, which]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode == 0:
        return ()
    return tuple(done.stdout.split("\n")[:-1]) or (_last_line(done.stderr),)


def _failure(spent: Cost, log: Path) -> str:
    reason = "took too long" if spent.code == -9 else f"ended with exit code {spent.code}"
    return f"{reason}: {_last_line(log.read_text(errors='replace'))} (see {log.name} in the cache folder)"


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "it said nothing")


def _keep(runs: list[Run], file: Path, work: str, n: int) -> None:
    """Every single run, for whoever wants more than medians."""
    with file.open("a") as out:
        for run in runs:
            out.write(json.dumps({"work": work, "n": n, **dataclasses.asdict(run)}) + "\n")


def _heading(work: str, data: Data) -> str:
    size = sum(file.stat().st_size for file in (data.folder / "full").iterdir() if file.is_file()) / MB
    rows, tables = sum(data.full.values()), len(data.full)
    return (
        f"**{TITLES[work]}**: {data.n:,} cases and {data.n // 2:,} customers ({size:,.0f} MB) as {rows:,} rows of "
        f"{tables} tables.\nMedians; {CORES} cores, Python {platform.python_version()}, {platform.system()}."
    )


def say(text: str, wrong: tuple[str, ...] = ()) -> None:
    """What happens, to standard error."""
    print("bench:", text, *(f"\n  BAD: {finding}" for finding in wrong[:5]), file=sys.stderr, flush=True)
