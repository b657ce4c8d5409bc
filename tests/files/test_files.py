"""The file source: real files, read by the real engine into DuckDB."""

from __future__ import annotations

import gzip
import json
import os
import threading
import tracemalloc
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import connector_files
from connector_core.events import BatchLoaded, PageExtracted, Warned
from connector_core.run_report import RunReport
from connector_files import listing, source
from connector_files.lines import PAGE, Reader
from connector_files.settings import form
from tests.support.engine import Shop, fates

TOML = """
[destinations.warehouse]
type = "duckdb"
path = "warehouse.duckdb"

[connectors.shop]
source = "files"
destination = "warehouse"
[connectors.shop.config]
folder = "exports"
"""


class Exports(Shop):
    """A project whose source is the folder `exports`; `settings` are lines of the connector's config."""

    def __init__(self, folder: Path, settings: str) -> None:
        super().__init__(folder, {}, settings)
        self.exports = folder / "exports"
        self.exports.mkdir()

    def write(self, settings: str) -> None:
        """Write connectors.toml with these lines of the connector's config."""
        path = self.folder / "connectors.toml"
        path.write_text(TOML + settings)
        path.chmod(0o600)
        self._config = None

    def put(self, name: str, content: str | bytes) -> Path:
        """Write a file."""
        path = self.exports / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def records(self, table: str, order: str = "1") -> list[dict[str, Any]]:
        """The rows of a table without what the engine adds."""
        found = self.rows(table, where=f"order by {order}")
        return [{name: value for name, value in row.items() if "_sdc_" not in name} for row in found]


def orders(*more: str) -> str:
    return "\n".join(["[connectors.shop.config.streams.orders]", 'files = ["orders*"]', *more, ""])


@pytest.fixture
def exports(tmp_path: Path) -> Callable[..., Exports]:
    return lambda *more: Exports(tmp_path, orders(*more))


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Let the files that are there grow older than the instants in which a file may still be written to."""
    return lambda: monkeypatch.setattr(source, "now", lambda: datetime.now(UTC) + timedelta(seconds=60))


def loaded(report: RunReport, stream: str = "orders") -> dict[str, int]:
    return fates(report.counts[stream])


def told(project: Exports) -> list[str]:
    return [event.text for event in project.told(Warned)]


KEYED = 'primary_key = ["id"]'


def test_csv_and_ndjson_plain_and_packed_become_typed_rows(exports: Callable[..., Exports]) -> None:
    project = exports(KEYED)
    project.put(
        "orders-1.csv",
        "\ufeffid,zip,amount,paid,day,at,note\r\n"
        '1,01234,1.50,true,2026-01-02,2026-01-02T03:04:05+01:00,"two\r\nlines, and a ""quote"""\r\n'
        "\r\n2,99999,12345678901234567.25,false,,,\r\n",
    )
    project.put("orders-2.csv.gz", gzip.compress(b"id,amount,more\n3,7,x\n"))
    project.put("orders-3.ndjson", '{"id": 4, "amount": 0.10, "tags": ["a", "b"], "of": {"x": 1}}\n\n')
    project.put("orders-4.jsonl.gz", gzip.compress(b'{"id": 5, "day": "2026-02-03"}'))
    project.put(".orders-5.csv", "id\n6\n")
    assert loaded(project.go()) == {"extracted": 5, "loaded": 5}
    rows = {row["id"]: row for row in project.records("orders")}
    assert set(rows) == {1, 2, 3, 4, 5}
    first = rows[1]
    assert (first["zip"], str(first["amount"]).rstrip("0"), first["paid"]) == ("01234", "1.5", True)
    assert (str(first["day"]), first["at"]) == ("2026-01-02", "2026-01-02T02:04:05.000000Z")
    assert first["note"] == 'two\r\nlines, and a "quote"'
    assert str(rows[2]["amount"]).rstrip("0") == "12345678901234567.25"
    assert (rows[2]["note"], rows[2]["_file"], rows[2]["_file_line"]) == (None, "orders-1.csv", 5)
    assert (rows[3]["more"], rows[4]["of__x"], str(rows[5]["day"])) == ("x", 1, "2026-02-03")
    assert [row["value"] for row in project.rows("orders__tags", where="order by _sdc_level_0_id")] == ["a", "b"]


