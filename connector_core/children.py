"""Child pages of many parents at once: fetched side by side, given out in the order of the parents."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from typing import Any, NamedTuple, Self

from connector_core.budget import Stopped
from connector_core.errors import NotFoundError, Place, SourceError
from connector_core.streams import Page, Stream, Window

PAGES_AHEAD = 4  # pages of one parent that wait for their turn; more would bring nothing


class ParentGone(Exception):  # noqa: N818 - a message between threads, not an error
    """The source answered that the parent does not exist any more."""


_END = object()


class Parent(NamedTuple):
    """A parent record, its position in the page, and the child streams that are asked for."""

    position: int
    record: Mapping[str, Any]
    children: Sequence[Stream]


class ChildPages:
    """Fetches the child pages of `parents` with `pool`, at most `ahead` parents at a time; a context manager.

    Pages that wait for their turn have `room` bytes (as read) together; a page of the parent whose turn it is always
    finds some.

    `of(position)` must be called for each parent once, in their order; it yields (child stream, page) as they come
    and raises what the fetching raised: `ParentGone`, `SourceError`, `PluginError`, `Stopped`. `fetch(stream, window,
    parent, token)` gets one page.
    """

    def __init__(
        self,
        parents: Sequence[Parent],
        *,
        window: Window,
        fetch: Callable[[Stream, Window, Mapping[str, Any] | None, Hashable | None], Page],
        pool: Executor,
        ahead: int,
        room: int,
        halt: threading.Event,
    ) -> None:
        self._window, self._fetch, self._room = window, fetch, room
        self._pool, self._halt, self._left = pool, halt, threading.Event()
        self._waiting = deque(parents)
        self._running: deque[tuple[int, queue.Queue[Any]]] = deque()
        self._held = 0
        self._due: queue.Queue[Any] | None = None
        self._changed = threading.Condition()
        self.positions = frozenset(parent.position for parent in parents)
        for _ in range(ahead):
            self._submit()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nobody asks any more: what is still under way ends, so that the pool is free for others."""
        self._left.set()

    def of(self, position: int) -> Iterator[tuple[Stream, Page]]:
        """The child pages of the parent at this position of the page."""
        due, pages = self._running.popleft()
        assert due == position, "parents are asked for in their order"  # noqa: S101
        with self._changed:
            self._due = pages
            self._changed.notify_all()
        try:
            while (item := self._next(pages)) is not _END:
                if isinstance(item, BaseException):
                    raise item
                with self._changed:
                    self._held -= item[1].size
                    self._changed.notify_all()
                yield item
        finally:  # also when this parent is gone: the next one takes its place
            self._submit()

    def _next(self, pages: queue.Queue[Any]) -> Any:
        while True:
            try:
                return pages.get(timeout=0.2)
            except queue.Empty:
                if self._halt.is_set() and pages.empty():
                    raise Stopped from None

    def _submit(self) -> None:
        if self._waiting:
            parent = self._waiting.popleft()
            pages: queue.Queue[Any] = queue.Queue(maxsize=PAGES_AHEAD)
            self._running.append((parent.position, pages))
            self._pool.submit(self._work, parent, pages)

    def _work(self, parent: Parent, pages: queue.Queue[Any]) -> None:
        try:
            for child in parent.children:
                self._work_child(child, parent.record, pages)
            self._put(pages, _END)
        except NotFoundError:
            self._put(pages, ParentGone())
        except Stopped:
            return
        except BaseException as error:  # carried to the thread that asks for this parent
            self._put(pages, error)

    def _work_child(self, child: Stream, parent: Mapping[str, Any], pages: queue.Queue[Any]) -> None:
        token: Hashable | None = None
        tokens: set[Hashable] = set()
        while not self._left.is_set():
            page = self._fetch(child, self._window, parent, token)
            self._put(pages, (child, page), page.size)
            token = page.next
            if token is None:
                return
            if token in tokens:
                raise SourceError(
                    f"stream {child.name!r} sends the same page again: the list goes in a circle",
                    hint="nothing was lost; tell the maintainer of the API or of the source plugin",
                    place=Place(stream=child.name, url=page.url or None),
                    code="loop",
                )
            tokens.add(token)

    def _put(self, pages: queue.Queue[Any], item: Any, size: int = 0) -> None:
        with self._changed:
            while not (self._halt.is_set() or self._left.is_set()):
                if self._has_room(pages, size):
                    self._held += size
                    pages.put_nowait(item)
                    return
                self._changed.wait(0.2)

    def _has_room(self, pages: queue.Queue[Any], size: int) -> bool:
        if pages.empty() and (pages is self._due or not self._held):
            return True
        return not pages.full() and self._held + size <= self._room
