"""Key-based incremental replication: what is read again, what is stored, what moves the bookmark (design sections 6
and 7)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from connector_core.events import Event, PageExtracted
from tests.support.crash import metered
from tests.support.engine import START, TEXT, Shop, fates, incremental, served, stream
from tests.support.zygote import Zygote

NOW = "2026-06-01T00:00:00+00:00"
KEYLESS: dict[str, Any] = {"primary_key": [], "overlap": 1}


def thing(number: int, second: float = 0, **more: Any) -> dict[str, Any]:
    """A record with the key `number`, last changed so many seconds after 2026-03-01T08:00:00Z."""
    minutes, seconds = divmod(second, 60)
    return {"id": number, "at": f"2026-03-01T08:{int(minutes):02}:{seconds:06.3f}Z", **more}


def things(*records: Any, page_size: int = 3, **of_stream: Any) -> dict[str, Any]:
    """An incremental stream of these records."""
    return served(
        [incremental(fields={"v": TEXT}, **of_stream)], {"things": records}, page_size=page_size, served_at=NOW
    )


def values(shop: Shop, table: str = "things") -> list[tuple[Any, Any]]:
    """Key and v of every row, sorted."""
    return sorted(((row["id"], row["v"]) for row in shop.rows(table)), key=repr)


# --- with a key


def test_a_second_run_reads_the_overlap_and_writes_nothing(tmp_path: Path) -> None:
    shop = Shop(tmp_path, things(*(thing(i, i) for i in range(7)), overlap=2))
    assert fates(shop.go().counts["things"]) == {"extracted": 7, "loaded": 7}
    before = shop.rows("things")
    again = shop.go()
    assert fates(again.counts["things"]) == {"extracted": 3, "unchanged": 3}
    assert again.rows_written == 0
    assert shop.rows("things") == before
    assert shop.bookmark("things")["value"] == "2026-03-01T08:00:06Z"


def test_changed_records_replace_their_rows_and_new_ones_are_added(tmp_path: Path) -> None:
    shop = Shop(tmp_path, things(thing(1, 1, v="a"), thing(2, 2, v="b")))
    shop.go()
    shop.serve(things(thing(1, 5, v="changed"), thing(2, 2, v="b"), thing(3, 6, v="c")))
    assert fates(shop.go().counts["things"]) == {"extracted": 3, "loaded": 2, "unchanged": 1}
    assert values(shop) == [(1, "changed"), (2, "b"), (3, "c")]
    assert metered(shop) == {"things": 4}


def test_records_deleted_at_the_source_stay(tmp_path: Path) -> None:
    shop = Shop(tmp_path, things(thing(1, 1), thing(2, 2)))
    shop.go()
    shop.serve(things(thing(2, 2)))
    shop.go()
    assert [key for key, _ in values(shop)] == [1, 2]


def test_the_start_date_is_inclusive_and_what_lies_before_it_is_filtered(tmp_path: Path) -> None:
    records = [{"id": 1, "at": "2026-02-28T23:59:59.999999Z"}, {"id": 2, "at": "2026-03-01T00:00:00Z"}, thing(3)]
    shop = Shop(tmp_path, things(*records, overlap=10), 'start_date = "2026-03-01"\n')
    assert fates(shop.go().counts["things"]) == {"extracted": 3, "loaded": 2, "filtered": 1}
    assert [key for key, _ in values(shop)] == [2, 3]


def test_the_start_date_is_a_year_before_the_first_run_and_stays_there(tmp_path: Path) -> None:
    shop = Shop(tmp_path, things(thing(1)), "")
    shop.go()
    with shop.ledger() as ledger:
        start = ledger.start_date("shop")
        assert start is not None
        assert (ledger.now() - start).days in (365, 366)
    assert (start.hour, start.minute, start.second) == (0, 0, 0)
    (shop.folder / ".connector-core" / "ledger.db").rename(shop.folder / "lost.db")
    shop.serve(things(thing(1), thing(2, 5)))
    shop.go()
    with shop.ledger() as ledger:
        assert ledger.start_date("shop") == start


def test_another_start_date_wants_to_be_confirmed_and_then_reads_from_there(tmp_path: Path) -> None:
    old = {"id": 1, "at": "2024-06-01T00:00:00Z", "v": "old"}
    shop = Shop(tmp_path, things(old, thing(2, 2)), 'start_date = "2026-01-01"\n')
    shop.go()
    assert [key for key, _ in values(shop)] == [2]
    shop.write('start_date = "2024-01-01"\n')
    refused = str(shop.go(code=2).error)
    assert "start_date was 2026-01-01" in refused
    assert "--confirm" in refused
    assert [key for key, _ in values(shop)] == [2]
    report = shop.go(confirm=True)
    assert fates(report.counts["things"]) == {"extracted": 2, "loaded": 1, "unchanged": 1}
    assert [key for key, _ in values(shop)] == [1, 2]
    assert fates(shop.go().counts["things"]) == {"extracted": 1, "unchanged": 1}


def test_full_reads_everything_from_the_start_date_again(tmp_path: Path) -> None:
    shop = Shop(tmp_path, things(*(thing(i, 10 * i) for i in range(5))))
    shop.go()
    assert fates(shop.go(full=True).counts["things"]) == {"extracted": 5, "unchanged": 5}
    assert fates(shop.go().counts["things"]) == {"extracted": 1, "unchanged": 1}


def test_lookback_reads_a_window_again_free_of_rows(tmp_path: Path) -> None:
    shop = Shop(tmp_path, things(*(thing(i, 10 * i, v="a") for i in range(6))), START + 'lookback = "25s"\n')
    shop.go()
    late = [thing(i, 10 * i, v="late" if i == 3 else "a") for i in range(6)]  # changed without a new updated_at
    shop.serve(things(*late))
    report = shop.go()
    assert fates(report.counts["things"]) == {"extracted": 3, "loaded": 1, "unchanged": 2}
    assert dict(values(shop))[3] == "late"


def test_lookback_needs_a_key(tmp_path: Path) -> None:
    records = [thing(i, i) for i in range(4)]
    shop = Shop(tmp_path, things(*records, **KEYLESS), START + 'streams.things.lookback = "1h"\n')
    assert "lookback needs one" in str(shop.go(code=2).error)
    shop.write(START + 'lookback = "1h"\n')  # said for all streams: it holds for those that can have it
    shop.go()
    shop.go()
    assert len(shop.rows("things")) == 4


def test_a27_an_unsorted_stream_moves_its_bookmark_with_the_last_commit_only(tmp_path: Path) -> None:
    order = [5, 2, 9, 1, 7, 3, 8, 0, 6, 4]
    data = things(*(thing(i, i) for i in order), ascending=False)
    shop = Shop(tmp_path, data | {"faults": {"things": {"3": "fail"}}}, START + "batch_records = 3\n")
    shop.go(code=4)
    assert len(shop.rows("things")) == 6
    assert shop.bookmark("things").get("value") is None
    shop.serve(data)
    report = shop.go()
    assert fates(report.counts["things"]) == {"extracted": 10, "loaded": 4, "unchanged": 6}
    assert shop.bookmark("things")["value"] == "2026-03-01T08:00:09Z"
    assert metered(shop) == {"things": 10}


def test_a37_an_older_version_after_the_newer_is_superseded(tmp_path: Path) -> None:
    shop = Shop(tmp_path, things(thing(1, 50, v="newer"), ascending=False))
    shop.go()
    shop.serve(things(thing(1, 20, v="older"), ascending=False))
    report = shop.go(full=True)
    assert fates(report.counts["things"]) == {"extracted": 1, "superseded": 1}
    assert values(shop) == [(1, "newer")]
    shop.serve(things(thing(1, 50, v="equally new, read later"), ascending=False))
    shop.go(full=True)
    assert values(shop) == [(1, "equally new, read later")]


def test_b30_records_without_a_readable_replication_key(tmp_path: Path) -> None:
    good, lost = thing(1, 5), [{"id": 4, "at": "soon"}, {"id": 5, "at": 17}, {"id": 6, "at": "2026-02-30T00:00:00Z"}]
    shop = Shop(tmp_path, things(good, {"id": 2, "at": None}, {"id": 3}, *lost, page_size=10))
    assert fates(shop.go().counts["things"]) == {"extracted": 6, "loaded": 3, "rejected": 3}
    assert {row["error_code"] for row in shop.rejected()} == {"bad_replication_key"}
    assert shop.bookmark("things")["value"] == "2026-03-01T08:00:05Z"
    again = shop.go()
    assert again.rows_written == 0
    assert {row["seen"] for row in shop.rejected()} == {2}
    assert len(shop.rows("things")) == 3


def test_b31_a_replication_key_in_2099(tmp_path: Path) -> None:
    future = {"id": 9, "at": "2099-01-01T00:00:00Z", "v": "from the future"}
    shop = Shop(tmp_path, things(thing(1, 1, v="a"), thing(2, 2), future))
    shop.go()
    assert dict(values(shop))[9] == "from the future"
    assert shop.bookmark("things")["value"] == "2026-06-01T00:00:00Z"
    later = "2026-06-02T00:00:00+00:00"
    new = {"id": 3, "at": "2026-06-01T12:00:00Z", "v": "new"}
    mended = {"id": 9, "at": "2026-06-01T13:00:00Z", "v": "mended"}
    shop.serve(things(thing(1, 1, v="a"), thing(2, 2), new, mended) | {"served_at": later})
    shop.go()
    assert dict(values(shop))[3] == "new"
    assert dict(values(shop))[9] == "mended"


def test_b32_many_rows_at_the_instant_of_the_bookmark(tmp_path: Path) -> None:
    shop = Shop(tmp_path, things(*(thing(i, 7) for i in range(40))), START + "batch_records = 10\n")
    shop.go()
    shop.serve(things(*(thing(i, 7) for i in range(45))))
    report = shop.go()
    assert fates(report.counts["things"]) == {"extracted": 45, "loaded": 5, "unchanged": 40}
    assert metered(shop) == {"things": 45}


def test_b33_the_bookmark_compares_instants_and_not_texts(tmp_path: Path) -> None:
    records = [
        {"id": 1, "at": "2026-03-01T23:30:00-05:00"},  # the latest, though its text is the smallest but one
        {"id": 2, "at": "2026-03-02T03:00:00Z"},
        {"id": 3, "at": "2026-03-02T05:00:00+09:00"},
    ]
    shop = Shop(tmp_path, things(*records))
    shop.go()
    assert shop.bookmark("things")["value"] == "2026-03-02T04:30:00Z"
    report = shop.go()
    assert fates(report.counts["things"]) == {"extracted": 1, "unchanged": 1}


def test_an_integer_is_a_replication_key_too(tmp_path: Path) -> None:
    number = {"type": "integer"}
    numbered = stream(fields={"n": number}, replication="incremental", replication_key="n")
    shop = Shop(tmp_path, served([numbered], {"things": [{"id": i, "n": 10 * i} for i in range(5)]}))
    shop.go()
    assert shop.bookmark("things")["value"] == 40
    shop.serve(served([numbered], {"things": [{"id": i, "n": 10 * i} for i in range(6)]}))
    assert fates(shop.go().counts["things"]) == {"extracted": 2, "loaded": 1, "unchanged": 1}


def test_e7_sub_rows_updates_rereads_and_rejects_are_counted_as_documented(tmp_path: Path) -> None:
    def record(number: int, second: int, *tags: str) -> dict[str, Any]:
        return thing(number, second, tags=list(tags))

    shop = Shop(tmp_path, things(record(1, 1, "a", "b"), record(2, 2), thing(3, 3, v=None, id=None), overlap=5))
    report = shop.go()
    assert metered(shop) == {"things": 2, "things__tags": 2}
    assert report.rows_written == 4
    shop.serve(things(record(1, 4, "a", "b", "c"), record(2, 2), thing(3, 3, v=None, id=None), overlap=5))
    report = shop.go()  # an update counts its row and all its sub-rows, what is unchanged or rejected nothing
    assert fates(report.counts["things"]) == {"extracted": 3, "loaded": 1, "unchanged": 1, "rejected": 1}
    assert report.rows_written == 4
    assert metered(shop) == {"things": 3, "things__tags": 5}
    assert shop.go().rows_written == 0
    assert metered(shop) == {"things": 3, "things__tags": 5}


def test_e7_unchanged_records_are_written_and_metered_again_with_rewrite(tmp_path: Path) -> None:
    shop = Shop(tmp_path, things(*(thing(i, i) for i in range(4)), overlap=1), START + 'unchanged = "rewrite"\n')
    shop.go()
    before = {row["id"]: row for row in shop.rows("things")}
    report = shop.go()
    assert report.rows_written == 2
    after = {row["id"]: row for row in shop.rows("things")}
    rewritten = {key for key in after if after[key]["_sdc_batched_at"] > before[key]["_sdc_batched_at"]}
    assert rewritten == {2, 3}
    assert metered(shop) == {"things": 6}


@pytest.mark.parametrize(("fault", "said"), [("fail", "a lasting fault"), ("retry", "given up after 2 attempts")])
def test_a4_a_fault_in_the_middle_keeps_what_was_read_and_the_bookmark_covers_it(
    tmp_path: Path, fault: str, said: str
) -> None:
    data = things(*(thing(i, i) for i in range(12)))
    patience = START + "retry_attempts = 2\nretry_wait = 0.01\n"
    shop = Shop(tmp_path, data | {"faults": {"things": {"3": fault}}}, patience)
    report = shop.go(code=4)
    assert said in str(report.error)
    assert sorted(key for key, _ in values(shop)) == list(range(6))
    assert shop.bookmark("things")["value"] == "2026-03-01T08:00:05Z"
    shop.serve(data)
    assert fates(shop.go().counts["things"]) == {"extracted": 7, "loaded": 6, "unchanged": 1}
    assert metered(shop) == {"things": 12}


def test_a_run_ends_partial_when_its_time_is_over_and_the_next_goes_on(tmp_path: Path) -> None:
    data = things(*(thing(i, i) for i in range(40))) | {"delay": 0.2}
    shop = Shop(tmp_path, data, START + "run_seconds = 1\nbatch_records = 3\n")
    report = shop.go()
    assert report.status == "partial"
    stored = len(shop.rows("things"))
    assert 0 < stored < 40
    shop.serve(things(*(thing(i, i) for i in range(40))))
    shop.write(START)
    assert shop.go().status == "succeeded"
    assert metered(shop) == {"things": 40}


# --- without a key


def keyless(*records: Any, **more: Any) -> dict[str, Any]:
    """The same without a primary key and with an overlap of a second."""
    return things(*records, **KEYLESS, **more)


def test_without_a_key_rows_are_appended_and_twins_counted(tmp_path: Path) -> None:
    twins = [thing(1, 9, v="twin")] * 3
    shop = Shop(tmp_path, keyless(thing(1, 1, v="a"), *twins))
    assert fates(shop.go().counts["things"]) == {"extracted": 4, "loaded": 4}
    assert fates(shop.go().counts["things"]) == {"extracted": 3, "unchanged": 3}
    shop.serve(keyless(thing(1, 1, v="a"), *twins, *twins[:2], thing(2, 10, v="b")))
    assert fates(shop.go().counts["things"]) == {"extracted": 6, "loaded": 3, "unchanged": 3}
    assert values(shop) == [(1, "a"), *[(1, "twin")] * 5, (2, "b")]
    assert len({row["__sdc_primary_key"] for row in shop.rows("things")}) == 7
    assert fates(shop.go().counts["things"]) == {"extracted": 6, "unchanged": 6}


def test_without_a_key_and_sorted_anyhow_a_pass_is_stored_as_a_whole(tmp_path: Path) -> None:
    order = [5, 2, 9, 1, 7, 3, 8, 0, 6, 4]
    data = keyless(*(thing(i, i) for i in order), ascending=False)
    shop = Shop(tmp_path, data | {"faults": {"things": {"3": "fail"}}}, START + "batch_records = 3\n")
    shop.go(code=4)
    assert shop.tables() == set() or shop.rows("things") == []
    shop.serve(data)
    assert fates(shop.go().counts["things"]) == {"extracted": 10, "loaded": 10}
    shop.serve(keyless(thing(9, 9), thing(10, 10), thing(8, 8), ascending=False) | {"totals": {"things": 3}})
    report = shop.go()
    assert fates(report.counts["things"]) == {"extracted": 3, "loaded": 1, "unchanged": 2}
    assert sorted(key for key, _ in values(shop)) == list(range(11))
    shop.serve(keyless(thing(9, 9), thing(10, 10), ascending=False))
    assert fates(shop.go().counts["things"]) == {"extracted": 2, "unchanged": 2}


def test_without_a_key_an_incomplete_pass_is_read_once_more_and_never_doubled(tmp_path: Path) -> None:
    data = keyless(*(thing(i, i) for i in range(5)), ascending=False)
    shop = Shop(tmp_path, data)
    shop.go()
    more = keyless(*(thing(i, i) for i in (6, 4, 5)), ascending=False)
    shop.serve(more | {"totals": {"things": 9}})
    shop.go(code=4)
    shop.serve(more | {"totals": {"things": 3}})
    shop.go()
    assert sorted(key for key, _ in values(shop)) == list(range(7))


def test_without_a_key_full_replaces_all_rows_at_once(tmp_path: Path) -> None:
    shop = Shop(tmp_path, keyless(*(thing(i, 10 * i) for i in range(6))))
    shop.go()
    shop.go(full=True)
    assert sorted(key for key, _ in values(shop)) == list(range(6))
    assert len({row["_sdc_table_version"] for row in shop.rows("things")}) == 1
    shop.serve(keyless(*(thing(i, 10 * i) for i in range(7))))
    assert fates(shop.go().counts["things"]) == {"extracted": 2, "loaded": 1, "unchanged": 1}


def test_b30_without_a_key_a_record_without_replication_key_is_stored_at_most_once(tmp_path: Path) -> None:
    shop = Shop(tmp_path, keyless(thing(1, 1), {"id": 2, "at": None}, {"id": 3}))
    report = shop.go()
    assert fates(report.counts["things"]) == {"extracted": 3, "loaded": 1, "rejected": 2}
    shop.go()
    assert len(shop.rows("things")) == 1
    assert {row["seen"] for row in shop.rejected()} == {2}


def test_without_a_key_pages_out_of_order_are_an_error_that_doubles_nothing(tmp_path: Path) -> None:
    order = [0, 1, 2, 30, 31, 32, 10, 11, 12]
    shop = Shop(tmp_path, keyless(*(thing(i, i) for i in order)), START + "batch_records = 3\n")
    report = shop.go(code=4)
    assert "ascending" in str(report.error)
    assert "things" in str(report.error)
    shop.serve(keyless(*(thing(i, i) for i in order), ascending=False))
    shop.go(full=True)
    assert sorted(key for key, _ in values(shop)) == sorted(order)


SEAMS = [
    ("load.commit_row.after", 2),
    ("load.commit.after", 1),
    ("load.commit.after", 3),
    ("ledger.record.commit", 2),
    ("hook.extract.after", 3),
]


@pytest.fixture(scope="module")
def zygote() -> Any:
    with Zygote() as zygote:
        yield zygote


@pytest.mark.parametrize("ascending", [True, False], ids=["sorted", "unsorted"])
def test_d1_without_a_key_a_kill_at_any_seam_doubles_and_loses_nothing(
    tmp_path: Path, zygote: Zygote, ascending: bool
) -> None:
    order = list(range(12)) if ascending else [5, 2, 9, 1, 7, 11, 3, 8, 10, 0, 6, 4]
    records = [thing(i, i // 2, v="x") for i in order]
    seams = SEAMS if ascending else [("load.stage.after", 2), ("load.drop.before", 1), *SEAMS[3:6]]
    for seam in seams:
        shop = Shop(tmp_path / f"{seam[0]}-{seam[1]}", keyless(*records, ascending=ascending))
        shop.write(START + "batch_records = 3\n")
        ended = zygote.run(["run"], cwd=shop.folder, env=shop.env, kill_at=seam)
        assert ended.killed, (seam, ended.output)
        shop.go()
        assert sorted(key for key, _ in values(shop)) == list(range(12)), seam
        assert metered(shop) == {"things": 12}, seam
        assert fates(shop.go().counts["things"]) == {"extracted": 4, "unchanged": 4}


# --- the limit of rejects


def test_max_rejects_as_a_count_stops_before_the_batch_that_crosses_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bad = [{"id": f"no {i}", "at": thing(0, 20 + i)["at"]} for i in range(4)]
    data = things(
        *(thing(i, i) for i in range(3)),
        {**bad[0], "at": thing(0, 5)["at"]},
        thing(4, 10),
        thing(5, 11),
        *bad[1:],
        thing(9, 40),
    )
    shop = Shop(tmp_path, data, START + "batch_records = 2\nmax_rejects = 2\n")
    report = shop.go(code=3)
    assert report.status == "rejected"
    assert sorted(key for key, _ in values(shop)) == [0, 1, 2, 4, 5]
    assert len(shop.rejected()) == 1
    assert shop.bookmark("things")["value"] == thing(0, 11)["at"].replace(".000", "")
    assert sum("rejected: stream things" in record.getMessage() for record in caplog.records) == 3
    shop.write(START)
    report = shop.go()
    assert fates(report.counts["things"])["rejected"] == 3
    assert sorted(key for key, _ in values(shop)) == [0, 1, 2, 4, 5, 9]


def test_max_rejects_as_a_share_counts_from_a_thousand_records_on(tmp_path: Path) -> None:
    def page(first: int, bad: int) -> list[dict[str, Any]]:
        return [thing(i, i / 10) if i - first >= bad else {"id": None, **thing(0, i / 10, id=None)}
                for i in range(first, first + 500)]  # fmt: skip

    data = things(*page(0, 100), *page(500, 40), *page(1000, 0), page_size=500)
    shop = Shop(tmp_path, data, START + 'batch_records = 400\nmax_rejects = "15%"\n')
    report = shop.go()  # 20% of the first 500, but 14% of the first 1,000
    assert fates(report.counts["things"])["rejected"] == 140
    shop = Shop(tmp_path / "more", data, START + 'batch_records = 400\nmax_rejects = "13%"\n')
    shop.go(code=3)
    assert len(shop.rows("things")) == 400
    assert len(shop.rejected()) == 100


# --- a moving source


def test_a25_a26_the_same_page_twice_stores_its_records_once(tmp_path: Path) -> None:
    twice = [*(thing(i, i) for i in range(3)), *(thing(i, i) for i in range(6))]
    shop = Shop(tmp_path, things(*twice))
    counts = fates(shop.go().counts["things"])
    assert counts["extracted"] == 9
    assert sorted(key for key, _ in values(shop)) == list(range(6))
    assert metered(shop) == {"things": 6}


def test_a28_records_that_change_while_paging_come_with_the_next_run(tmp_path: Path) -> None:
    shop = Shop(tmp_path, things(*(thing(i, i) for i in range(9))))

    def move(event: Event) -> None:
        if isinstance(event, PageExtracted):  # the first record changes and goes to the end: pages shift
            shop.serve(things(*(thing(i, i) for i in range(1, 9)), thing(0, 50, v="moved")))

    shop.go(watch=move)
    shop.go()
    shop.go(full=True)
    assert sorted(values(shop), key=repr) == [(0, "moved"), *((i, None) for i in range(1, 9))]