def test_only_files_that_changed_are_read_again(exports: Callable[..., Exports], later: Callable[[], None]) -> None:
    project = exports(KEYED)
    project.put("orders-1.csv", "id,n\n1,1\n2,2\n")
    assert loaded(project.go()) == {"extracted": 2, "loaded": 2}
    assert loaded(project.go()) == {"extracted": 2, "unchanged": 2}  # so young that it may be written to once more
    later()
    project.go()
    assert loaded(project.go()) == {}
    old = project.put("orders-0.csv", "id,n\n3,3\n")
    os.utime(old, (0, 0))  # a copy that keeps its old modification time is not overlooked
    assert loaded(project.go()) == {"extracted": 1, "loaded": 1}
    project.put("orders-1.csv", "id,n\n1,1\n2,20\n4,4\n")
    assert loaded(project.go()) == {"extracted": 3, "loaded": 3}
    assert [(row["id"], row["n"]) for row in project.records("orders", "id")] == [(1, 1), (2, 20), (3, 3), (4, 4)]


def test_without_a_key_a_line_is_a_record(exports: Callable[..., Exports], later: Callable[[], None]) -> None:
    project = exports()
    project.put("orders.csv", "n\n7\n7\n")
    project.go()
    later()
    project.put("orders.csv", "n\n7\n7\n8\n")
    project.go()
    rows = [(row["_file"], row["_file_line"], row["n"]) for row in project.records("orders", "_file_line")]
    assert rows == [("orders.csv", 2, 7), ("orders.csv", 3, 7), ("orders.csv", 4, 8)]
    assert loaded(project.go()) == {}


@pytest.mark.parametrize("keyed", [True, False])
def test_a_full_table_is_what_the_files_hold(exports: Callable[..., Exports], keyed: bool) -> None:
    project = exports('replication = "full_table"', *([KEYED] if keyed else []))
    project.put("orders-1.csv", "id,n\n1,1\n2,2\n3,3\n")
    project.put("orders-2.csv", "id,n\n4,4\n")
    project.go()
    project.put("orders-1.csv", "id,n\n1,1\n2,20\n")
    report = project.go()
    assert loaded(report) == {"extracted": 3, "loaded": 1, "unchanged": 2, "deleted": 1}
    assert [(row["id"], row["n"]) for row in project.records("orders", "id")] == [(1, 1), (2, 20), (4, 4)]
    assert ("_file" in project.records("orders")[0]) is not keyed


WRONG_CSV = [
    "1 cells where there are 2 columns",
    "',' expected after '\"'",
    "byte 3 of the line is not utf-8",
    "unexpected end of data",
    "4 cells where there are 2 columns",
]
WRONG_NDJSON = [
    "it is no object",
    "it is not JSON: Expecting ',' delimiter at character 9",
    "it is not JSON: NaN",
    "an object names a property twice",
    "byte 1 of the line is not utf-8",
    "it has a property named _file",
    "it has a number that cannot be read",
]
BAD_CSV = b'id,n\n1,1\n2\n3,"a"b\n4,\xff\n5,5\n"6,never closed\n7,7\n8,1,2,3\n'
BAD_NDJSON = (
    b'{"id": 1}\n[2]\n{"id": 3\n{"id": NaN}\n{"id": 5, "id": 6}\n'
    b'\xff\n{"_file": 7}\n{"id": 1e999999999999999999999}\n{"id": 8}'
)


BEGIN = {
    "orders.csv": (b"2", b"3", b"4", b'"6', b"8"),
    "orders.ndjson": (b"[2]", b'{"id": 3', b'{"id": NaN', b'{"id": 5', b"\xff", b'{"_f', b'{"id": 1e'),
}


