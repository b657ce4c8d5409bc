"""What a run shows while it works: plain lines, and a live table on a real (pseudo) terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import sys
import termios
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from connector_core.batch import Counts, Receipt, SchemaChange, TableCount
from connector_core.cli.progress import LineShow, RunProgress
from connector_core.events import (
    BatchLoaded,
    Event,
    PageExtracted,
    ParentVanished,
    RecordsRejected,
    RunStarted,
    SchemaChanged,
    StreamFinished,
    StreamStarted,
    Waiting,
    Warned,
)
from tests.support.commands import environment
from tests.support.project import SITE, Scripted

AT = datetime(2026, 11, 23, tzinfo=UTC)


class Shown:
    """A line show on a clock that the test moves."""

    def __init__(self) -> None:
        self.now = 100.0
        self.lines: list[str] = []
        self.progress = RunProgress(connector="desk", clock=lambda: self.now)
        self.show = LineShow(self.progress, self.lines.append)

    def tell(self, kind: type[Event], **facts: Any) -> list[str]:
        """The lines that one event makes."""
        self.lines.clear()
        self.show(kind(connector="desk", run_id="r1", at=AT, **facts))
        return list(self.lines)

    def page(self, records: int, stream: str = "cases", **facts: Any) -> list[str]:
        return self.tell(PageExtracted, stream=stream, records=records, size=1, url="", **facts)

    def batch(self, rows: int, kind: str = "rows", staged: int = 0) -> list[str]:
        receipt = Receipt(
            connector="desk", stream="cases", kind=kind, run_id="r1", number=1, epoch=1, sequence=1, committed_at=AT,
            counts={"cases": Counts(extracted=rows or staged, loaded=rows, staged=staged)},
            tables={"cases": TableCount(written=rows)} if rows else {},
        )  # type: ignore[arg-type] # fmt: skip
        return self.tell(BatchLoaded, receipt=receipt)


@pytest.fixture
def shown() -> Shown:
    one = Shown()
    assert one.tell(RunStarted, streams=("cases", "users")) == ["desk: run r1 reads cases, users"]
    assert one.tell(StreamStarted, stream="cases", since="2026-01-01") == ["desk cases: reads from 2026-01-01"]
    return one


def test_a_batch_tells_rows_rate_calls_and_time_left(shown: Shown) -> None:
    assert shown.page(400, total=2000, calls=4, calls_left=50) == []
    shown.now += 10
    assert shown.page(100, total=2000, calls=5, calls_left=49) == []
    (line,) = shown.batch(1000)
    assert line == (
        "desk cases: 500 of 2,000 records read, 1,000 rows written, 100 rows/s, "
        "5 calls, 49 left in this window, ETA 40 s"
    )
    assert shown.progress.left(shown.progress.streams["cases"], shown.now + 15) == 25


def test_without_a_finished_page_there_is_no_estimate(shown: Shown) -> None:
    shown.page(100, total=2000)
    shown.now += 5
    assert "ETA" not in shown.batch(100)[0]


def test_an_estimate_knows_that_the_limit_of_calls_will_slow_down_what_began_fast(shown: Shown) -> None:
    limited = {"calls_left": 0, "calls_per_second": 0.9}
    shown.page(100, total=1000, **limited)
    for _ in range(80):
        shown.page(2, stream="replies", parent="cases", **limited)
    shown.now += 2
    shown.page(100, total=1000, **limited)
    cases = shown.progress.streams["cases"]
    assert shown.progress.left(cases, shown.now) == pytest.approx((81 * 10 - 82) / 0.9)
    shown.page(50, stream="users", total=500, **limited)
    shown.page(50, stream="users", total=500, **limited)
    users = shown.progress.streams["users"]
    assert shown.progress.left(users, shown.now) == pytest.approx(2 * 8 / 0.9), "users and cases take turns"
    assert shown.progress.left(cases, shown.now) == pytest.approx((81 * 10 - 82 + 8) / 0.9)


def test_a_total_that_was_overtaken_is_not_told(shown: Shown) -> None:
    shown.page(191, total=190)
    assert shown.batch(3)[0].startswith("desk cases: 191 records read, 3 rows written, ")


def test_at_most_one_line_a_second_and_stream(shown: Shown) -> None:
    assert len(shown.batch(10)) == 1
    shown.now += 0.9
    assert shown.batch(10) == []
    assert shown.tell(Waiting, stream="cases", seconds=5, reason="retry") == []
    shown.now += 0.2
    (line,) = shown.batch(10)
    assert "30 rows written" in line


def test_the_total_is_the_largest_claim_and_only_of_root_streams(shown: Shown) -> None:
    shown.page(100, total=900)
    shown.page(100, total=700)
    shown.page(3, stream="replies", total=3)
    assert shown.progress.streams["cases"].total == 900
    assert shown.progress.streams["replies"].total is None


def test_staged_records_are_not_called_written(shown: Shown) -> None:
    shown.page(40)
    (line,) = shown.batch(0, kind="stage", staged=40)
    assert line == "desk cases: 40 records read, 40 records staged, 0 calls"


def test_waits_are_told_with_their_reason(shown: Shown) -> None:
    assert shown.tell(Waiting, stream="", seconds=42.4, reason="rate_limit") == ["desk: waits 42 s for the rate limit"]
    told = shown.tell(Waiting, stream="cases", seconds=1.5, reason="retry", detail="attempt 2: status 503")
    assert told == ["desk cases: waits 1.5 s before it tries again (attempt 2: status 503)"]
    assert shown.tell(Waiting, stream="users", seconds=0.2, reason="retry") == []


def test_troubles_are_always_told(shown: Shown) -> None:
    for _ in range(2):
        rejected = shown.tell(RecordsRejected, stream="cases", codes={"type": 2, "bad_key": 1}, first="no number")
        assert rejected == ["desk cases: 3 records rejected (2 type, 1 bad_key), first: no number"]
        assert shown.tell(Warned, stream=None, text="the ledger was rebuilt") == [
            "desk: warning: the ledger was rebuilt"
        ]


def test_changes_of_tables_and_vanished_parents_are_gathered(shown: Shown) -> None:
    for table in ("cases", "cases__labels"):
        assert shown.tell(SchemaChanged, stream="cases", change=SchemaChange(table=table, what="created")) == []
    change = SchemaChange(table="cases", what="added", column="custom_fields__x", detail="string")
    shown.tell(SchemaChanged, stream="cases", change=change)
    for key in ("1", "2"):
        assert shown.tell(ParentVanished, stream="cases", parent_key=key) == []
    shown.now += 75
    assert shown.tell(StreamFinished, stream="cases", counts=Counts()) == [
        "desk cases: created cases; created cases__labels; added cases.custom_fields__x (string)",
        "desk cases: 2 parents vanished while their children were read",
        "desk cases: done; 0 records read, 0 rows written in 1 min 15 s",
    ]


def test_a_failed_stream_says_why(shown: Shown) -> None:
    (line,) = shown.tell(StreamFinished, stream="cases", counts=Counts(), error="credentials refused")
    assert line.startswith("desk cases: failed: credentials refused; ")


def on_terminal(folder: Path, *arguments: str) -> str:
    """What the command writes to a terminal of 160 columns, standard output and error together."""
    pid, terminal = pty.fork()
    if pid == 0:
        try:
            os.chdir(folder)
            env = {**environment({"TERM": "xterm-256color"}, trees=[SITE])}
            env.pop("COLUMNS")
            os.execve(sys.executable, [sys.executable, "-m", "connector_core", *arguments], env)  # noqa: S606
        finally:
            os._exit(99)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 160, 0, 0))
    written = b""
    while True:
        try:
            read = os.read(terminal, 65536)
        except OSError:
            break
        if not read:
            break
        written += read
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, written.decode()
    return written.decode()


def test_a_terminal_gets_a_live_table_and_keeps_only_the_report(tmp_path: Path) -> None:
    orders = {
        "name": "orders\x1b[31m",
        "schema": {"type": "object", "properties": {"id": {"type": "integer"}}},
        "primary_key": ["id"],
    }
    records = [{"id": n} for n in range(8)] + [{"id": "bad"}]
    served = {"streams": [orders], "records": {orders["name"]: records}, "totals": {orders["name"]: 9}, "delay": 0.4}
    text = on_terminal(Scripted(tmp_path, served).folder, "run")
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    for header in ("records", "of", "rows", "rows/s", "ETA"):
        assert header in plain
    assert re.search(r"orders\\x1b\[31m +[369] +9 +\d+%", plain)
    assert re.search(r"shop orders\\x1b\[31m: 1 record rejected \(1 bad_key\), first: ", plain)
    assert re.search(r"^\d+ calls", plain, re.MULTILINE)
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1  # the cursor is shown again
    assert "shop: succeeded in " in plain
    assert "\x1b[31m" not in text
