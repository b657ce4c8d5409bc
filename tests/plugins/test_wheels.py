"""Wheels of all our distributions: what they hold, and what others do with them in an environment that was empty. The
tutorials are typed there as they stand."""

from __future__ import annotations

import json
import shlex
import shutil
import sqlite3
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Iterator, Mapping
from email.parser import Parser
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import pytest

from connector_core.cli import invoke
from connector_core.testing.json_api import JsonApi
from connector_desk.sandbox import Sandbox, Settings
from tests.docs.blocks import ROOT, block, blocks
from tests.support.wheels import MEMBERS, SIBLINGS, Environment, build, empty_environment, name_of, project, wheel

SOURCE, DESTINATION, EXTENSION = (ROOT / "docs" / f"write-a{n}.md" for n in ("-source", "-destination", "n-extension"))


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder that is none of the tests' own, which may hold no credentials: byte code of Desk's sandbox has them."""
    with TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def wheels(folder: Path) -> dict[str, Path]:
    """A wheel of every distribution, by name."""
    return build(folder)


@pytest.fixture(scope="module")
def environment(folder: Path, wheels: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment that was empty, in which the core, Desk, DuckDB and somebody else's source were installed from
    their wheels."""
    index = next(iter(wheels.values())).parent
    assert invoke(["new", "source", "market", "--folder", str(folder)]) == 0
    assert wheel(folder / "connector-market", index).name == "connector_market-0.1.0-py3-none-any.whl"
    made = empty_environment(folder, index, temporary=tmp_path_factory.mktemp("inner"))
    missing = made.run(["python", "-c", "import connector_core"], index)
    assert "No module named 'connector_core'" in missing.stderr
    typed(made, ['python -m pip install "connector-core[desk,duckdb]" connector-market'], index)
    return made


# --- what they hold


@pytest.mark.parametrize("member", MEMBERS, ids=name_of)
def test_a_wheel_holds_its_package_and_nothing_else(member: Path, wheels: dict[str, Path]) -> None:
    name, version = name_of(member), project(member)["version"]
    package = name.replace("-", "_")
    archive = zipfile.ZipFile(wheels[name])
    names = archive.namelist()
    # in particular no top-level plugins, destinations, tests or benchmarks
    assert {name.split("/")[0] for name in names} == {package, f"{package}-{version}.dist-info"}
    assert f"{package}/__init__.py" in names
    assert f"{package}/py.typed" in names
    assert f"{package}-{version}.dist-info/licenses/LICENSE" in names
    assert [name for name in names if name.endswith((".pyc", ".duckdb", ".db"))] == []
    said = Parser().parsestr(archive.read(f"{package}-{version}.dist-info/METADATA").decode())
    assert (said["Name"], said["Version"], said["License-Expression"]) == (name, version, "Apache-2.0")
    assert said["Requires-Python"] == ">=3.11"
    assert said["Summary"]
    assert "Typing :: Typed" in said.get_all("Classifier", [])


