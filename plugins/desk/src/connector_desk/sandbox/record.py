"""A record of the invented site before it gets its links, and JSON text that no encoder would write."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from typing import Any

import orjson

from .settings import unix_seconds


@dataclass(frozen=True, slots=True)
class Raw:
    """JSON text that is sent as it stands: numbers no type can hold, the same key twice, lone surrogates."""

    text: str


@dataclass(slots=True, kw_only=True)
class Record:
    """One record of the site.

    ``fields``: wire names and values without custom fields and links; ``refs``: ids of related records by link name;
    ``custom``: values of custom fields; ``channel``: of cases and interactions; ``raw``, ``dropped``: fields put over
    the finished wire object or taken out of it; ``whole``: what is sent instead of the object."""

    id: int
    fields: dict[str, Any]
    refs: dict[str, int | None] = field(default_factory=dict)
    custom: dict[str, Any] = field(default_factory=dict)
    channel: str = ""
    raw: dict[str, Any] = field(default_factory=dict)
    dropped: frozenset[str] = frozenset()
    whole: Raw | None = None


def stamp(seconds: int | None) -> str | None:
    """Unix seconds as the wire writes instants: UTC, whole seconds, ``Z``."""
    if seconds is None:
        return None
    day, second = divmod(seconds, 86_400)
    return f"{_date(day)}T{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}Z"


@lru_cache(maxsize=4096)
def _date(day: int) -> str:
    """The date of a day since 1970; a page of cases writes some hundred instants of few days."""
    return time.strftime("%Y-%m-%d", time.gmtime(day * 86_400))


def seconds_of(value: Any) -> int | None:
    """Unix seconds of a wire instant, or None where the value is none (a hostile record keeps its old place in the
    order)."""
    if not isinstance(value, str):
        return None
    try:
        return unix_seconds(value)
    except (ValueError, OverflowError):
        return None


def encodable(value: Any) -> Any:
    """The value with all that the JSON encoder refuses or would alter replaced by `Raw` text that says exactly it."""
    if isinstance(value, str):
        return Raw(json.dumps(value)) if _has_surrogate(value) else value
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**64 else Raw(str(value))
    if isinstance(value, float):
        return value if math.isfinite(value) else Raw(json.dumps(value))
    if isinstance(value, Decimal):
        return Raw(str(value))
    if isinstance(value, Mapping):
        items = {str(key): encodable(item) for key, item in value.items()}
        if any(_has_surrogate(key) for key in items):
            return Raw("{" + ",".join(f"{json.dumps(key)}:{dumps(item).decode()}" for key, item in items.items()) + "}")
        return items
    if isinstance(value, list | tuple):
        return [encodable(item) for item in value]
    return value


def _has_surrogate(text: str) -> bool:
    return not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text)


def _fragment(value: Any) -> orjson.Fragment:
    if isinstance(value, Raw):
        return orjson.Fragment(value.text)
    raise TypeError(f"{type(value).__name__} is no JSON")


def dumps(value: Any) -> bytes:
    """UTF-8 JSON bytes, `Raw` text inside as it stands."""
    return orjson.dumps(value, default=_fragment, option=orjson.OPT_PASSTHROUGH_DATACLASS)


def plain(value: Any) -> Any:
    """The value as a reader sees it that loses nothing: `Raw` text parsed, fractions in it as Decimal."""
    if isinstance(value, Raw):
        return json.loads(value.text, parse_float=Decimal)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value
