"""Tables that follow the records: new columns, splits, wide tables, whatever names there are."""

from __future__ import annotations

from dataclasses import replace

from connector_core.errors import ConnectorError
from connector_core.tables import Kind
from connector_core.testing.contract.rows import case, cases
from connector_core.testing.shapes import CASES, Shape, split
from connector_core.testing.warehouse import Warehouse, fate

AMOUNT = Shape(columns={**CASES, "amount": "integer"})
HOSTILE = (
    'a"b',
    "a'b; DROP TABLE cases; --",
    "a%sb",
    "?",
    "{}",
    "a\nb",
    "select",
    "rowid",
    "xmin",
    "ünïcödé 日本 \U0001f600",
    "c0",
    "x" * 300,
    "é" * 100,
    "$1",
    ":name",
    "\\",
    " ",
    "_sdc_sequence",
)


def split_amount(house: Warehouse) -> tuple[Shape, str, str]:
    """The shape of `AMOUNT` after texts were met, and the names of both columns."""
    old, new = split(house.traits, "amount", "integer", "string")
    shape = Shape(
        columns={**CASES, "amount": "integer", "amount|text": "string"},
        names={("amount", "integer"): old, ("amount|text", "string"): new},
    )
    return shape, old, new


class TablesContract:
    """What the schema step of a load does."""

    widest = 1_000
    """Columns of the widest table that is tried."""
    hostile = HOSTILE
    """Names that records, arrays and streams may have."""

    def test_a_new_column_is_added_and_rewrites_nothing(self, house: Warehouse) -> None:
        house.load(cases.part([case(1)]))
        before = house.values("cases", "id", "subject", "_sdc_sequence", "_sdc_record_hash")
        receipt = house.load(AMOUNT.part([case(2, amount=5)]))
        assert house.changes(receipt) == [("cases", "added", "amount")]
        assert house.values("cases", "id", "amount") == [(1, None), (2, 5)]
        assert before[0] in house.values("cases", "id", "subject", "_sdc_sequence", "_sdc_record_hash")
        assert house.load(AMOUNT.part([case(3)])).changes == ()
        remembered = {c.path: c.kind for c in house.claim().columns if not c.table_path}
        assert remembered == {(name,): kind for name, kind in AMOUNT.columns.items()}

    def test_a_batch_without_a_column_leaves_it_null(self, house: Warehouse) -> None:
        house.load(AMOUNT.part([case(1, amount=5)]))
        assert house.load(cases.part([case(2)])).changes == ()
        assert house.values("cases", "id", "amount") == [(1, 5), (2, None)]

    def test_b35_a_split_keeps_the_old_values_beside_the_new(self, house: Warehouse) -> None:
        house.load(AMOUNT.part([case(1, amount=5), case(2, amount=6)]))
        shape, old, new = split_amount(house)
        receipt = house.load(shape.part([{**case(2), "amount|text": "six"}, case(3, amount=7)]))
        renamed = [("cases", "renamed", old.lower())] if old != "amount" else []
        assert house.changes(receipt) == [*renamed, ("cases", "added", new.lower())]
        assert house.values("cases", "id", old, new) == [(1, 5, None), (2, None, "six"), (3, 7, None)]
        kinds = {(c.kind, c.name, c.present) for c in house.claim().columns if c.path == ("amount",)}
        assert kinds == {("integer", house.name(old), True), ("string", house.name(new), True)}
        assert house.load(shape.part([case(4, amount=1)])).changes == ()

    def test_b35_a_column_of_a_subtable_splits_too(self, house: Warehouse) -> None:
        house.load(Shape(arrays={"labels": {"value": "integer"}}).part([case(1, labels=(1, 2))]))
        old, new = split(house.traits, "value", "integer", "string")
        both = Shape(
            arrays={"labels": {"value": "integer", "text": "string"}},
            names={("value", "integer"): old, ("text", "string"): new},
        )
        items = ({"value": None, "text": "x"}, {"value": 3, "text": None})
        house.load(both.part([case(2, labels=items)]))
        rows = house.values("cases__labels", "_sdc_source_key_id", "_sdc_level_0_id", old, new)
        assert rows == [(1, 0, 1, None), (1, 1, 2, None), (2, 0, None, "x"), (2, 1, 3, None)]

    def test_subtables_of_empty_arrays_exist(self, house: Warehouse) -> None:
        house.load(cases.part([case(1, labels=())]))
        house.load(Shape(stream="users", arrays={"groups": {"value": "integer"}}).part([]))
        assert house.rows("cases__labels") == house.rows("users") == house.rows("users__groups") == []

    def test_h7_names_are_only_names(self, house: Warehouse) -> None:
        """Of columns, of subtables and of tables."""
        texts: dict[str, Kind] = dict.fromkeys(self.hostile, "string")
        shape = Shape(columns={**CASES, **texts}, arrays={name: {name: "string"} for name in self.hostile})
        inside = {name: f"in {name}" for name in self.hostile}
        house.load(shape.part([{**case(1), **inside}], subtables=()))
        house.load(shape.part([{**case(1, day=2), **dict.fromkeys(self.hostile)}, {**case(3), **inside}], subtables=()))
        arrays = Shape(arrays=shape.arrays)
        house.load(arrays.part([{**case(2), **{name: [{name: f"sub {name}"}] for name in self.hostile}}]))
        plain = Shape(columns={"id": "integer"}, arrays={}, version=None)
        streams = [replace(plain, stream=f"{name}{number}") for number, name in enumerate(self.hostile)]
        house.load(*(stream.part([{"id": 1}]) for stream in streams), stream="cases")
        for name, stream in zip(self.hostile, streams, strict=True):
            reserved = "field" if name.startswith("_sdc") else ""
            column = house.name(reserved + name)
            assert house.values("cases", "id", column) == [(1, None), (2, None), (3, f"in {name}")], name
            assert house.values(f"cases__{name}", "_sdc_source_key_id", column) == [(2, f"sub {name}")], name
            assert house.ids(reserved + stream.stream) == [1], name
        epoch = house.claim().epoch
        for name in ("cases", streams[0].stream, streams[2].stream):
            house.target.reset(name, connector=house.connector, epoch=epoch)
        assert len([name for name in house.tables() if not name.startswith("_sdc")]) == len(self.hostile) - 2

    def test_names_of_tables_that_are_as_long_as_they_may_be(self, house: Warehouse) -> None:
        stream = "t" * 300
        shape = Shape(stream=stream, columns={"id": "integer"}, version=None, arrays={})
        house.stage(shape, [{"id": 1}])
        house.claim()
        house.stage(shape, [{"id": 2}])
        assert len(house.staged()) == 1
        assert fate(house.activate(shape), stream, loaded=1)
        assert house.staged() == set()
        assert house.ids(stream) == [2]

    def test_b27_a_thousand_columns(self, house: Warehouse) -> None:
        narrow = Shape(columns={"id": "integer"}, version=None, arrays={})
        house.load(narrow.part([{"id": 1}]))
        count = min(self.widest, (house.traits.columns or self.widest + 20) - 20)
        names = [f"f{n}" for n in range(count)]
        columns: dict[str, Kind] = {"id": "integer", **dict.fromkeys(names, "string")}
        wide = Shape(columns=columns, version=None, arrays={})
        records = [{"id": 2 + row, **{name: str(n % 10) for n, name in enumerate(names[1:])}} for row in range(3)]
        assert len(house.load(wide.part(records)).changes) == count
        changed = house.load(wide.part([{**records[0], "f1": "new"}, records[1]]))
        assert fate(changed, loaded=1, unchanged=1)
        last = str((count - 2) % 10)
        assert house.values("cases", "id", "f0", "f1", names[-1]) == [
            (1, None, None, None),
            (2, None, "new", last),
            (3, None, "0", last),
            (4, None, "0", last),
        ]
        receipt = house.full_pass(wide, [{**records[2], "f2": "staged"}], allow_deletes=frozenset({"cases"}))
        assert fate(receipt, loaded=1, deleted=3)
        assert house.values("cases", "id", "f2", names[-1]) == [(4, "staged", last)]

    def test_a_batch_of_several_streams_is_one_commit(self, house: Warehouse) -> None:
        replies = Shape(
            stream="replies",
            columns={"case_id": "integer", "id": "integer"},
            key=("case_id", "id"),
            version=None,
            arrays={},
            parent="cases",
        )
        receipt = house.load(cases.part([case(1)]), replies.part([{"case_id": 1, "id": n} for n in range(3)]))
        assert fate(receipt, loaded=1)
        assert fate(receipt, "replies", loaded=3)
        assert len(house.rows("_sdc_commits")) == 1
        before = house.content()
        try:  # a part that cannot be written takes the others with it
            house.load(cases.part([case(2)]), replies.part([{"case_id": "x", "id": 9}]))
        except ConnectorError:
            assert house.content() == before
        else:
            raise AssertionError("a text was stored as an integer")
