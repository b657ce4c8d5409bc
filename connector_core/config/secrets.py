"""Values that must never be shown: a type that prints `***`."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any, NoReturn

HIDDEN = "***"


class Secret:
    """A text that shows itself only to who asks for it with `reveal()`.

    Printing, formatting, logging and `repr` give `***`; pickling is refused, copies are the same object. Two
    secrets are equal when their texts are (compared in constant time).
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself."""
        return self._text

    def __str__(self) -> str:
        return HIDDEN

    def __repr__(self) -> str:
        return f"Secret({HIDDEN})"

    def __format__(self, spec: str) -> str:
        return format(HIDDEN, spec)

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._text.encode(), other._text.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret cannot be pickled")


def revealed(value: Any) -> Any:
    """The same value with every `Secret` in it, at any depth, as plain text; containers are new."""
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, Mapping):
        return {name: revealed(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [revealed(item) for item in value]
    return value


def texts_of(value: Any) -> set[str]:
    """The texts of all secrets in `value`, at any depth."""
    if isinstance(value, Secret):
        return {value.reveal()}
    items = value.values() if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else ()
    return set().union(*(texts_of(item) for item in items))
