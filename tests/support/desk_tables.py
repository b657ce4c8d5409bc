"""What the eleven tables must hold for the records of a Desk site: written anew from the facts, knowing nothing of
the engine."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from tests.support.project import Project

Row = dict[str, Any]
TABLES = {
    "cases",
    "cases__labels",
    "cases__label_ids",
    "customers",
    "customers__emails",
    "customers__phone_numbers",
    "customers__addresses",
    "customers__label_ids",
    "replies",
    "users",
    "user_groups",
}
ARRAYS = {
    "cases": ("labels", "label_ids"),
    "customers": ("emails", "phone_numbers", "addresses", "label_ids"),
}
SYSTEM = re.compile(r"_sdc_(?!source_key_|level_)|__sdc")
WHOLE_SECOND = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.000000Z")
CASE_LINKS = {
    "customer": "customer_id",
    "assigned_user": "assigned_user_id",
    "assigned_group": "assigned_group_id",
    "locked_by": "locked_by_id",
}
CUSTOMER_LINKS = {
    "company": "company_id",
    "locked_by": "locked_by_id",
    "twitter_user": "twitter_user_id",
    "facebook_user": "facebook_user_id",
}
REPLY_LINKS = {
    "case": "case_id",
    "self": "reply_id",
    "sent_by": "sent_by",
    **{
        name: f"{name}_id"
        for name in (
            "customer",
            "entered_by",
            "created_by",
            "erased_by",
            "hidden_by",
            "favorited_by",
            "retweeted_by",
            "favorited_by_twitter_account",
            "twitter_account",
            "outbound_mailbox",
            "topic",
            "best_answer",
            "answers_disallowed_by",
        )
    },
}


def expected(site: Mapping[str, Sequence[Mapping[str, Any]]], *, since: str = "") -> dict[str, list[Row]]:
    """The rows of every table for what `Sandbox.expected()` says, for records changed at or after `since`; NULLs are
    left out."""
    tables: dict[str, list[Row]] = {name: [] for name in TABLES}
    cases = [case for case in site["cases"] if case["updated_at"] >= since]
    for case in cases:
        row = _flat(case, CASE_LINKS, ARRAYS["cases"])
        if case.get("opened_at"):
            row["last_opened_at"] = case["opened_at"]
        tables["cases"].append(row)
        for name in ARRAYS["cases"]:
            tables[f"cases__{name}"] += [
                {"_sdc_source_key_id": case["id"], "_sdc_level_0_id": level, "value": value}
                for level, value in enumerate(case[name])
            ]
    kept = {case["id"] for case in cases}
    for customer in site["customers"]:
        if customer["updated_at"] < since:
            continue
        tables["customers"].append(_flat(customer, CUSTOMER_LINKS, ARRAYS["customers"]))
        for name in ARRAYS["customers"]:
            for level, item in enumerate(customer[name]):
                values = item if isinstance(item, dict) else {"value": item}
                tables[f"customers__{name}"].append(
                    {"_sdc_source_key_id": customer["id"], "_sdc_level_0_id": level, **_present(values)}
                )
    for reply in site["replies"]:
        row = _flat(reply, REPLY_LINKS, ())
        if row["case_id"] in kept:
            tables["replies"].append(row)
    tables["users"] = [_flat(user, {}, ()) for user in site["users"]]
    names = {group["id"]: group["name"] for group in site["groups"]}
    tables["user_groups"] = [
        _present({"user_id": m["user_id"], "id": m["group_id"], "name": names[m["group_id"]]})
        for m in site["memberships"]
    ]
    return {name: _sorted(rows) for name, rows in tables.items()}


def found(project: Project) -> dict[str, list[Row]]:
    """The rows of every table in the destination, without the engine's columns; NULLs are left out."""
    tables = {}
    with project.reading():
        for name in sorted(project.tables()):
            rows = project.rows(name)
            tables[name] = _sorted(
                {k: _second(v) for k, v in row.items() if v is not None and not SYSTEM.match(k)} for row in rows
            )
    return tables


def _flat(record: Mapping[str, Any], links: Mapping[str, str], arrays: Sequence[str]) -> Row:
    row = {k: v for k, v in record.items() if k not in (*arrays, "_links", "_embedded", "custom_fields")}
    row |= {f"custom_fields__{k}": v for k, v in record.get("custom_fields", {}).items()}
    for relation, column in links.items():
        link = record["_links"].get(relation)
        if link and link["href"]:
            row[column] = int(link["href"].rsplit("/", 1)[1])
    return _present(row)


def _present(row: Mapping[str, Any]) -> Row:
    return {k: v for k, v in row.items() if v is not None}


def _second(value: Any) -> Any:
    """An instant on a whole second as Desk writes it."""
    return WHOLE_SECOND.sub(r"\1Z", value) if isinstance(value, str) else value


def _sorted(rows: Any) -> list[Row]:
    return sorted(rows, key=lambda row: repr(sorted(row.items())))
