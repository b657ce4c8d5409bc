"""How Postgres is reached, what is told when it cannot be used, and which right is missing."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connector_core.errors import ConfigError, DestinationError
from connector_postgres import destination
from connector_postgres.connection import address
from tests.support.certificates import Authority
from tests.support.loads import Shape
from tests.support.postgres import Server, server, shared, warehouse
from tests.support.tcp_proxy import proxy

OUTSIDE = "0.0.0.0"  # noqa: S104 - reaches this machine under an address that is not a loopback one


# --- settings


def test_an_url_and_its_parts_are_the_same() -> None:
    parts = {"host": "db.example.com", "port": 5433, "database": "d b", "user": "me", "password": "p@ss:/?"}
    url = "postgresql://me:p%40ss%3A%2F%3F@db.example.com:5433/d%20b?sslmode=require&sslrootcert=/ca.pem"
    assert address({"url": url, "port": 5432}) == address({**parts, "sslmode": "require", "sslrootcert": "/ca.pem"})
    assert "p@ss" not in repr(address(parts))


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({}, "host is not set"),
        ({"host": "h", "user": "u"}, "database is not set"),
        ({"host": "h", "database": "d"}, "user is not set"),
        ({"url": "postgresql://u@h/d", "host": "h"}, "url and host are both set"),
        ({"url": "mysql://u:secret@h/d"}, "url is no address of a Postgres database"),
        ({"url": "postgresql://u:secret@h/d?options=-csearch_path%3Dx"}, "url sets options"),
        ({"url": "postgresql://u:secret@h:1,i:2/d"}, "url has several ports"),
        ({"url": "postgresql://u:secret@[h/d"}, "url cannot be read"),
        ({"url": "postgresql://h/d"}, "user is not set"),
    ],
)
def test_settings_that_say_nothing_are_refused(config: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told) as caught, destination.connect(config, "ns"):
        raise AssertionError("entered")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("host", "asked", "mode"),
    [
        ("localhost", "", "prefer"),
        ("127.0.0.2", "", "prefer"),
        ("::1", "", "prefer"),
        ("/var/run/postgresql", "", "prefer"),
        ("db.example.com", "", "verify-full"),
        ("10.0.0.1", "", "verify-full"),
        ("localhost.example.com", "", "verify-full"),
        ("10.0.0.1", "disable", "disable"),
        ("localhost", "verify-ca", "verify-ca"),
    ],
)
def test_h17_the_name_and_certificate_are_checked_unless_it_stays_on_this_machine(
    host: str, asked: str, mode: str
) -> None:
    given = address({"host": host, "database": "d", "user": "u", **({"sslmode": asked} if asked else {})})
    assert given.parameters()["sslmode"] == mode


# --- versions


def test_a_server_that_is_too_old_is_refused_by_one_clear_line() -> None:
    """A server of version 13 answers like this one but for its version, which it tells when it is connected to."""
    running = shared()
    with running.database() as name, proxy(running.port) as between:
        major = b"server_version\0%d." % running.version
        between.retell = lambda data: data.replace(major, b"server_version\x0013.")
        url = running.url(name).replace(f":{running.port}/", f":{between.port}/")
        for use in ("check", "commits"):
            with destination.connect({"url": url}, "ns") as target, pytest.raises(DestinationError) as caught:
                getattr(target, use)()
            assert re.fullmatch(r"Postgres 13\.\d+ is older than 14", caught.value.message)
            assert caught.value.hint == "load into a server of version 14 or newer; nothing was changed"
            assert (caught.value.code, caught.value.exit_code) == ("server_version", 5)
        between.retell = lambda data: data.replace(major, b"server_version\x0014.")
        with destination.connect({"url": url}, "ns") as target:
            assert "Postgres 1" in target.check()[0]
            assert target.commits() == ()


# --- credentials and certificates


@pytest.fixture(scope="module")
def strict() -> Iterator[Server]:
    """A server that asks for a password, except of its superuser."""
    with server() as made:
        rules = "host all postgres all trust\nhost all all all scram-sha-256\nlocal all all trust\n"
        (made.data / "pg_hba.conf").write_text(rules)
        made.query("CREATE DATABASE strict STRATEGY file_copy")
        made.query("REVOKE CONNECT ON DATABASE strict FROM PUBLIC; CREATE ROLE loader LOGIN PASSWORD 'right'")
        made.query("GRANT CREATE ON DATABASE postgres TO loader; SELECT pg_reload_conf()")
        yield made


def told(url: str, **config: Any) -> str:
    with destination.connect({"url": url, **config}, "ns") as target, pytest.raises(DestinationError) as caught:
        target.check()
    assert caught.value.exit_code == 5
    return str(caught.value)


def test_refused_credentials_are_not_shown(strict: Server) -> None:
    for password in ("wrong-one", ""):
        text = told(strict.url(user="loader", password=password))
        assert "Postgres refused the credentials of 'loader'" in text
        assert "wrong-one" not in text
    assert "refused the credentials of 'nobody_here'" in told(strict.url(user="nobody_here", password="x"))


def test_the_right_to_connect_is_named(strict: Server) -> None:
    text = told(strict.url("strict", user="loader", password="right"))
    assert 'GRANT CONNECT ON DATABASE "strict" TO "loader";' in text
    assert 'database "nowhere" does not exist' in told(strict.url("nowhere"))


def context(certificate: Path) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(certificate)
    return made


def test_h17_a_server_without_tls_never_learns_who_comes(strict: Server) -> None:
    with proxy(strict.port) as way:
        url = f"postgresql://loader:right@{OUTSIDE}:{way.port}/postgres"
        assert "no trusted TLS connection" in told(url)
        assert way.seen == []
        assert lines(url, sslmode="disable")
        assert any(b"loader" in data for data in way.seen)


def test_h17_only_the_certificate_of_the_named_host_is_trusted(strict: Server, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with proxy(strict.port, tls=context(authority.issue(OUTSIDE))) as way:
        url = f"postgresql://loader:right@{OUTSIDE}:{way.port}/postgres"
        assert "no trusted TLS connection" in told(url)  # nobody here vouches for it
        assert way.seen == []
        assert lines(url, sslrootcert=str(authority.file))
    with proxy(strict.port, tls=context(authority.issue("db.example.com"))) as way:
        url = f"postgresql://loader:right@{OUTSIDE}:{way.port}/postgres"
        assert "no trusted TLS connection" in told(url, sslrootcert=str(authority.file))  # it is another host's
        assert way.seen == []
        assert lines(url, sslrootcert=str(authority.file), sslmode="verify-ca")


def lines(url: str, **config: Any) -> list[str]:
    with destination.connect({"url": url, **config}, "ns") as target:
        return list(target.check())


# --- rights


@pytest.fixture
def role() -> Iterator[str]:
    shared().query("CREATE ROLE the_loader LOGIN")
    yield "the_loader"
    shared().query("DROP ROLE the_loader")


SHAPE = Shape(columns={"id": "integer", "t": "string"}, version=None)


def test_each_right_that_is_missing_is_named_with_its_grant(role: str) -> None:
    with warehouse(url=shared().url("{}", user=role)) as house:
        db = house.database
        house.sql(f'REVOKE TEMPORARY ON DATABASE "{db}" FROM PUBLIC')

        def missing() -> str:
            with pytest.raises(DestinationError) as caught:
                house.target.check()
            assert caught.value.code == "permission"
            assert f"the role '{role}' lacks rights" in caught.value.message
            return caught.value.hint

        both = f'GRANT TEMPORARY ON DATABASE "{db}" TO "{role}"; GRANT CREATE ON DATABASE "{db}" TO "{role}";'
        assert missing() == both
        with pytest.raises(DestinationError, match="permission denied for database") as caught:
            house.claim()
        assert caught.value.hint == both
        house.sql(both)
        assert "schema ns does not exist yet" in house.target.check()[-1]
        house.load(SHAPE.part([{"id": 1, "t": "a", "labels": ["x"]}]))
        assert "belongs to connector" in house.target.check()[-1]
        for taken, granted in {
            f"TEMPORARY ON DATABASE {db}": f'GRANT TEMPORARY ON DATABASE "{db}" TO "{role}";',
            "USAGE ON SCHEMA ns": f'GRANT USAGE ON SCHEMA "ns" TO "{role}";',
            "CREATE ON SCHEMA ns": f'GRANT CREATE ON SCHEMA "ns" TO "{role}";',
            **{
                f"{right} ON TABLE ns.{table}": f'GRANT {right} ON TABLE "ns"."{table}" TO "{role}";'
                for right, table in (
                    ("SELECT", "cases"),
                    ("INSERT", "cases__labels"),
                    ("DELETE", "cases"),
                    ("UPDATE", "_sdc_fence"),
                    ("SELECT", "_sdc_commits"),
                    ("INSERT", "_sdc_rejected"),
                )
            },
        }.items():
            house.sql(f"REVOKE {taken} FROM {role}")
            assert missing() == granted
            house.sql(granted)
            assert house.target.check()
        house.sql("ALTER TABLE ns.cases OWNER TO postgres")
        assert missing() == f'ALTER TABLE "ns"."cases" OWNER TO "{role}";'
        house.sql(missing())
        house.load(SHAPE.part([{"id": 1, "t": "b", "labels": ["y"]}]))
        house.sql(f"DROP OWNED BY {role}")


@pytest.mark.parametrize(
    ("taken", "said"),
    [
        ('INSERT ON TABLE "ns"."cases__labels"', "permission denied for table cases__labels"),
        ('DELETE ON TABLE "ns"."cases"', "permission denied for table cases"),
        ('UPDATE ON TABLE "ns"."_sdc_fence"', "permission denied for table _sdc_fence"),
        ('USAGE ON SCHEMA "ns"', "permission denied for schema ns"),
    ],
)
def test_c15_rights_that_were_revoked_are_named_and_nothing_is_half_changed(taken: str, said: str, role: str) -> None:
    with warehouse(url=shared().url("{}", user=role)) as house:
        house.sql(f'GRANT CREATE ON DATABASE "{house.database}" TO {role}')
        house.load(SHAPE.part([{"id": 1, "t": "a", "labels": ["x"]}]))
        before = house.content()
        house.sql(f"REVOKE {taken} FROM {role}")
        with pytest.raises(DestinationError, match=said) as caught:
            house.load(SHAPE.part([{"id": 1, "t": "b", "labels": ["y"]}, {"id": 2, "t": "c", "labels": []}]))
        assert caught.value.hint == f'GRANT {taken} TO "{role}";'
        assert house.content() == before
        house.sql(caught.value.hint)
        house.load(SHAPE.part([{"id": 1, "t": "b", "labels": ["y"]}]))
        assert house.sql("SELECT t FROM cases") == [("b",)]
        house.sql(f"DROP OWNED BY {role}")


# --- what users make of the tables


@pytest.mark.parametrize(
    ("made", "named"),
    [
        ("CREATE VIEW v AS SELECT amount FROM cases", "view ns.v"),
        ("CREATE MATERIALIZED VIEW mv AS SELECT id, amount * 2 FROM cases", "materialized view ns.mv"),
        ("CREATE INDEX by_amount ON cases (amount)", "index ns.by_amount"),
        ("ALTER TABLE cases ADD CHECK (amount > 0)", "constraint cases_amount_check on table ns.cases"),
    ],
)
def test_c14_a_split_of_a_column_that_something_depends_on_names_it(made: str, named: str) -> None:
    before = Shape(columns={"id": "integer", "amount": "integer"}, version=None)
    names: dict[Any, str] = {("amount", "integer"): "amount__bi", ("amount|st", "string"): "amount__st"}
    after = Shape(columns={"id": "integer", "amount": "integer", "amount|st": "string"}, version=None, names=names)
    with warehouse() as house:
        house.load(before.part([{"id": 1, "amount": 5}]))
        house.sql(made)
        rows = house.content()
        with pytest.raises(DestinationError) as caught:
            house.load(after.part([{"id": 2, "amount|st": "five"}]))
        assert named in str(caught.value)
        assert house.content() == rows
        house.sql(
            f"DROP {named.replace('index', 'INDEX')}"
            if "constraint" not in named
            else f"ALTER TABLE cases DROP {named.split(' on ')[0]}"
        )
        house.load(after.part([{"id": 2, "amount|st": "five"}]))
        assert house.sql("SELECT id, amount__bi, amount__st FROM cases ORDER BY id") == [
            (1, 5, None),
            (2, None, "five"),
        ]


def test_users_may_add_columns_indexes_views_and_grants_and_drop_our_keys() -> None:
    with warehouse() as house:
        house.load(SHAPE.part([{"id": 1, "t": "a", "labels": ["x"]}]))
        house.sql("ALTER TABLE cases ADD COLUMN mine TEXT DEFAULT 'm'; CREATE INDEX ON cases (t)")
        house.sql(
            "CREATE VIEW v AS SELECT c.t, l.value FROM cases c JOIN cases__labels l ON l._sdc_source_key_id = c.id"
        )
        house.sql("GRANT SELECT ON cases TO PUBLIC")
        house.sql("ALTER TABLE cases DROP CONSTRAINT cases_pkey; DROP INDEX cases__labels__sdc_source_key_id_idx")
        house.load(SHAPE.part([{"id": 1, "t": "b", "labels": ["y"]}, {"id": 2, "t": "c", "labels": ["z"]}]))
        assert house.sql("SELECT t, value FROM v ORDER BY t") == [("b", "y"), ("c", "z")]
        assert house.sql("SELECT id, mine FROM cases ORDER BY id") == [(1, "m"), (2, "m")]
        assert house.one("SELECT has_table_privilege('pg_monitor', 'cases', 'SELECT')")


def test_c13_a_dropped_table_and_column_are_repaired() -> None:
    with warehouse() as house:
        part = SHAPE.part([{"id": 1, "t": "a", "labels": ["x"]}])
        house.load(part)
        house.sql("DROP TABLE cases__labels; ALTER TABLE cases DROP COLUMN t")
        receipt = house.load(SHAPE.part([{"id": 1, "t": "b", "labels": ["y"]}]))
        assert {(change.table, change.what) for change in receipt.changes} == {
            ("cases", "repaired"),
            ("cases__labels", "repaired"),
        }
        assert house.sql("SELECT c.t, l.value FROM cases c, cases__labels l") == [("b", "y")]
