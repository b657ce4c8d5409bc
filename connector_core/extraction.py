"""Reading one root stream with its children, page by page, into slices: incremental passes and full-table passes."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from concurrent.futures import TimeoutError as NotYet
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from connector_core.batch import Activation, ActivationMode, Counts, Reject, RejectIdentity
from connector_core.bookmarks import Bookmark, Passed, Position, fingerprint
from connector_core.budget import Stopped
from connector_core.children import ChildPages, Parent, ParentGone
from connector_core.clock import Clock
from connector_core.errors import ActivationError, ConnectorError, Place, PluginError, SourceError
from connector_core.fetch import Fetcher
from connector_core.instants import from_datetime
from connector_core.shape import Shaped, Shaper, key_text
from connector_core.slices import Builder, Cut, Slice, SliceQueue
from connector_core.streams import Page, Stream, Window

SETTLED = timedelta(
    seconds=2
)  # a record younger than this when it was served may still get children in the same second
DOUBT = timedelta(seconds=60)  # how far a replication key may lie ahead of the source's clock and still be believed


class Bound:
    """The upper bound of a run: the `Date` of the source's first answer, our own clock where the source tells none."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._told: datetime | None = None
        self._at = clock.monotonic()
        self._own = clock.now()

    def learn(self, served_at: datetime | None) -> None:
        """An answer has come; only the first one counts."""
        with self._lock:
            if self._told is None and served_at is not None:
                self._told, self._at = served_at, self._clock.monotonic()

    @property
    def told(self) -> datetime | None:
        """The bound as far as the source has told it."""
        return self._told

    @property
    def upper(self) -> datetime:
        """No bookmark passes this instant."""
        return self._told or self._own

    @property
    def horizon(self) -> str:
        """A replication key beyond this canonical instant is not believed when two versions are compared."""
        return from_datetime(self.upper + timedelta(seconds=self._clock.monotonic() - self._at) + DOUBT)


@dataclass(frozen=True, kw_only=True)
class Reports:
    """Whom the extraction tells what: a page has come, a parent vanished, something is odd, rows were thrown away."""

    page: Callable[[Stream, Page], None]
    vanished: Callable[[Stream, str], None]
    warned: Callable[[Stream, str], None]
    discarded: Callable[[Mapping[str, Counts]], None]


@dataclass(frozen=True, kw_only=True)
class Deletes:
    """How much a full-table pass may delete: see `batch.Activation`."""

    most: float = 0.5
    guard_from: int = 20
    allowed: frozenset[str] = frozenset()


@dataclass(kw_only=True)
class Pass:
    """What one pass that becomes visible as a whole has seen so far; `replaces` says that all rows are read anew."""

    replaces: bool = False
    total: int | None = None
    kept: dict[str, list[str]] = field(default_factory=dict)
    keyless_reject: bool = False
    copies: Counter[RejectIdentity] = field(default_factory=Counter)

    def note(self, stream: Stream, rejects: Sequence[Reject]) -> Sequence[Reject]:
        """Rejected records are never deleted: remember their keys, or that one has none that can be read. Those of a
        stream without key stand for nothing until the pass is visible."""
        if not stream.primary_key:
            return [self._counted(reject) for reject in rejects]
        for reject in rejects:
            if reject.primary_key is None:
                self.keyless_reject = True
            else:
                self.kept.setdefault(reject.stream, []).append(reject.primary_key)
        return rejects

    def _counted(self, reject: Reject) -> Reject:
        copies = 1 if self.replaces and reject.copies is None else reject.copies
        if copies is None:
            return reject
        self.copies[reject.identity] += copies
        return replace(reject, copies=0)


class Row(NamedTuple):
    """A good record of a page: the number among the good ones, its position in the page, the hash by which it is known
    again, and whether it (and its children) are known."""

    nth: int
    position: int
    key: str | None
    version: datetime | int | None
    hash: str
    known: bool
    complete: bool


