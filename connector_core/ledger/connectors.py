"""Which connectors this ledger knows: what was fixed at their first run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, exists, insert, select, update

from connector_core.errors import ConfigError, ConnectorError, Place
from connector_core.ledger.schema import connectors, receipt_tables, receipts

FREE_WINDOW = timedelta(hours=168)
"""Rows committed in [first data, first data + this) are free (design section 11)."""


@dataclass(frozen=True, kw_only=True)
class Registered:
    """A connector as the ledger knows it. `new` tells that this was its first registration.

    `moved_from` is the destination that it had before, when that has just changed.
    """

    connector: str
    namespace: str
    name: str
    destination: str
    registered_at: datetime
    new: bool
    moved_from: str | None = None


def register(
    connection: Connection, now: datetime, connector: str, namespace: str, name: str, destination: str
) -> Registered:
    """See `Ledger.register`."""
    known = _claimed(connection, connector, namespace)
    values = {"name": name, "destination": destination}
    if known is None:
        connection.execute(
            insert(connectors).values(connector=connector, namespace=namespace, registered_at=now, **values)
        )
        return Registered(connector=connector, namespace=namespace, **values, registered_at=now, new=True)
    before = connection.execute(select(connectors).where(connectors.c.connector == connector)).one()
    connection.execute(update(connectors).where(connectors.c.connector == connector).values(**values))
    return Registered(
        connector=connector,
        namespace=namespace,
        name=name,
        destination=destination,
        registered_at=before.registered_at,
        new=before.destination is None,
        moved_from=before.destination if before.destination not in (None, destination) else None,
    )


def remember(connection: Connection, now: datetime, connector: str, namespace: str, first: datetime | None) -> None:
    """Take over what a destination remembers of a connector: its namespace and the instant of its first data."""
    if _claimed(connection, connector, namespace) is None:
        connection.execute(
            insert(connectors).values(connector=connector, namespace=namespace, name=connector, registered_at=now)
        )
    if first is not None:
        later = connectors.c.first_data_at.is_(None) | (connectors.c.first_data_at > first)
        mine = connectors.c.connector == connector
        connection.execute(update(connectors).where(mine & later).values(first_data_at=first))


def _claimed(connection: Connection, connector: str, namespace: str) -> str | None:
    """The namespace of a known connector; None for a new one. `ConfigError` when the two do not belong together."""
    owner = connection.scalar(select(connectors.c.connector).where(connectors.c.namespace == namespace))
    if owner is not None and owner != connector:
        raise ConfigError(
            f"the namespace {namespace!r} belongs to the connector {owner!r}",
            hint=f"give {connector!r} another name; a namespace stays with its first connector for ever",
            place=Place(connector=connector),
            code="namespace_taken",
        )
    known: str | None = connection.scalar(select(connectors.c.namespace).where(connectors.c.connector == connector))
    if known is not None and known != namespace:
        raise ConfigError(
            f"the namespace of {connector!r} is {known!r} since its first run and cannot change to {namespace!r}",
            hint="take the old name back, or configure a new connector under another key",
            place=Place(connector=connector),
            code="namespace_changed",
        )
    return known


def start_date(connection: Connection, connector: str) -> datetime | None:
    """See `Ledger.start_date`."""
    return connection.scalar(select(connectors.c.start_date).where(connectors.c.connector == connector))


def set_start_date(connection: Connection, connector: str, value: datetime) -> None:
    """See `Ledger.set_start_date`."""
    changed = connection.execute(update(connectors).where(connectors.c.connector == connector).values(start_date=value))
    if changed.rowcount != 1:
        raise ConnectorError(f"the connector {connector!r} is not registered", code="ledger")


def first_data_at(connection: Connection, connector: str) -> datetime | None:
    """See `Ledger.first_data_at`."""
    told = connection.scalar(select(connectors.c.first_data_at).where(connectors.c.connector == connector))
    some = exists().where(receipt_tables.c.receipt == receipts.c.id, receipt_tables.c.written > 0)
    asked = select(receipts.c.committed_at).where(receipts.c.connector == connector, some)
    seen = connection.scalar(asked.order_by(receipts.c.committed_at).limit(1))  # by an index, not over all receipts
    return min((instant for instant in (told, seen) if instant is not None), default=None)
