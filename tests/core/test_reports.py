"""`logs`, `report` and `reset` as an operator uses them, over real runs into a DuckDB file."""

from __future__ import annotations

import io
import json
import logging
import re
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connector_core.clock import SystemClock
from connector_core.errors import BusyError
from connector_core.events import Event, RunStarted
from connector_core.ledger import Ledger, LogLine
from connector_core.reset_streams import reset_streams
from tests.support.engine import INSTANT, INTEGER, TEXT, Shop, served, stream
from tests.support.typed import typed

ESCAPE = "\x1b[2J\r\nforged"
TAGS = {"type": "array", "items": TEXT}


def order(number: int, **more: object) -> dict[str, object]:
    return {"id": number, "at": f"2026-01-01T00:{number:02}:00Z", "tags": ["a", "b"], **more}


def data(orders: int = 3, **more: object) -> dict[str, object]:
    """Orders (incremental, with tags) with lines (children), and people (a full table)."""
    streams = [
        stream("orders", {"at": INSTANT, "tags": TAGS}, replication="incremental", replication_key="at"),
        stream("lines", {"order": INTEGER}, parent="orders", replication="incremental"),
        stream("people", {"name": TEXT}),
    ]
    lines = [{"id": 10 + number, "order": number, "_parent": number} for number in range(orders)]
    people = [{"id": number, "name": f"p{number}"} for number in range(4)]
    records = {"orders": [order(number) for number in range(orders)], "lines": lines, "people": people}
    return served(streams, records, served_at="2026-06-01T00:00:00+00:00", **more)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Three runs: the first loads everything, the second finds one new order and a reject, the third fails in a
    stream."""
    shop = Shop(tmp_path_factory.mktemp("shop"), data())
    shop.go()
    more = data(4)
    more["records"]["orders"].append({"id": ESCAPE, "at": "2026-01-01T00:30:00Z"})  # type: ignore[index]
    shop.serve(more)
    shop.go()
    shop.serve(data(4, faults={"orders": {"1": "fail"}}))
    shop.go(code=4)
    return shop


# --- logs


def test_a_line_has_time_component_level_and_text(shop: Shop) -> None:
    told = typed(shop.folder, "logs", "shop").out
    lines = told.splitlines()
    levels = "(INFO|WARNING|ERROR|CRITICAL)"
    shape = re.compile(rf"^\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{{3}}Z (engine|source|destination) +{levels} ")
    assert [line for line in lines if not shape.match(line)] == []
    for said in (
        "source      INFO     shop orders: found current bookmark for orders: 2026-01-01T00:02:00Z",
        "destination INFO     shop orders: state update: orders = 2026-01-01T00:03:00Z",
        "engine      WARNING  shop orders: records rejected: 1 bad_key; the first: ",
        "source      ERROR    shop orders: failed: a lasting fault",
    ):
        assert said in told
    assert "engine      CRITICAL shop: run failed with exit status 4" in lines[-1]


def test_a_bookmark_that_did_not_move_has_no_line(tmp_path: Path) -> None:
    shop = Shop(tmp_path, data())
    shop.go()
    shop.go()
    told = typed(tmp_path, "logs").out
    assert told.count("committed batch") == 4
    assert told.count("state update: orders = 2026-01-01T00:02:00Z") == told.count("state update") == 1


def test_lines_are_filtered_by_run_level_stream_component_and_time(shop: Shop) -> None:
    def found(*words: str) -> list[dict[str, object]]:
        return [json.loads(line) for line in typed(shop.folder, "logs", *words, "--json").out.splitlines()]

    everything = found()
    assert {line["stream"] for line in everything} == {None, "orders", "people"}
    assert [line["level"] for line in found("--level", "error")] == ["ERROR", "CRITICAL"]
    assert {line["stream"] for line in found("--stream", "people")} == {"people"}
    assert {line["component"] for line in found("--component", "destination")} == {"destination"}
    assert found("--limit", "3") == everything[-3:]
    last = str(everything[-1]["run_id"])
    assert found("--run", last[:10]) == found("--run", "last") == [x for x in everything if x["run_id"] == last]
    middle = str(everything[5]["at"])
    assert found("--since", middle) + found("--until", middle) == [
        *[x for x in everything if str(x["at"]) >= middle],
        *[x for x in everything if str(x["at"]) < middle],
    ]
    assert found("--since", "1h") == everything
    assert found("--until", "1h") == []


def test_the_end_of_a_run_tells_the_exit_status_of_each_step(shop: Shop) -> None:
    told = typed(shop.folder, "logs", "--run", "last").out.splitlines()[-1]
    assert re.match(r"Run \w{32}: failed, exit status 4\. Discovery succeeded\. ", told)
    assert "Extraction of orders failed with code 4: a lasting fault" in told
    assert "Loading succeeded." in told
    assert "Extraction of people succeeded." in told
    runs = typed(shop.folder, "logs", "shop", "--runs", "--json").json["runs"]
    assert [(run["status"], run["exit_code"]) for run in runs] == [("failed", 4), ("succeeded", 0), ("succeeded", 0)]
    assert {step["name"] for step in runs[0]["steps"]} == {"discovery", "extraction", "loading"}
    listed = typed(shop.folder, "logs", "shop", "--runs").out
    assert [line.split()[-1] for line in listed.splitlines()[1:]] == ["orders", "0", "0"]


def test_h8_escapes_and_line_breaks_of_data_are_shown_and_not_obeyed(shop: Shop) -> None:
    with shop.ledger() as ledger:
        ledger.log(None, [LogLine(at=ledger.now(), component="source", level="INFO", text=ESCAPE, connector="shop")])
    for words in (("logs",), ("logs", "--json"), ("report", "--json"), ("rejects", "list")):
        told = typed(shop.folder, *words).out
        assert "\x1b" not in told
        assert "\r" not in told
        assert "\nforged" not in told
    assert "\\x1b[2J\\r\\nforged" in typed(shop.folder, "logs").out


def test_following_shows_new_lines_and_ends_with_the_run(shop: Shop) -> None:
    with shop.ledger() as ledger:
        ledger.begin_run("other", trigger="manual", run_id="followed")

        def go_on() -> None:
            line = LogLine(at=ledger.now(), component="engine", level="INFO", text="still there")
            time.sleep(0.3)
            ledger.log("followed", [line])
            ledger.finish_run("followed", "succeeded", 0)

        other = threading.Thread(target=go_on)
        other.start()
        told = typed(shop.folder, "logs", "--run", "followed", "--follow").out
        other.join()
    assert told.splitlines()[-1].endswith("engine      INFO     other: still there")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("logs", "shpo"), 'did you mean "shop"?'),
        (("logs", "--run", "zzz"), "there is no run 'zzz'"),
        (("logs", "--level", "warn"), 'did you mean "warning"?'),
        (("logs", "--since", "yesterday"), "--since 'yesterday' is no instant"),
        (("report", "shop", "--table", "ordres"), 'did you mean "orders"?'),
        (("reset", "shop"), "name the streams to reset"),
        (("reset", "shop", "ordres", "--yes"), 'did you mean "orders"?'),
        (("reset", "shop", "lines", "--yes"), "is read with its parent 'orders'"),
        (("reset", "shop", "orders"), "look at it with --dry-run, then add --yes"),
    ],
)
def test_what_is_typed_wrong_is_told(shop: Shop, words: tuple[str, ...], said: str) -> None:
    assert said in typed(shop.folder, *words, code=2).err


def test_without_a_ledger_nothing_is_made(tmp_path: Path) -> None:
    shop = Shop(tmp_path, data())
    assert typed(tmp_path, "logs").out.startswith("No log lines")
    assert typed(tmp_path, "logs", "--runs").out == "No runs.\n"
    assert typed(tmp_path, "report").out == "Nothing was loaded yet.\n"
    assert typed(tmp_path, "report", "--json").json == {"reports": []}
    assert not (shop.folder / ".connector-core").exists()


def test_a_plugin_speaks_through_loggers_named_after_its_package(tmp_path: Path) -> None:
    shop = Shop(tmp_path, data())

    def speak(event: Event) -> None:
        if isinstance(event, RunStarted):
            logging.getLogger("scripted_source.deep.down").info("the tap is open")
            logging.getLogger("connector_duckdb").warning("a small file", extra={"stream": "people"})
            logging.getLogger("another_library").warning("nobody asked")

    shop.go(watch=speak)
    logging.getLogger("scripted_source").warning("after the run")
    told = typed(tmp_path, "logs").out
    assert "source      INFO     shop: the tap is open" in told
    assert "destination WARNING  shop people: a small file" in told
    assert "nobody asked" not in told
    assert "after the run" not in told


# --- retention


def test_old_runs_and_lines_are_forgotten_receipts_never(tmp_path: Path) -> None:
    shop = Shop(tmp_path, data())
    shop.go()
    first = shop.go().run_id
    with shop.ledger() as ledger:
        old = ledger.now() - timedelta(days=61)
        ledger.begin_run("other", trigger="manual", run_id="kept")
        ledger.finish_run("kept", "succeeded", 0)
        written = [(row.table, row.day, row.free) for row in ledger.usage()]
    with Ledger.open(f"sqlite:///{tmp_path}/.connector-core/ledger.db", clock=lambda: old) as past:
        past.begin_run("shop", trigger="manual", run_id="old")
        with past.step("old", "discovery"):
            past.log("old", [LogLine(at=old, component="engine", level="INFO", text="long ago")])
        past.finish_run("old", "succeeded", 0)
        past.log(None, [LogLine(at=old, component="engine", level="INFO", text="outside")])
    assert "long ago" in typed(tmp_path, "logs").out
    shop.write(f'{shop.settings}\n[ledger]\nkeep = "60d"\n[connectors.shop.streams]')
    newest = shop.go().run_id
    with shop.ledger() as ledger:
        assert {run.run_id for run in ledger.runs()} >= {newest, first, "kept"}
        assert "old" not in {run.run_id for run in ledger.runs()}
        assert {"long ago", "outside"} & {line.text for line in ledger.logs()} == set()
        assert [(row.table, row.day, row.free) for row in ledger.usage()] == written


def test_the_newest_run_of_a_connector_is_kept_however_old(tmp_path: Path) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    with Ledger.open(f"sqlite:///{tmp_path}/ledger.db", clock=lambda: now) as ledger:
        for run in ("a", "b"):
            ledger.begin_run("shop", trigger="manual", run_id=run)
            ledger.finish_run(run, "succeeded", 0)
        assert ledger.prune(now) == 0
        assert ledger.prune(now + timedelta(seconds=1)) == 1
        assert [run.run_id for run in ledger.runs()] == ["b"]


# --- report


def test_a_report_tells_bookmark_rows_rejects_and_what_was_unchanged(shop: Shop) -> None:
    run = typed(shop.folder, "logs", "shop", "--runs", "--json").json["runs"][1]
    second = run["run_id"]
    (report,) = typed(shop.folder, "report", "shop", "--run", second, "--json").json["reports"]
    tables = {one["table"]: one for one in report["tables"]}
    assert list(tables) == ["orders", "orders__tags", "lines", "people"]
    orders, tags, lines, people = tables.values()
    assert [(one["run"], one["day"], one["period"], one["previous"]) for one in tables.values()] == [
        (1, 4, 4, 0),
        (2, 8, 8, 0),
        (1, 4, 4, 0),
        (0, 4, 4, 0),
    ]
    assert (orders["stream"], orders["subtable"], tags["stream"], tags["subtable"]) == ("orders", False, "orders", True)
    assert (lines["root"], lines["bookmark"]) == ("orders", orders["bookmark"])
    assert orders["bookmark"]["value"] == "2026-01-01T00:03:00Z"
    assert people["bookmark"] is None
    assert (orders["counts"]["unchanged"], orders["counts"]["rejected"]) == (1, 1)
    assert people["counts"]["unchanged"] == 4
    assert orders["extracted_at"] == next(step["finished_at"] for step in run["steps"] if step["stream"] == "orders")


def test_subtables_are_part_of_their_table_until_they_are_asked_for(shop: Shop) -> None:
    told = typed(shop.folder, "report", "shop")
    assert told.cells("orders")[:3] == ["orders", "(+1)", "2026-01-01T00:03:00Z"]
    assert told.cells("orders")[6:9] == ["12", "12", "0"]
    assert told.cells("people")[:3] == ["people", "full", "table"]
    assert "orders__tags" not in told.out
    assert "--subtables shows them" in told.out
    wide = typed(shop.folder, "report", "shop", "--subtables")
    assert wide.cells("orders")[5:8] == ["4", "4", "0"]
    assert wide.cells("orders__tags")[4:7] == ["8", "8", "0"]


def test_the_history_of_a_table_has_a_line_for_each_run_failures_too(shop: Shop) -> None:
    loads = typed(shop.folder, "report", "shop", "--table", "orders", "--json").json["loads"]
    told = [(one["status"], (one["bookmark"] or {}).get("value"), one["written"], one["unchanged"]) for one in loads]
    assert told == [
        ("failed", None, 0, 0),
        ("succeeded", "2026-01-01T00:03:00Z", 1, 1),
        ("succeeded", "2026-01-01T00:02:00Z", 3, 0),
    ]
    assert "a lasting fault" in loads[0]["error"]
    tags = typed(shop.folder, "report", "--table", "orders__tags", "--json").json["loads"]
    assert [(one["written"], one["unchanged"]) for one in tags] == [(0, 0), (2, 2), (6, 0)]
    assert "a lasting fault" in typed(shop.folder, "report", "shop", "--table", "orders").out


def test_periods_are_told_apart(shop: Shop) -> None:
    shop.write('start_date = "2020-01-01"\n[metering]\nperiod_start = 2020-01-01\n[connectors.shop.streams]\n')
    (report,) = typed(shop.folder, "report", "shop", "--json").json["reports"]
    begin = datetime.fromisoformat(report["period"])
    assert (begin - datetime(2020, 1, 1, tzinfo=UTC)) % timedelta(days=30) == timedelta()
    assert begin - datetime.fromisoformat(report["previous"]) == timedelta(days=30)
    shop.write('start_date = "2020-01-01"\n[metering]\nperiod = "month"\n[connectors.shop.streams]\n')
    (report,) = typed(shop.folder, "report", "shop", "--json").json["reports"]
    assert datetime.fromisoformat(report["period"]).day == 1
    assert datetime.fromisoformat(report["previous"]).day == 1


# --- reset


def test_e4_a_reset_stream_is_read_again_and_metered_the_others_stay(tmp_path: Path) -> None:
    shop = Shop(tmp_path, data())
    shop.go()
    people = shop.rows("people")
    told = typed(tmp_path, "reset", "shop", "orders", "--dry-run").out
    assert "orders, orders__tags, lines" in told
    assert "Nothing was changed" in told
    assert len(shop.rows("orders")) == 3
    assert typed(tmp_path, "reset", "shop", "orders", "--yes", "--json").json["done"]
    assert shop.tables() == {"people"}
    (known,) = typed(tmp_path, "status", "--json").json["connectors"]
    assert [(one["stream"], one["bookmark"]) for one in known["streams"]] == [("orders", None), ("people", None)]
    assert "reset of orders: its tables were dropped" in typed(tmp_path, "logs", "shop", "--stream", "orders").out
    with shop.ledger() as ledger:
        first = ledger.first_data_at("shop")
    again = shop.go()
    assert {name: table.written for name, table in again.tables.items()} == {"orders": 3, "orders__tags": 6, "lines": 3}
    assert again.counts["people"].unchanged == 4
    assert (len(shop.rows("orders")), shop.rows("people")) == (3, people)
    with shop.ledger() as ledger:
        assert sum(row.free for row in ledger.usage()) == 4 + 2 * 12
        assert ledger.first_data_at("shop") == first


def test_a_reset_of_all_streams_works_without_the_ledger_and_after_it_nothing_is_left(tmp_path: Path) -> None:
    shop = Shop(tmp_path, data())
    shop.go()
    for file in (tmp_path / ".connector-core").iterdir():
        file.unlink()
    plan = typed(tmp_path, "reset", "shop", "--all", "--dry-run", "--json").json
    assert [family["stream"] for family in plan["families"]] == ["orders", "people"]
    typed(tmp_path, "reset", "shop", "--all", "--yes")
    assert shop.tables() == set()
    shop.go()
    assert (len(shop.rows("orders")), len(shop.rows("people"))) == (3, 4)


class Keyboard(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_reset_on_a_terminal_asks_and_does_nothing_without_a_yes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop(tmp_path, data())
    shop.go()
    monkeypatch.setattr(sys, "stdin", Keyboard("no\n"))
    told = typed(tmp_path, "reset", "shop", "people", code=2)
    assert "Type yes to go on: " in told.err
    assert "was not confirmed - nothing was changed" in told.err
    assert len(shop.rows("people")) == 4
    monkeypatch.setattr(sys, "stdin", Keyboard("yes\n"))
    assert "Done. `connector-core run shop` reads them again." in typed(tmp_path, "reset", "shop", "people").out
    assert shop.tables() == {"orders", "orders__tags", "lines"}


def test_f1_a_connector_that_runs_is_not_reset(tmp_path: Path) -> None:
    shop = Shop(tmp_path, data())
    shop.go()
    with shop.ledger() as ledger, ledger.lease("connector:shop", holder="a run"), pytest.raises(BusyError):
        reset_streams(
            shop.config.connectors["shop"], ["orders"], config=shop.config, ledger=ledger,
            clock=SystemClock(), stop=threading.Event(),
        )  # fmt: skip
    assert len(shop.rows("orders")) == 3
