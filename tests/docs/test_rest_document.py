"""docs/rest-source.md: every example runs through the engine against a small API, and keeps the contract of sources."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote_plus, urlsplit

import pytest

import connector_core.rest
from connector_core.rest import Auth, Bearer, RestSource, RestStream
from connector_core.run_report import RunReport
from connector_core.testing import SourceContract, hostile_names
from connector_core.testing.faults import Fault, FaultFront, Request, Response
from connector_core.testing.json_api import JsonApi
from tests.docs.blocks import ROOT, block, blocks
from tests.support.engine import Shop
from tests.support.trees import distribution

PAGE = ROOT / "docs" / "rest-source.md"
TOML = """
[destinations.warehouse]
type = "duckdb"
path = "warehouse.duckdb"

[connectors.shop]
source = "example"
destination = "warehouse"
start_date = 2026-03-01
[connectors.shop.config]
"""
SECRETS = {
    name: f"canary-{name}"
    for name in ("key", "secret", "token", "token_secret", "user", "password", "api_key", "client_id", "client_secret")
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Examples:
    """What the document declares: streams of no source, sources, ways to authenticate; by name."""

    streams: Mapping[str, RestStream]
    sources: Mapping[str, RestSource]
    auths: Mapping[str, Auth]


def examples() -> Examples:
    names: dict[str, Any] = {}
    sources: dict[str, RestSource] = {}
    for one in blocks(PAGE, "python"):
        names.pop("source", None)
        exec(compile(one.text, PAGE.name, "exec"), names)  # noqa: S102 - the document's own text
        if "source" in names:
            sources[names["source"].name] = names["source"]
    taken = {stream.name for source in sources.values() for stream in source.streams}
    streams = {one.name: one for one in names.values() if isinstance(one, RestStream) and one.name not in taken}
    auths = {name: one for name, one in names.items() if isinstance(one, Auth) and not isinstance(one, type)}
    return Examples(streams=streams, sources=sources, auths=auths)


EXAMPLES = examples()
TOGETHER = RestSource(
    name="example",
    base_url="{url}",
    auth=Bearer("token"),
    streams=tuple(  # the upper bound is known when `bounded` is asked for
        dataclasses.replace(stream, after=("full",)) if name == "bounded" else stream
        for name, stream in EXAMPLES.streams.items()
        if name != "capped"
    ),
)


# --- the API


def things(first: int = 1, last: int = 5, **more: Any) -> list[dict[str, Any]]:
    return [{"id": number, "name": f"n{number}", **more} for number in range(first, last + 1)]


CHANGED = [{**one, "updated_at": f"2026-03-0{one['id']}T10:00:00Z"} for one in things()]


def query(request: Request) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(request.target).query).items()}


def paged(request: Request, records: list[Any], *, param: str = "page", start: int = 1) -> dict[str, Any]:
    """Two records a page."""
    number = int(query(request).get(param, start)) - start
    more = (number + 1) * 2 < len(records)
    meta = {"pages": (len(records) + 1) // 2}
    return {"data": records[number * 2 : number * 2 + 2], "has_more": more, "meta": meta, "total": len(records)}


def next_link(request: Request) -> Any:
    document = paged(request, things())
    following = f"/next_link?page={int(query(request).get('page', '1')) + 1}"
    return {**document, "links": {"next": following if document["has_more"] else None}}


def link_header(request: Request) -> Response:
    document = next_link(request)
    link = document["links"]["next"]
    header = {"Link": f'<{link.replace("next_link", "link_header")}>; rel="next"'} if link else {}
    return Response.of_json({"data": document["data"]}, headers=header)


def offset(request: Request) -> Any:
    first = int(query(request).get("offset", "0"))
    return {"data": things()[first : first + 2], "has_more": first + 2 < 5}


def cursor(request: Request) -> Any:
    first = int(query(request).get("after", "c0")[1:])
    return {"data": things()[first : first + 2], "meta": {"next": f"c{first + 2}" if first + 2 < 5 else None}}


def keyset(request: Request) -> Any:
    above = int(query(request).get("since_id", "0"))
    return {"data": [one for one in things() if one["id"] > above][:2]}


def since(param: str, read: Callable[[str], str] = str) -> Callable[[Request], list[dict[str, Any]]]:
    """What has changed from the parameter's instant on, in ascending order."""

    def served(request: Request) -> list[dict[str, Any]]:
        asked = query(request)
        return [one for one in CHANGED if param not in asked or one["updated_at"] >= read(asked[param])]

    return served


def whole(param: str, read: Callable[[str], str] = str) -> Callable[[Request], Any]:
    """That as one page."""
    return lambda request: {"data": since(param, read)(request)}


