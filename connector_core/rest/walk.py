"""The window walk: reads a list sorted by its replication key while records change, appear and vanish under the reader.

The list is asked for with `since`, sorted by the replication key (an instant) in ascending order, in numbered pages. A
record that changes moves to the end of the list; everything behind its old place slides forward by one. Numbered pages
alone would then skip the record that slides over a page boundary, for good: its own instant lies before the bookmark.
So the walk turns pages only where it must.

1. *One page is one moment.* A single answer is a consistent piece of the list: no record with an instant below the
   page's last one is missing from it (unless the source errs, see 6). So after each first page the walk asks anew, page
   1, with `since` = the last instant less one step (`step`, one second for Desk: its instants are whole seconds, and
   whether `since` includes its own value is not known, facts/desk_api.md section 4.5; less one step is right under both
   readings). Records at the last instant come again and are recognised.
2. *Progress.* The new `since` must leave something behind under both readings: the page's last instant must lie two
   steps or more above the first instant of this `since`. Then the next `since` is at least one step above the old one;
   as `since` only grows, the walk ends. First means at least `since` itself: a page that holds older records (an answer
   served twice, a stale record) cannot turn the walk back.
3. *Crowded instants.* Where a page does not get that far, more records share these two steps than a page holds, and the
   walk turns to page 2, 3, ... of the same `since`, until a page's last instant lies two steps above the first one. Now
   records may slide between the pages. The pages of this `since` are therefore read again until two passes in a row
   show the same records at the same instants. That proves the earlier of the two complete: what slid over a boundary
   slid because a record before it left its place during that pass; the first to leave stood on a page that had been
   read, so it was seen; the later pass would not show it there again. "Nothing new" alone would prove less (two passes
   may skip the same record at two boundaries). A pass of one page proves itself (1). On quiet data this costs exactly
   one more pass. More than `passes` passes, or more than `cap` pages, are a loud `SourceError` that names the instant.
4. *How far the bookmark may go* (`Turn.settled`). After a first page: to its last instant. On further pages of a first
   pass: no further. On a repeated pass: page by page to the last instant, as long as everything below it equals the
   pass before (the proof of 3 holds for every prefix of the list). A crash anywhere goes on from there; records are
   handed over at once, again in a repeated pass, where they are recognised.
5. *The end.* The list ends with a page that says so (no next link), never with a short page: page sizes may shrink
   without a word (A42). It also ends when a whole page lies above the run's upper bound: such records move no bookmark,
   and waiting for the end of a list that grows while it is read might never end. Values beyond the server's own `Date`
   show that its clock and its data disagree (A38); then only the end itself counts. After several pages rule 3 applies
   to the end as well, for everything up to the upper bound. An empty page with a next link is turned over (rule 3 then
   proves the rest), three of them in a row are an error.
6. *What the source counts.* Each answer tells how many records there are from its `since` on. When the walk leaves
   records behind, at least (count - records left behind) must follow: changed records move to the end and stay in the
   count. A smaller number means that records were counted and never shown (a page with a hole, A31; a list that is not
   sorted), or that some were deleted. The pages of the old `since` are then read once more, and a difference that stays
   is reported. The same for an end that comes too early (A35): while the count says more and there is progress the walk
   goes on. A count that is no number (A30) switches this rule off; a wrong one costs at most one more reading per
   `since`.

On quiet data: one request per first page, and for a crowded `since` of k pages 2 * k. tests/core/test_rest_walk.py
simulates the rule against moving data.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from connector_core.errors import Place, SourceError
from connector_core.instants import NoSuchInstant, from_datetime, instant, to_datetime
from connector_core.rest.addresses import canonical
from connector_core.rest.paginators import Ask, Got, Turn, pointer
from connector_core.streams import Window

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EMPTY = 3  # empty pages with a next link in a row
ROUNDING = timedelta(seconds=2)  # a `Date` has whole seconds

Sighting = tuple[datetime, Hashable]
"""A record at an instant: the replication key's value and the primary key."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Seen:
    """The records of the pages of one pass so far, as a chain: a token costs only its own page. `other` counts entries
    without a readable instant."""

    page: tuple[Sighting, ...] = ()
    other: int = 0
    earlier: Seen | None = None

    def __iter__(self) -> Iterator[Sighting]:
        chain: Seen | None = self
        while chain is not None:
            yield from chain.page
            chain = chain.earlier

    @property
    def others(self) -> int:
        """Entries without a readable instant on all pages so far."""
        count, chain = 0, self.earlier
        while chain is not None:
            count, chain = count + chain.other, chain.earlier
        return count + self.other


