"""Every statement that is sent to Snowflake, compared with `golden/snowflake.sql`, and the rows that the stand-in makes
of them.

After a change on purpose, `GOLDEN=write` with this test writes the file anew; read the difference against Snowflake's
manual, as nothing else checks what the stand-in is lenient about.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from connector_core.batch import Activation, Counts
from tests.support.loads import Shape, reject
from tests.support.snowflake import ROLE, SnowflakeWarehouse, warehouse

GOLDEN = Path(__file__).parent / "golden" / "snowflake.sql"
CASES = Shape(columns={"id": "integer", "seats": "integer", "at": "instant", "tags": "nested"}, arrays={}, version="at")
WIDER = Shape(
    columns={**CASES.columns, "seats|st": "string", "vip": "boolean"},
    names={("seats|st", "string"): "seats__st"},
    arrays={"notes": {"value": "string"}},
    version="at",
)
USERS = Shape(stream="users", columns={"id": "integer", "name": "string"}, version=None, arrays={})
PEOPLE = Shape(
    stream="people", columns={"id": "integer", "name": "string"}, version=None, arrays={"tags": {"value": "string"}}
)
LOG = Shape(stream="log", columns={"line": "string"}, key=(), version=None, arrays={})


GRANT: dict[str, str | None] = {
    "created_on": None,
    "privilege": "OWNERSHIP",
    "granted_on": "SCHEMA",
    "name": "NS",
    "granted_to": "ROLE",
    "grantee_name": ROLE,
}


def case(number: int, day: int = 1, **more: Any) -> dict[str, Any]:
    return {"id": number, "seats": number, "at": f"2026-01-{day:02}T00:00:00Z", "tags": '["a"]', **more}


@pytest.fixture(scope="module")
def sent() -> Iterator[tuple[SnowflakeWarehouse, dict[str, list[str]]]]:
    """The statements of a namespace's life, chapter by chapter."""
    chapters: dict[str, list[str]] = {}
    with warehouse() as house:

        def chapter(title: str) -> None:
            chapters[title] = [text.replace(house.database, "ANALYTICS") for text, _ in house.gate.statements]
            house.gate.statements.clear()

        house.claim()
        chapter("the first claim")
        house.load(CASES.part([case(1), case(2)]))
        chapter("the first load")
        house.load(CASES.part([case(1), case(2, 2)]))
        chapter("a load that replaces a row")
        house.load(
            WIDER.part([{**case(2, 3), "seats": None, "seats|st": "many", "vip": True, "notes": ["n"]}]),
            rejects=[reject(9, record={"id": 9, "text": "it's \\N"})],
        )
        chapter("a load with new columns, a subtable and a rejected record")
        house.load(WIDER.part([]), settled=[reject(9, record={"id": 9, "text": "it's \\N"})], stream="cases")
        chapter("a rejected record that was replayed")
        for names in (["Ann", "Bob", "Cid"], ["Ann", "Bo"]):
            house.claim()
            people = [{"id": number, "name": name} for number, name in enumerate(names)]
            house.load(USERS.part(people, counts=Counts()), kind="stage")
            house.load(USERS.part([], counts=Counts()), kind="activate", activation=Activation())
        chapter("two passes over a full table")
        house.load(LOG.part([{"line": "x"}, {"line": "x"}]))
        chapter("rows without a key")
        house.load(CASES.part([case(1, 3)]), horizon="2026-06-01T00:00:00Z")
        chapter("a load that does not believe in versions of the future")
        for day in (4, 5):
            house.load(replace(CASES, shape_version=2).part([case(day - 3, day)]))
        chapter("loads of another shape")
        for tags in (["a"], ["b", "c"]):
            house.claim()
            house.stage(PEOPLE, *([{"id": 1, "name": name, "tags": tags}] for name in ("Ann", "Anna")))
            house.activate(PEOPLE)
        chapter("passes in which a key came twice")
        house.gate.answers = {"SHOW GRANTS ON": (list(GRANT), [list(GRANT.values())])}
        house.gate.roles = (ROLE, "SYSADMIN")
        house.target.check()
        for asked in ((None, None), ("cases", None), (None, 1)):
            house.target.rejects(asked[0], limit=asked[1])
        chapter("what is asked by check and by rejects")
        house.target.reset("cases", connector="desk", epoch=house.claim().epoch)
        chapter("a reset")
        yield house, chapters


def test_every_statement_is_the_one_that_was_read_against_the_manual(
    sent: tuple[SnowflakeWarehouse, dict[str, list[str]]],
) -> None:
    _, chapters = sent
    told = "\n".join(f"-- {title}\n\n" + "".join(f"{text};\n" for text in texts) for title, texts in chapters.items())
    if os.environ.get("GOLDEN") == "write":
        GOLDEN.write_text(told)
    assert told == GOLDEN.read_text()


def test_c24_a_transaction_has_no_ddl_no_merge_and_no_rows_one_by_one(
    sent: tuple[SnowflakeWarehouse, dict[str, list[str]]],
) -> None:
    _, chapters = sent
    inside, verbs = False, set()
    for text in (text for texts in chapters.values() for text in texts):
        assert "MERGE" not in text
        assert "VALUES" not in text
        if text in ("COMMIT", "ROLLBACK"):
            inside = False
        if inside:
            verbs.add(text.split()[0])
        inside |= text == "BEGIN TRANSACTION"
    assert verbs == {"SELECT", "UPDATE", "DELETE", "INSERT", "PUT", "COPY"}
    assert not inside


def test_all_names_are_upper_case_in_quotes(sent: tuple[SnowflakeWarehouse, dict[str, list[str]]]) -> None:
    _, chapters = sent
    texts = [re.sub("FIELD_OPTIONALLY_ENCLOSED_BY = '\"'", "", text) for texts in chapters.values() for text in texts]
    names = {name for text in texts for name in re.findall(r'"([^"]+)"', text)}
    assert {"NS", "CASES", "SEATS__ST", "_SDC_SEQUENCE", "_SDC_STAGE_2_USERS"} <= names
    assert {name for name in names if name != name.upper()} == set()


def test_the_rows_are_those_of_the_last_chapters(sent: tuple[SnowflakeWarehouse, dict[str, list[str]]]) -> None:
    house, _ = sent
    assert house.sql("SELECT id, name FROM users ORDER BY id") == [(0, "Ann"), (1, "Bo")]
    assert house.sql("SELECT line FROM log") == [("x",), ("x",)]
    assert house.sql("SELECT * FROM _sdc_rejected") == []
    assert house.values("people", "id", "name") == [(1, "Anna")]
    assert house.values("people__tags", "value") == [("b",), ("c",)]
    assert {name for name in house.tables() if not name.startswith("_sdc")} == {
        "users",
        "log",
        "people",
        "people__tags",
    }
    counts = [receipt.counts for receipt in house.receipts]
    assert counts[1]["cases"] == Counts(extracted=2, loaded=1, unchanged=1)
    assert [c["users"] for c in counts if "users" in c][-1] == Counts(extracted=2, loaded=1, unchanged=1, deleted=1)
