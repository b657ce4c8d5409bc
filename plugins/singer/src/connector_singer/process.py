"""A tap as a process: started in a group of its own, read line by line as fast as the pipeline takes it, and ended."""

from __future__ import annotations

import contextlib
import enum
import json
import logging
import os
import queue
import re
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from typing import IO, Final

from connector_core.errors import Evidence, SourceError

log = logging.getLogger(__name__)

CHUNK: Final = 64 * 1024
CHUNKS: Final = 16
"""How many chunks of output wait at most; then the tap has to wait."""
LONGEST_LINE: Final = 64 * 1024 * 1024
KEPT_LINES: Final = 40
"""Lines of what a tap said last, for the error when it fails."""
GRACE: Final = 3.0
"""Seconds that a tap has to end by itself."""

_LEVELS: Final = {
    "DEBUG": logging.DEBUG,
    "INFO": logging.INFO,
    "WARNING": logging.WARNING,
    "WARN": logging.WARNING,
    "ERROR": logging.ERROR,
    "CRITICAL": logging.CRITICAL,
    "FATAL": logging.CRITICAL,
}
_LEVEL: Final = re.compile(rf"\b({'|'.join(_LEVELS)})\b")
_METRIC: Final = re.compile(r"METRIC:?\s*(\{.*\})\s*$")


class Nothing(enum.Enum):
    """Why there is no line."""

    YET = enum.auto()
    MORE = enum.auto()


