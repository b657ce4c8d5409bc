"""The sandbox's control and its faults: who may use it, what it changes while the site serves, and broken answers."""

from __future__ import annotations

import json
import re
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from requests_oauthlib import OAuth1Session

from connector_core.testing.faults import ACTIONS, Body, Fault, Replace, Status
from connector_desk.sandbox import Sandbox, Settings
from connector_desk.sandbox.control import CALLS
from tests.desk.test_sandbox_process import COMMAND, ENVIRONMENT, NOW, running, session

Answer = requests.Response


@pytest.fixture(scope="module")
def shared() -> Iterator[Sandbox]:
    with Sandbox(Settings(now=NOW, cases=30, customers=5)) as desk:
        yield desk


@pytest.fixture
def desk(shared: Sandbox) -> Iterator[Sandbox]:
    yield shared
    shared.break_answers([])


def api(desk: Sandbox, path: str, **options: Any) -> Answer:
    known = desk.credentials
    session = OAuth1Session(known.key, known.secret, known.token, known.token_secret)
    return session.get(f"{desk.url}/api/v2/{path}", timeout=20, **options)


def control(desk: Sandbox, name: str, body: Any = None, **options: Any) -> Answer:
    method = "GET" if body is None else "POST"
    return requests.request(method, f"{desk.url}/_sandbox/{name}", json=body, timeout=20, **options)


# --- who may use it

ELSEWHERE = {
    "a form of a page elsewhere": {"Origin": "https://evil.example", "Content-Type": "text/plain"},
    "a script of a page elsewhere": {"Origin": "https://evil.example"},
    "a page in a sandboxed frame": {"Origin": "null"},
    "an image of a page elsewhere": {"Sec-Fetch-Site": "cross-site"},
    "another port of this machine": {"Origin": "http://127.0.0.1:1", "Sec-Fetch-Site": "same-site"},
    "a rebound name": {"Host": "evil.example", "Origin": "http://evil.example", "Sec-Fetch-Site": "same-origin"},
    "a rebound name with the port": {"Host": "evil.example:80"},
    "a Host that is none": {"Host": "[::1"},
}


@pytest.mark.parametrize("who", ELSEWHERE)
def test_a_page_elsewhere_can_neither_read_nor_change(desk: Sandbox, who: str) -> None:
    before = desk.dump()
    case = before["cases"][0]["id"]
    text = json.dumps({"op": "update_case", "id": case, "subject": "changed by a page"})
    headers = {"Content-Type": "application/json", **ELSEWHERE[who]}
    changed = requests.post(f"{desk.url}/_sandbox/mutate", data=text, headers=headers, timeout=20)
    assert changed.status_code == 403, changed.text
    assert control(desk, "dump", headers=ELSEWHERE[who]).status_code == 403
    asked = requests.options(f"{desk.url}/_sandbox/mutate", headers=ELSEWHERE[who], timeout=20)
    assert asked.status_code in (403, 404), "no page is allowed to send JSON"
    assert not [name for name in asked.headers if name.lower().startswith("access-control")]
    assert desk.dump() == before


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_what_a_form_can_send_is_refused(desk: Sandbox, kind: str | None) -> None:
    headers = {} if kind is None else {"Content-Type": kind}
    text = json.dumps([{"op": "add_case"}])
    answer = requests.post(f"{desk.url}/_sandbox/mutate", data=text, headers=headers, timeout=20)
    assert answer.status_code == 415
    assert len(desk.dump()["cases"]) == 30


