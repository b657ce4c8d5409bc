"""`${NAME}`, `${NAME:-default}`, `{ env = "NAME" }` and `{ file = "PATH" }`: values that stand elsewhere.

They are replaced in parsed values, at any depth, never in the raw text: a quote in a secret can neither break nor
extend the file. `$${` is a literal `${`. Keys are never replaced. As in a shell, the default also takes the
place of an empty variable.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from connector_core.config.problems import KeyPath, Problem

MOST_FILE_BYTES = 64 * 1024

_PLACEHOLDER = re.compile(r"\$\$\{|\$\{(?P<body>[^{}]*)(?P<end>\}?)")
_MENTION = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)|\benv[ \t]*=[ \t]*[\"']([A-Za-z_][A-Za-z0-9_]*)", re.ASCII)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


@dataclass(kw_only=True)
class Replaced:
    """A document with its placeholders replaced.

    `replaced` holds the paths of all values that had a placeholder, `origins` names the variables and files that were
    really used (not where a default was). `missing` holds the paths of values that could not be had (their text is
    ""), each with its problem.
    """

    data: Any = None
    replaced: set[KeyPath] = field(default_factory=set)
    origins: dict[KeyPath, tuple[str, ...]] = field(default_factory=dict)
    several_lines: dict[KeyPath, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    @property
    def missing(self) -> set[KeyPath]:
        """Paths of the values that could not be had."""
        return {problem.path for problem in self.problems}


def replace(data: Any, env: Mapping[str, str], folder: Path, *, drafts: Mapping[Path, str] | None = None) -> Replaced:
    """Replace every placeholder in `data`; relative files are looked for in `folder`. `drafts` are texts of files that
    are not written yet, by their full paths. Collects problems, raises nothing."""
    replaced = Replaced()
    replaced.data = _Replacement(env, folder, replaced, drafts or {}).value(data, ())
    return replaced


def _is_section(path: KeyPath) -> bool:
    """Whether a table is one of the file's own: a setting there may well be called `file`."""
    if path[:1] == ("connectors",):
        return len(path) <= 2 or path[2:] in (("config",), ("streams",)) or (path[2] == "streams" and len(path) == 4)
    return len(path) <= (2 if path[:1] == ("destinations",) else 1)


def mentioned(text: str, env: Mapping[str, str]) -> set[str]:
    """Values of all variables that a raw text may refer to: what to hide when nothing better is known."""
    names = {name for found in _MENTION.findall(text) for name in found}
    return {value for name, value in env.items() if name in names and value}


@dataclass(frozen=True)
class _Replacement:
    env: Mapping[str, str]
    folder: Path
    out: Replaced
    drafts: Mapping[Path, str]

    def value(self, value: Any, path: KeyPath) -> Any:
        if isinstance(value, str):
            return self.text(value, path) if "${" in value else value
        if isinstance(value, list):
            return [self.value(item, (*path, index)) for index, item in enumerate(value)]
        if isinstance(value, dict):
            if len(value) == 1 and not _is_section(path):
                ((kind, name),) = value.items()
                if kind in ("env", "file") and isinstance(name, str):
                    return self.variable(name, None, path) if kind == "env" else self.file(name, path)
            return {key: self.value(item, (*path, key)) for key, item in value.items()}
        return value

    def text(self, text: str, path: KeyPath) -> str:
        return _PLACEHOLDER.sub(lambda match: self.placeholder(match, path), text)

    def placeholder(self, match: re.Match[str], path: KeyPath) -> str:
        body = match["body"]
        if body is None:
            return "${"
        if not match["end"]:
            return self.problem(path, "has a ${ without its }", "write $${ for a literal ${")
        name, given, default = body.partition(":-")
        return self.variable(name, default if given else None, path)

    def variable(self, name: str, default: str | None, path: KeyPath) -> str:
        if not _NAME.fullmatch(name):
            return self.problem(
                path, "has a placeholder without a valid name", "write ${NAME} or ${NAME:-default}; $${ is a literal ${"
            )
        self.out.replaced.add(path)
        value = self.env.get(name, "")
        if not value and default is not None:
            return default
        self.out.origins[path] = (*self.out.origins.get(path, ()), name)
        if not value:
            state = "is empty" if name in self.env else "is not set"
            return self.problem(
                path, f"needs the environment variable {name}, which {state}", f"set it: export {name}=..."
            )
        if "\n" in value or "\r" in value:
            self.out.several_lines[path] = name
        return value

    def file(self, name: str, path: KeyPath) -> str:
        """The file's text without its last line end."""
        self.out.origins[path] = (*self.out.origins.get(path, ()), name)
        try:
            path_of_file = self.folder / name
            text = self.drafts[path_of_file] if path_of_file in self.drafts else _read(path_of_file)
        except (OSError, ValueError) as error:
            reason = error.strerror or "it cannot be read" if isinstance(error, OSError) else str(error)
            return self.problem(
                path, f"needs the file {name!r}: {reason}", "a relative path starts at this file's folder"
            )
        return text if text else self.problem(path, f"needs the file {name!r}, which is empty", "")

    def problem(self, path: KeyPath, message: str, hint: str) -> str:
        self.out.problems.append(Problem(path=path, message=message, hint=hint))
        return ""


def _read(path: Path) -> str:
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise ValueError("it is not a regular file")
    with os.fdopen(handle, "rb") as file:
        raw = file.read(MOST_FILE_BYTES + 1)
    if len(raw) > MOST_FILE_BYTES:
        raise ValueError("it is longer than 64 KiB")
    try:
        return raw.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
