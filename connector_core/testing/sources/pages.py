"""What `extract` returns: one finished page of plain JSON, the same one whenever it is asked for, from any thread."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

from connector_core.parse import Unstorable
from connector_core.streams import Page, Unreadable
from connector_core.testing.sources.reader import SourceReader, Target, begins_with_a_key, objects, versions

AT_ONCE = 8
"""Threads that ask at once."""


class PagesContract:
    """Pages, their tokens and their records."""

    def test_extract_returns_one_finished_page_at_a_time(self, reading: SourceReader) -> None:
        for target in reading.targets():
            for _, page in reading.walk(target):
                assert type(page) is Page

    def test_every_stream_has_records_to_judge_it_by(self, reading: SourceReader) -> None:
        empty = {stream.name for stream in reading.catalog.streams}
        for target in reading.targets():
            if reading.records(target):
                empty.discard(target[0].name)
        assert empty == set(), "serve at least one record of each stream"

    def test_the_same_page_twice_has_the_same_records(self, reading: SourceReader) -> None:
        for target in reading.targets():
            window = reading.window(target[0])
            for token, page in list(reading.walk(target, window)):
                again = reading.page(target, token, window)
                assert list(again.records) == list(page.records), place(target, token)
                assert (again.next is None) == (page.next is None), place(target, token)

    def test_another_run_reads_the_same_records(
        self, reading: SourceReader, connect: Callable[[], SourceReader]
    ) -> None:
        other = connect()
        for target in reading.targets():
            assert reading.records(target) == other.records(target), target[0].name

    def test_page_tokens_can_be_hashed_and_do_not_go_in_a_circle(self, reading: SourceReader) -> None:
        for target in reading.targets():
            tokens = [token for token, _ in reading.walk(target)]
            assert len(set(tokens)) == len(tokens), target[0].name

    def test_records_are_plain_json(self, reading: SourceReader) -> None:
        for target in reading.targets():
            for token, page in reading.walk(target):
                for record in page.records:
                    assert (wrong := foreign(record)) is None, f"{place(target, token)}: {wrong}"

    def test_records_have_their_keys(self, reading: SourceReader) -> None:
        for stream, parent in reading.targets():
            records = reading.records((stream, parent))
            for record in records:
                assert not stream.primary_key or stream.key_of(record) is not None, (
                    f"stream {stream.name!r}: a record lacks {stream.primary_key}: it has {sorted(record)}"
                )
            if begins_with_a_key(stream):
                versions(stream, records)

    def test_different_records_have_different_keys(self, reading: SourceReader) -> None:
        for stream, parent in reading.targets():
            first: dict[Any, Any] = {}
            for record in reading.records((stream, parent)) if stream.primary_key else ():
                known = first.setdefault(stream.key_of(record), record)
                assert known == record, f"stream {stream.name!r}: two records have the key {stream.key_of(record)}"

    def test_one_client_serves_several_threads(self, reading: SourceReader) -> None:
        targets = reading.targets()
        alone = [list(reading.page(target).records) for target in targets]
        with ThreadPoolExecutor(AT_ONCE) as threads:
            pages = list(threads.map(reading.page, targets * AT_ONCE))
        for number, page in enumerate(pages):
            assert list(page.records) == alone[number % len(targets)], targets[number % len(targets)][0].name

    def test_pages_are_not_changed_after_they_were_returned(self, reading: SourceReader) -> None:
        for target in reading.targets():
            pages = [(page, [str(record) for record in objects(page)]) for _, page in reading.walk(target)]
            for page, before in pages:
                assert [str(record) for record in objects(page)] == before, target[0].name


def place(target: Target, token: object) -> str:
    """Where in the source something is."""
    return f"stream {target[0].name!r}, page {token!r}"


def foreign(value: Any) -> str | None:
    """What of a value JSON does not have, None when all of it is plain."""
    if isinstance(value, dict):
        odd = next((name for name in value if type(name) is not str), None)
        return (
            f"a property named {odd!r}" if odd is not None else next(filter(None, map(foreign, value.values())), None)
        )
    if isinstance(value, list):
        return next(filter(None, map(foreign, value)), None)
    if value is None or type(value) in (str, int, float, bool, Decimal, Unstorable, Unreadable):
        return None
    return f"a {type(value).__name__}: {value!r}"
