"""A source of a REST API that is declared instead of coded: `RestSource(...)` is the plugin."""

from __future__ import annotations

import string
import threading
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from urllib.parse import quote

from connector_core.entries import Columns
from connector_core.errors import ConfigError, NotFoundError, Place, RetryableError, SourceError
from connector_core.hookspecs import hookimpl
from connector_core.rest.addresses import site
from connector_core.rest.auth import Auth, ClientCredentials
from connector_core.rest.paginators import Ask, Got
from connector_core.rest.rates import RateFigure, RateReader
from connector_core.rest.retries import Retry
from connector_core.rest.schemas import settings
from connector_core.rest.streams import Asking, RestStream, fill
from connector_core.rest.transport import Answer, Transport
from connector_core.rest.wire import Limits
from connector_core.streams import Catalog, Description, Page, RateLimit, Stream, Window

Config = Mapping[str, Any]


class Client:
    """What `authenticate` gives: asks the site, and remembers for the length of one run. Safe for several threads.

    `config` is the plugin's section, `memory` an object of the plugin's own making (`RestSource.memory`) that lives as
    long as the run.
    """

    def __init__(self, transport: Transport, config: Config, streams: Mapping[str, RestStream], memory: Any) -> None:
        self.transport = transport
        self.config = config
        self.memory = memory
        self.streams = dict(streams)
        self._columns: dict[Hashable, Columns] = {}
        self._lock = threading.Lock()
        self._requests = 0
        self._served_at: datetime | None = None
        self._rate: RateLimit | None = None

    def __repr__(self) -> str:
        return f"Client({self.transport.base})"

    def get(self, target: str, params: Mapping[str, Any] | None = None) -> Answer:
        """GET a path below the base address; see `Transport.get`."""
        answer = self.transport.get(target, params)
        with self._lock:
            self._requests += answer.requests
            self._served_at = self._served_at or answer.served_at
            self._rate = answer.rate or self._rate
        return answer

    def list(self, stream: RestStream, window: Window, parent: Mapping[str, Any] | None, page: Hashable | None) -> Page:
        """One page of a declared stream, as the hook `extract` gives it; `stream` need not be one of the source's
        own."""
        paginator = stream.paginator
        token = page if page is not None else paginator.first(window) if paginator else None
        ask = paginator.ask(token) if paginator and token is not None else Ask()
        answer = self._asked(stream, ask, window, parent)
        with answer.blamed():
            return self._page(stream, window, token, answer)

    def _page(self, stream: RestStream, window: Window, token: Hashable | None, answer: Answer) -> Page:
        paginator = stream.paginator
        document = answer.document(self._quick(stream))
        entries = stream.find(document)
        if entries is None:
            raise RetryableError(
                f"the answer holds no list of records at {stream.records!r}",
                place=Place(url=answer.shown),
                rate=answer.rate,
                code="no_records",
            )
        record = stream.record
        records = (
            entries if record is None else [record(entry) if isinstance(entry, dict) else entry for entry in entries]
        )
        total, note = stream.count(document)
        result = Page(
            records=records,
            total=total,
            served_at=answer.served_at,
            size=len(answer.body),
            rate=answer.rate,
            url=answer.shown,
            requests=answer.requests,
            notes=(note,) if note else (),
        )
        if paginator is None:
            return result
        got = Got(
            document=document,
            headers=answer.headers,
            records=records,
            asked=answer.url,
            link=lambda link: self.transport.link(link, asked=answer.url),
            window=window,
            total=total,
            served_at=answer.served_at,
            primary_key=stream.primary_key,
            replication_key=stream.replication_key,
            shown=answer.shown,
        )
        try:
            turn = paginator.turn(token, got)
        except RetryableError as error:
            error.rate = error.rate or answer.rate
            raise
        return replace(
            result, next=turn.next, settled=turn.settled, total=turn.total, notes=(*result.notes, *turn.notes)
        )

    def _quick(self, stream: RestStream) -> Columns | None:
        """What reads the answers of a stream by columns; None for one whose records somebody looks at one by one: its
        own functions, the requests of its children, or the paginator."""
        if not stream.by_columns or any(other.parent == stream.name for other in self.streams.values()):
            return None
        kind = (stream.name, stream.records, stream.discard)  # a function of the source may ask for it in another form
        with self._lock:
            if kind not in self._columns:
                at = stream.records.split(".") if isinstance(stream.records, str) and stream.records else ()
                self._columns[kind] = Columns(at, discard=stream.discard)
            return self._columns[kind]

    def catalog(self, streams: Sequence[Stream]) -> Catalog:
        """The catalog with what the answers so far have told."""
        with self._lock:
            return Catalog(streams=tuple(streams), served_at=self._served_at, rate=self._rate, requests=self._requests)

    def _asked(self, stream: RestStream, ask: Ask, window: Window, parent: Mapping[str, Any] | None) -> Answer:
        if ask.url is not None:
            return self.get(ask.url)
        params: dict[str, Any] = {}
        try:
            path = fill(stream.path, self.config, parent, lambda text: quote(text, safe=""))
            params |= {name: fill(value, self.config, parent, str) for name, value in stream.params.items()}
        except (KeyError, TypeError, IndexError) as error:
            raise SourceError(
                f"the address of stream {stream.name!r} needs {error}, which is missing",
                hint="the parent's record or the configuration does not have it",
                code="no_address",
            ) from None
        if stream.since is not None:
            params |= stream.since.params(ask.since if ask.since is not None else window.since)
        if stream.until is not None:
            params |= stream.until.params(window.upper)
        params |= ask.params
        if stream.per_page is not None:
            params[stream.per_page_param] = (
                stream.per_page(self.config) if callable(stream.per_page) else stream.per_page
            )
        if stream.request is not None:
            params = dict(stream.request(Asking(params=params, window=window, config=self.config, parent=parent)))
        try:
            return self.get(path, params)
        except NotFoundError:
            raise
        except SourceError as error:
            if ask.page is None or ask.page < 2 or error.code not in ("http_400", "http_422"):
                raise
            raise SourceError(
                f"the source refuses page {ask.page} of one list ({error.message}): its page cap lies before that",
                hint="what was read before is kept, the bookmark stands before it; ask the list in smaller windows",
                place=error.place,
                code="page_cap",
            ).showing(error.evidence) from None


