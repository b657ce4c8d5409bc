"""The Desk source against a faithful Desk over real HTTP with real OAuth: every record, every field, every call."""

from __future__ import annotations

import copy
import math
import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import jsonschema
import pytest

from connector_core.errors import AuthError, ConfigError, NotFoundError, RetryableError, SourceError
from connector_core.streams import RateLimit
from connector_core.testing.faults import (
    Action,
    Body,
    CanaryServer,
    Edit,
    Entries,
    Fault,
    FaultFront,
    Headers,
    NextLink,
    Redirect,
    Repeat,
    Status,
    Total,
)
from connector_desk import source
from connector_desk.sandbox import Sandbox, Settings
from tests.support.desk_reader import DeskReader, settings

NOW = "2026-01-01T00:00:00Z"


@pytest.fixture(scope="module")
def desk() -> Iterator[Sandbox]:
    """A site that nobody changes."""
    with Sandbox(Settings(now=NOW, cases=130, customers=60, rate_limit=1_000_000)) as running:
        yield running


@pytest.fixture(scope="module")
def small() -> Iterator[Sandbox]:
    """A few records of every kind, that nobody changes."""
    with Sandbox(Settings(now=NOW, cases=16, customers=9, users=4, groups=3, rate_limit=1_000_000)) as running:
        yield running


@pytest.fixture
def own() -> Iterator[Sandbox]:
    """A small site that a test may change."""
    with Sandbox(Settings(cases=60, customers=25, rate_limit=1_000_000)) as running:
        yield running


# --- the truth, spelled out once more from the wire


def last(link: Any) -> int | None:
    return int(re.findall(r"/(\d+)$", link["href"])[0]) if link else None


def as_stored(resource: str, wire: dict[str, Any]) -> dict[str, Any]:
    row = {name: value for name, value in copy.deepcopy(wire).items() if name != "_links"}
    links = wire["_links"]
    if resource == "cases":
        wanted = {"customer_id": "customer", "assigned_user_id": "assigned_user", "assigned_group_id": "assigned_group"}
        row |= {column: last(links[name]) for column, name in wanted.items()} | {
            "locked_by_id": last(links["locked_by"])
        }
        row["last_opened_at"] = wire["opened_at"]
    elif resource == "customers":
        for name in ("company", "locked_by", "twitter_user", "facebook_user"):
            if name in links:
                row[f"{name}_id"] = last(links[name])
    elif resource == "replies":
        row |= {"case_id": last(links["case"]), "reply_id": last(links["self"])}
        no_id = {"case", "self", "splits", "attachments", "likes", "sent_by"}
        row |= {f"{name}_id": last(link) for name, link in links.items() if name not in no_id}
        row |= {"sent_by": last(links["sent_by"])} if "sent_by" in links else {}
    return row


def truth(desk: Sandbox, resource: str) -> list[dict[str, Any]]:
    rows = [as_stored(resource, wire) for wire in desk.expected()[resource]]
    key = (lambda row: (row["case_id"], row["reply_id"])) if resource == "replies" else (lambda row: (row["id"],))
    return sorted(rows, key=key)


def assert_complete(read: DeskReader, desk: Sandbox) -> None:
    for resource in ("cases", "customers", "replies", "users"):
        assert read.stored(resource) == truth(desk, resource)
    names = {group["id"]: group["name"] for group in desk.expected()["groups"]}
    members = [
        {"user_id": pair["user_id"], "id": pair["group_id"], "name": names[pair["group_id"]]}
        for pair in desk.expected()["memberships"]
    ]
    assert read.stored("user_groups") == sorted(members, key=lambda row: (row["user_id"], row["id"]))


# --- records


def test_every_field_of_every_record_is_that_of_the_site(desk: Sandbox) -> None:
    read = DeskReader(settings(desk)).read()
    assert_complete(read, desk)
    assert read.notes == []
    assert desk.ledger.statuses().keys() == {200}


