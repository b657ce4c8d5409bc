"""The records as DuckDB types: what each peer that has to be told declares from them."""

from __future__ import annotations

from typing import Any

INSTANT = "TIMESTAMPTZ"
TYPED = "STRUCT(type VARCHAR, value VARCHAR)[]"
COLUMNS = {
    "cases": {
        "id": "BIGINT",
        **dict.fromkeys(["external_id", "subject", "blurb", "description", "status", "type", "language"], "VARCHAR"),
        "priority": "BIGINT",
        **dict.fromkeys(["locked_until", "active_at", "changed_at", "created_at", "updated_at"], INSTANT),
        **dict.fromkeys(["first_opened_at", "opened_at", "first_resolved_at", "resolved_at"], INSTANT),
        "labels": "VARCHAR[]",
        "label_ids": "BIGINT[]",
        "custom_fields": "STRUCT(level VARCHAR, score VARCHAR)",
    },
    "customers": {
        "id": "BIGINT",
        **dict.fromkeys(
            ["first_name", "last_name", "company", "title", "avatar", "uid", "external_id", "background"], "VARCHAR"
        ),
        "language": "VARCHAR",
        **dict.fromkeys(["access_private_portal", "access_company_cases"], "BOOLEAN"),
        **dict.fromkeys(["locked_until", "created_at", "updated_at"], INSTANT),
        **dict.fromkeys(["emails", "phone_numbers", "addresses"], TYPED),
        "custom_fields": "STRUCT(level VARCHAR)",
    },
}


def schema(stream: str, *, required: bool = True) -> dict[str, Any]:
    """The JSON Schema of a stream's records; every property but the key may be null."""
    properties = {name: _schema_of(kind) for name, kind in COLUMNS[stream].items()}
    properties["id"] = {"type": "integer"}
    return {"type": "object", "properties": properties} | ({"required": ["id"]} if required else {})


def _schema_of(kind: str) -> dict[str, Any]:
    if kind == TYPED:
        typed = {"type": "object", "properties": {"type": _schema_of("VARCHAR"), "value": _schema_of("VARCHAR")}}
        return {"type": ["array", "null"], "items": typed}
    if kind.endswith("[]"):
        return {"type": ["array", "null"], "items": _schema_of(kind.removesuffix("[]"))}
    if kind.startswith("STRUCT"):
        return {"type": ["object", "null"], "additionalProperties": True}
    if kind == INSTANT:
        return {"type": ["string", "null"], "format": "date-time"}
    return {"type": [{"VARCHAR": "string", "BIGINT": "integer", "BOOLEAN": "boolean"}[kind], "null"]}