@pytest.mark.parametrize(
    ("name", "content", "good", "wrong", "lines"),
    [
        ("orders.csv", BAD_CSV, [1, 5, 7], WRONG_CSV, ["2", '3,"a"b', "4,\\xff", '"6,never closed', "8,1,2,3"]),
        (
            "orders.ndjson",
            BAD_NDJSON,
            [1, 8],
            WRONG_NDJSON,
            ["[2]", '{"id": 3', '{"id": NaN}', '{"id": 5, "id": 6}', "\\xff", '{"_file": 7}', '{"id": 1e9'],
        ),
    ],
)
def test_a_bad_line_costs_that_line(
    exports: Callable[..., Exports], name: str, content: bytes, good: list[int], wrong: list[str], lines: list[str]
) -> None:
    project = exports(KEYED, 'types = { id = "integer" }')
    project.put(name, content)
    report = project.go()
    assert loaded(report) == {"extracted": len(good) + len(lines), "loaded": len(good), "rejected": len(lines)}
    assert [row["id"] for row in project.records("orders", "id")] == good
    kept = sorted(project.rejected(), key=lambda row: str(row["reason"]))
    assert {row["error_code"] for row in kept} == {"unreadable"}
    texts = [json.loads(row["record"]) for row in kept]
    assert all(any(line in text for text in texts) for line in lines), texts
    at = [number for number, line in enumerate(content.splitlines(), 1) if any(line.startswith(b) for b in BEGIN[name])]
    assert [row["reason"] for row in kept] == [f"{name}, line {n}: {why}" for n, why in zip(at, wrong, strict=True)]
    assert any(f"{name}, line 3: " in text for text in told(project))
    listed = json.loads(project.command("rejects", "list", "--json").stdout)["rejects"]
    assert {one["reason"] for one in listed} == {row["reason"] for row in kept}


def test_a_value_of_another_type_than_the_samples_gets_its_own_column(exports: Callable[..., Exports]) -> None:
    project = exports(KEYED)
    rows = "".join(f"{number},{number}\n" for number in range(9_000))
    project.put("orders.csv", f"id,n\n{rows}9000,007\n")
    assert loaded(project.go()) == {"extracted": 9_001, "loaded": 9_001}
    assert project.query('select max("n__bi"), max("n__st") from "shop"."orders"') == [(8_999, "007")]


def test_headers_delimiters_and_encodings(exports: Callable[..., Exports]) -> None:
    project = exports('delimiter = ";"', 'encoding = "windows-1252"', 'types = { "a" = "string" }')
    project.put("orders.csv", b"a;a; ;_file\n1;2;3;4\n" + "ä;é;€;ß\n".encode("cp1252"))
    project.go()
    rows = [[row[name] for name in ("a", "a_2", "column_3", "_file_2")] for row in project.records("orders", "a")]
    assert rows == [["1", "2", "3", "4"], ["ä", "é", "€", "ß"]]
    project.write(orders("header = false", 'columns = ["x", "y"]').replace("orders]", "plain]").replace("s*", "x*"))
    project.put("orderx.csv", "1,2\n3,4\n")
    project.go()
    assert [(row["x"], row["y"]) for row in project.records("plain", "x")] == [(1, 2), (3, 4)]


def test_without_streams_each_name_is_one(tmp_path: Path) -> None:
    project = Exports(tmp_path, "")
    project.put("users.csv", "id\n1\n")
    project.put("teams.ndjson.gz", gzip.compress(b'{"id": 1}\n'))
    project.put("readme.txt", "no data")
    project.go()
    assert project.tables() == {"users", "teams"}


