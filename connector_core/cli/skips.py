"""Telling of slots that were skipped: to the operator, and to the connector's extensions."""

from __future__ import annotations

from datetime import datetime

from connector_core import plugins
from connector_core.cli.output import instant
from connector_core.cli.session import Session
from connector_core.clock import SystemClock
from connector_core.config import Config, Connector
from connector_core.errors import ConnectorError, QuotaError
from connector_core.events import SlotSkipped
from connector_core.ledger import Ledger
from connector_core.scheduling import Skip


def skip_for_quota(
    session: Session, config: Config, ledger: Ledger, connector: Connector, slot: datetime, error: QuotaError
) -> None:
    """Note that a slot was not run as the quota is used up; tell it unless another process has noted it."""
    if ledger.slot(connector.key, slot, "skipped", error.message):
        tell_skipped(session, config, connector, Skip(at=slot, reason=error.message))


def tell_skipped(session: Session, config: Config, connector: Connector, skip: Skip) -> None:
    """Say it in one line, and to whoever observes. A broken extension is said, and stops nothing."""
    session.say(f"{connector.key}: slot {instant(skip.at)} skipped: {skip.reason}")
    if not connector.extensions:
        return
    now = SystemClock().now()
    try:
        tell = plugins.observers(connector, config)
    except ConnectorError as error:
        session.say(f"warning: {connector.key}: the skipped slot is not told: {error}")
        return
    tell(SlotSkipped(connector=connector.key, run_id="", at=now, slot=skip.at, reason=skip.reason))
