"""Reading a stateful stream: the source says in `Page.state` from where on it can go on, and cannot go back.

With a primary key records are loaded as they come; the bookmark moves to a state once all that it covers is committed,
and what is read again after a failure is found unchanged. Without a key a record that came twice could not be told
from two: records wait, in staging tables if need be, until a state covers them, and become visible in the transaction
that stores it. A pass that `replaces` what is stored is staged as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from connector_core.batch import ActivationMode, Counts, Reject
from connector_core.bookmarks import Bookmark
from connector_core.budget import Stopped
from connector_core.errors import ConnectorError, Place, SourceError
from connector_core.extraction import Pass, Reader, since
from connector_core.shape import Shaper
from connector_core.streams import Page, Window


class StatefulReader(Reader):
    """Reads one stateful root stream to its end; see `Reader`."""

    def __init__(self, shapers: Sequence[Shaper], *, bookmark: Bookmark, **known: Any) -> None:
        super().__init__(shapers, bookmark=bookmark, **known)
        self._keyed = bool(self.root.primary_key)
        self._state = bookmark.state
        self._seen = Pass()
        self._begun = self._waits = False  # records are in the staging tables
        self._covered = True  # whether `_state` covers all that is in the builder
        self._committed: Mapping[str, Counts] = dict(self._builder.totals)

    def read(self) -> None:
        """Read everything. Raises `SourceError` (what a state covers is committed first, with a key all that was read),
        `PluginError`, `Stopped`."""
        try:
            self._read_pages(self._seen)
            self._finish()
        except ConnectorError:
            self._leave()
            if self._waits or self._replaces:
                self._clear_staging()
            raise
        except Stopped:
            if self._out_of_time():
                self._leave()
            else:
                self._discard()
            raise

    def _window(self) -> Window:
        return Window(upper=self._bound.told, state=self._bookmark_before.state)

    def _take(self, page: Page, seen: Pass) -> None:
        if not self._begun:
            self._begun, self._replaces = bool(page.records), self._replaces or page.replaces
        shaped = self._shape(self.root, page)
        if shaped.extracted and page.state is None and self._covered and not (self._keyed or self._replaces):
            self._put_prefix()  # what comes now has to wait for a state, what is here has not
        rejects: Sequence[Reject] = shaped.rejects
        if self._keyed:
            self._seen.note(self.root, rejects)
        else:  # what a state covers is read once
            rejects = [replace(reject, copies=1) for reject in rejects]
        counts = Counts(extracted=shaped.extracted, rejected=len(rejects))
        self._builder.add(self.root.name, shaped.chunk, counts, size=page.size, rejects=rejects)
        if page.state is not None:
            self._state, self._covered = page.state, True
        elif shaped.extracted:
            self._covered = False
        if self._waits and self._covered and not self._replaces:
            self._show("append")
        elif self._builder.full:
            self._put_prefix()

    def _put_prefix(self, *, always: bool = False) -> None:
        """Hand over what was read: to the tables if the bookmark allows it, else to the staging tables."""
        if self._replaces or not (self._covered or self._keyed):
            if self._builder.anything:
                self._stage()
        elif self._builder.anything or (always and self._state != self._bookmark_before.state):
            self._slices.put(self._builder.close(self._bookmark, kind="rows"))
            self._committed = dict(self._builder.totals)

    def _stage(self) -> None:
        ready = self._builder.close(kind="stage")
        if not self._keyed:
            ready = replace(ready, rejects=tuple(self._seen.note(self.root, ready.rejects)))
        self._slices.put(ready)
        self._waits = True

    @property
    def _bookmark(self) -> Bookmark:
        whole = self._state is None and not self._keyed
        return Bookmark(start=self._bookmark_before.start, upper=self._bound.upper, state=self._state, whole=whole)

    def _show(self, mode: ActivationMode) -> None:
        """Make visible what waits, in the transaction that stores the state. Rejects are kept even if it is refused."""
        if self._builder.rejects:
            self._stage()
        counts = {name: since(self._committed[name], now) for name, now in self._builder.totals.items()}
        self._activate(self._seen, counts, mode=mode, bookmark=self._bookmark)
        self._waits, self._seen = False, Pass()
        self._committed = dict(self._builder.totals)

    def _finish(self) -> None:
        """The pass is complete. A stream without key that has never told a state is read from its start by every run:
        what it holds now takes the place of what it held."""
        if self._replaces or not (self._covered or self._keyed or self._state is not None):
            self._replaces = True
            self._show("replace")
        elif self._covered or self._keyed:
            self._put_prefix(always=True)
        else:
            raise SourceError(
                f"stream {self.root.name!r} has no primary key and ended with records that no state covers: they are "
                "not stored, as the next run will read them again",
                hint="read it as a full table, or give it a primary key, where the source has settings for that",
                place=Place(stream=self.root.name),
                code="state_missing",
            )

    def _leave(self) -> None:
        """End early: commit what may be committed, and tell what is thrown away."""
        if not self._replaces and (self._keyed or self._covered):
            self._put_prefix(always=True)
        self._discard()

    def _discard(self) -> None:
        gone = {name: since(self._committed[name], now) for name, now in self._builder.totals.items()}
        self._reports.discarded({name: Counts(discarded=counts.extracted) for name, counts in gone.items()})
        self._builder.drop()
