"""Pages, filters, limits and errors of the sandbox are those of facts/desk_api.md."""

from __future__ import annotations

import contextlib
import gzip
from collections import Counter
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
import requests
from requests_oauthlib import OAuth1Session

from connector_desk.sandbox import Sandbox, Settings
from connector_desk.sandbox.settings import unix_seconds

NOW = "2026-01-01T00:00:00Z"


def client(desk: Sandbox) -> OAuth1Session:
    known = desk.credentials
    return OAuth1Session(known.key, known.secret, known.token, known.token_secret)


def get(desk: Sandbox, path: str, **options: Any) -> requests.Response:
    return client(desk).get(f"{desk.url}/api/v2/{path}", timeout=20, **options)


def rows(desk: Sandbox, path: str) -> list[dict[str, Any]]:
    return list(get(desk, path).json()["_embedded"]["entries"])


@pytest.fixture(scope="module")
def desk() -> Iterator[Sandbox]:
    with Sandbox(Settings(now=NOW, cases=103, customers=60, rate_limit=100_000)) as running:
        yield running


@pytest.fixture
def own() -> Iterator[Sandbox]:
    """A site that a test may change."""
    with Sandbox(Settings(now=NOW, cases=103, customers=30, rate_limit=100_000)) as running:
        yield running


# --- pages


def test_the_list_body_is_that_of_2016(desk: Sandbox) -> None:
    body = get(desk, "cases?embed=customer&per_page=50&page=2&sort_direction=asc").json()

    def link(page: int) -> dict[str, str]:
        return {
            "href": f"/api/v2/cases?embed=customer&sort_direction=asc&page={page}&per_page=50",
            "class": "page",
        }

    assert list(body) == ["page", "total_entries", "_links", "_embedded"]
    assert (body["page"], body["total_entries"], len(body["_embedded"]["entries"])) == (2, 103, 50)
    assert body["_links"] == {
        "self": link(2),
        "first": link(1),
        "last": link(3),
        "previous": link(1),
        "next": link(3),
    }


def test_links_lead_through_all_rows_once(desk: Sandbox) -> None:
    path: str | None = "cases"
    seen: list[int] = []
    while path:
        body = get(desk, path).json()
        assert body["_links"]["self"]["href"] == f"/api/v2/cases?page={body['page']}&per_page=50"
        assert (body["_links"]["previous"] is None) == (body["page"] == 1)
        seen += [entry["id"] for entry in body["_embedded"]["entries"]]
        following = body["_links"]["next"]
        path = following and following["href"].removeprefix("/api/v2/")
    assert seen == [case["id"] for case in desk.dump()["cases"]]
    assert seen == sorted(set(seen)), "id ascending is the order without sort"
    assert len(seen) == 103


def test_a_page_behind_the_data_and_an_empty_list(desk: Sandbox) -> None:
    behind = get(desk, "cases?page=9").json()
    assert (behind["total_entries"], behind["_embedded"]["entries"], behind["_links"]["next"]) == (103, [], None)
    empty = get(desk, "cases?since_id=999999999").json()
    links = empty["_links"]
    assert (empty["total_entries"], empty["_embedded"]["entries"]) == (0, [])
    assert links["first"] == links["last"] == links["self"]
    assert links["previous"] is links["next"] is None


@pytest.mark.parametrize(("path", "most"), [("cases", 100), ("customers", 100), ("users", 1000), ("labels", 1000)])
def test_per_page_is_clamped_to_the_resources_most(desk: Sandbox, path: str, most: int) -> None:
    assert get(desk, f"{path}?per_page=5000").json()["_links"]["self"]["href"].endswith(f"page=1&per_page={most}")


def test_per_page_over_the_most_can_be_refused(own: Sandbox) -> None:
    own.configure(per_page_over="422", max_per_page={"cases": 7})
    assert len(rows(own, "cases?per_page=7")) == 7
    refused = get(own, "cases?per_page=8")
    assert refused.status_code == 422
    assert refused.json() == {"message": "Validation Failed", "errors": {"per_page": ["invalid"]}}
    assert len(rows(own, "cases")) == 7, "the default does not exceed the most"
    own.configure(per_page_over="clamp")
    assert len(rows(own, "cases?per_page=8")) == 7


