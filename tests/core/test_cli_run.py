"""`run` and `rejects` as a user meets them: reports, exit codes, several connectors, signals."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import command, environment
from tests.support.project import SITE, Scripted
from tests.support.trees import distribution

CANARY = "c4n4ry-S3cret"
ORDERS = {
    "name": "orders",
    "schema": {
        "type": "object",
        "properties": {
            "id": {"type": "integer"},
            "updated_at": {"type": "string", "format": "date-time"},
            "tags": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["id", "updated_at"],
    },
    "primary_key": ["id"],
    "replication": "incremental",
    "replication_key": "updated_at",
}
PEOPLE = {
    "name": "people",
    "schema": {"type": "object", "properties": {"id": {"type": "integer"}}},
    "primary_key": ["id"],
}


def data(orders: int = 7, bad: int = 0, **more: Any) -> dict[str, Any]:
    """What the scripted source serves: orders, incremental, with tags; people, full table."""
    good = [{"id": i, "updated_at": f"2026-01-01T00:{i:02}:00Z", "tags": ["a", "b"]} for i in range(orders)]
    wrong = [{"id": f"x{i}", "updated_at": f"2026-01-02T00:{i:02}:00Z"} for i in range(bad)]
    records = {"orders": good + wrong, "people": [{"id": 1}, {"id": 2}]}
    return {"streams": [ORDERS, PEOPLE], "records": records, "served_at": "2026-06-01T00:00:00+00:00", **more}


def run(project: Scripted, *arguments: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return command(*arguments, cwd=project.folder, env=env, trees=[SITE])


def cells(text: str, first: str) -> list[str]:
    """The words of the line that begins with this word."""
    return next(line.split() for line in text.splitlines() if line.split()[:1] == [first])


# --- the loading report


def test_a_run_reports_streams_and_tables(tmp_path: Path) -> None:
    project = Scripted(tmp_path, data(bad=1))
    done = run(project, "run")
    assert done.returncode == 0
    first = done.stdout.splitlines()[0]
    assert re.fullmatch(r"shop: succeeded in [\d.]+ s; 23 rows written, 0 deleted, 1 rejected; \d+ calls", first)
    assert cells(done.stdout, "stream") == [
        "stream", "extracted", "loaded", "unchanged", "superseded", "rejected", "filtered", "bookmark",
    ]  # fmt: skip
    assert cells(done.stdout, "orders")[1:7] == ["8", "7", "0", "0", "1", "0"]
    assert cells(done.stdout, "orders")[7].startswith("2026-01-01T00:06:00")
    assert cells(done.stdout, "people")[1:] == ["2", "2", "0", "0", "0", "0"]
    assert cells(done.stdout, "orders__tags") == ["orders__tags", "14", "0"]
    assert "rejected: 1 bad_key; `connector-core rejects list shop` shows why" in done.stdout
    assert "created " in done.stdout
    for line in ("reads the whole table", "1 record rejected (1 bad_key), first: ", "created orders"):
        assert line in done.stderr
    assert len(project.rows("orders")) == 7


def test_an_idle_run_says_that_there_was_nothing_new(tmp_path: Path) -> None:
    project = Scripted(tmp_path, data())
    run(project, "run")
    done = run(project, "run")
    assert done.returncode == 0
    assert re.match(r"shop: succeeded in [\d.]+ s; nothing new: 3 records unchanged, 0 rows written; ", done.stdout)


def test_json_is_one_object_per_run_on_standard_output(tmp_path: Path) -> None:
    project = Scripted(tmp_path, data(bad=1))
    done = run(project, "run", "--json")
    (line,) = done.stdout.splitlines()
    report = json.loads(line)
    assert (report["connector"], report["status"], report["exit_code"], report["error"]) == (
        "shop",
        "succeeded",
        0,
        None,
    )
    assert (report["rows_written"], report["rejects"]) == (23, {"bad_key": 1})
    assert report["streams"]["orders"]["loaded"] == 7
    assert report["tables"]["orders__tags"] == {"written": 14, "deleted": 0}
    assert "shop orders" in done.stderr


def test_select_and_full(tmp_path: Path) -> None:
    project = Scripted(tmp_path, data())
    assert set(json.loads(run(project, "run", "--json", "--select", "people").stdout)["streams"]) == {"people"}
    run(project, "run")
    again = json.loads(run(project, "run", "--json", "--full", "--select", "orders").stdout)
    assert (again["streams"]["orders"]["extracted"], set(again["streams"])) == (7, {"orders"})
    assert len(project.rows("orders")) == 7


# --- exit codes


@pytest.mark.parametrize(
    ("facts", "settings", "code", "said"),
    [
        ({"bad": 3}, "max_rejects = 2", 3, "error: shop: "),
        ({"faults": {"orders": {"1": "fail"}}}, "", 4, "a lasting fault"),
        ({"faults": {"orders": {"1": "auth"}}}, "", 4, "credentials refused"),
        (
            {"faults": {"orders": {"1": "crash"}}},
            "",
            6,
            "plugin 'scripted' (scripted-source 1.0), hook extract: raised",
        ),
        ({"faults": {"orders": {"1": "none"}}}, "", 6, "hook extract: returned nothing"),
    ],
)
def test_the_exit_code_says_who_must_act(
    tmp_path: Path, facts: dict[str, Any], settings: str, code: int, said: str
) -> None:
    done = run(Scripted(tmp_path, data(**facts), settings), "run")
    assert done.returncode == code
    assert done.stderr.count(said) == 1, "an error is told in full once"
    assert re.match("shop: (failed|rejected) in ", done.stdout)
    assert "error: [" in done.stdout
    assert said not in done.stdout


def test_a_stream_that_is_not_there_is_exit_code_2(tmp_path: Path) -> None:
    done = run(Scripted(tmp_path, data()), "run", "--select", "ordres")
    assert done.returncode == 2
    assert "there is no stream 'ordres'" in done.stderr
    assert 'did you mean "orders"?' in done.stderr


def test_a_disabled_connector_does_not_run(tmp_path: Path) -> None:
    project = Scripted(tmp_path, data(), "enabled = false")
    done = run(project, "run", "shop")
    assert (done.returncode, done.stdout) == (2, "")
    assert (
        done.stderr
        == "error: connector 'shop' is disabled - set enabled = true in [connectors.shop] [connector_disabled]\n"
    )
    assert not (tmp_path / ".connector-core").exists()


def test_f1_a_second_run_at_the_same_time_is_exit_code_75(tmp_path: Path) -> None:
    project = Scripted(tmp_path, data(delay=600))
    first = start(project)
    second = run(project, "run")
    first.kill()
    first.communicate()
    assert second.returncode == 75
    (line,) = second.stderr.splitlines()
    assert line.startswith("error: ")
    assert second.stdout.startswith("shop: failed in ")


BROKEN_SINK = """
import contextlib, os
from connector_core import Description, Traits, hookimpl


