"""Declared REST sources over real HTTP: every way to page and to authenticate, the escape hatches, and wrong
declarations."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pluggy
import pytest

import connector_core.rest
from connector_core import hookspecs
from connector_core.entries import Entries
from connector_core.errors import AuthError, ConfigError, RetryableError, SourceError
from connector_core.rest import (
    Asking,
    Basic,
    Bearer,
    ClientCredentials,
    Cursor,
    HeaderKey,
    Keyset,
    LinkHeader,
    NextLink,
    Offset,
    PageNumber,
    Paginator,
    QueryKey,
    RateFigure,
    RateHeaders,
    RestSource,
    RestStream,
    Retry,
    Since,
    Until,
    fields,
)
from connector_core.rest.rates import Meter
from connector_core.streams import Page, RateLimit, Stream, Window
from connector_core.testing.faults import Fault, FaultFront, Request, Response, Status
from tests.support.shop_api import CONFIG_SCHEMA, RATE, SCHEMA, Api, ids, reader, shop, things

ALL = [1, 2, 3, 4, 5, 6, 7]


def query(request: Request) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(request.target).query).items()}


def served(answer: Callable[[dict[str, str]], Response]) -> FaultFront:
    """A front whose every answer is made from the request's parameters."""
    return FaultFront(None, respond=lambda request: answer(query(request)))


def entries(first: int, last: int) -> list[dict[str, Any]]:
    return [{"id": id} for id in range(first, last + 1)]


# --- paginators


def test_next_link() -> None:
    with FaultFront(None, respond=Api()) as front:
        made = reader(front)
        page = made.page()
        assert ids(list(page.records)) == [1, 2, 3]
        assert (page.total, page.requests, page.rate) == (7, 1, RateLimit(limit=60, remaining=41, reset=17.0))
        assert page.url == f"{front.url}/api/things"
        assert page.size > 100
        assert ids(made.records()) == ALL
        assert ids(list(made.page(page.next).records)) == ids(list(made.page(page.next).records)), "repeatable"


def test_link_header() -> None:
    def answer(asked: dict[str, str]) -> Response:
        number = int(asked.get("p", 1))
        following = f'<{front.url}/api/things?p={number + 1}>; rel="next", <{front.url}/api/things?p=1>; rel="first"'
        headers = {"Link": following} if number < 3 else {"Link": f'<{front.url}/api/things?p=1>; rel="first"'}
        return Response.of_json(entries(number * 3 - 2, min(number * 3, 7)), headers=headers)

    with served(answer) as front:
        made = reader(front, shop(things(records="", total=None, paginator=LinkHeader())))
        assert ids(made.records()) == ALL


@pytest.mark.parametrize(
    ("paginator", "calls"),
    [
        (PageNumber(), 4),
        (PageNumber(more="more"), 3),
        (PageNumber(pages="meta.pages"), 3),
        (PageNumber(param="p", start=0), 4),
    ],
)
def test_page_number_ends_where_the_source_says_or_at_an_empty_page(paginator: PageNumber, calls: int) -> None:
    def answer(asked: dict[str, str]) -> Response:
        number = int(asked[paginator.param]) - paginator.start + 1
        found = entries(number * 3 - 2, min(number * 3, 7))
        return Response.of_json({"data": found, "more": number < 3, "meta": {"pages": paginator.start + 2}})

    with served(answer) as front:
        made = reader(front, shop(things(records="data", total=None, paginator=paginator)))
        assert ids(made.records()) == ALL
        assert len(front.requests) == calls


def test_a41_page_number_beyond_the_declared_cap_is_loud() -> None:
    with served(lambda asked: Response.of_json({"data": entries(1, 3), "more": True})) as front:
        made = reader(front, shop(things(records="data", total=None, paginator=PageNumber(more="more", most=2))))
        with pytest.raises(SourceError, match="goes on after page 2") as caught:
            made.records()
    assert caught.value.code == "page_cap"


@pytest.mark.parametrize("code", [400, 422])
def test_a41_a_deep_page_that_is_refused_names_the_cap(code: int) -> None:
    with FaultFront(None, [Fault(action=Status(code=code), nth=3)], respond=Api(things=30)) as front:
        made = reader(front, shop(things(paginator=PageNumber(more="_links.next"))))
        with pytest.raises(SourceError, match="refuses page 3 of one list") as caught:
            made.records()
    assert caught.value.code == "page_cap"


