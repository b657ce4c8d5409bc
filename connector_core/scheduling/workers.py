"""Workers of the daemon: one process for each run, so that a crash or a hungry run hurts nobody else."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from connector_core.clock import Clock
from connector_core.config import Connector


class ProcessWorker:
    """A process that runs one slot. What it says on standard output, one JSON object a line, is for the scheduler:
    `{"waiting": seconds}`, and at its end `{"report": {...}}`; its standard error is the daemon's own."""

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        clock: Clock,
        wake: threading.Event,
        ended: Callable[[Mapping[str, Any]], None],
    ) -> None:
        self._clock, self._wake, self._report = clock, wake, ended
        self._waits_until = 0.0
        self._code: int | None = None
        self._process = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the daemon, which tells its workers
        )
        assert self._process.stdout is not None  # noqa: S101 - it was asked for
        listener = threading.Thread(target=self._listen, args=(self._process.stdout,), name="worker", daemon=True)
        listener.start()

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    def ended(self) -> int | None:
        """Its exit code (below zero: the signal that ended it); None while it lives."""
        return self._code

    def waiting(self) -> bool:
        """Whether it waits for its source's limit."""
        return self._clock.monotonic() < self._waits_until

    def stop(self) -> None:
        """SIGTERM."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL; SIGTERM where there is none."""
        self._signal(getattr(signal, "SIGKILL", signal.SIGTERM))

    def _signal(self, number: int) -> None:
        if self._code is None:
            self._process.send_signal(number)

    def _listen(self, output: IO[bytes]) -> None:
        with output:
            for line in output:
                told = _told(line)
                if "waiting" in told:
                    self._waits_until = self._clock.monotonic() + float(told["waiting"])
                    self._wake.set()
                if "report" in told:
                    self._report(told["report"])
        self._code = self._process.wait()
        self._wake.set()


def command(config: Path, connector: Connector, slot: datetime, *, debug: bool) -> list[str]:
    """The command line of the process that runs this slot."""
    options = ["--debug"] if debug else []
    module = [sys.executable, "-m", "connector_core.cli.worker"]
    return [*module, *options, os.fspath(config), connector.key, slot.isoformat()]


def _told(line: bytes) -> Mapping[str, Any]:
    """What a line says; nothing, when it is none of ours: a plugin may print."""
    try:
        told = json.loads(line)
    except ValueError:
        return {}
    return told if isinstance(told, dict) and told.keys() in ({"waiting"}, {"report"}) else {}
