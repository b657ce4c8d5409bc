"""Writes the generated parts of the documents; `cog -r README.md docs/*.md` puts them there, `dev.py check` compares.

Every function returns Markdown. A setting, column or code that this file cannot explain is an error, not a gap.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from connector_core import batch, error_codes, events, hookspecs, streams
from connector_core.config import fields, models
from connector_core.config.secrets import Secret
from connector_core.config.units import BYTES, brief
from connector_core.evolve import ROOT_COLUMNS, SUB_COLUMNS
from connector_core.namespace import OWN_TABLES
from connector_core.shape import CODES
from connector_core.tables import Kind
from docs.raised import GENERAL, raised

UNITS: Mapping[str, str] = {
    "duration": "duration",
    "size": "size",
    "_number": "number",
    "_lookback": "duration",
    "_keep": "duration",
    "_from": "date or instant, UTC",
    "_thresholds": "list of percentages",
    "_start": "date or instant, UTC",
    "_frequency": "duration with its unit",
    "_anchor": "instant with its zone",
    "_cron": "cron expression",
    "_timezone": "IANA name",
    "_reject_limit": "records, or `5%`",
}
"""What a setting's checking function takes: units and forms."""

COLUMNS: Mapping[str, str] = {
    "_sdc_extracted_at": "when the page with the record was asked for",
    "_sdc_received_at": "when the page arrived",
    "_sdc_batched_at": "when the batch was written",
    "_sdc_sequence": "64-bit number, larger is later, in the whole schema; sub-rows have that of their root record",
    "_sdc_table_version": "rises with a reset, and with every pass over a full table without primary key",
    "_sdc_record_hash": "fingerprint of the record as it is stored, after the shape version; equal means unchanged",
}
"""What a system column holds."""

OWN: Mapping[str, str] = {
    "_sdc_fence": "one row: who owns the schema, and the last number given out",
    "_sdc_commits": "one row per transaction: bookmark, and rows per table; the truth about how far each stream is",
    "_sdc_tables": "which table belongs to which stream",
    "_sdc_columns": "which column holds which property of the source, with which type",
    "_sdc_rejected": "records that could not be stored, with the reason and their full text",
}
"""What a table of the engine holds."""

REJECTED: Mapping[str, str] = {
    "_sdc_rejected_at": "when it was rejected",
    "run_id": "the run that rejected it first",
    "stream": "its stream",
    "table_name": "the table it was meant for",
    "error_code": "one of the codes below",
    "reason": "what is wrong, without the value",
    "path": "where in the record, as a JSON pointer",
    "primary_key": "its key as JSON text, NULL when it cannot be read",
    "record_hash": "hash of `record`",
    "seen": "how often it came",
    "copies": "how many records of the source it stands for: so many rows a replay adds to a stream without primary "
    "key; 0: passes over the stream read it again, a replay adds nothing",
    "record": "the whole record as JSON text in ASCII",
}
"""Columns of `_sdc_rejected`."""