ODD: Mapping[str, tuple[Mapping[str, bytes], list[dict[str, Any]]]] = {
    "headers": (  # other columns, another order, a name twice, one that is not there
        {"1.csv": b"id,n\n1,1\n", "2.csv": b"n,id,id,\n2,2,x,y\n"},
        [{"id": 1, "n": 1, "id_2": None, "column_4": None}, {"id": 2, "n": 2, "id_2": "x", "column_4": "y"}],
    ),
    "marks": (  # a byte order mark in one of them, also packed
        {"1.csv": b"\xef\xbb\xbfid\n1\n", "2.ndjson.gz": gzip.compress(b'\xef\xbb\xbf{"id": 2}\n'), "3.csv": b"id\n3"},
        [{"id": 1}, {"id": 2}, {"id": 3}],
    ),
    "quotes": (  # line breaks of all kinds within a cell and at its end, quotes, a last line without one
        {"1.csv": b'id,n\n1,"a\nb"\n2,"c\r\nd"\n3,"""e"""\r\n4,""'},
        [{"id": 1, "n": "a\nb"}, {"id": 2, "n": "c\r\nd"}, {"id": 3, "n": '"e"'}, {"id": 4, "n": None}],
    ),
    "empty": (
        {"1.csv": b"", "2.csv": b"id\n", "3.ndjson": b"\n\n", "4.csv.gz": gzip.compress(b"id\n4\n")},
        [{"id": 4}],
    ),
    "encodings": (
        {"1.csv": "id,n\n1,\u00e9\n".encode(), "2.csv": b"id,n\n2,\xe9\n3,e\n"},
        [{"id": 1, "n": "\u00e9"}, {"id": 3, "n": "e"}],
    ),
}


def test_odd_files_are_read_as_they_are_meant(tmp_path: Path) -> None:
    streams = "".join(
        f'[connectors.shop.config.streams.{name}]\nfiles = ["{name}-*"]\nprimary_key = ["id"]\n' for name in ODD
    )
    project = Exports(tmp_path, streams)
    for name, (files, _) in ODD.items():
        for number, content in files.items():
            project.put(f"{name}-{number}", content)
    project.go()
    for name, (_, rows) in ODD.items():
        found = [{column: row[column] for column in rows[0]} for row in project.records(name, "id")]
        assert found == rows, name
    (reject,) = project.rejected()
    assert reject["reason"] == "encodings-2.csv, line 2: byte 3 of the line is not utf-8"
    assert json.loads(reject["record"]) == "2,\\xe9"


def changing(path: Path, how: Callable[[], object]) -> Callable[[Any], None]:
    """Changes a file once its first page is read."""
    done: list[bool] = []

    def watch(event: Any) -> None:
        if isinstance(event, PageExtracted) and event.url == path.name and not done:
            done.append(True)
            how()

    return watch