@pytest.mark.parametrize("member", SIBLINGS, ids=name_of)
def test_an_installed_wheel_is_found_by_its_entry_points(member: Path, wheels: dict[str, Path], tmp_path: Path) -> None:
    archive = zipfile.ZipFile(wheels[name_of(member)])
    # without the modules: the sandbox's published credentials are among them
    archive.extractall(tmp_path, [name for name in archive.namelist() if ".dist-info/" in name])
    code = """
        import importlib.metadata, sys
        for distribution in importlib.metadata.distributions(path=[sys.argv[1]]):
            for point in distribution.entry_points:
                print(point.group, point.name, point.value)
    """
    command = [sys.executable, "-I", "-c", textwrap.dedent(code), str(tmp_path)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    declared = project(member)["entry-points"]
    assert printed == [
        f"{group} {name} {value}" for group, points in declared.items() for name, value in points.items()
    ]
    assert printed


def test_every_plugin_is_an_extra_of_the_core_under_the_name_of_its_entry_point() -> None:
    extras = project(ROOT)["optional-dependencies"]
    for member in SIBLINGS:
        points = project(member)["entry-points"]
        assert [extras[name] for group in points.values() for name in group] == [[name_of(member)]]


# --- what others do with them


def typed(environment: Environment, lines: list[str], cwd: Path, env: Mapping[str, str] | None = None) -> str:
    """Type lines in the environment; each has to succeed. Gives what they printed."""
    printed = ""
    for line in lines:
        done = environment.run(shlex.split(line), cwd, env)
        assert done.returncode == 0, line + done.stdout + done.stderr
        printed += done.stdout
    return printed


def begun(environment: Environment, page: Path, begin: list[str], cwd: Path) -> Path:
    """Type what the page begins with; it writes the files that the page lists. Gives the package's folder."""
    typed(environment, begin[:2], cwd)
    assert begin[2].startswith("cd ")
    folder = cwd / begin[2].removeprefix("cd ")
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert [name for name in files if name != ".gitignore"] == block(page, "text", "py.typed").splitlines()
    typed(environment, begin[3:], folder)
    return folder


def to_use(page: Path, folder: Path, holding: str) -> None:
    """Write the page's `connectors.toml`. From here on it is the wheel that runs: the sources are gone."""
    shutil.rmtree(folder / "src")
    path = folder / "connectors.toml"
    path.write_text(block(page, "toml", holding))
    path.chmod(0o600)


def lines_of(page: Path) -> list[list[str]]:
    """The lines of each of the page's shell blocks."""
    return [one.text.splitlines() for one in blocks(page, "sh")]


def change(path: Path, changes: Mapping[str, str]) -> None:
    """Replace each text in a file; it must be there."""
    for old, new in changes.items():
        assert old in path.read_text(), old
        path.write_text(path.read_text().replace(old, new))


def line_of(path: Path, begins: str) -> str:
    """The one line of a file that begins so."""
    (line,) = [line for line in path.read_text().splitlines() if line.startswith(begins)]
    return line


MARKET = """
[destinations.warehouse]
type = "duckdb"
path = "warehouse.duckdb"

[connectors.market]
source = "market"
destination = "warehouse"
start_date = 2026-01-01

[connectors.market.config]
url = "${URL}"
token = "${TOKEN}"
"""


def test_h12_somebody_elses_wheel_shows_its_origin_and_runs_once_it_is_named(
    environment: Environment, tmp_path: Path
) -> None:
    path = tmp_path / "connectors.toml"
    path.write_text(MARKET)
    orders = {"data": [{"id": 1, "email": "a@example.com", "updated_at": "2026-03-01T10:00:00Z"}], "next": None}
    with JsonApi({"/api/orders": orders, "/api/orders/{id}/items": {"data": []}}) as api:
        typed(environment, ["connector-core run"], tmp_path, {"URL": api.url, "TOKEN": "a-token"})
    assert answer(tmp_path, "select id, email from market.orders") == [(1, "a@example.com")]
    listed = json.loads(typed(environment, ["connector-core plugins --json"], tmp_path))
    assert {(one["name"], one["distribution"], one["version"], one["entry_point"]) for one in listed} >= {
        ("desk", "connector-desk", "0.1.0", "connector_desk:source"),
        ("duckdb", "connector-duckdb", "0.1.0", "connector_duckdb:destination"),
        ("market", "connector-market", "0.1.0", "connector_market:source"),
        ("webhook", "connector-core", "0.1.0", "connector_core.extensions.webhook:webhook"),
    }


@pytest.fixture
def desk() -> Iterator[dict[str, str]]:
    """A sandbox of Desk: the variables that lead to it."""
    with Sandbox(Settings(cases=3, customers=2, users=2, rate_limit=1_000_000)) as sandbox:
        names = ("key", "secret", "token", "token_secret")
        secrets = {f"DESK_{name.upper()}": getattr(sandbox.credentials, name) for name in names}
        yield {"DESK_SITE_URL": sandbox.url, **secrets}


@pytest.mark.timeout(400)  # a dozen processes, one after another
def test_the_page_on_sources_is_true_to_the_wheel_that_others_run(environment: Environment, tmp_path: Path) -> None:
    text = SOURCE.read_text()
    begin, check, publish, use = lines_of(SOURCE)
    folder = begun(environment, SOURCE, begin, tmp_path)
    module, tests = folder / "src" / "connector_shop" / "__init__.py", folder / "tests" / "test_shop.py"
    assert block(SOURCE, "python", "orders = ") in module.read_text()
    added = block(SOURCE, "python", "countries = ") + "source = "
    assert "`streams=(orders, items, countries)`" in text
    change(module, {"source = ": added, "streams=(orders, items)": "streams=(orders, items, countries)"})
    change(tests, {line_of(tests, "ROUTES = ") + "\n": block(SOURCE, "python", "ROUTES = ")})
    change(tests, {"for written in (6, 0)": "for written in (7, 0)", '["rows_written"] == 6': '["rows_written"] == 7'})
    typed(environment, [*check, *publish], folder)

    to_use(SOURCE, folder, "[connectors.shop]")
    orders = {"data": [{"id": 1, "email": "a@example.com", "updated_at": "2026-03-01T10:00:00Z"}], "next": None}
    items = {"data": [{"id": 10, "order_id": 1, "sku": "cup"}]}
    countries = {"data": [{"code": "is", "name": "Iceland"}]}
    with JsonApi({"/api/orders": orders, "/api/orders/{id}/items": items, "/api/countries": countries}) as api:
        said = typed(environment, use, folder, {"SHOP_URL": api.url, "SHOP_TOKEN": "a-token"})
    assert "connector-shop 0.1.0" in " ".join(said.split())
    query = "select email, sku, name from shop.orders join shop.items on order_id = orders.id, shop.countries"
    assert answer(folder, query) == [("a@example.com", "cup", "Iceland")]


def answer(folder: Path, query: str) -> list[tuple[Any, ...]]:
    """What the warehouse says."""
    with duckdb.connect(str(folder / "warehouse.duckdb"), read_only=True) as connection:
        return connection.execute(query).fetchall()


@pytest.mark.timeout(400)
def test_the_page_on_destinations_is_true_to_the_wheel_that_others_run(
    environment: Environment, desk: Mapping[str, str], tmp_path: Path
) -> None:
    begin, check, publish, use = lines_of(DESTINATION)
    folder = begun(environment, DESTINATION, begin, tmp_path)
    module = folder / "src" / "connector_lake" / "__init__.py"
    assert len(module.read_text().splitlines()) < 250
    changed = block(DESTINATION, "text", "nested_natively")
    change(module, {changed.splitlines(keepends=True)[0]: changed})
    assert "a hundred tests" in DESTINATION.read_text()
    assert int(typed(environment, check[:1], folder).split(" passed")[0].split()[-1]) > 100
    typed(environment, [*check[1:], *publish], folder)

    to_use(DESTINATION, folder, "[connectors.desk]")
    said = " ".join(typed(environment, use, folder, desk).split())
    assert "connector-lake 0.1.0" in said
    with sqlite3.connect(folder / "desk.db") as connection:
        tables = {name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")}
        labels = connection.execute("select json_type(labels) from cases").fetchall()
    assert labels == [("array",)] * 3
    assert "cases__labels" not in tables
    assert {"customers", "replies", "users", "user_groups"} <= tables


@pytest.mark.timeout(400)
def test_the_page_on_extensions_is_true_to_the_wheel_that_others_run(
    environment: Environment, desk: Mapping[str, str], tmp_path: Path
) -> None:
    begin, check, publish, use = lines_of(EXTENSION)
    folder = begun(environment, EXTENSION, begin, tmp_path)
    module = folder / "src" / "connector_audit" / "__init__.py"
    assert block(EXTENSION, "python", "def observe") in module.read_text()
    imports = block(EXTENSION, "python", "import json")
    old = module.read_text().partition("import json\n")[2].partition("hookimpl\n")[0]
    change(module, {f"import json\n{old}hookimpl\n": imports})
    module.write_text(module.read_text() + "\n\n" + block(EXTENSION, "python", "wrapper=True"))
    typed(environment, [*check, *publish], folder)

    to_use(EXTENSION, folder, "[connectors.desk]")
    said = " ".join(typed(environment, use, folder, desk).split())
    assert "connector-audit 0.1.0" in said
    assert (folder / "runs.jsonl").read_text().count("\n") == 1
    assert answer(folder, "select (select count(*) from desk.customers), count(*) from desk.customers__emails") == [
        (2, 0)
    ]
