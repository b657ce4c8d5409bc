"""Postgres goes away, stands still, is full, locked, a standby: what a run does then, and that nothing is lost or
doubled (facts/fault_catalogue.md section C)."""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from connector_core.events import BatchLoaded, Event
from tests.support.crash import metered
from tests.support.engine import INSTANT, START, TEXT, served, stream
from tests.support.postgres import PostgresShop, Server, server, shared
from tests.support.tcp_proxy import Fate, Proxy, proxy

SETTINGS = f"{START}batch_records = 4\n"
KEYLESS: dict[str, Any] = {
    "name": "events",
    "schema": {"type": "object", "properties": {"at": INSTANT, "t": TEXT}},
    "primary_key": [],
    "replication": "incremental",
    "replication_key": "at",
}
KEYED = stream("things", {"at": INSTANT, "t": TEXT}, replication="incremental", replication_key="at")


def record(n: int) -> dict[str, Any]:
    return {"id": n, "t": f"t{n}", "at": f"2026-01-01T00:00:{n:02}Z", "tags": ["a", "b"]}


def data(count: int = 12) -> dict[str, Any]:
    things = [record(n) for n in range(count)]
    events = [{"at": one["at"], "t": one["t"]} for one in things]
    return served([KEYED, KEYLESS], {"things": things, "events": events}, page_size=4)


@pytest.fixture
def database() -> Iterator[str]:
    with shared().database() as name:
        yield name


@pytest.fixture
def way() -> Iterator[Proxy]:
    with proxy(shared().port) as made:
        yield made


def project(folder: Path, database: str, way: Proxy | None = None, more: str = "") -> PostgresShop:
    url = f"postgresql://postgres@127.0.0.1:{way.port}/{database}" if way else ""
    return PostgresShop(folder, data(), SETTINGS, server=shared(), database=database, url=url, more=more)


def whole(shop: PostgresShop, count: int = 12) -> None:
    """Every record is there once, with its sub-rows; every row was counted once."""
    assert Counter(row["id"] for row in shop.rows("things")) == Counter(range(count))
    tags = Counter((row["_sdc_source_key_id"], row["_sdc_level_0_id"]) for row in shop.rows("things__tags"))
    assert tags == Counter((n, level) for n in range(count) for level in (0, 1))
    assert Counter(row["t"] for row in shop.rows("events")) == Counter(f"t{n}" for n in range(count))
    assert metered(shop) == {"things": count, "things__tags": 2 * count, "events": count}


# --- the connection


@pytest.mark.parametrize("fate", ["cut", "answer"])
@pytest.mark.parametrize("number", [1, 3, 6])  # the claim, batches of both streams
def test_c3_c4_e5_the_connection_is_cut_at_commit(
    fate: Fate, number: int, tmp_path: Path, database: str, way: Proxy
) -> None:
    shop = project(tmp_path, database, way)
    way.at(b"COMMIT\0", number, fate)
    report = shop.go()
    assert way.cut == 1
    assert {name: counts.loaded for name, counts in report.counts.items()} == {"things": 12, "events": 12}
    whole(shop)
    shop.go()
    whole(shop)


@pytest.mark.parametrize("sign", [b'COPY "shop"."things" ', b'COPY "shop"."things__tags" ', b'"_sdc_commits"'])
def test_c2_the_connection_is_cut_while_rows_travel(sign: bytes, tmp_path: Path, database: str, way: Proxy) -> None:
    shop = project(tmp_path, database, way)
    way.at(sign, 3, "answer")
    shop.go()
    assert way.cut == 1
    whole(shop)


def test_c7_the_backend_is_terminated(tmp_path: Path, database: str, way: Proxy) -> None:
    def terminate() -> None:
        shared().query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'connector-core' "
            "AND datname = %s",
            [database],
        )

    shop = project(tmp_path, database, way)
    way.at(b'INSERT INTO "shop"."_sdc_commits"', 2, "pass", terminate)
    shop.go()
    whole(shop)
    terminate()  # between two runs there is no session
    way.at(b"BEGIN", 3, "pass", terminate)
    shop.serve(served([KEYED], {"things": [record(n) for n in range(20)]}))
    shop.go()
    assert Counter(row["id"] for row in shop.rows("things")) == Counter(range(20))


