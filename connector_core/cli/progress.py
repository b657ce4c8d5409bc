"""What a run shows while it works: a live table on a terminal, plain lines anywhere else. Always to standard error."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import singledispatchmethod
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from connector_core.cli.output import counted
from connector_core.config.units import spoken
from connector_core.events import (
    BatchLoaded,
    Event,
    PageExtracted,
    ParentVanished,
    QuotaReached,
    RecordsRejected,
    RunStarted,
    SchemaChanged,
    StreamFinished,
    StreamStarted,
    Waiting,
    Warned,
)

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

Tell = Callable[[Event], None]

REASONS = {"rate_limit": "for the rate limit", "retry": "before it tries again"}
EVERY = 1.0
"""Seconds between two plain lines about one stream."""


@dataclass(kw_only=True)
class StreamProgress:
    """One stream so far. `read` records read, `total` the most that the source ever claimed, `rows` written by commits
    of this root stream, `started` and `ended` by the monotonic clock (seconds).

    `finished` records were read with all their children, at the instant `at`, by `asked` calls: when a page comes,
    those before it are finished. `calls` were made for the stream and its children."""

    name: str
    root: bool
    started: float
    read: int = 0
    total: int | None = None
    staged: int = 0
    rows: int = 0
    ended: float | None = None
    error: str | None = None
    printed: float = -EVERY
    made: list[str] = field(default_factory=list)
    vanished: int = 0
    calls: int = 0
    finished: int = 0
    asked: int = 0
    at: float = 0.0

    def page(self, records: int, now: float) -> None:
        """A page of the stream itself has come."""
        self.finished, self.asked, self.at = self.read, self.calls, now
        self.read += records
        self.calls += 1

    def rate(self, now: float) -> float:
        """Rows written a second."""
        seconds = (self.ended or now) - self.started
        return self.rows / seconds if seconds > 0 else 0.0

    def left(self, now: float) -> float | None:
        """Seconds until everything is read, at the pace so far; None while that cannot be told."""
        if not self.total or not self.finished or self.ended is not None or self.read >= self.total:
            return None
        each = (self.at - self.started) / self.finished
        return max(0.0, each * (self.total - self.finished) - (now - self.at))

    def calls_needed(self) -> float:
        """How many more calls the stream and its children need, judged by the records that are finished."""
        if not self.total or not self.finished or self.ended is not None:
            return 0.0
        return max(0.0, self.asked / self.finished * self.total - self.calls)


@dataclass(kw_only=True)
class RunProgress:
    """One run so far, kept up to date by `take`."""

    connector: str
    clock: Callable[[], float] = time.monotonic
    streams: dict[str, StreamProgress] = field(default_factory=dict)
    roots: tuple[str, ...] = ()
    calls: int = 0
    calls_left: int | None = None
    calls_per_second: float | None = None
    waiting_until: float = 0.0
    waiting_for: str = ""

    def stream(self, name: str) -> StreamProgress:
        """The stream of this name, new when it was not heard of yet."""
        if name not in self.streams:
            self.streams[name] = StreamProgress(name=name, root=name in self.roots, started=self.clock())
        return self.streams[name]

    def take(self, event: Event) -> None:
        """Count what an event says."""
        if isinstance(event, RunStarted):
            self.roots = event.streams
        elif isinstance(event, StreamStarted):
            self.stream(event.stream)
        elif isinstance(event, PageExtracted):
            self._page(event)
        elif isinstance(event, BatchLoaded):
            stream = self.stream(event.receipt.stream)
            stream.rows += event.receipt.metered
            counts = event.receipt.counts.get(stream.name)
            stream.staged += counts.staged if counts else 0
        elif isinstance(event, Waiting):
            self.waiting_until, self.waiting_for = self.clock() + event.seconds, event.reason
        elif isinstance(event, StreamFinished):
            stream = self.stream(event.stream)
            stream.ended, stream.error = self.clock(), event.error
        elif isinstance(event, SchemaChanged):
            self.stream(event.stream).made.append(_change(event))
        elif isinstance(event, ParentVanished):
            self.stream(event.stream).vanished += 1

    def _page(self, event: PageExtracted) -> None:
        stream = self.stream(event.stream)
        stream.page(event.records, self.clock())
        if event.parent is not None:
            self.stream(event.parent).calls += 1
        if event.total is not None and stream.root:
            stream.total = max(stream.total or 0, event.total)
        self.calls, self.calls_left = max(self.calls, event.calls), event.calls_left
        self.calls_per_second = event.calls_per_second

    def left(self, stream: StreamProgress, now: float) -> float | None:
        """Seconds until everything of a root stream is read: at its pace so far, but no sooner than the limit of calls
        allows, which it shares with the streams that are read beside it. None while that cannot be told."""
        seconds = stream.left(now)
        if seconds is None or not self.calls_per_second:
            return seconds
        own = stream.calls_needed()
        all_of_them = sum(min(own, other.calls_needed()) for other in self.streams.values() if other.root)
        return max(seconds, (all_of_them - (self.calls_left or 0)) / self.calls_per_second)

    def calls_made(self) -> str:
        """How many calls were made and how many the present window of the budget has left."""
        left = "" if self.calls_left is None else f", {self.calls_left:,} left in this window"
        return f"{counted(self.calls, 'call')}{left}"


class Show(Protocol):
    """Shows a run. Called with each event, from one thread at a time."""

    def __call__(self, event: Event) -> None:
        """Take an event."""

    def __enter__(self) -> Tell:
        """Begin to show."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End, also after an error."""


