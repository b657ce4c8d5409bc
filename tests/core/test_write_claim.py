"""Claiming a namespace, reading what it remembers, resetting a stream; and `SqlTarget` as the engine uses it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pytest

from connector_core.batch import Counts
from connector_core.errors import BusyError, ConfigError, DestinationError, StaleWriterError
from connector_core.tables import RegisteredColumn, RegisteredTable
from tests.support.loads import Shape, Warehouse, reject, warehouse

cases = Shape()
replies = Shape(
    stream="replies", columns={"id": "integer"}, version=None, parent="cases", arrays={"to": {"value": "string"}}
)
users = Shape(stream="users", columns={"id": "integer"}, version=None, arrays={})


def case(number: int) -> dict[str, Any]:
    return {"id": number, "subject": "x", "updated_at": "2026-01-01T00:00:00Z", "labels": ["a"]}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Warehouse]:
    with warehouse(tmp_path / "w.duckdb") as house:
        yield house


def test_a_first_claim_makes_the_namespace(house: Warehouse) -> None:
    claim = house.claim()
    assert (claim.epoch, claim.sequence, claim.bookmarks, claim.receipts) == (1, 10**18, {}, ())
    assert (claim.tables, claim.columns, claim.first_committed_at) == ((), (), None)
    assert set(house.content()) == {"_sdc_fence", "_sdc_commits", "_sdc_tables", "_sdc_columns", "_sdc_rejected"}
    assert house.sql("SELECT connector, epoch, sequence FROM _sdc_fence") == [("desk", 1, 10**18)]


def test_the_epoch_rises_above_the_ledgers_and_the_destinations(house: Warehouse) -> None:
    claim = house.target.claim
    assert [claim("desk", epoch=epoch).epoch for epoch in (0, 41, 7, 0)] == [1, 42, 43, 44]


def test_a_claim_gives_what_the_last_run_left(house: Warehouse) -> None:
    first = house.load(cases.part([case(1)]), bookmark={"version": 1, "value": "a"})
    house.load(users.part([{"id": 1}]), bookmark={"version": 1, "value": "u"})
    house.load(cases.part([case(2)]), bookmark={"version": 1, "value": "b"})
    last = house.load(cases.part([case(3)]))
    claim = house.claim(after=first.sequence)
    assert claim.sequence == last.sequence
    assert claim.bookmarks == {"cases": {"version": 1, "value": "b"}, "users": {"version": 1, "value": "u"}}
    assert list(claim.receipts) == house.receipts[1:]
    assert claim.first_committed_at == first.committed_at
    shape = cases.part([]).shape
    table = RegisteredTable(stream="cases", path=(), name="cases", shape=shape, shape_version=1, table_version=0)
    assert table in claim.tables
    assert (
        RegisteredColumn(stream="cases", table_path=(), table="cases", path=("subject",), kind="string", name="subject")
        in claim.columns
    )
    assert (
        RegisteredColumn(
            stream="cases", table_path=("labels",), table="cases__labels", path=(), kind="string", name="value"
        )
        in claim.columns
    )


def test_e3_c16_another_connectors_namespace_is_refused_and_not_touched(house: Warehouse) -> None:
    house.load(cases.part([case(1)]))
    before = house.content()
    with pytest.raises(ConfigError, match="belongs to the connector 'desk', not to 'shop'") as caught:
        house.target.claim("shop")
    assert caught.value.exit_code == 2
    assert house.content() == before


def test_sequences_start_above_those_of_a_loader_that_was_here_before(house: Warehouse) -> None:
    with duckdb.connect(str(house.path)) as connection:
        connection.execute("CREATE SCHEMA ns; CREATE TABLE ns.orders (id INT, _sdc_sequence BIGINT)")
        connection.execute("INSERT INTO ns.orders VALUES (1, 1565276078922000095), (2, NULL)")
    assert house.claim().sequence == 1565276078922000095
    assert house.load(cases.part([case(1)])).sequence == 1565276078922000096


def test_reading_a_destination_that_is_not_there_makes_nothing(house: Warehouse) -> None:
    assert house.target.commits() == ()
    assert house.target.rejects() == ()
    assert any("does not exist yet" in line for line in house.target.check())
    assert not house.path.exists()


def test_check_tells_whose_namespace_it_is(house: Warehouse) -> None:
    house.load(cases.part([case(1)]))
    before = house.path.read_bytes()
    lines = house.target.check()
    assert any("belongs to connector desk" in line for line in lines)
    assert house.path.read_bytes() == before


def test_a_fence_that_somebody_emptied_is_an_error(house: Warehouse) -> None:
    house.load(cases.part([case(1)]))
    house.sql("INSERT INTO _sdc_fence SELECT * FROM _sdc_fence")
    with pytest.raises(DestinationError, match="has 2 rows"):
        house.load(cases.part([case(2)]))
    assert house.ids() == [1]


def test_e4_reset_forgets_a_stream_with_its_children_and_nothing_else(house: Warehouse) -> None:
    house.load(cases.part([case(1)]), replies.part([{"id": 5, "to": ["x"]}]), bookmark={"version": 1, "value": "a"})
    house.load(users.part([{"id": 1}]), bookmark={"version": 1, "value": "u"})
    house.load(users.part([], counts=Counts(extracted=1, rejected=1)), rejects=(reject(),))
    house.load(cases.part([case(2)], counts=Counts()), kind="stage")
    claim = house.claim()
    house.target.reset("cases", connector="desk", epoch=claim.epoch)
    assert {name for name in house.content() if not name.startswith("_sdc")} == {"users"}
    assert not [name for name in house.content() if name.startswith("_sdc_stage")]
    after = house.claim()
    assert after.bookmarks == {"users": {"version": 1, "value": "u"}}
    assert {t.stream for t in after.tables} == {c.stream for c in after.columns} == {"users"}
    assert len(house.target.commits()) == 4
    receipt = house.load(cases.part([case(1)]), replies.part([{"id": 5, "to": []}]))
    assert {change.what for change in receipt.changes} == {"created"}
    assert {(t.name, t.table_version) for t in house.claim().tables} == {
        ("cases", 1),
        ("cases__labels", 1),
        ("replies", 1),
        ("replies__to", 1),
        ("users", 0),
    }
    assert house.sql("SELECT _sdc_table_version FROM cases UNION ALL SELECT _sdc_table_version FROM cases__labels") == [
        (1,),
        (1,),
    ]
    assert house.one("SELECT min(_sdc_sequence) FROM cases") > claim.sequence


def test_reset_twice_raises_the_table_version_twice(house: Warehouse) -> None:
    house.load(users.part([{"id": 1}]))
    for _ in range(2):
        house.target.reset("users", connector="desk", epoch=1)
    house.load(users.part([{"id": 1}]))
    assert house.sql("SELECT _sdc_table_version FROM users") == [(2,)]


def test_a_reset_of_an_overtaken_run_is_refused(house: Warehouse) -> None:
    house.load(cases.part([case(1)]))
    house.claim()
    before = house.content()
    with pytest.raises(StaleWriterError):
        house.target.reset("cases", connector="desk", epoch=1)
    assert house.content() == before


def test_threads_of_one_process_shut_each_other_out(house: Warehouse, tmp_path: Path) -> None:
    """They share DuckDB's lock on the file, and must still not work in each other's transactions; ten times, as it is
    a matter of chance where they meet. Each makes a file of its own as well: the umask is the process's."""
    house.claim()
    before = os.umask(0o022)
    try:
        for turn in range(10):
            made: list[int] = []
            others: list[BaseException] = []
            run_together(4, partial(claim_both, house.path, tmp_path / f"new-{turn}", made, others))
            assert len(made) + len(others) == 4
            assert len(made) == len(set(made)) >= 1
            assert {type(error) for error in others} <= {BusyError}, others
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(before)


def claim_both(
    shared: Path, own: Path, epochs: list[int], others: list[BaseException], together: threading.Barrier
) -> None:
    together.wait()
    with warehouse(own.with_name(f"{own.name}-{threading.get_ident()}.duckdb")) as mine:
        mine.claim()
    together.wait()
    with warehouse(shared) as mine:
        try:
            epochs.append(mine.claim().epoch)
        except BaseException as error:
            others.append(error)


def run_together(count: int, work: Callable[[threading.Barrier], None]) -> None:
    together = threading.Barrier(count)
    threads = [threading.Thread(target=work, args=(together,)) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
