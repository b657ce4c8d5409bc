"""The ledger's file: made whole, kept private, refused by name when it is not usable, never started over."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine, text

from connector_core.errors import ConfigError, ConnectorError
from connector_core.ledger import Ledger
from connector_core.ledger.schema import STEPS, migrate

ROOT = Path(__file__).parents[2]


def clock() -> datetime:
    return datetime(2026, 3, 1, 12, tzinfo=UTC)


def opened(file: Path) -> Ledger:
    return Ledger.open(f"sqlite:///{file}", clock=clock)


def python(code: str, *arguments: object, cwd: Path = ROOT) -> subprocess.Popen[str]:
    head = "import os, sys; from datetime import UTC, datetime; from connector_core.ledger import Ledger\n"
    return subprocess.Popen(
        [sys.executable, "-c", head + code, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


DIE_AT = """
def die(event, arguments):
    if event == "connector_core.seam" and arguments[0] == sys.argv[2]:
        os.kill(os.getpid(), 9)
sys.addaudithook(die)
"""
CLOCK = "clock = lambda: datetime.now(UTC)\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A ledger that knows one connector, closed."""
    path = tmp_path / "own" / "ledger.db"
    with opened(path) as ledger:
        assert ledger.created
        ledger.register("desk", "stitch_desk", "Stitch Desk", "warehouse")
        ledger.log(None, [])
    return path


