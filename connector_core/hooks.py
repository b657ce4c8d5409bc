"""The typed facade of the hooks: the only caller of a plugin manager, and the one that lays blame."""

from __future__ import annotations

import inspect
import logging
import threading
import time
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import pluggy

from connector_core import catalog
from connector_core.batch import Batch, Claim, Receipt, Target
from connector_core.entries import Entries
from connector_core.errors import ConnectorError, Place, PluginError
from connector_core.events import Event
from connector_core.exhausted import ran_out
from connector_core.seams import seam
from connector_core.streams import Catalog, Page, Stream, Window

log = logging.getLogger("connector_core.hooks")


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a plugin comes from: its name in connectors.toml, its distribution and version, its Python module."""

    plugin: str
    distribution: str = ""
    version: str = ""
    module: str = ""


@dataclass(frozen=True, kw_only=True)
class Call:
    """A call of a plugin that has not come back yet; `began` is monotonic seconds."""

    verb: str
    owner: Origin
    place: Place
    began: float


class Hooks:
    """The verbs of the engine with their types.

    Errors of the engine's own kinds pass through with the place filled in; anything else that a plugin raises, and an
    answer that breaks the contract (None, a generator, a wrong type), becomes a `PluginError` that names the plugin,
    its distribution and version, the hook, the stream and the page.
    """

    def __init__(
        self,
        manager: pluggy.PluginManager,
        *,
        source: Origin,
        destination: Origin,
        others: tuple[Origin, ...] = (),
        sections: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
    ) -> None:
        self._hook = manager.hook
        self._sections = sections or {}
        self._source, self._destination = source, destination
        self._origins = (source, destination, *others)
        self._observing = threading.Lock()
        self._under_way: dict[int, Call] = {}

    def authenticate(self, config: Mapping[str, Any]) -> Any:
        """See `hookspecs.authenticate`."""
        return self._call("authenticate", object, self._source, Place(), config=config)

    @contextmanager
    def client(self, config: Mapping[str, Any]) -> Iterator[Any]:
        """The client of a run, closed at its end if it has a `close`. What that raises is logged: the run is over."""
        client = self.authenticate(config)
        try:
            yield client
        finally:
            if callable(close := getattr(client, "close", None)):
                try:
                    close()
                except Exception:
                    log.warning("the source's client could not be closed", exc_info=True)

    def discover(self, config: Mapping[str, Any], client: Any) -> Catalog:
        """See `hookspecs.discover`."""
        answer: Catalog = self._call("discover", Catalog, self._source, Place(), config=config, client=client)
        if (wrong := catalog.problem(answer.streams)) is not None:
            raise self.bad_catalog(wrong)
        return answer

    def bad_catalog(self, what: str, stream: str | None = None) -> PluginError:
        """The error that blames the source for a catalog in which something turns out to be wrong."""
        return _broken(self._source, "discover", Place(stream=stream), what)

    def extract(
        self,
        client: Any,
        config: Mapping[str, Any],
        stream: Stream,
        window: Window,
        parent: Mapping[str, Any] | None,
        page: Hashable | None,
    ) -> Page:
        """See `hookspecs.extract`."""
        place = Place(stream=stream.name, page=_short(page))
        answer: Page = self._call(
            "extract",
            Page,
            self._source,
            place,
            client=client,
            config=config,
            stream=stream,
            window=window,
            parent=parent,
            page=page,
        )
        if (wrong := _page_problem(answer)) is not None:
            raise _broken(self._source, "extract", place, wrong)
        return answer

    def wants(self, child: Stream, parent: Mapping[str, Any]) -> bool:
        """Whether the child stream is asked for this parent's records: what its `when` says."""
        with self._blaming("discover", self._source, Place(stream=child.name), "`when` of the stream "):
            return bool(child.when(parent))

    @contextmanager
    def connect(self, config: Mapping[str, Any], namespace: str) -> Iterator[Target]:
        """See `hookspecs.connect`."""
        connection: AbstractContextManager[Target] = self._call(
            "connect", AbstractContextManager, self._destination, Place(), config=config, namespace=namespace
        )
        with ExitStack() as stack:
            with self._blaming("connect", self._destination, Place()):
                target = stack.enter_context(connection)
            yield target

    def together(self, target: Target) -> AbstractContextManager[None]:
        """See `Target.together`."""
        return target.together()

    def claim(self, target: Target, connector: str, *, epoch: int, after: int, keep: int = 0) -> Claim:
        """See `Target.claim`."""
        with self._blaming("connect", self._destination, Place(), "`claim` of the target "):
            return target.claim(connector, epoch=epoch, after=after, keep=keep)

    def commits(self, target: Target, after: int) -> Sequence[Receipt]:
        """See `Target.commits`."""
        with self._blaming("connect", self._destination, Place(), "`commits` of the target "):
            return target.commits(after)

    def reset(self, target: Target, stream: str, *, connector: str, epoch: int) -> None:
        """See `Target.reset`."""
        with self._blaming("connect", self._destination, Place(stream=stream), "`reset` of the target "):
            target.reset(stream, connector=connector, epoch=epoch)

    def load(self, target: Target, batch: Batch) -> Receipt:
        """See `hookspecs.load`."""
        receipt: Receipt = self._call(
            "load", Receipt, self._destination, Place(stream=batch.stream), target=target, batch=batch
        )
        return receipt

    def hanging(self, seconds: float) -> PluginError | None:
        """The error that blames the plugin of the oldest call that has lasted so long and not come back; None without
        one."""
        calls = sorted(self._under_way.values(), key=lambda call: call.began)
        if not calls or (lasted := time.monotonic() - calls[0].began) < seconds:
            return None
        return _broken(calls[0].owner, calls[0].verb, calls[0].place, f"has not come back for {lasted:,.0f} seconds")

    def observe(self, event: Event) -> None:
        """Tell every plugin, each for itself: what one raises is logged and neither stops the run nor the others.

        An extension that the connector names under several sections is told once for each.
        """
        with self._observing:
            for implementation in self._hook.observe.get_hookimpls():
                for section in self._sections.get(implementation.plugin_name, ({},)):
                    given = {"event": event, "config": section}
                    try:
                        implementation.function(*(given[name] for name in implementation.argnames))
                    except Exception:
                        log.warning(
                            "plugin %r raised in observe and was ignored", implementation.plugin_name, exc_info=True
                        )

    def _call(self, verb: str, answer: type[Any], owner: Origin, place: Place, **arguments: Any) -> Any:
        seam(f"hook.{verb}.before")
        with self._blaming(verb, owner, place):
            result = getattr(self._hook, verb)(**arguments)
        if result is None:
            raise _broken(owner, verb, place, "returned nothing")
        if inspect.isgenerator(result):
            raise _broken(owner, verb, place, "returned a generator; it must return one finished answer")
        if not isinstance(result, answer):
            raise _broken(owner, verb, place, f"returned {type(result).__name__} where {answer.__name__} is due")
        seam(f"hook.{verb}.after")
        return result

    @contextmanager
    def _blaming(self, verb: str, owner: Origin, place: Place, what: str = "") -> Iterator[None]:
        """What a plugin raises inside gets its place filled in, or becomes a `PluginError` if it is none of ours."""
        call = Call(verb=verb, owner=owner, place=place, began=time.monotonic())
        self._under_way[id(call)] = call
        try:
            yield
        except ConnectorError as error:
            told = ran_out(error) or error
            raise told.at(stream=place.stream, page=place.page) from error.__cause__
        except Exception as error:
            if (lack := ran_out(error)) is not None:
                raise lack.at(stream=place.stream, page=place.page) from error
            culprit = self._culprit(error.__traceback__) or owner
            raise _broken(culprit, verb, place, f"{what}raised {type(error).__name__}: {error}") from error
        finally:
            del self._under_way[id(call)]

    def _culprit(self, traceback: TracebackType | None) -> Origin | None:
        """The plugin whose code stands deepest in the traceback: a wrapper may fail around an owner that did its
        work."""
        found = None
        while traceback is not None:
            module = str(traceback.tb_frame.f_globals.get("__name__", ""))
            for origin in self._origins:
                if origin.module and (module == origin.module or module.startswith(origin.module + ".")):
                    found = origin
            traceback = traceback.tb_next
        return found


def _broken(origin: Origin, verb: str, place: Place, what: str) -> PluginError:
    return PluginError(
        what,
        plugin=origin.plugin,
        distribution=origin.distribution,
        version=origin.version,
        hook=verb,
        hint="report it to the plugin's author; --debug shows the traceback",
        place=place,
    )


def _page_problem(page: Page) -> str | None:
    """What the engine could not work with."""
    if not isinstance(page.records, list | tuple | Entries):
        return f"returned a page whose records are a {type(page.records).__name__}; they must be a list"
    if page.served_at is not None and page.served_at.tzinfo is None:
        return "returned a page whose served_at has no time zone"
    try:
        hash(page.next)
    except TypeError:
        return "returned a page whose next cannot be hashed"
    return None


def _short(page: Hashable | None) -> str | None:
    text = None if page is None else str(page)
    return text if text is None or len(text) <= 120 else text[:117] + "..."