@dataclass(frozen=True, kw_only=True, eq=False)
class Pass:
    """A finished reading of one `since`: what it saw, and up to which instant (None: to the end)."""

    seen: frozenset[Sighting]
    reach: datetime | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Step:
    """Token: page `page` of reading number `turn` of the list from `since` on.

    `first` is the first instant of this `since`, `safe` how far the bookmark may go, `seen` what this pass has shown on
    the pages before, `before` the pass before, `empty` the empty pages just read, `total` what the source counted on
    page 1. `origin` is the finished `since` before this one and `due` how many records must at least follow it;
    `checked` says that it was read again for that, `rereads` how often the walk did so. Two tokens are equal when they
    ask for the same at the same stage.
    """

    since: datetime
    page: int = 1
    turn: int = 1
    first: datetime | None = None
    safe: datetime | None = None
    seen: Seen | None = None
    before: Pass | None = None
    empty: int = 0
    total: int | None = None
    origin: Step | None = None
    due: int | None = None
    checked: bool = False
    rereads: int = 0

    @property
    def _name(self) -> tuple[datetime, int, int, int]:
        return self.since, self.page, self.turn, self.rereads

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Step) and self._name == other._name

    def __hash__(self) -> int:
        return hash(self._name)

    def __str__(self) -> str:
        return f"{self.page} since {from_datetime(self.since)}" + (f" (reading {self.turn})" if self.turn > 1 else "")


@dataclass(frozen=True, kw_only=True)
class Walk:
    """The paginator; see the module. `param` is the page number's parameter, `next` the path of the body's link (or
    true/false) that tells whether there is another page, `step` the smallest difference of two instants at this source,
    `cap` the most pages that it serves for one request."""

    param: str = "page"
    next: str = "_links.next.href"
    step: timedelta = timedelta(seconds=1)
    cap: int = 500
    passes: int = 20

    def __post_init__(self) -> None:
        if not self.param or not self.next:
            raise ValueError("Walk: it needs the names of the page's parameter and of the next link")
        if self.step <= timedelta(0) or self.cap < 1 or self.passes < 2:
            raise ValueError("Walk: step must be above 0, cap at least 1, passes at least 2")

    def first(self, window: Window) -> Hashable:
        """Page 1 from the window's lower end less the overlap; from 1970 on where there is none."""
        since = window.since
        return Step(since=since if isinstance(since, datetime) else EPOCH)

    def ask(self, token: Hashable) -> Ask:
        """This page from this `since` on."""
        assert isinstance(token, Step)  # noqa: S101 - it came from here
        return Ask(params={self.param: token.page}, since=token.since, page=token.page)

    def turn(self, token: Hashable, got: Got) -> Turn:
        """What comes after this page, by the rules above. Raises `SourceError` (page_cap, moving, empty_pages, loop,
        foreign_origin)."""
        assert isinstance(token, Step)  # noqa: S101 - it came from here
        return _Reading(self, token, got).turn()


