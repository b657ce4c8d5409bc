"""`[metering]`: the periods of the meter."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator

from connector_core.config.models import Settings, instant_of


def _from(value: Any) -> datetime:
    return instant_of(value, what="a date such as 2026-01-01 or an instant such as 2026-01-01T00:00:00Z")


class MeteringSettings(Settings):
    """`[metering]`: the periods of the meter, for all connectors of the ledger."""

    period: Literal["30d", "month"] = Field(default="30d", description="30 days, or a calendar month (UTC)")
    period_start: Annotated[datetime, PlainValidator(_from)] | None = Field(
        default=None, description="when one of the periods of 30 days begins; default: the day of the first data"
    )
