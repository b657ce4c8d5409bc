"""`connector-core pause` and `resume`: stop and start a connector's schedule, without touching connectors.toml."""

from __future__ import annotations

import getpass
import os
import socket

from connector_core.cli.output import as_json as plain
from connector_core.cli.output import print_json, print_line
from connector_core.cli.session import Session
from connector_core.scheduling.calendar import entry


def pause(session: Session, name: str, why: str, *, as_json: bool) -> int:
    """Pause a connector: no slot is run or noted until it is resumed. A run that is going on goes on."""
    config = session.load(())
    session.known(config, [name])
    with session.ledger(config) as ledger:
        new = ledger.pause(name, by=operator(), why=why)
        paused = ledger.agenda(name, entry(config.connectors[name]).spec).paused
    if as_json:
        print_json({"connector": name, "paused": plain(paused, session.redact), "changed": new})
    elif paused is not None:
        since = f"by {paused.by} since {paused.at:%Y-%m-%d %H:%M}Z" + (f": {paused.why}" if paused.why else "")
        print_line(f"{name}: {'paused' if new else 'was paused already'} {since}")
    return 0


def resume(session: Session, name: str, *, as_json: bool) -> int:
    """Let a paused connector go on with its next slot. What it missed is not made up."""
    config = session.load(())
    session.known(config, [name])
    with session.ledger(config) as ledger:
        changed = ledger.resume(name, by=operator())
    if as_json:
        print_json({"connector": name, "paused": None, "changed": changed})
    else:
        print_line(f"{name}: {'goes on with its next slot' if changed else 'was not paused'}")
    return 0


def operator() -> str:
    """Who types the command: user and host, for the record."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container may run as a number that has no name
        user = f"uid {os.getuid()}"
    return f"{user}@{socket.gethostname()}"
