"""``python -m connector_core.testing.faults UPSTREAM --plan FILE``: stands before a server of yours and breaks its
answers, for clients in any language."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from connector_core.testing.faults import FaultFront, plan_from_json


def parser() -> argparse.ArgumentParser:
    """The options of the command."""
    parse = argparse.ArgumentParser(
        prog="python -m connector_core.testing.faults",
        description="Forwards every request to UPSTREAM and breaks the answers that the plan names. Prints its own "
        "address, then one line for each request that met a fault, until SIGTERM or SIGINT.",
    )
    parse.add_argument("upstream", metavar="UPSTREAM", help="the server to stand before, http://host:port")
    parse.add_argument("--plan", metavar="FILE", required=True, help="a JSON list of faults (docs/sandbox.md)")
    parse.add_argument("--port", type=int, default=0, help="port to listen on (0: a free one)")
    return parse


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until a signal. Returns 0; 1 when a fault did not fit the answer it met; 2 when the plan or an address make
    no sense."""
    given = parser().parse_args(arguments)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        front = FaultFront(
            given.upstream, plan_from_json(Path(given.plan).read_text("utf-8")), port=given.port, keep=1000
        )
        front.__enter__()
    except (OSError, ValueError) as error:
        print(f"faults: {error}", file=sys.stderr)
        return 2
    print(front.url, flush=True)
    told = 0
    while not stop.wait(0.1):
        told = _tell(front, told)
    _tell(front, told)
    front.close()
    for failed in front.errors:
        print(f"faults: {failed}", file=sys.stderr)
    return 1 if front.errors else 0


def _tell(front: FaultFront, told: int) -> int:
    """Prints the hits of requests after the one of that number; gives the number of the last."""
    for hit in front.hits:
        if hit.request.number > told:
            kinds = ", ".join(type(action).__name__ for action in hit.fault.actions)
            print(f"request {hit.request.number} {hit.request.line}: {kinds}", flush=True)
    return max([told, *(hit.request.number for hit in front.hits)])


if __name__ == "__main__":
    sys.exit(main())
