"""The meter: Stitch's published figures, the free window, the quota, the forecast, and the command `usage`."""

from __future__ import annotations

import io
import json
import random
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from connector_core.batch import Counts, Receipt, TableCount
from connector_core.cli.app import invoke
from connector_core.cli.session import Session
from connector_core.cli.worker import run_slot
from connector_core.config.metering import MeteringSettings
from connector_core.errors import ConfigError, QuotaError
from connector_core.events import BatchLoaded, QuotaReached
from connector_core.ledger import FREE_WINDOW, Ledger
from connector_core.metering import quota
from connector_core.metering.forecast import forecast
from connector_core.metering.periods import Period, period, previous
from connector_core.metering.summary import summary
from tests.support.engine import INSTANT, START, TEXT, Shop, served, stream
from tests.support.typed import typed

T0 = datetime(2026, 3, 2, 12, tzinfo=UTC)
SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
MONTH = Period(begin=datetime(2026, 4, 1, tzinfo=UTC), end=datetime(2026, 5, 1, tzinfo=UTC))


def people(number: int = 100, **more: object) -> dict[str, object]:
    """A full table."""
    records = [{"id": n, "name": "p"} for n in range(number)]
    return served([stream("people", {"name": TEXT})], {"people": records}, page_size=100, **more)


def order(number: int = 0) -> dict[str, object]:
    return {"id": number, "at": f"2026-01-01T00:{number:02}:00Z", "items": ["x", "y", "z"]}


def orders(number: int = 1, **more: object) -> dict[str, object]:
    """Records with three array items, read by replication key."""
    fields = {"at": INSTANT, "items": {"type": "array", "items": TEXT}}
    one = stream("orders", fields, replication="incremental", replication_key="at")
    return served([one], {"orders": [order(n) for n in range(number)]}, page_size=10, **more)


def idle(folder: Path, data: dict[str, object]) -> list[Receipt]:
    """The receipts of a run that finds nothing new: what Stitch billed again and again."""
    shop = Shop(folder, data)
    shop.go()
    shop.go()
    return [event.receipt for event in shop.told(BatchLoaded)]


def simulated(receipts: Sequence[Receipt], every: timedelta, when: Period, connector: str = "shop") -> list[Receipt]:
    """The same run again and again, from the period's begin on."""
    made: list[Receipt] = []
    for nth in range((when.end - when.begin) // every):
        known = {"connector": connector, "run_id": f"run-{nth}", "committed_at": when.begin + nth * every}
        for one in receipts:
            made.append(replace(one, **known, epoch=9, sequence=10**18 + len(made)))  # type: ignore[arg-type]
    return made


def opened(folder: Path, now: datetime = T0) -> Ledger:
    (folder / ".connector-core").mkdir(exist_ok=True)
    return Ledger.open(f"sqlite:///{folder}/.connector-core/ledger.db", clock=lambda: now)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Receipt]]:
    """An idle run of a full table with 100 rows, and one of a record with three array items."""
    folder = tmp_path_factory.mktemp("idle")
    return {"people": idle(folder / "people", people()), "orders": idle(folder / "orders", orders())}


# --- Stitch's figures


@pytest.mark.parametrize(
    ("minutes", "full_table", "nested"),
    [(30, 144_000, 5_760), (60, 72_000, 2_880), (360, 12_000, 480), (720, 6_000, 240), (1440, 3_000, 120)],
)
def test_stitchs_published_figures_and_what_our_counting_saves(
    tmp_path: Path, runs: dict[str, list[Receipt]], minutes: int, full_table: int, nested: int
) -> None:
    """100 rows of a full table, and a record with three array items (four rows), for 30 days."""
    long_ago = MONTH.begin - 30 * DAY
    for name, rows in (("people", full_table), ("orders", nested)):
        with opened(tmp_path) as ledger:
            made = simulated(runs[name], timedelta(minutes=minutes), MONTH, name)
            ledger.rebuild(name, name, name, made, long_ago)
            one = summary(ledger, MeteringSettings(count="stitch"), now=T0, connectors=[name], when=MONTH)
            assert sum(row.counted for row in one.rows) == rows
            assert ledger.used(since=MONTH.begin, until=MONTH.end, count="stitch") >= rows
            ours = summary(ledger, MeteringSettings(), now=T0, connectors=[name], when=MONTH)
            assert sum(row.counted for row in ours.rows) == 0
            assert sum(row.unchanged for row in ours.rows) == rows


