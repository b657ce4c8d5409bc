"""All documents: links lead somewhere, commands exist, blocks can be read, generated parts are as the program says."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from packaging.requirements import Requirement

import dev
from connector_core import config, events, hookspecs
from connector_core.cli.app import app, commands
from connector_core.plugins import installed, load
from docs import conf, parts
from tests.docs.blocks import DOCUMENTS, README, ROOT, blocks, shell_lines
from tests.support.commands import environment
from tests.support.wheels import MEMBERS, name_of

DOCS = ROOT / "docs"
GENERATED = sorted(path for path in DOCUMENTS if "[[[cog" in path.read_text())
names = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)


def heading(title: str) -> str:
    """The anchor of a heading."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


@names
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text()):
        if not target.startswith("https://"):
            file, _, anchor = target.partition("#")
            linked = document.parent / file if file else document
            assert linked.is_file(), target
            assert not anchor or anchor in map(heading, re.findall(r"^#+ (.*)$", linked.read_text(), re.MULTILINE))


def test_the_readme_leads_to_every_document() -> None:
    assert all(f"({path.relative_to(ROOT)})" in README.read_text() for path in DOCUMENTS if path != README)


def test_every_document_has_one_place_in_the_sites_navigation() -> None:
    placed = [name for names in conf.NAVIGATION.values() for name in names]
    assert sorted(placed) == [path.stem for path in sorted(DOCS.glob("*.md"))], "see docs/conf.py"


@names
def test_every_command_that_is_named_exists_with_its_options(document: Path) -> None:
    known = commands()
    root: Any = typer.main.get_command(app)
    typed = [" ".join(words) for words in shell_lines(document) if words[0] == "connector-core"]
    for text in [*typed, *re.findall(r"`(connector-core [^`]*)`", document.read_text())]:
        words = text.split()[1:]
        while words and words[0].startswith("--"):  # options of all commands, with their values
            assert words[0] in {name for one in root.params for name in one.opts}, text
            words = words[2:]
        name = " ".join(words[:2]) if " ".join(words[:2]) in known else words[0]
        assert name in known, text
        command = root
        for word in name.split():
            command = command.commands[word]
        options = {option for one in command.params for option in one.opts}
        assert {word for word in words if word.startswith("--")} <= options, text


def test_every_command_of_the_engine_and_of_dev_is_documented() -> None:
    text = "\n".join(path.read_text() for path in DOCUMENTS)
    assert [name for name in commands() if f"connector-core {name}" not in text] == []
    assert "python3 dev.py demo" in text
    assert "python3 dev.py test" in text
    assert set(re.findall(r"dev\.py (\w+)", text)) <= set(re.findall(r"^  (\w+) ", dev.USAGE, re.MULTILINE))


@names
def test_blocks_can_be_read(document: Path) -> None:
    readers = {"toml": tomllib.loads, "json": json.loads}
    for one in blocks(document):
        assert one.language in ("sh", "sql", "text", "python", *readers), one
        if one.language in readers:
            readers[one.language](one.text)
        elif one.language == "python" and " -> " not in one.text:  # the signature of a hook is no statement
            ast.parse(one.text)


def test_the_example_of_the_document_on_configuration_loads_and_its_paths_start_at_its_folder(tmp_path: Path) -> None:
    (example,) = blocks(DOCS / "configuration.md", "toml")
    path = tmp_path / "connectors.toml"
    path.write_text(example.text)
    env = {f"DESK_{name}": f"canary-{name}" for name in ("KEY", "SECRET", "TOKEN", "TOKEN_SECRET")}
    loaded = config.load(path, env=env)
    connector = loaded.connectors["stitch_desk"]
    assert connector.namespace == "stitch_desk"
    assert loaded.source_config("stitch_desk")["token"] == "canary-TOKEN"
    assert loaded.destination_config("warehouse")["path"] == str(tmp_path / "warehouse.duckdb")
    assert loaded.ledger.url.reveal() == f"sqlite:///{tmp_path}/.connector-core/ledger.db"


def test_exit_codes_are_those_of_the_errors() -> None:
    listed = re.findall(r"^\| ([\d, ]+) \| ", README.read_text(), re.MULTILINE)
    known = {int(code) for code in re.findall(r"\b\d+\b", " ".join(listed))}
    own = {error.exit_code for error in errors()}
    assert own <= known
    assert known - own == {0, 130, 143}


