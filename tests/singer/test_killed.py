"""A run of a tap that is killed at any step of a commit: the next one leaves what an undisturbed one leaves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.taps import Tapped, entry, rows
from tests.support.zygote import Zygote

STEPS = [*rows(1, 3), "state", *rows(4, 9), "state", *rows(10, 11), "state"]


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    with Zygote("tests.support.small_pages") as zygote:
        yield zygote


@pytest.mark.parametrize(
    ("seam", "times"),
    [
        ("hook.extract.before", 4),
        ("load.stage.after", 3),
        ("load.drop.after", 2),
        ("load.commit.before", 2),
        ("load.commit.after", 2),
        ("ledger.record.before", 2),
    ],
)
def test_a_table_without_a_key_has_every_row_once_after_a_kill(
    zygote: Zygote, tmp_path: Path, seam: str, times: int
) -> None:
    project = Tapped(tmp_path, settings="batch_records = 2")
    project.script([entry("orders", key=None)], orders=STEPS)
    assert zygote.run(["run"], cwd=project.folder, env=project.env, kill_at=(seam, times)).killed
    ended = zygote.run(["run"], cwd=project.folder, env=project.env)
    assert ended.code == 0, ended.output
    assert project.ids() == [*range(1, 12)]
    assert project.bookmark("orders")["state"] == {"state": {"at": len(STEPS)}}
