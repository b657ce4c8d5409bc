"""The commands about when connectors run. Nothing heavy is imported here: `--help` has to come at once."""

from __future__ import annotations

from typing import Annotated

import typer

from connector_core.cli.options import Json, Names, perform
from connector_core.cli.session import Session

schedule_commands = typer.Typer(rich_markup_mode=None)
webhook_commands = typer.Typer(help="Webhooks: try whether they arrive.", no_args_is_help=True, rich_markup_mode=None)


@schedule_commands.command()
def schedule(
    context: typer.Context,
    names: Names = None,
    count: Annotated[int, typer.Option(min=1, max=1000, help="How many slots of each connector.")] = 3,
    as_json: Json = False,
) -> None:
    """Show the next slots of every connector, in UTC and in local time. Reads only the ledger."""

    def work(session: Session) -> int:
        from connector_core.cli.schedule import schedule as command

        return command(session, names or (), count, as_json=as_json)

    perform(context, work)


@schedule_commands.command()
def serve(context: typer.Context, as_json: Json = False) -> None:
    """Run connectors by their schedules, each in a process of its own, until a signal comes."""

    def work(session: Session) -> int:
        from connector_core.cli.serve import serve as command

        return command(session, as_json=as_json)

    perform(context, work)


@schedule_commands.command()
def pause(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="A connector.")],
    why: Annotated[str, typer.Option(metavar="TEXT", help="The reason, for the others.")] = "",
    as_json: Json = False,
) -> None:
    """Pause a connector's schedule. It can still be run by hand."""

    def work(session: Session) -> int:
        from connector_core.cli.pause import pause as command

        return command(session, name, why, as_json=as_json)

    perform(context, work)


@schedule_commands.command()
def resume(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="A connector.")],
    as_json: Json = False,
) -> None:
    """Let a paused connector go on with its next slot."""

    def work(session: Session) -> int:
        from connector_core.cli.pause import resume as command

        return command(session, name, as_json=as_json)

    perform(context, work)


@webhook_commands.command("test")
def webhook_test(
    context: typer.Context,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Webhooks: the NAME of [extensions.NAME].")
    ] = None,
    as_json: Json = False,
) -> None:
    """Send a test event to your webhooks, and say whether it was taken."""

    def work(session: Session) -> int:
        from connector_core.cli.webhook import test as command

        return command(session, names or (), as_json=as_json)

    perform(context, work)


@webhook_commands.callback()
def _webhook() -> None:
    """Webhooks: try whether they arrive."""
