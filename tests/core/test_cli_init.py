"""`connector-core init`: on a terminal and with options, into a new file and into one that is there."""

from __future__ import annotations

import json
import os
import stat
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from connector_core import config
from connector_desk.sandbox import Sandbox, Settings
from tests.support.commands import command
from tests.support.terminal import typed
from tests.support.trees import acme

SECRETS = ("key", "secret", "token", "token_secret")
INTO = ("--destination-type", "duckdb", "--destination-set", "path=warehouse.duckdb")


@pytest.fixture(scope="module")
def desk() -> Iterator[Sandbox]:
    with Sandbox(Settings(cases=5, customers=3, users=3, replies=0.5, rate_limit=1_000_000)) as sandbox:
        yield sandbox


@pytest.fixture
def no_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def env_of(desk: Sandbox) -> dict[str, str]:
    return {f"THE_{name.upper()}": getattr(desk.credentials, name) for name in SECRETS}


def options(desk: Sandbox, *more: str, url: str = "") -> list[str]:
    secrets = [word for name in SECRETS for word in ("--set", f"{name}=env:THE_{name.upper()}")]
    return [
        "init",
        "--source",
        "desk",
        "--name",
        "Stitch Desk",
        "--set",
        f"site_url={url or desk.url}",
        *secrets,
        *more,
    ]


def test_h5_g12_on_a_terminal_it_asks_explains_tries_and_writes_what_runs_at_once(
    desk: Sandbox, tmp_path: Path
) -> None:
    known = desk.credentials
    code, screen = typed(
        "init",
        "--source",
        "desk",
        cwd=tmp_path,
        answers=[
            ("the schema [Desk]: ", "pg_desk"),
            ("the schema [Desk]: ", "Stitch Desk"),
            ("Site URL", desk.url),
            ("Key of", known.key),
            ("Secret of", known.secret),
            ("Token, under", known.token_secret),  # mixed up, as the page warns
            ("Token Secret; take care", known.token),
            ("since [one year", "2030-01-01"),
            ("since [one year", "2020-01-01"),
            ("Time between", "90"),
            ("Time between", "6h"),
            ("Anchor", "2026-01-01T07:30:00Z"),
            ("[warehouse]: ", ""),
            ("Its type (", "duckdb"),
            ("path (", "warehouse.duckdb"),
            ("[again]: ", ""),
            ("[Stitch Desk]: ", ""),
            ("Site URL", ""),
            ("Key of", ""),
            ("Secret of", ""),
            ("Token, under", known.token),
            ("Token Secret; take care", known.token_secret),
            ("since [2020-01-01]", ""),
            ("runs, such as", ""),
            ("Anchor", ""),
            ("[warehouse]: ", ""),
            ("path (", ""),
        ],
    )
    assert code == 0, screen
    assert not [secret for name in SECRETS if (secret := getattr(known, name)) in screen]
    for told in (
        "gives no possible schema ('pg_desk'): databases keep this name for themselves",
        "schema stitch_desk; this cannot change after the first run",
        "Click +Add API Application",
        "Click Your Access Token",
        "lies in the future",
        "should be whole minutes, at least 1m",
        "failed  source         credentials refused by the source",
        "ok  source         5 streams",
        "wrote connectors.toml, connectors.schema.json, 4 secrets in .secrets",
        "next: connector-core run stitch_desk",
    ):
        assert told in screen

    assert files(tmp_path) == {
        "connectors.toml", "connectors.schema.json", ".secrets/.gitignore",
        *(f".secrets/connectors.stitch_desk.{name}" for name in SECRETS),
    }  # fmt: skip
    assert mode(tmp_path / ".secrets") == 0o700
    assert {mode(path) for path in (tmp_path / ".secrets").iterdir()} == {0o600}
    assert (tmp_path / ".secrets" / ".gitignore").read_text() == "*\n"
    assert mode(tmp_path / "connectors.toml") == 0o644
    text = (tmp_path / "connectors.toml").read_text()
    assert text.startswith("#:schema ./connectors.schema.json\n")
    assert "# page_size = 100 " in text
    assert "# 1. Click +Add API Application" in text
    table = tomllib.loads(text)["connectors"]["stitch_desk"]
    assert (table["name"], table["version"], table["frequency"]) == ("Stitch Desk", "15-10-2015", "6h")
    assert (str(table["start_date"]), str(table["anchor_time"])) == ("2020-01-01", "2026-01-01 07:30:00+00:00")

    assert command("check", cwd=tmp_path).returncode == 0
    assert command("run", cwd=tmp_path).returncode == 0


