"""The commands that do not run anything: help, plugins, describe, check, status; their words and exit codes."""

from __future__ import annotations

import json
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from connector_core.cli.app import commands
from connector_core.cli.exit_codes import worst
from connector_core.cli.output import print_line, print_table
from tests.support.commands import command, environment
from tests.support.trees import acme, distribution

CANARY = "c4n4ry-S3cret"
SITE = Path(__file__).parents[1] / "support" / "site"

TOML = """\
[destinations.warehouse]
type = "duckdb"
path = "warehouse.duckdb"
[connectors.shop]
source = "scripted"
destination = "warehouse"
[connectors.shop.config]
data = "data.json"
password = "${PASSWORD}"
"""
ENV = {"PASSWORD": CANARY}
DATA = {"streams": [{"name": "orders", "schema": {"type": "object"}, "primary_key": ["id"]}], "records": {}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A user's folder with the scripted source and DuckDB."""
    (tmp_path / "connectors.toml").write_text(TOML)
    (tmp_path / "connectors.toml").chmod(0o600)
    (tmp_path / "data.json").write_text(json.dumps(DATA))
    return tmp_path


# --- help and usage


DRIVERS = {"duckdb", "psycopg", "snowflake", "requests", "urllib3", "requests_oauthlib", "jsonschema", "asyncpg"}
PLUGINS = {"connector_desk", "connector_duckdb", "connector_postgres", "connector_snowflake"}
ENGINE = {"sqlalchemy", "pydantic", "jsonschema_rs", "rich", "orjson", "croniter", "pluggy"}


@pytest.mark.parametrize(
    ("arguments", "heavy"),
    [
        (["--help"], DRIVERS | PLUGINS | ENGINE),
        (["status"], DRIVERS | PLUGINS | {"connector_core.pipeline", "sqlalchemy.dialects.postgresql"}),
        (["usage"], DRIVERS | PLUGINS | {"connector_core.pipeline", "sqlalchemy.dialects.postgresql"}),
    ],
)
def test_a_command_imports_only_what_it_needs(arguments: list[str], heavy: set[str], folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "connector_core", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        env=environment(ENV, trees=[SITE]),
    )
    assert done.returncode == 0
    assert done.stdout
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert {"typer", "connector_core"} <= imported
    assert imported & heavy == set()


def test_help_lists_every_command_and_the_exit_codes(tmp_path: Path) -> None:
    text = " ".join(command("--help", cwd=tmp_path).stdout.split())
    for name in {name.split()[0] for name in commands()}:
        assert f" {name} " in text
    for code in ("0", "2", "3", "4", "5", "6", "75", "130/143"):
        assert f"{code} " in text.partition("Exit codes:")[2]


@pytest.mark.parametrize("name", sorted(commands()))
def test_every_command_explains_itself(name: str, tmp_path: Path) -> None:
    done = command(*name.split(), "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert f"connector-core {name}" in done.stdout
    assert "--json" in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["frobnicate"],
        ["run", "--frobnicate"],
        ["describe"],
        ["rejects", "replay"],
        ["rejects", "list", "--limit", "0"],
        ["--config"],
    ],
)
def test_wrong_usage_is_exit_code_2(arguments: list[str], tmp_path: Path) -> None:
    done = command(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Error" in done.stderr


def test_of_several_exit_codes_the_gravest_counts() -> None:
    assert [worst(codes) for codes in ([], [0, 0], [0, 75], [75, 3], [3, 4], [4, 5], [5, 2], [2, 6], [6, 143])] == [
        0, 0, 75, 3, 4, 5, 2, 6, 143,
    ]  # fmt: skip


# --- configuration errors


@pytest.mark.parametrize(
    "arguments", [["check"], ["run"], ["status"], ["rejects", "list"], ["rejects", "replay", "shop"]]
)
def test_g1_without_a_configuration_nothing_begins(arguments: list[str], tmp_path: Path) -> None:
    done = command(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: connectors.toml: there is no such file - give the file with --config PATH")
    assert list(tmp_path.iterdir()) == []


def test_the_configuration_is_named_by_option_or_variable(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    file = str(folder / "connectors.toml")
    by_option = command("--config", file, "status", cwd=elsewhere, env=ENV, trees=[SITE])
    by_variable = command("status", cwd=elsewhere, env={**ENV, "CONNECTOR_CORE_CONFIG": file}, trees=[SITE])
    assert by_option.stdout == by_variable.stdout
    assert (by_option.returncode, by_variable.returncode) == (0, 0)
    assert "shop" in by_option.stdout


def test_g3_all_problems_one_line_each(folder: Path) -> None:
    (folder / "connectors.toml").write_text(TOML.replace("source =", "sauce =").replace("path =", "pth ="))
    done = command("run", cwd=folder, env=ENV, trees=[SITE])
    assert done.returncode == 2
    assert done.stdout == ""
    first, *others = done.stderr.splitlines()
    assert first.startswith("error: connectors.toml:1: destinations.warehouse.path: is missing - ")
    assert others == [
        'error: connectors.toml:3: destinations.warehouse.pth: is not a known setting - did you mean "path"? '
        "[config_invalid]",
        "error: connectors.toml:4: connectors.shop.source: is missing - name of the source plugin, for instance desk "
        "[config_invalid]",
        'error: connectors.toml:5: connectors.shop.sauce: is not a known setting - did you mean "source"? '
        "[config_invalid]",
    ]
    assert not (folder / ".connector-core").exists()
    assert not (folder / "warehouse.duckdb").exists()


def test_g8_the_variable_is_named_and_debug_shows_no_secret_either(folder: Path) -> None:
    done = command("run", cwd=folder, env={"PASSWORD": f"{CANARY}\n"}, trees=[SITE])
    assert done.returncode == 2
    assert "the environment variable PASSWORD has several lines" in done.stderr
    assert CANARY not in done.stderr
    debugged = subprocess.run(
        [sys.executable, "-m", "connector_core", "--debug", "run"],
        cwd=folder, env=environment({"PASSWORD": f"{CANARY}\n"}, trees=[SITE]), capture_output=True, text=True,
    )  # fmt: skip
    assert "Traceback" in debugged.stderr
    assert CANARY not in debugged.stderr


# --- plugins and describe


def test_plugins_lists_names_and_origins_without_importing(tmp_path: Path) -> None:
    tree = distribution(tmp_path / "site", "broken", version="0.9", sources={"broken": "no_module_of_this_name:x"})
    text = command("plugins", cwd=tmp_path, trees=[tree]).stdout
    assert re.search(r"^source +broken +broken +0\.9 +no_module_of_this_name:x$", text, re.MULTILINE)
    assert re.search(r"^destination +duckdb +connector-duckdb ", text, re.MULTILINE)
    found = json.loads(command("plugins", "--json", cwd=tmp_path, trees=[tree]).stdout)
    assert {"desk", "broken", "duckdb"} <= {plugin["name"] for plugin in found}
    assert next(p for p in found if p["name"] == "broken")["version"] == "0.9"


def test_describe_desk_is_the_page(tmp_path: Path) -> None:
    done = command("describe", "desk", cwd=tmp_path)
    assert done.returncode == 0
    for line in (
        r"Versions: 15-10-2015",
        r"  Release status +Released on October 15, 2015",
        r"  Supported by +Stitch",
        r"  Stitch plan +Standard",
        r"  API availability +Not available",
        r"  Singer GitHub repository +Not applicable",
        r"  Anchor Scheduling +Supported",
        r"  Advanced Scheduling +Unsupported",
        r"  Table-level reset +Unsupported",
        r"  Configurable Replication Methods +Unsupported",
        r"  Table selection +Unsupported",
        r"  Column selection +Unsupported",
        r"  Select all +Unsupported",
        r"  Extraction Logs +Supported",
        r"  Loading Reports +Supported",
        r"  cases +Key-based Incremental +id +updated_at +cases__labels.*",
        r"  customers +Key-based Incremental +id +updated_at +customers__emails, .*customers__addresses.*",
        r"  replies +Key-based Incremental +case_id:reply_id +.*cases",
        r"  users +Full Table +id",
        r"  user_groups +Full Table +user_id:id",
        r"  token_secret +string, secret +required +.*",
    ):
        assert re.search(rf"^{line}$", done.stdout, re.MULTILINE), line


def test_describe_as_json(tmp_path: Path) -> None:
    described = json.loads(command("describe", "desk", "--json", cwd=tmp_path).stdout)
    assert (described["kind"], described["versions"], described["frequency"]) == ("source", ["15-10-2015"], 1800)
    streams = {stream["name"]: stream for stream in described["streams"]}
    assert streams["replies"]["primary_key"] == ["case_id", "reply_id"]
    assert streams["cases"]["tables"]["cases__labels"] == {"value": "string"}
    assert streams["users"]["replication"] == "full_table"


def test_describe_an_unknown_plugin(tmp_path: Path) -> None:
    done = command("describe", "deks", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: there is no plugin 'deks' - did you mean \"desk\"? [plugin_unknown]\n"


def test_describe_shows_kinds_of_one_name_and_settings(tmp_path: Path) -> None:
    tree = acme(tmp_path / "site", "acme_described", fixed={"cron": "Acme has no cron"})
    text = command("describe", "acme", cwd=tmp_path, trees=[tree]).stdout
    assert text.startswith("Acme (source acme, acme-tools 2.3)\n")
    assert "Default frequency: 30m\n" in text
    assert re.search(r"^  cron +Acme has no cron$", text, re.MULTILINE)
    assert re.search(r"^  token +string, secret +required +Token from the admin page$", text, re.MULTILINE)
    assert re.search(r"^  port +integer +default 443$", text, re.MULTILINE)


def test_d12_a_broken_plugin_is_exit_code_6_and_blamed(tmp_path: Path) -> None:
    tree = distribution(tmp_path / "site", "bad", sources={"bad": "bad_module:x"}, modules={"bad_module": "1 / 0"})
    done = command("describe", "bad", cwd=tmp_path, trees=[tree])
    assert done.returncode == 6
    assert done.stderr.startswith("error: plugin 'bad' (bad 1.0), hook import: cannot be imported: ZeroDivisionError")
    assert len(done.stderr.splitlines()) == 1


CRASHING = """
import os
from connector_core import Catalog, Description, Page, hookimpl


class Snapshot(dict):
    def items(self):
        raise RuntimeError("trouble with " + os.environ["PASSWORD"])


@hookimpl
def describe():
    return Description(kind="source", name="crashing", snapshot=Snapshot(a={}))

@hookimpl
def authenticate(config):
    return config

@hookimpl
def discover(config):
    return Catalog(streams=())

@hookimpl
def extract(stream):
    return Page(records=[])
"""


def test_an_unexpected_error_is_one_line_and_a_private_redacted_file(folder: Path, tmp_path: Path) -> None:
    tree = distribution(
        tmp_path / "s", "c", sources={"crashing": "crashing_plugin"}, modules={"crashing_plugin": CRASHING}
    )
    done = command("describe", "crashing", cwd=folder, env=ENV, trees=[tree], umask=0)
    assert done.returncode == 6
    (line,) = done.stderr.splitlines()
    found = re.fullmatch(
        r"error: internal error: RuntimeError: trouble with \*\*\*; the details are in (\S+) \[internal\]", line
    )
    assert found
    crash = folder / found[1]
    assert crash.parent == folder / ".connector-core"
    assert stat.S_IMODE(crash.stat().st_mode) == 0o600
    assert stat.S_IMODE(crash.parent.stat().st_mode) == 0o700
    text = crash.read_text()
    assert "Traceback" in text
    assert "RuntimeError: trouble with ***" in text
    assert CANARY not in text


def test_h8_what_is_printed_cannot_steer_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_line("a\x1b[31mb\nc")
    print_table(["x"], [["\x1b[0m\u202e", 1]])
    assert capsys.readouterr().out == "a\\x1b[31mb\\nc\nx\n\\x1b[0m\\u202e  1\n"


# --- check and status


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_check_tries_everything_and_changes_nothing(folder: Path) -> None:
    before = files(folder)
    done = command("check", cwd=folder, env=ENV, trees=[SITE])
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "shop: scripted into warehouse, schema shop"
    assert [line.split()[:2] for line in lines[1:]] == [
        ["ok", part] for part in ("configuration", "plugins", "source", "destination")
    ]
    assert "scripted-source 1.0; connector-duckdb" in lines[2]
    assert "1 stream (orders)" in lines[3]
    assert files(folder) == before


def test_check_as_json(folder: Path) -> None:
    found = json.loads(command("check", "--json", "shop", cwd=folder, env=ENV, trees=[SITE]).stdout)
    assert (found["connector"], found["namespace"], found["ok"]) == ("shop", "shop", True)
    assert [part["part"] for part in found["parts"]] == ["configuration", "plugins", "source", "destination"]


def test_check_gives_up_soon_on_a_source_in_trouble(folder: Path) -> None:
    data = json.loads((folder / "data.json").read_text())
    (folder / "data.json").write_text(json.dumps(data | {"faults": {"orders": {"1": "retry"}}}))
    done = command("check", cwd=folder, env=ENV, trees=[SITE])
    assert done.returncode == 4
    assert re.search("a passing fault; given up after [34] attempts", done.stdout)


def test_check_tells_which_part_fails_and_goes_on_with_the_others(folder: Path) -> None:
    (folder / "warehouse.duckdb").write_text("this is no DuckDB file" * 100)
    done = command("check", cwd=folder, env=ENV, trees=[SITE])
    assert done.returncode == 5
    parts = {line.split()[1]: line.split()[0] for line in done.stdout.splitlines()[1:]}
    assert parts == {"configuration": "ok", "plugins": "ok", "source": "ok", "destination": "failed"}
    (folder / "data.json").unlink()
    again = command("check", cwd=folder, env=ENV, trees=[SITE])
    assert again.returncode == 6
    assert re.search(
        r"^  failed +source +plugin 'scripted' .*hook (authenticate|discover): raised FileNotFoundError",
        again.stdout,
        re.MULTILINE,
    )
    assert re.search(r"^  failed +destination ", again.stdout, re.MULTILINE)


REFUSING = """
from connector_core import AuthError, Catalog, Description, Page, hookimpl

SCHEMA = {"type": "object", "properties": {"token": {"type": "string", "writeOnly": True}}}

@hookimpl
def describe():
    return Description(kind="source", name="refusing", config_schema=SCHEMA)

@hookimpl
def authenticate(config):
    raise AuthError("credentials refused: " + config["token"], hint="renew them")

@hookimpl
def discover(config):
    return Catalog(streams=())

@hookimpl
def extract(stream):
    return Page(records=[])
"""


def test_h5_check_never_shows_a_secret_even_when_a_plugin_would(folder: Path, tmp_path: Path) -> None:
    tree = distribution(
        tmp_path / "s", "r", sources={"refusing": "refusing_plugin"}, modules={"refusing_plugin": REFUSING}
    )
    text = TOML.replace('"scripted"', '"refusing"').replace('data = "data.json"\npassword =', "token =")
    (folder / "connectors.toml").write_text(text)
    for form in (["check"], ["check", "--json"]):
        done = command(*form, cwd=folder, env=ENV, trees=[tree])
        assert done.returncode == 4
        assert "credentials refused: ***" in done.stdout
        assert CANARY not in done.stdout + done.stderr
    debugged = subprocess.run(
        [sys.executable, "-m", "connector_core", "--debug", "check"],
        cwd=folder, env=environment(ENV, trees=[tree]), capture_output=True, text=True,
    )  # fmt: skip
    assert "Traceback" in debugged.stderr
    assert "credentials refused: ***" in debugged.stderr
    assert CANARY not in debugged.stdout + debugged.stderr


def test_check_knows_streams_that_are_configured_but_not_there(folder: Path) -> None:
    (folder / "connectors.toml").write_text(TOML + '[connectors.shop.streams.oders]\nschema = "freeze"\n')
    done = command("check", cwd=folder, env=ENV, trees=[SITE])
    assert done.returncode == 2
    assert '[connectors.shop.streams.oders] names no stream of scripted - did you mean "orders"?' in done.stdout


def test_a_named_connector_is_checked_although_it_is_disabled(folder: Path) -> None:
    (folder / "connectors.toml").write_text(TOML.replace("source =", "enabled = false\nsource ="))
    nothing = command("check", cwd=folder, env=ENV, trees=[SITE])
    assert nothing.returncode == 2
    assert "no connector in connectors.toml is enabled - set enabled = true" in nothing.stderr
    named = command("check", "shop", cwd=folder, env=ENV, trees=[SITE])
    assert named.returncode == 0
    assert "not enabled" in named.stdout
    unknown = command("check", "shpo", cwd=folder, env=ENV, trees=[SITE])
    assert unknown.returncode == 2
    assert "there is no connector 'shpo' in connectors.toml - did you mean \"shop\"?" in unknown.stderr


def test_status_before_the_first_run_is_pending_and_makes_nothing(folder: Path) -> None:
    before = files(folder)
    done = command("status", cwd=folder, trees=[SITE])  # no variable has to be set for it
    assert done.returncode == 0
    assert re.search(r"^shop +shop +pending +due now$", done.stdout, re.MULTILINE)
    (one,) = json.loads(command("status", "--json", cwd=folder).stdout)["connectors"]
    assert (one["connector"], one["state"], one["enabled"], one["namespace"]) == ("shop", "pending", True, "shop")
    assert files(folder) == before