@pytest.mark.parametrize(
    "switches",
    [
        {"since": "inclusive"},
        {"company_link": "missing"},
        {"page_key": False},
        {"escaped_slashes": True},
        {"chunked": True},
        {"gzip": False},
    ],
)
def test_every_era_and_mood_of_the_site_gives_the_same(own: Sandbox, switches: dict[str, Any]) -> None:
    own.configure(**switches)
    assert_complete(DeskReader(settings(own, page_size=7)).read(), own)


def test_a42_smaller_pages_than_asked_for(own: Sandbox) -> None:
    own.configure(max_per_page={"cases": 9, "customers": 4, "replies": 1, "users": 3, "groups": 2, "custom_fields": 2})
    assert_complete(DeskReader(settings(own)).read(), own)


def test_every_record_fits_the_schema_of_its_stream(desk: Sandbox) -> None:
    read = DeskReader(settings(desk)).read()
    for name, stream in read.streams.items():
        validator = jsonschema.Draft202012Validator(
            stream.schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
        )
        jsonschema.Draft202012Validator.check_schema(stream.schema)
        for row in read.stored(name):
            assert list(validator.iter_errors(row)) == []
            unknown = set(row) - set(stream.schema["properties"])
            assert not unknown, f"{name}: fields of the 2016 wire that no schema names"


DOCUMENTED = {
    "cases": "id external_id blurb subject priority description status type labels locked_until changed_at active_at "
    "language suppress_rules received_at first_opened_at last_opened_at first_resolved_at resolved_at created_at "
    "updated_at",
    "customers": "id first_name last_name company title avatar uid background language locked_until created_at "
    "updated_at emails phone_numbers addresses access_private_portal access_company_cases",
    "replies": "case_id reply_id subject body direction status to from cc bcc client_type suppress_rules sent_by "
    "sent_at created_at updated_at",
    "users": "id name public_name email email_verified avatar level current_login_at last_login_at created_at "
    "updated_at",
    "user_groups": "id user_id name",
}


@pytest.mark.parametrize(("stream", "attributes"), DOCUMENTED.items())
def test_every_documented_attribute_is_declared(stream: str, attributes: str) -> None:
    (declared,) = [found for found in source.describe().streams if found.name == stream]
    assert set(attributes.split()) <= set(declared.schema["properties"])


def test_the_streams_have_the_keys_and_methods_of_the_source_page() -> None:
    streams = {stream.name: stream for stream in source.describe().streams}
    assert {name: (stream.primary_key, stream.replication) for name, stream in streams.items()} == {
        "cases": (("id",), "incremental"),
        "replies": (("case_id", "reply_id"), "incremental"),
        "customers": (("id",), "incremental"),
        "users": (("id",), "full_table"),
        "user_groups": (("user_id", "id"), "full_table"),
    }
    assert streams["cases"].replication_key == streams["customers"].replication_key == "updated_at"
    assert streams["cases"].overlap == timedelta(seconds=1)
    assert (streams["replies"].parent, streams["user_groups"].after) == ("cases", ("users",))


def test_replies_are_told_apart_by_the_id_of_their_link(desk: Sandbox) -> None:
    read = DeskReader(settings(desk)).read("cases")
    rows = read.stored("replies")
    bodies = Counter((row["case_id"], row["id"]) for row in rows)
    assert max(bodies.values()) > 1, "the site has cases in which two replies share the id of their bodies"
    assert len(rows) == len({row["reply_id"] for row in rows})
    assert {row["status"] for row in rows} >= {"draft", "sent", "received"}
    gone = {row.get("sent_by") for row in rows} - {row["id"] for row in truth(desk, "users")} - {None}
    assert gone, "replies of deleted agents keep their sender"


def test_a_parent_that_vanished_is_told_from_a_stream_that_does_not_exist(own: Sandbox) -> None:
    read = DeskReader(settings(own))
    case = next(record for record in read.page("cases").records if read.streams["replies"].when(record))
    own.store.delete_case(case["id"])
    with pytest.raises(NotFoundError):
        read.page("replies", parent=case)


# --- custom fields


