"""Reads in the source which errors are raised with which code; docs/errors.md and its test are made from that."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from connector_core import errors

ROOT = Path(__file__).resolve().parents[1]
KINDS = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, errors.ConnectorError)
}
GENERAL = {"config", "source", "retry", "activation", "destination"}
"""Codes of base classes: too general for our own errors, every raise names a better one."""


def sources() -> Iterator[Path]:
    """The modules of the engine and of its own plugins that users run, without what tests them."""
    for root in (ROOT / "connector_core", *ROOT.glob("plugins/*/src"), *ROOT.glob("destinations/*/src")):
        for path in sorted(root.rglob("*.py")):
            if not {"sandbox", "testing"} & set(path.relative_to(root).parts):
                yield path


def raised() -> dict[str, set[int]]:
    """The exit codes of the errors that are raised with each code; a code made of a status is `http_*`."""
    found: dict[str, set[int]] = {"internal": {6}}
    for path in sources():
        for code, exit_code in _of(path):
            found.setdefault(code, set()).add(exit_code)
    return found


def _of(path: Path) -> Iterator[tuple[str, int]]:
    tree = ast.parse(path.read_text())
    tables = {
        value.value: None
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and any(isinstance(one, ast.Name) and one.id == "CODES" for one in node.targets)
        for value in (node.value.values if isinstance(node.value, ast.Dict) else [])
        if isinstance(value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.name == "InvalidConfigError":
            yield "config_invalid", 2
        if not isinstance(node, ast.Call):
            continue
        name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        given = next((word.value for word in node.keywords if word.arg == "code"), None)
        kind = KINDS.get(name)
        if name == "InvalidConfigError":
            yield from ((code, 2) for code in _texts(given))
        elif kind is not None:
            codes = _texts(given) if given is not None else [kind.code]
            more = list(tables) if isinstance(given, ast.Call) else []
            yield from ((code, kind.exit_code) for code in (*codes, *more))
        elif name.startswith("_stuck"):
            yield from ((code, errors.SourceError.exit_code) for code in _texts(given))


def _texts(node: ast.expr | None) -> list[str]:
    """The codes that an expression may give; nothing for one that hands on another error's."""
    if isinstance(node, ast.JoinedStr):
        return [f"{node.values[0].value}*"] if isinstance(node.values[0], ast.Constant) else []
    if isinstance(node, ast.IfExp):
        return [*_texts(node.body), *_texts(node.orelse)]
    if isinstance(node, ast.Call):  # CODES.get(state, "database")
        return [text for argument in node.args for text in _texts(argument)]
    return [node.value] if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value else []
