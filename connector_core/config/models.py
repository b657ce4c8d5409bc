"""What may stand in connectors.toml: every setting with its type, default, unit and meaning."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any, Literal, TypeVar
from zoneinfo import ZoneInfo

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    InstanceOf,
    PlainValidator,
    ValidationInfo,
    field_validator,
)

from connector_core.config.secrets import Secret
from connector_core.config.units import duration, interval, size

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LONGEST_FREQUENCY = 31 * 86400

SchemaMode = Literal["evolve", "freeze", "discard"]
TypeConflict = Literal["split", "reject"]
Nested = Literal["subtables", "native"]
Unchanged = Literal["skip", "rewrite"]
CatchUp = Literal["one", "none"]

T = TypeVar("T")


def slug(name: str) -> str:
    """The schema that Stitch makes of an integration's name: lower case, blanks and `-` become `_`, `. ( )` go
    (facts/stitch_semantics.md section 6.8)."""
    return re.sub(r"[.()]", "", re.sub(r"[ -]", "_", name.lower()))


def namespace_problem(namespace: str) -> str | None:
    """Why a text cannot be a namespace, or None when it can."""
    if not re.fullmatch(r"[a-z_][a-z0-9_$]{0,49}", namespace, re.ASCII):
        return "it has to start with a-z or _, go on with a-z, 0-9, _ or $, and have at most 50 characters"
    if namespace == "information_schema" or namespace.startswith("pg_"):
        return "databases keep this name for themselves"
    return None


@dataclass(frozen=True, kw_only=True)
class RejectLimit:
    """How many rejected records a run may have: a count, or a percentage of the extracted records (from 1,000 on)."""

    count: int | None = None
    percent: float | None = None

    FROM_RECORDS = 1000

    def crossed(self, *, rejected: int, extracted: int) -> bool:
        """Whether a run's totals are above the limit."""
        if self.count is not None:
            return rejected > self.count
        return self.percent is not None and extracted >= self.FROM_RECORDS and rejected * 100 > self.percent * extracted

    def __str__(self) -> str:
        return str(self.count) if self.percent is None else f"{self.percent:g}%"


def _number(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("should be a number")
    return value


def _reject_limit(value: Any) -> RejectLimit:
    if isinstance(value, RejectLimit):
        return value
    text = str(value).strip() if isinstance(value, (int, str)) and not isinstance(value, bool) else ""
    if re.fullmatch(r"[0-9]{1,12}", text, re.ASCII):
        return RejectLimit(count=int(text))
    if re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,6})?\s*%", text, re.ASCII) and (percent := float(text.rstrip("% "))) <= 100:
        return RejectLimit(percent=percent)
    raise ValueError('should be a number of records from 0 on, or a percentage such as "5%"')


