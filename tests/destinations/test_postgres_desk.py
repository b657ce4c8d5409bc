"""Desk in Postgres: the rows that DuckDB gets, and a Desk schema of Stitch that is continued."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from connector_desk.sandbox import Sandbox, Settings
from tests.support.desk import EVERYTHING, NOW, Desk
from tests.support.desk_tables import TABLES
from tests.support.postgres import shared
from tests.support.project import content

ENGINE = ("_sdc_fence", "_sdc_commits", "_sdc_tables", "_sdc_columns")


class PostgresDesk(Desk):
    """The same project with Postgres as destination."""

    def __init__(self, folder: Path, sandbox: Sandbox, database: str, more: str = "") -> None:
        super().__init__(folder, sandbox, EVERYTHING)
        self.database = database
        path = folder / "connectors.toml"
        new = f'type = "postgres"\nurl = "{shared().url(database)}"\n{more}'
        path.write_text(path.read_text().replace(f'type = "duckdb"\npath = "{self.warehouse}"', new))

    def query(self, text: str, parameters: Any = ()) -> list[tuple[Any, ...]]:
        return shared().query(text.replace("?", "%s"), parameters or None, database=self.database)

    @contextmanager
    def reading(self) -> Iterator[Any]:
        """Nothing has to be opened."""
        yield None

    def rows(self, table: str, *, schema: str = "stitch_desk", where: str = "") -> list[dict[str, Any]]:
        columns = self.query(
            "SELECT column_name FROM information_schema.columns WHERE table_schema = ? AND table_name = ? "
            "ORDER BY ordinal_position",
            [schema, table],
        )
        found = self.query(f'SELECT * FROM "{schema}"."{table}" {where}')
        return [{name: text(value) for (name,), value in zip(columns, row, strict=True)} for row in found]


def text(value: Any) -> Any:
    return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if isinstance(value, datetime) else value


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(Settings(seed=3, cases=60, customers=25, now=NOW, rate_limit=1_000_000)) as made:
        yield made


def test_the_same_account_gives_the_same_rows_and_a_schema_of_stitch_is_continued(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    duck = Desk(tmp_path / "duckdb", sandbox, EVERYTHING)
    duck.go()
    with shared().database() as database:
        first = PostgresDesk(tmp_path / "first", sandbox, database)
        first.go()
        first.equals_source()
        whole = content(first)
        assert whole == content(duck)
        assert {table: len(rows) for table, rows in whole.items()} == {
            table: first.query(f'SELECT count(*) FROM stitch_desk."{table}"')[0][0] for table in TABLES
        }
        assert first.go().rows_written == 0

        # what is left when everything is taken away that Stitch did not have
        for table in ENGINE:
            first.query(f"DROP TABLE stitch_desk.{table}")
        first.query("DROP TABLE stitch_desk._sdc_rejected")
        for table in TABLES:
            first.query(
                f'ALTER TABLE stitch_desk."{table}" DROP COLUMN IF EXISTS _sdc_record_hash, '
                "DROP COLUMN IF EXISTS _sdc_extracted_at"
            )
        first.query("UPDATE stitch_desk.cases SET subject = 'old', _sdc_table_version = 7 WHERE id % 2 = 0")
        first.query("DELETE FROM stitch_desk.customers WHERE id % 3 = 0")
        columns = first.query("SELECT count(*) FROM information_schema.columns WHERE table_schema = 'stitch_desk'")
        second = PostgresDesk(tmp_path / "second", sandbox, database, "adopt = true")
        second.go()
        second.equals_source()
        again = second.query(
            "SELECT count(*) FROM information_schema.columns WHERE table_schema = 'stitch_desk' "
            f"AND table_name NOT IN {(*ENGINE, '_sdc_rejected')} "
            "AND column_name NOT IN ('_sdc_record_hash', '_sdc_extracted_at')"
        )
        assert again == columns
        assert second.query("SELECT DISTINCT _sdc_table_version FROM stitch_desk.cases") == [(7,)]
        assert second.go().rows_written == 0
