"""`[metering]`: what counts as usage, in which periods, and what happens at the quota."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator

from connector_core.config.models import Settings, Whole, instant_of

Count = Literal["rows", "stitch"]


def _from(value: Any) -> datetime:
    return instant_of(value, what="a date such as 2026-01-01 or an instant such as 2026-01-01T00:00:00Z")


def _thresholds(value: Any) -> tuple[int, ...]:
    found = tuple(value) if isinstance(value, (list, tuple)) else ()
    if not found or any(type(one) is not int or not 1 <= one <= 1000 for one in found):
        raise ValueError("should be a list of percentages from 1 to 1000, such as [70, 90, 100]")
    return tuple(sorted(set(found)))


class MeteringSettings(Settings):
    """`[metering]`: what counts as usage, in which periods, and what happens at the quota. It holds for all connectors
    of the ledger together."""

    count: Count = Field(
        default="rows",
        description="rows: new and changed rows and sub-rows; stitch: every row that passes through, as Stitch billed",
    )
    period: Literal["30d", "month"] = Field(default="30d", description="30 days, or a calendar month (UTC)")
    period_start: Annotated[datetime, PlainValidator(_from)] | None = Field(
        default=None, description="when one of the periods of 30 days begins; default: the day of the first data"
    )
    quota: Whole | None = Field(default=None, ge=1, description="rows of a period that may count; default: no quota")
    thresholds: Annotated[tuple[int, ...], PlainValidator(_thresholds)] = Field(
        default=(70, 90, 100), description="shares of the quota, in percent, at which an event is told"
    )
    on_quota: Literal["warn", "pause"] = Field(
        default="warn",
        description="at 100 %: warn and go on; or pause: the run in hand ends as partial, the next period goes on",
    )