@dataclass(frozen=True, kw_only=True, eq=False)
class RestSource:
    """A source plugin made of declarations; register the object itself, there is nothing to subclass.

    `base_url` is a template over the configuration ("{site_url}/api/v2") or a function of it; https, or http on
    loopback. `auth` names the settings with the credentials. `streams` may come in any order. `rate_limit` reads
    the call budget from headers (`RateHeaders`, or a function), or says it (`RateFigure`). `retry` says which answers
    pass that do not look so. `headers` go with every request; a function of the
    configuration may give them. `limits` bound a request in time and size. `private_network` allows host names that
    lead to addresses of a private network, which are refused otherwise (a host written as an address is not).
    `config_schema` left out asks for the settings that `base_url`, `auth` and the streams' templates name, all of
    them needed, and for nothing else; a source whose functions read other settings declares them. Escape hatches:
    `refine(client, config, streams)` may give other streams after asking the source (types of custom fields);
    `memory()` makes an object that lives as `client.memory` for one run; a stream's `fetch` replaces its whole
    extraction. The rest is what `connector_core.streams.Description` says. Raises ValueError for streams that do
    not fit together.
    """

    name: str
    base_url: str | Callable[[Config], str]
    streams: tuple[RestStream, ...]
    auth: Auth | None = None
    title: str = ""
    summary: str = ""
    versions: tuple[str, ...] = ()
    config_schema: Mapping[str, Any] = field(default_factory=dict)
    snapshot: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    fixed: Mapping[str, str] = field(default_factory=dict)
    frequency: int | None = None
    rate_limit: RateReader | RateFigure | None = None
    retry: Retry | None = None
    headers: Mapping[str, str] | Callable[[Config], Mapping[str, str]] = field(default_factory=dict)
    limits: Limits | Callable[[Config], Limits] = field(default_factory=Limits)
    private_network: bool | Callable[[Config], bool] = False
    refine: Callable[[Client, Config, tuple[RestStream, ...]], Sequence[RestStream]] | None = None
    memory: Callable[[], Any] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise ValueError("a source needs a name")
        for problem in self._wrong_types():
            raise TypeError(f"source {self.name!r}: {problem}")
        for problem in self._problems():
            raise ValueError(f"source {self.name!r}: {problem}")
        _ordered(self.streams)
        if not self.config_schema:
            object.__setattr__(self, "config_schema", _settings(self))

    def _wrong_types(self) -> Iterator[str]:
        if self.auth is not None and (isinstance(self.auth, type) or not isinstance(self.auth, Auth)):
            yield f"{self.auth!r} is no way to authenticate"
        if not isinstance(self.base_url, str) and not callable(self.base_url):
            yield "base_url must be text or a function"
        if self.retry is not None and not isinstance(self.retry, Retry):
            yield "retry must be a Retry(...)"
        if isinstance(self.rate_limit, type) or not (
            self.rate_limit is None or isinstance(self.rate_limit, RateFigure) or callable(self.rate_limit)
        ):
            yield "rate_limit must be RateHeaders(...), RateFigure(...) or a function"
        for name, kind in (("headers", Mapping), ("limits", Limits), ("private_network", bool)):
            value = getattr(self, name)
            if not isinstance(value, kind) and (isinstance(value, type) or not callable(value)):
                yield f"{name} must be a {kind.__name__} or a function"
        for name in ("refine", "memory"):
            value = getattr(self, name)
            if value is not None and not callable(value):
                yield f"{name} is {type(value).__name__}; it must be a function"
        for stream in self.streams:
            if not isinstance(stream, RestStream):
                yield f"streams holds {stream!r}; it must be a RestStream(...)"

    def _problems(self) -> Iterator[str]:
        templates = [("base_url", self.base_url)]
        templates += [("token_url", self.auth.token_url)] if isinstance(self.auth, ClientCredentials) else []
        for name, template in templates:
            if isinstance(template, str) and (problem := _address_problem(template)):
                yield f"{name} {problem}"
        known = self.config_schema.get("properties")
        if isinstance(known, Mapping):
            for name in sorted(_settings(self)["properties"].keys() - known.keys()):
                yield f"the setting {name!r} is used, but config_schema does not have it"

    @hookimpl
    def describe(self) -> Description:
        """See `hookspecs.describe`."""
        return Description(
            kind="source",
            name=self.name,
            title=self.title or self.name,
            versions=self.versions,
            summary=self.summary,
            config_schema=self.config_schema,
            snapshot=self.snapshot,
            streams=_engine(self.streams),
            frequency=self.frequency,
            fixed=self.fixed,
        )

    @hookimpl
    def authenticate(self, config: Config) -> Client:
        """See `hookspecs.authenticate`. Makes no request. Raises `ConfigError` for an address or credentials that
        cannot be used."""
        base = self.base_url(config) if callable(self.base_url) else self.base_url.format_map(config)
        transport = Transport(
            site(base, setting="base_url", path=True),
            auth=self.auth,
            config=config,
            headers=self.headers(config) if callable(self.headers) else self.headers,
            rate=self.rate_limit,
            retry=self.retry,
            limits=self.limits(config) if callable(self.limits) else self.limits,
            private_network=self.private_network(config) if callable(self.private_network) else self.private_network,
            secrets=tuple(str(config[name]) for name in _secret_settings(self.config_schema) if config.get(name)),
        )
        memory = self.memory() if self.memory else None
        return Client(transport, config, {stream.name: stream for stream in self.streams}, memory)

    @hookimpl
    def discover(self, config: Config, client: Client) -> Catalog:
        """See `hookspecs.discover`."""
        streams = tuple(self.refine(client, config, self.streams)) if self.refine else self.streams
        client.streams = {stream.name: stream for stream in streams}
        return client.catalog(_engine(streams))

    @hookimpl
    def extract(
        self,
        client: Client,
        config: Config,
        stream: Stream,
        window: Window,
        parent: Mapping[str, Any] | None,
        page: Hashable | None,
    ) -> Page:
        """See `hookspecs.extract`."""
        declared = client.streams[stream.name]
        if declared.fetch is not None:
            return declared.fetch(client, config, stream, window, parent, page)
        return client.list(declared, window, parent, page)


