"""The Singer source: a real process that speaks Singer, read by the real engine into DuckDB."""

from __future__ import annotations

import threading
import time
import tracemalloc
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import connector_singer
from connector_core.batch import Counts
from connector_core.events import BatchLoaded
from connector_core.run_report import RunReport
from connector_core.streams import Window
from connector_core.testing import LocalSourceContract
from connector_singer import reading
from tests.support.engine import fates
from tests.support.taps import INTEGER, TEXT, Tapped, entry, row, rows

SMALL = "batch_records = 2"
"""A commit for every two records."""


@pytest.fixture
def project(tmp_path: Path) -> Tapped:
    return Tapped(tmp_path)


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tapped:
    monkeypatch.setattr(reading, "PAGE_RECORDS", 2)
    return Tapped(tmp_path, settings=SMALL)


def done(report: RunReport, stream: str = "orders") -> dict[str, int]:
    return fates(report.counts.get(stream, Counts()))


def alive(pid: int) -> bool:
    """Whether the process runs (what is dead and not waited for does not)."""
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


# --- STATE


def test_state_is_the_bookmark_and_the_next_run_goes_on_from_it(project: Tapped) -> None:
    project.script([entry("orders")], orders=[*rows(1, 3), "state"])
    assert done(project.go()) == {"extracted": 3, "loaded": 3}
    assert project.bookmark("orders")["state"] == {"state": {"at": 4}}
    project.script([entry("orders")], orders=[*rows(1, 3), "state", row(3, name="new"), row(4), "state"])
    assert done(project.go()) == {"extracted": 2, "loaded": 2}
    assert [one["state"] for one in project.started()] == [None, {"at": 4}]
    assert project.query("select id, name from shop.orders order by id")[2:] == [(3, "new"), (4, "name 4")]
    assert done(project.go()) == {}


def test_rows_with_a_key_are_loaded_before_the_state_that_covers_them(small: Tapped) -> None:
    steps = [*rows(1, 2), "state", *rows(3, 5)]
    small.script([entry("orders")], orders=[*steps, {"say": "CRITICAL no more"}, {"exit": 3}])
    report = small.go(code=4)
    assert "[tap_failed]" in str(report.error)
    assert "exit code 3: CRITICAL no more" in str(report.error)
    assert small.ids() == [1, 2, 3, 4, 5]
    assert small.bookmark("orders")["state"] == {"state": {"at": 3}}
    small.script([entry("orders")], orders=[*steps, "state", row(6), "state"])
    assert done(small.go()) == {"extracted": 4, "loaded": 1, "unchanged": 3}
    assert small.ids() == [1, 2, 3, 4, 5, 6]


def test_rows_without_a_key_wait_for_the_state_that_covers_them(small: Tapped) -> None:
    keyless = entry("orders", key=None)
    steps = [*rows(1, 3), "state", *rows(4, 9), "state", *rows(10, 14)]
    small.script([keyless], orders=[*steps, {"exit": 1}])
    report = small.go(code=4)
    assert done(report) == {"extracted": 9, "loaded": 9, "discarded": 5}
    assert small.ids() == [*range(1, 10)]
    assert small.bookmark("orders")["state"] == {"state": {"at": 11}}
    assert not [name for name in small.tables() if name.startswith("_sdc_stage")]
    small.script([keyless], orders=[*steps, "state"])
    assert done(small.go()) == {"extracted": 5, "loaded": 5}
    assert small.ids() == [*range(1, 15)]


def test_rows_without_a_key_that_no_state_ever_covers_are_not_stored_and_that_is_an_error(small: Tapped) -> None:
    small.script([entry("orders", key=None)], orders=[row(1), "state", *rows(2, 6)])
    report = small.go(code=4)
    assert "[state_missing]" in str(report.error)
    assert small.ids() == [1]


def test_a_stream_without_key_whose_tap_knows_no_state_is_what_was_read_last(small: Tapped) -> None:
    small.script([entry("orders", key=None)], orders=rows(1, 5))
    assert done(small.go()) == {"extracted": 5, "loaded": 5}
    small.script([entry("orders", key=None)], orders=rows(2, 6))
    small.go()
    assert small.ids() == [2, 3, 4, 5, 6]


def test_a_tap_that_learns_to_send_state_doubles_nothing(small: Tapped) -> None:
    keyless = entry("orders", key=None)
    small.script([keyless], orders=rows(1, 5))
    small.go()
    small.script([keyless], orders=[*rows(1, 6), "state"])
    small.go()
    assert small.ids() == [1, 2, 3, 4, 5, 6]