def test_stitchs_figures_come_out_of_the_command(tmp_path: Path, runs: dict[str, list[Receipt]]) -> None:
    begin = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - 40 * DAY
    shop = Shop(tmp_path, people())
    with opened(tmp_path) as ledger:
        made = simulated(runs["people"], timedelta(minutes=30), Period(begin=begin, end=begin + 30 * DAY))
        ledger.rebuild("warehouse", "shop", "shop", made, begin - 10 * DAY)

    def used(count: str) -> dict[str, Any]:
        shop.write(f'[metering]\ncount = "{count}"\nperiod_start = {begin.date()}\n[connectors.shop.streams]\n')
        return dict(typed(tmp_path, "usage", "--previous", "--json").json)

    assert used("stitch")["used"] == 144_000
    assert used("rows")["used"] == 0
    assert sum(row["unchanged"] for row in used("rows")["rows"]) == 144_000
    assert typed(tmp_path, "usage", "--previous").cells("shop")[:5] == ["shop", "0", "0", "144,000", "0"]


def test_every_way_to_read_a_record_again_counts_what_passed_through(tmp_path: Path) -> None:
    """Once in the overlap, once compared in the destination, once as part of a batch with changes."""
    shop = Shop(tmp_path, orders(3))
    first = shop.go()
    assert sum(table.written for table in first.tables.values()) == 12

    def passed() -> list[tuple[str, int, int]]:
        found = {}
        for event in shop.told(BatchLoaded):
            for tables in event.receipt.passed.values():
                for table, number in tables.items():
                    written = event.receipt.tables.get(table, TableCount()).written
                    before = found.get(table, (0, 0))
                    found[table] = (before[0] + number, before[1] + written)
        return [(table, *numbers) for table, numbers in found.items()]

    assert passed() == [("orders", 3, 3), ("orders__items", 9, 9)]
    shop.go()
    assert passed() == [("orders", 1, 0), ("orders__items", 3, 0)]  # the tie of the bookmark
    shop.go(full=True)
    assert passed() == [("orders", 3, 0), ("orders__items", 9, 0)]
    changed = orders(4)
    changed["records"]["orders"][2]["items"] = ["x"]  # type: ignore[index]
    shop.serve(changed)
    shop.go(full=True)
    assert passed() == [("orders", 4, 2), ("orders__items", 10, 4)]
    shop.write(START + 'unchanged = "rewrite"\n')
    shop.go(full=True)
    assert passed() == [("orders", 4, 4), ("orders__items", 10, 10)]


# --- the free window


def metered(sequence: int, at: datetime, rows: int = 1, connector: str = "desk") -> Receipt:
    return Receipt(
        connector=connector,
        stream="cases",
        kind="rows",
        run_id=f"run-{sequence}",
        number=1,
        epoch=1,
        sequence=sequence,
        committed_at=at,
        counts={"cases": Counts(extracted=rows, loaded=rows)},
        tables={"cases": TableCount(written=rows)},
        passed={"cases": {"cases": rows}},
    )


def free(ledger: Ledger) -> list[tuple[int, int]]:
    return [(row.free, row.counted) for row in ledger.usage("desk")]


