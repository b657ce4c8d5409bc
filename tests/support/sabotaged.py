"""The contract of destinations for each saboteur of the DuckDB destination; `test_contract_goes_red` runs it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from connector_core.testing import DestinationContract, SqlReader, UserChangesContract
from tests.support.loads import duck_reader
from tests.support.memory import folder_in_memory
from tests.support.saboteurs import SABOTEURS, Saboteur


class Sabotaged(DestinationContract, UserChangesContract):
    """The contract for one saboteur."""

    preload = ("duckdb",)
    saboteur: Saboteur

    @pytest.fixture
    def destination(self) -> Any:
        return self.saboteur

    @pytest.fixture
    def config(self, tmp_path: Path) -> Iterator[Mapping[str, Any]]:
        with folder_in_memory(tmp_path) as folder:
            yield {"path": str(folder / "w.duckdb")}

    @pytest.fixture
    def reader(self, config: Mapping[str, Any]) -> SqlReader:
        return duck_reader(Path(config["path"]))


for _name, (_saboteur, _) in SABOTEURS.items():
    globals()[f"Test_{_name}"] = type(f"Test_{_name}", (Sabotaged,), {"saboteur": _saboteur})
