"""The quick way into a page: its records are read straight into columns, what is discarded is not read at all.

`Columns` reads the records of a stream that look like those before: objects with the same properties in the same order.
Each object becomes a tuple of values without a dict; properties that the stream discards (a third of the text in many
APIs) are skipped. What was read is written back and compared with the body byte for byte: equal bytes prove that every
number is exact, that no property was named twice and none was overlooked. Where anything differs, the page is read by
`parse.page`, the reference; so the quick way stores nothing that the reference would not store, and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from typing import Any, overload

import msgspec
from msgspec import UNSET

from connector_core import parse

_MOST_MISSES = 4  # pages in a row that the quick way could not read: it is not tried any more
_NUL = re.compile(rb"\\u0000")
_FIRST = 64  # bytes by which the place of a list in a body is looked for


class Entries(Sequence[Any]):
    """The records of a page by columns; as a sequence, the records themselves, read when somebody asks for one.

    `names` are the properties in the order of the text, `values` their values, a tuple for each, null where `absent`
    names the property and a record lacks it. No text in it holds half of a surrogate pair.
    """

    def __init__(
        self, text: bytes, names: Sequence[str], values: Sequence[Sequence[Any]], count: int, absent: Collection[str]
    ) -> None:
        self.names, self.values, self.absent = names, values, absent
        self._text, self._count = text, count
        self._records: list[Any] | None = None

    @property
    def nul(self) -> bool:
        """Whether a text may hold U+0000."""
        return _NUL.search(self._text) is not None

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Any: ...

    @overload
    def __getitem__(self, index: slice) -> list[Any]: ...

    def __getitem__(self, index: int | slice) -> Any:
        if self._records is None:
            self._records = parse.page(self._text)
        return self._records[index]


class Columns:
    """Reads the pages of one stream. `at` is the path of the list within a body, () for a body that is the list;
    `discard` are the properties that are skipped. Safe to use from several threads."""

    def __init__(self, at: Sequence[str] = (), *, discard: Collection[str] = ()) -> None:
        self._at, self._discard = tuple(at), frozenset(discard)
        self._form: _Form | None = None
        self._misses = 0

    def document(self, body: bytes) -> Any:
        """The body as `parse.page` reads it, its list of records as `Entries` if the quick way can read them. Raises
        `UnreadablePage`."""
        if self._misses > _MOST_MISSES:
            return parse.page(body)
        if self._form is not None and (found := self._form.read(body)) is not None:
            entries, begin, end = found
            self._misses = 0
            if not self._at:
                return entries
            document = parse.page(b"%b[]%b" % (body[:begin], body[end:]))
            self._put(document, entries)
            return document
        document = parse.page(body)
        entries_read = self._find(document)
        if entries_read:
            self._misses += 1
            self._form = _form(entries_read, self._at, self._discard)
        return document

    def _find(self, document: Any) -> Any:
        for name in self._at:
            document = document.get(name) if isinstance(document, dict) else None
        return document if isinstance(document, list) else None

    def _put(self, document: Any, entries: Entries) -> None:
        for name in self._at[:-1]:
            document = document[name]
        document[self._at[-1]] = entries


def plain(names: Iterable[str]) -> bool:
    """Whether JSON has all of these names as they are, without escapes: others cannot be the names of a class's
    properties."""
    return all(name.isprintable() and '"' not in name and "\\" not in name for name in names)


class _Form:
    """How the records of a stream look: the names of their properties, in order; `whole` where none lacks one."""

    def __init__(self, names: Sequence[str], at: Sequence[str], discard: Collection[str], *, whole: bool) -> None:
        fields: list[Any] = [
            (f"f{i}", msgspec.Raw if name in discard else Any, *(() if whole else (UNSET,)))
            for i, name in enumerate(names)
        ]
        rename = {f"f{i}": name for i, name in enumerate(names)}
        body: Any = list[msgspec.defstruct("Entry", fields, rename=rename, gc=False)]  # type: ignore[misc]
        for name in reversed(at):
            body = msgspec.defstruct("Body", [("inner", body)], rename={"inner": name})
        self._names, self._kept = names, [i for i, name in enumerate(names) if name not in discard]
        self._skipped = [i for i, name in enumerate(names) if name in discard]
        self._whole, self._depth = whole, len(at)
        self._decoder, self._encoder = msgspec.json.Decoder(body), msgspec.json.Encoder()

    def read(self, body: bytes) -> tuple[Entries, int, int] | None:
        """The records and where in the body their list begins and ends; None where they look different."""
        written = bytearray(len(body))
        try:
            found: Any = self._decoder.decode(body)
            for _ in range(self._depth):
                found = found.inner
            if not found:
                return None
            self._encoder.encode_into(found, written)
            columns: list[Any] = [*zip(*map(msgspec.structs.astuple, found), strict=True)]
            for i in self._skipped:
                text = b"".join(columns[i] if self._whole else [v for v in columns[i] if v is not UNSET])
                if not text.isascii():
                    text.decode()
        except (msgspec.MsgspecError, RecursionError, UnicodeError, OverflowError):
            return None
        begin = body.find(written[:_FIRST]) if self._depth else 0
        end = begin + len(written)
        text = body[begin:end]
        if begin < 0 or text != written or (not self._depth and end < len(body)):
            return None
        names, values = [self._names[i] for i in self._kept], [columns[i] for i in self._kept]
        absent: set[str] = set()
        if not self._whole:
            absent = {name for name, column in zip(names, values, strict=True) if UNSET in column}
            values = [
                [None if v is UNSET else v for v in column] if name in absent else column
                for name, column in zip(names, values, strict=True)
            ]
        return Entries(text, names, values, len(found), absent), begin, end


def _form(records: Sequence[Any], at: Sequence[str], discard: Collection[str]) -> _Form | None:
    """The form of records as `parse.page` has read them; None where they have none in common."""
    if not all(type(record) is dict for record in records):
        return None
    names = dict.fromkeys(name for record in sorted(records, key=len, reverse=True) for name in record)
    if not plain(names):
        return None
    return _Form([*names], at, discard, whole=all(len(record) == len(names) for record in records))
