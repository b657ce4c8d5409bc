"""Commands that begin a plugin of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from connector_core.cli.options import Json, perform
from connector_core.cli.session import Session

if TYPE_CHECKING:
    from connector_core.scaffold import Kind

new_commands = typer.Typer(
    help="A package for a plugin of your own, with tests that pass.", no_args_is_help=True, rich_markup_mode=None
)

PluginName = Annotated[str, typer.Argument(metavar="NAME", help="Name of the plugin, for instance my_shop.")]
Folder = Annotated[Path, typer.Option(metavar="PATH", help="Where the package's folder is made.")]


@new_commands.command("source")
def new_source(context: typer.Context, name: PluginName, folder: Folder = Path(), as_json: Json = False) -> None:
    """Write a package for a source: two declared streams of a REST API, and their tests."""
    _new(context, "source", name, folder, as_json)


@new_commands.command("destination")
def new_destination(context: typer.Context, name: PluginName, folder: Folder = Path(), as_json: Json = False) -> None:
    """Write a package for a destination: SQLite files over SQLAlchemy, held to the whole contract."""
    _new(context, "destination", name, folder, as_json)


@new_commands.command("extension")
def new_extension(context: typer.Context, name: PluginName, folder: Folder = Path(), as_json: Json = False) -> None:
    """Write a package for an extension: an observer of runs, and its tests."""
    _new(context, "extension", name, folder, as_json)


def _new(context: typer.Context, kind: Kind, name: str, folder: Path, as_json: bool) -> None:
    def work(session: Session) -> int:
        from connector_core.cli.new import new as command

        return command(kind, name, folder, as_json=as_json)

    perform(context, work)
