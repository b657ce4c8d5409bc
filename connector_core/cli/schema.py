"""`connector-core schema`: for editors, a JSON Schema of connectors.toml with all installed plugins' settings."""

from __future__ import annotations

import json
from typing import Any

from connector_core.cli.output import print_json, print_line
from connector_core.cli.session import Session
from connector_core.cli.setup_plan import put
from connector_core.config.json_schema import FILE, json_schema
from connector_core.errors import PluginError
from connector_core.plugins import installed, load
from connector_core.streams import Description


def schema(session: Session, *, as_json: bool) -> int:
    """Write it beside the configuration, in the place of an older one; with `as_json` print it instead. A plugin that
    is broken is named and left out."""
    found = _found(session)
    if as_json:
        print_json(found)
        return 0
    path = session.file.parent / FILE
    put(path, _written(found))
    print_line(f"wrote {path}; the line `#:schema ./{FILE}` at the top of {session.file.name} tells editors of it")
    return 0


def text(session: Session) -> str:
    """What `schema` writes."""
    return _written(_found(session))


def _found(session: Session) -> dict[str, Any]:
    described: list[Description] = []
    for plugin in installed():
        try:
            if plugin.error is None:
                described.append(load(plugin.kind, plugin.name).description)
        except PluginError as error:
            session.say(f"warning: left out: {error}")
    return json_schema(described)


def _written(schema: dict[str, Any]) -> str:
    return json.dumps(schema, indent=2) + "\n"
