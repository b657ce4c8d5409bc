"""`SqlTarget`: a `batch.Target` over any database that speaks `Sql`, open only for the length of each call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from datetime import datetime
from functools import wraps
from typing import ParamSpec, Protocol, TypeVar

from connector_core import adopt, evolve, rejected, staging, write
from connector_core.batch import Batch, Claim, Part, Receipt, Reject, SchemaChange
from connector_core.clock import SystemClock
from connector_core.errors import DestinationError, RetryableError
from connector_core.namespace import (
    COMMITS,
    FENCE,
    REJECTED,
    Registry,
    bookmarks,
    claim,
    read_fence,
    receipts,
    registry,
)
from connector_core.reset import finish, reset
from connector_core.sql import Namespace, Sql
from connector_core.tables import Traits


class Opener(Protocol):
    """Opens a connection for one call. `write` False promises to change nothing; it gives None where there is no
    database yet. `tidy` says that the call comes once a run: a good time for housekeeping. Raises `BusyError`,
    `ConfigError`, `DestinationError`."""

    def __call__(self, *, write: bool, tidy: bool = False) -> AbstractContextManager[Sql | None]: ...


P = ParamSpec("P")
T = TypeVar("T")


def _twice(method: Callable[P, T]) -> Callable[P, T]:
    """For calls that the engine does not repeat: once more on a new connection, since the one that is kept between
    calls may have been lost meanwhile."""

    @wraps(method)
    def call(*args: P.args, **more: P.kwargs) -> T:
        try:
            return method(*args, **more)
        except RetryableError:
            try:
                return method(*args, **more)
            except RetryableError as error:
                raise DestinationError(error.message, hint=error.hint, place=error.place, code=error.code) from error

    return call


class SqlTarget:
    """One namespace of an SQL database. `probe` is what `check` says of the database itself, `together` a context in
    which `open_sql` may leave open what it opens for writing; `now` the wall clock."""

    def __init__(
        self,
        open_sql: Opener,
        *,
        namespace: str,
        traits: Traits,
        probe: Callable[[], Sequence[str]] = tuple,
        together: Callable[[], AbstractContextManager[None]] = nullcontext,
        now: Callable[[], datetime] | None = None,
    ) -> None:
        self.namespace, self.traits = namespace, traits
        self._open, self._probe, self._now = open_sql, probe, now or SystemClock().now
        self._together = together

    def together(self) -> AbstractContextManager[None]:
        """See `Target.together`."""
        return self._together()

    def claim(self, connector: str, *, epoch: int = 0, after: int = 0, keep: int = 0) -> Claim:
        """See `Target.claim`."""
        with self._writing(tidy=True) as sql:
            answer = claim(self._space(sql), connector, epoch=epoch, after=after)
            staging.sweep(self._space(sql), below=keep or answer.epoch)
            if not self.traits.ddl_in_transaction:
                finish(self._space(sql))
            return replace(answer, adopted=adopt.take_over(self._space(sql))) if sql.adoption else answer

    def load(self, batch: Batch) -> Receipt:
        """What the hook `load` does."""
        with self._writing() as sql:
            return write.load(sql, self.namespace, batch, now=self._now)

    @_twice
    def commits(self, after: int = 0) -> Sequence[Receipt]:
        """See `Target.commits`."""
        with self._open(write=False) as sql:
            if sql is None or COMMITS not in self._space(sql).there():
                return ()
            return receipts(self._space(sql), after)

    @_twice
    def look(self) -> Claim:
        """What `claim` would tell of bookmarks, tables and columns, without claiming and without changing anything;
        epoch and sequence are 0."""
        with self._open(write=False) as sql:
            if sql is None or COMMITS not in self._space(sql).there():
                return Claim(epoch=0, sequence=0, bookmarks={})
            found = registry(self._space(sql))
            return Claim(
                epoch=0,
                sequence=0,
                bookmarks=bookmarks(self._space(sql)),
                tables=tuple(found.tables.values()),
                columns=found.columns,
            )

    @_twice
    def changes(self, parts: Sequence[Part]) -> Sequence[SchemaChange]:
        """What loading these parts would change of the tables; changes nothing. What a load may add beyond that, for
        properties that no schema declares, depends on the records."""
        with self._open(write=False) as sql:
            if sql is None:
                return [SchemaChange(table=table.name, what="created") for part in parts for table in part.tables]
            space = self._space(sql)
            if COMMITS in space.there():
                known = registry(space)
            else:
                known = Registry(tables={}, columns=(), parents={}, versions={}, there=space.there())
            return evolve.plan(space, known, parts).changes

    @_twice
    def rejects(self, stream: str | None = None, *, limit: int | None = None) -> Sequence[Reject]:
        """See `Target.rejects`."""
        with self._open(write=False) as sql:
            if sql is None or REJECTED not in self._space(sql).there():
                return ()
            return rejected.read(self._space(sql), stream, limit)

    @_twice
    def reset(self, stream: str, *, connector: str, epoch: int) -> None:
        """See `Target.reset`."""
        with self._writing() as sql:
            reset(self._space(sql), stream, connector=connector, epoch=epoch, at=self._now())

    @_twice
    def check(self) -> Sequence[str]:
        """See `Target.check`."""
        lines = [*self._probe()]
        with self._open(write=False) as sql:
            found = {} if sql is None else self._space(sql).there()
            if sql is not None and FENCE in found:
                fence = read_fence(self._space(sql))
                lines.append(f"schema {self.namespace} belongs to connector {fence.connector}")
            elif found:
                whose = "to be continued" if sql is not None and sql.adoption else "of somebody else"
                lines.append(f"schema {self.namespace} exists with {len(found)} tables {whose}")
            else:
                lines.append(f"schema {self.namespace} does not exist yet; the first run makes it")
        return lines

    @contextmanager
    def _writing(self, *, tidy: bool = False) -> Iterator[Sql]:
        with self._open(write=True, tidy=tidy) as sql:
            if sql is None:
                raise TypeError("a connection for writing is due")
            yield sql

    def _space(self, sql: Sql) -> Namespace:
        return Namespace(sql=sql, name=self.namespace)
