"""What a row costs when there are more of them: our own tool alone, full loads of both works at several sizes.

`raw` is the whole of a run, `net` is without what a load of hardly any records costs (start-up, connections, empty
tables). Ratios are to the smallest size.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import median

from generate import generate
from measure import MB, Cost
from report import Gate, Section, gates_table, markdown
from tools import TOOLS, Tool
from works import PLACES, TITLES, Bench, say

HARDLY_ANY = 100  # cases
SIZES = (10_000, 100_000, 400_000)


@dataclass(frozen=True, kw_only=True)
class Point:
    """The loads of one size: `rows` that each made, and what they cost."""

    cases: int
    rows: int
    costs: Sequence[Cost]

    def median(self, what: str) -> float:
        """The median of one figure of `Cost`."""
        return float(median(getattr(cost, what) for cost in self.costs))

    def per_row(self, what: str, less: Point | None = None) -> float:
        """Microseconds a row, without those of the point `less`."""
        begun = less.median(what) if less else 0.0
        return (self.median(what) - begun) / self.rows * 1e6


def scaled(wanted: argparse.Namespace) -> Section:
    """Measure both works at all sizes."""
    parts, gates = [], []
    for work in PLACES:
        ours = replace(next(tool for tool in TOOLS[work] if tool.name == "connector-core"), increments=False)
        start, *points = [_point(work, ours, cases, wanted) for cases in (HARDLY_ANY, *sorted(wanted.sizes or SIZES))]
        parts.append(f"**{TITLES[work]}**\n\n{_table(start, points)}")
        worst = max(point.per_row("cpu", start) / points[0].per_row("cpu", start) for point in points)
        gates.append(Gate(what=f"{work}: net CPU a row, the worst of the ratios", value=worst, gate=1.25, goal=1.1))
        worst = max(point.median("peak") / points[0].median("peak") for point in points)
        gates.append(Gate(what=f"{work}: peak memory, the worst of the ratios", value=worst, gate=1.25, goal=1.1))
    text = "\n\n".join([*parts, gates_table(gates)])
    return Section(name="scale", text=text, good=all(gate.held for gate in gates))


def _point(work: str, tool: Tool, cases: int, wanted: argparse.Namespace) -> Point:
    data = generate(wanted.cache / "data" / str(cases), cases)
    bench = Bench(work=work, cache=wanted.cache)
    costs = []
    with PLACES[work](data) as place:
        for _ in range(wanted.runs):
            (run,) = bench.measure(tool, data, place, calm=wanted.calm)
            if run.wrong:
                raise SystemExit(f"{work} at {cases:,} cases: {run.wrong[0]}")
            say(f"{work}, {cases:,} cases: {run.cost.wall:.2f} s, {run.cost.peak / MB:.0f} MB")
            costs.append(run.cost)
    return Point(cases=cases, rows=sum(data.full.values()), costs=costs)


def _table(start: Point, points: Sequence[Point]) -> str:
    head = ["cases", "rows", "wall s", "CPU s", "us a row, raw: CPU", "wall", "net: CPU", "wall", "servers' CPU"]
    head += ["ratio of net CPU", "of net wall", "of servers' CPU", "peak MB", "ratio"]
    return markdown([head, ["---:"] * len(head), *_lines(start, points)])


def _lines(start: Point, points: Sequence[Point]) -> Iterator[list[str]]:
    def net(point: Point) -> list[float]:
        return [point.per_row(what, start) for what in ("cpu", "wall", "servers")]

    yield _line(start, [])
    for point in points:
        figures = [point.per_row("cpu"), point.per_row("wall"), *net(point)]
        ratios = [_ratio(mine, first) for mine, first in zip(net(point), net(points[0]), strict=True)]
        memory = _ratio(point.median("peak"), points[0].median("peak"))
        yield _line(point, [*(f"{figure:.1f}" for figure in figures), *ratios], memory)


def _line(point: Point, figures: Sequence[str], memory: str = "") -> list[str]:
    whole = [f"{point.cases:,}", f"{point.rows:,}", f"{point.median('wall'):.2f}", f"{point.median('cpu'):.2f}"]
    return [*whole, *(figures or [""] * 8), f"{point.median('peak') / MB:.0f}", memory]


def _ratio(mine: float, first: float) -> str:
    return f"{mine / first:.2f}" if first > 0 else ""
