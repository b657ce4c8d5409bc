"""Real taps from the package index, and what they once wrote: two made with the Singer SDK, one with singer-python."""

from __future__ import annotations

import json
import struct
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from connector_core import taps
from connector_core.testing.faults import Request
from connector_core.testing.json_api import JsonApi
from tests.support.engine import Shop, fates
from tests.support.taps import Tapped

RECORDED = Path(__file__).with_name("recorded")
TOML = """
[destinations.warehouse]
type = "duckdb"
path = "warehouse.duckdb"

[connectors.shop]
source = "singer"
destination = "warehouse"
[connectors.shop.config]
executable = "{executable}"
taps = "{taps}"
[connectors.shop.config.streams.{stream}]
{choice}
[connectors.shop.config.tap]
{settings}
"""


class Real(Shop):
    """A project with a real tap."""

    def __init__(self, folder: Path, **given: Any) -> None:
        self.given = {"choice": "", **given}
        super().__init__(folder, {})

    def write(self, settings: str) -> None:
        """Write connectors.toml."""
        path = self.folder / "connectors.toml"
        path.write_text(TOML.format(**self.given))
        path.chmod(0o600)
        self._config = None


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the installed taps. Those of one SDK share an environment here, which spares a minute."""
    folder = tmp_path_factory.mktemp("real") / "taps"

    def with_sdk() -> tuple[str, ...]:
        sdk = taps.install("tap-jsonl==0.3.1", folder)
        more = [str(sdk.path("python")), "-m", "pip", "install", "--quiet", "tap-dbf==0.1.25"]
        subprocess.run(more, check=True, capture_output=True)
        return sdk.executables

    with ThreadPoolExecutor() as side_by_side:
        sdk = side_by_side.submit(with_sdk)
        assert taps.install("tap-rest-api==0.2.22", folder).executables == ("tap-rest-api",)
        assert sdk.result() == ("tap-jsonl",)
    return folder


@pytest.mark.timeout(300)
def test_tap_jsonl_reads_only_files_that_changed(folder: Path, tmp_path: Path) -> None:
    project = Real(
        tmp_path,
        executable="tap-jsonl",
        taps=folder,
        stream="jsonl",
        settings=f'path = "{tmp_path}/*.jsonl"\nprimary_keys = ["id"]',
    )
    (tmp_path / "1.jsonl").write_text('{"id": 1, "name": "a", "tags": ["x", "y"]}\n{"id": 2, "name": "b"}\n')
    assert fates(project.go().counts["jsonl"]) == {"extracted": 2, "loaded": 2}
    (tmp_path / "2.jsonl").write_text('{"id": 2, "name": "new"}\n{"id": 3, "name": "c"}\n')
    project.go()
    assert project.query("select id, name from shop.jsonl order by id") == [(1, "a"), (2, "new"), (3, "c")]
    assert project.query('select "value" from shop.jsonl__tags order by 1') == [("x",), ("y",)]
    assert "bookmarks" in project.bookmark("jsonl")["state"]["state"]


@pytest.mark.timeout(300)
def test_tap_dbf_fills_a_full_table_without_key(folder: Path, tmp_path: Path) -> None:
    executable = next(folder.glob("*/bin/tap-dbf"))
    project = Real(tmp_path, executable=executable, taps=folder, stream="people", settings=f'path = "{tmp_path}/*.dbf"')
    for names in (("Ada", "Grace"), ("Grace", "Mary", "Ada")):
        (tmp_path / "people.dbf").write_bytes(dbf(names))
        project.go()
        assert project.query('select "NAME" from shop.people order by "ID"') == [(name,) for name in names]


def dbf(names: Sequence[str]) -> bytes:
    """A dBASE III file with an id and a name for each row."""
    columns = [(b"ID", b"N", 6), (b"NAME", b"C", 10)]
    head = struct.pack("<B3BIHH20x", 3, 126, 1, 1, len(names), 32 + 32 * len(columns) + 1, 17)
    head += b"".join(struct.pack("<11sc4xBB14x", name, kind, size, 0) for name, kind, size in columns)
    rows = b"".join(b" %6d" % number + name.encode().ljust(10) for number, name in enumerate(names))
    return head + b"\r" + rows + b"\x1a"


@pytest.fixture
def api() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """An API with orders from an id on, and its orders."""
    orders = [{"id": number, "amount": number / 4} for number in range(1, 8)]

    def answer(request: Request) -> Any:
        (since,) = parse_qs(urlsplit(request.target).query)["since"]
        return [order for order in orders if order["id"] >= int(since)]

    with JsonApi({"/orders": answer}) as server:
        yield server.url, orders


@pytest.mark.timeout(300)
def test_tap_rest_api_goes_on_from_its_state(
    folder: Path, tmp_path: Path, api: tuple[str, list[dict[str, Any]]]
) -> None:
    url, orders = api
    schema = {"type": "object", "properties": {"id": {"type": "integer"}, "amount": {"type": ["null", "number"]}}}
    (tmp_path / "orders.json").write_text(json.dumps(schema))
    settings = f"""
streams = "orders"
url = "{url}/orders?since={{start_index}}"
schema_dir = "{tmp_path}"
index_key = "id"
start_index = 0
items_per_page = 100
"""
    project = Real(
        tmp_path,
        executable="tap-rest-api",
        taps=folder,
        stream="orders",
        choice='primary_key = ["id"]\nreplication = "incremental"',
        settings=settings,
    )
    assert fates(project.go().counts["orders"]) == {"extracted": 7, "loaded": 7}
    orders.append({"id": 8, "amount": 99})
    assert fates(project.go().counts["orders"])["loaded"] == 1
    assert [number for (number,) in project.query("select id from shop.orders order by id")] == [*range(1, 9)]


@pytest.mark.parametrize(
    ("tap", "stream", "choice", "key", "rows"),
    [
        ("tap-jsonl", "jsonl", "", "id", [1, 2]),
        ("tap-dbf", "people", "", "ID", [0, 1, 2]),
        ("tap-rest", "orders", 'primary_key = ["id"]\nreplication = "incremental"', "id", [1, 2, 3]),
    ],
)
def test_what_real_taps_have_written_is_loaded_and_read_again_without_change(
    tmp_path: Path, tap: str, stream: str, choice: str, key: str, rows: list[int]
) -> None:
    project = Tapped(tmp_path, config=f"[connectors.shop.config.streams.{stream}]\n{choice}")
    first, *others = (RECORDED / f"{tap}.jsonl").read_text().splitlines()
    steps = [{"message": json.loads(first)}, *({"write": line} for line in others)]
    catalog = json.loads((RECORDED / f"{tap}.catalog.json").read_text())
    project.script(catalog["streams"], **{stream: steps})
    assert fates(project.go().counts[stream]) == {"extracted": len(rows), "loaded": len(rows)}
    assert fates(project.go().counts[stream])["unchanged" if key == "id" else "loaded"] == len(rows)
    assert [number for (number,) in project.query(f'select "{key}" from shop.{stream} order by 1')] == rows
    last = json.loads(others[-1])["value"]
    assert [one["state"] for one in project.started()] == [None, last if key == "id" else None]