def test_c5_a_server_that_does_not_answer(tmp_path: Path, database: str, way: Proxy) -> None:
    shop = project(tmp_path, database, way, "statement_timeout = 1\nconnect_timeout = 2")
    shop.go()
    shop.serve(served([KEYED], {"things": [record(n) for n in range(20)]}))
    way.judge = lambda data: "freeze" if b'INSERT INTO "shop"."_sdc_commits"' in data else "pass"
    report = shop.go(code=5)
    assert "the server has not answered for 1.5 s" in str(report.error)
    way.judge = lambda data: "pass"
    shop.go()
    assert Counter(row["id"] for row in shop.rows("things")) == Counter(range(20))


def test_c1_a_server_that_is_not_there_is_named_before_the_source_is_asked(tmp_path: Path, database: str) -> None:
    with proxy(shared().port) as gone:
        pass
    shop = project(tmp_path, database, gone)
    report = shop.go(code=5)
    assert "Postgres cannot be reached" in str(report.error)
    assert f"port {gone.port}" in str(report.error)
    assert report.calls == 0
    assert shop.tables() == set()


# --- locks and other sessions


def test_c11_a_locked_table_is_waited_for_as_long_as_lock_timeout(tmp_path: Path, database: str) -> None:
    shop = project(tmp_path, database, more="lock_timeout = 0.2")
    shop.go()
    shop.serve(served([KEYED], {"things": [record(n) for n in range(20)]}))
    with psycopg.connect(shared().url(database)) as reader:
        reader.execute("LOCK TABLE shop.things IN ACCESS EXCLUSIVE MODE")
        report = shop.go(code=5)
        assert "lock timeout" in str(report.error)
        assert "lock_timeout" in str(report.error)
    shop.go()
    assert Counter(row["id"] for row in shop.rows("things")) == Counter(range(20))


def test_c12_a_deadlock_is_repeated(tmp_path: Path, database: str) -> None:
    shop = project(tmp_path, database)
    shop.go()
    shop.query(f"ALTER DATABASE \"{database}\" SET deadlock_timeout = '400ms'")
    shop.serve(served([KEYED], {"things": [record(n) for n in range(16)]}, page_size=50))
    with (
        psycopg.connect(shared().url(database)) as other,
        psycopg.connect(shared().url(database), autocommit=True) as eye,
    ):
        other.execute("SET deadlock_timeout = '60s'")
        other.execute("LOCK TABLE shop.things IN SHARE MODE")
        reports: list[Any] = []
        run = threading.Thread(target=lambda: reports.append(shop.go()))
        run.start()
        waits = "SELECT 1 FROM pg_stat_activity WHERE datname = %s AND wait_event_type = 'Lock'"
        while not eye.execute(waits, [database]).fetchall():
            time.sleep(0.01)
        other.execute("UPDATE shop._sdc_fence SET sequence = sequence")  # each now waits for the other
        other.commit()
        run.join()
    assert reports[0].exit_code == 0
    assert Counter(row["id"] for row in shop.rows("things")) == Counter(range(16))


def test_f2_two_connectors_make_their_tables_at_once(tmp_path: Path, database: str) -> None:
    shops = [
        PostgresShop(tmp_path / name, data(), f'{SETTINGS}namespace = "{name}"\n', server=shared(), database=database)
        for name in ("one", "two")
    ]
    together(*(shop.go for shop in shops))
    for name in ("one", "two"):
        assert shared().query(f"SELECT count(*) FROM {name}.things", database=database) == [(12,)]


def together(*acts: Callable[[], Any]) -> None:
    failed: list[BaseException] = []

    def one(act: Callable[[], Any]) -> None:
        try:
            act()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=one, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


def test_f4_a_reader_never_sees_half_a_batch(tmp_path: Path, database: str) -> None:
    shop = project(tmp_path, database)
    shop.go()
    seen: list[tuple[int, int, int]] = []
    done = threading.Event()
    text = (
        "SELECT (SELECT count(*) FROM shop.things), (SELECT count(*) FROM shop.things__tags), "
        "(SELECT count(*) FROM shop.things AS t JOIN shop.things__tags AS s ON s._sdc_source_key_id = t.id "
        "AND s.value = t.t)"
    )

    def read() -> None:
        with psycopg.connect(shared().url(database), autocommit=True) as user:
            while not done.is_set():
                seen.append(user.execute(text).fetchall()[0])

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for generation in range(1, 6):
            at = f"2026-01-02T00:00:{generation:02}Z"
            words = [f"g{generation}-{n}" for n in range(12)]
            records = [{"id": n, "t": words[n], "at": at, "tags": [words[n]] * generation} for n in range(12)]
            shop.serve(served([KEYED], {"things": records}, page_size=50))
            shop.write(START)
            shop.go()
    finally:
        done.set()
        reader.join()
    # in every snapshot all records have the sub-rows of their own generation, and of no other
    assert [one for one in seen if one[0] != 12 or one[2] not in (one[1], 0) or (one[2] == 0 and one[1] != 24)] == []
    assert len({tags for _, tags, _ in seen}) > 1


