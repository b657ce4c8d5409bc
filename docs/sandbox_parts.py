"""Writes the generated parts of docs/sandbox.md: options, calls, operations and actions, from the code itself."""

from __future__ import annotations

import dataclasses
import inspect
import json
import typing
from collections.abc import Mapping
from typing import Any, Literal

from connector_core.testing.faults import ACTIONS, Fault
from connector_desk.sandbox import Settings, Store
from connector_desk.sandbox.__main__ import parser
from connector_desk.sandbox.control import CALLS, OPERATIONS, PREFIX
from connector_desk.sandbox.settings import is_fixed
from docs.parts import table


def options() -> str:
    """Every option of the command, in its order."""
    rows = []
    for option in parser()._actions:
        if option.dest == "help":
            continue
        names = ", ".join(f"`{name}`" for name in option.option_strings)
        known = {field.name for field in dataclasses.fields(Settings)}
        changes = "yes" if option.dest in known and not is_fixed(option.dest) else ""
        rows.append([names, (option.help or "").replace("%%", "%"), changes])
    return table(["Option", "Meaning [default]", "May change while it serves"], rows)


def calls() -> str:
    """Every call of the control."""
    rows = [[method, f"`{PREFIX}{name}`", _text(function)] for (method, name), function in CALLS.items()]
    return table(["Method", "Path", "What it does"], rows)


def operations() -> str:
    """Every operation of `mutate` and `script`, with its arguments."""
    rows = []
    for name in OPERATIONS:
        method = getattr(Store, name)
        rows.append([f"`{name}`", _arguments(method), _text(method)])
    return table(["Operation", "Arguments", "What it does"], rows)


def fault_fields() -> str:
    """The fields of a fault in a plan."""
    meaning: Mapping[str, str] = {
        "action": "what happens: an object with the `name` of an action and its parameters, or a list of them",
        "match": 'regex searched in `METHOD path?query`; `""` matches every request',
        "nth": "the first matching request that is hit, from 1",
        "times": "how many matching requests in a row are hit from there on; `null`: all",
    }
    rows = []
    for field in dataclasses.fields(Fault):
        needed = field.default is dataclasses.MISSING
        rows.append([f"`{field.name}`", "required" if needed else _json(field.default), meaning[field.name]])
    return table(["Field", "Default", "Meaning"], rows)


def actions() -> str:
    """Every action of a plan with its parameters."""
    rows = []
    for name, kind in ACTIONS.items():
        hints = typing.get_type_hints(kind)
        parameters = [_parameter(field, hints[field.name]) for field in dataclasses.fields(kind)]  # type: ignore[arg-type]  # all are dataclasses
        rows.append([f"`{name}`", "; ".join(parameters), _text(kind)])
    return table(["Action", "Parameters [default]", "What it does"], rows)


def _parameter(field: dataclasses.Field[Any], hint: Any) -> str:
    choices = [f"`{one}`" for one in typing.get_args(hint)] if typing.get_origin(hint) is Literal else []
    shown = f"`{field.name}`" + (f" ({', '.join(choices)})" if choices else "")
    if field.default_factory is not dataclasses.MISSING:
        return f"{shown} [{_json(field.default_factory())}]"
    return shown if field.default is dataclasses.MISSING else f"{shown} [{_json(field.default)}]"


def _json(value: Any) -> str:
    return f"`{json.dumps(value)}`"


def _arguments(method: Any) -> str:
    shown = []
    for one in list(inspect.signature(method).parameters.values())[1:]:  # without self
        if one.kind is one.VAR_KEYWORD:
            shown.append("fields by name")
        else:
            shown.append(f"`{one.name}`" if one.default is one.empty else f"`{one.name}` [{_json(one.default)}]")
    return ", ".join(shown)


def _text(thing: Any) -> str:
    return " ".join((inspect.getdoc(thing) or "").replace("``", "`").split())
