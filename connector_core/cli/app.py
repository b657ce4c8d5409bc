"""The commands and their options. Nothing heavy is imported here: `--help` has to come at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from connector_core.cli.ledger_commands import ledger_commands
from connector_core.cli.new_commands import new_commands
from connector_core.cli.options import Json, Names
from connector_core.cli.options import perform as _run
from connector_core.cli.plugin_commands import plugin_commands, plugins
from connector_core.cli.schedule_commands import schedule_commands, webhook_commands
from connector_core.cli.session import DEFAULT_FILE, Session
from connector_core.errors import ConfigError

EXIT_CODES = (
    "Exit codes: 0 complete, 2 configuration or usage, 3 stopped by max_rejects, 4 source failed, "
    "5 destination failed, 6 internal or plugin error, 75 another run holds the connector, or the quota is used up, "
    "130/143 stopped by a signal."
)

app = typer.Typer(
    name="connector-core",
    help="The open Stitch: load sources into your warehouse, effectively once.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # rich takes a tenth of a second to import
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
rejects = typer.Typer(help="Rejected records: list them, try them again.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(rejects, name="rejects")
app.add_typer(webhook_commands, name="webhook")
app.add_typer(new_commands, name="new")
app.add_typer(plugin_commands, name="plugins")


def invoke(argv: Sequence[str]) -> int:
    """Run the command that `argv` names and return its exit code."""
    session = Session()

    def work() -> int:
        try:
            app(args=list(argv), prog_name="connector-core", obj=session)
        except SystemExit as end:
            return end.code if isinstance(end.code, int) else 0 if end.code is None else 6
        return 0

    return session.guarded(work)


@app.callback()
def _global(
    context: typer.Context,
    config: Annotated[
        Path, typer.Option(metavar="PATH", envvar="CONNECTOR_CORE_CONFIG", help="The configuration.")
    ] = Path(DEFAULT_FILE),
    debug: Annotated[bool, typer.Option("--debug", help="Log everything, show tracebacks (without secrets).")] = False,
) -> None:
    session: Session = context.obj
    session.file, session.debug = config, debug


@app.command()
def init(
    context: typer.Context,
    name: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Name of the connector; it makes the schema.")
    ] = None,
    source: Annotated[str | None, typer.Option(metavar="PLUGIN", help="Its source, for instance desk.")] = None,
    source_version: Annotated[str | None, typer.Option(metavar="VERSION", help="Where a source has several.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="A setting of the source; a secret as KEY=env:NAME or file:PATH."
        ),
    ] = None,
    start_date: Annotated[str | None, typer.Option(metavar="DATE", help="Read what changed since.")] = None,
    frequency: Annotated[str | None, typer.Option(metavar="TIME", help="Time between runs, for instance 6h.")] = None,
    anchor_time: Annotated[str | None, typer.Option(metavar="INSTANT", help="An instant that fixes the grid.")] = None,
    destination: Annotated[str | None, typer.Option(metavar="NAME", help="A destination, or a new one's name.")] = None,
    destination_type: Annotated[str | None, typer.Option(metavar="PLUGIN", help="For instance duckdb.")] = None,
    destination_settings: Annotated[
        list[str] | None, typer.Option("--destination-set", metavar="KEY=VALUE", help="A setting of a new destination.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the file (kept as .bak) and secrets.")
    ] = False,
    no_check: Annotated[bool, typer.Option("--no-check", help="Write it without trying it.")] = False,
    as_json: Json = False,
) -> None:
    """Set up a connector: ask on a terminal, or take options; try it; write it, the secrets outside of it."""

    def work(session: Session) -> int:
        from connector_core.cli.init import init as command
        from connector_core.cli.setup_plan import Given

        given = Given(
            name=name,
            source=source,
            version=source_version,
            settings=settings or (),
            start_date=start_date,
            frequency=frequency,
            anchor_time=anchor_time,
            destination=destination,
            destination_type=destination_type,
            destination_settings=destination_settings or (),
            overwrite=overwrite,
            tried=not no_check,
        )
        return command(session, given, as_json=as_json)

    _run(context, work)


@app.command()
def schema(context: typer.Context, as_json: Json = False) -> None:
    """Write a JSON Schema of connectors.toml, with the settings of all installed plugins, for editors."""

    def work(session: Session) -> int:
        from connector_core.cli.schema import schema as command

        return command(session, as_json=as_json)

    _run(context, work)


@app.command()
def check(context: typer.Context, names: Names = None, as_json: Json = False) -> None:
    """Try the configuration, the plugins, the credentials and the destination. Changes nothing."""

    def work(session: Session) -> int:
        from connector_core.cli.check import check as command

        return command(session, names or (), as_json=as_json)

    _run(context, work)


@app.command()
def plan(context: typer.Context, names: Names = None, as_json: Json = False) -> None:
    """Show what a run would do, and what it costs: calls, records, changes of tables. Changes nothing."""

    def work(session: Session) -> int:
        from connector_core.cli.plan import planned as command

        return command(session, names or (), as_json=as_json)

    _run(context, work)


@app.command()
def run(
    context: typer.Context,
    names: Names = None,
    full: Annotated[bool, typer.Option("--full", help="Read every stream again from its start date.")] = False,
    select: Annotated[
        list[str] | None, typer.Option(metavar="STREAM", help="Read only this stream (may be repeated).")
    ] = None,
    allow_deletes: Annotated[
        list[str] | None,
        typer.Option(metavar="STREAM", help="Let this stream's full-table pass delete most of its rows, this once."),
    ] = None,
    confirm: Annotated[
        bool, typer.Option("--confirm", help="Accept a changed start_date: read everything again.")
    ] = False,
    due: Annotated[
        bool, typer.Option("--due", help="Run only what is due by its schedule: for cron or a systemd timer.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Run connectors once: read what is new, load it, report what was done."""

    def work(session: Session) -> int:
        from connector_core.cli.run import run as command
        from connector_core.cli.run import run_due
        from connector_core.run_report import RunOptions

        if due and (full or select or allow_deletes or confirm):
            raise ConfigError(
                "--due runs connectors as they are configured", hint="leave the other options out", code="usage"
            )
        if due:
            return run_due(session, names or (), as_json=as_json)
        options = RunOptions(
            full=full, select=tuple(select or ()), allow_deletes=tuple(allow_deletes or ()), confirm=confirm
        )
        return command(session, names or (), options, as_json=as_json)

    _run(context, work)


