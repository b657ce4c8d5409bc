"""Changes of the data while somebody reads it, between two requests that the test chooses."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .ledger import Served
from .store import Store

When = Callable[[Served], bool]
Do = Callable[[Store], object]


@dataclass(slots=True, kw_only=True)
class Step:
    """One line of a script: ``when`` says of which requests, ``left`` how often still (None: always)."""

    when: When
    do: Do
    left: int | None
    before: bool


class Script:
    """Steps in the order of their registration; each is asked about every API request, refused ones included."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._steps: list[Step] = []
        self._seen = 0

    def add(self, *, after_request: int | None, when: When | None, do: Do, times: int | None, before: bool) -> None:
        """See `Sandbox.script`."""
        if (after_request is None) == (when is None):
            raise ValueError("give either after_request or when")
        with self._lock:
            if after_request is not None:
                target = self._seen + after_request
                condition: When = lambda _: self._seen == target  # noqa: E731 - bound to the count at this moment
                self._steps.append(Step(when=condition, do=do, left=1, before=before))
            elif when is not None:
                self._steps.append(Step(when=when, do=do, left=times, before=before))

    def arrived(self) -> None:
        """One more request."""
        with self._lock:
            self._seen += 1

    def due(self, served: Served, *, before: bool) -> list[Do]:
        """What is to be done at this moment about this request; it is used up by that."""
        with self._lock:
            chosen = []
            for step in self._steps:
                if step.before == before and step.left != 0 and step.when(served):
                    step.left = None if step.left is None else step.left - 1
                    chosen.append(step.do)
            return chosen

    def clear(self) -> None:
        """Forget all steps."""
        with self._lock:
            self._steps.clear()


def matches(conditions: Mapping[str, Any]) -> When:
    """A condition from JSON: ``path`` (prefix), ``resource``, ``method``, ``status``, ``params`` (each equal); all must
    hold."""
    unknown = set(conditions) - {"path", "resource", "method", "status", "params"}
    if unknown:
        raise ValueError(f"when knows path, resource, method, status and params, not {', '.join(sorted(unknown))}")

    def holds(served: Served) -> bool:
        given = served.params
        return (
            served.path.startswith(str(conditions.get("path", "")))
            and conditions.get("resource", served.resource) == served.resource
            and conditions.get("method", served.method) == served.method
            and conditions.get("status", served.status) == served.status
            and all(given.get(name) == str(value) for name, value in conditions.get("params", {}).items())
        )

    return holds
