"""A Singer tap for tests: writes what a JSON file tells it to, and keeps how it was started.

Config: `script`, the file: {"catalog": {...}, "NAME": [step, ...]}, a list for each stream. A step is {"row": {...}}
(with "version" if need be), "state", {"write": text}, {"message": {...}}, {"say": text} (to standard error), {"child":
file} (starts a process that outlives the tap, its id in the file), {"sleep": seconds}, {"exit": code} or {"signal":
number} (to itself). A STATE is {"at": number of steps}, from where the tap goes on when it is given one. Each start is
noted in `started.jsonl` beside the script: pid, arguments, config with its mode, catalog and state.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any


def main() -> None:
    """Discover, or read the one stream that is selected."""
    parser = argparse.ArgumentParser()
    for option in ("config", "catalog", "properties", "state"):
        parser.add_argument(f"--{option}", type=Path)
    parser.add_argument("--discover", action="store_true")
    given = parser.parse_args()
    config = json.loads(given.config.read_text())
    script = json.loads(Path(config["script"]).read_text())
    if given.discover:
        for step in script.get("discover", [{"write": json.dumps(script["catalog"])}]):
            act(step)
        return
    catalog = json.loads((given.catalog or given.properties).read_text())
    state = json.loads(given.state.read_text()) if given.state else None
    noted = {"pid": os.getpid(), "mode": oct(given.config.stat().st_mode), "folder": str(given.config.parent)}
    with Path(config["script"]).with_name("started.jsonl").open("a") as file:
        known = {"config": config, "catalog": catalog, "state": state, "arguments": sys.argv[1:]}
        file.write(json.dumps({**noted, **known}) + "\n")
    (chosen,) = (one for one in catalog["streams"] if marks(one)[()].get("selected"))
    read(chosen, script[chosen["tap_stream_id"]], (state or {}).get("at", 0))


def marks(entry: dict[str, Any]) -> dict[tuple[str, ...], dict[str, Any]]:
    """The metadata by breadcrumb."""
    return {tuple(one["breadcrumb"]): one["metadata"] for one in entry["metadata"]}


def read(entry: dict[str, Any], steps: list[Any], begin: int) -> None:
    """Take the steps from that one on."""
    name = entry["stream"]
    unwanted = {at[1] for at, told in marks(entry).items() if at and not told.get("selected")}
    schema = {"type": "SCHEMA", "stream": name, "schema": entry["schema"], "key_properties": entry["key_properties"]}
    if not (steps and isinstance(steps[0], dict) and "message" in steps[0]):
        say(schema)
    for number, step in enumerate(steps[begin:], begin + 1):
        if step == "state":
            say({"type": "STATE", "value": {"at": number}})
        elif "row" in step:
            row = {column: value for column, value in step["row"].items() if column not in unwanted}
            version = {"version": step["version"]} if "version" in step else {}
            say({"type": "RECORD", "stream": name, "record": row, **version})
        else:
            act(step)


def act(step: dict[str, Any]) -> None:
    """Take a step that is no record."""
    ((what, value),) = step.items()
    if what == "exit":
        sys.stdout.flush()
        os._exit(value)
    elif what == "signal":
        sys.stdout.flush()
        os.kill(os.getpid(), value)
    elif what == "sleep":
        sys.stdout.flush()
        time.sleep(value)
    elif what == "say":
        print(value, file=sys.stderr, flush=True)
    elif what == "child":
        with subprocess.Popen(["sleep", "600"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
            Path(value).write_text(str(child.pid))
            sys.stdout.flush()
            os._exit(7)
    else:
        say(value) if what == "message" else print(value)


def say(message: Any) -> None:
    """Write a message."""
    print(json.dumps(message))


if __name__ == "__main__":
    main()
