"""Wheels of all our distributions, and an environment that holds nothing of ours before they are installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
_PATTERNS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["uv"]["workspace"]["members"]
SIBLINGS = [path.parent for pattern in _PATTERNS for path in sorted(ROOT.glob(f"{pattern}/pyproject.toml"))]
MEMBERS = [ROOT, *SIBLINGS]
"""The folders of our distributions, the core's first."""


def project(member: Path) -> dict[str, Any]:
    """What a distribution declares about itself."""
    declared: dict[str, Any] = tomllib.loads((member / "pyproject.toml").read_text())["project"]
    return declared


def name_of(member: Path) -> str:
    """A distribution's name."""
    return str(project(member)["name"])


def build(folder: Path) -> dict[str, Path]:
    """A wheel of each of our distributions in `folder`/wheels, by name, built from a copy of the tracked files."""
    clone, out = folder / "clone", folder / "wheels"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in listed.split("\0"):
        if name and (ROOT / name).is_file():
            target = clone / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)
    built = {name_of(member): wheel(clone / member.relative_to(ROOT), out) for member in MEMBERS}
    shutil.rmtree(clone)  # the sandbox's published credentials are among its files
    return built


def wheel(package: Path, out: Path) -> Path:
    """The wheel of a package, in the folder `out`, built without network and without isolation."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)]
    result = subprocess.run(command, cwd=package, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    (built,) = out.glob(f"{name_of(package).replace('-', '_')}-*.whl")
    return built


@dataclass(frozen=True, kw_only=True)
class Environment:
    """A virtual environment, where pip finds wheels instead of an index, and where temporary
    files go."""

    folder: Path
    wheels: Path
    temporary: Path

    def run(
        self, words: list[str], cwd: Path, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """What a user types with this environment activated; `python` and `connector-core` are its own."""
        own = self.folder / "bin" / words[0]
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHON"))}
        own_files = {"TMPDIR": str(self.temporary), "MYPY_CACHE_DIR": str(self.folder.parent / "mypy")}
        pip = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.wheels), "PIP_NO_BUILD_ISOLATION": "0"}
        path = os.pathsep.join([str(self.folder / "bin"), sysconfig.get_path("scripts"), os.environ["PATH"]])
        return subprocess.run(
            [str(own) if own.exists() else words[0], *words[1:]],
            cwd=cwd,
            env={**inherited, **pip, **own_files, "PATH": path, "COLUMNS": "200", **(env or {})},
            capture_output=True,
            text=True,
        )


def empty_environment(folder: Path, wheels: Path, *, temporary: Path) -> Environment:
    """A virtual environment that has other people's packages as they are installed here (there is no network), and none
    of ours."""
    venv.create(folder / "venv", with_pip=False, symlinks=True)
    others = folder / "others"
    others.mkdir()
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        if not path.name.startswith(("connector_", "_connector_", "_virtualenv")) and path.suffix != ".pth":
            (others / path.name).symlink_to(path)
    (site,) = (folder / "venv" / "lib").glob("python*/site-packages")
    (site / "others.pth").write_text(f"{others}\n")
    return Environment(folder=folder / "venv", wheels=wheels, temporary=temporary)
