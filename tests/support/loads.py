"""Batches made by hand, a DuckDB file to load them into, and a look at what is really in it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from connector_core.batch import Batch, BatchKind, Claim, Counts, Part, Receipt, Reject
from connector_core.streams import Stream
from connector_core.tables import Column, Kind, Rows, Table
from connector_core.target import SqlTarget
from connector_duckdb import destination

READ_AT = "2026-11-23T08:00:05Z"
CASES: Mapping[str, Kind] = {"id": "integer", "subject": "string", "updated_at": "instant"}


@dataclass(frozen=True, kw_only=True)
class Shape:
    """How records become rows: `columns` of the root table, `arrays` of scalars or of objects with one level of
    columns, `names` of columns whose identifier differs from their property (by property and kind)."""

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
        return Stream(name=self.stream, schema={}, primary_key=self.key, parent=self.parent)

    def column(self, name: str, kind: Kind) -> Column:
        path = () if name == "value" else (name.split("|")[0],)
        return Column(path=path, kind=kind, name=self.names.get((name, kind), name))

    def root(self) -> Table:
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
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:16]


def reject(key: object = 1, *, record: object = None, stream: str = "cases", code: str = "schema") -> Reject:
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


@dataclass
class Warehouse:
    """One namespace of a DuckDB file, claimed, and a run that loads batches into it one after the other."""

    path: Path
    target: SqlTarget
    plugin: Any = destination
    connector: str = "desk"
    run_id: str = "run-1"
    number: int = 0
    claimed: Claim | None = None
    receipts: list[Receipt] = field(default_factory=list)

    def claim(self, *, after: int = 0) -> Claim:
        self.claimed = self.target.claim(self.connector, after=after)
        return self.claimed

    def load(self, *parts: Part, kind: BatchKind = "rows", **more: Any) -> Receipt:
        """Load a batch through the plugin's hook."""
        self.number += 1
        claimed = self.claimed or self.claim()
        batch = Batch(
            kind=kind,
            connector=self.connector,
            run_id=self.run_id,
            number=self.number,
            epoch=more.pop("epoch", claimed.epoch),
            stream=more.pop("stream", parts[0].stream.name if parts else "cases"),
            parts=parts,
            **more,
        )
        receipt = self.plugin.load(self.target, batch)
        self.receipts.append(receipt)
        return receipt

    def sql(self, text: str, *parameters: object) -> list[tuple[Any, ...]]:
        """What a user's own program sees or does."""
        with duckdb.connect(str(self.path)) as connection:
            connection.execute("SET TimeZone = 'UTC'; SET search_path = 'ns'")
            return connection.execute(text, list(parameters)).fetchall()

    def one(self, text: str, *parameters: object) -> Any:
        return self.sql(text, *parameters)[0][0]

    def ids(self, table: str = "cases") -> list[Any]:
        return [row[0] for row in self.sql(f'SELECT id FROM "{table}" ORDER BY id')]

    def content(self) -> dict[str, list[tuple[Any, ...]]]:
        """Every row of every table, to compare two moments."""
        tables = [
            name for (name,) in self.sql("SELECT table_name FROM duckdb_tables() WHERE schema_name = 'ns' ORDER BY 1")
        ]
        return {name: self.sql(f'SELECT COLUMNS(*)::VARCHAR FROM "{name}" ORDER BY ALL') for name in tables}


@contextmanager
def warehouse(path: Path, *, namespace: str = "ns", now: datetime | None = None, **config: Any) -> Iterator[Warehouse]:
    """A warehouse over the plugin's own `connect`, or with a clock that stands still."""
    with destination.connect({"path": str(path), **config}, namespace) as target:
        if now is not None:
            target._now = lambda: now.astimezone(UTC)
        yield Warehouse(path=path, target=target)
