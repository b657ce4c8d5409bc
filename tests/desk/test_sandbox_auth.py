"""The sandbox lets in only what is signed as RFC 5849 says, so that a source which signs wrongly fails here and not on
a real site."""

from __future__ import annotations

import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime

import pytest
import requests
from oauthlib.oauth1 import SIGNATURE_PLAINTEXT, SIGNATURE_TYPE_QUERY, Client
from requests_oauthlib import OAuth1Session

from connector_desk.sandbox import Sandbox, Settings


@pytest.fixture(scope="module")
def desk() -> Iterator[Sandbox]:
    with Sandbox(Settings(cases=20, customers=5, rate_limit=100_000)) as running:
        yield running


def signed(desk: Sandbox, address: str, **options: object) -> dict[str, str]:
    """The Authorization header for a GET of the address."""
    known = desk.credentials
    client = Client(known.key, known.secret, known.token, known.token_secret, **options)
    _, headers, _ = client.sign(address)
    return dict(headers)


def get(address: str, headers: dict[str, str] | None = None) -> requests.Response:
    return requests.get(address, headers=headers, timeout=10)


def test_a_signed_request_is_answered(desk: Sandbox) -> None:
    address = f"{desk.url}/api/v2/users/me"
    answer = get(address, signed(desk, address))
    assert answer.status_code == 200
    assert answer.json()["level"] == "siteadmin_billing"


@pytest.mark.parametrize(
    "query",
    [
        "q=status:open,pending&page=1",
        "q=*&per_page=3&sort_field=id",
        "subject=a%20b%2Fc%26d&since_id=0",
        "subject=%E8%BF%94%E5%93%81+x&since_id=0",
        "labels=&since_id=0&since_id=1",
        "a=%7E-._&b=!'()&since_id=0",
    ],
)
def test_every_form_of_query_can_be_signed(desk: Sandbox, query: str) -> None:
    address = f"{desk.url}/api/v2/cases/search?{query.replace('!', '%21').replace(chr(39), '%27')}"
    assert get(address, signed(desk, address)).status_code == 200


def test_an_independent_client_is_understood(desk: Sandbox) -> None:
    known = desk.credentials
    session = OAuth1Session(known.key, known.secret, known.token, known.token_secret)
    answer = session.get(f"{desk.url}/api/v2/cases", params={"embed": "customer, message", "per_page": 2}, timeout=10)
    assert [set(entry["_embedded"]) for entry in answer.json()["_embedded"]["entries"]] == [{"customer", "message"}] * 2


def test_each_byte_of_the_request_is_covered(desk: Sandbox) -> None:
    address = f"{desk.url}/api/v2/cases?since_id=1&page=1"
    for other in (address.replace("since_id=1", "since_id=2"), address.replace("/cases", "/users"), address + "&x=1"):
        assert get(other, signed(desk, address)).status_code == 401
        assert desk.ledger.requests()[-1].reason == "bad signature"
    header = signed(desk, address)["Authorization"]
    place = header.index('oauth_signature="') + len('oauth_signature="')
    flipped = header[:place] + ("A" if header[place] != "A" else "B") + header[place + 1 :]
    assert get(address, {"Authorization": flipped}).status_code == 401
    assert get(address, {"Authorization": header}).status_code == 200


def test_the_method_is_covered(desk: Sandbox) -> None:
    address = f"{desk.url}/api/v2/users"
    assert requests.delete(address, headers=signed(desk, address), timeout=10).status_code == 401


def test_the_port_and_host_are_covered(desk: Sandbox) -> None:
    address = f"{desk.url}/api/v2/users/me"
    assert get(address, signed(desk, "http://127.0.0.1/api/v2/users/me")).status_code == 401
    assert get(address, signed(desk, "http://acme.desk.test/api/v2/users/me")).status_code == 401
    named = {"Host": "ACME.desk.test:80"} | signed(desk, "http://acme.desk.test/api/v2/users/me")
    assert get(address, named).status_code == 200, "the default port and the case of the host do not count"


