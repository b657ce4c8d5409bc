"""Values that stay whole: an object or array as canonical JSON text, for destinations that store them natively."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

import orjson

from connector_core.numbers import INT64_MAX, INT64_MIN, plain
from connector_core.parse import Duplicates, Unstorable

Nul = Literal["keep", "strip", "reject"]
"""What happens to U+0000 in text."""

MAX_NESTING = 200
"""Deepest value that stays whole; deeper ones are rejected (`too_deep`)."""

_SORTED = orjson.OPT_SORT_KEYS
_STRICT = _SORTED | orjson.OPT_PASSTHROUGH_SUBCLASS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS


class Refused(ValueError):  # noqa: N818 - a value that cannot be stored, and why
    """`code` as in `Reject.code`, `reason` without the value."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


@dataclass(frozen=True, kw_only=True, slots=True)
class Whole:
    """A nested value: `text` is stored, `pruned` (without properties that are null) counts for the hash."""

    text: str
    pruned: str
    stripped: int = 0


def whole(value: Any, *, nul: Nul, digits: int | None = None) -> Whole:
    """The canonical form of an object or array: keys sorted, numbers the same whichever parser read them.

    `digits` is how many a number may have. `stripped` is how many U+0000 were taken out. Raises `Refused`.
    """
    stripped = 0
    text = _text(value)
    if nul != "keep" and "\\u0000" in text and (stripped := _count_nul(value)):
        if nul == "reject":
            raise Refused("nul_character", "a nested text has a U+0000, which the destination cannot hold")
        value = _without_nul(value)
        text = _text(value)
    if digits is not None and _most_digits(text) > digits:
        raise Refused("number_out_of_range", f"a nested number has more than {digits} digits")
    return Whole(text=text, pruned=_text(_pruned(value)) if "null" in text else text, stripped=stripped)


_LONG = re.compile(r"[0-9.]{20,}")  # numbers that no double has printed
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')


def _most_digits(text: str) -> int:
    """How many digits the longest number of a JSON text has; 0 where all are short."""
    if not _LONG.search(text):
        return 0
    return max((len(n.replace(".", "").lstrip("0")) for n in _LONG.findall(_STRING.sub("", text))), default=0)


def _text(value: Any) -> str:
    try:
        text = orjson.dumps(value, option=_STRICT)
        if b"null" not in text:  # orjson writes NaN as null
            return text.decode()
    except TypeError:
        pass  # something that only the slow way can write, or name
    return orjson.dumps(_normal(value, 0), option=_SORTED).decode()


def _normal(value: Any, depth: int) -> Any:
    """The value in a form that orjson writes exactly."""
    if depth > MAX_NESTING:
        raise Refused("too_deep", f"nested deeper than {MAX_NESTING} levels")
    if value is None or type(value) is bool:
        return value
    if type(value) is str:
        if has_surrogate(value):
            raise Refused("lone_surrogate", "a nested text has a lone surrogate")
        return value
    if type(value) is list:
        return [_normal(item, depth + 1) for item in value]
    if type(value) is dict:
        for name in value:
            check_name(name)
        return {name: _normal(item, depth + 1) for name, item in value.items()}
    if type(value) is int and INT64_MIN <= value <= INT64_MAX:
        return value
    if type(value) in (int, float, Decimal):
        try:
            text = plain(value)
        except OverflowError as error:
            raise Refused("number_out_of_range", f"no column can hold the number: {error}") from None
        # as a double where one holds it: that is what the fast parser makes of the same digits
        near = float(text)
        return near if type(value) is not int and Decimal(repr(near)) == Decimal(text) else orjson.Fragment(text)
    raise refusal(value)


def refusal(value: Any) -> Refused:
    """Why a value that is neither text, number, boolean, object nor array cannot be stored."""
    if isinstance(value, Unstorable):
        return Refused(value.code, _UNSTORABLE[value.code])
    if isinstance(value, Duplicates):
        return Refused("duplicate_property", "an object names a property twice")
    return Refused("not_json", f"a value of type {type(value).__name__} is not JSON")


_UNSTORABLE: Mapping[str, str] = {
    "number_out_of_range": "no column can hold the number",
    "not_json": "JSON has no NaN and no Infinity",
}


def check_name(name: Any) -> None:
    """Raise `Refused` for the name of a property that no destination can remember."""
    if type(name) is not str:
        raise Refused("not_json", "the name of a property is not text")
    if has_surrogate(name):
        raise Refused("lone_surrogate", "the name of a property has a lone surrogate")


def has_surrogate(text: str) -> bool:
    """Whether the text holds half of a UTF-16 pair, which has no form in UTF-8."""
    if text.isascii():
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _pruned(value: Any) -> Any:
    if type(value) is dict:
        return {name: _pruned(item) for name, item in value.items() if item is not None}
    return [_pruned(item) for item in value] if type(value) is list else value


def _count_nul(value: Any) -> int:
    if type(value) is dict:
        return sum(name.count("\0") + _count_nul(item) for name, item in value.items())
    if type(value) is list:
        return sum(map(_count_nul, value))
    return value.count("\0") if type(value) is str else 0


def _without_nul(value: Any) -> Any:
    if type(value) is str:
        return value.replace("\0", "")
    if type(value) is dict:
        kept = {name.replace("\0", ""): _without_nul(item) for name, item in value.items()}
        if len(kept) < len(value):
            raise Refused("nul_character", "without U+0000 two nested properties would have one name")
        return kept
    return [_without_nul(item) for item in value] if type(value) is list else value
