"""Secrets and control characters never reach a reader: 0 canaries in whatever spelling, one printable line each."""

from __future__ import annotations

import base64
import html
import io
import json
import logging
import traceback
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
import requests
from hypothesis import example, given
from hypothesis import strategies as st
from requests_oauthlib import OAuth1

from connector_core.redact import SecretFilter, printable, redactor

CANARY = "c4n/ry+sécret=&\"<'\\~ ok"

SPELLINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "repr": lambda s: repr(s)[1:-1],
    "json": lambda s: json.dumps(s)[1:-1],
    "json in utf-8": lambda s: json.dumps(s, ensure_ascii=False)[1:-1],
    "html": html.escape,
    "percent": lambda s: quote(s, safe=""),
    "percent in a path": quote,
    "percent, small letters": lambda s: quote(s, safe="").replace("%2F", "%2f").replace("%C3%A9", "%c3%a9"),
    "form": quote_plus,
    "percent twice": lambda s: quote(quote(s, safe=""), safe=""),
    "hex": lambda s: s.encode().hex(),
    "HEX": lambda s: s.encode().hex().upper(),
    "base64": lambda s: base64.b64encode(s.encode()).decode(),
    "base64, url": lambda s: base64.urlsafe_b64encode(s.encode()).decode(),
    "base64 without padding": lambda s: base64.b64encode(s.encode()).decode().rstrip("="),
}


@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS)
def test_h5_no_spelling_of_a_secret_stays(spell: Callable[[str], str]) -> None:
    clean = redactor([CANARY])(f"before {spell(CANARY)} after")
    assert "***" in clean
    assert clean.startswith("before ")
    assert clean.endswith(" after")
    assert spell(CANARY)[2:-4] not in clean


@pytest.mark.parametrize("user", ["", "u", "us", "use", "user", "a longer user"])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_h5_basic_authorization_hides_the_secret_at_every_alignment(
    user: str, encode: Callable[[bytes], bytes]
) -> None:
    header = encode(f"{user}:{CANARY}:more".encode()).decode()
    clean = redactor([CANARY])(f"Authorization: Basic {header}")
    left = clean.removeprefix("Authorization: Basic ").replace("***", "")
    assert "***" in clean
    assert len(left) <= len(encode(f"{user}:".encode())) + len(encode(b":more")) + 4


def test_h5_a_request_signed_by_oauth_shows_neither_key_nor_token() -> None:
    secrets = ["k3y&with/marks", "s3cret value", "t0ken+plus", "tok3n secret"]
    signed = requests.Request("GET", "https://desk.example/api/v2/cases?page=1", auth=OAuth1(*secrets)).prepare()
    clean = redactor(secrets)(f"{signed.url} {dict(signed.headers)!r}")
    for secret in secrets:
        for spelling in (secret, quote(secret, safe=""), quote(quote(secret, safe=""), safe="")):
            assert spelling not in clean
    assert "oauth_nonce" in clean


def test_overlapping_secrets_leave_no_piece() -> None:
    assert redactor(["abcdef", "defghi", "hijk"])("1abcdefghijk2") == "1***2"
    assert redactor(["secret", "secret-and-more"])("secret-and-more") == "***"
    assert redactor(["tokentoken"])("tokentokentoken") == "***"


def test_several_lines_count_each() -> None:
    key = "-----BEGIN KEY-----\nMIIEvgIBADANBgkq\nhkiG9w0BAQEFAASC\n-----END KEY-----"
    clean = redactor([key])("it began with MIIEvgIBADANBgkq and went on with hkiG9w0BAQEFAASC")
    assert clean == "it began with *** and went on with ***"
    assert redactor([key])(f"key {key}") == "key ***"


def test_blanks_around_a_secret_do_not_protect_it() -> None:
    assert redactor(["hunter2\n"])("password hunter2.") == "password ***."


def test_a_secret_that_was_made_printable_before_is_found() -> None:
    secret = "back\\slash and \x1b[31m"
    assert redactor([secret])(f"password {printable(secret)}.") == "password ***."


