"""Desk to DuckDB through the real engine, over real HTTP with real signatures: every field, every call, moving data."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from math import ceil
from pathlib import Path
from typing import Any

import pytest

from tests.support.desk import SMALL_PAGES, Desk, desk
from tests.support.desk_tables import TABLES, expected, found


def crowd(project: Desk, count: int) -> None:
    """Let so many cases change within one second."""
    ids = [case["id"] for case in project.sandbox.expected()["cases"]][:count]
    project.sandbox.store.update_cases(ids, updated_at="2026-05-01T10:00:00Z")


def walk_calls(values: list[str], *, start: str, size: int, since: str) -> int:
    """How many requests the walk of design section 12 makes over quiet data (sorted seconds)."""
    seconds = sorted(_seconds(value) for value in values)
    last, calls = _seconds(start), 0
    while True:
        low = last - 1
        rest = [v for v in seconds if (v > low if since == "exclusive" else v >= low)]
        pages = max(1, ceil(len(rest) / size))
        first = max(rest[0], low) if rest else low
        read = next((n for n in range(1, pages + 1) if rest and rest[min(n * size, len(rest)) - 1] >= first + 2), pages)
        calls += read if read == 1 else 2 * read
        if read == pages:
            return calls
        last = rest[read * size - 1]


def _seconds(instant: str) -> int:
    return int(datetime.fromisoformat(instant).astimezone(UTC).timestamp())


def formula(project: Desk, *, cases_from: str, customers_from: str, fetched: Callable[[dict[str, Any]], bool]) -> int:
    """Design section 12: the calls of a run over quiet data."""
    site, switches = project.sandbox.expected(), project.sandbox.settings
    users, groups = len(site["users"]), len(site["groups"])
    lists = 1 + ceil(users / 1000) + ceil(groups / 1000) + min(users, groups)
    walks = [
        walk_calls([r["updated_at"] for r in site[name]], start=begin, size=switches.most(name), since=switches.since)
        for name, begin in (("cases", cases_from), ("customers", customers_from))
    ]
    replies = sum(
        ceil(case["_links"]["replies"]["count"] / switches.most("replies")) for case in site["cases"] if fetched(case)
    )
    return lists + sum(walks) + replies


@pytest.mark.parametrize("since", ["exclusive", "inclusive"])
def test_every_field_of_every_record_and_exactly_the_calls_of_the_formula(tmp_path: Path, since: str) -> None:
    with desk(tmp_path, since=since, max_per_page=SMALL_PAGES, same_second=6) as project:
        report = project.go()
        project.equals_source()
        start = "2020-01-01T00:00:00Z"
        assert report.calls == formula(project, cases_from=start, customers_from=start, fetched=lambda case: True)
        assert report.calls == project.sandbox.ledger.count()

        site = project.sandbox.expected()
        tops = {name: max(r["updated_at"] for r in site[name]) for name in ("cases", "customers")}
        idle = project.go()
        assert (idle.rows_written, idle.rows_deleted) == (0, 0)
        assert sum(c.unchanged for c in idle.counts.values()) > 0
        assert idle.calls == formula(
            project, cases_from=tops["cases"], customers_from=tops["customers"], fetched=lambda case: False
        )

        ids = [case["id"] for case in site["cases"]][:7]
        for case_id in ids[:5]:
            project.sandbox.store.update_case(case_id, subject=f"changed {case_id}")
        project.sandbox.store.add_reply(ids[5])
        project.sandbox.store.update_customer(site["customers"][0]["id"], emails=[])
        project.sandbox.store.add_case(subject="new")
        changed = {r["id"] for r in project.sandbox.expected()["cases"]} - {r["id"] for r in site["cases"]} | set(
            ids[:6]
        )
        incremental = project.go()
        project.equals_source()
        assert incremental.counts["cases"].loaded == 7
        assert incremental.counts["customers"].loaded == 1
        assert incremental.calls == formula(
            project,
            cases_from=tops["cases"],
            customers_from=tops["customers"],
            fetched=lambda case: case["id"] in changed,
        )


def test_the_start_date_is_inclusive_and_a_year_by_default(tmp_path: Path) -> None:
    with desk(tmp_path, settings="") as project:
        project.go()
        start = datetime.now(UTC).replace(year=datetime.now(UTC).year - 1, hour=0, minute=0, second=0)
        project.equals_source(since=f"{start:%Y-%m-%dT%H:%M:%SZ}")


def test_replies_of_a_page_are_fetched_side_by_side(tmp_path: Path) -> None:
    with desk(tmp_path, latency=0.02, cases=60) as project:
        project.go()
        assert project.sandbox.ledger.in_flight_max["replies"] >= 4


def test_a_steady_run_meets_no_429(tmp_path: Path) -> None:
    with desk(tmp_path, cases=80, customers=20, rate_limit=60, window_seconds=2) as project:
        report = project.go()
        assert set(project.sandbox.ledger.statuses()) == {200}
        assert report.calls > 60
        assert report.waited > 0
        assert any(type(event).__name__ == "Waiting" and event.reason == "rate_limit" for event in project.events)  # type: ignore[attr-defined]
        project.equals_source()


def test_a41_the_page_cap_is_crossed_and_a_second_with_more_records_than_a_page_is_passed(tmp_path: Path) -> None:
    with desk(tmp_path, cases=200, max_per_page=SMALL_PAGES, page_cap=4) as project:
        crowd(project, 25)
        project.go()
        project.equals_source()
        assert not project.sandbox.ledger.requests(status=422)


def test_a41_a_second_beyond_the_page_cap_is_a_loud_error(tmp_path: Path) -> None:
    with desk(tmp_path, cases=200, max_per_page=SMALL_PAGES, page_cap=2) as project:
        crowd(project, 60)
        report = project.go(code=4)
        assert "page cap" in (report.error or "")
        assert report.counts["users"].loaded == 12, "other streams go on"


@pytest.mark.parametrize("seed", range(3))
def test_a28_a29_records_change_appear_and_vanish_while_paging(tmp_path: Path, seed: int) -> None:
    """After one quiet run the destination equals the source, up to deletions in key-based streams."""
    with desk(tmp_path, seed=seed, max_per_page=SMALL_PAGES, same_second=15) as project:
        site = project.sandbox.expected()
        ids = [case["id"] for case in site["cases"]]
        people = [customer["id"] for customer in site["customers"]]
        gone = {"cases": set(), "customers": set()}  # type: ignore[var-annotated]

        def stir(store: Any, turn: int) -> None:
            store.update_case(ids[(7 * turn) % 90], subject=f"moved {turn}")
            if turn % 3 == 0:
                store.add_case(subject=f"added {turn}")
                store.add_reply(ids[(11 * turn) % 90])
            if turn % 4 == 0:
                store.delete_case(ids[90 + turn])
                gone["cases"].add(ids[90 + turn])
                store.delete_customer(people[30 + turn // 4])
                gone["customers"].add(people[30 + turn // 4])
            store.update_customer(people[turn % 30], title=f"T{turn}")

        for turn in range(1, 21):
            project.sandbox.script(after_request=4 * turn, do=lambda store, turn=turn: stir(store, turn))
        project.go()
        project.go()
        project.go()
        there, here = found(project), expected(project.sandbox.expected())
        for table in sorted(TABLES):
            stream = table.split("__")[0]
            dead = gone.get(stream, set()) if stream != "replies" else gone["cases"]
            key = {"replies": "case_id"}.get(table, "id") if "__" not in table else "_sdc_source_key_id"
            alive = [row for row in there[table] if stream not in (*gone, "replies") or row[key] not in dead]
            assert alive == here[table], table


def test_a_new_custom_field_appears_on_all_cases_without_rewriting_any(tmp_path: Path) -> None:
    with desk(tmp_path, cases=40) as project:
        project.go()
        project.sandbox.store.define_custom_field("ticket", "brand_new", "string")
        report = project.go()
        assert report.rows_written == 0
        assert "custom_fields__brand_new" in project.rows("cases")[0]
        project.equals_source()


def test_b35_a_changed_declared_type_splits_the_column_and_keeps_the_old_values(tmp_path: Path) -> None:
    with desk(tmp_path, cases=40) as project:
        project.sandbox.store.define_custom_field("ticket", "seen", "string", default="yes", overwrite=True)
        project.go()
        before = {row["id"]: row["custom_fields__seen"] for row in project.rows("cases")}
        project.sandbox.store.define_custom_field("ticket", "seen", "boolean", default=True, overwrite=True)
        cases = project.sandbox.expected()["cases"]
        newest = max(cases, key=lambda case: case["updated_at"])["id"]
        case = next(c["id"] for c in cases if c["id"] != newest)
        project.sandbox.store.update_case(case)
        project.go()
        after = {
            row["id"]: (row["custom_fields__seen__st"], row["custom_fields__seen__bo"]) for row in project.rows("cases")
        }
        assert after.pop(case) == (None, True)
        after.pop(newest)  # the record at the bookmark was read again
        assert after == {id: (value, None) for id, value in before.items() if id not in (case, newest)}


def test_users_who_leave_are_deleted_and_memberships_follow(tmp_path: Path) -> None:
    with desk(tmp_path, cases=5, customers=3) as project:
        project.go()
        site = project.sandbox.expected()
        member = site["memberships"][0]
        project.sandbox.store.remove_membership(member["group_id"], member["user_id"])
        leaving = next(u["id"] for u in site["users"] if u["id"] != member["user_id"])
        project.sandbox.store.delete_user(leaving)
        report = project.go()
        assert report.counts["users"].deleted == 1
        project.equals_source()
