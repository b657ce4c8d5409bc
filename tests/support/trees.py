"""Distributions made by hand: a folder for sys.path with modules and dist-info folders, as pip would leave them."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path

SOURCE = """
from connector_core import Catalog, Description, Page, hookimpl

SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["site", "token"],
    "properties": {
        "site": {"type": "string", "pattern": "^https?://", "description": "Address of the site"},
        "token": {"type": "string", "minLength": 1, "writeOnly": True, "description": "Token from the admin page"},
        "port": {"type": "integer", "minimum": 1, "maximum": 65535, "default": 443},
        "strict": {"type": "boolean"},
        "mode": {"enum": ["fast", "safe"]},
        "since": {"type": "string", "format": "date"},
        "file": {"type": "string", "format": "path"},
        "proxy": {"$ref": "#/$defs/proxy"},
        "keys": {"type": "array", "items": {"type": "string", "writeOnly": True}},
    },
    "$defs": {
        "proxy": {
            "type": "object",
            "properties": {"url": {"type": "string"}, "password": {"type": "string", "writeOnly": True}},
        }
    },
}


class Acme:
    @hookimpl
    def describe(self):
        return Description(
            kind="source",
            name="acme",
            title="Acme",
            versions=VERSIONS,
            config_schema=SCHEMA,
            frequency=FREQUENCY,
            fixed=FIXED,
        )

    @hookimpl
    def authenticate(self, config):
        return config

    @hookimpl
    def discover(self, config, client):
        return Catalog(streams=())

    @hookimpl
    def extract(self, client, config, stream, window, parent, page):
        return Page(records=[])


source = Acme()
"""

SINK = """
import contextlib

from connector_core import Description, hookimpl

SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["path"],
    "properties": {"path": {"type": "string", "format": "path"}, "password": {"type": "string", "writeOnly": True}},
}


@hookimpl
def describe():
    return Description(kind="destination", name="sink", config_schema=SCHEMA)


@hookimpl
def connect(config, namespace):
    return contextlib.nullcontext()


@hookimpl
def load(target, batch):
    return None
"""


def distribution(
    folder: Path,
    name: str,
    *,
    version: str = "1.0",
    sources: Mapping[str, str] | None = None,
    destinations: Mapping[str, str] | None = None,
    extensions: Mapping[str, str] | None = None,
    modules: Mapping[str, str] | None = None,
) -> Path:
    """Add a distribution to `folder`: entry points by group, modules by name with their text. Returns the folder."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    groups = {"sources": sources, "destinations": destinations, "extensions": extensions}
    lines = []
    for group, points in groups.items():
        if points:
            lines += [f"[connector_core.{group}]", *(f"{key} = {value}" for key, value in points.items()), ""]
    (info / "entry_points.txt").write_text("\n".join(lines))
    for module, text in (modules or {}).items():
        (folder / f"{module}.py").write_text(textwrap.dedent(text))
    return folder


def acme(
    folder: Path,
    module: str,
    *,
    versions: tuple[str, ...] = ("1",),
    fixed: Mapping[str, str] | None = None,
    frequency: int | None = 1800,
) -> Path:
    """Add the source `acme` and the destination `sink`, in modules whose names begin with `module`."""
    facts = f"\nVERSIONS = {versions!r}\nFIXED = {dict(fixed or {})!r}\nFREQUENCY = {frequency!r}\n"
    modules = {f"{module}_source": SOURCE + facts, f"{module}_sink": SINK}
    return distribution(
        folder,
        "acme-tools",
        version="2.3",
        sources={"acme": f"{module}_source:source"},
        destinations={"sink": f"{module}_sink"},
        modules=modules,
    )
