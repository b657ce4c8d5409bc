"""What an operator can do about usage, each hint with its figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from connector_core.config.units import brief
from connector_core.ledger import UsageRow
from connector_core.ledger.meter import Count
from connector_core.metering.whatif import WhatIf

LARGE = 40
"""A stream or a kind of rows with this share, in percent, is worth a hint."""
SAVES = 20
"""A lower frequency is worth a hint from this saving on, in percent."""


@dataclass(frozen=True, kw_only=True)
class StreamShare:
    """A stream's share of the rows that passed through, and how many of its rows came unchanged."""

    connector: str
    stream: str
    passed: int
    unchanged: int


def shares(rows: Iterable[UsageRow], count: Count) -> list[StreamShare]:
    """Rows that passed through, by connector and stream, the largest first."""
    passed: Counter[tuple[str, str]] = Counter()
    unchanged: Counter[tuple[str, str]] = Counter()
    for row in rows:
        key = row.connector, row.stream
        unchanged[key] += row.unchanged
        passed[key] += row.free + row.counted + (row.unchanged if count == "rows" else 0)
    return [
        StreamShare(connector=connector, stream=stream, passed=number, unchanged=unchanged[connector, stream])
        for (connector, stream), number in passed.most_common()
    ]


def hints(rows: Sequence[UsageRow], others: Iterable[WhatIf], count: Count) -> list[str]:
    """Hints for the period whose rows these are; `others` are what lower frequencies would cost."""
    found = []
    by_stream = shares(rows, count)
    total, again = sum(one.passed for one in by_stream), sum(one.unchanged for one in by_stream)
    if by_stream and total and (share := _percent(by_stream[0].passed, total)) >= LARGE and len(by_stream) > 1:
        first = by_stream[0]
        same = _percent(first.unchanged, first.passed)
        not_counted = " (not counted)" if count == "rows" and first.unchanged else ""
        text = f"{first.stream} is {share} % of your rows and {same} % of them unchanged{not_counted}"
        found.append(f"{first.connector}: {text}")
    if count == "rows" and again:
        found.append(
            f"{again:,} rows came again unchanged and are not counted: "
            f"Stitch would have billed {total:,} rows, this is {_percent(total - again, total)} % of that"
        )
    below = sum(row.free + row.counted for row in rows if row.subtable)
    written = sum(row.free + row.counted for row in rows)
    if written and (share := _percent(below, written)) >= LARGE:
        found.append(f'{share} % of the rows are sub-rows of arrays; nested = "native" keeps an array in one column')
    for one in others:
        saved = one.present_rows - one.other_rows
        if one.present_rows and _percent(saved, one.present_rows) >= SAVES:
            at = brief(one.other.total_seconds())
            now = f"{one.other_rows:,} instead of {one.present_rows:,} rows a period"
            found.append(
                f"{one.connector}: a run every {at} would count {now}; `usage --what-if frequency={at}` tells more"
            )
    return found


def _percent(part: int, whole: int) -> int:
    return round(100 * part / whole) if whole else 0