def test_a42_offset_counts_what_the_pages_really_held() -> None:
    def answer(asked: dict[str, str]) -> Response:
        start, size = int(asked["offset"]), min(int(asked["limit"]), 2)  # asked for 5, serves 2 without a word
        return Response.of_json({"data": entries(start + 1, min(start + size, 7))})

    with served(answer) as front:
        stream = things(records="data", total=None, paginator=Offset(), per_page=5, per_page_param="limit")
        assert ids(reader(front, shop(stream)).records()) == ALL


def test_cursor() -> None:
    def answer(asked: dict[str, str]) -> Response:
        after = int(asked.get("cursor", "0").removeprefix("c"))
        last = min(after + 3, 7)
        return Response.of_json({"data": entries(after + 1, last), "meta": {"next": f"c{last}" if last < 7 else ""}})

    with served(answer) as front:
        made = reader(front, shop(things(records="data", total=None, paginator=Cursor(path="meta.next"))))
        assert ids(made.records()) == ALL


def test_a34_a_cursor_that_does_not_move() -> None:
    with served(lambda asked: Response.of_json({"data": entries(1, 3), "next": "c1"})) as front:
        made = reader(front, shop(things(records="data", total=None, paginator=Cursor(path="next"))))
        with pytest.raises(SourceError) as caught:
            made.records()
        assert len(front.requests) == 2
    assert caught.value.code == "loop"


def test_keyset_walks_above_the_greatest_key() -> None:
    def answer(asked: dict[str, str]) -> Response:
        after = int(asked.get("since_id", 0))
        return Response.of_json({"data": entries(after + 1, min(after + 3, 7))})

    with served(answer) as front:
        made = reader(front, shop(things(records="data", total=None, paginator=Keyset())))
        assert ids(made.records()) == ALL
        assert [query(request).get("since_id") for request in front.requests] == [None, "3", "6", "7"]


def test_keyset_of_an_incremental_stream_starts_at_its_bookmark() -> None:
    def answer(asked: dict[str, str]) -> Response:
        after = int(asked.get("since_id", 0))
        return Response.of_json({"data": entries(after + 1, min(after + 3, 7))})

    with served(answer) as front:
        stream = things(records="data", total=None, paginator=Keyset(), replication_key="id")
        assert ids(reader(front, shop(stream)).records(window=Window(lower=5))) == [5, 6, 7]


def test_a34_a_keyset_that_the_source_ignores() -> None:
    with served(lambda asked: Response.of_json({"data": entries(1, 3)})) as front:
        made = reader(front, shop(things(records="data", total=None, paginator=Keyset())))
        with pytest.raises(SourceError) as caught:
            made.records()
        assert len(front.requests) == 2
    assert caught.value.code == "loop"


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")], ids=["by columns", "one by one"])
@pytest.mark.parametrize("paginator", [PageNumber(), Offset()])
def test_a34_a_number_that_the_source_ignores(paginator: Paginator, separators: tuple[str, str]) -> None:
    body = json.dumps({"entries": entries(1, 3)}, separators=separators).encode()
    with (
        served(lambda query: Response(body=body)) as front,
        pytest.raises(SourceError, match=r"circle.*\[loop\]"),
    ):
        reader(front, shop(things(records="entries", total=None, paginator=paginator))).records()


def test_equal_pages_without_a_key_are_no_circle() -> None:
    with served(lambda query: Response.of_json({"data": [{"name": "x"}] if query["page"] < "3" else []})) as front:
        stream = things(records="data", total=None, primary_key=(), paginator=PageNumber())
        assert len(reader(front, shop(stream)).records()) == 2


def test_no_paginator_means_one_page() -> None:
    with served(lambda asked: Response.of_json(entries(1, 7))) as front:
        made = reader(front, shop(things(records="", total=None, paginator=None)))
        assert ids(made.records()) == ALL


# --- what is asked

