"""Writes the generated parts of docs/commands.md: every command, argument and option, from the code itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import typer.main

from connector_core.cli.app import EXIT_CODES, app
from docs.parts import table


def exit_codes() -> str:
    """What each exit code means."""
    codes = re.findall(r"([\d/]+) ([^.]*?)(?=, [\d/]+ |\.)", EXIT_CODES)
    return table(["Exit code", "Meaning"], [[code.replace("/", ", "), meaning] for code, meaning in codes])


def general() -> str:
    """The options of every command."""
    return _options(typer.main.get_command(app))


def commands() -> str:
    """Every command below a heading of its own, in the order of `--help`; a group's after one another."""
    return "\n".join(_section(name, command) for name, command in _all(typer.main.get_command(app)))


def _all(group: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if getattr(command, "commands", None):
            yield from _all(command, f"{above}{name} ")
        else:
            yield above + name, command


def _section(name: str, command: Any) -> str:
    arguments = [one.metavar for one in command.params if one.param_type_name == "argument"]
    usage = " ".join(["connector-core", name, "[OPTIONS]", *arguments])
    return f"### `{name}`\n\n{_sentence(command.help)}\n\n```text\n{usage}\n```\n\n{_options(command)}"


def _options(command: Any) -> str:
    """Arguments and options. Raises `LookupError` for one that says nothing of itself."""
    rows = []
    for one in command.params:
        if not one.help:
            raise LookupError(f"{command.name}: {one.name} has no help")
        names, meaning = one.get_help_record(command.context_class(command))
        rows.append([f"`{one.metavar if one.param_type_name == 'argument' else names}`", _sentence(meaning)])
    return table(["Argument or option", "Meaning"], rows)


def _sentence(text: str | None) -> str:
    """A help text as one paragraph."""
    return " ".join((text or "").split())
