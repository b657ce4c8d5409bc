"""Each promise has a test: those that docs/promises.md names exist, and all proofs of crashes and faults are named."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.docs.blocks import ROOT

PROMISES = ROOT / "docs" / "promises.md"
ROW = re.compile(r"^\| (.+?) \| (.+?) \| (.+) \|$", re.MULTILINE)
NAMED = re.compile(r"`((?:tests|connector_core/testing)/[\w/]+\.py)::(\w+)`")


def rows() -> list[tuple[str, str, str]]:
    """Promise, how it is kept, tests: the rows of all tables without their headers."""
    return [row for row in ROW.findall(PROMISES.read_text()) if row[0] not in ("Promise", "---")]


def defined_in(path: Path) -> set[str]:
    """The names of the test functions that a file defines."""
    if not path.is_file():
        return set()
    found = ast.walk(ast.parse(path.read_text()))
    return {one.name for one in found if isinstance(one, ast.FunctionDef) and one.name.startswith("test_")}


def test_every_promise_says_how_it_is_kept_and_names_a_test() -> None:
    assert len(rows()) > 40
    assert [promise for promise, how, tests in rows() if not how.strip() or not NAMED.search(tests)] == []


def test_every_named_test_exists() -> None:
    named = NAMED.findall(PROMISES.read_text())
    assert [f"{file}::{name}" for file, name in named if name not in defined_in(ROOT / file)] == []


def test_nothing_that_looks_like_a_test_escapes_the_check() -> None:
    text = PROMISES.read_text()
    assert text.count("::") == len(NAMED.findall(text))


def test_every_proof_of_crashes_and_faults_is_named() -> None:
    named = {file for file, _ in NAMED.findall(PROMISES.read_text())}
    proofs = {
        str(path.relative_to(ROOT))
        for folder in ("crash", "faults")
        for path in ROOT.glob(f"tests/{folder}/**/test_*.py")
    }
    assert proofs
    assert proofs - named == set()
