"""PyAirbyte reads the API into Postgres with a declarative source, which it runs in this process; runs in an
environment of its own: airbyte_source.py URL DATABASE.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

os.environ["DO_NOT_TRACK"] = os.environ["AIRBYTE_OFFLINE_MODE"] = "1"

import airbyte
from airbyte.caches import PostgresCache
from columns import COLUMNS, schema

url, database = sys.argv[1:]


def stream(name: str) -> dict[str, Any]:
    """One list of the API, as Airbyte's connector builder would write it down."""
    declared = schema(name, required=False)
    for kind in declared["properties"].values():
        if kind.get("format") == "date-time":
            kind["airbyte_type"] = "timestamp_with_timezone"
    requester = {"type": "HttpRequester", "url_base": f"{url}/api/v2/", "path": name, "http_method": "GET"}
    pages = {
        "type": "DefaultPaginator",
        "page_token_option": {"type": "RequestOption", "inject_into": "request_parameter", "field_name": "page"},
        "pagination_strategy": {
            "type": "CursorPagination",
            "cursor_value": "{{ response.page + 1 }}",
            "stop_condition": "{{ not response._links.next }}",
        },
    }
    extractor = {"type": "DpathExtractor", "field_path": ["_embedded", "entries"]}
    return {
        "type": "DeclarativeStream",
        "name": name,
        "primary_key": ["id"],
        "schema_loader": {"type": "InlineSchemaLoader", "schema": declared},
        "retriever": {
            "type": "SimpleRetriever",
            "requester": requester,
            "record_selector": {"type": "RecordSelector", "extractor": extractor},
            "paginator": pages,
        },
        "transformations": [{"type": "RemoveFields", "field_pointers": [["_links"]]}],
    }


def main() -> None:
    """One run, both streams."""
    manifest = {
        "version": "6.0.0",
        "type": "DeclarativeSource",
        "check": {"type": "CheckStream", "stream_names": ["cases"]},
        "streams": [stream(name) for name in COLUMNS],
        "spec": {"type": "Spec", "connection_specification": {"type": "object", "properties": {}}},
    }
    source = airbyte.get_source("source-bench", config={}, source_manifest=manifest)
    source.select_all_streams()
    where = urlsplit(database)
    cache = PostgresCache(
        host=where.hostname,
        port=where.port,
        username=where.username,
        password=where.password,
        database=where.path.removeprefix("/"),
        schema_name="bench",
        cache_dir=Path.cwd() / "cache",
    )
    source.read(cache=cache, write_strategy="merge")


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # its threads would keep the process waiting