class Tap:
    """A running tap. `lines` counts those that were read. Raises `SourceError` when it cannot be started."""

    def __init__(self, command: Sequence[str], *, name: str, stream: str | None, silence: float) -> None:
        self.name, self.lines = name, 0
        self._stream, self._silence = stream, silence
        self._chunks: queue.Queue[bytes] = queue.Queue(maxsize=CHUNKS)
        self._waiting: deque[bytes] = deque()
        self._rest = b""
        self._said: deque[str] = deque(maxlen=KEPT_LINES)
        self._heard = time.monotonic()
        self._idle_since: float | None = None
        self._over = threading.Event()
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,
            )
        except OSError as error:
            raise SourceError(
                f"the tap {name} cannot be started: {error.strerror or error}",
                hint="look at the file and its rights, and at the first line of a script",
                code="tap_start",
            ) from error
        assert self._process.stdout is not None  # noqa: S101 - they are pipes
        assert self._process.stderr is not None  # noqa: S101
        self._threads = [
            threading.Thread(target=work, args=(pipe,), name=f"tap {name} {what}", daemon=True)
            for work, pipe, what in (
                (self._take_output, self._process.stdout, "output"),
                (self._take_log, self._process.stderr, "log"),
            )
        ]
        for thread in self._threads:
            thread.start()

    def line(self, until: float) -> bytes | Nothing:
        """The next line of output, without its end; or that there is none yet at the monotonic instant `until`, or that
        no more will come: then `exit_code` is known. Raises `SourceError` for a tap that has been silent too long."""
        while not self._waiting:
            chunk = self._next(until)
            if chunk is None:
                return Nothing.YET
            if not chunk:
                return self._end_of_output(until)
            *whole, rest = chunk.split(b"\n")
            if whole:
                self._waiting.append(self._rest + whole[0])
                self._waiting.extend(whole[1:])
                self._rest = rest
            else:
                self._rest += rest
                if len(self._rest) > LONGEST_LINE:
                    raise SourceError(
                        f"the tap {self.name} wrote a line of more than {LONGEST_LINE:,} bytes",
                        hint="a line is one message; look at what the tap writes to standard output",
                        code="tap_output",
                    )
        self.lines += 1
        return self._waiting.popleft()

    @property
    def exit_code(self) -> int | None:
        """How the process has ended; None while it runs."""
        return self._process.poll()

    def failed(self, what: str) -> SourceError:
        """The error for a tap that has failed, with what it said last."""
        hint = "look at what the tap said last (connector-core logs), and at its settings"
        return SourceError(what, hint=hint, code="tap_failed").showing(self._evidence)

    @property
    def _evidence(self) -> Evidence | None:
        return Evidence(kind="tap's log", text="\n".join(self._said)) if self._said else None

    @property
    def last_words(self) -> str:
        """What it said last, its last complaint if it had one."""
        bad = [line for line in self._said if _level(line) >= logging.ERROR]
        spoken = [line for line in self._said if line.strip() and not line.startswith((" ", "\t"))]
        return next(reversed(bad or spoken), "").strip()[:300]

    # --- waiting

    def _next(self, until: float) -> bytes | None:
        """The next piece of output: empty at its end, None when none has come until then."""
        try:
            chunk = self._chunks.get_nowait()
        except queue.Empty:
            now = time.monotonic()
            self._idle_since = now if self._idle_since is None else self._idle_since
            quiet = now - max(self._heard, self._idle_since)
            if quiet >= self._silence:
                raise self._silent() from None
            try:
                chunk = self._chunks.get(timeout=max(0.001, min(until - now, self._silence - quiet)))
            except queue.Empty:
                return None
        self._idle_since = None
        return chunk

    def _end_of_output(self, until: float) -> bytes | Nothing:
        self._chunks.put(b"")  # so that the next call finds the end again
        if self._rest:
            self._waiting.append(self._rest)
            self._rest = b""
            return self.line(until)
        try:
            self._process.wait(max(0.001, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            now = time.monotonic()
            self._idle_since = now if self._idle_since is None else self._idle_since
            if now - self._heard >= self._silence:
                raise self._silent() from None
            return Nothing.YET
        self._threads[1].join(1.0)  # what it said last
        return Nothing.MORE

    def _silent(self) -> SourceError:
        return SourceError(
            f"the tap {self.name} has said nothing for {self._silence:g} seconds",
            hint="it was ended; look at its source, or raise silence_seconds",
            code="tap_silent",
        ).showing(self._evidence)

    # --- threads

    def _take_output(self, pipe: IO[bytes]) -> None:
        with contextlib.suppress(OSError, ValueError):  # the pipe was closed
            while chunk := pipe.read(CHUNK):
                self._heard = time.monotonic()
                if not self._put(chunk):
                    return
        self._put(b"")

    def _put(self, chunk: bytes) -> bool:
        """Wait for room; False when the tap was ended meanwhile."""
        while not self._over.is_set():
            try:
                self._chunks.put(chunk, timeout=0.2)
                return True
            except queue.Full:
                continue
        return False

    def _take_log(self, pipe: IO[bytes]) -> None:
        with contextlib.suppress(OSError, ValueError):
            rest = b""
            while chunk := pipe.read(CHUNK):
                self._heard = time.monotonic()
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    self._hear(line)
                if len(rest) > CHUNK:
                    self._hear(rest)
                    rest = b""
            if rest:
                self._hear(rest)

    def _hear(self, raw: bytes) -> None:
        text = raw.decode("utf-8", "backslashreplace").rstrip()
        if not text:
            return
        self._said.append(text)
        log.log(_level(text), "%s", _metric(text) or text, extra={"stream": self._stream})

    # --- the end

    def ask_to_end(self) -> None:
        """Tell the whole group to end."""
        self._over.set()
        self._signal(signal.SIGTERM)

    def end(self, until: float) -> None:
        """Wait for the end until then, and enforce it."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(max(0.001, until - time.monotonic()))
        self._signal(getattr(signal, "SIGKILL", signal.SIGTERM))
        self._process.wait()
        for thread in self._threads:
            thread.join(1.0)
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.name == "posix":
                os.killpg(self._process.pid, number)
            else:
                self._process.terminate()


def end_all(taps: Iterable[Tap]) -> None:
    """End these taps, and whatever they have started."""
    ending = list(taps)
    for tap in ending:
        tap.ask_to_end()
    until = time.monotonic() + GRACE
    for tap in ending:
        tap.end(until)


def _level(line: str) -> int:
    """How grave a line of a tap's log is, by the first level that it names near its beginning."""
    found = _LEVEL.search(line[:80])
    return _LEVELS[found[1]] if found else logging.INFO


def _metric(line: str) -> str | None:
    """A metric in words: `metric record_count 120 (endpoint orders)`; None when it is none."""
    found = _METRIC.search(line)
    try:
        metric = json.loads(found[1]) if found else None
    except ValueError:
        return None
    if not isinstance(metric, dict) or "metric" not in metric:
        return None
    tags = metric.get("tags")
    told = ", ".join(f"{name} {value}" for name, value in tags.items()) if isinstance(tags, dict) else ""
    return f"metric {metric['metric']} {metric.get('value')}{f' ({told})' if told else ''}"
