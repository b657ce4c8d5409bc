"""`connector-core new`: what it writes, and the names and folders that it refuses. What becomes of it is in
test_wheels.py."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from connector_core.cli import invoke

LONG = "a_name_as_long_as_one_may_be30"


@pytest.mark.parametrize("kind", ["source", "destination", "extension"])
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
