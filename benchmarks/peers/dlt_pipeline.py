"""dlt reads the NDJSON files into DuckDB, or the API into Postgres; runs in dlt's own environment:
dlt_pipeline.py SETTING SOURCE DATABASE.

default: everything as dlt has it; merge by id.
parquet-1, parquet-2, csv-1, csv-2: the fastest settings that we found, with one and with two processes that normalise:
parquet or CSV files (COPY) in place of INSERT statements, upsert in place of delete and insert, larger files and
buffers, no compression of the files between its steps.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

import orjson  # faster than dlt's own reading of JSON

setting, where, out = sys.argv[1:]
os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
os.environ["RUNTIME__LOG_LEVEL"] = "ERROR"
form, _, processes = setting.partition("-")
if processes:
    os.environ["NORMALIZE__WORKERS"] = processes
    os.environ["DATA_WRITER__FILE_MAX_ITEMS"] = "50000"
    os.environ["DATA_WRITER__BUFFER_MAX_ITEMS"] = "20000"
    os.environ["DATA_WRITER__DISABLE_COMPRESSION"] = "true"

import dlt  # noqa: E402 - it reads the variables when it is imported
from dlt.sources.rest_api import rest_api_source  # noqa: E402

DISPOSITION: Any = {"disposition": "merge", "strategy": "upsert"} if processes else "merge"


def without_links(record: dict[str, Any]) -> dict[str, Any]:
    """The record as everybody keeps it."""
    del record["_links"]
    return record


def pages(stream: str) -> Iterator[list[dict[str, Any]]]:
    """A thousand records of a file at a time."""
    with (Path(where) / f"{stream}.ndjson").open("rb") as file:
        while lines := list(islice(file, 1_000)):
            yield [without_links(orjson.loads(line)) for line in lines]


def seconds(instant: str) -> int:
    """An instant as the API wants its bookmark."""
    return int(datetime.fromisoformat(instant).timestamp())


def api() -> Any:
    """Both streams of the API, as dlt's own REST source reads them."""
    return rest_api_source(
        {
            "client": {"base_url": f"{where}/api/v2/"},
            "resource_defaults": {"parallelized": bool(processes)},
            "resources": [
                {
                    "name": stream,
                    "primary_key": "id",
                    "write_disposition": DISPOSITION,
                    "endpoint": {
                        "path": stream,
                        "data_selector": "_embedded.entries",
                        "paginator": {"type": "json_link", "next_url_path": "_links.next.href"},
                        "incremental": {
                            "cursor_path": "updated_at",
                            "initial_value": "2012-01-01T00:00:00Z",
                            "start_param": "since_updated_at",
                            "convert": seconds,
                        },
                    },
                    "processing_steps": [{"map": without_links}],
                }
                for stream in ("cases", "customers")
            ],
        }
    )


def files() -> Any:
    """Both streams from their files."""
    return [
        dlt.resource(pages(stream), name=stream, primary_key="id", write_disposition=DISPOSITION)
        for stream in ("cases", "customers")
    ]


def main() -> None:
    """One run of the pipeline; it knows from its own state what was loaded before."""
    to_postgres = "://" in out
    pipeline = dlt.pipeline(
        "bench",
        pipelines_dir=str(Path.cwd() / "dlt"),
        destination=dlt.destinations.postgres(out) if to_postgres else dlt.destinations.duckdb(out),
        dataset_name="bench",
    )
    resources = api() if "://" in where else files()
    info = pipeline.run(resources, loader_file_format=form if processes else None)
    info.raise_on_failed_jobs()


if __name__ == "__main__":  # the processes that normalise import this file
    main()
