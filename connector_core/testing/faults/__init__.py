"""A fault-injecting HTTP/1.1 front: what a source must survive, done for real on the wire.

    plan = [
        Fault(match=r"^GET /api/v2/cases", nth=2, action=Status(code=429, retry_after=1)),
        Fault(match=r"^GET /api/v2/users", times=None, action=Reset(at="half")),
    ]
    with FaultFront("http://127.0.0.1:8000", plan) as front:
        run_the_source(front.url)
    assert len(front.requests) == 7

`FaultFront(upstream_url, plan)` forwards every request byte for byte and breaks the answers the plan names;
`FaultFront(None, plan, respond=function)` answers by itself. `CanaryServer()` is a foreign origin that must stay
without contacts. Plans may be JSON (`plan_from_json`, `plan_to_json`). All of it needs the standard library only,
listens on 127.0.0.1, and ends with its `with` block. A new way to fail is a subclass of `Action`. The situations and
what must come of them are those of facts/fault_catalogue.md, groups A and H.
"""

from connector_core.testing.faults.action import Action, ClientGoneError, Exchange, Line
from connector_core.testing.faults.bodies import Body, GzipBomb, Nested, Replace
from connector_core.testing.faults.canary import CanaryServer
from connector_core.testing.faults.front import FaultFront
from connector_core.testing.faults.messages import Contact, Request, Response
from connector_core.testing.faults.pages import Edit, Entries, NextLink, Raw, Total, Value
from connector_core.testing.faults.plan import ACTIONS, Fault, Hit, plan_from_json, plan_to_json
from connector_core.testing.faults.wire import (
    Call,
    DeadConnection,
    Fin,
    Framing,
    Gate,
    Headers,
    Latency,
    Redirect,
    Repeat,
    Reset,
    Silence,
    SlowLoris,
    Status,
)

__all__ = [
    "ACTIONS",
    "Action",
    "Body",
    "Call",
    "CanaryServer",
    "ClientGoneError",
    "Contact",
    "DeadConnection",
    "Edit",
    "Entries",
    "Exchange",
    "Fault",
    "FaultFront",
    "Fin",
    "Framing",
    "Gate",
    "GzipBomb",
    "Headers",
    "Hit",
    "Latency",
    "Line",
    "Nested",
    "NextLink",
    "Raw",
    "Redirect",
    "Repeat",
    "Replace",
    "Request",
    "Reset",
    "Response",
    "Silence",
    "SlowLoris",
    "Status",
    "Total",
    "Value",
    "plan_from_json",
    "plan_to_json",
]
