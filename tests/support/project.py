"""A project folder of a user: a connectors.toml for Desk and DuckDB, and what its runs leave behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from tests.support.canaries import holds_canary

ROOT = Path(__file__).resolve().parents[2]

DUCKDB = 'type = "duckdb"\npath = "warehouse.duckdb"'
TOML = """
[destinations.warehouse]
{destination}

[connectors.stitch_desk]
name = "{name}"
source = "desk"
version = "15-10-2015"
destination = "warehouse"
frequency = "6h"
{settings}
[connectors.stitch_desk.config]
site_url = "${{DESK_SITE_URL}}"
key = "${{DESK_KEY}}"
secret = "${{DESK_SECRET}}"
token = "${{DESK_TOKEN}}"
token_secret = "${{DESK_TOKEN_SECRET}}"
"""


SCRIPTED = """
[destinations.warehouse]
{destination}

[connectors.shop]
source = "scripted"
destination = "warehouse"
{settings}
[connectors.shop.config]
data = "{file}"
"""
SECRETS = ("key", "secret", "token", "token_secret")
SITE = Path(__file__).parent / "site"


@dataclass
class Project:
    """A folder with a connectors.toml; `settings` are lines of `[connectors.stitch_desk]`, `url` and `credentials`
    those of the site, `destination` the lines of `[destinations.warehouse]`, `name` the connector's."""

    folder: Path
    url: str
    credentials: Any
    settings: str = ""
    extra: Mapping[str, str] = field(default_factory=dict)
    destination: str = DUCKDB
    name: str = "Stitch Desk"
    _held: duckdb.DuckDBPyConnection | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.write(self.settings)

    def write(self, settings: str) -> None:
        """Write connectors.toml with these settings of the connector."""
        path = self.folder / "connectors.toml"
        path.write_text(TOML.format(settings=settings, destination=self.destination, name=self.name))
        path.chmod(0o600)

    @property
    def env(self) -> dict[str, str]:
        """The environment variables that the configuration names."""
        secrets = {f"DESK_{name.upper()}": getattr(self.credentials, name, "") for name in SECRETS}
        return {"DESK_SITE_URL": self.url, **secrets, **self.extra}

    def popen(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """Start the command as a process of its own."""
        python_path = os.pathsep.join([*sys.path, str(SITE)])
        environment = {**os.environ, **self.env, "PYTHONPATH": python_path, "COLUMNS": "160"}
        command = [sys.executable, "-m", "connector_core", *arguments]
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )

    def command(self, *arguments: str, timeout: float = 90.0) -> subprocess.CompletedProcess[str]:
        """Run the command to its end."""
        process = self.popen(*arguments)
        try:
            output, errors = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            output, errors = process.communicate()
            raise AssertionError(f"the command did not end within {timeout} s:\n{output}\n{errors}") from None
        assert not holds_canary(output + errors), f"{arguments} prints a credential"
        return subprocess.CompletedProcess(process.args, process.returncode, output, errors)

    def run(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        """`run --json` with more arguments; the exit code must be `code`. Returns the report of the one connector."""
        done = self.command("run", "--json", *arguments)
        assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        return json.loads(done.stdout.strip().splitlines()[-1]) if done.stdout.strip() else {}

    @property
    def warehouse(self) -> Path:
        """The DuckDB file."""
        return self.folder / "warehouse.duckdb"

    @contextmanager
    def reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """The DuckDB file, opened once for all that is read within: opening it costs more than most reading."""
        if self._held is not None:
            yield self._held
            return
        with duckdb.connect(str(self.warehouse), read_only=True) as connection:
            connection.execute("set TimeZone = 'UTC'")
            self._held = connection
            try:
                yield connection
            finally:
                self._held = None

    def query(self, text: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Rows of the DuckDB file; instants come as text (ISO, UTC)."""
        with self.reading() as connection:
            relation = connection.execute(f"describe {text}", parameters).fetchall()
            columns = ", ".join(_readable(name, kind) for name, kind, *_ in relation)
            return connection.execute(f"select {columns} from ({text})", parameters).fetchall()

    def rows(self, table: str, *, schema: str = "stitch_desk", where: str = "") -> list[dict[str, Any]]:
        """All rows of a table as dicts, instants as ISO text."""
        with self.reading() as connection:
            columns = connection.execute(
                "select column_name, data_type from information_schema.columns"
                " where table_schema = ? and table_name = ? order by ordinal_position",
                [schema, table],
            ).fetchall()
            selected = ", ".join(_readable(name, kind) for name, kind in columns)
            found = connection.execute(f'select {selected} from "{schema}"."{table}" {where}').fetchall()
        return [dict(zip([name for name, _ in columns], row, strict=True)) for row in found]

    def tables(self, schema: str = "stitch_desk") -> set[str]:
        """The users' tables of a schema (not the engine's own)."""
        found = self.query("select table_name from information_schema.tables where table_schema = ?", [schema])
        return {name for (name,) in found if not name.startswith("_sdc_")}


def _readable(name: str, kind: str) -> str:
    quoted = '"' + name.replace('"', '""') + '"'
    if kind == "TIMESTAMP WITH TIME ZONE":  # fetching it as a datetime would need one more package
        return f"strftime({quoted}, '%Y-%m-%dT%H:%M:%S.%fZ') as {quoted}"
    return quoted


class Scripted(Project):
    """A project whose source is the scripted one (`tests/support/site`): what it serves is a JSON file, changed with
    `serve`."""

    def __init__(self, folder: Path, data: Mapping[str, Any], settings: str = "", *, destination: str = DUCKDB) -> None:
        super().__init__(folder, "", None, settings=settings, destination=destination)
        self.serve(data)

    @property
    def schema(self) -> str:
        """The connector's namespace."""
        return "shop"

    def write(self, settings: str) -> None:
        """Write connectors.toml with these settings of the connector."""
        path = self.folder / "connectors.toml"
        data = self.folder / "data.json"
        path.write_text(SCRIPTED.format(settings=settings, file=data, destination=self.destination))
        path.chmod(0o600)

    def serve(self, data: Mapping[str, Any] | str) -> None:
        """What the source serves from now on; a text is served as it is."""
        new = self.folder / "data.json.new"
        new.write_text(data if isinstance(data, str) else json.dumps(data))
        new.rename(self.folder / "data.json")

    def rows(self, table: str, *, schema: str = "shop", where: str = "") -> list[dict[str, Any]]:
        """All rows of a table as dicts, instants as ISO text."""
        return super().rows(table, schema=schema, where=where)

    def tables(self, schema: str = "shop") -> set[str]:
        """The users' tables."""
        return super().tables(schema)


PER_RUN = {"_sdc_extracted_at", "_sdc_received_at", "_sdc_batched_at", "_sdc_sequence", "__sdc_primary_key"}


def content(project: Project, schema: str = "stitch_desk") -> dict[str, list[tuple[Any, ...]]]:
    """Every table of a schema as sorted rows of (column, value) pairs, without what differs from run to run; NULLs
    are left out."""
    found = {}
    with project.reading():
        for table in sorted(project.tables(schema)):
            rows = project.rows(table, schema=schema)
            found[table] = sorted(
                (tuple(sorted((k, v) for k, v in row.items() if v is not None and k not in PER_RUN)) for row in rows),
                key=repr,
            )
    return found