@pytest.mark.parametrize(
    ("after", "is_free"),
    [
        (timedelta(), True),
        (SECOND, True),
        (FREE_WINDOW - SECOND, True),
        (FREE_WINDOW, False),
        (FREE_WINDOW + SECOND, False),
    ],
)
def test_e8_the_free_window_at_its_boundary_instants(tmp_path: Path, after: timedelta, is_free: bool) -> None:
    with opened(tmp_path) as ledger:
        ledger.record("D", "desk", metered(1, T0, 5))
        ledger.record("D", "desk", metered(2, T0 + after, 7))
        assert sum(row.free for row in ledger.usage("desk")) == (12 if is_free else 5)
        assert ledger.used(since=T0 - DAY, until=T0 + 30 * DAY) == (0 if is_free else 7)


def test_e8_the_free_window_ends_after_168_hours_also_over_a_change_of_daylight_saving(tmp_path: Path) -> None:
    """In Berlin the night of 2026-03-29 has 23 hours; instants of UTC know nothing of it."""
    first = datetime(2026, 3, 28, 0, 30, tzinfo=UTC)
    with opened(tmp_path) as ledger:
        ledger.record("D", "desk", metered(1, first))
        ledger.record("D", "desk", metered(2, datetime(2026, 4, 4, 0, 29, 59, tzinfo=UTC)))
        ledger.record("D", "desk", metered(3, datetime(2026, 4, 4, 0, 30, tzinfo=UTC)))
        assert free(ledger) == [(1, 0), (1, 1)]


def test_e8_after_a_clock_that_jumps_the_earliest_instant_begins_the_window(tmp_path: Path) -> None:
    kept = [
        metered(1, T0),
        metered(2, T0 - 2 * DAY),  # the clock was set back
        metered(3, T0 + 400 * DAY),  # and far ahead
        metered(4, T0 + 5 * DAY - SECOND),
        metered(5, T0 + 5 * DAY),
    ]
    with opened(tmp_path) as ledger:
        for one in kept:
            ledger.record("D", "desk", one)
        assert ledger.first_data_at("desk") == T0 - 2 * DAY
        assert sum(row.free for row in ledger.usage("desk")) == 3
        told = ledger.usage("desk")
    with Ledger.open(f"sqlite:///{tmp_path}/rebuilt.db", clock=lambda: T0) as rebuilt:
        rebuilt.rebuild("D", "desk", "desk", kept, T0)
        assert rebuilt.usage("desk") == told


def test_e8_a_connector_that_is_made_again_has_no_second_window(tmp_path: Path) -> None:
    shop = Shop(tmp_path, people(3))
    shop.go()
    with opened(tmp_path) as ledger:
        first = ledger.first_data_at("shop")
    file = tmp_path / "connectors.toml"
    text = file.read_text()
    file.write_text(text.replace("connectors.shop", "connectors.other"))  # deleted, and another one is there
    typed(tmp_path, "usage")
    with duckdb.connect(str(shop.warehouse)) as connection:
        connection.execute('drop schema "shop" cascade')
    file.write_text(text)
    assert shop.go().rows_written == 3
    with opened(tmp_path) as ledger:
        assert ledger.first_data_at("shop") == first
        with pytest.raises(ConfigError, match="belongs to the connector 'shop'"):
            ledger.register("shop2", "shop", "shop", "warehouse")


def test_e8_a_lost_ledger_is_rebuilt_without_a_run_and_the_window_stays(tmp_path: Path) -> None:
    shop = Shop(tmp_path, orders(3))
    shop.go()
    shop.serve(orders(5))
    shop.go()
    with opened(tmp_path) as ledger:
        known, first = ledger.usage(), ledger.first_data_at("shop")
    assert typed(tmp_path, "usage", "--sync").err.endswith("shop: 0 receipts taken from the destination\n")
    shutil.rmtree(tmp_path / ".connector-core")
    assert typed(tmp_path, "usage").out == "Nothing was loaded yet.\n"
    told = typed(tmp_path, "usage", "--sync")
    assert "receipts taken from the destination" in told.err
    with opened(tmp_path) as ledger:
        assert (ledger.usage(), ledger.first_data_at("shop"), ledger.runs()) == (known, first, [])
    report = typed(tmp_path, "report")
    assert "shop: no run is known" in report.out
    assert report.cells("orders")[2:8] == ["2026-01-01T00:04:00Z", *report.cells("orders")[3:5], "0", "20", "20"]
    assert shop.go().total.unchanged == 1  # the position was never in the ledger


