"""Standard streams that are closed, broken, full or narrow: no traceback, and a run does its work (D5, G13)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import command, environment
from tests.support.project import SITE, Scripted

DATA = {
    "streams": [
        {
            "name": "people",
            "schema": {"type": "object", "properties": {"id": {"type": "integer"}}},
            "primary_key": ["id"],
        }
    ],
    "records": {"people": [{"id": 1}, {"id": 2}]},
}
PYTHON = [sys.executable, "-m", "connector_core"]


@pytest.fixture
def project(tmp_path: Path) -> Scripted:
    return Scripted(tmp_path, DATA)


def broken_pipe() -> int:
    """The writing end of a pipe that nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    return writer


@pytest.mark.parametrize(
    "arguments", [["plugins"], ["plugins", "--json"], ["--help"], ["describe", "desk"], ["status"]]
)
def test_d5_nobody_reads_standard_output(project: Scripted, arguments: list[str]) -> None:
    writer = broken_pipe()
    done = command(*arguments, cwd=project.folder, trees=[SITE], stdout=writer)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("which", ["stdout", "stderr"])
def test_d5_a_run_goes_on_when_nobody_reads(project: Scripted, which: str) -> None:
    writer = broken_pipe()
    done = command("run", cwd=project.folder, trees=[SITE], **{which: writer})
    os.close(writer)
    assert done.returncode == 0
    assert len(project.rows("people")) == 2


@pytest.mark.parametrize("closed", ["1>&-", "2>&-", "1>&- 2>&-", "0<&- 1>&- 2>&-"])
def test_d5_a_run_with_closed_streams(project: Scripted, closed: str) -> None:
    shell = ["/bin/sh", "-c", f'exec "$@" {closed}', "sh", *PYTHON, "run"]
    done = subprocess.run(shell, cwd=project.folder, env=environment(trees=[SITE]), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert len(project.rows("people")) == 2
    for path in [project.folder / "warehouse.duckdb", *(project.folder / ".connector-core").iterdir()]:
        assert (
            b"shop people" not in path.read_bytes()
        )  # a message written into a file that took the number of a closed stream
    status = json.loads(command("status", "--json", cwd=project.folder, trees=[SITE]).stdout)
    assert status["connectors"][0]["state"] == "active"


def test_d5_an_error_with_closed_standard_error(project: Scripted) -> None:
    shell = ["/bin/sh", "-c", 'exec "$@" 2>&-', "sh", *PYTHON, "describe", "nothing"]
    done = subprocess.run(shell, cwd=project.folder, env=environment(), capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")


def test_a_full_disk_under_standard_output_is_said_and_under_standard_error_is_not(project: Scripted) -> None:
    with Path("/dev/full").open("w") as full:
        done = command("plugins", "--json", cwd=project.folder, stdout=full)
        assert done.returncode == 6
        assert "No space left on device" in done.stderr
        assert command("run", cwd=project.folder, trees=[SITE], stderr=full).returncode == 0
    assert len(project.rows("people")) == 2


def test_g13_the_working_directory_is_gone(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    script = 'cd "$1" && rmdir "$1" && shift && exec "$@"'
    shell = ["/bin/sh", "-c", script, "sh", str(gone), *PYTHON]
    for arguments, code in ((["plugins"], 0), (["--help"], 0), (["status"], 2), (["describe", "desk"], 0)):
        done = subprocess.run([*shell, *arguments], env=environment(), capture_output=True, text=True)
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        gone.mkdir()


def test_g13_a_locale_that_cannot_show_a_letter(tmp_path: Path) -> None:
    env = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = command("describe", "größe", cwd=tmp_path, env=env)
    assert done.returncode == 2
    assert "error: there is no plugin 'gr\\" in done.stderr
    assert done.stderr.isascii()


def test_h8_terminal_escapes_are_shown_not_obeyed(tmp_path: Path) -> None:
    done = command("describe", "a\x1b[31mb\x07\u202ec\nd", cwd=tmp_path)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.isprintable()
