"""The crash proof: a site, undisturbed runs to compare with, and what has to hold after a crash and one restart."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from connector_desk.sandbox import Sandbox, Settings
from tests.support.memory import folder_in_memory
from tests.support.project import Project, content
from tests.support.zygote import Zygote

SETTINGS = 'batch_records = 16\ncalls_in_flight = 4\nstart_date = "2025-01-01"\n'
NOW = "2026-06-01T12:00:00Z"


class Proof:
    """A site, a process to fork runs from, and what an undisturbed run of the same site leaves."""

    def __init__(self, folder: Path, desk: Sandbox, zygote: Zygote) -> None:
        self.folder, self.desk, self.zygote = folder, desk, zygote
        clean = self.project("clean")
        trace = folder / "trace.txt"
        ended = zygote.run(["run", "--json"], cwd=clean.folder, env=clean.env, trace=trace)
        assert ended.code == 0, ended.output
        self.seconds = ended.seconds
        self.content = content(clean)
        self.seams = trace.read_text().split()
        assert {len(rows) > 0 for rows in self.content.values()} == {True}

    def project(self, name: str) -> Project:
        return Project(self.folder / name, self.desk.url, self.desk.credentials, settings=SETTINGS)

    def restart(self, project: Project) -> dict[str, Any]:
        """One more run, which must put everything right."""
        ended = self.zygote.run(["run", "--json"], cwd=project.folder, env=project.env)
        assert ended.code == 0, ended.output
        return json.loads(ended.output.strip().splitlines()[-1])

    def holds(self, project: Project) -> None:
        """The destination equals that of the undisturbed run, and every row was written and metered once."""
        assert content(project) == self.content
        assert metered(project) == {table: len(rows) for table, rows in self.content.items()}


def metered(project: Project) -> dict[str, int]:
    """Rows written per table by the ledger's receipts."""
    with sqlite3.connect(project.folder / ".connector-core" / "ledger.db") as connection:
        found = connection.execute(
            "select t.table_name, sum(t.written) from ledger_receipt_tables t group by 1 having sum(t.written) > 0"
        ).fetchall()
    return dict(found)


@contextmanager
def crash_proof(folder: Path) -> Iterator[Proof]:
    """A proof with a small seeded site of all five resources."""
    with (
        folder_in_memory(folder) as place,
        Sandbox(Settings(seed=7, cases=24, customers=8, now=NOW, rate_limit=1_000_000)) as desk,
        Zygote() as zygote,
    ):
        yield Proof(place, desk, zygote)
