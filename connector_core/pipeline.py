"""One run of one connector, from top to bottom. The way of a record is six steps:

    1 hooks.extract      source       pages, within the call budget                    fetch.py, children.py
    2 validate           core         good records | rejected records                  validate.py
    3 shape              core         rows of tables, column by column                 shape.py, layout.py
    4 hooks.load         destination  one transaction: rows, rejects, bookmark         write.py
    5 ledger.record      core         receipt, usage, rejects                          ledger/
    6 hooks.observe      anyone       event                                            events.py

Steps 1 to 3 run in one thread per root stream (`extraction.Reader`), which hands slices to steps 4 to 6 in the thread
that called `run_connector` (`loading.Loader`); a queue bounded in bytes lies between them.
"""

from __future__ import annotations

import gc
import logging
import sys
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

from connector_core import beginning, captured, claiming, extraction_log, hanging
from connector_core.batch import Claim, Counts, Receipt, Target
from connector_core.bookmarks import Bookmark, shown
from connector_core.budget import Budget, Stopped
from connector_core.clock import Clock, SystemClock
from connector_core.config import Config, Connector
from connector_core.errors import AuthError, ConnectorError, PluginError, StaleWriterError
from connector_core.events import (
    Event,
    PageExtracted,
    ParentVanished,
    QuotaReached,
    RunFinished,
    RunStarted,
    StreamFinished,
    StreamStarted,
    Waiting,
    Warned,
)
from connector_core.extraction import Bound, Deletes, Reader, Reports
from connector_core.fetch import Fetcher, RetryRules
from connector_core.hooks import Hooks
from connector_core.layout import Layout
from connector_core.ledger import Ledger
from connector_core.loading import OUTSIDE, Loader, patiently
from connector_core.metering import quota
from connector_core.plugins import assemble
from connector_core.redact import redactor
from connector_core.run_report import RunOptions, RunReport
from connector_core.shape import Shaper
from connector_core.slices import Cut, Slice, SliceQueue, room
from connector_core.stateful import StatefulReader
from connector_core.streams import Page, Stream
from connector_core.tally import Tally
from connector_core.validate import SchemaError, Validator

log = logging.getLogger("connector_core.pipeline")
T = TypeVar("T")


def run_connector(
    connector: Connector,
    *,
    config: Config,
    ledger: Ledger,
    options: RunOptions,
    stop: threading.Event,
    report: Callable[[Event], None],
    clock: Clock | None = None,
    work: Work | None = None,
    hung: Callable[[PluginError], None] | None = None,
) -> RunReport:
    """Run one connector once: claim its namespace, read every selected stream, load what is new, say what was done.

    `stop` ends the run after the transaction in hand; `report` is told every event. Never raises for a failing
    source, destination or plugin: the report says so (`status`, `exit_code`, `error`); `BusyError` when another run
    holds the connector and `ConfigError` are raised, nothing was begun then. `work` is what the run does between
    claim and report (default: move the records of all selected streams). A run of a slot that was run or skipped by
    somebody else is a `BusyError`; when the quota is used up and `on_quota` is pause, a `QuotaError`: who has asked for
    a slot then notes that it was skipped.
    `hung` is called from another thread, after the run was noted as failed, when `run_seconds` is over and a plugin's
    call does not come back (`hook_seconds`): only ending the process helps then.
    """
    clock = clock or SystemClock()
    run_id = uuid.uuid4().hex
    quota.admit(ledger, config.metering, clock.now())
    with ledger.lease(f"connector:{connector.key}", holder=run_id) as lease:
        ledger.register(
            connector.key,
            connector.namespace,
            name=connector.name,
            destination=config.destination_id(connector.destination),
        )
        ledger.begin_run(connector.key, trigger=options.trigger, run_id=run_id, slot=options.slot)
        run = Run(
            connector,
            config=config,
            ledger=ledger,
            options=options,
            stop=stop,
            report=report,
            clock=clock,
            run_id=run_id,
            lost=lease.lost,
        )
        ledger.prune(ledger.now() - config.ledger.keep)

        def end(error: PluginError) -> None:
            try:
                ledger.finish_run(run_id, status="failed", exit_code=error.exit_code, error=str(error))
            finally:
                if hung is not None:
                    hung(error)

        with extraction_log.kept(ledger, run_id, config.loaded(connector)):
            try:
                outcome = run.outcome(work or run.move, hung=end)
            except BaseException as error:  # a defect of the engine: the run is closed, the error goes on
                ledger.finish_run(run_id, status="failed", exit_code=6, error=f"{type(error).__name__}: {error}")
                raise
        ledger.finish_run(run_id, status=outcome.status, exit_code=outcome.exit_code, error=outcome.error)
    return outcome