def test_the_end_of_the_terminal_writes_nothing(tmp_path: Path) -> None:
    code, screen = typed("init", "--source", "desk", answers=[("[Desk]: ", ""), ("Site URL", "\x04")], cwd=tmp_path)
    assert code == 130
    assert "stopped; nothing was written" in screen
    assert files(tmp_path) == set()


def test_without_a_terminal_all_that_is_missing_or_wrong_is_one_line(tmp_path: Path) -> None:
    done = command(
        "init", "--source", "desk", "--frequency", "61s", "--start-date", "yesterday", "--set", "sitte=x",
        "--set", "page_size=0", "--set", "token=a secret", "--set", "nothing",
        "--destination-type", "duckdb", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    for told in (
        "--set site_url=...", "--set key=env:NAME", "--set token_secret=env:NAME", "--destination-set path=...",
        "--frequency should be whole minutes", "--start-date should be a date such as", "--set page_size=... should be",
        "--set token=... would show a secret", "--set takes KEY=VALUE",
        'sitte: is not a setting of desk - did you mean "site_url"?', "or type the command on a terminal",
    ):  # fmt: skip
        assert told in line
    assert files(tmp_path) == set()


def test_options_alone_write_a_file_that_takes_its_secrets_from_the_environment(desk: Sandbox, tmp_path: Path) -> None:
    done = command(*options(desk, *INTO, "--json"), cwd=tmp_path, env=env_of(desk))
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["connector"], told["namespace"]) == ("stitch_desk", "stitch_desk")
    assert [part["ok"] for part in told["parts"]] == [True] * 4
    assert files(tmp_path) == {"connectors.toml", "connectors.schema.json"}
    loaded = config.load(tmp_path / "connectors.toml", env=env_of(desk))
    assert loaded.source_config("stitch_desk")["token"] == desk.credentials.token
    assert command("check", cwd=tmp_path, env=env_of(desk)).returncode == 0


def test_a_connector_is_added_to_a_file_whose_text_stays_as_it_is(desk: Sandbox, tmp_path: Path) -> None:
    path = tmp_path / "connectors.toml"
    assert command(*options(desk, *INTO), cwd=tmp_path, env=env_of(desk)).returncode == 0
    kept = path.read_text().replace('"6h"', '"12h"') + "\n# a remark of ours\n"
    path.write_text(kept)
    path.chmod(0o640)
    (tmp_path / "given").mkdir()
    (tmp_path / "given" / "token").write_text(desk.credentials.token + "\n")
    again = [word if word != "Stitch Desk" else "Second (Desk)" for word in options(desk)]
    again[again.index("token=env:THE_TOKEN")] = "token=file:given/token"
    done = command(*again, cwd=tmp_path, env=env_of(desk))
    assert done.returncode == 0, done.stderr
    assert path.read_text().startswith(kept)
    assert mode(path) == 0o640
    loaded = config.load(path, env=env_of(desk))
    assert {key: one.destination for key, one in loaded.connectors.items()} == {
        "stitch_desk": "warehouse", "second_desk": "warehouse",
    }  # fmt: skip
    assert loaded.source_config("second_desk")["token"] == desk.credentials.token


def test_nothing_is_overwritten_without_being_asked(desk: Sandbox, tmp_path: Path) -> None:
    path = tmp_path / "connectors.toml"
    assert command(*options(desk, *INTO, "--no-check"), cwd=tmp_path).returncode == 0
    first = path.read_text()
    taken = command(*options(desk), cwd=tmp_path, env=env_of(desk))
    assert taken.returncode == 2
    assert "--name is taken: connectors.toml has a connector with the schema stitch_desk already" in taken.stderr
    again = command(*options(desk, *INTO), cwd=tmp_path, env=env_of(desk))
    assert "leave out its type and settings to load into it, or give a new one another --destination" in again.stderr
    assert path.read_text() == first
    replaced = command(*options(desk, *INTO, "--overwrite", "--frequency", "1h"), cwd=tmp_path, env=env_of(desk))
    assert replaced.returncode == 0, replaced.stderr
    assert 'frequency = "1h"' in path.read_text()
    assert (tmp_path / "connectors.toml.bak").read_text() == first


