"""What a destination receives and what it gives back: batches, counts, receipts, claims and the `Target`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import Any, Literal, Protocol

from connector_core.streams import Stream
from connector_core.tables import Kind, RegisteredColumn, RegisteredTable, Rows, Table, Traits

BatchKind = Literal["rows", "stage", "activate", "discard"]
ActivationMode = Literal["replace", "append"]


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Records of one stream. In every receipt of kind rows or activate:

    `extracted == loaded + unchanged + superseded + rejected + filtered`. `staged` (kind stage; they are counted as
    extracted by the activation) and `discarded` (extracted, never committed) stand apart, so do `deleted` records.
    """

    extracted: int = 0
    loaded: int = 0
    unchanged: int = 0
    superseded: int = 0
    rejected: int = 0
    filtered: int = 0
    staged: int = 0
    discarded: int = 0
    deleted: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)})

    @property
    def balanced(self) -> bool:
        """Whether every extracted record has exactly one fate."""
        fates = self.loaded + self.unchanged + self.superseded + self.rejected + self.filtered
        return self.extracted == fates


@dataclass(frozen=True, kw_only=True)
class TableCount:
    """Rows of one table in one commit: written (these are metered) and deleted."""

    written: int = 0
    deleted: int = 0

    def __add__(self, other: TableCount) -> TableCount:
        return TableCount(written=self.written + other.written, deleted=self.deleted + other.deleted)


RejectIdentity = tuple[str, str, str | None, str]
"""Stream, table, primary key and record hash of a reject."""


@dataclass(frozen=True, kw_only=True)
class Reject:
    """A record kept in `_sdc_rejected`. `path` is a JSON pointer, `primary_key` JSON text or None, `record` the full
    record as ASCII JSON.

    `record_hash` is a hash of `record`; stream, table, primary key and hash identify a reject, a repeat raises `seen`.
    `copies` is how many records of the source it stands for: as many rows a replay adds to a stream without a primary
    key, where twins are records of their own. 0: a pass decides about it, a replay adds nothing. In a batch the number
    is added to what is kept; None is one, however often the record comes (streams with a key, and records that cannot
    be told when they are read again).
    """

    stream: str
    table: str
    code: str
    reason: str
    path: str
    primary_key: str | None
    record_hash: str
    record: str
    rejected_at: str
    copies: int | None = None

    @property
    def identity(self) -> RejectIdentity:
        """What tells it from other rejects of a namespace."""
        return self.stream, self.table, self.primary_key, self.record_hash

    @property
    def rows(self) -> int:
        """How many rows a replay makes of it."""
        return 1 if self.copies is None else self.copies


@dataclass(frozen=True, kw_only=True)
class Part:
    """One stream's share of a batch, in the order in which the records were read.

    `hashes`, `extracted_at` and `received_at` have one value per root record; `unique` (streams without a primary
    key) holds `__sdc_primary_key`. `counts` holds what was decided before loading: `extracted` (all), `unchanged`
    (re-read in the overlap), `rejected`, `filtered`; the records in `root` are the rest. `version` is the column of
    the replication key (the newest value wins), None where the last one read wins. `shape`/`shape_version` belong to
    `_sdc_tables`. `known` are the rows, by table, that the unchanged records of `counts` would have.
    """

    stream: Stream
    root: Rows
    subtables: tuple[Rows, ...]
    hashes: Sequence[str]
    extracted_at: Sequence[str]
    received_at: Sequence[str]
    unique: Sequence[str] = ()
    counts: Counts = Counts()
    version: str | None = None
    shape: str = ""
    shape_version: int = 1
    rewrite: bool = False
    known: Mapping[str, int] = field(default_factory=dict)

    @property
    def passed(self) -> dict[str, int]:
        """Rows by table, the root table first, that these records are, whether they have to be written or not."""
        return {
            rows.table.name: rows.count + self.known.get(rows.table.name, 0) for rows in (self.root, *self.subtables)
        }

    @property
    def tables(self) -> tuple[Table, ...]:
        """The root table and its subtables."""
        return (self.root.table, *(rows.table for rows in self.subtables))


