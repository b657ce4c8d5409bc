"""Batches made by hand: records of a small stream as the parts that a destination receives."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from connector_core.batch import Counts, Part, Reject
from connector_core.names import identifier, split_name
from connector_core.streams import Stream
from connector_core.tables import Column, Kind, Rows, Table, Traits

READ_AT = "2026-11-23T08:00:05Z"
CASES: Mapping[str, Kind] = {"id": "integer", "subject": "string", "updated_at": "instant"}


@dataclass(frozen=True, kw_only=True)
class Shape:
    """How records become rows: `columns` of the root table, `arrays` of scalars or of objects with one level of
    columns, `names` of columns whose identifier differs from their property (by property and kind).

    Names are the engine's before a destination's rules: `named` gives a part the identifiers of a destination.
    """

    stream: str = "cases"
    columns: Mapping[str, Kind] = field(default_factory=lambda: CASES)
    key: tuple[str, ...] = ("id",)
    arrays: Mapping[str, Mapping[str, Kind]] = field(default_factory=lambda: {"labels": {"value": "string"}})
    names: Mapping[tuple[str, Kind], str] = field(default_factory=dict)
    version: str | None = "updated_at"
    shape_version: int = 1
    parent: str | None = None
    table: str = ""

    def declared(self) -> Stream:
        """The stream."""
        return Stream(name=self.stream, schema={}, primary_key=self.key, parent=self.parent)

    def column(self, name: str, kind: Kind) -> Column:
        """The column for a property; "amount|de" stands for the property "amount" as another kind."""
        path = () if name == "value" else (name.split("|")[0],)
        return Column(path=path, kind=kind, name=self.names.get((name, kind), name))

    def root(self) -> Table:
        """The root table."""
        columns = tuple(self.column(name, kind) for name, kind in self.columns.items())
        key = tuple(column for column in columns if column.path[0] in self.key)
        return Table(stream=self.stream, path=(), name=self.table or self.stream, columns=columns, key=key)

    def part(self, records: Sequence[Mapping[str, Any]], **changed: Any) -> Part:
        """The records as a part: properties of `columns`, and lists under the names of `arrays`.

        A column name "amount|de" holds the values of the property "amount|de" of the records under the path "amount".
        """
        root = self.root()
        count = len(records)
        rows = Rows(
            table=root,
            count=count,
            values=tuple([record.get(name) for record in records] for name in self.columns),
            owner=range(count),
        )
        part = Part(
            stream=self.declared(),
            root=rows,
            subtables=tuple(self._array(name, kinds, records) for name, kinds in self.arrays.items()),
            hashes=[f"{self.shape_version}:{digest(record)}" for record in records],
            extracted_at=[READ_AT] * count,
            received_at=[READ_AT] * count,
            unique=() if self.key else [digest([record, place]) for place, record in enumerate(records)],
            counts=Counts(extracted=count),
            version=None if self.version is None else self.names.get((self.version, "instant"), self.version),
            shape=json.dumps(sorted(self.columns.items())),
            shape_version=self.shape_version,
        )
        return replace(part, **changed)

    def slice(self, records: Sequence[Mapping[str, Any]]) -> Part:
        """The records as a slice of a full pass, whose counts come with the activation."""
        return self.part(records, counts=Counts())

    def _array(self, name: str, kinds: Mapping[str, Kind], records: Sequence[Mapping[str, Any]]) -> Rows:
        items = [(o, i, item) for o, record in enumerate(records) for i, item in enumerate(record.get(name) or ())]
        table = Table(
            stream=self.stream,
            path=(name,),
            name=f"{self.table or self.stream}__{name}",
            columns=tuple(self.column(column, kind) for column, kind in kinds.items()),
            levels=1,
        )
        values = tuple([item[c] if isinstance(item, dict) else item for _, _, item in items] for c in kinds)
        owner, level = [o for o, _, _ in items], [i for _, i, _ in items]
        return Rows(table=table, count=len(items), values=values, owner=owner, levels=(level,))


def digest(value: object) -> str:
    """A hash of a value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:16]


def reject(key: object = 1, *, record: object = None, stream: str = "cases", code: str = "schema") -> Reject:
    """A rejected record; `key` None is one that cannot be read."""
    text = json.dumps({"id": key} if record is None else record)
    return Reject(
        stream=stream,
        table=stream,
        code=code,
        reason="it is not good",
        path="/id",
        primary_key=None if key is None else json.dumps([key]),
        record_hash=digest(text),
        record=text,
        rejected_at=READ_AT,
    )


def named(part: Part, traits: Traits) -> Part:
    """The part with the identifiers that the engine would give its tables and columns on this destination."""

    def name(text: str) -> str:
        return identifier((text,), traits)

    def rows(given: Rows) -> Rows:
        return replace(given, table=_renamed(given.table, name))

    return replace(
        part,
        root=rows(part.root),
        subtables=tuple(map(rows, part.subtables)),
        version=None if part.version is None else name(part.version),
    )


def _renamed(table: Table, name: Callable[[str], str]) -> Table:
    def columns(given: tuple[Column, ...]) -> tuple[Column, ...]:
        return tuple(replace(column, name=name(column.name)) for column in given)

    return replace(table, name=name(table.name), columns=columns(table.columns), key=columns(table.key))


def split(traits: Traits, name: str, first: Kind, second: Kind) -> tuple[str, str]:
    """The names of a column that held `first` and now meets `second`, after the split: of the old and the new one."""
    new = split_name(name, traits.suffixes[second], (), traits)
    return (split_name(name, traits.suffixes[first], (), traits) if traits.rename_on_split else name), new
