"""The page on writing a destination: its test file is one, and the promises it lists are tested."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.blocks import ROOT, block

PAGE = ROOT / "docs" / "testing-destinations.md"
CHOSEN = "sub_rows_shrink or test_d1_a_kill_at_any_instant_of_a_first_claim or dropped_subtable"


def test_the_test_file_of_a_destination_runs(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_contract=block(PAGE, "python", "DestinationContract"))
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "-k", CHOSEN)
    result.assert_outcomes(passed=3, deselected=result.parseoutcomes()["deselected"])


def test_without_fixtures_the_contract_says_what_is_missing(pytester: pytest.Pytester) -> None:
    text = "from connector_core.testing import DestinationContract\n\nclass TestMine(DestinationContract):\n    pass\n"
    pytester.makepyfile(test_contract=text)
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "-k", "sub_rows_shrink")
    result.assert_outcomes(errors=1, deselected=result.parseoutcomes()["deselected"])
    result.stdout.fnmatch_lines(["*TestMine needs a fixture `destination`*"])


def test_steps_are_announced_as_the_page_shows(tmp_path: Path) -> None:
    from connector_core.testing.instants import listening

    names: dict[str, object] = {}
    exec(block(PAGE, "python", "write_rows"), names)  # noqa: S102 - what the page tells an author to write
    heard: list[str] = []
    with (tmp_path / "rows").open("w") as file, listening(heard.append):
        names["write_rows"](["a\n", "b\n"], file)  # type: ignore[operator]
    assert heard == ["load.insert.before", "load.insert.after"]
    assert (tmp_path / "rows").read_text() == "a\nb\n"
