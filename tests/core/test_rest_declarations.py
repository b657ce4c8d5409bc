"""A declaration that cannot work is one clear error where it is written, at import: what, where, and what to do."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from connector_core.rest import (
    Basic,
    Bearer,
    ClientCredentials,
    Cursor,
    HeaderKey,
    Keyset,
    LinkHeader,
    NextLink,
    OAuth1,
    Offset,
    PageNumber,
    QueryKey,
    RateFigure,
    RateHeaders,
    RestStream,
    Retry,
    Since,
    Until,
    Walk,
    fields,
)
from tests.support.shop_api import CONFIG_SCHEMA, shop, things

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"name": ""}, "the name must be text"),
    ({"schema": {"type": "object"}}, "the schema must be a JSON Schema of an object, with properties"),
    ({"primary_key": "id"}, "primary_key must be a tuple: ('id',)"),
    ({"primary_key": ("code",)}, "primary_key names 'code', which the schema does not have"),
    ({"replication_key": "changed"}, "replication_key is 'changed', which the schema does not have"),
    ({"replication_key": "updated_at", "replication": "full_table"}, "a full-table stream has no replication_key"),
    ({"discard": frozenset({"id"})}, "discard names the key 'id'"),
    ({"path": ""}, "it needs a path, or a fetch function"),
    ({"path": "/{id}"}, "path has {id}; only {parent.property} and {config.setting} exist"),
    ({"path": "/{parent.id}"}, "path has {parent.id}, but the stream has no parent"),
    ({"path": "/{parent"}, "path is no template"),
    ({"params": {"x": "{page}"}}, "params['x'] has {page}"),
    ({"per_page": 0}, "per_page must be at least 1"),
    ({"per_page": True}, "per_page must be at least 1"),
    ({"after": "others"}, "after must be a tuple: ('others',)"),
    ({"replication": "hourly"}, "replication is 'hourly'; it is incremental or full_table"),
    ({"replication": "incremental"}, "an incremental stream needs a replication_key"),
    ({"since": Since("from")}, "since needs a replication_key: a stream without one is read whole"),
    ({"lookback": timedelta(-1)}, "overlap and lookback cannot be negative"),
    ({"overlap": timedelta(-1)}, "overlap and lookback cannot be negative"),
    ({"replication_key": "name"}, "the replication key 'name' must be declared as an integer or with format date-time"),
    (
        {"schema": fields(id="boolean")},
        "the primary key 'id' must be declared as text, an integer, a date or an instant",
    ),
    ({"schema": {"properties": {"id": {"type": "integr"}}}}, "not a JSON Schema, at /properties/id/type"),
    ({"primary_key": (), "lookback": timedelta(days=1)}, "lookback needs a primary_key"),
    ({"paginator": Walk()}, "the window walk needs a primary_key and a replication_key"),
    ({"paginator": Walk(), "replication_key": "updated_at"}, "the window walk needs since=Since(...)"),
    (
        {"paginator": Walk(), "replication_key": "updated_at", "since": Since("from")},
        "the window walk needs an overlap of at least its step",
    ),
]


@pytest.mark.parametrize(("changes", "problem"), WRONG)
def test_a_wrong_stream_fails_where_it_is_declared(changes: dict[str, Any], problem: str) -> None:
    name = changes.get("name", "things")
    with pytest.raises(ValueError, match=re.escape(f"stream {name!r}: {problem}")):
        things(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"paginator": "next"},
        {"paginator": NextLink},
        {"records": 7},
        {"total": 7},
        {"record": "name"},
        {"fetch": 7},
        {"when": None},
        {"since": "from"},
        {"until": "to"},
        {"request": {"sort": "asc"}},
        {"overlap": 1},
        {"lookback": 3600},
    ],
)
def test_a_stream_with_a_wrong_type_fails_where_it_is_declared(changes: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="stream 'things': "):
        things(**changes)


@pytest.mark.parametrize(
    ("streams", "problem"),
    [
        ([things(), things()], "stream 'things' is declared twice"),
        ([things(name="parts", parent="things")], "stream 'parts': its parent 'things' is not declared"),
        (
            [things(), things(name="a", parent="things"), things(name="b", parent="a")],
            "its parent 'a' is a child itself",
        ),
        ([things(after=("nothing",))], "stream 'things': after names 'nothing'"),
        ([things(after=("things",))], "stream 'things': after names 'things'"),
    ],
)
def test_streams_that_do_not_fit_together_fail_where_they_are_declared(streams: list[RestStream], problem: str) -> None:
    with pytest.raises(ValueError, match=re.escape(problem)):
        shop(*streams)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"auth": "secret"}, "'secret' is no way to authenticate"),
        ({"auth": Bearer}, "is no way to authenticate"),
        ({"base_url": None}, "base_url must be text or a function"),
        ({"retry": {403}}, "retry must be a Retry(...)"),
        ({"rate_limit": 60}, "rate_limit must be RateHeaders(...), RateFigure(...) or a function"),
        ({"rate_limit": RateHeaders}, "rate_limit must be RateHeaders(...), RateFigure(...) or a function"),
        ({"headers": "Accept: text/csv"}, "headers must be a Mapping or a function"),
        ({"limits": 60}, "limits must be a Limits or a function"),
        ({"private_network": "yes"}, "private_network must be a bool or a function"),
        ({"refine": ["cases"]}, "refine is list; it must be a function"),
        ({"memory": {}}, "memory is dict; it must be a function"),
        ({"streams": ("orders",)}, "streams holds 'orders'; it must be a RestStream(...)"),
    ],
)
def test_a_source_with_a_wrong_type_fails_where_it_is_declared(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(TypeError, match=re.escape(problem)) as caught:
        shop(**changes)
    assert str(caught.value).startswith("source 'shop': ")


TOKENS = {"client_id": "key", "client_secret": "secret"}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"name": ""}, "a source needs a name"),
        ({"base_url": ""}, "source 'shop': base_url is empty"),
        ({"base_url": "{url"}, "source 'shop': base_url is no template"),
        ({"base_url": "{0}/api"}, "source 'shop': base_url has {0}; a setting's name is expected, as in {url}"),
        ({"base_url": "http://api.example.com"}, "source 'shop': base_url cannot be used: http would send"),
        ({"base_url": "https://api.example.com?v=1"}, "base_url cannot be used: the address must not carry a query"),
        ({"base_url": "{site}/api"}, "source 'shop': the setting 'site' is used, but config_schema does not have it"),
        (
            {"auth": Bearer("api_token")},
            "source 'shop': the setting 'api_token' is used, but config_schema does not have it",
        ),
        (
            {"auth": ClientCredentials(token_url="http://a.example.com", **TOKENS)},
            "source 'shop': token_url cannot be used: http would send",
        ),
    ],
)
def test_a_source_that_cannot_work_fails_where_it_is_declared(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=re.escape(problem)):
        shop(**{"config_schema": CONFIG_SCHEMA, **changes})


@pytest.mark.parametrize(
    ("declare", "problem"),
    [
        (lambda: NextLink(""), "NextLink: path is ''; it must be text"),
        (lambda: LinkHeader(rel=""), "LinkHeader: rel is ''; it must be text"),
        (lambda: PageNumber(param=""), "PageNumber: param is ''; it must be text"),
        (lambda: PageNumber(more="more", pages="pages"), "PageNumber: more and pages both say where the list ends"),
        (lambda: PageNumber(most=0), "PageNumber: most is 0, which lies before the first page, 1"),
        (lambda: Offset(param=""), "Offset: param is ''; it must be text"),
        (lambda: Offset(start=-1), "Offset: start is -1; it cannot be negative"),
        (lambda: Cursor(path=""), "Cursor: path is ''; it must be text"),
        (lambda: Cursor(path="next", param=""), "Cursor: param is ''; it must be text"),
        (lambda: Keyset(key=""), "Keyset: key is ''; it must be text"),
        (lambda: Keyset(param=""), "Keyset: param is ''; it must be text"),
        (lambda: Walk(param=""), "Walk: it needs the names of the page's parameter and of the next link"),
        (lambda: Walk(step=timedelta(0)), "Walk: step must be above 0"),
        (lambda: Since(""), "Since: it needs the name of a parameter, not ''"),
        (lambda: Since("from", form="unix"), "Since('from'): form is 'unix'; it is one of epoch, epoch_ms, iso, date"),  # type: ignore[arg-type]
        (lambda: Since("from", step=timedelta(0)), "Since('from'): step is 0:00:00; it must be above 0"),
        (lambda: Until("", form="iso"), "Until: it needs the name of a parameter, not ''"),
        (lambda: Until("to", form="unix"), "Until('to'): form is 'unix'"),  # type: ignore[arg-type]
        (
            lambda: Bearer("s3cret-t0ken"),
            "Bearer: token must be the name of a setting (letters, digits, _), not the credential",
        ),
        (lambda: Basic(user=""), "Basic: user must be the name of a setting"),
        (lambda: OAuth1(key="a b"), "OAuth1: key must be the name of a setting"),
        (lambda: HeaderKey(name="X Key"), "HeaderKey: 'X Key' cannot be the name of a header"),
        (lambda: HeaderKey(name="X-Key", key=""), "HeaderKey: key must be the name of a setting"),
        (lambda: QueryKey(name=""), "QueryKey: it needs the name of a parameter"),
        (lambda: QueryKey(name="k", key="1"), "QueryKey: key must be the name of a setting"),
        (
            lambda: ClientCredentials(token_url="{url}", client_id="a-b"),
            "ClientCredentials: client_id must be the name of a setting",
        ),
        (lambda: RateFigure(calls=0), "RateFigure: calls is 0; it must be a whole number of at least 1"),
        (lambda: RateFigure(calls=1, seconds=0), "RateFigure: seconds is 0; it must be above 0"),
        (lambda: Retry(), "Retry: it needs statuses or a body"),
        (lambda: Retry(statuses={401}), "Retry: status 401 cannot be repeated: 401 means that the credentials are"),
        (lambda: Retry(statuses={200}), "Retry: status 200 cannot be repeated: it is no error"),
        (lambda: Retry(statuses={403}, after=-1), "Retry: after is -1; it must be seconds"),
    ],
)
def test_a_part_that_cannot_work_fails_where_it_is_declared(declare: Callable[[], object], problem: str) -> None:
    with pytest.raises(ValueError, match=re.escape(problem)):
        declare()


def test_h5_a_credential_in_place_of_a_setting_is_not_shown() -> None:
    with pytest.raises(ValueError, match="Bearer: token") as caught:
        Bearer("s3cret-t0ken")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("given", [{"statuses": 403}, {"statuses": {"403"}}, {"body": 7}])
def test_a_retry_of_a_wrong_type_fails_where_it_is_declared(given: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="Retry: "):
        Retry(**given)
