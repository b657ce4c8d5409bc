"""The DuckDB file itself: shared, foreign, damaged, full; and what the plugin says of itself."""

from __future__ import annotations

import json
import os
import stat
import struct
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import jsonschema
import pytest

from connector_core.batch import Counts
from connector_core.errors import BusyError, ConfigError, ConnectorError, DestinationError
from connector_core.testing.contract.claims import at_once
from connector_duckdb import connection, destination
from connector_duckdb.connection import Database, size
from tests.support.loads import CASES, Shape, Warehouse, warehouse

cases = Shape()
ROOT = Path(__file__).resolve().parents[2]
PATHS = (".", "plugins/desk/src", "destinations/duckdb/src")


def case(number: int, *, day: int = 1, subject: str = "x") -> dict[str, Any]:
    return {"id": number, "subject": subject, "updated_at": f"2026-01-{day:02}T00:00:00Z", "labels": ["a", "b"]}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Warehouse]:
    with warehouse(tmp_path / "w.duckdb") as house:
        yield house


def process(script: str, *arguments: object) -> subprocess.Popen[str]:
    """A second Python with the same import path."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(str(ROOT / path) for path in PATHS)}
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=env,
        cwd=ROOT,
    )


def test_c21_a_file_in_use_by_another_process_is_busy_and_says_by_whom(house: Warehouse) -> None:
    house.load(cases.part([case(1)]))
    script = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    with process(script, house.path) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        assert other.stdout.readline() == "open\n"
        for call in (house.claim, house.target.commits, house.target.check, lambda: house.load(cases.part([case(2)]))):
            with pytest.raises(BusyError, match=f"in use by process {other.pid}") as caught:
                call()
            assert caught.value.exit_code == 75
        other.stdin.close()
        assert other.wait() == 0
    house.number -= 1
    assert house.load(cases.part([case(2)])).counts["cases"].loaded == 1


def test_a_connection_of_this_process_is_in_the_way_too(house: Warehouse) -> None:
    house.claim()
    with duckdb.connect(str(house.path)), pytest.raises(BusyError, match="this process"):
        house.load(cases.part([case(1)]))


def test_the_file_is_only_open_while_something_is_done(house: Warehouse) -> None:
    house.load(cases.part([case(1)]))
    script = (
        "import duckdb, sys; print(duckdb.connect(sys.argv[1]).execute('select count(*) from ns.cases').fetchone()[0])"
    )
    with process(script, house.path) as other:
        assert other.communicate()[0] == "1\n"
    house.load(cases.part([case(2)]))
    assert sorted(path.name for path in house.path.parent.iterdir()) == ["w.duckdb"]


COUNT = "import duckdb, sys; print(duckdb.connect(sys.argv[1]).execute('select count(*) from ns.cases').fetchone()[0])"


def test_loads_that_follow_each_other_open_the_file_once(house: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Path] = []
    connect = Database._connect
    monkeypatch.setattr(
        Database, "_connect", lambda self, path, *more, **how: opened.append(path) or connect(self, path, *more, **how)
    )
    house.claim()
    with house.target.together():
        house.load(cases.part([case(1)]))
        house.load(cases.part([case(2)]))
        with process(COUNT, house.path) as other:
            assert "Could not set lock" in other.communicate()[0]
        assert len(house.target.commits()) == 2, "what is read in between closes it"
        house.load(cases.part([case(3)]))
    assert len(opened) == 4
    with process(COUNT, house.path) as other:
        assert other.communicate()[0] == "3\n"
    assert sorted(path.name for path in house.path.parent.iterdir()) == ["w.duckdb"]


def test_an_error_closes_the_file_in_between(house: Warehouse) -> None:
    with house.target.together():
        house.load(cases.part([case(1)]))
        with pytest.raises(ConnectorError, match="balance"):
            house.load(replace(cases.part([case(2)]), counts=Counts(extracted=7)))
        with process(COUNT, house.path) as other:
            assert other.communicate()[0] == "1\n"
        house.load(cases.part([case(2)]))


def test_a_file_that_was_replaced_in_between_is_opened_anew(house: Warehouse) -> None:
    """A backup that is put back while a run goes on: nothing is written to a file that nobody can see any more."""
    house.load(cases.part([case(1)]))
    backup = house.path.read_bytes()
    with house.target.together():
        house.load(cases.part([case(2)]))
        new = house.path.with_name("new")
        new.write_bytes(backup)
        new.replace(house.path)
        house.path.with_name("w.duckdb.wal").unlink()
        house.load(cases.part([case(3)]))
    with process(COUNT, house.path) as other:
        assert other.communicate()[0] == "2\n"


def test_the_file_is_let_go_from_time_to_time(house: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that waits for it gets its turn."""
    monkeypatch.setattr(connection, "LONGEST", 0.0)
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        with process(COUNT, house.path) as other:
            assert other.communicate()[0] == "1\n"

    monkeypatch.setattr(connection.time, "sleep", pause)
    with house.target.together():
        house.load(cases.part([case(1)]))
        house.load(cases.part([case(2)]))
    assert pauses == [connection.PAUSE]


