"""The tables and columns of every stream of a namespace: what is declared, what the destination remembers, what
records add.

`Layout` hands out table names for the whole namespace; a `StreamLayout` knows the tables of one stream. Both only
ever grow during a run: a column that has been handed out keeps its slot, and its name changes at most once, when its
path splits (design section 8).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Literal

from connector_core import adopt
from connector_core.declared import Declared, declare, nested_kinds
from connector_core.errors import ConfigError, Place
from connector_core.names import SEPARATOR, clash_key, identifier, split_name, unique
from connector_core.streams import Stream
from connector_core.tables import Column, Kind, Path, RegisteredColumn, RegisteredTable, Slot, Table, Traits

Nested = Literal["subtables", "native"]
SchemaMode = Literal["evolve", "freeze", "discard"]
TypeConflict = Literal["split", "reject"]

ITEM = "[]"
"""The step of a table path from an array to its entries: the array `tags` in the entries of `items` is ("items",
"[]", "tags"), an array directly within an array ("matrix", "[]").
"""

_SYSTEM_COLUMNS = 10  # room left for `_sdc_*` columns below `Traits.columns`, besides source keys and levels


class TooManyColumns(ValueError):  # noqa: N818 - says what a record would need
    """The destination's limit of columns in a table is reached."""


@dataclass
class _Entry:
    """A table while it grows."""

    path: Path
    name: str
    columns: dict[Slot, Column] = field(default_factory=dict)
    kinds: dict[Path, dict[Kind, Column]] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)

    def put(self, column: Column) -> Column:
        self.columns[column.slot] = column
        self.kinds.setdefault(column.path, {})[column.kind] = column
        return column


class Layout:
    """All tables of one namespace, as a claim found them; hands out table names. Safe to use from several threads.

    `adopted` are columns of tables that others have made and that are continued (`adopt.py`).
    """

    def __init__(
        self,
        traits: Traits,
        tables: Sequence[RegisteredTable],
        columns: Sequence[RegisteredColumn],
        adopted: Mapping[str, Mapping[str, Kind]] | None = None,
    ) -> None:
        self.traits = traits
        self.adopted = adopted or {}
        self.registered_tables = tuple(tables)
        self.registered_columns = tuple(columns)
        self._lock = threading.Lock()
        self._taken = {clash_key(table.name, traits) for table in tables}

    def stream(
        self,
        stream: Stream,
        *,
        nested: Nested | None = None,
        schema: SchemaMode = "evolve",
        type_conflict: TypeConflict = "split",
    ) -> StreamLayout:
        """The layout of one stream. `nested` defaults to what the destination prefers. Raises `ConfigError` when the
        type of a key has changed.
        """
        mode = nested or ("native" if self.traits.nested_natively else "subtables")
        return StreamLayout(self, stream, nested=mode, schema=schema, type_conflict=type_conflict)

    def table_name(self, stream: str, path: Path) -> str:
        """A free name for a table that the destination does not know yet."""
        parts = (
            stream,
            *("value" if step == ITEM and last else step for step, last in _steps(path) if step != ITEM or last),
        )
        with self._lock:
            name = unique(identifier(parts, self.traits), self._taken, self.traits)
            self._taken.add(clash_key(name, self.traits))
        return name


