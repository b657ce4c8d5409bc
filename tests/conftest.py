"""For every test: no credential of a sandbox in what it prints, and none in any file that the whole run leaves behind
(facts/fault_catalogue.md H5). At the end it is said which proofs could not be made."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from typing import Any
from zlib import crc32

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.support.canaries import holds_canary, leaks


@pytest.fixture(scope="session", autouse=True)
def _no_credential_in_any_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """After the last test of this process: its folder of temporary files, ledgers and databases included."""
    yield
    found = [str(path) for path in leaks(tmp_path_factory.getbasetemp())]
    if found:
        pytest.fail("files hold credentials of a sandbox:\n" + "\n".join(found), pytrace=False)


LONGEST = ("tests/destinations/test_snowflake_contract", "tests/crash/", "tests/plugins/", "tests/singer/")
PARTED = ("tests/destinations/test_snowflake_contract", "tests/crash/test_random_kills")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes minutes comes first, so that no process is left with it at the end."""
    rank = {prefix: number for number, prefix in enumerate(LONGEST)}
    items.sort(key=lambda item: next((n for prefix, n in rank.items() if item.nodeid.startswith(prefix)), len(rank)))


class Spread(LoadScopeScheduling):  # type: ignore[misc] - it has no types
    """The tests of a class or module stay in one process, for the sake of what they share; those that take minutes are
    spread over all."""

    def _split_scope(self, nodeid: str) -> str:
        part = f" {crc32(nodeid.encode()) % 4}" if nodeid.startswith(PARTED) else ""
        return f"{super()._split_scope(nodeid)}{part}"


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Spread:
    """How tests are given to processes."""
    return Spread(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that prints a credential fails, whatever else it proves."""
    report = yield
    if holds_canary(report.capstdout + report.capstderr):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} prints a credential of a sandbox"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name what needs credentials that are not there."""
    if "SNOWFLAKE_ACCOUNT" not in os.environ:
        terminalreporter.write_line(
            "live Snowflake: not run, no credentials (tests/destinations/test_snowflake_live.py)"
        )
