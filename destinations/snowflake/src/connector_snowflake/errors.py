"""Snowflake's errors, sorted by who must act. Numbers are those of its error messages, `002003 (42S02): ...`."""

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

GONE = {
    390104,  # to log in again
    390111,  # the session no longer exists
    390112,  # the session has expired
    390113,  # the master token is not known
    390114,  # the master token has expired
    390115,  # the master token is not valid
    390195,  # the id token is not valid
    390318,  # the OAuth token has expired
}
"""Answers that mean that the session has ended."""
UPLOAD = {253003, 253009}
"""A file did not reach the stage."""
VALUES = range(100_000, 101_000)
"""What a value is that its column does not take: too long, out of range, no JSON."""
REFUSED = (390100, 390101, 390102, 390144, 390303, 390318, 390194, 390195, 394300, 394301, 394302, 394303, 394304)
CODES = {
    606: "warehouse",
    90073: "warehouse",
    625: "locked",
    604: "timeout",
    630: "timeout",
    3001: "permission",
    2003: "missing",
    2043: "missing",
}
HINTS = {
    606: "set `warehouse` of the destination to one that the role may use: GRANT USAGE ON WAREHOUSE ... TO ROLE ...;",
    90073: "a resource monitor keeps the warehouse suspended: raise its quota, or set another `warehouse`",
    625: "another session holds the table; a run that was killed lets go of it 5 minutes later",
    604: "somebody cancelled the statement; nothing of this batch was written",
    630: "it took longer than the account allows (STATEMENT_TIMEOUT_IN_SECONDS); nothing of this batch was written",
    2003: "it was dropped, or the role may not see it: `connector-core check` lists what is missing",
    2043: "it was dropped, or the role may not see it: `connector-core check` lists what is missing",
}
NEEDED = {
    "database": "CREATE SCHEMA",
    "schema": "CREATE TABLE, CREATE STAGE",
    "table": "OWNERSHIP",
    "warehouse": "USAGE",
}
INSUFFICIENT = re.compile(r"[Ii]nsufficient privileges to operate on (\w+) '(.+?)'")


def cause_of(error: Exception) -> Exception:
    """The driver's own error behind one of SQLAlchemy's."""
    original = getattr(error, "orig", None)
    found = original if isinstance(original, Exception) else error
    inner = getattr(found, "cause", None)  # the driver wraps an expired session in a request to log in again
    return inner if isinstance(inner, Exception) else found


def is_lost(error: Exception) -> bool:
    """Whether the session is gone, or did not answer, so that nobody knows what became of the statement."""
    from snowflake.connector.errors import Error, ProgrammingError

    cause = cause_of(error)
    if not isinstance(cause, Error) or cause.errno in UPLOAD:
        return False
    return cause.errno in GONE or not isinstance(cause, ProgrammingError)  # an answer to a statement is one of these


def sorted_out(error: Exception, text: str, *, place: str, lost: bool) -> ConnectorError | None:
    """Our error for one of the driver's, raised by the statement `text`; None for one that is not the driver's."""
    from snowflake.connector.errors import Error

    cause = cause_of(error)
    if not isinstance(cause, Error):
        return None
    where, said, number = Place(url=place), first_line(cause), cause.errno or 0
    if lost:
        return RetryableError(f"Snowflake: the session was lost: {said}", place=where, code="connection_lost")
    if number in UPLOAD:
        return RetryableError(f"Snowflake: the upload was cut: {said}", place=where, code="upload")
    if number in VALUES:
        return RefusedError(re.sub(r"'.*'", "...", said), place=where)
    hint = HINTS.get(number, "")
    if found := INSUFFICIENT.search(str(cause)):
        kind, name = found[1].lower(), found[2]
        needed = NEEDED.get(kind, "USAGE")
        hint = f"GRANT {needed} ON {kind.upper()} {quoted(name)} TO ROLE ...; `connector-core check` lists all"
        return DestinationError(f"Snowflake: {said}", hint=hint, place=where, code="permission")
    return DestinationError(f"Snowflake: {said}", hint=hint, place=where, code=CODES.get(number, ""))


def not_connected(error: Exception, *, place: str, user: str) -> ConnectorError:
    """Our error for a session that could not be opened; the texts never say which part of the credentials was right."""
    cause = cause_of(error)
    said, where = first_line(cause), Place(url=place)
    numbers = {int(number) for number in re.findall(r"\b39\d{4}\b", str(cause))} | {getattr(cause, "errno", None)}
    if numbers & set(REFUSED) or re.search(r"[Ii]ncorrect username or password|JWT token is invalid", said):
        return DestinationError(
            f"Snowflake refused the credentials of {user!r}",
            hint="look at account, user and private_key (or password, token) of the destination",
            place=where,
            code="credentials",
        )
    if re.search(r"[Rr]ole .* does not exist or not authorized|Role .* specified in the connect string", said):
        return DestinationError(
            f"Snowflake: {said}", hint="set `role` to one that was granted to the user", place=where, code="permission"
        )
    return UnreachableError(
        f"Snowflake cannot be reached: {said}",
        hint="are account and network right? Allowed hosts: SELECT SYSTEM$ALLOWLIST();",
        place=where,
    )


def quoted(name: str) -> str:
    """The parts of a name, each in quotes."""
    return ".".join(f'"{part}"' for part in name.replace('"', "").split("."))


def first_line(error: Exception) -> str:
    """What the driver says, in one line and without the number of the query."""
    said = str(getattr(error, "raw_msg", None) or getattr(error, "msg", None) or error)
    return re.sub(r"\s+", " ", said).strip()
