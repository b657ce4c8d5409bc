"""DuckDB's errors, sorted by who must act."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from connector_core.errors import BusyError, ConnectorError, DestinationError, Place, RetryableError, UnknownCommitError

BUSY = (
    "Could not set lock on file",  # another process has it open
    "different configuration",  # this process has it open for something else
    "the configuration has been locked",  # this process has it open for another connector
)
HINTS = {
    "newer version": "a newer DuckDB wrote this file; upgrade duckdb, or set path to another file. It was not touched",
    "not a valid DuckDB": "set path to another file; this one was not touched",
    "Could not read enough bytes": "the file is damaged: restore it from a backup. It was not touched",
    "Corrupt database file": "the file is damaged: restore it from a backup. It was not touched",
    "there are entries that depend on it": "drop the index on that table and make it again after the run",
}
HOLDER = re.compile(r"Conflicting lock is held in (.+?) \(PID (\d+)\)")


@contextmanager
def raised(path: Path, *, unknown: bool = False) -> Iterator[None]:
    """Turn an error of DuckDB into one of ours; `unknown` while a COMMIT is under way."""
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        if unknown:
            raise UnknownCommitError(
                f"DuckDB failed at COMMIT: {_first_line(error)}",
                hint="the engine asks the file what was committed",
                place=Place(file=str(path)),
            ) from error
        raise sorted_out(error, path) from error
    except OSError as error:
        raise DestinationError(
            f"rows could not be written beside the database: {error.strerror or error}",
            hint="free some space; nothing was written to the database" if error.errno == 28 else "",
            place=Place(file=str(path)),
            code="disk_full" if error.errno == 28 else "not_writable",
        ) from error


def sorted_out(error: Exception, path: Path) -> ConnectorError:
    """Our error for one of DuckDB's, outside COMMIT: the transaction has not happened."""
    import duckdb

    text, place = str(error), Place(file=str(path))
    if any(sign in text for sign in BUSY):
        held = HOLDER.search(text)
        by = f"process {held[2]} ({held[1]})" if held else "another connection of this process"
        return BusyError(
            f"the DuckDB file is in use by {by}",
            hint="DuckDB lets one process at a time open a file; close it there",
            place=place,
        )
    if isinstance(error, duckdb.TransactionException) or "onflict" in text.split("\n")[0]:
        return RetryableError(f"DuckDB: {_first_line(error)}", place=place, code="conflict")
    if isinstance(error, duckdb.OutOfMemoryException):
        return DestinationError(
            f"DuckDB ran out of memory: {_first_line(error)}",
            hint="raise memory_limit of the destination, or lower batch_records of the connector",
            place=place,
            code="memory",
        )
    if "No space left on device" in text or "disk" in text.lower():
        return DestinationError(
            f"DuckDB: {_first_line(error)}",
            hint="free some space; nothing of this batch was written",
            place=place,
            code="disk_full",
        )
    hint = next((hint for sign, hint in HINTS.items() if sign in text), "")
    return DestinationError(f"DuckDB: {_first_line(error)}", hint=hint, place=place, code="database")


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]
