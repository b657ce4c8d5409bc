"""`connector-core plugins`: what is installed, without importing any of it."""

from __future__ import annotations

from connector_core.cli.output import as_json as plain
from connector_core.cli.output import print_json, print_line, print_table
from connector_core.cli.session import Session
from connector_core.plugins import installed


def plugins(session: Session, *, as_json: bool) -> int:
    """Print every installed plugin with its origin."""
    found = installed()
    if as_json:
        print_json([plain(plugin, session.redact) for plugin in found])
        return 0
    if not found:
        print_line('No plugin is installed. Install one with pip, for instance "connector-core[desk,duckdb]".')
        return 0
    print_table(
        ["kind", "name", "distribution", "version", "entry point", "trouble"],
        [(p.kind, p.name, p.distribution, p.version, p.entry_point, p.error) for p in found],
    )
    return 0
