"""`LedgerHandler`: log lines reach the ledger by themselves and never get in the run's way."""

from __future__ import annotations

import logging
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from connector_core.ledger import Ledger, LedgerHandler
from connector_core.redact import redactor

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECRET = "canary/with+specials"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def ledger(file: Path) -> Iterator[Ledger]:
    with Ledger.open(f"sqlite:///{file}", clock=lambda: NOW, redact=redactor([SECRET])) as ledger:
        ledger.begin_run("desk", trigger="manual", run_id="run-1")
        yield ledger


@pytest.fixture
def handler(ledger: Ledger) -> Iterator[LedgerHandler]:
    handler = LedgerHandler(ledger, "run-1")
    yield handler
    handler.close()


@pytest.fixture
def logger(handler: LedgerHandler) -> logging.Logger:
    logger = logging.Logger("connector_core.tests")  # of its own: no other handler sees its lines
    logger.addHandler(handler)
    return logger


def test_lines_arrive_by_themselves(ledger: Ledger, logger: logging.Logger) -> None:
    logger.info("page %d", 1)
    logger.warning("slow", extra={"component": "source"})
    logger.debug("too fine for the ledger")
    while len(ledger.logs("run-1")) < 2:  # nobody flushes; the test's timeout is the limit
        time.sleep(0.05)
    assert [(found.at, found.component, found.level, found.text) for found in ledger.logs("run-1")] == [
        (NOW, "tests", "INFO", "page 1"),
        (NOW, "source", "WARNING", "slow"),
    ]


def test_close_writes_what_waits(ledger: Ledger, logger: logging.Logger, handler: LedgerHandler) -> None:
    for number in range(2500):
        logger.info("line %d", number)
    handler.close()
    assert [found.text for found in ledger.logs()] == [f"line {number}" for number in range(2500)]


def test_h5_h8_a_line_is_one_line_without_secrets_tracebacks_included(
    ledger: Ledger, logger: logging.Logger, handler: LedgerHandler
) -> None:
    try:
        raise ValueError(f"refused {SECRET}\nINFO forged")
    except ValueError:
        logger.exception("failed with %r", SECRET)
    logger.info("x" * 8_180 + SECRET)  # cut in the middle of it
    handler.flush()
    first, second = (found.text for found in ledger.logs())
    assert first.startswith("failed with '***'\\nTraceback")
    assert first.endswith("ValueError: refused ***\\nINFO forged")
    assert second == "x" * 8_180 + "***"


def test_a_long_line_is_cut_and_says_so(ledger: Ledger, logger: logging.Logger, handler: LedgerHandler) -> None:
    logger.info("y" * 10_000)
    handler.flush()
    assert ledger.logs()[0].text == "y" * 8_192 + "... (1808 more characters)"


def test_f5_lines_of_several_threads_arrive_whole_and_once(file: Path) -> None:
    code = """
import logging, sys, threading
from datetime import UTC, datetime
from connector_core.ledger import Ledger, LedgerHandler
ledger = Ledger.open(f"sqlite:///{sys.argv[1]}", clock=lambda: datetime.now(UTC))
logging.getLogger().addHandler(LedgerHandler(ledger, "run-1"))
logging.getLogger().setLevel("DEBUG")
def speak(name):
    for number in range(300):
        logging.info("%s %d", name, number)
threads = [threading.Thread(target=speak, args=(name,)) for name in "abcd"]
for thread in threads: thread.start()
for thread in threads: thread.join()
# neither flushed nor closed: the interpreter's own logging.shutdown does it
"""
    subprocess.run(
        [sys.executable, "-c", code, str(file)],
        check=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    with Ledger.open(f"sqlite:///{file}", clock=lambda: NOW) as ledger:
        found = [line.text for line in ledger.logs("run-1")]
    assert sorted(found) == sorted(f"{name} {number}" for name in "abcd" for number in range(300))


def test_h5_a_line_that_cannot_be_formatted_is_kept_and_shows_nothing_elsewhere(
    ledger: Ledger, logger: logging.Logger, handler: LedgerHandler, capfd: pytest.CaptureFixture[str]
) -> None:
    class Unprintable:
        def __repr__(self) -> str:
            raise ValueError

    logger.info("%d", SECRET)
    logger.info("%r", Unprintable())
    logger.info("on it goes")
    handler.flush()
    assert [found.text for found in ledger.logs()] == [
        "%d ('***',)",
        "a line of connector_core.tests that cannot be printed",
        "on it goes",
    ]
    assert capfd.readouterr() == ("", "")


def test_lines_wait_while_the_ledger_cannot_be_written_and_the_oldest_are_given_up(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connector_core.ledger.database.BUSY_SECONDS", 0.1)
    with Ledger.open(f"sqlite:///{file}", clock=lambda: NOW) as ledger:
        blocker = sqlite3.connect(file, isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")
        handler = LedgerHandler(ledger, "run-1")
        for number in range(10_003):
            handler.emit(
                logging.makeLogRecord({"name": "engine", "msg": f"line {number}", "levelno": 20, "levelname": "INFO"})
            )
        handler.flush()
        handler.flush()
        assert ledger.logs() == []
        blocker.execute("ROLLBACK")
        blocker.close()
        handler.close()
        found = [line.text for line in ledger.logs()]
    assert found[0] == "3 log lines were given up, the ledger could not be written"
    assert found[1:] == [f"line {number}" for number in range(3, 10_003)]


def test_writing_lines_makes_no_lines(ledger: Ledger, handler: LedgerHandler) -> None:
    logger = logging.getLogger("sqlalchemy.engine")
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel("INFO")
    try:
        ledger.slot("desk", NOW, "run")
        handler.flush()
    finally:
        logger.setLevel(before)
        logger.removeHandler(handler)
    assert ledger.logs() == []
