"""Exit codes, and which of several counts."""

from __future__ import annotations

from collections.abc import Iterable

ORDER = (0, 75, 3, 4, 5, 2, 6)
"""From harmless to grave: complete, busy, max_rejects, source, destination, configuration, internal
(facts/fault_catalogue.md)."""


def worst(codes: Iterable[int]) -> int:
    """The gravest of some exit codes; 0 when there is none. A signal's code (above 128) wins over all others."""
    return max(codes, key=lambda code: ORDER.index(code) if code in ORDER else len(ORDER) + code, default=0)
