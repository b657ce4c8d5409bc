"""The contract of sources finds what it is for: each of its tests goes red for a source with a defect, and for none
without."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from connector_core.testing import SourceContract
from tests.support import sabotaged_sources
from tests.support.source_saboteurs import SABOTEURS

CONTRACT = {name for name in dir(SourceContract) if name.startswith("test_")}


def meant(part: str) -> str:
    """The test whose name holds these words."""
    (name,) = [name for name in CONTRACT if part in name]
    return name


PAIRS = [(name, meant(part)) for name, (_, part) in SABOTEURS.items()]


class Outcomes:
    """A plugin of pytest that keeps at which stages a test failed."""

    def __init__(self) -> None:
        self.red: dict[tuple[str, str], set[str]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        _, kind, test = report.nodeid.split("::")
        stages = self.red.setdefault((kind.removeprefix("Test_"), test.partition("[")[0]), set())
        if report.failed:
            stages.add(str(report.when))


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Mapping[tuple[str, str], set[str]]:
    """One run of pytest over all pairs, and the whole contract for the source without a defect, in this process."""
    kept = Outcomes()
    file = Path(sabotaged_sources.__file__)
    chosen = [f"{file}::Test_honest", *(f"{file}::Test_{saboteur}::{test}" for saboteur, test in PAIRS)]
    base = tmp_path_factory.mktemp("red")
    quiet = ["-q", "--no-header", "--tb=no", "-p", "no:cacheprovider", "-p", "no:randomly", f"--basetemp={base}/inner"]
    pytest.main([*quiet, *chosen], plugins=[kept])
    return kept.red


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("saboteur", "test"), PAIRS)
def test_a_defect_turns_the_contract_of_sources_red(
    outcomes: Mapping[tuple[str, str], set[str]], saboteur: str, test: str
) -> None:
    assert outcomes[saboteur, test] & {"call"}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("test", sorted(CONTRACT))
def test_a_source_without_a_defect_keeps_it(outcomes: Mapping[tuple[str, str], set[str]], test: str) -> None:
    assert outcomes["honest", test] == set()


def test_every_test_of_the_contract_of_sources_was_seen_red() -> None:
    assert CONTRACT - {test for _, test in PAIRS} == set()
