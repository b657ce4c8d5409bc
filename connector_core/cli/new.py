"""`connector-core new`: begin a plugin of one's own."""

from __future__ import annotations

from pathlib import Path

from connector_core.cli.output import counted, print_json, print_line
from connector_core.plugins import installed
from connector_core.scaffold import Kind, make


def new(kind: Kind, name: str, folder: Path, *, as_json: bool) -> int:
    """Write a package for a plugin into `folder`. Raises `ConfigError` for a name that cannot be had and for a folder
    that cannot be written."""
    taken = {plugin.name: plugin.distribution for plugin in installed()} | {"core": "connector-core"}
    package = make(kind, name, folder, taken=taken)
    if as_json:
        print_json(
            {
                "kind": package.kind,
                "name": package.name,
                "distribution": package.distribution,
                "package": package.package,
                "folder": str(package.folder),
                "files": list(package.files),
            }
        )
        return 0
    print_line(f"wrote {package.folder}: {counted(len(package.files), 'file')}")
    print_line(f"next: pip install -e '{package.folder}[dev]' && cd {package.folder} && pytest")
    return 0
