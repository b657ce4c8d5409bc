"""One documented rule for every text that may be an instant or a date, the same for all destinations."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector_core.instants import NoSuchInstant, all_canonical, date_text, from_datetime, instant, to_datetime


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("2016-03-01T08:00:05Z", "2016-03-01T08:00:05Z"),
        ("2016-03-01t08:00:05z", "2016-03-01T08:00:05Z"),
        ("2016-03-01 08:00:05", "2016-03-01T08:00:05Z"),
        ("2016-03-01T08:00", "2016-03-01T08:00:00Z"),
        ("2016-03-01", "2016-03-01T00:00:00Z"),
        ("2016-03-01T08:00:05+00:00", "2016-03-01T08:00:05Z"),
        ("2016-03-01T08:00:05-00:00", "2016-03-01T08:00:05Z"),
        ("2016-03-01T00:30:05+01:00", "2016-02-29T23:30:05Z"),
        ("2016-03-01T08:00:05-0530", "2016-03-01T13:30:05Z"),
        ("2016-03-01T08:00:05+16", "2016-02-29T16:00:05Z"),
        ("2016-03-01T08:00:05.000Z", "2016-03-01T08:00:05Z"),
        ("2016-03-01T08:00:05.250Z", "2016-03-01T08:00:05.25Z"),
        ("2016-03-01T08:00:05.123456Z", "2016-03-01T08:00:05.123456Z"),
        ("2016-03-01T08:00:05.1234569Z", "2016-03-01T08:00:05.123456Z"),
        ("2016-03-01T08:00:05.9999999+02:00", "2016-03-01T06:00:05.999999Z"),
        ("2016-03-01T08:00:05.0000009", "2016-03-01T08:00:05Z"),
        ("2016-02-29T00:00:00Z", "2016-02-29T00:00:00Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
        ("2016-03-01T08:00:05+23:59", "2016-02-29T08:01:05Z"),
    ],
)
def test_an_instant_has_one_form(text: str, canonical: str) -> None:
    """B17, B18, B19."""
    assert instant(text) == canonical
    assert instant(canonical) == canonical


@pytest.mark.parametrize(
    "text",
    [
        *("now", "today", "epoch", "infinity", "-infinity", "", " ", "null"),  # B15
        *(
            "01/02/2017",
            "2017/02/01",
            "20170201",
            "2017-2-1",
            "1 Feb 2017",
            "2017-W05-3",
            "2017-032",
            "1456819205",
        ),  # B20
        *(
            "\uff12\uff10\uff11\uff16-03-01",
            "2016-03-01T08:00:05Z ",
            " 2016-03-01",
            "2016-03-01T08:00:05Z\n",
            "2016-03-01T08:00:05 PM",
        ),
        *(
            "2016-03-01T08",
            "2016-03-01T080005Z",
            "2016-03-01T08:00:05,5Z",
            "2016-03-01T08:00:05.Z",
            "2016-03-01T08:00:05 UTC",
        ),
        *("2016-03-01T08:00:05+1", "2016-03-01Z", "2016-03-01T08:00:05ZZ", "2016-03-01T08:00:05Z\0", "016-03-01"),
    ],
)
def test_no_guessing(text: str) -> None:
    assert instant(text) is None


@pytest.mark.parametrize(
    "text",
    [
        *(
            "2016-02-30",
            "2015-02-29T00:00:00Z",
            "1900-02-29",
            "2016-00-01",
            "2016-13-01",
            "2016-01-00",
            "2016-01-32",
        ),  # B16
        *("2016-12-31T23:59:60Z", "2016-03-01T24:00:00Z", "2016-03-01T08:60:00Z", "2016-03-01T25:00"),
        *("0000-01-01", "10000-01-01T00:00:00Z", "294276-01-01", "-0044-03-15", "+2016-03-01"),
        *("2016-03-01T08:00:05+99:99", "2016-03-01T08:00:05+24:00", "2016-03-01T08:00:05+01:60"),  # B17
        *("0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-00:01"),
    ],
)
def test_an_instant_that_does_not_exist_is_refused(text: str) -> None:
    with pytest.raises(NoSuchInstant):
        instant(text)


@pytest.mark.parametrize(
    ("text", "found"), [("2016-02-29", "2016-02-29"), ("2016-02-29T00:00:00Z", None), ("now", None), ("2016-2-9", None)]
)
def test_a_date_is_only_a_date(text: str, found: str | None) -> None:
    assert date_text(text) == found


@pytest.mark.parametrize("text", ["2015-02-29", "2016-13-01", "0000-01-01", "10000-01-01"])
def test_a_date_that_does_not_exist_is_refused(text: str) -> None:
    with pytest.raises(NoSuchInstant):
        date_text(text)


@pytest.mark.parametrize(
    "bad",
    [
        *(
            "2015-02-29T08:00:05Z",
            "2016-03-01T24:00:00Z",
            "2016-03-01T08:60:05Z",
            "2016-03-01T08:00:60Z",
            "0000-03-01T08:00:05Z",
        ),
        *(
            "2016-W10-1T08:00:05Z",
            "2016-03-01T080005.5Z",
            "2016-03-01 08:00:05Z",
            "2016-03-01T08:00:05z",
            "2016-03-01X08:00:05Z",
        ),
        *(
            "2016-03-01T08:00:05.5Z",
            "2016-03-01T08:00+00",
            "",
            "2016-03-01T08:00:0\uff15Z",
            "2016-04-31T08:00:05Z",
            "2016-00-10T08:00:05Z",
        ),
    ],
)
def test_the_fast_check_takes_no_other_form(bad: str) -> None:
    good = ["2016-03-01T08:00:05Z", "2016-02-29T23:59:59Z"]
    assert all_canonical(good)
    assert not all_canonical([*good, bad])
    assert not all_canonical([bad, *good])


def test_two_texts_do_not_make_up_for_each_other() -> None:
    assert not all_canonical(["2016-03-01T08:00:05Z2", "016-03-01T08:00:05Z"])


@settings(deadline=None)
@given(st.datetimes(timezones=st.builds(lambda m: timezone(timedelta(minutes=m)), st.integers(-1439, 1439))))
def test_every_offset_is_the_same_instant(moment: datetime) -> None:
    try:
        expected = moment.astimezone(UTC)
    except OverflowError:
        with pytest.raises(NoSuchInstant):
            instant(moment.isoformat())
        return
    canonical = instant(moment.isoformat())
    assert canonical is not None
    assert to_datetime(canonical) == expected
    assert from_datetime(moment) == canonical


@settings(deadline=None)
@given(st.datetimes(), st.datetimes())
def test_the_fast_check_agrees_with_the_slow_one(one: datetime, other: datetime) -> None:
    texts = [f"{moment.replace(microsecond=0).isoformat()}Z" for moment in (one, other)]
    assert all_canonical(texts)
    assert [instant(text) for text in texts] == texts


@settings(deadline=None)
@given(st.text(alphabet="0123456789-:TZ.+ W", min_size=1, max_size=25) | st.text(max_size=25))
def test_no_text_is_taken_for_what_it_is_not(text: str) -> None:
    try:
        canonical = instant(text)
    except NoSuchInstant:
        canonical = None
    assert not all_canonical([text]) or canonical == text
    if canonical is not None:
        assert from_datetime(to_datetime(canonical)) == canonical


def test_a_datetime_without_zone_is_an_error() -> None:
    with pytest.raises(ValueError, match="zone"):
        from_datetime(datetime(2016, 3, 1))


@pytest.fixture
def _far_east() -> Iterator[None]:
    before = os.environ.get("TZ")
    os.environ["TZ"] = "Pacific/Kiritimati"
    time.tzset()
    yield
    os.environ.pop("TZ") if before is None else os.environ.update(TZ=before)
    time.tzset()


@pytest.mark.usefixtures("_far_east")
def test_the_zone_of_the_machine_has_no_say() -> None:
    """B18, G13."""
    assert instant("2016-03-01T08:00:05") == "2016-03-01T08:00:05Z"
    assert to_datetime("2016-03-01") == datetime(2016, 3, 1, tzinfo=UTC)
