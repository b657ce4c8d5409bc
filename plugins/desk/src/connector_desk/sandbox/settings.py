"""Every switch of the sandbox with its meaning: the one place that the command line, HTTP control and tests read."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

AUTH_MODES: Final = ("HMAC-SHA1", "PLAINTEXT", "BASIC")
CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "too_many": ("json", "text"),
    "page_cap_answer": ("422", "400", "empty"),
    "since": ("exclusive", "inclusive"),
    "per_page_over": ("clamp", "422"),
    "company_link": ("null", "missing"),
}
# facts/desk_api.md section 3: 1000 documented for users and groups, 100 what every extractor asks of the rest.
MAX_PER_PAGE: Final[Mapping[str, int]] = {
    "cases": 100,
    "customers": 100,
    "replies": 100,
    "interactions": 100,
    "companies": 100,
    "users": 1000,
    "groups": 1000,
    "labels": 1000,
    "custom_fields": 1000,
}


def _data(default: Any, text: str) -> Any:
    """A setting that shapes the data and is therefore fixed once the sandbox has started."""
    return field(default=default, metadata={"help": text, "fixed": True})


def _switch(default: Any, text: str) -> Any:
    """A setting that may be changed while the sandbox serves."""
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the sandbox holds and how it behaves (facts/desk_api.md section 11 lists the switches).

    ``now`` anchors the *data* (an aware datetime, ISO-8601 text with zone, or unix seconds; None = the clock at the
    start). The clock that the API shows is the real one unless ``clock``, ``clock_offset`` or ``clock_speed`` say
    otherwise: OAuth timestamps are compared with it. Raises ValueError for a value outside the choices."""

    seed: int = _data(1, "seed of all data and of random faults")
    now: datetime | str | float | None = field(
        default=None,
        metadata={"help": "newest instant of the data, ISO-8601 with zone (default: the clock)", "fixed": True},
    )
    cases: int = _data(200, "number of cases")
    customers: int = _data(80, "number of customers")
    users: int = _data(12, "number of users (agents) in the list")
    groups: int = _data(5, "number of groups")
    replies: float = _data(1.7, "mean number of replies of a case")
    deleted_agents: int = _data(2, "agents that cases and replies still link to, but that answer 404")
    same_second: int = _data(6, "size of the clusters of records that share one updated_at second (0: none)")
    nul_share: float = _data(0.0, "share of cases whose blurb holds a NUL character (0 to 1)")
    huge_body: int = _data(0, "characters in the body of the newest seeded reply (0: none is huge)")
    key: str = _data("", "OAuth consumer key (default: seeded)")
    secret: str = _data("", "OAuth consumer secret (default: seeded)")
    token: str = _data("", "OAuth token (default: seeded)")
    token_secret: str = _data("", "OAuth token secret (default: seeded)")

    rate_limit: int = _switch(300, "requests per window (Desk: 60 for each agent, 300 at most)")
    window_seconds: float = _switch(60.0, "length of the rate window, a grid on the clock (Desk: the minute)")
    too_many: str = _switch("json", "body of a 429: json | text")
    page_cap: int = _switch(500, "last page that is answered (0: no cap)")
    page_cap_answer: str = _switch("422", "answer beyond the cap: 422 | 400 | empty")
    since: str = _switch("exclusive", "lower bounds since_*: exclusive | inclusive (max_* are inclusive)")
    per_page: int = _switch(50, "rows of a page when per_page is not given")
    max_per_page: Mapping[str, int] = field(
        default_factory=dict,
        metadata={"help": "most rows of a page where it is not Desk's own, e.g. cases=10,replies=5"},
    )
    per_page_over: str = _switch("clamp", "per_page above the most: clamp | 422")
    page_key: bool = _switch(True, "lists carry the key `page` (absent in 2013)")
    company_link: str = _switch("null", "customer without a company: link null | missing (as in 2014)")
    escaped_slashes: bool = _switch(False, r"slashes in JSON as \/")
    chunked: bool = _switch(False, "chunked transfer encoding instead of Content-Length")
    gzip: bool = _switch(True, "compress when the client accepts gzip")
    latency: float = _switch(0.0, "seconds before each answer is sent")
    error_share: float = _switch(0.0, "share of requests answered with a random 500, 502, 503 or 504 in HTML (0 to 1)")
    timeout_share: float = _switch(0.0, "share of requests that are never answered (0 to 1)")
    timeout_seconds: float = _switch(30.0, "seconds until the connection of such a request is closed")
    truncated_share: float = _switch(0.0, "share of answers whose body ends half way, rightly framed (0 to 1)")
    churn: float = _switch(
        0.0, "share of pages of cases and customers after which a record of that list is updated, seeded (0 to 1)"
    )
    search_lag: float = _switch(0.0, "seconds until a change shows in */search")
    interactions: bool = _switch(True, "GET /api/v2/interactions exists")
    auth: tuple[str, ...] = field(
        default=("HMAC-SHA1", "PLAINTEXT"),
        metadata={"help": "accepted: HMAC-SHA1, PLAINTEXT, BASIC (comma-separated)"},
    )
    oauth_window: float = _switch(300.0, "seconds that an OAuth timestamp may be off the clock")
    clock: Callable[[], float] = field(default=time.time, metadata={"help": "unix seconds; only in process"})
    clock_offset: float = _switch(0.0, "seconds added to the clock")
    clock_speed: float = _switch(1.0, "clock seconds per real second, counted from the start")

    def __post_init__(self) -> None:
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} must be one of {', '.join(choices)}, not {getattr(self, name)!r}")
        unknown = set(self.auth) - set(AUTH_MODES)
        if unknown or not self.auth:
            raise ValueError(f"auth must name some of {', '.join(AUTH_MODES)}, not {', '.join(self.auth) or 'nothing'}")
        for name in (
            "cases",
            "customers",
            "users",
            "groups",
            "deleted_agents",
            "rate_limit",
            "page_cap",
            "latency",
            "timeout_seconds",
        ):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative")
        shares = ("nul_share", "error_share", "timeout_share", "truncated_share", "churn")
        for name in shares:
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be a share from 0 to 1, not {getattr(self, name)!r}")
        if self.error_share + self.timeout_share + self.truncated_share > 1:
            raise ValueError("error_share, timeout_share and truncated_share must not be more than 1 together")
        if self.users < 1 or self.window_seconds <= 0 or self.per_page < 1:
            raise ValueError("users and per_page must be at least 1, window_seconds above 0")
        strange = set(self.max_per_page) - set(MAX_PER_PAGE)
        if strange:
            raise ValueError(f"max_per_page knows {', '.join(MAX_PER_PAGE)}, not {', '.join(sorted(strange))}")

    def most(self, resource: str) -> int:
        """The greatest per_page of a resource, in rows."""
        return self.max_per_page.get(resource, MAX_PER_PAGE.get(resource, 100))


DEMO: Final = Settings(cases=600, customers=200, rate_limit=6000)


def is_fixed(name: str) -> bool:
    """Whether a setting shapes the data and cannot change while the sandbox serves. Raises KeyError for an unknown
    name."""
    return bool({f.name: f.metadata.get("fixed") for f in dataclasses.fields(Settings)}[name])


def unix_seconds(value: datetime | str | float) -> int:
    """Whole unix seconds of an instant. Text without a zone is refused with ValueError: the data must not depend on
    TZ."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError(f"{value.isoformat()} has no zone; write 2026-01-01T00:00:00Z")
        value = value.astimezone(UTC).timestamp()
    return math.floor(value)
