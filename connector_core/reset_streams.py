"""Resetting streams: what it would do, and doing it. The next run reads them from their beginning into new tables."""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from connector_core import claiming
from connector_core.clock import Clock
from connector_core.config import Config, Connector
from connector_core.config.problems import did_you_mean
from connector_core.errors import ConfigError
from connector_core.ledger import FREE_WINDOW, Family, Ledger, LogLine
from connector_core.loading import OUTSIDE, patiently
from connector_core.plugins import assemble


@dataclass(frozen=True, kw_only=True)
class ResetPlan:
    """What a reset does: `families` are the root streams whose tables are dropped, with their children and tables.

    `start_date` is where incremental streams begin again (None: not fixed yet), `free_until` the end of the free
    window (None: it has not begun): what is read again after it counts.
    """

    connector: str
    families: tuple[Family, ...]
    start_date: datetime | None
    free_until: datetime | None


def plan_reset(
    connector: Connector,
    streams: Collection[str],
    *,
    config: Config,
    ledger: Ledger,
    clock: Clock,
    stop: threading.Event,
) -> ResetPlan:
    """What a reset of these root streams (empty: of all) would do; changes nothing in the destination.

    Raises `ConfigError` for a stream that was never loaded, and for a child, which is read with its parent.
    """
    claiming.sync(connector, config=config, ledger=ledger, clock=clock, stop=stop)
    known = {family.stream: family for family in ledger.families(connector.key)}
    parents = {child: family.stream for family in known.values() for child in family.children}
    for name in streams:
        if name in parents:
            raise ConfigError(
                f"stream {name!r} is read with its parent {parents[name]!r}",
                hint=f"connector-core reset {connector.key} {parents[name]}",
                code="stream_child",
            )
        if name not in known:
            raise ConfigError(
                f"connector {connector.key!r} has loaded no stream {name!r}",
                hint=did_you_mean(name, list(known), f"there are: {', '.join(known) or 'none'}"),
                code="stream_unknown",
            )
    first = ledger.first_data_at(connector.key)
    return ResetPlan(
        connector=connector.key,
        families=tuple(family for name, family in known.items() if not streams or name in streams),
        start_date=ledger.start_date(connector.key),
        free_until=None if first is None else first + FREE_WINDOW,
    )


def reset_streams(
    connector: Connector,
    streams: Sequence[str],
    *,
    config: Config,
    ledger: Ledger,
    clock: Clock,
    stop: threading.Event,
) -> None:
    """Drop the tables of these root streams and of their children, and forget their bookmarks, stream by stream; a
    reset that was interrupted may be repeated.

    Raises `BusyError` while a run holds the connector, `DestinationError`, `PluginError`.
    """
    free = partial(patiently, wait=connector.lock_wait, clock=clock, stop=stop, passing=OUTSIDE)
    destination = config.destination_id(connector.destination)
    with ledger.lease(f"connector:{connector.key}", holder="reset"):
        hooks = assemble(connector, config)
        with hooks.connect(config.destination_config(connector.destination), connector.namespace) as target:
            claim = claiming.claim(hooks, target, connector, config=config, ledger=ledger, free=free)
            for stream in streams:
                free(partial(hooks.reset, target, stream, connector=connector.key, epoch=claim.epoch))
                ledger.forget_bookmark(destination, connector.namespace, stream)
                text = f"reset of {stream}: its tables were dropped, the next run reads it from its beginning"
                line = LogLine(
                    at=clock.now(),
                    component="engine",
                    level="WARNING",
                    text=text,
                    stream=stream,
                    connector=connector.key,
                )
                ledger.log(None, [line])
