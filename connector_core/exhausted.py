"""The process has as many files open, or as much memory, as the system lets it: recognized wherever it shows, and said
as what it is."""

from __future__ import annotations

import errno

from connector_core.errors import BusyError, ConnectorError, RetryableError, UnknownCommitError

SAID = "Too many open files"  # how databases pass on EMFILE and ENFILE


def ran_out(error: BaseException) -> ConnectorError | None:
    """Our error when this one, or what caused it, is a lack of file descriptors or of memory; None when it is not, or
    when the engine itself knows better what comes next (it tries again, or asks what was committed)."""
    if isinstance(error, BusyError | RetryableError | UnknownCommitError):
        return None
    seen: BaseException | None = error
    while seen is not None:
        if (isinstance(seen, OSError) and seen.errno in (errno.EMFILE, errno.ENFILE)) or SAID in str(seen):
            return ConnectorError(
                f"too many open files: {' '.join(str(seen).split())}",
                hint="raise the limit of this process (`ulimit -n`, LimitNOFILE of its service), then run again",
                code="open_files",
            )
        if isinstance(seen, MemoryError):
            return ConnectorError(
                "the process may have no more memory",
                hint="nothing was lost, the next run goes on from the last commit; give the process more, or lower "
                "memory or calls_in_flight of the connector",
                code="no_memory",
            )
        seen = seen.__cause__ or seen.__context__
    return None
