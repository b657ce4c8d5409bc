"""What goes wrong between the engine and Snowflake, made to happen at the gate of its stand-in."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from packaging.requirements import Requirement
from packaging.version import Version

from connector_core.errors import (
    ConfigError,
    DestinationError,
    RefusedError,
    RetryableError,
    StaleWriterError,
    UnknownCommitError,
    UnreachableError,
)
from connector_snowflake import destination
from connector_snowflake.connection import address
from connector_snowflake.errors import sorted_out
from tests.support.loads import Shape
from tests.support.snowflake import ROLE, SnowflakeWarehouse, Trouble, shared, warehouse
from tests.test_repository import ROOT, locked, project

CASES = Shape(arrays={"labels": {"value": "string"}})
ROWS = r"^INSERT INTO \"NS\"\.\"CASES\""


def case(number: int, day: int = 1) -> dict[str, Any]:
    return {"id": number, "subject": "x", "updated_at": f"2026-01-{day:02}T00:00:00Z", "labels": ["a"]}


@pytest.fixture(scope="module")
def one_house() -> Iterator[SnowflakeWarehouse]:
    with warehouse(network_timeout=2, login_timeout=2) as house:
        house.load(CASES.part([case(1)]))
        yield house


@pytest.fixture
def house(one_house: SnowflakeWarehouse) -> SnowflakeWarehouse:
    """A namespace with the case 1, whatever the tests before have done; its gate lets everything pass again."""
    gate = one_house.gate
    gate.trouble, gate.answers, gate.refuses, gate.roles = [], {}, b"", (ROLE, "PUBLIC")
    one_house.sql("DELETE FROM cases WHERE id > 1")
    one_house.sql("DELETE FROM cases__labels WHERE _sdc_source_key_id > 1")
    return one_house


def again(house: SnowflakeWarehouse) -> list[Any]:
    """The same batch once more, as the engine repeats it; then what is stored."""
    house.gate.trouble = []
    house.number -= 1
    house.load(CASES.part([case(2)]))
    assert house.one("SELECT count(*) FROM cases__labels") == 2
    return house.ids()


@pytest.mark.parametrize("after", [True, False])
def test_c3_c4_c23_a_commit_without_an_answer_is_asked_about(house: SnowflakeWarehouse, after: bool) -> None:
    last = house.claim().sequence
    house.gate.trouble = [Trouble("^COMMIT", code="390111", message="Session no longer exists.", after=after)]
    with pytest.raises(UnknownCommitError, match="lost at COMMIT"):
        house.load(CASES.part([case(2)]))
    if not after:  # what Snowflake does with the transaction of a session that is gone
        shared().end_sessions(house.database)
    found = house.claim(after=last).receipts
    assert [receipt.number for receipt in found] == ([house.number] if after else [])
    assert house.ids() == ([1, 2] if after else [1])


def test_c7_c23_a_session_that_ends_within_a_transaction_leaves_nothing(house: SnowflakeWarehouse) -> None:
    before = house.content()
    for when in ("PUT ", "COPY ", "DELETE ", ROWS, "INSERT .*_SDC_COMMITS"):
        house.gate.trouble = [Trouble(when, act=lambda: shared().end_sessions(house.database))]
        with pytest.raises(RetryableError, match="session was lost"):
            house.load(CASES.part([case(1), case(2)]))
        assert house.content() == before
    assert again(house) == [1, 2]


def test_c23_an_answer_of_503_is_waited_out_by_the_driver(house: SnowflakeWarehouse) -> None:
    house.gate.trouble = [Trouble(ROWS, status=503)]
    house.load(CASES.part([case(2)]))
    assert house.gate.trouble[0].met == 1
    assert house.ids() == [1, 2]


def test_c2_c5_c23_answers_of_503_for_ever_end_the_load(house: SnowflakeWarehouse) -> None:
    before = house.content()
    house.gate.trouble = [Trouble(ROWS, status=503, times=1000)]
    with pytest.raises(RetryableError, match="503"):
        house.load(CASES.part([case(2)]))
    assert house.content() == before
    assert again(house) == [1, 2]


def test_c23_an_upload_that_is_cut_is_sent_again(house: SnowflakeWarehouse) -> None:
    house.gate.trouble = [Trouble("UPLOAD", status=503)]
    house.load(CASES.part([case(2)]))
    assert len(house.gate.uploads) > len(set(house.gate.uploads))
    assert house.ids() == [1, 2]


def test_c23_an_upload_that_fails_for_good_may_be_repeated() -> None:
    from snowflake.connector.errors import OperationalError

    ours = sorted_out(OperationalError("no storage", errno=253003), "PUT", place="x", lost=False)
    assert isinstance(ours, RetryableError)
    assert "the upload was cut" in str(ours)


REFUSALS = [
    ("000606", "No active warehouse selected in the current session.", "GRANT USAGE ON WAREHOUSE", "warehouse"),
    ("090073", "Warehouse 'LOADING' cannot be resumed: its quota is exceeded.", "raise its quota", "warehouse"),
    ("000625", "Statement '01' has locked table 'CASES' in transaction 1.", "5 minutes", "locked"),
    ("002003", "Object 'CASES' does not exist or not authorized.", "`connector-core check`", "missing"),
    ("003001", "Insufficient privileges to operate on schema 'NS'", 'CREATE STAGE ON SCHEMA "NS"', "permission"),
    ("003001", "Insufficient privileges to operate on table 'CASES'", 'OWNERSHIP ON TABLE "CASES"', "permission"),
]


def test_c15_c23_what_somebody_must_mend_stops_the_load_and_says_so(house: SnowflakeWarehouse) -> None:
    for code, message, told, kind in REFUSALS:
        house.gate.trouble = [Trouble("^BEGIN", code=code, message=f"SQL error:\n{message}")]
        with pytest.raises(DestinationError) as caught:
            house.load(CASES.part([case(2)]))
        assert message in str(caught.value)
        assert told in caught.value.hint
        assert (caught.value.code, caught.value.exit_code) == (kind, 5)
    assert house.ids() == [1]


def test_a_value_that_snowflake_does_not_take_is_found_and_named(house: SnowflakeWarehouse) -> None:
    house.gate.refuses = b"nobody takes this"
    records = [{**case(n), "subject": "nobody takes this" if n == 3 else "x"} for n in (2, 3)]
    with pytest.raises(RefusedError) as caught:
        house.load(CASES.part(records))
    assert {stream: list(found) for stream, found in caught.value.records.items()} == {"cases": [1]}
    assert "nobody takes this" not in str(caught.value)
    assert house.ids() == [1]


def test_c24_columns_that_a_failed_load_has_added_are_used_by_the_next(house: SnowflakeWarehouse) -> None:
    wider = Shape(columns={**CASES.columns, "seats": "integer"})
    house.gate.trouble = [Trouble("^BEGIN", code="000604", message="SQL execution canceled")]
    with pytest.raises(DestinationError):
        house.load(wider.part([{**case(2), "seats": 7}]))
    assert house.sql("SELECT id, seats FROM cases") == [(1, None)]
    assert [c.name for c in house.claim().columns if c.name.lower() == "seats"] == []
    house.load(wider.part([{**case(2), "seats": 7}]))
    assert house.sql("SELECT id, seats FROM cases ORDER BY id") == [(1, None), (2, 7)]


def test_c24_e4_a_reset_that_was_interrupted_is_finished_by_the_next_claim() -> None:
    with warehouse() as house:
        house.load(CASES.part([case(1)]))
        for turn, at in enumerate(('^DROP TABLE .*CASES"', "^DELETE FROM .*_SDC_TABLES"), 1):
            house.gate.trouble = [Trouble(at, code="000604", message="SQL execution canceled")]
            with pytest.raises(DestinationError):
                house.target.reset("cases", connector="desk", epoch=house.claim().epoch)
            claim = house.claim()
            assert claim.tables == claim.columns == ()
            assert [name for name in house.tables() if not name.startswith("_sdc")] == []
            house.load(CASES.part([case(5)]))
            assert house.sql("SELECT id, _sdc_table_version FROM cases") == [(5, turn)]


def test_f3_a_run_that_was_overtaken_changes_no_table_either(house: SnowflakeWarehouse) -> None:
    wider = Shape(columns={**CASES.columns, "desks": "integer"})
    mine = house.claimed or house.claim()
    house.claim()  # another run
    before = house.content()
    with pytest.raises(StaleWriterError):
        house.load(wider.part([case(2)]), epoch=mine.epoch)
    assert house.content() == before


# --- logging in


LOGINS = [
    ("390100", "Incorrect username or password was specified.", "credentials", "refused the credentials of 'LOADER'"),
    ("390144", "JWT token is invalid. [1234]", "credentials", "refused the credentials of 'LOADER'"),
    ("390189", "Role 'X' specified in the connect string does not exist.", "permission", "set `role`"),
]


def test_g12_a_login_that_is_refused_says_what_to_look_at() -> None:
    with warehouse(password="hunter2-secret") as house:
        for code, message, kind, told in LOGINS:
            house.gate.trouble = [Trouble("LOGIN", code=code, message=message)]
            with pytest.raises(DestinationError) as caught:
                house.claim()
            assert told in str(caught.value)
            assert caught.value.code == kind
            assert "hunter2-secret" not in f"{caught.value!r}{caught.value}{caught.value.__cause__}"


def test_c1_a_server_that_is_not_there_is_unreachable() -> None:
    config = shared().config("DB_NOWHERE", url="http://127.0.0.1:9", login_timeout=1)
    with destination.connect(config, "ns") as target, pytest.raises(UnreachableError) as caught:
        target.check()
    assert caught.value.exit_code == 5


def pem(passphrase: bytes | None = None) -> str:
    kind = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, kind).decode()


def test_a_key_pair_a_password_and_a_token_log_in() -> None:
    """What the driver sends: a signed JWT for a key, the token for OAuth; the stand-in lets everybody in."""
    running = shared()
    name = running.database()
    base = {key: value for key, value in running.config(name).items() if key != "password"}
    for given in (
        {"private_key": pem()},
        {"private_key": pem(b"open sesame"), "private_key_passphrase": "open sesame"},
        {"token": "an-oauth-token"},
        {"password": "snow", "role": ROLE, "warehouse": "LOADING", "query_tag": "nightly"},
    ):
        with destination.connect({**base, **given}, "ns") as target:
            target.commits()
    keys, sealed, oauth, password = running.gates[name].logins
    running.drop(name)
    assert keys["AUTHENTICATOR"] == sealed["AUTHENTICATOR"] == "SNOWFLAKE_JWT"
    assert keys["TOKEN"].count(".") == 2
    assert (oauth["AUTHENTICATOR"], oauth["TOKEN"]) == ("OAUTH", "an-oauth-token")
    assert (password["LOGIN_NAME"], password["PASSWORD"]) == ("LOADER", "snow")
    told = password["SESSION_PARAMETERS"]
    assert {told[name] for name in ("TIMEZONE", "TIMESTAMP_INPUT_FORMAT", "DATE_INPUT_FORMAT")} == {"UTC", "AUTO"}
    assert (told["QUERY_TAG"], told["LOCK_TIMEOUT"], told["CLIENT_TELEMETRY_ENABLED"]) == ("nightly", 600, False)
    assert told["DEFAULT_DDL_COLLATION"] == ""


SEALED = pem(b"right")


@pytest.mark.parametrize(
    ("changed", "told", "at"),
    [
        ({"password": ""}, "there are no credentials", "private_key"),
        ({"token": "t"}, "password and token are both set", "token"),
        ({"password": "", "private_key": "no key"}, "private_key cannot be read", "private_key"),
        ({"password": "", "private_key": SEALED, "private_key_passphrase": "wrong"}, "cannot be read", "private_key"),
        ({"password": "", "private_key": SEALED}, "private_key_passphrase is not the right one", "private_key"),
        ({"private_key_passphrase": "x"}, "private_key_passphrase is set without", "private_key_passphrase"),
        ({"url": "http://example.com"}, "url is not encrypted", "url"),
        ({"url": "https://user@example.com/x"}, "url is no address", "url"),
        ({"database": ""}, "database is not set", "database"),
    ],
)
def test_g3_settings_that_cannot_work_are_told_with_their_place(changed: dict[str, str], told: str, at: str) -> None:
    given = {"account": "a", "user": "u", "database": "d", "password": "p", **changed}
    with pytest.raises(ConfigError, match=told) as caught:
        address(given).parameters()
    assert caught.value.place.path == at
    assert "PRIVATE KEY-----\n" not in str(caught.value)


def test_h5_secrets_are_not_printed() -> None:
    shown = repr(address({"account": "a", "user": "u", "database": "d", "password": "hunter2"}))
    assert "hunter2" not in shown
    settings = destination.describe().config_schema["properties"]
    secret = {name for name, told in settings.items() if told.get("writeOnly")}
    assert secret == {"private_key", "private_key_passphrase", "password", "token"}


# --- check


GRANTS = ["created_on", "privilege", "granted_on", "name", "granted_to", "grantee_name"]


def grants(*found: tuple[str, str]) -> tuple[list[str], list[list[str | None]]]:
    return GRANTS, [[None, right, "X", "X", "ROLE", role] for right, role in found]


def test_c15_check_names_every_grant_that_is_missing(house: SnowflakeWarehouse) -> None:
    gate = house.gate
    for right in ("CREATE TABLE", "CREATE STAGE"):  # each taken away in turn
        left = {"CREATE TABLE", "CREATE STAGE"} - {right}
        gate.answers = {"SHOW GRANTS ON SCHEMA": grants(*((other, ROLE) for other in left), (right, "SOMEBODY"))}
        gate.roles = (ROLE, "SYSADMIN")
        with pytest.raises(DestinationError) as caught:
            house.target.check()
        assert caught.value.message == f"the role LOADER lacks {right} on the schema NS"
        assert caught.value.hint == f'GRANT {right} ON SCHEMA "{house.database}"."NS" TO ROLE "LOADER";'
        assert (caught.value.code, caught.value.exit_code) == ("permission", 5)
    gate.answers = {"SHOW GRANTS ON SCHEMA": grants(("OWNERSHIP", ROLE))}
    gate.roles = (ROLE,)  # the stand-in says that the tables belong to SYSADMIN
    with pytest.raises(DestinationError, match="lacks the tables of SYSADMIN in NS"):
        house.target.check()
    gate.roles = (ROLE, "SYSADMIN")
    lines = "\n".join(house.target.check())
    assert "role LOADER, warehouse LOADING" in lines
    assert "belongs to connector desk" in lines


def test_c15_check_before_the_first_run(house: SnowflakeWarehouse) -> None:
    with destination.connect(house.server.config(house.database), "other") as target:
        house.gate.answers = {"SHOW GRANTS ON DATABASE": grants(("USAGE", ROLE))}
        with pytest.raises(
            DestinationError, match=r"lacks CREATE SCHEMA on the database .*GRANT CREATE SCHEMA ON DATABASE"
        ):
            target.check()
        house.gate.answers = {"SHOW GRANTS ON DATABASE": grants(("CREATE SCHEMA", "PUBLIC"))}
        assert "schema other does not exist yet; the first run makes it" in target.check()
        columns = ["VERSION", "ROLE", "WAREHOUSE", "DATABASE"]
        house.gate.answers = {"SELECT CURRENT_VERSION": (columns, [["9.1", ROLE, None, None]])}
        with pytest.raises(DestinationError) as caught:
            target.check()
        assert caught.value.message == f"the role LOADER lacks a warehouse, USAGE on the database {house.database}"
        assert "GRANT USAGE ON WAREHOUSE ..." in caught.value.hint


# --- what is installed


FLOORS = {"requests": "2.32.4", "urllib3": "2.5", "snowflake-connector-python": "4.7.1"}
"""The first versions without a known hole (facts/fault_catalogue.md H14)."""


@pytest.mark.parametrize("name", FLOORS)
def test_h14_nothing_with_a_known_hole_is_declared_or_locked(name: str) -> None:
    floor = Version(FLOORS[name])
    asked = [
        Requirement(text)
        for member in (ROOT, *ROOT.glob("destinations/*"), *ROOT.glob("plugins/*"))
        for text in project(member)["dependencies"]
    ]
    bounds = [
        [Version(one.version) for one in asking.specifier if one.operator == ">="]
        for asking in asked
        if asking.name == name
    ]
    assert bounds
    assert [bound for bound in bounds if not bound or max(bound) < floor] == []
    assert [version for version, _ in locked()[name] if Version(version) < floor] == []


def test_the_driver_is_imported_when_it_connects_and_not_before() -> None:
    code = (
        "import sys; import connector_snowflake as c; "
        "c.destination.describe(); "
        "t = c.destination.connect({'account': 'a', 'user': 'u', 'database': 'd', 'password': 'p'}, 'ns'); "
        "t.__enter__(); t.__exit__(None, None, None); "
        "print([name for name in sys.modules if name.partition('.')[0] in ('snowflake', 'sqlalchemy', 'cryptography')])"
    )
    path = ":".join(str(ROOT / part) for part in (Path(), Path("destinations/snowflake/src")))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": path})
    assert done.stdout.strip() == "[]", done.stderr
