"""What the ledger records, and what it answers: connectors, runs, receipts, usage, reports, rejects, slots."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import pytest

from connector_core.batch import BatchKind, Counts, Receipt, Reject, SchemaChange, TableCount
from connector_core.errors import ConfigError, ConnectorError, SourceError
from connector_core.ledger import Ledger, LogLine

ROOT = Path(__file__).parents[2]
T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@dataclass
class Clock:
    now: datetime = T0

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(file: Path, clock: Clock) -> Iterator[Ledger]:
    with Ledger.open(f"sqlite:///{file}", clock=clock) as ledger:
        ledger.register("desk", "stitch_desk", "Stitch Desk", "warehouse")
        yield ledger


def receipt(
    sequence: int = 1,
    *,
    epoch: int = 1,
    kind: BatchKind = "rows",
    stream: str = "cases",
    run_id: str = "run-1",
    at: datetime = T0,
    counts: dict[str, Counts] | None = None,
    rows: dict[str, int] | None = None,
    bookmark: dict[str, object] | None = None,
    changes: Sequence[SchemaChange] = (),
    older: dict[str, int] | None = None,
) -> Receipt:
    rows = {"cases": 3, "cases__labels": 4} if rows is None else rows
    return Receipt(
        connector="desk",
        stream=stream,
        kind=kind,
        run_id=run_id,
        number=sequence,
        epoch=epoch,
        sequence=sequence,
        committed_at=at,
        counts={stream: Counts(extracted=5, loaded=3, unchanged=2)} if counts is None else counts,
        tables={name: TableCount(written=written) for name, written in rows.items()},
        bookmark=bookmark,
        changes=tuple(changes),
        older=older or {},
    )


def reject(number: int = 1, *, code: str = "type", stream: str = "cases", key: str | None = '{"id":7}') -> Reject:
    return Reject(
        stream=stream,
        table=stream,
        code=code,
        reason="not a number",
        path="/id",
        primary_key=key,
        record_hash=f"hash-{number}",
        record='{"id":7,"subject":"the text of the record"}',
        rejected_at="2026-03-01T12:00:00.5Z",
    )


def line(text: str, at: datetime = T0) -> LogLine:
    return LogLine(at=at, component="engine", level="INFO", text=text)


# --- connectors


def test_a_connector_is_new_once_and_keeps_its_namespace_for_ever(ledger: Ledger) -> None:
    first = ledger.register("mail", "mail", "Mail", "warehouse")
    again = ledger.register("mail", "mail", "Post", "warehouse")
    assert (first.new, again.new, again.name, again.registered_at) == (True, False, "Post", T0)
    with pytest.raises(ConfigError, match="cannot change to 'post'"):
        ledger.register("mail", "post", "Post", "warehouse")
    assert [(c.connector, c.namespace) for c in ledger.status()] == [("desk", "stitch_desk"), ("mail", "mail")]


def test_e3_one_namespace_never_serves_two_connectors(ledger: Ledger) -> None:
    with pytest.raises(ConfigError, match="'stitch_desk' belongs to the connector 'desk'") as caught:
        ledger.register("stitch_desk", "stitch_desk", "stitch_desk", "warehouse")
    assert caught.value.exit_code == 2
    with pytest.raises(ConfigError, match="belongs to"):
        ledger.rebuild("D", "stitch_desk", "stitch_desk", [], None)
    assert [c.connector for c in ledger.status()] == ["desk"]


def test_a_moved_connector_is_noticed_and_shows_its_new_destination(ledger: Ledger) -> None:
    ledger.record("old", "stitch_desk", receipt(bookmark={"version": 1, "value": "old"}))
    moved = ledger.register("desk", "stitch_desk", "Stitch Desk", "other")
    assert (moved.moved_from, moved.new) == ("warehouse", False)
    assert ledger.register("desk", "stitch_desk", "Stitch Desk", "other").moved_from is None
    ledger.record("new", "stitch_desk", receipt(stream="users", rows={"users": 1}))
    assert [stream.stream for stream in ledger.status()[0].streams] == ["users"]


def test_the_start_date_is_kept_to_the_microsecond_and_in_utc(ledger: Ledger) -> None:
    assert ledger.start_date("desk") is None
    ledger.set_start_date("desk", datetime(2025, 3, 1, 1, 2, 3, 4, tzinfo=timezone(HOUR)))
    assert ledger.start_date("desk") == datetime(2025, 3, 1, 0, 2, 3, 4, tzinfo=UTC)
    with pytest.raises(ConnectorError, match="not registered"):
        ledger.set_start_date("nobody", T0)
    with pytest.raises(ConnectorError, match="aware"):
        ledger.set_start_date("desk", datetime(2025, 3, 1))


# --- receipts


def test_e5_a_receipt_is_recorded_and_metered_once(ledger: Ledger) -> None:
    once = receipt()
    assert ledger.record("D", "stitch_desk", once, [reject()], [line("loaded")])
    assert not ledger.record("D", "stitch_desk", once, [reject()], [line("loaded")])
    assert [(u.table, u.free) for u in ledger.usage()] == [("cases", 3), ("cases__labels", 4)]
    assert [r.seen for r in ledger.rejects("desk")] == [1]
    assert [logged.text for logged in ledger.logs("run-1")] == ["loaded"]


def test_the_same_sequence_elsewhere_is_another_receipt(ledger: Ledger) -> None:
    for destination, epoch in (("D", 1), ("D", 2), ("E", 1)):
        assert ledger.record(destination, "stitch_desk", receipt(epoch=epoch))
    assert ledger.record("D", "other", receipt())


def test_newest_goes_by_epoch_then_sequence_whatever_the_order_of_recording(ledger: Ledger) -> None:
    assert ledger.newest("D", "stitch_desk") == (0, 0)
    for epoch, sequence in ((2, 10**18 + 5), (3, 10**18 + 2), (1, 10**18 + 9), (3, 10**18 + 1)):
        ledger.record("D", "stitch_desk", receipt(sequence, epoch=epoch))
    assert ledger.newest("D", "stitch_desk") == (3, 10**18 + 2)
    assert ledger.newest("D", "elsewhere") == (0, 0)


def test_a_receipt_is_recorded_as_a_whole_or_not_at_all(ledger: Ledger) -> None:
    with pytest.raises(ConnectorError):
        ledger.record(
            "D", "stitch_desk", receipt(), [reject()], [line("loaded"), line("no zone", datetime(2026, 3, 1))]
        )
    assert ledger.newest("D", "stitch_desk") == (0, 0)
    assert ledger.rejects("desk") == []
    assert ledger.logs() == []
    assert ledger.usage() == []


CHILD = """
import os, sys
from datetime import UTC, datetime
from connector_core.batch import Counts, Receipt, TableCount
from connector_core.ledger import Ledger, LogLine

