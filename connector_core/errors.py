"""Every error the engine raises, sorted by who must act on it.

    ConnectorError                    each carries message, hint (what to do) and place (where)
    |-- ConfigError          exit 2   edit the configuration or the command line
    |-- RejectLimitError     exit 3   look at the rejected records, then raise or keep the limit
    |-- SourceError          exit 4   the source failed; nothing to edit here, look at the source
    |   |-- AuthError        exit 4   renew the credentials
    |   |-- RetryableError   exit 4   passing trouble; the engine repeats the call, then gives up with this
    |   |-- NotFoundError    exit 4   the source says that this resource does not exist
    |   `-- ActivationError  exit 4   a full pass was not complete or would delete too much; nothing was changed
    |-- DestinationError     exit 5   the destination failed
    |   |-- StaleWriterError exit 5   a later run has taken over; this one must not write
    |   |-- UnreachableError exit 5 the destination cannot be reached; a load that has begun is tried again
    |   |-- RefusedError     exit 5 the destination refuses values of some records; they are rejected, the others loaded
    |   `-- UnknownCommitError exit 5 the connection was lost at COMMIT; the engine asks the destination
    |-- PluginError          exit 6   a plugin broke its contract; its author must act
    |-- BusyError            exit 75  another run holds the connector or the file
    `-- QuotaError           exit 75  the quota of the period is used up and on_quota says pause: nothing was begun

The exit codes are those of facts/fault_catalogue.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where something happened; every part is optional. `url` never carries a query's secrets, `captured` is the file
    with what the other side sent."""

    connector: str | None = None
    stream: str | None = None
    page: str | None = None
    table: str | None = None
    path: str | None = None
    file: str | None = None
    line: int | None = None
    url: str | None = None
    captured: str | None = None

    def __str__(self) -> str:
        named = ((f.name, getattr(self, f.name)) for f in fields(self))
        return ", ".join(f"{name} {value}" for name, value in named if value is not None)


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What the other side sent when it went wrong: for a file beside the ledger that the error names.

    `kind` is page or records, `text` the beginning of what came, `head` facts about it (status, headers). Secrets are
    taken out when it is written (`connector_core.captured`).
    """

    kind: str
    text: bytes | str = field(repr=False)
    head: Mapping[str, str] = field(default_factory=dict)


class ConnectorError(Exception):
    """Base of all errors a user may meet: what happened, where, and what to do next.

    `code` is stable and may be matched by scripts (docs/errors.md lists them); `message` is for people and may be
    reworded. `evidence` is what the other side sent, where that helps.
    """

    exit_code = 6
    code = "internal"
    evidence: Evidence | None = None

    def __init__(self, message: str, *, hint: str = "", place: Place | None = None, code: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.place = place or Place()
        if code:
            self.code = code

    def at(self, **parts: str | int | None) -> Self:
        """The same error with the parts of its place that were not known where it was raised filled in."""
        known = {f.name: getattr(self.place, f.name) for f in fields(self.place)}
        missing: dict[str, Any] = {name: parts.get(name) for name, value in known.items() if value is None}
        self.place = replace(self.place, **missing)
        return self

    def showing(self, evidence: Evidence | None) -> Self:
        """The same error with what the other side sent, unless it has that already."""
        self.evidence = self.evidence or evidence
        return self

    def __str__(self) -> str:
        where = str(self.place)
        told = self.message + (f" ({where})" if where else "") + (f" - {self.hint}" if self.hint else "")
        return f"{told} [{self.code}]"


class ConfigError(ConnectorError):
    """The configuration or the command line is wrong: nothing was started."""

    exit_code = 2
    code = "config"


class RejectLimitError(ConnectorError):
    """`max_rejects` was crossed: the batch that crossed it was not loaded, the bookmark stands before it."""

    exit_code = 3
    code = "max_rejects"


class SourceError(ConnectorError):
    """The source failed for good: what was committed before stays, the bookmark covers exactly that."""

    exit_code = 4
    code = "source"


class AuthError(SourceError):
    """The source refused the credentials. Never retried, and it never says which part was right."""

    code = "auth"


class RetryableError(SourceError):
    """Passing trouble: the same call may be repeated. Raised by `extract` and `discover`, and by `load`.

    `retry_after` is the number of seconds that the other side asked for (None: it did not), `rate` what an
    answer said about the call budget, `answered` whether an answer arrived at all.
    """

    code = "retry"

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        attempts: int | None = None,
        rate: object | None = None,
        hint: str = "",
        place: Place | None = None,
        code: str = "",
    ) -> None:
        super().__init__(message, hint=hint, place=place, code=code)
        self.retry_after = retry_after
        self.attempts = attempts
        self.rate = rate


class NotFoundError(SourceError):
    """The source answers that the resource does not exist. For a child request: its parent vanished."""

    code = "not_found"


class ActivationError(SourceError):
    """A full-table pass must not become visible: it was incomplete or would delete too much."""

    code = "activation"


class DestinationError(ConnectorError):
    """The destination failed; its last transaction did not happen."""

    exit_code = 5
    code = "destination"


class StaleWriterError(DestinationError):
    """The fence refused this run: a later run has claimed the namespace. Nothing was written."""

    code = "stale_writer"


class UnreachableError(DestinationError):
    """The destination cannot be reached at the moment. A run that has not begun ends with it; within a run it is tried
    again some times."""

    code = "unreachable"


class RefusedError(DestinationError):
    """The destination refuses values that its types allow: a row, an index entry or a number that is too large.

    Raised by `load`; nothing was written. `records` says which records of the batch, by stream and position in its
    part, with the reason: the engine rejects them and loads the others. While it is empty nobody knows which.
    """

    code = "refused"

    def __init__(
        self,
        message: str,
        *,
        records: Mapping[str, Mapping[int, str]] | None = None,
        hint: str = "",
        place: Place | None = None,
        code: str = "",
    ) -> None:
        super().__init__(message, hint=hint, place=place, code=code)
        self.records = records or {}


class UnknownCommitError(DestinationError):
    """The connection was lost at COMMIT. Never repeated blindly: the engine claims again and looks."""

    code = "unknown_commit"


class BusyError(ConnectorError):
    """Another run holds the connector, or another process the destination's file."""

    exit_code = 75
    code = "busy"


class QuotaError(ConnectorError):
    """The quota of the metering period is used up, and `on_quota` says pause: no run begins before the next one."""

    exit_code = 75
    code = "quota"


class PluginError(ConnectorError):
    """A plugin raised something foreign or broke a hook's contract; names plugin, distribution, version and hook."""

    exit_code = 6
    code = "plugin"

    def __init__(
        self,
        message: str,
        *,
        plugin: str,
        distribution: str = "",
        version: str = "",
        hook: str = "",
        hint: str = "",
        place: Place | None = None,
    ) -> None:
        super().__init__(message, hint=hint, place=place)
        self.plugin, self.distribution, self.version, self.hook = plugin, distribution, version, hook

    def __str__(self) -> str:
        origin = " ".join(part for part in (self.distribution, self.version) if part)
        return f"plugin {self.plugin!r}{f' ({origin})' if origin else ''}, hook {self.hook}: {super().__str__()}"
