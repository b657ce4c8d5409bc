"""What the hash of a record covers, as text: a page of records at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from connector_core.entries import plain

_MOST_FIELDS = 250  # of an object that is written by way of a class: with more, making the class costs too much


class Hashed:
    """Writes what the hashes of a stream's records cover: JSON objects without the properties that are null, their keys
    in the order of their texts. Safe to use from several threads."""

    def __init__(self) -> None:
        self._form: tuple[tuple[str, ...], type[msgspec.Struct]] = (), msgspec.defstruct("Empty", [])
        self._encoder = msgspec.json.Encoder()

    def blobs(self, columns: Mapping[str, Sequence[Any]], count: int) -> list[bytes]:
        """One object per record of these columns."""
        encode = self._encoder.encode
        names, form = self._form
        if not columns.keys() <= set(names):
            names = tuple(sorted({*names, *columns}))
            if len(names) > _MOST_FIELDS or not plain(names):
                keys = sorted(columns)
                cells = zip(*map(columns.__getitem__, keys), strict=True)
                return [encode({k: v for k, v in zip(keys, row, strict=True) if v is not None}) for row in cells]
            rename = {f"f{i}": name for i, name in enumerate(names)}
            fields: list[Any] = [(field, Any, None) for field in rename]
            form = msgspec.defstruct("Record", fields, rename=rename, omit_defaults=True, gc=False)
            self._form = names, form
        missing: Sequence[Any] = (None,) * count
        rows = [*map(form, *(columns.get(name, missing) for name in names))] if names else [form()] * count
        return self._encoder.encode_lines(rows).split(b"\n")[:-1]  # a list: it never lets go of an iterator's items
