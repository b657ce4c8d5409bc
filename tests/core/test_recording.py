"""Answers of a real API are kept without its secrets, and a source keeps its contract by them, without the API."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from connector_core.rest import (
    Auth,
    Basic,
    Bearer,
    ClientCredentials,
    Cursor,
    NextLink,
    OAuth1,
    QueryKey,
    RestSource,
    RestStream,
    Since,
    fields,
)
from connector_core.streams import Window
from connector_core.testing.faults import Request, Response
from connector_core.testing.json_api import JsonApi, Pages
from connector_core.testing.recording import SITE, Playback, Recorder, Recording, RecordingError
from tests.support.shop_api import Reader, reader

CANARY = "canary-7f3a9c41d2"
"""A part of every secret and personal value that the API tells; it must be in no file."""


class Shop(JsonApi):
    """A shop whose answers are full of what nobody may read."""

    def __init__(self) -> None:
        routes = {
            "/api/customers": self.customers,
            "/api/customers/{name}/orders": self.orders,
            "/api/token": lambda request: {"access_token": f"{CANARY}-granted", "expires_in": 3600},
            "/api/raw": self.raw,
        }
        super().__init__(routes, headers={"Set-Cookie": f"session={CANARY}-cookie", "X-Request-Id": CANARY})

    def customers(self, request: Request) -> Any:
        (since,) = parse_qs(urlsplit(request.target).query).get("since", [""])
        records = [
            {
                "id": number,
                "login": f"{CANARY}/user {number}",
                "phone": 5550000 + number,
                "born": "1980-02-03",
                "address": {"street": f"{CANARY} lane", "rooms": [number, None]},
                "password_hash": f"{CANARY}-hash-{number}",
                "photo": f"https://files.example.test/{number}?X-Signature={CANARY}%2Bsigned&size=2",
                "note": f"ask {CANARY}/user {number}, Bearer {CANARY}.in.text",
                "amount": 1.10,
                "updated_at": f"2026-03-0{number}T10:00:00Z",
            }
            for number in range(1, 6)
        ]
        found = [record for record in records if str(record["updated_at"]) >= since]
        document = Pages(records=found, size=2).document(request)
        link = document["next"]
        return {**document, "next": link and f"{self.url}{link}"}  # absolute, as many APIs have it

    def orders(self, request: Request, name: str) -> Any:
        number = int(name.removeprefix(f"{CANARY}/user "))
        query = parse_qs(urlsplit(request.target).query)
        token = f"{CANARY}+page/{number}=="
        if "page_token" in query and query["page_token"] != [token]:
            return Response.of_json({"message": f"wrong token {query['page_token']}"}, status=400)
        first = "page_token" not in query
        order = number * 10 + (1 if first else 2)
        return {"data": [{"id": order}], "meta": {"next_token": token if first else None}}

    def raw(self, request: Request) -> Response:
        return Response(headers=(("Content-Type", "text/plain"),), body=f"api_key is {CANARY}".encode())


CUSTOMERS = RestStream(
    name="customers",
    path="/customers",
    records="data",
    schema=fields(id="integer", login="string", updated_at="date-time"),
    primary_key=("id",),
    replication_key="updated_at",
    since=Since("since"),
    paginator=NextLink("next"),
)
ORDERS = RestStream(
    name="orders",
    parent="customers",
    path="/customers/{parent.login}/orders",
    records="data",
    schema=fields(id="integer"),
    primary_key=("id",),
    paginator=Cursor(path="meta.next_token", param="page_token"),
)
SHOP = RestSource(name="shop", base_url="{url}/api", auth=Bearer("token"), streams=(CUSTOMERS, ORDERS))
CONFIG = {name: f"{CANARY}-{name}" for name in ("token", "user", "password", "key", "secret", "token_secret")}


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    with Shop() as api:
        yield api


@pytest.fixture
def kept(shop: Shop, tmp_path: Path) -> Recording:
    return Recording(folder=tmp_path / "kept", site=shop.url, personal={"login", "phone", "born", "address"})


def read(server: Any, source: RestSource, **config: str) -> dict[str, list[Any]]:
    """Every record of a first run, by stream."""
    run: Reader = reader(server, source, **config)
    customers = run.records(stream="customers", window=Window())
    orders = [order for one in customers for order in run.records(stream="orders", parent=one)]
    return {"customers": customers, "orders": orders}


def texts(folder: Path) -> str:
    return "\n".join(path.read_text() for path in sorted(folder.iterdir()))


AUTHS: Mapping[str, Auth] = {
    "bearer": Bearer("token"),
    "basic": Basic(),
    "query": QueryKey(name="api_key"),
    "oauth1": OAuth1(),
    "oauth2": ClientCredentials(token_url="{url}/api/token", client_id="user", client_secret="secret"),
}


@pytest.mark.parametrize("auth", AUTHS.values(), ids=AUTHS)
def test_h5_what_is_recorded_is_played_and_holds_no_secret(kept: Recording, shop: Shop, auth: Auth) -> None:
    source = replace(SHOP, auth=auth, config_schema={})
    with Recorder(kept) as server:
        sign = auth.signer(CONFIG, lambda *_: pytest.fail("asked")).sign if isinstance(auth, OAuth1) else None
        server.know(tuple(CONFIG.values()), sign)
        asked = len(shop.requests)
        seen = read(server, source, **CONFIG)
        assert read(server, source, **CONFIG) == seen
        real = shop.requests[asked:]
    assert len({one.target.partition("oauth_")[0] for one in real}) == len(real), "each request reaches the API once"
    if isinstance(auth, Bearer | Basic | ClientCredentials):
        proofs = {one.header("Authorization") for one in real}
        told = f"{CONFIG['user']}:{CONFIG['password']}"
        expected = {
            Bearer: f"Bearer {CONFIG['token']}",
            Basic: f"Basic {base64.b64encode(told.encode()).decode()}",
            ClientCredentials: f"Bearer {CANARY}-granted",
        }
        assert expected[type(auth)] in proofs
    text = texts(kept.folder)
    assert "canary" not in text.lower()
    assert base64.b64encode(CANARY.encode()).decode()[:12] not in text
    assert "5550001" not in text
    assert "1980" not in text
    assert shop.url not in text
    with Playback(kept.folder) as server:
        other = {name: f"other-{name}" for name in CONFIG}
        assert read(server, source, **other) == seen
    assert [len(seen[name]) for name in ("customers", "orders")] == [5, 10]


def test_an_api_may_have_several_origins(kept: Recording, shop: Shop) -> None:
    auth = ClientCredentials(token_url="{login}/token", client_id="user", client_secret="secret")
    source = replace(SHOP, auth=auth, config_schema={})
    granted = {"access_token": f"{CANARY}-granted", "profile": ""}
    with JsonApi({"/token": lambda request: granted}) as login:
        granted["profile"] = f"{login.url}/me"
        with Recorder(replace(kept, others={"/login": login.url})) as server:
            server.know(tuple(CONFIG.values()))
            seen = read(server, source, login=f"{server.url}/login", **CONFIG)
    assert shop.requests[-1].header("Authorization") == f"Bearer {CANARY}-granted"
    assert f"{SITE}/login/me" in texts(kept.folder)
    assert "canary" not in texts(kept.folder)
    with Playback(kept.folder) as server:
        assert read(server, source, login=f"{server.url}/login", **CONFIG) == seen


def test_values_that_are_no_secrets_stay_as_they_were(kept: Recording, shop: Shop) -> None:
    with Recorder(kept) as server:
        server.know(tuple(CONFIG.values()))
        (first, *others) = read(server, SHOP, **CONFIG)["customers"]
    assert first["id"] == 1
    assert str(first["amount"]) == "1.1"
    assert first["updated_at"] == "2026-03-01T10:00:00Z"
    assert first["photo"].startswith("https://files.example.test/1?X-Signature=scrubbed-")
    assert first["photo"].endswith("&size=2")
    assert first["note"].startswith(f"ask {first['login']}, Bearer scrubbed-")
    assert first["born"] == "2000-01-01"
    assert first["address"]["rooms"][1] is None
    assert len({one["login"] for one in (first, *others)}) == 5
    (file,) = [path for path in kept.folder.iterdir() if path.name == "001-api-customers.json"]
    answer = json.loads(file.read_text())["response"]
    assert answer["headers"].keys() == {"Content-Type"}
    assert answer["json"]["next"].startswith(SITE)


def test_h5_a_recording_that_holds_a_known_secret_is_not_written(kept: Recording, shop: Shop) -> None:
    shop.routes["/api/leak"] = {"told": [{base64.b64encode(f"x{CONFIG['token']}".encode()).decode(): 1}]}
    kept.folder.mkdir()
    (kept.folder / "001-before.json").write_text("the recording before")
    server = Recorder(kept).__enter__()
    server.know(tuple(CONFIG.values()))
    leak = RestStream(name="leak", path="/leak", records="told", schema=fields(id="integer"))
    reader(server, replace(SHOP, streams=(leak,)), **CONFIG).records()
    with pytest.raises(RecordingError, match=r"a secret is still in the answer to GET /api/leak; nothing was written"):
        server.__exit__(None, None, None)
    assert texts(kept.folder) == "the recording before"


def test_text_and_bytes_are_kept_as_they_are(kept: Recording, shop: Shop) -> None:
    shop.routes["/api/bytes"] = lambda request: Response(headers=(), body=b"\xff\x00")
    asked = ("/raw", "/bytes")

    def bodies(server: Any) -> list[bytes]:
        client = SHOP.authenticate({"url": server.url, "token": CONFIG["token"]})
        return [client.get(path).body for path in asked]

    with Recorder(kept) as server:
        server.know([CANARY, CONFIG["token"]])
        seen = bodies(server)
    assert seen == [b"api_key is scrubbed-1", b"\xff\x00"]
    with Playback(kept.folder) as server:
        assert bodies(server) == seen


def test_parameters_may_come_in_any_order_and_bodies_tell_requests_apart(kept: Recording, shop: Shop) -> None:
    import requests

    shop.routes["/search"] = lambda request: {"asked": json.loads(request.body)["page"]}
    shop.routes["/list"] = {"data": []}

    def ask(server: Any, *, turned: bool) -> list[Any]:
        found = [
            requests.post(f"{server.url}/search", json={"q": 1, "page": page}, timeout=5).json()["asked"]
            for page in (1, 2)
        ]
        query = "?b=2&a=1&at=2" if turned else "?a=1&b=2&at=1"
        return [*found, requests.get(f"{server.url}/list{query}", timeout=5).status_code]

    with Recorder(replace(kept, ignored={"at"})) as server:
        assert ask(server, turned=False) == [1, 2, 200]
    with Playback(kept.folder) as server:
        assert ask(server, turned=True) == [1, 2, 200]
        answer = requests.get(f"{server.url}/list?a=2", timeout=5)
        assert (answer.status_code, answer.json()["message"]) == (400, "not recorded: GET /list?a=2; record again")


def test_lists_may_be_shortened_before_the_source_sees_them(kept: Recording, shop: Shop) -> None:
    def shorten(document: Any) -> None:
        del document["data"][1:]

    with Recorder(replace(kept, edit=shorten)) as server:
        server.know(tuple(CONFIG.values()))
        assert [one["id"] for one in read(server, SHOP, **CONFIG)["customers"]] == [1, 3, 5]


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda folder: Playback(folder), "there is no recording in kept: run the tests once with"),
        (lambda folder: Recorder(Recording(folder=folder, site="https://x.test/api")), "site must be an origin"),
        (lambda folder: Recorder(Recording(folder=folder, site="https://x.test")).write(), "nothing was asked of"),
    ],
)
def test_what_cannot_be_played_or_recorded_says_why(
    tmp_path: Path, make: Callable[[Path], object], problem: str
) -> None:
    with pytest.raises(RecordingError, match=problem):
        make(tmp_path / "kept")


def test_a_file_that_is_no_exchange_is_named(tmp_path: Path) -> None:
    (tmp_path / "recording.json").write_text('{"version": 1, "ignored": []}')
    (tmp_path / "001-x.json").write_text("{}")
    with pytest.raises(RecordingError, match=r"001-x\.json is no recorded exchange"):
        Playback(tmp_path)