def test_custom_fields_are_typed_as_the_site_defines_them(own: Sandbox) -> None:
    own.store.define_custom_field("ticket", "odd", "string")
    schemas = {stream.name: stream.schema["properties"] for stream in DeskReader(settings(own)).catalog.streams}
    cases = schemas["cases"]["custom_fields"]["properties"]
    kinds = {name: (schema["type"][0], schema.get("format")) for name, schema in cases.items()}
    assert kinds == {
        "market": ("string", None),
        "order_no": ("string", None),
        "vip": ("boolean", None),
        "seats": ("string", None),
        "due": ("string", "date-time"),
        "topic": ("string", None),
        "old_queue": ("string", None),
        "odd": ("string", None),
    }
    assert set(schemas["customers"]["custom_fields"]["properties"]) == {
        "level", "newsletter", "employees", "renewal", "region", "memo",
    }  # fmt: skip


def test_strange_definitions_of_custom_fields_are_left_to_the_values(own: Sandbox) -> None:
    def odd(page: Any) -> None:
        page["_embedded"]["entries"] += [
            None, 7, {}, {"type": "ticket", "name": None, "data": {"type": "string"}},
            {"type": "ticket", "name": "later", "data": {"type": "colour"}},
            {"type": "ticket", "name": "bare", "data": None},
            {"type": "weather", "name": "x", "data": {"type": "list"}},
        ]  # fmt: skip

    with FaultFront(own.url, [Fault(match="custom_fields", action=Edit(run=odd))]) as front:
        read = DeskReader(settings(own, site_url=front.url))
    assert len(read.streams["cases"].schema["properties"]["custom_fields"]["properties"]) == 7


def test_custom_fields_may_be_null_or_missing(own: Sandbox) -> None:
    first, second, third = own.expected()["cases"][:3]
    own.store.put_raw("cases", first["id"], {"custom_fields": None})
    own.store.put_raw("cases", third["id"], {}, drop=["custom_fields"])
    read = DeskReader(settings(own)).read("cases")
    assert read.records["cases"][(first["id"],)]["custom_fields"] is None
    assert read.records["cases"][(second["id"],)]["custom_fields"] == second["custom_fields"]
    assert "custom_fields" not in read.records["cases"][(third["id"],)]


# --- calls


def pages(count: int, size: int) -> int:
    return max(1, math.ceil(count / size))


def walk_calls(rows: list[dict[str, Any]], lower: datetime, size: int) -> int:
    """The rule of the walk on quiet data, for a `since` that leaves its own second out."""
    seconds = sorted(int(datetime.fromisoformat(row["updated_at"]).timestamp()) for row in rows)
    since, calls = int(lower.timestamp()) - 1, 0
    while True:
        left = [second for second in seconds if second > since]
        number = 1
        while number * size < len(left) and left[number * size - 1] < left[0] + 2:
            number += 1
        calls += number if number == 1 else 2 * number
        if number * size >= len(left):
            return calls
        since = left[number * size - 1] - 1


def formula(desk: Sandbox, lower: datetime, size: int) -> int:
    held = desk.expected()
    replies = Counter(last(reply["_links"]["case"]) for reply in held["replies"])
    fetched = [row for row in truth(desk, "cases") if datetime.fromisoformat(row["updated_at"]) >= lower]
    fetched_before = [row for row in truth(desk, "cases") if datetime.fromisoformat(row["updated_at"]) == lower]
    assert not fetched_before, "choose a start that no case shares"
    users, groups = len(held["users"]), len(held["groups"])
    return (
        pages(len(held["custom_fields"]), 1000)
        + pages(users, 1000)
        + pages(groups, 1000)
        + min(users, groups)
        + walk_calls(truth(desk, "cases"), lower, size)
        + walk_calls(truth(desk, "customers"), lower, size)
        + sum(math.ceil(replies[row["id"]] / size) for row in fetched)
    )


