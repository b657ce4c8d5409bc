"""The data of the sandbox change between and during runs as a busy site's do."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from requests_oauthlib import OAuth1Session

from connector_desk.sandbox import Raw, Sandbox, Served, Settings, Store
from connector_desk.sandbox.settings import unix_seconds

NOW = "2026-01-01T00:00:00Z"
LATER = unix_seconds("2026-02-03T04:05:06Z")
STAMP = "2026-02-03T04:05:06Z"


class Hands:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = float(LATER)

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def desk(hands: Hands) -> Iterator[Sandbox]:
    settings = Settings(now=NOW, cases=30, customers=10, rate_limit=100_000, clock=hands, oauth_window=1e12)
    with Sandbox(settings) as running:
        yield running


def get(desk: Sandbox, path: str) -> requests.Response:
    known = desk.credentials
    session = OAuth1Session(known.key, known.secret, known.token, known.token_secret)
    return session.get(f"{desk.url}/api/v2/{path}", timeout=20)


def rows(desk: Sandbox, path: str) -> list[dict[str, Any]]:
    return list(get(desk, path).json()["_embedded"]["entries"])


def ids(desk: Sandbox, path: str) -> list[int]:
    return [row["id"] for row in rows(desk, path)]


def segment(link: dict[str, Any]) -> int:
    return int(link["href"].rsplit("/", 1)[1])


# --- cases and replies


def test_a_changed_case_moves_to_the_end_and_nothing_else_changes(desk: Sandbox) -> None:
    before = rows(desk, "cases?sort_field=updated_at")
    case = before[3]
    label = rows(desk, "labels")[0]
    desk.store.update_case(
        case["id"],
        status="pending",
        labels=[label["name"], "brand new"],
        assigned_user_id=None,
        custom_fields={"seats": "9"},
    )
    after = rows(desk, "cases?sort_field=updated_at")
    assert after[:-1] == before[:3] + before[4:]
    moved = after[-1]
    assert [name for name in case if case[name] != moved[name]] != []
    assert (moved["status"], moved["updated_at"], moved["changed_at"]) == ("pending", STAMP, STAMP)
    assert moved["label_ids"] == [label["id"], rows(desk, "labels")[-1]["id"]]
    assert moved["_links"]["assigned_user"] is None
    assert moved["custom_fields"] == case["custom_fields"] | {"seats": "9"}
    assert get(desk, f"cases/{case['id']}").json() == moved


def test_an_instant_can_be_given(desk: Sandbox) -> None:
    case = ids(desk, "cases")[0]
    for given, stamp in (("2025-12-31T23:59:59Z", "2025-12-31T23:59:59Z"), (0, "1970-01-01T00:00:00Z")):
        desk.store.update_case(case, updated_at=given)
        assert get(desk, f"cases/{case}").json()["updated_at"] == stamp
    assert ids(desk, "cases?sort_field=updated_at")[0] == case, "the order follows"


def test_a_job_touches_many_cases_in_one_second(desk: Sandbox) -> None:
    touched = ids(desk, "cases?per_page=12")
    desk.store.update_cases(touched, priority=9)
    assert ids(desk, f"cases?sort_field=updated_at&since_updated_at={LATER - 1}") == touched


def test_cases_are_added_and_deleted(desk: Sandbox) -> None:
    customer = ids(desk, "customers")[0]
    count = rows(desk, "customers")[0]["_links"]["cases"]["count"]
    id = desk.store.add_case(type="twitter", customer_id=customer, subject="New", priority=7)
    case = get(desk, f"cases/{id}").json()
    assert id == max(ids(desk, "cases"))
    assert (case["created_at"], case["subject"], case["priority"], case["type"]) == (STAMP, "New", 7, "twitter")
    assert set(case) >= set(rows(desk, "cases")[1]) - {"public_url"}
    assert list(case["custom_fields"]) == list(rows(desk, "cases")[0]["custom_fields"])
    assert rows(desk, "customers")[0]["_links"]["cases"]["count"] == count + 1
    assert get(desk, f"cases/{id}/message").json()["_links"]["self"]["class"] == "tweet"
    desk.store.delete_case(id)
    assert get(desk, f"cases/{id}").status_code == get(desk, f"cases/{id}/replies").status_code == 404
    assert id not in ids(desk, "cases")
    assert rows(desk, "customers")[0]["_links"]["cases"]["count"] == count
    assert desk.store.add_case() > id, "an id is never given twice"


def test_replies_are_added_changed_and_deleted(desk: Sandbox, hands: Hands) -> None:
    case = next(row["id"] for row in rows(desk, "cases") if row["_links"]["replies"]["count"] == 2)
    before = rows(desk, f"cases/{case}/replies")
    draft = desk.store.add_reply(case, status="draft")
    mail = desk.store.add_reply(case, channel="email", body="Hi", sent_by_id=31, created_at="2026-02-01T00:00:00Z")
    held = get(desk, f"cases/{case}").json()
    assert (held["_links"]["replies"]["count"], held["updated_at"]) == (4, STAMP)
    after = rows(desk, f"cases/{case}/replies")
    assert after[:2] == before
    assert [segment(reply["_links"]["self"]) for reply in after[2:]] == [draft, mail]
    assert (after[2]["body"], after[2]["status"], after[3]["body"]) == (None, "draft", "Hi")
    assert after[3]["_links"]["sent_by"]["href"] == "/api/v2/users/31"
    assert sorted(segment(row["_links"]["self"]) for row in desk.dump()["replies"])[-2:] == [draft, mail]
    hands.now += 60
    desk.store.update_reply(draft, status="sent", body="Now", move_case=False)
    assert get(desk, f"cases/{case}/replies/{draft}").json()["status"] == "sent"
    assert get(desk, f"cases/{case}").json()["updated_at"] == STAMP
    desk.store.delete_reply(mail)
    assert get(desk, f"cases/{case}").json()["updated_at"] == "2026-02-03T04:06:06Z"
    assert get(desk, f"cases/{case}/replies/{mail}").status_code == 404
    assert get(desk, f"cases/{case}").json()["_links"]["replies"]["count"] == 3


# --- customers, users, groups


def test_customers_are_changed_added_and_deleted(desk: Sandbox) -> None:
    first = rows(desk, "customers")[0]
    company = rows(desk, "companies")[0]
    desk.store.update_customer(first["id"], emails=[], company_id=company["id"], custom_fields={"level": "gold"})
    moved = rows(desk, "customers/search?since_id=0&sort_field=updated_at")[-1]
    assert (moved["id"], moved["updated_at"], moved["emails"]) == (first["id"], STAMP, [])
    assert (moved["company"], moved["_links"]["company"]["href"]) == (
        company["name"],
        company["_links"]["self"]["href"],
    )
    added = desk.store.add_customer(first_name="Ny", phone_numbers=[{"type": "work", "value": "1"}])
    assert set(get(desk, f"customers/{added}").json()) == set(first)
    case = next(row for row in rows(desk, "cases") if row["_links"]["customer"]["href"].endswith(f"/{first['id']}"))
    desk.store.delete_customer(first["id"])
    assert first["id"] not in ids(desk, "customers")
    assert get(desk, f"cases/{case['id']}").json()["_links"]["customer"] == case["_links"]["customer"]
    other = ids(desk, "customers")[0]
    desk.store.update_case(case["id"], customer_id=other)
    assert get(desk, f"cases/{case['id']}").json()["_links"]["customer"]["href"].endswith(f"/{other}")


def test_a_case_that_changes_its_customer_is_counted_there(desk: Sandbox) -> None:
    def counts() -> dict[int, int]:
        return {row["id"]: row["_links"]["cases"]["count"] for row in rows(desk, "customers")}

    case, before = rows(desk, "cases")[0], counts()
    old = segment(case["_links"]["customer"])
    new = next(id for id in before if id != old)
    desk.store.update_case(case["id"], customer_id=new)
    assert counts() == before | {old: before[old] - 1, new: before[new] + 1}


def test_users_and_groups_come_and_go(desk: Sandbox) -> None:
    user, group = desk.store.add_user(name="Ny Agent"), desk.store.add_group("Nya")
    assert user not in desk.store.data.site.gone
    desk.store.add_membership(group, user)
    desk.store.add_membership(group, user)
    assert (ids(desk, f"groups/{group}/users"), ids(desk, f"users/{user}/groups")) == ([user], [group])
    desk.store.update_group(group, name="Andra")
    desk.store.update_user(user, level="siteadmin")
    assert rows(desk, f"users/{user}/groups")[0]["name"] == "Andra"
    assert (get(desk, f"users/{user}").json()["level"], get(desk, f"users/{user}").json()["name"]) == (
        "siteadmin",
        "Ny Agent",
    )
    desk.store.remove_membership(group, user)
    assert ids(desk, f"groups/{group}/users") == []
    desk.store.add_membership(group, user)
    desk.store.delete_user(user)
    assert (get(desk, f"users/{user}").status_code, ids(desk, f"groups/{group}/users")) == (404, [])
    assert user not in {row["user_id"] for row in desk.dump()["memberships"]}
    desk.store.delete_group(group)
    assert get(desk, f"groups/{group}/users").status_code == 404


# --- custom fields and strange values


def test_a_new_custom_field_appears_everywhere_without_moving_anything(desk: Sandbox) -> None:
    before = rows(desk, "cases")
    desk.store.define_custom_field("ticket", "mood", "string", default="so-so")
    after = rows(desk, "cases")
    for old, new in zip(before, after, strict=True):
        assert new["custom_fields"].pop("mood") == "so-so"
        assert new == old
    assert any(row["name"] == "mood" and row["type"] == "ticket" for row in rows(desk, "custom_fields"))
    desk.store.remove_custom_field("ticket", "mood")
    assert rows(desk, "cases") == before


def test_a_custom_field_changes_its_type(desk: Sandbox) -> None:
    before = {row["id"]: row["custom_fields"]["seats"] for row in rows(desk, "cases")}
    case = next(id for id, seats in before.items() if seats)
    desk.store.update_case(case, custom_fields={"seats": "77"})
    desk.store.define_custom_field("ticket", "seats", "boolean")
    assert {row["id"]: row["custom_fields"]["seats"] for row in rows(desk, "cases")} == before | {case: "77"}
    desk.store.define_custom_field("ticket", "seats", "boolean", default=lambda id: id % 2 == 0, overwrite=True)
    assert all(row["custom_fields"]["seats"] is (row["id"] % 2 == 0) for row in rows(desk, "cases"))
    kinds = [row["data"]["type"] for row in rows(desk, "custom_fields") if row["name"] == "seats"]
    assert kinds == ["boolean"]


def test_any_field_can_be_put_on_a_record(desk: Sandbox) -> None:
    first, second, third = ids(desk, "cases")[:3]
    desk.store.put_raw("cases", first, {"id": "x", "labels": {"a": [1]}, "extra": Raw("1.0e400")}, drop=["subject"])
    raw = get(desk, f"cases/{first}").text
    assert raw.startswith('{"id":"x",')
    assert '"extra":1.0e400' in raw
    assert "subject" not in get(desk, f"cases/{first}").json()
    desk.store.put_raw("cases", second, {"updated_at": "2099-01-01T00:00:00Z"})
    desk.store.put_raw("cases", third, {"updated_at": "garbage"}, move=True)
    order = rows(desk, "cases?sort_field=updated_at")
    assert [row["id"] for row in order[-2:]] == [third, second]
    assert order[-2]["updated_at"] == "garbage"
    desk.store.put_raw("cases", first, Raw("[1, 2]"))
    assert rows(desk, "cases")[0] == [1, 2]
    assert desk.dump()["cases"][0] == [1, 2]
    reply = desk.dump()["replies"][0]
    desk.store.put_raw("replies", segment(reply["_links"]["self"]), {"body": 5})
    assert desk.dump()["replies"][0]["body"] == 5


def test_mistakes_are_told(desk: Sandbox) -> None:
    case = ids(desk, "cases")[0]
    for call in (
        lambda: desk.store.update_case(1),
        lambda: desk.store.update_case(case, statsu="open"),
        lambda: desk.store.delete_case(1),
        lambda: desk.store.update_reply(1),
        lambda: desk.store.add_membership(ids(desk, "groups")[0], 1),
        lambda: desk.store.remove_membership(ids(desk, "groups")[0], 1),
        lambda: desk.store.remove_custom_field("ticket", "nope"),
    ):
        with pytest.raises(KeyError):
            call()
    with pytest.raises(ValueError, match="must be one of"):
        desk.store.define_custom_field("case", "x", "string")


# --- while somebody reads


def test_a_row_that_moves_while_paging_makes_another_one_skip(desk: Sandbox) -> None:
    order = ids(desk, "cases?sort_field=updated_at")
    desk.script(after_request=1, do=lambda store: store.update_case(order[0]))
    pages = [ids(desk, f"cases?sort_field=updated_at&per_page=10&page={page}") for page in (1, 2, 3)]
    assert pages == [order[:10], order[11:21], [*order[21:], order[0]]]


def test_a_deleted_case_makes_another_one_skip(desk: Sandbox) -> None:
    order = ids(desk, "cases")
    desk.script(when=lambda served: served.params.get("page") == "1", do=lambda store: store.delete_case(order[4]))
    pages = [ids(desk, f"cases?per_page=10&page={page}") for page in (1, 2)]
    assert pages == [order[:10], order[11:21]]
    assert ids(desk, "cases?per_page=10&page=1") == order[:4] + order[5:11]


def test_a_script_acts_as_often_as_it_says_and_before_or_after(desk: Sandbox) -> None:
    case, *_ = ids(desk, "cases")
    seen: list[tuple[str, int | None]] = []

    def note(served: Served) -> bool:
        seen.append((served.resource, served.entries))
        return served.resource == "groups"

    desk.script(when=note, do=lambda store: store.add_group("more"), times=2, before=True)
    assert [len(rows(desk, path)) for path in ("groups", "labels", "groups", "groups")] == [6, 14, 7, 7]
    assert seen == [("groups", None), ("labels", None), ("groups", None)]
    desk.script(when=lambda _: True, do=lambda store: store.add_reply(case), times=None)
    counts = [get(desk, f"cases/{case}").json()["_links"]["replies"]["count"] for _ in range(3)]
    assert counts == [counts[0], counts[0] + 1, counts[0] + 2]
    desk.clear_script()
    last = [get(desk, f"cases/{case}").json()["_links"]["replies"]["count"] for _ in range(2)]
    assert last == [counts[0] + 3] * 2


def test_a_failing_script_fails_the_block() -> None:
    def failing() -> None:
        with Sandbox(Settings(now=NOW, cases=1, customers=1)) as desk:
            desk.script(after_request=1, do=lambda store: store.delete_case(1))
            assert get(desk, "users").status_code == 500

    with pytest.raises(RuntimeError, match="no record 1"):
        failing()


def test_search_lags_behind_the_lists(desk: Sandbox, hands: Hands) -> None:
    order = ids(desk, "customers/search?q=*&sort_field=updated_at")
    desk.configure(search_lag=5)
    added = desk.store.add_customer()
    desk.store.update_customer(order[0])
    desk.store.delete_customer(order[1])
    assert set(ids(desk, "customers")) == {*order, added} - {order[1]}
    assert ids(desk, "customers/search?q=*&sort_field=updated_at") == [order[0], *order[2:]]
    hands.now += 4.9
    assert added not in ids(desk, "customers/search?q=*")
    hands.now += 0.1
    desk.store.update_customer(order[2])
    assert ids(desk, "customers/search?q=*&sort_field=updated_at") == [*order[2:], order[0], added]


def test_readers_see_changes_from_other_threads_whole(desk: Sandbox) -> None:
    touched = ids(desk, "cases")[:10]
    stop = threading.Event()

    def change(store: Store) -> None:
        priority = 0
        while not stop.is_set():
            priority = priority % 10 + 1
            store.update_cases(touched, priority=priority)

    desk.store.update_cases(touched, priority=10)
    thread = threading.Thread(target=change, args=(desk.store,))
    thread.start()
    try:
        for _ in range(20):
            found = [row for row in rows(desk, "cases?per_page=100") if row["id"] in touched]
            assert len(found) == 10
            assert len({row["priority"] for row in found}) == 1
    finally:
        stop.set()
        thread.join()


def test_switches_that_shape_the_data_are_fixed(desk: Sandbox) -> None:
    with pytest.raises(ValueError, match="cases, seed cannot change"):
        desk.configure(cases=5, seed=2)
    with pytest.raises(TypeError):
        desk.configure(ratelimit=5)
