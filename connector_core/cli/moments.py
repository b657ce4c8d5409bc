"""Instants as options: a date, an instant, or how long ago."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

from connector_core.config.units import interval
from connector_core.errors import ConfigError


def moment(text: str | None, now: datetime, option: str) -> datetime | None:
    """The instant that an option names: `2026-01-31` (its midnight UTC), `2026-01-31T07:30` (UTC unless it has a zone),
    or `90m`, `2d` before `now`. Raises `ConfigError`."""
    if text is None:
        return None
    try:
        return now - timedelta(seconds=interval(text))
    except (ValueError, OverflowError):
        pass
    try:
        found = datetime.fromisoformat(text) if len(text) > 10 else datetime.combine(date.fromisoformat(text), time())
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ConfigError(
            f"{option} {text!r} is no instant",
            hint="write a date such as 2026-01-31, an instant such as 2026-01-31T07:30Z, or how long ago: 90m, 2d",
            code="usage",
        ) from None
