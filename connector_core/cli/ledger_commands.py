"""Commands about what was done: logs, report, usage, and reset, which has it done again."""

from __future__ import annotations

from typing import Annotated

import typer

from connector_core.cli.options import Json, Limit, Name, RunId, Since, Until, perform
from connector_core.cli.session import Session

ledger_commands = typer.Typer(rich_markup_mode=None)


@ledger_commands.command()
def logs(
    context: typer.Context,
    name: Name = None,
    run: RunId = None,
    stream: Annotated[str | None, typer.Option(metavar="STREAM", help="Only lines about this stream.")] = None,
    component: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only what this one says: engine, source, destination, …")
    ] = None,
    level: Annotated[str | None, typer.Option(metavar="LEVEL", help="Only this level and graver ones.")] = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 200,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with new lines; ends with the --run.")] = False,
    runs: Annotated[bool, typer.Option("--runs", help="List the runs instead of their lines.")] = False,
    as_json: Json = False,
) -> None:
    """Show the extraction log: time, who speaks, level, text. Reads only the ledger."""

    def work(session: Session) -> int:
        from connector_core.cli import logs as commands

        if runs:
            return commands.list_runs(session, name, limit, as_json=as_json)
        wanted = commands.Wanted(
            name=name, run=run, stream=stream, component=component, level=level, since=since, until=until, limit=limit
        )
        return commands.logs(session, wanted, follow=follow, as_json=as_json)

    perform(context, work)


@ledger_commands.command()
def report(
    context: typer.Context,
    name: Name = None,
    run: RunId = None,
    table: Annotated[
        str | None, typer.Option(metavar="TABLE", help="The loads of this table, one after the other.")
    ] = None,
    subtables: Annotated[bool, typer.Option("--subtables", help="A line for each subtable.")] = False,
    limit: Limit = 50,
    as_json: Json = False,
) -> None:
    """Show the loading report: bookmark, rows and rejects, table by table. Reads only the ledger."""

    def work(session: Session) -> int:
        from connector_core.cli import loads as commands

        if table is not None:
            return commands.table_history(session, name, table, limit, as_json=as_json)
        return commands.loading_report(session, name, run, subtables=subtables, as_json=as_json)

    perform(context, work)


@ledger_commands.command()
def usage(
    context: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Connectors (default: all).")] = None,
    before: Annotated[bool, typer.Option("--previous", help="The period before this one.")] = False,
    since: Since = None,
    until: Until = None,
    what_if: Annotated[
        str | None, typer.Option(metavar="frequency=24h", help="What a period would cost at another frequency.")
    ] = None,
    sync: Annotated[
        bool, typer.Option("--sync", help="First take from the destinations what the ledger lacks, without a run.")
    ] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Rows by connector, table and day, as CSV.")] = False,
    as_json: Json = False,
) -> None:
    """Show the rows of a period: free, counted, unchanged; quota, forecast, hints. Reads only the ledger."""

    def work(session: Session) -> int:
        from connector_core.cli import usage as commands

        wanted = commands.Wanted(names=tuple(names or ()), before=before, since=since, until=until, sync=sync)
        if what_if is not None:
            return commands.what_would(session, wanted, what_if, as_json=as_json)
        return commands.usage(session, wanted, as_csv=as_csv, as_json=as_json)

    perform(context, work)


@ledger_commands.command()
def reset(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="A connector.")],
    streams: Annotated[list[str] | None, typer.Argument(metavar="[STREAM]...", help="Streams.")] = None,
    whole: Annotated[bool, typer.Option("--all", help="All streams of the connector.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Drop the tables of streams and forget their bookmarks: the next run reads them again."""

    def work(session: Session) -> int:
        from connector_core.cli.reset import reset as command

        return command(session, name, streams or (), whole=whole, dry_run=dry_run, yes=yes, as_json=as_json)

    perform(context, work)
