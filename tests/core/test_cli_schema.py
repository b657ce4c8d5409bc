"""The JSON Schema of connectors.toml says what loading says, as far as a schema can say it."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from connector_core.config.json_schema import json_schema
from connector_core.config.metering import MeteringSettings
from connector_core.config.models import Connector, Destination, LedgerSettings, ServeSettings, StreamSettings
from connector_core.plugins import installed, load
from connector_core.streams import Description
from tests.docs.blocks import ROOT, blocks
from tests.support.commands import command, environment


def present() -> dict[str, Any]:
    """The schema with the plugins that can be found now; other tests add some."""
    return json_schema(load(one.kind, one.name).description for one in installed())


SCHEMA = present()
VALIDATOR = Draft202012Validator(SCHEMA)


URL = "$.extensions.alerts.url"


def as_editors_see(value: Any) -> Any:
    """TOML as JSON: dates and times are texts."""
    if isinstance(value, dict):
        return {key: as_editors_see(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_editors_see(item) for item in value]
    return value.isoformat() if isinstance(value, (date, time)) else value


def file(connector: str = "", *, config: str = "", destination: str = "", more: str = "") -> dict[str, Any]:
    text = f"""
[destinations.warehouse]
type = "duckdb"
path = "w.duckdb"
{destination}
[connectors.stitch_desk]
source = "desk"
destination = "warehouse"
{connector}
[connectors.stitch_desk.config]
site_url = "https://stitch.desk.com"
key = "${{DESK_KEY}}"
secret = {{ env = "DESK_SECRET" }}
token = {{ file = "token" }}
token_secret = "x"
{config}
{more}
"""
    found: dict[str, Any] = as_editors_see(tomllib.loads(text))
    return found


def wrong(document: Mapping[str, Any], validator: Draft202012Validator = VALIDATOR) -> set[str]:
    """Paths of what the schema finds wrong."""
    return {error.json_path for error in validator.iter_errors(document)}


def test_it_is_a_schema_without_references_to_nowhere() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    text = json.dumps(SCHEMA)
    named = {part.split('"')[0] for part in text.split('"$ref": "#/$defs/')[1:]}
    assert named == set(SCHEMA["$defs"])


@pytest.mark.parametrize("document", [ROOT / "README.md", ROOT / "docs" / "configuration.md"], ids=lambda one: one.name)
def test_the_files_that_are_shown_are_valid(document: Path) -> None:
    shown = [tomllib.loads(one.text) for one in blocks(document, "toml")]
    configurations = [one for one in shown if "connectors" in one]
    assert configurations
    assert [wrong(as_editors_see(one)) for one in configurations] == [set()] * len(configurations)
    assert wrong(as_editors_see(tomllib.loads((ROOT / "connectors.toml").read_text()))) == set()


@pytest.mark.parametrize("document", sorted((ROOT / "docs").glob("*.md")), ids=lambda one: one.name)
def test_parts_of_files_that_are_shown_are_valid(document: Path) -> None:
    for one in blocks(document, "toml"):
        shown = tomllib.loads(one.text)
        if shown.keys() <= SCHEMA["properties"].keys():
            assert wrong(as_editors_see({**file(), **shown})) == set()


def test_every_setting_is_explained_to_the_editor() -> None:
    for name in ("connector", "destination", "ledger", "metering", "stream", "source_desk", "destination_duckdb"):
        for setting, about in SCHEMA["$defs"][name]["properties"].items():
            assert about is True or about.get("description"), (name, setting)


@pytest.mark.parametrize(
    ("document", "at"),
    [
        (file(more="[conectors.x]\n"), "$"),
        (file("sorce = 1"), "$.connectors.stitch_desk"),
        (file("batch_records = 0"), "$.connectors.stitch_desk.batch_records"),
        (file("batch_records = true"), "$.connectors.stitch_desk.batch_records"),
        (file("most_deleted = 1.5"), "$.connectors.stitch_desk.most_deleted"),
        (file('schema = "grow"'), "$.connectors.stitch_desk.schema"),
        (file("frequency = 360"), "$.connectors.stitch_desk.frequency"),
        (file('frequency = "6 hours"'), "$.connectors.stitch_desk.frequency"),
        (file('anchor_time = "07:30"'), "$.connectors.stitch_desk.anchor_time"),
        (file('max_rejects = "many"'), "$.connectors.stitch_desk.max_rejects"),
        (file('version = "1"'), "$.connectors.stitch_desk.version"),
        (file('cron = "0 6 * * *"'), "$.connectors.stitch_desk.cron"),
        (file(more="[connectors.stitch_desk.streams.cases]\nselected = false\n"), "$.connectors.stitch_desk.streams"),
        (file("extensions = [1]"), "$.connectors.stitch_desk.extensions"),
        (file(config="kee = 1"), "$.connectors.stitch_desk.config"),
        (file(config="page_size = 101"), "$.connectors.stitch_desk.config.page_size"),
        (file(destination="pth = 1"), "$.destinations.warehouse"),
        (file(destination='memory_limit = "some"'), "$.destinations.warehouse.memory_limit"),
        (file(more='[ledger]\nurl = "mysql://x"\n'), "$.ledger.url"),
        (file(more="[serve]\nmax_parallel = 0\n"), "$.serve.max_parallel"),
        (file(more='[extensions.alerts]\ntype = "webhook"\nurl = "ftp://x"\nsecret = "long enough"\n'), URL),
        (file(more='[extensions.alerts]\ntype = "webhook"\nurll = "x"\n'), "$.extensions.alerts"),
        (file(more="[connectors.'a b']\nsource = 'x'\ndestination = 'y'\n"), "$.connectors"),
        ({"destinations": {}, "connectors": {}}, "$.connectors"),
    ],
    ids=str,
)  # fmt: skip
def test_g3_what_is_wrong_is_found_where_it_stands(document: dict[str, Any], at: str) -> None:
    assert at in wrong(document)


def test_a_missing_setting_of_a_plugin_is_found() -> None:
    document = file()
    del document["connectors"]["stitch_desk"]["config"]["key"]
    del document["destinations"]["warehouse"]["path"]
    assert wrong(document) == {"$.connectors.stitch_desk.config", "$.destinations.warehouse"}
    del document["connectors"]["stitch_desk"]["config"]
    assert "$.connectors.stitch_desk" in wrong(document)


# --- never stricter than loading

VALUES: list[Any] = [
    True, False, 0, 1, 2, 3, 60, 64, 65, 0.5, 1.0, 1.5, -1, 300, 3600, 65536, 1 << 30, [], ["a"], [1], {},
    "", "x", "1", "0.5", "10_000", "true", "No", "ON", "t", "evolve", "freeze", "discard", "split", "reject", "strip",
    "subtables", "native", "skip", "rewrite", "90s", "30m", "6h", "6H", "1d", "2 w", "1.5h", "31d", "61s", "0s",
    "16 MiB", "512kib", "1 GB", "64KiB", "5%", "0.5 %", "101%", "0 7 * * 1-5", "* * * *", "Europe/Berlin", "UTC",
    "2025-11-23", "2025-11-23T00:00:00Z", "20251123", "2025-W01-1", "2026-01-01T07:30:00+0100", "07:30", "1969-01-01",
    datetime.fromisoformat("2025-01-01T07:30:00+00:00"), date(2025, 1, 1),
    "sqlite:///x", "sqlite:///", "postgresql://u:p@h/d", "postgresql+psycopg://h/d",
]  # fmt: skip
NEEDED: dict[type[Any], dict[str, Any]] = {
    Connector: {"key": "k", "name": "n", "source": "s", "destination": "d"},
    Destination: {"key": "k", "type": "t"},
    StreamSettings: {},
    LedgerSettings: {},
    MeteringSettings: {},
    ServeSettings: {},
}


@pytest.mark.parametrize("model", NEEDED, ids=lambda model: model.__name__)
def test_it_takes_every_value_that_loading_takes_and_little_else(model: type[Any]) -> None:
    names = {"StreamSettings": "stream", "LedgerSettings": "ledger", "MeteringSettings": "metering"}
    names |= {"ServeSettings": "serve"}
    table = SCHEMA["$defs"][names.get(model.__name__, model.__name__.lower())]["properties"]
    taken = also = refused = 0
    for field, about in model.model_fields.items():
        setting = about.alias or field
        if setting in ("key", "config", "streams"):
            continue
        one = Draft202012Validator({**table[setting], "$defs": SCHEMA["$defs"]})
        for value in VALUES:
            try:
                model.model_validate({**NEEDED[model], setting: value})
            except ValidationError:
                also += one.is_valid(as_editors_see(value))
                refused += not one.is_valid(as_editors_see(value))
            else:
                taken += 1
                assert one.is_valid(as_editors_see(value)), (setting, value)
    assert taken
    assert refused > 5 * also, "it lets through what loading refuses"


# --- plugins of third parties

NESTED = {
    "type": "object",
    "required": ["hosts"],
    "additionalProperties": False,
    "properties": {
        "hosts": {"type": "array", "items": {"$ref": "#/$defs/host"}},
        "tree": {"$ref": "#/$defs/tree"},
        "self": {"$ref": "#"},
        "mode": {"enum": ["a", "b"]},
        "port": {"type": "integer"},
    },
    "if": {"properties": {"mode": {"const": "b"}}, "required": ["mode"]},
    "then": {"required": ["port"]},
    "$defs": {
        "host": {"type": "string", "pattern": "^h"},
        "tree": {"type": "object", "properties": {"inner": {"$ref": "#/$defs/tree"}, "leaf": {"type": "integer"}}},
    },
}


def test_references_conditions_and_values_from_elsewhere_in_a_plugins_schema_hold() -> None:
    plugin = Description(
        kind="source", name="a.b", config_schema=NESTED, versions=("1", "2"), fixed={"streams.*.lookback": "no"}
    )
    validator = Draft202012Validator(json_schema([plugin]))
    Draft202012Validator.check_schema(validator.schema)

    def paths(config: dict[str, Any], **settings: Any) -> set[str]:
        known = {"source": "a.b", "destination": "w", "version": "1", "config": config, **settings}
        document = {"destinations": {"w": {"type": "other", "any": 1}}, "connectors": {"c": known}}
        return {path.removeprefix("$.connectors.c") for path in wrong(document, validator)}

    assert paths({"hosts": ["h1", "${HOST}", {"env": "HOST"}]}) == set()
    assert paths({"hosts": {"file": "hosts"}, "port": "${PORT}"}) == set()
    assert paths({"hosts": ["x"]}) == {".config.hosts"}
    assert paths({"hosts": [], "tree": {"inner": {"inner": {"leaf": {"env": "LEAF"}}}}}) == set()
    assert paths({"hosts": [], "tree": {"inner": {"inner": {"leaf": "x"}}}}) == {".config.tree"}
    assert paths({"hosts": [], "self": {"hosts": ["x"]}}) == {".config.self"}
    assert paths({"hosts": [], "mode": "b"}) == {".config"}
    assert paths({"hosts": [], "mode": "${MODE}"}) == set()
    assert paths({"hosts": []}, streams={"s": {"lookback": "1h"}}) == {".streams.s.lookback"}
    assert paths({"hosts": []}, version="3") == {".version"}


def test_the_command_writes_it_beside_the_configuration(tmp_path: Path) -> None:
    done = command("schema", cwd=tmp_path)
    assert done.returncode == 0
    assert "wrote connectors.schema.json" in done.stdout
    script = "import json, sys; from tests.core.test_cli_schema import present; json.dump(present(), sys.stdout)"
    fresh = subprocess.run([sys.executable, "-c", script], env=environment(), cwd=ROOT, capture_output=True, check=True)
    wanted = json.loads(fresh.stdout)  # with the plugins that a process of its own finds, as the command does
    assert wanted["properties"].keys() == present()["properties"].keys()
    assert json.loads((tmp_path / "connectors.schema.json").read_text()) == wanted
    assert json.loads(command("schema", "--json", cwd=tmp_path).stdout) == wanted
