"""One namespace of a destination under test: a run that loads batch after batch, and a look at what is really there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from connector_core.batch import Activation, Batch, BatchKind, Claim, Counts, Part, Receipt, TableCount, Target
from connector_core.hooks import Hooks
from connector_core.names import identifier
from connector_core.plugins import Plugin, build
from connector_core.tables import Kind, Traits
from connector_core.testing.reading import Reader, canonical, plain
from connector_core.testing.shapes import Shape, named


class _NoSource:
    """Stands where a run has a source: a kit for destinations needs none."""


def hooks_of(destination: Any) -> Hooks:
    """The engine's typed facade over a destination's plugin object: wrong answers and foreign errors are blamed on
    it."""
    plugin = Plugin(kind="destination", name="under_test", object=destination)
    nothing = Plugin(kind="source", name="none", object=_NoSource())
    return Hooks(build(nothing, plugin), source=nothing.origin, destination=plugin.origin)


@dataclass
class Warehouse:
    """One namespace, claimed when it is first loaded into.

    `claimed` is the last claim, `receipts` are those of all loads, `number` is that of the last batch.
    """

    hooks: Hooks
    target: Target
    reader: Reader
    connector: str = "kit"
    run_id: str = "run-1"
    number: int = 0
    claimed: Claim | None = None
    receipts: list[Receipt] = field(default_factory=list)

    @property
    def namespace(self) -> str:
        """The namespace."""
        return self.target.namespace

    @property
    def traits(self) -> Traits:
        """What the destination can hold."""
        return self.target.traits

    def claim(self, *, epoch: int = 0, after: int = 0) -> Claim:
        """Take the namespace for a new run."""
        self.claimed = self.hooks.claim(self.target, self.connector, epoch=epoch, after=after)
        return self.claimed

    def batch(self, *parts: Part, kind: BatchKind = "rows", **more: Any) -> Batch:
        """The next batch of the run; `more` are fields of `Batch`. Names are fitted to the destination."""
        self.number += 1
        claimed = self.claimed or self.claim()
        return Batch(
            kind=kind,
            connector=self.connector,
            run_id=self.run_id,
            number=self.number,
            epoch=more.pop("epoch", claimed.epoch),
            stream=more.pop("stream", parts[0].stream.name if parts else "cases"),
            parts=tuple(named(part, self.traits) for part in parts),
            **more,
        )

    def load(self, *parts: Part, kind: BatchKind = "rows", **more: Any) -> Receipt:
        """Load a batch through the hook."""
        return self.commit(self.batch(*parts, kind=kind, **more))

    def commit(self, batch: Batch) -> Receipt:
        """Load a batch that was made before."""
        receipt = self.hooks.load(self.target, batch)
        self.receipts.append(receipt)
        return receipt

    def stage(self, shape: Shape, *slices: Sequence[Mapping[str, Any]]) -> None:
        """Stage the slices of a full pass, each as a batch."""
        for records in slices:
            self.load(shape.slice(records), kind="stage")

    def activate(self, shape: Shape, *, bookmark: Mapping[str, Any] | None = None, **rules: Any) -> Receipt:
        """Make the staged rows visible; `rules` are fields of `Activation`."""
        return self.load(shape.slice([]), kind="activate", activation=Activation(**rules), bookmark=bookmark)

    def full_pass(self, shape: Shape, records: Sequence[Mapping[str, Any]], **rules: Any) -> Receipt:
        """Stage all records as one slice and activate."""
        self.stage(shape, records)
        return self.activate(shape, **rules)

    def name(self, identifier_: str) -> str:
        """A name of the kit as the destination got it; the engine's own names stay."""
        return identifier_ if identifier_.startswith("_sdc_") else identifier((identifier_,), self.traits)

    def rows(self, table: str) -> list[dict[str, Any]]:
        """All rows of a table in the order of their first columns, with the names of the kit."""
        name = self.name(table)
        return self._sorted(self.reader.read(self.namespace, [name])[name])

    def _sorted(self, rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        return sorted(({self._plain(k): plain(v) for k, v in row.items()} for row in rows), key=_order)

    def values(self, table: str, *columns: str) -> list[tuple[Any, ...]]:
        """These columns of all rows, sorted."""
        rows = self.rows(table)
        return sorted((tuple(row[self._plain(column)] for column in columns) for row in rows), key=repr)

    def ids(self, table: str = "cases") -> list[Any]:
        """The column `id`, sorted."""
        return sorted(row["id"] for row in self.rows(table))

    def column(self, kind: Kind, table: str, column: str, *, by: str = "id") -> list[Any]:
        """The canonical values of a column in the order of another."""
        rows = sorted(self.rows(table), key=lambda row: row[by])
        return [canonical(kind, row[self._plain(column)]) for row in rows]

    def tables(self) -> set[str]:
        """The names of all tables, the engine's own among them."""
        return {self._plain(name) for name in self.reader.tables(self.namespace)}

    def staged(self) -> set[str]:
        """The names of the staging tables."""
        return {name for name in self.tables() if name.startswith("_sdc_stage_")}

    def content(self) -> dict[str, list[str]]:
        """Every row of every table, to compare two moments; NULLs are left out, and empty tables where the destination
        cannot take back that it made them."""
        found = {
            self._plain(name): sorted(
                repr(sorted((k, v) for k, v in row.items() if v is not None)) for row in self._sorted(rows)
            )
            for name, rows in self.reader.read(self.namespace).items()
        }
        return {name: rows for name, rows in found.items() if rows or self.traits.ddl_in_transaction}

    def users_content(self) -> dict[str, list[str]]:
        """`content` of the tables that users query."""
        return {name: rows for name, rows in self.content().items() if not name.startswith("_sdc_")}

    def counts(self, receipt: Receipt) -> dict[str, TableCount]:
        """Rows per table of a receipt, with the names of the kit."""
        return {self._plain(name): count for name, count in receipt.tables.items()}

    def changes(self, receipt: Receipt) -> list[tuple[str, str, str]]:
        """(table, what, column) of the changes of a receipt, with the names of the kit."""
        return [(self._plain(c.table), c.what, self._plain(c.column)) for c in receipt.changes]

    def _plain(self, name: str) -> str:
        return name.lower() if self.traits.fold == "upper" else name


def _order(row: Mapping[str, Any]) -> str:
    return repr(list(row.values()))


def fate(receipt: Receipt, stream: str = "cases", **expected: int) -> bool:
    """Whether the records of a stream had exactly these fates; `extracted` is their sum unless it is given."""
    decided = ("loaded", "unchanged", "superseded", "rejected", "filtered")
    expected.setdefault("extracted", sum(expected.get(name, 0) for name in decided))
    return receipt.counts[stream] == Counts(**expected)


@contextmanager
def connected(destination: Any, config: Mapping[str, Any], namespace: str, reader: Reader) -> Iterator[Warehouse]:
    """A namespace of a destination, connected as a run connects."""
    hooks = hooks_of(destination)
    with hooks.connect(config, namespace) as target:
        yield Warehouse(hooks=hooks, target=target, reader=reader)
