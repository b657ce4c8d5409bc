"""A Singer tap on the Meltano SDK, for the API or the NDJSON files; runs in an environment of its own:
singer_tap.py --config CONFIG [--state STATE].

The configuration says where the records are: `url`, or `folder`. FAST=1 in the environment takes the SDK's msgspec
writer and parses each page once, with orjson.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import orjson
from columns import COLUMNS, schema
from singer_sdk import Stream, Tap
from singer_sdk import typing as th
from singer_sdk.contrib.msgspec import MsgSpecWriter
from singer_sdk.pagination import BaseHATEOASPaginator
from singer_sdk.streams import RESTStream

FAST = os.environ.get("FAST") == "1"


class Links(BaseHATEOASPaginator):
    """Follows the link to the next page."""

    def get_next_url(self, response: Any) -> Any:
        """The link, None on the last page."""
        page = response.page if FAST else response.json()
        link = page["_links"]["next"]
        return link["href"] if link else None


class Api(RESTStream):
    """One list of the API."""

    primary_keys = ("id",)
    replication_key = "updated_at"
    records_jsonpath = "$._embedded.entries[*]"

    @property
    def url_base(self) -> str:
        """Where the API is."""
        return str(self.config["url"])

    def get_new_paginator(self) -> Any:
        """One for each list."""
        return Links()

    def get_url_params(self, context: Any, next_page_token: Any) -> dict[str, Any]:
        """The query: that of the link, or of the first page."""
        if next_page_token:
            return dict(parse_qsl(next_page_token.query))
        start = self.get_starting_timestamp(context)
        return {"since_updated_at": int(start.timestamp())} if start else {}

    def parse_response(self, response: Any) -> Iterable[dict[str, Any]]:
        """The records of a page."""
        if not FAST:
            yield from super().parse_response(response)
            return
        response.page = orjson.loads(response.content)
        yield from response.page["_embedded"]["entries"]

    def post_process(self, row: dict[str, Any], context: Any = None) -> dict[str, Any]:
        """The record as everybody keeps it."""
        del row["_links"]
        return row


class File(Stream):
    """One NDJSON file."""

    primary_keys = ("id",)
    replication_key = "updated_at"

    def get_records(self, context: Any) -> Iterable[dict[str, Any]]:
        """All records of the file."""
        with (Path(self.config["folder"]) / f"{self.name}.ndjson").open("rb") as lines:
            for line in lines:
                record = orjson.loads(line)
                del record["_links"]
                yield record


class BenchTap(Tap):
    """Both streams."""

    name = "tap-bench"
    config_jsonschema = th.PropertiesList(
        th.Property("url", th.StringType),
        th.Property("folder", th.StringType),
        th.Property("start_date", th.DateTimeType),
    ).to_dict()
    if FAST:
        message_writer_class = MsgSpecWriter

    def discover_streams(self) -> list[Any]:
        """The streams as declared."""
        kind = File if self.config.get("folder") else Api
        return [
            type(name, (kind,), {"name": name, "path": f"/api/v2/{name}"})(self, schema=schema(name), name=name)
            for name in COLUMNS
        ]


if __name__ == "__main__":
    BenchTap.cli()