def die(event, arguments):
    if event == "connector_core.seam" and arguments[0] == sys.argv[2]:
        os.kill(os.getpid(), 9)

now = datetime(2026, 3, 1, 12, tzinfo=UTC)
with Ledger.open(f"sqlite:///{sys.argv[1]}", clock=lambda: now) as ledger:
    sys.addaudithook(die)
    print("ready", flush=True)
    sys.stdin.readline()
    new = 0
    for number in range(1, 1 + int(sys.argv[3])):
        receipt = Receipt(
            connector="desk", stream="cases", kind="rows", run_id="run-1", number=number, epoch=1, sequence=number,
            committed_at=now, counts={"cases": Counts(extracted=1, loaded=1)}, tables={"cases": TableCount(written=1)},
        )
        line = LogLine(at=now, component="engine", level="INFO", text=f"batch {number}")
        new += ledger.record("D", "stitch_desk", receipt, [], [line])
    print(new, flush=True)
"""


def recording(file: Path, seam: str, receipts: int) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(file), seam, str(receipts)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert child.stdout
    assert child.stdout.readline() == "ready\n"
    return child


def test_e6_two_processes_recording_the_same_receipts_meter_each_once(ledger: Ledger, file: Path) -> None:
    children = [recording(file, "", 40) for _ in range(2)]
    for child in children:
        assert child.stdin
        child.stdin.write("go\n")
        child.stdin.flush()
    new = [int(child.communicate(timeout=60)[0]) for child in children]
    assert sum(new) == 40
    assert [(u.table, u.free) for u in ledger.usage()] == [("cases", 40)]
    assert sorted(logged.text for logged in ledger.logs()) == sorted(f"batch {n}" for n in range(1, 41))


@pytest.mark.parametrize(
    ("seam", "known"),
    [("ledger.record.before", 0), ("ledger.record.commit", 0), ("ledger.record.after", 1)],
)
def test_d1_a_kill_around_the_commit_leaves_all_or_nothing(ledger: Ledger, file: Path, seam: str, known: int) -> None:
    child = recording(file, seam, 1)
    child.communicate("go\n", timeout=60)
    assert child.returncode == -9
    assert ledger.newest("D", "stitch_desk") == (known, known)
    assert len(ledger.logs()) == known
    again = recording(file, "", 1)
    assert again.communicate("go\n", timeout=60)[0] == f"{1 - known}\n"
    assert [(u.table, u.free) for u in ledger.usage()] == [("cases", 1)]


def test_a_lost_ledger_gets_its_receipts_back(ledger: Ledger, tmp_path: Path, clock: Clock) -> None:
    kept = [receipt(n, at=T0 + n * HOUR, bookmark={"version": 1, "value": n}) for n in range(1, 4)]
    for one in kept:
        ledger.record("D", "stitch_desk", one)
    with Ledger.open(f"sqlite:///{tmp_path}/new.db", clock=clock) as rebuilt:
        assert rebuilt.rebuild("D", "stitch_desk", "desk", kept[:2], T0 - HOUR) == 2
        assert rebuilt.rebuild("D", "stitch_desk", "desk", kept, T0) == 1
        assert rebuilt.newest("D", "stitch_desk") == (1, 3)
        assert rebuilt.first_data_at("desk") == T0 - HOUR  # the earlier wins
        assert rebuilt.status()[0].streams == ledger.status()[0].streams
        assert rebuilt.usage() == ledger.usage()
        assert rebuilt.status()[0].destination is None
        assert rebuilt.register("desk", "stitch_desk", "Stitch Desk", "warehouse").new
        with pytest.raises(ConfigError, match="cannot change"):
            rebuilt.register("desk", "desk2", "Stitch Desk", "warehouse")


# --- usage


def test_e8_the_free_window_is_168_hours_from_the_first_metered_row(ledger: Ledger) -> None:
    instants = {
        T0 - HOUR: {"cases": 0},  # a commit without a row begins nothing
        T0: {"cases": 1},
        T0 + timedelta(hours=168, microseconds=-1): {"cases": 10},
        T0 + timedelta(hours=168): {"cases": 100, "users": 1000},
    }
    for number, (at, rows) in enumerate(instants.items(), 1):
        ledger.record("D", "stitch_desk", receipt(number, at=at, rows=rows))
    assert ledger.first_data_at("desk") == T0
    assert [(u.day, u.table, u.free, u.counted) for u in ledger.usage()] == [
        (date(2026, 3, 1), "cases", 1, 0),
        (date(2026, 3, 8), "cases", 10, 100),
        (date(2026, 3, 8), "users", 0, 1000),
    ]
    assert [u.table for u in ledger.usage(since=T0 + timedelta(hours=168))] == ["cases", "users"]
    assert [u.free for u in ledger.usage("desk", until=T0 + HOUR)] == [1]
    assert ledger.usage("nobody") == []


def test_a_day_is_a_day_of_utc(ledger: Ledger) -> None:
    late = datetime(2026, 3, 2, 0, 30, tzinfo=timezone(HOUR))
    ledger.record("D", "stitch_desk", receipt(at=late))
    assert {u.day for u in ledger.usage()} == {date(2026, 3, 1)}
    assert ledger.first_data_at("desk") == datetime(2026, 3, 1, 23, 30, tzinfo=UTC)


# --- runs and reports


def test_a_run_is_reported_with_its_steps_tables_streams_and_changes(ledger: Ledger, clock: Clock) -> None:
    ledger.begin_run("desk", trigger="manual", run_id="run-1")
    with ledger.step("run-1", "discovery"):
        clock.now += HOUR
    with (
        pytest.raises(SourceError),
        ledger.step("run-1", "extraction", "cases"),
    ):
        raise SourceError("the site said 500\nand 501")
    change = SchemaChange(table="cases", what="added", column="custom_fields__x")
    counts = {"cases": Counts(extracted=5, loaded=4, unchanged=1), "replies": Counts(extracted=2, loaded=2)}
    ledger.record("D", "stitch_desk", receipt(2, counts=counts, bookmark={"value": "b"}, changes=[change]))
    ledger.record("D", "stitch_desk", receipt(1, counts=counts, bookmark={"value": "a"}))
    ledger.record("D", "stitch_desk", receipt(3, stream="users", rows={"users": 9}))
    ledger.record("D", "stitch_desk", receipt(4, run_id="another"))
    ledger.finish_run("run-1", "failed", 4, "the site\x1b[2J")
    ledger.finish_run("run-1", "succeeded", 0)  # an end is an end

    report = ledger.report("run-1")
    assert (report.run.status, report.run.exit_code, report.run.error) == ("failed", 4, "the site\\x1b[2J")
    assert (report.run.started_at, report.run.finished_at) == (T0, T0 + HOUR)
    assert [(s.name, s.stream, s.exit_status, s.text) for s in report.steps] == [
        ("discovery", None, 0, ""),
        ("extraction", "cases", 4, "the site said 500\\nand 501 [source]"),
    ]
    assert report.steps[0].finished_at == T0 + HOUR
    assert [(t.table, t.stream, t.written) for t in report.tables] == [
        ("cases", "cases", 6),
        ("cases__labels", "cases", 8),
        ("users", "users", 9),
    ]
    assert [(s.stream, s.root, s.counts.loaded, s.bookmark) for s in report.streams] == [
        ("cases", "cases", 8, {"value": "b"}),
        ("replies", "cases", 4, {"value": "b"}),
        ("users", "users", 3, None),
    ]
    assert report.changes == (change,)
    with pytest.raises(ConfigError, match="no run 'run-9'"):
        ledger.report("run-9")


def test_a_report_counts_the_records_of_a_pass_once(ledger: Ledger) -> None:
    ledger.begin_run("desk", trigger="manual", run_id="run-1")

    def stage(sequence: int, records: int) -> None:
        counts = {"users": Counts(staged=records)}
        ledger.record("D", "stitch_desk", receipt(sequence, kind="stage", stream="users", counts=counts, rows={}))

    stage(1, 10)
    stage(2, 5)
    assert ledger.report("run-1").streams[0].counts == Counts(staged=15)
    done = {"users": Counts(extracted=15, loaded=15)}
    ledger.record("D", "stitch_desk", receipt(3, kind="activate", stream="users", counts=done, rows={"users": 15}))
    counts = ledger.report("run-1").streams[0].counts
    assert counts == ledger.status()[0].streams[0].counts == Counts(extracted=15, loaded=15, staged=15)
    assert counts.balanced


def test_writers_wait_for_each_other(ledger: Ledger) -> None:
    """A transaction that reads before it writes must have the write lock from its beginning."""

    def begin(connector: str) -> None:
        for number in range(25):
            ledger.begin_run(connector, trigger="manual", run_id=f"{connector}-{number}")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(begin, ("a", "b", "c", "d")))
    assert len(ledger.runs()) == 100


def test_runs_that_a_crash_left_open_are_closed_by_the_next(ledger: Ledger, clock: Clock) -> None:
    assert ledger.begin_run("desk", trigger="manual", run_id="run-1") == ()
    ledger.begin_run("mail", trigger="manual", run_id="mail-1")
    ledger.record("D", "stitch_desk", receipt(at=T0 + HOUR))
    ledger.log("run-1", [line("reading", T0 + 2 * HOUR)])
    clock.now += 10 * HOUR
    assert ledger.begin_run("desk", trigger="schedule", run_id="run-2") == ("run-1",)
    second, first = ledger.runs("desk")
    assert (first.run_id, first.status, first.exit_code) == ("run-1", "crashed", None)
    assert first.finished_at == T0 + 2 * HOUR  # its last sign of life
    assert (second.run_id, second.status, second.trigger, second.finished_at) == ("run-2", "running", "schedule", None)
    ledger.finish_run("run-1", "failed", 5, "stale")  # it lived after all, and says how it ended
    assert ledger.runs("desk")[1].status == "failed"
    assert [run.run_id for run in ledger.runs(limit=2)] == ["run-2", "mail-1"]
    with pytest.raises(ConnectorError, match="run-9"):
        ledger.finish_run("run-9", "succeeded", 0)


def test_a_run_whose_process_is_gone_is_shown_as_crashed_before_anybody_closes_it(ledger: Ledger, file: Path) -> None:
    code = """