def test_a_rejected_record_without_a_key_is_replayed_once(small: Tapped) -> None:
    stream = entry("orders", {"name": {"type": "string", "maxLength": 6}}, key=None)
    bad = [row(number, name="too long for it") for number in (8, 8, 9)]
    steps = [row(1), *bad[:1], "state", *rows(2, 3), *bad[1:], *rows(4, 5)]
    small.script([stream], orders=[*steps, {"exit": 1}])
    assert done(small.go(code=4)) == {"extracted": 2, "loaded": 1, "rejected": 1, "discarded": 6}
    small.script([stream], orders=[*steps, "state"])
    assert done(small.go()) == {"extracted": 6, "loaded": 4, "rejected": 2}
    small.script([entry("orders", key=None)], orders=[])
    small.replay()
    assert small.ids() == [1, 2, 3, 4, 5, 8, 8, 9]


def test_full_reads_a_stream_without_key_again_and_doubles_nothing(small: Tapped) -> None:
    small.script([entry("orders", key=None)], orders=[*rows(1, 5), "state"])
    small.go()
    small.go(full=True)
    assert small.ids() == [1, 2, 3, 4, 5]
    assert [one["state"] for one in small.started()] == [None, None]


# --- full tables, versions


@pytest.mark.parametrize("key", ["id", None])
def test_a_full_table_is_replaced_when_the_tap_has_ended_well(small: Tapped, key: str | None) -> None:
    stream = entry("orders", key=key, replication_method="FULL_TABLE")
    small.script([stream], orders=[*rows(1, 3), "state"])
    small.go()
    small.script([stream], orders=[*rows(2, 3), "state", {"exit": 1}])
    small.go(code=4)
    assert small.ids() == [1, 2, 3]
    small.script([stream], orders=[*rows(2, 4), "state"])
    small.go()
    assert small.ids() == [2, 3, 4]
    assert [one["state"] for one in small.started()] == [None, None, None]


def activate(version: int) -> dict[str, Any]:
    return {"message": {"type": "ACTIVATE_VERSION", "stream": "orders", "version": version}}


@pytest.mark.parametrize("key", ["id", None])
def test_a_new_table_version_takes_the_place_of_all_rows(small: Tapped, key: str | None) -> None:
    stream = entry("orders", key=key)
    small.script([stream], orders=[row(1, version=1), row(2, version=1), activate(1), "state"])
    small.go()
    small.script([stream], orders=[{"sleep": 0}] * 4 + [row(3, version=1), activate(1), "state"])
    small.go()
    assert small.ids() == [1, 2, 3]
    anew = [{"sleep": 0}] * 7 + [row(3, version=2), row(4, version=2), row(5, version=2)]
    small.script([stream], orders=[*anew, "state"])
    assert "without ACTIVATE_VERSION" in str(small.go(code=4).error)
    assert small.ids() == [1, 2, 3]
    small.script([stream], orders=[*anew, activate(2), "state"])
    small.go()
    assert small.ids() == [3, 4, 5]
    assert small.bookmark("orders")["state"]["table_version"] == 2


def test_a_version_is_not_forgotten_and_the_first_one_is_that_of_all_rows(small: Tapped) -> None:
    steps = [row(1), "state", row(2, version=5), activate(5), "state", "state"]
    small.script([entry("orders")], orders=steps[:2])
    small.go()
    small.script([entry("orders")], orders=steps[:5])
    small.go()
    small.script([entry("orders")], orders=[*steps, {"exit": 1}])  # a state before any record of the version
    small.go(code=4)
    assert small.bookmark("orders")["state"] == {"state": {"at": 6}, "table_version": 5}
    small.script([entry("orders")], orders=[*steps, row(3, version=5), activate(5), "state"])
    small.go()
    assert small.ids() == [1, 2, 3]


def test_a_full_table_with_versions_needs_its_activation(small: Tapped) -> None:
    stream = entry("orders", replication_method="FULL_TABLE")
    small.script([stream], orders=[row(1, version=7), activate(7)])
    small.go()
    small.script([stream], orders=[row(2, version=8)])
    assert "[tap_version]" in str(small.go(code=4).error)
    small.script([stream], orders=[row(2, version=8), row(3, version=9), activate(9)])
    assert "in the middle of a pass" in str(small.go(code=4).error)
    assert small.ids() == [1]


# --- selection


