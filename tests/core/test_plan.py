"""`plan` says what a run would do, a run then does it, and nothing has changed in between."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import time_machine

from connector_desk.sandbox import Sandbox, Settings
from tests.support.desk import EVERYTHING, Desk
from tests.support.engine import START, TEXT, Shop, incremental, served, stream
from tests.support.typed import Typed, typed

LINES = stream("lines", parent="orders", when="open", primary_key=["id"])


def orders(number: int, *fields: str, **more: Any) -> dict[str, Any]:
    records = {
        "orders": [{"id": n, "at": f"2026-01-01T00:00:{n:02}Z", "open": n % 2 == 0} for n in range(number)],
        "lines": [{"id": n, "_parent": n} for n in range(0, number, 2)],
        "people": [{"id": n} for n in range(3)],
    }
    root = incremental("orders", {"open": {"type": "boolean"}, **dict.fromkeys(fields, TEXT)})
    return served([root, LINES, stream("people")], records, served_at="2026-06-01T00:00:00Z", **more)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def one(told: Typed) -> dict[str, Any]:
    return dict(json.loads(told.out))


def test_before_the_first_run(tmp_path: Path) -> None:
    shop = Shop(tmp_path, orders(4, page_size=4), settings=START + 'frequency = "6h"\n')
    before = files(tmp_path)
    text = typed(tmp_path, "plan").out
    assert files(tmp_path) == before
    found = one(typed(tmp_path, "plan", "--json"))
    assert {made["table"] for made in found["changes"] if made["what"] == "created"} == {"orders", "lines", "people"}
    by_name = {entry["stream"]: entry for entry in found["streams"]}
    assert (by_name["orders"]["records"], by_name["orders"]["children"]) == (4, {"lines": 2})
    assert by_name["orders"]["since"].startswith("2020-01-01")
    assert (by_name["people"]["records"], by_name["people"]["since"], by_name["people"]["exact"]) == (3, None, True)
    assert (found["runs_in_period"], found["rows_in_period"]) == (120, None)
    assert "created orders" in text
    assert "nothing was changed" in text
    report = shop.go()
    assert found["calls"] == report.calls
    assert shop.tables() == {"orders", "lines", "people"}


def test_after_a_run_it_tells_what_is_new_alone(tmp_path: Path) -> None:
    shop = Shop(tmp_path, orders(4), settings=START)
    for instant in ("2026-06-01T00:00:00Z", "2026-06-01T18:00:00Z", "2026-06-02T12:00:00Z"):
        with time_machine.travel(instant):
            shop.go()
    shop.serve(orders(10, "note", totals={"orders": 7}))
    before = files(tmp_path)
    with time_machine.travel("2026-06-02T18:00:00Z"):
        found = one(typed(tmp_path, "plan", "--json", "shop"))
        text = typed(tmp_path, "plan").out
    after = files(tmp_path)
    assert {name: after[name] for name in before if "ledger" not in name} == {
        name: before[name] for name in before if "ledger" not in name
    }
    by_name = {entry["stream"]: entry for entry in found["streams"]}
    assert by_name["orders"]["since"].startswith("2026-01-01T00:00:03")
    assert (by_name["orders"]["records"], by_name["orders"]["exact"]) == (7, False)
    assert [(made["what"], made["table"], made["column"]) for made in found["changes"]] == [("added", "orders", "note")]
    assert found["rows_in_period"] is not None
    assert "about 7" in text
    assert "every 1h, 720 runs in a period, about" in text
    with shop.ledger() as ledger:
        assert len(ledger.runs("shop")) == 3


def test_what_the_source_does_not_tell_is_not_made_up(tmp_path: Path) -> None:
    Shop(tmp_path, orders(9), settings=START)
    found = one(typed(tmp_path, "plan", "--json"))
    by_name = {entry["stream"]: entry for entry in found["streams"]}
    assert (by_name["orders"]["records"], by_name["orders"]["calls"], found["calls"]) == (None, None, None)
    assert "not told" in typed(tmp_path, "plan").out


def test_a_failing_source_and_a_changed_start_date_are_said(tmp_path: Path) -> None:
    shop = Shop(tmp_path, orders(3), settings=START)
    shop.go()
    shop.write('start_date = "2021-01-01"\n')
    assert "--confirm" in typed(tmp_path, "plan", code=2).err
    shop.serve(orders(3, faults={"people": {"1": "fail"}}))
    shop.write(START)
    assert "a lasting fault" in typed(tmp_path, "plan", code=4).err


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    before = dict(os.environ)
    with Sandbox(Settings(seed=3, cases=30, customers=12, now="2026-06-01T12:00:00Z")) as sandbox:
        made = Desk(tmp_path, sandbox, EVERYTHING)
        os.environ.update(made.env)
        yield made
    os.environ.clear()
    os.environ.update(before)


def test_desk_before_its_first_run(desk: Desk) -> None:
    found = one(typed(desk.folder, "plan", "--json"))
    assert not desk.warehouse.exists()
    expected = desk.sandbox.expected()
    records = {entry["stream"]: entry["records"] for entry in found["streams"]}
    assert records["cases"] == len(expected["cases"]) == 30
    assert records["customers"] == len(expected["customers"])
    assert len({made["table"] for made in found["changes"]}) == 11
