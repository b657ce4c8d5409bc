"""Records as the 2016 wire has them: links with relative hrefs, ids of relations only in hrefs (facts/desk_api.md
sections 2, 7, 8)."""

from __future__ import annotations

from typing import Any, Final

from .data import Data
from .fields import Definition
from .record import Raw, Record, encodable

API: Final = "/api/v2"
MESSAGE_CLASS: Final = {
    "email": "email",
    "twitter": "tweet",
    "phone": "phone",
    "chat": "chat",
    "qna": "community_question",
    "facebook": "facebook_post",
}
REPLY_CLASS: Final = MESSAGE_CLASS | {
    "phone": "phone_call",
    "chat": "chat_message",
    "qna": "community_answer",
    "facebook": "facebook_comment",
}
Document = dict[str, Any] | Raw


def link(kind: str, href: str, count: int | None = None) -> dict[str, Any]:
    """A link object: ``count`` only on relations to collections that tell it."""
    known: dict[str, Any] = {"href": f"{API}/{href}", "class": kind}
    return known if count is None else known | {"count": count}


def case_link(kind: str, href: str, count: int | None = None) -> dict[str, Any]:
    """A link object of a case, whose backend wrote its keys in alphabetical order (facts/desk_api.md section 0)."""
    if count is None:
        return {"class": kind, "href": f"{API}/{href}"}
    return {"class": kind, "count": count, "href": f"{API}/{href}"}


def related(kind: str, path: str, id: int | None) -> dict[str, Any] | None:
    """A link to one record, null without a target."""
    return None if id is None else link(kind, f"{path}/{id}")


def finished(record: Record, document: dict[str, Any]) -> Document:
    """The wire object with what a test has put over it."""
    if record.whole is not None:
        return record.whole
    if not record.raw and not record.dropped:
        return document
    merged = {name: value for name, value in document.items() if name not in record.dropped} | record.raw
    result: Document = encodable(merged)
    return result


def case(data: Data, record: Record) -> Document:
    """A case as list entry and as single resource."""
    at, refs = f"cases/{record.id}", record.refs
    customer, user, group, locker = refs["customer"], refs["assigned_user"], refs["assigned_group"], refs["locked_by"]
    replies = case_link("reply", f"{at}/replies", data.reply_count(record.id))
    if record.channel == "chat":
        replies["user_messages_count"] = data.reply_count(record.id) // 2
    links = {
        "self": case_link("case", at),
        "message": case_link(MESSAGE_CLASS[record.channel], f"{at}/message"),
        "customer": None if customer is None else case_link("customer", f"customers/{customer}"),
        "labels": case_link("label", f"{at}/labels"),
        "assigned_user": None if user is None else case_link("user", f"users/{user}"),
        "assigned_group": None if group is None else case_link("group", f"groups/{group}"),
        "locked_by": None if locker is None else case_link("user", f"users/{locker}"),
        "history": case_link("history", f"{at}/history"),
        "case_links": case_link("case_link", f"{at}/links", 0),
        "macro_preview": case_link("macro_preview", f"{at}/macros/preview"),
        "replies": replies,
        "draft": case_link("reply", f"{at}/replies/draft"),
        "notes": case_link("note", f"{at}/notes", record.fields["active_notes_count"]),
        "attachments": case_link("attachment", f"{at}/attachments", record.fields["active_attachments_count"]),
        "feedbacks": None,
    }
    custom = data.custom_fields("ticket", record)
    return finished(record, {**record.fields, "custom_fields": custom, "_links": links})


def customer(data: Data, record: Record, *, missing_company: bool = False) -> Document:
    """A customer. ``missing_company``: without a company the link is left out (2014) instead of null (2016)."""
    at = f"customers/{record.id}"
    links = {
        "self": link("customer", at),
        "locked_by": None,
        "company": related("company", "companies", record.refs["company"]),
        "facebook_user": None,
        "twitter_user": related("twitter_user", "twitter_users", record.refs["twitter_user"]),
        "cases": link("case", f"{at}/cases", data.cases_of[record.id]),
        "labels": link("label", f"{at}/labels"),
    }
    if missing_company and links["company"] is None:
        del links["company"]
    custom = data.custom_fields("customer", record)
    return finished(record, {**record.fields, "custom_fields": custom, "_links": links})


def interaction(case_id: int, customer_id: int | None, record: Record, *, is_message: bool = False) -> Document:
    """A message or reply with the links of its channel. The href id of a reply is the site-wide one, the body's ``id``
    is not."""
    numbered = f"cases/{case_id}/replies/{record.id}"
    kind = (MESSAGE_CLASS if is_message else REPLY_CLASS)[record.channel]
    links: dict[str, Any] = {"self": link(kind, f"cases/{case_id}/message" if is_message else numbered)}
    if record.channel == "email":
        links["splits"] = link("split", f"{numbered}/splits")
        links["outbound_mailbox"] = link("outbound_mailbox", "mailboxes/outbound/1")
    links["case"] = link("case", f"cases/{case_id}")
    links["customer"] = related("customer", "customers", customer_id)
    for name, user in record.refs.items():
        links[name] = related("user", "users", user)
    if record.channel == "twitter":
        links["twitter_account"] = link("twitter_account", "twitter_accounts/1")
        links |= {"favorited_by_twitter_account": None, "favorited_by": None, "retweeted_by": None}
    elif record.channel == "qna":
        links["topic"] = link("topic", "topics/1")
        links |= {"best_answer": None, "answers_disallowed_by": None, "hidden_by": None}
    elif record.channel == "facebook":
        links["likes"] = link("like", f"{numbered}/likes", record.id % 5)
    links["erased_by"] = None
    if record.channel == "email":
        links["attachments"] = link(
            "attachment", f"cases/{case_id}/message/attachments" if is_message else f"{numbered}/attachments"
        )
    return finished(record, {**record.fields, "_links": links})


def user(record: Record) -> Document:
    """A user (agent)."""
    at = f"users/{record.id}"
    links = {"self": link("user", at), "preferences": link("user_preference", f"{at}/preferences")}
    for name in ("search", "group", "macro", "filter", "integration_url"):
        plural = "searches" if name == "search" else f"{name}s"
        links[plural] = link(name, f"{at}/{plural}")
    return finished(record, {**record.fields, "_links": links})


def group(record: Record) -> Document:
    """A group."""
    at = f"groups/{record.id}"
    links = {
        "self": link("group", at),
        "users": link("user", f"{at}/users"),
        "filters": link("filter", f"{at}/filters"),
    }
    return finished(record, {**record.fields, "_links": links})


def label(record: Record) -> Document:
    """A label."""
    return finished(record, {**record.fields, "_links": {"self": link("label", f"labels/{record.id}")}})


def company(data: Data, record: Record) -> Document:
    """A company."""
    at = f"companies/{record.id}"
    links = {
        "self": link("company", at),
        "customers": link("customer", f"{at}/customers"),
        "cases": link("case", f"{at}/cases"),
    }
    custom = data.custom_fields("company", record)
    return finished(record, {**record.fields, "custom_fields": custom, "_links": links})


def custom_field(definition: Definition) -> dict[str, Any]:
    """A row of ``GET /custom_fields``: where the field belongs, the type of its data and its choices."""
    data: dict[str, Any] = {"type": definition.type}
    if definition.choices:
        data["choices"] = list(definition.choices)
    return {
        "id": definition.id,
        "name": definition.name,
        "label": definition.label,
        "type": definition.kind,
        "active": definition.active,
        "data": data,
        "_links": {"self": link("custom_field", f"custom_fields/{definition.id}")},
    }