def test_e6_what_a_crash_kept_from_the_ledger_is_metered_by_sync(tmp_path: Path) -> None:
    shop = Shop(tmp_path, orders(3))
    shop.go()
    ledger_file = tmp_path / ".connector-core" / "ledger.db"
    shutil.copy(ledger_file, tmp_path / "before.db")
    shop.serve(orders(6))
    shop.go()
    with opened(tmp_path) as ledger:
        whole = ledger.usage()
    for left in ledger_file.parent.glob("ledger.db*"):
        left.unlink()
    shutil.copy(tmp_path / "before.db", ledger_file)
    with opened(tmp_path) as ledger:
        assert sum(row.free for row in ledger.usage()) == 12
    typed(tmp_path, "usage", "--sync")
    with opened(tmp_path) as ledger:
        assert ledger.usage() == whole
    commits = shop.query('select rows from "shop"."_sdc_commits"')
    written = [number for (text,) in commits for number, _ in json.loads(text)["tables"].values()]
    assert sum(row.free + row.counted for row in whole) == sum(written) == 24


# --- periods


def test_periods_of_30_days_and_months() -> None:
    thirty, first = MeteringSettings(), T0
    this = period(T0 + 65 * DAY, thirty, first)
    assert (this.begin, this.end) == (T0.replace(hour=0) + 60 * DAY, T0.replace(hour=0) + 90 * DAY)
    assert previous(this, thirty).begin == T0.replace(hour=0) + 30 * DAY
    assert period(this.end - timedelta(microseconds=1), thirty, first) == this
    assert period(this.end, thirty, first).begin == this.end
    fixed = MeteringSettings(period_start=datetime(2026, 1, 10, 6, tzinfo=UTC))
    assert period(datetime(2026, 1, 10, 5, tzinfo=UTC), fixed, first).end == datetime(2026, 1, 10, 6, tzinfo=UTC)
    month = MeteringSettings(period="month")
    leap = period(datetime(2028, 2, 29, 23, 59, tzinfo=UTC), month, first)
    assert (leap.begin, leap.end) == (datetime(2028, 2, 1, tzinfo=UTC), datetime(2028, 3, 1, tzinfo=UTC))
    assert previous(leap, month).begin == datetime(2028, 1, 1, tzinfo=UTC)
    december = period(datetime(2026, 12, 31, tzinfo=UTC), month, first)
    assert december.end == datetime(2027, 1, 1, tzinfo=UTC)


# --- the forecast


