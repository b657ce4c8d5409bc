"""Reading a page exactly, and writing a record back (facts/hard_values.md section 2)."""

from __future__ import annotations

import json
import struct
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector_core import parse
from connector_core.parse import Duplicates, UnreadablePage, Unstorable


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"a":1,"b":[true,null,"x"],"c":-2.5}', {"a": 1, "b": [True, None, "x"], "c": -2.5}),
        (b' { "a" : 1 } \n', {"a": 1}),
        (b'{"n":18446744073709551616}', {"n": 2**64}),
        (b"[9223372036854775808,-9223372036854775809]", [2**63, -(2**63) - 1]),
        (b'{"n":50000.0000000000000001}', {"n": Decimal("50000.0000000000000001")}),
        (b"[0.1234567890123456789]", [Decimal("0.1234567890123456789")]),
        (b"[1234567.1234567890123]", [Decimal("1234567.1234567890123")]),
        (b"[ 9007199254740.993 ]", [Decimal("9007199254740.993")]),
        (b"12345678901234567890123", 12345678901234567890123),
        (b"[ 1e3 ]", [Decimal("1000")]),
        (b"[1E-7, -2.50e+1]", [Decimal("1E-7"), Decimal("-25")]),
        (b"[0e999999999, -0E5]", [Decimal(0), Decimal(0)]),
        (b'"\\ud83d\\ude00"', "\U0001f600"),
        (b'{"a":"\\ud800"}', {"a": "\ud800"}),
        ('{"é":"日本 \\u0000"}'.encode(), {"é": "日本 \0"}),
    ],
)
def test_a_page_is_read_exactly(body: bytes, value: Any) -> None:
    got = parse.page(body)
    assert got == value
    assert [type(v) for v in _leaves(got)] == [type(v) for v in _leaves(value)]


@pytest.mark.parametrize(
    "number",
    ["1e400", "-1e400", "1E309", "1e999999999", "1e99999999999999999999", "5e-9999", "1e-99999999999999999999"],
)
def test_a_number_beyond_every_column_keeps_its_text(number: str) -> None:
    """B3: never an infinity, never null, and the rest of the page survives."""
    assert parse.page(f'[{{"a":{number}}},{{"a":2}}]'.encode()) == [
        {"a": Unstorable(number, "number_out_of_range")},
        {"a": 2},
    ]


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_what_json_does_not_have_is_marked(constant: str) -> None:
    """A24: the record is lost, not the page."""
    assert parse.page(f'[{{"a":{constant}}},{{"a":2}}]'.encode()) == [{"a": Unstorable(constant, "not_json")}, {"a": 2}]


@pytest.mark.parametrize("digits", [39, 4_301, 200_000])
def test_integers_of_any_length_are_exact(digits: int) -> None:
    """B1."""
    text = "7" * digits
    (value,) = parse.page(f"[{text}]".encode())
    assert parse.text(value) == text


@pytest.mark.parametrize(
    "body",
    [
        b'[{"a":1,"b":2,"a":3}]',
        b'[ {"a": 1, "b": 2, "a": 3} ]',
        b'[{"a":1,"b":2,"\\u0061":3}]',
        b'[{"x":"\\u003a","a":1,"b":2,"a":3}]',
    ],
)
def test_a_property_named_twice_is_kept_twice(body: bytes) -> None:
    """B24: whether the page was compact, spaced or escaped."""
    (record,) = parse.page(body)
    assert isinstance(record, Duplicates)
    assert [pair for pair in record.pairs if pair[0] != "x"] == [("a", 1), ("b", 2), ("a", 3)]