# --- the server


@pytest.fixture(scope="module")
def own() -> Iterator[Server]:
    """A server that these tests may kill."""
    with server(synchronous_commit="on") as made:
        yield made


def on(own: Server, folder: Path, database: str) -> PostgresShop:
    return PostgresShop(folder, data(), SETTINGS, server=own, database=database)


def test_c6_the_server_crashes_while_loading(own: Server, tmp_path: Path) -> None:
    with own.database() as database:
        shop = on(own, tmp_path, database)

        def crash(event: Event) -> None:
            if isinstance(event, BatchLoaded) and own.process is not None:
                own.stop(signal.SIGQUIT)

        shop.go(code=5, watch=crash)
        own.start()
        assert shop.go().exit_code == 0
        whole(shop)


def test_c8_the_disk_is_full(own: Server, tmp_path: Path) -> None:
    with own.database() as database:
        shop = on(own, tmp_path, database)
        shop.serve(served([KEYED], {"things": [record(0)]}))
        shop.go()
        ((path,),) = shop.query("SELECT pg_relation_filepath('shop.things__tags')")
        shop.query("TRUNCATE shop.things__tags")
        ((path,),) = shop.query("SELECT pg_relation_filepath('shop.things__tags')")
        file = own.data / path
        file.unlink()
        file.symlink_to("/dev/full")  # every write ends with "no space left on device"
        shop.query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = ?",
            [database],
        )
        shop.serve(served([KEYED], {"things": [record(n) for n in range(12)]}))
        report = shop.go(code=5)
        assert "No space left on device" in str(report.error)
        assert [row["id"] for row in shop.rows("things")] == [0]
        file.unlink()
        file.touch()
        file.chmod(0o666)
        shop.query("TRUNCATE shop.things__tags")
        assert shop.go().exit_code == 0
        assert Counter(row["id"] for row in shop.rows("things")) == Counter(range(12))


def test_c20_a_standby_and_a_read_only_role(own: Server, tmp_path: Path) -> None:
    with own.database() as database:
        shop = on(own, tmp_path, database)
        shop.go()
        own.query("ALTER ROLE postgres SET default_transaction_read_only = on")
        report = shop.go(code=5)
        assert "read-only transaction" in str(report.error)
        own.query("BEGIN READ WRITE; ALTER ROLE postgres RESET ALL; COMMIT")
        own.stop()
        (own.data / "standby.signal").touch()
        own.start()
        try:
            report = shop.go(code=5)
            assert "standby" in str(report.error)
        finally:
            own.stop()
            (own.data / "standby.signal").unlink()
            own.start()
        shop.go()
        whole(shop)


@pytest.mark.parametrize("fate", ["cut", "answer"])
@pytest.mark.parametrize("number", [3, 5])  # a slice of the pass, its activation
def test_c3_c4_a_full_pass_survives_a_cut_at_each_of_its_commits(
    fate: Fate, number: int, tmp_path: Path, database: str, way: Proxy
) -> None:
    url = f"postgresql://postgres@127.0.0.1:{way.port}/{database}"
    pass_ = served([stream(fields={"t": TEXT})], {"things": [record(n) for n in range(12)]}, page_size=4)
    shop = PostgresShop(tmp_path, pass_, SETTINGS, server=shared(), database=database, url=url)
    shop.go()
    records = [{**record(n), "t": "new"} for n in range(1, 13)]
    shop.serve(served([stream(fields={"t": TEXT})], {"things": records}, page_size=4))
    way.at(b"COMMIT\0", number, fate)
    report = shop.go()
    assert way.cut == 1
    assert report.counts["things"].deleted == 1
    assert Counter(row["id"] for row in shop.rows("things", where="where t = 'new'")) == Counter(range(1, 13))
    assert len(shop.rows("things")) == 12
    assert len(shop.rows("things__tags")) == 24
