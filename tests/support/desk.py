"""A project against a running Desk sandbox, with runs in this process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from connector_core import config
from connector_core.clock import SystemClock
from connector_core.events import Event
from connector_core.ledger import Ledger
from connector_core.pipeline import run_connector
from connector_core.run_report import RunOptions, RunReport
from connector_desk.sandbox import Sandbox, Settings
from tests.support.desk_tables import TABLES, expected, found
from tests.support.project import Project

NOW = "2026-06-01T12:00:00Z"
EVERYTHING = 'start_date = "2020-01-01"\n'
SMALL_PAGES = {"cases": 10, "customers": 10, "replies": 2}


class Desk(Project):
    """A project against a running sandbox, with runs in this process."""

    def __init__(self, folder: Path, sandbox: Sandbox, settings: str, *, url: str = "", config: str = "") -> None:
        super().__init__(folder, url or sandbox.url, sandbox.credentials, settings=settings)
        path = folder / "connectors.toml"
        path.write_text(path.read_text().replace('path = "warehouse.duckdb"', f'path = "{self.warehouse}"') + config)
        self.sandbox = sandbox
        self.events: list[Event] = []

    def go(self, *, code: int = 0, **options: Any) -> RunReport:
        """One run; its exit code must be `code`."""
        self.sandbox.ledger.reset()
        self.events.clear()
        loaded = config.load(self.folder / "connectors.toml", env=self.env)
        with Ledger.open(loaded.ledger.url.reveal(), clock=SystemClock().now) as ledger:
            report = run_connector(
                loaded.connectors["stitch_desk"],
                config=loaded,
                ledger=ledger,
                options=RunOptions(**options),
                stop=threading.Event(),
                report=self.events.append,
            )
        assert report.exit_code == code, report.error
        assert all(counts.balanced for counts in report.counts.values())
        return report

    def equals_source(self, *, since: str = "") -> None:
        """Every field of every record is in the destination, and nothing else."""
        there, here = found(self), expected(self.sandbox.expected(), since=since)
        assert set(there) == TABLES
        for table in sorted(TABLES):
            assert there[table] == here[table], table


@contextmanager
def desk(folder: Path, *, settings: str = EVERYTHING, **switches: Any) -> Iterator[Desk]:
    chosen = {"seed": 3, "cases": 120, "customers": 50, "now": NOW, "rate_limit": 1_000_000, **switches}
    with Sandbox(Settings(**chosen)) as sandbox:
        yield Desk(folder, sandbox, settings)