def in_pages(param: str, *, newest_first: bool = False) -> Callable[[Request], Any]:
    def served(request: Request) -> Any:
        records = since(param)(request)
        document = paged(request, records[::-1] if newest_first else records)
        return {**document, "next": document["has_more"] or None}

    return served


def from_epoch(text: str) -> str:
    return datetime.fromtimestamp(int(text), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def from_filter(text: str) -> str:
    day = text.partition(">=")[2]
    return f"{day[6:]}-{day[3:5]}-{day[:2]}"


ROUTES: Mapping[str, Any] = {
    "/next_link": next_link,
    "/link_header": link_header,
    "/numbered": lambda request: paged(request, things()),
    "/counted": lambda request: paged(request, things(), param="p"),
    "/plain": lambda request: paged(request, things(), start=0),
    "/offset": offset,
    "/cursor": cursor,
    "/keyset": keyset,
    "/events": keyset,
    "/sized": lambda request: paged(request, things()),
    "/iso": whole("updated_since"),
    "/epoch": whole("from", from_epoch),
    "/exclusive": lambda request: {
        "data": [one for one in CHANGED if one["updated_at"] > query(request).get("updated_after", "")]
    },
    "/written": whole("q", from_filter),
    "/late": whole("since"),
    "/newest_first": in_pages("since", newest_first=True),
    "/bounded": in_pages("from"),
    "/full": {"data": things()},
    "/walked": in_pages("since"),
    "/capped": lambda request: paged(request, things()),
    "/teams/{team}/orders": lambda request, team: {
        "data": [{**one, "name": "empty" if one["id"] == 2 else team} for one in since("since")(request)]
    },
    "/orders/{order}/items": lambda request, order: {"data": [{"id": int(order) * 10, "name": "item"}]},
    "/filtered": whole("filter", lambda text: text.partition("'")[2].rstrip("'")),
    "/shaped": [{"items": [{"id": one["id"], "attributes": {"name": one["name"]}} for one in things()]}],
    "/fetched/ids": [1, 2],
    "/fetched/{number}": lambda request, number: things(int(number), int(number))[0],
    "/v1/countries": {"data": things()},
    "/contacts": {"data": things(custom={"size": "7"})},
    "/custom_fields": [{"key": "size", "type": "string"}, {"key": "rank", "type": "integer"}],
    "/told": lambda request: Response.of_json(
        {"data": things()}, headers={"X-Limit": "1000", "X-Left": "990", "X-Reset": "30"}
    ),
    "/documented": {"data": things()},
    "/moody": {"data": things()},
    "/oauth/token": lambda request: {"access_token": "canary-granted", "expires_in": 60},
}


class Served(JsonApi):
    """The API; it remembers what each path was asked."""

    def __init__(self) -> None:
        super().__init__(ROUTES, headers={"Date": "Tue, 10 Mar 2026 00:00:00 GMT"})

    def asked(self, path: str, start: int, end: int) -> list[str]:
        """The queries that a path was asked with in the requests from `start` to `end`."""
        found = (urlsplit(one.target) for one in self.requests[start:end])
        return [unquote_plus(one.query) for one in found if one.path == path]


@pytest.fixture(scope="module")
def api() -> Iterator[Served]:
    with Served() as api:
        yield api


# --- the engine


class Declared(Shop):
    """A project whose source is a declared one."""

    def __init__(self, folder: Path, source: RestSource, url: str) -> None:
        self.address, self.source = url, source
        super().__init__(folder, {})

    def write(self, settings: str) -> None:
        """Write connectors.toml with what the source's settings ask for."""
        given = {"url": self.address, "team": "red", **SECRETS}
        wanted = self.source.config_schema["properties"]
        lines = [f'{name} = "{value}"' for name, value in given.items() if name in wanted]
        path = self.folder / "connectors.toml"
        path.write_text(TOML + "\n".join(lines) + "\n")
        path.chmod(0o600)
        self._config = None

    def ids(self, table: str) -> list[int]:
        """The keys of a table's rows."""
        return sorted(row["id"] for row in self.rows(table))


Run = Callable[..., tuple[Declared, RunReport]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, api: Served) -> Iterator[Run]:
    """Runs a source once into a new DuckDB file."""
    tree = distribution(
        tmp_path_factory.mktemp("site"),
        "connector-example",
        sources={"example": "docs_example:source"},
        modules={"docs_example": "source = None\n"},
    )
    sys.path.insert(0, str(tree))
    import docs_example  # type: ignore[import-not-found]  # made above

    def go(source: RestSource, *, code: int = 0, url: str = "") -> tuple[Declared, RunReport]:
        docs_example.source = dataclasses.replace(source, name="example")
        project = Declared(tmp_path_factory.mktemp("run"), source, url or api.url)
        return project, project.go(code=code)

    yield go
    sys.path.remove(str(tree))
    del sys.modules["docs_example"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ran:
    """The streams of the document after two runs: their tables, and what each path was asked in each run."""

    project: Declared
    first: RunReport
    second: RunReport
    start: int
    between: int
    end: int


@pytest.fixture(scope="module")
def ran(run: Run, api: Served) -> Ran:
    start = len(api.requests)
    project, first = run(TOGETHER)
    between = len(api.requests)
    second = project.go()
    return Ran(project=project, first=first, second=second, start=start, between=between, end=len(api.requests))


PAGES = [f"page={number}" for number in (1, 2, 3)]
PAST = [*PAGES, "page=4"]
"""With the empty page that ends the list."""
ASKED: Mapping[str, tuple[str, list[str], list[str] | None]] = {
    "next_link": ("/next_link", ["", *PAGES[1:]], None),
    "link_header": ("/link_header", ["", *PAGES[1:]], None),
    "numbered": ("/numbered", PAGES, None),
    "counted": ("/counted", ["p=1", "p=2", "p=3"], None),
    "plain": ("/plain", ["page=0", "page=1", "page=2", "page=3"], None),
    "offset": ("/offset", ["offset=0", "offset=2", "offset=4"], None),
    "cursor": ("/cursor", ["", "after=c2", "after=c4"], None),
    "keyset": ("/keyset", ["", "since_id=2", "since_id=4", "since_id=5"], None),
    "sized": ("/sized", [f"{page}&limit=2" for page in PAST], None),
    "iso": ("/iso", ["updated_since=2026-03-01T00:00:00Z"], ["updated_since=2026-03-05T10:00:00Z"]),
    "epoch": ("/epoch", ["from=1772323200"], ["from=1772704800"]),
    "exclusive": ("/exclusive", ["updated_after=2026-02-28T23:59:59Z"], ["updated_after=2026-03-05T09:59:59Z"]),
    "written": ("/written", ["q=updated>=01.03.2026"], ["q=updated>=05.03.2026"]),
    "events": ("/events", ["", "since_id=2", "since_id=4", "since_id=5"], ["since_id=4", "since_id=5"]),
    "late": ("/late", ["since=2026-03-01T00:00:00Z"], ["since=2026-03-03T10:00:00Z"]),
    "newest_first": (
        "/newest_first",
        [f"since=2026-03-01T00:00:00Z&{page}" for page in PAST],
        [f"since=2026-03-05T10:00:00Z&{page}" for page in PAGES[:2]],
    ),
    "bounded": (
        "/bounded",
        [f"from=2026-03-01T00:00:00Z&to=2026-03-10T00:00:00Z&{page}" for page in PAST],
        [f"from=2026-03-05T10:00:00Z&to=2026-03-10T00:00:00Z&{page}" for page in PAGES[:2]],
    ),
    "full": ("/full", [""], None),
    "walked": (
        "/walked",
        [
            f"sort=updated_at&since={since}&page=1"
            for since in ("2026-02-28T23:59:59Z", *(f"2026-03-0{day}T09:59:59Z" for day in (2, 3, 4)))
        ],
        ["sort=updated_at&since=2026-03-05T09:59:59Z&page=1"],
    ),
    "orders": ("/teams/red/orders", ["since=2026-03-01T00:00:00Z"], ["since=2026-03-05T10:00:00Z"]),
    "items": ("/orders/3/items", [""], []),
    "filtered": (
        "/filtered",
        ["filter=updated_at ge '2026-03-01'&order=updated_at"],
        ["filter=updated_at ge '2026-03-05'&order=updated_at"],
    ),
    "shaped": ("/shaped", [""], None),
    "fetched": ("/fetched/2", [""], None),
}
"""By stream: what a path is asked in a first run, and in a second one (None: the same)."""
IDS = {"items": [10, 30, 40, 50], "fetched": [1, 2]}


@pytest.mark.parametrize("name", [stream.name for stream in TOGETHER.streams])
def test_every_stream_of_the_document_runs(ran: Ran, api: Served, name: str) -> None:
    path, first, second = ASKED[name]
    assert api.asked(path, ran.start, ran.between) == first
    assert api.asked(path, ran.between, ran.end) == (first if second is None else second)
    assert ran.project.ids(name) == IDS.get(name, [1, 2, 3, 4, 5])
    assert ran.second.counts[name].loaded == 0


def test_children_are_asked_for_where_there_may_be_some(api: Served, ran: Ran) -> None:
    assert [api.asked(f"/orders/{order}/items", ran.start, ran.between) for order in (1, 2, 3)] == [[""], [], [""]]


def test_a_list_that_goes_on_at_its_cap_is_an_error(run: Run) -> None:
    project, report = run(dataclasses.replace(TOGETHER, streams=(EXAMPLES.streams["capped"],)), code=4)
    assert "[page_cap]" in str(report.error)
    assert project.tables() - {"_sdc_staging"} == set()  # a part of a full table is not shown


@pytest.mark.parametrize("name", EXAMPLES.sources)
def test_every_source_of_the_document_runs(run: Run, api: Served, name: str) -> None:
    moods = [Response.of_json({}, status=403), Response.of_json({"error": {"try_again": True}})]
    api.routes["/moody"] = lambda request: moods.pop(0) if moods else ROUTES["/moody"]
    before = len(api.requests)
    project, report = run(EXAMPLES.sources[name])
    (table,) = report.counts
    assert project.ids(table) == [1, 2, 3, 4, 5]
    calls = {"crm": 2, "moody": 3}.get(name, 1)
    assert (len(api.requests) - before, report.calls) == (calls, calls)
    if name == "crm":
        columns = project.rows("contacts")[0]
        assert (columns["custom__size"], columns["custom__rank"]) == ("7", None)


PROOFS: Mapping[str, Callable[[Request], object]] = {
    "oauth1": lambda request: 'oauth_consumer_key="canary-key"' in (request.header("Authorization") or ""),
    "basic": lambda request: request.header("Authorization") == "Basic Y2FuYXJ5LXVzZXI6Y2FuYXJ5LXBhc3N3b3Jk",
    "bearer": lambda request: request.header("Authorization") == "Bearer canary-token",
    "header": lambda request: request.header("X-Api-Key") == "canary-api_key",
    "query": lambda request: request.target == "/full?api_key=canary-api_key",
    "client": lambda request: request.header("Authorization") == "Bearer canary-granted",
}


@pytest.mark.parametrize("name", EXAMPLES.auths)
def test_every_way_to_authenticate_of_the_document_runs(run: Run, api: Served, name: str) -> None:
    project, _ = run(ALL[name])
    assert project.ids("full") == [1, 2, 3, 4, 5]
    assert PROOFS[name](api.requests[-1])


def test_the_document_has_an_example_of_each_part() -> None:
    text = "".join(one.text for one in blocks(PAGE, "python"))
    own = {"Answer", "Asking", "Auth", "Client", "Limits", "Paginator", "site"}  # what these parts are made of
    assert {name for name in connector_core.rest.__all__ if f"{name}(" not in text} == own


def test_hard_values_and_hostile_names_lose_no_record(run: Run, api: Served) -> None:
    """The example of docs/testing-sources.md."""
    names: dict[str, Any] = {}
    exec(block(ROOT / "docs" / "testing-sources.md", "python", "hard_values("), names)  # noqa: S102 - the document's own
    counts = []
    orders = dataclasses.replace(EXAMPLES.streams["full"], name="orders")
    api.routes["/orders"] = ROUTES["/full"]
    source = dataclasses.replace(TOGETHER, streams=(dataclasses.replace(orders, path="/orders"),))

    def through(url: str) -> RunReport:
        _, report = run(source, url=url)
        counts.append(report.counts["orders"])
        return report

    with contextlib.ExitStack() as started:
        start = lambda *given: started.enter_context(FaultFront(*given))  # noqa: E731 - the fixture `fault_front`
        names["test_odd_orders_are_stored_or_rejected"](start, api.url, through)
    assert counts[0].rejected == counts[0].extracted == 5  # half a surrogate cannot be stored
    with FaultFront(api.url, [Fault(action=hostile_names("data"), times=None)]) as front:
        through(front.url)
    assert counts[1].loaded == 5


def signed(auth: Auth) -> RestSource:
    """A source of one stream that is asked so."""
    return RestSource(name="example", base_url="{url}", auth=auth, streams=(EXAMPLES.streams["full"],))


ALL = {**EXAMPLES.sources, **{name: signed(auth) for name, auth in EXAMPLES.auths.items()}}


class TestSources(SourceContract):
    """Each source of the document, and one for each way to authenticate."""

    refused = 400  # 403 passes at `moody`

    @pytest.fixture(params=ALL)
    def source(self, request: pytest.FixtureRequest) -> RestSource:
        return ALL[request.param]

    @pytest.fixture
    def api(self, api: Served) -> str:
        return api.url

    @pytest.fixture
    def config(self, source: RestSource, url: str) -> dict[str, str]:
        given = {"url": url, **SECRETS}
        return {name: given[name] for name in source.config_schema["properties"]}


class TestContract(SourceContract):
    """The streams of the document, as one source."""

    parents = 1
    coarse = timedelta(days=1)  # of `written` and `filtered`
    entries: Mapping[str, str] = dict.fromkeys(ASKED, "data")
    composed = ("fetched", "shaped")

    @pytest.fixture
    def source(self) -> RestSource:
        return TOGETHER

    @pytest.fixture
    def api(self, api: Served) -> str:
        return api.url

    @pytest.fixture
    def config(self, url: str) -> dict[str, str]:
        return {"url": url, "team": "red", "token": SECRETS["token"]}
