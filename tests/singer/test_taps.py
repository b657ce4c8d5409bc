"""Taps in environments of their own: installed, listed, found, from a wheel that is made here."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from connector_core import taps
from connector_core.errors import ConfigError
from tests.support.commands import command

SCRIPT = "def main():\n    print('{\"streams\": []}')\n"


def wheel(folder: Path, version: str, scripts: Sequence[str] = ("tap-tiny",)) -> Path:
    """A wheel of a tap with these commands."""
    path = folder / f"tap_tiny-{version}-py3-none-any.whl"
    points = "".join(f"{name} = tap_tiny:main\n" for name in scripts)
    files = {
        "tap_tiny.py": SCRIPT,
        f"tap_tiny-{version}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: tap-tiny\nVersion: {version}\n",
        f"tap_tiny-{version}.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"tap_tiny-{version}.dist-info/entry_points.txt": f"[console_scripts]\n{points}",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
        record = "".join(f"{name},,\n" for name in archive.namelist())
        archive.writestr(f"tap_tiny-{version}.dist-info/RECORD", record)
    return path


def test_a_tap_is_installed_listed_found_and_brought_up_to_date(tmp_path: Path) -> None:
    done = command("plugins", "install-tap", str(wheel(tmp_path, "1.0")), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["installed tap-tiny 1.0", 'executable = "tap-tiny"']
    listed = json.loads(command("plugins", "--json", cwd=tmp_path).stdout)
    (tap,) = [one for one in listed if one["kind"] == "tap"]
    folder = tmp_path / ".connector-core" / "taps"
    path = folder / "tap-tiny" / "bin" / "tap-tiny"
    assert tap == {
        "kind": "tap",
        "name": "tap-tiny",
        "distribution": "tap-tiny",
        "version": "1.0",
        "entry_point": str(path),
        "error": None,
    }
    assert taps.find("tap-tiny", folder) == path
    newer = taps.install(str(wheel(tmp_path, "1.1", ["tap-tiny", "tap-tinier"])), folder)
    assert (newer.version, newer.executables) == ("1.1", ("tap-tinier", "tap-tiny"))
    assert taps.install(str(tmp_path / "tap_tiny-1.1-py3-none-any.whl"), folder) == newer
    assert taps.installed(folder) == [newer]
    with pytest.raises(ConfigError, match="brings no command"):
        taps.install(str(wheel(tmp_path, "1.2", [])), folder)


def test_what_cannot_be_installed_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(ConfigError, match=r"could not be installed.*tap-that-is-not-there"):
        taps.install("tap-that-is-not-there", tmp_path / "taps")
    assert list((tmp_path / "taps").iterdir()) == []
    with pytest.raises(ConfigError, match="is no package"):
        taps.install("--index-url=x", tmp_path / "taps")


def test_a_tap_that_is_not_there_is_named_with_what_is(tmp_path: Path) -> None:
    for name in ("tap-that-is-not-there", str(tmp_path / "tap")):
        with pytest.raises(ConfigError, match=r"installed: none .*tap_unknown"):
            taps.find(name, tmp_path)
    assert taps.find("python", tmp_path).name == "python"
