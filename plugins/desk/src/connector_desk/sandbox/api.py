"""The endpoints: a path and its parameters in, an answer out (facts/desk_api.md sections 3, 4, 7 and 9)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from . import searching, wire
from .data import Data
from .pages import (
    Answer,
    Ask,
    FailedError,
    Paging,
    beyond_cap,
    bounds,
    failure,
    invalid,
    narrowed,
    page_answer,
    paging,
    sorting,
)
from .record import Record
from .settings import Settings
from .table import Orders
from .wire import Document

CASE_EMBEDS: Final = ("customer", "message", "draft", "assigned_user", "assigned_group")
REPLY_EMBEDS: Final = ("sent_by", "entered_by")
CUSTOMER_EMBEDS: Final = ("facebook_user", "twitter_user")


@dataclass(frozen=True, kw_only=True)
class View:
    """What an endpoint may look at: the data (its lock is held), the switches, the clock's instant in unix seconds."""

    data: Data
    settings: Settings
    now: float


Endpoint = Callable[[View, Ask], Answer]
NOT_FOUND: Final = failure(404, "Resource Not Found")


def route(parts: Sequence[str], settings: Settings) -> tuple[str, Endpoint] | None:
    """(resource as the ledger names it, endpoint) for the path's segments below ``/api/v2``; None for an unknown
    path."""
    match tuple(parts):
        case ("cases",):
            return "cases", _cases
        case ("cases", "search"):
            return "cases_search", _cases_search
        case ("cases", id) if _is_id(id):
            return "case", lambda view, ask: _one(ask, _embedded_case(view, ask, _found(view, "cases", id)))
        case ("cases", id, "message") if _is_id(id):
            return "message", lambda view, ask: _message(view, ask, _found(view, "cases", id))
        case ("cases", id, "replies") if _is_id(id):
            return "replies", lambda view, ask: _replies(view, ask, _found(view, "cases", id))
        case ("cases", id, "replies", reply) if _is_id(id):
            return "reply", lambda view, ask: _reply(view, ask, _found(view, "cases", id), reply)
        case ("customers",):
            return "customers", _customers
        case ("customers", "search"):
            return "customers_search", _customers_search
        case ("customers", id) if _is_id(id):
            return "customer", lambda view, ask: _one(ask, _customer(view, ask, _found(view, "customers", id)))
        case ("customers", id, "cases") if _is_id(id):
            return "customer_cases", lambda view, ask: _customer_cases(view, ask, _found(view, "customers", id))
        case ("users",):
            return "users", _users
        case ("users", "me" | "current"):
            return "user", lambda view, ask: _one(ask, wire.user(_found(view, "users", str(_me(view)))))
        case ("users", id) if _is_id(id):
            return "user", lambda view, ask: _one(ask, wire.user(_found(view, "users", id)))
        case ("users", id, "groups") if _is_id(id):
            return "user_groups", lambda view, ask: _user_groups(view, ask, _found(view, "users", id))
        case ("groups",):
            return "groups", lambda view, ask: _named(view, ask, "groups", list(view.data.tables["groups"]))
        case ("groups", id) if _is_id(id):
            return "group", lambda view, ask: _one(ask, wire.group(_found(view, "groups", id)))
        case ("groups", id, "users") if _is_id(id):
            return "group_users", lambda view, ask: _group_users(view, ask, _found(view, "groups", id))
        case ("companies",):
            return "companies", lambda view, ask: _named(view, ask, "companies", list(view.data.tables["companies"]))
        case ("companies", id) if _is_id(id):
            return "company", lambda view, ask: _one(ask, wire.company(view.data, _found(view, "companies", id)))
        case ("labels",):
            return "labels", lambda view, ask: _named(view, ask, "labels", list(view.data.tables["labels"]))
        case ("custom_fields",):
            return "custom_fields", _custom_fields
        case ("interactions",) if settings.interactions:
            return "interactions", _interactions
    return None


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19


def _found(view: View, resource: str, id: str) -> Record:
    record = view.data.tables[resource].get(int(id))
    if record is None:
        raise FailedError(NOT_FOUND)
    return record


def _one(ask: Ask, document: Document) -> Answer:
    return Answer(document=narrowed(ask, document))


# --- cases


def _cases(view: View, ask: Ask) -> Answer:
    return _ordered(view, ask, "cases", view.data.tables["cases"].orders, capped=True)


def _cases_search(view: View, ask: Ask) -> Answer:
    orders = view.data.tables["cases"].orders_at(view.now - view.settings.search_lag)
    return _ordered(
        view, ask, "cases", orders, keep=searching.case_filter(ask), only_filter="q" in ask.params, capped=True
    )


