"""A source plugin that reads NDJSON files: what the benchmark puts before the engine in place of an API.

It takes the road of every source: hooks called once a page, pages as JSON text parsed by the engine, streams declared
with JSON Schemas, records validated one by one. Only the network is missing.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connector_core import Catalog, Description, Page, SourceError, Stream, Window, hookimpl
from connector_core.entries import Columns

PAGE = 1 << 18  # bytes, to the end of the line: 170 to 290 records, as APIs give them in a page

TEXT = {"type": ["string", "null"]}
INSTANT = {"type": ["string", "null"], "format": "date-time"}
FLAG = {"type": ["boolean", "null"]}


def _record(properties: Mapping[str, Any]) -> dict[str, Any]:
    identity = {"id": {"type": "integer"}, "updated_at": {"type": "string", "format": "date-time"}}
    return {"type": "object", "properties": {**properties, **identity}, "required": list(identity)}


def _values(items: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": ["array", "null"], "items": dict(items)}


def _fields(*names: str) -> dict[str, Any]:
    return {"type": ["object", "null"], "properties": dict.fromkeys(names, TEXT)}


TYPED = {"type": "object", "properties": {"type": TEXT, "value": TEXT}}

CASE = _record(
    {
        **dict.fromkeys(("external_id", "subject", "blurb", "description", "status", "type", "language"), TEXT),
        "priority": {"type": ["integer", "null"]},
        **dict.fromkeys(("locked_until", "active_at", "changed_at", "created_at"), INSTANT),
        **dict.fromkeys(("first_opened_at", "opened_at", "first_resolved_at", "resolved_at"), INSTANT),
        "labels": _values({"type": "string"}),
        "label_ids": _values({"type": "integer"}),
        "custom_fields": _fields("level", "score"),
    }
)
CUSTOMER = _record(
    {
        **dict.fromkeys(("first_name", "last_name", "company", "title", "avatar", "uid"), TEXT),
        **dict.fromkeys(("external_id", "background", "language"), TEXT),
        **dict.fromkeys(("access_private_portal", "access_company_cases"), FLAG),
        **dict.fromkeys(("locked_until", "created_at"), INSTANT),
        **dict.fromkeys(("emails", "phone_numbers", "addresses"), _values(TYPED)),
        "custom_fields": _fields("level"),
    }
)


def _stream(name: str, schema: Mapping[str, Any]) -> Stream:
    return Stream(
        name=name,
        schema=schema,
        primary_key=("id",),
        replication="incremental",
        replication_key="updated_at",
        ascending=False,  # the files are ordered by id
        discard=frozenset({"_links"}),
    )


STREAMS = (_stream("cases", CASE), _stream("customers", CUSTOMER))


@hookimpl
def describe() -> Description:
    """See `connector_core.hookspecs.describe`."""
    folder = {"type": "string", "description": "folder with one STREAM.ndjson for each stream"}
    return Description(
        kind="source",
        name="ndjson",
        title="NDJSON files",
        summary="cases and customers from files, for the benchmark",
        config_schema={
            "type": "object",
            "properties": {"folder": folder},
            "required": ["folder"],
            "additionalProperties": False,
        },
        streams=STREAMS,
    )


@dataclass(frozen=True)
class Client:
    """The folder, and what reads each stream's pages."""

    folder: Path
    columns: Mapping[str, Columns]


@hookimpl
def authenticate(config: Mapping[str, Any]) -> Client:
    """Nothing is opened yet."""
    return Client(Path(config["folder"]), {stream.name: Columns(discard=stream.discard) for stream in STREAMS})


@hookimpl
def discover() -> Catalog:
    """Both streams, whatever the files hold."""
    return Catalog(streams=STREAMS)


@hookimpl
def extract(client: Client, stream: Stream, window: Window, page: Hashable | None) -> Page:
    """A quarter of a megabyte of records from a byte offset on; the next page's token is the offset at which it begins.

    The window is not looked at: the file of an increment holds what an API would answer for it.
    """
    offset = page if isinstance(page, int) else 0
    path = client.folder / f"{stream.name}.ndjson"
    try:
        with path.open("rb") as file:
            file.seek(offset)
            lines = file.read(PAGE)
            lines += file.readline()
            more = file.tell() < path.stat().st_size
    except OSError as error:
        raise SourceError(f"{path.name} cannot be read: {error.strerror}") from error
    body = b"[" + lines.rstrip(b"\n").replace(b"\n", b",") + b"]"  # JSON text has no newline inside a string
    token = offset + len(lines) if more else None
    return Page(
        records=client.columns[stream.name].document(body), next=token, size=len(body), requests=0, url=path.name
    )
