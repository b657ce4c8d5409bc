"""The contract of destinations finds what it is for: each of its tests goes red for a destination with a defect."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from connector_core.testing import DestinationContract, UserChangesContract
from tests.support import sabotaged
from tests.support.saboteurs import SABOTEURS

CONTRACT = {name for kind in (DestinationContract, UserChangesContract) for name in dir(kind) if name[:5] == "test_"}


def meant(parts: str | tuple[str, ...]) -> list[str]:
    """The tests whose names hold these words, one for each."""
    found = []
    for part in (parts,) if isinstance(parts, str) else parts:
        (name,) = [name for name in CONTRACT if part in name]
        found.append(name)
    return found


PAIRS = [(name, test) for name, (_, parts) in SABOTEURS.items() for test in meant(parts)]


class Outcomes:
    """A plugin of pytest that keeps how each test ended, and at which stage."""

    def __init__(self) -> None:
        self.red: dict[tuple[str, str], set[str]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        _, kind, test = report.nodeid.split("::")
        stages = self.red.setdefault((kind.removeprefix("Test_"), test.partition("[")[0]), set())
        if report.failed:
            stages.add(str(report.when))


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Mapping[tuple[str, str], set[str]]:
    """One run of pytest over all pairs, in this process."""
    kept = Outcomes()
    file = Path(sabotaged.__file__)
    chosen = [f"{file}::Test_{saboteur}::{test}" for saboteur, test in PAIRS]
    base = tmp_path_factory.mktemp("red")
    quiet = ["-q", "--no-header", "--tb=no", "-p", "no:cacheprovider", "-p", "no:randomly", f"--basetemp={base}/inner"]
    pytest.main([*quiet, *chosen], plugins=[kept])
    return kept.red


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("saboteur", "test"), PAIRS)
def test_a_defect_turns_the_contract_red(
    outcomes: Mapping[tuple[str, str], set[str]], saboteur: str, test: str
) -> None:
    assert outcomes[saboteur, test] & {"call"}


def test_every_test_of_the_contract_was_seen_red() -> None:
    assert CONTRACT - {test for _, test in PAIRS} == set()