def _customer_cases(view: View, ask: Ask, customer: Record) -> Answer:
    return _ordered(
        view,
        ask,
        "cases",
        view.data.tables["cases"].orders,
        among=view.data.cases_with(customer.id),
        capped=True,
    )


def _ordered(
    view: View,
    ask: Ask,
    resource: str,
    orders: Orders,
    *,
    keep: searching.Filter | None = None,
    among: Collection[int] | None = None,
    only_filter: bool = False,
    bounded: bool = True,
    capped: bool = False,
) -> Answer:
    """A page of cases or customers in one of their orders. ``keep``: filter that needs the record; ``among``: of
    these ids; ``only_filter``: bounds do not count."""
    page = paging(ask, resource, view.settings)
    sort, descending = sorting(ask)
    limits = bounds(ask, view.settings) if bounded and not only_filter else {}
    _check_embed(ask, CASE_EMBEDS if resource == "cases" else CUSTOMER_EMBEDS)
    nothing = capped and beyond_cap(page, view.settings)
    keys = orders.select(sort, limits)
    table = view.data.tables[resource]
    if among is not None:
        keys = [key for key in keys if key[1] in among]
    if keep is not None:
        keys = table.passing(keys, keep, keep)
    total = len(keys)
    end = total - page.start if descending else page.start + page.per_page
    start = max(0, end - page.per_page) if descending else page.start
    chosen = [] if nothing or end <= 0 else keys[start:end]
    if descending:
        chosen.reverse()
    shape = _embedded_case if resource == "cases" else _customer
    rows = [shape(view, ask, record) for record in (table.get(id) for _, id in chosen) if record is not None]
    return page_answer(ask, page, total, rows, view.settings)


def _check_embed(ask: Ask, allowed: Sequence[str]) -> None:
    if set(ask.names("embed")) - set(allowed):
        raise invalid("embed")


def _embedded_case(view: View, ask: Ask, record: Record) -> Document:
    document = wire.case(view.data, record)
    names = ask.names("embed")
    _check_embed(ask, CASE_EMBEDS)
    if names and isinstance(document, dict):
        document["_embedded"] = {name: _case_embed(view, record, name) for name in names}
    return document


def _case_embed(view: View, record: Record, name: str) -> Document | None:
    tables, customer = view.data.tables, record.refs["customer"]
    if name == "message":
        return wire.interaction(record.id, customer, view.data.message(record.id), is_message=True)
    if name == "draft":
        drafts = [reply for reply in view.data.replies(record.id) if reply.fields["status"] == "draft"]
        return wire.interaction(record.id, customer, drafts[-1]) if drafts else None
    table = tables["customers" if name == "customer" else "users" if name == "assigned_user" else "groups"]
    target = table.get(record.refs[name] or 0)
    if target is None:
        return None
    if name == "customer":
        return _customer(view, None, target)
    return wire.user(target) if name == "assigned_user" else wire.group(target)


def _message(view: View, ask: Ask, case: Record) -> Answer:
    return _one(ask, wire.interaction(case.id, case.refs["customer"], view.data.message(case.id), is_message=True))


def _replies(view: View, ask: Ask, case: Record) -> Answer:
    page = paging(ask, "replies", view.settings)
    sort, descending = sorting(ask)
    _check_embed(ask, REPLY_EMBEDS)
    replies = view.data.replies(case.id)
    if sort != "id":
        replies = sorted(replies, key=lambda reply: (str(reply.fields[sort]), reply.id))
    ordered = replies[::-1] if descending else replies
    rows = [_embedded_reply(view, ask, case, reply) for reply in ordered[page.start : page.start + page.per_page]]
    return page_answer(ask, page, len(replies), rows, view.settings)


def _reply(view: View, ask: Ask, case: Record, id: str) -> Answer:
    for reply in reversed(view.data.replies(case.id)):
        if str(reply.id) == id or (id == "draft" and reply.fields["status"] == "draft"):
            return _one(ask, _embedded_reply(view, ask, case, reply))
    raise FailedError(NOT_FOUND)


def _embedded_reply(view: View, ask: Ask, case: Record, reply: Record) -> Document:
    document = wire.interaction(case.id, case.refs["customer"], reply)
    names = ask.names("embed")
    if names and isinstance(document, dict):
        users = view.data.tables["users"]
        found = {name: users.get(reply.refs.get(name) or 0) for name in names}
        document["_embedded"] = {name: user and wire.user(user) for name, user in found.items()}
    return document


# --- customers


def _customers(view: View, ask: Ask) -> Answer:
    """The plain list knows no since_* parameters and, as far as is known, no page cap."""
    return _ordered(view, ask, "customers", view.data.tables["customers"].orders, bounded=False)


