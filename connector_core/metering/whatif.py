"""What another frequency would cost, from what runs at the present one have done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from statistics import median

from connector_core.ledger import StreamPass
from connector_core.ledger.meter import Count

FEWEST_RUNS = 3
SHORTEST = timedelta(days=1)
"""From runs over less than this nothing can be said about a period."""
UNUSUAL = 10
"""A pass that wrote this many times as much as the median one is a backfill or a reset."""


@dataclass(frozen=True, kw_only=True)
class StreamCost:
    """Rows of one stream in a period: at the `present` frequency, and at the `other` one."""

    stream: str
    present: int
    other: int


@dataclass(frozen=True, kw_only=True)
class WhatIf:
    """Rows that a connector's runs would count in a period. `every` is the observed time between starts, `other` the
    one that was asked for, `runs` and `other_runs` how many runs fit into the period.

    A record that changes several times between two runs is written once: at a lower frequency there may be fewer rows
    than `other` says, never more.
    """

    connector: str
    every: timedelta
    other: timedelta
    runs: int
    other_runs: int
    streams: tuple[StreamCost, ...]

    @property
    def present_rows(self) -> int:
        """Rows of all streams at the present frequency."""
        return sum(stream.present for stream in self.streams)

    @property
    def other_rows(self) -> int:
        """Rows of all streams at the other frequency."""
        return sum(stream.other for stream in self.streams)


def what_if(
    connector: str, passes: Sequence[StreamPass], other: timedelta, *, period: timedelta, count: Count
) -> WhatIf | None:
    """What a period would cost with `other` between starts; None when fewer than three runs, or less than a day of
    them, are known.

    New and changed rows come at the pace of the source, whatever the frequency. Rows that are read again unchanged,
    and with `count` "stitch" whole tables, come with every run.
    """
    starts: dict[str, StreamPass] = {}
    for one in passes:
        starts.setdefault(one.run_id, one)
    if len(starts) < FEWEST_RUNS:
        return None
    begun = sorted(one.at for one in starts.values())
    if begun[-1] - begun[0] < SHORTEST:
        return None
    every = (begun[-1] - begun[0]) / (len(begun) - 1)
    runs, other_runs = period / every, period / other
    streams = []
    for name in dict.fromkeys(one.stream for one in passes):
        whole = [one for one in passes if one.stream == name]
        mine = _usual(whole)
        begun_runs = len(starts) - (len(whole) - len(mine))
        written = sum(one.written for one in mine) / begun_runs
        again = sum(one.passed - one.written for one in mine) / begun_runs
        if count == "rows":
            again = 0.0
        elif all(one.whole for one in mine):
            written, again = 0.0, sum(one.passed for one in mine) / begun_runs
        fresh = written * runs
        streams.append(
            StreamCost(stream=name, present=round(fresh + again * runs), other=round(fresh + again * other_runs))
        )
    return WhatIf(
        connector=connector,
        every=every,
        other=other,
        runs=round(runs),
        other_runs=round(other_runs),
        streams=tuple(streams),
    )


def _usual(passes: Sequence[StreamPass]) -> Sequence[StreamPass]:
    """Without the passes that wrote far more than the others: a first load, or what a reset read again."""
    busy = [one.written for one in passes if one.written]
    if len(busy) < 3:
        return passes[1:] if len(passes) > 1 else passes  # the first one is the first load
    most = UNUSUAL * median(busy)
    return [one for one in passes if one.written <= most]