class Reader:
    """Reads one root stream to its end; lives in one thread.

    `shapers` are the root's and its children's, the root's first. When `halt` is set, reading ends with `Stopped`;
    what is finished is handed over if the run is `out_of_time`, thrown away otherwise. `again` says that an
    incremental stream is read from its start though it was read before: without a key its rows are then replaced.
    """

    def __init__(
        self,
        shapers: Sequence[Shaper],
        *,
        bookmark: Bookmark,
        fetch: Fetcher,
        bound: Bound,
        slices: SliceQueue,
        pool: Executor,
        ahead: int,
        cut: Cut,
        clock: Clock,
        halt: threading.Event,
        reports: Reports,
        deletes: Deletes,
        out_of_time: Callable[[], bool],
        rewrite: frozenset[str] = frozenset(),
        again: bool = False,
    ) -> None:
        self.root = shapers[0].stream
        self._children = tuple(shaper.stream for shaper in shapers[1:])
        self._shapers = {shaper.stream.name: shaper for shaper in shapers}
        self._incremental = self.root.replication == "incremental"
        self._replaces = not self._incremental or (not self.root.primary_key and again)
        self._by_content = self._incremental and not self.root.primary_key
        self._staged = self._replaces or (not self.root.primary_key and not self.root.ascending)
        self._rewrites = self.root.name in rewrite and bool(self.root.primary_key)
        self._position = Position(self.root, bookmark)
        self._fetch, self._bound, self._slices, self._pool, self._ahead = fetch, bound, slices, pool, ahead
        self._room = cut.size
        self._clock, self._halt, self._reports, self._deletes = clock, halt, reports, deletes
        self._builder = Builder(
            shapers, kind="stage" if self._staged else "rows", cut=cut, clock=clock, rewrite=rewrite
        )
        self._out_of_time = out_of_time
        self._bookmark_before = bookmark
        version = shapers[0].layout.declared.child(self.root.replication_key or "")
        self._numbered = version is not None and "integer" in version.kinds

    @property
    def counts(self) -> Mapping[str, Counts]:
        """What was extracted so far, by stream (without the fates that only the destination decides)."""
        return self._builder.totals

    def read(self) -> None:
        """Read everything. Raises `SourceError` (the finished prefix is committed first), `PluginError`, `Stopped`."""
        if self._staged:
            self._read_staged()
            return
        try:
            self._read_pages(Pass())
        except ConnectorError:
            self._put_prefix()
            raise
        except Stopped:
            if self._out_of_time():
                self._put_prefix()
            else:
                self._reports.discarded(self._builder.drop())
            raise
        self._position.finish()
        self._put_prefix(always=True)

    def _read_staged(self) -> None:
        for attempt in (1, 2):
            if attempt == 2:
                self._slices.put(Slice(kind="discard", stream=self.root.name))
            self._position = Position(self.root, self._bookmark_before)
            seen = Pass(replaces=self._replaces)
            before = dict(self._builder.totals)
            try:
                self._read_pages(seen)
            except (ConnectorError, Stopped) as error:
                self._reports.discarded(
                    {
                        name: Counts(discarded=c.extracted - before[name].extracted)
                        for name, c in self._builder.totals.items()
                    }
                )
                self._builder.drop()
                if isinstance(error, ConnectorError):
                    self._clear_staging()
                raise
            if self._builder.rejects:  # they are kept even if the activation is refused
                self._slices.put(self._builder.close())
            self._position.finish()
            counts = {name: since(before[name], c) for name, c in self._builder.totals.items()}
            mode: ActivationMode = "replace" if self._replaces else "append"
            bookmark = self._position.bookmark(self._bound.upper) if self._incremental else None
            if not self._incremental and not self.root.primary_key:  # an older position would add its rows once more
                bookmark = Bookmark(start=self._position.start, upper=self._bound.upper, whole=True)
            try:
                self._activate(seen, counts, mode=mode, bookmark=bookmark)
                return
            except ActivationError as error:
                self._reports.discarded({name: Counts(discarded=c.extracted) for name, c in counts.items()})
                if error.code != "incomplete" or attempt == 2:
                    self._clear_staging()
                    raise
                self._reports.warned(self.root, f"{error.message}; the stream is read once more")

    def _clear_staging(self) -> None:
        """Leave no staging tables among the user's; a run that has no time for it leaves that to the next one."""
        with suppress(Stopped):
            self._slices.put(Slice(kind="discard", stream=self.root.name))

    def _activate(
        self, seen: Pass, counts: Mapping[str, Counts], *, mode: ActivationMode, bookmark: Bookmark | None
    ) -> None:
        """Make what was staged, and what is left in the builder, visible in one transaction, and wait for it."""
        activation = Activation(
            mode=mode,
            totals={self.root.name: seen.total},
            kept_keys=seen.kept,
            may_delete=not seen.keyless_reject,
            most_deleted=self._deletes.most,
            guard_from=self._deletes.guard_from,
            allow_deletes=self._deletes.allowed,
            counts=counts,
            copies=seen.copies,
        )
        ready = replace(self._builder.close(bookmark, kind="activate"), activation=activation)
        self._slices.put(ready)
        while True:
            try:
                ready.done.result(timeout=0.2)
                return
            except NotYet:
                if self._halt.is_set() and not ready.done.done():
                    raise Stopped from None

    def _read_pages(self, seen: Pass) -> None:
        token: Hashable | None = None
        tokens: set[Hashable] = set()
        while True:
            page = self._fetch.page(self.root, self._window(), None, token)
            self._bound.learn(page.served_at)
            self._reports.page(self.root, page)
            seen.total = page.total if page.total is not None else seen.total
            self._take(page, seen)
            token = page.next
            if token is None:
                return
            if token in tokens:
                raise SourceError(
                    f"stream {self.root.name!r} sends the same page again: the list goes in a circle",
                    hint="nothing was lost; tell the maintainer of the API or of the source plugin",
                    place=Place(stream=self.root.name, url=page.url or None),
                    code="loop",
                )
            tokens.add(token)

    def _window(self) -> Window:
        if not self._incremental:
            return Window(upper=self._bound.told)
        lower = self._position.lower
        dateless = self._numbered and isinstance(lower, datetime)  # the start date says nothing about numbers
        return Window(lower=None if dateless else lower, upper=self._bound.told, overlap=self.root.overlap)

    def _take(self, page: Page, seen: Pass) -> None:
        """Validate and shape a page, set aside what is known, then add rows prefix by prefix as children are
        complete."""
        shaped = self._shape(self.root, page)
        if (keys := self._all_new(shaped)) is not None:
            self._take_all(page, shaped, keys)
            return
        rows = self._rows(shaped, page)
        self._check_order(rows, page)
        rejects: Sequence[Reject] = shaped.rejects
        if self._by_content and rejects:
            rejects = self._pass_rejected(shaped, page)
        if self._staged:
            rejects = seen.note(self.root, rejects)
        early = sum(self._position.is_early(version) for version in shaped.versions) if self._incremental else 0
        counts = Counts(extracted=len(shaped.rejects) + early, rejected=len(shaped.rejects), filtered=early)
        self._builder.add(self.root.name, None, counts, size=page.size, rejects=rejects)
        if self._children:
            rows = self._take_children(page, shaped, rows, seen)
        self._flush(shaped, rows)
        if self._incremental:
            self._position.settle(page.settled if page.settled is not None else self._position.top)
        self._cut()

    def _all_new(self, shaped: Shaped) -> Sequence[str] | None:
        """The keys of a page whose every record is to be stored as it comes: nothing is wrong with any, none is before
        the start date or was stored before, nobody asks for its children. A full table needs none of them. None for
        every other page."""
        if shaped.rejects or self._children or not shaped.chunk.count:
            return None
        if not self._incremental:
            return ()
        versions: list[Any] = [version for version in shaped.versions if version is not None]
        if shaped.keys is None or (versions and self._position.is_early(min(versions))):
            return None
        keys = [*map(key_text, shaped.keys)]
        return None if self._position.knows_any(keys) else keys

    def _take_all(self, page: Page, shaped: Shaped, keys: Sequence[str]) -> None:
        """What `_take` does, for a page of new records at once."""
        self._builder.add(self.root.name, shaped.chunk, Counts(extracted=shaped.chunk.count), size=page.size)
        if self._incremental:
            self._position.advance_new(shaped.versions, keys, shaped.hashes)
            self._position.settle(page.settled if page.settled is not None else self._position.top)
        self._cut()

    def _check_order(self, rows: Sequence[Row], page: Page) -> None:
        """Without a key a record that comes too late could not be told from one that was read before: the run ends
        instead of storing it twice or never."""
        if self.root.primary_key or self._staged:
            return
        if not any(self._position.contradicts(row.version) for row in rows if not row.known):
            return
        raise SourceError(
            f"stream {self.root.name!r} is declared ascending and has no primary key, but a page goes back behind "
            f"what was read before in {self.root.replication_key!r}",
            hint="what came before that page is stored; the source plugin must declare ascending=False, "
            f"then read it again with --full --select {self.root.name}",
            place=Place(stream=self.root.name, url=page.url or None),
            code="order",
        )

    def _pass_rejected(self, shaped: Shaped, page: Page) -> Sequence[Reject]:
        """Without a key a rejected record is known when it comes again, good or not: from now on `rejects replay` alone
        stores it, or it would be stored twice. Gives the rejects with the number of records that each adds."""
        good, version_of = set(shaped.positions), self._shapers[self.root.name].version_of
        bad = [position for position in range(len(page.records)) if position not in good]
        return [
            replace(reject, copies=self._new_copies(page.records[position], version_of(page.records[position])))
            for position, reject in zip(bad, shaped.rejects, strict=True)
        ]

    def _new_copies(self, record: Any, version: datetime | int | None) -> int | None:
        if version is None or self._position.contradicts(version):
            return None  # whether it was read before cannot be told
        if self._ahead_of_time(version):
            return 0  # no bookmark passes it: it is read again
        digest = fingerprint(record, self.root.discard)
        fresh = not self._position.unchanged(None, digest)
        self._position.advance([Passed(version, None, digest, False, fresh)])
        return int(fresh)

    def _ahead_of_time(self, version: datetime | int) -> bool:
        return isinstance(version, datetime) and version > self._bound.upper

    def _rows(self, shaped: Shaped, page: Page) -> list[Row]:
        """The page's good records from the start date on, in their order, each with what is known of it."""
        rows = []
        for index, (position, version) in enumerate(zip(shaped.positions, shaped.versions, strict=True)):
            key, digest, known, complete = None, shaped.hashes[index], False, False
            if self._incremental:
                if self._position.is_early(version):
                    continue
                key = key_text(shaped.keys[index]) if shaped.keys is not None else None
                if self._by_content:
                    digest = fingerprint(page.records[position], self.root.discard)
                known = self._position.unchanged(key, digest)
                complete = known and key is not None and self._position.unchanged(key, digest, complete=True)
            rows.append(Row(index, position, key, version, digest, known and not self._rewrites, complete))
        return rows

    def _take_children(self, page: Page, shaped: Shaped, rows: Sequence[Row], seen: Pass) -> list[Row]:
        """Fetch the children of the page's records, flushing finished prefixes on the way; returns what is left to
        flush."""
        good = {row.position: row for row in rows}
        early = set(shaped.positions) - set(good)
        parents = [
            Parent(position, record, children)
            for position, record in enumerate(page.records)
            if position not in early and (children := self._wanted(record, good.get(position)))
        ]
        pages = ChildPages(
            parents,
            window=Window(upper=self._bound.told),
            fetch=self._fetch.page,
            pool=self._pool,
            ahead=self._ahead,
            room=self._room,
            halt=self._halt,
        )
        ready: list[Row] = []
        left = deque(rows)
        try:
            with pages:
                for position in range(len(page.records)):
                    served = page.served_at
                    if position in pages.positions:
                        for child, child_page in self._pages_of(position, page, pages):
                            served = child_page.served_at if served is page.served_at else served
                            self._take_child_page(child, child_page, seen)
                            ready = self._cut_within(page, shaped, ready, left)
                    if (row := good.get(position)) is not None:
                        left.popleft()
                        ready.append(row._replace(complete=row.complete or _old_enough(row.version, served)))
                        ready = self._cut_within(page, shaped, ready, left)
        except (ConnectorError, Stopped):
            self._finish_within(page, shaped, ready, left)
            raise
        return ready

    def _wanted(self, record: Any, row: Row | None) -> list[Stream]:
        """Children of an unchanged parent whose children were complete are not fetched; those of a rejected one are,
        if its key can be read and the source can tell what it wants of such a record."""
        if row is not None:
            return [] if row.complete else [child for child in self._children if self._fetch.wants(child, record)]
        if not isinstance(record, dict) or self.root.key_of(record) is None:
            return []
        try:
            return [child for child in self._children if self._fetch.wants(child, record)]
        except PluginError:
            return []

    def _pages_of(self, position: int, page: Page, pages: ChildPages) -> Iterator[tuple[Stream, Page]]:
        try:
            for child, child_page in pages.of(position):
                self._reports.page(child, child_page)
                yield child, child_page
        except ParentGone:
            record = page.records[position]
            self._reports.vanished(self.root, key_text(self.root.key_of(record) or ()))

    def _take_child_page(self, child: Stream, page: Page, seen: Pass) -> None:
        shaped = self._shape(child, page)
        rejects = seen.note(child, shaped.rejects) if self._staged else shaped.rejects
        counts = Counts(extracted=shaped.extracted, rejected=len(rejects))
        self._builder.add(child.name, shaped.chunk, counts, size=page.size, rejects=rejects)

    def _shape(self, stream: Stream, page: Page) -> Shaped:
        now = from_datetime(self._clock.now())
        extracted_at = from_datetime(page.served_at) if page.served_at else now
        shaped = self._shapers[stream.name].page(
            page.records, extracted_at=extracted_at, received_at=now, rejected_at=now
        )
        for note in page.notes:
            self._reports.warned(stream, note)
        return shaped

    def _flush(self, shaped: Shaped, rows: Sequence[Row]) -> None:
        """These records are finished: add the new ones to the slice and move the position over all of them."""
        if not rows:
            return
        fresh = [row.nth for row in rows if not row.known]
        chunk = shaped.chunk if len(fresh) == shaped.chunk.count else shaped.chunk.take(fresh)
        known = shaped.chunk.rows_of([row.nth for row in rows if row.known]) if len(fresh) < len(rows) else None
        counts = Counts(extracted=len(rows), unchanged=len(rows) - len(fresh))
        self._builder.add(self.root.name, chunk, counts, known=known)
        if self._incremental:
            self._position.advance([Passed(r.version, r.key, r.hash, r.complete, not r.known) for r in rows])

    def _cut_within(self, page: Page, shaped: Shaped, ready: list[Row], left: Sequence[Row]) -> list[Row]:
        """Cut in the middle of a page if the slice is full; returns the finished rows that are not in a slice yet."""
        if not self._builder.full:
            return ready
        self._finish_within(page, shaped, ready, left)
        self._cut()
        return []

    def _finish_within(self, page: Page, shaped: Shaped, ready: Sequence[Row], left: Sequence[Row]) -> None:
        """Move over a part of a page: the bookmark stays below every record of it that is not finished yet."""
        self._flush(shaped, ready)
        limits: list[Any] = [self._position.top, page.settled, *(row.version for row in left)]
        known = [limit for limit in limits if limit is not None]
        if self._incremental and self._position.top is not None:
            self._position.settle(min(known))

    def _cut(self) -> None:
        if self._builder.full:
            self._put_prefix()

    def _put_prefix(self, *, always: bool = False) -> None:
        """Hand over what is finished, with the bookmark that covers exactly that."""
        bookmark = self._position.bookmark(self._bound.upper) if not self._staged else None
        if self._builder.anything or (always and bookmark != self._bookmark_before):
            self._slices.put(self._builder.close(bookmark))


def _old_enough(version: datetime | int | None, served: datetime | None) -> bool:
    """Whether no child can have come in the same second as the parent's last change."""
    return not isinstance(version, datetime) or (served is not None and served >= version + SETTLED)


def since(before: Counts, now: Counts) -> Counts:
    """What was counted between two totals; whether a record is staged is not known here."""
    return Counts(
        extracted=now.extracted - before.extracted,
        unchanged=now.unchanged - before.unchanged,
        rejected=now.rejected - before.rejected,
        filtered=now.filtered - before.filtered,
    )