def errors() -> list[Any]:
    from connector_core import errors as module

    return [one for one in vars(module).values() if isinstance(one, type) and issubclass(one, module.ConnectorError)]


def test_every_setting_of_every_plugin_of_ours_is_explained() -> None:
    ours = [plugin for plugin in installed() if plugin.distribution in map(name_of, MEMBERS)]
    assert {plugin.name for plugin in ours} >= {"desk", "duckdb", "files", "postgres", "snowflake", "webhook"}
    missing = []
    for plugin in ours:
        pages = [page for page in (DOCS / f"{plugin.name}.md", DOCS / "configuration.md") if page.exists()]
        text = "\n".join(page.read_text() for page in pages)
        schema = load(plugin.kind, plugin.name).description.config_schema
        missing += [name for name in properties(schema) if not re.search(rf"`{name}`|^{name} = ", text, re.MULTILINE)]
    assert missing == []


def properties(schema: Any) -> Iterator[str]:
    """The names of the settings of a schema, those of tables within tables too."""
    if isinstance(schema, dict):
        yield from schema.get("properties", {})
        for below in (*schema.get("properties", {}).values(), schema.get("additionalProperties"), schema.get("items")):
            yield from properties(below)


# --- generated parts


def test_generated_parts_are_what_the_program_says() -> None:
    assert {path.name for path in GENERATED} >= {"configuration.md", "hooks.md", "tables.md"}
    checked = subprocess.run(
        [sys.executable, "-m", "cogapp", "--check", "--diff", *map(str, GENERATED)],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


# --- hooks


def section(text: str, title: str) -> str:
    """What stands under a heading, up to the next one of its rank or above."""
    _, found, rest = text.partition(f"\n{title}\n")
    assert found, title
    rank = len(title) - len(title.lstrip("#"))
    return re.split(rf"^#{{1,{rank}}} ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def test_every_hook_is_explained_with_its_exact_arguments() -> None:
    text = (DOCS / "hooks.md").read_text()
    assert len(parts.hooks()) == 7
    assert re.findall(r"^### `(\w+)`$", section(text, "## The hooks"), re.MULTILINE) == parts.hooks()
    for name in parts.hooks():
        arguments = getattr(hookspecs, name).__annotations__.keys() - {"return"}
        explained = re.findall(r"^- `(\w+)`: ", section(text, f"### `{name}`"), re.MULTILINE)
        assert len(explained) == len(arguments)
        assert set(explained) == arguments


def test_every_event_is_explained() -> None:
    told = re.findall(r"^\| `(\w+)` \| ", section((DOCS / "hooks.md").read_text(), "## Events"), re.MULTILINE)
    assert told == [kind.__name__ for kind in events.EVENTS]


# --- dependencies

ROW = re.compile(r"^\| (?:([\w-]+) \| )?([\w-]+) \| (any|`[^`]+`) \| (\S.*) \|$", re.MULTILINE)


def test_the_dependencies_are_those_that_the_distributions_declare() -> None:
    text = (DOCS / "dependencies.md").read_text()
    declared: set[tuple[str, str, str, str]] = set()
    for path in [
        ROOT / "pyproject.toml",
        *ROOT.glob("plugins/*/pyproject.toml"),
        *ROOT.glob("destinations/*/pyproject.toml"),
    ]:
        document = tomllib.loads(path.read_text())
        project = document["project"]
        groups = {(project["name"], ""): project["dependencies"]}
        groups |= {(project["name"], extra): of for extra, of in project.get("optional-dependencies", {}).items()}
        if "dependency-groups" in document:
            groups["Development", ""] = document["dependency-groups"]["dev"]
        for (where, extra), wanted in groups.items():
            for one in map(Requirement, wanted):
                declared.add((where, extra, one.name, str(one.specifier)))
    explained = {
        (where, extra, name, "" if span == "any" else str(Requirement(f"x{span.strip('`')}").specifier))
        for where in re.findall(r"^## (.*)$", text, re.MULTILINE)
        for extra, name, span, _ in ROW.findall(section(text, f"## {where}"))
    }
    assert explained == declared
