"""Every setting: what it takes, what it refuses, and with which words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from connector_core.config.models import (
    Connector,
    Destination,
    LedgerSettings,
    RejectLimit,
    StreamSettings,
    namespace_problem,
    slug,
)
from connector_core.config.units import duration, size, spoken

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def connector(**settings: Any) -> Connector:
    known = {"key": "shop", "source": "acme", "destination": "warehouse"}
    return Connector.model_validate({**known, **settings}, context={"now": NOW})


def refused(**settings: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        connector(**settings)
    (error,) = caught.value.errors()
    assert error["loc"][0] == next(reversed(settings))
    return str(error.get("ctx", {}).get("error", error["msg"]))


def test_defaults_are_those_of_the_design() -> None:
    one = connector()
    assert (one.batch_records, one.batch_bytes, one.batch_seconds, one.memory) == (10_000, 16 << 20, 60, 64 << 20)
    assert (one.type_conflict, one.schema_mode, one.nested) == ("split", "evolve", None)
    assert (one.nul_characters, one.unchanged) == ("reject", "skip")
    assert (one.most_deleted, one.rate_limit_share, one.calls_in_flight) == (0.5, 0.9, 8)
    assert (one.retry_attempts, one.retry_seconds, one.retry_wait, one.longest_wait) == (6, 300, 0.5, 3600)
    assert (one.run_seconds, one.lock_wait, one.lookback, one.max_rejects) == (86400, 60, timedelta(0), None)
    assert (one.enabled, one.streams, one.extensions, one.start_date, one.frequency) == (True, {}, (), None, None)
    assert LedgerSettings().url.reveal() == "sqlite:///.connector-core/ledger.db"


@pytest.mark.parametrize("model", [Connector, Destination, LedgerSettings, StreamSettings])
def test_every_setting_is_explained(model: type[BaseModel]) -> None:
    assert [name for name, field in model.model_fields.items() if not field.description] == []


@pytest.mark.parametrize(
    ("name", "becomes"),
    [
        ("Stitch Desk", "stitch_desk"),
        ("stitch-desk", "stitch_desk"),
        ("Desk (EU) v2.0", "desk_eu_v20"),
        ("DESK", "desk"),
    ],
)
def test_the_namespace_is_the_slug_of_the_name(name: str, becomes: str) -> None:
    assert slug(name) == becomes
    assert namespace_problem(becomes) is None
    assert connector(name=name).fallback_namespace == becomes


@pytest.mark.parametrize(
    "namespace",
    [
        "",
        "1st",
        "a" * 51,
        "a-b",
        "a b",
        "Ä",
        "\u0131",
        "Abc",
        "../x",
        'x"; drop',
        "😀",
        "pg_x",
        "information_schema",
        "a\n",
    ],
)
def test_g4_what_cannot_be_a_namespace(namespace: str) -> None:
    assert namespace_problem(namespace)


@pytest.mark.parametrize("name", ["", "   ", "a" * 201, "a\nb", "a\x1b[31m", "a\u202eb"])
def test_g4_what_cannot_be_a_name(name: str) -> None:
    refused(name=name)


@pytest.mark.parametrize(
    ("value", "becomes"),
    [
        (datetime(2025, 11, 23).date(), datetime(2025, 11, 23, tzinfo=UTC)),
        ("2025-11-23", datetime(2025, 11, 23, tzinfo=UTC)),
        ("2025-11-23T02:00:00+02:00", datetime(2025, 11, 23, tzinfo=UTC)),
        (datetime(2025, 11, 23, 1), datetime(2025, 11, 23, 1, tzinfo=UTC)),
        ("1970-01-01", datetime(1970, 1, 1, tzinfo=UTC)),
        (NOW, NOW),
    ],
)
def test_start_date(value: Any, becomes: datetime) -> None:
    start = connector(start_date=value).start_date
    assert start == becomes
    assert start is not None
    assert start.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("2026-11-23T12:00:01Z", "lies in the future"),
        ("2099-01-01", "lies in the future"),
        ("1969-12-31T23:59:59Z", "lies before 1970-01-01"),
        ("0001-01-01T00:00:00+10:00", "should be a date such as 2025-11-23"),
        ("yesterday", "should be a date such as 2025-11-23"),
        ("2025-02-30", "should be a date such as 2025-11-23"),
        (20251123, "should be a date such as 2025-11-23"),
        (True, "should be a date such as 2025-11-23"),
    ],
)
def test_g6_start_dates_that_are_refused(value: Any, said: str) -> None:
    assert refused(start_date=value).startswith(said)


@pytest.mark.parametrize(
    ("value", "seconds"), [("1m", 60), ("30m", 1800), ("6h", 21600), ("1d", 86400), ("90 m", 5400), ("31d", 31 * 86400)]
)
def test_frequency(value: str, seconds: int) -> None:
    assert connector(frequency=value).frequency == seconds


@pytest.mark.parametrize(
    "value", ["0m", "-1h", "59s", "61s", "365d", "1y", "", "h", "1e3m", "\u0661h", 30, 6.0, True, None, "30"]
)
def test_g7_frequencies_that_are_refused(value: Any) -> None:
    if value is None:
        assert connector(frequency=None).frequency is None  # as if it was not given
    else:
        refused(frequency=value)


def test_g7_an_anchor_is_an_instant_and_needs_an_hour() -> None:
    anchor = datetime(2026, 1, 1, 7, 30, tzinfo=UTC)
    assert connector(frequency="1h", anchor_time=anchor).anchor_time == anchor
    assert connector(frequency="6h", anchor_time="2026-01-01T09:30:00+02:00").anchor_time == anchor
    assert "needs a frequency of at least 1h" in refused(frequency="30m", anchor_time=anchor)
    for wrong in ("2026-01-01T07:30:00", datetime(2026, 1, 1, 7, 30), "07:30Z", "2026-01-01T25:00:00Z", 7, "Z"):
        assert "should be an instant with its zone" in refused(frequency="6h", anchor_time=wrong)


def test_cron_and_time_zone() -> None:
    assert connector(cron=" 30  7 * * 1-5 ").cron == "30 7 * * 1-5"
    for wrong in ("", "* * * *", "* * * * * *", "61 * * * *", "@daily", "x" * 300, 5):
        assert "cron expression of five fields" in refused(cron=wrong)
    assert connector(timezone="Europe/Berlin", frequency="2d").timezone == "Europe/Berlin"
    assert connector(timezone="Europe/Berlin", cron="0 2 * * *", frequency="5h").timezone == "Europe/Berlin"
    assert "divides 24h" in refused(frequency="5h", timezone="Europe/Berlin")
    for wrong in ("Mars/Base", "../../etc/passwd", "/etc/localtime", "", 7):
        assert "IANA time zone" in refused(timezone=wrong)


@pytest.mark.parametrize(
    ("value", "count", "percent"), [(0, 0, None), ("12", 12, None), ("5%", None, 5), ("0.5 %", None, 0.5)]
)
def test_max_rejects(value: Any, count: int | None, percent: float | None) -> None:
    assert connector(max_rejects=value).max_rejects == RejectLimit(count=count, percent=percent)


@pytest.mark.parametrize("value", [-1, "101%", "%", "five", True, 1.5, "1e3", []])
def test_max_rejects_refused(value: Any) -> None:
    assert "should be a number of records" in refused(max_rejects=value)


def test_a_count_is_crossed_by_one_more_and_a_percentage_only_from_a_thousand_records_on() -> None:
    assert not RejectLimit(count=2).crossed(rejected=2, extracted=3)
    assert RejectLimit(count=2).crossed(rejected=3, extracted=3)
    assert not RejectLimit(percent=5).crossed(rejected=999, extracted=999)
    assert not RejectLimit(percent=5).crossed(rejected=50, extracted=1000)
    assert RejectLimit(percent=5).crossed(rejected=51, extracted=1000)
    assert RejectLimit(percent=0).crossed(rejected=1, extracted=1000)


@pytest.mark.parametrize(
    "settings",
    [
        {"batch_records": 0}, {"batch_records": True}, {"batch_records": 1.5}, {"batch_records": "many"},
        {"batch_bytes": "1 KiB"}, {"batch_bytes": "16 MiBs"}, {"batch_seconds": 0}, {"batch_seconds": "1x"},
        {"batch_seconds": float("nan")}, {"batch_seconds": float("inf")}, {"batch_seconds": True},
        {"rate_limit_share": 0}, {"rate_limit_share": 1.01}, {"most_deleted": -0.1}, {"most_deleted": False},
        {"calls_in_flight": 0}, {"calls_in_flight": 65}, {"retry_attempts": 0}, {"retry_wait": 0}, {"lookback": "-1d"},
        {"lookback": "forever"}, {"enabled": "maybe"}, {"enabled": 7},
        {"source": ""}, {"source": 5}, {"destination": []},
        {"schema": "evolves"}, {"type_conflict": "widen"}, {"nested": "json"}, {"nul_characters": "keep"},
        {"unchanged": "rewrites"}, {"streams": 5}, {"streams": {"a": 5}}, {"config": 5}, {"extensions": "audit"},
        {"unknown": 1}, {"namespace": 5}, {"schema_mode": "freeze"},
    ],
    ids=str,
)  # fmt: skip
def test_g3_values_that_are_refused(settings: dict[str, Any]) -> None:
    refused(**settings)


def test_values_that_came_from_variables_are_texts() -> None:
    one = connector(
        enabled="false",
        batch_records="500",
        batch_bytes="1 MiB",
        retry_seconds="2m",
        lock_wait="0",
        most_deleted="0.25",
    )
    assert (one.enabled, one.batch_records, one.batch_bytes, one.retry_seconds) == (False, 500, 1 << 20, 120)
    assert (one.lock_wait, one.most_deleted) == (0, 0.25)


def test_a_stream_falls_back_to_its_connector() -> None:
    one = connector(
        schema="freeze", lookback="1d", unchanged="rewrite",
        streams={"a": {"schema": "discard", "selected": False, "lookback": "0s", "nested": "native"}},
    )  # fmt: skip
    a, b = one.stream("a"), one.stream("b")
    assert (a.selected, a.schema_mode, a.nested, a.lookback) == (False, "discard", "native", timedelta(0))
    assert (a.unchanged, a.type_conflict) == ("rewrite", "split")
    assert (b.selected, b.schema_mode, b.nested, b.lookback) == (True, "freeze", None, timedelta(days=1))
    assert (b.unchanged, b.type_conflict) == ("rewrite", "split")


@pytest.mark.parametrize(
    "url", ["sqlite:///x.db", "sqlite:////var/x.db", "postgresql://u:p@h/d", "postgresql+psycopg://h/d"]
)
def test_urls_of_a_ledger(url: str) -> None:
    ledger = LedgerSettings.model_validate({"url": url})
    assert ledger.url.reveal() == url
    assert url not in repr(ledger)


@pytest.mark.parametrize("url", ["", "x.db", "sqlite://", "sqlite:///", "mysql://h/d", "http://h", 5])
def test_urls_that_are_none_of_a_ledger(url: Any) -> None:
    with pytest.raises(ValidationError):
        LedgerSettings.model_validate({"url": url})


def test_units() -> None:
    assert [duration(v) for v in ("90s", "1.5 h", 7, "2w", "12")] == [90, 5400, 7, 1209600, 12]
    assert [size(v) for v in ("1 KiB", "2MB", "1 gib", 10, "10")] == [1024, 2_000_000, 1 << 30, 10, 10]
    assert [spoken(v) for v in (0.04, 9.99, 42, 60, 3599, 7621)] == [
        "0.0 s", "10.0 s", "42 s", "1 min 00 s", "59 min 59 s", "2 h 07 min",
    ]  # fmt: skip
