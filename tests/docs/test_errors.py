"""docs/errors.md lists every code that is raised, and none that is not."""

from __future__ import annotations

import re

from connector_core.error_codes import CODES
from docs.raised import GENERAL, KINDS, raised
from tests.docs.blocks import ROOT, blocks

TEXT = (ROOT / "docs" / "errors.md").read_text()


def test_every_code_that_is_raised_is_listed_and_every_listed_one_is_raised() -> None:
    found = raised()
    assert set(found) - set(CODES) == set(), "add them to connector_core/error_codes.py"
    assert set(CODES) - set(found) == set(), "nobody raises them any more"


def test_the_document_has_a_row_for_every_code_with_its_exit_code() -> None:
    rows = dict(re.findall(r"^\| `([\w*]+)` \| ([\d, ]+) \| ", TEXT, re.MULTILINE))
    assert rows.keys() == CODES.keys()
    assert {code: set(map(int, exits.split(", "))) for code, exits in rows.items()} == raised()


def test_our_own_errors_never_have_the_code_of_a_base_class() -> None:
    assert {kind.code for kind in KINDS.values()} > GENERAL
    assert GENERAL & set(raised()) == set()


def test_the_example_ends_with_a_code_that_exists() -> None:
    (example,) = blocks(ROOT / "docs" / "errors.md", "text")
    found = re.search(r"captured/\S+-(\w+)\.txt\).*\[(\w+)\]$", example.text.strip())
    assert found
    assert found[1] == found[2]
    assert found[2] in CODES
