"""A faithful Desk.com API v2 of 2016 over real HTTP, with seeded data: for the demo, for tests and for third parties.

>>> with Sandbox(Settings(seed=1, cases=200)) as desk:
...     desk.url, desk.credentials.key, desk.store.update_case(3011, status="open"), desk.ledger.count("/api/v2/cases")

As a process: ``python -m connector_desk.sandbox --help``. Facts: facts/desk_api.md.
"""

from __future__ import annotations

from .ledger import Ledger, Served
from .oauth import CANARY, Credentials
from .record import Raw
from .server import Sandbox
from .settings import DEMO, Settings
from .store import Store

__all__ = ["CANARY", "DEMO", "Credentials", "Ledger", "Raw", "Sandbox", "Served", "Settings", "Store"]
