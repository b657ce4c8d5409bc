"""A project whose source is a scripted Singer tap (tap_shop.py), run by the real engine into DuckDB."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.support import tap_shop
from tests.support.engine import Shop

TOML = """
[destinations.warehouse]
type = "duckdb"
path = "warehouse.duckdb"

[connectors.shop]
source = "singer"
destination = "warehouse"
{settings}
[connectors.shop.config]
executable = "{executable}"
{config}
[connectors.shop.config.tap]
script = "{script}"
api_token = "canary-token-of-the-tap"
"""
INTEGER = {"type": ["null", "integer"]}
TEXT = {"type": ["null", "string"]}


def entry(name: str, properties: Mapping[str, Any] | None = None, *, key: str | None = "id", **told: Any) -> Any:
    """A stream of a catalog, incremental unless `told`, its metadata with underscores, says something else."""
    columns = {"id": INTEGER, **(properties or {"name": TEXT})}
    keys = [] if key is None else [key]
    marks = {"replication-method": "INCREMENTAL", **{name.replace("_", "-"): value for name, value in told.items()}}
    of_columns = [
        {
            "breadcrumb": ["properties", column],
            "metadata": {"inclusion": "automatic" if column in keys else "available"},
        }
        for column in columns
    ]
    return {
        "tap_stream_id": name,
        "stream": name,
        "schema": {"type": "object", "properties": columns},
        "key_properties": keys,
        "metadata": [{"breadcrumb": [], "metadata": marks}, *of_columns],
    }


def row(number: int, **more: Any) -> dict[str, Any]:
    """A step with a record."""
    version = {"version": more.pop("version")} if "version" in more else {}
    return {"row": {"id": number, "name": f"name {number}", **more}, **version}


def rows(first: int, last: int) -> list[dict[str, Any]]:
    """Steps with the records from `first` to `last`."""
    return [row(number) for number in range(first, last + 1)]


class Tapped(Shop):
    """A project with a tap; `settings` are lines of the connector, `config` of its config. `script` says what the tap
    does."""

    def __init__(self, folder: Path, *, settings: str = "", config: str = "") -> None:
        self.executable = folder / "tap-shop"
        self.executable.write_text(f"#!{sys.executable} -ISs\n{Path(tap_shop.__file__).read_text()}")
        self.executable.chmod(0o755)
        self.file = folder / "script.json"
        self.more = config
        super().__init__(folder, {}, settings)

    def write(self, settings: str) -> None:
        """Write connectors.toml with these lines of the connector."""
        path = self.folder / "connectors.toml"
        text = TOML.format(settings=settings, config=self.more, executable=self.executable, script=self.file)
        path.write_text(text)
        path.chmod(0o600)
        self._config = None

    def script(self, streams: Sequence[Any], **steps: Any) -> None:
        """What the tap discovers, and what it does for each stream."""
        self.file.write_text(json.dumps({"catalog": {"streams": list(streams)}, **steps}))

    def started(self) -> list[dict[str, Any]]:
        """How the tap was started to read, each time."""
        path = self.file.with_name("started.jsonl")
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def ids(self, table: str = "orders") -> list[int]:
        """The ids in a table, each as often as it is there."""
        return [number for (number,) in self.query(f'select id from "shop"."{table}" order by id')]

    def log(self) -> list[tuple[str, str]]:
        """Level and text of each line of the last run's log."""
        with self.ledger() as ledger:
            run = next(iter(ledger.runs("shop", limit=1)))
            return [(line.level, line.text) for line in ledger.logs(run_id=run.run_id, limit=1000)]