def _customers_search(view: View, ask: Ask) -> Answer:
    orders = view.data.tables["customers"].orders_at(view.now - view.settings.search_lag)
    keep = searching.customer_filter(ask)
    return _ordered(view, ask, "customers", orders, keep=keep, only_filter="q" in ask.params, capped=True)


def _customer(view: View, ask: Ask | None, record: Record) -> Document:
    document = wire.customer(view.data, record, missing_company=view.settings.company_link == "missing")
    if ask is not None and ask.names("embed") and isinstance(document, dict):
        _check_embed(ask, CUSTOMER_EMBEDS)
        document["_embedded"] = dict.fromkeys(ask.names("embed"))
    return document


# --- users, groups and other small lists


def _me(view: View) -> int:
    """The owner of the credentials: the last seeded agent."""
    return view.data.site.agents[-1]


def _users(view: View, ask: Ask) -> Answer:
    """The requesting user comes first, or last when descending."""
    me = _me(view)
    return _named(view, ask, "users", sorted(view.data.tables["users"], key=lambda id: id != me), me=me)


def _user_groups(view: View, ask: Ask, user: Record) -> Answer:
    return _named(view, ask, "groups", [id for id in view.data.tables["groups"] if user.id in view.data.members[id]])


def _group_users(view: View, ask: Ask, group: Record) -> Answer:
    return _named(view, ask, "users", sorted(view.data.members[group.id]))


def _named(view: View, ask: Ask, resource: str, ids: list[int], *, me: int | None = None) -> Answer:
    """A page of records that are listed by id or name."""
    page = paging(ask, resource, view.settings)
    sort, descending = sorting(ask, ("id", "name"))
    table = view.data.tables[resource]
    records = [record for record in (table.get(id) for id in ids) if record is not None]
    if sort == "name":
        records.sort(key=lambda record: (record.id != me, str(record.fields["name"])))
    if descending:
        records.reverse()
    rows = [_small(view, resource, record) for record in records[page.start : page.start + page.per_page]]
    return page_answer(ask, page, len(records), rows, view.settings, tagged=resource in ("users", "groups", "labels"))


def _small(view: View, resource: str, record: Record) -> Document:
    if resource == "companies":
        return wire.company(view.data, record)
    return {"users": wire.user, "groups": wire.group, "labels": wire.label}[resource](record)


def _custom_fields(view: View, ask: Ask) -> Answer:
    page = paging(ask, "custom_fields", view.settings)
    known = sorted((d for fields in view.data.definitions.values() for d in fields.values()), key=lambda d: d.id)
    rows = [wire.custom_field(definition) for definition in known[page.start : page.start + page.per_page]]
    return page_answer(ask, page, len(known), rows, view.settings)


# --- interactions


def _interactions(view: View, ask: Ask) -> Answer:
    """Messages and replies of the whole site: by page with the old parameters, by since_id with the last ones."""
    page = paging(ask, "interactions", view.settings)
    since = ask.integer("since_id")
    if since is not None:
        return _interactions_since(view, ask, page, since)
    sort, descending = sorting(ask, ("id", "created_at"))
    places = view.data.interaction_places()
    places.sort(key=(lambda place: place[:2]) if sort == "created_at" else (lambda place: place[1]), reverse=descending)
    chosen = places[page.start : page.start + page.per_page]
    rows = [_interaction(view, case_id, view.data.interaction(case_id, id)) for _, id, case_id in chosen]
    return page_answer(ask, page, len(places), rows, view.settings)


def _interactions_since(view: View, ask: Ask, page: Paging, since: int) -> Answer:
    """total_entries counts the page only; the end of the data is a 422, not an empty page."""
    first = since + (view.settings.since == "exclusive")
    found = list(islice(view.data.interactions_from(first), page.per_page))
    if not found:
        raise invalid("since_id")

    def href(id: int) -> dict[str, Any]:
        return {"href": f"{wire.API}/{ask.path}?per_page={page.per_page}&since_id={id}", "class": "page"}

    here = href(since)
    following = found[-1][1].id + (view.settings.since == "inclusive")
    document = {
        "page": 1,
        "total_entries": len(found),
        "_links": {"self": here, "first": here, "last": here, "previous": None, "next": href(following)},
        "_embedded": {"entries": [narrowed(ask, _interaction(view, *pair)) for pair in found]},
    }
    return Answer(document=document, entries=len(found))


def _interaction(view: View, case_id: int, record: Record) -> Document:
    case = view.data.tables["cases"].get(case_id)
    customer = case.refs["customer"] if case is not None else None
    return wire.interaction(case_id, customer, record, is_message=record.id == view.data.message(case_id).id)