@pytest.mark.parametrize("inner", ['{"a":1,"a":1}', '{"":null,"":null}'])
def test_a_nested_property_named_twice_is_kept_twice(inner: str) -> None:
    assert isinstance(parse.page(f'[{{"o":{inner}}}]'.encode())[0]["o"], Duplicates)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "empty"),
        (b" \n ", "empty"),
        (b'\xef\xbb\xbf{"a":1}', "byte order mark"),
        ('{"a":1}'.encode("utf-16"), "UTF-16"),
        ('{"a":1}'.encode("utf-16-le"), "UTF-16"),
        (b'{"a":"\xff"}', "not UTF-8"),
        (b'{"a":"\xed\xa0\x80"}', "not UTF-8"),
        (b'{"a":[1,2', "cut off"),
        (b'{"a":1} x', "not JSON"),
        (b"<html></html>", "not JSON"),
        (b'{"a":01}', "not JSON"),
        (b'{"a":nul}', "not JSON"),
        (b"{'a':1}", "not JSON"),
        (b'["\x00"]', "not JSON"),
        (b"[" * 200_000, "nested too deeply"),
        (b'{"a":' * 200_000, "nested too deeply"),
        (b"[" * 2_000 + b"]" * 2_000, "nested too deeply"),
    ],
)
def test_a_body_that_cannot_be_read_says_why_and_quotes_nothing(body: bytes, reason: str) -> None:
    """A16, A20, A21, A23."""
    with pytest.raises(UnreadablePage, match=reason) as raised:
        parse.page(body)
    assert isinstance(raised.value, ValueError)
    assert "html" not in raised.value.reason


def test_a_page_that_is_not_suspicious_is_read_by_the_fast_parser() -> None:
    """Texts with long numbers, hashes and exponents in them, spaces and escapes do not cost the slow parser."""
    body = b'{ "a": "1234567890123456789", "b": "f9e5 1e5", "u": "http://x/9e3b?a=12345678901234567", "c": 0.25 }'
    assert type(parse.page(body)["c"]) is float


def test_text_writes_what_page_read() -> None:
    body = (
        b'{"a":[1,-2.50,1e400,NaN,{"x":1,"x":2},[],{}],"\\ud800":"\\u0000\\u2028\\"",'
        b'"n":123456789012345678901234567890,"b":true,"z":null}'
    )
    assert parse.text(parse.page(body)).encode() == body


def test_text_is_ascii_at_any_depth() -> None:
    deep: Any = "é"
    for _ in range(5_000):
        deep = [deep, {"k": deep}] if deep == "é" else [deep]
    written = parse.text(deep)
    assert written.isascii()
    assert written.count("[") == 5_000


def test_text_names_what_is_not_json() -> None:
    assert parse.text({1: b"x", "t": (1, 2)}) == '{"1":"b\'x\'","t":[1,2]}'


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None)
@given(_JSON)
def test_both_parsers_read_the_same(value: Any) -> None:
    """Whatever way a body is written, it is read as the same value, number for number."""
    compact = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    spaced = json.dumps(value, indent=1)
    with_exponent = f"[1e0,{compact}]"
    expected = _exact(json.loads(compact, parse_float=Decimal))
    assert _exact(parse.page(compact.encode())) == expected
    assert _exact(parse.page(spaced.encode())) == expected
    assert _exact(parse.page(with_exponent.encode())[1]) == expected


@settings(deadline=None)
@given(st.from_regex(r"-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,25})?([eE][-+]?[0-9]{1,2})?", fullmatch=True))
def test_every_number_is_exact(text: str) -> None:
    for body in (f"[{text}]", f'{{"a": {text}}}', text):
        (value,) = _leaves(parse.page(body.encode()))
        assert Decimal(repr(value) if type(value) is float else value) == Decimal(text)


@settings(deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False).map(lambda x: struct.unpack("<d", struct.pack("<d", x))[0]))
def test_what_orjson_writes_comes_back(value: float) -> None:
    got = parse.page(orjson.dumps([value]))[0]
    assert float(got) == value


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in _leaves(item)]
    return [leaf for item in value for leaf in _leaves(item)] if isinstance(value, list) else [value]


def _exact(value: Any) -> Any:
    """The value with every number in one form: bool is not a number here."""
    if isinstance(value, dict):
        return {name: _exact(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_exact(item) for item in value]
    if type(value) in (int, float, Decimal):
        return ("number", Decimal(repr(value) if type(value) is float else value))
    return value