def test_short_secrets_are_hidden_only_where_they_stand_alone() -> None:
    assert redactor(["7", ""])("7 of 77 pages, key=7") == "*** of 77 pages, key=***"


def test_without_secrets_nothing_changes() -> None:
    assert redactor([])("a text") == "a text"
    assert redactor(["hunter22"])("a text") == "a text"


@example("a" * 9, "aa", "a")
@given(st.text(min_size=4), st.text(), st.text())
def test_h5_a_secret_never_survives(secret: str, before: str, after: str) -> None:
    clean = redactor([secret])
    assert secret == "*" * len(secret) or secret not in clean(before + secret + after).replace("***", "\0")


@given(st.text())
def test_h8_b9_whatever_comes_becomes_one_printable_line(text: str) -> None:
    line = printable(text)
    assert len(line.splitlines()) <= 1
    assert "\x1b" not in line
    assert line.encode("utf-8").decode("utf-8") == line
    assert printable(line) == line


def test_h8_b10_b13_what_is_escaped_and_what_is_not() -> None:
    assert printable("a\nb\r\n\t\x1b[31mred\x07\x9b2J\x7f") == "a\\nb\\r\\n\\t\\x1b[31mred\\x07\\x9b2J\\x7f"
    assert printable("x\u2028y\u202egnp.exe\u2066\ufeff") == "x\\u2028y\\u202egnp.exe\\u2066\\ufeff"
    assert printable("half \ud83d, tag \U000e0041") == "half \\ud83d, tag \\U000e0041"
    same = "C:\\new Ünïcode 日本 😀 e\u0301 שלום"
    assert printable(same) == same


@pytest.fixture
def written() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def logger(written: io.StringIO) -> logging.Logger:
    handler = logging.StreamHandler(written)
    handler.addFilter(SecretFilter(redactor(["hunter22"])))
    logger = logging.Logger("one of its own")
    logger.addHandler(handler)
    return logger


def test_h5_h8_the_filter_cleans_messages_arguments_and_tracebacks(
    logger: logging.Logger, written: io.StringIO
) -> None:
    logger.info("as %s and %r\nforged", "hunter22", ["hunter22"])
    logger.info("%d is no number", "hunter22")
    try:
        raise ValueError("hunter22\nforged")
    except ValueError:
        logger.exception("failed", stack_info=True)
    lines = written.getvalue().splitlines()
    assert "hunter22" not in written.getvalue()
    assert lines[0] == "as *** and ['***']\\nforged"
    assert lines[1] == "%d is no number ('***',)"
    assert lines[2] == "failed"
    assert lines[3].startswith("Traceback")
    assert lines[3].endswith("ValueError: ***\\nforged")
    assert lines[4].startswith("Stack")
    assert len(lines) == 5


def test_h5_a_handler_that_draws_tracebacks_itself_finds_none(written: io.StringIO) -> None:
    class Drawing(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            drawn = "".join(traceback.format_exception(*record.exc_info)) if record.exc_info else ""
            written.write(f"{record.getMessage()} {drawn}{record.exc_text}")

    handler = Drawing()
    handler.addFilter(SecretFilter(redactor(["hunter22"])))
    logger = logging.Logger("one of its own")
    logger.addHandler(handler)
    try:
        raise ValueError("hunter22")
    except ValueError:
        logger.exception("failed")
    assert written.getvalue().startswith("failed Traceback")
    assert "hunter22" not in written.getvalue()


def test_a_traceback_that_another_handler_has_written_already_is_cleaned_too(
    logger: logging.Logger, written: io.StringIO
) -> None:
    logger.handlers.insert(0, logging.StreamHandler(io.StringIO()))  # formats the record first and caches its traceback
    try:
        raise ValueError("hunter22")
    except ValueError:
        logger.exception("failed")
    assert written.getvalue().endswith("ValueError: ***\n")
