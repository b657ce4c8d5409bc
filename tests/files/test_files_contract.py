"""Every promise of a source, kept by the file source."""

from __future__ import annotations

import gzip
import time
from pathlib import Path
from typing import Any

import pytest

from connector_core.testing import LocalSourceContract
from connector_files import source


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of both formats, plain and packed; one of them has more than a page."""
    folder = tmp_path_factory.mktemp("exports")
    long = "".join(f"{number},{'x' * 1000}\n" for number in range(10, 1_500))
    contents = {
        "orders-1.csv": b"id,note\n1,one\n2,two\n",
        "orders-2.csv.gz": gzip.compress(f"id,note\n{long}".encode()),
        "orders-3.ndjson": b'{"id": 3, "tags": ["a"], "amount": 0.1}\n',
        "countries.ndjson": b'{"code": "is"}\n{"code": "no", "of": {"x": 12345678901234567890.5}}\n',
        "lines.csv": b"n\n7\n7\n",
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
        time.sleep(0.002)  # each file has a change time of its own
    return folder


class TestFiles(LocalSourceContract):
    @pytest.fixture
    def source(self) -> Any:
        return source

    @pytest.fixture
    def config(self, exports: Path) -> dict[str, Any]:
        return {
            "folder": str(exports),
            "streams": {
                "orders": {"files": ["orders*"], "primary_key": ["id"]},
                "lines": {"files": ["lines.csv"]},
                "countries": {"files": ["countries*"], "primary_key": ["code"], "replication": "full_table"},
                "all_lines": {"files": ["lines.csv"], "replication": "full_table"},
            },
        }