@pytest.fixture(scope="module", params=[1, 2, 3])
def weeks(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """30 days of runs every hour with a weekly rhythm: a busy Monday, a quiet weekend, some noise. The first run loads
    the history of years."""
    dice = random.Random(request.param)
    usual = [1300, 1000, 1000, 950, 800, 250, 150]
    made = [metered(1, MONTH.begin - 8 * DAY, 60_000)]
    for hour in range(-8 * 24, 30 * 24):
        at = MONTH.begin + hour * HOUR + 5 * SECOND
        rows = round(usual[at.weekday()] / 24 * dice.uniform(0.9, 1.1))
        made.append(metered(len(made) + 1, at, rows))
    with opened(tmp_path_factory.mktemp("weeks")) as ledger:
        ledger.rebuild("D", "desk", "desk", made, None)
        yield ledger


def test_the_forecast_is_within_5_percent_with_a_weekly_rhythm(weeks: Ledger) -> None:
    total = weeks.used(since=MONTH.begin, until=MONTH.end)
    first = {"desk": weeks.first_data_at("desk") or T0}
    for hour in range(8 * 24, 30 * 24, 7):  # from the first week on, at every hour of the day
        now = MONTH.begin + hour * HOUR + 30 * timedelta(minutes=1)
        counted = {"desk": weeks.used(since=MONTH.begin, until=now)}
        past = weeks.usage("desk", since=now - 28 * DAY, until=now)
        told = forecast(past, counted, now=now, period=MONTH, first=first)
        assert told.rows == pytest.approx(total, rel=0.05), now
        assert not told.rough


def test_a_first_load_and_the_free_window_are_no_part_of_a_forecast(tmp_path: Path) -> None:
    """A connector whose first data came three days ago: 50,000 rows at once, then 240 a day. Four of its days are
    still free, the rest of the period counts."""
    begin = MONTH.begin + 10 * DAY
    with opened(tmp_path) as ledger:
        made = [metered(1, begin, 50_000), *(metered(2 + n, begin + (n + 1) * HOUR, 10) for n in range(72))]
        ledger.rebuild("D", "desk", "desk", made, None)
        now = begin + 3 * DAY + HOUR
        told = forecast(ledger.usage("desk"), {}, now=now, period=MONTH, first={"desk": begin})
    assert told.rough
    assert told.rows == pytest.approx(240 * 13, rel=0.05)  # 20 days from the first data on, less 7 free ones


def test_a_forecast_begins_with_the_first_full_day_and_tells_when_the_quota_is_used_up(tmp_path: Path) -> None:
    """Two connectors: one has loaded 100 rows on each of four days, the other one everything it has an hour ago."""
    now, old = MONTH.begin + 12 * HOUR, MONTH.begin - 20 * DAY
    with opened(tmp_path) as ledger:
        days = [metered(n, MONTH.begin - n * DAY + HOUR, 100) for n in range(1, 5)]
        ledger.rebuild("D", "desk", "desk", days, old)
        ledger.rebuild("D", "new", "new", [metered(9, now - HOUR, 50_000, "new")], None)
        first = {"desk": MONTH.begin - 4 * DAY, "new": now - HOUR}
        told = forecast(ledger.usage(), {"desk": 700, "new": 0}, now=now, period=MONTH, first=first, quota=1_000)
    assert told.unknown == ("new",)
    assert told.rough
    assert told.by_connector["new"] == 0
    assert told.by_connector["desk"] == pytest.approx(700 + 27 * 100, rel=0.05)  # three more days of April are free
    assert told.reached == (MONTH.begin + 5 * DAY).date()


# --- the quota


def rationed(folder: Path, rows: int, more: str = "", data: dict[str, object] | None = None) -> Shop:
    """A shop whose free window is over, with a quota."""
    shop = Shop(folder, data or orders(10))
    with opened(folder, datetime.now(UTC)) as ledger:
        ledger.rebuild("warehouse", "shop", "shop", [], datetime.now(UTC) - 9 * DAY)
    ration(shop, rows, more)
    return shop


def ration(shop: Shop, rows: int, more: str = "") -> None:
    shop.write(f"{START}batch_records = 2\n[metering]\nquota = {rows}\n{more}\n[connectors.shop.streams]\n")


def told(shop: Shop) -> list[tuple[int, int]]:
    return [(event.threshold, event.quota) for event in shop.told(QuotaReached)]


def test_each_threshold_is_told_once_a_period_and_again_for_a_higher_quota(tmp_path: Path) -> None:
    shop = rationed(tmp_path, 50)
    shop.go()  # 40 rows: 80 %
    assert told(shop) == [(70, 50)]
    event = shop.told(QuotaReached)[0]
    assert 35 <= event.used <= 40
    shop.go()
    assert told(shop) == []
    shop.serve(orders(20))
    shop.go()  # 80 rows
    assert told(shop) == [(90, 50), (100, 50)]
    ration(shop, 100, "thresholds = [50, 80]")
    shop.go()
    assert told(shop) == [(50, 100), (80, 100)]
    log = typed(tmp_path, "logs", "--level", "warning").out
    assert "100 % of the quota is reached" in log
    assert "Quota: 80 of 100 rows are used (80 %), 20 are left." in typed(tmp_path, "usage").out


def test_rows_of_the_free_window_use_up_no_quota(tmp_path: Path) -> None:
    shop = Shop(tmp_path, orders(10))
    ration(shop, 5, 'on_quota = "pause"')
    shop.go()
    shop.go()
    assert told(shop) == []
    assert len(shop.rows("orders")) == 10


def test_a_paused_quota_ends_the_run_in_hand_and_the_next_period_goes_on(tmp_path: Path) -> None:
    shop = rationed(tmp_path, 20, 'on_quota = "pause"', orders(30))
    assert shop.go().status == "partial"
    done = len(shop.rows("orders"))
    assert 5 <= done < 30
    with pytest.raises(QuotaError, match="the quota is used up: "):
        shop.go()
    refused = typed(tmp_path, "run", code=75)
    assert "raise [metering] quota to go on before" in refused.err
    session, slot, errors = Session(), datetime.now(UTC).replace(microsecond=0), io.StringIO()
    session.file = tmp_path / "connectors.toml"
    with redirect_stderr(errors):
        assert [run_slot(session, "shop", slot) for _ in range(2)] == [75, 75]
    with opened(tmp_path, datetime.now(UTC)) as ledger:
        (note,) = ledger.slots("shop")
        assert (note.at, note.state) == (slot, "skipped")
        assert note.reason.startswith("the quota is used up: ")
        assert errors.getvalue().count(f"skipped: {note.reason}") == 1  # told by the one that noted it
        settings, this = shop.config.metering, period(note.at, shop.config.metering, ledger.first_data_of_all())
        with pytest.raises(QuotaError):
            quota.admit(ledger, settings, this.end - SECOND)
        quota.admit(ledger, settings, this.end)
    ration(shop, 10_000, 'on_quota = "pause"')
    assert shop.go().status == "succeeded"
    assert sorted(row["id"] for row in shop.rows("orders")) == list(range(30))
    with opened(tmp_path) as ledger:
        assert sum(row.counted for row in ledger.usage()) == 4 * 30


# --- the command


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory, runs: dict[str, list[Receipt]]) -> Path:
    """A folder whose ledger knows 30 days until now: 100 people unchanged every half hour, one order with its items."""
    folder = tmp_path_factory.mktemp("busy")
    Shop(folder, people())
    now = datetime.now(UTC)
    when = Period(begin=now - 30 * DAY, end=now)
    made = simulated(runs["people"] + runs["orders"], timedelta(minutes=30), when)
    with opened(folder, now) as ledger:
        ledger.rebuild("warehouse", "shop", "shop", made, now - 50 * DAY)
    shop = Shop(folder, people(), START + '[metering]\ncount = "stitch"\n[connectors.shop.streams]\n')
    assert shop.settings
    return folder


