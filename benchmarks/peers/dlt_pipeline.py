"""dlt reads the NDJSON files into DuckDB; runs in dlt's own environment: dlt_pipeline.py default|tuned-1|tuned-2 DATA
OUT.

default: everything as dlt has it; merge by id.
tuned-1, tuned-2: the fastest settings that we found, with one and with two processes that normalise: parquet files in
place of INSERT statements, upsert in place of delete and insert, larger files and buffers, no compression of the
files between its steps.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import orjson  # faster than dlt's own reading of JSON

setting, folder, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
os.environ["RUNTIME__LOG_LEVEL"] = "ERROR"
processes = setting.partition("-")[2]
if processes:
    os.environ["NORMALIZE__WORKERS"] = processes
    os.environ["DATA_WRITER__FILE_MAX_ITEMS"] = "50000"
    os.environ["DATA_WRITER__BUFFER_MAX_ITEMS"] = "20000"
    os.environ["DATA_WRITER__DISABLE_COMPRESSION"] = "true"

import dlt  # noqa: E402 - it reads the variables when it is imported

DISPOSITION: Any = {"disposition": "merge", "strategy": "upsert"} if processes else "merge"


def pages(stream: str) -> Iterator[list[dict[str, Any]]]:
    """A thousand records at a time, without their links."""
    with (folder / f"{stream}.ndjson").open("rb") as file:
        while lines := list(islice(file, 1_000)):
            records = [orjson.loads(line) for line in lines]
            for record in records:
                del record["_links"]
            yield records


def main() -> None:
    """One run of the pipeline; it knows from its own state what was loaded before."""
    pipeline = dlt.pipeline(
        "bench",
        pipelines_dir=str(out.parent / "dlt"),
        destination=dlt.destinations.duckdb(str(out)),
        dataset_name="bench",
    )
    resources = [
        dlt.resource(pages(stream), name=stream, primary_key="id", write_disposition=DISPOSITION)
        for stream in ("cases", "customers")
    ]
    info = pipeline.run(resources, loader_file_format="parquet" if processes else None)
    info.raise_on_failed_jobs()


if __name__ == "__main__":  # the processes that normalise import this file
    main()
