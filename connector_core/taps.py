"""Singer taps, each in a virtual environment of its own: installing them, listing them, finding their executables.

Taps pin the versions of their dependencies, often old ones, so that they cannot share an environment with each other or
with the engine.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import Distribution, DistributionFinder, MetadataPathFinder
from pathlib import Path
from typing import Final

from connector_core.errors import ConfigError

FOLDER: Final = Path(".connector-core") / "taps"
"""Where they lie, beside connectors.toml."""
_NOTE: Final = "tap.json"
_MISLEADING: Final = ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER", "PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV")
"""Variables that would have something installed elsewhere than into the tap's environment."""


@dataclass(frozen=True, kw_only=True)
class InstalledTap:
    """A tap in an environment of its own. `package` is what was asked for, `folder` the environment, `executables` the
    names of the commands that it brings."""

    package: str
    distribution: str
    version: str
    folder: Path
    executables: tuple[str, ...]

    def path(self, executable: str) -> Path:
        """Where one of its commands lies."""
        return _bin(self.folder) / executable


def install(package: str, folder: Path, *, say: Callable[[str], None] = lambda line: None) -> InstalledTap:
    """Install `package`, anything that pip takes, into an environment below `folder`; one of that name is brought up to
    date. `say` is told what happens.

    Raises `ConfigError` when that fails, with the end of what pip said; a first try then leaves nothing behind.
    """
    home = folder.absolute() / _slug(package)
    new = not (home / _NOTE).exists()
    if new:
        shutil.rmtree(home, ignore_errors=True)
    try:
        if new:
            say(f"making {home}")
            home.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _run([sys.executable, "-m", "venv", str(home)], package)
        say(f"installing {package}")
        pip = [str(_python(home)), "-m", "pip", "--disable-pip-version-check", "--no-input", "install"]
        report = home / "report.json"
        _run([*pip, "--quiet", "--upgrade", "--report", str(report), "--", package], package)
        tap = _described(package, home, report)
    except BaseException:
        if new:
            shutil.rmtree(home, ignore_errors=True)
        raise
    note = {**asdict(tap), "folder": home.name}
    (home / _NOTE).write_text(json.dumps(note), encoding="utf-8")
    return tap


def installed(folder: Path) -> list[InstalledTap]:
    """The taps below `folder`, by name."""
    found = []
    for note in sorted(folder.glob(f"*/{_NOTE}")):
        told = json.loads(note.read_text(encoding="utf-8"))
        found.append(InstalledTap(**{**told, "folder": note.parent, "executables": tuple(told["executables"])}))
    return found


def find(executable: str, folder: Path) -> Path:
    """The file of a tap: a full path, else a command of an installed tap, beside the running Python, or on PATH.

    Raises `ConfigError` when there is none.
    """
    if "/" in executable or os.sep in executable:
        path = Path(executable).expanduser()
        if path.is_file():
            return path
        raise _not_found(executable, "there is no file of this name", folder)
    for tap in installed(folder):
        if executable in tap.executables:
            return tap.path(executable)
    beside = shutil.which(executable, path=str(Path(sys.executable).parent))
    if (found := beside or shutil.which(executable)) is None:
        raise _not_found(executable, "no tap that is installed has it, and it is not on PATH", folder)
    return Path(found)


def _not_found(executable: str, why: str, folder: Path) -> ConfigError:
    names = ", ".join(name for tap in installed(folder) for name in tap.executables)
    return ConfigError(
        f"the tap {executable!r} is not there: {why}",
        hint=f"connector-core plugins install-tap PACKAGE installs one; installed: {names or 'none'}",
        code="tap_unknown",
    )


def _slug(package: str) -> str:
    """A folder's name for a requirement, a path or an address: the part that names the package."""
    name = re.split(r"[\[<>=!~;@ ]", package.strip().rstrip("/"), maxsplit=1)[0] or package
    tail = re.split(r"[/\\]", name.rstrip("/"))[-1]
    tail = tail.partition("-")[0] if tail.endswith(".whl") else re.sub(r"\.(git|zip|tar\.gz)$", "", tail)
    slug = re.sub(r"[^a-z0-9]+", "-", tail.lower()).strip("-")
    if not slug or package.startswith("-"):
        raise ConfigError(f"{package!r} is no package", hint="name it as for pip install", code="tap_install")
    return slug


def _described(package: str, home: Path, report: Path) -> InstalledTap:
    """What was installed, by pip's own report; when everything was there already it reports nothing new."""
    done = json.loads(report.read_text(encoding="utf-8"))["install"]
    report.unlink()
    asked = next((one["metadata"] for one in done if one.get("requested")), None)
    if asked is None:
        told = json.loads((home / _NOTE).read_text(encoding="utf-8"))
        name = told["distribution"]
    else:
        name = asked["name"]
    distribution = _distribution(home, name)
    commands = sorted(point.name for point in distribution.entry_points if point.group == "console_scripts")
    commands = [name for name in commands if (_bin(home) / name).exists()]
    if not commands:
        raise ConfigError(f"{name} brings no command, so it is no tap", hint="name another package", code="tap_install")
    return InstalledTap(
        package=package,
        distribution=name,
        version=distribution.version,
        folder=home,
        executables=tuple(commands),
    )


def _distribution(home: Path, name: str) -> Distribution:
    places = [str(path) for path in (*home.glob("lib/*/site-packages"), home / "Lib" / "site-packages")]
    context = DistributionFinder.Context(name=name, path=places)
    return next(iter(MetadataPathFinder.find_distributions(context)))


def _run(command: list[str], package: str) -> None:
    env = {name: value for name, value in os.environ.items() if name not in _MISLEADING}
    done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        said = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        wrong = [line for line in said if line.startswith("ERROR")] or said
        raise ConfigError(
            f"{package} could not be installed: {' '.join(wrong[-2:]) or 'pip said nothing'}",
            hint="try it by hand with pip in an environment of its own; old taps need an old Python",
            code="tap_install",
        )


def _bin(home: Path) -> Path:
    return home / ("Scripts" if os.name == "nt" else "bin")


def _python(home: Path) -> Path:
    return _bin(home) / ("python.exe" if os.name == "nt" else "python")
