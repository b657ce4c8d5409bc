"""`connector-core plugins`: what is installed, without importing any of it; `plugins install-tap`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from connector_core import taps
from connector_core.cli.output import as_json as plain
from connector_core.cli.output import print_json, print_line, print_table
from connector_core.cli.session import Session
from connector_core.plugins import installed


def plugins(session: Session, *, as_json: bool) -> int:
    """Print every installed plugin with its origin, and every tap of this project."""
    found = [plain(plugin, session.redact) for plugin in installed()]
    found += [_tap(tap, name) for tap in taps.installed(_folder(session)) for name in tap.executables]
    if as_json:
        print_json(found)
        return 0
    if not found:
        print_line('No plugin is installed. Install one with pip, for instance "connector-core[desk,duckdb]".')
        return 0
    headers = {"kind": "kind", "name": "name", "distribution": "distribution", "version": "version"}
    headers |= {"entry_point": "entry point", "error": "trouble"}
    print_table([*headers.values()], [[one[name] for name in headers] for one in found])
    return 0


def install_tap(session: Session, package: str, *, as_json: bool) -> int:
    """Install a tap beside connectors.toml. Raises `ConfigError` when it cannot be."""
    tap = taps.install(package, _folder(session), say=session.say)
    if as_json:
        print_json([_tap(tap, name) for name in tap.executables])
        return 0
    print_line(f"installed {tap.distribution} {tap.version}")
    for name in tap.executables:
        print_line(f'executable = "{name}"')
    return 0


def _folder(session: Session) -> Path:
    return session.file.parent / taps.FOLDER


def _tap(tap: taps.InstalledTap, name: str) -> dict[str, Any]:
    origin = {"distribution": tap.distribution, "version": tap.version}
    return {"kind": "tap", "name": name, **origin, "entry_point": str(tap.path(name).absolute()), "error": None}
