"""Reads the records of a page into columns of canonical values, a column at a time.

Python is fast where C walks a whole list: the types of a column are one `set(map(type, column))`, its texts are
searched joined. Only a column that is not what it should be is looked at value by value. Nothing is decided about names
here: a column is its slot (path and kind).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import chain, compress, repeat
from operator import itemgetter
from typing import Any, Literal

from connector_core.declared import OPEN, Declared, pointer
from connector_core.entries import Entries
from connector_core.instants import NoSuchInstant, all_canonical, date_text, instant
from connector_core.layout import ITEM, StreamLayout, array_path, step
from connector_core.nested import Nul, Refused, check_name, has_surrogate, refusal, whole
from connector_core.numbers import INT64_MAX, INT64_MIN, fits, integral, plain
from connector_core.tables import Kind, Path, Slot
from connector_core.validate import Problem

Values = Sequence[Any]
MAX_DEPTH = 100
"""Deepest nesting of objects and arrays that becomes columns and tables; deeper records are rejected (`too_deep`)."""


@dataclass(kw_only=True, slots=True)
class Sheet:
    """The rows of one table from one page: column by column, `owner` and `levels` as in `Rows`. `counts`, where it is
    known, is the number of rows of each record."""

    path: Path
    count: int
    owner: Sequence[int]
    levels: tuple[Sequence[int], ...] = ()
    counts: Sequence[int] | None = None
    columns: dict[Slot, Values] = field(default_factory=dict)


@dataclass(kw_only=True)
class Reading:
    """What a page's records hold. With `problems` (by position of the record) the columns are not complete.

    `pruned` holds, for nested columns, the texts that count for the hash (null means absent) where they differ.
    """

    sheets: dict[Path, Sheet]
    problems: dict[int, Problem] = field(default_factory=dict)
    pruned: dict[Slot, Values] = field(default_factory=dict)
    discarded: int = 0
    stripped: int = 0

    @property
    def root(self) -> Sheet:
        """The rows of the root table: one per record."""
        return self.sheets[()]


def read(records: Sequence[dict[str, Any]], layout: StreamLayout, *, nul: Nul) -> Reading:
    """Read the records of one page; every one is a plain dict, or they come by columns (`Entries`). Costs some 3 us
    for a record of 25 properties."""
    root = Sheet(path=(), count=len(records), owner=range(len(records)))
    reader = _Reader(layout, nul, Reading(sheets={(): root}))
    at = _At(sheet=root, path=(), declared=layout.declared, depth=0)
    if isinstance(records, Entries):
        reader.clean = nul == "keep" or not records.nul
        reader.properties(at, dict(zip(records.names, records.values, strict=True)))
    else:
        reader.objects(at, records)
    return reader.out


def key_value(value: Any, kind: Kind, decimal: tuple[int, int] | None) -> str | int | None:
    """The canonical value of a key, None when it is none: keys are text, whole numbers, dates and instants."""
    if type(value) is int and kind in ("integer", "number"):
        if kind == "integer":
            return value if INT64_MIN <= value <= INT64_MAX else None
        text = plain(value)
        return text if fits(text, decimal) else None
    if type(value) is not str or kind in ("integer", "number"):
        return None
    if kind == "string":
        return value
    try:
        return instant(value) if kind == "instant" else date_text(value)
    except NoSuchInstant:
        return None


@dataclass(frozen=True, kw_only=True, slots=True)
class _At:
    """Where the reader is. `accepted` are the types that are no conflict, None where every type is welcome."""

    sheet: Sheet
    path: Path
    declared: Declared
    depth: int
    accepted: frozenset[str] | None = None


_CLOSED = Declared(object=True)
"""For the properties of an object that came where something else was declared: the schema knows none of them."""


class _Reader:
    """One pass over one page."""

    def __init__(self, layout: StreamLayout, nul: Nul, out: Reading) -> None:
        self.layout = layout
        self.nul = nul
        self.out = out
        self.groups = _GROUPS | {dict: "nested", list: "nested"} if layout.nested == "native" else _GROUPS
        stream = layout.stream
        self.keys = frozenset(stream.primary_key)
        self.version = stream.replication_key if stream.replication == "incremental" else None
        self.canonical: set[str] = set()
        self.clean = False
        """Whether all texts are known to be such as every column can hold."""

    # --- objects and arrays

    def objects(self, at: _At, rows: Sequence[dict[str, Any]]) -> None:
        """Read the properties of one object per row; rows without one have an empty dict."""
        names = [*set().union(*rows)]
        if not at.declared.properties.keys() >= set(names):
            names = [name for name in dict.fromkeys(chain.from_iterable(rows)) if self._storable(at, name, rows)]
        self.properties(at, dict(zip(names, _columns(rows, names), strict=True)))

    def _storable(self, at: _At, name: Any, rows: Sequence[dict[str, Any]]) -> bool:
        """Whether a destination can remember the name of a property; what has it otherwise is rejected."""
        try:
            check_name(name)
        except Refused as refused:
            self._fail_where(at, [name in row for row in rows], refused.code, refused.reason)
            return False
        return True

    def properties(self, at: _At, columns: Mapping[str, Values]) -> None:
        """Read the values of properties, null where an object has none."""
        is_root = at.sheet.path == () and at.path == ()
        names = columns.keys() - self.layout.stream.discard if is_root else columns.keys()
        known = at.declared.properties
        wanted: dict[str, Declared] = {name: child for name, child in known.items() if name in names}
        if len(wanted) < len(names):
            wanted |= self._others(at, {n: c for n, c in columns.items() if n in names and n not in wanted})
        for name, child in wanted.items():
            column = columns[name]
            below = _At(sheet=at.sheet, path=(*at.path, step(name)), declared=child, depth=at.depth)
            if is_root and name in self.keys:
                self._key(below, column)
            elif is_root and name == self.version:
                self._version(below, column)
            else:
                self.values(below, column)
        if is_root:
            for name in self.keys.difference(wanted):
                missing = _At(sheet=at.sheet, path=(name,), declared=OPEN, depth=0)
                self._fail_where(missing, [True] * at.sheet.count, "bad_key", "the primary key is missing")

    def _others(self, at: _At, columns: Mapping[str, Values]) -> dict[str, Declared]:
        """Which of the undeclared properties are to be read."""
        found: dict[str, Declared] = {}
        for name, column in columns.items():
            child = at.declared.child(name)
            if child is not None or self.layout.schema == "evolve":
                found[name] = child or OPEN
                continue
            filled = _present(column)
            if self.layout.schema == "discard":
                self.out.discarded += sum(filled)
            else:
                below = _At(sheet=at.sheet, path=(*at.path, step(name)), declared=OPEN, depth=at.depth)
                self._fail_where(below, filled, "unknown_property", "the frozen schema does not know this property")
        return found

    def _flatten(self, at: _At, column: Values) -> None:
        if self._descends(at, "object", column):
            declared = at.declared if at.declared.object or not at.declared.typed else _CLOSED
            rows = [v if v is not None else _EMPTY for v in column]
            self.objects(_At(sheet=at.sheet, path=at.path, declared=declared, depth=at.depth + 1), rows)

    def _arrays(self, at: _At, column: Values) -> None:
        lists = [v if v is not None else () for v in column]
        items = [*chain.from_iterable(lists)]
        if not items or not self._descends(at, "array", column):
            return
        counts = [*map(len, lists)]
        below = Sheet(
            path=array_path(at.sheet.path, at.path),
            count=len(items),
            owner=_spread(at.sheet.owner, counts),
            counts=counts if at.sheet.path == () else None,
            levels=(*(_spread(level, counts) for level in at.sheet.levels), [*chain.from_iterable(map(range, counts))]),
        )
        self.out.sheets[below.path] = below
        declared = at.declared.items if at.declared.array and at.declared.items is not None else OPEN
        self.values(_At(sheet=below, path=(), declared=declared, depth=at.depth + 1), items)

    def _descends(self, at: _At, group: str, column: Values) -> bool:
        """Whether to go down into objects or arrays."""
        self._check(at, group, column)
        if at.depth < MAX_DEPTH:
            return True
        self._fail_where(at, _present(column), "too_deep", f"nested deeper than {MAX_DEPTH} levels")
        return False

    # --- values of one path

    def values(self, at: _At, column: Values) -> None:
        """Read the values of one path, of whatever types they are."""
        types = set(map(type, column))
        types.discard(_NONE)
        if not types:
            return
        if self.layout.type_conflict == "reject":
            accepted = self._accepted(at, column)
            at = _At(sheet=at.sheet, path=at.path, declared=at.declared, depth=at.depth, accepted=accepted)
        groups = {self.groups.get(t, "foreign") for t in types}
        for group in sorted(groups):
            part = column
            if len(groups) > 1:
                part = [v if self.groups.get(type(v), "foreign") == group else None for v in column]
            if group == "text":
                self._texts(at, part)
            elif group == "number":
                self._numbers(at, part, types)
            elif group == "boolean":
                self._put(at, "boolean", part)
            elif group == "object":
                self._flatten(at, part)
            elif group == "array":
                self._arrays(at, part)
            elif group == "nested":
                self._nested(at, part)
            else:
                self._foreign(at, part)

    def _put(self, at: _At, kind: Kind, column: Values) -> None:
        self._check(at, kind, column)
        other = at.sheet.columns.get((at.path, kind))
        if other is not None:  # a number too large for its column has gone to the text column before
            column = [v if v is not None else o for v, o in zip(column, other, strict=True)]
        at.sheet.columns[(at.path, kind)] = column

    def _texts(self, at: _At, column: Values) -> None:
        """Instants and dates where they are declared (or known from before), text otherwise."""
        known = self.layout.kinds(at.sheet.path, at.path)
        if "string" not in at.declared.kinds:
            for kind in _MOMENTS:
                if kind in at.declared.kinds or kind in known:
                    column = self._moments(at, column, kind)
        if any(value is not None for value in column):
            self._put(at, "string", self._text(at, column))

    def _text(self, at: _At, column: Values) -> Values:
        """The column, checked: no lone surrogates, no U+0000 where it cannot be stored, not longer than allowed."""
        limit = self.layout.traits.text_bytes
        if self.clean and limit is None:
            return column
        joined = "".join(filter(None, column))
        if has_surrogate(joined):
            bad = [v is not None and has_surrogate(v) for v in column]
            self._fail_where(at, bad, "lone_surrogate", "the text has a lone surrogate")
        if limit is not None and 4 * len(joined) > limit:
            for row, value in enumerate(column):
                if value is not None:
                    self._check_length(at, row, value, limit)
        if self.nul != "keep" and "\0" in joined:
            if self.nul == "strip":
                self.out.stripped += joined.count("\0")
                return [v.replace("\0", "") if v is not None else None for v in column]
            bad = [v is not None and "\0" in v for v in column]
            self._fail_where(at, bad, "nul_character", "the text has a U+0000, which the destination cannot hold")
        return column

    def _moments(self, at: _At, column: Values, kind: Literal["instant", "date"]) -> Values:
        """Store the instants (or dates) of a column; what is left is returned: texts that are none."""
        if kind == "instant" and self._all_canonical(column):
            self._put(at, kind, column)
            return ()
        read_moment = instant if kind == "instant" else date_text
        moments: list[str | None] = [None] * len(column)
        rest: list[str | None] = [None] * len(column)
        for row, value in enumerate(column):
            if value is None:
                continue
            try:
                moments[row] = read_moment(value)
            except NoSuchInstant as error:
                if kind in at.declared.kinds:
                    self._fail(at, row, "no_such_instant", f"no such {kind}: {error}")
                    continue
            if moments[row] is None:
                rest[row] = value
        if any(moments):
            self._put(at, kind, moments)
        return rest

    def _all_canonical(self, column: Values) -> bool:
        """Whether the column can be stored as it is. One record often has the same instant in several columns."""
        texts = set(column)
        texts.discard(None)
        fresh = texts - self.canonical
        if fresh and not all_canonical(fresh):
            return False
        self.canonical |= fresh
        return bool(texts)

    def _numbers(self, at: _At, column: Values, types: set[type]) -> None:
        known = self.layout.kinds(at.sheet.path, at.path)
        if at.declared.kinds & {"integer", "number"}:
            wants_integer = "integer" in at.declared.kinds
        elif known.keys() & {"integer", "number"}:
            wants_integer = "integer" in known
        else:
            wants_integer = float not in types and Decimal not in types
        if wants_integer and not types & {float, Decimal}:
            present = [v for v in column if v is not None]
            if min(present) >= INT64_MIN and max(present) <= INT64_MAX:
                self._put(at, "integer", column)
                return
        found: dict[Kind, list[Any]] = {}
        for row, value in enumerate(column):
            if value is None:
                continue
            stored: Any = integral(value) if wants_integer else None
            kind: Kind = "integer"
            if stored is None:
                try:
                    stored = plain(value)
                except OverflowError as error:
                    self._fail(at, row, "number_out_of_range", f"no column can hold the number: {error}")
                    continue
                kind = "number" if fits(stored, self.layout.traits.decimal) else "string"
            found.setdefault(kind, [None] * len(column))[row] = stored
        for kind, values in found.items():
            self._put(at, kind, self._text(at, values) if kind == "string" else values)

    def _nested(self, at: _At, column: Values) -> None:
        texts: list[str | None] = [None] * len(column)
        pruned: list[str | None] = [None] * len(column)
        limit = self.layout.traits.text_bytes
        for row, value in enumerate(column):
            if value is None:
                continue
            try:
                kept = whole(value, nul=self.nul, digits=self.layout.traits.nested_digits)
            except Refused as refused:
                self._fail(at, row, refused.code, refused.reason)
                continue
            self.out.stripped += kept.stripped
            texts[row], pruned[row] = kept.text, kept.pruned
            if limit is not None:
                self._check_length(at, row, kept.text, limit)
        self._put(at, "nested", texts)
        self.out.pruned[(at.path, "nested")] = pruned

    def _foreign(self, at: _At, column: Values) -> None:
        for row, value in enumerate(column):
            if value is not None:
                refused = refusal(value)
                self._fail(at, row, refused.code, refused.reason)

    # --- keys and replication keys: never split

    def _key(self, at: _At, column: Values) -> None:
        (kind,) = at.declared.kinds
        values: Values = column
        if set(map(type, column)) != {int} or kind != "integer" or min(column) < INT64_MIN or max(column) > INT64_MAX:
            values = [key_value(value, kind, self.layout.traits.decimal) for value in column]
            for row, stored in enumerate(values):
                if stored is None:
                    what = "null" if column[row] is None else f"not {_A_KIND[kind]}"
                    self._fail(at, row, "bad_key", f"the primary key is {what}")
        if kind == "string":
            if self.nul != "keep":  # taking characters out of a key would make it another record's
                bad = [v is not None and "\0" in v for v in values]
                self._fail_where(at, bad, "nul_character", "the primary key has a U+0000")
            values = self._text(at, values)
        at.sheet.columns[(at.path, kind)] = values

    def _version(self, at: _At, column: Values) -> None:
        (kind,) = at.declared.kinds
        if kind == "instant" and set(map(type, column)) == {str} and self._all_canonical(column):
            at.sheet.columns[(at.path, kind)] = column
            return
        values = [key_value(value, kind, None) for value in column]
        bad = [stored is None and value is not None for stored, value in zip(values, column, strict=True)]
        self._fail_where(at, bad, "bad_replication_key", f"the replication key is not {_A_KIND[kind]}")
        if any(value is not None for value in values):
            at.sheet.columns[(at.path, kind)] = values

    # --- problems

    def _accepted(self, at: _At, column: Values) -> frozenset[str]:
        """The types that are no conflict: what is declared, else what is known, else the first that comes."""
        declared = at.declared
        types: set[str] = {*declared.kinds, *(["object"] * declared.object), *(["array"] * declared.array)}
        if not types:
            types |= self.layout.kinds(at.sheet.path, at.path).keys()
            if self.layout.holds_below(at.sheet.path, at.path):
                types.add("object")
            if self.layout.has_table(array_path(at.sheet.path, at.path)):
                types.add("array")
        if not types:
            first = next(self.groups.get(type(v), "foreign") for v in column if v is not None)
            types = {"integer", "number"} if first == "number" else {"string" if first == "text" else first}
        return frozenset(types | {"nested"} if types & {"object", "array"} else types)

    def _check(self, at: _At, kind: str, column: Values) -> None:
        if at.accepted is not None and kind not in at.accepted:
            wanted = " or ".join(_A_KIND[name] for name in sorted(at.accepted) if name in _A_KIND)
            self._fail_where(at, _present(column), "type_conflict", f"the value is not {wanted}")

    def _check_length(self, at: _At, row: int, text: str, limit: int) -> None:
        if 4 * len(text) > limit and (size := len(text.encode(errors="replace"))) > limit:
            self._fail(at, row, "too_long", f"the text has {size} bytes, the destination holds {limit}")

    def _fail_where(self, at: _At, rows: Sequence[bool], code: str, reason: str) -> None:
        for row in compress(range(len(rows)), rows):
            self._fail(at, row, code, reason)

    def _fail(self, at: _At, row: int, code: str, reason: str) -> None:
        record = at.sheet.owner[row]
        if record not in self.out.problems:
            self.out.problems[record] = Problem(code=code, reason=reason, path=_place(at, row))


_NONE = type(None)
_EMPTY: dict[str, Any] = {}
_MOMENTS: tuple[Literal["instant"], Literal["date"]] = ("instant", "date")
_GROUPS: dict[type, str] = {
    str: "text",
    bool: "boolean",
    int: "number",
    float: "number",
    Decimal: "number",
    dict: "object",
    list: "array",
}
_A_KIND: Mapping[str, str] = {
    "string": "text",
    "integer": "a 64-bit integer",
    "number": "a number",
    "boolean": "a boolean",
    "instant": "an instant",
    "date": "a date",
    "object": "an object",
    "array": "an array",
}


def _columns(rows: Sequence[dict[str, Any]], names: list[str]) -> Sequence[Values]:
    if len(names) > 1:
        try:
            return [*zip(*map(itemgetter(*names), rows), strict=True)]
        except KeyError:
            pass  # a row lacks a property
    return [[row.get(name) for row in rows] for name in names]


def _spread(values: Sequence[int], counts: Sequence[int]) -> list[int]:
    """Each value as often as its count says."""
    return [*chain.from_iterable(map(repeat, values, counts))]


def _present(column: Values) -> list[bool]:
    return [value is not None for value in column]


def _place(at: _At, row: int) -> str:
    """The JSON pointer, from the record, of a path in a row of a sheet."""
    indexes = [str(level[row]) for level in at.sheet.levels]
    steps = [indexes.pop(0) if part == ITEM else part.removeprefix(ITEM) for part in at.sheet.path]
    return pointer((*steps, *indexes, *(part.removeprefix(ITEM) for part in at.path)))
