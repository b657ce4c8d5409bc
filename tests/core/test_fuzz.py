"""20,000 hostile records through the whole engine into a real DuckDB file: each has one fate, and what is stored is
read back exactly from nothing but the file."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from connector_core import parse
from connector_core.instants import from_datetime
from connector_core.layout import ITEM
from connector_core.tables import Column, Rows, Table
from connector_duckdb import destination
from connector_duckdb.sql import TRAITS
from tests.support.engine import START, Shop, fates, raw
from tests.support.engine import stream as served_stream
from tests.support.hostile import DECLARED, NAMES, SCALARS, VALUES, exact, expected, must_reject
from tests.support.shaping import from_rows, shaper, stream

EXAMPLES, RECORDS = 20, 1_000
UPDATED = {"type": "string", "format": "date-time"}
NOW = "2026-03-01T08:00:00Z"
BAD_KEYS = [None, "1", 1.0, True, 2**64, [1], {"id": 1}]
FRESH = ["integer", "decimal", "text", "instant", "boolean", "list", "object"]
"""Values that are made anew for each record, beside those that hypothesis has drawn."""


@dataclass(frozen=True)
class Fresh:
    """A value that each record has of its own."""

    kind: str

    def value(self, dice: random.Random) -> Any:
        match self.kind:
            case "integer":
                return dice.randint(-(2**80), 2**80) >> dice.randint(0, 80)
            case "decimal":
                return Decimal(dice.randint(-(10**30), 10**30)).scaleb(-dice.randint(0, 12))
            case "text":
                planes = [(0x20, 0x7F), (0xA0, 0x24F), (0x300, 0x36F), (0x590, 0x6FF), (0x1F300, 0x1F6FF), (0, 0x1F)]
                return "".join(chr(dice.randint(*dice.choice(planes))) for _ in range(dice.randint(0, 12)))
            case "instant":
                day = f"{dice.randint(1, 9999):04}-{dice.randint(1, 12):02}-{dice.randint(1, 31):02}"
                zone = dice.choice(["Z", "", "+02:00", "-11:30"])
                return f"{day}T{dice.randint(0, 23):02}:{dice.randint(0, 59):02}:30.{dice.randint(0, 10**9):09}{zone}"
            case "boolean":
                return dice.random() < 0.5
            case "list":
                return [dice.choice([dice.randint(0, 99), "t", None]) for _ in range(dice.randint(0, 4))]
            case _:
                return {"inner": {"deep": dice.randint(0, 99), "text": None}, "list": [{"n": dice.random()}]}


def records(names: Sequence[str], values: Sequence[Any], seed: int) -> Iterator[Any]:
    """The entries of a list: records of these names and values, a few with a bad key, a few that are none."""
    dice = random.Random(seed)
    chosen = {
        name: [dice.choice([dice.choice(values), {dice.choice(names): dice.choice(values)}, Fresh(dice.choice(FRESH))])
               for _ in range(3)]
        for name in dict.fromkeys([*names, *DECLARED])
    }  # fmt: skip
    for number in range(RECORDS):
        if dice.random() < 0.02:
            yield dice.choice([None, "text", 7, [], True])
            continue
        record: dict[str, Any] = {"id": number, "updated": NOW}
        for name in dice.sample(list(chosen), dice.randint(0, 6)):
            value = dice.choice(chosen[name])
            record[name] = value.value(dice) if isinstance(value, Fresh) else value
        if dice.random() < 0.03:
            record["id"] = dice.choice(BAD_KEYS)
        yield record


def text(value: Any) -> str:
    """JSON with decimals written out."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{json.dumps(name)}: {text(item)}' for name, item in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(text, value))}]"
    return format(value, "f") if isinstance(value, Decimal) else json.dumps(value)


