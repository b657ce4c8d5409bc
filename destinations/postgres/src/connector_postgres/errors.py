"""Postgres's errors, sorted by who must act. Codes are SQLSTATEs (appendix A of the Postgres manual)."""

from __future__ import annotations

import re

from connector_core.errors import (
    ConnectorError,
    DestinationError,
    Place,
    RefusedError,
    RetryableError,
    UnreachableError,
)

SILENT = "the server has not answered"
SERIALIZATION = {"40001", "40P01"}
"""Serialization failure, deadlock."""
RACES = {"42P06", "42P07", "23505"}
"""What CREATE ... IF NOT EXISTS answers when another session has just made the same."""
ENDED = {"57P01", "57P02", "57P03", "57P05", "25P03", "25P04"}
"""The server has ended the session: shut down, crashed, starting up, idle for too long, too long a transaction."""
TOO_LARGE = "54000"
"""A row or an index entry that is too large; with class 22, values that cannot be stored."""
HINTS = {
    "53": "the server has run out of it; nothing of this batch was written",
    "53100": "free some space on the server; nothing of this batch was written",
    "53300": "the server has no connection left: raise max_connections, or stop another program",
    "58": "look at the server's log and its disks; nothing of this batch was written",
    "25006": "this is a standby, or default_transaction_read_only is on: load into the primary",
    "55P03": "another session holds a lock on it; the table was waited for as long as lock_timeout says",
    "57014": "it took longer than statement_timeout, or somebody cancelled it; nothing of this batch was written",
    "54011": "columns that were dropped count too: `reset` the stream, which makes its tables anew",
    "0A000": "drop what depends on it, and make it again after the run; nothing was changed",
    "2BP01": "drop what depends on it, and make it again after the run",
    "42501": "`connector-core check` lists what is missing and how to grant it",
}
CODES = {
    "53100": "disk_full",
    "25006": "read_only",
    "55P03": "locked",
    "57014": "timeout",
    "42501": "permission",
}


def sorted_out(error: Exception, text: str, *, place: str, lost: bool) -> ConnectorError | None:
    """Our error for one of the driver's, raised by the statement `text`; None for one that is not the driver's.

    `lost` says that the connection is gone: nothing of its transaction has happened (outside COMMIT).
    """
    import psycopg
    from sqlalchemy.exc import DBAPIError

    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    if not isinstance(cause, psycopg.Error):
        return None
    state = cause.sqlstate or ""
    where = Place(url=place, table=cause.diag.table_name)
    said = _first_line(cause)
    if said.startswith(SILENT):
        hint = "look at the server and the network; nothing of this batch was written"
        return DestinationError(f"Postgres: {said}", hint=hint, place=where, code="timeout")
    if lost:
        return RetryableError(f"the connection to Postgres was lost: {said}", place=where, code="connection_lost")
    if (
        "tuple concurrently" in said
        or state in SERIALIZATION
        or (state in RACES and text.startswith(("CREATE SCHEMA", "CREATE TABLE")))
    ):
        return RetryableError(f"Postgres: {said}", place=where, code="conflict")
    if state.startswith("22") or state == TOO_LARGE:
        return RefusedError(re.sub(r': ".*', "", said, flags=re.DOTALL), place=where)
    hint = HINTS.get(state) or HINTS.get(state[:2], "")
    detail = f" ({cause.diag.message_detail})" if cause.diag.message_detail and state in ("2BP01", "0A000") else ""
    return DestinationError(f"Postgres: {said}{detail}", hint=hint, place=where, code=CODES.get(state, "database"))


def ended(error: Exception) -> bool:
    """Whether the server has said that it ends the session: its last word, before the connection is closed."""
    state = getattr(getattr(error, "orig", error), "sqlstate", None) or ""
    return state.startswith("08") or state in ENDED


def not_connected(error: Exception, *, place: str, user: str) -> ConnectorError:
    """Our error for a connection that could not be made."""
    said = re.sub(r"\s+", " ", str(getattr(error, "orig", error))).strip()
    where = Place(url=place)
    if re.search(r"password authentication failed|no password supplied|role \".*\" does not exist|SCRAM", said):
        return DestinationError(
            f"Postgres refused the credentials of {user!r}",
            hint="look at user and password of the destination",
            place=where,
            code="credentials",
        )
    if granted := re.search(r'permission denied for database "(.*?)"', said):
        return DestinationError(
            f"{user!r} may not connect to the database {granted[1]!r}",
            hint=f"GRANT CONNECT ON DATABASE {_quoted(granted[1])} TO {_quoted(user)};",
            place=where,
            code="permission",
        )
    if re.search(r"certificate|SSL|root\.crt", said):
        return DestinationError(
            f"no trusted TLS connection to Postgres: {said}",
            hint="set sslrootcert to the certificate of its authority; sslmode says how much is checked",
            place=where,
            code="tls",
        )
    return UnreachableError(
        f"Postgres cannot be reached: {said}",
        hint="is the server running, and are host, port and database right?",
        place=where,
    )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]
