"""Arguments and options that several commands share, and how a command does its work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from connector_core.cli.session import Session

Names = Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Connectors (default: all enabled ones).")]
Name = Annotated[str | None, typer.Argument(metavar="[NAME]", help="A connector (default: all).")]
RunId = Annotated[str | None, typer.Option(metavar="ID", help="Only this run: its id, how that begins, or last.")]
Limit = Annotated[int, typer.Option(min=1, help="At most so many, the newest.")]
Since = Annotated[
    str | None, typer.Option(metavar="WHEN", help="From then on: a date, an instant, or how long ago, such as 90m.")
]
Until = Annotated[str | None, typer.Option(metavar="WHEN", help="Before then.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON to standard output, for programs.")]


def perform(context: typer.Context, work: Callable[[Session], int]) -> None:
    """Do the work of a command; whatever goes wrong becomes one clear line and the documented exit code."""
    session: Session = context.obj
    raise typer.Exit(session.guarded(lambda: work(session)))
