"""The call budget of the sandbox: a fixed window on its clock, told in every answer, and the ledger that counts the
calls."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
import requests
from requests_oauthlib import OAuth1Session

from connector_desk.sandbox import Sandbox, Settings

MINUTE = 29_000_000 * 60  # unix seconds of a full minute


class Hands:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = float(MINUTE)

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def desk(hands: Hands) -> Iterator[Sandbox]:
    with Sandbox(Settings(cases=12, customers=3, rate_limit=4, clock=hands, oauth_window=1e12)) as running:
        yield running


def get(desk: Sandbox, path: str) -> requests.Response:
    known = desk.credentials
    session = OAuth1Session(known.key, known.secret, known.token, known.token_secret)
    return session.get(f"{desk.url}/api/v2/{path}", timeout=20)


def rates(answer: requests.Response) -> tuple[int, int, int]:
    return tuple(int(answer.headers[f"X-Rate-Limit-{name}"]) for name in ("Limit", "Remaining", "Reset"))  # type: ignore[return-value]


def test_each_answer_counts_down_whatever_it_says(desk: Sandbox, hands: Hands) -> None:
    assert rates(get(desk, "users")) == (4, 3, 60)
    hands.now += 12.3
    assert rates(get(desk, "nope")) == (4, 2, 48)
    refused = requests.get(f"{desk.url}/api/v2/users", timeout=20)
    assert (refused.status_code, rates(refused)) == (401, (4, 2, 48)), "only what is authenticated counts"
    assert rates(get(desk, "cases?page=0")) == (4, 1, 48)
    assert rates(get(desk, "cases?page=501")) == (4, 0, 48)


def test_a_spent_window_answers_429_until_it_ends(desk: Sandbox, hands: Hands) -> None:
    hands.now += 59.5
    assert [get(desk, "users").status_code for _ in range(5)] == [200, 200, 200, 200, 429]
    answer = get(desk, "users")
    assert (answer.status_code, answer.json(), rates(answer)) == (429, {"message": "Too Many Requests"}, (4, 0, 1))
    assert "Retry-After" not in answer.headers
    desk.configure(too_many="text")
    assert get(desk, "users").text == "Too Many Requests"
    hands.now = MINUTE + 60
    answer = get(desk, "users")
    assert (answer.status_code, rates(answer)) == (200, (4, 3, 60)), (
        "refused requests took nothing from the next window"
    )
    assert desk.ledger.statuses() == {200: 5, 429: 3}


def test_the_window_can_be_short(desk: Sandbox, hands: Hands) -> None:
    desk.configure(window_seconds=2, rate_limit=1)
    assert rates(get(desk, "users")) == (1, 0, 2)
    hands.now += 1.5
    assert rates(get(desk, "users")) == (1, 0, 1)
    hands.now += 0.5
    assert rates(get(desk, "users")) == (1, 0, 2)
    assert desk.ledger.statuses() == {200: 2, 429: 1}


def test_date_and_reset_make_a_minute(desk: Sandbox, hands: Hands) -> None:
    for second in (0.0, 17.0, 59.0, 71.0):
        hands.now = MINUTE + second
        answer = get(desk, "users")
        date = parsedate_to_datetime(answer.headers["Date"])
        assert date.timestamp() == hands.now
        assert answer.headers["Date"].endswith(" GMT")
        assert date.second + rates(answer)[2] == 60


def test_the_ledger_tells_what_was_served(desk: Sandbox) -> None:
    get(desk, "cases?per_page=5&page=3")
    get(desk, "cases/search?since_id=0")
    get(desk, "nope")
    requests.get(f"{desk.url}/api/v2/cases", timeout=20)
    first, second, third, fourth = desk.ledger.requests()
    assert (first.number, first.method, first.path, first.query) == (1, "GET", "/api/v2/cases", "per_page=5&page=3")
    assert (first.resource, first.status, first.entries, first.remaining) == ("cases", 200, 2, 3)
    assert first.params == {"per_page": "5", "page": "3"}
    assert first.nonce
    assert first.nonce != second.nonce
    assert first.ended is not None
    assert first.started <= first.ended <= second.started
    assert (second.resource, second.entries) == ("cases_search", 12)
    assert (third.resource, third.status, third.entries) == ("unknown", 404, None)
    assert (fourth.status, fourth.reason, fourth.nonce) == (401, "no OAuth header", None)
    assert desk.ledger.count("/api/v2/cases") == 3
    assert desk.ledger.count(resource="cases", status=200) == 1
    desk.ledger.reset()
    assert desk.ledger.count() == 0
    get(desk, "users")
    assert desk.ledger.requests()[0].number == 5


def test_the_ledger_shows_requests_that_were_in_flight_together(desk: Sandbox) -> None:
    desk.configure(rate_limit=100, latency=0.5)
    case = desk.dump()["cases"][0]["id"]

    def fetch(_: Any) -> int:
        return get(desk, f"cases/{case}/replies").status_code

    fetch(0)
    assert desk.ledger.in_flight_max == {"replies": 1}
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(fetch, range(4))) == [200] * 4
    assert desk.ledger.in_flight_max == {"replies": 4}