def table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [headers, ["---"] * len(headers), *rows]
    return "".join(f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


# --- configuration


def settings(model: type[BaseModel]) -> str:
    """Every setting of a model: default, unit or values, meaning."""
    rows = []
    for name, field in model.model_fields.items():
        if name != "key" and name not in ("config", "streams"):
            known = _described(field)
            rows.append([f"`{field.alias or name}`", _default(field), _unit(field), known])
    return table(["Setting", "Default", "Unit or values", "Meaning"], rows)


def plugin_settings(schema: Mapping[str, Any]) -> str:
    """Every setting of a plugin's own JSON Schema."""
    rows = []
    for name, told in schema["properties"].items():
        default = f"`{told['default']}`" if "default" in told else "required" if name in schema["required"] else ""
        secret = ", secret" if told.get("writeOnly") else ""
        rows.append([f"`{name}`", default, told["type"] + secret, told["description"]])
    return table(["Setting", "Default", "Type", "Meaning"], rows)


def _described(field: FieldInfo) -> str:
    text = re.sub(r" \((default true|seconds here|duration|\d+ MiB)\)|; default: [^;]*", "", field.description or "")
    if not text:
        raise LookupError(f"a setting without a description: {field}")
    return text[0].upper() + text[1:]


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if told := re.search(r"; default: ([^;]*)", field.description or ""):
        return told[1]
    value = field.get_default(call_default_factory=True)
    if value is None or value in ((), "", {}):
        return "as the connector" if _inherited(field) else "none"
    if isinstance(value, Secret):
        return f"`{value.reveal()}`"
    if isinstance(value, timedelta):
        return f"`{_amount(value.total_seconds(), 'duration')}`"
    if isinstance(value, bool):
        return f"`{value}`".lower()
    if isinstance(value, tuple):
        return f"`{[*value]}`"
    if isinstance(value, (int, float)):
        return f"`{_amount(value, fields.checker(field))}`"
    return f"`{value}`"


def _inherited(field: FieldInfo) -> bool:
    return field in models.StreamSettings.model_fields.values()


def _amount(value: float, checker: str) -> str:
    if checker == "duration":
        return brief(value) if value else "0s"
    if checker == "size":
        name, factor = max(((n, f) for n, f in BYTES.items() if value % f == 0), key=lambda unit: unit[1])
        return f"{value / factor:g} {name}"
    return f"{value:_}"


def _unit(field: FieldInfo) -> str:
    checker = fields.checker(field)
    if checker:
        limits = {type(limit).__name__: limit for limit in field.metadata}
        span = [
            f"{word} {_amount(getattr(limits[kind], kind.lower()), checker)}"
            for kind, word in (("Gt", "above"), ("Ge", "from"), ("Le", "to"))
            if kind in limits
        ]
        return "; ".join([UNITS[checker], *([" ".join(span)] if span else [])])
    values = fields.literals(field.annotation)
    if values:
        return ", ".join(f"`{value}`" for value in values)
    if bool in fields.types(field.annotation):
        return "`true`, `false`"
    if int in fields.types(field.annotation):
        return "number"
    return "list of texts" if tuple in fields.types(field.annotation) else "text"


# --- tables


def types(names: Mapping[Kind, str], suffixes: Mapping[Kind, str]) -> str:
    """What each kind of value is in a destination, and the suffix of its column when a property has several types."""
    rows = [[kind, f"`{name}`", f"`__{suffixes[kind]}`"] for kind, name in names.items()]
    return table(["Value", "Column type", "Suffix after a split"], rows)


def postgres() -> Any:
    """Postgres as SQLAlchemy spells it."""
    from sqlalchemy.dialects import postgresql

    return postgresql.dialect()  # type: ignore[no-untyped-call]


def snowflake() -> Any:
    """Snowflake as SQLAlchemy spells it."""
    from snowflake.sqlalchemy.snowdialect import SnowflakeDialect

    return SnowflakeDialect()


def system_columns() -> str:
    """The `_sdc_*` columns of root tables and subtables."""
    rows = [
        [f"`{name}`", "yes", "yes" if name in SUB_COLUMNS else "", kind, COLUMNS[name]]
        for name, kind in ROOT_COLUMNS.items()
    ]
    return table(["Column", "Root table", "Subtable", "Type", "Holds"], rows)


def own_tables() -> str:
    """The engine's own tables in a schema."""
    rows = [
        [f"`{name}`", ", ".join(f"`{column}`" for column in kinds), OWN[name]] for name, kinds in OWN_TABLES.items()
    ]
    return table(["Table", "Columns", "Holds"], rows)


def rejected_columns() -> str:
    """The columns of `_sdc_rejected`."""
    return table(
        ["Column", "Type", "Holds"],
        [[f"`{name}`", kind, REJECTED[name]] for name, kind in OWN_TABLES["_sdc_rejected"].items()],
    )


def codes() -> str:
    """Every reason for which a record is rejected."""
    return table(["Code", "Meaning"], [[f"`{code}`", meaning] for code, meaning in CODES.items()])


# --- errors


def error_table(listed: Mapping[str, error_codes.Code]) -> str:
    """Every code with the exit code of its errors, what causes it and what to do."""
    exits = raised()
    if unknown := (exits.keys() - error_codes.CODES.keys()) | (exits.keys() & GENERAL):
        raise LookupError(
            f"errors are raised with codes that connector_core/error_codes.py does not explain: {unknown}"
        )
    rows = [
        [f"`{code}`", ", ".join(map(str, sorted(exits[code]))), about.cause, about.next]
        for code, about in listed.items()
    ]
    return table(["Code", "Exit", "Cause", "Next step"], rows)


# --- hooks


def hook(name: str) -> str:
    """Signature, contract and further paragraphs of one hook, as its specification has them."""
    spec: Callable[..., Any] = getattr(hookspecs, name)
    answer = inspect.signature(spec).return_annotation
    return (
        f"```python\n{name}({', '.join(inspect.signature(spec).parameters)}) -> {answer}\n```\n\n{_paragraphs(spec)}\n"
    )


def hooks() -> list[str]:
    """The names of all hooks, in the order of a run."""
    return [name for name, value in vars(hookspecs).items() if hasattr(value, f"{hookspecs.PROJECT}_spec")]


def data_class(kind: type[Any]) -> str:
    """What a class is, and its fields."""
    names = ", ".join(f"`{field.name}`" for field in dataclasses.fields(kind))
    return f"{_paragraphs(kind)}\n\nFields: {names}.\n"


def target() -> str:
    """The methods of `Target`."""
    return methods(batch.Target)


def methods(kind: type[Any]) -> str:
    """The methods of a protocol."""
    rows = [
        [f"`{name}{_arguments(method)}`", _one_line(method)]
        for name, method in vars(kind).items()
        if inspect.isfunction(method) and not name.startswith("_")
    ]
    return table(["Method", "What it does"], rows)


def contract() -> str:
    """What each class of the contract of destinations tests, in the words of its tests."""
    from connector_core.testing import DestinationContract, UserChangesContract

    return _promises((*DestinationContract.__bases__, UserChangesContract))


def source_contract() -> str:
    """What each class of the contract of sources tests, in the words of its tests."""
    from connector_core.testing import LocalSourceContract, SourceContract

    return _promises((*LocalSourceContract.__bases__, *SourceContract.__bases__[1:]))


def _promises(kinds: Iterable[type[Any]]) -> str:
    rows = []
    for kind in kinds:
        tests = [re.sub(r"^test_(?:[a-h][0-9]+_)*", "", name) for name in vars(kind) if name.startswith("test_")]
        rows.append([f"`{kind.__name__}`", "; ".join(name.replace("_", " ") for name in tests)])
    return table(["Part", "Promises"], rows)


def event_classes() -> str:
    """Every event, its fields besides those that all have, and its meaning."""
    common = {field.name for field in dataclasses.fields(events.Event)}
    rows = []
    for kind in events.EVENTS:
        own = [f"`{field.name}`" for field in dataclasses.fields(kind) if field.name not in common]
        rows.append([f"`{kind.__name__}`", ", ".join(own), _one_line(kind)])
    return table(["Event", "Fields", "Told when"], rows)


ARGUMENTS: tuple[type[Any], ...] = (
    streams.Description,
    streams.Stream,
    streams.Window,
    streams.Page,
    streams.RateLimit,
    streams.Catalog,
    batch.Batch,
    batch.Receipt,
)
"""Classes that hooks take and give."""


def _arguments(method: Callable[..., Any]) -> str:
    signature = inspect.signature(method)
    own = list(signature.parameters.values())[1:]  # without self
    text = str(signature.replace(parameters=own, return_annotation=signature.empty))
    return text.replace("'", "")


def _paragraphs(thing: Any) -> str:
    return "\n\n".join(" ".join(part.split()) for part in (inspect.getdoc(thing) or "").split("\n\n"))


def _one_line(thing: Any) -> str:
    return " ".join((inspect.getdoc(thing) or "").split())
