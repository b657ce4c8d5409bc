"""Records of one kind, made when asked for, with the orders in which the API lists them."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import Final

from .record import Record

Key = tuple[int, int]  # (value of the sort field, id); ties are listed by id
REMEMBERED: Final = 4  # tests whose verdicts on seeded records are kept
SORTS: Final = ("id", "created_at", "updated_at")


class Orders:
    """Ids by id, created_at and updated_at (unix seconds), each a sorted list: a lower bound costs one bisection."""

    def __init__(self, rows: Iterable[tuple[int, int, int]]) -> None:
        self.instants: dict[int, tuple[int, int]] = {id: (created, updated) for id, created, updated in rows}
        self._lists: dict[str, list[Key]] = {
            "id": sorted((id, id) for id in self.instants),
            "created_at": sorted((created, id) for id, (created, _) in self.instants.items()),
            "updated_at": sorted((updated, id) for id, (_, updated) in self.instants.items()),
        }

    def copy(self) -> Orders:
        """The same orders, changed apart from these."""
        other = Orders(())
        other.instants = dict(self.instants)
        other._lists = {name: list(keys) for name, keys in self._lists.items()}
        return other

    def set(self, id: int, instants: tuple[int, int] | None) -> tuple[int, int] | None:
        """Place, move or (None) take out a record; what it had before is returned."""
        before = self.instants.pop(id, None)
        for sort, keys in self._lists.items():
            if before is not None:
                del keys[bisect_left(keys, (_value(sort, id, before), id))]
            if instants is not None:
                insort(keys, (_value(sort, id, instants), id))
        if instants is not None:
            self.instants[id] = instants
        return before

    def select(self, sort: str, bounds: Mapping[str, tuple[int | None, int | None]]) -> list[Key]:
        """Keys in ascending order of ``sort`` whose fields lie in the bounds (both ends included, None = open)."""
        keys = self._lists[sort]
        low, high = bounds.get(sort, (None, None))
        start = 0 if low is None else bisect_left(keys, (low, -(2**62)))
        end = len(keys) if high is None else bisect_right(keys, (high, 2**62))
        chosen = keys[start:end]
        for field, (least, most) in bounds.items():
            if field != sort:
                chosen = [
                    key
                    for key in chosen
                    if (least is None or _value(field, key[1], self.instants[key[1]]) >= least)
                    and (most is None or _value(field, key[1], self.instants[key[1]]) <= most)
                ]
        return chosen


def _value(field: str, id: int, instants: tuple[int, int]) -> int:
    return id if field == "id" else instants[0] if field == "created_at" else instants[1]


class Table:
    """Records by id. ``build`` makes one that nobody has changed; ``log`` remembers when the order changed, for the
    search lag."""

    def __init__(self, rows: Iterable[tuple[int, int, int]], build: Callable[[int], Record]) -> None:
        self.orders = Orders(rows)
        self._build = build
        self._changed: dict[int, Record] = {}
        self._log: list[tuple[float, int, tuple[int, int] | None]] = []
        self._verdicts: dict[Hashable, dict[int, bool]] = {}

    def __contains__(self, id: int) -> bool:
        return id in self.orders.instants

    def __len__(self) -> int:
        return len(self.orders.instants)

    def __iter__(self) -> Iterator[int]:
        """Ids, ascending."""
        return iter([id for _, id in self.orders.select("id", {})])

    def get(self, id: int) -> Record | None:
        """The record, or None when the site has none of that id."""
        if id not in self.orders.instants:
            return None
        return self._changed.get(id) or self._build(id)

    def own(self, id: int) -> Record:
        """The record, kept from now on, so that it may be changed. Raises KeyError when there is none."""
        record = self.get(id)
        if record is None:
            raise KeyError(f"no record {id}")
        return self._changed.setdefault(id, record)

    def passing(self, keys: Iterable[Key], test: Callable[[Record], bool], name: Hashable) -> list[Key]:
        """The keys whose records pass. Verdicts on records that nobody has changed are remembered under the test's
        name: to draw 100,000 of them takes seconds, and a reader asks for page after page."""
        known = self._verdicts.setdefault(name, {})
        if len(self._verdicts) > REMEMBERED:
            del self._verdicts[next(iter(self._verdicts))]
        chosen = []
        for key in keys:
            id = key[1]
            changed = self._changed.get(id)
            if changed is not None:
                passes = test(changed)
            elif id in known:
                passes = known[id]
            else:
                record = self.get(id)
                passes = known[id] = record is not None and test(record)
            if passes:
                chosen.append(key)
        return chosen

    def changed(self) -> Iterator[Record]:
        """The records that are no longer as they were seeded."""
        return iter(self._changed.values())

    def place(self, id: int, instants: tuple[int, int], now: float) -> None:
        """Put the record at its created and updated instant (unix seconds)."""
        self._log.append((now, id, self.orders.set(id, instants)))

    def add(self, record: Record, instants: tuple[int, int], now: float) -> None:
        """A new record."""
        self._changed[record.id] = record
        self.place(record.id, instants, now)

    def remove(self, id: int, now: float) -> None:
        """Delete the record. Raises KeyError when there is none."""
        if id not in self.orders.instants:
            raise KeyError(f"no record {id}")
        self._changed.pop(id, None)
        self._log.append((now, id, self.orders.set(id, None)))

    def orders_at(self, instant: float) -> Orders:
        """The orders as they stood at an instant of the clock: what a search index that lags still believes."""
        if not self._log or self._log[-1][0] <= instant:
            return self.orders
        past = self.orders.copy()
        for changed_at, id, before in reversed(self._log):
            if changed_at <= instant:
                break
            past.set(id, before)
        return past

    def next_id(self) -> int:
        """An id that was never used: above all of now and of the past."""
        return (
            max([id for _, id, _ in self._log] + [key[1] for key in self.orders.select("id", {})[-1:]], default=0) + 1
        )
