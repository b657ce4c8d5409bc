"""Claims, the fence, receipts and resets: who may write, and what a run learns of those before it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial

import pytest

from connector_core.batch import Counts
from connector_core.clock import SystemClock
from connector_core.errors import BusyError, ConfigError, RetryableError, StaleWriterError
from connector_core.loading import when_free
from connector_core.tables import RegisteredColumn, RegisteredTable
from connector_core.testing.contract.rows import case, cases
from connector_core.testing.shapes import Shape, reject
from connector_core.testing.warehouse import Warehouse

Connect = Callable[..., AbstractContextManager[Warehouse]]
replies = Shape(
    stream="replies", columns={"id": "integer"}, version=None, parent="cases", arrays={"to": {"value": "string"}}
)
users = Shape(stream="users", columns={"id": "integer"}, version=None, arrays={})
OWN = {"_sdc_fence", "_sdc_commits", "_sdc_tables", "_sdc_columns", "_sdc_rejected"}


def at_once(count: int, work: Callable[[int], None]) -> None:
    """Do the work in threads that begin together."""
    together = threading.Barrier(count)

    def begin(number: int) -> None:
        together.wait()
        work(number)

    with ThreadPoolExecutor(count) as threads:
        for done in [threads.submit(begin, number) for number in range(count)]:
            done.result()


class ClaimsContract:
    """What the methods of a `Target` do."""

    def test_a_first_claim_makes_the_namespace(self, house: Warehouse) -> None:
        claim = house.claim()
        assert (claim.epoch, claim.bookmarks, tuple(claim.receipts)) == (1, {}, ())
        assert claim.sequence >= 10**18
        assert (claim.tables, claim.columns, claim.first_committed_at) == ((), (), None)
        assert house.tables() == OWN
        assert house.values("_sdc_fence", "connector", "epoch", "sequence") == [("kit", 1, claim.sequence)]

    def test_the_epoch_rises_above_the_ledgers_and_the_destinations(self, house: Warehouse) -> None:
        assert [house.claim(epoch=epoch).epoch for epoch in (0, 41, 7, 0)] == [1, 42, 43, 44]
        above = house.claim().sequence + 1_000
        assert house.claim(after=above).sequence >= above

    def test_a_claim_gives_what_the_last_run_left(self, house: Warehouse) -> None:
        first = house.load(cases.part([case(1)]), bookmark={"version": 1, "value": "a"})
        house.load(users.part([{"id": 1}]), bookmark={"version": 1, "value": "u"})
        house.load(cases.part([case(2)]), bookmark={"version": 1, "value": 'b "é" %s \\'})
        last = house.load(cases.part([case(3)]))
        claim = house.claim(after=first.sequence)
        assert claim.sequence == last.sequence
        assert claim.bookmarks == {
            "cases": {"version": 1, "value": 'b "é" %s \\'},
            "users": {"version": 1, "value": "u"},
        }
        assert list(claim.receipts) == house.receipts[1:]
        assert claim.first_committed_at == first.committed_at
        table = RegisteredTable(
            stream="cases",
            path=(),
            name=house.name("cases"),
            shape=cases.part([]).shape,
            shape_version=1,
            table_version=0,
        )
        assert table in claim.tables
        for path, property_ in (((), ("subject",)), (("labels",), ())):
            column = RegisteredColumn(
                stream="cases",
                table_path=path,
                table=house.name("cases__labels" if path else "cases"),
                path=property_,
                kind="string",
                name=house.name("value" if path else "subject"),
            )
            assert column in claim.columns

    def test_commits_are_receipts_above_a_sequence_oldest_first(self, house: Warehouse) -> None:
        for n in range(3):
            house.load(cases.part([case(n)]), bookmark={"version": 1, "value": n})
        assert list(house.target.commits()) == house.receipts
        assert list(house.target.commits(house.receipts[0].sequence)) == house.receipts[1:]
        assert list(house.target.commits(house.receipts[2].sequence)) == []

    def test_e3_c16_another_connectors_namespace_is_refused_and_not_touched(self, house: Warehouse) -> None:
        house.load(cases.part([case(1)]))
        before = house.content()
        with pytest.raises(ConfigError, match="belongs to the connector 'kit', not to 'shop'") as caught:
            house.target.claim("shop")
        assert caught.value.exit_code == 2
        assert house.content() == before

    def test_reading_a_namespace_that_is_not_there_makes_nothing(self, house: Warehouse) -> None:
        assert list(house.target.commits()) == []
        assert list(house.target.rejects()) == []
        assert any("does not exist yet" in line for line in house.target.check())
        assert house.tables() == set()

    def test_check_tells_whose_namespace_it_is_and_changes_nothing(self, house: Warehouse) -> None:
        house.load(cases.part([case(1)]))
        before = house.content()
        assert any("belongs to connector kit" in line for line in house.target.check())
        assert house.content() == before

    def test_f3_a_run_that_was_overtaken_writes_nothing(self, house: Warehouse) -> None:
        old = house.claim().epoch
        house.load(cases.part([case(1)]))
        house.claim()
        before = house.content()
        with pytest.raises(StaleWriterError, match="later run"):
            house.load(cases.part([case(2)]), epoch=old, rejects=(reject(),), bookmark={"version": 1})
        assert house.content() == before

    def test_f3_of_two_runs_with_connections_of_their_own_the_later_one_writes(
        self, house: Warehouse, connect: Connect
    ) -> None:
        house.load(cases.part([case(1)]))
        with connect() as later:
            later.claim()
            with pytest.raises(StaleWriterError):
                house.load(cases.part([case(2)]))
            later.load(cases.part([case(3)]))
            assert house.ids() == [1, 3]
            assert list(later.target.commits()) == [*house.receipts, *later.receipts]

    def test_f3_claims_at_the_same_time_get_different_epochs(self, house: Warehouse, connect: Connect) -> None:
        epochs = [house.claim().epoch]
        refused: list[BaseException] = []

        def claim(_: int) -> None:
            with connect() as mine:
                try:
                    epochs.append(mine.claim().epoch)
                except BaseException as error:
                    refused.append(error)

        at_once(4, claim)
        assert len(epochs) + len(refused) == 5
        assert len(epochs) == len(set(epochs)) > 1
        assert {type(error) for error in refused} <= {BusyError, RetryableError}

    def test_f2_connectors_that_make_their_tables_at_once_do_not_meet(self, connect: Connect) -> None:
        def load(number: int) -> None:
            with connect(f"_{number}") as mine:
                mine.connector = f"kit-{number}"
                run = partial(mine.load, cases.part([case(number)]), users.part([{"id": number}]))
                when_free(run, wait=30, clock=SystemClock(), stop=threading.Event())

        at_once(3, load)
        for number in range(3):
            with connect(f"_{number}") as mine:
                assert mine.ids() == mine.ids("users") == [number]
                assert mine.values("_sdc_fence", "connector", "epoch") == [(f"kit-{number}", 1)]

    def test_e4_reset_forgets_a_stream_with_its_children_and_nothing_else(self, house: Warehouse) -> None:
        house.load(cases.part([case(1)]), replies.part([{"id": 5, "to": ["x"]}]), bookmark={"version": 1, "value": "a"})
        house.load(users.part([{"id": 1}]), bookmark={"version": 1, "value": "u"})
        house.load(users.part([], counts=Counts(extracted=1, rejected=1)), rejects=(reject(),))
        house.load(cases.slice([case(2)]), kind="stage")
        claim = house.claim()
        house.target.reset("cases", connector=house.connector, epoch=claim.epoch)
        assert house.tables() == {*OWN, "users"}
        after = house.claim()
        assert after.bookmarks == {"users": {"version": 1, "value": "u"}}
        assert {t.stream for t in after.tables} == {c.stream for c in after.columns} == {"users"}
        assert len(house.target.commits()) == 4
        receipt = house.load(cases.part([case(1)]), replies.part([{"id": 5, "to": []}]))
        assert {what for _, what, _ in house.changes(receipt)} == {"created"}
        versions = {(t.stream, t.path): t.table_version for t in house.claim().tables}
        assert versions == {
            ("cases", ()): 1,
            ("cases", ("labels",)): 1,
            ("replies", ()): 1,
            ("replies", ("to",)): 1,
            ("users", ()): 0,
        }
        assert {row["_sdc_table_version"] for row in house.rows("cases") + house.rows("cases__labels")} == {1}
        assert all(row["_sdc_sequence"] > claim.sequence for row in house.rows("cases"))

    def test_a_reset_of_an_overtaken_run_is_refused(self, house: Warehouse) -> None:
        old = house.claim().epoch
        house.load(cases.part([case(1)]))
        house.claim()
        before = house.content()
        with pytest.raises(StaleWriterError):
            house.target.reset("cases", connector=house.connector, epoch=old)
        assert house.content() == before

    def test_nothing_is_opened_before_it_is_needed(self, house: Warehouse) -> None:
        """`connect` needs no network: a run that fails before its first claim leaves nothing behind."""
        assert house.target.namespace == house.namespace
        assert house.traits.name_bytes > 0
        assert house.tables() == set()
