"""The limit: DuckDB reads the NDJSON files by itself and makes the same tables: read_json.py DATA OUT.

Two cores read, parse and unnest in C++. It validates nothing, keeps no bookmark, rejects no record (one bad line ends
it), has no key to upsert by, and nobody could add a source to it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import duckdb
from columns import COLUMNS, TYPED


def load(connection: duckdb.DuckDBPyConnection, stream: str, file: Path) -> None:
    """One root table and the subtables of its arrays."""
    columns = COLUMNS[stream]
    connection.execute(
        "CREATE TEMP TABLE source AS SELECT * FROM read_json($file, format = 'newline_delimited', columns = $columns)",
        {"file": str(file), "columns": columns},
    )
    arrays = [name for name, kind in columns.items() if kind.endswith("[]")]
    custom = ", ".join(
        f"custom_fields.{part.split()[0]} AS custom_fields__{part.split()[0]}"
        for part in columns["custom_fields"].removeprefix("STRUCT(").removesuffix(")").split(", ")
    )
    connection.execute(
        f"CREATE TABLE bench.{stream} AS SELECT * EXCLUDE ({', '.join(arrays)}, custom_fields), {custom} FROM source"
    )
    for array in arrays:
        values = "item.type, item.value" if columns[array] == TYPED else "item AS value"
        connection.execute(
            f"CREATE TABLE bench.{stream}__{array} AS "
            f"SELECT id AS _sdc_source_key_id, position - 1 AS _sdc_level_0_id, {values} "
            f"FROM (SELECT id, unnest({array}) AS item, generate_subscripts({array}, 1) AS position FROM source)"
        )
    connection.execute("DROP TABLE source")


if __name__ == "__main__":
    folder, out = Path(sys.argv[1]), sys.argv[2]
    with duckdb.connect(out) as database:
        database.execute("CREATE SCHEMA bench")
        for name in COLUMNS:
            load(database, name, folder / f"{name}.ndjson")
