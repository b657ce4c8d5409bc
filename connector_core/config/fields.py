"""What a pydantic field says of itself: the function that reads it, its literal values, its types."""

from __future__ import annotations

import typing
from typing import Any

from pydantic.fields import FieldInfo


def checker(field: FieldInfo) -> str:
    """The name of the function that reads a setting, wherever in its annotation it stands; "" where pydantic does."""
    found = [getattr(one, "func", None) for one in (*field.metadata, *_metadata(field.annotation))]
    return next((one.__name__ for one in found if one is not None), "")


def literals(annotation: Any) -> list[str]:
    """The values that an annotation with `Literal` allows; none where there is no `Literal`."""
    if typing.get_origin(annotation) is typing.Literal:
        return list(typing.get_args(annotation))
    return [value for part in typing.get_args(annotation) for value in literals(part)]


def types(annotation: Any) -> set[Any]:
    """All types in an annotation, at any depth."""
    return {annotation, typing.get_origin(annotation)}.union(*map(types, typing.get_args(annotation)))


def _metadata(annotation: Any) -> list[Any]:
    own = list(getattr(annotation, "__metadata__", ()))
    return own + [one for part in typing.get_args(annotation) for one in _metadata(part)]
