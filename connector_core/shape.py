"""Turns a page's records into validated, column-wise rows: `Shaper.page` for one page, `merge` for the pages of a
batch.

Everything is done for a page at once and by columns. Records that cannot be stored are told apart first, each with
the reason; the others are then read without any of them, so that one bad record costs one record. `extracted` always
equals good records plus rejects.
"""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from itertools import accumulate, chain, repeat
from typing import Any, Literal

from connector_core.batch import Counts, Part, Reject
from connector_core.declared import pointer
from connector_core.entries import Entries
from connector_core.hashed import Hashed
from connector_core.instants import to_datetime, to_datetimes
from connector_core.layout import ITEM, StreamLayout, TooManyColumns
from connector_core.parse import Duplicates, text
from connector_core.reading import Reading, Sheet, Values, key_value, read
from connector_core.streams import Stream, Unreadable
from connector_core.tables import Kind, Path, Rows, Slot, Table
from connector_core.validate import Problem, Validator

_KIND_LETTERS: Mapping[Kind, str] = {
    "string": "s",
    "integer": "i",
    "number": "n",
    "boolean": "b",
    "instant": "t",
    "date": "d",
    "nested": "v",
}

CODES: Mapping[str, str] = {
    "bad_key": "the primary key is missing, null, or not text, a whole number, a date or an instant as declared",
    "bad_replication_key": "the replication key is neither null nor what the stream declares (or null, and the stream "
    "has no primary key)",
    "duplicate_property": "an object names a property twice",
    "lone_surrogate": "a text or name holds half of a UTF-16 pair, which no database can store",
    "no_such_instant": "a date or time that does not exist, or is outside the years 1 to 9999",
    "not_an_object": "an entry of the page is not an object",
    "not_json": "NaN, Infinity, or a value that JSON does not have",
    "nul_character": "a text holds U+0000, which the destination cannot store",
    "number_out_of_range": "a number beyond what any column can hold",
    "refused": "the destination refuses a value of the record, for instance because its row would be too large; the "
    "reason is the destination's",
    "schema": "a keyword of the stream's JSON Schema (required, enum, a limit, ...) is violated",
    "too_deep": "objects and arrays are nested too deeply",
    "too_large": "the record is larger than max_record_bytes",
    "too_long": "a text is longer than the destination can store",
    "too_many_columns": "the table would need more columns than the destination allows",
    "type_conflict": 'a value is of another type than its column, and type_conflict is "reject"',
    "unknown_property": 'the schema does not know a property, and schema is "freeze"',
    "unreadable": "the source could not read the entry; the reason is the source's and says where it stands",
}
"""Every `Reject.code`, and what it means."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Chunk:
    """The rows of one page's good records, by columns; names are found when chunks are merged.

    `sheets` maps a table's path to its rows, the root table's () always among them; `hashes` has one
    `_sdc_record_hash` per root record.
    """

    count: int
    sheets: Mapping[Path, Sheet]
    hashes: Sequence[str]
    extracted_at: str
    received_at: str

    def rows_of(self, indexes: Sequence[int]) -> dict[Path, int]:
        """How many rows, by table, belong to these root records."""
        wanted = set(indexes)
        return {
            path: len(wanted) if path == () else sum(owner in wanted for owner in sheet.owner)
            for path, sheet in self.sheets.items()
        }

    def take(self, indexes: Sequence[int]) -> Chunk:
        """The chunk with only these root records (positions in this chunk, ascending) and their sub-rows."""
        if len(indexes) == self.count:
            return self
        new = {old: position for position, old in enumerate(indexes)}
        sheets = {}
        for path, sheet in self.sheets.items():
            rows = indexes if path == () else [row for row, owner in enumerate(sheet.owner) if owner in new]
            sheets[path] = Sheet(
                path=path,
                count=len(rows),
                owner=range(len(rows)) if path == () else [new[sheet.owner[row]] for row in rows],
                levels=tuple([level[row] for row in rows] for level in sheet.levels),
                columns={slot: [values[row] for row in rows] for slot, values in sheet.columns.items()},
            )
        return Chunk(
            count=len(indexes),
            sheets=sheets,
            hashes=[self.hashes[i] for i in indexes],
            extracted_at=self.extracted_at,
            received_at=self.received_at,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Shaped:
    """What became of one page: `extracted == chunk.count + len(rejects)`.

    Of each good record: `positions` its index in the page's records, `keys` its primary key in canonical values (None
    without one), `versions` its replication key (an aware datetime, an integer, or None). `discarded` counts dropped
    properties, `stripped` removed U+0000. `hashes` are the chunk's.
    """

    extracted: int
    chunk: Chunk
    keys: Sequence[tuple[Any, ...]] | None
    versions: Sequence[datetime | int | None]
    positions: Sequence[int]
    rejects: tuple[Reject, ...] = ()
    discarded: int = 0
    stripped: int = 0

    @property
    def hashes(self) -> Sequence[str]:
        """`_sdc_record_hash` of each good record."""
        return self.chunk.hashes


@dataclass(frozen=True, kw_only=True)
class Shaper:
    """Validates and shapes the pages of one stream. Safe to use from several threads.

    `nul_characters` says what happens to U+0000 where the destination's text cannot hold it. `max_record_bytes`
    limits the JSON of a record as it is stored.
    """

    stream: Stream
    layout: StreamLayout
    validator: Validator
    nul_characters: Literal["reject", "strip"] = "reject"
    max_record_bytes: int | None = None
    _slot_keys: dict[tuple[Path, Slot], str] = field(default_factory=dict, init=False, repr=False, compare=False)
    _hashed: Hashed = field(default_factory=Hashed, init=False, repr=False, compare=False)

    def page(self, records: Sequence[Any], *, extracted_at: str, received_at: str, rejected_at: str) -> Shaped:
        """Shape the entries of one page. The three instants are canonical texts; they are the same for the whole page.

        Never raises for anything that a record holds: what cannot be stored is rejected.
        """
        positions: Sequence[int] = range(len(records))
        problems: Mapping[int, Problem] = {}
        if (quickly := self._quickly(records)) is not None:
            reading, blobs = quickly
        else:
            reading, blobs, positions, problems = self._carefully(records)
        prefix = f"{self.layout.shape_version}:"
        chunk = Chunk(
            count=len(positions),
            sheets=reading.sheets,
            hashes=[prefix + blake2b(blob, digest_size=8).hexdigest() for blob in blobs],
            extracted_at=extracted_at,
            received_at=received_at,
        )
        return Shaped(
            extracted=len(records),
            chunk=chunk,
            keys=self._keys(reading.root),
            versions=self._versions(reading.root),
            positions=positions,
            rejects=tuple(self._reject(records[i], problems[i], rejected_at) for i in sorted(problems)),
            discarded=reading.discarded,
            stripped=reading.stripped,
        )

    def _quickly(self, records: Sequence[Any]) -> tuple[Reading, list[bytes]] | None:
        """What all records of a page hold and their hashes' blobs, if they come by columns and nothing is wrong with
        any of them; None for every other page."""
        if not isinstance(records, Entries) or self.validator.required is None:
            return None
        if not (self.validator.required <= set(records.names) and self.validator.required.isdisjoint(records.absent)):
            return None
        reading = self._read(records)
        if reading.problems or self._without_version(reading):
            return None
        blobs = self._blobs(reading)
        return None if self._too_large(blobs) or self._place(reading) else (reading, blobs)

    def _carefully(self, records: Sequence[Any]) -> tuple[Reading, list[bytes], Sequence[int], Mapping[int, Problem]]:
        """What the good records hold, the blobs of their hashes, their positions, and what is wrong with the others."""
        problems: dict[int, Problem] = {}
        records = [*records]
        if not set(map(type, records)) <= {dict}:
            problems |= {i: _not_an_object(entry) for i, entry in enumerate(records) if type(entry) is not dict}
        positions = self._positions(records, problems)
        invalid = self.validator.problems(_at(records, positions))
        while True:
            if invalid:
                problems |= {positions[i]: problem for i, problem in invalid.items()}
                positions = self._positions(records, problems)
            reading = self._read(_at(records, positions))
            invalid = reading.problems or self._without_version(reading)
            if not invalid:
                blobs = self._blobs(reading)
                invalid = self._too_large(blobs) or self._place(reading)
            if not invalid:
                return reading, blobs, positions, problems

    def _read(self, records: Sequence[dict[str, Any]]) -> Reading:
        return read(records, self.layout, nul="keep" if self.layout.traits.nul_in_text else self.nul_characters)

    def _without_version(self, reading: Reading) -> dict[int, Problem]:
        """Without a primary key a record without replication key would be stored again by every run: it is rejected."""
        if self.stream.primary_key or self.stream.replication != "incremental" or self.stream.stateful:
            return {}
        problem = Problem(
            code="bad_replication_key",
            reason="the stream has no primary key and the record no replication key",
            path=pointer((self.stream.replication_key or "",)),
        )
        return {i: problem for i, version in enumerate(self._versions(reading.root)) if version is None}

    @staticmethod
    def _positions(records: Sequence[Any], problems: Mapping[int, Problem]) -> Sequence[int]:
        return [i for i in range(len(records)) if i not in problems] if problems else range(len(records))

    def _place(self, reading: Reading) -> dict[int, Problem]:
        """Give every slot of the page a column; returns the records for which a table has no room.

        A record gets all the columns it needs or none: one very wide record does not use up the room of the others.
        """
        problems: dict[int, Problem] = {}
        fresh: list[tuple[Path, Slot]] = []
        for sheet in reading.sheets.values():
            new = [slot for slot in sheet.columns if not self.layout.has(sheet.path, slot)]
            room = self.layout.room(sheet.path)
            if room is not None and len(new) > room:
                problems |= _without_room(sheet, new, room)
            fresh += [(sheet.path, slot) for slot in new]
        if problems:
            return problems
        for path in reading.sheets:
            self.layout.add_table(path)
        try:
            for path, slot in fresh:
                self.layout.slot(path, *slot)
        except TooManyColumns:  # another thread has just taken the room
            return self._place(reading)
        return {}

    # --- the record's hash

    def _blobs(self, reading: Reading) -> list[bytes]:
        """What the hash of each record covers: its values as stored, by slot, in the order of the slots' texts.

        A slot without value leaves no trace, so null, absent and a column that another record brought are the same.
        """
        root = reading.root
        columns: dict[str, Values] = {
            self._slot_key((), slot): reading.pruned.get(slot, values) for slot, values in root.columns.items()
        }
        for sheet in reading.sheets.values():
            if sheet.path != ():
                columns |= self._lists(sheet, root.count)
        return self._hashed.blobs(columns, root.count)

    def _lists(self, sheet: Sheet, count: int) -> dict[str, Values]:
        """The rows of a subtable as one list per column and root record."""
        counts = sheet.counts
        if counts is None:
            of_root = Counter(sheet.owner)
            counts = [of_root.get(i, 0) for i in range(count)]
        ends = [*accumulate(counts)]
        spans = [*map(slice, [0, *ends], ends)]
        name = pointer(sheet.path).replace("#", "~2")
        lists: dict[str, Values] = {f"#:{name}": [n or None for n in counts]}
        if len(sheet.levels) > 1:
            for k, level in enumerate(sheet.levels):
                lists[f"#{k}:{name}"] = [level[span] or None for span in spans]
        for slot, values in sheet.columns.items():
            parts: list[Any] = [values[span] or None for span in spans]
            if None in values:
                parts = [None if part is not None and not any(v is not None for v in part) else part for part in parts]
            lists[self._slot_key(sheet.path, slot)] = parts
        return lists

    def _slot_key(self, table: Path, slot: Slot) -> str:
        key = self._slot_keys.get((table, slot))
        if key is None:
            path, kind = slot
            # '#' parts the table's path from the path within a row; within names it is escaped
            parts = [pointer(part).replace("#", "~2") for part in ((table, path) if table else (path,))]
            key = f"{_KIND_LETTERS[kind]}:{'#'.join(parts)}"
            self._slot_keys[(table, slot)] = key
        return key

    def _too_large(self, blobs: Sequence[bytes]) -> dict[int, Problem]:
        most = self.max_record_bytes
        if most is None:
            return {}
        return {
            i: Problem(code="too_large", reason=f"the record has {len(blob)} bytes, max_record_bytes is {most}")
            for i, blob in enumerate(blobs)
            if len(blob) > most
        }

    # --- keys, versions, rejects

    def _keys(self, root: Sheet) -> Sequence[tuple[Any, ...]] | None:
        if not self.stream.primary_key:
            return None
        by_name = {path[0]: values for (path, _), values in root.columns.items() if len(path) == 1}
        return [*zip(*(by_name.get(name, ()) for name in self.stream.primary_key), strict=True)]

    def _versions(self, root: Sheet) -> Sequence[datetime | int | None]:
        name = self.stream.replication_key
        if self.stream.replication != "incremental" or name is None:
            return [None] * root.count
        for (path, kind), values in root.columns.items():
            if path == (name,):
                return values if kind == "integer" else to_datetimes(values)
        return [None] * root.count

    def version_of(self, entry: Any) -> datetime | int | None:
        """The replication key of a record that may be bad in other respects; None when it cannot be read."""
        name = self.stream.replication_key
        if type(entry) is not dict or name is None:
            return None
        (kind,) = self.layout.declared.properties[name].kinds
        value = key_value(entry.get(name), kind, self.layout.traits.decimal)
        return to_datetime(value) if isinstance(value, str) else value

    def _reject(self, entry: Any, problem: Problem, rejected_at: str) -> Reject:
        record = text(entry)
        return Reject(
            stream=self.stream.name,
            table=self.layout.root.name,
            code=problem.code,
            reason=_printable(problem.reason),
            path=_printable(problem.path),
            primary_key=self._readable_key(entry),
            record_hash=blake2b(record.encode(), digest_size=16).hexdigest(),
            record=record,
            rejected_at=rejected_at,
        )

    def _readable_key(self, entry: Any) -> str | None:
        if type(entry) is not dict or not self.stream.primary_key:
            return None
        values = []
        for name in self.stream.primary_key:
            value = entry.get(name)
            (kind,) = self.layout.declared.properties[name].kinds
            values.append(key_value(value, kind, self.layout.traits.decimal))
        return key_text(values) if None not in values else None


def key_text(key: Sequence[Any]) -> str:
    """A primary key as ASCII JSON text: the form of `Reject.primary_key` and `Activation.kept_keys`."""
    if len(key) == 1 and type(key[0]) is int:
        return f"[{key[0]}]"  # the usual key, without the price of an encoder
    return json.dumps([*key])


def merge(
    layout: StreamLayout,
    chunks: Sequence[Chunk],
    *,
    counts: Counts,
    rewrite: bool = False,
    known: Mapping[Path, int] | None = None,
) -> Part:
    """The rows of several chunks of one stream, in their order, under the names that their columns have now.

    A column that a chunk does not have is NULL there. `counts`, `rewrite` and `known` become the part's.
    """
    stream = layout.stream
    tables = layout.tables()
    count = sum(chunk.count for chunk in chunks)
    bases = [0, *accumulate(chunk.count for chunk in chunks)]
    root, *subtables = [_rows(table, chunks, bases) for table in tables]
    version = None
    if stream.replication == "incremental" and stream.replication_key is not None:
        (kind,) = layout.declared.properties[stream.replication_key].kinds
        version = layout.kinds((), (stream.replication_key,))[kind].name
    return Part(
        stream=stream,
        root=root,
        subtables=tuple(subtables),
        hashes=[*chain.from_iterable(chunk.hashes for chunk in chunks)],
        extracted_at=[*chain.from_iterable(repeat(chunk.extracted_at, chunk.count) for chunk in chunks)],
        received_at=[*chain.from_iterable(repeat(chunk.received_at, chunk.count) for chunk in chunks)],
        unique=[] if stream.primary_key else [uuid.uuid4().hex for _ in range(count)],
        counts=counts,
        version=version,
        shape=layout.shape,
        shape_version=layout.shape_version,
        rewrite=rewrite,
        known={table.name: known[table.path] for table in tables if table.path in known} if known else {},
    )


def _rows(table: Table, chunks: Sequence[Chunk], bases: Sequence[int]) -> Rows:
    held = [
        (base, chunk.sheets[table.path])
        for base, chunk in zip(bases, chunks, strict=False)
        if table.path in chunk.sheets
    ]
    count = sum(sheet.count for _, sheet in held)
    empty: Values = (None,) * count
    columns: list[Values] = []
    for column in table.columns:
        parts = [sheet.columns.get(column.slot) for _, sheet in held]
        if all(part is None for part in parts):
            columns.append(empty)
        elif len(parts) == 1:
            columns.append(parts[0])  # type: ignore[arg-type]
        else:
            columns.append(
                [
                    *chain.from_iterable(
                        p if p is not None else repeat(None, s.count) for p, (_, s) in zip(parts, held, strict=True)
                    )
                ]
            )
    owner = range(count) if table.path == () else [base + row for base, sheet in held for row in sheet.owner]
    levels = tuple([*chain.from_iterable(sheet.levels[k] for _, sheet in held)] for k in range(table.levels))
    return Rows(table=table, count=count, values=tuple(columns), owner=owner, levels=levels)


def _at(records: Sequence[Any], positions: Sequence[int]) -> Sequence[dict[str, Any]]:
    return records if isinstance(positions, range) else [records[i] for i in positions]


def _printable(words: str) -> str:
    """Text that any destination and any terminal can take: control characters and the like are escaped."""
    return words if words.isprintable() else "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in words)


def _without_room(sheet: Sheet, new: Sequence[Slot], room: int) -> dict[int, Problem]:
    """The records, in their order, whose new columns do not fit any more."""
    needs: dict[int, set[Slot]] = {}
    for slot in new:
        for owner, value in zip(sheet.owner, sheet.columns[slot], strict=True):
            if value is not None:
                needs.setdefault(owner, set()).add(slot)
    given: set[Slot] = set()
    refused = []
    for record in sorted(needs):
        if len(given | needs[record]) <= room:
            given |= needs[record]
        else:
            refused.append(record)
    reason = f"the record needs more columns than the table has room for ({room} more)"
    problem = Problem(code="too_many_columns", reason=reason, path=pointer(tuple(s for s in sheet.path if s != ITEM)))
    return dict.fromkeys(refused, problem)


def _not_an_object(entry: Any) -> Problem:
    if isinstance(entry, Unreadable):
        return Problem(code="unreadable", reason=entry.reason)
    if isinstance(entry, Duplicates):
        return Problem(code="duplicate_property", reason="the record names a property twice")
    return Problem(code="not_an_object", reason=f"the entry is {_ENTRIES.get(type(entry), 'not JSON')}, not an object")


_ENTRIES = {list: "an array", str: "a text", int: "a number", float: "a number", bool: "a boolean", type(None): "null"}