class Target:
    namespace = "x"
    traits = Traits(name_bytes=63, suffixes={})

    def claim(self, connector, *, epoch=0, after=0, keep=0):
        raise RuntimeError("no luck with " + os.environ["PASSWORD"])


@hookimpl
def describe():
    properties = {"password": {"type": "string", "writeOnly": True}}
    return Description(kind="destination", name="broken", config_schema={"type": "object", "properties": properties})

@hookimpl
def connect(config, namespace):
    return contextlib.nullcontext(Target())

@hookimpl
def load(target, batch):
    raise RuntimeError
"""
OTHERS = """
[destinations.bad]
type = "broken"
password = "${PASSWORD}"
[connectors.a_first]
source = "scripted"
destination = "bad"
[connectors.a_first.config]
data = "data.json"
"""


def test_d12_one_connector_fails_and_the_others_run(tmp_path: Path) -> None:
    project = Scripted(tmp_path / "p", data())
    file = project.folder / "connectors.toml"
    file.write_text(OTHERS + file.read_text())
    tree = distribution(
        tmp_path / "s", "b", destinations={"broken": "broken_sink"}, modules={"broken_sink": BROKEN_SINK}
    )
    done = command("run", cwd=project.folder, env={"PASSWORD": CANARY}, trees=[SITE, tree])
    assert done.returncode == 6
    assert "a_first: failed" in done.stdout
    assert "shop: succeeded" in done.stdout
    assert "no luck with ***" in done.stderr
    left = "".join(path.read_text() for path in project.folder.glob(".connector-core/*.txt"))
    assert CANARY not in done.stdout + done.stderr + left
    assert len(project.rows("orders")) == 7
    named = command(
        "run", "shop", cwd=project.folder, trees=[SITE]
    )  # what is not named needs neither plugin nor variable
    assert named.returncode == 0


# --- rejects and status


def test_rejects_are_listed_and_replayed(tmp_path: Path) -> None:
    project = Scripted(tmp_path, data(bad=2))
    empty = run(project, "rejects", "list")
    assert (empty.returncode, empty.stdout) == (0, "No rejected records.\n")
    run(project, "run")
    listed = run(project, "rejects", "list", "shop")
    assert listed.returncode == 0
    assert "shop" in cells(listed.stdout, "last") or "connector" in cells(listed.stdout, "last")
    assert listed.stdout.count("bad_key") == 2
    assert "2 records. Their full text is in _sdc_rejected" in listed.stdout
    assert "the newest 1 record; --limit shows more" in run(project, "rejects", "list", "--limit", "1").stdout
    found = json.loads(run(project, "rejects", "list", "--json", "--stream", "orders").stdout)["rejects"]
    assert {(r["connector"], r["stream"], r["code"], r["path"]) for r in found} == {
        ("shop", "orders", "bad_key", "/id")
    }
    assert json.loads(run(project, "rejects", "list", "--json", "--stream", "people").stdout)["rejects"] == []
    unknown = run(project, "rejects", "list", "shpo")
    assert unknown.returncode == 2
    assert 'did you mean "shop"?' in unknown.stderr
    replayed = run(project, "rejects", "replay", "shop")
    assert replayed.returncode == 0
    assert re.match(r"shop: succeeded in [\d.]+ s; 0 rejected records could be loaded now", replayed.stdout)


def test_a_replay_loads_what_has_become_good(tmp_path: Path) -> None:
    project = Scripted(tmp_path, data(bad=2), 'schema = "freeze"')
    served = data()
    served["records"]["orders"][0]["extra"] = 1
    project.serve(served)
    assert json.loads(run(project, "run", "--json").stdout)["streams"]["orders"]["rejected"] == 1
    project.write("")
    done = run(project, "rejects", "replay", "shop", "--stream", "orders")
    assert done.returncode == 0
    assert "1 rejected record could be loaded now" in done.stdout
    assert run(project, "rejects", "list").stdout == "No rejected records.\n"
    assert len(project.rows("orders")) == 7


def test_status_after_runs(tmp_path: Path) -> None:
    project = Scripted(tmp_path, data(bad=1))
    run(project, "run")
    text = run(project, "status").stdout
    assert cells(text, "shop")[:3] == ["shop", "shop", "active"]
    assert cells(text, "shop")[-3:] == ["23", "23", "1"]
    assert cells(text, "orders")[1].startswith("2026-01-01T00:06:00")
    assert cells(text, "orders")[2:4] == ["7", "21"]
    project.serve(data(faults={"orders": {"1": "fail"}}))
    run(project, "run")
    text = run(project, "status").stdout
    assert cells(text, "shop")[2:4] == ["in", "error"]
    assert "shop: last error: a lasting fault" in text
    (one,) = json.loads(run(project, "status", "--json").stdout)["connectors"]
    assert (one["state"], one["rows_today"], one["rejects"], one["last_run"]["exit_code"]) == ("in error", 23, 1, 4)


# --- signals


def start(project: Scripted) -> subprocess.Popen[str]:
    """A run that is reading: it has told that it begins."""
    process = subprocess.Popen(
        [sys.executable, "-m", "connector_core", "run"],
        cwd=project.folder, env=environment(trees=[SITE]), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    while "reads the whole table" not in (line := process.stderr.readline()):
        assert line, process.wait()
    return process


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)], ids=["INT", "TERM", "HUP"]
)
def test_d4_a_signal_stops_the_run_in_order(tmp_path: Path, number: signal.Signals, code: int) -> None:
    project = Scripted(tmp_path, data(orders=59, delay=0.2))
    process = start(project)
    process.send_signal(number)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == code
    assert "stopping: the transaction in hand is finished or rolled back" in errors
    assert "Traceback" not in errors
    assert output.startswith("shop: stopped in ")
    (one,) = json.loads(run(project, "status", "--json").stdout)["connectors"]
    assert one["last_run"]["status"] == "stopped"
    project.serve(data(orders=59))
    assert run(project, "run").returncode == 0
    assert sorted(row["id"] for row in project.rows("orders")) == list(range(59))


def test_d4_a_second_interrupt_ends_a_run_that_hangs_at_once(tmp_path: Path) -> None:
    project = Scripted(tmp_path, data(delay=600))
    process = start(project)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    while not process.stderr.readline().startswith("stopping:"):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "ended at once: the next run goes on from the last commit" in errors
    project.serve(data())
    assert run(project, "run").returncode == 0  # the lease of the dead run is taken over
    assert len(project.rows("orders")) == 7


def test_d4_a_run_that_hangs_is_ended_after_its_grace(tmp_path: Path) -> None:
    process = start(Scripted(tmp_path, data(delay=600)))
    time.sleep(2)  # until the source hangs
    process.terminate()
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "still busy after 10 s, ended hard" in errors


def test_d4_connectors_that_have_not_begun_do_not_begin(tmp_path: Path) -> None:
    project = Scripted(tmp_path, data(orders=59, delay=0.2))
    file = project.folder / "connectors.toml"
    text = file.read_text()
    file.write_text(
        text + text.partition("[connectors.shop]")[2].join(["[connectors.second]", ""]).replace(".shop.", ".second.")
    )
    process = start(project)
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "second" not in output + errors


STRANGE = {
    "C": {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "TZ": "Asia/Kathmandu"},
    "Turkish": {"LC_ALL": "tr_TR.UTF-8", "LANG": "tr_TR.UTF-8", "TZ": "Pacific/Apia", "PYTHONHASHSEED": "4711"},
}


@pytest.mark.parametrize("name", STRANGE)
def test_g13_locale_home_time_zone_hash_seed_and_umask_of_a_run_do_not_matter(tmp_path: Path, name: str) -> None:
    served = data()
    served["streams"][1] = {**PEOPLE, "name": "größe 😀"}
    served["records"]["größe 😀"] = served["records"].pop("people")
    served["records"]["orders"][0] |= {"Title": "I", "title": "i", "TITLE": "\u0131", "t\u0131tle": "\u0130"}
    project = Scripted(tmp_path, served)
    env = {key: value for key, value in environment(STRANGE[name], trees=[SITE]).items() if key != "HOME"}
    done = subprocess.run(
        [sys.executable, "-m", "connector_core", "run"], cwd=tmp_path, env=env, capture_output=True, text=True, umask=0
    )
    assert done.returncode == 0, done.stderr
    assert ("gr\\xf6\\xdfe \\U0001f600" if name == "C" else "größe 😀") in done.stdout
    assert "Traceback" not in done.stderr
    assert {table: len(project.rows(table)) for table in project.tables()} == {
        "orders": 7,
        "orders__tags": 14,
        "größe 😀": 2,
    }
    first = next(row for row in project.rows("orders") if row["id"] == 0)
    assert {"I", "i", "\u0131", "\u0130"} <= set(map(str, first.values()))
    assert first["updated_at"] == "2026-01-01T00:00:00.000000Z"
    kept = [path for path in (tmp_path / ".connector-core").rglob("*") if path.stat().st_mode & 0o077]
    assert kept == []
    assert project.warehouse.stat().st_mode & 0o077 == 0
