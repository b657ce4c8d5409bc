"""The commit protocol beyond the contract of destinations: what is written down, and its own tables in disorder.

What every destination promises is in `connector_core/testing/contract`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from connector_core.errors import DestinationError
from tests.support.loads import Shape, Warehouse, warehouse

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
cases = Shape()


def case(number: int) -> dict[str, Any]:
    return {"id": number, "subject": "x", "updated_at": "2026-01-01T00:00:00Z", "labels": ["a", "b"]}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Warehouse]:
    with warehouse(tmp_path / "w.duckdb", now=NOON) as house:
        yield house


def test_commits_hold_receipts_that_any_reader_understands(house: Warehouse) -> None:
    house.load(cases.part([case(1)]), bookmark={"version": 1, "value": "2026-01-01T00:00:00Z"})
    row = house.sql(
        "SELECT connector, stream, epoch, kind, run_id, bookmark, rows, strftime(committed_at, '%X') FROM _sdc_commits"
    )[0]
    assert row[:5] == ("desk", "cases", 1, "rows", "run-1")
    assert json.loads(row[5]) == {"version": 1, "value": "2026-01-01T00:00:00Z"}
    assert json.loads(row[6])["tables"] == {"cases": [1, 0], "cases__labels": [2, 0]}
    assert row[7] == "12:00:00"


def test_the_first_metered_commit_fixes_the_free_window(tmp_path: Path) -> None:
    with warehouse(tmp_path / "w.duckdb", now=NOON) as early:
        early.load(cases.part([case(1)]))
    with warehouse(tmp_path / "w.duckdb", now=NOON.replace(day=24)) as late:
        late.load(cases.part([case(2)]))
        assert late.claim().first_committed_at == NOON


def test_a_fence_that_somebody_changed_is_an_error(house: Warehouse) -> None:
    house.load(cases.part([case(1)]))
    house.sql("INSERT INTO _sdc_fence SELECT * FROM _sdc_fence")
    with pytest.raises(DestinationError, match="has 2 rows"):
        house.load(cases.part([case(2)]))
    assert house.ids() == [1]


def test_reset_twice_raises_the_table_version_twice(house: Warehouse) -> None:
    house.load(cases.part([case(1)]))
    for _ in range(2):
        house.target.reset("cases", connector="desk", epoch=1)
    house.load(cases.part([case(1)]))
    assert house.sql("SELECT _sdc_table_version FROM cases") == [(2,)]
