"""The extraction log of a run: what the engine and its plugins say, and what events mean in one line each."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import singledispatch
from typing import NamedTuple

from connector_core.bookmarks import shown
from connector_core.config.units import spoken
from connector_core.events import (
    BatchLoaded,
    Event,
    ParentVanished,
    QuotaReached,
    RecordsRejected,
    RunFinished,
    RunStarted,
    SchemaChanged,
    StreamFinished,
    StreamStarted,
    Waiting,
    Warned,
)
from connector_core.ledger import Ledger, LedgerHandler
from connector_core.plugins import Plugin

log = logging.getLogger("connector_core.run")


class Line(NamedTuple):
    """What the log says of an event: who speaks, how grave it is, about which stream."""

    component: str
    level: int
    stream: str | None
    text: str


@contextmanager
def kept(ledger: Ledger, run_id: str, plugins: Iterable[Plugin] = ()) -> Iterator[None]:
    """What the engine and these plugins log while the block lasts is kept as lines of the run: a plugin speaks through
    loggers that are named after its package."""
    speakers = {plugin.module.partition(".")[0]: plugin.kind for plugin in plugins}
    handler = LedgerHandler(ledger, run_id, speakers=speakers)
    loggers = [logging.getLogger(name) for name in dict.fromkeys(("connector_core", *speakers)) if name]
    for logger in loggers:
        if logger.getEffectiveLevel() > logging.INFO:
            logger.setLevel(logging.INFO)
        logger.addHandler(handler)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(handler)
        handler.close()


class Journal:
    """Logs the events of a run that tell something a reader of the log wants to know."""

    def __init__(self) -> None:
        self._bookmarks: dict[str, str | None] = {}

    def write(self, event: Event) -> None:
        """Log what the event means; a bookmark only when it has moved."""
        for line in _lines(event):
            log.log(line.level, "%s", line.text, extra={"component": line.component, "stream": line.stream})
        if isinstance(event, StreamStarted):
            self._bookmarks[event.stream] = event.since
        elif isinstance(event, BatchLoaded) and (moved := event.receipt.bookmark) and not moved.get("whole"):
            stream, value = event.receipt.stream, str(shown(moved))
            if value != self._bookmarks.get(stream):
                extra = {"component": "destination", "stream": stream}
                log.info("state update: %s = %s", stream, value, extra=extra)
            self._bookmarks[stream] = value


@singledispatch
def _lines(event: Event) -> list[Line]:
    return []


@_lines.register
def _(event: RunStarted) -> list[Line]:
    return [Line("engine", logging.INFO, None, f"run {event.run_id} reads {', '.join(event.streams) or 'nothing'}")]


@_lines.register
def _(event: StreamStarted) -> list[Line]:
    text = f"found current bookmark for {event.stream}: {event.since}" if event.since else "reads the whole table"
    return [Line("source", logging.INFO, event.stream, text)]


@_lines.register
def _(event: Waiting) -> list[Line]:
    detail = f" ({event.detail})" if event.detail else ""
    text = f"waits {spoken(event.seconds)}: {event.reason.replace('_', ' ')}{detail}"
    level = logging.WARNING if event.reason == "retry" else logging.INFO
    return [Line("source", level, event.stream or None, text)]


@_lines.register
def _(event: BatchLoaded) -> list[Line]:
    receipt = event.receipt
    rows = f"{receipt.metered:,} rows written"
    if receipt.kind == "stage":
        rows = f"{sum(counts.staged for counts in receipt.counts.values()):,} records staged"
    return [Line("destination", logging.INFO, receipt.stream, f"committed batch {receipt.number}: {rows}")]


@_lines.register
def _(event: SchemaChanged) -> list[Line]:
    change = event.change
    column = f".{change.column}" if change.column else ""
    detail = f" ({change.detail})" if change.detail else ""
    return [Line("destination", logging.INFO, event.stream, f"{change.what} {change.table}{column}{detail}")]


@_lines.register
def _(event: RecordsRejected) -> list[Line]:
    codes = ", ".join(f"{count:,} {code}" for code, count in event.codes.items())
    return [Line("engine", logging.WARNING, event.stream, f"records rejected: {codes}; the first: {event.first}")]


@_lines.register
def _(event: ParentVanished) -> list[Line]:
    return [Line("source", logging.WARNING, event.stream, f"the record {event.parent_key} vanished while it was read")]


@_lines.register
def _(event: Warned) -> list[Line]:
    return [Line("engine" if event.stream is None else "source", logging.WARNING, event.stream, event.text)]


@_lines.register
def _(event: QuotaReached) -> list[Line]:
    text = f"{event.threshold} % of the quota is reached: {event.used:,} of {event.quota:,} rows"
    return [Line("engine", logging.WARNING, None, f"{text} until {event.period_end:%Y-%m-%d}")]


@_lines.register
def _(event: StreamFinished) -> list[Line]:
    if event.error:
        return [Line("source", logging.ERROR, event.stream, f"failed: {event.error}")]
    records = f"{event.counts.extracted:,} record{'' if event.counts.extracted == 1 else 's'}"
    return [Line("source", logging.INFO, event.stream, f"done: {records} extracted")]


@_lines.register
def _(event: RunFinished) -> list[Line]:
    level = logging.CRITICAL if event.error else logging.INFO
    error = f": {event.error}" if event.error else ""
    did = f"{event.rows_written:,} rows written in {spoken(event.seconds)}"
    return [Line("engine", level, None, f"run {event.status} with exit status {event.exit_code}; {did}{error}")]
