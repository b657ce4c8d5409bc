"""Replaying rejected records: what can be stored now goes to its table and leaves `_sdc_rejected`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

from connector_core import parse
from connector_core.batch import Counts, Reject
from connector_core.clock import Clock, SystemClock
from connector_core.config import Config, Connector
from connector_core.errors import ConfigError
from connector_core.events import Event
from connector_core.instants import from_datetime
from connector_core.ledger import Ledger
from connector_core.pipeline import Session, run_connector
from connector_core.run_report import RunOptions, RunReport
from connector_core.shape import Shaper, merge
from connector_core.slices import Slice

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
    transaction. What is still bad stays as it is.
    Errors as `run_connector`.
    """
    clock = clock or SystemClock()

    def work(session: Session) -> None:
        families = {member.name: family for family in session.families for member in family}
        if stream is not None and stream not in families:
            raise ConfigError(
                f"there is no stream {stream!r}", hint=f"there are {', '.join(sorted(families))}", code="stream_unknown"
            )
        shapers = {member.name: session.shaper(member) for family in session.families for member in family}
        for name, family in families.items():
            if stream is not None and name != stream:
                continue
            rejects = session.target.rejects(name)[::-1]  # the oldest first: of equal versions the last one wins
            for begin in range(0, len(rejects), AT_ONCE):
                some = rejects[begin : begin + AT_ONCE]
                _replay(session, [shapers[member.name] for member in family], shapers[name], some, clock)

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


def _replay(
    session: Session, family: Sequence[Shaper], shaper: Shaper, rejects: Sequence[Reject], clock: Clock
) -> None:
    """Load what is good now of one stream's rejects."""
    now = from_datetime(clock.now())
    records = [parse.page(reject.record.encode()) for reject in rejects]
    shaped = shaper.page(records, extracted_at=now, received_at=now, rejected_at=now)
    if not shaped.positions:
        return
    settled = tuple(rejects[position] for position in shaped.positions)
    received = [reject.rejected_at for reject in settled]  # what was read later is newer
    good = merge(shaper.layout, [shaped.chunk], counts=Counts(extracted=shaped.chunk.count))
    parts = tuple(
        replace(good, received_at=received) if member is shaper else merge(member.layout, [], counts=Counts())
        for member in family
    )
    session.loader.load(Slice(kind="rows", stream=family[0].stream.name, parts=parts, settled=settled))
