"""The ledger: the engine's own database of runs, receipts, rejects, log lines, leases and slots.

Tables are in `schema`, the rules for the file in `database`, what is written in `connectors`, `runs`, `slots`,
`receipts` and `leases`, what is asked in `queries` (shapes in `answers`); `Ledger` is the door. Importing this package
imports SQLAlchemy: do it where a ledger is opened, not at the top of a command.
"""

from connector_core.ledger.answers import (
    Agenda,
    ConnectorStatus,
    Family,
    KnownConnector,
    Loads,
    LoggedLine,
    Pause,
    RejectedRecord,
    Run,
    RunReport,
    SlotNote,
    Step,
    StreamPass,
    StreamReport,
    StreamStatus,
    TableLoad,
    TableLoads,
    TableReport,
    UsageRow,
)
from connector_core.ledger.connectors import FREE_WINDOW, Registered
from connector_core.ledger.handler import LedgerHandler
from connector_core.ledger.journal import LEVELS, LogFilter
from connector_core.ledger.leases import Lease
from connector_core.ledger.ledger import Ledger
from connector_core.ledger.runs import LogLine

__all__ = [
    "FREE_WINDOW",
    "LEVELS",
    "Agenda",
    "ConnectorStatus",
    "Family",
    "KnownConnector",
    "Lease",
    "Ledger",
    "LedgerHandler",
    "Loads",
    "LogFilter",
    "LogLine",
    "LoggedLine",
    "Pause",
    "Registered",
    "RejectedRecord",
    "Run",
    "RunReport",
    "SlotNote",
    "Step",
    "StreamPass",
    "StreamReport",
    "StreamStatus",
    "TableLoad",
    "TableLoads",
    "TableReport",
    "UsageRow",
]