@pytest.mark.parametrize(("answer", "status"), [("422", 422), ("400", 400), ("empty", 200)])
def test_the_page_cap_answers_as_switched(own: Sandbox, answer: str, status: int) -> None:
    own.configure(page_cap=3, page_cap_answer=answer)
    last = get(own, "cases?per_page=10&page=3")
    assert last.status_code == 200
    assert last.json()["_links"]["next"]["href"].endswith("page=4&per_page=10"), "the links know nothing of the cap"
    assert last.json()["_links"]["last"]["href"].endswith("page=11&per_page=10")
    beyond = get(own, "cases?per_page=10&page=4")
    assert beyond.status_code == status
    if status == 200:
        assert (beyond.json()["_embedded"]["entries"], beyond.json()["total_entries"]) == ([], 103)
    assert get(own, "customers/search?q=*&per_page=5&page=4").status_code == status
    assert len(rows(own, "customers?per_page=5&page=4")) == 5, "the plain customer list has no cap"


@pytest.mark.parametrize(
    "query", ["page=0", "page=x", "per_page=0", "sort_field=nope", "sort_direction=up", "since_id=x"]
)
def test_parameters_that_make_no_sense_are_refused(desk: Sandbox, query: str) -> None:
    answer = get(desk, f"cases?{query}")
    assert answer.status_code == 422
    assert list(answer.json()["errors"]) == [query.split("=")[0]]


# --- order and bounds


@pytest.mark.parametrize("resource", ["cases", "customers/search"])
@pytest.mark.parametrize("sort", ["id", "created_at", "updated_at"])
def test_rows_come_in_the_order_asked_for(desk: Sandbox, resource: str, sort: str) -> None:
    found = rows(desk, f"{resource}?since_id=0&per_page=100&sort_field={sort}")
    assert [(row[sort], row["id"]) for row in found] == sorted((row[sort], row["id"]) for row in found)
    assert len({row[sort] for row in found}) > 1


def test_descending_pages_mirror_ascending_ones(desk: Sandbox) -> None:
    def walk(direction: str) -> list[int]:
        path = f"cases?sort_field=updated_at&sort_direction={direction}&per_page=20&page="
        return [row["id"] for page in range(1, 7) for row in rows(desk, f"{path}{page}")]

    assert walk("desc") == walk("asc")[::-1]
    assert len(walk("asc")) == 103


def test_lower_bounds_are_exclusive_or_inclusive_as_switched(own: Sandbox) -> None:
    cases = sorted(own.dump()["cases"], key=lambda case: (case["updated_at"], case["id"]))
    middle = cases[50]
    bound = unix_seconds(middle["updated_at"])
    later = [case["id"] for case in cases if case["updated_at"] > middle["updated_at"]]
    equal = [case["id"] for case in cases if case["updated_at"] == middle["updated_at"]]
    by_time = f"cases?sort_field=updated_at&per_page=100&since_updated_at={bound}"
    by_id = f"cases?per_page=100&since_id={middle['id']}"
    assert [row["id"] for row in rows(own, by_time)] == later
    assert rows(own, by_id)[0]["id"] > middle["id"]
    own.configure(since="inclusive")
    assert [row["id"] for row in rows(own, by_time)] == equal + later
    assert rows(own, by_id)[0]["id"] == middle["id"]


def test_upper_bounds_are_inclusive_and_bounds_combine(desk: Sandbox) -> None:
    cases = sorted(desk.dump()["cases"], key=lambda case: (case["updated_at"], case["id"]))
    low, high = cases[20], cases[80]
    query = f"since_updated_at={unix_seconds(low['updated_at'])}&max_updated_at={unix_seconds(high['updated_at'])}"
    found = rows(desk, f"cases/search?per_page=100&{query}&since_id=3050")
    expected = {
        case["id"]
        for case in cases
        if low["updated_at"] < case["updated_at"] <= high["updated_at"] and case["id"] > 3050
    }
    assert {row["id"] for row in found} == expected
    assert expected
    sorted_by_bound = rows(
        desk, f"cases?per_page=100&sort_field=updated_at&max_updated_at={unix_seconds(high['updated_at'])}"
    )
    assert [row["id"] for row in sorted_by_bound] == [
        case["id"] for case in cases if case["updated_at"] <= high["updated_at"]
    ]


def test_the_plain_customer_list_knows_no_bounds(desk: Sandbox) -> None:
    assert get(desk, "customers?since_id=999999&since_updated_at=99999999999").json()["total_entries"] == 60
    assert get(desk, "customers/search?since_id=999999").json()["total_entries"] == 0


