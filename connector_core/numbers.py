"""Numbers as exact plain decimal text, the one form in which a number column gets them."""

from __future__ import annotations

from decimal import Decimal

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
EXPANSION = 10_000
"""Most zeros that an exponent may stand for when a number is written plainly (1e999999999 would fill the memory)."""


def plain(value: float | Decimal) -> str:
    """The number exactly, without exponent and without trailing zeros of the fraction: "-12.5", "3"; never "-0".

    Raises `OverflowError` for NaN, an infinity, or an exponent too large to be written out.
    """
    if type(value) is int:
        return str(value) if INT64_MIN <= value <= INT64_MAX else _expanded(Decimal(value))
    text = repr(value) if type(value) is float else ""
    if text and "e" not in text and "n" not in text:
        return _trimmed(text)
    return _expanded(Decimal(text) if text else Decimal(value))


def integral(value: float | Decimal) -> int | None:
    """The 64-bit integer that is exactly this number, or None."""
    if type(value) is int:
        return value if INT64_MIN <= value <= INT64_MAX else None
    # bounds first: int() of a huge exponent would never end; a NaN compares false
    if not (Decimal(value).is_finite() and INT64_MIN <= value <= INT64_MAX):
        return None
    whole = int(value)
    return whole if whole == value else None


def fits(text: str, decimal: tuple[int, int] | None) -> bool:
    """Whether the plain decimal `text` fits a column of (precision, scale) without loss; None means any."""
    if decimal is None:
        return True
    precision, scale = decimal
    whole, _, fraction = text.lstrip("-").partition(".")
    return len(fraction) <= scale and (whole == "0" or len(whole) <= precision - scale)


def _expanded(value: Decimal) -> str:
    if not value.is_finite():
        raise OverflowError("not a finite number")
    _, digits, exponent = value.as_tuple()
    if not any(digits):
        return "0"
    if not -EXPANSION - len(digits) <= int(exponent) <= EXPANSION:
        raise OverflowError("the exponent is too large to be written out")
    return _trimmed(format(value, "f"))


def _trimmed(text: str) -> str:
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