class _Reading:
    """One page of a walk and what follows from it."""

    def __init__(self, walk: Walk, step: Step, got: Got) -> None:
        self._walk, self._got, self._step = walk, got, step
        page = tuple(_sightings(got))
        self._low = min((value for value, _ in page), default=None)
        self._high = max((value for value, _ in page), default=None)
        self._more = self._link()
        self._seen = Seen(page=page, other=len(got.records) - len(page), earlier=step.seen)
        first = step.first
        if first is None and self._low is not None:
            first = max(self._low, step.since)
        total = got.total if step.page == 1 else step.total
        self._now = replace(step, first=first, seen=self._seen, total=total)
        self._notes: list[str] = []
        if self._is_first() and got.total is not None and got.total < len(got.records):
            self._notes.append(f"the source counts {got.total} records and shows {len(got.records)} on its first page")

    def turn(self) -> Turn:
        step, high = self._now, self._high
        if (again := self._missing()) is not None:
            return self._answer(again, step.safe)
        passed = high is not None and step.first is not None and high >= step.first + 2 * self._walk.step
        ended = not self._more or self._above()
        if ended and not self._above() and passed and self._short() > 0:
            ended = False  # the source counts more than it has shown: go on from here
        if not (ended or passed):
            return self._further()
        return self._finished(None if ended else high)

    def _link(self) -> bool:
        link = pointer(self._got, self._walk.next)
        if isinstance(link, str) and link:
            if canonical(self._got.link(link)) == canonical(self._got.asked):
                raise SourceError(
                    "the list's next page is the page itself",
                    hint="rows read so far are kept; tell the maintainer of the API",
                    place=Place(url=self._got.shown),
                    code="loop",
                )
            return True
        return bool(link)

    def _above(self) -> bool:
        """Whether the whole page lies above the run's upper bound, by a clock that can be believed."""
        upper, served = self._got.window.upper, self._got.served_at
        if upper is None or self._low is None or self._low <= upper:
            return False
        return served is None or self._low <= served + ROUNDING

    def _short(self) -> int:
        """How many records the source counts beyond those that this pass has shown."""
        total = self._now.total
        return 0 if total is None else total - len(set(self._seen)) - self._seen.others

    def _further(self) -> Turn:
        """The next page of this `since`."""
        step = self._now
        empty = 0 if self._got.records else step.empty + 1
        if empty:
            self._notes.append("an empty page with a next link was read")
        if empty >= EMPTY:
            raise self._stuck(f"{empty} empty pages in a row, each with a next link", code="empty_pages")
        if step.page >= self._walk.cap:
            at = from_datetime(step.first or step.since)
            raise self._stuck(
                f"more than {self._walk.cap} pages of records share the second {at}: the source cannot be read past it",
                code="page_cap",
            )
        safe = self._safe()
        return self._answer(replace(step, page=step.page + 1, safe=safe, empty=empty), safe)

    def _finished(self, reach: datetime | None) -> Turn:
        """This pass is over, at the instant `reach` or (None) at the end."""
        step = self._now
        safe = self._safe()
        if step.page > 1:
            limit = _nearer(reach, step.before.reach) if step.before else None
            if step.before is None or not self._same(step.before, limit):
                return self._answer(self._again(step, reach, safe), safe)
            reach = limit
        if reach is None:
            if self._short() > 0 and not self._above():
                self._notes.append(
                    f"the source counts {step.total} records since {from_datetime(step.since)} "
                    f"but shows {self._short()} less"
                )
            return self._answer(None, self._high if safe is None or self._high is None else max(safe, self._high))
        left = {sighting for sighting in self._seen if sighting[0] < reach}
        due = None if step.total is None else step.total - len(left) - self._seen.others
        after = Step(
            since=reach - self._walk.step,
            safe=reach,
            origin=replace(step, origin=None),
            due=due,
            checked=step.checked and step.due is None,
            rereads=step.rereads,
        )
        return self._answer(after, reach)

    def _again(self, step: Step, reach: datetime | None, safe: datetime | None) -> Step:
        """The next pass over the same `since`."""
        if step.turn >= self._walk.passes:
            raise self._stuck(
                f"{step.turn} readings of the records since {from_datetime(step.since)} differ: they keep moving",
                code="moving",
            )
        before = Pass(seen=frozenset(self._seen), reach=reach)
        return replace(step, page=1, turn=step.turn + 1, seen=None, before=before, safe=safe, empty=0)

    def _missing(self) -> Step | None:
        """Rule 6: the `since` before this one, to be read again, when records were counted there and never shown."""
        step = self._now
        if step.page > 1 or step.turn > 1 or step.due is None or step.origin is None or step.total is None:
            return None
        missing = step.due - step.total
        if missing <= 0:
            return None
        origin = step.origin
        where = f"{missing} records that the source counts since {from_datetime(origin.since)} were not shown"
        if step.checked:
            self._notes.append(f"{where}, nor on a second reading: deleted meanwhile, or miscounted")
            return None
        self._notes.append(f"{where}; they are read again")
        fresh = {"seen": None, "before": None, "empty": 0, "due": None}
        return replace(origin, page=1, turn=1, checked=True, rereads=step.rereads + 1, safe=step.safe, **fresh)  # type: ignore[arg-type]

    def _safe(self) -> datetime | None:
        """How far the bookmark may go after this page."""
        step, high = self._now, self._high
        if high is None:
            return step.safe
        if step.page > 1:
            if step.before is None:
                return step.safe
            high = _nearer(high, step.before.reach)
            if high is None or not self._same(step.before, high):
                return step.safe
        return high if step.safe is None else max(step.safe, high)

    def _same(self, before: Pass, limit: datetime | None) -> bool:
        """Whether both passes show the same records below `limit` and up to the upper bound."""
        upper = self._got.window.upper

        def counts(sighting: Sighting) -> bool:
            value = sighting[0]
            return (limit is None or value < limit) and (upper is None or value <= upper)

        return set(filter(counts, before.seen)) == set(filter(counts, self._seen))

    def _stuck(self, what: str, *, code: str) -> SourceError:
        return SourceError(
            what,
            hint="what was read before is kept, the bookmark stands before it; run again when the source is quieter",
            place=Place(url=self._got.shown),
            code=code,
        )

    def _is_first(self) -> bool:
        """Whether this is the very first page of the walk."""
        return self._step.origin is None and self._step.page == 1 and self._step.turn == 1

    def _answer(self, after: Step | None, settled: datetime | None) -> Turn:
        told = self._got.total if self._is_first() else None
        low = self._step.since if settled is None else settled
        return Turn(next=after, settled=low, notes=tuple(self._notes), total=told)


def _sightings(got: Got) -> Iterator[Sighting]:
    """The page's records whose instant can be read."""
    for record in got.records:
        if not isinstance(record, dict):
            continue
        value = _instant_of(record.get(got.replication_key or ""))
        if value is not None:
            key = tuple(_hashable(record.get(name)) for name in got.primary_key)
            yield value, key


def _hashable(part: Any) -> Hashable:
    return part if isinstance(part, str | int) else repr(part)


def _instant_of(value: Any) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        text = instant(value)
    except NoSuchInstant:
        return None
    return None if text is None else to_datetime(text)


def _nearer(one: datetime | None, other: datetime | None) -> datetime | None:
    """The earlier of two reaches, None being the end."""
    return min(one, other) if one is not None and other is not None else one or other
