"""Reports and the meter over other ledgers: one in Postgres, one that an older version has made."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from connector_core.batch import Counts, Receipt, TableCount
from connector_core.errors import SourceError
from connector_core.ledger import Ledger, LogLine
from tests.support.postgres import shared

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Clock:
    """Steps on by a second each time it is looked at, so that every ledger sees the same instants."""

    def __init__(self) -> None:
        self.now = T0

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


def receipt(number: int, at: datetime, *, run: str, written: int, passed: int) -> Receipt:
    return Receipt(
        connector="desk",
        stream="cases",
        kind="rows" if number % 2 else "activate",
        run_id=run,
        number=number,
        epoch=1,
        sequence=10**18 + number,
        committed_at=at,
        counts={"cases": Counts(extracted=passed, loaded=written, unchanged=passed - written, rejected=number)},
        tables={"cases": TableCount(written=written), "cases__labels": TableCount(written=2, deleted=1)},
        passed={"cases": {"cases": passed, "cases__labels": 2 * passed}, "replies": {"replies": 3}},
        bookmark={"version": 1, "value": number},
    )


def fill(ledger: Ledger) -> None:
    """Two runs, the first one eight days before the second, which fails; log lines in and outside of them."""
    ledger.register("desk", "desk", "Desk", "D")
    for nth, run in enumerate(("aa-1", "ab-2")):
        ledger.begin_run("desk", trigger="manual", run_id=run)
        ledger.log(run, [LogLine(at=T0 + nth * HOUR, component="source", level="WARNING", text="slow", stream="cases")])
        at = T0 + nth * timedelta(days=8)
        for number in (1, 2):
            one = receipt(2 * nth + number, at + number * HOUR, run=run, written=number, passed=5)
            ledger.record("D", "desk", one)
        if nth:
            with pytest.raises(SourceError), ledger.step(run, "extraction", "cases"):
                raise SourceError("gone")
            ledger.finish_run(run, "failed", 4, "gone")
        else:
            with ledger.step(run, "extraction", "cases"):
                pass
            ledger.finish_run(run, "succeeded", 0)
    ledger.log(None, [LogLine(at=T0, component="engine", level="INFO", text="outside", connector="desk")])


def answers(ledger: Ledger) -> dict[str, Any]:
    """Everything that reports and the meter ask."""
    month = {"since": T0 - HOUR, "until": T0 + timedelta(days=30)}
    return {
        "usage": [ledger.usage(**month, count=count) for count in ("rows", "stitch")],  # type: ignore[arg-type]
        "used": [ledger.used(**month, count=count) for count in ("rows", "stitch")],  # type: ignore[arg-type]
        "rejected": ledger.rejected("desk", **month),
        "passes": ledger.passes("desk", **month),
        "loads": ledger.loads("desk", "ab-2", day=T0 + 8 * 24 * HOUR, period=T0 + 4 * 24 * HOUR, previous=T0 - HOUR),
        "history": ledger.table_loads("desk", "cases__labels", limit=9),
        "families": ledger.families("desk"),
        "tables": ledger.tables("desk"),
        "connectors": ledger.connectors(),
        "runs": [run.run_id for begins in ("a", "aa", "zz", "%") for run in ledger.runs(begins=begins)],
        "logs": [
            (line.text, line.stream, line.connector, line.level)
            for wanted in ({}, {"stream": "cases"}, {"connector": "desk"}, {"level": "WARNING"}, {"since": T0 + HOUR})
            for line in ledger.logs(**wanted)  # type: ignore[arg-type]
        ],
        "notices": [ledger.notice("quota 70"), ledger.notice("quota 70"), ledger.notice("quota 90")],
    }


@contextmanager
def in_sqlite(folder: Path) -> Iterator[Ledger]:
    with Ledger.open(f"sqlite:///{folder}/ledger.db", clock=Clock()) as ledger:
        yield ledger


def test_a_ledger_in_postgres_answers_as_one_in_a_file(tmp_path: Path) -> None:
    server = shared(18)
    with (
        server.database() as name,
        Ledger.open(server.url(name), clock=Clock()) as there,
        in_sqlite(tmp_path) as here,
    ):
        for ledger in (here, there):
            fill(ledger)
        expected = answers(here)
        assert answers(there) == expected
        assert [sum(row.counted for row in rows) for rows in expected["usage"]] == expected["used"] == [7, 36]
        for ledger in (here, there):
            ledger.forget_bookmark("D", "desk", "cases")
            assert ledger.prune(T0 + HOUR) == 1
        after = answers(here)
        assert answers(there) == after
        assert after["usage"] == expected["usage"]
        assert [family.bookmark for family in after["families"]] == [None]
        assert [run for run in after["runs"] if run == "aa-1"] == []


def test_f6_a_ledger_that_knows_neither_streams_nor_passed_rows_counts_what_was_written(tmp_path: Path) -> None:
    with in_sqlite(tmp_path) as ledger:
        fill(ledger)
        written = [(row.table, row.free, row.counted) for row in ledger.usage() if row.free or row.counted]
    with sqlite3.connect(tmp_path / "ledger.db") as connection:  # as the version before made it
        connection.execute("DELETE FROM ledger_receipt_tables WHERE table_name = 'replies'")
        connection.execute("DROP TABLE ledger_notices")
        for table, column in (
            ("receipt_tables", "stream"),
            ("receipt_tables", "place"),
            ("receipt_tables", "passed"),
            ("lines", "stream"),
            ("lines", "connector"),
        ):
            connection.execute(f"ALTER TABLE ledger_{table} DROP COLUMN {column}")
        connection.execute("UPDATE ledger_version SET version = version - 1")
    connection.close()
    with in_sqlite(tmp_path) as ledger:
        assert [(row.table, row.free, row.counted) for row in ledger.usage()] == written
        assert [(row.table, row.free, row.counted) for row in ledger.usage(count="stitch")] == written
        found = ledger.loads("desk", "ab-2", day=T0, period=T0 - HOUR, previous=T0 - 2 * HOUR).tables
        assert [(one.table, one.stream, one.subtable) for one in found] == [
            ("cases", "cases", False),
            ("cases__labels", "cases", True),
        ]
        assert [line.text for line in ledger.logs(connector="desk")] == ["slow", "slow"]
        assert ledger.notice("quota 70")
