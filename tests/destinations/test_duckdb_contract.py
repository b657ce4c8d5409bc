"""Every promise of a destination, kept by DuckDB."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connector_core.testing import DestinationContract, SqlReader, UserChangesContract
from connector_duckdb import destination
from tests.support.loads import duck_reader
from tests.support.memory import folder_in_memory


class TestDuckDb(DestinationContract, UserChangesContract):
    preload = ("duckdb",)

    @pytest.fixture
    def destination(self) -> Any:
        return destination

    @pytest.fixture
    def config(self, tmp_path: Path) -> Iterator[dict[str, Any]]:
        with folder_in_memory(tmp_path) as folder:
            yield {"path": str(folder / "w.duckdb")}

    @pytest.fixture
    def reader(self, config: dict[str, Any]) -> SqlReader:
        return duck_reader(Path(config["path"]))
