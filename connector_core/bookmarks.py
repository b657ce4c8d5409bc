"""Where a root stream goes on: the bookmark as the destination keeps it, and the position of a pass that moves it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Context, Decimal
from hashlib import blake2b
from typing import Any, NamedTuple

import orjson

from connector_core.errors import ConfigError
from connector_core.instants import from_datetime, to_datetime
from connector_core.parse import text
from connector_core.streams import Stream

Value = datetime | int
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
SHOWN = 200  # characters of a state that people are shown
KEPT = 1_000  # records of the overlap that a bookmark remembers; beyond that they are read again and compared


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A record in the overlap: its replication key, the hash it was stored with, whether its children were complete."""

    version: Value
    hash: str
    complete: bool


@dataclass(frozen=True, kw_only=True)
class Bookmark:
    """What the destination remembers of a root stream. `value` is the greatest replication key of the finished
    prefix, never above the run's upper bound. `seen` are keyed records of the overlap by the JSON text of their key,
    `counts` (streams without key) how often each `fingerprint` occurs in the overlap. `start` is the start date with
    which the reading began, `upper` the upper bound of the run, `key` the replication key whose `value` it is. `whole`
    says that the table holds a full-table pass of a stream without key: no position in it can be gone on from. `state`
    is a stateful stream's, in place of them all."""

    value: Value | None = None
    key: str | None = None
    start: datetime | None = None
    upper: datetime | None = None
    seen: Mapping[str, Seen] = field(default_factory=dict)
    counts: Mapping[str, tuple[Value, int]] = field(default_factory=dict)
    whole: bool = False
    state: Mapping[str, Any] | None = None

    @property
    def moved(self) -> bool:
        """Whether it says more than where to begin."""
        return self.value is not None or self.state is not None

    @property
    def begins(self) -> str | None:
        """Where reading goes on, for people: the value or the state, else the start date."""
        found = shown(self.as_json()) if self.moved else _text(self.start)
        return None if found is None else str(found)

    def as_json(self) -> dict[str, Any]:
        """The form in which it is stored; instants as canonical text."""
        return {
            "version": 1,
            "key": self.key,
            "value": _text(self.value),
            "start": _text(self.start),
            "upper": _text(self.upper),
            "seen": [[key, _text(s.version), s.hash, s.complete] for key, s in self.seen.items()],
            "counts": [[digest, _text(version), count] for digest, (version, count) in self.counts.items()],
            **({"whole": True} if self.whole else {}),
            **({} if self.state is None else {"state": self.state}),
        }

    @staticmethod
    def from_json(stored: Mapping[str, Any], *, stream: str) -> Bookmark:
        """Read a stored bookmark. Raises `ConfigError` for one of a newer version or one that cannot be understood
        (never starts over silently)."""
        try:
            if stored["version"] != 1:
                raise ConfigError(
                    f"the bookmark of stream {stream!r} has version {stored['version']!r}; this engine knows version 1",
                    hint="install a newer connector-core",
                    code="bookmark_version",
                )
            return Bookmark(
                value=_value(stored["value"]),
                key=stored.get("key"),
                start=_instant(stored["start"]),
                upper=_instant(stored["upper"]),
                seen={key: Seen(version=_known(v), hash=h, complete=bool(c)) for key, v, h, c in stored["seen"]},
                counts={digest: (_known(v), int(count)) for digest, v, count in stored["counts"]},
                whole=bool(stored.get("whole")),
                state=None if stored.get("state") is None else dict(stored["state"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ConfigError(
                f"the bookmark of stream {stream!r} in the destination cannot be read: {error!r}",
                hint=f"restore _sdc_commits from a backup, or read everything again: connector-core reset {stream}",
                code="bookmark_unreadable",
            ) from error


def shown(stored: Mapping[str, Any] | None) -> str | int | None:
    """A stored bookmark for people: its value, or the beginning of its state as JSON; None where it has neither."""
    value: str | int | None = (stored or {}).get("value")
    state = (stored or {}).get("state")
    if value is not None or state is None:
        return value
    told = text(state)
    return told if len(told) <= SHOWN else f"{told[:SHOWN]}..."


def fingerprint(record: Mapping[str, Any], discard: Collection[str] = ()) -> str:
    """What tells a record of a stream without key from others: a hash of what the source sent, less the properties in
    `discard`, the order of properties and the spelling of numbers.

    How the record is stored does not matter: a change of the configuration or of the schema must not store it again.
    """
    sent = {name: value for name, value in record.items() if name not in discard} if discard else record
    try:
        blob = orjson.dumps(sent, option=orjson.OPT_SORT_KEYS, default=_number)
    except (TypeError, ValueError):  # a number beyond 64 bits; a record that is rejected
        blob = text(sent).encode()
    return blake2b(blob, digest_size=8).hexdigest()


def _number(value: Any) -> float | str:
    """A decimal as the quick parser would have read it, or else exactly."""
    if not isinstance(value, Decimal):
        raise TypeError
    near = float(value)
    return near if Decimal(repr(near)) == value else str(value.normalize(Context(prec=len(value.as_tuple().digits))))


class Passed(NamedTuple):
    """A root record that is finished, its children too. `hash` is the one it was stored with, for a stream without key
    its `fingerprint`. `fresh` is False for one that `Position.unchanged` recognised."""

    version: Value | None
    key: str | None
    hash: str
    complete: bool
    fresh: bool


class Position:
    """The position of one pass over a root stream; one thread uses it.

    `unchanged` says which records were stored before; `advance` moves over finished records; `settle` says how far
    the bookmark may follow; `bookmark` gives what a commit stores with it. For a stream that is not in ascending
    order, and from the first record on that contradicts the order, the bookmark stays where the run began until
    `finish`.
    """

    def __init__(self, stream: Stream, bookmark: Bookmark) -> None:
        self._stream, self._before, self.start = stream, bookmark, bookmark.start or EARLIEST
        self._trusted = stream.ascending
        self._top: Value | None = None
        self._limit: Value | None = None
        self._seen = dict(bookmark.seen)
        self._counts = dict(bookmark.counts)
        self._again = {digest: count for digest, (_, count) in bookmark.counts.items()}

    @property
    def top(self) -> Value | None:
        """The greatest replication key passed so far."""
        return self._top

    @property
    def lower(self) -> Value:
        """From where on records are wanted: the bookmark less the lookback, or the start date."""
        value = self._before.value
        if value is None:
            return self.start
        return max(self.start, value - self._stream.lookback) if isinstance(value, datetime) else value

    def is_early(self, version: Value | None) -> bool:
        """Whether a record lies before the start date (it is filtered)."""
        return isinstance(version, datetime) and version < self.start

    def unchanged(self, key: str | None, digest: str, *, complete: bool = False) -> bool:
        """Whether this very record was stored before (in the overlap); with `complete`, its children too.

        For a stream without key the answer is used up: as many records are unchanged as the overlap held.
        """
        if key is None:
            left = self._again.get(digest, 0)
            if left:
                self._again[digest] = left - 1
            return left > 0
        known = self._seen.get(key)
        return known is not None and known.hash == digest and (known.complete or not complete)

    def knows_any(self, keys: Iterable[str]) -> bool:
        """Whether one of these keys is among the records of the overlap."""
        return not self._seen.keys().isdisjoint(keys)

    def contradicts(self, version: Any) -> bool:
        """Whether a record of this version (None: it has none) comes later than a stream in ascending order may send
        it."""
        if not self._trusted or self._limit is None or version is None:
            return False
        return bool(version < self._edge(self._limit))

    def advance(self, passed: Sequence[Passed]) -> None:
        """Move over finished records; the bookmark follows with `settle`."""
        for i in self._move_over([record.version for record in passed]):
            record = passed[i]
            assert record.version is not None  # noqa: S101 - `_move_over` gives no others
            if record.key is not None:
                self._seen[record.key] = Seen(version=record.version, hash=record.hash, complete=record.complete)
            elif record.fresh:
                self._counts[record.hash] = (record.version, self._counts.get(record.hash, (0, 0))[1] + 1)

    def advance_new(self, versions: Sequence[Value | None], keys: Sequence[str], hashes: Sequence[str]) -> None:
        """`advance` over records with keys, none of which is known, given by columns."""
        for i in self._move_over(versions):
            version = versions[i]
            assert version is not None  # noqa: S101 - `_move_over` gives no others
            self._seen[keys[i]] = Seen(version=version, hash=hashes[i], complete=False)

    def _move_over(self, versions: Sequence[Any]) -> Sequence[int]:
        """Move over records of these versions; returns the positions of those that a bookmark may have to remember."""
        present = [version for version in versions if version is not None] if None in versions else versions
        if not present:
            return ()
        if len(self._seen) > 4 * KEPT:  # many records of one version: no bookmark keeps more, so memory need not
            self._seen = dict(self._latest())
        limit: Any = self._limit
        if self.contradicts(min(present)):
            self._trusted = False
        top: Any = max(present)
        self._top = top if self._top is None else max(self._top, top)
        edge: Any = self._lowest(limit if self._trusted else self._top)
        return [i for i, v in enumerate(versions) if v is not None and (edge is None or v >= edge)]

    def settle(self, limit: Value | None) -> None:
        """No record below `limit` (less the overlap) will come any more in this pass; None settles nothing."""
        if limit is not None and (self._limit is None or limit > self._limit):  # type: ignore[operator]
            self._limit = limit

    def finish(self) -> None:
        """The pass is complete: the greatest replication key is the bookmark, whatever the order was, or what is
        settled beyond it."""
        self._trusted = True
        self.settle(self._top)

    def bookmark(self, upper: datetime) -> Bookmark:
        """The bookmark for a commit of everything that `advance` has moved over. `upper` is the upper bound of the
        run."""
        if not self._trusted or self._limit is None:
            return replace(self._before, start=self.start, upper=upper)
        value: Any = min(self._limit, upper) if isinstance(self._limit, datetime) else self._limit
        if self._before.value is not None:
            value = max(value, self._before.value)
        edge: Any = self._edge(value)
        self._seen = {key: s for key, s in self._seen.items() if s.version >= edge}
        self._counts = {digest: c for digest, c in self._counts.items() if c[0] >= edge}
        return Bookmark(
            value=value,
            key=self._stream.replication_key,
            start=self.start,
            upper=upper,
            seen=dict(self._latest()),
            counts=dict(self._counts),
        )

    def _latest(self) -> list[tuple[str, Seen]]:
        """The newest of the remembered records, as many as a bookmark keeps."""
        order: Any = sorted(self._seen.items(), key=lambda item: item[1].version)
        return list(order[-KEPT:])

    def _lowest(self, limit: Value | None) -> Value | None:
        """From which version on a bookmark may have to remember records; None for all of them."""
        if limit is None:
            limit = self._before.value
        return None if limit is None else self._edge(limit)

    def _edge(self, value: Value) -> Value:
        return value - self._stream.overlap if isinstance(value, datetime) else value


def _text(value: Value | None) -> str | int | None:
    return from_datetime(value) if isinstance(value, datetime) else value


def _value(stored: str | int | None) -> Value | None:
    return to_datetime(stored) if isinstance(stored, str) else stored


def _known(stored: str | int) -> Value:
    return to_datetime(stored) if isinstance(stored, str) else stored


def _instant(stored: str | None) -> datetime | None:
    return None if stored is None else to_datetime(stored)
