"""Loading slices: one destination transaction each, recorded in the ledger, and told to whoever observes."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from connector_core import refused
from connector_core.batch import Batch, Claim, Counts, Receipt, Reject, Target
from connector_core.clock import Clock
from connector_core.config.models import RejectLimit
from connector_core.errors import (
    BusyError,
    ConnectorError,
    DestinationError,
    Evidence,
    RefusedError,
    RejectLimitError,
    RetryableError,
    UnknownCommitError,
    UnreachableError,
)
from connector_core.events import BatchLoaded, RecordsRejected, SchemaChanged
from connector_core.extraction import Bound
from connector_core.hooks import Hooks
from connector_core.instants import from_datetime
from connector_core.seams import seam
from connector_core.slices import Slice

log = logging.getLogger("connector_core.loading")
T = TypeVar("T")
ATTEMPTS = 5
OUTSIDE: tuple[type[ConnectorError], ...] = (RetryableError, UnknownCommitError)
"""What passes for claims, reads and resets: they may be repeated, also when nobody knows whether they were committed. A
destination that cannot be reached ends what has not begun."""
FIRST = 10  # rejected records that are shown when there are too many


def when_free(act: Callable[[], T], *, wait: float, clock: Clock, stop: threading.Event) -> T:
    """Do it; while another process holds the destination (`BusyError`), try again for `wait` seconds."""
    deadline = clock.monotonic() + wait
    while True:
        try:
            return act()
        except BusyError:
            if clock.monotonic() >= deadline or clock.wait(0.25, stop):
                raise


def patiently(
    act: Callable[[], T],
    *,
    wait: float,
    clock: Clock,
    stop: threading.Event,
    passing: tuple[type[ConnectorError], ...] = (RetryableError, UnreachableError),
) -> T:
    """`when_free`, and again, some times, when `passing` trouble has prevented it. Raises `DestinationError` in the
    end."""
    attempt = 0
    while True:
        attempt += 1
        try:
            return when_free(act, wait=wait, clock=clock, stop=stop)
        except passing as error:
            if attempt >= ATTEMPTS or stop.is_set():
                raise DestinationError(
                    f"{error.message}; given up after {attempt} attempts",
                    hint=error.hint,
                    place=error.place,
                    code=error.code,
                ) from error
            log.warning("%s: trying again", error.message)
            clock.wait(min(5.0, 0.1 * 2.0**attempt), stop)


class Loader:
    """Loads the slices of one run in their order; lives in one thread.

    `tell(kind of event, **facts)` announces what was done.
    `record(receipt, slice)` writes the receipt into the ledger. Totals of the run are kept for the reject limit only;
    reports come from the receipts.
    """

    def __init__(
        self,
        hooks: Hooks,
        target: Target,
        *,
        connector: str,
        run_id: str,
        claim: Claim,
        bound: Bound,
        clock: Clock,
        stop: threading.Event,
        lock_wait: float,
        limit: RejectLimit | None,
        record: Callable[[Receipt, Slice], None],
        tell: Callable[..., None],
    ) -> None:
        self._hooks, self._target, self._connector, self._run_id = hooks, target, connector, run_id
        self._epoch, self._sequence, self._number = claim.epoch, claim.sequence, 0
        self._first_epoch = claim.epoch
        self._bound, self._clock, self._stop, self._lock_wait = bound, clock, stop, lock_wait
        self._limit, self._record, self._tell = limit, record, tell
        self._rejected = self._extracted = 0
        self._refused: dict[str, list[Reject]] = {}

    def together(self) -> AbstractContextManager[None]:
        """See `Target.together`."""
        return self._hooks.together(self._target)

    def load(self, ready: Slice) -> Receipt:
        """Load one slice: steps 4 to 6 of the way of a record.

        Raises `RejectLimitError` before anything is written, `ActivationError`, `StaleWriterError`,
        `DestinationError`, `BusyError`.
        """
        self._rejected += len(ready.rejects)
        self._extracted += ready.extracted
        self._number += 1
        ready = self._with_refused(ready)
        while True:
            self._check_limit(ready)
            try:
                receipt = self._commit(self._batch(ready))
                break
            except RefusedError as error:
                ready = self._without_refused(ready, error)
        self._sequence = receipt.sequence
        self._record(receipt, ready)
        self._announce(receipt, ready)
        return receipt

    def _batch(self, ready: Slice) -> Batch:
        return Batch(
            kind=ready.kind,
            connector=self._connector,
            run_id=self._run_id,
            number=self._number,
            epoch=self._epoch,
            first_epoch=self._first_epoch,
            stream=ready.stream,
            parts=ready.parts,
            rejects=ready.rejects,
            bookmark=None if ready.bookmark is None else ready.bookmark.as_json(),
            horizon=self._bound.horizon,
            activation=ready.activation,
            settled=ready.settled,
        )

    def _without_refused(self, ready: Slice, error: RefusedError) -> Slice:
        """The slice without the records that the destination refuses: they are rejected. Those of a full-table pass
        are counted by its activation, which keeps what is stored under their keys."""
        if not any(error.records.values()):
            raise error
        if ready.settled:
            return _still_bad(ready, error)
        at, rejects, parts = from_datetime(self._clock.now()), [*ready.rejects], []
        for part in ready.parts:
            bad = error.records.get(part.stream.name, {})
            rejects += refused.rejects(part, bad, at=at)
            parts.append(refused.without(part, bad, counted=ready.kind == "rows"))
        old, new = rejects[: len(ready.rejects)], rejects[len(ready.rejects) :]
        log.warning("the destination refuses %d records: %s", len(new), error.message)
        self._rejected += len(new)
        if ready.kind != "rows":
            self._refused.setdefault(ready.stream, []).extend(new)
            rejects = [*old, *(one if one.copies is None else replace(one, copies=0) for one in new)]
        return self._with_refused(replace(ready, parts=tuple(parts), rejects=tuple(rejects)), new)

    def _with_refused(self, ready: Slice, new: Sequence[Reject] | None = None) -> Slice:
        """An activation that knows of the records of its pass that the destination has refused."""
        if ready.kind == "discard":
            self._refused.pop(ready.stream, None)
        if ready.activation is None:
            return ready
        known = self._refused.get(ready.stream, ()) if new is None else new
        counts, kept = dict(ready.activation.counts), dict(ready.activation.kept_keys)
        copies = Counter(ready.activation.copies)
        for reject in known:
            counts[reject.stream] = counts.get(reject.stream, Counts()) + Counts(rejected=1)
            if reject.primary_key is not None:
                kept[reject.stream] = [*kept.get(reject.stream, ()), reject.primary_key]
            if reject.copies is not None:
                copies[reject.identity] += reject.copies
        return replace(ready, activation=replace(ready.activation, counts=counts, kept_keys=kept, copies=copies))

    def _commit(self, batch: Batch) -> Receipt:
        for _ in range(ATTEMPTS):
            try:
                return self._patiently(partial(self._hooks.load, self._target, batch))
            except UnknownCommitError as error:
                log.warning("the answer to COMMIT was lost (%s): asking the destination", error.message)
                if (found := self._find(batch)) is not None:
                    return found
                batch = replace(batch, epoch=self._epoch)
        raise DestinationError(
            f"batch {batch.number} could not be committed in {ATTEMPTS} attempts", code="not_committed"
        )

    def _find(self, batch: Batch) -> Receipt | None:
        """Claim again, which waits for the doubtful transaction, and look whether it was committed."""
        again = partial(self._hooks.claim, self._target, self._connector, epoch=self._epoch, after=self._sequence)
        passing = (RetryableError, UnreachableError, UnknownCommitError)
        claim = self._patiently(partial(again, keep=self._first_epoch), passing=passing)
        self._epoch = claim.epoch
        return next((r for r in claim.receipts if r.run_id == self._run_id and r.number == batch.number), None)

    def _patiently(self, act: Callable[[], T], **more: Any) -> T:
        return patiently(act, wait=self._lock_wait, clock=self._clock, stop=self._stop, **more)

    def _check_limit(self, ready: Slice) -> None:
        if self._limit and self._limit.crossed(rejected=self._rejected, extracted=self._extracted):
            for reject in ready.rejects[:FIRST]:
                log.error(
                    "rejected: stream %s, key %s, %s at %s",
                    reject.stream,
                    reject.primary_key,
                    reject.reason,
                    reject.path,
                )
            raise RejectLimitError(
                f"max_rejects was crossed: {self._rejected:,} of {self._extracted:,} records were rejected; "
                "the batch was not loaded",
                hint="the first of them are in the log; mend the source or raise max_rejects",
            ).showing(_evidence(ready.rejects[:FIRST]))

    def _announce(self, receipt: Receipt, ready: Slice) -> None:
        seam("observe.before")
        self._tell(BatchLoaded, receipt=receipt)
        for change in receipt.changes:
            self._tell(SchemaChanged, stream=receipt.stream, change=change)
        if ready.rejects:
            codes = Counter(reject.code for reject in ready.rejects)
            self._tell(RecordsRejected, stream=receipt.stream, codes=dict(codes), first=ready.rejects[0].reason)
        seam("observe.after")


def _still_bad(ready: Slice, error: RefusedError) -> Slice:
    """A replay without the records that the destination refuses: they stay among the rejects, as they are."""
    rows = [reject for reject in ready.settled for _ in range(reject.rows)]
    stream = ready.settled[0].stream
    bad = {rows[position].identity for position in error.records.get(stream, ())}
    good = [position for position, reject in enumerate(rows) if reject.identity not in bad]
    parts = []
    for part in ready.parts:
        counts = replace(part.counts, extracted=part.counts.extracted - len(rows) + len(good))
        parts.append(refused.take(part, good, counts) if part.stream.name == stream else part)
    log.warning("the destination still refuses %d records: %s", len(bad), error.message)
    settled = tuple(reject for reject in ready.settled if reject.identity not in bad)
    return replace(ready, parts=tuple(parts), settled=settled)


def _evidence(rejects: Sequence[Reject]) -> Evidence:
    """Records that were not loaded, so that no `_sdc_rejected` has them."""
    told = (f"{reject.stream}: {reject.reason} at {reject.path} [{reject.code}]\n{reject.record}" for reject in rejects)
    return Evidence(kind="records", text="\n\n".join(told))
