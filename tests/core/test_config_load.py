"""The configuration as a whole: all problems at once, each with key, line and what to do; secrets that do not show."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import traceback
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from connector_core.config import Config, InvalidConfigError, Secret, load
from connector_core.errors import ConfigError, PluginError
from tests.support.trees import acme, distribution

CANARY = "c4n4ry-S3cret"
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)

HEAD = """\
[destinations.warehouse]
type = "sink"
path = "warehouse.db"
"""
SHOP = """\
[connectors.shop]
name = "Web Shop"
source = "acme"
destination = "warehouse"
[connectors.shop.config]
site = "https://shop.example"
token = "${TOKEN}"
"""
ENV = {"TOKEN": CANARY}

Load = Callable[..., Config]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """A function that installs the plugins `acme` and `sink`, writes a configuration and loads it."""

    def loaded(
        text: str, env: Mapping[str, str] = ENV, *, wanted: Any = None, mode: int = 0o600, **facts: Any
    ) -> Config:
        module = f"acme_{uuid.uuid4().hex}"
        monkeypatch.syspath_prepend(acme(tmp_path / module, module, **facts))
        file = tmp_path / "connectors.toml"
        file.write_text(text)
        file.chmod(mode)
        return load(file, env, wanted=wanted, now=NOW)

    return loaded


def problems(project: Load, text: str, env: Mapping[str, str] = ENV, **facts: Any) -> list[str]:
    """The lines of all problems, without the file's folder."""
    with pytest.raises(InvalidConfigError) as caught:
        project(text, env, **facts)
    assert caught.value.exit_code == 2
    shown = [str(caught.value), repr(caught.value), "".join(traceback.format_exception(caught.value))]
    assert not any(CANARY in text for text in shown)
    return [line.partition("connectors.toml")[2].removeprefix(":") for line in str(caught.value).splitlines()]


def test_a_configuration_is_loaded(project: Load, tmp_path: Path) -> None:
    config = project(HEAD + SHOP + 'port = "${PORT:-8443}"\nsince = 2026-01-02\nfile = "data/x.csv"\n')
    shop = config.connectors["shop"]
    assert (shop.key, shop.name, shop.namespace) == ("shop", "Web Shop", "web_shop")
    assert config.source_config("shop") == {
        "site": "https://shop.example",
        "token": CANARY,
        "port": 8443,
        "since": "2026-01-02",
        "file": str(tmp_path / "data/x.csv"),
    }
    assert config.destination_config("warehouse") == {"path": str(tmp_path / "warehouse.db")}
    assert config.ledger.url.reveal() == f"sqlite:///{tmp_path}/.connector-core/ledger.db"
    assert config.source(shop).distribution == "acme-tools"
    assert config.destination(shop).version == "2.3"
    assert config.warnings == ()


def test_a_connector_without_a_name_is_named_by_its_key(project: Load) -> None:
    config = project(HEAD + SHOP.replace('name = "Web Shop"\n', ""))
    assert (config.connectors["shop"].name, config.connectors["shop"].namespace) == ("shop", "shop")


def test_g3_all_problems_are_told_at_once_in_the_order_of_the_file(project: Load) -> None:
    text = """\
[destination.warehouse]
type = "sink"
[destinations.warehouse]
type = "sink"
pat = "x"
[connectors.shop]
frequncy = "6h"
source = "acme"
destination = "warehous"
batch_records = "many"
anchor_time = 2026-01-01T07:30:00
[connectors.shop.config]
tokn = "${TOKEN}"
site = "ftp://shop.example"
port = 70000
strict = "perhaps"
mode = "slow"
[connectors.shop.streams.orders]
lockback = "1d"
[ledger]
file = "x"
"""
    assert problems(project, text) == [
        '1: destination: is not a known table - did you mean "destinations"?',
        '7: connectors.shop.frequncy: is not a known setting - did you mean "frequency"?',
        '9: connectors.shop.destination: names no [destinations.warehous] - did you mean "warehouse"?',
        "10: connectors.shop.batch_records: should be a valid integer, unable to parse string as an integer",
        "11: connectors.shop.anchor_time: should be an instant with its zone, such as 2026-01-01T07:30:00Z",
        "12: connectors.shop.config.token: is missing - Token from the admin page",
        '13: connectors.shop.config.tokn: is not a known setting - did you mean "token"?',
        "14: connectors.shop.config.site: should match ^https?:// - Address of the site",
        "15: connectors.shop.config.port: should be at most 65535",
        "16: connectors.shop.config.strict: should be true or false",
        '17: connectors.shop.config.mode: should be one of "fast", "safe"',
        '19: connectors.shop.streams.orders.lockback: is not a known setting - did you mean "lookback"?',
        "21: ledger.file: is not a known setting - known here: url, keep",
    ]


