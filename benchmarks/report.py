"""What the runs say: a table of medians, the ratios beside their gates and goals, and the parts of the document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from measure import MB, MIB, Cost
from tools import Tool


@dataclass(frozen=True, kw_only=True)
class Run:
    """One measured load: `phase` is full or changed, `rows` what it has brought to the destination, `wrong` what
    `verify` found.
    """

    tool: str
    versions: str
    phase: str
    cost: Cost
    rows: int | None
    wrong: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Section:
    """One part of what was measured, as markdown; `good` when all gates held and what we left was right."""

    name: str
    text: str
    good: bool


@dataclass(frozen=True, kw_only=True)
class Gate:
    """One figure that has to hold: `value` was measured, `gate` must hold, `goal` is what we are after."""

    what: str
    value: float
    gate: float
    goal: float
    unit: str = ""
    at_least: bool = False

    def _reaches(self, limit: float) -> bool:
        return self.value >= limit if self.at_least else self.value <= limit

    @property
    def held(self) -> bool:
        """Whether the measured value is on the right side of the gate."""
        return self._reaches(self.gate)

    @property
    def verdict(self) -> str:
        """In words."""
        return "goal reached" if self._reaches(self.goal) else "held" if self.held else "**missed**"


def table(runs: Sequence[Run]) -> str:
    """A markdown table, one line for each tool and phase."""
    head = [
        "tool",
        "load",
        "runs",
        "wall s",
        "min",
        "max",
        "CPU s",
        "servers' CPU s",
        "rows per CPU s",
        "peak MiB",
        "largest MiB",
        "noise",
        "checked",
    ]
    lines = [head, ["---", "---", *["---:"] * 10, "---"]]
    for tool, phase in dict.fromkeys(
        (run.tool, run.phase) for run in sorted(runs, key=lambda run: run.phase != "full")
    ):
        mine = [run for run in runs if (run.tool, run.phase) == (tool, phase)]
        walls = [run.cost.wall for run in mine]
        cpu = median(run.cost.cpu for run in mine)
        bad = sum(bool(run.wrong) for run in mine)
        lines.append(
            [
                f"{tool} ({mine[0].versions})",
                phase,
                str(len(mine)),
                f"**{median(walls):.2f}**",
                f"{min(walls):.2f}",
                f"{max(walls):.2f}",
                f"{cpu:.2f}",
                f"{median(run.cost.servers for run in mine):.2f}",
                f"{mine[0].rows / cpu:,.0f}" if mine[0].rows else "",
                f"{median(run.cost.peak for run in mine) / MIB:,.0f}",
                f"{median(run.cost.largest for run in mine) / MIB:,.0f}",
                f"{median(run.cost.noise for run in mine):.2f}",
                f"BAD ({bad} of {len(mine)})" if bad else "right",
            ]
        )
    return markdown(lines)


def gates_of_files(runs: Sequence[Run]) -> Iterator[Gate]:
    """The gates of NDJSON to DuckDB for which these runs have figures."""
    full = _costs(runs, "full")
    if not (ours := full.get("connector-core")):
        return
    if dlt := _fastest(full, "dlt"):
        what = "times as fast as dlt's best setting"
        yield Gate(what=what, value=dlt / _wall(ours), gate=3, goal=5, at_least=True)
    if "read_json" in full:
        what = "times the wall time of DuckDB's own reader making the same tables"
        yield Gate(what=what, value=_wall(ours) / _wall(full["read_json"]), gate=3, goal=1.5)
    yield from _increment(runs)
    yield _memory(ours, gate=350, goal=200)


def gates_of_api(runs: Sequence[Run]) -> Iterator[Gate]:
    """The gates of an API to Postgres for which these runs have figures."""
    full = _costs(runs, "full")
    if not (ours := full.get("connector-core")):
        return
    if dlt := {tool: costs for tool, costs in full.items() if tool.startswith("dlt")}:
        best = min(_cpu(costs) for costs in dlt.values())
        what = "times the rows per CPU second of dlt's best setting"
        yield Gate(what=what, value=best / _cpu(ours), gate=7, goal=12, at_least=True)
    if fastest := _fastest(full, "dlt"):
        what = "times as fast as dlt's best setting"
        yield Gate(what=what, value=fastest / _wall(ours), gate=5, goal=7, at_least=True)
    if {"psql-copy", "drain"} <= full.keys():
        floor = _wall(full["psql-copy"]) + _wall(full["drain"])
        what = "times the floor (psql copy + upsert, and draining the API)"
        yield Gate(what=what, value=_wall(ours) / floor, gate=1.5, goal=1)
    yield from _increment(runs)
    yield _memory(ours, gate=120, goal=80)


GATES = {"files": gates_of_files, "api": gates_of_api}
"""Ratios compare medians of the same run."""


def _costs(runs: Sequence[Run], phase: str) -> dict[str, list[Cost]]:
    found: dict[str, list[Cost]] = {}
    for run in runs:
        if run.phase == phase:
            found.setdefault(run.tool, []).append(run.cost)
    return found


def _increment(runs: Sequence[Run]) -> Iterator[Gate]:
    """The increment of one per cent, process start included, against the fastest peer."""
    changed = _costs(runs, "changed")
    ours = changed.pop("connector-core", None)
    if ours and (fastest := _fastest(changed)):
        what = "times the wall time of the fastest peer for the increment"
        yield Gate(what=what, value=_wall(ours) / fastest, gate=1, goal=0.4)


def _fastest(costs: Mapping[str, Sequence[Cost]], name: str = "") -> float | None:
    return min((_wall(mine) for tool, mine in costs.items() if tool.startswith(name)), default=None)


def _memory(costs: Sequence[Cost], *, gate: float, goal: float) -> Gate:
    value = max(cost.peak for cost in costs) / MB
    return Gate(what="peak memory of all our processes", value=value, gate=gate, goal=goal, unit="MB")


def _wall(costs: Sequence[Cost]) -> float:
    return median(cost.wall for cost in costs)


def _cpu(costs: Sequence[Cost]) -> float:
    return median(cost.cpu for cost in costs)


def gates_table(found: Sequence[Gate]) -> str:
    """The gates as a markdown table."""
    lines = [["figure", "gate", "goal", "measured", ""], ["---", "---:", "---:", "---:", "---"]]
    for gate in found:
        sign, unit = ("at least" if gate.at_least else "at most"), f" {gate.unit}" if gate.unit else ""
        limits = [f"{sign} {limit:g}{unit}" for limit in (gate.gate, gate.goal)]
        lines.append([gate.what, *limits, f"{gate.value:.2f}{unit}", gate.verdict])
    return markdown(lines)


def lacks_table(tools: Sequence[Tool]) -> str:
    """What each tool does less of, as a markdown table."""
    names: dict[str, list[str]] = {}
    for tool in tools:
        names.setdefault(tool.lacks, []).append(tool.name)
    return markdown(
        [["tool", "does less of"], ["---", "---"], *([", ".join(who), what] for what, who in names.items())]
    )


def markdown(lines: Sequence[Sequence[str]]) -> str:
    """The cells as a markdown table."""
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def write(document: Path, sections: Sequence[Section]) -> None:
    """Put each section between its marks, `<!-- bench NAME -->` and `<!-- end of NAME -->`; the rest stays."""
    text = document.read_text()
    for section in sections:
        begin, end = f"<!-- bench {section.name} -->", f"<!-- end of {section.name} -->"
        before, mark, after = text.partition(begin)
        _, closed, after = after.partition(end)
        if not mark or not closed:
            raise SystemExit(f"{document.name} has no place for {section.name}: it needs the line {begin} and {end}")
        text = f"{before}{begin}\n\n{section.text}\n\n{end}{after}"
    document.write_text(text)