def test_searches_filter(desk: Sandbox) -> None:
    held = desk.dump()
    statuses = {"open", "pending"}
    found = rows(desk, "cases/search?q=status:open,pending&per_page=100&since_id=99999999")
    assert {row["id"] for row in found} == {case["id"] for case in held["cases"] if case["status"] in statuses}
    wanted = next(customer for customer in held["customers"] if customer["emails"])
    address = wanted["emails"][0]["value"]
    assert [row["id"] for row in rows(desk, f"customers/search?email={address.upper()}")] == [wanted["id"]]
    assert get(desk, "customers/search?q=*").json()["total_entries"] == 60
    assert get(desk, "cases/search?page=1").status_code == 422, "a search wants a filter"


# --- records and relations


def test_a_record_alone_is_the_list_entry(desk: Sandbox) -> None:
    for resource in ("cases", "customers", "users", "groups"):
        entry = rows(desk, resource)[1]
        assert get(desk, f"{resource}/{entry['id']}").json() == entry


def test_replies_and_message_of_a_case(desk: Sandbox) -> None:
    case = next(case for case in rows(desk, "cases") if case["_links"]["replies"]["count"] > 2)
    body = get(desk, case["_links"]["replies"]["href"].removeprefix("/api/v2/")).json()
    replies = body["_embedded"]["entries"]
    assert body["total_entries"] == len(replies) == case["_links"]["replies"]["count"]
    assert all(reply["_links"]["case"]["href"] == case["_links"]["self"]["href"] for reply in replies)
    ids = [int(reply["_links"]["self"]["href"].rsplit("/", 1)[1]) for reply in replies]
    assert ids == sorted(set(ids))
    assert get(desk, f"cases/{case['id']}/replies/{ids[1]}").json() == replies[1]
    down = rows(desk, f"cases/{case['id']}/replies?sort_field=created_at&sort_direction=desc&per_page=2&page=1")
    assert [reply["id"] for reply in down] == [reply["id"] for reply in replies[:-3:-1]]
    message = get(desk, f"cases/{case['id']}/message").json()
    assert message["_links"]["self"]["href"] == case["_links"]["message"]["href"]
    assert message not in replies


def test_embedding_puts_whole_records_beside_the_links(desk: Sandbox) -> None:
    gone = set(desk.store.data.site.gone)
    checked = 0
    for case in rows(desk, "cases?embed=customer,assigned_user,assigned_group,draft&per_page=100"):
        for name, path in (("customer", "customers"), ("assigned_user", "users"), ("assigned_group", "groups")):
            link, embedded = case["_links"][name], case["_embedded"][name]
            if link is None or int(link["href"].rsplit("/", 1)[1]) in gone:
                assert embedded is None
            else:
                assert embedded["_links"]["self"]["href"] == link["href"] == f"/api/v2/{path}/{embedded['id']}"
                checked += 1
    assert checked > 100
    assert get(desk, "cases?embed=replies").status_code == 422


def test_fields_narrow_the_entries_and_keep_the_links(desk: Sandbox) -> None:
    for entry in rows(desk, "cases?fields=id,subject"):
        assert list(entry) == ["id", "subject", "_links"]


def test_users_put_the_asking_one_first(desk: Sandbox) -> None:
    me = get(desk, "users/me").json()
    assert get(desk, "users/current").json() == me
    assert rows(desk, "users")[0] == rows(desk, "users?sort_field=name")[0] == me
    assert me["id"] != min(user["id"] for user in rows(desk, "users"))
    assert rows(desk, "users?sort_field=name&sort_direction=desc")[-1] == me
    assert get(desk, "users/search").status_code == 404


def test_memberships_are_the_same_from_both_sides(desk: Sandbox) -> None:
    by_group = {
        (group["id"], user["id"])
        for group in rows(desk, "groups")
        for user in rows(desk, f"groups/{group['id']}/users")
    }
    by_user = {
        (group["id"], user["id"]) for user in rows(desk, "users") for group in rows(desk, f"users/{user['id']}/groups")
    }
    assert by_group == by_user == {(row["group_id"], row["user_id"]) for row in desk.dump()["memberships"]}
    assert by_group