@pytest.mark.parametrize("size", [100, 9, 3])
@pytest.mark.parametrize("lower", [datetime(2010, 1, 1, tzinfo=UTC), datetime(2025, 7, 1, tzinfo=UTC)])
def test_a_run_makes_exactly_the_calls_of_the_formula(desk: Sandbox, size: int, lower: datetime) -> None:
    desk.ledger.reset()
    read = DeskReader(settings(desk, page_size=size), lower=lower)
    read.read()
    assert desk.ledger.count() == formula(desk, lower, size)
    assert read.catalog.requests == 1


def test_cases_and_customers_are_asked_for_by_their_last_change(desk: Sandbox) -> None:
    desk.ledger.reset()
    DeskReader(settings(desk, page_size=40), lower=datetime(2025, 7, 1, tzinfo=UTC)).read("cases", "customers")
    for path in ("/api/v2/cases", "/api/v2/customers/search"):
        first = next(served for served in desk.ledger.requests() if served.path == path)
        assert first.params == {
            "sort_field": "updated_at",
            "sort_direction": "asc",
            "since_updated_at": str(int(datetime(2025, 7, 1, tzinfo=UTC).timestamp()) - 1),
            "page": "1",
            "per_page": "40",
        }


def test_cases_without_replies_cost_no_call(desk: Sandbox) -> None:
    desk.ledger.reset()
    DeskReader(settings(desk)).read("cases")
    asked = {served.path.split("/")[4] for served in desk.ledger.requests(resource="replies")}
    silent = {str(case["id"]) for case in desk.expected()["cases"] if case["_links"]["replies"]["count"] == 0}
    assert silent
    assert not asked & silent


# --- user_groups


def test_user_groups_go_through_the_users_where_they_are_fewer() -> None:
    with Sandbox(Settings(now=NOW, cases=1, customers=1, users=3, groups=8, deleted_agents=0)) as desk:
        read = DeskReader(settings(desk)).read("users")
        desk.ledger.reset()
        read.read("user_groups")
        assert desk.ledger.count("/api/v2/users/") == 3
        assert desk.ledger.count() == 4
        assert_complete(read.read("cases", "customers"), desk)


def test_user_groups_fetch_the_users_themselves_when_nobody_else_did(desk: Sandbox) -> None:
    desk.ledger.reset()
    read = DeskReader(settings(desk)).read("user_groups")
    assert len(read.stored("user_groups")) == len(desk.expected()["memberships"])
    assert Counter(served.resource for served in desk.ledger.requests())["users"] == 1


def test_user_groups_tell_how_many_there_are_on_their_last_page(desk: Sandbox) -> None:
    read = DeskReader(settings(desk)).read("users")
    found = read.pages("user_groups")
    assert [page.total for page in found[:-1]] == [None] * (len(found) - 1)
    assert found[-1].total == len(desk.expected()["memberships"])
    assert str(found[0].next).startswith("group ")


def test_a_group_that_is_deleted_while_the_table_is_read(own: Sandbox) -> None:
    read = DeskReader(settings(own)).read("users")
    doomed = own.expected()["groups"][-1]["id"]
    own.script(
        when=lambda served: served.path == "/api/v2/groups", do=lambda store: store.delete_group(doomed), times=1
    )
    read.read("user_groups")
    assert len(read.stored("user_groups")) == len(own.expected()["memberships"])
    assert read.notes == [f"group {doomed} does not exist any more"]


def test_a_site_without_groups(own: Sandbox) -> None:
    for group in own.expected()["groups"]:
        own.store.delete_group(group["id"])
    (page,) = DeskReader(settings(own)).read("users").pages("user_groups")
    assert (list(page.records), page.total) == ([], 0)


def test_users_that_are_read_again_do_not_count_twice(own: Sandbox) -> None:
    own.configure(max_per_page={"users": 5})
    read = DeskReader(settings(own)).read("users")
    for user in own.expected()["users"][4:]:
        own.store.delete_user(user["id"])
    read.read("users")
    assert read.client.memory.ids == tuple(user["id"] for user in own.expected()["users"])


# --- moving data