def test_many_problems_are_cut_short(project: Load) -> None:
    text = HEAD + "".join(f"unknown_{n} = 1\n" for n in range(40)) + SHOP
    lines = problems(project, text)
    assert len(lines) == 21
    assert lines[-1] == " 20 more problems of this kind"


def test_missing_and_misshapen_tables(project: Load) -> None:
    assert problems(project, "[ledger]\n") == [" connectors: needs at least one [connectors.NAME]"]
    lines = problems(project, 'ledger = 1\nconnectors = { a = 5, "b@c" = {} }\n[destinations]\nw = {}\n')
    assert lines == [
        "1: ledger: should be a table",
        "2: connectors.a: should be a table",
        '2: connectors."b@c": should be named with at most 50 letters, digits, _ and -',
        '2: connectors."b@c".source: is missing - name of the source plugin, for instance desk',
        '2: connectors."b@c".destination: is missing - the NAME of a [destinations.NAME]',
        "4: destinations.w.type: is missing - name of the destination plugin, for instance duckdb",
    ]


@pytest.mark.parametrize("key", ['"../x"', '"a b"', '"😀"', '""', f'"{"a" * 51}"', '"x; drop"'])
def test_h9_a_key_cannot_lead_out_of_a_folder(project: Load, key: str) -> None:
    lines = problems(project, HEAD + SHOP.replace("connectors.shop", f"connectors.{key}"))
    assert any("should be named with at most 50 letters" in line for line in lines)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ('name = "Größe"', "connectors.shop.name: gives no possible schema ('größe')"),
        ('name = "pg_shop"', "connectors.shop.name: gives no possible schema ('pg_shop'): databases keep this name"),
        ('name = "../../x"', "connectors.shop.name: gives no possible schema"),
        ('namespace = "Shop"', "connectors.shop.namespace: cannot be a schema: it has to start with a-z or _"),
        ('namespace = "information_schema"', "connectors.shop.namespace: cannot be a schema"),
    ],
)
def test_g4_names_without_a_possible_schema(project: Load, setting: str, said: str) -> None:
    (line,) = problems(project, HEAD + SHOP.replace('name = "Web Shop"', setting))
    assert line.startswith(f"5: {said}")


def test_e3_two_connectors_cannot_share_a_schema(project: Load) -> None:
    other = SHOP.replace("connectors.shop", "connectors.other").replace("Web Shop", "web-shop") + ""
    (line,) = problems(project, HEAD + SHOP + other)
    assert line == (
        "11: connectors.other: and connectors.shop both load into the schema web_shop"
        " - give one of them another name or namespace"
    )
    assert project(HEAD + SHOP + other.replace('name = "web-shop"', 'name = "x"')).connectors.keys() == {
        "shop",
        "other",
    }


@pytest.mark.parametrize("token", ['"${TOKEN}"', '{ env = "TOKEN" }'])
@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({}, "needs the environment variable TOKEN, which is not set - set it: export TOKEN=..."),
        ({"TOKEN": ""}, "needs the environment variable TOKEN, which is empty - set it: export TOKEN=..."),
        (
            {"TOKEN": f"{CANARY}\n"},
            "needs a secret without line breaks; the environment variable TOKEN has several lines"
            " - set it anew, without the line end",
        ),
    ],
)
def test_g8_a_secret_that_cannot_be_had_names_the_variable(
    project: Load, token: str, env: dict[str, str], said: str
) -> None:
    assert problems(project, HEAD + SHOP.replace('"${TOKEN}"', token), env) == [
        f"10: connectors.shop.config.token: {said}"
    ]