def test_interactions_end_with_422(own: Sandbox) -> None:
    path, seen = "interactions?since_id=0&per_page=90", []
    while (answer := get(own, path)).status_code == 200:
        body = answer.json()
        assert body["total_entries"] == len(body["_embedded"]["entries"])
        assert body["_links"]["previous"] is None
        seen += [entry["_links"]["self"]["href"] for entry in body["_embedded"]["entries"]]
        path = body["_links"]["next"]["href"].removeprefix("/api/v2/")
    assert answer.status_code == 422
    held = own.dump()
    assert sorted(seen) == sorted(row["_links"]["self"]["href"] for row in held["replies"] + held["messages"])
    paged = [row["created_at"] for row in rows(own, "interactions?sort_field=created_at&per_page=100")]
    assert paged == sorted(paged)
    own.configure(interactions=False)
    assert get(own, "interactions?since_id=0").status_code == 404


# --- errors, headers and framing


def test_errors_have_their_bodies(desk: Sandbox) -> None:
    for path in ("cases/1", "nope", "cases/x/replies", f"users/{desk.store.data.site.gone[0]}"):
        answer = get(desk, path)
        assert (answer.status_code, answer.content) == (404, b'{"message":"Resource Not Found"}')
        assert answer.headers["Cache-Control"] == "no-cache, private"
    for method in ("POST", "PATCH", "DELETE"):
        answer = client(desk).request(method, f"{desk.url}/api/v2/users", timeout=10)
        assert (answer.status_code, answer.json()) == (405, {"message": "Method Not Allowed"})


