"""The API as a source: what a third party would write for it, declared with `RestSource`."""

from __future__ import annotations

from typing import Any

from ndjson_source import CASE, CUSTOMER

from connector_core.rest import NextLink, RestSource, RestStream, Since


def _stream(name: str, schema: Any) -> RestStream:
    return RestStream(
        name=name,
        path=f"/api/v2/{name}",
        records="_embedded.entries",
        total="total_entries",
        schema=schema,
        primary_key=("id",),
        replication_key="updated_at",
        ascending=False,  # the API answers by id
        since=Since("since_updated_at", form="epoch"),
        paginator=NextLink("_links.next.href"),
        discard=frozenset({"_links"}),
    )


source = RestSource(
    name="bench_api",
    title="The benchmark's API",
    base_url="{url}",
    config_schema={"type": "object", "required": ["url"], "properties": {"url": {"type": "string"}}},
    streams=(_stream("cases", CASE), _stream("customers", CUSTOMER)),
)