def test_reading_a_file_that_is_not_there_makes_none(house: Warehouse) -> None:
    assert list(house.target.commits()) == []
    assert any("does not exist yet" in line for line in house.target.check())
    assert not house.path.exists()


def test_check_does_not_touch_the_file(house: Warehouse) -> None:
    house.load(cases.part([case(1)]))
    before = house.path.read_bytes()
    house.target.check()
    assert house.path.read_bytes() == before


def test_c14_a_split_of_a_column_that_somebody_uses_names_the_table(house: Warehouse) -> None:
    house.load(Shape(columns={**CASES, "amount": "integer"}).part([{**case(1), "amount": 5}]))
    house.sql("CREATE INDEX mine ON cases (amount)")
    before = house.content()
    split = Shape(
        columns={**CASES, "amount": "integer", "amount|text": "string"},
        names={("amount", "integer"): "amount__bi", ("amount|text", "string"): "amount__st"},
    )
    with pytest.raises(DestinationError, match="cases"):
        house.load(split.part([case(2)]))
    assert house.content() == before


FOREIGN = {
    "text": b"this is no database\n" * 500,
    "short": b"hi",
    "empty": b"",
    "sqlite": b"SQLite format 3\0" + b"\0" * 8192,
    "parquet": b"PAR1" + b"\0" * 8192,
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_c22_a_file_that_is_no_database_is_not_touched(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "w.duckdb"
    path.write_bytes(FOREIGN[kind])
    with warehouse(path) as house:
        for call in (house.claim, house.target.commits, house.target.check):
            with pytest.raises(DestinationError) as caught:
                call()
            assert caught.value.exit_code == 5
            assert "\n" not in str(caught.value)
    assert path.read_bytes() == FOREIGN[kind]
    assert [p.name for p in tmp_path.iterdir()] == ["w.duckdb"]


@pytest.mark.parametrize("left", [100, 4096, 12288, 12289, 0.5])
def test_c22_a_truncated_file_is_not_touched(house: Warehouse, left: float) -> None:
    house.load(cases.part([case(n) for n in range(3000)]))
    data = house.path.read_bytes()
    cut = data[: int(left if left > 1 else left * len(data))]
    house.path.write_bytes(cut)
    for call in (house.claim, house.target.commits):
        with pytest.raises(DestinationError):
            call()
    assert house.path.read_bytes() == cut


def test_c22_a_file_of_a_newer_version_is_not_touched(house: Warehouse) -> None:
    house.claim()
    data = bytearray(house.path.read_bytes())
    assert data[8:12] == b"DUCK"
    version = int.from_bytes(data[12:20], "little")
    data[12:20] = (version + 1000).to_bytes(8, "little")
    data[:8] = checksum(bytes(data[8:4096]))
    house.path.write_bytes(data)
    with pytest.raises(DestinationError, match="storage version"):
        house.claim()
    assert house.path.read_bytes() == bytes(data)


def checksum(block: bytes) -> bytes:
    """How DuckDB guards a block of its file."""
    found = 5381
    for (word,) in struct.iter_unpack("<Q", block):
        found ^= word * 0xBF58476D1CE4E5B9 & 2**64 - 1
    return found.to_bytes(8, "little")


@pytest.mark.parametrize("path", ["", "  ", ":memory:", "nowhere/w.duckdb", ".", "a\0b"])
def test_h16_a_path_that_is_no_file_is_a_configuration_error(
    tmp_path: Path, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with destination.connect({"path": path}, "ns") as target:
        for call in (lambda: target.claim("desk"), target.check, target.commits):
            with pytest.raises(ConfigError) as caught:
                call()
            assert caught.value.exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_h15_what_is_made_is_its_owners_alone(house: Warehouse) -> None:
    before = os.umask(0o022)
    try:
        house.load(cases.part([case(1)]))
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(before)
    assert stat.S_IMODE(house.path.stat().st_mode) == 0o600


SEEN = """
    import json
    import os, stat, sys
    from pathlib import Path
    from tests.support.loads import Shape, warehouse
    seen = {}
    def look(event, arguments):
        if event == "connector_core.seam" and arguments[0] in ("load.commit.before", "load.commit.after"):
            for path in [*folder.iterdir(), *folder.glob("*/*")]:
                seen[path.name] = oct(stat.S_IMODE(path.stat().st_mode))
    os.umask(0)
    folder = Path(sys.argv[1])
    sys.addaudithook(look)
    with warehouse(folder / "w.duckdb") as house:
        house.load(Shape().part([{"id": 1, "subject": "x", "updated_at": None, "labels": []}]))
    print(json.dumps(seen))
"""


def test_h15_also_the_log_and_the_spool_beside_the_file(tmp_path: Path) -> None:
    with process(SEEN, tmp_path) as other:
        seen = json.loads(other.communicate()[0])
    assert seen == {"w.duckdb": "0o600", "w.duckdb.wal": "0o600", "w.duckdb.spool": "0o700"}


def test_a_file_that_others_may_read_stays_so(house: Warehouse) -> None:
    house.claim()
    house.path.chmod(0o644)
    house.load(cases.part([case(1)]))
    assert stat.S_IMODE(house.path.stat().st_mode) == 0o644


def test_h15_a_link_in_the_place_of_the_spool_is_not_followed(house: Warehouse, tmp_path: Path) -> None:
    house.claim()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").write_text("x")
    house.path.with_name("w.duckdb.spool").symlink_to(elsewhere)
    house.load(cases.part([case(1)]))
    assert (elsewhere / "precious").read_text() == "x"
    assert [p.name for p in elsewhere.iterdir()] == ["precious"]


def test_h16_nothing_outside_is_reached(house: Warehouse, tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("a\n1\n")
    database = Database(path=str(house.path))
    with database.open(write=True) as sql:
        assert sql is not None
        for text in (
            f"SELECT * FROM read_csv('{tmp_path}/secret.csv')",
            f"COPY (SELECT 1) TO '{tmp_path}/out.csv'",
            f"ATTACH '{tmp_path}/other.duckdb'",
            "INSTALL sqlite",
            "LOAD sqlite",
            "SET threads = 1",
            "SET enable_external_access = true",
            "SET lock_configuration = false",
        ):
            with pytest.raises(ConnectorError):
                sql.query(text)
        settings = dict(sql.query("SELECT name, value FROM duckdb_settings()"))
    assert {settings[name] for name in settings if name.startswith("auto") and "extensions" in name} == {"false"}
    assert (settings["TimeZone"], settings["allow_community_extensions"]) == ("UTC", "false")
    assert (settings["threads"], settings["memory_limit"]) == ("2", "152.5 MiB")


FULL = """
    import json, resource, signal, sys
    from connector_core.errors import ConnectorError
    from tests.support.loads import Shape, warehouse
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with warehouse(sys.argv[1]) as house:
        house.claim()
        limit = int(sys.argv[2])
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        try:
            records = [{"id": n, "subject": f"{n}" * 500, "updated_at": None, "labels": []} for n in range(4000)]
            house.load(Shape().part(records))
        except ConnectorError as error:
            print(json.dumps([type(error).__name__, error.exit_code, str(error)]))
"""


@pytest.mark.parametrize("limit", [1_000, 100_000, 1_500_000, 3_500_000, 7_000_000])
def test_c9_no_room_for_the_spool_the_log_or_the_file(house: Warehouse, limit: int) -> None:
    """A limit on the size of files stands for a full disk: writes fail at different places."""
    house.load(cases.part([case(n) for n in range(3)]))
    with process(FULL, house.path, limit) as other:
        told = other.communicate()[0]
    assert other.returncode == 0, told
    wrote = house.one("SELECT count(*) FROM cases")
    if told:
        name, exit_code, text = json.loads(told)
        assert (name in ("DestinationError", "UnknownCommitError"), exit_code) == (True, 5)
        assert str(house.path) in text
    assert wrote == house.one("SELECT count(DISTINCT id) FROM cases")
    assert wrote in (3, 4000)
    assert house.one("SELECT count(*) FROM _sdc_commits") == (1 if wrote == 3 else 2)
    assert wrote == 3 or limit >= 3_500_000
    house.claim()
    assert house.load(cases.part([case(9, day=9)])).counts["cases"].loaded == 1


def test_the_plugin_describes_itself() -> None:
    description = destination.describe()
    assert (description.kind, description.name, description.exclusive) == ("destination", "duckdb", True)
    jsonschema.Draft202012Validator.check_schema(description.config_schema)
    check = jsonschema.Draft202012Validator(description.config_schema).is_valid
    assert check({"path": "w.duckdb"})
    assert check({"path": "w.duckdb", "memory_limit": "1.5GB", "threads": 4})
    wrong: list[dict[str, Any]] = [
        {},
        {"path": ""},
        {"path": "w", "threads": 0},
        {"path": "w", "memory_limit": "much"},
        {"path": "w", "x": 1},
    ]
    assert not any(map(check, wrong))


def test_memory_sizes() -> None:
    assert [size(text) for text in ("128MB", "1 GiB", "1.5GB", "512KiB")] == [
        128_000_000,
        2**30,
        1_500_000_000,
        524_288,
    ]
    for text in ("", "0MB", "12", "-1MB", "1XB"):
        with pytest.raises(ConfigError):
            size(text)


def test_too_little_memory_says_what_to_raise(tmp_path: Path) -> None:
    with warehouse(tmp_path / "w.duckdb", memory_limit="8MB", threads=1) as house:
        house.claim()
        with pytest.raises(ConnectorError) as caught:
            house.load(cases.part([case(n, subject="long" * 2000) for n in range(3000)]))
    assert caught.value.code == "memory"
    assert "memory_limit" in caught.value.hint


def test_threads_of_one_process_shut_each_other_out(house: Warehouse, tmp_path: Path) -> None:
    """They share DuckDB's lock on the file, and must still not work in each other's transactions; ten times, as it is
    a matter of chance where they meet. Each makes a file of its own as well: the umask is the process's."""
    house.claim()
    before = os.umask(0o022)
    try:
        for turn in range(10):
            made: list[int] = []
            others: list[BaseException] = []
            at_once(4, partial(claim_both, house.path, tmp_path / f"new-{turn}", made, others))
            assert len(made) + len(others) == 4
            assert len(made) == len(set(made)) >= 1
            assert {type(error) for error in others} <= {BusyError}, others
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(before)


def claim_both(shared: Path, own: Path, epochs: list[int], others: list[BaseException], number: int) -> None:
    with warehouse(own.with_name(f"{own.name}-{number}.duckdb")) as mine:
        mine.claim()
    with warehouse(shared) as mine:
        try:
            epochs.append(mine.claim().epoch)
        except BaseException as error:
            others.append(error)
