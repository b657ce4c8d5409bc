"""Where our time goes: microseconds of CPU per root record, by step of the engine, in a full load of both works.

py-spy looks at the threads of a run from outside, 250 times a second; what they do is sorted by the innermost line that
belongs to a step (`STEPS`), and left out when that is waiting (`WAITING`). What a library in C does counts for the line
that called it. The shares are applied to the CPU seconds of a run that was not looked at.
"""

from __future__ import annotations

import argparse
import re
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import tools
from generate import Data, generate
from measure import cost
from places import Place
from report import Gate, Section, gates_table, markdown
from tools import TOOLS, Environment, Job, Tool
from works import PLACES, TITLES, Bench

STEPS: Mapping[str, str] = {
    "imports": r"<frozen importlib|^<module> \(",
    "HTTP": r"rest/(wire|transport|addresses|resolve|auth)\.py",
    "source": r"(ndjson_source|api_source|rest/\w+)\.py",
    "parse": r"connector_core/(parse|entries)\.py",
    "validate": r"connector_core/(validate|metaschema|relax)\.py",
    "hash": r"^\w+\.(\w*blobs|_lists|page\.<locals>)[\w.<>]* \(connector_core/(shape|hashed)\.py",
    "shape": r"connector_core/(reading|shape|layout|nested|instants|numbers|declared|names)\.py",
    "slices and bookmarks": r"connector_core/(slices|extraction|bookmarks|children|fetch|budget)\.py",
    "encode for bulk loading": r"connector_\w+/bulk\.py",
    "statements and COPY": r"connector_(duckdb|postgres|snowflake)/|connector_core/(sql/|write|upsert|evolve|namespace|"
    r"rejected|activate|staging|target|refused|seams)",
    "ledger": r"connector_core/ledger/",
    "command line, events": r"connector_core/(cli|config|events|hooks|plugins|pipeline|loading|extraction_log)",
}
"""Each step and how its lines look, `function (file:line)`. The innermost line that any of them fits decides; a line
that several fit belongs to the first."""
WAITING = re.compile(
    r"^(Condition\.wait|Event\.wait|_worker|Thread\.join|Thread\._wait_for_tstate_lock|Signals\._listen|"
    r"SocketIO\.readinto|create_connection|Connection\.wait|_wait\w*|wait\w*) \("
)
"""The innermost line of a thread that waits for another one or for the other side."""
PY_SPY = Environment(name="py-spy", packages=("py-spy==0.4.3",))
RATE = 250  # looks a second


def profiled(wanted: argparse.Namespace) -> Section:
    """Look at a full load of each work."""
    parts, gates = [], []
    for work in PLACES:
        ours = replace(next(tool for tool in TOOLS[work] if tool.name == "connector-core"), increments=False)
        data = generate(wanted.cache / "data" / str(wanted.n), wanted.n)
        with PLACES[work](data) as place:
            (run,) = Bench(work=work, cache=wanted.cache).measure(ours, data, place, calm=wanted.calm)
            seen = _seen(work, ours, data, place, wanted.cache)
        records, whole = data.n + data.n // 2, seen.total()
        lines = [["step", "us of CPU a record", "share"], ["---", "---:", "---:"]]
        for step, looks in seen.most_common():
            lines.append([step, f"{run.cost.cpu / records * 1e6 * looks / whole:.1f}", f"{looks / whole:.1%}"])
        lines.append(["all", f"{run.cost.cpu / records * 1e6:.1f}", ""])
        parts.append(f"**{TITLES[work]}**, {records:,} records\n\n{markdown(lines)}")
        share = 100 * seen["validate"] / whole
        gates.append(Gate(what=f"{work}: validation's share of CPU", value=share, gate=10, goal=5, unit="%"))
    text = "\n\n".join([*parts, gates_table(gates)])
    return Section(name="steps", text=text, good=all(gate.held for gate in gates))


def _seen(work: str, tool: Tool, data: Data, place: Place, cache: Path) -> Counter[str]:
    """How often each step was seen at work."""
    folder = cache / "work" / work / "steps"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    job = Job(
        pythons=tools.pythons_of(tool, cache / "environments"),
        data=data.folder / "full",
        url=place.url,
        work=folder,
        database=place.fresh(folder),
    )
    spy = Path(tools.python_of(PY_SPY, cache / "environments")).parent / "py-spy"
    looking = [str(spy), "record", "-r", str(RATE), "-f", "raw", "-o", "looks", "--", *tool.command(job)]
    spent = cost(looking, cwd=folder, env=tools.environment_of(tool), log=folder / "log", seconds=1200)
    if spent.code:
        raise SystemExit(f"py-spy ended with exit code {spent.code}; see {folder / 'log'}")
    seen: Counter[str] = Counter()
    for line in (folder / "looks").read_text().splitlines():
        stack, _, looks = line.rpartition(" ")
        lines = stack.split(";")
        if not WAITING.match(lines[-1]):
            seen[_step(lines)] += int(looks)
    return seen


def _step(lines: Sequence[str]) -> str:
    for line in reversed(lines):
        for step, pattern in STEPS.items():
            if re.search(pattern, line):
                return step
    return "everything else"
