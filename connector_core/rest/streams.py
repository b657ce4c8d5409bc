"""One stream of a REST source, declared: where its records are and how its list goes on. Wrong declarations fail here,
at import."""

from __future__ import annotations

import string
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from connector_core.entries import Entries
from connector_core.rest.bounds import Since, Until
from connector_core.rest.paginators import Cursor, LinkHeader, NextLink, Offset, PageNumber, Paginator, dig
from connector_core.rest.walk import Walk
from connector_core.streams import Page, Replication, Stream, Window, _always
from connector_core.validate import SchemaError, check_schema

if TYPE_CHECKING:
    from connector_core.rest.source import Client

Fetch = Callable[["Client", Mapping[str, Any], Stream, Window, Mapping[str, Any] | None, Hashable | None], Page]
"""The escape hatch: the same arguments and the same contract as the hook `extract`."""


@dataclass(frozen=True, kw_only=True)
class Asking:
    """A request that the source puts together, as `RestStream.request` sees it: `params` with all that was declared,
    and why it is asked. Links of a page are followed as they are."""

    params: Mapping[str, Any]
    window: Window
    config: Mapping[str, Any]
    parent: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class RestStream:
    """One table's worth of records behind one path.

    `path` is added to the source's base address; `{parent.id}` and `{config.team}` stand for a property of the parent's
    record and for a setting. `records` says where in the answer the list is ("data", "_embedded.entries", "" for the
    answer itself), or is a function of the document; an answer without it is repeated, it is never the end. `record`
    maps one entry (an object as the wire has it) to the record that is stored; it must keep what it does not know and
    must not raise for odd values. `total` is where the answer counts its records. `per_page` goes into the parameter
    `per_page_param`; a function of the config may give it. `since` and `until` are the parameters of the window's ends.
    `params` are further parameters, with the same placeholders as the path; `request` is given an `Asking` with all of
    them and returns those that are sent. `fetch` replaces all of that by a function with the arguments of the hook
    `extract`.

    Pages of a sorted list that changes while it is read skip records that slide over a page boundary. `Walk` is made
    for that; with other paginators say `ascending=False` (the bookmark then moves only after a whole pass), or give a
    `lookback`.

    `schema`, `primary_key`, `replication_key`, `ascending`, `parent`, `when`, `after`, `discard`, `overlap`, `lookback`
    are those of `connector_core.streams.Stream`; a stream with a replication key is incremental, a child is as its
    parent. Raises ValueError or TypeError, with the stream's name, for what cannot work.
    """

    name: str
    schema: Mapping[str, Any]
    path: str = ""
    records: str | Callable[[Any], Any] = ""
    primary_key: tuple[str, ...] = ()
    replication_key: str | None = None
    replication: Replication | None = None
    ascending: bool = True
    parent: str | None = None
    when: Callable[[Mapping[str, Any]], bool] = _always
    after: tuple[str, ...] = ()
    paginator: Paginator | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    since: Since | None = None
    until: Until | None = None
    request: Callable[[Asking], Mapping[str, Any]] | None = None
    per_page: int | Callable[[Mapping[str, Any]], int] | None = None
    per_page_param: str = "per_page"
    record: Callable[[dict[str, Any]], Any] | None = None
    total: str | Callable[[Any], Any] | None = None
    discard: frozenset[str] = frozenset()
    overlap: timedelta = timedelta(0)
    lookback: timedelta = timedelta(0)
    fetch: Fetch | None = None

    def __post_init__(self) -> None:
        for problem in self._wrong_types():
            raise TypeError(f"stream {self.name!r}: {problem}")
        for problem in self._problems():
            raise ValueError(f"stream {self.name!r}: {problem}")
        try:
            check_schema(self.stream())
        except SchemaError as error:
            raise ValueError(str(error)) from None

    def _wrong_types(self) -> Iterator[str]:
        kinds: Mapping[str, type] = {"paginator": Paginator, "since": Since, "until": Until}
        for name, kind in kinds.items():
            value = getattr(self, name)
            if value is not None and (isinstance(value, type) or not isinstance(value, kind)):
                shown = f"the class {value.__name__}" if isinstance(value, type) else repr(value)
                yield f"{name} is {shown}; it must be a {kind.__name__} object"
        for name in ("when", "record", "fetch", "request"):
            value = getattr(self, name)
            if not callable(value) and (value is not None or name == "when"):
                yield f"{name} is {type(value).__name__}; it must be a function"
        for name in ("records", "total"):
            value = getattr(self, name)
            if not ((value is None and name == "total") or isinstance(value, str) or callable(value)):
                yield f"{name} is {type(value).__name__}; it must be a path or a function"
        for name in ("overlap", "lookback"):
            if not isinstance(getattr(self, name), timedelta):
                yield f"{name} must be a timedelta, as in timedelta(hours=1)"

    def _problems(self) -> Iterator[str]:
        if not isinstance(self.name, str) or not self.name:
            yield "the name must be text"
        if not isinstance(self.schema, Mapping) or not isinstance(self.schema.get("properties"), Mapping):
            yield "the schema must be a JSON Schema of an object, with properties"
            return
        for name in ("primary_key", "after"):
            if isinstance(value := getattr(self, name), str):
                yield f"{name} must be a tuple: ({value!r},)"
                return
        known = self.schema["properties"]
        for key in self.primary_key:
            if key not in known:
                yield f"primary_key names {key!r}, which the schema does not have"
        if self.replication_key is not None and self.replication_key not in known:
            yield f"replication_key is {self.replication_key!r}, which the schema does not have"
        yield from (f"discard names the key {key!r}" for key in self.primary_key if key in self.discard)
        if self.replication_key in self.discard:
            yield f"discard names the key {self.replication_key!r}"
        yield from self._reading_problems()
        if isinstance(self.paginator, Walk):
            yield from self._walk_problems()
        for where, template in (("path", self.path), *((f"params[{k!r}]", v) for k, v in self.params.items())):
            for problem in self._template_problems(template):
                yield f"{where} {problem}"

    def _reading_problems(self) -> Iterator[str]:
        if self.replication not in (None, "incremental", "full_table"):
            yield f"replication is {self.replication!r}; it is incremental or full_table"
        if self.replication == "full_table" and self.replication_key is not None:
            yield "a full-table stream has no replication_key"
        if self.parent is None and self.replication == "incremental" and self.replication_key is None:
            yield "an incremental stream needs a replication_key"
        if self.since is not None and self.replication_key is None:
            yield "since needs a replication_key: a stream without one is read whole"
        if not self.path and self.fetch is None:
            yield "it needs a path, or a fetch function"
        if self.lookback and not self.primary_key:
            yield "lookback needs a primary_key"
        if self.overlap < timedelta(0) or self.lookback < timedelta(0):
            yield "overlap and lookback cannot be negative"
        if not callable(self.per_page) and self.per_page is not None and not _is_count(self.per_page):
            yield "per_page must be at least 1"

    def _walk_problems(self) -> Iterator[str]:
        if not self.primary_key or self.replication_key is None:
            yield "the window walk needs a primary_key and a replication_key"
        if self.since is None:
            yield "the window walk needs since=Since(...)"
        if isinstance(self.paginator, Walk) and self.overlap < self.paginator.step:
            yield "the window walk needs an overlap of at least its step"

    def _template_problems(self, template: Any) -> list[str]:
        if not isinstance(template, str):
            return []
        try:
            fields = [name for _, name, _, _ in string.Formatter().parse(template) if name is not None]
        except ValueError as error:
            return [f"is no template: {error}"]
        found = []
        for name in fields:
            kind, dot, rest = name.partition(".")
            if kind not in ("parent", "config") or not dot or not rest:
                found.append(f"has {{{name}}}; only {{parent.property}} and {{config.setting}} exist")
            elif kind == "parent" and self.parent is None:
                found.append(f"has {{{name}}}, but the stream has no parent")
        return found

    def stream(self, parent: RestStream | None = None) -> Stream:
        """The same stream as the engine sees it."""
        replication: Replication = "full_table"
        if self.replication is not None:
            replication = self.replication
        elif self.replication_key is not None:
            replication = "incremental"
        elif parent is not None:
            replication = parent.stream().replication
        return Stream(
            name=self.name,
            schema=self.schema,
            primary_key=self.primary_key,
            replication=replication,
            replication_key=self.replication_key,
            ascending=self.ascending,
            overlap=self.overlap,
            lookback=self.lookback,
            parent=self.parent,
            when=self.when,
            after=self.after,
            discard=self.discard,
        )

    def find(self, document: Any) -> Sequence[Any] | None:
        """The list of records in an answer, None where there is none."""
        found = self.records(document) if callable(self.records) else dig(document, self.records)
        return found if isinstance(found, list | Entries) else None

    @property
    def by_columns(self) -> bool:
        """Whether nothing that is declared here looks at single records."""
        functions = (self.record, *(told for told in (self.records, self.total) if callable(told)))
        pages = self.paginator is None or isinstance(
            self.paginator, NextLink | LinkHeader | PageNumber | Offset | Cursor
        )
        return bool(self.primary_key) and pages and not any(functions)

    def count(self, document: Any) -> tuple[int | None, str | None]:
        """What the answer counts, and a remark when that is no count (facts/fault_catalogue.md A30)."""
        if self.total is None:
            return None, None
        found = self.total(document) if callable(self.total) else dig(document, self.total)
        if type(found) is int and found >= 0:
            return found, None
        kind = (
            "negative"
            if type(found) is int
            else "missing"
            if found is None
            else f"{type(found).__name__}, not a number"
        )
        return None, f"the source's count of records is {kind}; it is not used"


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 1


def fill(
    template: Any, config: Mapping[str, Any], parent: Mapping[str, Any] | None, quote: Callable[[str], str]
) -> Any:
    """A template with its placeholders replaced; anything but text stays as it is. KeyError for a property that is
    missing."""
    if not isinstance(template, str) or not ("{" in template or "}" in template):
        return template
    parts = []
    for text, name, _, _ in string.Formatter().parse(template):
        parts.append(text)
        if name is not None:
            kind, _, rest = name.partition(".")
            value: Any = parent if kind == "parent" else config
            for step in rest.split("."):
                value = value[step]
            if value is None or isinstance(value, dict | list):
                raise KeyError(name)
            parts.append(quote(value.isoformat() if isinstance(value, date) else str(value)))
    return "".join(parts)
