"""One stream of a REST source, declared: where its records are and how its list goes on. Wrong declarations fail here,
at import."""

from __future__ import annotations

import string
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from connector_core.rest.paginators import Paginator, dig
from connector_core.rest.walk import Walk
from connector_core.streams import Page, Replication, Stream, Window, _always

if TYPE_CHECKING:
    from connector_core.rest.source import Client

Form = Literal["epoch", "epoch_ms", "iso", "date"]
Fetch = Callable[["Client", Mapping[str, Any], Stream, Window, Mapping[str, Any] | None, Hashable | None], Page]
"""The escape hatch: the same arguments and the same contract as the hook `extract`."""


@dataclass(frozen=True)
class Since:
    """The parameter that asks for records from an instant (or number) on. `form`: Unix seconds, milliseconds, ISO 8601
    in UTC, a date, or a function. `exclusive`: the API leaves its own value out; then it is asked one `step` earlier (1
    for integers), so nothing is missed."""

    param: str
    form: Form | Callable[[datetime | int], Any] = "iso"
    exclusive: bool = False
    step: timedelta = timedelta(seconds=1)

    def params(self, value: datetime | int | None) -> dict[str, Any]:
        """The parameter for a lower end; nothing for None."""
        if value is None:
            return {}
        if self.exclusive:
            value = value - self.step if isinstance(value, datetime) else value - 1
        return {self.param: self._text(value)}

    def _text(self, value: datetime | int) -> Any:
        if callable(self.form):
            return self.form(value)
        if not isinstance(value, datetime):
            return value
        if self.form == "epoch":
            return int(value.timestamp() // 1)
        if self.form == "epoch_ms":
            return int(value.timestamp() * 1000 // 1)
        at = value.astimezone(UTC)
        return at.date().isoformat() if self.form == "date" else f"{at.replace(tzinfo=None).isoformat()}Z"


@dataclass(frozen=True, kw_only=True)
class RestStream:
    """One table's worth of records behind one path.

    `path` is added to the source's base address; `{parent.id}` and `{config.team}` stand for a property of the parent's
    record and for a setting. `records` says where in the answer the list is ("data", "_embedded.entries", "" for the
    answer itself), or is a function of the document; an answer without it is repeated, it is never the end. `record`
    maps one entry (an object as the wire has it) to the record that is stored; it must keep what it does not know and
    must not raise for odd values. `total` is where the answer counts its records. `per_page` goes into the parameter
    `per_page_param`; a function of the config may give it. `params` are further parameters, with the same placeholders
    as the path. `fetch` replaces all of that by a function with the arguments of the hook `extract`.

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
    per_page: int | Callable[[Mapping[str, Any]], int] | None = None
    per_page_param: str = "per_page"
    record: Callable[[dict[str, Any]], Any] | None = None
    total: str | Callable[[Any], Any] | None = None
    discard: frozenset[str] = frozenset()
    overlap: timedelta = timedelta(0)
    lookback: timedelta = timedelta(0)
    fetch: Fetch | None = None

    def __post_init__(self) -> None:
        for problem in self._problems():
            raise ValueError(f"stream {self.name!r}: {problem}")
        for name in ("when", "record", "fetch"):
            value = getattr(self, name)
            if not callable(value) and (value is not None or name == "when"):
                raise TypeError(f"stream {self.name!r}: {name} is {type(value).__name__}; it must be a function")
        for name in ("records", "total"):
            value = getattr(self, name)
            if not ((value is None and name == "total") or isinstance(value, str) or callable(value)):
                raise TypeError(
                    f"stream {self.name!r}: {name} is {type(value).__name__}; it must be a path or a function"
                )
        if self.paginator is not None and not isinstance(self.paginator, Paginator):
            raise TypeError(f"stream {self.name!r}: {self.paginator!r} is no paginator")
        if self.since is not None and not isinstance(self.since, Since):
            raise TypeError(f"stream {self.name!r}: since must be a Since(...)")

    def _problems(self) -> list[str]:
        found: list[str] = []
        if not isinstance(self.name, str) or not self.name:
            found.append("the name must be text")
        if not isinstance(self.schema, Mapping) or not isinstance(self.schema.get("properties"), Mapping):
            return [*found, "the schema must be a JSON Schema of an object, with properties"]
        if isinstance(self.primary_key, str):
            return [*found, f"primary_key must be a tuple: ({self.primary_key!r},)"]
        known = self.schema["properties"]
        found += [
            f"primary_key names {key!r}, which the schema does not have" for key in self.primary_key if key not in known
        ]
        if self.replication_key is not None and self.replication_key not in known:
            found.append(f"replication_key is {self.replication_key!r}, which the schema does not have")
        found += [
            f"discard names the key {key!r}" for key in (*self.primary_key, self.replication_key) if key in self.discard
        ]
        if self.replication == "full_table" and self.replication_key is not None:
            found.append("a full-table stream has no replication_key")
        if not self.path and self.fetch is None:
            found.append("it needs a path, or a fetch function")
        if self.lookback and not self.primary_key:
            found.append("lookback needs a primary_key")
        if isinstance(self.per_page, int) and self.per_page < 1:
            found.append("per_page must be at least 1")
        if isinstance(self.paginator, Walk):
            found += self._walk_problems()
        for where, template in (("path", self.path), *((f"params[{k!r}]", v) for k, v in self.params.items())):
            found += [f"{where} {problem}" for problem in self._template_problems(template)]
        return found

    def _walk_problems(self) -> list[str]:
        found = []
        if not self.primary_key or self.replication_key is None:
            found.append("the window walk needs a primary_key and a replication_key")
        if self.since is None:
            found.append("the window walk needs since=Since(...)")
        if isinstance(self.paginator, Walk) and self.overlap < self.paginator.step:
            found.append("the window walk needs an overlap of at least its step")
        return found

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
        return found if isinstance(found, list) else None

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
