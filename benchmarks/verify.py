"""Checks what a tool has left behind: the row count of every table, and every field of every record or of a sample.

`python verify.py DATABASE LAYOUT DATA full|changed every|sample` prints what is wrong, one finding a line, and ends
with 1 if there is any. It is a process of its own so that its memory does not weigh on what is measured next.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from databases import Reader, reading
from generate import ARRAYS, Data, generate

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SAMPLE = 300  # records of each stream, and as many of the changed ones
PIECE = 2_000  # records that are compared at a time
MOST = 20  # findings that are told


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How a tool names things. `children` is the statement that gives a subtable's rows as (id of the root record,
    index, values ...); None where a tool keeps arrays and custom fields as JSON in columns of the root table.

    `sparse` says that the tool makes no column for a property that was null in every record.
    """

    schema: str
    children: str | None
    sparse: bool = False


LAYOUTS = {
    "stitch": Layout(
        schema="bench",
        children="SELECT _sdc_source_key_id, _sdc_level_0_id, {values} FROM {schema}.{table}",
    ),
    "dlt": Layout(
        schema="bench",
        children="SELECT parent.id, _dlt_list_idx, {values} FROM {schema}.{table} AS child "
        "JOIN {schema}.{stream} AS parent ON child._dlt_parent_id = parent._dlt_id",
        sparse=True,
    ),
    "columns": Layout(schema="bench", children=None),
}


def findings(where: str, layout: Layout, data: Data, *, changed: bool, every: bool) -> list[str]:
    """What is not as it should be after the full load, or after the increment."""
    with reading(where) as database:
        found = list(_counts(database, layout, data.after if changed else data.full))
        for stream in ARRAYS:
            pieces = _every if every else _sample
            for expected in pieces(data, stream, changed=changed):
                found += _fields(database, layout, stream, expected)
                if len(found) >= MOST:
                    break
    return found[:MOST]


def _counts(database: Reader, layout: Layout, expected: Mapping[str, int]) -> Iterator[str]:
    for table, rows in expected.items():
        stream, is_array, array = table.partition("__")
        statement = f"SELECT count(*) FROM {layout.schema}.{table}"
        if is_array and layout.children is None:
            statement = f"SELECT coalesce(sum({database.length(array)}), 0) FROM {layout.schema}.{stream}"
        there = int(database.rows(statement)[0][0])
        if there != rows:
            yield f"{table} has {there:,} rows, not {rows:,}"


def _every(data: Data, stream: str, *, changed: bool) -> Iterator[dict[int, dict[str, Any]]]:
    """All records as the source has them now, piece by piece."""
    after = _changed(data, stream) if changed else {}
    records = _records(data.file(stream))
    while piece := {record["id"]: after.get(record["id"], record) for record in islice(records, PIECE)}:
        yield piece


def _changed(data: Data, stream: str) -> dict[int, dict[str, Any]]:
    return {record["id"]: record for record in _records(data.file(stream, changed=True))}


def _sample(data: Data, stream: str, *, changed: bool) -> Iterator[dict[int, dict[str, Any]]]:
    """Records as the source has them now: some of the full file, and after the increment some changed ones."""
    after = _changed(data, stream) if changed else {}
    total = data.full[stream]
    ids = {1, total, *random.Random(stream).sample(range(1, total + 1), min(SAMPLE, total)), *list(after)[:SAMPLE]}
    full = {record["id"]: record for record in _records(data.file(stream), ids)}
    yield {i: after.get(i, full[i]) for i in ids}


def _records(file: Path, ids: set[int] | None = None) -> Iterator[dict[str, Any]]:
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if ids is None or number in ids:  # the full files hold the records 1, 2, 3 ... in this order
                yield json.loads(line)


def _fields(database: Reader, layout: Layout, stream: str, expected: Mapping[int, Mapping[str, Any]]) -> Iterator[str]:
    ids = list(expected)
    types = database.columns(layout.schema, stream)
    columns = [database.micros(name) if kind.startswith("TIMESTAMP") else name for name, kind in types.items()]
    statement = f"SELECT {', '.join(columns)} FROM {layout.schema}.{stream} WHERE id IN {{ids}}"
    found = [dict(zip(types, row, strict=True)) for row in database.rows(statement, ids)]
    rows = {row["id"]: row for row in found}
    if len(rows) != len(found):
        yield f"{stream}: an id occurs more than once"
    if layout.children is None:
        for row in found:
            row |= {f"custom_fields__{key}": value for key, value in _json(row["custom_fields"]).items()}
    children = {array: _children(database, layout, stream, array, rows) for array in ARRAYS[stream]}
    for i, record in expected.items():
        if i not in rows:
            yield f"{stream} {i} is missing"
            continue
        for name, value in _flat(record).items():
            there = rows[i].get(name, None if layout.sparse else "no such column")
            if (type(there), there) != (type(value), value):
                yield f"{stream} {i} {name}: {there!r}, not {value!r}"
        for array, items in children.items():
            wanted = [_values(item) for item in record[array]]
            if items.get(i, []) != wanted:
                yield f"{stream} {i} {array}: {items.get(i, [])!r}, not {wanted!r}"


def _children(
    database: Reader, layout: Layout, stream: str, array: str, rows: Mapping[int, Mapping[str, Any]]
) -> dict[int, list[tuple[Any, ...]]]:
    """The items of an array by root record, in their order."""
    if layout.children is None:
        return {i: [_values(item) for item in _json(row[array])] for i, row in rows.items()}
    statement = layout.children.format(
        schema=layout.schema,
        table=f"{stream}__{array}",
        stream=stream,
        values="type, value" if stream == "customers" else "value",
    )
    found: dict[int, list[tuple[Any, ...]]] = {}
    named = "id, i, type, value" if stream == "customers" else "id, i, value"
    ordered = f"SELECT * FROM ({statement}) AS t({named}) WHERE id IN {{ids}} ORDER BY id, i"
    for parent, index, *values in database.rows(ordered, list(rows)):
        items = found.setdefault(parent, [])
        items.append(tuple(values) if index == len(items) else (f"index {index}", *values))
    return found


def _values(item: Any) -> tuple[Any, ...]:
    """What a subtable keeps of an item."""
    return (item["type"], item["value"]) if isinstance(item, dict) else (item,)


def _json(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


def _flat(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record as columns of its root table: without arrays and links, custom fields as `custom_fields__<key>`,
    instants in microseconds.
    """
    flat = {name: value for name, value in record.items() if not isinstance(value, list | dict)}
    flat |= {name: _microseconds(value) for name, value in flat.items() if value and name.endswith(("_at", "_until"))}
    return flat | {f"custom_fields__{key}": value for key, value in record["custom_fields"].items()}


def _microseconds(instant: str) -> int:
    return (datetime.fromisoformat(instant) - EPOCH) // timedelta(microseconds=1)


if __name__ == "__main__":
    where, layout, folder, phase, which = sys.argv[1:]
    n = json.loads((Path(folder) / "manifest.json").read_text())["n"]
    data = generate(Path(folder), n)
    wrong = findings(where, LAYOUTS[layout], data, changed=phase == "changed", every=which == "every")
    print("\n".join(wrong))
    sys.exit(1 if wrong else 0)
