"""docs/sandbox.md tells the truth: its plan can be read, its calls are answered, its tests pass when they are run."""

from __future__ import annotations

import dataclasses
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from connector_core.testing.faults import ACTIONS, Fault, plan_from_json
from connector_core.testing.faults.__main__ import parser as faults_parser
from connector_desk.sandbox import Sandbox, Settings
from connector_desk.sandbox.__main__ import parser
from connector_desk.sandbox.control import CALLS, OPERATIONS
from tests.docs.blocks import ROOT, block, blocks, shell_lines
from tests.support.commands import environment

DOCUMENT = ROOT / "docs" / "sandbox.md"
TEXT = DOCUMENT.read_text()


def first_cells() -> set[str]:
    return {name for row in re.findall(r"^\| ([^|]+) \|", TEXT, re.MULTILINE) for name in re.findall(r"`([^`]+)`", row)}


def test_every_option_action_operation_and_call_is_there() -> None:
    named = first_cells()
    options = {option for one in parser()._actions if one.dest != "help" for option in one.option_strings}
    assert options <= named
    assert {f"--{one.name.replace('_', '-')}" for one in dataclasses.fields(Settings)} - {"--clock"} <= named
    assert set(ACTIONS) | set(OPERATIONS) | {one.name for one in dataclasses.fields(Fault)} <= named
    for method, name in CALLS:
        assert f"| {method} | `/_sandbox/{name}` | " in TEXT


def test_the_commands_are_understood() -> None:
    typed = [words for words in shell_lines(DOCUMENT) if words[0] == "python"]
    known = {"connector_desk.sandbox": parser(), "connector_core.testing.faults": faults_parser()}
    assert {words[2] for words in typed} == set(known)
    for _, _, module, *words in typed:
        known[module].parse_args(words)
    parser().parse_args(re.findall(r"`(--cases [^`]*)`", TEXT)[0].split())


def test_the_plan_is_a_plan() -> None:
    plan = plan_from_json(block(DOCUMENT, "json", '"match"'))
    assert [fault.nth for fault in plan] == [1, 5, 1]
    assert isinstance(plan[0].match, str)
    assert re.search(plan[0].match, "GET /api/v2/cases?per_page=50&page=2")


@pytest.fixture(scope="module")
def desk() -> Iterator[Sandbox]:
    with Sandbox(Settings(cases=5, customers=2)) as running:
        yield running


def test_the_calls_are_answered(desk: Sandbox) -> None:
    typed = [line for one in blocks(DOCUMENT, "sh") for line in one.text.splitlines() if line.startswith("curl ")]
    assert len(typed) == 6
    for line in typed:
        words = shlex.split(line)
        url = words[-1].replace("http://127.0.0.1:8080", desk.url)
        headers = dict([words[words.index("-H") + 1].split(": ")]) if "-H" in words else {}
        data = words[words.index("-d") + 1] if "-d" in words else None
        answer = requests.request("POST" if data else "GET", url, data=data, headers=headers, timeout=20)
        assert answer.status_code == 200, (line, answer.text)
    assert desk.dump()["cases"][0]["status"] == "closed", "the first case of a site is 3011"


def test_the_tests_pass(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(block(DOCUMENT, "python", "pytest_plugins"))
    (tmp_path / "test_example.py").write_text(block(DOCUMENT, "python", "def read_all"))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(tmp_path)],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^4 passed", done.stdout, re.MULTILINE)
