"""A destination that was set back to an older state (E2): the next run goes on from what is really there."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from connector_core.events import Warned
from tests.support.desk import Desk, desk
from tests.support.engine import Shop, incremental, served, stream


def change(project: Desk, number: int) -> None:
    """What happens at the source between two runs."""
    store = project.sandbox.store
    ids = [case["id"] for case in project.sandbox.dump()["cases"]]
    store.update_cases(ids[number : number + 8], priority=number + 1, labels=[f"round {number}"])
    added = store.add_case(subject=f"added in round {number}")
    store.add_reply(added, body="late")
    store.delete_user(project.sandbox.dump()["users"][0]["id"])
    store.update_customer(project.sandbox.dump()["customers"][number]["id"], emails=[])


def sequences(project: Desk) -> list[int]:
    return [row[0] for row in project.query('select _sdc_sequence from "stitch_desk"."cases" order by 1')]


@pytest.mark.parametrize("runs", [1, 3])
def test_e2_a_destination_restored_from_a_backup_is_read_again_from_its_own_bookmark(tmp_path: Path, runs: int) -> None:
    """The ledger knows `runs` more runs than the restored file: the file decides where reading goes on."""
    with desk(tmp_path, cases=60, customers=20) as project:
        project.go()
        backup = tmp_path / "backup.duckdb"
        shutil.copy(project.warehouse, backup)
        for number in range(runs):
            change(project, number)
            project.go()
            project.equals_source()
        newest = max(sequences(project))
        shutil.copy(backup, project.warehouse)
        assert max(sequences(project)) < newest, "it is the old state again"
        report = project.go()
        project.equals_source()
        assert report.counts["cases"].loaded == 8 * runs + runs - overlapping(runs), "only what the file lacks"
        assert max(sequences(project)) > newest, "no version is older than one that was ever given out"
        assert [event.text for event in project.events if isinstance(event, Warned) and "older" in event.text]
        again = project.go()
        assert sum(counts.loaded for counts in again.counts.values()) == 0, "and that is all"
        project.equals_source()


def overlapping(runs: int) -> int:
    """Cases that several rounds have changed count once."""
    touched = [set(range(number, number + 8)) for number in range(runs)]
    return 8 * runs - len(set.union(*touched))


def test_e2_without_a_key_and_with_full_tables_too(tmp_path: Path) -> None:
    def data(count: int) -> dict[str, object]:
        rows = [{"id": n, "at": f"2026-01-01T00:00:{n:02d}Z"} for n in range(count)]
        streams = [incremental("events", primary_key=[]), incremental("orders"), stream("tags")]
        return served(streams, {"events": rows, "orders": rows, "tags": rows[:: max(1, count // 8)]})

    def ids(shop: Shop, name: str) -> list[int]:
        return sorted(row["id"] for row in shop.rows(name))

    shop = Shop(tmp_path, data(10))
    shop.go()
    backup = tmp_path / "backup.duckdb"
    shutil.copy(shop.warehouse, backup)
    for count in (20, 30):
        shop.serve(data(count))
        shop.go(allow_deletes=("tags",))
    shutil.copy(backup, shop.warehouse)
    assert ids(shop, "events") == list(range(10))
    shop.go(allow_deletes=("tags",))
    assert ids(shop, "events") == ids(shop, "orders") == list(range(30))
    assert ids(shop, "tags") == list(range(0, 30, 3))
