"""What the sandbox served: one entry for each API request, and how many were in flight at once."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl


@dataclass(slots=True, kw_only=True)
class Served:
    """One API request. ``started``, ``ended``: monotonic seconds (``ended`` None while in flight); ``query``: as sent,
    without ``?``; ``resource``: cases, case, replies, message, users, unknown and so on; ``remaining``: of the call
    budget, after it; ``entries``: rows in the answer (None when it is no list); ``reason``: why it was refused, for
    people."""

    number: int
    started: float
    method: str
    path: str
    query: str
    resource: str = "unknown"
    nonce: str | None = None
    status: int = 0
    remaining: int = 0
    entries: int | None = None
    ended: float | None = None
    reason: str | None = None

    @property
    def params(self) -> dict[str, str]:
        """The query's parameters, decoded; of repeated ones the last."""
        return dict(parse_qsl(self.query, keep_blank_values=True))


class Ledger:
    """Thread-safe list of what was served. ``in_flight_max``: the most requests under way at one moment, by
    resource."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._served: list[Served] = []
        self._number = 0
        self._in_flight: Counter[str] = Counter()
        self.in_flight_max: dict[str, int] = {}

    def begin(self, method: str, path: str, query: str) -> Served:
        """Note that a request has arrived."""
        with self._lock:
            self._number += 1
            served = Served(number=self._number, started=time.monotonic(), method=method, path=path, query=query)
            self._served.append(served)
            return served

    def enter(self, served: Served, resource: str) -> None:
        """The request is known to ask for ``resource`` and in flight until `end`."""
        with self._lock:
            served.resource = resource
            self._in_flight[resource] += 1
            self.in_flight_max[resource] = max(self.in_flight_max.get(resource, 0), self._in_flight[resource])

    def end(self, served: Served) -> None:
        """The answer has been sent, or will never be."""
        with self._lock:
            served.ended = time.monotonic()
            self._in_flight[served.resource] -= 1

    def requests(
        self, path_prefix: str = "/api/", *, resource: str | None = None, status: int | None = None
    ) -> list[Served]:
        """The requests so far, in order of arrival, whose path begins with the prefix, of one resource, with one
        status."""
        with self._lock:
            return [
                served
                for served in self._served
                if served.path.startswith(path_prefix)
                and (resource is None or served.resource == resource)
                and (status is None or served.status == status)
            ]

    def count(self, path_prefix: str = "/api/", *, resource: str | None = None, status: int | None = None) -> int:
        """How many `requests` there were."""
        return len(self.requests(path_prefix, resource=resource, status=status))

    def statuses(self) -> Counter[int]:
        """Number of answers by status."""
        with self._lock:
            return Counter(served.status for served in self._served)

    def reset(self) -> None:
        """Forget the requests; numbers go on."""
        with self._lock:
            self._served.clear()
            self.in_flight_max = {name: count for name, count in self._in_flight.items() if count}

    def report(self) -> dict[str, Any]:
        """The ledger as JSON: requests, statuses, in_flight_max."""
        with self._lock:
            rows = [{name: getattr(served, name) for name in Served.__slots__} for served in self._served]
            counts = Counter(str(served.status) for served in self._served)
            return {"requests": rows, "statuses": dict(counts), "in_flight_max": dict(self.in_flight_max)}