def test_records_that_change_appear_and_vanish_while_paging_are_not_missed(own: Sandbox) -> None:
    cases = [case["id"] for case in own.expected()["cases"]]
    own.store.update_cases(cases[:40], updated_at="2026-01-05T10:00:00Z")  # one second, ten pages
    moved = iter(cases)

    def disturb(store: Any) -> None:
        store.update_case(next(moved), status="open")
        store.add_case(subject="new")

    own.script(when=lambda served: served.resource == "cases", do=disturb, times=12)
    own.script(after_request=9, do=lambda store: store.delete_case(cases[-1]))
    first = DeskReader(settings(own, page_size=4)).read("cases")
    quiet = {key for key, row in first.records["cases"].items()}
    assert quiet >= {(id,) for id in cases[12:-1]}
    own.clear_script()
    second = DeskReader(settings(own, page_size=4), lower=datetime.now(UTC) - timedelta(days=1)).read("cases")
    merged = first.records["cases"] | second.records["cases"]
    now = {(row["id"],): row for row in truth(own, "cases")}
    for key, row in now.items():
        assert {name: value for name, value in merged[key].items() if name not in ("_links",)} == row


def test_the_page_cap_is_never_met_by_the_walk(desk: Sandbox) -> None:
    desk.configure(page_cap=4)
    try:
        read = DeskReader(settings(desk, page_size=9)).read("cases", "customers")
    finally:
        desk.configure(page_cap=500)
    assert len(read.stored("cases")) == 130
    assert len(read.stored("customers")) == 60


def test_a41_more_records_in_one_second_than_the_cap_allows_are_loud(own: Sandbox) -> None:
    cases = [case["id"] for case in own.expected()["cases"]]
    own.store.update_cases(cases, updated_at="2026-01-05T10:00:00Z")
    own.configure(page_cap=4)
    with pytest.raises(SourceError, match="refuses page 5 of one list") as caught:
        DeskReader(settings(own, page_size=4)).read("cases")
    assert caught.value.code == "page_cap"


# --- the site's limits and credentials


def test_the_call_budget_of_the_site_is_read(desk: Sandbox) -> None:
    page = DeskReader(settings(desk)).page("cases")
    assert isinstance(page.rate, RateLimit)
    assert page.rate.limit == 1_000_000
    assert page.rate.reset is not None
    assert 0 <= page.rate.reset <= 60
    assert page.served_at is not None


@pytest.mark.parametrize("body", ["json", "text"])
def test_a2_the_sites_own_429_waits_for_its_next_window(own: Sandbox, body: str) -> None:
    read = DeskReader(settings(own))
    own.configure(rate_limit=1, too_many=body)
    with pytest.raises(RetryableError) as caught:
        read.read("cases")
    assert caught.value.code == "http_429"
    assert caught.value.retry_after is not None
    assert 1 <= caught.value.retry_after <= 60


@pytest.mark.parametrize("wrong", ["key", "secret", "token", "token_secret"])
def test_g12_wrong_credentials_are_refused_without_saying_which(desk: Sandbox, wrong: str) -> None:
    with pytest.raises(AuthError, match="credentials refused") as caught:
        DeskReader(settings(desk, **{wrong: "mistyped"}))
    assert "renew key, secret, token and token_secret" in caught.value.hint
    assert "mistyped" not in str(caught.value)


def test_g12_secret_and_token_secret_swapped(desk: Sandbox) -> None:
    known = desk.credentials
    with pytest.raises(AuthError):
        DeskReader(settings(desk, secret=known.token_secret, token_secret=known.secret))


def test_a39_a_clock_that_is_too_far_off_for_oauth_is_named(own: Sandbox) -> None:
    own.configure(clock_offset=-4_000)
    with pytest.raises(AuthError, match=r"this machine's clock is [34],\d{3} seconds ahead of the source's"):
        DeskReader(settings(own))


@pytest.mark.parametrize(
    "site", ["http://acme.desk.com", "https://acme.desk.com/agent", "https://u:p@acme.desk.com", "ftp://x", ""]
)
def test_g5_a_site_url_that_is_none_is_a_configuration_error(site: str) -> None:
    config = dict.fromkeys(("key", "secret", "token", "token_secret"), "x") | {"site_url": site}
    with pytest.raises(ConfigError, match="site_url"):
        source.authenticate(config)