@pytest.mark.parametrize("packed", [False, True])
def test_a_file_that_changes_while_it_is_read_is_noticed_and_read_again(
    exports: Callable[..., Exports], packed: bool
) -> None:
    project = exports(KEYED, 'types = { id = "integer" }')
    project.put("orders-1.csv", "id,n\n-1,0\n")
    text = "id,n\n" + "".join(f"{number},{'x' * 2000}\n" for number in range(3 * PAGE // 2000))
    content = gzip.compress(text.encode()) if packed else text.encode()
    name = "orders-2.csv.gz" if packed else "orders-2.csv"
    path = project.put(name, content)
    grown = gzip.compress(b"-2,new\n") if packed else b"-2,new\n"
    report = project.go(code=4, watch=changing(path, lambda: path.write_bytes(content + grown)))
    assert report.error is not None
    assert "was changed while it was read" in report.error
    assert project.records("orders", "id")[0]["id"] == -1  # what was read before it is stored
    project.go()
    ids = [row["id"] for row in project.records("orders", "id")]
    assert ids == [-2, -1, *range(3 * PAGE // 2000)]
    path = project.put(name, content)
    report = project.go(code=4, watch=changing(path, path.unlink))
    assert "is gone while it was read" in str(report.error)


def test_a_run_that_is_stopped_within_a_file_goes_on_with_it(
    exports: Callable[..., Exports], later: Callable[[], None]
) -> None:
    project = exports(KEYED)
    config = project.folder / "connectors.toml"
    config.write_text(config.read_text().replace('source = "files"', 'source = "files"\nbatch_records = 10'))
    project.put("orders.csv", "id,n\n" + "".join(f"{number},{'x' * 2000}\n" for number in range(5 * PAGE // 2000)))
    later()
    stop = threading.Event()
    report = project.go(code=143, stop=stop, watch=lambda event: stop.set() if isinstance(event, BatchLoaded) else None)
    assert report.status == "stopped"
    some = len(project.records("orders"))
    assert 0 < some < 5 * PAGE // 2000
    project.go()
    assert [row["id"] for row in project.records("orders", "id")] == [*range(5 * PAGE // 2000)]


def test_a_damaged_file_stops_its_stream_and_no_other(tmp_path: Path) -> None:
    other = '[connectors.shop.config.streams.users]\nfiles = ["users.csv"]\n'
    project = Exports(tmp_path, orders(KEYED, 'types = { id = "integer" }') + other)
    project.put("users.csv", "id\n1\n")
    project.put("orders-1.csv", "id\n1\n")
    packed = gzip.compress(b"id\n2\n3\n")
    wide = gzip.compress("\ufeffid\n2\n".encode("utf-16-le"))
    for damaged, why in ((packed[:-6], "unpacked"), (b"id\n2\n", "unpacked"), (wide, "as UTF-16 does")):
        project.put("orders-2.csv.gz", damaged)
        report = project.go(code=4)
        assert "orders-2.csv.gz" in str(report.error)
        assert why in str(report.error)
        assert "[file_damaged]" in str(report.error)
    assert len(project.records("users")) == len(project.records("orders")) == 1
    project.put("orders-2.csv.gz", packed)
    project.go()
    assert [row["id"] for row in project.records("orders", "id")] == [1, 2, 3]


def test_what_is_wrong_with_the_settings_or_the_folder_is_said(exports: Callable[..., Exports]) -> None:
    project = exports(KEYED)
    assert "[key_untyped]" in str(project.go(code=4).error)
    project.write(orders(KEYED, 'types = { id = "integer" }'))
    project.go()
    assert told(project) == ["no file matches orders*"]
    project.put("orders.txt", "id\n1\n")
    assert "[file_format]" in str(project.go(code=4).error)
    project.write(orders(KEYED, 'format = "csv"'))
    project.go()
    assert [row["id"] for row in project.records("orders")] == [1]
    project.exports.rename(project.folder / "elsewhere")
    assert "[folder_missing]" in str(project.go(code=4).error)


def test_check_says_what_was_inferred_and_why(exports: Callable[..., Exports]) -> None:
    project = exports(KEYED, 'types = { n = "string" }')
    project.put("orders.csv", "id,n,zip,amount,empty\n1,1,01234,1,\n2,2,5,2.5,\n")
    client = connector_files.source.authenticate(project.config.source_config("shop"))
    (note,) = connector_files.source.discover(project.config.source_config("shop"), client).notes
    assert note == (
        "orders: 1 of 1 files sampled: id integer (2 whole numbers), n string (set), "
        "zip string (1 numbers with leading zeros or a plus, which a number would lose, 1 whole numbers), "
        "amount number (1 whole numbers, 1 numbers), empty string (no value in the samples)"
    )
    done = project.command("check")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "amount number (1 whole numbers, 1 numbers)" in " ".join(done.stdout.split())


@pytest.mark.parametrize("name", ["orders.csv", "orders.csv.gz", "orders.ndjson"])
def test_pages_are_bounded_and_memory_does_not_grow_with_the_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    row = b'{"id": 1, "n": "' + b"x" * 1000 + b'"}\n' if "nd" in name else b"1," + b"x" * 1000 + b"\n"
    path.write_bytes(gzip.compress(row * 8000, 1) if name.endswith("gz") else row * 8000)
    (file,) = listing.listing(tmp_path, ["*"])
    one = form("orders", {"files": ["*"], "header": False})
    reader, seen, pages = Reader(file, one), 0, 0
    tracemalloc.start()
    try:
        while not reader.ended:
            size = reader.offset
            seen += len(list(reader.entries()))
            assert reader.offset - size < PAGE + 2000
            pages += 1
            again = Reader(file, one, offset=reader.offset, line=reader.line)  # a page can be read again from its token
            assert again.offset == reader.offset
            again.close()
        assert tracemalloc.get_traced_memory()[1] < 6 * PAGE
    finally:
        tracemalloc.stop()
        reader.close()
    assert seen == 8000
    assert pages >= len(row) * 8000 // PAGE
