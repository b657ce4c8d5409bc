"""Memory stays flat (facts/fault_catalogue.md D6): whatever a source sends and however slow the destination is, a run
holds what `memory` says and a page or so. And when there is none left, the run says so and the next one completes."""

from __future__ import annotations

import json
import re
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest

from tests.support.commands import command
from tests.support.project import SITE
from tests.support.zygote import Ended, Zygote

MB = 1_000_000
MEMORY = 8 * MB
SMALL = {"pages": 1, "records": 1, "columns": 1, "letters": 10, "replies": 0, "shape": "plain", "letter": "x"}
TOML = """
[destinations.warehouse]
type = "duckdb"
path = "warehouse.duckdb"
memory_limit = "64MB"

[connectors.flood]
source = "flood"
destination = "warehouse"
start_date = 2020-01-01
memory = {memory}
extensions = [{extensions}]

[connectors.flood.config]
"""


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    with Zygote("flood_source") as started:
        yield started


@pytest.fixture(scope="module")
def small(zygote: Zygote, tmp_path_factory: pytest.TempPathFactory) -> int:
    """The most memory that a run of one small record has."""
    return flood(zygote, tmp_path_factory.mktemp("small")).peak


def project(folder: Path, *, dam: bool = False, **shape: int | str) -> None:
    """Write connectors.toml for a flood of this shape, the destination behind a `dam` or not."""
    lines = [f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in (SMALL | shape).items()]
    file = folder / "connectors.toml"
    file.write_text(TOML.format(memory=MEMORY, extensions='"dam"' if dam else "") + "\n".join(lines))
    file.chmod(0o600)


def flood(zygote: Zygote, folder: Path, *, dam: bool = False, **shape: int | str) -> Ended:
    """Run a flood of this shape to its end."""
    project(folder, dam=dam, **shape)
    ended = zygote.run(["run"], cwd=folder, env={})
    assert ended.code == 0, ended.output
    return ended


@contextmanager
def warehouse(folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(str(folder / "warehouse.duckdb"), read_only=True) as connection:
        yield connection


def count(folder: Path, table: str) -> int:
    """How many keys the table has."""
    with warehouse(folder) as connection:
        ((rows, keys),) = connection.execute(f"select count(*), count(distinct id) from flood.{table}").fetchall()
    assert rows == keys
    return int(keys)


def asked(ended: Ended) -> int:
    """How many pages the source was asked for while nothing was loaded."""
    (pages,) = re.findall("opens after ([0-9]+) pages", ended.output)
    return int(pages)


@pytest.mark.parametrize("shape", ["plain", "silent"])
def test_d6_a_fast_source_and_a_slow_destination(zygote: Zygote, small: int, tmp_path: Path, shape: str) -> None:
    ended = flood(zygote, tmp_path, dam=True, shape=shape, pages=30, records=50, columns=20, letters=1_000)
    assert count(tmp_path, "floods") == 1_500
    assert asked(ended) <= 5, "one slice before the destination, one that waits, one that is read"
    assert ended.peak - small < MEMORY + 60 * MB


def test_d6_records_of_five_megabytes(zygote: Zygote, small: int, tmp_path: Path) -> None:
    letters = 5 * MB // len("😀".encode())
    ended = flood(zygote, tmp_path, dam=True, pages=12, letters=letters, letter="😀")
    with warehouse(tmp_path) as connection:
        found = connection.execute("select count(*), min(length(c0)), max(length(c0)) from flood.floods").fetchall()
    assert found == [(12, letters, letters)]
    assert ended.peak - small < MEMORY + 115 * MB, "one is read while another is loaded; three would take 130"


def test_d6_a_parent_with_a_hundred_thousand_children(zygote: Zygote, small: int, tmp_path: Path) -> None:
    ended = flood(zygote, tmp_path, shape="family", letters=250, replies=100_000)
    assert (count(tmp_path, "floods"), count(tmp_path, "replies")) == (1, 100_000)
    assert ended.peak - small < MEMORY + 60 * MB, "all 30 MB of JSON would take 100"


def test_d6_children_of_many_parents_that_are_fetched_ahead(zygote: Zygote, small: int, tmp_path: Path) -> None:
    ended = flood(zygote, tmp_path, dam=True, shape="family", records=16, letters=4_000, replies=300)
    assert (count(tmp_path, "floods"), count(tmp_path, "replies")) == (16, 4_800)
    assert asked(ended) < 24, "those under way, and what fits into the memory; the rest of the 49 waits"
    assert ended.peak - small < MEMORY + 80 * MB


def test_d6_a_thousand_columns(zygote: Zygote, small: int, tmp_path: Path) -> None:
    ended = flood(zygote, tmp_path, pages=20, records=20, columns=1_000, letters=10)
    assert count(tmp_path, "floods") == 400
    assert ended.peak - small < MEMORY + 140 * MB, "DuckDB's share of wide tables is most of it"


def test_d6_no_memory_left_is_said_and_the_next_run_completes(zygote: Zygote, tmp_path: Path) -> None:
    flood(zygote, tmp_path, pages=2, records=5)
    project(tmp_path, pages=3, records=5, letters=4_000 * MB)
    most = 2_000 * MB
    done = command(
        "run", cwd=tmp_path, trees=[SITE], preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    )
    assert done.returncode == 6, done.stderr
    assert "the process may have no more memory" in done.stderr
    assert "[no_memory]" in done.stderr.splitlines()[-1]
    flood(zygote, tmp_path, pages=3, records=5)
    assert count(tmp_path, "floods") == 15