@contextmanager
def _records_in_motion() -> Iterator[None]:
    """Python as it suits threads that move records.

    The garbage collector looks rarely: records are full of objects without cycles, and to walk them again and again
    would take a fifth of a run's time. Threads take turns after a millisecond instead of five: the loader comes back
    from each statement for a moment only, and would wait for a reader's turn to end every time.
    """
    thresholds, interval = gc.get_threshold(), sys.getswitchinterval()
    gc.set_threshold(50_000, 50, 100)
    sys.setswitchinterval(0.001)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        sys.setswitchinterval(interval)


@dataclass(frozen=True, kw_only=True)
class Session:
    """What a run has once it has claimed its namespace and knows the source's streams: families of a root and its
    children. `note` puts an error into the report and lets the run go on, `warn` tells something that is odd."""

    target: Target
    claim: Claim
    fetch: Fetcher
    bound: Bound
    loader: Loader
    families: tuple[tuple[Stream, ...], ...]
    shaper: Callable[[Stream], Shaper]
    note: Callable[[ConnectorError], None]
    warn: Callable[[str], None]


Work = Callable[[Session], None]


class Run:
    """The life of one run, from the claim to the report. Every part it needs is made here and passed on."""

    def __init__(
        self,
        connector: Connector,
        *,
        config: Config,
        ledger: Ledger,
        options: RunOptions,
        stop: threading.Event,
        report: Callable[[Event], None],
        clock: Clock,
        run_id: str,
        lost: threading.Event,
    ) -> None:
        self._connector, self._config, self._ledger, self._options = connector, config, ledger, options
        self._stop, self._report, self._clock, self._run_id, self._lost = stop, report, clock, run_id, lost
        self._began = clock.monotonic()
        self._halt, self._gone = threading.Event(), threading.Event()
        self._out_of_time = self._paused = False
        self._tally = Tally()
        self._journal = extraction_log.Journal()
        self._quota = quota.Watch(ledger, config.metering, clock)
        self._telling = threading.Lock()
        self._hooks: Hooks | None = None
        self._budget = Budget(
            share=connector.rate_limit_share,
            in_flight=connector.calls_in_flight,
            clock=clock,
            stop=self._halt,
            waiting=lambda seconds: self._tell(Waiting, stream="", seconds=seconds, reason="rate_limit"),
        )

    def outcome(self, work: Work, *, hung: Callable[[PluginError], None]) -> RunReport:
        """Do the work, and turn whatever happened into a report."""
        threading.Thread(target=self._hear_stop, name="stop", daemon=True).start()
        connector = self._connector
        try:
            hooks = self._hooks = assemble(connector, self._config)
            with hanging.watched(hooks, after=connector.run_seconds, patience=connector.hook_seconds, hung=hung):
                self._run(hooks, work)
        except ConnectorError as error:
            self._note(error)
        except Stopped:
            pass
        finally:
            self._halt.set()
        finished = self._report_of()
        self._tell(
            RunFinished,
            status=finished.status,
            exit_code=finished.exit_code,
            counts=finished.counts,
            rows_written=finished.rows_written,
            seconds=finished.seconds,
            error=None if finished.error is None else self._ledger.clean(finished.error),
        )
        return finished

    def _note(self, error: ConnectorError) -> None:
        """An error for the report; what the other side sent is kept in a file."""
        if error.evidence is not None:
            redact = redactor(self._config.secrets())
            captured.keep(error, beside=self._config.folder, redact=redact, now=self._clock.now())
        self._tally.errors.append(error)

    def _hear_stop(self) -> None:
        """Whoever waits for the source hears at once that the run was stopped."""
        while not self._halt.is_set():
            if self._stop.wait(0.2):
                self._halt.set()

    def _run(self, hooks: Hooks, work: Work) -> None:
        connector, config = self._connector, self._config
        with ExitStack() as held:
            to = config.destination_config(connector.destination)
            target = held.enter_context(hooks.connect(to, connector.namespace))
            claim = self._claim(hooks, target)
            source_config = config.source_config(connector.key)
            with config.blamed("connectors", connector.key, "config"):
                client = held.enter_context(hooks.client(source_config))
            log.info("claimed epoch %d of %s; asking for the streams", claim.epoch, connector.namespace)
            fetch = Fetcher(
                hooks,
                source_config,
                client,
                budget=self._budget,
                rules=self._rules(),
                clock=self._clock,
                stop=self._halt,
                waiting=lambda stream, seconds, reason, detail: self._tell(
                    Waiting, stream=stream, seconds=seconds, reason=reason, detail=detail
                ),
            )
            bound = Bound(self._clock)
            with self._ledger.step(self._run_id, "discovery"), config.blamed("connectors", connector.key, "config"):
                catalog = fetch.discover()
            bound.learn(catalog.served_at)
            families = beginning.families(catalog.streams, connector, self._options)
            self._tell(RunStarted, streams=tuple(family[0].name for family in families))
            loader = Loader(
                hooks,
                target,
                connector=connector.key,
                run_id=self._run_id,
                claim=claim,
                bound=bound,
                clock=self._clock,
                stop=self._stop,
                lock_wait=connector.lock_wait,
                limit=connector.max_rejects,
                record=self._record,
                tell=self._tell,
            )
            layout = Layout(target.traits, claim.tables, claim.columns, claim.adopted)
            shaper = partial(self._shaper, hooks=hooks, layout=layout, target=target)
            work(
                Session(
                    target=target,
                    claim=claim,
                    fetch=fetch,
                    bound=bound,
                    loader=loader,
                    families=families,
                    shaper=shaper,
                    note=self._note,
                    warn=self._warn,
                )
            )

    def _claim(self, hooks: Hooks, target: Target) -> Claim:
        """Claim the namespace; receipts that a crash kept from the ledger are recorded now: the destination is the
        truth."""
        ledger, connector, config = self._ledger, self._connector, self._config
        _, sequence = ledger.newest(config.destination_id(connector.destination), connector.namespace)
        claim = claiming.claim(hooks, target, connector, config=config, ledger=ledger, free=self._free)
        self._look_at_quota()
        if claim.receipts:
            self._warn(f"{len(claim.receipts):,} commits of earlier runs were not in the ledger; recorded now")
        if claim.newest is not None and claim.newest < sequence:
            self._warn(
                "the destination is older than the ledger: commits that the ledger has recorded are not there "
                "(restored from a backup, or another database); reading goes on from the destination's bookmarks"
            )
        return claim

    def _free(self, act: Callable[[], T]) -> T:
        wait = self._connector.lock_wait
        return patiently(act, wait=wait, clock=self._clock, stop=self._stop, passing=OUTSIDE)

    def _warn(self, text: str) -> None:
        self._tell(Warned, stream=None, text=text)

    def move(self, session: Session) -> None:
        """Read all root streams side by side, load their slices one after the other, until everybody has finished."""
        bookmarks = self._bookmarks(session)
        connector = self._connector
        parents = sum(len(family) > 1 for family in session.families)
        share = room(connector.memory, readers=len(session.families), parents=parents)
        slices = SliceQueue(share, self._gone)
        cut = Cut(
            records=connector.batch_records, size=min(connector.batch_bytes, share), seconds=connector.batch_seconds
        )
        pool = ThreadPoolExecutor(self._connector.calls_in_flight, thread_name_prefix="child")
        done = {family[0].name: threading.Event() for family in session.families}
        threads = []
        for family in session.families:
            root = family[0]
            reader = self._reader(family, session, slices, pool, bookmark=bookmarks[root.name], cut=cut)
            begun = root.replication == "incremental" and (bookmarks[root.name].moved or not root.stateful)
            since = bookmarks[root.name].begins if begun else None
            self._tell(StreamStarted, stream=root.name, since=since)
            threads.append(
                threading.Thread(target=self._read, args=(reader, done, slices), name=f"read-{root.name}", daemon=True)
            )
        try:
            for thread in threads:
                thread.start()
            with self._ledger.step(self._run_id, "loading"), _records_in_motion():
                self._load(len(threads), slices, session.loader)
        finally:
            self._halt.set()
            self._gone.set()
            pool.shutdown(wait=True, cancel_futures=True)
            for thread in threads:
                thread.join()

    def _bookmarks(self, session: Session) -> dict[str, Bookmark]:
        """Each root stream's bookmark to go on from. The start date is fixed in the ledger before anything is read."""
        key = self._connector.key
        roots = [family[0] for family in session.families]
        found = beginning.bookmarks(roots, session.claim.bookmarks)
        for root in roots:
            if found[root.name].whole and root.replication == "incremental" and not (root.primary_key or root.stateful):
                self._warn(
                    f"{root.name!r} was read as a whole before and has no primary key: it is read again from its start "
                    "date, and what is read then takes the place of its rows"
                )
        for name, bookmark in found.items():
            if not bookmark.moved and session.claim.bookmarks.get(name, {}).get("value") is not None:
                self._warn(f"the replication key of {name!r} is another one now: it is read again from its start date")
        known = self._ledger.start_date(key)
        start = beginning.start_date(
            self._connector, known=known, found=found, confirmed=self._options.confirm, now=self._clock.now()
        )
        if start != known:
            self._ledger.set_start_date(key, start)
        return {
            name: replace(b, start=start)
            for name, b in beginning.resume(found, start=start, full=self._options.full).items()
        }

    def _reader(
        self,
        family: Sequence[Stream],
        session: Session,
        slices: SliceQueue,
        pool: ThreadPoolExecutor,
        *,
        bookmark: Bookmark,
        cut: Cut,
    ) -> Reader:
        connector = self._connector
        kind = StatefulReader if family[0].stateful else Reader
        return kind(
            [session.shaper(stream) for stream in family],
            bookmark=bookmark,
            fetch=session.fetch,
            bound=session.bound,
            slices=slices,
            pool=pool,
            ahead=2 * connector.calls_in_flight,
            cut=cut,
            clock=self._clock,
            halt=self._halt,
            reports=self._reports(),
            deletes=Deletes(most=connector.most_deleted, allowed=frozenset(self._options.allow_deletes)),
            out_of_time=lambda: self._out_of_time,
            again=not bookmark.moved and _was_read(session.claim, family[0]),
            rewrite=frozenset(s.name for s in family if connector.stream(s.name).unchanged == "rewrite"),
        )

    def _read(self, reader: Reader, done: Mapping[str, threading.Event], slices: SliceQueue) -> None:
        """A reading thread: its last word goes through the queue, behind its last slice."""
        error: BaseException | None = None
        try:
            for name in reader.root.after:
                while name in done and not done[name].wait(0.2):
                    if self._halt.is_set():
                        raise Stopped
            with self._ledger.step(self._run_id, "extraction", reader.root.name):
                reader.read()
        except BaseException as caught:  # every end is told to the loading thread, which sorts them
            error = caught
        finally:
            done[reader.root.name].set()
            slices.finished(Ended(stream=reader.root.name, counts=reader.counts[reader.root.name], error=error))

    def _load(self, readers: int, slices: SliceQueue, loader: Loader) -> None:
        """Steps 4 to 6 for every slice, until the last reader has ended."""
        with ExitStack() as burst:
            loading = False
            while readers and not (self._stop.is_set() or self._paused):
                self._look_around()
                item = slices.get(timeout=0.2)
                if isinstance(item, Ended):
                    readers -= 1
                    self._ended(item)
                elif item is None:
                    burst.close()
                    loading = False
                else:
                    if not loading:
                        burst.enter_context(loader.together())
                    loading = True
                    self._load_one(item, slices, loader)

    def _look_around(self) -> None:
        """Raises `StaleWriterError` when another run has taken over; ends the reading when its time is over."""
        if self._lost.is_set():
            raise StaleWriterError(
                "another run has taken over this connector while this one stood still", hint="nothing was lost"
            )
        if self._clock.monotonic() - self._began > self._connector.run_seconds and not self._halt.is_set():
            log.warning("run_seconds is over: what is finished is committed, the next run goes on from there")
            self._out_of_time = self._tally.partial = True
            self._halt.set()

    def _load_one(self, ready: Slice, slices: SliceQueue, loader: Loader) -> None:
        try:
            ready.done.set_result(loader.load(ready))
        except ConnectorError as error:
            if (
                error.exit_code != 4
            ):  # a source's fault (an incomplete pass) is its reader's affair, all else ends the run
                raise
            ready.done.set_exception(error)
        finally:
            slices.loaded(ready)

    def _ended(self, ended: Ended) -> None:
        """A reader has finished: other streams go on, unless the credentials were refused or a plugin is broken."""
        error = ended.error
        if isinstance(error, ConnectorError):
            self._note(error.at(connector=self._connector.key, stream=ended.stream))
            log.debug("the traceback of stream %s", ended.stream, exc_info=error)
            if isinstance(error, AuthError | PluginError):
                self._halt.set()
        elif error is not None and not isinstance(error, Stopped):
            raise error
        text = None if error is None else (str(error) or type(error).__name__)
        self._tell(StreamFinished, stream=ended.stream, counts=ended.counts, error=text)

    def _record(self, receipt: Receipt, ready: Slice) -> None:
        """Step 5: the receipt, the rejects' keys and reasons, in one ledger transaction."""
        self._ledger.record(
            self._config.destination_id(self._connector.destination),
            self._connector.namespace,
            receipt,
            ready.rejects,
        )
        self._tally.add(receipt, ready)
        self._look_at_quota(max(receipt.metered, receipt.passed_through))

    def _look_at_quota(self, rows: int = 0) -> None:
        """Tell shares of the quota that are reached; at its end the run ends too, if it is to pause."""
        settings = self._config.metering
        found = self._quota.look(rows)
        if found is None:
            return
        for threshold in quota.crossed(self._ledger, settings, found):
            self._tell(
                QuotaReached,
                threshold=threshold,
                used=found.used,
                quota=found.quota,
                period_end=found.period.end,
            )
        if found.exhausted and settings.on_quota == "pause" and not self._paused:
            log.warning("the quota is used up: the run ends with the last commit and goes on in the next period")
            self._paused = self._tally.partial = True
            self._halt.set()

    def _shaper(self, stream: Stream, *, hooks: Hooks, layout: Layout, target: Target) -> Shaper:
        """Steps 2 and 3 for one stream, as configured."""
        settings, traits = self._connector.stream(stream.name), target.traits
        nested = settings.nested or ("native" if traits.nested_natively else "subtables")
        type_conflict = settings.type_conflict or "split"
        schema_mode = settings.schema_mode or "evolve"
        try:
            validator = Validator(stream, type_conflict=type_conflict)
        except SchemaError as error:
            raise hooks.bad_catalog(str(error), stream.name) from error
        return Shaper(
            stream=stream,
            layout=layout.stream(stream, nested=nested, schema=schema_mode, type_conflict=type_conflict),
            validator=validator,
            nul_characters=self._connector.nul_characters,
        )

    def _rules(self) -> RetryRules:
        connector = self._connector
        return RetryRules(
            attempts=connector.retry_attempts,
            seconds=connector.retry_seconds,
            pause=connector.retry_wait,
            longest_wait=connector.longest_wait,
        )

    def _reports(self) -> Reports:
        def page(stream: Stream, got: Page) -> None:
            self._tell(
                PageExtracted,
                stream=stream.name,
                records=len(got.records),
                size=got.size,
                url=got.url,
                total=got.total,
                calls=self._budget.calls,
                calls_left=self._budget.left,
                calls_per_second=self._budget.pace,
                parent=stream.parent,
            )

        def vanished(stream: Stream, key: str) -> None:
            self._tell(ParentVanished, stream=stream.name, parent_key=key)

        def warned(stream: Stream, text: str) -> None:
            self._tell(Warned, stream=stream.name, text=text)

        def discarded(counts: Mapping[str, Counts]) -> None:
            with self._telling:
                self._tally.count(counts)

        return Reports(page=page, vanished=vanished, warned=warned, discarded=discarded)

    def _report_of(self) -> RunReport:
        tally = self._tally
        status, exit_code = tally.verdict(stopped=self._stop.is_set())
        return RunReport(
            connector=self._connector.key,
            run_id=self._run_id,
            status=status,
            exit_code=exit_code,
            counts=tally.counts,
            tables=tally.tables,
            bookmarks=tally.bookmarks,
            calls=self._budget.calls,
            waited=self._budget.waited,
            seconds=self._clock.monotonic() - self._began,
            error="; ".join(dict.fromkeys(str(error) for error in tally.errors)) or None,
            error_codes=tuple(dict.fromkeys(error.code for error in tally.errors)),
            rejects=tally.rejects,
            changes=tuple(tally.changes),
        )

    def _tell(self, kind: type[Event], **facts: Any) -> None:
        """Step 6: tell the reporter and every observer, one event at a time."""
        event = kind(connector=self._connector.key, run_id=self._run_id, at=self._clock.now(), **facts)
        with self._telling:
            self._journal.write(event)
            self._report(event)
            if self._hooks is not None:
                self._hooks.observe(event)


def _was_read(claim: Claim, root: Stream) -> bool:
    """Whether an earlier run has moved the bookmark of this stream, or has filled its table as a whole."""
    stored = claim.bookmarks.get(root.name) or {}
    return shown(stored) is not None or bool(stored.get("whole"))


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A reader's last word."""

    stream: str
    counts: Counts
    error: BaseException | None
