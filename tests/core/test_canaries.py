"""No command shows a credential, not even with --debug and when everything fails (facts/fault_catalogue.md H5).

tests/conftest.py sees to the other tests: what they print, what their commands print, and every file that is left.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

import pytest

from connector_core.testing.faults import FaultFront, Request, Response
from connector_desk.sandbox import Sandbox, Settings
from tests.support.canaries import SPELLINGS, holds_canary, leaks
from tests.support.commands import environment
from tests.support.project import Project

WATCHING = (
    ("check",), ("run",), ("run", "--full"), ("status",), ("status", "--json"), ("plugins",), ("describe", "desk"),
    ("schema",), ("rejects", "list"), ("rejects", "replay", "stitch_desk"), ("logs",), ("report",), ("usage",),
    ("schedule",), ("reset", "stitch_desk", "--all", "--dry-run"),
)  # fmt: skip


@pytest.fixture(scope="module")
def desk() -> Iterator[Sandbox]:
    with Sandbox(Settings(cases=4, customers=3, users=3, replies=0.5, rate_limit=1_000_000)) as sandbox:
        yield sandbox


def project(folder: Path, desk: Sandbox, url: str = "") -> Project:
    fast = 'start_date = "2020-01-01"\nretry_attempts = 2\nretry_wait = 0.01\n'
    return Project(folder, url or desk.url, desk.credentials, settings=fast)


ONE_AFTER_THE_OTHER = """
import json, sys
from connector_core.cli import invoke
codes = [invoke(["--debug", *words]) for words in json.loads(sys.argv[1])]
print(json.dumps(codes))
"""


def together(one: Project, commands: Sequence[tuple[str, ...]]) -> list[int]:
    """Run commands at debug level in one process, which imports everything once; their exit codes. What they print
    must not hold a credential."""
    done = subprocess.run(
        [sys.executable, "-c", ONE_AFTER_THE_OTHER, json.dumps(commands)],
        cwd=one.folder, env=environment(one.env), capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=90,
    )  # fmt: skip
    assert not holds_canary(done.stdout + done.stderr)
    assert len(done.stderr.splitlines()) >= len(commands), "debug level tells something"
    codes: list[int] = json.loads(done.stdout.splitlines()[-1])
    return codes


def test_a_credential_is_found_in_every_spelling(desk: Sandbox, tmp_path: Path) -> None:
    secret = desk.credentials.token_secret
    for number, spelling in enumerate(SPELLINGS):
        (tmp_path / f"{number}.bin").write_bytes(b"\0" * 1000 + spelling + b"...")
    (tmp_path / ".secrets").mkdir()
    (tmp_path / ".secrets" / "token").write_text(secret)
    assert len(list(leaks(tmp_path))) == len(SPELLINGS) == 4
    for path in leaks(tmp_path):
        path.unlink()
    assert holds_canary(f"OAuth oauth_token={quote(secret, safe='')}")
    assert not holds_canary("OAuth oauth_token=***")


def test_h5_the_commands_at_debug_level_show_no_credential(desk: Sandbox, tmp_path: Path) -> None:
    one = project(tmp_path, desk)
    assert together(one, WATCHING) == [0] * len(WATCHING)
    assert list(leaks(tmp_path)) == []


def tell_all(request: Request) -> Response:
    """A source that repeats what it was sent, credentials included, in its message."""
    sent = dict(request.headers)
    return Response.of_json({"message": f"refused: {json.dumps(sent)}", "sent": sent}, status=403)


def web_page(request: Request) -> Response:
    sent = json.dumps(list(request.headers))
    return Response(headers=(("Content-Type", "text/html"),), body=f"<html>{sent}</html>".encode())


@pytest.mark.parametrize("answer", [tell_all, web_page], ids=["403", "html"])
def test_h5_a_source_that_repeats_what_it_was_sent_makes_nobody_show_it(
    desk: Sandbox, tmp_path: Path, answer: object
) -> None:
    with FaultFront(None, respond=answer) as front:  # type: ignore[arg-type]
        one = project(tmp_path, desk, front.url)
        assert together(one, (("check",), ("run",), ("run", "--json"), ("logs",), ("status",))) == [4, 4, 4, 0, 0]
    kept = list((tmp_path / ".connector-core" / "captured").iterdir())
    assert len(kept) == 3
    assert all("oauth_consumer_key" in path.read_text() for path in kept)
    assert list(leaks(tmp_path)) == []


def test_h5_wrong_credentials_and_a_wrong_configuration_show_none(desk: Sandbox, tmp_path: Path) -> None:
    one = project(tmp_path, desk)
    swapped = one.env | {"DESK_TOKEN": one.env["DESK_TOKEN_SECRET"], "DESK_TOKEN_SECRET": one.env["DESK_TOKEN"]}
    one.extra = swapped
    assert together(one, (("check",), ("run",))) == [4, 4]
    path = tmp_path / "connectors.toml"
    path.write_text(path.read_text().replace("token =", "tokn ="))
    assert together(one, (("run",),)) == [2]
    path.write_text(path.read_text() + "\n[")
    assert together(one, (("run",),)) == [2]
    assert list(leaks(tmp_path)) == []