@dataclass(frozen=True, kw_only=True)
class Activation:
    """How staged rows become visible. Only in a batch of kind activate, whose parts hold the last rows of the pass.

    `mode`: replace (a full-table pass: vanished rows are deleted) or append (a pass of a stream without key that may
    only be stored whole). `totals`: for each stream the number of distinct records that the source claims, None where
    it does not tell. `kept_keys`: JSON texts of keys of rejected records, never deleted. `may_delete` False keeps
    this pass from deleting (a reject without a readable key). The guard refuses to delete more than `most_deleted`
    (share) of a table of at least `guard_from` rows, or to leave none; `allow_deletes` names the streams for which it
    is released. `counts` are those of the whole pass, by stream. `copies`: of the rejects of streams without a primary
    key, how many records of the pass each stands for (see `Reject`); in mode replace all others stand for none.
    """

    mode: ActivationMode = "replace"
    totals: Mapping[str, int | None] = field(default_factory=dict)
    kept_keys: Mapping[str, Sequence[str]] = field(default_factory=dict)
    may_delete: bool = True
    most_deleted: float = 0.5
    guard_from: int = 20
    allow_deletes: frozenset[str] = frozenset()
    counts: Mapping[str, Counts] = field(default_factory=dict)
    copies: Mapping[RejectIdentity, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What one destination transaction does.

    rows: upsert or append `parts`. stage: append `parts` to the staging tables of the run's `first_epoch` (0: `epoch`;
    they differ when the run has claimed again, because the answer to a commit was lost). activate: make the staged rows
    visible. discard: drop staged rows of `stream` (of every epoch). `number` counts the batches of a run
    from 1 and finds the commit again when its answer was lost. `stream` is the root stream, `bookmark` its new
    bookmark (None: it does not move). `horizon` is the canonical instant beyond which a replication key is not
    believed when versions are compared (None: believe all). `settled` are rejects whose records are among the rows:
    they leave `_sdc_rejected`.
    """

    kind: BatchKind
    connector: str
    run_id: str
    number: int
    epoch: int
    stream: str
    parts: tuple[Part, ...] = ()
    rejects: tuple[Reject, ...] = ()
    bookmark: Mapping[str, Any] | None = None
    horizon: str | None = None
    activation: Activation | None = None
    settled: tuple[Reject, ...] = ()
    first_epoch: int = 0

    @property
    def staging_epoch(self) -> int:
        """The epoch in the names of the staging tables."""
        return self.first_epoch or self.epoch


@dataclass(frozen=True, kw_only=True)
class SchemaChange:
    """A change of a table: `what` is created, added, renamed, repaired or widened."""

    table: str
    what: str
    column: str = ""
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """What one commit did; the destination keeps it as a row of `_sdc_commits`, the ledger as a receipt.

    `sequence` is the fence's sequence after the commit: (namespace, epoch, sequence) is unique for ever. `older`
    tells per stream how many rows still carry an older shape (from the commit on that raised the shape version, until
    there are none). `settled` are the rejects that were replayed with it. `passed` are the rows that passed through,
    written or found unchanged, by stream and table, the stream's root table first: what Stitch would have billed.
    """

    connector: str
    stream: str
    kind: BatchKind
    run_id: str
    number: int
    epoch: int
    sequence: int
    committed_at: datetime
    counts: Mapping[str, Counts]
    tables: Mapping[str, TableCount]
    bookmark: Mapping[str, Any] | None = None
    changes: tuple[SchemaChange, ...] = ()
    older: Mapping[str, int] = field(default_factory=dict)
    settled: tuple[RejectIdentity, ...] = ()
    passed: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def details(self) -> dict[str, Any]:
        """The part of the receipt that `_sdc_commits.rows` holds as JSON; `from_details` reads it."""
        return {
            "number": self.number,
            "counts": {name: {k: v for k, v in asdict(c).items() if v} for name, c in self.counts.items()},
            "tables": {name: [t.written, t.deleted] for name, t in self.tables.items()},
            "changes": [asdict(change) for change in self.changes],
            "older": dict(self.older),
            "settled": [list(identity) for identity in self.settled],
            "passed": {stream: dict(tables) for stream, tables in self.passed.items()},
        }

    @staticmethod
    def from_details(details: Mapping[str, Any], **known: Any) -> Receipt:
        """The receipt that `details` and the other columns of `_sdc_commits` (as keywords) describe."""
        return Receipt(
            number=details["number"],
            counts={name: Counts(**c) for name, c in details["counts"].items()},
            tables={name: TableCount(written=w, deleted=d) for name, (w, d) in details["tables"].items()},
            changes=tuple(SchemaChange(**change) for change in details["changes"]),
            older=details.get("older", {}),
            settled=tuple((s, t, k, h) for s, t, k, h in details.get("settled", ())),
            passed=details.get("passed", {}),
            **known,
        )

    @property
    def metered(self) -> int:
        """Rows written to tables that users query: what counts as usage."""
        return sum(table.written for table in self.tables.values())

    @property
    def passed_through(self) -> int:
        """Rows that passed through, written or found unchanged."""
        return sum(rows for tables in self.passed.values() for rows in tables.values())


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What a run learns when it claims a namespace.

    `bookmarks` by root stream, as the newest commit of each left them; `receipts` are commits with a sequence above
    what the caller asked for; `tables` and `columns` what `_sdc_tables` and `_sdc_columns` remember, checked against
    what is really there; `first_committed_at` the first commit with a metered row; `newest` the sequence of the newest
    commit (0 when there is none, None when the destination does not tell); `adopted` columns of tables that were there
    before, by table, which the streams are to continue (`adopt.py`).
    """

    epoch: int
    sequence: int
    bookmarks: Mapping[str, Mapping[str, Any]]
    receipts: tuple[Receipt, ...] = ()
    tables: tuple[RegisteredTable, ...] = ()
    columns: tuple[RegisteredColumn, ...] = ()
    first_committed_at: datetime | None = None
    newest: int | None = None
    adopted: Mapping[str, Mapping[str, Kind]] = field(default_factory=dict)


