"""New packages for plugins, from the templates in this folder: `connector-core new` writes them.

A template is a text file whose words in double braces, such as `{{name}}`, are filled in. Lines that hold such words
are short, so that what is written is formatted whatever the name is.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from connector_core import __version__
from connector_core.errors import ConfigError

Kind = Literal["source", "destination", "extension"]

TEMPLATES = Path(__file__).parent
LONGEST = 30
"""Characters of a name; templates have room for so many."""

FILES: Mapping[str, str] = {
    "pyproject.toml": "pyproject.toml",
    "readme.md": "README.md",
    "package.py": "src/{{package}}/__init__.py",
    "conftest.py": "tests/conftest.py",
    "test_plugin.py": "tests/test_{{name}}.py",
}
"""Where each template goes. Besides there is an empty `py.typed`, and a `.gitignore`."""

OWN: Mapping[Kind, Mapping[str, str]] = {
    "source": {
        "role": " as a source of connector-core",
        "more": "",
        "extras": "duckdb,testing",
        "leads": ":source",
    },
    "destination": {
        "role": " as a destination of connector-core",
        "more": ', "SQLAlchemy>=2.0.44"',
        "extras": "desk,testing",
        "leads": ":destination",
    },
    "extension": {
        "role": ", an extension of connector-core",
        "more": "",
        "extras": "desk,duckdb,testing",
        "leads": "",
    },
}
"""Words that each kind has of its own: what it is, what it needs, with which extras it is tested, and to which object
of its module the entry point leads."""


@dataclass(frozen=True, kw_only=True)
class Package:
    """A package that was written: its names, its folder, and its files relative to that."""

    kind: Kind
    name: str
    distribution: str
    package: str
    folder: Path
    files: tuple[str, ...]


def make(kind: Kind, name: str, folder: Path, *, taken: Mapping[str, str]) -> Package:
    """Write the package of a plugin into `folder`/connector-NAME, as a whole or not at all.

    `taken` are the names that cannot be had, each with the distribution that has it. Raises `ConfigError` for a name
    that cannot be one, for one that is taken, and where the package's folder exists or cannot be written.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name) or len(name) > LONGEST:
        raise _refused(
            f"{name!r} cannot be the name of a plugin",
            f"at most {LONGEST} lower-case letters, digits and single underscores, a letter first",
        )
    if name in taken:
        raise _refused(f"the name {name!r} is taken by {taken[name]}", "choose another one")
    words = {
        "name": name,
        "distribution": f"connector-{name.replace('_', '-')}",
        "package": f"connector_{name}",
        "title": name.replace("_", " ").capitalize(),
        "variable": name.upper(),
        "core": ".".join(__version__.split(".")[:2]),
        "kind": kind,
        **OWN[kind],
    }
    target = folder / words["distribution"]
    if target.is_symlink() or target.exists():
        raise _refused(f"{target} exists already", "choose another name or another --folder")
    if not folder.is_dir():
        raise _refused(f"there is no folder {folder}", "make it, or give another --folder")
    texts = {_filled(to, words): _filled(_template(kind, from_), words) for from_, to in FILES.items()}
    texts |= {f"src/{words['package']}/py.typed": "", ".gitignore": "__pycache__/\n/dist/\n/.venv/\n*.duckdb\n"}
    try:
        _write(target, texts)
    except OSError as error:
        raise _refused(f"{target} cannot be written: {error.strerror}", "look at its rights and at the disk") from error
    return Package(
        kind=kind,
        name=name,
        distribution=words["distribution"],
        package=words["package"],
        folder=target,
        files=tuple(sorted(texts)),
    )


def _refused(what: str, hint: str) -> ConfigError:
    return ConfigError(what, hint=hint, code="new_package")


def _template(kind: Kind, name: str) -> str:
    """A template of this kind, or the one that all kinds share."""
    own, shared = TEMPLATES / kind / f"{name}.txt", TEMPLATES / f"{name}.txt"
    return (own if own.exists() else shared).read_text(encoding="utf-8")


def _filled(text: str, words: Mapping[str, str]) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda found: words[found[1]], text)


def _write(target: Path, texts: Mapping[str, str]) -> None:
    draft = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        draft.chmod(0o755)
        for name, text in texts.items():
            path = draft / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
        draft.rename(target)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
