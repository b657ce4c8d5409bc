"""Runs the connector-core command in forked processes: real processes that can be killed, without paying the imports
each time.

`python -m tests.support.zygote` imports the engine once (no thread, no file opened), then reads one JSON request per
line and answers one JSON line each. `Zygote` is the other end.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[2]
IMPORTED = (
    "connector_core.pipeline",
    "connector_core.cli.run",
    "connector_core.cli.progress",
    "connector_core.cli.report",
    "connector_core.rest",
    "connector_desk",
    "connector_duckdb",
    "duckdb",
    "jsonschema",
    "requests_oauthlib",
    "rich.table",
)


@dataclass(frozen=True)
class Ended:
    """How one run of the command ended: its exit code (None when a signal ended it), what it printed, and the most
    memory that it had resident at a time (bytes; a new process begins with some 100 MB of modules)."""

    code: int | None
    signal: int | None
    seconds: float
    output: str
    peak: int

    @property
    def killed(self) -> bool:
        """Whether SIGKILL ended it."""
        return self.signal == signal.SIGKILL


class Zygote:
    """A process that forks runs of the command; use it as a context manager. `more` are modules that are imported
    once."""

    def __init__(self, *more: str) -> None:
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([*sys.path, str(ROOT / "tests" / "support" / "site")]),
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.zygote", *more],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._process.communicate(timeout=20)

    def run(
        self,
        arguments: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        kill_after: float | None = None,
        kill_at: tuple[str, int] | None = None,
        trace: Path | None = None,
        signals: Sequence[tuple[float, int]] = (),
        limit: float = 60.0,
    ) -> Ended:
        """Run the command once.

        `kill_after` seconds, or `kill_at` the n-th time (from 1) that a seam is passed, the process gets SIGKILL;
        `signals` are sent after so many seconds; `trace` collects the names of the seams. More than `limit` seconds
        is an error.
        """
        output = cwd / "output.txt"
        output.write_bytes(b"")  # a process may be killed before it has said anything
        request = {
            "arguments": list(arguments),
            "cwd": str(cwd),
            "env": dict(env),
            "output": str(output),
            "limit": limit,
            "kill_after": kill_after,
            "kill_at": kill_at,
            "trace": str(trace) if trace else None,
            "signals": list(signals),
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        if answer["late"]:
            raise AssertionError(f"the command did not end within {limit} s:\n{output.read_text()}")
        text = output.read_text(errors="replace")
        return Ended(answer["code"], answer["signal"], answer["seconds"], text, answer["peak"])


def _child(request: Mapping[str, Any]) -> None:
    os.chdir(request["cwd"])
    os.environ.update(request["env"])
    output = os.open(request["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    _listen(request["kill_at"], request["trace"])
    sys.argv = ["connector-core", *request["arguments"]]
    code = 0
    try:
        from connector_core.__main__ import main

        code = main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        import traceback

        traceback.print_exc()
        code = 99
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _listen(kill_at: Sequence[Any] | None, trace: str | None) -> None:
    passed: dict[str, int] = {}
    record = open(trace, "a", buffering=1) if trace else None  # noqa: PTH123, SIM115 - lives as long as the process

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event != "connector_core.seam":
            return
        name = arguments[0]
        passed[name] = passed.get(name, 0) + 1
        if record:
            record.write(name + "\n")
        if kill_at and [name, passed[name]] == list(kill_at):
            os.kill(os.getpid(), signal.SIGKILL)

    if kill_at or trace:
        sys.addaudithook(hook)


def _wait(pid: int, request: Mapping[str, Any]) -> dict[str, Any]:
    began = time.monotonic()
    due = sorted([(after, number) for after, number in request["signals"]])
    if request["kill_after"] is not None:
        due.append((request["kill_after"], signal.SIGKILL))
    late = False
    while True:
        done, status, used = os.wait4(pid, os.WNOHANG)
        now = time.monotonic() - began
        if done:
            code = os.waitstatus_to_exitcode(status)
            return {
                "code": code if code >= 0 else None,
                "signal": -code if code < 0 else None,
                "seconds": now,
                "peak": used.ru_maxrss * 1024,
                "late": late,
            }
        while due and now >= due[0][0]:
            os.kill(pid, due.pop(0)[1])
        if now > request["limit"]:
            os.kill(pid, signal.SIGKILL)
            late = True
        time.sleep(0.001)


def serve() -> None:
    """Answer requests until standard input ends."""
    for name in (*IMPORTED, *sys.argv[1:]):
        importlib.import_module(name)
    print("ready", flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _child(request)
        print(json.dumps(_wait(pid, request)), flush=True)


if __name__ == "__main__":
    serve()
