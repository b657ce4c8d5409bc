"""Keeps ledger and destination in agreement: receipts that a crash kept from the ledger, or that a lost ledger had,
are taken from the destination, which is the truth.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from connector_core.batch import Claim, Receipt, Target
from connector_core.clock import Clock
from connector_core.config import Config, Connector
from connector_core.hooks import Hooks
from connector_core.ledger import Ledger
from connector_core.loading import OUTSIDE, patiently
from connector_core.plugins import assemble

Free = Callable[[Callable[[], Any]], Any]
"""Does something as soon as the destination is free."""


def claim(hooks: Hooks, target: Target, connector: Connector, *, config: Config, ledger: Ledger, free: Free) -> Claim:
    """Claim the namespace, and record the receipts that the ledger lacks (`Claim.receipts`)."""
    epoch, sequence = ledger.newest(config.destination_id(connector.destination), connector.namespace)
    answer: Claim = free(partial(hooks.claim, target, connector.key, epoch=epoch, after=sequence))
    rejected = any(counts.rejected for receipt in answer.receipts for counts in receipt.counts.values())
    ledger.rebuild(
        config.destination_id(connector.destination),
        connector.namespace,
        connector.key,
        receipts=answer.receipts,
        first_committed_at=answer.first_committed_at,
        rejects=free(target.rejects) if rejected else (),
    )
    return answer


def sync(connector: Connector, *, config: Config, ledger: Ledger, clock: Clock, stop: threading.Event) -> int:
    """Record the receipts that the ledger lacks, without a run and without changing the destination; returns how many
    they were. Raises `BusyError`, `ConfigError`, `DestinationError`, `PluginError`."""
    hooks = assemble(connector, config)
    destination = config.destination_id(connector.destination)
    with hooks.connect(config.destination_config(connector.destination), connector.namespace) as target:
        free = partial(patiently, wait=connector.lock_wait, clock=clock, stop=stop, passing=OUTSIDE)
        _, sequence = ledger.newest(destination, connector.namespace)
        found: Sequence[Receipt] = free(partial(hooks.commits, target, sequence))
        rejected = any(counts.rejected for receipt in found for counts in receipt.counts.values())
        rejects = free(target.rejects) if rejected else ()
    if not found:
        return 0
    first = min((receipt.committed_at for receipt in found if receipt.metered), default=None)
    return ledger.rebuild(destination, connector.namespace, connector.key, found, first, rejects)
