"""Loads in processes of their own, which are killed at a chosen instant: real crashes, at the price of a fork.

`python -m connector_core.testing.child MODULE ...` imports the modules once, then forks a process for each request it
reads and tells how that ended; `Processes` is the other end. Needs a POSIX system.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import pickle
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Self

from connector_core.batch import Batch
from connector_core.testing.instants import listening

READY = b"ready\n"


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a process does: connect, then claim (without a batch) or load the batch.

    It is killed when it first passes the seam `kill_at`, or `kill_after` seconds after it has begun. `destination` is
    the plugin object, or the name of the module that is one.
    """

    destination: Any
    config: Mapping[str, Any]
    namespace: str
    connector: str
    batch: Batch | None
    kill_at: str | None = None
    kill_after: float | None = None


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a process ended: killed or not, the seams it had passed, how long it took (seconds), and what it raised."""

    killed: bool
    seams: tuple[str, ...]
    seconds: float
    error: str


class Processes:
    """Starts processes for one destination; use it as a context manager. `preload` are modules that each of them would
    import anew otherwise."""

    def __init__(self, destination: Any, config: Mapping[str, Any], *, connector: str, preload: Iterable[str]) -> None:
        is_module = isinstance(destination, ModuleType)
        self._destination = destination.__name__ if is_module else destination
        self._config, self._connector = config, connector
        home = destination.__name__ if is_module else type(destination).__module__
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, home, *preload],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        if self._output.readline() != READY:
            raise RuntimeError(f"no process could be started: a module among {[home, *preload]} cannot be imported")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._process.communicate(timeout=20)

    @property
    def _output(self) -> Any:
        return self._process.stdout

    def run(
        self, namespace: str, batch: Batch | None, *, kill_at: str | None = None, kill_after: float | None = None
    ) -> Ended:
        """Claim or load in a process of its own, see `Work`."""
        work = Work(
            destination=self._destination,
            config=self._config,
            namespace=namespace,
            connector=self._connector,
            batch=batch,
            kill_at=kill_at,
            kill_after=kill_after,
        )
        if self._process.stdin is None:
            raise RuntimeError("the process has no standard input")
        pickle.dump(work, self._process.stdin)
        self._process.stdin.flush()
        answer: Ended = pickle.load(self._output)  # noqa: S301 - our own process wrote it
        return answer


def _child(work: Work, pipe: int) -> None:
    from connector_core.testing.warehouse import hooks_of

    def heard(name: str) -> None:
        os.write(pipe, f"seam {name}\n".encode())
        if name == work.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    try:
        destination = work.destination
        hooks = hooks_of(importlib.import_module(destination) if isinstance(destination, str) else destination)
        with hooks.connect(work.config, work.namespace) as target, listening(heard):
            if work.batch is None:
                hooks.claim(target, work.connector, epoch=0, after=0)
            else:
                hooks.load(target, work.batch)
    except BaseException as error:
        os.write(pipe, f"error {type(error).__name__}: {error}".encode())
    finally:
        os._exit(0)  # nothing of the parent's must be tidied up twice


def _run(work: Work) -> Ended:
    read, write = os.pipe()
    began = time.monotonic()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        _child(work, write)
    os.close(write)
    told = b""
    deadline = None if work.kill_after is None else began + work.kill_after
    while True:
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        if not select.select([read], [], [], left)[0]:
            os.kill(pid, signal.SIGKILL)
            deadline = None
        elif piece := os.read(read, 65536):
            told += piece
        else:
            break
    os.close(read)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    seams, _, error = told.decode(errors="replace").partition("error ")
    return Ended(
        killed=status == -signal.SIGKILL,
        seams=tuple(line.removeprefix("seam ") for line in seams.splitlines()),
        seconds=time.monotonic() - began,
        error=error,
    )


def serve(modules: Iterable[str]) -> None:
    """Answer requests until standard input ends."""
    for name in ("connector_core.testing.warehouse", *modules):
        importlib.import_module(name)
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a destination prints must not get between the answers
    answers.write(READY)
    answers.flush()
    while True:
        try:
            work: Work = pickle.load(requests)  # noqa: S301 - our own process wrote it
        except EOFError:
            return
        pickle.dump(_run(work), answers)
        answers.flush()


if __name__ == "__main__":
    from connector_core.testing import child

    child.serve(sys.argv[1:])
