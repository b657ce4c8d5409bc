"""Whatever a source sends: every record is stored or rejected, and what is stored can be read back exactly."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from connector_core import parse
from connector_core.batch import Counts
from connector_core.names import clash_key
from connector_core.shape import CODES, Shaper, merge
from connector_core.tables import Traits
from tests.support.hostile import DECLARED, PAGES, RECORDS, expected, must_reject, same
from tests.support.shaping import DUCKDB, POSTGRES, SNOWFLAKE, page, rebuilt, shaper, stream


def check_names(of: Shaper) -> None:
    traits = of.layout.traits
    for table in of.layout.tables():
        keys = [clash_key(column.name, traits) for column in table.columns]
        assert len(set(keys)) == len(keys)
        assert all(len(column.name.encode()) <= traits.name_bytes and column.name.strip() for column in table.columns)
        assert not any(column.name.lower().startswith(("_sdc", "__sdc")) for column in table.columns)


@settings(max_examples=300, deadline=None)
@given(PAGES, st.sampled_from([POSTGRES, DUCKDB, SNOWFLAKE]))
def test_what_is_stored_reads_back_and_the_rest_is_rejected(pages: list[list[Any]], traits: Traits) -> None:
    of = shaper(stream(DECLARED), traits)
    good, chunks = [], []
    for records in pages:
        shaped = page(of, records)
        rejected = [i for i in range(len(records)) if i not in shaped.positions]
        assert len(rejected) == len(shaped.rejects)
        for i, reject in zip(rejected, shaped.rejects, strict=True):
            assert reject.code in CODES
            assert reject.record.isascii()
            assert (reject.path + reject.reason).isprintable()
            assert same(parse.page(reject.record.encode()), records[i])
            assert must_reject(records[i], of) or reject.code == "lone_surrogate"
        assert not any(must_reject(records[i], of) for i in shaped.positions)
        good += [records[i] for i in shaped.positions]
        chunks.append(shaped.chunk)
        check_names(of)
    part = merge(of.layout, chunks, counts=Counts())
    assert rebuilt(part) == [expected(record, of) for record in good]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(RECORDS, min_size=1, max_size=4), st.sampled_from([POSTGRES, SNOWFLAKE]), st.randoms(use_true_random=False)
)
def test_equal_records_and_only_they_have_equal_hashes(
    records: list[dict[str, Any]], traits: Traits, random: Any
) -> None:
    """Order of properties, nulls and the company of other records make no difference; every other change does."""
    of = shaper(stream(DECLARED), traits)
    first = page(of, records)
    shuffled = []
    for record in records:
        items = [*record.items(), ("never", None)]
        random.shuffle(items)
        shuffled.append(dict(items))
    assert page(of, shuffled).hashes == first.hashes
    good = [records[i] for i in first.positions]
    for record, whole in zip(good, first.hashes, strict=True):
        assert page(of, [record]).hashes == [whole]
    values = [without_nulls(expected(record, of)) for record in good]
    for one, one_hash in zip(values, first.hashes, strict=True):
        for other, other_hash in zip(values, first.hashes, strict=True):
            assert (typed(one) == typed(other)) == (one_hash == other_hash)


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_nulls(item) for name, item in value.items() if item is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value


def typed(value: Any) -> Any:
    """Python says True == 1; a column does not."""
    if isinstance(value, dict):
        return {name: typed(item) for name, item in value.items()}
    return [typed(item) for item in value] if isinstance(value, list) else (type(value), value)


@settings(max_examples=150, deadline=None)
@given(PAGES, st.sampled_from([POSTGRES, DUCKDB, SNOWFLAKE]), st.sampled_from(["evolve", "freeze", "discard"]))
def test_records_balance_in_every_mode(pages: list[list[Any]], traits: Traits, schema: str) -> None:
    for type_conflict in ("split", "reject"):
        of = shaper(stream(DECLARED), traits, nul="strip", most=2_000, schema=schema, type_conflict=type_conflict)
        columns = [c.slot for table in of.layout.tables() for c in table.columns]
        for records in pages:
            shaped = page(of, records)
            part = merge(
                of.layout, [shaped.chunk.take([i for i in range(shaped.chunk.count) if i % 2])], counts=Counts()
            )
            assert part.root.count == shaped.chunk.count // 2
            if type_conflict == "reject":
                assert rebuilt(part) is not None
        if schema != "evolve" and type_conflict == "reject":
            grown = {c.slot for table in of.layout.tables() for c in table.columns}
            assert grown >= set(columns)
