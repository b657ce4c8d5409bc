"""A source plugin for tests: serves the streams and records of a JSON file, page by page, as a third party's plugin
would.

The file: {"streams": [Stream fields..., `when` as a property of the parent], "records": {stream: [...]}, "page_size":
3, "served_at": ISO or null, "faults": {stream: {"page number from 1": "retry" | "fail" | "auth" | "missing" | "crash"
| "none"}}, "delay": seconds per page, "delays": {stream: {parent's id: seconds}}, "totals": {stream: n}}. Records of a
child stream carry their parent's key in the property "_parent"; a fault of a child may be for one parent, "<id>:<page
number>". A record may be any JSON value. The file is read anew for each page, so a test may change it while a run goes
on.

"signals": {"2": 15} sends this process signal 15 after its second commit, {"exit": 9} when the interpreter ends.
"""

from __future__ import annotations

import atexit
import os
import time
from collections.abc import Hashable, Mapping
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from pathlib import Path
from typing import Any

from connector_core import parse
from connector_core.errors import AuthError, NotFoundError, RetryableError, SourceError
from connector_core.events import BatchLoaded, Event
from connector_core.hookspecs import hookimpl
from connector_core.streams import Catalog, Description, Page, Stream, Window

ERRORS = {
    "retry": lambda: RetryableError("a passing fault"),
    "fail": lambda: SourceError("a lasting fault"),
    "auth": lambda: AuthError("credentials refused"),
    "missing": lambda: NotFoundError("gone"),
    "crash": lambda: ZeroDivisionError("a defect of the plugin"),
}


class Scripted:
    def __init__(self) -> None:
        self._signals: dict[str, int] = {}
        self._commits = 0

    @hookimpl
    def describe(self) -> Description:
        return Description(
            kind="source",
            name="scripted",
            config_schema={
                "type": "object",
                "properties": {"data": {"type": "string"}, "password": {"type": "string", "writeOnly": True}},
                "required": ["data"],
                "additionalProperties": False,
            },
            frequency=3600,
        )

    @hookimpl
    def authenticate(self, config: Mapping[str, Any]) -> Any:
        self._signals, self._commits = _load(Path(config["data"])).get("signals", {}), 0
        if "exit" in self._signals:
            atexit.register(os.kill, os.getpid(), self._signals["exit"])
        return Path(config["data"])

    @hookimpl
    def discover(self, client: Path) -> Catalog:
        return Catalog(streams=tuple(map(_stream, _load(client)["streams"])))

    @hookimpl
    def extract(
        self, client: Path, stream: Stream, window: Window, parent: Mapping[str, Any] | None, page: Hashable | None
    ) -> Page:
        data = _load(client)
        number = page or 1
        faults, delays = data.get("faults", {}).get(stream.name, {}), data.get("delays", {}).get(stream.name, {})
        fault = faults.get(str(number))
        if parent is not None:
            fault = faults.get(f"{parent['id']}:{number}", fault)
        time.sleep(data.get("delay", 0) if parent is None else delays.get(str(parent["id"]), data.get("delay", 0)))
        if fault == "none":
            return None  # type: ignore[return-value]
        if fault:
            raise ERRORS[fault]()
        records = data["records"].get(stream.name, [])
        if parent is not None:
            records = [{k: v for k, v in r.items() if k != "_parent"} for r in records if r["_parent"] == parent["id"]]
        if window.since is not None:
            records = [
                r for r in records if not isinstance(r, dict) or _since(r.get(stream.replication_key or ""), window)
            ]
        size = data.get("page_size", 3)
        begin = (int(number) - 1) * size  # type: ignore[call-overload]
        last = begin + size >= len(records)
        served = data.get("served_at")
        total = data.get("totals", {}).get(stream.name)
        return Page(
            records=records[begin : begin + size],
            next=None if last else int(number) + 1,  # type: ignore[call-overload]
            total=total,
            served_at=datetime.fromisoformat(served) if served else None,
            size=100 * len(records[begin : begin + size]),
            url=f"scripted:{stream.name}?page={number}",
        )

    @hookimpl
    def observe(self, event: Event) -> None:
        if isinstance(event, BatchLoaded):
            self._commits += 1
            number = self._signals.get(str(self._commits))
            if number is not None:
                os.kill(os.getpid(), number)


def _load(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = parse.page(path.read_bytes())
    return loaded


def _stream(fields: Mapping[str, Any]) -> Stream:
    known = dict(fields)
    for name in ("overlap", "lookback"):
        if name in known:
            known[name] = timedelta(seconds=known[name])
    for name in ("primary_key", "after"):
        if name in known:
            known[name] = tuple(known[name])
    if "when" in known:
        known["when"] = itemgetter(known["when"])
    known["discard"] = frozenset(known.get("discard", ()))
    return Stream(**known)


def _since(value: Any, window: Window) -> bool:
    since = window.since
    if not isinstance(value, str) or not isinstance(since, datetime):
        return not isinstance(since, int) or not isinstance(value, int) or value >= since
    try:
        instant = datetime.fromisoformat(value)
    except ValueError:
        return True
    return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)) >= since


source = Scripted()