class Target(Protocol):
    """An open destination, bound to one namespace. It opens its connection lazily and may close it between loads."""

    traits: Traits
    namespace: str

    def together(self) -> AbstractContextManager[None]:
        """Loads inside the block follow each other closely: what costs much to open may stay open between them, and is
        closed with the block."""

    def claim(self, connector: str, *, epoch: int = 0, after: int = 0, keep: int = 0) -> Claim:
        """Take the namespace for this run: epoch becomes max(destination's, `epoch`) + 1 and sequence at least `after`,
        in one transaction.

        Creates what is missing (schema, `_sdc_*` tables). `after` is the newest sequence that the ledger knows:
        receipts above it come back. What unfinished full-table passes have staged is dropped, but not that of the epoch
        `keep`: a run that claims again, because a commit's answer was lost, goes on with its pass. Raises `ConfigError`
        when the namespace belongs to another connector.
        """

    def commits(self, after: int = 0) -> Sequence[Receipt]:
        """Receipts of all commits with a sequence above `after`, oldest first; empty when the namespace does not
        exist."""

    def rejects(self, stream: str | None = None, *, limit: int | None = None) -> Sequence[Reject]:
        """Rejected records, newest first, of one stream or all."""

    def reset(self, stream: str, *, connector: str, epoch: int) -> None:
        """Drop the stream's tables (root, subtables, children), its registrations and its bookmark, in one transaction;
        `_sdc_table_version` of the stream rises by one."""

    def check(self) -> Sequence[str]:
        """Try that this destination can be used, changing nothing; returns what was found, as lines for people."""
