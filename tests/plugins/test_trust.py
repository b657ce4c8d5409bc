"""What a plugin is given, and when it is loaded at all: its own section, and only when it is named."""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from connector_core.cli import invoke
from tests.docs.blocks import README, ROOT
from tests.support.trees import distribution

SOURCE = """
import json, logging
from connector_core import Catalog, Description, Page, Stream, hookimpl

SCHEMA = {
    "type": "object",
    "properties": {"site": {"type": "string"}, "token": {"type": "string", "writeOnly": True}},
}
log = logging.getLogger(__name__)


class Chatty:
    @hookimpl
    def describe(self):
        return Description(kind="source", name="chatty", config_schema=SCHEMA)

    @hookimpl
    def authenticate(self, config):
        given("source", config)
        log.warning("connecting with %s", config)
        log.warning("as JSON: " + json.dumps(config))
        return config

    @hookimpl
    def discover(self, config, client):
        schema = {"type": "object", "properties": {"id": {"type": "integer"}}}
        return Catalog(streams=(Stream(name="things", schema=schema, primary_key=("id",)),))

    @hookimpl
    def extract(self, client, page):
        if client["site"] == "broken":
            raise RuntimeError(f"refused: {client}")
        return Page(records=[{"id": 1}])


source = Chatty()
"""
EXTENSION = """
from connector_core import Description, hookimpl

SCHEMA = {"type": "object", "properties": {"pass": {"type": "string", "writeOnly": True}}}


@hookimpl
def describe():
    return Description(kind="extension", name="watch", config_schema=SCHEMA)


@hookimpl
def observe(event, config):
    given("extension", config)
"""
CONFIG = """
[destinations.warehouse]
type = "duckdb"
path = "warehouse.duckdb"

[extensions.watch]
type = "watch"
pass = "secret-of-watch"

[connectors.first]
source = "chatty"
destination = "warehouse"
extensions = ["watch"]
[connectors.first.config]
site = "one"
token = "secret-of-first"

[connectors.second]
source = "chatty"
destination = "warehouse"
[connectors.second.config]
site = "broken"
token = "secret-of-second"
"""
SECRETS = ("secret-of-watch", "secret-of-first", "secret-of-second")
Given = Callable[[], list[tuple[str, dict[str, str]]]]


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Given:
    """A project with a source and an extension that keep what they were given; `given()` is that, each once, in the
    order in which it came. A third plugin is installed and named nowhere."""
    name, told = f"trust_{uuid.uuid4().hex}", tmp_path / "given.jsonl"
    keep = f"""
def given(who, config):
    import json
    with open({str(told)!r}, "a") as file:
        file.write(json.dumps([who, dict(config)]) + "\\n")
"""
    site = distribution(
        tmp_path / "site",
        "chatty-tools",
        sources={"chatty": f"{name}_source:source", "unnamed": f"{name}_unnamed:source"},
        extensions={"watch": f"{name}_watch"},
        modules={
            f"{name}_source": SOURCE + keep,
            f"{name}_watch": EXTENSION + keep,
            f"{name}_unnamed": f"{keep}\ngiven('unnamed', {{}})\nsource = None\n",
        },
    )
    monkeypatch.syspath_prepend(site)
    (tmp_path / "connectors.toml").write_text(CONFIG)
    (tmp_path / "connectors.toml").chmod(0o600)
    monkeypatch.chdir(tmp_path)

    def read() -> list[tuple[str, dict[str, str]]]:
        return [(who, config) for who, config in map(json.loads, dict.fromkeys(told.read_text().splitlines()))]

    return read


def test_h11_a_plugin_is_given_its_own_section_and_nothing_that_it_says_shows_a_secret(
    given: Given, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["run"]) == 6  # the second one is broken
    assert sorted(given(), key=str) == [
        ("extension", {"pass": "secret-of-watch"}),
        ("source", {"site": "broken", "token": "secret-of-second"}),
        ("source", {"site": "one", "token": "secret-of-first"}),
    ]
    assert invoke(["logs"]) == 0
    out, err = capsys.readouterr()
    assert "connecting with" in out + err
    assert "refused" in out + err
    assert [secret for secret in SECRETS if secret in out + err] == []
    left = [path for path in (tmp_path / ".connector-core").rglob("*") if path.is_file()]
    assert left
    assert [(path, secret) for path in left for secret in SECRETS if secret.encode() in path.read_bytes()] == []


def test_h12_what_no_configuration_names_is_listed_and_never_imported(
    given: Given, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (["plugins"], ["check", "first"], ["run", "first"], ["status"], ["plan", "first"], ["schedule"]):
        assert invoke(words) == 0, words
    assert "unnamed" in capsys.readouterr().out
    assert {who for who, _ in given()} == {"source", "extension"}
    assert [name for name in sys.modules if name.startswith("trust_") and name.endswith("_unnamed")] == []


def test_h11_the_documents_say_plainly_that_a_plugin_is_trusted_code() -> None:
    assert "**A plugin is trusted code.**" in (ROOT / "docs" / "hooks.md").read_text()
    pages = [README, *(ROOT / "docs" / f"write-a{what}.md" for what in ("-source", "-destination", "n-extension"))]
    assert [page for page in pages if "trusted" not in page.read_text()] == []
