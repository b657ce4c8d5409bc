"""Shapes records with the real parts, and reads them back from the columns as a user of the tables would."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal

from connector_core.batch import Counts, Part
from connector_core.layout import ITEM, Layout, StreamLayout
from connector_core.shape import CODES, Shaped, Shaper, merge
from connector_core.streams import Stream
from connector_core.tables import Kind, RegisteredColumn, RegisteredTable, Rows, Traits
from connector_core.validate import Validator

SUFFIXES: dict[Kind, str] = {
    "string": "st",
    "integer": "bi",
    "number": "de",
    "boolean": "bo",
    "instant": "ti",
    "date": "ti",
    "nested": "va",
}
POSTGRES = Traits(name_bytes=63, suffixes=SUFFIXES, columns=1600)
DUCKDB = Traits(name_bytes=200, suffixes=SUFFIXES, case_sensitive=False, decimal=(38, 9), nul_in_text=True)
SNOWFLAKE = Traits(
    name_bytes=255,
    suffixes=SUFFIXES | {"integer": "it"},
    fold="upper",
    rename_on_split=False,
    nested_natively=True,
    decimal=(38, 6),
    text_bytes=16_777_216,
)
TEXT = {"type": ["string", "null"]}
INTEGER = {"type": ["integer", "null"]}
NUMBER = {"type": ["number", "null"]}
BOOLEAN = {"type": ["boolean", "null"]}
INSTANT = {"type": ["string", "null"], "format": "date-time"}
DATE = {"type": ["string", "null"], "format": "date"}
NOW = "2026-01-01T00:00:00Z"
ID = {"id": {"type": "integer"}}


def stream(properties: Mapping[str, Any] | None = None, *, key: tuple[str, ...] = ("id",), **more: Any) -> Stream:
    """A stream called things whose records have an integer `id` and these properties."""
    return Stream(
        name="things", schema={"type": "object", "properties": {**ID, **(properties or {})}}, primary_key=key, **more
    )


def shaper(
    declared: Stream,
    traits: Traits = POSTGRES,
    *,
    layout: StreamLayout | None = None,
    nul: Literal["reject", "strip"] = "reject",
    most: int | None = None,
    **modes: Any,
) -> Shaper:
    """The real shaper, in an empty namespace unless a layout is given."""
    return Shaper(
        stream=declared,
        layout=layout or Layout(traits, (), ()).stream(declared, **modes),
        validator=Validator(declared, type_conflict=modes.get("type_conflict", "split")),
        nul_characters=nul,
        max_record_bytes=most,
    )


def remembered(known: StreamLayout, absent: Sequence[str] = ()) -> tuple[list[RegisteredTable], list[RegisteredColumn]]:
    """What the destination remembers of these tables; somebody dropped the tables and columns named in `absent`."""
    tables, columns = [], []
    for table in known.tables():
        tables.append(
            RegisteredTable(
                stream=table.stream,
                path=table.path,
                name=table.name,
                shape=known.shape,
                shape_version=known.shape_version,
                table_version=0,
                present=table.name not in absent,
            )
        )
        columns += [
            RegisteredColumn(
                stream=table.stream,
                table_path=table.path,
                table=table.name,
                path=c.path,
                kind=c.kind,
                name=c.name,
                present=c.name not in absent,
            )
            for c in table.columns
        ]
    return tables, columns


def page(of: Shaper, records: Sequence[Any]) -> Shaped:
    """One page, whose count of records must come out whole."""
    shaped = of.page(records, extracted_at=NOW, received_at=NOW, rejected_at=NOW)
    assert shaped.extracted == len(records) == shaped.chunk.count + len(shaped.rejects)
    assert shaped.chunk.count == len(shaped.positions) == len(shaped.hashes) == len(shaped.versions)
    return shaped


def tables(of: Shaper, *shaped: Shaped) -> dict[str, list[dict[str, Any]]]:
    """What the tables would hold: rows by table, with `#` for the owner and levels of a sub-row, without NULLs."""
    part = merge(of.layout, [one.chunk for one in shaped], counts=Counts())
    found = {}
    for rows in (part.root, *part.subtables):
        assert all(len(values) == rows.count for values in (*rows.values, rows.owner, *rows.levels))
        found[rows.table.name] = [
            {
                **({"#": (rows.owner[r], *(level[r] for level in rows.levels))} if rows.levels else {}),
                **{
                    column.name: values[r]
                    for column, values in zip(rows.table.columns, rows.values, strict=True)
                    if values[r] is not None
                },
            }
            for r in range(rows.count)
        ]
    return found


def rows(of: Shaper, *records: Any) -> list[dict[str, Any]]:
    """The root table after one page of good records."""
    shaped = page(of, list(records))
    assert [reject.reason for reject in shaped.rejects] == []
    return tables(of, shaped)[of.layout.root.name]


def rejected(of: Shaper, record: Any) -> tuple[str, str]:
    """Code and path of a record that is rejected while its neighbours are stored."""
    shaped = page(of, [{"id": 90}, record, {"id": 91}])
    (reject,) = shaped.rejects
    assert list(shaped.positions) == [0, 2]
    assert shaped.keys == [(90,), (91,)]
    assert reject.code in CODES
    assert reject.record.isascii()
    return reject.code, reject.path


def stored_values(found: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[Any]:
    """Every value of all tables."""
    return [value for held in found.values() for row in held for value in row.values()]


def rebuilt(part: Part) -> list[Any]:
    """The records again, from nothing but tables, columns, owners and levels."""
    return from_rows(part.root, *part.subtables)


def from_rows(*tables: Rows) -> list[Any]:
    """The records of a root table's rows and those of its subtables, outer arrays first."""
    roots: list[Any] = []
    for rows in tables:
        for r in range(rows.count):
            value: Any = None if rows.levels else {}
            for column, values in zip(rows.table.columns, rows.values, strict=True):
                if values[r] is None:
                    continue
                held = read_back(values[r], column.kind)
                if column.path == ():
                    assert value is None
                    value = held
                else:
                    value = {} if value is None else value
                    _put(value, column.path, held)
            _attach(roots, rows.table.path, rows.owner[r], [level[r] for level in rows.levels], value)
    return roots


def read_back(value: Any, kind: Kind) -> Any:
    """A canonical value as the JSON it came from; numbers as Decimal, instants and dates marked as such."""
    assert type(value) is {"integer": int, "boolean": bool}.get(kind, str)
    if kind in ("integer", "number"):
        return Decimal(value)
    if kind in ("instant", "date"):
        return (kind, value)
    return json.loads(value, parse_float=Decimal, parse_int=Decimal) if kind == "nested" else value


def _put(into: dict[str, Any], path: Sequence[str], value: Any) -> None:
    *before, last = path
    for step in before:
        into = into.setdefault(step, {})
    assert last not in into
    into[last] = value


def _attach(roots: list[Any], path: Sequence[str], owner: int, levels: Sequence[int], value: Any) -> None:
    """Put a row in its place; rows come in order, those of an array before those of the arrays in its entries."""
    holder: Any = roots
    place: Any = owner
    steps = list(path)
    for index in levels:
        cut = steps.index(ITEM) if ITEM in steps else len(steps)
        for step in steps[:cut]:
            holder[place] = {} if holder[place] is None else holder[place]
            holder, place = holder[place], step
            holder.setdefault(place, None)
        steps = steps[cut + 1 :]
        holder[place] = [] if holder[place] is None else holder[place]
        holder, place = holder[place], index
    assert len(holder) == place
    holder.append(value)
