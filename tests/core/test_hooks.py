"""The typed facade: who is blamed for what, and what a plugin may not do."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pluggy
import pytest

from connector_core import hookspecs
from connector_core.errors import PluginError, RetryableError, SourceError
from connector_core.events import Event, SlotSkipped
from connector_core.hooks import Hooks, Origin
from connector_core.hookspecs import hookimpl
from connector_core.streams import Catalog, Page, Stream, Window

STREAM = Stream(name="orders", schema={"type": "object"})
SOURCE = Origin(plugin="shop", distribution="connector-shop", version="1.2.3", module=__name__)
DESTINATION = Origin(plugin="store", distribution="connector-store", version="4.5", module="nowhere")


def facade(*plugins: object, others: tuple[Origin, ...] = ()) -> Hooks:
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    for plugin in plugins:
        manager.register(plugin)
    manager.check_pending()
    return Hooks(manager, source=SOURCE, destination=DESTINATION, others=others)


def extracting(answer: Any) -> object:
    class Source:
        @hookimpl
        def extract(self, page: Any) -> Any:
            return answer(page) if callable(answer) else answer

    return Source()


def extract(hooks: Hooks, page: Any = None) -> Page:
    return hooks.extract(object(), {}, STREAM, Window(), None, page)


def test_an_answer_of_the_right_kind_passes_through() -> None:
    page = Page(records=[{"id": 1}])
    assert extract(facade(extracting(page))) is page


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (None, "returned nothing"),
        (lambda page: (row for row in [1]), "returned a generator"),
        ([{"id": 1}], "returned list where Page is due"),
    ],
)
def test_d12_a_broken_answer_names_plugin_distribution_version_hook_stream_and_page(answer: Any, says: str) -> None:
    with pytest.raises(PluginError) as caught:
        extract(facade(extracting(answer)), page="page-7")
    text = str(caught.value)
    for part in (says, "'shop'", "connector-shop", "1.2.3", "hook extract", "orders", "page-7"):
        assert part in text
    assert caught.value.exit_code == 6


def test_d12_a_foreign_exception_becomes_a_plugin_error_with_its_cause() -> None:
    def fail(page: Any) -> Page:
        raise ZeroDivisionError("oops")

    with pytest.raises(PluginError, match="ZeroDivisionError: oops") as caught:
        extract(facade(extracting(fail)))
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_the_engines_own_errors_pass_with_stream_and_page_filled_in() -> None:
    def fail(page: Any) -> Page:
        raise RetryableError("busy", retry_after=3)

    with pytest.raises(RetryableError) as caught:
        extract(facade(extracting(fail)), page=2)
    assert (caught.value.retry_after, caught.value.place.stream, caught.value.place.page) == (3, "orders", "2")


def test_a_wrapper_that_fails_is_blamed_itself() -> None:
    code = compile("raise KeyError('mask')", "masking.py", "exec")

    class Masking:
        @hookimpl(wrapper=True)
        def extract(self) -> Iterator[None]:
            page = yield
            exec(code, {"__name__": "masking.rules"})  # noqa: S102 - stands for code in the extension's module
            return page

    masking = Origin(plugin="masking", distribution="connector-masking", version="9", module="masking")
    with pytest.raises(PluginError) as caught:
        extract(facade(extracting(Page(records=[])), Masking(), others=(masking,)))
    assert (caught.value.plugin, caught.value.distribution) == ("masking", "connector-masking")


def test_a_wrapper_may_change_what_an_owner_gave() -> None:
    class Doubling:
        @hookimpl(wrapper=True)
        def extract(self) -> Iterator[None]:
            page = yield
            return Page(records=[*page.records, *page.records])

    hooks = facade(extracting(Page(records=[1])), Doubling())
    assert list(extract(hooks).records) == [1, 1]


def test_an_observer_that_raises_stops_neither_the_run_nor_the_others(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[Event] = []

    class Broken:
        @hookimpl
        def observe(self, event: Event) -> None:
            raise OSError("no network")

    class Careful:
        @hookimpl
        def observe(self, event: Event) -> None:
            seen.append(event)

    class Uninterested:
        @hookimpl
        def observe(self) -> None:
            seen.append(event)

    event = SlotSkipped(connector="c", run_id="r", at=datetime.now(UTC), slot=datetime.now(UTC), reason="busy")
    with caplog.at_level(logging.WARNING):
        facade(Careful(), Broken(), Uninterested()).observe(event)
    assert seen == [event, event]
    assert "no network" in caplog.text


def test_discover_and_authenticate_are_typed_too() -> None:
    class Source:
        @hookimpl
        def authenticate(self, config: Mapping[str, Any]) -> Any:
            return None

        @hookimpl
        def discover(self, config: Mapping[str, Any], client: Any) -> Any:
            raise SourceError("closed")

    hooks = facade(Source())
    with pytest.raises(PluginError, match="hook authenticate: returned nothing"):
        hooks.authenticate({})
    with pytest.raises(SourceError, match="closed"):
        hooks.discover({}, object())
    assert isinstance(
        facade(type("S", (), {"discover": hookimpl(lambda self: Catalog(streams=()))})()).discover({}, 1), Catalog
    )
