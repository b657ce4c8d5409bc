"""What a tap discovers, as the engine's streams; and the catalog that it is given to read one of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from connector_core import validate
from connector_core.errors import ConfigError, Place
from connector_core.streams import Stream

from .schemas import modern, with_keys
from .settings import Choice


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A stream of a tap: `name` is the engine's, `names` those under which messages may name it, `method` and
    `replication_key` what the tap is told."""

    name: str
    names: frozenset[str]
    id: str
    stream: Stream
    method: str
    replication_key: str | None
    choice: Choice


def entries(
    discovered: Mapping[str, Any], *, select: Sequence[str], choices: Mapping[str, Choice], at_once: int
) -> tuple[list[Entry], list[str]]:
    """The wanted streams, at most `at_once` of which are read at a time, and remarks for people.

    Raises `ConfigError` for settings of a stream that the tap does not have.
    """
    listed = [one for one in discovered["streams"] if isinstance(one, Mapping)]
    messages = [str(one.get("stream") or one.get("tap_stream_id")) for one in listed]
    found: list[Entry] = []
    notes: list[str] = []
    for one, message in zip(listed, messages, strict=True):
        own = str(one.get("tap_stream_id") or message)
        name = message if messages.count(message) == 1 else own
        if any(fnmatchcase(name, pattern) for pattern in select):
            after = tuple(entry.name for entry in found[: max(0, len(found) + 1 - at_once)])
            entry = _entry(one, name, own, message, choices.get(name, Choice()), after)
            found.append(entry[0])
            notes += entry[1]
    known = [entry.name for entry in found]
    for name in choices:
        if name not in known:
            raise ConfigError(
                f"the tap has no stream {name!r} that is selected",
                hint=f"it has {', '.join(known) or 'none'}",
                code="stream_unknown",
            )
    return found, notes


def _entry(
    one: Mapping[str, Any], name: str, own: str, message: str, choice: Choice, after: tuple[str, ...]
) -> tuple[Entry, list[str]]:
    metadata = dict(_metadata(one))
    told, schema = metadata.get((), {}), one.get("schema")
    marks = {at[1]: mark for at, mark in metadata.items() if len(at) == 2}
    key = choice.primary_key or tuple(
        told.get("table-key-properties") or told.get("view-key-properties") or one.get("key_properties") or ()
    )
    offered = told.get("valid-replication-keys") or ()
    replication_key = (
        choice.replication_key or told.get("replication-key") or one.get("replication_key") or next(iter(offered), None)
    )
    needed = (*key, replication_key)
    if lost := [column for column in needed if column in choice.exclude]:
        raise ConfigError(
            f"the key {lost[0]!r} of stream {name!r} cannot be excluded",
            hint=f"take it out of exclude of the stream {name}",
            place=Place(stream=name),
            code="property_needed",
        )
    unwanted = [
        column
        for column in _properties(schema)
        if not (column in needed or _is_wanted(marks.get(column, {}), column, choice))
    ]
    method = str(
        (choice.replication or "").upper()
        or told.get("forced-replication-method")
        or told.get("replication-method")
        or one.get("replication_method")
        or ("INCREMENTAL" if replication_key or key else "FULL_TABLE")
    )
    notes = []
    for shape_only in (False, True):
        shape = with_keys(modern(schema, shape_only=shape_only), key)
        shape["properties"] = {column: part for column, part in shape["properties"].items() if column not in unwanted}
        stream = Stream(
            name=name,
            schema=shape,
            primary_key=key,
            replication="full_table" if method == "FULL_TABLE" else "incremental",
            stateful=method != "FULL_TABLE",
            after=after,
            discard=frozenset(unwanted),
        )
        try:
            validate.check_schema(stream)
            break
        except validate.SchemaError as error:
            notes.append(f"{name}: the tap's schema is read for its types only: {error}")
    entry = Entry(
        name=name,
        names=frozenset((own, message)),
        id=own,
        stream=stream,
        method=method,
        replication_key=replication_key,
        choice=choice,
    )
    return entry, notes


def _properties(schema: Any) -> Mapping[str, Any]:
    found = schema.get("properties") if isinstance(schema, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _metadata(one: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    listed = one.get("metadata")
    for part in listed if isinstance(listed, list) else ():
        if isinstance(part, Mapping) and isinstance(part.get("metadata"), Mapping):
            yield tuple(part.get("breadcrumb") or ()), part["metadata"]


def _is_wanted(mark: Mapping[str, Any], column: str, choice: Choice) -> bool:
    inclusion = mark.get("inclusion")
    listed = not choice.properties or column in choice.properties or inclusion == "automatic"
    return listed and inclusion != "unsupported" and column not in choice.exclude


def selecting(discovered: Mapping[str, Any], entry: Entry) -> dict[str, Any]:
    """The catalog in which this stream alone is selected, with the properties that are wanted. Selection stands in the
    metadata and, for old taps, in the schema."""
    catalog = deepcopy(dict(discovered))
    for one in catalog["streams"]:
        if not isinstance(one, dict):
            continue
        chosen = (one.get("tap_stream_id") or one.get("stream")) == entry.id
        marks = {at: dict(told) for at, told in _metadata(one)}
        marks.setdefault((), {})["selected"] = chosen
        schema = one.get("schema")
        if isinstance(schema, dict):
            schema["selected"] = chosen
        one["selected"] = chosen
        if chosen:
            _choose(one, marks, entry)
        one["metadata"] = [{"breadcrumb": [*at], "metadata": told} for at, told in marks.items()]
    return catalog


def _choose(one: dict[str, Any], marks: dict[tuple[str, ...], dict[str, Any]], entry: Entry) -> None:
    marks[()]["replication-method"] = one["replication_method"] = entry.method
    if entry.replication_key is not None:
        marks[()]["replication-key"] = one["replication_key"] = entry.replication_key
    if entry.choice.primary_key:
        marks[()]["table-key-properties"] = one["key_properties"] = list(entry.choice.primary_key)
    for column, part in _properties(one.get("schema")).items():
        wanted = column not in entry.stream.discard
        marks.setdefault(("properties", column), {})["selected"] = wanted
        if isinstance(part, dict):
            part["selected"] = wanted
