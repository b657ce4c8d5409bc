"""The settings of the file source: their JSON Schema, and one stream's settings completed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final, Literal

ENCODINGS: Final = (
    "utf-8",
    "iso-8859-1",
    "iso-8859-2",
    "iso-8859-15",
    "windows-1250",
    "windows-1251",
    "windows-1252",
)
"""Encodings in which a line break is the byte of ASCII and of nothing else."""

KINDS: Final = ("string", "integer", "number", "boolean", "date", "date-time")
FORMATS: Final[Mapping[str, Literal["csv", "ndjson"]]] = {".csv": "csv", ".ndjson": "ndjson", ".jsonl": "ndjson"}

_NAMES: Final = {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1, "uniqueItems": True}

_OPTIONS: Final[dict[str, Any]] = {
    "format": {
        "type": "string",
        "enum": ["csv", "ndjson"],
        "description": "csv or ndjson; left out: .csv is csv, .ndjson and .jsonl are ndjson, each also with .gz",
    },
    "primary_key": {**_NAMES, "description": "columns that name a record; left out: the file and the line"},
    "replication": {
        "type": "string",
        "enum": ["incremental", "full_table"],
        "default": "incremental",
        "description": "incremental: files changed since the last run; full_table: all files, vanished rows deleted",
    },
    "header": {"type": "boolean", "default": True, "description": "csv: whether the first line names the columns"},
    "columns": {**_NAMES, "description": "csv without header: the names of the columns"},
    "delimiter": {"type": "string", "pattern": '^[^"\\r\\n]$', "default": ",", "description": "csv: between two cells"},
    "encoding": {
        "type": "string",
        "enum": list(ENCODINGS),
        "default": "utf-8",
        "description": "how the text is stored; a byte order mark of UTF-8 is skipped",
    },
    "types": {
        "type": "object",
        "additionalProperties": {"type": "string", "enum": list(KINDS)},
        "description": "types of columns by name, in place of what would be inferred",
    },
}

_PATTERNS: Final[dict[str, Any]] = {
    "type": "array",
    "items": {"type": "string", "pattern": "^(?!/)(?!.*\\.\\.)[^\\\\]+$"},
    "minItems": 1,
    "description": "patterns below `folder`: * and ? within a name, ** for folders; hidden files are left out",
}

CONFIG: Final[dict[str, Any]] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "additionalProperties": False,
    "required": ["folder"],
    "properties": {
        "folder": {"type": "string", "format": "path", "minLength": 1, "description": "the folder that is read"},
        "files": {
            **_PATTERNS,
            "description": "without `streams`: patterns below `folder`, each file name a stream of its own",
        },
        "streams": {
            "type": "object",
            "minProperties": 1,
            "description": "a table for each stream: its files, and how they are read",
            "additionalProperties": {
                "type": "object",
                "additionalProperties": False,
                "required": ["files"],
                "properties": {"files": _PATTERNS, **_OPTIONS},
            },
        },
    },
}


@dataclass(frozen=True, kw_only=True)
class Form:
    """How the files of a stream are read; the settings of one table of `streams`."""

    name: str
    files: tuple[str, ...]
    format: Literal["csv", "ndjson"] | None = None
    primary_key: tuple[str, ...] = ()
    replication: Literal["incremental", "full_table"] = "incremental"
    header: bool = True
    columns: tuple[str, ...] = ()
    delimiter: str = ","
    encoding: str = "utf-8"
    types: Mapping[str, str] | None = None

    def format_of(self, name: str) -> Literal["csv", "ndjson"] | None:
        """The format of a file by its name; None when it is not known."""
        return self.format or FORMATS.get(PurePosixPath(name.removesuffix(".gz")).suffix.lower())


def form(name: str, given: Mapping[str, Any]) -> Form:
    """The settings of one stream as a `Form`; they were checked against the schema."""
    listed = ("files", "primary_key", "columns")
    settings: dict[str, Any] = {key: tuple(value) if key in listed else value for key, value in given.items()}
    return Form(name=name, **settings)