def test_g8_a_misspelt_reference_is_told_how_it_is_written(project: Load) -> None:
    assert problems(project, HEAD + SHOP.replace('"${TOKEN}"', '{ evn = "TOKEN" }')) == [
        "10: connectors.shop.config.token: should be text, or say where it is"
        ' - { env = "NAME" } for a variable, { file = "PATH" } for a file'
    ]


def test_g8_a_missing_variable_brings_no_problems_after_it(project: Load) -> None:
    text = HEAD + SHOP.replace("https://shop.example", "${SITE}") + 'port = "${PORT}"\n'
    text = text.replace('name = "Web Shop"', 'frequency = "${OFTEN}"')
    lines = problems(project, text)
    assert [line.partition(", which")[0] for line in lines] == [
        "5: connectors.shop.frequency: needs the environment variable OFTEN",
        "9: connectors.shop.config.site: needs the environment variable SITE",
        "11: connectors.shop.config.port: needs the environment variable PORT",
    ]


def test_only_what_is_wanted_needs_its_variables_and_plugins(project: Load) -> None:
    other = '[connectors.other]\nsource = "nowhere"\ndestination = "lake"\nenabled = false\n'
    other += '[connectors.other.config]\nkey = "${OTHER}"\n[destinations.lake]\ntype = "none"\npassword = "${LAKE}"\n'
    config = project(HEAD + SHOP + other)
    assert set(config.plugins) == {("source", "acme"), ("destination", "sink")}
    assert not config.connectors["other"].enabled
    assert project(HEAD + SHOP + other, {}, wanted=()).plugins == {}
    lines = problems(project, HEAD + SHOP + other, wanted=["other"])
    assert [line.partition(" ")[2][:60] for line in lines] == [
        "connectors.other.source: there is no source plugin 'nowhere'",
        "connectors.other.config.key: needs the environment variable ",
        "destinations.lake.type: there is no destination plugin 'none",
        "destinations.lake.password: needs the environment variable L",
    ]
    with pytest.raises(ConfigError, match=r"there is no connector 'shpo' in .* - did you mean \"shop\"\?"):
        project(HEAD + SHOP, wanted=["shpo"])


def test_the_shape_of_what_is_not_wanted_is_checked_all_the_same(project: Load) -> None:
    other = '[connectors.other]\nsource = "nowhere"\ndestination = "warehouse"\nenabled = false\nfrequncy = "1h"\n'
    assert [line[:35] for line in problems(project, HEAD + SHOP + other)] == ["15: connectors.other.frequncy: is n"]


def test_g9_unknown_plugins_are_named_with_what_is_installed(project: Load) -> None:
    lines = problems(project, HEAD.replace('"sink"', '"snik"') + SHOP.replace('"acme"', '"acne"'))
    assert lines[0].startswith(
        "2: destinations.warehouse.type: there is no destination plugin 'snik' - did you mean \"sink\"?"
    )
    assert "sink (acme-tools 2.3)" in lines[0]
    assert lines[1].startswith("6: connectors.shop.source: there is no source plugin 'acne' - did you mean \"acme\"?")
    assert "acme (acme-tools 2.3)" in lines[1]