def in_the_file(shop: Shop) -> dict[int, Any]:
    """Every stored record by its key, put together from the tables as the destination's own registry explains them."""
    with destination.connect({"path": str(shop.warehouse)}, shop.schema) as target:
        claim = target.claim("shop")
    with duckdb.connect(str(shop.warehouse), read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        keys: dict[int, int] = {}
        found = []
        for one in sorted(claim.tables, key=lambda one: len(one.path)):
            columns = tuple(
                Column(path=c.path, kind=c.kind, name=c.name) for c in claim.columns if c.table_path == one.path
            )
            levels = one.path.count(ITEM) + 1 if one.path else 0
            table = Table(stream=one.stream, path=one.path, name=one.name, columns=columns, levels=levels)
            own = ["_sdc_source_key_id", *(f"_sdc_level_{n}_id" for n in range(levels))] if levels else ["id"]
            listed = [quoted(name) for name in own] + [readable(c) for c in columns]
            rows = connection.execute(
                f"SELECT {', '.join(listed)} FROM shop.{quoted(one.name)} ORDER BY {', '.join(listed[: len(own)])}"
            ).fetchall()
            if not levels:
                keys = {row[0]: place for place, row in enumerate(rows)}
                assert len(keys) == len(rows)
            held = list(zip(*rows, strict=True)) if rows else [()] * len(listed)
            values = tuple(
                [canonical(c, value) for value in of] for c, of in zip(columns, held[len(own) :], strict=True)
            )
            owner = [keys[key] for key in held[0]]
            found.append(
                Rows(table=table, count=len(rows), values=values, owner=owner, levels=tuple(held[1 : levels + 1]))
            )
    return dict(zip(keys, from_rows(*found), strict=True))


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def readable(column: Column) -> str:
    """The column as text where Python has no such value, an instant as UTC without its zone."""
    name = quoted(column.name)
    if column.kind in ("number", "date"):
        return f"{name}::VARCHAR"
    return f"make_timestamp(epoch_us({name}))" if column.kind == "instant" else name


def canonical(column: Column, value: Any) -> Any:
    """As the engine writes it: instants as text in UTC."""
    return value if value is None or column.kind != "instant" else from_datetime(value.replace(tzinfo=UTC))


def in_rejects(shop: Shop) -> Counter[str]:
    """The rejected entries, as often as they came."""
    found: Counter[str] = Counter()
    for row in shop.rows("_sdc_rejected"):
        found[repr(exact(parse.page(row["record"].encode())))] += row["seen"]
    return found


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],  # a thousand records are not made fewer in the time that a test has
    suppress_health_check=list(HealthCheck),
)
@given(
    st.lists(
        (NAMES | st.text(max_size=8)).filter(lambda name: name not in ("id", "updated")),
        min_size=4,
        max_size=12,
        unique=True,
    ),
    st.lists(SCALARS | VALUES | st.text(max_size=8) | st.floats(allow_nan=False, allow_infinity=False), min_size=4,
             max_size=16),
    st.integers(0, 2**32),
    st.sampled_from(["subtables", "native"]),
)  # fmt: skip
def test_hostile_records_are_stored_exactly_or_rejected_whole(
    names: list[str], values: list[Any], seed: int, nested: str
) -> None:
    of = shaper(stream(DECLARED | {"updated": UPDATED}), replace(TRAITS, nested_natively=nested == "native"))
    entries = list(records(names, values, seed))
    bad = [must_reject(entry, of) for entry in entries]
    things = served_stream(fields=of.stream.schema["properties"])
    with TemporaryDirectory() as folder:
        data = raw([things], {"things": list(map(text, entries))}, page_size=RECORDS)
        shop = Shop(Path(folder), data, START + f'batch_records = 400\nnested = "{nested}"\n')
        report = shop.go()
        stored = in_the_file(shop)
        good = {entry["id"]: entry for entry, wrong in zip(entries, bad, strict=True) if not wrong}
        assert fates(report.counts["things"]) == {"extracted": RECORDS, "loaded": len(good), "rejected": sum(bad)}
        assert {t: n.written for t, n in report.tables.items() if n.written} == {
            t: n for t in shop.tables() if (n := shop.query(f"SELECT count(*) FROM shop.{quoted(t)}")[0][0])
        }
        assert stored == {key: expected(entry, of) for key, entry in good.items()}
        assert in_rejects(shop) == Counter(repr(exact(e)) for e, wrong in zip(entries, bad, strict=True) if wrong)
