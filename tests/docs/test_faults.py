"""The table of faults is complete, and no test carries a number that it does not have."""

from __future__ import annotations

import re

from docs import faults
from tests.docs.blocks import ROOT

ROWS = re.findall(
    r"^\| ([A-H]\d+) \| (.+) \| (.+) \| (.+) \|$", (ROOT / "docs" / "faults.md").read_text(), re.MULTILINE
)
CARRIED = faults.tests_by_number()
NUMBERS = [number for group in faults.catalogue().values() for number in group.faults]


def test_each_fault_has_its_row_and_its_place_in_the_order() -> None:
    assert len(NUMBERS) == 173
    assert [row[0] for row in ROWS] == NUMBERS
    for letter, group in faults.catalogue().items():
        assert list(group.faults) == [f"{letter}{number}" for number in range(1, len(group.faults) + 1)]


def test_no_test_carries_a_number_that_does_not_exist() -> None:
    assert {number: found for number, found in CARRIED.items() if number not in NUMBERS} == {}


def test_a_row_names_the_tests_that_carry_its_number_and_nothing_else() -> None:
    for number, _, _, proofs in ROWS:
        named = [(file, name) for name, file in re.findall(r"\[`(\w+)`\]\(\.\./([\w/.]+)\)", proofs)]
        carried = [(str(path), name) for path, name in CARRIED.get(number, ())]
        assert named == carried, number
        assert bool(named) != (proofs == "no test yet"), number


def test_numbers_are_read_from_the_beginning_of_a_name() -> None:
    assert faults.numbers("test_a3_a5_to_a7_b1_words_c1") == ["A3", "A5", "A6", "A7", "B1"]
    assert faults.numbers("test_a2_429_of_a_source") == ["A2"]
    assert faults.numbers("test_words_a1") == []
    assert faults.numbers("test_to_a1") == []


def test_numbers_are_read_from_the_cases_of_a_parametrized_test() -> None:
    tests = {name for _, name in CARRIED["A6"]}
    assert {"test_a6_statuses_that_may_pass", "test_a_fault_that_passes_ends_complete"} <= tests
