"""``python -m connector_desk.sandbox``: prints one JSON line with address and credentials, then serves until SIGTERM or
SIGINT."""

from __future__ import annotations

import argparse
import dataclasses
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from connector_core.testing.faults import Fault, plan_from_json

from .control import PREFIX
from .server import Sandbox
from .settings import CHOICES, DEMO, Settings, is_fixed


def parser() -> argparse.ArgumentParser:
    """One switch for each setting; their defaults are those of `Settings` (or of the demo site)."""
    parse = argparse.ArgumentParser(
        prog="python -m connector_desk.sandbox",
        usage="%(prog)s [options]",
        description="A Desk.com site on 127.0.0.1 with invented data. Prints one JSON line with url, key, secret, "
        "token, token_secret and control (address of the test endpoints), then serves until SIGTERM or SIGINT.",
    )
    parse.add_argument(
        "--demo", action="store_true", help="a pleasant site: 600 cases, 200 customers, a generous call budget"
    )
    parse.add_argument(
        "--faults",
        metavar="FILE",
        help="break answers by this plan, a JSON list of faults as docs/sandbox.md explains; `POST /_sandbox/faults` "
        "changes it while the sandbox serves",
    )
    parse.add_argument("--port", type=int, default=0, help="port to listen on (0: a free one)")
    parse.add_argument(
        "--until-eof",
        action="store_true",
        help="stop also when standard input ends: on a pipe it cannot outlive its starter",
    )
    data = parse.add_argument_group("the site", "what it holds; fixed once it serves")
    switches = parse.add_argument_group("switches", "how it behaves; they may be changed over the control as well")
    for field in dataclasses.fields(Settings):
        if field.name == "clock":
            continue
        default = {} if field.name == "max_per_page" else field.default
        kind: dict[str, Any] = {"type": type(default)} if type(default) in (int, float) else {}
        if isinstance(default, bool):
            kind = {"action": argparse.BooleanOptionalAction}
        elif field.name in CHOICES:
            kind = {"choices": CHOICES[field.name]}
        elif field.name == "auth":
            kind = {"type": lambda text: tuple(part.strip().upper() for part in text.split(","))}
        elif field.name == "max_per_page":
            kind = {"type": _pairs}
        if "action" not in kind and "choices" not in kind:
            kind["metavar"] = _metavar(field.name, default)
        shown = (
            "" if default in (None, "", {}) else f" [{','.join(default) if isinstance(default, tuple) else default}]"
        )
        help_text = (field.metadata["help"] + shown).replace("%", "%%")
        group = data if is_fixed(field.name) else switches
        group.add_argument(f"--{field.name.replace('_', '-')}", default=argparse.SUPPRESS, help=help_text, **kind)
    return parse


def _metavar(name: str, default: object) -> str:
    """What stands for the value in the help: the unit where there is one."""
    if name.endswith("_share") or name == "churn":
        return "SHARE"
    if isinstance(default, float) and name not in ("replies", "clock_speed"):
        return "SECONDS"
    return "N" if isinstance(default, int | float) else "TEXT"


def _pairs(text: str) -> dict[str, int]:
    return {name.strip(): int(count) for name, _, count in (part.partition("=") for part in text.split(","))}


def _faults(path: str) -> list[Fault]:
    """The plan in a file. ValueError that names the file and the place in it."""
    try:
        return plan_from_json(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"--faults {path}: {error.strerror}") from error
    except ValueError as error:
        raise ValueError(f"--faults {path}: {error}") from error


def _await_end_of_input(stop: threading.Event) -> None:
    while os.read(sys.stdin.fileno(), 65_536):  # past Python's buffer, whose lock must be free when the process ends
        pass
    stop.set()


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until a signal. Returns 0; 1 when the sandbox, a script or a fault failed while serving; 2 when settings or
    plan make no sense or the port is taken."""
    given = vars(parser().parse_args(arguments))
    demo, port, until_eof, plan = (given.pop(name) for name in ("demo", "port", "until_eof", "faults"))
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        faults = _faults(plan) if plan else []
        sandbox = Sandbox(dataclasses.replace(DEMO if demo else Settings(), **given), port=port, faults=faults)
        sandbox.start()
    except (ValueError, TypeError, OSError, OverflowError) as error:
        print(f"sandbox: {error}", file=sys.stderr)
        return 2
    known = sandbox.credentials
    line = {
        "url": sandbox.url,
        "key": known.key,
        "secret": known.secret,
        "token": known.token,
        "token_secret": known.token_secret,
    }
    sys.stdout.buffer.write(orjson.dumps(line | {"control": f"{sandbox.url}{PREFIX}"}) + b"\n")
    sys.stdout.flush()
    if until_eof:
        threading.Thread(target=_await_end_of_input, args=(stop,), daemon=True).start()
    stop.wait()
    sandbox.stop()
    if failed := sandbox.failed():
        print(failed[0], file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
