"""The quick way into a page gives what the reference gives, or leaves the page to it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector_core import parse
from connector_core.batch import Counts
from connector_core.entries import Columns, Entries
from connector_core.shape import Shaper, merge
from connector_core.tables import Traits
from tests.support.hostile import DECLARED, RECORDS, same
from tests.support.shaping import DUCKDB, INTEGER, POSTGRES, SNOWFLAKE, TEXT, page, shaper, stream

USUAL = '{"id":1,"a":"x","n":[1,{"b":null}],"_links":{"self":"/1"}}'


def compact(value: Any) -> bytes:
    """The text as most APIs write it; what double precision cannot hold is lost."""
    value = json.loads(parse.text(value))
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(errors="surrogatepass")


def learned(records: str = USUAL, *, at: tuple[str, ...] = ()) -> Columns:
    """A reader that has seen one page of such records."""
    columns = Columns(at, discard={"_links"})
    body = f"[{records}]"
    for name in reversed(at):
        body = f'{{"{name}":{body}}}'
    assert columns.document(body.encode()) == parse.page(body.encode())
    return columns


def test_records_like_those_before_are_read_by_columns() -> None:
    body = b'[{"id":2,"a":"y\\u0001","n":[],"_links":1},{"id":3,"a":null,"n":{},"_links":{"x":[1e400]}}]'
    found = learned().document(body)
    assert isinstance(found, Entries)
    assert (found.names, found.values) == (["id", "a", "n"], [(2, 3), ("y\x01", None), ([], {})])
    assert len(found) == 2
    assert found[1]["_links"] == {"x": [parse.Unstorable("1e400", "number_out_of_range")]}
    assert [*found] == parse.page(body)
    assert found[-1:] == parse.page(body)[-1:]


def test_the_rest_of_a_body_is_read_as_ever() -> None:
    columns = learned(at=("_embedded", "entries"))
    body = b'{"total": 1.50, "_embedded": {"entries": [' + USUAL.encode() + b'], "entries_": []}, "next": "/2"}'
    document = columns.document(body)
    entries = document["_embedded"]["entries"]
    assert isinstance(entries, Entries)
    assert [*entries] == parse.page(body)["_embedded"]["entries"]
    document["_embedded"]["entries"] = [*entries]
    assert document == parse.page(body)


def test_a_property_that_some_records_lack() -> None:
    columns = learned('{"id":1,"a":"x"},{"id":2}')
    found = columns.document(b'[{"id":3},{"id":4,"a":null},{"a":"z"}]')
    assert isinstance(found, Entries)
    assert (found.values, found.absent) == ([[3, 4, None], [None, None, "z"]], {"id", "a"})


@pytest.mark.parametrize(
    "body",
    [
        *(
            '[{"a":"x","id":1,"n":1,"_links":1}]',
            '[{"id":1,"a":"x","n":1,"_links":1,"new":1}]',
            '[{"id":1}]',
            "[]",
            "[1]",
        ),
        *('[ {"id":1,"a":"x","n":1,"_links":1}]', '[{"id":1,"id":2,"a":"x","n":1,"_links":1}]', "{}", "null", ""),
        *('[{"id":1,"a":"x","n":1.10,"_links":1}]', '[{"id":1,"a":"x","n":0.1000000000000000055,"_links":1}]'),
        *('[{"id":-0,"a":"x","n":1,"_links":1}]'),
        *(
            '[{"id":1,"a":"\\u00e9","n":1,"_links":1}]',
            '[{"id":1,"a":"\\ud800","n":1,"_links":1}]',
            USUAL,
            f"[{USUAL}],",
        ),
        *('[{"id":1,"a":"x","n":{"b":1,"b":2},"_links":1}]', '[{"id":1,"a":"x","n":NaN,"_links":1}]', f"[{USUAL}"),
    ],
)
def test_every_other_page_is_left_to_the_reference(body: str) -> None:
    try:
        wanted = parse.page(body.encode())
    except parse.UnreadablePage as error:
        with pytest.raises(parse.UnreadablePage, match=error.reason[:9]):
            learned().document(body.encode())
        return
    found = learned().document(body.encode())
    assert not isinstance(found, Entries)
    assert same(found, wanted)


@pytest.mark.parametrize("value", ["100000000000000000000", "[" * 200 + "]" * 200, "1e16", '"\\u0000"'])
def test_hard_values_are_the_same_both_ways(value: str) -> None:
    body = f'[{{"id":1,"a":"x","n":{value},"_links":1}}]'.encode()
    found = learned().document(body)
    assert isinstance(found, Entries)
    assert same([*map(list, zip(*found.values, strict=True))], [[r["id"], r["a"], r["n"]] for r in parse.page(body)])


@pytest.mark.parametrize("text", [b"\xff", b"\xed\xa0\x80"])
def test_what_is_skipped_must_be_utf_8_too(text: bytes) -> None:
    with pytest.raises(parse.UnreadablePage, match="UTF-8"):
        learned().document(b'[{"id":1,"a":"x","n":1,"_links":"' + text + b'"}]')


def test_pages_that_never_fit_are_soon_read_by_the_reference_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = learned()
    tried: list[bytes] = []
    read: Callable[..., Any] = type(columns._form).read
    monkeypatch.setattr(type(columns._form), "read", lambda self, body: tried.append(body) or read(self, body))
    for number in range(20):
        columns.document(f'[{{"id" : {number}}}]'.encode())
    assert len(tried) < 6


SHAPED = st.sampled_from([POSTGRES, DUCKDB, SNOWFLAKE])


@settings(max_examples=300, deadline=None)
@given(
    st.lists(RECORDS, min_size=1, max_size=4), SHAPED, st.sampled_from([None, 150]), st.randoms(use_true_random=False)
)
def test_both_ways_store_the_same(
    records: list[dict[str, Any]], traits: Traits, most: int | None, chance: random.Random
) -> None:
    """The quick way rejects what the reference rejects and stores the same values under the same hashes."""
    names = [*dict.fromkeys(name for record in records for name in record)]
    chance.shuffle(names)
    like = [{name: record[name] for name in names if name in record} for record in records]
    body = compact(like)
    try:
        wanted = parse.page(body)
    except parse.UnreadablePage:
        return
    columns = Columns(discard={"_links"})
    columns.document(body)
    found = columns.document(body)
    results = []
    for given_records in (found, wanted):
        of: Shaper = shaper(stream(DECLARED, discard=frozenset({"_links"})), traits, most=most)
        shaped = page(of, given_records)
        part = merge(of.layout, [shaped.chunk], counts=Counts())
        rows = {  # by what they hold: undeclared columns get their names in the order in which they appear
            r.table.path: (
                {c.slot: [*values] for c, values in zip(r.table.columns, r.values, strict=True)},
                [*r.owner],
                [[*level] for level in r.levels],
            )
            for r in (part.root, *part.subtables)
        }
        results.append((rows, shaped.hashes, shaped.keys, shaped.versions, [*shaped.positions], shaped.rejects))
    assert results[0] == results[1]


TOKENS = [
    "0",
    "1",
    "-",
    ".",
    "e",
    '"',
    "\\",
    "u",
    "d",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    " ",
    "\n",
    "null",
    "true",
    '"a":',
    '"b":',
]


@settings(max_examples=1000, deadline=None)
@given(st.lists(st.sampled_from(TOKENS), max_size=12).map("".join), st.sampled_from(["a", "_links"]))
def test_no_text_gets_through_that_the_reference_refuses(value: str, name: str) -> None:
    body = f'[{{"id":1,"{name}":{value}}}]'.encode()
    columns = learned(f'{{"id":1,"{name}":2}}')
    try:
        wanted = parse.page(body)
    except parse.UnreadablePage:
        with pytest.raises(parse.UnreadablePage):
            columns.document(body)
        return
    found = columns.document(body)
    assert same([*found], wanted)


def test_a_page_with_a_bad_record_is_shaped_by_the_reference() -> None:
    of = shaper(stream({"a": TEXT, "i": INTEGER}, discard=frozenset({"_links"})))
    columns = learned('{"id":1,"a":"x","i":1,"_links":0}')
    found = columns.document(b'[{"id":1,"a":"x","i":1,"_links":0},{"id":null,"a":"\\u0000","i":1,"_links":0}]')
    assert isinstance(found, Entries)
    shaped = page(of, found)
    assert (shaped.chunk.count, [reject.code for reject in shaped.rejects]) == (1, ["bad_key"])
    assert json.loads(shaped.rejects[0].record) == {"id": None, "a": "\0", "i": 1, "_links": 0}


@pytest.mark.parametrize(("most", "room", "code"), [(60, 1600, "too_large"), (None, 12, "too_many_columns")])
def test_what_does_not_fit_is_rejected_on_the_quick_way_too(most: int | None, room: int, code: str) -> None:
    of = shaper(stream(), replace(POSTGRES, columns=room), most=most)
    text = f'{{"id":1,"a":"{"x" * 50}","b":{{"c":1,"d":2}}}}'
    found = learned(text).document(f"[{text}]".encode())
    assert isinstance(found, Entries)
    assert [reject.code for reject in page(of, found).rejects] == [code]