@pytest.mark.parametrize("wrong", ["key", "secret", "token", "token_secret"])
def test_each_credential_counts(desk: Sandbox, wrong: str) -> None:
    known = {name: getattr(desk.credentials, name) for name in ("key", "secret", "token", "token_secret")}
    known[wrong] = "0" * 32
    address = f"{desk.url}/api/v2/users/me"
    _, headers, _ = Client(known["key"], known["secret"], known["token"], known["token_secret"]).sign(address)
    answer = get(address, headers)
    assert (answer.status_code, answer.json()) == (401, {"message": "Unauthorized"})
    assert answer.headers["WWW-Authenticate"].startswith("Basic realm=")


def test_a_nonce_counts_once(desk: Sandbox) -> None:
    address = f"{desk.url}/api/v2/users/me"
    headers = signed(desk, address)
    assert [get(address, headers).status_code for _ in range(2)] == [200, 401]
    assert desk.ledger.requests()[-1].reason == "nonce was used before"
    same_nonce = signed(desk, address, nonce=desk.ledger.requests()[-2].nonce, timestamp=str(int(time.time()) - 1))
    assert get(address, same_nonce).status_code == 200, "nonce and timestamp together must be new"


def test_no_credentials_and_other_ways_are_refused(desk: Sandbox) -> None:
    address = f"{desk.url}/api/v2/users/me"
    query_signed, _, _ = Client(
        desk.credentials.key,
        desk.credentials.secret,
        desk.credentials.token,
        desk.credentials.token_secret,
        signature_type=SIGNATURE_TYPE_QUERY,
    ).sign(address)
    for url, headers in (
        (address, {}),
        (address, {"Authorization": "Bearer x"}),
        (address, {"Authorization": "OAuth nonsense"}),
        (query_signed, {}),
    ):
        assert get(url, headers).status_code == 401


def test_a_wrong_clock_is_refused_with_the_right_time(desk: Sandbox) -> None:
    address = f"{desk.url}/api/v2/users/me"
    for off in (-301, 302):
        answer = get(address, signed(desk, address, timestamp=str(int(time.time()) + off)))
        assert answer.status_code == 401
        assert abs(parsedate_to_datetime(answer.headers["Date"]).timestamp() - time.time()) < 60
    assert get(address, signed(desk, address, timestamp=str(int(time.time()) - 290))).status_code == 200


def test_the_sites_own_clock_decides() -> None:
    with Sandbox(Settings(cases=1, customers=1, clock_offset=3600)) as desk:
        address = f"{desk.url}/api/v2/users/me"
        refused = get(address, signed(desk, address))
        assert refused.status_code == 401
        difference = parsedate_to_datetime(refused.headers["Date"]).timestamp() - time.time()
        assert 3500 < difference < 3700
        later = signed(desk, address, timestamp=str(int(time.time()) + 3600))
        assert get(address, later).status_code == 200


def test_plaintext_and_basic_are_switches() -> None:
    with Sandbox(Settings(cases=1, customers=1, auth=("HMAC-SHA1",))) as desk:
        address, known = f"{desk.url}/api/v2/users/me", desk.credentials
        plain = {"signature_method": SIGNATURE_PLAINTEXT}

        def basic() -> int:
            return requests.get(address, auth=(known.email, known.password), timeout=10).status_code

        assert (get(address, signed(desk, address, **plain)).status_code, basic()) == (401, 401)
        desk.configure(auth=("PLAINTEXT", "BASIC"))
        assert (get(address, signed(desk, address, **plain)).status_code, basic()) == (200, 200)
        assert get(address, signed(desk, address)).status_code == 401, "HMAC-SHA1 is now off"
        wrong = requests.get(address, auth=(known.email, "x"), timeout=10)
        assert wrong.status_code == 401
