"""Records whose values the destination refuses: found by halving, told as rejects, left out of their batch.

What a column can hold is known before a batch is loaded (`Traits`), but databases have limits that only they know: the
size of a row or of an index entry, digits of a number, constraints of a type. Such a record must not stop the others.
`find` tries smaller and smaller parts of a batch, each in a transaction that is rolled back; then the loader takes the
bad ones out and loads the rest in one transaction, as if validation had rejected them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from hashlib import blake2b
from itertools import groupby
from typing import Any

from connector_core import parse
from connector_core.batch import Batch, Counts, Part, Reject
from connector_core.layout import ITEM
from connector_core.shape import key_text
from connector_core.tables import Kind, Rows

Records = Mapping[str, Mapping[int, str]]
"""By stream, the positions of records in the batch's part, each with the reason."""

CODE = "refused"


def find(attempt: Callable[[Batch], str | None], batch: Batch) -> Records:
    """The records of the batch that the destination refuses: `attempt` says why it refuses a batch, or None.

    One bad record among n costs some 2 log2(n) attempts. Empty when no part of the batch is refused by itself.
    """
    bad: dict[str, dict[int, str]] = {}
    groups = _halves([(part.stream.name, i) for part in batch.parts for i in range(part.root.count)])
    while groups:
        group = groups.pop()
        reason = attempt(_only(batch, group))
        if reason is not None and len(group) == 1:
            ((stream, position),) = group
            bad.setdefault(stream, {})[position] = reason
        elif reason is not None:
            groups += _halves(group)
    return bad


def _halves(group: list[tuple[str, int]]) -> list[list[tuple[str, int]]]:
    """The later half first: it is taken from the end."""
    middle = len(group) // 2
    return [half for half in (group[middle:], group[:middle]) if half]


def _only(batch: Batch, group: Sequence[tuple[str, int]]) -> Batch:
    """The batch with some of its records; an activation is tried as what it begins with, the staging of its rows."""
    wanted = {name: [i for _, i in of] for name, of in groupby(group, key=lambda one: one[0])}
    parts = []
    for part in batch.parts:
        positions = wanted.get(part.stream.name, [])
        counts = Counts(extracted=len(positions)) if batch.kind == "rows" else part.counts
        parts.append(take(part, positions, counts))
    kind = "stage" if batch.kind == "activate" else batch.kind
    return replace(batch, kind=kind, parts=tuple(parts), rejects=(), settled=(), activation=None)


def take(part: Part, positions: Sequence[int], counts: Counts) -> Part:
    """The part with only the records at these positions (ascending) and their sub-rows."""
    new = {old: place for place, old in enumerate(positions)}

    def rows(of: Rows) -> Rows:
        chosen = [row for row, owner in enumerate(of.owner) if owner in new]
        return replace(
            of,
            count=len(chosen),
            values=tuple([values[row] for row in chosen] for values in of.values),
            owner=[new[of.owner[row]] for row in chosen],
            levels=tuple([level[row] for row in chosen] for level in of.levels),
        )

    return replace(
        part,
        root=rows(part.root),
        subtables=tuple(map(rows, part.subtables)),
        hashes=[part.hashes[i] for i in positions],
        extracted_at=[part.extracted_at[i] for i in positions],
        received_at=[part.received_at[i] for i in positions],
        unique=[part.unique[i] for i in positions] if part.unique else (),
        counts=counts,
    )


def without(part: Part, bad: Mapping[int, str], *, counted: bool) -> Part:
    """The part without these records; with `counted` its counts say that they were rejected."""
    good = [i for i in range(part.root.count) if i not in bad]
    return take(part, good, part.counts + Counts(rejected=len(bad) if counted else 0))


def rejects(part: Part, bad: Mapping[int, str], *, at: str) -> list[Reject]:
    """What is kept of these records: the record as it was to be stored, since its source's text is gone by now. Each is
    one that was not read before."""
    return [_reject(part, position, reason, at) for position, reason in sorted(bad.items())]


def _reject(part: Part, position: int, reason: str, at: str) -> Reject:
    text = parse.text(record(part, position))
    values = dict(zip((c.name for c in part.root.table.columns), (v[position] for v in part.root.values), strict=True))
    key = [values[column.name] for column in part.root.table.key]
    return Reject(
        stream=part.stream.name,
        table=part.root.table.name,
        code=CODE,
        reason=reason,
        path="",
        primary_key=key_text(key) if key else None,
        record_hash=blake2b(text.encode(), digest_size=16).hexdigest(),
        record=text,
        rejected_at=at,
        copies=None if key else 1,
    )


# --- the record again, from its rows


def record(part: Part, position: int) -> dict[str, Any]:
    """A record made from its rows: the properties that are not null, objects and arrays as they were."""
    made: dict[str, Any] = {}
    _fill(made, part.root, position)
    for rows in sorted(part.subtables, key=lambda rows: rows.table.levels):
        for row, owner in enumerate(rows.owner):
            if owner == position:
                _insert(made, rows, row)
    return made


def _insert(made: dict[str, Any], rows: Rows, row: int) -> None:
    """Put the item that a row of a subtable stands for into its array, which it makes when there is none."""
    arrays: list[tuple[str, ...]] = [()]
    for step in rows.table.path:
        arrays = [*arrays, ()] if step == ITEM else [*arrays[:-1], (*arrays[-1], _name(step))]
    holder: Any = made
    for depth, (path, level) in enumerate(zip(arrays, rows.levels, strict=True)):
        array, place = holder, level[row]
        if path:
            for name in path[:-1]:
                array = array.setdefault(name, {})
            array = array.setdefault(path[-1], [])
        array += [None] * (place + 1 - len(array))
        if depth == rows.table.levels - 1:
            array[place] = _item(rows, row)
        elif array[place] is None:
            array[place] = {} if arrays[depth + 1] else []
        holder = array[place]


def _item(rows: Rows, row: int) -> Any:
    """One item of an array: a scalar or an object; None for one that has nothing but arrays, which follow."""
    for column, values in zip(rows.table.columns, rows.values, strict=True):
        if not column.path and values[row] is not None:
            return _plain(values[row], column.kind)
    made: dict[str, Any] = {}
    _fill(made, rows, row)
    return made or None


def _fill(made: dict[str, Any], rows: Rows, row: int) -> None:
    for column, values in zip(rows.table.columns, rows.values, strict=True):
        if column.path and values[row] is not None:
            holder = made
            for step in column.path[:-1]:
                holder = holder.setdefault(_name(step), {})
            holder[_name(column.path[-1])] = _plain(values[row], column.kind)


def _name(step: str) -> str:
    return step.removeprefix(ITEM)


def _plain(value: Any, kind: Kind) -> Any:
    if value is None or kind not in ("number", "nested"):
        return value
    return Decimal(value) if kind == "number" else parse.page(value.encode())
