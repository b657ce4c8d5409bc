"""`_sdc_record_hash`: equal for equal records, different for all others, for ever."""

from __future__ import annotations

from typing import Any

import pytest

from connector_core import parse
from connector_core.layout import Layout
from connector_core.shape import Shaped, Shaper
from tests.support.shaping import ID, INSTANT, INTEGER, NUMBER, POSTGRES, SNOWFLAKE, TEXT, page, shaper, stream


def hashes(of: Shaper, *bodies: str) -> list[str]:
    shaped: Shaped = page(of, parse.page(f"[{','.join(bodies)}]".encode()))
    assert not shaped.rejects
    return list(shaped.hashes)


HASHED = {
    "t": INSTANT,
    "n": NUMBER,
    "s": TEXT,
    "i": INTEGER,
    "o": {"type": "object"},
    "l": {"type": "array", "items": {"type": "object"}},
}


@pytest.mark.parametrize("traits", [POSTGRES, SNOWFLAKE])
@pytest.mark.parametrize(
    "same",
    [
        ['{"id":1,"s":"a","i":2}', '{"i":2,"s":"a","id":1}', '{"id":1,"s":"a","i":2,"t":null,"new":null}'],
        [
            '{"id":1,"t":"2016-03-01T08:00:05Z"}',
            '{"id":1,"t":"2016-03-01T10:00:05.000+02:00"}',
            '{"id":1,"t":"2016-03-01 08:00:05"}',
        ],
        ['{"id":1,"n":1.50}', '{"id":1,"n":1.5}', '{"id":1,"n":15e-1}', '{"id":1,"n":1.50000000000000000000}'],
        ['{"id":1,"n":3}', '{"id":1,"n":3.0}', '{"id":1,"n":3e0}'],
        ['{"id":1,"i":3}', '{"id":1,"i":3.0}'],
        ['{"id":1,"o":{"a":1,"b":{"c":2}}}', '{"id":1,"o":{"b":{"d":null,"c":2},"a":1,"z":null}}'],
        ['{"id":1,"l":[{"a":1,"b":"x"},{"a":2}]}', '{"id":1,"l":[{"b":"x","a":1},{"a":2,"b":null}]}'],
        ['{"id":1,"o":{"x":0.1,"y":2.50}}', '{"id":1,"o":{"x":0.10,"y":25e-1}}', '{"o":{"y":2.5,"x":1e-1},"id":1}'],
    ],
)
def test_equal_records_have_equal_hashes(traits: Any, same: list[str]) -> None:
    """Null is absent at every depth; it makes no difference how a value was written and which parser read it."""
    of = shaper(stream(HASHED), traits)
    assert len(set(hashes(of, *same))) == 1
    assert len({hashes(of, body, '{"id":9,"n":1e0}')[0] for body in same}) == 1


DIFFERENT_VALUES = [
    *("", '"s":""', '"s":"1"', '"s":1', '"i":1', '"s":true', '"s":"true"', '"n":1.5', '"s":"1.5"', '"n":"1.5"'),
    *('"t":"2016-03-01"', '"s":"2016-03-01T00:00:00Z"', '"t":"x2016-03-01"', '"a#b":1', '"a~2b":1'),
]
DIFFERENT_NESTINGS = [
    *('"o":{"a":1}', '"o":{"a":{"b":1}}', '"o":{"a/b":1}', '"o":{"a":[1]}', '"o":{"a":[1,null]}', '"o":{"a":[null,1]}'),
    *('"o":{"a":["1"]}', '"o":{"a":[[1]]}', '"o":{"a":[[1],[]]}', '"o":{"a":[[],[1]]}', '"o":{"a":[[1,2]]}'),
    *('"o":{"a":[[1],[2]]}', '"l":[{"a":1}]', '"l":[{"a":1},null]', '"l":[null]', '"l":[null,null]', '"a":[{"b":1}]'),
    *('"l":[{"a":1},{"b":2}]', '"l":[{"b":2},{"a":1}]', '"l":[{"a":1,"b":2}]'),
]


@pytest.mark.parametrize("traits", [POSTGRES, SNOWFLAKE])
def test_different_records_have_different_hashes(traits: Any) -> None:
    of = shaper(stream(HASHED), traits)
    objects = [*DIFFERENT_VALUES, *DIFFERENT_NESTINGS]
    found = hashes(of, *(f'{{"id":1{"," if inner else ""}{inner}}}' for inner in objects))
    assert len({*found, *hashes(of, '{"id":2}')}) == len(objects) + 1


def test_a_column_that_appears_changes_no_hash() -> None:
    of = shaper(stream(HASHED))
    body = '{"id":1,"s":"a","l":[{"a":1}]}'
    (before,) = hashes(of, body)
    assert hashes(of, body, '{"id":2,"new":1,"o":{"grown":"x"},"l":[{"z":1}],"m":[[1]]}')[0] == before


def test_the_shape_version_salts_the_hash() -> None:
    first = shaper(stream())
    (before,) = hashes(first, '{"id":1}')
    assert before.startswith("1:")
    assert len(before) == 18
    first.layout.shape_version = 2
    (after,) = hashes(first, '{"id":1}')
    assert after == "2:" + before[2:]


def test_the_hash_is_the_same_in_every_release() -> None:
    """Another value here would rewrite and bill every row that users have."""
    of = shaper(stream(HASHED))
    record = '{"id":1,"s":"é","n":1.50,"t":"2016-03-01","o":{"a":true},"l":[{"a":1},{"a":null,"b":[1,2]}],"x":[null]}'
    assert hashes(of, record) == ["1:ce7d0a8abd829f7d"]


def test_shapers_of_one_namespace_share_table_names() -> None:
    space = Layout(POSTGRES, (), ())
    one, other = stream(), stream()
    assert [space.stream(one).root.name, space.stream(other).root.name] == ["things", "things__2"]
    assert ID["id"]
