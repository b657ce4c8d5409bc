"""Replaying rejected records: what can be stored now goes to its table and leaves `_sdc_rejected`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

from connector_core import parse
from connector_core.batch import Counts, Reject
from connector_core.clock import Clock, SystemClock
from connector_core.config import Config, Connector
from connector_core.config.problems import did_you_mean
from connector_core.errors import ConfigError, DestinationError, PluginError, StaleWriterError, UnreachableError
from connector_core.events import Event
from connector_core.instants import from_datetime
from connector_core.ledger import Ledger
from connector_core.pipeline import Session, run_connector
from connector_core.run_report import RunOptions, RunReport
from connector_core.shape import Shaped, Shaper, merge
from connector_core.slices import Slice
from connector_core.streams import Stream

AT_ONCE = 1_000  # records of one transaction


def replay_rejects(
    connector: Connector,
    *,
    config: Config,
    ledger: Ledger,
    stream: str | None = None,
    stop: threading.Event,
    report: Callable[[Event], None],
    clock: Clock | None = None,
) -> RunReport:
    """Try every rejected record (of one stream, or of all) again under the present configuration, without reading the
    source's records.

    A record that is good now is loaded like any other: the order of versions decides (in streams without replication
    key the order in which they were received), so it never replaces a newer one. It leaves `_sdc_rejected` in the same
    transaction; so does, without being loaded, a record that passes over the stream read again. What is still bad stays
    as it is. A stream that cannot be loaded is told in the report, and the others
    are replayed.
    Errors as `run_connector`.
    """
    clock = clock or SystemClock()

    def work(session: Session) -> None:
        families = {member.name: family for family in session.families for member in family}
        if stream is not None and stream not in families:
            hint = did_you_mean(stream, sorted(families))
            raise ConfigError(f"there is no stream {stream!r}", hint=hint, code="stream_unknown")
        for family in session.families:
            wanted = [member.name for member in family if stream in (None, member.name)]
            try:
                _replay_family(session, family, wanted, clock)
            except (ConfigError, DestinationError, PluginError) as error:
                if isinstance(error, StaleWriterError | UnreachableError):
                    raise
                session.note(error.at(connector=connector.key, stream=family[0].name))

    return run_connector(
        connector,
        config=config,
        ledger=ledger,
        options=RunOptions(trigger="replay"),
        stop=stop,
        report=report,
        clock=clock,
        work=work,
    )


def _replay_family(session: Session, family: Sequence[Stream], wanted: Sequence[str], clock: Clock) -> None:
    """Replay what is kept of the wanted members of a family."""
    kept = {name: session.target.rejects(name)[::-1] for name in wanted}  # of equal versions the last one wins
    if not any(kept.values()):
        return
    shapers = {member.name: session.shaper(member) for member in family}
    for name, rejects in kept.items():
        for begin in range(0, len(rejects), AT_ONCE):
            _replay(session, [*shapers.values()], shapers[name], rejects[begin : begin + AT_ONCE], clock)


def _replay(
    session: Session, family: Sequence[Shaper], shaper: Shaper, rejects: Sequence[Reject], clock: Clock
) -> None:
    """Load what is good now of one stream's rejects, each as many times as it stands for records of the source."""
    now = from_datetime(clock.now())
    each = [reject for reject in rejects for _ in range(reject.rows)]
    shaped = _shaped(shaper, each, now)
    good = [each[position] for position in shaped.positions]
    none = [reject for reject in rejects if not reject.rows]
    # a shaper of their own, so that no column is made for what is not loaded
    superseded = [none[i] for i in _shaped(session.shaper(shaper.stream), none, now).positions] if none else []
    if not good and not superseded:
        return
    counts = Counts(extracted=len(good) + len(superseded), superseded=len(superseded))
    part = merge(shaper.layout, [shaped.chunk], counts=counts)
    received = [reject.rejected_at for reject in good]  # what was read later is newer
    parts = tuple(
        replace(part, received_at=received) if member is shaper else merge(member.layout, [], counts=Counts())
        for member in family
    )
    settled = tuple({reject.identity: reject for reject in (*good, *superseded)}.values())
    session.loader.load(Slice(kind="rows", stream=family[0].stream.name, parts=parts, settled=settled))
    if superseded:
        session.warn(
            f"{len(superseded):,} rejected records of {shaper.stream.name!r} were not added and are no longer kept: "
            "a later pass has read them again, or the next one will"
        )


def _shaped(shaper: Shaper, rejects: Sequence[Reject], now: str) -> Shaped:
    records = [parse.page(reject.record.encode()) for reject in rejects]
    return shaper.page(records, extracted_at=now, received_at=now, rejected_at=now)