@pytest.mark.parametrize(
    ("frequency", "full_table", "nested"), [("1h", 72_000, 2_880), ("6h", 12_000, 480), ("24h", 3_000, 120)]
)
def test_what_if_says_what_stitchs_table_says(busy: Path, frequency: str, full_table: int, nested: int) -> None:
    (found,) = typed(busy, "usage", "--what-if", f"frequency={frequency}", "--json").json["what_if"]
    assert {one["stream"]: (one["present"], one["other"]) for one in found["streams"]} == {
        "people": (144_000, full_table),
        "orders": (5_760, nested),
    }
    text = typed(busy, "usage", "--what-if", f"frequency={frequency}").out
    assert "now every 30m (1,440 runs a period)" in text
    assert f"{full_table + nested:,}" in text


def test_two_runs_by_hand_say_nothing_about_a_period(tmp_path: Path) -> None:
    shop = Shop(tmp_path, people(3))
    shop.go()
    shop.go()
    assert "Too little is known" in typed(tmp_path, "usage", "--what-if", "frequency=24h").out
    assert "a run every" not in typed(tmp_path, "usage").out


def test_hints_have_figures(busy: Path) -> None:
    text = typed(busy, "usage").out
    assert "Hint: shop: people is 96 % of your rows and 100 % of them unchanged." in text
    assert "Hint: shop: a run every 1d would count 3,120 instead of 149,760 rows a period; " in text


