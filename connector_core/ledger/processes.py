"""Which process this is, and whether another one still lives."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Process:
    """A process for as long as it lives.

    `host` is for people. `machine` tells machine, boot and process numbering apart: only where it is equal does a pid
    mean anything. `started` distinguishes a process from a later one with the same pid; empty where the system does
    not tell.
    """

    host: str
    machine: str
    pid: int
    started: str

    @staticmethod
    def current() -> Process:
        """This process."""
        pid = os.getpid()
        return Process(host=socket.gethostname(), machine=_machine(), pid=pid, started=_state(pid)[1])

    def gone(self) -> bool:
        """Whether this process has surely ended. False for a process of another machine: nothing is known of it."""
        if self.machine != _machine() or os.name != "posix":
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            pass  # it lives and belongs to somebody else
        state, started = _state(self.pid)
        return state in ("Z", "X") or bool(started and self.started and started != self.started)


def _machine() -> str:
    """Boot and pid namespace on Linux (containers may share a host name), the host's name elsewhere."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        return f"{socket.gethostname()} {boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return socket.gethostname()


def _state(pid: int) -> tuple[str, str]:
    """State letter and start time (clock ticks since boot) as Linux gives them; empty texts elsewhere."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return "", ""
    after_name = stat[stat.rindex(")") + 2 :].split()  # the name may hold blanks and brackets
    return after_name[0], after_name[19]