def shown(connector: str, say: Callable[[str], None], clean: Callable[[str], str]) -> Show:
    """The way to show a run that fits standard error: live on a terminal, else lines. `say` prints a line there,
    `clean` takes secrets and terminal escapes out of a text."""
    progress = RunProgress(connector=connector)
    if sys.stderr.isatty() and os.environ.get("TERM", "dumb") not in ("", "dumb"):
        return LiveShow(progress, clean)
    return LineShow(progress, say)


class LineShow:
    """Plain lines: one per batch and per event worth saying, at most one a second per stream; troubles always."""

    def __init__(self, progress: RunProgress, say: Callable[[str], None]) -> None:
        self._progress, self._say = progress, say

    def __enter__(self) -> Tell:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def __call__(self, event: Event) -> None:
        self._progress.take(event)
        self._tell(event)

    @singledispatchmethod
    def _tell(self, event: Event) -> None:
        """Most events are only counted."""

    @_tell.register
    def _(self, event: RunStarted) -> None:
        self._line(None, f"run {event.run_id} reads {', '.join(event.streams) or 'nothing'}")

    @_tell.register
    def _(self, event: StreamStarted) -> None:
        self._line(event.stream, f"reads from {event.since}" if event.since else "reads the whole table")

    @_tell.register
    def _(self, event: BatchLoaded) -> None:
        stream = self._progress.stream(event.receipt.stream)
        now = self._progress.clock()
        if now - stream.printed < EVERY:
            return
        stream.printed = now
        # Records that moved while they were paged come twice: "191 of 190" would look like an error.
        of = f"{stream.read:,} of {stream.total:,} records" if stream.total and stream.read <= stream.total else None
        left = self._progress.left(stream, now)
        did = f"{counted(stream.staged, 'record')} staged, " if event.receipt.kind == "stage" else ""
        did += (
            f"{counted(stream.rows, 'row')} written, {stream.rate(now):,.0f} rows/s" if not did or stream.rows else ""
        )
        eta = f", ETA {spoken(left)}" if left is not None else ""
        made = self._progress.calls_made()
        self._line(stream.name, f"{of or counted(stream.read, 'record')} read, {did.removesuffix(', ')}, {made}{eta}")
        self._made(stream)

    @_tell.register
    def _(self, event: Waiting) -> None:
        stream = self._progress.stream(event.stream) if event.stream else None
        now = self._progress.clock()
        if event.seconds < EVERY or (stream and now - stream.printed < EVERY):
            return
        if stream:
            stream.printed = now
        detail = f" ({event.detail})" if event.detail else ""
        self._line(event.stream, f"waits {spoken(event.seconds)} {REASONS.get(event.reason, event.reason)}{detail}")

    @_tell.register
    def _(self, event: StreamFinished) -> None:
        stream = self._progress.stream(event.stream)
        self._made(stream)
        if stream.vanished:
            self._line(stream.name, f"{counted(stream.vanished, 'parent')} vanished while their children were read")
        ended = f"failed: {event.error}" if event.error else "done"
        took = spoken(self._progress.clock() - stream.started)
        did = f"{counted(stream.read, 'record')} read, {counted(stream.rows, 'row')} written in {took}"
        self._line(stream.name, f"{ended}; {did}")

    @_tell.register
    def _(self, event: RecordsRejected) -> None:
        self._line(event.stream, _rejected(event))

    @_tell.register
    def _(self, event: Warned) -> None:
        self._line(event.stream, f"warning: {event.text}")

    @_tell.register
    def _(self, event: QuotaReached) -> None:
        self._line(None, f"warning: {_quota(event)}")

    def _made(self, stream: StreamProgress) -> None:
        if stream.made:
            self._line(stream.name, "; ".join(stream.made))
            stream.made.clear()

    def _line(self, stream: str | None, text: str) -> None:
        self._say(f"{self._progress.connector}{f' {stream}' if stream else ''}: {text}")