@app.command()
def status(context: typer.Context, as_json: Json = False) -> None:
    """Show where every connector stands: last run, bookmarks, rows, rejects. Reads only the ledger."""

    def work(session: Session) -> int:
        from connector_core.cli.status import status as command

        return command(session, as_json=as_json)

    _run(context, work)


@app.command()
def describe(
    context: typer.Context,
    plugin: Annotated[str, typer.Argument(metavar="PLUGIN", help="Name of a plugin, for instance desk.")],
    as_json: Json = False,
) -> None:
    """Show what a plugin is: features, settings, tables with keys, methods and nested columns."""

    def work(session: Session) -> int:
        from connector_core.cli.describe import describe as command

        return command(session, plugin, as_json=as_json)

    _run(context, work)


@rejects.command("list")
def rejects_list(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="A connector (default: all).")] = None,
    stream: Annotated[str | None, typer.Option(metavar="STREAM", help="Only this stream.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest.")] = 100,
    as_json: Json = False,
) -> None:
    """List rejected records with reason, path and key. Reads only the ledger."""

    def work(session: Session) -> int:
        from connector_core.cli.rejects import list_rejects

        return list_rejects(session, name, stream, limit, as_json=as_json)

    _run(context, work)


@rejects.command("replay")
def rejects_replay(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="A connector.")],
    stream: Annotated[str | None, typer.Option(metavar="STREAM", help="Only this stream.")] = None,
    as_json: Json = False,
) -> None:
    """Try rejected records again under the present configuration."""

    def work(session: Session) -> int:
        from connector_core.cli.run import replay as command

        return command(session, name, stream, as_json=as_json)

    _run(context, work)


app.registered_commands.extend(ledger_commands.registered_commands)
app.registered_commands.extend(schedule_commands.registered_commands)


def commands() -> dict[str, Any]:
    """Every command with its function, groups as `group command`: what the documents have to mention."""
    own = {_name(info): info.callback for info in app.registered_commands}
    groups = {"rejects": rejects, "webhook": webhook_commands, "new": new_commands, "plugins": plugin_commands}
    grouped = {f"{name} {_name(i)}": i.callback for name, group in groups.items() for i in group.registered_commands}
    return {**own, "plugins": plugins, **grouped}


def _name(info: Any) -> str:
    return str(info.name or info.callback.__name__)