@pytest.fixture
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("open_umask")
def test_g13_h15_files_are_private_whatever_the_umask(tmp_path: Path) -> None:
    path = tmp_path / "new" / "own" / "ledger.db"
    with opened(path) as ledger:
        ledger.register("desk", "stitch_desk", "Stitch Desk", "warehouse")
        modes = {found.name: stat.S_IMODE(found.stat().st_mode) for found in path.parent.iterdir()}
    assert modes == {"ledger.db": 0o600, "ledger.db-wal": 0o600, "ledger.db-shm": 0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_h15_a_ledger_that_others_may_read_is_closed_to_them(file: Path) -> None:
    file.chmod(0o644)
    opened(file).close()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_an_existing_directory_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    opened(tmp_path / "ledger.db").close()
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


def test_reopening_finds_everything_and_says_that_it_is_not_new(file: Path) -> None:
    with opened(file) as ledger:
        assert not ledger.created
        assert [found.namespace for found in ledger.status()] == ["stitch_desk"]


def test_it_is_a_wal_database_that_checks_its_references(file: Path) -> None:
    with sqlite3.connect(file) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    with opened(file) as ledger, pytest.raises(ConnectorError), ledger.step("no such run", "loading"):
        pass


def make_garbage(path: Path) -> None:
    path.write_bytes(b"this is no database\n" * 500)


def make_empty(path: Path) -> None:
    path.write_bytes(b"")


def make_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def make_link(path: Path) -> None:
    path.symlink_to(path.rename(path.with_name("elsewhere.db")))


def make_dangling_link(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.with_name("nowhere.db"))


def make_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def make_read_only(path: Path) -> None:
    path.chmod(0o400)


def make_foreign(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE bookmarks (id INTEGER)")
    connection.close()


def make_bare(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("VACUUM")
    connection.close()


def cut_to_half(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 4096 // 2 * 4096)


def cut_in_last_page(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 100)


def cut_to_header(path: Path) -> None:
    os.truncate(path, 50)


def make_newer(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE ledger_version SET version = 99")
    connection.close()


UNUSABLE: dict[Callable[[Path], None], str] = {
    make_garbage: "damaged",
    make_empty: "is empty",
    make_directory: "directory",
    make_link: "symbolic link",
    make_dangling_link: "symbolic link",
    make_pipe: "regular file",
    make_read_only: "read-only",
    make_foreign: "another program",
    make_bare: "not a ledger but an empty database",
    cut_to_half: "damaged",
    cut_in_last_page: "cut off",
    cut_to_header: "damaged",
    make_newer: "version 99",
}


@pytest.mark.parametrize(("spoil", "said"), UNUSABLE.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_d9_f6_an_unusable_file_is_named_and_left_alone(file: Path, spoil: Callable[[Path], None], said: str) -> None:
    spoil(file)
    before = file.read_bytes() if file.is_file() else None
    with pytest.raises(ConfigError) as caught:
        opened(file)
    assert caught.value.exit_code == 2
    assert said in caught.value.message
    assert str(file) in caught.value.message
    assert caught.value.hint
    if before is not None:
        assert file.read_bytes() == before
    assert not file.with_name("nowhere.db").exists()


def test_d9_damage_inside_is_said_when_it_is_met(file: Path) -> None:
    size = file.stat().st_size
    with file.open("r+b") as raw:
        raw.seek(4096)
        raw.write(b"\xff" * (size - 4096))
    with pytest.raises(ConfigError, match="damaged") as caught:
        opened(file).status()
    assert str(file) in str(caught.value)


def test_d9_a_log_without_its_database_is_not_thrown_away(file: Path) -> None:
    file.with_name("ledger.db-wal").write_bytes(b"commits that the file does not have yet")
    file.unlink()
    with pytest.raises(ConfigError, match=r"ledger\.db-wal"):
        opened(file)
    assert not file.exists()


def test_a_file_that_vanishes_while_open_is_an_error_and_not_an_empty_ledger(file: Path) -> None:
    with opened(file) as ledger:
        ledger.close()
        file.unlink()
        with pytest.raises(ConfigError, match="cannot be used"):
            ledger.status()
    assert not file.exists()


def test_g14_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file where a directory should be")
    with pytest.raises(ConfigError, match=r"taken/ledger\.db"):
        opened(tmp_path / "taken" / "ledger.db")


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///:memory:", "sqlite:///file:x.db?uri=true", "oracle://x/y", "ledger.db", ""]
)
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Ledger.open(url, clock=clock)
    assert caught.value.hint


def test_h5_the_password_of_a_ledgers_url_is_not_shown() -> None:
    with pytest.raises(ConfigError, match="pg8000") as caught:
        Ledger.open("postgresql+pg8000://me:hunter2@127.0.0.1/ledger", clock=clock)
    assert "hunter2" not in str(caught.value)


def test_g13_a_working_directory_that_is_gone_hurts_only_relative_paths(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    code = f"""{CLOCK}
os.rmdir(os.getcwd())
Ledger.open(f"sqlite:///{{sys.argv[1]}}/ledger.db", clock=clock).close()
try:
    Ledger.open("sqlite:///ledger.db", clock=clock)
except Exception as error:
    print(error.exit_code, error)
"""
    child = python(code, tmp_path, cwd=gone)
    out, err = child.communicate(timeout=60)
    assert out.startswith("2 the ledger's path ledger.db is relative"), err
    assert (tmp_path / "ledger.db").exists()


def test_f6_an_older_ledger_is_migrated_and_a_newer_one_refused(file: Path) -> None:
    def add_notes(connection: Connection) -> None:
        connection.execute(text("CREATE TABLE ledger_notes (text TEXT)"))

    engine = create_engine(f"sqlite:///{file}")
    for _ in range(2):  # the second time there is nothing to do
        with engine.begin() as connection:
            migrate(connection, str(file), steps=(*STEPS, add_notes))
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM ledger_notes")) == 0
        assert connection.scalar(text("SELECT connector FROM ledger_connectors")) == "desk"
    engine.dispose()
    with pytest.raises(ConfigError, match=f"has version {len(STEPS) + 1}"):
        opened(file)


def test_f1_several_processes_may_make_the_ledger_at_once(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    code = f"""{CLOCK}
with Ledger.open(f"sqlite:///{{sys.argv[1]}}", clock=clock) as ledger:
    ledger.register(sys.argv[2], sys.argv[2], sys.argv[2], "warehouse")
    print(ledger.created)
"""
    children = [python(code, path, name) for name in ("a", "b", "c", "d")]
    answers = [child.communicate(timeout=60) for child in children]
    assert [child.returncode for child in children] == [0] * 4, answers
    with opened(path) as ledger:
        assert [found.connector for found in ledger.status()] == ["a", "b", "c", "d"]
    assert [found.name for found in tmp_path.iterdir()] == ["ledger.db"]


def test_f1_the_slower_of_two_makers_uses_the_ledger_of_the_faster(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    code = f"""{CLOCK}
def wait(event, arguments):
    if event == "connector_core.seam" and arguments[0] == "ledger.create.link":
        print("ready", flush=True)
        sys.stdin.readline()
sys.addaudithook(wait)
with Ledger.open(f"sqlite:///{{sys.argv[1]}}", clock=clock) as ledger:
    print(ledger.created, [found.connector for found in ledger.status()])
"""
    slower = python(code, path)
    assert slower.stdout
    assert slower.stdout.readline() == "ready\n"
    with opened(path) as ledger:
        assert ledger.created
        ledger.register("desk", "stitch_desk", "Stitch Desk", "warehouse")
    out, err = slower.communicate("go\n", timeout=60)
    assert out == "False ['desk']\n", err
    assert [found.name for found in tmp_path.iterdir()] == ["ledger.db"]


@pytest.mark.parametrize(
    "seam",
    [
        "ledger.create.before",
        "ledger.create.commit",
        "ledger.create.after",
        "ledger.create.link",
        "ledger.migrate.before",
        "ledger.migrate.commit",
        "ledger.migrate.after",
    ],
)
def test_d1_a_process_killed_while_it_makes_the_ledger_is_simply_repeated(tmp_path: Path, seam: str) -> None:
    path = tmp_path / "ledger.db"
    code = f"""{CLOCK}{DIE_AT}
os.umask(0)
Ledger.open(f"sqlite:///{{sys.argv[1]}}", clock=clock)
print("alive")
"""
    child = python(code, path, seam)
    out, err = child.communicate(timeout=60)
    assert (child.returncode, out) == (-9, ""), err
    assert {stat.S_IMODE(found.stat().st_mode) for found in tmp_path.iterdir()} <= {0o600}
    with opened(path) as ledger:
        ledger.register("desk", "stitch_desk", "Stitch Desk", "warehouse")
    assert [found.name for found in tmp_path.iterdir()] == ["ledger.db"]


def test_a_second_ledger_in_one_process_does_not_drop_the_locks_of_the_first(file: Path) -> None:
    """POSIX locks go when any descriptor of a file is closed: opening must not open and close the file by itself."""
    with opened(file) as first:
        with opened(file) as second:
            second.register("other", "other", "Other", "warehouse")
        code = """
import sqlite3
connection = sqlite3.connect(sys.argv[1])
connection.execute("SELECT count(*) FROM ledger_connectors").fetchone()
connection.close()  # the last connection of all removes the log; this one must not be the last
print(os.path.exists(sys.argv[1] + "-wal"))
"""
        out, err = python(code, file).communicate(timeout=60)
        assert out == "True\n", err
        assert len(first.status()) == 2


def test_a_password_in_the_query_of_a_url_is_not_shown() -> None:
    with pytest.raises(ConnectorError) as caught:
        Ledger.open("postgresql://desk@127.0.0.1:1/ledger?password=hunter2&sslpassword=hunter3", clock=clock)
    assert "postgresql://desk@127.0.0.1:1/ledger" in str(caught.value)
    assert "hunter" not in repr(caught.value) + str(caught.value)
