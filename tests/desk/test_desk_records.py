"""From wire record to stored record: links become ids, nothing is lost, and no JSON in any place makes it fail."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector_desk import records


def linked(id: Any) -> dict[str, Any]:
    return {"href": id if not isinstance(id, int) else f"/api/v2/users/{id}", "class": "user"}


@pytest.mark.parametrize(
    ("link", "id"),
    [
        ({"href": "/api/v2/customers/9001", "class": "customer"}, 9001),
        ({"class": "customer", "count": 3, "href": "/api/v2/customers/9001"}, 9001),
        ({"href": "https://acme.desk.com/api/v2/customers/9001/"}, 9001),
        ({"href": "/api/v2/cases/4102/replies/1190?embed=sent_by"}, 1190),
        ({"href": "/api/v2/cases/4102/replies/draft"}, None),
        ({"href": "/api/v2/customers/٣"}, None),
        ({"href": "/api/v2/customers/" + "9" * 30}, None),
        ({"href": None, "class": "site"}, None),
        ({"href": 9001}, None),
        ({}, None),
        (None, None),
        ("/api/v2/customers/9001", None),
    ],
)
def test_the_id_at_the_end_of_a_link(link: Any, id: int | None) -> None:
    assert records.id_of(link) == id


def test_a_case() -> None:
    wire = {
        "id": 4102,
        "opened_at": "2016-03-01T08:10:00Z",
        "unheard_of": {"x": 1},
        "_links": {"customer": linked(9001), "assigned_user": linked(31), "assigned_group": None},
    }
    assert records.case(copy.deepcopy(wire)) == wire | {
        "customer_id": 9001,
        "assigned_user_id": 31,
        "assigned_group_id": None,
        "last_opened_at": "2016-03-01T08:10:00Z",
    }


def test_what_the_body_says_itself_is_not_overwritten() -> None:
    wire = {"id": 1, "customer_id": 5, "last_opened_at": "x", "opened_at": "y", "_links": {"customer": linked(9001)}}
    assert records.case(copy.deepcopy(wire)) == wire


def test_a_customer_without_a_company_link() -> None:
    assert records.customer({"id": 1, "_links": {"locked_by": None}}) == {
        "id": 1,
        "locked_by_id": None,
        "_links": {"locked_by": None},
    }


def test_a_reply_is_keyed_by_its_links_and_keeps_its_body_id() -> None:
    links = {
        "self": linked("/api/v2/cases/4102/replies/1190"),
        "case": linked("/api/v2/cases/4102"),
        "sent_by": linked(31),
    }
    wire = {"id": 2, "hidden_by": "Kim", "_links": links | {"hidden_by": linked(32), "entered_by": None}}
    assert records.reply(copy.deepcopy(wire)) == wire | {
        "case_id": 4102,
        "reply_id": 1190,
        "sent_by": 31,
        "hidden_by_id": 32,
        "entered_by_id": None,
    }


def test_a_reply_without_a_readable_link_has_no_key() -> None:
    assert "reply_id" not in records.reply({"id": 2, "_links": {"self": linked("/api/v2/cases/4102/replies/draft")}})


@pytest.mark.parametrize(
    ("link", "asked"),
    [
        ({"count": 2}, True),
        ({"count": 0}, False),
        ({}, True),
        (None, True),
        ({"count": None}, True),
        ({"count": "0"}, True),
        ({"count": True}, True),
    ],
)
def test_replies_are_asked_for_unless_the_case_counts_none(link: Any, asked: bool) -> None:
    assert records.has_replies({"_links": {"replies": link}}) is asked


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
relations = st.sampled_from(["self", "case", "customer", "sent_by", "assigned_user", "replies", "company"])
strange = st.dictionaries(st.text(max_size=5), json, max_size=3).flatmap(
    lambda record: (json | st.dictionaries(relations, json, max_size=4)).map(lambda links: record | {"_links": links})
)


@given(record=strange)
def test_any_json_is_put_up_with_and_nothing_is_lost(record: dict[str, Any]) -> None:
    for mapping in (records.case, records.customer, records.reply):
        stored = mapping(copy.deepcopy(record))
        assert {name: stored[name] for name in record if record[name] is not None} == {
            name: value for name, value in record.items() if value is not None
        }
    assert records.has_replies(record) in (True, False)