INSTANT = datetime(2026, 3, 1, 12, 0, 30, 250_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("since", "text"),
    [
        (Since("from", "epoch"), "1772366430"),
        (Since("from", "epoch_ms"), "1772366430250"),
        (Since("from", "iso"), "2026-03-01T12:00:30.250000Z"),
        (Since("from", "date"), "2026-03-01"),
        (Since("from", lambda value: f"v{value:%Y}"), "v2026"),
        (Since("from", "epoch", exclusive=True), "1772366429"),
        (Since("from", "iso", exclusive=True, step=timedelta(microseconds=1)), "2026-03-01T12:00:30.249999Z"),
    ],
)
def test_the_lower_end_of_the_window_in_every_form(since: Since, text: str) -> None:
    with FaultFront(None, respond=Api()) as front:
        stream = things(replication_key="updated_at", since=since)
        reader(front, shop(stream)).page(window=Window(lower=INSTANT))
        assert query(front.requests[0]) == {"from": text}


def test_the_upper_bound_is_asked_for_once_it_is_known() -> None:
    with FaultFront(None, respond=Api()) as front:
        stream = things(until=Until("before", form="epoch"), paginator=None)
        made = reader(front, shop(stream))
        made.page()
        made.page(window=Window(upper=datetime(2026, 3, 1, 12, tzinfo=UTC)))
        assert [query(request) for request in front.requests] == [{}, {"before": "1772366400"}]


def test_a_function_may_change_what_is_asked_for() -> None:
    def filtered(asking: Asking) -> dict[str, str]:
        assert asking.params["order"] == "asc"
        return {"filter": f"changed ge {asking.window.since:%Y-%m-%d} and site eq {asking.config['key']}"}

    with FaultFront(None, respond=Api()) as front:
        made = reader(front, shop(things(params={"order": "asc"}, request=filtered)))
        made.records(window=Window(lower=datetime(2026, 3, 1, tzinfo=UTC)))
        assert query(front.requests[0]) == {"filter": "changed ge 2026-03-01 and site eq canary-key-1"}
        assert query(front.requests[1]) == {"page": "2"}  # a link is followed as it is


def test_placeholders_are_filled_and_quoted() -> None:
    child = things(
        name="parts",
        parent="things",
        path="/teams/{config.team}/things/{parent.id}/parts of {parent.name}",
        params={"by": "{parent.name}", "deep": True, "none": None},
        paginator=None,
        per_page=lambda config: len(config["team"]),
    )
    with FaultFront(None, respond=Api()) as front:
        schema = {"properties": {**CONFIG_SCHEMA["properties"], "team": {"type": "string"}}}
        made = reader(front, shop(things(), child, config_schema=schema), team="a/b")
        made.page(stream="parts", parent={"id": 7, "name": "x & y"})
        path, _, _ = front.requests[0].target.partition("?")
        assert path == "/api/teams/a%2Fb/things/7/parts%20of%20x%20%26%20y"
        assert query(front.requests[0]) == {"by": "x & y", "deep": "true", "per_page": "3"}


def test_a_parent_without_the_property_is_a_clear_error() -> None:
    child = things(name="parts", parent="things", path="/things/{parent.code}/parts", paginator=None)
    with FaultFront(None, respond=Api()) as front:
        made = reader(front, shop(things(), child))
        with pytest.raises(SourceError, match=r"stream 'parts' needs 'code'"):
            made.page(stream="parts", parent={"id": 7})
        assert front.requests == []


def test_records_are_mapped_one_by_one_and_strange_entries_left_alone() -> None:
    with served(lambda asked: Response.of_json({"data": [{"id": 1}, None, 7, {"id": 2}]})) as front:
        stream = things(
            records=lambda document: document["data"],
            total=lambda document: len(document["data"]),
            paginator=None,
            record=lambda record: record | {"name": f"thing {record['id']}"},
        )
        page = reader(front, shop(stream)).page()
        assert page.records == [{"id": 1, "name": "thing 1"}, None, 7, {"id": 2, "name": "thing 2"}]
        assert page.total == 4


def test_numbers_keep_every_digit() -> None:
    body = b'{"data": [{"id": 1, "name": 50000.0000000000000001, "big": 123456789012345678901234567890}]}'
    with FaultFront(None, respond=lambda request: Response(body=body)) as front:
        record = reader(front, shop(things(records="data", total=None, paginator=None))).page().records[0]
        assert str(record["name"]) == "50000.0000000000000001"
        assert record["big"] == 123456789012345678901234567890