def test_a_secret_that_lies_there_already_is_not_overwritten(desk: Sandbox, tmp_path: Path) -> None:
    (tmp_path / ".secrets").mkdir()
    there = tmp_path / ".secrets" / "connectors.desk.key"
    there.write_text("of another connector")
    answers = [
        ("[Desk]: ", ""), ("Site URL", desk.url), ("Key of", "canary-a"), ("Secret of", "canary-b"),
        ("Token, under", "canary-c"),
        ("Token Secret;", "canary-d"), ("since", ""), ("Time between", ""), ("[warehouse]", ""),
        ("Its type (", "duckdb"), ("path (", "w.duckdb"),
    ]  # fmt: skip
    code, screen = typed("init", "--source", "desk", "--no-check", answers=answers, cwd=tmp_path)
    assert code == 2
    assert "there is such a file already" in screen
    assert "--overwrite" in screen
    assert files(tmp_path) == {".secrets/connectors.desk.key"}
    assert there.read_text() == "of another connector"


def test_h5_a_secret_on_the_command_line_is_refused(desk: Sandbox, tmp_path: Path) -> None:
    words = options(desk, *INTO)
    words[words.index("token=env:THE_TOKEN")] = f"token={desk.credentials.token}"
    done = command(*words, cwd=tmp_path, env=env_of(desk))
    assert done.returncode == 2
    assert "would show a secret to every user of this machine" in done.stderr
    assert desk.credentials.token not in done.stderr + done.stdout
    assert files(tmp_path) == set()


def test_what_cannot_sign_in_is_not_written_unless_it_need_not_be_tried(desk: Sandbox, tmp_path: Path) -> None:
    env = env_of(desk) | {"THE_TOKEN": "wrong-token"}
    done = command(*options(desk, *INTO), cwd=tmp_path, env=env)
    assert done.returncode == 4
    assert "credentials refused by the source" in done.stdout
    assert "nothing was written" in done.stderr
    assert files(tmp_path) == set()
    assert command(*options(desk, *INTO, "--no-check"), cwd=tmp_path, env=env).returncode == 0
    assert files(tmp_path) == {"connectors.toml", "connectors.schema.json"}


def test_any_source_and_destination_is_asked_by_its_own_schema(tmp_path: Path) -> None:
    tree = acme(tmp_path / "tree", "initial", versions=("1", "2"), fixed={"start_date": "acme has none"})
    folder = tmp_path / "here"
    folder.mkdir()
    answers = [
        ("Source (acme, desk, files, singer): ", "acme"), ("[Acme]: ", ""), ("Version (1, 2): ", "2"),
        ("site (Address of the site): ", "ftp://x"), ("site (Address of the site): ", "https://x"),
        ("Token from the admin page", "canary-token"),
        ("Another setting, by its name (strict, mode", "strict"), ("strict: ", "perhaps"), ("strict: ", "true"),
        ("Another setting, by its name (mode", ""), ("Time between", "0h"), ("Time between", ""),
        ("[warehouse]: ", "cellar"), ("Its type (", "sink"), ("path: ", "x"),
        ("Another setting, by its name (password)", "password"), ("password (not shown)", "canary-password"),
    ]  # fmt: skip
    code, screen = typed("init", "--no-check", answers=answers, cwd=folder, trees=[tree])
    assert code == 0, screen
    assert "should match ^https?://" in screen
    assert "should be true or false" in screen
    assert "canary" not in screen
    loaded = tomllib.loads((folder / "connectors.toml").read_text())
    assert loaded["destinations"] == {
        "cellar": {"type": "sink", "path": "x", "password": {"file": ".secrets/destinations.cellar.password"}}
    }
    assert loaded["connectors"]["acme"]["config"] == {
        "site": "https://x", "strict": True, "token": {"file": ".secrets/connectors.acme.token"},
    }  # fmt: skip
    assert loaded["connectors"]["acme"]["version"] == "2"
