"""One pass of a tap over one stream: its messages, put together to pages.

A page ends with the last STATE in it, and then its `state` covers it; only when there is none among many records, or
the tap is quiet, a page ends without. What comes after that STATE begins the next page.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from connector_core.errors import ConnectorError, Evidence, SourceError
from connector_core.parse import UnreadablePage, page
from connector_core.streams import Page

from .catalog import Entry
from .process import Nothing, Tap

log = logging.getLogger(__name__)

PAGE_RECORDS: Final = 5_000
PAGE_BYTES: Final = 1024 * 1024
PATIENCE: Final = 1.0
"""Seconds after which a page ends, whatever is in it: the engine has to see that the run was stopped."""

STATE, VERSION = "state", "table_version"


class Token(NamedTuple):
    """Names a page: how many pages, and how many lines of the tap's output, come before it."""

    page: int
    lines: int


class Read(NamedTuple):
    """A record that was read, and the bytes of its line."""

    record: Any
    size: int


class Pass:
    """Reads `entry`'s stream from `tap`; `before` is what the last run has committed, `token` names the next page."""

    def __init__(self, tap: Tap, entry: Entry, before: Mapping[str, Any] | None) -> None:
        self.tap, self.token = tap, Token(0, 0)
        self._entry, self._before = entry, before
        self._held: list[Read] = []
        self._state: Mapping[str, Any] | None = None
        self._described = self._given = self._ended = False
        self._version: int | None = None
        self._activated: int | None = None
        self._strangers: set[str] = set()
        self._trouble: ConnectorError | None = None

    def skip(self, token: Token) -> None:
        """Read up to the page of this token and forget the records before it: it is asked for again."""
        while self.tap.lines < token.lines and self._message(time.monotonic() + PATIENCE):
            self._held.clear()
        self._state, self.token = None, token

    def page(self) -> Page:
        """The next page. Raises `SourceError` once everything that came before the trouble was given."""
        if self._trouble is not None:
            raise self._trouble
        covered, state, at = 0, None, 0
        until = time.monotonic() + PATIENCE
        size = sum(read.size for read in self._held)
        count = len(self._held)
        try:
            while size < PAGE_BYTES and count < PAGE_RECORDS and self._message(until):
                if len(self._held) > count:
                    count, size = len(self._held), size + self._held[-1].size
                elif self._state is not None:
                    covered, state, at, self._state = count, self._state, self.tap.lines, None
        except SourceError as error:
            self._trouble = error
            if not self._held and state is None:
                raise
        if state is None:
            covered, at = len(self._held), self.tap.lines
        given, self._held = self._held[:covered], self._held[covered:]
        if given or self._replaces:
            self._given = True
        self.token = Token(self.token.page + 1, at)
        over = self._ended and not self._held and self._trouble is None
        return Page(
            records=[read.record for read in given],
            next=None if over else self.token,
            size=sum(read.size for read in given),
            url=self.tap.name,
            requests=0,
            state=state if self._entry.stream.stateful else None,
            replaces=self._replaces,
        )

    def _message(self, until: float) -> bool:
        """Take the next line; False when there is none."""
        line = self.tap.line(until)
        if line is Nothing.YET:
            return False
        if line is Nothing.MORE:
            self._end()
            return False
        if line.strip():
            self._take(line)
        return True

    def _end(self) -> None:
        """The output is at its end, and so is the process."""
        if code := self.tap.exit_code:
            told = f": {words}" if (words := self.tap.last_words) else ""
            how = f"ended with exit code {code}" if code > 0 else f"was ended by signal {-code}"
            raise self.tap.failed(f"the tap {self.tap.name} {how}{told}")
        if self._version is not None and self._activated != self._version and (self._replaces or not self._stateful):
            raise SourceError(
                f"the tap ended without ACTIVATE_VERSION for version {self._version} of the table",
                hint="the pass is not complete, nothing was replaced; look at the tap's log",
                code="tap_version",
            )
        self._ended = True

    # --- messages

    def _take(self, line: bytes) -> None:
        message = self._parsed(line)
        kind, stream = message.get("type"), message.get("stream")
        if kind == "STATE":
            version = self._known if self._version is None else self._version
            self._state = {STATE: message.get("value"), **({} if version is None else {VERSION: version})}
        elif kind not in ("RECORD", "SCHEMA", "ACTIVATE_VERSION"):
            if kind == "BATCH":
                raise self._wrong("sends records in files (BATCH)", line, "turn batches off in the tap's settings")
            raise self._wrong("writes what is no message of Singer", line)
        elif stream not in self._entry.names:
            self._stranger(str(stream))
        elif kind == "SCHEMA":
            self._schema(message, line)
        elif not self._described:
            raise self._wrong(f"sends a {kind} before its SCHEMA", line)
        elif kind == "ACTIVATE_VERSION":
            self._activated = self._seen_version(message.get("version"), line)
        elif "record" not in message:
            raise self._wrong("sends a RECORD without record", line)
        else:
            if message.get("version") is not None:
                self._seen_version(message["version"], line)
            self._held.append(Read(message["record"], len(line)))

    def _parsed(self, line: bytes) -> Mapping[str, Any]:
        try:
            message = page(line)
        except UnreadablePage:
            message = None
        if not isinstance(message, dict):
            raise self._wrong("writes what is no JSON object", line)
        return message

    def _schema(self, message: Mapping[str, Any], line: bytes) -> None:
        keys = tuple(message.get("key_properties") or ())
        own = self._entry.stream.primary_key
        if set(keys) != set(own) and not self._entry.choice.primary_key:
            told, known = (", ".join(map(str, one)) or "no properties" for one in (keys, own))
            raise self._wrong(
                f"says that the primary key is {told}, and has discovered {known}",
                line,
                "set primary_key for the stream",
            )
        self._described = True

    def _stranger(self, stream: str) -> None:
        if stream not in self._strangers:
            self._strangers.add(stream)
            log.info("messages of stream %s come along and are left out", stream, extra={"stream": self._entry.name})

    # --- versions of a table

    @property
    def _stateful(self) -> bool:
        return self._entry.stream.stateful

    @property
    def _replaces(self) -> bool:
        """Whether the table version is another one than that of the last run: what is stored has to go. The first one
        that a tap ever tells is that of the rows which it has sent before."""
        return self._stateful and None not in (self._version, self._known) and self._version != self._known

    @property
    def _known(self) -> int | None:
        return (self._before or {}).get(VERSION)

    def _seen_version(self, version: Any, line: bytes) -> int:
        if type(version) is not int:
            raise self._wrong("sends a version that is no whole number", line)
        if self._version is None or self._version == version:
            fresh, self._version = self._version is None, version
            if not (fresh and self._replaces and self._given):
                return version
        raise SourceError(
            f"the tap changed the version of the table to {version} in the middle of a pass",
            hint="run again: the next pass begins with that version",
            code="tap_version",
        )

    # --- trouble

    def _wrong(self, what: str, line: bytes, hint: str = "") -> SourceError:
        return SourceError(
            f"the tap {self.tap.name} {what}, in line {self.tap.lines} of its output",
            hint=hint or "a tap writes messages to standard output and nothing else: tell its author",
            code="tap_output",
        ).showing(Evidence(kind="tap's output", text=line))