@pytest.mark.parametrize(
    ("headers", "read"),
    [
        (RATE, RateLimit(limit=60, remaining=41, reset=17.0)),
        ({"X-RateLimit-Limit": "many"}, None),
        ({"X-RateLimit-Limit": "60"}, RateLimit(limit=60)),
        ({}, None),
    ],
)
def test_the_call_budget_is_read_from_headers(headers: dict[str, str], read: RateLimit | None) -> None:
    with FaultFront(None, respond=Api(headers=headers)) as front:
        assert reader(front).page().rate == read


def test_the_call_budget_may_end_at_an_instant() -> None:
    headers = RATE | {"X-RateLimit-Reset": "1772366460", "Date": "Sun, 01 Mar 2026 12:00:30 GMT"}
    with FaultFront(None, respond=Api(headers=headers)) as front:
        page = reader(front, shop(rate_limit=RateHeaders(epoch=True))).page()
        assert page.rate == RateLimit(limit=60, remaining=41, reset=30.0)
        assert page.served_at == datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)


# --- authentication


def authorization(front: FaultFront) -> str:
    return front.requests[-1].header("Authorization") or ""


def test_basic() -> None:
    with FaultFront(None, respond=Api()) as front:
        reader(front, shop(auth=Basic(user="key", password="secret")), key="jürgen").page()
        assert base64.b64decode(authorization(front).removeprefix("Basic ")).decode() == "jürgen:canary-secret-2"


def test_bearer() -> None:
    with FaultFront(None, respond=Api()) as front:
        reader(front, shop(auth=Bearer())).page()
        assert authorization(front) == "Bearer canary-token-3"


def test_key_in_a_header() -> None:
    with FaultFront(None, respond=Api()) as front:
        reader(front, shop(auth=HeaderKey(name="X-Api-Key"))).page()
        assert front.requests[0].header("X-Api-Key") == "canary-key-1"


def test_key_in_the_query_is_never_shown_nor_kept_in_a_token() -> None:
    def answer(request: Request) -> Response | None:
        page = query(request).get("page", "1")
        link = {"href": f"/api/things?page=2&auth_token={query(request)['auth_token']}"} if page == "1" else None
        return Response.of_json({"_links": {"next": link}, "_embedded": {"entries": entries(1, 1)}})

    with FaultFront(None, respond=Api(answer=answer)) as front:
        made = reader(front, shop(auth=QueryKey(name="auth_token")))
        page = made.page()
        last = made.page(page.next)
        assert [query(request)["auth_token"] for request in front.requests] == ["canary-key-1"] * 2
        assert "canary" not in f"{page.url} {page.next} {page.next!r} {last.url}"


def test_no_authentication() -> None:
    with FaultFront(None, respond=Api()) as front:
        reader(front, shop(auth=None)).page()
        assert front.requests[0].header("Authorization") is None


class TokenServer:
    """Gives tokens t1, t2, ... and takes only the newest one."""

    def __init__(self, lasts: Any = 3600) -> None:
        self.given = 0
        self.lasts = lasts
        self.refuse = False

    def __call__(self, request: Request) -> Response | None:
        if request.target == "/token":
            assert request.method == "POST"
            assert request.body == b"grant_type=client_credentials&scope=read"
            assert base64.b64decode((request.header("Authorization") or "")[6:]) == b"canary-key-1:canary-secret-2"
            if self.refuse:
                return Response.of_json({"error": "invalid_client"}, status=401)
            self.given += 1
            return Response.of_json(
                {"access_token": f"t{self.given}", "token_type": "bearer", "expires_in": self.lasts}
            )
        if request.header("Authorization") != f"Bearer t{self.given}":
            return Response.of_json({"message": "Unauthorized"}, status=401)
        return None


CREDENTIALS = ClientCredentials(token_url="{url}/token", client_id="key", client_secret="secret", scope="read")


