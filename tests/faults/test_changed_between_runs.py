"""What a stream is changes between two runs: nothing is lost or doubled for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from connector_core.events import Warned
from tests.support.engine import INSTANT, INTEGER, Shop, served, stream

EARLY, LATE = "2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z"


def by(key: str, *records: Any) -> dict[str, Any]:
    """An incremental stream with this replication key."""
    fields = {"at": INSTANT, "n": INTEGER, "m": INTEGER}
    return served(
        [stream(fields=fields, replication="incremental", replication_key=key, overlap=1)], {"things": records}
    )


@pytest.mark.parametrize(("before", "after"), [("n", "m"), ("n", "at"), ("at", "n")])
def test_another_replication_key_reads_the_stream_again(tmp_path: Path, before: str, after: str) -> None:
    shop = Shop(tmp_path, by(before, {"id": 1, "n": 500, "m": 1, "at": LATE}))
    shop.go()
    shop.serve(by(after, {"id": 1, "n": 500, "m": 1, "at": LATE}, {"id": 2, "n": 7, "m": 5, "at": EARLY}))
    report = shop.go()
    assert sorted((row["id"], row["n"]) for row in shop.rows("things")) == [(1, 500), (2, 7)]
    assert report.counts["things"].unchanged == 1
    assert [warned.text for warned in shop.told(Warned)] == [
        "the replication key of 'things' is another one now: it is read again from its start date"
    ]
    assert shop.go().rows_written == 0
    assert not shop.told(Warned)
