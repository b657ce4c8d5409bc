"""`connector-core new`: what it writes is installed, tested, checked and built in an empty environment, as it is."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import pytest

from connector_core.cli import invoke
from connector_core.testing.json_api import JsonApi
from tests.docs.blocks import ROOT, block, blocks
from tests.support.wheels import Environment, build, empty_environment

LONG = "a_name_as_long_as_one_may_be30"
PAGE = ROOT / "docs" / "write-a-source.md"


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    """The core, Desk and DuckDB from their wheels in an environment that was empty."""
    # not among the tests' files, which may hold no credentials: byte code of Desk's sandbox has them as a constant
    with TemporaryDirectory() as folder:
        build(Path(folder), [ROOT, ROOT / "plugins" / "desk", ROOT / "destinations" / "duckdb"])
        index = Path(folder) / "wheels"
        made = empty_environment(Path(folder), index, temporary=tmp_path_factory.mktemp("inner"))
        missing = made.run(["python", "-c", "import connector_core"], index)
        assert "No module named 'connector_core'" in missing.stderr
        done = made.run(["python", "-m", "pip", "install", "connector-core[desk,duckdb]"], index)
        assert done.returncode == 0, done.stdout + done.stderr
        yield made


def typed(environment: Environment, lines: list[str], cwd: Path, env: Mapping[str, str] | None = None) -> str:
    """Type lines in the environment; each has to succeed. Gives what they printed."""
    printed = ""
    for line in lines:
        done = environment.run(shlex.split(line), cwd, env)
        assert done.returncode == 0, line + done.stdout + done.stderr
        printed += done.stdout
    return printed


@pytest.mark.timeout(400)  # a dozen processes, one after another
def test_the_page_on_sources_is_true_to_the_wheel_that_others_run(environment: Environment, tmp_path: Path) -> None:
    text = PAGE.read_text()
    begin, check, publish, use = (one.text.splitlines() for one in blocks(PAGE, "sh"))
    folder = tmp_path / "connector-shop"
    typed(environment, begin[:2], tmp_path)
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert [name for name in files if name != ".gitignore"] == block(PAGE, "text", "py.typed").splitlines()
    assert begin[2] == f"cd {folder.name}"
    typed(environment, begin[3:], folder)

    module, tests = folder / "src" / "connector_shop" / "__init__.py", folder / "tests" / "test_shop.py"
    assert block(PAGE, "python", "orders = ") in module.read_text()
    added = block(PAGE, "python", "countries = ") + "source = "
    assert "`streams=(orders, items, countries)`" in text
    change(module, {"source = ": added, "streams=(orders, items)": "streams=(orders, items, countries)"})
    change(tests, {line_of(tests, "ROUTES = ") + "\n": block(PAGE, "python", "ROUTES = ")})
    change(tests, {"for written in (6, 0)": "for written in (7, 0)", '["rows_written"] == 6': '["rows_written"] == 7'})
    typed(environment, [*check, *publish], folder)
    shutil.rmtree(folder / "src")  # from here on it is the wheel that runs

    path = folder / "connectors.toml"
    path.write_text(block(PAGE, "toml", "[connectors.shop]"))
    path.chmod(0o600)
    orders = {"data": [{"id": 1, "email": "a@example.com", "updated_at": "2026-03-01T10:00:00Z"}], "next": None}
    items = {"data": [{"id": 10, "order_id": 1, "sku": "cup"}]}
    countries = [{"code": "is", "name": "Iceland"}]
    with JsonApi({"/api/orders": orders, "/api/orders/{id}/items": items, "/api/countries": countries}) as api:
        said = typed(environment, use, folder, {"SHOP_URL": api.url, "SHOP_TOKEN": "a-token"})
    assert "connector-shop 0.1.0" in " ".join(said.split())
    with duckdb.connect(str(folder / "warehouse.duckdb"), read_only=True) as connection:
        query = "select email, sku, name from shop.orders join shop.items on order_id = orders.id, shop.countries"
        assert connection.execute(query).fetchall() == [("a@example.com", "cup", "Iceland")]


def change(path: Path, changes: Mapping[str, str]) -> None:
    """Replace each text in a file; it must be there."""
    for old, new in changes.items():
        assert old in path.read_text(), old
        path.write_text(path.read_text().replace(old, new))


def line_of(path: Path, begins: str) -> str:
    """The one line of a file that begins so."""
    (line,) = [line for line in path.read_text().splitlines() if line.startswith(begins)]
    return line


@pytest.mark.timeout(400)
def test_a_new_extension_is_developed_and_built(environment: Environment, tmp_path: Path) -> None:
    typed(environment, [f"connector-core new extension x --folder {tmp_path}"], tmp_path)
    folder = tmp_path / "connector-x"
    readme = (folder / "README.md").read_text()
    typed(environment, readme.partition("```sh\n")[2].partition("```")[0].splitlines(), folder)
    (wheel,) = (folder / "dist").glob("*.whl")
    points = zipfile.ZipFile(wheel).read("connector_x-0.1.0.dist-info/entry_points.txt").decode()
    assert points.split() == ["[connector_core.extensions]", "x", "=", "connector_x"]


@pytest.mark.parametrize("kind", ["source", "extension"])
def test_what_is_made_is_formatted_whatever_its_name(kind: str, tmp_path: Path) -> None:
    for name in ("x", LONG):
        assert invoke(["new", kind, name, "--folder", str(tmp_path)]) == 0
    for words in (["check"], ["format", "--check"]):
        command = [sys.executable, "-m", "ruff", *words, "--no-cache", str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "name", ["", "Shop", "2shop", "my-shop", "my__shop", "shop_", "a/b", "../a", "é", "a" * 31, "a\nb"]
)
def test_g9_a_name_that_cannot_be_one_is_refused(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refused("source", name, tmp_path, capsys).startswith(f"error: {name!r} cannot be the name of a plugin - ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "owner"), [("desk", "connector-desk"), ("webhook", "connector-core"), ("core", "connector-core")]
)
def test_g9_a_name_that_is_taken_is_refused(
    name: str, owner: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert f"the name {name!r} is taken by {owner} - choose another" in refused("source", name, tmp_path, capsys)


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_nothing_that_exists_is_touched(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "connector-my-shop"
    if kind == "file":
        target.write_text("mine")
    elif kind == "folder":
        target.mkdir()
    else:
        target.symlink_to(tmp_path / "nowhere")
    assert f"{target} exists already - " in refused("extension", "my_shop", tmp_path, capsys)
    assert list(tmp_path.rglob("*")) == [target]


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"there is no folder {tmp_path}/a" in refused("source", "shop", tmp_path / "a", capsys)
    (tmp_path / "file").write_text("")
    assert f"there is no folder {tmp_path}/file" in refused("source", "shop", tmp_path / "file", capsys)


def refused(kind: str, name: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """The one line in which the command says no, with exit code 2."""
    assert invoke(["new", kind, "--folder", str(folder), "--", name]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    return err


def test_it_says_what_comes_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["new", "source", "my_shop", "--folder", str(tmp_path)]) == 0
    out, _ = capsys.readouterr()
    assert f"wrote {tmp_path}/connector-my-shop: 7 files" in out
    made = tomllib.loads((tmp_path / "connector-my-shop" / "pyproject.toml").read_text())["project"]
    assert made["name"] == "connector-my-shop"
    assert made["entry-points"]["connector_core.sources"] == {"my_shop": "connector_my_shop:source"}
    assert [path.name for path in tmp_path.iterdir()] == ["connector-my-shop"]