def test_client_credentials_fetch_one_token_for_all_threads() -> None:
    tokens = TokenServer()
    with FaultFront(None, respond=Api(answer=tokens)) as front:
        made = reader(front, shop(auth=CREDENTIALS))
        workers = [threading.Thread(target=made.records) for _ in range(5)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert tokens.given == 1
        assert len(front.requests) == 16


def test_client_credentials_renew_a_token_that_is_refused_once() -> None:
    tokens = TokenServer()
    with FaultFront(None, respond=Api(answer=tokens)) as front:
        made = reader(front, shop(auth=CREDENTIALS))
        first = made.page()
        tokens.given += 1  # the token that the client holds is not taken any more
        page = made.page(first.next)
        assert ids(list(page.records)) == [4, 5, 6]
        assert page.requests == 2


def test_a7_an_api_that_refuses_even_a_new_token_is_not_asked_for_ever() -> None:
    tokens = TokenServer()

    def refusing(request: Request) -> Response | None:
        return tokens(request) if request.target == "/token" else Response.of_json({}, status=401)

    with FaultFront(None, respond=Api(answer=refusing)) as front:
        with pytest.raises(AuthError, match="credentials refused"):
            reader(front, shop(auth=CREDENTIALS)).page()
        assert [request.target for request in front.requests] == ["/token", "/api/things"] * 2


def test_client_credentials_renew_a_token_before_it_ends() -> None:
    tokens = TokenServer(lasts=20)
    with FaultFront(None, respond=Api(answer=tokens)) as front:
        made = reader(front, shop(auth=CREDENTIALS))
        made.client.transport._signer.sign()  # taken for dead 30 s before its end, but at least for a second
        made.page()
        assert tokens.given == 1


def test_a7_client_credentials_that_are_refused() -> None:
    tokens = TokenServer()
    tokens.refuse = True
    with FaultFront(None, respond=Api(answer=tokens)) as front:
        with pytest.raises(AuthError, match="credentials refused") as caught:
            reader(front, shop(auth=CREDENTIALS)).page()
        assert len(front.requests) == 1
    assert "renew key and secret" in caught.value.hint


@pytest.mark.parametrize("body", [b"{}", b"[]", b"<html>", b'{"access_token": 7}', b'{"access_token": "a\\nb"}'])
def test_a_token_endpoint_that_gives_no_token_may_recover(body: bytes) -> None:
    with FaultFront(None, respond=lambda request: Response(body=body)) as front, pytest.raises(RetryableError):
        reader(front, shop(auth=CREDENTIALS)).page()


def test_a_token_endpoint_in_plain_http_elsewhere_is_refused() -> None:
    auth = ClientCredentials(token_url="http://{token}/token", client_id="key", client_secret="secret")
    with FaultFront(None, respond=Api()) as front, pytest.raises(SourceError, match="only sent over https"):
        reader(front, shop(auth=auth), token="evil.example.test").page()


# --- answers to ask for again, and a budget that is only documented


@pytest.mark.parametrize(
    ("retry", "answer", "code", "after"),
    [
        (Retry(statuses={403}, after=9), Response.of_json({}, status=403), "http_403", 9.0),
        (Retry(statuses={403}, after=9), Response.of_json({}, status=403, headers={"Retry-After": "3"}), "http_403", 3),
        (Retry(body="error.busy"), Response.of_json({"error": {"busy": True}}), "asked_again", None),
        (Retry(body=lambda told: "later" in told), Response.of_json(["later"], status=400), "asked_again", None),
    ],
)
def test_answers_that_pass_by_status_and_by_body(
    retry: Retry, answer: Response, code: str, after: float | None
) -> None:
    with FaultFront(None, respond=lambda request: answer) as front, pytest.raises(RetryableError) as caught:
        reader(front, shop(retry=retry)).page()
    assert (caught.value.code, caught.value.retry_after) == (code, after)


def test_other_answers_are_what_they_are() -> None:
    retry = Retry(statuses={403}, body="error.busy")
    with FaultFront(None, respond=Api()) as front:
        assert ids(reader(front, shop(retry=retry)).records()) == ALL
        front.replan([Fault(action=Status(code=400))])
        with pytest.raises(SourceError, match="http_400"):
            reader(front, shop(retry=retry)).page()


def test_a_budget_that_is_only_documented_is_counted() -> None:
    with FaultFront(None, respond=Api(headers={})) as front:
        made = reader(front, shop(rate_limit=RateFigure(calls=10, seconds=3600)))
        rates = [made.page().rate for _ in range(3)]
    assert [rate and (rate.limit, rate.remaining) for rate in rates] == [(10, 9), (10, 8), (10, 7)]


def test_calls_count_for_as_long_as_the_figure_says() -> None:
    at = 0.0
    meter = Meter(RateFigure(calls=3, seconds=60), lambda: at)
    told = []
    for at in (0.0, 10.0, 20.0, 61.0, 75.0):  # noqa: B007 - the clock
        meter.call()
        told.append(meter.read())
    assert [rate.remaining for rate in told] == [2, 1, 0, 0, 0]
    assert [rate.reset for rate in told] == [60.0, 60.0, 50.0, 19.0, 46.0]


# --- the plugin


TRACKER = """
from connector_core.rest import Bearer, NextLink, RestSource, RestStream, Since

TEXT, ID, AT = {"type": ["string", "null"]}, {"type": "integer"}, {"type": "string", "format": "date-time"}
source = RestSource(
    name="tracker",
    base_url="{url}/api",
    auth=Bearer("api_token"),
    config_schema={"type": "object", "properties": {"url": TEXT, "api_token": {"type": "string", "writeOnly": True}}},
    streams=(
        RestStream(name="projects", path="/projects", records="data", primary_key=("id",), replication_key="changed",
                   schema={"type": "object", "properties": {"id": ID, "name": TEXT, "changed": AT}},
                   since=Since("changed_since"), params={"sort": "changed"}, paginator=NextLink("links.next")),
        RestStream(name="tasks", parent="projects", path="/projects/{parent.id}/tasks", records="data",
                   schema={"type": "object", "properties": {"id": ID, "title": TEXT}}, primary_key=("id",)),
    ),
)
"""


def test_a_third_party_declares_a_parent_and_a_child_in_less_than_20_lines() -> None:
    assert len(TRACKER.strip().splitlines()) < 20
    module: dict[str, Any] = {}
    exec(TRACKER, module)  # noqa: S102 - the text above
    source = module["source"]
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(source)
    manager.check_pending()

    def answer(request: Request) -> Response | None:
        assert request.header("Authorization") == "Bearer t"
        if request.target == "/api/projects?sort=changed&changed_since=2026-03-01T00%3A00%3A00Z":
            document: Any = {"data": [{"id": 5, "changed": "2026-03-02T00:00:00Z"}], "links": {"next": None}}
        elif request.target == "/api/projects/5/tasks":
            document = {"data": [{"id": 50, "title": "Paint"}]}
        else:
            return None
        return Response.of_json(document)

    with FaultFront(None, respond=Api(answer=answer)) as front:
        config = {"url": front.url, "api_token": "t"}
        client = manager.hook.authenticate(config=config)
        projects, tasks = manager.hook.discover(config=config, client=client).streams
        window = Window(lower=datetime(2026, 3, 1, tzinfo=UTC))
        page = manager.hook.extract(
            client=client, config=config, stream=projects, window=window, parent=None, page=None
        )
        child = manager.hook.extract(
            client=client, config=config, stream=tasks, window=Window(), parent=page.records[0], page=None
        )
    assert ids(page.records) == [5]
    assert child.records == [{"id": 50, "title": "Paint"}]
    assert (projects.replication, tasks.replication, tasks.parent) == ("incremental", "incremental", "projects")
    (described,) = manager.hook.describe()
    assert (described.kind, described.name, [s.name for s in described.streams]) == (
        "source",
        "tracker",
        ["projects", "tasks"],
    )


def test_the_escape_hatches() -> None:
    def fetch(client: Any, config: Any, stream: Stream, window: Any, parent: Any, page: Any) -> Page:
        client.memory.append(stream.name)
        return Page(records=[{"id": config["start"]}], next=None if page else "again")

    def refine(client: Any, config: Any, streams: tuple[RestStream, ...]) -> list[RestStream]:
        found = client.get("/things").document()["total_entries"]
        return [*streams, things(name=f"things_{found}")]

    source = shop(
        RestStream(name="made_up", schema=SCHEMA, fetch=fetch),
        refine=refine,
        memory=list,
        headers=lambda config: {"User-Agent": f"shop/{config['start']}"},
    )
    with FaultFront(None, respond=Api()) as front:
        config = {"url": front.url, "start": 3, **dict.fromkeys(("key", "secret", "token", "token_secret"), "x")}
        client = source.authenticate(config)
        catalog = source.discover(config, client)
        assert [stream.name for stream in catalog.streams] == ["made_up", "things_7"]
        assert (catalog.requests, catalog.rate) == (1, RateLimit(limit=60, remaining=41, reset=17.0))
        made_up, found = catalog.streams
        first = source.extract(client, config, made_up, Window(), None, None)
        second = source.extract(client, config, made_up, Window(), None, first.next)
        assert (first.next, second.next, client.memory) == ("again", None, ["made_up", "made_up"])
        assert ids(list(source.extract(client, config, found, Window(), None, None).records)) == [1, 2, 3]
        assert front.requests[0].header("User-Agent") == "shop/3"


def test_the_settings_follow_from_the_declaration() -> None:
    streams = (
        things(path="/teams/{config.team}/things", params={"view": "{config.view}"}),
        things(name="parts", parent="things", path="/things/{parent.id}/parts"),
    )
    source = RestSource(name="shop", base_url="{url}/api", auth=Basic(), streams=streams)
    text, secret = {"type": "string"}, {"type": "string", "writeOnly": True}
    assert source.describe().config_schema == {
        "type": "object",
        "properties": {"url": text, "team": text, "view": text, "user": secret, "password": secret},
        "required": ["url", "team", "view", "user", "password"],
        "additionalProperties": False,
    }
    token = ClientCredentials(token_url="{login}/token")
    told = RestSource(name="shop", base_url="https://acme.example.test", auth=token, streams=streams[:0])
    assert told.describe().config_schema["required"] == ["login", "client_id", "client_secret"]
    assert shop().describe().config_schema == CONFIG_SCHEMA


def test_fields_are_a_schema_in_short() -> None:
    inner = fields(city="string")
    assert fields(id="integer", price="number", paid="boolean", at="date-time", day="date", address=inner) == {
        "type": "object",
        "properties": {
            "id": {"type": "integer"},
            "price": {"type": "number"},
            "paid": {"type": "boolean"},
            "at": {"type": "string", "format": "date-time"},
            "day": {"type": "string", "format": "date"},
            "address": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
    }
    with pytest.raises(ValueError, match="property 'id': 'int' is no type; there are string, integer"):
        fields(id="int")


def test_children_come_right_after_their_parents() -> None:
    source = shop(things(name="b", parent="a"), things(name="c"), things(name="a"))
    assert [stream.name for stream in source.describe().streams] == ["c", "a", "b"]


def test_a_base_url_that_is_no_address_is_a_configuration_error() -> None:
    with FaultFront(None) as front, pytest.raises(ConfigError, match="base_url"):
        reader(front, url="http://acme.example.test")


def test_everything_public_is_exported() -> None:
    assert sorted(connector_core.rest.__all__) == connector_core.rest.__all__
    for name in connector_core.rest.__all__:
        assert getattr(connector_core.rest, name).__doc__


def test_paginators_have_tokens_that_people_can_read() -> None:
    assert str(NextLink().first(Window())) == "first"
    assert str(PageNumber().first(Window())) == "1"
    assert str(Cursor(path="next").first(Window())) == "first"


def test_a_stream_that_is_asked_for_in_another_form_is_read_in_that_form() -> None:
    """`Client.list` takes any stream, also one with the name of another that keeps more of a record."""
    with FaultFront(None, respond=lambda _: Response(body=b'[{"id":1,"name":"x"}]')) as front:
        less = things(records="", total=None, paginator=None, discard=frozenset({"name"}))
        made = reader(front, shop(less))
        for discard, names in ((less.discard, ["id"]), (frozenset(), ["id", "name"])):
            asked = replace(less, discard=discard)
            for _ in range(2):  # the second page looks like the first: it is read by columns
                page = made.client.list(asked, Window(), None, None)
            assert isinstance(page.records, Entries)
            assert page.records.names == names
