"""`schedule`, `run --due`, `pause` and `resume` as an operator meets them, on a clock that the test sets."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import time_machine

from connector_core.cli import invoke
from tests.support.engine import Shop, served, stream

Type = Callable[..., str]
FEW = served([stream("things")], {"things": [{"id": 1}]})


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path, FEW, settings='frequency = "6h"\nanchor_time = 2026-01-01T07:30:00Z\ntimezone = "UTC"\n')


@pytest.fixture
def typed(shop: Shop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Type:
    """Types a command in the project's folder; gives what it printed to both streams."""
    monkeypatch.chdir(shop.folder)

    def type_it(*words: str, code: int = 0) -> str:
        assert invoke(words) == code
        shown = capsys.readouterr()
        return shown.out + shown.err

    return type_it


def reports(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def test_the_next_slots_in_utc_and_local_time(shop: Shop, typed: Type) -> None:
    shop.write('frequency = "6h"\nanchor_time = 2026-01-01T07:30:00Z\ntimezone = "America/New_York"\n')
    with time_machine.travel("2026-06-01T18:00:00Z", tick=False):
        text = typed("schedule", "--count", "4")
    assert text.splitlines() == [
        "shop: every 6h through 2026-01-01T07:30:00Z in America/New_York",
        "  UTC 18:30  Today at 14:30 EDT",
        "  UTC 00:30  Today at 20:30 EDT",
        "  UTC 06:30  Tomorrow at 02:30 EDT",
        "  UTC 12:30  Tomorrow at 08:30 EDT",
    ]
    assert not (shop.folder / ".connector-core").exists()


def test_the_next_slots_for_programs_and_without_a_schedule_of_its_own(shop: Shop, typed: Type) -> None:
    shop.write("")
    with time_machine.travel("2026-06-01T18:00:00Z", tick=False):
        (one,) = reports(typed("schedule", "--json", "shop"))
        assert one["schedule"] == "every 1h"  # the source's default
        assert [slot["at"] for slot in one["slots"]] == [
            "2026-06-01T18:00:00Z",
            "2026-06-01T19:00:00Z",
            "2026-06-01T20:00:00Z",
        ]
        assert [slot["due"] for slot in one["slots"]] == [True, False, False]
        assert "due now" in typed("schedule")
    assert 'did you mean "shop"?' in typed("schedule", "shpo", code=2)
    shop.write("enabled = false\n")
    assert typed("schedule") == "shop: disabled in connectors.toml\n"


def test_run_due_runs_each_slot_once(shop: Shop, typed: Type) -> None:
    with time_machine.travel("2026-06-01T07:00:00Z", tick=False):
        assert "nothing is due" in typed("run", "--due")  # the first look: an anchored schedule never starts at once
    with time_machine.travel("2026-06-01T07:31:00Z", tick=False):
        (one,) = reports(typed("run", "--due", "--json"))
        assert (one["status"], one["rows_written"]) == ("succeeded", 1)
        assert "nothing is due" in typed("run", "--due", "shop")
    with time_machine.travel("2026-06-02T02:00:00Z", tick=False):  # two slots were missed, the newest is caught up
        text = typed("run", "--due")
    assert "shop: slot 2026-06-01 13:30:00Z skipped: nobody was running the schedule" in text
    assert "shop: succeeded" in text
    with shop.ledger() as ledger:
        found = [(f"{slot.at:%d %H:%M}", slot.state) for slot in ledger.slots("shop")]
        assert found == [("02 01:30", "run"), ("01 19:30", "skipped"), ("01 13:30", "skipped"), ("01 07:30", "run")]
        assert [run.trigger for run in ledger.runs("shop")] == ["schedule", "schedule"]


def test_without_catch_up_missed_slots_stay_missed(shop: Shop, typed: Type) -> None:
    shop.write('cron = "30 */6 * * *"\ncatch_up = "none"\n')
    with time_machine.travel("2026-06-01T06:00:00Z", tick=False):
        typed("run", "--due")
    with time_machine.travel("2026-06-01T07:00:00Z", tick=False):
        text = typed("run", "--due")
    assert 'shop: slot 2026-06-01 06:30:00Z skipped: nobody was running the schedule, and catch_up is "none"' in text
    assert "nothing is due" in text


def test_f1_a_connector_that_another_process_runs_is_no_failure(shop: Shop, typed: Type) -> None:
    shop.write("")
    with shop.ledger() as ledger, ledger.lease("connector:shop", "somebody"):
        assert "nothing is due" in typed("run", "--due")
        assert ledger.slots("shop") == []  # that one has not begun: the slot may be its own
        assert "held by somebody" in typed("run", code=75)
    assert "succeeded" in typed("run", "--due")


def test_due_goes_alone(typed: Type) -> None:
    text = typed("run", "--due", "--full", code=2)
    assert text == "error: --due runs connectors as they are configured - leave the other options out [usage]\n"


def test_pause_and_resume(shop: Shop, typed: Type) -> None:
    with time_machine.travel("2026-06-01T07:00:00Z", tick=False):
        typed("run", "--due")
        text = typed("pause", "shop", "--why", "the site moves")
        assert re.fullmatch(r"shop: paused by \S+@\S+ since 2026-06-01 07:00Z: the site moves\n", text)
        assert "shop: was paused already" in typed("pause", "shop", "--why", "again")
        assert re.search(r"^shop: paused by \S+ at .*: the site moves; connector-core resume shop$", typed("schedule"))
        assert reports(typed("schedule", "--json"))[0]["slots"] == []
    with time_machine.travel("2026-06-01T07:40:00Z", tick=False):
        assert "nothing is due" in typed("run", "--due")
        assert "shop: succeeded" in typed("run")  # by hand it runs, and stays paused
        assert typed("resume", "shop") == "shop: goes on with its next slot\n"
        assert typed("resume", "shop") == "shop: was not paused\n"
        assert "nothing is due" in typed("run", "--due")
        (one,) = reports(typed("resume", "shop", "--json"))
        assert one == {"connector": "shop", "paused": None, "changed": False}
        assert "UTC 13:30  Today at 13:30 UTC" in typed("schedule")
    assert 'did you mean "shop"?' in typed("pause", "shp", code=2)


def test_status_in_the_words_of_stitch(shop: Shop, typed: Type) -> None:
    def one() -> dict[str, Any]:
        (found,) = json.loads(typed("status", "--json"))["connectors"]
        return {key: found[key] for key in ("state", "last_sync", "next_sync", "rows_this_period")}

    with time_machine.travel("2026-06-01T07:00:00Z", tick=False):
        assert one() == {
            "state": "pending", "last_sync": None, "next_sync": "2026-06-01T07:30:00Z", "rows_this_period": None,
        }  # fmt: skip
    with time_machine.travel("2026-06-01T07:31:00Z", tick=False):
        typed("run")
        assert one() == {
            "state": "active", "last_sync": "2026-06-01T07:31:00Z", "next_sync": "2026-06-01T13:30:00Z",
            "rows_this_period": 1,
        }  # fmt: skip
        with shop.ledger() as ledger, ledger.lease("connector:shop", "r"):
            ledger.begin_run("shop", trigger="manual", run_id="r")
            assert one()["state"] == "in progress"
            ledger.finish_run("r", status="stopped", exit_code=130)
        shop.serve({"streams": FEW["streams"], "records": {}, "faults": {"things": {"1": "fail"}}})
        typed("run", code=4)
        assert one()["state"] == "in error"
        assert one()["last_sync"] == "2026-06-01T07:31:00Z"
        typed("pause", "shop", "--why", "the site moves")
        assert (one()["state"], one()["next_sync"]) == ("paused", None)
        text = typed("status")
        assert re.search(r"^shop +shop +paused +2026-06-01 07:31:00Z +1 +1 +0$", text, re.MULTILINE)
        assert "the site moves; connector-core resume shop" in text
        shop.write("enabled = false\n")
        typed("resume", "shop")
        assert one()["state"] == "paused"
        shop.write("")
        path = shop.folder / "connectors.toml"
        path.write_text(path.read_text().replace("connectors.shop", "connectors.other"))
        states = {found["connector"]: found["state"] for found in json.loads(typed("status", "--json"))["connectors"]}
        assert states == {"other": "pending", "shop": "not configured"}