class StreamLayout:
    """Tables and columns of one stream; grows while records are shaped. Safe to use from several threads.

    `shape` is a digest of the modes in which records are stored, and the primary key as JSON. `shape_version` (from 1)
    rises by one above the registered version when that digest differs, when a path is declared with a type that its
    column does not have, or when a registered table or column is gone (`repaired`); never because a column appears: a
    newly declared field must not rewrite every row. Which type a value is stored with is part of every record's hash
    anyway, so no change of a record's stored form goes unnoticed.
    """

    def __init__(
        self, layout: Layout, stream: Stream, *, nested: Nested, schema: SchemaMode, type_conflict: TypeConflict
    ) -> None:
        self.stream = stream
        self.traits = layout.traits
        self.nested: Nested = nested
        self.schema: SchemaMode = schema
        self.type_conflict: TypeConflict = type_conflict
        self.declared = declare(stream.schema)
        self._layout = layout
        self._lock = threading.RLock()
        self._snapshot: tuple[Table, ...] | None = None
        self._entries: dict[Path, _Entry] = {}
        tables = [table for table in layout.registered_tables if table.stream == stream.name]
        columns = [column for column in layout.registered_columns if column.stream == stream.name]
        for table in tables:
            self._entries[table.path] = _Entry(table.path, table.name)
        for column in columns:
            self._remember(column)
        for entry in self._entries.values():
            # a name that a split has freed is never given to another path: queries would not notice
            entry.taken |= {clash_key(self._base(kinds), self.traits) for kinds in entry.kinds.values()}
        self._entry(())
        self.retyped = False
        for name in (*stream.primary_key, stream.replication_key):
            if name is not None and name in self.declared.properties:  # before a limit of columns is reached
                self.retyped |= self._declare((), (step(name),), self.declared.properties[name])
        self.repaired = tuple(column for column in columns if not column.present)
        self.retyped |= self._declare((), (), self.declared)
        known = next((table for table in tables if table.path == ()), None)
        self._check_keys(known)
        modes = blake2b(json.dumps([nested, schema]).encode(), digest_size=16).hexdigest()
        self.shape = f"{modes} {json.dumps(stream.primary_key)}"
        gone = bool(self.repaired) or any(not table.present for table in tables)
        changed = known is not None and (known.shape.partition(" ")[0] != modes or gone or self.retyped)
        self.shape_version = known.shape_version + changed if known is not None else 1

    @property
    def root(self) -> Table:
        """The root table, as of now."""
        return self.tables()[0]

    def tables(self) -> tuple[Table, ...]:
        """All tables as of now, the root table first, a subtable after the table that holds it. Never changes once
        returned.
        """
        snapshot = self._snapshot
        if snapshot is None:
            with self._lock:
                snapshot = self._snapshot = tuple(
                    map(self._table, sorted(self._entries.values(), key=lambda entry: levels(entry.path)))
                )
        return snapshot

    def kinds(self, table: Path, path: Path) -> Mapping[Kind, Column]:
        """The columns that hold the values of a path, by kind."""
        entry = self._entries.get(table)
        return entry.kinds.get(path, {}) if entry is not None else {}

    def has(self, table: Path, slot: Slot) -> bool:
        """Whether the column exists already."""
        entry = self._entries.get(table)
        return entry is not None and slot in entry.columns

    def holds_below(self, table: Path, path: Path) -> bool:
        """Whether there are columns for properties of an object at `path`."""
        size = len(path)
        with self._lock:
            entry = self._entries.get(table)
            return entry is not None and any(len(p) > size and p[:size] == path for p in entry.kinds)

    def has_table(self, path: Path) -> bool:
        """Whether the table exists already."""
        return path in self._entries

    def room(self, table: Path) -> int | None:
        """How many columns may still be added to a table (also to one that does not exist yet); None: any number."""
        most = self.traits.columns
        if most is None:
            return None
        entry = self._entries.get(table)
        own = _SYSTEM_COLUMNS + len(self.stream.primary_key) + levels(table)
        return max(0, most - own - (len(entry.columns) if entry is not None else 0))

    def add_table(self, path: Path) -> None:
        """Add the subtable of an array, unless it exists."""
        if path not in self._entries:
            with self._lock:
                self._entry(path)

    def slot(self, table: Path, path: Path, kind: Kind) -> Column:
        """The column for values of `kind` at `path`, added when it is new; another kind at the same path splits the
        column.

        Raises `TooManyColumns`.
        """
        with self._lock:
            entry = self._entry(table)
            column = entry.columns.get((path, kind))
            if column is not None:
                return column
            if self.room(table) == 0:
                raise TooManyColumns(f"table {entry.name} would need more than {self.traits.columns} columns")
            siblings = entry.kinds.get(path, {})
            column = self._split(entry, path, kind, siblings) if siblings else self._first(entry, path, kind)
            self._snapshot = None
            return column

    def _table(self, entry: _Entry) -> Table:
        key = tuple(
            next(iter(entry.kinds[(name,)].values())) for name in self.stream.primary_key if (name,) in entry.kinds
        )
        return Table(
            stream=self.stream.name,
            path=entry.path,
            name=entry.name,
            columns=tuple(entry.columns.values()),
            key=key if entry.path == () else (),
            levels=levels(entry.path),
        )

    def _entry(self, path: Path) -> _Entry:
        entry = self._entries.get(path)
        if entry is None:
            entry = self._entries[path] = _Entry(path, self._layout.table_name(self.stream.name, path))
            self._snapshot = None
        return entry

    def _remember(self, column: RegisteredColumn) -> None:
        entry = self._entries.get(column.table_path) or _Entry(column.table_path, column.table)
        self._entries[column.table_path] = entry
        entry.put(Column(path=column.path, kind=column.kind, name=column.name))
        entry.taken.add(clash_key(column.name, self.traits))

    def _first(self, entry: _Entry, path: Path, kind: Kind) -> Column:
        plain = identifier(path or ("value",), self.traits)
        there = {n: k for n, k in self._layout.adopted.get(entry.name, {}).items() if n not in entry.taken}
        if there and (continued := adopt.columns(there, plain, self.traits)):
            for one, name in continued.items():
                entry.put(Column(path=path, kind=one, name=name))
                entry.taken.add(clash_key(name, self.traits))
            return entry.columns.get((path, kind)) or self._split(entry, path, kind, entry.kinds[path])
        name = unique(plain, entry.taken, self.traits)
        entry.taken.add(clash_key(name, self.traits))
        return entry.put(Column(path=path, kind=kind, name=name))

    def _split(self, entry: _Entry, path: Path, kind: Kind, siblings: Mapping[Kind, Column]) -> Column:
        suffixes = self.traits.suffixes
        base = self._base(siblings)
        if len(siblings) == 1 and self.traits.rename_on_split:
            (only,) = siblings.values()
            entry.put(Column(path=path, kind=only.kind, name=self._suffixed(entry, base, suffixes[only.kind])))
        return entry.put(Column(path=path, kind=kind, name=self._suffixed(entry, base, suffixes[kind])))

    def _base(self, siblings: Mapping[Kind, Column]) -> str:
        """The name that a split path had, or would have, without suffix."""
        first, *others = siblings.values()
        if not others:
            return first.name
        tails = {column.name: SEPARATOR + self.traits.suffixes[column.kind] for column in siblings.values()}
        folded = {
            name: len(name) - len(tail) if name.lower().endswith(tail) else len(name) for name, tail in tails.items()
        }
        return min((name[:size] for name, size in folded.items()), key=len)

    def _suffixed(self, entry: _Entry, base: str, suffix: str) -> str:
        name = split_name(base, suffix, entry.taken, self.traits)
        entry.taken.add(clash_key(name, self.traits))
        return name

    def _declare(self, table: Path, path: Path, declared: Declared) -> bool:
        """Add what is declared at and below a path; whether a column exists there with other types only."""
        native = self.nested == "native" and path != ()
        kinds = nested_kinds(declared) if native else declared.kinds
        known = self.kinds(table, path)
        retyped = False
        if len(kinds) == 1:
            (kind,) = kinds
            retyped = bool(known) and kind not in known
            if not (retyped and self._is_key(table, path)):
                try:
                    self.slot(table, path, kind)
                except TooManyColumns:
                    return retyped  # records that fill it are rejected, the others are stored
        if native:
            return retyped
        for name, child in declared.properties.items():
            if table or path or name not in self.stream.discard:
                retyped |= self._declare(table, (*path, step(name)), child)
        if declared.array and declared.items is not None:
            below = array_path(table, path)
            self.add_table(below)
            retyped |= self._declare(below, (), declared.items)
        return retyped

    def _is_key(self, table: Path, path: Path) -> bool:
        return table == () and len(path) == 1 and path[0] in self.stream.primary_key

    def _check_keys(self, registered: RegisteredTable | None) -> None:
        before = None if registered is None else registered.shape.partition(" ")[2]
        if before and set(json.loads(before)) != set(self.stream.primary_key):
            raise ConfigError(
                f"the primary key was {_listed(json.loads(before))} and is {_listed(self.stream.primary_key)} now",
                hint="its rows are known by their key; `reset` the stream to load it again with the other one",
                place=Place(stream=self.stream.name),
                code="key_changed",
            )
        for name in self.stream.primary_key:
            known, declared = self.kinds((), (name,)), self.declared.child(name)
            wanted = declared.kinds if declared is not None else frozenset()
            if len(known) > 1 or (known and wanted and not wanted <= known.keys()):
                raise ConfigError(
                    f"the primary key {name!r} is now {' or '.join(sorted(wanted)) or 'of another type'}, "
                    f"its column holds {', '.join(known)}",
                    hint="a key cannot change its type; `reset` the stream to load it again",
                    place=Place(stream=self.stream.name),
                    code="key_type",
                )


def _listed(key: Sequence[str]) -> str:
    return " and ".join(map(repr, key)) or "none"


def array_path(table: Path, path: Path) -> Path:
    """The path of the subtable for an array at `path` of the rows of `table`."""
    return (*table, ITEM, *path) if table else path


def levels(table: Path) -> int:
    """How many `_sdc_level_<n>_id` columns a table has: one for each array on the way to it."""
    return 1 + table.count(ITEM) if table else 0


def step(name: str) -> str:
    """A property's name as a step of a path; one that looks like `ITEM` is told apart from it."""
    return ITEM + name if name.startswith(ITEM) else name


def _steps(path: Path) -> Iterable[tuple[str, bool]]:
    return ((part, i == len(path) - 1) for i, part in enumerate(path))