def test_programs_of_this_machine_and_pages_of_the_sandbox_itself_may(desk: Sandbox) -> None:
    port = desk.url.rpartition(":")[2]
    for host in (f"127.0.0.1:{port}", f"localhost:{port}", "localhost", f"[::1]:{port}"):
        own = {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
        assert control(desk, "settings", {}, headers=own).status_code == 200
        assert control(desk, "settings", headers={"Host": host}).status_code == 200


def test_a_body_nested_too_deeply_is_refused_and_hurts_nobody(desk: Sandbox) -> None:
    for text in ("[" * 200_000, '{"op": ' + '{"a":' * 90_000 + "1" + "}" * 90_001):
        headers = {"Content-Type": "application/json"}
        answer = requests.post(f"{desk.url}/_sandbox/mutate", data=text, headers=headers, timeout=20)
        assert answer.status_code == 400, answer.text[:200]
    assert desk.failed() == []


def test_an_unknown_call_lists_the_known_ones(desk: Sandbox) -> None:
    answer = control(desk, "nope")
    assert answer.status_code == 404
    assert all(f"{method} /_sandbox/{name}" in answer.json()["error"] for method, name in CALLS)


# --- the clock


def test_the_clock_is_moved_while_the_site_serves() -> None:
    hands = [1_767_225_600.0]
    settings = Settings(now=NOW, cases=3, customers=1, clock=lambda: hands[0], rate_limit=2, auth=("BASIC",))
    with Sandbox(settings) as desk:
        login = (desk.credentials.email, desk.credentials.password)

        def users() -> Answer:
            return requests.get(f"{desk.url}/api/v2/users", auth=login, timeout=20)

        assert [users().status_code for _ in range(3)] == [200, 200, 429]
        shown = control(desk, "advance", {"seconds": 61.5}).json()
        assert (shown["clock"], shown["clock_offset"]) == (1_767_225_661.5, 61.5)
        answer = users()
        assert (answer.status_code, answer.headers["Date"]) == (200, "Thu, 01 Jan 2026 00:01:01 GMT")
        case = desk.store.add_case()
        assert desk.dump()["cases"][-1]["updated_at"] == "2026-01-01T00:01:01Z"
        assert control(desk, "advance", {"seconds": -61.5}).json()["clock_offset"] == 0.0
        assert case == desk.dump()["cases"][-1]["id"]


# --- faults


def test_faults_are_set_seen_and_healed_over_the_control(desk: Sandbox) -> None:
    plan = [
        {"match": "^GET /api/v2/cases", "nth": 2, "action": {"name": "status", "code": 503, "retry_after": 7}},
        {"match": "/users", "times": None, "action": [{"name": "body", "kind": "truncated"}]},
        {"match": "", "times": None, "action": {"name": "headers", "set": {"X-Broken": "yes"}}},
    ]
    set_ = control(desk, "faults", plan).json()
    assert [fault["nth"] for fault in set_["plan"]] == [2, 1, 1]
    answers = [api(desk, "cases?per_page=1") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 503, 200]
    assert answers[1].headers["Retry-After"] == "7"
    with pytest.raises(ValueError, match=r"Expecting|Unterminated|delimiter"):
        api(desk, "users").json()
    seen = control(desk, "faults")
    assert "X-Broken" not in seen.headers, "the control is spared"
    hits = [(hit["fault"], hit["line"].partition("?")[0]) for hit in seen.json()["hits"]]
    assert [hit for hit in hits if hit[0] < 2] == [(0, "GET /api/v2/cases"), (1, "GET /api/v2/users")]
    assert control(desk, "faults", seen.json()["plan"]).json()["plan"] == seen.json()["plan"], "it can be sent back"
    assert control(desk, "faults", []).json() == {"plan": [], "hits": []}
    assert api(desk, "users").json()["total_entries"] == 12


def test_held_answers_are_released_over_the_control(desk: Sandbox) -> None:
    control(desk, "faults", [{"match": "/users", "action": {"name": "gate"}}])
    statuses: list[int] = []
    asking = threading.Thread(target=lambda: statuses.append(api(desk, "users").status_code))
    asking.start()
    desk.front.wait_held()
    assert statuses == []
    assert control(desk, "release", {}).json() == {"released": 1}
    asking.join(20)
    assert statuses == [200]


def test_every_action_can_be_sent_over_the_control(desk: Sandbox) -> None:
    needed: dict[str, dict[str, Any]] = {
        "body": {"kind": "empty"},
        "entries": {"how": "shift", "count": 2},
        "latency": {"seconds": 0.01},
        "next_link": {"to": "foreign", "origin": "http://127.0.0.1:9"},
        "replace": {"pattern": "a", "text": "b"},
        "total": {"value": "many"},
        "value": {"at": "page", "text": "NaN"},
    }
    plan = [{"match": "^nothing", "action": {"name": name, **needed.get(name, {})}} for name in ACTIONS]
    told = control(desk, "faults", plan)
    assert told.status_code == 200, told.text
    assert [fault["action"][0]["name"] for fault in told.json()["plan"]] == list(ACTIONS)


def test_a_fault_that_does_not_fit_fails_the_block_and_says_so() -> None:
    def failing() -> None:
        settings = Settings(now=NOW, cases=1, customers=1)
        with Sandbox(settings, faults=[Fault(action=Replace(pattern="not there", text=""))]) as desk:
            with pytest.raises(requests.ConnectionError):
                api(desk, "cases")
            assert "not there" in control(desk, "ledger").json()["failures"][0]

    with pytest.raises(RuntimeError, match="not there"):
        failing()


def test_faults_may_be_given_from_the_start_in_process() -> None:
    plan = [Fault(match="/cases", action=Status(code=429)), Fault(match="/users", action=Body(kind="empty"))]
    with Sandbox(Settings(now=NOW, cases=1, customers=1), faults=plan) as desk:
        assert api(desk, "cases").status_code == 429
        assert api(desk, "users").content == b""
        assert [hit.request.target for hit in desk.front.hits] == ["/api/v2/cases", "/api/v2/users"]


def test_a_plan_on_the_command_line(tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    redirect = {"name": "redirect", "location": "http://127.0.0.1:9/elsewhere"}
    plan.write_text(json.dumps([{"match": "/cases", "times": None, "action": redirect}]))
    with running("--cases", "1", "--now", NOW, "--faults", str(plan)) as (_, known):
        url = f"{known['url']}/api/v2"
        answer = session(known).get(f"{url}/cases", allow_redirects=False, timeout=20)
        assert (answer.status_code, answer.headers["Location"]) == (302, "http://127.0.0.1:9/elsewhere")
        assert session(known).get(f"{url}/users", timeout=20).status_code == 200
        assert len(requests.get(known["control"] + "faults", timeout=20).json()["hits"]) == 1


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (None, "No such file"),
        ("[", "Expecting value"),
        ('[{"match": "(", "action": {"name": "reset"}}]', "plan[0]"),
        ('[{"action": {"name": "reset", "at": "noon"}}]', "at is 'noon'; it must be one of 'start', 'head'"),
        ('[{"action": {"name": "rest"}}]', "its name must be one of body, dead_connection"),
    ],
)
def test_a_plan_that_makes_no_sense_exits_2_and_names_the_place(
    tmp_path: Path, text: str | None, complaint: str
) -> None:
    plan = tmp_path / "plan.json"
    if text is not None:
        plan.write_text(text)
    done = subprocess.run(
        [*COMMAND, "--faults", str(plan)], env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"sandbox: --faults \S+plan\.json: .*\n", done.stderr), done.stderr
    assert complaint in done.stderr
