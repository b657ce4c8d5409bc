"""Validation of every record against its stream's JSON Schema, compiled once per stream.

What a record's *types* are is the business of `shape`, which knows the columns: with `type_conflict = "split"` a
value of another type is no error but a second column. So the compiled schema is the declared one without `type`,
`format` and closed `additionalProperties` at the places that become columns; everything else (required, enum, limits,
pattern, ...) rejects. Keys, replication keys, instants and unknown properties are checked while shaping, column by
column.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

import jsonschema_rs

from connector_core.declared import OPEN, declare, pointer
from connector_core.metaschema import schema_error
from connector_core.relax import relaxed
from connector_core.streams import Stream

TypeConflict = Literal["split", "reject"]


class SchemaError(ValueError):
    """A source declared a stream that cannot be: names the stream and says what is wrong. The plugin's author must
    act.
    """


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Why a record is rejected. `reason` never quotes a value, it goes to logs; `path` is a JSON pointer into the
    record.
    """

    code: str
    reason: str
    path: str = ""


class Validator:
    """The compiled schema of one stream; safe to use from several threads.

    `schema` is what is really checked. Costs 0.4 to 2 us a record; a record that fails costs some 20 us more, for the
    explanation.
    """

    def __init__(self, stream: Stream, *, type_conflict: TypeConflict = "split") -> None:
        check_schema(stream)
        self.schema = relaxed(stream.schema, types=type_conflict == "reject")
        self.required: frozenset[str] | None = None
        """The properties that a record must have, where the schema asks for nothing else."""
        if self.schema.keys() <= {"required", "$schema", "$id"}:
            self.required = frozenset(self.schema.get("required", ()))
        self._discard = stream.discard
        # limits on the record as a whole must not see what the stream discards
        self._strip = bool(stream.discard) and bool(self.schema.keys() & _WHOLE_RECORD)
        try:
            self._compiled = jsonschema_rs.Draft202012Validator(
                dict(self.schema), mask="the value", validate_formats=False, retriever=_no_retriever
            )
        except (ValueError, jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError) as error:
            raise SchemaError(f"stream {stream.name!r}: the schema cannot be compiled: {error}") from None

    def problems(self, records: Sequence[Mapping[str, Any]]) -> dict[int, Problem]:
        """The records that are not valid, by their position in `records`, with the first error of each."""
        if self._strip:
            records = [{k: v for k, v in record.items() if k not in self._discard} for record in records]
        try:
            verdicts = [*map(self._compiled.is_valid, records)]
        except Exception:  # a value that is not JSON: find out which record has it
            verdicts = [self._is_valid(record) for record in records]
        if all(verdicts):
            return {}
        unexplained = Problem(code="schema", reason="the record does not match the schema")
        return {i: self._problem(records[i]) or unexplained for i, valid in enumerate(verdicts) if not valid}

    def _is_valid(self, record: Mapping[str, Any]) -> bool:
        try:
            return self._compiled.is_valid(record)
        except Exception:  # what is not JSON is named by shaping; the rest of the record is judged here
            return self._problem(record) is None

    def _problem(self, record: Mapping[str, Any]) -> Problem | None:
        try:
            try:
                error = next(self._compiled.iter_errors(record), None)
            except ValueError:
                error = next(self._compiled.iter_errors(_without_foreign(record)), None)
        except RecursionError:
            return Problem(code="too_deep", reason="the record is nested too deeply to be validated")
        if error is None:
            return None
        keyword = str(error.schema_path[-1]) if error.schema_path else ""
        code = "type_conflict" if keyword == "type" else "schema"
        return Problem(code=code, reason=error.message, path=pointer(tuple(map(str, error.instance_path))))


def check_schema(stream: Stream) -> None:
    """Check what a source declares, with `jsonschema`, the reference. Raises `SchemaError`."""
    if (wrong := schema_error(stream.schema)) is not None:
        where = pointer(tuple(map(str, wrong.absolute_path))) or "/"
        raise SchemaError(f"stream {stream.name!r}: not a JSON Schema, at {where}: {wrong.message}")
    try:
        declared = declare(stream.schema)
    except ValueError as error:
        raise SchemaError(f"stream {stream.name!r}: {error}") from None
    for name in stream.primary_key:
        key = declared.properties.get(name, OPEN)
        if len(key.kinds) != 1 or key.object or key.array or "boolean" in key.kinds or name in stream.discard:
            problem = f"the primary key {name!r} must be declared as text, an integer, a date or an instant"
            raise SchemaError(f"stream {stream.name!r}: {problem}")
    version = stream.replication_key
    if stream.stateful:
        if stream.replication != "incremental" or version is not None or stream.parent is not None:
            problem = "what is stateful must be an incremental root stream without replication key"
            raise SchemaError(f"stream {stream.name!r}: {problem}")
        return
    if stream.replication != "incremental" or (version is None and stream.parent is not None):
        return  # the bookmark of a child is its parent's
    kinds = declared.properties.get(version or "", OPEN).kinds
    if len(kinds) != 1 or not kinds <= {"instant", "date", "integer"} or version in stream.discard:
        problem = f"the replication key {version!r} must be declared as an integer or with format date-time or date"
        raise SchemaError(f"stream {stream.name!r}: {problem}")


_WHOLE_RECORD = {
    "propertyNames",
    "maxProperties",
    "minProperties",
    "patternProperties",
    "not",
    "if",
    "oneOf",
    "anyOf",
    "const",
    "enum",
}


def _without_foreign(value: Any) -> Any:
    """The same value with null in place of everything that is not JSON and ? for half a surrogate pair."""
    if isinstance(value, Mapping):
        return {_encodable(str(name)): _without_foreign(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_foreign(item) for item in value]
    if isinstance(value, str):
        return _encodable(value)
    return value if isinstance(value, (int, float, Decimal)) else None


def _encodable(text: str) -> str:
    return text.encode(errors="replace").decode()


def _no_retriever(address: str) -> Any:
    raise ValueError(f"the reference {address!r} leaves the schema")