def test_a_large_stream_and_its_unchanged_rows_are_named(tmp_path: Path) -> None:
    one = metered(1, T0, 1)
    mixed = replace(
        one,
        tables={"cases": TableCount(written=29), "users": TableCount(written=14)},
        passed={"cases": {"cases": 290}, "users": {"users": 710}},
    )
    with opened(tmp_path, T0 + HOUR) as ledger:
        ledger.rebuild("D", "desk", "desk", [mixed], None)
        for count in ("rows", "stitch"):
            found = summary(ledger, MeteringSettings(count=count), now=T0 + HOUR, connectors=["desk"])
            assert found.hints[0].startswith("desk: users is 71 % of your rows and 98 % of them unchanged")
    assert "Stitch would have billed 1,000 rows, this is 4 % of that" in summary_hints(mixed, tmp_path)


def summary_hints(receipt: Receipt, folder: Path) -> str:
    with opened(folder, T0 + HOUR) as ledger:
        return " ".join(summary(ledger, MeteringSettings(), now=T0 + HOUR, connectors=["desk"]).hints)


def test_json_and_csv_tell_the_same_rows(busy: Path) -> None:
    rows = typed(busy, "usage", "--since", "2d", "--json").json["rows"]
    lines = typed(busy, "usage", "--since", "2d", "--csv").out.splitlines()
    assert lines[0] == "connector,stream,table,day,free,counted,unchanged"
    told = [tuple(line.split(",")) for line in lines[1:]]
    names = ("connector", "stream", "table", "day", "free", "counted", "unchanged")
    assert told == [tuple(str(row[name]) for name in names) for row in rows]
    assert {row["table"] for row in rows} == {"people", "orders", "orders__items"}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_days_are_bars_on_a_terminal_only(busy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    screen = Terminal()
    with redirect_stdout(screen):
        assert invoke(["--config", str(busy / "connectors.toml"), "usage", "--since", "3d"]) == 0
    assert sys.stdout is not screen
    assert "█" * 40 in screen.getvalue()
    assert "█" not in typed(busy, "usage", "--since", "3d").out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--what-if", "often"), "write --what-if frequency=24h"),
        (("--what-if", "frequency=30x"), "the frequency should be a duration such as"),
        (("--what-if", "frequency=1s"), "should be at least 1m"),
        (("shpo",), 'did you mean "shop"?'),
        (("--since", "then"), "is no instant"),
    ],
)
def test_what_is_typed_wrong_is_told(busy: Path, words: tuple[str, ...], said: str) -> None:
    assert said in typed(busy, "usage", *words, code=2).err


def test_f5_rejects_of_several_threads_are_kept_and_listed_once(tmp_path: Path) -> None:
    """Four streams are read side by side, and each rejects records on each of its pages."""
    names = ("a", "b", "c", "d")
    records = {name: [{"id": n if n % 3 else f"{name}{n}\n"} for n in range(30)] for name in names}
    shop = Shop(tmp_path, served([stream(name) for name in names], records))
    report = shop.go()
    assert {name: report.counts[name].rejected for name in names} == dict.fromkeys(names, 10)
    kept = [(row["stream"], row["record"]) for row in shop.rejected()]
    assert len(kept) == len(set(kept)) == 40
    listed = typed(tmp_path, "rejects", "list", "--json").json["rejects"]
    assert [one["seen"] for one in listed] == [1] * 40
    lines = typed(tmp_path, "logs", "--level", "warning").out.splitlines()
    assert sorted(line.split("shop ")[1].split(";")[0] for line in lines) == [
        f"{name}: records rejected: 10 bad_key" for name in names
    ]
