"""What users do to the tables by hand, and what becomes of it (docs/tables.md, "What you may change by hand")."""

from __future__ import annotations

import pytest

from connector_core.batch import TableCount
from connector_core.errors import DestinationError
from connector_core.testing.contract.rows import case, cases
from connector_core.testing.contract.tables import AMOUNT, split_amount
from connector_core.testing.reading import SqlReader
from connector_core.testing.shapes import Shape
from connector_core.testing.warehouse import Warehouse


def by_hand(house: Warehouse, text: str) -> None:
    """Execute a user's statement; names in [brackets] are those of the kit, [ns] is the schema."""
    assert isinstance(house.reader, SqlReader)
    pieces = text.replace("]", "[").split("[")
    quoted = [piece if place % 2 == 0 else _quoted(house, piece) for place, piece in enumerate(pieces)]
    house.reader.execute("".join(quoted))


def _quoted(house: Warehouse, name: str) -> str:
    name = house.namespace if name == "ns" else name
    return '"' + (name.upper() if house.traits.fold == "upper" else name) + '"'


class UserChangesContract:
    """For destinations whose users write SQL: what they drop is repaired, what they add stays, what cannot be repaired
    stops the load and says what to do. Needs a `SqlReader`."""

    def test_c13_a_dropped_column_is_repaired_and_said_so(self, house: Warehouse) -> None:
        house.load(AMOUNT.part([case(1, amount=5), case(2, amount=6)]))
        by_hand(house, "ALTER TABLE [ns].[cases] DROP COLUMN [amount]")
        assert [c.present for c in house.claim().columns if c.path == ("amount",)] == [False]
        again = Shape(columns=AMOUNT.columns, shape_version=2)
        receipt = house.load(again.part([case(1, amount=5)]))
        assert house.changes(receipt) == [("cases", "repaired", "amount")]
        assert receipt.older == {"cases": 1}
        assert house.values("cases", "id", "amount") == [(1, 5), (2, None)]

    @pytest.mark.parametrize("column", ["_sdc_batched_at", "_sdc_sequence", "_sdc_table_version", "_sdc_record_hash"])
    def test_c13_a_dropped_system_column_is_repaired(self, house: Warehouse, column: str) -> None:
        house.load(cases.part([case(1)]))
        by_hand(house, f"ALTER TABLE [ns].[cases] DROP COLUMN [{column}]")
        receipt = house.load(cases.part([case(2)]))
        assert house.changes(receipt) == [("cases", "repaired", column)]
        assert house.ids() == [1, 2]
        assert {row["_sdc_table_version"] for row in house.rows("cases")} == {0}

    def test_c13_a_dropped_table_comes_back_without_stale_sub_rows(self, house: Warehouse) -> None:
        house.load(cases.part([case(1, labels=("old",)), case(2)]))
        by_hand(house, "DROP TABLE [ns].[cases]")
        assert {(t.stream, t.path, t.present) for t in house.claim().tables} == {
            ("cases", (), False),
            ("cases", ("labels",), True),
        }
        receipt = house.load(cases.part([case(1, labels=("new",))]))
        assert house.changes(receipt) == [("cases", "repaired", "")]
        assert receipt.counts["cases"].loaded == 1
        assert house.counts(receipt)["cases__labels"] == TableCount(written=1, deleted=1)
        subs = house.values("cases__labels", "_sdc_source_key_id", "value")
        assert [value for owner, value in subs if owner == 1] == ["new"]

    def test_c13_a_dropped_subtable_comes_back(self, house: Warehouse) -> None:
        house.load(cases.part([case(1)]))
        by_hand(house, "DROP TABLE [ns].[cases__labels]")
        receipt = house.load(cases.part([case(2, labels=("x",))]))
        assert house.changes(receipt) == [("cases__labels", "repaired", "")]
        assert house.values("cases__labels", "value") == [("x",)]

    @pytest.mark.parametrize(
        ("table", "column"),
        [("cases", "id"), ("cases__labels", "_sdc_source_key_id"), ("cases__labels", "_sdc_level_0_id")],
    )
    def test_c13_a_dropped_key_stops_the_load_and_says_what_to_do(
        self, house: Warehouse, table: str, column: str
    ) -> None:
        house.load(cases.part([case(1)]))
        by_hand(house, f"ALTER TABLE [ns].[{table}] DROP COLUMN [{column}]")
        before = house.content()
        with pytest.raises(DestinationError) as caught:
            house.load(cases.part([case(2)]))
        assert column in caught.value.message.lower()
        assert "reset cases" in caught.value.hint
        assert house.content() == before

    def test_c13_a_changed_type_stops_the_load_and_names_it(self, house: Warehouse) -> None:
        house.load(AMOUNT.part([case(1, amount=5)]))
        by_hand(house, "ALTER TABLE [ns].[cases] DROP COLUMN [amount]")
        by_hand(house, "ALTER TABLE [ns].[cases] ADD COLUMN [amount] VARCHAR(10)")
        before = house.content()
        with pytest.raises(DestinationError) as caught:
            house.load(AMOUNT.part([case(2, amount=6)]))
        assert caught.value.code == "column_type"
        assert "amount" in caught.value.message.lower()
        assert house.content() == before

    def test_a_table_of_somebody_else_is_not_touched(self, house: Warehouse) -> None:
        house.claim()
        by_hand(house, "CREATE TABLE [ns].[cases] ([id] BIGINT, [mine] VARCHAR(10))")
        by_hand(house, "INSERT INTO [ns].[cases] VALUES (7, 'x')")
        before = house.content()
        with pytest.raises(DestinationError, match="did not make") as caught:
            house.load(cases.part([case(1)]))
        assert caught.value.code == "foreign_table"
        assert house.content() == before

    def test_columns_that_users_added_stay(self, house: Warehouse) -> None:
        house.load(cases.part([case(1)]))
        by_hand(house, "ALTER TABLE [ns].[cases] ADD COLUMN [note] VARCHAR(10)")
        by_hand(house, "UPDATE [ns].[cases] SET [note] = 'mine'")
        by_hand(house, "CREATE VIEW [ns].[open_cases] AS SELECT [id], [note] FROM [ns].[cases]")
        house.load(cases.part([case(1), case(2)]))
        assert house.values("cases", "id", "note") == [(1, "mine"), (2, None)]

    def test_a_split_onto_a_name_that_a_user_took_changes_nothing(self, house: Warehouse) -> None:
        house.load(AMOUNT.part([case(1, amount=5)]))
        shape, old, new = split_amount(house)
        taken = old if old != "amount" else new
        by_hand(house, f"ALTER TABLE [ns].[cases] ADD COLUMN [{taken}] BIGINT")
        before = house.content()
        with pytest.raises(DestinationError) as caught:
            house.load(shape.part([case(2)]))
        assert taken.lower() in caught.value.message.lower()
        assert house.content() == before

    def test_rows_that_users_delete_stay_away_until_they_are_read_again(self, house: Warehouse) -> None:
        house.load(cases.part([case(1), case(2)]))
        by_hand(house, "DELETE FROM [ns].[cases]")
        receipt = house.load(cases.part([case(1)]))
        assert receipt.counts["cases"].loaded == 1
        assert house.ids() == [1]
        subs = house.values("cases__labels", "_sdc_source_key_id", "value")
        assert [value for owner, value in subs if owner == 1] == ["a", "b"]

    def test_sequences_start_above_those_of_a_loader_that_was_here_before(self, house: Warehouse) -> None:
        """Stitch's are nanoseconds (facts/stitch_semantics.md)."""
        by_hand(house, "CREATE SCHEMA [ns]")
        by_hand(house, "CREATE TABLE [ns].[orders] ([id] BIGINT, [_sdc_sequence] BIGINT)")
        by_hand(house, "INSERT INTO [ns].[orders] VALUES (1, 1565276078922000095), (2, NULL)")
        assert house.claim().sequence == 1565276078922000095
        assert house.load(cases.part([case(1)])).sequence == 1565276078922000096