def test_the_catalog_selects_what_the_configuration_wants(tmp_path: Path) -> None:
    project = Tapped(
        tmp_path,
        settings="[connectors.shop.streams.users]\nselected = false\n",
        config="""
select = ["o*", "u*"]
[connectors.shop.config.streams.orders]
exclude = ["name"]
replication_key = "at"
[connectors.shop.config.streams.other]
properties = ["n"]
primary_key = ["n"]
replication = "full_table"
""",
    )
    columns = {"name": TEXT, "at": TEXT, "n": INTEGER}
    streams = [entry(name, columns) for name in ("orders", "other", "users", "secrets")]
    project.script(
        streams, **{name: [row(1, at="x", n=2), "state"] for name in ("orders", "other", "users", "secrets")}
    )
    project.go()
    assert project.tables() == {"orders", "other"}
    (orders,), (other,) = project.rows("orders"), project.rows("other")
    assert (orders["id"], orders["at"], orders["n"]) == (1, "x", 2)
    assert "name" not in orders
    assert other["n"] == 2
    assert not {"name", "at"} & other.keys()
    catalogs = {
        one["catalog"]["streams"][i]["stream"]: one for one in project.started() for i in range(4) if chosen(one, i)
    }
    assert catalogs.keys() == {"orders", "other"}
    told = marks(catalogs["other"], 1)[()]
    assert (told["replication-method"], told["table-key-properties"]) == ("FULL_TABLE", ["n"])
    assert marks(catalogs["orders"], 0)[()]["replication-key"] == "at"


def chosen(one: Mapping[str, Any], number: int) -> bool:
    return bool(marks(one, number)[()].get("selected"))


def marks(one: Mapping[str, Any], number: int) -> dict[tuple[str, ...], dict[str, Any]]:
    metadata = one["catalog"]["streams"][number]["metadata"]
    return {tuple(mark["breadcrumb"]): mark["metadata"] for mark in metadata}


def test_settings_of_a_stream_that_is_not_there_are_refused(tmp_path: Path) -> None:
    project = Tapped(tmp_path, config='[connectors.shop.config.streams.order]\nexclude = ["x"]\n')
    project.script([entry("orders")], orders=[])
    assert "it has orders" in str(project.go(code=2).error)


# --- trouble


RUBBISH: Mapping[str, tuple[list[Any], str]] = {
    "text": ([{"write": "Hello"}], "no JSON object, in line 5 of its output"),
    "list": ([{"write": "[1]"}], "no JSON object"),
    "unknown": ([{"message": {"type": "RECROD"}}], "no message of Singer"),
    "batch": ([{"message": {"type": "BATCH", "stream": "batch"}}], "records in files (BATCH)"),
    "empty": ([{"message": {"type": "RECORD", "stream": "empty"}}], "without record"),
    "key": ([{"message": {"type": "SCHEMA", "stream": "key", "key_properties": ["name"]}}], "discovered id"),
    "dead": ([{"exit": 1}], "ended with exit code 1"),
    "killed": ([{"signal": 9}], "was ended by signal 9"),
}


def test_rubbish_and_death_stop_their_stream_alone_and_lose_nothing(project: Tapped) -> None:
    good = [*rows(1, 2), "state"]
    streams = [entry(name) for name in ("fine", *RUBBISH)]
    project.script(streams, fine=good, **{name: [*good, *steps] for name, (steps, _) in RUBBISH.items()})
    error = str(project.go(code=4).error)
    assert [name for name, (_, said) in RUBBISH.items() if said not in error] == []
    assert error.count("[tap_output]") == 6
    assert error.count("[tap_failed]") == 2
    assert [project.ids(name) for name in ("fine", *RUBBISH)] == [[1, 2]] * 9
    project.script(streams, fine=good, **{name: [*good, row(3), "state"] for name in RUBBISH})
    project.go()
    assert [project.ids(name) for name in RUBBISH] == [[1, 2, 3]] * 8
    assert [one["state"] for one in project.started()[9:]] == [{"at": 3}] * 9


def test_a_record_before_its_schema_is_an_error(project: Tapped) -> None:
    early = {"message": {"type": "RECORD", "stream": "orders", "record": {"id": 1}}}
    project.script([entry("orders")], orders=[early])
    assert "before its SCHEMA, in line 1" in str(project.go(code=4).error)


def test_a_record_that_breaks_its_schema_is_rejected_and_the_others_are_loaded(project: Tapped) -> None:
    stream = entry("orders", {"name": {"type": "string", "maxLength": 6}})
    project.script([stream], orders=[row(1), row(2, name="too long for it"), {"row": {"id": None}}, row(4), "state"])
    assert done(project.go()) == {"extracted": 4, "loaded": 2, "rejected": 2}
    assert project.ids() == [1, 4]