def _settings(source: RestSource) -> dict[str, Any]:
    templates = [text for stream in source.streams for text in (stream.path, *stream.params.values())]
    token_url = source.auth.token_url if isinstance(source.auth, ClientCredentials) else ""
    return settings([source.base_url, token_url, *templates], source.auth.settings if source.auth else ())


def _address_problem(template: str) -> str | None:
    """What is wrong with an address as far as it is written down."""
    try:
        names = [name for _, name, _, _ in string.Formatter().parse(template) if name is not None]
    except ValueError as error:
        return f"is no template: {error}"
    for name in names:
        if not name.isidentifier():
            return f"has {{{name}}}; a setting's name is expected, as in {{url}}"
    if not template:
        return "is empty"
    if not names:
        try:
            site(template, setting="it", path=True)
        except ConfigError as error:
            return f"cannot be used: {error.message.removeprefix('it: ')}"
    return None


def _engine(streams: Sequence[RestStream]) -> tuple[Stream, ...]:
    """The streams as the engine wants them: parents before their children, otherwise as declared."""
    by_name = {stream.name: stream for stream in streams}
    return tuple(stream.stream(by_name.get(stream.parent or "")) for stream in _ordered(streams))


def _ordered(streams: Sequence[RestStream]) -> list[RestStream]:
    names = [stream.name for stream in streams]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"stream {name!r} is declared twice")
    roots = {stream.name for stream in streams if stream.parent is None}
    for stream in streams:
        if stream.parent is not None and stream.parent not in roots:
            what = "is a child itself" if stream.parent in names else "is not declared"
            raise ValueError(f"stream {stream.name!r}: its parent {stream.parent!r} {what}")
        for name in stream.after:
            if name not in roots or name == stream.name or stream.parent is not None:
                raise ValueError(
                    f"stream {stream.name!r}: after names {name!r}; root streams may come after other root streams"
                )
    ordered: list[RestStream] = []
    for root in (stream for stream in streams if stream.parent is None):
        ordered += [root, *(stream for stream in streams if stream.parent == root.name)]
    return ordered


def _secret_settings(schema: Mapping[str, Any]) -> list[str]:
    properties = schema.get("properties", {})
    return [name for name, told in properties.items() if isinstance(told, Mapping) and told.get("writeOnly")]
