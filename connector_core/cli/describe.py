"""`connector-core describe PLUGIN`: the feature snapshot, the settings, and the tables a source makes."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from connector_core.cli.output import print_json, print_line, print_table
from connector_core.cli.session import Session
from connector_core.config.units import brief
from connector_core.declared import Declared, declare
from connector_core.errors import ConfigError
from connector_core.plugins import Plugin, installed, load
from connector_core.streams import Description, Stream

METHODS = {"incremental": "Key-based Incremental", "full_table": "Full Table"}


def describe(session: Session, name: str, *, as_json: bool) -> int:
    """Print what the plugins of this name say of themselves. Raises `ConfigError` when none is installed."""
    there = installed()
    kinds = dict.fromkeys(plugin.kind for plugin in there if plugin.name == name)
    if not kinds:
        names = sorted({plugin.name for plugin in there})
        near = difflib.get_close_matches(name, names, n=1)
        hint = f'did you mean "{near[0]}"?' if near else f"installed: {', '.join(names) or 'none'}"
        raise ConfigError(f"there is no plugin {name!r}", hint=hint, code="plugin_unknown")
    found = [load(kind, name) for kind in kinds]
    if as_json:
        for plugin in found:
            print_json(_json(plugin))
        return 0
    for number, plugin in enumerate(found):
        if number:
            print_line()
        _print(plugin)
    return 0


def tables(stream: Stream) -> dict[str, list[tuple[str, str]]]:
    """The tables of a stream as declared, with (column, type) each: nested objects as `a__b`, arrays as subtables.

    Names are those before a destination's limits; system columns are left out.
    """
    found: dict[str, list[tuple[str, str]]] = {stream.name: []}
    declared = declare(stream.schema)
    for name, child in declared.properties.items():
        if name not in stream.discard:
            _column(found, stream.name, name, child)
    return found


def _column(found: dict[str, list[tuple[str, str]]], table: str, column: str, declared: Declared) -> None:
    if declared.array:
        subtable = f"{table}__{column}"
        found[subtable] = []
        items = declared.items
        if items is not None and items.object:
            for name, child in items.properties.items():
                _column(found, subtable, name, child)
        elif items is None or not items.array:
            _column(found, subtable, "value", items or Declared())
    elif declared.object and declared.properties:
        for name, child in declared.properties.items():
            _column(found, table, f"{column}__{name}", child)
    else:
        found[table].append((column, " or ".join(sorted(declared.kinds)) or "any"))


def _print(plugin: Plugin) -> None:
    described = plugin.description
    print_line(
        f"{described.title or plugin.name} ({plugin.kind} {plugin.name}, {plugin.distribution} {plugin.version})"
    )
    if described.summary:
        print_line(described.summary)
    if described.versions:
        print_line(f"Versions: {', '.join(described.versions)}")
    if described.frequency:
        print_line(f"Default frequency: {brief(described.frequency)}")
    for section, features in described.snapshot.items():
        _heading(section)
        print_table(["", ""], list(features.items()), indent=2)
    if described.fixed:
        _heading("Not configurable")
        print_table(["", ""], list(described.fixed.items()), indent=2)
    if settings := list(_settings(described)):
        _heading("Settings")
        print_table(["setting", "type", "", "meaning"], settings, indent=2)
    if described.streams:
        _heading("Tables")
        _print_tables(described)


def _heading(text: str) -> None:
    print_line()
    print_line(text)


def _print_tables(described: Description) -> None:
    rows = []
    for stream in described.streams:
        nested = [name for name in tables(stream) if name != stream.name]
        rows.append(
            (
                stream.name,
                METHODS[stream.replication],
                ":".join(stream.primary_key),
                stream.replication_key if stream.replication == "incremental" else None,
                stream.parent,
                ", ".join(nested),
            )
        )
    headers = ["table", "replication method", "primary key", "replication key", "parent", "nested"]
    print_table(headers, rows, indent=2)
    for stream in described.streams:
        for table, columns in tables(stream).items():
            print_line()
            print_line(f"  {table}")
            print_table(["", ""], columns, indent=4)


def _settings(described: Description) -> Iterator[tuple[str, str, str, str]]:
    schema = described.config_schema
    for name, about in schema.get("properties", {}).items():
        about = about if isinstance(about, Mapping) else {}
        kind = about.get("type", "any")
        needed = "required" if name in schema.get("required", ()) else ""
        if "default" in about:
            needed = f"default {about['default']}"
        shown = " or ".join(kind) if isinstance(kind, list) else str(kind)
        yield name, f"{shown}, secret" if about.get("writeOnly") else shown, needed, str(about.get("description", ""))


def _json(plugin: Plugin) -> dict[str, Any]:
    described = plugin.description
    return {
        "kind": plugin.kind,
        "name": plugin.name,
        "distribution": plugin.distribution,
        "version": plugin.version,
        "title": described.title,
        "summary": described.summary,
        "versions": list(described.versions),
        "frequency": described.frequency,
        "exclusive": described.exclusive,
        "fixed": dict(described.fixed),
        "snapshot": {section: dict(features) for section, features in described.snapshot.items()},
        "config_schema": dict(described.config_schema),
        "streams": [
            {
                "name": stream.name,
                "replication": stream.replication,
                "primary_key": list(stream.primary_key),
                "replication_key": stream.replication_key,
                "parent": stream.parent,
                "tables": {table: dict(columns) for table, columns in tables(stream).items()},
            }
            for stream in described.streams
        ],
    }