@pytest.mark.parametrize(
    ("steps", "code"),
    [([{"write": "{"}], "tap_catalog"), ([{"write": "[]"}], "tap_catalog"), ([{"exit": 2}], "tap_failed")],
)
def test_a_tap_that_cannot_discover_is_named(project: Tapped, steps: list[Any], code: str) -> None:
    project.script([], discover=steps)
    assert f"[{code}]" in str(project.go(code=4).error)


def test_a_tap_that_is_not_there_is_a_problem_of_the_configuration(project: Tapped) -> None:
    project.executable.unlink()
    assert "[tap_unknown]" in str(project.go(code=2).error)
    project.executable.write_text("no program")
    project.executable.chmod(0o755)
    assert "[tap_start]" in str(project.go(code=4).error)


def test_a_tap_that_says_nothing_is_ended(tmp_path: Path) -> None:
    project = Tapped(tmp_path, config="silence_seconds = 1")
    project.script([entry("orders")], orders=[row(1), "state", {"sleep": 600}])
    assert "[tap_silent]" in str(project.go(code=4).error)
    assert project.ids() == [1]
    assert not alive(project.started()[0]["pid"])


def test_what_a_tap_has_started_ends_with_it(project: Tapped, tmp_path: Path) -> None:
    project.script([entry("orders")], orders=[{"child": str(tmp_path / "child")}])
    project.go(code=4)
    assert not alive(int((tmp_path / "child").read_text()))


def test_a_run_that_is_stopped_ends_its_taps_and_leaves_no_secrets(small: Tapped) -> None:
    small.script([entry("orders")], orders=[*rows(1, 4), "state", row(5), {"sleep": 600}])
    stop = threading.Event()
    report = small.go(code=143, stop=stop, watch=lambda event: stop.set() if isinstance(event, BatchLoaded) else None)
    assert report.status == "stopped"
    (started,) = small.started()
    assert not alive(started["pid"])
    assert started["mode"] == "0o100600"
    assert not Path(started["folder"]).exists()


def test_the_log_of_a_tap_is_in_the_log_of_the_run_without_secrets(project: Tapped) -> None:
    said = [
        'INFO METRIC: {"type": "counter", "metric": "record_count", "value": 3, "tags": {"endpoint": "orders"}}',
        "WARNING the token canary-token-of-the-tap is old",
    ]
    project.script([entry("orders")], orders=[row(1), *({"say": line} for line in said), "state"])
    project.run()
    assert project.started()[0]["config"]["api_token"] == "canary-token-of-the-tap"
    lines = project.log()
    assert ("INFO", "metric record_count 3 (endpoint orders)") in lines
    assert ("WARNING", "WARNING the token *** is old") in lines


def test_memory_is_bounded_because_a_tap_has_to_wait(project: Tapped) -> None:
    project.script([entry("orders")], orders=[row(number, name="x" * 100_000) for number in range(200)])
    config = project.config.source_config("shop")
    client = connector_singer.source.authenticate(config)
    (stream,) = connector_singer.source.discover(config, client).streams
    tracemalloc.start()
    try:
        asked = {"client": client, "config": config, "stream": stream, "window": Window(), "parent": None}
        page = connector_singer.source.extract(**asked, page=None)
        time.sleep(1.0)  # all 20 MB would be here, if they were taken
        while page.next is not None:
            page = connector_singer.source.extract(**asked, page=page.next)
        assert tracemalloc.get_traced_memory()[1] < 10 * 1024 * 1024
    finally:
        tracemalloc.stop()
        client.close()


@pytest.fixture(scope="module")
def tapped(tmp_path_factory: pytest.TempPathFactory) -> Tapped:
    project = Tapped(tmp_path_factory.mktemp("contract"))
    project.script(
        [
            entry("orders"),
            entry("lines", key=None),
            entry("countries", replication_method="FULL_TABLE"),
        ],
        orders=[*rows(1, 3), "state", *rows(4, 6), "state", row(7)],
        lines=[*rows(1, 3), "state", *rows(4, 6), "state"],
        countries=rows(1, 5),
    )
    return project


class TestContract(LocalSourceContract):
    @pytest.fixture
    def source(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        monkeypatch.setattr(reading, "PAGE_RECORDS", 2)
        return connector_singer.source

    @pytest.fixture
    def config(self, tapped: Tapped) -> Mapping[str, Any]:
        return tapped.config.source_config("shop")
