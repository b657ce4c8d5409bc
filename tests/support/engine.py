"""Runs the engine in this process over a `Scripted` project: the same code as the command, without a new interpreter
each time."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from connector_core import config
from connector_core.batch import Counts
from connector_core.clock import Clock, SystemClock
from connector_core.events import Event
from connector_core.ledger import Ledger
from connector_core.pipeline import run_connector
from connector_core.replay import replay_rejects
from connector_core.reset_streams import reset_streams
from connector_core.run_report import RunOptions, RunReport
from tests.support.project import DUCKDB, SITE, Scripted

INTEGER = {"type": "integer"}
NUMBER = {"type": "number"}
TEXT = {"type": "string"}
BOOLEAN = {"type": "boolean"}
INSTANT = {"type": "string", "format": "date-time"}
DATE = {"type": "string", "format": "date"}
START = 'start_date = "2020-01-01"\n'


class Shop(Scripted):
    """A scripted project whose runs happen here; `events` are those of the last run."""

    def __init__(
        self, folder: Path, data: Mapping[str, Any] | str, settings: str = START, *, destination: str = DUCKDB
    ) -> None:
        if str(SITE) not in sys.path:
            sys.path.append(str(SITE))
        self.events: list[Event] = []
        super().__init__(folder, {} if isinstance(data, str) else data, settings, destination=destination)
        if isinstance(data, str):
            self.serve(data)

    def write(self, settings: str) -> None:
        """Write connectors.toml with these settings of the connector."""
        super().write(settings)
        self._config: config.Config | None = None

    @property
    def config(self) -> config.Config:
        """The loaded configuration: loading it is a third of the cost of a small run."""
        if self._config is None:
            self._config = config.load(self.folder / "connectors.toml", env={})
        return self._config

    def go(
        self,
        *,
        code: int = 0,
        stop: threading.Event | None = None,
        clock: Clock | None = None,
        watch: Callable[[Event], None] | None = None,
        **options: Any,
    ) -> RunReport:
        """Run the connector; the exit code must be `code` and every count must balance. `watch` is told each event as
        it happens, `options` are those of `RunOptions`. Errors that prevent a run are raised."""
        self.events = []

        def report_event(event: Event) -> None:
            self.events.append(event)
            if watch is not None:
                watch(event)

        with self.ledger() as ledger:
            report = run_connector(
                self.config.connectors["shop"],
                config=self.config,
                ledger=ledger,
                options=RunOptions(**options),
                stop=stop or threading.Event(),
                report=report_event,
                clock=clock,
            )
        assert report.exit_code == code, report.error
        assert balanced(report)
        return report

    def replay(self, stream: str | None = None, *, code: int = 0) -> RunReport:
        """Replay the rejected records."""
        self.events = []
        with self.ledger() as ledger:
            report = replay_rejects(
                self.config.connectors["shop"],
                config=self.config,
                ledger=ledger,
                stream=stream,
                stop=threading.Event(),
                report=self.events.append,
            )
        assert report.exit_code == code, report.error
        assert balanced(report)
        return report

    def reset(self, stream: str) -> None:
        """Reset a root stream: the next run reads it from its beginning into new tables."""
        with self.ledger() as ledger:
            reset_streams(
                self.config.connectors["shop"],
                [stream],
                config=self.config,
                ledger=ledger,
                clock=SystemClock(),
                stop=threading.Event(),
            )

    def ledger(self) -> Ledger:
        """The project's ledger, open; use it as a context manager."""
        return Ledger.open(f"sqlite:///{self.folder}/.connector-core/ledger.db", clock=SystemClock().now)

    def told(self, kind: type[Event]) -> list[Any]:
        """The events of one kind in the last run."""
        return [event for event in self.events if isinstance(event, kind)]

    def bookmark(self, stream: str) -> dict[str, Any]:
        """The stream's newest bookmark in the destination."""
        found = self.query(
            'select bookmark from "shop"."_sdc_commits" where stream = ? and bookmark is not null '
            "order by sequence desc limit 1",
            [stream],
        )
        return dict(json.loads(found[0][0])) if found else {}

    def rejected(self) -> list[dict[str, Any]]:
        """The rows of `_sdc_rejected`, by code and key."""
        return sorted(self.rows("_sdc_rejected"), key=lambda row: (row["error_code"], str(row["primary_key"])))


def balanced(report: RunReport) -> bool:
    """Whether each record that was committed has one fate, stream by stream."""
    return all(counts.balanced for counts in report.counts.values())


def fates(counts: Counts) -> dict[str, int]:
    """The counts that are not zero; how many rows waited in staging tables is nobody's business here."""
    return {name: number for name, number in asdict(counts).items() if number and name != "staged"}


def stream(name: str = "things", fields: Mapping[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """A full-table stream with the key `id` for the scripted source; `fields` are the other properties of its schema,
    `more` replaces fields of `Stream` and keywords of the schema (`required`)."""
    schema: dict[str, Any] = {"type": "object", "properties": {"id": INTEGER, **(fields or {})}}
    if "required" in more:
        schema["required"] = more.pop("required")
    return {"name": name, "schema": schema, "primary_key": ["id"], **more}


def incremental(name: str = "things", fields: Mapping[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """A stream with the key `id` and the replication key `at`, an instant."""
    return stream(name, {"at": INSTANT, **(fields or {})}, replication="incremental", replication_key="at", **more)


def served(streams: Sequence[Mapping[str, Any]], records: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """What the scripted source serves."""
    return {"streams": list(streams), "records": dict(records), **more}


def raw(streams: Sequence[Mapping[str, Any]], records: Mapping[str, Sequence[str]], **more: Any) -> str:
    """The same with records as JSON texts, which are served byte for byte."""
    text = json.dumps(served(streams, {name: f"<{name}>" for name in records}, **more))
    for name, texts in records.items():
        text = text.replace(json.dumps(f"<{name}>"), f"[{', '.join(texts)}]")
    return text