# --- faults on the way


@pytest.mark.parametrize(
    "action",
    [
        Status(code=503),
        Status(code=200),
        Status(code=204),
        Body(kind="truncated"),
        Body(kind="error_object"),
        Body(kind="empty"),
        Body(kind="wrong_gzip"),
        Entries(how="missing"),
    ],
)
@pytest.mark.parametrize(
    "match", ["/custom_fields", "/cases\\?", "/customers/search", "/replies", "/users\\?", "/groups/"]
)
def test_a6_a16_to_a19_a21_a33_any_call_may_fail_once_and_is_right_when_repeated(
    small: Sandbox, action: Action, match: str
) -> None:
    with FaultFront(small.url, [Fault(match=match, action=action)]) as front:
        config = settings(small, site_url=front.url)
        failed = 0

        def patiently(call: Any) -> Any:
            nonlocal failed
            try:
                return call()
            except RetryableError:
                failed += 1
                return call()

        read = patiently(lambda: DeskReader(config))
        plain = read.page
        read.page = lambda *args, **more: patiently(lambda: plain(*args, **more))
        read.read()
        assert failed == 1
        assert_complete(read, small)


@pytest.mark.parametrize(
    "action",
    [
        Repeat(),
        Entries(how="drop", index=3),
        Entries(how="duplicate", count=5),
        Entries(how="shuffle"),
        Entries(how="empty"),
        Total(value=None),
        Total(value=3),
        Total(value="many"),
        NextLink(to="null"),
        NextLink(to="absolute"),
        Headers(clock=-7_200),
        Headers(clock=7_200),
        Headers(filler=24_576),
    ],
)
def test_a25_to_a27_a30_a31_a33_a35_a36_a38_a43_the_walk_over_cases_heals_what_a_page_gets_wrong_once(
    desk: Sandbox, action: Action
) -> None:
    with FaultFront(desk.url, [Fault(match="/cases\\?", nth=3, action=action)]) as front:
        read = DeskReader(settings(desk, site_url=front.url, page_size=20)).read("cases")
        assert front.hits
    assert read.stored("cases") == truth(desk, "cases")


@pytest.mark.parametrize("match", ["/cases\\?", "/replies", "/users\\?", "/groups/", "/custom_fields"])
def test_h1_h2_foreign_links_and_redirects_are_never_followed(small: Sandbox, match: str) -> None:
    with CanaryServer() as canary:
        for action in (
            NextLink(to="foreign", origin=canary.url),
            Redirect(code=307, location=f"{canary.url}/api/v2/cases"),
        ):
            with FaultFront(small.url, [Fault(match=match, action=action)]) as front:
                with pytest.raises(SourceError) as caught:
                    DeskReader(settings(small, site_url=front.url)).read()
                assert caught.value.code == "foreign_origin"
        assert canary.contacts == []


def test_h4_the_environment_does_not_touch_the_signature(
    desk: Sandbox, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login stolen password stolen\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert len(DeskReader(settings(desk)).read("users").stored("users")) == 12


# --- describe


def test_describe_tells_what_the_source_page_tells() -> None:
    described = source.describe()
    assert (described.kind, described.name, described.versions) == ("source", "desk", ("15-10-2015",))
    assert described.frequency == 1800
    assert described.snapshot["Stitch"]["Release status"] == "Released on October 15, 2015"
    assert described.snapshot["Replication settings"] == {
        "Anchor Scheduling": "Supported",
        "Advanced Scheduling": "Unsupported",
        "Table-level reset": "Unsupported",
        "Configurable Replication Methods": "Unsupported",
    }
    assert set(described.snapshot["Data selection"].values()) == {"Unsupported"}
    assert set(described.snapshot["Transparency"].values()) == {"Supported"}
    assert set(described.fixed) == {"cron", "streams"}
    secrets = [name for name, told in described.config_schema["properties"].items() if told.get("writeOnly")]
    assert secrets == ["key", "secret", "token", "token_secret"]
    assert source.describe() == described
