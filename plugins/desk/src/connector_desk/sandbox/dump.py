"""The truth of the site for comparisons: wire records of all resources as they stand, in no shape but the API's own."""

from __future__ import annotations

from typing import Any, Final

from . import wire
from .data import Data
from .record import plain

# What a reader of the API can fetch through lists; the rest of the dump is reached record by record.
LISTED: Final = ("cases", "customers", "replies", "users", "groups", "memberships", "custom_fields", "labels")


def everything(data: Data, *, missing_company: bool = False) -> dict[str, list[Any]]:
    """Lists of wire records by resource, sorted by id (replies by case): those of `LISTED` (``memberships`` are pairs
    of group and user id), and ``messages`` and ``companies``. JSON text that a test put in is parsed, its fractions as
    Decimal."""
    tables = data.tables
    held: dict[str, list[Any]] = {
        "cases": [wire.case(data, record) for record in _records(data, "cases")],
        "customers": [
            wire.customer(data, record, missing_company=missing_company) for record in _records(data, "customers")
        ],
        "replies": [],
        "users": [wire.user(record) for record in _records(data, "users")],
        "groups": [wire.group(record) for record in _records(data, "groups")],
        "memberships": [
            {"group_id": group, "user_id": user} for group in tables["groups"] for user in sorted(data.members[group])
        ],
        "custom_fields": [
            wire.custom_field(definition)
            for definition in sorted(
                (d for known in data.definitions.values() for d in known.values()), key=lambda d: d.id
            )
        ],
        "labels": [wire.label(record) for record in _records(data, "labels")],
        "companies": [wire.company(data, record) for record in _records(data, "companies")],
        "messages": [],
    }
    for record in _records(data, "cases"):
        customer = record.refs["customer"]
        held["messages"].append(wire.interaction(record.id, customer, data.message(record.id), is_message=True))
        held["replies"].extend(wire.interaction(record.id, customer, reply) for reply in data.replies(record.id))
    return {resource: plain(records) for resource, records in held.items()}


def listed(data: Data, *, missing_company: bool = False) -> dict[str, list[Any]]:
    """The part of `everything` that the lists of the API serve."""
    held = everything(data, missing_company=missing_company)
    return {resource: held[resource] for resource in LISTED}


def _records(data: Data, resource: str) -> list[Any]:
    table = data.tables[resource]
    return [record for record in (table.get(id) for id in table) if record is not None]
