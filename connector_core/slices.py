"""Slices: what the extraction hands to the loader, the builder that closes them, and the queue between the two."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from connector_core.batch import Activation, BatchKind, Counts, Part, Receipt, Reject
from connector_core.bookmarks import Bookmark
from connector_core.budget import Stopped
from connector_core.clock import Clock
from connector_core.shape import Chunk, Shaper, merge
from connector_core.tables import Path


@dataclass(frozen=True, kw_only=True)
class Slice:
    """A finished prefix of a root stream, ready to become one batch. `size` in bytes as read, `extracted` in records,
    the rejected among them, `settled` rejects that are replayed; `done` gets the receipt, or the error of the load."""

    kind: BatchKind
    stream: str
    parts: tuple[Part, ...] = ()
    rejects: tuple[Reject, ...] = ()
    bookmark: Bookmark | None = None
    activation: Activation | None = None
    settled: tuple[Reject, ...] = ()
    size: int = 0
    extracted: int = 0
    done: Future[Receipt] = field(default_factory=Future)


@dataclass(frozen=True, kw_only=True)
class Cut:
    """When a slice is closed: root and child records, bytes as read, seconds since it was begun; whichever comes
    first."""

    records: int = 10_000
    size: int = 16 * 1024 * 1024
    seconds: float = 60.0


WEIGHT = 4
"""How many bytes of memory a byte of source text takes as long as its record is held (measured: 3 to 4)."""


def room(memory: int, *, readers: int, parents: int = 0) -> int:
    """The size (bytes as read) of a slice when so many streams are read at a time: each of them is filling one, one is
    being loaded or waits for it, and each of the `parents` among them holds as much of its children's pages."""
    return memory // WEIGHT // (readers + parents + 1)


class Builder:
    """Collects chunks of one root stream and its children until a slice is full; one thread uses it."""

    def __init__(
        self, shapers: Sequence[Shaper], *, kind: BatchKind, cut: Cut, clock: Clock, rewrite: frozenset[str]
    ) -> None:
        self._shapers = {shaper.stream.name: shaper for shaper in shapers}
        self._root = shapers[0].stream.name
        self._kind, self._cut, self._clock, self._rewrite = kind, cut, clock, rewrite
        self.totals: dict[str, Counts] = {name: Counts() for name in self._shapers}
        self._clear()

    def _clear(self) -> None:
        self._chunks: dict[str, list[Chunk]] = {name: [] for name in self._shapers}
        self._counts: dict[str, Counts] = {name: Counts() for name in self._shapers}
        self._known: dict[str, Counter[Path]] = {name: Counter() for name in self._shapers}
        self._rejects: list[Reject] = []
        self._records = self._size = 0
        self._begun = self._clock.monotonic()

    def add(
        self,
        stream: str,
        chunk: Chunk | None,
        counts: Counts,
        *,
        size: int = 0,
        rejects: Iterable[Reject] = (),
        known: Mapping[Path, int] | None = None,
    ) -> None:
        """Add rows (or only counts) of one stream; `size` is their share of the page's bytes, `known` the rows by table
        of records that are left out as unchanged."""
        if chunk is not None and chunk.count:
            self._chunks[stream].append(chunk)
            self._records += chunk.count
        self._counts[stream] += counts
        self.totals[stream] += counts
        self._known[stream].update(known or {})
        self._rejects.extend(rejects)
        self._size += size

    @property
    def full(self) -> bool:
        """Whether the slice should be closed at the next cut."""
        if not self.anything:
            return False
        late = self._clock.monotonic() - self._begun >= self._cut.seconds
        return late or self._records >= self._cut.records or self._size >= self._cut.size

    @property
    def rejects(self) -> int:
        """How many rejected records are in it."""
        return len(self._rejects)

    @property
    def anything(self) -> bool:
        """Whether there is anything to commit."""
        return bool(self._records or self._rejects or any(c.extracted for c in self._counts.values()))

    def close(self, bookmark: Bookmark | None = None, *, kind: BatchKind | None = None) -> Slice:
        """The slice collected so far, as another `kind` of batch where that is given; the builder is empty again."""
        kind = kind or self._kind
        parts = tuple(
            merge(
                shaper.layout,
                self._chunks[name],
                counts=self._counts[name] if kind == "rows" else Counts(),
                rewrite=name in self._rewrite,
                known=self._known[name],
            )
            for name, shaper in self._shapers.items()
        )
        ready = Slice(
            kind=kind,
            stream=self._root,
            parts=parts,
            rejects=tuple(self._rejects),
            bookmark=bookmark,
            size=self._size,
            extracted=sum(counts.extracted for counts in self._counts.values()),
        )
        self._clear()
        return ready

    def drop(self) -> dict[str, Counts]:
        """Throw away what was collected since the last slice; returns it as `discarded`."""
        gone = {name: Counts(discarded=counts.extracted) for name, counts in self._counts.items()}
        self._clear()
        return gone


class SliceQueue:
    """Slices on their way to the loader, the one that is being loaded among them, bounded in bytes: a producer waits
    while there would be more than `most`. A slice that is larger by itself passes when nothing else is held.

    Setting `gone` says that the loader takes no more.
    """

    def __init__(self, most: int, gone: threading.Event) -> None:
        self._most, self._gone = most, gone
        self._items: deque[Any] = deque()
        self._size = 0
        self._changed = threading.Condition()

    def put(self, item: Slice) -> None:
        """Wait for room, then add. Raises `Stopped`."""
        with self._changed:
            while self._size and self._size + item.size > self._most:
                if self._gone.is_set():
                    raise Stopped
                self._changed.wait(0.2)
            self._items.append(item)
            self._size += item.size
            self._changed.notify_all()

    def finished(self, outcome: object) -> None:
        """A producer's last word; it never waits."""
        with self._changed:
            self._items.append(outcome)
            self._changed.notify_all()

    def get(self, timeout: float) -> Any:
        """The next item, or None after `timeout` seconds."""
        with self._changed:
            if not self._items:
                self._changed.wait(timeout)
            return self._items.popleft() if self._items else None

    def loaded(self, item: Slice) -> None:
        """The slice is out of memory: there is room for the next."""
        with self._changed:
            self._size -= item.size
            self._changed.notify_all()