def test_lists_of_users_answer_304(desk: Sandbox) -> None:
    first = get(desk, "users")
    again = get(desk, "users", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert "ETag" not in get(desk, "cases").headers


def test_bodies_are_compressed_only_when_asked(desk: Sandbox) -> None:
    packed = get(desk, "cases", headers={"Accept-Encoding": "gzip"}, stream=True)
    assert packed.headers["Content-Encoding"] == "gzip"
    loose = get(desk, "cases", headers={"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in loose.headers
    assert gzip.decompress(packed.raw.read(decode_content=False)) == loose.content


def test_the_shape_of_bodies_can_be_switched(own: Sandbox) -> None:
    before = get(own, "customers?per_page=100").json()
    own.configure(chunked=True, escaped_slashes=True, page_key=False, company_link="missing", gzip=False)
    answer = get(own, "customers?per_page=100")
    assert answer.headers["Transfer-Encoding"] == "chunked"
    assert b"\\/api\\/v2\\/customers" in answer.content
    assert b'"/' not in answer.content
    assert "page" not in answer.json()
    held = own.dump()["customers"]
    for old, new in zip(before["_embedded"]["entries"], answer.json()["_embedded"]["entries"], strict=True):
        assert ("company" in new["_links"]) == (old["_links"]["company"] is not None)
        assert new in held
        new["_links"].setdefault("company", None)
        assert old == new


def test_random_faults_are_html_and_repeat_with_the_seed() -> None:
    def statuses() -> list[int]:
        with Sandbox(Settings(seed=5, cases=5, customers=2, rate_limit=100_000, error_share=0.4)) as desk:
            answers = [get(desk, "users") for _ in range(30)]
            assert all("text/html" in answer.headers["Content-Type"] for answer in answers if answer.status_code != 200)
            assert all(answer.headers["X-Rate-Limit-Limit"] == "100000" for answer in answers)
            return [answer.status_code for answer in answers]

    first = statuses()
    assert first == statuses()
    assert {200} < set(first) <= {200, 500, 502, 503, 504}


def test_answers_that_never_come_and_bodies_that_end_early() -> None:
    with Sandbox(Settings(seed=5, cases=9, customers=2, rate_limit=100_000)) as desk:
        desk.configure(timeout_share=1.0, timeout_seconds=0.05)
        with pytest.raises(requests.ConnectionError):
            get(desk, "cases")
        desk.configure(timeout_share=0.0, truncated_share=1.0)
        cut = get(desk, "cases")
        desk.configure(truncated_share=0.0)
        whole = get(desk, "cases")
        assert whole.json()["total_entries"] == 9
        assert cut.content == whole.content[: len(whole.content) // 2], "rightly framed and packed"
        reasons = [served.reason for served in desk.ledger.requests()]
        assert reasons == ["random fault: silent", "random fault: cut", None]


def test_the_shares_of_faults_are_kept_and_repeat_with_the_seed() -> None:
    def reasons() -> Counter[str | None]:
        shares = {"error_share": 0.2, "timeout_share": 0.1, "truncated_share": 0.3}
        settings = Settings(seed=2, cases=1, customers=1, rate_limit=1000, timeout_seconds=0, **shares)
        with Sandbox(settings) as desk:
            for _ in range(60):
                with contextlib.suppress(requests.ConnectionError):
                    get(desk, "users")
            return Counter(served.reason for served in desk.ledger.requests())

    first = reasons()
    assert first == reasons()
    assert all(5 <= first[reason] <= 40 for reason in (None, "random fault: error", "random fault: cut")), first
    assert 1 <= first["random fault: silent"] <= 15


def test_records_are_updated_between_pages() -> None:
    then = 1_767_225_600.0

    def versions() -> list[list[tuple[int, str]]]:
        settings = Settings(seed=3, now=NOW, cases=40, customers=20, churn=1.0, clock=lambda: then, oauth_window=1e12)
        with Sandbox(settings) as desk:
            seen = []
            for resource in ("cases", "customers"):
                for page in (1, 2):
                    rows(desk, f"{resource}?per_page=10&page={page}&sort_field=updated_at")
                    seen.append([(row["id"], row["updated_at"]) for row in desk.dump()[resource]])
            before = desk.dump()
            rows(desk, "users")
            get(desk, f"cases/{before['cases'][0]['id']}")
            assert desk.dump() == before, "only pages of these two lists"
            return seen

    first = versions()
    assert first == versions(), "the same with the same seed"
    fresh = [[id for id, updated in listed if updated == "2026-01-01T00:00:00Z"] for listed in first]
    assert [len(ids) for ids in fresh] == [1, 2, 1, 2]


def test_remembered_searches_see_what_has_changed(own: Sandbox) -> None:
    found = rows(own, "cases/search?status=open")
    own.store.update_case(found[0]["id"], status="closed")
    own.store.delete_case(found[1]["id"])
    added = own.store.add_case(status="open")
    again = [row["id"] for row in rows(own, "cases/search?status=open")]
    assert again == [*(row["id"] for row in found[2:]), added]
    customer = own.store.add_customer()
    own.store.update_case(found[2]["id"], customer_id=customer)
    assert [row["id"] for row in rows(own, f"customers/{customer}/cases")] == [found[2]["id"]]
    before = int(found[2]["_links"]["customer"]["href"].rpartition("/")[2])
    assert found[2]["id"] not in [row["id"] for row in rows(own, f"customers/{before}/cases")]


def test_interactions_by_page_are_all_of_them_once_in_order(own: Sandbox) -> None:
    case = rows(own, "cases")[0]["id"]
    own.store.add_reply(case, body="late")
    own.store.delete_case(rows(own, "cases")[5]["id"])
    own.store.add_case()
    held = own.dump()
    for sort in ("id", "created_at"):
        seen = [
            row
            for page in (1, 2, 3, 4, 5)
            for row in rows(own, f"interactions?page={page}&sort_field={sort}&per_page=100")
        ]
        back = [
            row
            for page in (1, 2, 3, 4, 5)
            for row in rows(own, f"interactions?page={page}&sort_field={sort}&per_page=100&sort_direction=desc")
        ]
        assert seen == back[::-1]
        key = lambda row: row["_links"]["self"]["href"]  # noqa: E731
        assert sorted(seen, key=key) == sorted(held["messages"] + held["replies"], key=key)
        if sort == "created_at":
            assert [row["created_at"] for row in seen] == sorted(row["created_at"] for row in seen)


def test_values_that_no_encoder_writes_go_out_as_they_are(own: Sandbox) -> None:
    case = rows(own, "cases")[0]["id"]
    fields = {"big": 10**40, "no": float("nan"), "half": "\ud800", "\ud801": 1, "deep": [{"n": 2**64}]}
    own.store.put_raw("cases", case, fields, drop=["subject"])
    text = get(own, f"cases/{case}").text
    for piece in (f'"big":{10**40}', '"no":NaN', '"half":"\\ud800"', '"\\ud801":1', f'"n":{2**64}'):
        assert piece in text
    assert '"subject"' not in text
    assert rows(own, "cases")[1]["id"] > case, "the page survives"


def test_a_hundred_thousand_cases_are_served() -> None:
    with Sandbox(Settings(now=NOW, cases=100_000, customers=20_000)) as desk:
        body = get(desk, "cases?sort_field=updated_at&since_updated_at=1750000000&per_page=100&page=500").json()
        assert len(body["_embedded"]["entries"]) == 100
        assert body["total_entries"] > 50_000
        last = body["_embedded"]["entries"][-1]
        assert orjson.loads(get(desk, f"cases/{last['id']}").content) == last
