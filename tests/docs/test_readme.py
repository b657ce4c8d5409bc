"""The README does what it says: its commands run, its configuration loads, its example of a source is a source."""

from __future__ import annotations

import dataclasses
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any
from urllib.parse import parse_qs, urlsplit

import duckdb
import pytest
from packaging.requirements import Requirement

import dev
from connector_core.testing.faults import FaultFront, Request, Response
from connector_desk.sandbox import Sandbox
from connector_desk.sandbox.settings import DEMO
from tests.docs.blocks import README, ROOT, block, blocks, shell_lines
from tests.support.commands import command
from tests.support.trees import distribution

HOOKS = ROOT / "docs" / "hooks.md"
NOW = "2026-06-01T12:00:00Z"
"""The instant around which the sandbox makes the data that the README shows."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tried:
    """What came of the README's commands, by command, typed in its order; `again` is a second `run`."""

    folder: Path
    done: Mapping[str, CompletedProcess[str]]
    again: CompletedProcess[str]

    def shown(self, query: str) -> str:
        """A query's result as DuckDB prints it."""
        with duckdb.connect(str(self.folder / "warehouse.duckdb"), read_only=True) as connection:
            return str(connection.sql(query)).rstrip()


def engine_commands() -> list[list[str]]:
    """The README's commands but `init`, which asks: docs/first-hour.md shows it, and its test types the answers."""
    return [words[1:] for words in shell_lines(README) if words[0] == "connector-core" and words[1] != "init"]


def exported() -> set[str]:
    """The variables that the README sets."""
    lines = [words[1:] for words in shell_lines(README) if words[0] == "export"]
    return {word.partition("=")[0] for words in lines for word in words}


def private(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o600)


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tried]:
    folder = tmp_path_factory.mktemp("reader")
    private(folder / "connectors.toml", block(README, "toml", "stitch_desk"))
    with Sandbox(dataclasses.replace(DEMO, now=NOW)) as desk:
        known = dataclasses.asdict(desk.credentials) | {"site_url": desk.url}
        env = {name: str(known[name.removeprefix("DESK_").lower()]) for name in exported()}
        done = {" ".join(words): command(*words, cwd=folder, env=env) for words in engine_commands()}
        yield Tried(folder=folder, done=done, again=command("run", cwd=folder, env=env))


def lines(text: str) -> list[str]:
    """Lines without the seconds that a run took."""
    return [re.sub(r"succeeded in .*? s;", "succeeded;", line) for line in text.splitlines() if line.strip()]


def test_every_command_of_the_readme_succeeds(tried: Tried) -> None:
    assert {"check", "run", "status", "rejects list", "plugins"} <= tried.done.keys()
    assert {name: done.stderr for name, done in tried.done.items() if done.returncode} == {}


def test_the_report_is_that_of_the_readme(tried: Tried) -> None:
    promised = block(README, "text", "A first query of").partition("A first query of")[0]
    printed = [line for line in lines(tried.done["run"].stdout) if not line.startswith("  created ")]
    assert sorted(lines(promised)) == sorted(printed)
    assert lines(block(README, "text", "nothing new")) == lines(tried.again.stdout)[:1]


def test_the_first_query_is_the_demos_and_its_result_is_real(tried: Tried) -> None:
    _, _, shown = block(README, "text", "A first query of").partition("A first query of warehouse.duckdb:\n\n")
    assert shown.rstrip() == f"{dev.FIRST_QUERY};\n\n{tried.shown(dev.FIRST_QUERY)}"


def test_the_second_query_has_the_result_that_is_shown(tried: Tried) -> None:
    query = block(README, "sql", "cases__labels")
    assert block(README, "text", " label ").rstrip() == tried.shown(query)


def test_the_columns_that_the_readme_names_are_there(tried: Tried) -> None:
    section = README.read_text().partition("`cases` has a row per case:")[2].partition("`cases__labels` has")[0]
    named = re.findall(r"`(\w+)`", section)
    assert len(named) > 10
    with duckdb.connect(str(tried.folder / "warehouse.duckdb"), read_only=True) as connection:
        there = {
            row[0] for row in connection.execute("select column_name from (describe stitch_desk.cases)").fetchall()
        }
    assert set(named) <= there


def test_queries_of_the_document_on_tables_can_be_asked(tried: Tried) -> None:
    (query,) = [one.text for one in blocks(ROOT / "docs" / "tables.md", "sql") if "stitch_desk" in one.text]
    assert tried.shown(query).splitlines()[1].split() == ["│", "label", "│", "cases", "│"]


