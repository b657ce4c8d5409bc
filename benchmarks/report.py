"""What the runs say: a table of medians, and the ratios beside the gates that have to hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from measure import MIB, Cost

MB = 1_000_000


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
class Gate:
    """One figure that has to hold, as issue and README have it; `value` is what was measured."""

    what: str
    value: float
    limit: float
    unit: str = ""
    at_least: bool = False

    @property
    def held(self) -> bool:
        """Whether the measured value is on the right side of its limit."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit


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
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def gates_of_files(runs: Sequence[Run], *, help_seconds: float | None) -> Iterator[Gate]:
    """The gates of NDJSON to DuckDB for which these runs have figures."""
    full = _full(runs)
    if ours := full.get("connector-core"):
        if dlt := _fastest(full, "dlt"):
            yield Gate(what="times as fast as dlt's best setting", value=dlt / _wall(ours), limit=2, at_least=True)
        if "read_json" in full:
            limit = _wall(full["read_json"])
            yield Gate(what="times the wall time of read_json", value=_wall(ours) / limit, limit=4)
        yield _memory(ours, 350)
    if help_seconds is not None:
        yield Gate(what="`connector-core --help`", value=help_seconds, limit=0.4, unit="s")


def gates_of_api(runs: Sequence[Run], *, help_seconds: float | None) -> Iterator[Gate]:
    """The gates of an API to Postgres for which these runs have figures."""
    full = _full(runs)
    if not (ours := full.get("connector-core")):
        return
    if dlt := {tool: costs for tool, costs in full.items() if tool.startswith("dlt")}:
        best = min(_cpu(costs) for costs in dlt.values())
        what = "times the rows per CPU second of dlt's best setting"
        yield Gate(what=what, value=best / _cpu(ours), limit=5, at_least=True)
    if fastest := _fastest(full, "dlt"):
        yield Gate(what="times as fast as dlt's best setting", value=fastest / _wall(ours), limit=3.5, at_least=True)
    if {"psql-copy", "drain"} <= full.keys():
        floor = _wall(full["psql-copy"]) + _wall(full["drain"])
        yield Gate(
            what="times the floor (psql copy + upsert, and draining the API)", value=_wall(ours) / floor, limit=2
        )
    yield _memory(ours, 150)


GATES = {"files": gates_of_files, "api": gates_of_api}
"""Ratios compare medians of full loads of the same run."""


def _full(runs: Sequence[Run]) -> dict[str, list[Cost]]:
    full: dict[str, list[Cost]] = {}
    for run in runs:
        if run.phase == "full":
            full.setdefault(run.tool, []).append(run.cost)
    return full


def _fastest(full: Mapping[str, Sequence[Cost]], name: str) -> float | None:
    return min((_wall(costs) for tool, costs in full.items() if tool.startswith(name)), default=None)


def _memory(costs: Sequence[Cost], limit: float) -> Gate:
    return Gate(what="peak memory", value=max(cost.peak for cost in costs) / MB, limit=limit, unit="MB")


def _wall(costs: Sequence[Cost]) -> float:
    return median(cost.wall for cost in costs)


def _cpu(costs: Sequence[Cost]) -> float:
    return median(cost.cpu for cost in costs)


def gates_table(found: Sequence[Gate]) -> str:
    """The gates as a markdown table."""
    lines = ["| gate | limit | measured | |", "| --- | ---: | ---: | --- |"]
    for gate in found:
        sign, unit = ("at least" if gate.at_least else "at most"), f" {gate.unit}" if gate.unit else ""
        verdict = "held" if gate.held else "**missed**"
        lines.append(f"| {gate.what} | {sign} {gate.limit:g}{unit} | {gate.value:.2f}{unit} | {verdict} |")
    return "\n".join(lines)
