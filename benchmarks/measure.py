"""Runs one command and says what it cost: wall seconds, CPU seconds, memory of all its processes, noise of the machine.

Linux only: the figures come from /proc.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
TICK = 1 / os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
MIB = 1 << 20
MB = 1_000_000
SAMPLE = 0.02  # seconds between two looks at the memory
CORES = os.cpu_count() or 1


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one command cost.

    `cpu` is user + system of the command and all descendants it waited for, as the kernel counts. `peak` is the
    greatest sum of resident memory over its processes at one instant, `largest` the high-water mark of the largest of
    them, both in bytes; pages that processes share count for each. `servers` is the CPU time of the servers that it
    talked to; `noise` the share of the machine's cores that others used meanwhile.
    """

    code: int
    wall: float
    cpu: float
    peak: int
    largest: int
    processes: int
    servers: float
    noise: float


def cost(
    command: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    log: Path,
    seconds: float,
    servers: Sequence[int] = (),
) -> Cost:
    """Run a command to its end, or for so many seconds (then it is killed with all its processes). Its output is
    appended to `log`. `servers` are sessions of other processes that work for it.
    """
    with log.open("ab") as out:
        others, served, begun = _busy(), _worked(servers), time.monotonic()
        child = subprocess.Popen(
            command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        )
        watch = _Watch(child.pid)
        watch.start()
        alarm = threading.Timer(seconds, _kill, [child.pid])
        alarm.start()
        try:
            _, status, used = os.wait4(child.pid, 0)
        except BaseException:
            _kill(child.pid)
            raise
        finally:
            alarm.cancel()
            watch.done.set()
        wall = time.monotonic() - begun
        child.returncode = os.waitstatus_to_exitcode(status)
    watch.join()
    cpu = used.ru_utime + used.ru_stime
    served = _worked(servers) - served
    noise = max(0.0, _busy() - others - cpu - served) / (wall * CORES)
    return Cost(
        code=child.returncode,
        wall=wall,
        cpu=cpu,
        peak=max(watch.peak, watch.largest),
        largest=watch.largest,
        processes=watch.most,
        servers=served,
        noise=noise,
    )


def wait_until_calm(seconds: float, *, share: float = 0.15) -> None:
    """Wait, at most so long, until for two seconds others used less than this share of the machine."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        busy, begun = _busy(), time.monotonic()
        time.sleep(2)
        if (_busy() - busy) / (time.monotonic() - begun) / CORES < share:
            return


class _Watch(threading.Thread):
    """Looks at the memory of a session's processes until `done` is set."""

    def __init__(self, session: int) -> None:
        super().__init__(daemon=True)
        self._session = str(session)
        self.done = threading.Event()
        self.peak = self.largest = self.most = 0

    def run(self) -> None:
        while not self.done.wait(SAMPLE):
            total = count = 0
            for pid in (name for name in os.listdir(PROC) if name.isdigit()):  # noqa: PTH208 - names only, 50 times a second
                try:
                    fields = (PROC / pid / "stat").read_text().rpartition(")")[2].split()
                    if fields[3] != self._session:
                        continue
                    total += int(fields[21]) * PAGE
                    count += 1
                    self.largest = max(self.largest, _high_water(pid))
                except OSError:  # it has ended meanwhile
                    continue
            self.peak, self.most = max(self.peak, total), max(self.most, count)


def _high_water(pid: str) -> int:
    """The most memory that a process ever had resident, in bytes."""
    for line in (PROC / pid / "status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0  # a process that has just ended has no memory


def _worked(sessions: Sequence[int]) -> float:
    """CPU seconds of all processes of these sessions, and of those that have ended."""
    wanted, ticks = set(map(str, sessions)), 0
    for stat in PROC.glob("[0-9]*/stat") if wanted else ():
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended meanwhile
            continue
        if fields[3] in wanted:
            ticks += sum(map(int, fields[11:15]))
    return ticks * TICK


def _busy() -> float:
    """CPU seconds that the whole machine has worked since it started."""
    fields = [int(field) for field in (PROC / "stat").read_text().split("\n", 1)[0].split()[1:9]]
    idle, waiting = fields[3], fields[4]
    return (sum(fields) - idle - waiting) * TICK


def _kill(session: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(session, signal.SIGKILL)