def test_the_variables_that_the_readme_sets_are_those_that_its_file_needs() -> None:
    assert set(re.findall(r"\$\{(\w+)", block(README, "toml", "stitch_desk"))) == exported()


def test_what_is_to_be_typed_exists() -> None:
    for words in shell_lines(README):
        if words[:2] == ["python3", "dev.py"]:
            assert re.search(rf"^  {words[2]} ", dev.USAGE, re.MULTILINE), words
        elif words[:2] == ["pip", "install"]:
            wanted = Requirement(words[2])
            project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
            assert wanted.name == project["name"]
            assert wanted.extras
            assert wanted.extras <= project["optional-dependencies"].keys()
        else:
            assert words[0] in ("connector-core", "export"), words


def test_a_source_in_at_most_20_lines() -> None:
    text = block(README, "python", "RestSource(")
    assert len(text.splitlines()) <= 20  # blank ones too


# --- the example of a source, through the real engine, with the example of an extension around it

TOKEN = "canary-token-of-the-shop"
ORDERS = [
    {"id": number, "email": f"buyer{number}@example.com", "updated_at": f"2026-03-0{number}T10:00:00Z"}
    for number in (1, 2, 3)
]
ITEMS = {
    1: [{"id": 10, "order_id": 1, "sku": "cup"}, {"id": 11, "order_id": 1, "sku": "pot"}],
    2: [],
    3: [{"id": 12, "order_id": 3, "sku": "cup"}],
}


def shop(request: Request) -> Response:
    """Two orders a page, linked; the items of an order on one page."""
    if request.header("Authorization") != f"Bearer {TOKEN}":
        return Response.of_json({"error": "who are you?"}, status=401)
    url = urlsplit(request.target)
    query = {name: values[0] for name, values in parse_qs(url.query).items()}
    if items := re.fullmatch(r"/api/orders/(\d+)/items", url.path):
        return Response.of_json(ITEMS[int(items[1])])
    since = query.get("updated_since", "")
    found = [order for order in ORDERS if str(order["updated_at"]) >= since]
    start = int(query.get("start", 0))
    more = f"/api/orders?updated_since={since}&start={start + 2}" if start + 2 < len(found) else None
    return Response.of_json({"data": found[start : start + 2], "next": more})


def test_the_example_of_a_source_and_of_an_extension(tmp_path: Path) -> None:
    project = tomllib.loads(block(README, "toml", "[project]"))["project"]
    tree = tmp_path / "site"
    distribution(
        tree,
        project["name"],
        version=project["version"],
        sources=project["entry-points"]["connector_core.sources"],
        modules={"connector_shop": block(README, "python", "RestSource(")},
    )
    distribution(
        tree,
        "shop-mask",
        extensions={"mask": "shop_mask"},
        modules={"shop_mask": block(HOOKS, "python", "wrapper=True")},
    )
    extensions = 'destination = "warehouse"\nextensions = ["mask"]\nstart_date = 2026-01-01\n'
    config = block(README, "toml", "connectors.shop").replace('destination = "warehouse"\n', extensions)
    private(tmp_path / "connectors.toml", config)

    def run() -> dict[str, Any]:
        env = {"SHOP_URL": front.url, "SHOP_TOKEN": TOKEN}
        done = command("run", "--json", cwd=tmp_path, env=env, trees=[tree])
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout))

    with FaultFront(None, respond=shop) as front:
        wrong = {"SHOP_URL": front.url, "SHOP_TOKEN": "mistyped"}
        check = command("check", cwd=tmp_path, env=wrong, trees=[tree])
        assert (check.returncode, "failed  source         credentials refused" in check.stdout) == (4, True)
        assert "- renew token in the connector's configuration [auth]" in check.stdout
        assert run()["rows_written"] == 6
        assert run()["rows_written"] == 0
    with duckdb.connect(str(tmp_path / "warehouse.duckdb"), read_only=True) as connection:
        orders = "select id, email, epoch(updated_at)::bigint from shop.orders order by id"
        assert connection.execute(orders).fetchall() == [
            (1, "***", 1772359200),
            (2, "***", 1772445600),
            (3, "***", 1772532000),
        ]
        assert connection.execute("select id, order_id, sku from shop.items order by id").fetchall() == [
            (10, 1, "cup"),
            (11, 1, "pot"),
            (12, 3, "cup"),
        ]
