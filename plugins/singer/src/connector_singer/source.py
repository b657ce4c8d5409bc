"""The hooks of the Singer source: each stream is read by a process of its own, which is given a catalog that selects
this stream alone, and so has a STATE of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from connector_core import taps
from connector_core.errors import SourceError
from connector_core.hookspecs import hookimpl
from connector_core.parse import UnreadablePage
from connector_core.parse import page as parsed
from connector_core.streams import Catalog, Description, Page, Stream, Window

from .catalog import Entry, entries, selecting
from .process import Nothing, Tap, end_all
from .reading import STATE, Pass, Token
from .settings import CONFIG, choices, tap_config

MOST_CATALOG: Final = 256 * 1024 * 1024  # bytes


@dataclass(kw_only=True)
class Client:
    """What a run has: the tap, a private folder with its configuration, and the passes that are under way."""

    executable: Path
    folder: Path
    config: Mapping[str, Any]
    catalog: Mapping[str, Any] = field(default_factory=dict)
    entries: Mapping[str, Entry] = field(default_factory=dict)
    running: dict[str, Pass] = field(default_factory=dict)
    locks: dict[str, threading.Lock] = field(default_factory=dict)

    def start(self, *arguments: str, stream: str | None = None) -> Tap:
        """Start the tap with its configuration."""
        command = [str(self.executable), "--config", str(self.folder / "config.json"), *arguments]
        silence = self.config.get("silence_seconds", 1800)
        return Tap(command, name=self.executable.name, stream=stream, silence=silence)

    def write(self, name: str, value: Any) -> str:
        """Write a file that its owner alone can read; gives its path."""
        path = self.folder / f"{name}.json"
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            json.dump(value, file)
        return str(path)

    def close(self) -> None:
        """End what still runs, and remove the folder."""
        end_all(one.tap for one in self.running.values())
        self.running.clear()
        shutil.rmtree(self.folder, ignore_errors=True)


@hookimpl
def describe() -> Description:
    """A source that runs a tap."""
    return Description(
        kind="source",
        name="singer",
        title="Singer",
        summary="Any Singer tap: each stream is read by a process of its own",
        config_schema=CONFIG,
        snapshot={
            "Messages": {
                "SCHEMA, RECORD": "streams and rows; a record that breaks its schema is rejected",
                "STATE": "the bookmark, committed with the rows that it covers",
                "ACTIVATE_VERSION": "a new version of the table takes the place of all rows",
                "BATCH": "not supported",
            },
            "Replication": {
                "INCREMENTAL, LOG_BASED": "with a key upserts; without one rows wait for the STATE that covers them",
                "FULL_TABLE": "all rows are replaced once the tap has ended well",
            },
        },
    )


@hookimpl
def authenticate(config: Mapping[str, Any]) -> Client:
    """Find the tap; nothing is started yet."""
    executable = taps.find(config["executable"], Path(config.get("taps", ".connector-core/taps")))
    client = Client(executable=executable, folder=Path(tempfile.mkdtemp(prefix="connector-singer-")), config=config)
    client.write("config", tap_config(config))
    return client


@hookimpl
def discover(config: Mapping[str, Any], client: Client) -> Catalog:
    """What `tap --discover` says, as far as it is selected."""
    client.catalog = _discovered(client)
    found, notes = entries(
        client.catalog,
        select=config.get("select", ("*",)),
        choices=choices(config),
        at_once=config.get("taps_at_once", 2),
    )
    client.entries = {entry.name: entry for entry in found}
    client.locks = {entry.name: threading.Lock() for entry in found}
    return Catalog(streams=tuple(entry.stream for entry in found), requests=1, notes=tuple(notes))


def _discovered(client: Client) -> Mapping[str, Any]:
    tap = client.start("--discover")
    lines: list[bytes] = []
    size = 0
    try:
        while (line := tap.line(time.monotonic() + 1.0)) is not Nothing.MORE:
            if line is not Nothing.YET:
                lines.append(line)
                size += len(line)
            if size > MOST_CATALOG:
                raise _no_catalog(f"it has more than {MOST_CATALOG:,} bytes")
    finally:
        end_all([tap])
    if tap.exit_code:
        told = f": {words}" if (words := tap.last_words) else ""
        raise tap.failed(f"the tap {tap.name} cannot discover its streams, exit code {tap.exit_code}{told}")
    try:
        found = parsed(b"\n".join(lines))
    except UnreadablePage as error:
        raise _no_catalog(f"it is no JSON: {error.reason}") from error
    if not isinstance(found, dict) or not isinstance(found.get("streams"), list):
        raise _no_catalog("it has no list of streams")
    return found


def _no_catalog(why: str) -> SourceError:
    return SourceError(
        f"what the tap discovers is no catalog: {why}",
        hint="try it with --discover by hand: it must write a catalog to standard output and nothing else",
        code="tap_catalog",
    )


@hookimpl
def extract(
    client: Client,
    config: Mapping[str, Any],
    stream: Stream,
    window: Window,
    parent: Mapping[str, Any] | None,
    page: Hashable | None,
) -> Page:
    """The next messages of the stream's tap, which is started with the first page."""
    with client.locks[stream.name]:
        current = client.running.get(stream.name)
        if current is None or page is None or current.token != page:
            current = _begin(client, client.entries[stream.name], window, page)
        try:
            got = current.page()
        except SourceError:
            _end(client, stream.name)
            raise
        if got.next is None:
            _end(client, stream.name)
        return got


def _begin(client: Client, entry: Entry, window: Window, page: Hashable | None) -> Pass:
    """Start the tap at the last STATE, and once more up to a page that is asked for again."""
    _end(client, entry.name)
    number = list(client.entries).index(entry.name)
    arguments = [client.config.get("catalog_option", "--catalog")]
    arguments.append(client.write(f"catalog-{number}", selecting(client.catalog, entry)))
    state = None if window.state is None else window.state.get(STATE)
    if state is not None:
        arguments += ["--state", client.write(f"state-{number}", state)]
    tap = client.start(*arguments, stream=entry.name)
    client.running[entry.name] = current = Pass(tap, entry, window.state)
    if isinstance(page, Token):
        current.skip(page)
    return current


def _end(client: Client, stream: str) -> None:
    if (current := client.running.pop(stream, None)) is not None:
        end_all([current.tap])
