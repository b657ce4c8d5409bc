"""One site into every destination: the same rows, field by field; and with SIGKILL at each step of a load or a claim
and one restart, nothing missing, nothing doubled, nothing counted twice (D1, E6)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from connector_core.tables import Kind
from connector_desk.sandbox import Sandbox, Settings
from tests.support.crash import NOW, metered
from tests.support.desk_tables import TABLES
from tests.support.destinations import DESTINATIONS, Destination, columns, destination, project_of, rows
from tests.support.memory import folder_in_memory
from tests.support.project import Project
from tests.support.zygote import Ended, Zygote

CHOSEN = {"postgres": (), "snowflake": ("--select", "users", "--select", "cases")}
"""What is run: on the stand-in, where statements are dear, a full table and a stream with children."""
DEAR = {"snowflake": ("claim.commit", "load.fence", "load.insert", "load.commit_row", "load.commit", "activate.insert")}
"""Where a run is killed on the stand-in; at every other step its contract kills a process of the destination alone."""
SETTINGS = 'start_date = "2025-01-01"\nnested = "subtables"\n'
Content = dict[str, list[dict[str, Any]]]


@dataclass
class Place:
    """A destination, a process to fork runs from, and what an undisturbed run leaves there."""

    folder: Path
    desk: Sandbox
    to: Destination
    zygote: Zygote
    content: Content = field(default_factory=dict)
    columns: dict[tuple[str, str], Kind] = field(default_factory=dict)
    metered: dict[str, int] = field(default_factory=dict)
    seams: list[str] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=count)

    def project(self) -> Project:
        number = next(self.numbers)
        return project_of(self.to, self.folder / str(number), self.desk, number=number, settings=SETTINGS)

    def run(self, project: Project, *arguments: str, **how: Any) -> Ended:
        return self.zygote.run(["run", "--json", *arguments], cwd=project.folder, env=project.env, **how)

    def rows(self, project: Project) -> Content:
        return rows(self.to.reader(project.folder), _schema(project))


def _schema(project: Project) -> str:
    return project.name.lower().replace(" ", "_")


def _written(project: Project) -> dict[str, int]:
    return {table.lower(): number for table, number in metered(project).items()}


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Place]]:
    """All destinations, each after an undisturbed run."""
    with (
        folder_in_memory(tmp_path_factory.mktemp("every")) as folder,
        Sandbox(Settings(seed=7, cases=8, customers=3, now=NOW, rate_limit=1_000_000)) as desk,
        destination("duckdb") as duckdb,
        destination("postgres") as postgres,
        destination("snowflake") as snowflake,
        Zygote(*postgres.drivers, *snowflake.drivers) as zygote,
    ):
        made = {}
        for name, to in (("duckdb", duckdb), ("postgres", postgres), ("snowflake", snowflake)):
            made[name] = place = Place(folder / name, desk, to, zygote)
            clean = place.project()
            trace = folder / f"{name}.txt"
            ended = place.run(clean, trace=trace)
            assert ended.code == 0, ended.output
            place.content, place.seams = place.rows(clean), trace.read_text().split()
            place.columns, place.metered = columns(to.reader(clean.folder), _schema(clean)), _written(clean)
        yield made


def test_the_same_site_gives_the_same_rows_everywhere(places: Mapping[str, Place]) -> None:
    assert set(places) == set(DESTINATIONS)
    first = places["duckdb"].content
    assert set(first) == TABLES
    assert {len(found) > 0 for found in first.values()} == {True}
    for place in places.values():
        assert place.content == first
        assert place.columns == places["duckdb"].columns  # also those in which every row has NULL
        assert place.metered == {table: len(found) for table, found in first.items()}


@pytest.mark.timeout(400)
@pytest.mark.parametrize("name", CHOSEN)
def test_d1_a_kill_at_every_step_of_a_claim_or_a_load(places: Mapping[str, Place], name: str) -> None:
    """DuckDB's is `test_every_seam`."""
    place = places[name]
    passed = [one.removesuffix(".before") for one in dict.fromkeys(place.seams) if one.endswith(".before")]
    steps = [one for one in passed if one.startswith(("claim.", "load.", "activate."))]
    assert {f"load.{step}" for step in ("fence", "schema", "insert", "commit_row", "commit")} <= set(steps)
    assert set(DEAR.get(name, ())) <= set(steps)
    chosen = [f"{one}.before" for one in DEAR.get(name, steps)] + ["load.commit.after", "claim.commit.after"]
    assert set(CHOSEN) == set(DESTINATIONS) - {"duckdb"}
    for seam in chosen:
        project = place.project()
        assert place.run(project, *CHOSEN[name], kill_at=(seam, 1)).killed, seam
        ended = place.run(project, *CHOSEN[name])
        assert ended.code == 0, ended.output
        found = place.rows(project)
        assert {"cases", "cases__labels", "cases__label_ids", "replies"} <= set(found), seam
        assert found == {table: place.content[table] for table in found}, seam
        assert _written(project) == {table: len(content) for table, content in found.items()}, seam
