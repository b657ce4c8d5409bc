"""Texts with a unit: durations such as "6h" and sizes such as "16 MiB"."""

from __future__ import annotations

import math
import re
from typing import Any

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
BYTES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "KB": 10**3, "MB": 10**6, "GB": 10**9}

_AMOUNT = re.compile(r"\s*([0-9]{1,15}(?:\.[0-9]{1,9})?)\s*([A-Za-z]+)\s*", re.ASCII)


def duration(value: Any) -> float:
    """Seconds from "90s", "30m", "6h", "1d", "2w" or a plain number of seconds. Raises ValueError."""
    return _amount(value, SECONDS, 'a duration such as "90s", "30m", "6h" or "1d", or a number of seconds')


def interval(value: Any) -> float:
    """Seconds from a duration that must name its unit, because Stitch counts minutes and we count seconds."""
    if isinstance(value, (int, float)):
        raise ValueError('should name its unit, for instance "30m", "6h" or "1d"')
    return _amount(value, SECONDS, 'a duration such as "30m", "6h" or "1d"')


def size(value: Any) -> int:
    """Whole bytes from "16 MiB", "512KiB", "1 GB" or a plain number of bytes. Raises ValueError."""
    return round(_amount(value, BYTES, 'a size such as "16 MiB", or a number of bytes'))


def spoken(seconds: float) -> str:
    """A duration for people: "0.8 s", "42 s", "3 min 05 s", "2 h 07 min"."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def brief(seconds: float) -> str:
    """A duration as configurations write it, in the largest unit that fits: "30m", "6h", "90s"."""
    name, factor = max(
        ((n, f) for n, f in SECONDS.items() if seconds % f == 0), key=lambda unit: unit[1], default=("s", 1)
    )
    return f"{seconds / factor:g}{name}"


def _amount(value: Any, units: dict[str, int], wanted: str) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if math.isfinite(value):
            return float(value)
    elif isinstance(value, str):
        match = _AMOUNT.fullmatch(value)
        if match and (unit := _unit(match[2], units)):
            return float(match[1]) * unit
        if re.fullmatch(r"[0-9]{1,15}(\.[0-9]{1,9})?", value, re.ASCII):  # a number that came from a variable
            return float(value)
    raise ValueError(f"should be {wanted}")


def _unit(name: str, units: dict[str, int]) -> int | None:
    return next((factor for unit, factor in units.items() if unit.lower() == name.lower()), None)
