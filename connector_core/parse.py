"""JSON in and JSON out without losing anything: `page` reads a body, `text` writes a record that was rejected.

orjson reads; what it reads is proven to be exact, or the reference parser of the standard library reads again with
exact numbers and a guard for everything that JSON text can hide. One bad record then costs one record and not the
page (facts/hard_values.md section 2).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import orjson

LARGEST_EXPONENT, SMALLEST_EXPONENT = 308, -1100
"""Numbers written with an exponent are stored between 1e308 and 1e-1100 (what a double can hold), beyond that
refused.
"""

_LONGEST_INT = (
    1000  # Python refuses to read integers of more than 4,300 digits; a Decimal has no limit and no quadratic cost
)


class UnreadablePage(ValueError):  # noqa: N818 - the page is what cannot be read
    """The body is not JSON that can be read at all. `reason` says why without quoting the body."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Unstorable:
    """Stands where the page has a number that no column can hold (1e400, NaN): `text` as it was written.

    `code` is the code of the reject: number_out_of_range, or not_json for NaN and Infinity, which JSON does not have.
    """

    __slots__ = ("code", "text")

    def __init__(self, text: str, code: str) -> None:
        self.text = text
        self.code = code

    def __repr__(self) -> str:
        return f"Unstorable({self.text!r}, {self.code!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Unstorable) and (self.text, self.code) == (other.text, other.code)

    def __hash__(self) -> int:
        return hash((self.text, self.code))


class Duplicates(dict[str, Any]):
    """An object that names a property twice. As a dict it holds the last value of each; `pairs` has them all."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.pairs = pairs


def page(body: bytes) -> Any:
    """The JSON value of a body. Raises `UnreadablePage`.

    Numbers are int, float (exact: it is written back as the digits that were read) or Decimal. Only pages with
    something unusual hold Decimal, `Unstorable`, `Duplicates`, text with a lone surrogate, or integers of more than
    64 bits.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return _exact(body)
    try:
        written = orjson.dumps(value)
    except TypeError:  # it reads 1,024 levels and writes 254
        return _exact(body)
    # a body that is written back byte for byte was read exactly; most APIs send such compact bodies
    if written == body or not (_suspicious(body) or _lost_a_property(body, written)):
        return value
    return _exact(body)


# Every byte as its class: digits and the point 0, e and E as e, what may stand before a number as a colon.
_CLASSES = bytearray(b"x" * 256)
for _members, _class in ((b"0123456789.", b"0"), (b"eE", b"e"), (b":,[", b":"), (b" \t\r\n", b" "), (b"-", b"-")):
    for _member in _members:
        _CLASSES[_member] = _class[0]
_LONG_NUMBER = re.compile(rb"(?::|\A) *-?(?:0{16}|0+e)")


def _suspicious(body: bytes) -> bool:
    """Whether a number may have 16 digits or an exponent (also true for some texts that look so: that costs time
    only).
    """
    classes = body.translate(_CLASSES)
    return (b"0" * 16 in classes or b"0e" in classes) and _LONG_NUMBER.search(classes) is not None


def _lost_a_property(body: bytes, written: bytes) -> bool:
    """Whether an object may have named a property twice: then one colon of the body is not written back."""
    return body.count(b":") != written.count(b":") or b"\\u003" in body


def _exact(body: bytes) -> Any:
    try:
        source = body.decode()
    except UnicodeDecodeError as error:
        utf_16 = body[:2] in (b"\xff\xfe", b"\xfe\xff")
        reason = "it is UTF-16" if utf_16 else f"byte {error.start} is not UTF-8"
        raise UnreadablePage(f"the body is not UTF-8: {reason}") from None
    if not source.strip():
        raise UnreadablePage("the body is empty")
    if source.startswith("\ufeff"):
        raise UnreadablePage("the body begins with a byte order mark")
    if "\0" in source[:2]:
        raise UnreadablePage("the body is not UTF-8: it is UTF-16")
    try:
        return json.loads(
            source,
            parse_int=_integer,
            parse_float=_decimal,
            parse_constant=lambda name: Unstorable(name, "not_json"),
            object_pairs_hook=_object,
        )
    except json.JSONDecodeError as error:
        cut = "is cut off" if error.pos >= len(source.rstrip()) else f"is not JSON: {error.msg}"
        raise UnreadablePage(f"the body {cut} at character {error.pos}") from None
    except RecursionError:
        raise UnreadablePage("the body is nested too deeply") from None


def _integer(digits: str) -> int | Decimal:
    return int(digits) if len(digits) <= _LONGEST_INT else Decimal(digits)


def _decimal(digits: str) -> Decimal | Unstorable:
    try:
        value = Decimal(digits)
    except ArithmeticError:  # an exponent of more than 18 digits
        return Unstorable(digits, "number_out_of_range")
    if "e" not in digits and "E" not in digits:
        return value
    if not value:
        return Decimal(0)
    if value.adjusted() > LARGEST_EXPONENT or int(value.as_tuple().exponent) < SMALLEST_EXPONENT:
        return Unstorable(digits, "number_out_of_range")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    return value if len(value) == len(pairs) else Duplicates(pairs)


_END = object()


def text(value: Any) -> str:
    """JSON text of anything that `page` returned, exactly and in ASCII: surrogates escaped, decimals digit for digit.

    Works at any depth. NaN and Infinity are written as they were read. What JSON does not have (a source that parses
    by itself may return it) is written as text.
    """
    out: list[str] = []
    stack: list[Iterator[Any]] = [iter((value,))]
    ends: list[str] = []
    while stack:
        item = next(stack[-1], _END)
        if item is _END:
            stack.pop()
            if ends:
                if out[-1] == ",":
                    out.pop()
                out += (ends.pop(), ",")
        elif type(item) is list or type(item) is tuple:
            out.append("[")
            ends.append("]")
            stack.append(iter(item))
        elif isinstance(item, dict):
            out.append("{")
            ends.append("}")
            stack.append(_flat(item.pairs if isinstance(item, Duplicates) else item.items()))
        elif isinstance(item, _Name):
            out += (json.dumps(item.text), ":")
        else:
            out += (_scalar(item), ",")
    return "".join(out[:-1])


class _Name:
    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


def _flat(pairs: Any) -> Iterator[Any]:
    for name, value in pairs:
        yield _Name(name if isinstance(name, str) else str(name))
        yield value


def _scalar(value: Any) -> str:
    if isinstance(value, Unstorable):
        return value.text
    if isinstance(value, Decimal):
        return str(value)
    if type(value) is int:
        return str(value) if value.bit_length() < 3000 else str(Decimal(value))
    if value is None or isinstance(value, (str, bool, float)):
        return json.dumps(value)
    return json.dumps(str(value))
