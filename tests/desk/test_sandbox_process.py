"""``python -m connector_desk.sandbox`` as other processes use it: one line of JSON, control over HTTP, a quiet end."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from requests_oauthlib import OAuth1Session

from connector_desk.sandbox import Settings

COMMAND = [sys.executable, "-m", "connector_desk.sandbox"]
SOURCES = Path(__file__).parents[2] / "plugins" / "desk" / "src"
ENVIRONMENT = {"PYTHONPATH": str(SOURCES), "PATH": "/usr/bin:/bin"}
NOW = "2026-01-01T00:00:00Z"


@contextmanager
def running(*switches: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """A sandbox process that ends with the block or, by the end of its input, with this one."""
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        [*COMMAND, "--until-eof", *switches],
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        text=True,
        env=ENVIRONMENT | environment,
    )
    with process:
        try:
            assert process.stdout is not None
            yield process, json.loads(process.stdout.readline())
        finally:
            process.terminate()


def session(known: dict[str, str]) -> OAuth1Session:
    return OAuth1Session(known["key"], known["secret"], known["token"], known["token_secret"])


def post(known: dict[str, str], name: str, body: Any) -> Any:
    answer = requests.post(known["control"] + name, json=body, timeout=20)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_same_seed_makes_the_same_bytes_in_another_process() -> None:
    dumps = []
    for hash_seed, zone in (("1", "UTC"), ("2", "Asia/Tokyo")):
        with running("--seed", "7", "--now", NOW, "--cases", "80", PYTHONHASHSEED=hash_seed, TZ=zone) as (_, known):
            answer = requests.get(known["control"] + "dump", timeout=20)
            dumps.append((answer.content, known["key"], known["token_secret"]))
    assert dumps[0] == dumps[1]
    held = json.loads(dumps[0][0])
    assert (len(held["cases"]), len(held["customers"])) == (80, 80)


def test_the_printed_line_opens_the_site() -> None:
    with running("--demo", "--now", NOW) as (_, known):
        assert list(known) == ["url", "key", "secret", "token", "token_secret", "control"]
        answer = session(known).get(f"{known['url']}/api/v2/cases", timeout=20)
        assert answer.json()["total_entries"] == 600
        assert int(answer.headers["X-Rate-Limit-Limit"]) >= 1000
        held = requests.get(known["control"] + "dump", timeout=20).json()
        sizes = {name: len(held[name]) for name in ("cases", "customers", "users", "groups")}
        assert sizes == {"cases": 600, "customers": 200, "users": 12, "groups": 5}
        assert 800 < len(held["replies"]) < 1200


@pytest.mark.parametrize("end", ["SIGTERM", "SIGINT", "end of input"])
def test_it_ends_quietly(end: str) -> None:
    with running("--cases", "1") as (process, _):
        if end == "end of input":
            assert process.stdin is not None
            process.stdin.close()
        else:
            process.send_signal(signal.Signals[end])
        assert process.wait(30) == 0
        assert process.stdout is not None
        assert process.stderr is not None
        assert (process.stdout.read(), process.stderr.read()) == ("", "")


def test_help_explains_every_setting() -> None:
    text = subprocess.run([*COMMAND, "--help"], env=ENVIRONMENT, capture_output=True, text=True, check=True).stdout
    for field in dataclasses.fields(Settings):
        assert field.name == "clock" or f"--{field.name.replace('_', '-')}" in text


@pytest.mark.parametrize("switches", [["--now", "2026-01-01T00:00:00"], ["--since", "both"], ["--auth", "MD5"]])
def test_settings_that_make_no_sense_exit_2(switches: list[str]) -> None:
    done = subprocess.run(
        [*COMMAND, *switches], env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr


def test_every_switch_arrives() -> None:
    switches = [
        "--max-per-page",
        "cases=3,users=2",
        "--auth",
        "basic,plaintext",
        "--no-gzip",
        "--clock-offset",
        "-3600",
    ]
    with running("--cases", "9", "--now", NOW, "--since", "inclusive", *switches) as (_, known):
        shown = requests.get(known["control"] + "settings", timeout=20).json()
        assert (shown["max_per_page"], shown["auth"]) == ({"cases": 3, "users": 2}, ["BASIC", "PLAINTEXT"])
        assert (shown["gzip"], shown["since"], shown["clock_offset"]) == (False, "inclusive", -3600.0)
        assert not {"key", "secret", "token", "token_secret"} & set(shown)


def test_control_changes_the_data_now_and_while_paging() -> None:
    with running("--cases", "30", "--now", NOW) as (_, known):
        reader, url = session(known), f"{known['url']}/api/v2"

        def page(number: int) -> list[int]:
            body = reader.get(f"{url}/cases?per_page=10&page={number}", timeout=20).json()
            return [entry["id"] for entry in body["_embedded"]["entries"]]

        order = [case["id"] for case in requests.get(known["control"] + "dump", timeout=20).json()["cases"]]
        changed = post(
            known,
            "mutate",
            [
                {"op": "update_case", "id": order[0], "status": "closed"},
                {"op": "add_case", "subject": "via control"},
                {
                    "op": "put_raw",
                    "resource": "cases",
                    "id": order[1],
                    "fields": {"odd": {"$raw": "1e400"}, "half": "\ud800"},
                },
            ],
        )
        assert changed["results"][1] == order[-1] + 1
        assert reader.get(f"{url}/cases/{order[0]}", timeout=20).json()["status"] == "closed"
        assert '"odd":1e400' in reader.get(f"{url}/cases/{order[1]}", timeout=20).text
        post(known, "reset_ledger", {})
        post(
            known,
            "script",
            [
                {"after_request": 1, "op": "delete_case", "id": order[2]},
                {"when": {"resource": "cases", "params": {"page": 2}}, "op": "delete_case", "id": order[3]},
            ],
        )
        assert [page(1), page(2), page(3)] == [order[:10], order[11:21], [*order[22:], order[-1] + 1]]
        report = requests.get(known["control"] + "ledger", timeout=20).json()
        assert [row["query"] for row in report["requests"]] == [f"per_page=10&page={number}" for number in (1, 2, 3)]
        assert (report["statuses"], report["in_flight_max"], report["failures"]) == ({"200": 3}, {"cases": 1}, [])
        expected = requests.get(known["control"] + "expected", timeout=20).json()
        assert "messages" not in expected
        assert len(expected["cases"]) == 29
        assert post(known, "settings", {"rate_limit": 3})["rate_limit"] == 3
        assert reader.get(f"{url}/cases", timeout=20).status_code == 429


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("mutate", {"op": "dump"}),
        ("mutate", {"op": "update_case", "id": 1}),
        ("mutate", "x"),
        ("script", {"op": "add_case"}),
        ("script", {"op": "add_case", "when": {"pth": "x"}}),
        ("settings", {"cases": 5}),
        ("settings", {"nope": 5}),
        ("advance", {"seconds": "1"}),
        ("advance", {"minutes": 1}),
        ("faults", [{"action": {"name": "explode"}}]),
    ],
)
def test_control_refuses_what_makes_no_sense(control: str, name: str, body: Any) -> None:
    answer = requests.post(control + name, json=body, timeout=20)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]


@pytest.fixture(scope="module")
def control() -> Iterator[str]:
    with running("--cases", "1") as (_, known):
        yield known["control"]