def instant_of(value: Any, *, what: str) -> datetime:
    """An aware UTC datetime from what TOML or a variable gives; a date is its midnight UTC, a time without zone is
    UTC."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value) if len(value) > 10 else date.fromisoformat(value)
        except ValueError:
            raise ValueError(f"should be {what}") from None
    if type(value) is date:
        value = datetime.combine(value, time())
    if not isinstance(value, datetime):
        raise ValueError(f"should be {what}")
    try:
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"should be {what}") from None


def _start(value: Any, info: ValidationInfo) -> datetime:
    start = instant_of(value, what="a date such as 2025-11-23 or an instant such as 2025-11-23T00:00:00Z")
    now = (info.context or {}).get("now")
    if start < EARLIEST:
        raise ValueError("lies before 1970-01-01")
    if now is not None and start > now:
        raise ValueError("lies in the future")
    return start


def _anchor(value: Any) -> datetime:
    wanted = "an instant with its zone, such as 2026-01-01T07:30:00Z"
    aware = (
        value.tzinfo
        if isinstance(value, datetime)
        else isinstance(value, str) and re.search(r"(Z|[+-]\d\d:?\d\d)$", value)
    )
    if not aware:
        raise ValueError(f"should be {wanted}")
    return instant_of(value, what=wanted)


def _frequency(value: Any) -> int:
    seconds = interval(value)
    if seconds % 60 or not 60 <= seconds <= LONGEST_FREQUENCY:
        raise ValueError("should be whole minutes, at least 1m and at most 31d")
    return int(seconds)


def _cron(value: Any) -> str:
    from croniter import CroniterBadDateError, croniter  # 0.1 s, and few configurations need it

    expression = " ".join(value.split()) if isinstance(value, str) and len(value) <= 200 else ""
    chance = re.search(r"(?<![a-z])[hr](?![a-z])", expression, re.IGNORECASE)  # croniter's random and hashed fields
    if expression.count(" ") != 4 or chance or not croniter.is_valid(expression):
        raise ValueError('should be a cron expression of five fields, such as "30 7 * * 1-5"')
    try:
        croniter(expression, EARLIEST).get_next()
    except CroniterBadDateError:
        raise ValueError("names a day that no year has") from None
    return expression


def _timezone(value: Any) -> str:
    try:
        return ZoneInfo(value).key
    except (OSError, ValueError, TypeError, LookupError):
        raise ValueError('should be the name of an IANA time zone, such as "Europe/Berlin"') from None


def _lookback(value: Any) -> timedelta:
    return value if isinstance(value, timedelta) else timedelta(seconds=_at_least(duration(value), 0, 3660 * 86400))


def _keep(value: Any) -> timedelta:
    return value if isinstance(value, timedelta) else timedelta(seconds=_at_least(duration(value), 3600, 3660 * 86400))


def _at_least(value: float, least: float, most: float) -> float:
    if not least <= value <= most:
        raise ValueError(f"should be at least {least:g} and at most {most:g}")
    return value


Whole = Annotated[int, BeforeValidator(_number)]
Share = Annotated[float, BeforeValidator(_number)]
Seconds = Annotated[float, BeforeValidator(duration)]
Bytes = Annotated[int, BeforeValidator(size)]
Lookback = Annotated[timedelta, PlainValidator(_lookback)]


class Settings(BaseModel):
    """Base of the tables: frozen, no unknown keys, and an error never shows a value."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, validate_default=False)


class LedgerSettings(Settings):
    """`[ledger]`: the engine's own database, and how long it keeps runs."""

    url: InstanceOf[Secret] = Field(
        default=Secret("sqlite:///.connector-core/ledger.db"),
        description="SQLAlchemy URL: sqlite:///FILE (relative to the folder of connectors.toml) or postgresql://...",
    )

    keep: Annotated[timedelta, PlainValidator(_keep)] = Field(
        default=timedelta(days=60),
        description="how long runs and their log lines are kept (duration); receipts are never forgotten",
    )

    @field_validator("url", mode="before")
    @classmethod
    def _url(cls, value: Any) -> Secret:
        if isinstance(value, Secret):
            return value
        if not isinstance(value, str) or not re.match(r"(sqlite(\+pysqlite)?:///.|postgresql(\+\w+)?://)", value):
            raise ValueError("should be sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE")
        return Secret(value)


class ServeSettings(Settings):
    """`[serve]`: the daemon that runs connectors by their schedules."""

    max_parallel: Whole = Field(default=4, ge=1, le=64, description="runs at work at the same time")
    drain: Seconds = Field(
        default=300.0,
        ge=0,
        le=86400,
        description="seconds that runs may still take after SIGTERM; then they stop after the commit in hand",
    )


class Destination(Settings):
    """`[destinations.NAME]`: a place to load into. All keys but `type` belong to the plugin."""

    key: str = Field(description="the NAME in [destinations.NAME]")
    type: str = Field(min_length=1, description="name of the destination plugin, for instance duckdb")
    config: Mapping[str, Any] = Field(
        default_factory=dict, repr=False, description="the plugin's own settings; its secrets are of type Secret"
    )


