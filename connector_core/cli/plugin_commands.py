"""The command group `plugins`: what is installed, and installing taps."""

from __future__ import annotations

from typing import Annotated

import typer

from connector_core.cli.options import Json, perform
from connector_core.cli.session import Session

plugin_commands = typer.Typer(invoke_without_command=True, rich_markup_mode=None)


@plugin_commands.callback()
def plugins(context: typer.Context, as_json: Json = False) -> None:
    """List installed sources, destinations, extensions and taps, and which distribution each comes from."""

    def work(session: Session) -> int:
        from connector_core.cli.plugins import plugins as command

        return command(session, as_json=as_json)

    if context.invoked_subcommand is None:
        perform(context, work)


@plugin_commands.command("install-tap")
def install_tap(
    context: typer.Context,
    package: Annotated[str, typer.Argument(metavar="PACKAGE", help="A Singer tap, named as for pip install.")],
    as_json: Json = False,
) -> None:
    """Install a Singer tap into a virtual environment of its own, or bring it up to date; tells its executables."""

    def work(session: Session) -> int:
        from connector_core.cli.plugins import install_tap as command

        return command(session, package, as_json=as_json)

    perform(context, work)