import os, sys
from datetime import UTC, datetime
from connector_core.ledger import Ledger
ledger = Ledger.open(f"sqlite:///{sys.argv[1]}", clock=lambda: datetime.now(UTC))
ledger.begin_run("desk", trigger="manual", run_id="run-1")
print("begun", flush=True)
sys.stdin.readline()
"""
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(file)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert child.stdout
    assert child.stdout.readline() == "begun\n"
    assert [run.status for run in ledger.runs()] == ["running"]
    child.kill()
    child.communicate()
    last = ledger.status()[0].last_run
    assert last is not None
    assert (last.status, last.finished_at) == ("crashed", None)


def test_d12_a_step_keeps_the_exit_code_of_what_broke_it(ledger: Ledger) -> None:
    ledger.begin_run("desk", trigger="manual", run_id="run-1")
    with pytest.raises(KeyError), ledger.step("run-1", "loading"):
        raise KeyError("surprise")
    assert [(s.exit_status, s.text) for s in ledger.report("run-1").steps] == [(6, "'surprise'")]


# --- status


def test_status_tells_where_every_stream_stands(ledger: Ledger, clock: Clock) -> None:
    ledger.begin_run("desk", trigger="manual", run_id="run-1")
    both = {"cases": Counts(extracted=5, loaded=5), "replies": Counts(extracted=9, loaded=9)}
    days = [T0 - timedelta(days=30, seconds=1), T0 - timedelta(days=30), T0.replace(hour=0), T0]
    for number, at in enumerate(days, 1):
        mark = {"version": 1, "value": number} if number < 4 else None
        older = {"cases": 40} if number == 2 else None
        ledger.record("D", "stitch_desk", receipt(number, at=at, counts=both, bookmark=mark, older=older))
    ledger.record("D", "stitch_desk", receipt(5, stream="users", rows={}, counts={}))
    ledger.finish_run("run-1", "succeeded", 0)

    (found,) = ledger.status()
    assert (found.connector, found.name, found.namespace, found.destination) == (
        "desk",
        "Stitch Desk",
        "stitch_desk",
        "warehouse",
    )
    assert found.last_run is not None
    assert (found.last_run.run_id, found.last_run.status, found.last_run.exit_code) == ("run-1", "succeeded", 0)
    assert (found.rows_today, found.rows_30_days, found.first_data_at) == (14, 21, days[0])
    cases, users = found.streams
    assert (cases.stream, cases.bookmark, cases.counts, cases.rows) == (
        "cases",
        {"version": 1, "value": 3},
        Counts(extracted=20, loaded=20),
        28,
    )
    assert (cases.older, cases.committed_at) == ({"cases": 40}, T0)
    assert (users.stream, users.bookmark, users.counts, users.rows) == ("users", None, Counts(), 0)


def test_a_connector_without_a_run_has_a_status_too(ledger: Ledger) -> None:
    (found,) = ledger.status()
    assert (found.last_run, found.streams, found.rejects, found.rows_today) == (None, (), 0, 0)
    assert found.first_data_at is None


# --- rejects


def test_rejects_are_listed_once_newest_first_without_the_records_text(ledger: Ledger, file: Path) -> None:
    ledger.record("D", "stitch_desk", receipt(1), [reject(1), reject(2, key=None), reject(3, stream="users")])
    ledger.record("D", "stitch_desk", receipt(2), [reject(1, code="enum")])
    found = ledger.rejects("desk")
    assert [(r.record_hash, r.code, r.seen) for r in found] == [
        ("hash-1", "enum", 2),
        ("hash-3", "type", 1),
        ("hash-2", "type", 1),
    ]
    assert (found[0].reason, found[0].path, found[0].primary_key) == ("not a number", "/id", '{"id":7}')
    assert found[0].last_at == T0 + timedelta(seconds=0.5)
    assert [r.record_hash for r in ledger.rejects("desk", "users")] == ["hash-3"]
    assert len(ledger.rejects("desk", limit=2)) == 2
    assert ledger.status()[0].rejects == 3
    ledger.close()
    kept = b"".join(path.read_bytes() for path in file.parent.iterdir())
    assert b"hash-1" in kept
    assert b"the text of the record" not in kept


def test_settled_rejects_are_not_listed_until_they_are_rejected_again(ledger: Ledger) -> None:
    ledger.record("D", "stitch_desk", receipt(1), [reject(1), reject(2, key=None)])
    settled = (reject(1).identity, reject(2, key=None).identity)
    ledger.record("D", "stitch_desk", replace(receipt(3), settled=settled))
    assert ledger.rejects("desk") == []
    assert ledger.status()[0].rejects == 0
    ledger.record("D", "stitch_desk", receipt(4), [reject(2, key=None)])
    assert [(r.record_hash, r.seen) for r in ledger.rejects("desk")] == [("hash-2", 1)]


def test_h5_h8_what_is_kept_for_people_is_redacted_and_printable(file: Path, clock: Clock) -> None:
    def redact(text: str) -> str:
        return text.replace("hunter2", "***")

    with Ledger.open(f"sqlite:///{file}", clock=clock, redact=redact) as ledger:
        ledger.begin_run("desk", trigger="manual", run_id="run-1")
        leaky = replace(reject(), reason="hunter2\x1b[2J", path="/hunter2\nforged")
        ledger.record("D", "stitch_desk", receipt(), [leaky], [line("a hunter2\r\nINFO forged \ud800")])
        ledger.log("run-1", [line("hunter2 again")])
        with pytest.raises(KeyError), ledger.step("run-1", "loading"):
            raise KeyError("hunter2")
        ledger.finish_run("run-1", "failed", 6, "hunter2")
        assert [logged.text for logged in ledger.logs()] == ["a ***\\r\\nINFO forged \\ud800", "*** again"]
        assert [(r.reason, r.path) for r in ledger.rejects("desk")] == [("***\\x1b[2J", "/***\\nforged")]
    kept = b"".join(path.read_bytes() for path in file.parent.iterdir())
    assert b"run-1" in kept
    assert b"hunter2" not in kept


# --- log lines and slots


def test_log_lines_are_found_by_run_and_connector(ledger: Ledger) -> None:
    ledger.begin_run("desk", trigger="manual", run_id="run-1")
    ledger.begin_run("mail", trigger="manual", run_id="mail-1")
    ledger.log("run-1", [line("one"), line("two")])
    ledger.log("mail-1", [line("three")])
    ledger.log(None, [line("the daemon starts")])
    ledger.log("run-1", [])
    everything = ledger.logs()
    assert [(logged.connector, logged.text) for logged in everything] == [
        ("desk", "one"),
        ("desk", "two"),
        ("mail", "three"),
        (None, "the daemon starts"),
    ]
    assert (everything[0].at, everything[0].component, everything[0].level) == (T0, "engine", "INFO")
    assert [logged.text for logged in ledger.logs("run-1", limit=1)] == ["two"]
    assert [logged.text for logged in ledger.logs(connector="mail")] == ["three"]


def test_e11_each_slot_is_noted_once(ledger: Ledger) -> None:
    assert ledger.slot("desk", T0, "run")
    assert not ledger.slot("desk", T0, "skipped", "overrun")
    assert ledger.slot("desk", T0 + HOUR, "skipped", "the run before was still going on")
    assert ledger.slot("mail", T0, "run")
    assert [(s.at, s.state, s.reason) for s in ledger.slots("desk")] == [
        (T0 + HOUR, "skipped", "the run before was still going on"),
        (T0, "run", ""),
    ]
    assert len(ledger.slots("desk", limit=1)) == 1


# --- a database in trouble

FULL = """
import logging, resource, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from connector_core.errors import ConnectorError
from connector_core.ledger import Ledger, LedgerHandler, LogLine
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
now = datetime(2026, 3, 1, 12, tzinfo=UTC)
with Ledger.open(f"sqlite:///{sys.argv[1]}", clock=lambda: now) as ledger:
    ledger.begin_run("desk", trigger="manual", run_id="run-1")
    handler = LedgerHandler(ledger, "run-1")
    logger = logging.getLogger("desk")
    logger.addHandler(handler)
    logger.setLevel("INFO")
    before, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (Path(sys.argv[1] + "-wal").stat().st_size, most))
    try:
        ledger.log("run-1", [LogLine(at=now, component="engine", level="INFO", text="x" * 100_000)])
    except ConnectorError as error:
        print(error.exit_code, error.code, error)
    logger.info("said while there was no room")
    handler.flush()
    print([line.text for line in ledger.logs()])
    resource.setrlimit(resource.RLIMIT_FSIZE, (before, most))
    handler.close()
    print([line.text for line in ledger.logs()])
