"""Writes the tables of docs/faults.md: each fault of faults.toml, its outcome, and the tests that carry its number."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from docs.parts import table

ROOT = Path(__file__).resolve().parent.parent
PLACES = ("tests", "connector_core/testing")
"""Where tests are: ours, and the contracts that plugins run."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """Faults of one kind; `faults` holds fault and outcome by number."""

    title: str
    faults: Mapping[str, tuple[str, str]]


def catalogue() -> Mapping[str, Group]:
    """The groups of faults.toml by their letter."""
    groups = tomllib.loads((ROOT / "docs" / "faults.toml").read_text())
    return {
        letter: Group(title=group.pop("title"), faults={number: (told[0], told[1]) for number, told in group.items()})
        for letter, group in groups.items()
    }


def numbers(name: str) -> list[str]:
    """The numbers that a test's name begins with: `test_a3_a5_to_a7_words` is about A3, A5, A6 and A7."""
    found: list[str] = []
    words = name.split("_")[1:]
    for word, before in zip(words, ["", *words], strict=False):
        if re.fullmatch(r"[a-h][0-9]+", word):
            first = int(found[-1][1:]) + 1 if before == "to" else int(word[1:])
            found += [f"{word[0].upper()}{number}" for number in range(first, int(word[1:]) + 1)]
        elif word != "to" or not found:
            break
    return found


def tests_by_number() -> Mapping[str, list[tuple[Path, str]]]:
    """File and name of the tests of each number, in order; a number stands in the name of a test, or begins the name
    of a case (`"A6 a burst of 500"`) of the module's table that the test is parametrized with."""
    found: dict[str, set[tuple[Path, str]]] = {}
    for place in PLACES:
        for path in (ROOT / place).rglob("*.py"):
            module = ast.parse(path.read_text())
            tables = _tables(module)
            for node in ast.walk(module):
                if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                    named = [one.id for decorator in node.decorator_list for one in _arguments(decorator)]
                    for number in [*numbers(node.name), *(n for name in named for n in tables.get(name, ()))]:
                        found.setdefault(number, set()).add((path.relative_to(ROOT), node.name))
    return {number: sorted(tests) for number, tests in found.items()}


def _tables(module: ast.Module) -> Mapping[str, set[str]]:
    """The numbers with which keys of the module's dictionaries begin, by the dictionary's name."""
    found = {}
    for node in module.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict) and isinstance(node.targets[0], ast.Name):
            keys = [str(key.value) for key in node.value.keys if isinstance(key, ast.Constant)]
            found[node.targets[0].id] = {one[0] for key in keys if (one := re.match(r"[A-H][0-9]+(?= )", key))}
    return found


def _arguments(decorator: ast.expr) -> list[ast.Name]:
    return [one for one in decorator.args if isinstance(one, ast.Name)] if isinstance(decorator, ast.Call) else []


def groups() -> str:
    """A heading and a table for each group."""
    by_number = tests_by_number()
    parts = []
    for letter, group in catalogue().items():
        rows = [
            [number, fault, outcome, _proofs(by_number.get(number, ()))]
            for number, (fault, outcome) in group.faults.items()
        ]
        parts.append(f"## {letter}: {group.title}\n\n{table(['', 'Fault', 'Outcome', 'Test'], rows)}")
    return "\n".join(parts)


def _proofs(found: Iterable[tuple[Path, str]]) -> str:
    return ", ".join(f"[`{name}`](../{path.as_posix()})" for path, name in found) or "no test yet"
