"""A source that gives as much as one asks for, as fast as it can: pages made up when they are asked for, those of root
streams read from JSON text like those of an API. And an extension, `dam`, that makes the destination wait.

Config: `pages` of `records` each, a record having `columns` texts of `letters` letters; `shape` is the stream's:
plain, silent (a plain one that does not tell how large its pages are) or family, where each record has `replies`
children in pages of 100. `letter` is what the texts are made of.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Generator, Hashable, Mapping
from dataclasses import dataclass
from typing import Any

from connector_core import parse
from connector_core.batch import Batch, Receipt
from connector_core.hookspecs import hookimpl
from connector_core.streams import Catalog, Description, Page, Stream, Window

NUMBERS = ("pages", "records", "columns", "letters", "replies")
QUIET = 0.4
"""Seconds without a call after which the source is believed to be held back."""


@dataclass
class Flow:
    """How the source is asked: `at` is when it was asked last."""

    asked: int = 0
    at: float = 0.0


flow = Flow()


class Flood:
    @hookimpl
    def describe(self) -> Description:
        numbers = {name: {"type": "integer"} for name in NUMBERS}
        texts = {name: {"type": "string"} for name in ("shape", "letter")}
        return Description(kind="source", name="flood", config_schema={"type": "object", "properties": numbers | texts})

    @hookimpl
    def authenticate(self, config: Mapping[str, Any]) -> Mapping[str, Any]:
        return config

    @hookimpl
    def discover(self, config: Mapping[str, Any]) -> Catalog:
        columns = {f"c{i}": {"type": "string"} for i in range(config["columns"])}
        at = {"at": {"type": "string", "format": "date-time"}}
        root = Stream(
            name="floods",
            primary_key=("id",),
            replication="incremental",
            replication_key="at",
            schema=_object(at | columns),
        )
        streams = [root]
        if config["shape"] == "family":
            streams.append(Stream(name="replies", parent="floods", primary_key=("id",), schema=_object(columns)))
        return Catalog(streams=tuple(streams))

    @hookimpl
    def extract(
        self,
        config: Mapping[str, Any],
        stream: Stream,
        window: Window,
        parent: Mapping[str, Any] | None,
        page: Hashable | None,
    ) -> Page:
        flow.asked, flow.at = flow.asked + 1, time.monotonic()
        number = page if isinstance(page, int) else 0
        each, pages = config["records"], config["pages"]
        if parent is not None:
            each, pages = 100, -(-config["replies"] // 100)
        first = number * each + (0 if parent is None else parent["id"] * 1_000_000)
        records = [_record(first + i, config) for i in range(each)]
        following = number + 1 if number + 1 < pages else None
        if parent is not None:  # several at a time: their texts would take more memory than what is held of them
            return Page(records=records, next=following, size=each * config["columns"] * config["letters"])
        body = json.dumps(records, ensure_ascii=False).encode()
        return Page(records=parse.page(body), next=following, size=0 if config["shape"] == "silent" else len(body))


class Dam:
    """Holds the first batch back until the source has not been asked for a while: a destination as slow as you like."""

    def __init__(self) -> None:
        self.open = False

    @hookimpl
    def describe(self) -> Description:
        return Description(kind="extension", name="dam", config_schema={"type": "object"})

    @hookimpl(wrapper=True)
    def load(self, batch: Batch) -> Generator[None, Receipt, Receipt]:
        while not self.open and time.monotonic() - flow.at < QUIET:
            time.sleep(0.02)
        if not self.open:
            print(f"the dam opens after {flow.asked} pages", file=sys.stderr)
        self.open = True
        return (yield)


def _object(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": {"id": {"type": "integer"}, **properties}}


def _record(key: int, config: Mapping[str, Any]) -> dict[str, Any]:
    text = f"{key} ".ljust(config["letters"], config["letter"])
    return {"id": key, "at": "2026-03-01T08:00:00Z", **{f"c{i}": text for i in range(config["columns"])}}


source, dam = Flood(), Dam()