"""


def test_c9_a_full_disk_is_said_and_log_lines_wait_for_room(ledger: Ledger, file: Path) -> None:
    child = subprocess.run(
        [sys.executable, "-c", FULL, str(file)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    error, meanwhile, after = child.stdout.splitlines() or [child.stderr] * 3
    assert error.startswith(f"6 ledger the ledger {file} failed")
    assert "space" in error
    assert (meanwhile, after) == ("[]", "['said while there was no room']")


def test_a_ledger_locked_by_another_process_is_waited_for(ledger: Ledger, file: Path) -> None:
    code = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
time.sleep(1)
connection.execute("COMMIT")
"""
    child = subprocess.Popen([sys.executable, "-c", code, str(file)], stdout=subprocess.PIPE, text=True)
    assert child.stdout
    assert child.stdout.readline() == "locked\n"
    assert ledger.slot("desk", T0, "run")
    assert child.wait(60) == 0


def test_a_ledger_that_stays_locked_is_an_error_that_says_so(
    ledger: Ledger, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connector_core.ledger.database.BUSY_SECONDS", 0.2)
    with Ledger.open(f"sqlite:///{file}", clock=lambda: T0) as impatient:
        blocker = sqlite3.connect(file, isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")
        with pytest.raises(ConnectorError, match="locked") as caught:
            impatient.slot("desk", T0, "run")
        assert (caught.value.exit_code, caught.value.code) == (6, "ledger")
        assert impatient.slots("desk") == []  # readers are never locked out
        blocker.close()
        assert impatient.slot("desk", T0, "run")


def test_it_costs_no_import_until_it_is_used() -> None:
    code = "import sys, connector_core.errors, connector_core.redact; print('sqlalchemy' in sys.modules)"
    found = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert found.stdout == "False\n"
