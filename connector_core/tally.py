"""What a run has done so far, for its report; everything lasting is in the receipts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from connector_core.batch import Counts, Receipt, SchemaChange, TableCount
from connector_core.bookmarks import shown
from connector_core.errors import ConnectorError
from connector_core.slices import Slice

_WEIGHT = {4: 1, 3: 2, 5: 3, 75: 3, 2: 4, 6: 5}
"""Of several errors the one whose exit code has the greatest weight decides how the run is called."""


@dataclass(kw_only=True)
class Tally:
    """Counts by stream, rows by table, bookmarks by root stream, rejects by code, changes of tables, and what went
    wrong."""

    counts: dict[str, Counts] = field(default_factory=dict)
    tables: dict[str, TableCount] = field(default_factory=dict)
    bookmarks: dict[str, Any] = field(default_factory=dict)
    rejects: dict[str, int] = field(default_factory=dict)
    changes: list[SchemaChange] = field(default_factory=list)
    errors: list[ConnectorError] = field(default_factory=list)
    partial: bool = False

    def add(self, receipt: Receipt, ready: Slice) -> None:
        """Add what one commit did."""
        self.count(receipt.counts)
        for table, count in receipt.tables.items():
            self.tables[table] = self.tables.get(table, TableCount()) + count
        if receipt.bookmark is not None and not receipt.bookmark.get("whole"):
            self.bookmarks[receipt.stream] = shown(receipt.bookmark)
        for reject in ready.rejects:
            self.rejects[reject.code] = self.rejects.get(reject.code, 0) + 1
        self.changes.extend(receipt.changes)

    def count(self, more: Mapping[str, Counts]) -> None:
        """Add counts by stream."""
        for stream, counts in more.items():
            self.counts[stream] = self.counts.get(stream, Counts()) + counts

    @property
    def worst(self) -> ConnectorError | None:
        """The error that decides the exit code, None when nothing went wrong."""
        return max(self.errors, key=lambda error: _WEIGHT.get(error.exit_code, 0), default=None)

    def verdict(self, *, stopped: bool) -> tuple[str, int]:
        """Status and exit code of the run."""
        if (worst := self.worst) is not None:
            return ("rejected" if worst.exit_code == 3 else "failed"), worst.exit_code
        if stopped:
            return "stopped", 143
        return ("partial" if self.partial else "succeeded"), 0
