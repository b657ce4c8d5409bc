"""What is wrong in a configuration file: all of it at once, each with key, line and what to do."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from connector_core.errors import ConfigError, Place

KeyPath = tuple[str | int, ...]
"""Keys from the top of the file down to a value; an int is an index of an array."""

MOST_SHOWN = 20

_BARE = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing to mend: where, what is wrong, what to do about it. Never holds a value of the file or the
    environment."""

    path: KeyPath
    message: str
    hint: str = ""
    line: int | None = None


class InvalidConfigError(ConfigError):
    """The configuration file cannot be used; `problems` lists everything that was found, in the order of the file."""

    code = "config_invalid"

    def __init__(self, file: Path | str, problems: Iterable[Problem], *, code: str = "") -> None:
        self.problems = tuple(sorted(problems, key=lambda p: p.line or 0))
        self.file = str(file)
        first = self.problems[0]
        super().__init__(
            first.message,
            hint=first.hint,
            place=Place(file=self.file, line=first.line, path=spelled(first.path) or None),
            code=code,
        )

    def lines(self) -> list[str]:
        """One line of text per problem, at most 20, then how many more there are."""
        shown = [self._line(problem) for problem in self.problems[:MOST_SHOWN]]
        more = len(self.problems) - len(shown)
        return [*shown, f"{self.file}: {more} more problems of this kind"] if more else shown

    def _line(self, problem: Problem) -> str:
        where = self.file + (f":{problem.line}" if problem.line else "")
        key = spelled(problem.path)
        told = f"{problem.message}{f' - {problem.hint}' if problem.hint else ''}"
        return f"{where}: {f'{key}: ' if key else ''}{told}"

    def __str__(self) -> str:
        return "\n".join(self.lines())


def spelled(path: KeyPath) -> str:
    """A key path as TOML writes it: `connectors.stitch_desk.config.key`; parts that are not bare keys are quoted."""
    parts = [f"[{part}]" if isinstance(part, int) else _key(part) for part in path]
    return ".".join(parts).replace(".[", "[")


def _key(part: str) -> str:
    short = part if len(part) <= 60 else part[:57] + "..."
    return short if _BARE.fullmatch(short) else json.dumps(short)


def did_you_mean(wrong: str, known: Sequence[str], otherwise: str = "") -> str:
    """A hint that names the nearest of the `known` words, or else all of them."""
    near = difflib.get_close_matches(wrong[:80], known, n=1, cutoff=0.6)
    if near:
        return f'did you mean "{near[0]}"?'
    return otherwise or (f"known here: {', '.join(known)}" if known else "nothing is allowed here")