def test_g9_a_name_claimed_twice_is_a_problem_of_the_connector(project: Load, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.syspath_prepend(distribution(tmp_path / "twin", "acme-twin", sources={"acme": "nowhere:source"}))
    (line,) = problems(project, HEAD + SHOP)
    assert line == (
        "6: connectors.shop.source: the source 'acme' is claimed by acme-tools 2.3 and acme-twin 1.0"
        " - uninstall all but one of them"
    )


def test_g9_versions(project: Load) -> None:
    def with_version(version: str) -> str:
        return HEAD + SHOP.replace('source = "acme"', f'source = "acme"\nversion = "{version}"')

    assert project(with_version("1")).connectors["shop"].version == "1"
    assert project(HEAD + SHOP, versions=("1",)).connectors["shop"].version is None
    assert problems(project, with_version("2")) == [
        "7: connectors.shop.version: is not a version of acme - acme has: 1"
    ]
    assert problems(project, HEAD + SHOP, versions=("1", "2")) == [
        "4: connectors.shop.version: is missing - acme has: 1, 2"
    ]
    assert "has no versions; leave it out" in problems(project, with_version("1"), versions=())[0]


def test_what_the_source_has_fixed_cannot_be_set(project: Load) -> None:
    fixed = {"cron": "Acme has no cron", "streams.*.selected": "all tables come along", "batch_*": "fixed"}
    text = HEAD + SHOP.replace('name = "Web Shop"', 'cron = "* * * * *"\nbatch_bytes = "1 MiB"')
    text += '[connectors.shop.streams.a]\nselected = false\nschema = "freeze"\n'
    assert problems(project, text, fixed=fixed) == [
        "5: connectors.shop.cron: cannot be set for Acme - Acme has no cron",
        "6: connectors.shop.batch_bytes: cannot be set for Acme - fixed",
        "13: connectors.shop.streams.a.selected: cannot be set for Acme - all tables come along",
    ]
    assert project(HEAD + SHOP, fixed=fixed).connectors["shop"].cron is None


def test_an_anchor_needs_an_hour_also_when_the_frequency_is_the_sources(project: Load) -> None:
    text = HEAD + SHOP.replace('name = "Web Shop"', "anchor_time = 2026-01-01T07:30:00Z")
    (line,) = problems(project, text)
    assert line == "5: connectors.shop.anchor_time: needs a frequency of at least 1h - the default of acme is 30m"
    assert "acme has no default" in problems(project, text, frequency=None)[0]
    assert project(text, frequency=3600).connectors["shop"].anchor_time is not None


def test_h11_a_plugin_gets_its_own_section_only(project: Load) -> None:
    config = project(HEAD + 'password = "sink-secret"\n' + SHOP)
    assert set(config.source_config("shop")) == {"site", "token", "port"}
    assert set(config.destination_config("warehouse")) == {"path", "password"}


def test_secrets_are_found_wherever_the_schema_marks_them(project: Load, tmp_path: Path) -> None:
    (tmp_path / "pw.txt").write_text("from-file\n")
    text = HEAD + SHOP + 'proxy = { url = "http://user:in%20url@proxy", password = { file = "pw.txt" } }\n'
    text += 'keys = ["one", "${TWO:-two}"]\n[ledger]\nurl = "postgresql://me:ledger-pw@host/db"\n'
    config = project(text)
    assert config.secrets() == {CANARY, "from-file", "one", "two", "in%20url", "in url", "ledger-pw"}


def test_h5_a_secret_shows_nowhere(project: Load, caplog: pytest.LogCaptureFixture) -> None:
    config = project(HEAD + SHOP)
    secret = config.connectors["shop"].config["token"]
    assert secret == Secret(CANARY) != Secret("other")
    assert len({secret, Secret(CANARY)}) == 1
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("x").warning("%s %r %s", secret, config, config.connectors["shop"].model_dump())
    shown = [
        str(secret),
        repr(secret),
        f"{secret:>10}",
        repr(config),
        str(config),
        repr(copy.deepcopy(config.connectors)),
    ]
    shown += [str(config.connectors["shop"].model_dump()), caplog.text]
    assert not any(CANARY in text for text in shown)
    assert f"{secret:>10}" == "       ***"
    for dump in (pickle.dumps, json.dumps):
        with pytest.raises(TypeError):
            dump(secret)  # type: ignore[operator]


@pytest.mark.parametrize(
    "wrong", ["token = 5", 'mode = "${TOKEN}"', 'port = "${TOKEN}"', 'site = "${TOKEN}"', 'unknown = "${TOKEN}"']
)
def test_h5_an_error_never_shows_a_value(project: Load, wrong: str) -> None:
    key = wrong.partition(" ")[0]
    kept = "\n".join(line for line in SHOP.splitlines() if not line.startswith(f"{key} "))
    assert problems(project, f"{HEAD}{kept}\n{wrong}\n")
    assert problems(
        project, f"{HEAD}{SHOP.replace('source', 'batch_records = ' + repr(CANARY) + chr(10) + 'source', 1)}"
    )


def test_g10_a_literal_secret_in_a_file_that_all_can_read(project: Load) -> None:
    literal = HEAD + SHOP.replace('"${TOKEN}"', f'"{CANARY}"')
    (warning,) = project(literal, mode=0o644).warnings
    assert "connectors.toml:10: connectors.shop.config.token: is a secret in a file that every user" in warning
    assert "chmod 600 connectors.toml" in warning
    assert CANARY not in warning
    assert project(literal, mode=0o600).warnings == ()
    assert project(HEAD + SHOP, mode=0o644).warnings == ()


def test_g11_a_loaded_configuration_does_not_follow_the_file(project: Load) -> None:
    config = project(HEAD + SHOP)
    config.path.write_text("nonsense")
    assert config.connectors["shop"].name == "Web Shop"
    with pytest.raises(ValueError, match="frozen"):
        config.connectors["shop"].name = "other"


def test_a_broken_plugin_fails_the_connectors_that_use_it_and_hides_what_it_was_given(
    project: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = f"bad_{uuid.uuid4().hex}"
    tree = distribution(tmp_path / module, "bad", sources={"bad": f"{module}:x"}, modules={module: "1 / 0"})
    monkeypatch.syspath_prepend(tree)
    other = '[connectors.other]\nsource = "bad"\ndestination = "warehouse"\n[connectors.other.config]\nkey = "${KEY}"\n'
    config = project(HEAD + SHOP + other, {**ENV, "KEY": "not-known-as-secret"})
    assert config.source(config.connectors["shop"]).name == "acme"
    with pytest.raises(PluginError, match=r"plugin 'bad' \(bad 1.0\), hook import: .*ZeroDivisionError"):
        config.source(config.connectors["other"])
    assert "not-known-as-secret" in config.secrets()


def test_extensions_are_loaded_by_name(project: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = f"audit_{uuid.uuid4().hex}"
    text = """
        from connector_core import Description, hookimpl

        @hookimpl
        def describe():
            return Description(kind="extension", name="audit")
    """
    tree = distribution(tmp_path / module, "audit", extensions={"audit": module}, modules={module: text})
    monkeypatch.syspath_prepend(tree)
    named = HEAD + SHOP.replace('source = "acme"', 'source = "acme"\nextensions = ["audit"]')
    config = project(named)
    assert [plugin.name for plugin in config.extensions(config.connectors["shop"])] == ["audit"]
    assert (
        "7: connectors.shop.extensions[0]: there is no extension plugin 'audti'"
        in problems(project, named.replace('"audit"', '"audti"'))[0]
    )


def test_the_example_of_the_repository_is_valid() -> None:
    example = Path(__file__).parents[2] / "connectors.toml"
    config = load(example, {}, wanted=())
    (desk,) = config.connectors.values()
    assert (desk.namespace, desk.version, desk.frequency) == ("stitch_desk", "15-10-2015", 21600)


DESK = """
[connectors.d]
source = "desk"
destination = "w"
config = { site_url = "https://s.desk.com", key = "k", secret = "s", token = "t", token_secret = "u" }
"""


def test_an_url_alone_is_an_address_of_postgres(tmp_path: Path) -> None:
    """Defaults that are filled in must not contradict what the user has written."""
    from connector_postgres.connection import address

    path = tmp_path / "connectors.toml"
    path.write_text("[destinations.w]\ntype = 'postgres'\nurl = 'postgresql://me@127.0.0.1:6000/data'\n" + DESK)
    found = address(load(path, env={}).destination_config("w"))
    assert (found.host, found.port, found.database, found.user) == ("127.0.0.1", 6000, "data", "me")