class LiveShow:
    """A table that is drawn anew four times a second, with troubles as lines above it."""

    def __init__(self, progress: RunProgress, clean: Callable[[str], str]) -> None:
        from rich.console import Console

        self._progress, self._clean = progress, clean
        self._console = Console(file=sys.stderr, highlight=False)
        self._live: Live | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Tell:
        from rich.live import Live

        self._live = Live(get_renderable=self._drawn, console=self._console, refresh_per_second=4, transient=True)
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.__exit__(kind, error, trace)

    def __call__(self, event: Event) -> None:
        with self._lock:
            self._progress.take(event)
        if isinstance(event, RecordsRejected):
            self._above(event.stream, _rejected(event))
        elif isinstance(event, Warned):
            self._above(event.stream, f"warning: {event.text}")
        elif isinstance(event, QuotaReached):
            self._above(None, f"warning: {_quota(event)}")
        elif isinstance(event, SchemaChanged):
            self._above(event.stream, _change(event))
        elif isinstance(event, StreamFinished) and event.error:
            self._above(event.stream, f"failed: {event.error}")

    def _above(self, stream: str | None, text: str) -> None:
        from rich.text import Text

        line = f"{self._progress.connector}{f' {stream}' if stream else ''}: {text}"
        self._console.print(Text(self._clean(line)))

    def _drawn(self) -> RenderableType:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        with self._lock:
            progress, now = self._progress, self._progress.clock()
            table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
            table.add_column(Text(self._clean(progress.connector)), header_style="bold")
            for header in ("records", "of", "", "rows", "rows/s", "ETA"):
                table.add_column(header, justify="right", header_style="dim")
            for stream in progress.streams.values():
                table.add_row(*(Text(cell) for cell in self._cells(stream, now)))
            return Group(table, Text(self._footer(now)))

    def _cells(self, stream: StreamProgress, now: float) -> tuple[str, ...]:
        name = self._clean(stream.name)
        share = f"{min(100, stream.read * 100 // stream.total)}%" if stream.total else ""
        total = f"{stream.total:,}" if stream.total else ""
        left = self._progress.left(stream, now)
        eta = "failed" if stream.error else "done" if stream.ended is not None else "" if left is None else spoken(left)
        if not stream.root:
            return (f"  {name}", f"{stream.read:,}", "", "", "", "", "")
        return (name, f"{stream.read:,}", total, share, f"{stream.rows:,}", f"{stream.rate(now):,.0f}", eta)

    def _footer(self, now: float) -> str:
        wait = self._progress.waiting_until - now
        reason = REASONS.get(self._progress.waiting_for, self._progress.waiting_for)
        return self._progress.calls_made() + (f"; waits {wait:.0f} s {reason}" if wait > 0 else "")


def _quota(event: QuotaReached) -> str:
    return f"{event.threshold} % of the quota is reached: {event.used:,} of {event.quota:,} rows in this period"


def _rejected(event: RecordsRejected) -> str:
    codes = ", ".join(f"{count:,} {code}" for code, count in event.codes.items())
    return f"{counted(sum(event.codes.values()), 'record')} rejected ({codes}), first: {event.first}"


def _change(event: SchemaChanged) -> str:
    change = event.change
    what = f"{change.what} {change.table}" + (f".{change.column}" if change.column else "")
    return f"{what} ({change.detail})" if change.detail else what
