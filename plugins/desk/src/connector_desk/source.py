"""The Desk source, version 15-10-2015: five streams, eleven tables (facts/stitch_desk_page.txt, facts/desk_api.md)."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from connector_core.rest import (
    Client,
    Limits,
    NextLink,
    OAuth1,
    RateHeaders,
    RestSource,
    RestStream,
    Since,
    Walk,
    site,
)
from connector_core.streams import Window

from . import records, schemas
from .groups import Users, read_user_groups, read_users
from .snapshot import FIXED, SNAPSHOT

SECOND: Final = timedelta(seconds=1)  # Desk's instants have whole seconds
PAGE_SIZE: Final = 100  # what every extractor asks of cases, customers and replies; a larger one is cut silently
REQUEST_TIMEOUT: Final = 120

WHERE: Final = """\
Where the credentials are: sign into Desk, go to Admin (upper left), click Settings (top), then API (left).
1. Click +Add API Application, fill in a name and the three URLs, click Add: the page shows Key and Secret.
2. Click Your Access Token on the right of that page: a window shows Token and Token Secret."""
"""Steps 1 to 3 of facts/stitch_desk_page.txt; `connector-core init` and the file it writes show them."""

CONFIG: Final[dict[str, Any]] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "additionalProperties": False,
    "description": WHERE,
    "required": ["site_url", "key", "secret", "token", "token_secret"],
    "properties": {
        "site_url": {
            "type": "string",
            "minLength": 1,
            "title": "Site URL",
            "description": "your Desk.com website address, for example https://stitch.desk.com",
        },
        "key": {
            "type": "string",
            "minLength": 1,
            "writeOnly": True,
            "title": "Key",
            "description": "Key of the API application",
        },
        "secret": {
            "type": "string",
            "minLength": 1,
            "writeOnly": True,
            "title": "Secret",
            "description": "Secret of the API application",
        },
        "token": {
            "type": "string",
            "minLength": 1,
            "writeOnly": True,
            "title": "Token",
            "description": "Token, under Your Access Token",
        },
        "token_secret": {
            "type": "string",
            "minLength": 1,
            "writeOnly": True,
            "title": "Token Secret",
            "description": "Token Secret; take care not to mix it up with the Secret",
        },
        "page_size": {
            "type": "integer",
            "minimum": 1,
            "maximum": 100,
            "default": PAGE_SIZE,
            "description": "records a page of cases, customers and replies",
        },
        "request_timeout": {
            "type": "number",
            "exclusiveMinimum": 0,
            "maximum": 3600,
            "default": REQUEST_TIMEOUT,
            "description": "seconds that one request may take in all",
        },
        "private_network": {
            "type": "boolean",
            "default": False,
            "description": "whether the site's name may lead to an address of a private network; refused otherwise",
        },
    },
}


def _page_size(config: Mapping[str, Any]) -> int:
    return int(config.get("page_size", PAGE_SIZE))


def _incremental(path: str) -> dict[str, Any]:
    """What cases and customers share: sorted by updated_at, read by the window walk, one second of overlap."""
    return {
        "path": path,
        "records": "_embedded.entries",
        "total": "total_entries",
        "primary_key": ("id",),
        "replication_key": "updated_at",
        "params": {"sort_field": "updated_at", "sort_direction": "asc"},
        "since": Since("since_updated_at", "epoch"),
        "paginator": Walk(step=SECOND),
        "per_page": _page_size,
        "overlap": SECOND,
        "discard": frozenset({"_links", "_embedded"}),
    }


CASES: Final = RestStream(name="cases", schema=schemas.CASES, record=records.case, **_incremental("/cases"))
CUSTOMERS: Final = RestStream(
    name="customers", schema=schemas.CUSTOMERS, record=records.customer, **_incremental("/customers/search")
)
REPLIES: Final = RestStream(
    name="replies",
    parent="cases",
    when=records.has_replies,
    path="/cases/{parent.id}/replies",
    records="_embedded.entries",
    total="total_entries",
    schema=schemas.REPLIES,
    primary_key=("case_id", "reply_id"),
    paginator=NextLink("_links.next.href"),
    per_page=_page_size,
    record=records.reply,
    discard=frozenset({"_links", "_embedded"}),
)
USERS: Final = RestStream(
    name="users",
    schema=schemas.USERS,
    primary_key=("id",),
    discard=frozenset({"_links", "_embedded"}),
    fetch=read_users,
)
USER_GROUPS: Final = RestStream(
    name="user_groups",
    schema=schemas.USER_GROUPS,
    primary_key=("user_id", "id"),
    after=("users",),
    fetch=read_user_groups,
)
CUSTOM_FIELDS: Final = RestStream(
    name="custom_fields",
    path="/custom_fields",
    records="_embedded.entries",
    schema={"type": "object", "properties": {}},
    paginator=NextLink("_links.next.href"),
    per_page=1000,
)


def typed(client: Client, config: Mapping[str, Any], streams: Sequence[RestStream]) -> list[RestStream]:
    """The streams with their custom fields typed as the site defines them (facts/desk_api.md section 7.7)."""
    definitions: dict[str, list[tuple[str, str]]] = {"ticket": [], "customer": []}
    token: Hashable | None = None
    while True:
        page = client.list(CUSTOM_FIELDS, Window(), None, token)
        for entry in page.records:
            if not isinstance(entry, dict):
                continue
            kind, name, data = entry.get("type"), entry.get("name"), entry.get("data")
            of = data.get("type") if isinstance(data, dict) else None
            if kind in definitions and isinstance(name, str) and name and isinstance(of, str):
                definitions[kind].append((name, of))
        token = page.next
        if token is None:
            break
    kinds = {"cases": "ticket", "customers": "customer"}
    return [
        replace(stream, schema=schemas.with_custom_fields(dict(stream.schema), definitions[kinds[stream.name]]))
        if stream.name in kinds
        else stream
        for stream in streams
    ]


source = RestSource(
    name="desk",
    title="Desk",
    summary="Support cases, customers, replies, users and groups of a Desk.com site",
    versions=("15-10-2015",),
    base_url=lambda config: f"{site(str(config['site_url']))}/api/v2",
    auth=OAuth1(key="key", secret="secret", token="token", token_secret="token_secret"),  # noqa: S106 - names of settings
    rate_limit=RateHeaders(limit="X-Rate-Limit-Limit", remaining="X-Rate-Limit-Remaining", reset="X-Rate-Limit-Reset"),
    streams=(CASES, CUSTOMERS, REPLIES, USERS, USER_GROUPS),
    config_schema=CONFIG,
    snapshot=SNAPSHOT,
    fixed=FIXED,
    frequency=30 * 60,
    limits=lambda config: Limits(deadline=float(config.get("request_timeout", REQUEST_TIMEOUT))),
    private_network=lambda config: bool(config.get("private_network", False)),
    refine=typed,
    memory=Users,
)
