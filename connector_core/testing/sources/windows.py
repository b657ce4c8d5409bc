"""What an incremental stream returns for a window: from its lower end on, inclusive, and not all that came before."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from connector_core.streams import Record, Stream, Window
from connector_core.testing.sources.reader import SourceReader, objects, versions


class WindowsContract:
    """Windows of incremental streams. A source without such a stream keeps these promises by having none."""

    coarse: timedelta = timedelta(0)
    """How much earlier than asked the API may begin: a day for one that only knows dates."""

    def test_a_window_begins_with_its_lower_end(self, reading: SourceReader) -> None:
        for stream in reading.incremental:
            records = reading.records((stream, None))
            values = versions(stream, records)
            for lower in {sorted(values)[len(values) // 2], max(values)}:
                expected = {
                    key(stream, record) for record, value in zip(records, values, strict=True) if value >= lower
                }
                found = {key(stream, one) for one in reading.records((stream, None), reading.window(stream, lower))}
                assert expected <= found, f"stream {stream.name!r}: records from {lower} on are missing"

    def test_a_second_run_reads_only_the_overlap(self, reading: SourceReader) -> None:
        for stream in reading.incremental:
            lower = max(versions(stream, reading.records((stream, None))))
            window = reading.window(stream, lower)
            since: Any = window.since
            allowed = since - self.coarse if isinstance(since, datetime) else since
            for value in versions(stream, reading.records((stream, None), window)):
                assert value >= allowed, f"stream {stream.name!r}: asked from {since} on, got {value}"

    def test_what_a_page_settles_does_not_come_later(self, reading: SourceReader) -> None:
        for stream in reading.incremental:
            settled: Any = None
            for token, page in reading.walk((stream, None)) if stream.ascending else ():
                values = versions(stream, objects(page))
                if settled is not None and values:
                    allowed = settled - stream.overlap if isinstance(settled, datetime) else settled
                    assert min(values) >= allowed, (
                        f"stream {stream.name!r} is declared ascending, page {token!r} goes back before {settled}"
                    )
                reached = page.settled if page.settled is not None else max(values, default=None)
                settled = reached if settled is None else max(settled, reached or settled)

    def test_a_state_goes_on_after_the_records_that_it_covers(self, reading: SourceReader) -> None:
        for stream in (stream for stream in reading.catalog.streams if stream.stateful):
            pages = [page for _, page in reading.walk((stream, None))]
            for number, page in enumerate(pages):
                if page.state is not None:
                    left = [key(stream, one) for later in pages[number + 1 :] for one in objects(later)]
                    goes_on = Window(upper=reading.catalog.served_at, state=page.state)
                    found = [key(stream, one) for one in reading.records((stream, None), goes_on)]
                    assert set(left) <= set(found), f"stream {stream.name!r}: {page.state} covers what was not given"
                    if not stream.primary_key:
                        assert sorted(found) == sorted(left), f"stream {stream.name!r}: records come again"


def key(stream: Stream, record: Record) -> Any:
    """What tells a record from others."""
    return stream.key_of(record) or json.dumps(record, sort_keys=True, default=str)
