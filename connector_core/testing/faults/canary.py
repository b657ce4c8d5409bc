"""A foreign origin that nobody must ever talk to."""

from __future__ import annotations

from typing import Any

from connector_core.testing.faults.front import FaultFront
from connector_core.testing.faults.messages import Response


class CanaryServer(FaultFront):
    """A foreign origin that nobody must ever talk to: it records `contacts` and `requests`, and answers all with 200.

    For H1 and H2 of facts/fault_catalogue.md: point a next link or a redirect at its `url` and assert `contacts == []`.
    `document` is what it serves as JSON, by default an empty last page.
    """

    def __init__(self, document: Any = None) -> None:
        page = {"_embedded": {"entries": []}, "_links": {"next": None}} if document is None else document
        super().__init__(None, respond=lambda request: Response.of_json(page))
