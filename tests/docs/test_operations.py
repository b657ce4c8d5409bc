"""docs/operations.md: every command of an operator's day is typed, in the order of the page."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping

import pytest

from connector_desk.sandbox import Sandbox
from connector_desk.sandbox.settings import DEMO
from tests.docs.blocks import README, ROOT, block, shell_lines
from tests.support.receiver import receiving
from tests.support.typed import Typed, typed

PAGE = ROOT / "docs" / "operations.md"


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Typed]]:
    """What came of each command, typed in the folder of the README's example after a first run."""
    folder = tmp_path_factory.mktemp("operator")
    file = folder / "connectors.toml"
    connector = "[connectors.stitch_desk]"
    told = block(README, "toml", "stitch_desk").replace(f"{connector} ", f'{connector}\nextensions = ["alerts"] ')
    file.write_text(told + block(PAGE, "toml", "extensions.alerts"))
    file.chmod(0o600)
    before = dict(os.environ)
    with Sandbox(dataclasses.replace(DEMO, now="2026-06-01T12:00:00Z")) as desk, receiving() as receiver:
        known = dataclasses.asdict(desk.credentials) | {"site_url": desk.url}
        os.environ.update({f"DESK_{name.upper()}": str(value) for name, value in known.items()})
        os.environ.update({"ALERTS_URL": receiver.url, "ALERTS_SECRET": "a signing key"})
        try:
            typed(folder, "run")
            yield {" ".join(words[1:]): typed(folder, *words[1:]) for words in commands()}
        finally:
            os.environ.clear()
            os.environ.update(before)


def commands() -> list[list[str]]:
    return [words for words in shell_lines(PAGE) if words[0] == "connector-core"]


def test_every_command_of_the_day_succeeds(day: Mapping[str, Typed]) -> None:
    assert {name: told.err for name, told in day.items() if told.code} == {}
    assert len(commands()) == len(shell_lines(PAGE)) >= 12
    assert {"logs", "report", "reset", "rejects", "run", "usage"} <= {name.split()[0] for name in day}


def test_the_page_says_what_they_show(day: Mapping[str, Typed]) -> None:
    assert "succeeded" in day["logs --runs"].out
    assert "Extraction of cases succeeded." in day["logs stitch_desk --run last"].out
    assert "cases__labels" in day["report stitch_desk --subtables"].out
    assert "loads of cases" in day["report stitch_desk --table cases"].out
    assert "Forecast: " in day["usage"].out
    assert day["usage --since 7d --csv"].out.startswith(
        "connector,stream,table,day,free,counted,unchanged\nstitch_desk,"
    )
    assert "receipts taken from the destination" in day["usage --sync"].err
    assert "Nothing was changed" in day["reset stitch_desk cases --dry-run"].out
    assert "replies" in day["reset stitch_desk cases --dry-run"].out
    assert "368 " in day["run"].out
    assert "paused by" in day["status"].out
    assert len(day["schedule stitch_desk --count 5"].out.splitlines()) == 6
    assert "alerts: delivered" in day["webhook test"].out
    assert "tables: stay as they are" in day["plan stitch_desk"].out
