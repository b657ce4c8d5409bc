"""Keeps secrets and control characters out of everything that people read: logs, errors, the ledger."""

from __future__ import annotations

import base64
import html
import json
import logging
import re
import traceback
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import quote, quote_plus

Redact = Callable[[str], str]
"""Takes a text and gives it back without secrets."""

MASK = "***"

_SHORT = 4  # a shorter secret is only replaced where it stands alone: "7" inside of every number would help nobody
_SHORTEST_CODE = 6  # a shorter piece of base64 or hex is too likely to be something else

# C0, DEL, C1; marks that turn the direction of text; line and paragraph separator; BOM; halves of surrogates; tags
_UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff\U000e0000-\U000e007f]"
)
_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def printable(text: str) -> str:
    """The text as one line that a terminal shows and does not obey, and that UTF-8 can hold.

    Control characters, terminal escapes, line breaks, marks that reverse text and lone surrogates become `\\n`,
    `\\x1b`, `\\u2028`. Everything else stays as it is, backslashes too (facts/fault_catalogue.md H8, B9, B13).
    """
    return text if text.isascii() and text.isprintable() else _UNPRINTABLE.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    character = found.group()
    code = ord(character)
    if character in _NAMED:
        return _NAMED[character]
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def redactor(secrets: Iterable[str]) -> Redact:
    """A function that replaces these secrets by `***` wherever they stand in a text, in any usual spelling.

    Spellings: as it is; escaped as in JSON, Python, HTML or by `printable`; percent-encoded once or twice (as an
    OAuth signature base does); base64, also inside of a longer one as in `Authorization: Basic`; hexadecimal. Each
    line of a secret of several lines counts for itself. A secret of fewer than 4 characters is only replaced where it
    stands alone; an empty one is ignored.
    """
    values = {value for secret in secrets for value in (secret, secret.strip(), *_long_lines(secret)) if value}
    forms = {form for value in values if len(value) >= _SHORT for form in _forms(value)}
    parts = [_pattern(form) for form in sorted(forms, key=len, reverse=True)]
    parts += [rf"(?<!\w){re.escape(value)}(?!\w)" for value in sorted(values) if len(value) < _SHORT]
    if not parts:
        return str
    # a lookahead finds secrets that overlap one another too: of none a piece may stay
    pattern = re.compile(f"(?=({'|'.join(parts)}))")

    def redact(text: str) -> str:
        pieces: list[str] = []
        done = 0
        for found in pattern.finditer(text):
            start, end = found.span(1)
            if start >= done:
                pieces += (text[done:start], MASK)
            done = max(done, end)
        return "".join((*pieces, text[done:])) if pieces else text

    return redact


def message(record: logging.LogRecord) -> str:
    """The record's message with its arguments; one whose arguments do not fit, or fail to print, is not lost for it."""
    try:
        return record.getMessage()
    except Exception:
        try:
            return f"{record.msg} {record.args!r}"
        except Exception:
            return f"a line of {record.name} that cannot be printed"


class SecretFilter(logging.Filter):
    """Takes secrets and control characters out of log records, tracebacks included. Add it to handlers (a logger's
    filter does not see what its children log). It never drops a record.
    """

    def __init__(self, redact: Redact) -> None:
        super().__init__()
        self._redact = redact

    def filter(self, record: logging.LogRecord) -> bool:
        """Replace the record's message, arguments, traceback and stack by one clean line each."""
        record.msg, record.args = self._clean(message(record)), None
        if record.exc_info and not record.exc_text:
            record.exc_text = "".join(traceback.format_exception(*record.exc_info)).rstrip()
        record.exc_info = None
        record.exc_text = self._clean(record.exc_text) if record.exc_text else None
        record.stack_info = self._clean(record.stack_info) if record.stack_info else None
        return True

    def _clean(self, text: str) -> str:
        return printable(self._redact(text))


def _long_lines(secret: str) -> list[str]:
    return [line.strip() for line in secret.splitlines() if len(line.strip()) >= 2 * _SHORT]


def _pattern(form: str) -> str:
    return re.sub("%([0-9A-F]{2})", r"%(?i:\1)", re.escape(form))  # %2f is as good as %2F


def _forms(value: str) -> Iterator[str]:
    yield value
    yield repr(value)[1:-1]
    yield printable(value)
    yield html.escape(value)
    for ascii_only in (True, False):
        yield json.dumps(value, ensure_ascii=ascii_only)[1:-1]
    raw = value.encode("utf-8", "surrogatepass")
    encoded = {quote(raw, safe=""), quote(raw), quote_plus(raw)}
    for once in encoded:
        yield once
        yield quote(once, safe="")
    yield from (
        code for text in {raw, quote(raw, safe="").encode()} for code in _codes(text) if len(code) >= _SHORTEST_CODE
    )


def _codes(raw: bytes) -> Iterator[str]:
    yield raw.hex()
    yield raw.hex().upper()
    for shift in range(3):  # where the secret begins inside of a group of three bytes
        code = base64.b64encode(b"\0" * shift + raw)
        # only the characters that depend on the secret alone
        inside = code[-(-shift * 8 // 6) : (shift + len(raw)) * 8 // 6].decode("ascii")
        yield inside
        yield inside.replace("+", "-").replace("/", "_")
