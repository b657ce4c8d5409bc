"""A `logging` handler whose lines end up in the ledger and never in the run's way."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from connector_core.ledger.runs import LogLine
from connector_core.redact import message

if TYPE_CHECKING:
    from connector_core.ledger.ledger import Ledger

_FLUSH_SECONDS = 1.0
_MOST_LINES = 10_000
_MOST_CHARACTERS = 8_192

COMPONENTS = {
    **dict.fromkeys(("budget", "children", "extraction", "fetch", "rest"), "source"),
    **dict.fromkeys(("evolve", "loading", "staging", "write"), "destination"),
    **dict.fromkeys(("hooks", "pipeline", "run"), "engine"),
}
"""Who speaks, by the first part of a logger's name."""


class LedgerHandler(logging.Handler):
    """Keeps log lines and writes them to the ledger at least each second, at `flush` and at `close`.

    Lines are redacted and printable when they arrive in the ledger. `record.component` (an `extra`), else what
    `speakers` (by package) and `COMPONENTS` say of the logger, else its name, is the component; `record.stream` the
    stream. Never raises into the run: while the ledger cannot be written (a full disk, another writer) lines wait, at
    most 10,000 of them; how many were given up is said in a line of its own. A line longer than 8,192 characters is
    cut, and says so.
    """

    def __init__(
        self,
        ledger: Ledger,
        run_id: str | None,
        level: int = logging.INFO,
        *,
        speakers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(level)
        self._speakers = speakers or {}
        self._ledger = ledger
        self._run_id = run_id
        self._waiting: deque[LogLine] = deque()
        self._given_up = 0
        self._guard = (
            threading.Lock()
        )  # of the two above; the handler's own lock is held by logging while it calls close
        self._writing = threading.Lock()
        self._ended = threading.Event()
        self._writer = threading.Thread(target=self._write_each_second, name="ledger log", daemon=True)
        self._writer.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the line; the disk is not touched here."""
        if record.name.startswith("sqlalchemy"):  # writing lines must not make lines
            return
        try:
            text = self.format(record)
        except Exception:  # not handleError: it would print the arguments, secrets among them
            text = message(record)
        text = self._ledger.clean(text)  # before it is cut: no piece of a secret may stay
        if len(text) > _MOST_CHARACTERS:
            text = f"{text[:_MOST_CHARACTERS]}... ({len(text) - _MOST_CHARACTERS} more characters)"
        line = LogLine(
            at=self._ledger.now(),
            component=str(getattr(record, "component", None) or self._speaker(record.name)),
            level=record.levelname,
            text=text,
            stream=getattr(record, "stream", None),
        )
        with self._guard:
            self._waiting.append(line)
            self._keep_to_limit()

    def _speaker(self, logger: str) -> str:
        known = self._speakers.get(logger.partition(".")[0])
        module = logger.removeprefix("connector_core.").partition(".")[0]
        return known or COMPONENTS.get(module, module)

    def flush(self) -> None:
        """Write what waits; when that fails it goes on waiting."""
        with self._writing:
            with self._guard:
                taken, self._waiting = self._waiting, deque()
                given_up, self._given_up = self._given_up, 0
            told = [self._told(given_up, taken[0].at)] if given_up else []
            if not taken:
                return
            try:
                self._ledger.log(self._run_id, [*told, *taken])
            except Exception:  # whatever it is: lines wait, the run goes on
                with self._guard:
                    self._given_up += given_up
                    self._waiting.extendleft(reversed(taken))
                    self._keep_to_limit()

    def close(self) -> None:
        """Write what waits and end the writer."""
        self._ended.set()
        self._writer.join()
        self.flush()
        super().close()

    def _told(self, given_up: int, at: datetime) -> LogLine:
        text = f"{given_up} log lines were given up, the ledger could not be written"
        return LogLine(at=at, component="ledger", level="WARNING", text=text)

    def _keep_to_limit(self) -> None:
        while len(self._waiting) > _MOST_LINES:
            self._waiting.popleft()
            self._given_up += 1

    def _write_each_second(self) -> None:
        while not self._ended.wait(_FLUSH_SECONDS):
            self.flush()