class Extension(Settings):
    """`[extensions.NAME]`: settings of an extension. All keys but `type` belong to the plugin."""

    key: str = Field(description="the NAME in [extensions.NAME]")
    type: str = Field(min_length=1, description="name of the extension plugin; default: the NAME")
    config: Mapping[str, Any] = Field(
        default_factory=dict, repr=False, description="the plugin's own settings; its secrets are of type Secret"
    )


class StreamSettings(Settings):
    """`[connectors.NAME.streams.STREAM]`: what is different for one stream; None means as for the connector."""

    selected: bool = Field(default=True, description="whether the stream is read (default true)")
    schema_mode: SchemaMode | None = Field(
        default=None, alias="schema", description="unknown properties: evolve, freeze or discard"
    )
    nested: Nested | None = Field(default=None, description="arrays: subtables or native")
    type_conflict: TypeConflict | None = Field(default=None, description="values that do not fit: split or reject")
    unchanged: Unchanged | None = Field(default=None, description="unchanged records: skip or rewrite")
    lookback: Lookback | None = Field(default=None, description="read again this long before the bookmark (duration)")


class Connector(Settings):
    """`[connectors.NAME]`: one source loaded into one destination."""

    key: str = Field(description="the NAME in [connectors.NAME]; commands and the ledger use it")
    name: str = Field(default="", max_length=200, description="name for people; default: the key")
    source: str = Field(min_length=1, description="name of the source plugin, for instance desk")
    version: str | None = Field(default=None, description="version of the source; needed where it has several")
    destination: str = Field(min_length=1, description="the NAME of a [destinations.NAME]")
    enabled: bool = Field(default=True, description="whether runs without a name include it (default true)")
    namespace: str = Field(
        default="", description="schema in the destination; default: the name in lower case, blanks as _; never changes"
    )
    extensions: tuple[str, ...] = Field(
        default=(), description="extensions that take part in its runs: NAMEs of [extensions.NAME], or of plugins"
    )
    config: Mapping[str, Any] = Field(
        default_factory=dict, repr=False, description="the source's own settings; its secrets are of type Secret"
    )

    start_date: Annotated[datetime, PlainValidator(_start)] | None = Field(
        default=None,
        description="date or instant (UTC) from which the first run reads; default: a year before, midnight",
    )
    frequency: Annotated[int, PlainValidator(_frequency)] | None = Field(
        default=None,
        description="time between starts, whole minutes, at least 1m (seconds here); default: the source's",
    )
    anchor_time: Annotated[datetime, PlainValidator(_anchor)] | None = Field(
        default=None, description="an instant of the schedule's grid; needs a frequency of at least 1h"
    )
    cron: Annotated[str, PlainValidator(_cron)] | None = Field(
        default=None, description="five fields; wins over frequency and anchor_time"
    )
    timezone: Annotated[str, PlainValidator(_timezone)] | None = Field(
        default=None, description="IANA zone that keeps wall-clock slots over a change of DST; default: UTC"
    )
    catch_up: CatchUp = Field(
        default="one", description="slots missed while nothing ran the schedule: one (the newest is run), or none"
    )

    schema_mode: SchemaMode = Field(
        default="evolve",
        alias="schema",
        description="unknown properties: evolve (add a column), freeze (reject), discard",
    )
    type_conflict: TypeConflict = Field(
        default="split", description="values that do not fit their column: split or reject"
    )
    nested: Nested | None = Field(
        default=None, description="arrays: subtables or native; default: the destination's way"
    )
    nul_characters: Literal["reject", "strip"] = Field(
        default="reject", description="U+0000 where the destination cannot hold it: reject or strip"
    )
    unchanged: Unchanged = Field(default="skip", description="unchanged records: skip, or rewrite as Stitch did")
    lookback: Lookback = Field(
        default=timedelta(0), description="read again this long before the bookmark (duration); needs a primary key"
    )
    max_rejects: Annotated[RejectLimit, PlainValidator(_reject_limit)] | None = Field(
        default=None, description='a run stops (exit 3) above this many rejects: a count or "5%"; default: no limit'
    )
    most_deleted: Share = Field(
        default=0.5, ge=0, le=1, description="a full-table pass may delete at most this share of a table's rows"
    )

    batch_records: Whole = Field(default=10_000, ge=1, le=1_000_000, description="root records in one transaction")
    batch_bytes: Bytes = Field(
        default=16 << 20, ge=1 << 16, le=1 << 30, description="bytes of source text in one transaction (16 MiB)"
    )
    batch_seconds: Seconds = Field(
        default=60.0, gt=0, le=3600, description="seconds after which a batch is loaded anyway"
    )
    memory: Bytes = Field(
        default=64 << 20,
        ge=1 << 20,
        le=64 << 30,
        description="bytes of memory for the records that are being read, wait, or are being loaded (64 MiB)",
    )

    rate_limit_share: Share = Field(
        default=0.9, gt=0, le=1, description="share of the source's call budget that a run may use"
    )
    calls_in_flight: Whole = Field(default=8, ge=1, le=64, description="requests at the same time")
    retry_attempts: Whole = Field(default=6, ge=1, le=100, description="attempts for one request")
    retry_seconds: Seconds = Field(default=300.0, ge=0, le=86400, description="seconds until one request is given up")
    retry_wait: Seconds = Field(
        default=0.5, gt=0, le=300, description="seconds of the first pause before a repeat; doubles each time"
    )
    longest_wait: Seconds = Field(
        default=3600.0, ge=1, le=86400, description="seconds that a source may ask us to wait; more is an error"
    )
    run_seconds: Seconds = Field(
        default=86400.0,
        ge=1,
        le=7 * 86400,
        description="seconds after which a run ends as partial and goes on next time",
    )
    hook_seconds: Seconds = Field(
        default=3600.0,
        ge=1,
        le=86400,
        description="seconds that a call of a plugin may last once run_seconds is over; then the process ends, exit 6",
    )
    lock_wait: Seconds = Field(
        default=60.0, ge=0, le=86400, description="seconds to wait for a destination that another run holds"
    )

    streams: dict[str, StreamSettings] = Field(default_factory=dict, description="settings of single streams")

    @property
    def fallback_namespace(self) -> str:
        """The namespace that the name gives when none is set."""
        return slug(self.name or self.key)

    @field_validator("anchor_time")
    @classmethod
    def _anchored(cls, value: datetime | None, info: ValidationInfo) -> datetime | None:
        if value and (info.data.get("frequency") or 3600) < 3600:
            raise ValueError("needs a frequency of at least 1h")
        return value

    @field_validator("timezone")
    @classmethod
    def _zoned(cls, value: str | None, info: ValidationInfo) -> str | None:
        frequency = info.data.get("frequency")
        if value and frequency and not info.data.get("cron") and 86400 % frequency and frequency % 86400:
            raise ValueError("needs a frequency that divides 24h, or a multiple of 24h")
        return value

    @field_validator("name")
    @classmethod
    def _name(cls, value: str) -> str:
        if not value.strip() or not value.isprintable():
            raise ValueError("should have visible characters only, and at least one")
        return value.strip()

    def stream(self, name: str) -> StreamSettings:
        """The settings that hold for one stream: its own, else the connector's. Only `nested` may stay None."""
        own = self.streams.get(name)

        def pick(mine: T | None, general: T) -> T:
            return general if mine is None else mine

        return StreamSettings(
            selected=own.selected if own else True,
            schema=pick(own.schema_mode if own else None, self.schema_mode),
            nested=pick(own.nested if own else None, self.nested),
            type_conflict=pick(own.type_conflict if own else None, self.type_conflict),
            unchanged=pick(own.unchanged if own else None, self.unchanged),
            lookback=pick(own.lookback if own else None, self.lookback),
        )
