"""Instants and dates: reads the ISO 8601 texts that APIs send and gives back the one canonical form.

Canonical: UTC, "2016-03-01T08:00:05Z", or with one to six digits of a second without trailing zeros. The rules are
ours alone, the same for every destination and independent of the machine's time zone (facts/hard_values.md section 1,
facts/fault_catalogue.md B15 to B20): a text without zone is UTC, a date alone is its midnight UTC, digits beyond the
sixth of a second are cut off. A text that is not an instant ("now", "01/02/2017") is a value of another type; a text
that has the form and names no instant (30 February, second 60, hour 24, year 0, year 10000, offset +99:99) is
refused.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from datetime import UTC, date, datetime, timedelta

_YEAR = r"([+-]?[0-9]{4,9})-([0-9]{2})-([0-9]{2})"
_DATE = re.compile(_YEAR)
_INSTANT = re.compile(
    _YEAR
    + r"(?:[Tt ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]+))?)?(?:([Zz])|([+-])([0-9]{2})(?::?([0-9]{2}))?)?)?"
)
_CANONICAL = re.compile(r"(?:[0-9]{4}-[01][0-9]-[0-3][0-9]T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z)*+")


class NoSuchInstant(ValueError):  # noqa: N818 - it names what is wrong with the value
    """A text of the right form that names no instant or date between the years 1 and 9999."""


def instant(text: str) -> str | None:
    """The canonical form of `text`, None when it is not an instant at all. Raises `NoSuchInstant`."""
    found = _INSTANT.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second, fraction, _, sign, off_hours, off_minutes = found.groups()
    try:
        moment = datetime(_year(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0))
        if sign:
            moment -= _offset(sign, int(off_hours), int(off_minutes or 0))
    except (ValueError, OverflowError) as error:
        raise NoSuchInstant(str(error)) from None
    digits = (fraction or "")[:6].rstrip("0")
    return f"{moment.isoformat()}{'.' if digits else ''}{digits}Z"


def date_text(text: str) -> str | None:
    """`text` when it is a date ("2016-03-01"), None when it is not a date at all. Raises `NoSuchInstant`."""
    found = _DATE.fullmatch(text)
    if found is None:
        return None
    year, month, day = found.groups()
    try:
        return date(_year(year), int(month), int(day)).isoformat()
    except ValueError as error:
        raise NoSuchInstant(str(error)) from None


def all_canonical(texts: Collection[str]) -> bool:
    """Whether every text is a whole second in canonical form that really exists: the usual case, at 0.15 us a text.

    False does not mean that something is wrong, only that each text must be read by itself.
    """
    if not _CANONICAL.fullmatch("".join(texts)):
        return False
    try:
        # What is left is the calendar (not every year has a 29 February), and where one text ends: each must be an
        # instant by itself, so it begins with four digits, and the pattern has these only at its beginning.
        return bool([*map(datetime.fromisoformat, texts)])
    except ValueError:
        return False


def to_datetime(canonical: str) -> datetime:
    """The aware UTC datetime of a canonical instant, or of a canonical date's midnight."""
    moment = datetime.fromisoformat(canonical)
    return moment if moment.tzinfo is UTC else moment.replace(tzinfo=UTC)


def to_datetimes(column: Sequence[str | None]) -> Sequence[datetime | None]:
    """`to_datetime` of each text of a column, None where it is null."""
    try:
        moments: list[datetime] = [*map(datetime.fromisoformat, column)]  # type: ignore[arg-type]
    except TypeError:
        return [None if text is None else to_datetime(text) for text in column]
    return (
        moments
        if all(moment.tzinfo is UTC for moment in moments)
        else [moment.replace(tzinfo=UTC) for moment in moments]
    )


def from_datetime(moment: datetime) -> str:
    """The canonical form of an aware datetime. Raises `ValueError` for one without zone."""
    if moment.tzinfo is None:
        raise ValueError("an instant needs a time zone")
    text = moment.astimezone(UTC).replace(tzinfo=None).isoformat()
    return f"{text.rstrip('0') if '.' in text else text}Z"


def _year(text: str) -> int:
    if len(text) != 4:
        raise ValueError(f"year {text} is out of range")
    return int(text)


def _offset(sign: str, hours: int, minutes: int) -> timedelta:
    if hours > 23 or minutes > 59:
        raise ValueError("offset is out of range")
    span = timedelta(hours=hours, minutes=minutes)
    return -span if sign == "-" else span
