"""Sources of a small shop with one defect each, to see that the contract of sources goes red."""

from __future__ import annotations

import itertools
import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Hashable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from connector_core.errors import AuthError, NotFoundError, RetryableError, SourceError
from connector_core.hookspecs import hookimpl
from connector_core.rest import Bearer, NextLink, RestSource, RestStream, Since, fields
from connector_core.streams import Catalog, Description, Page, Stream, Window

ORDERS = RestStream(
    name="orders",
    path="/orders",
    records="data",
    schema=fields(id="integer", updated_at="date-time"),
    primary_key=("id",),
    replication_key="updated_at",
    since=Since("updated_since"),
    paginator=NextLink("next"),
)
ITEMS = RestStream(
    name="items",
    parent="orders",
    path="/orders/{parent.id}/items",
    records="data",
    schema=fields(id="integer", order_id="integer"),
    primary_key=("id",),
)
SHOP = RestSource(name="shop", base_url="{url}/api", auth=Bearer("token"), streams=(ORDERS, ITEMS))
TOKEN = "canary-token-of-the-shop"


class Saboteur:
    """The source without a defect. A defect changes what it says (`described`, `found`), or how a page comes about
    (`page`) or looks (`seen`)."""

    def __init__(self) -> None:
        self.numbers = itertools.count()
        self.kept: dict[Any, Any] = {}

    @hookimpl
    def describe(self) -> Description:
        return self.described(SHOP.describe())

    @hookimpl
    def authenticate(self, config: Mapping[str, Any]) -> Any:
        return self.client(SHOP.authenticate(config))

    @hookimpl
    def discover(self, config: Mapping[str, Any], client: Any) -> Catalog:
        return replace(SHOP.discover(config, client), streams=self.found(SHOP.describe().streams, client))

    @hookimpl
    def extract(
        self,
        client: Any,
        config: Mapping[str, Any],
        stream: Stream,
        window: Window,
        parent: Mapping[str, Any] | None,
        page: Hashable | None,
    ) -> Any:
        def ask(of: Window = window) -> Page:
            return SHOP.extract(client, config, stream, of, parent, page)

        return self.seen(self.page(ask, client, window, (stream.name, repr(parent), page)), stream)

    def described(self, description: Description) -> Description:
        return description

    def client(self, client: Any) -> Any:
        return client

    def found(self, streams: tuple[Stream, ...], client: Any) -> tuple[Stream, ...]:
        return streams

    def page(self, ask: Callable[..., Page], client: Any, window: Window, asked: tuple[Any, ...]) -> Any:
        return ask()

    def seen(self, page: Any, stream: Stream) -> Any:
        return self.records(page, lambda record: record)

    def records(self, page: Page, change: Callable[[Any], Any]) -> Page:
        return replace(page, records=[change(record) for record in page.records])


# --- what it says of itself


class Moody(Saboteur):
    def described(self, description: Description) -> Description:
        return replace(description, title=f"Shop {next(self.numbers)}")


class CallsHome(Saboteur):
    def described(self, description: Description) -> Description:
        with suppress(OSError):
            socket.getaddrinfo("127.0.0.1", 80)
        return description


class SaysDestination(Saboteur):
    def described(self, description: Description) -> Description:
        return replace(description, kind="destination")


class WantsMore(Saboteur):
    def described(self, description: Description) -> Description:
        schema = dict(description.config_schema)
        return replace(description, config_schema=schema | {"required": [*schema["required"], "region"]})


class NewKeys(Saboteur):
    def found(self, streams: tuple[Stream, ...], client: Any) -> tuple[Stream, ...]:
        keys = ("id",) if next(self.numbers) % 2 else ("id", "order_id")
        return (streams[0], replace(streams[1], primary_key=keys))


class ChildrenFirst(Saboteur):
    def found(self, streams: tuple[Stream, ...], client: Any) -> tuple[Stream, ...]:
        return streams[::-1]


class HidesItsKey(Saboteur):
    def found(self, streams: tuple[Stream, ...], client: Any) -> tuple[Stream, ...]:
        return (replace(streams[0], schema={"type": "object", "properties": {"updated_at": {"type": "string"}}}),)


# --- pages


class Generates(Saboteur):
    def seen(self, page: Page, stream: Stream) -> Any:
        return (record for record in page.records)


class HasNoItems(Saboteur):
    def seen(self, page: Page, stream: Stream) -> Page:
        return replace(page, records=[]) if stream.name == "items" else page


class Consumes(Saboteur):
    def page(self, ask: Callable[..., Page], client: Any, window: Window, asked: tuple[Any, ...]) -> Page:
        page = ask()
        again = (id(client), window, asked) in self.kept
        self.kept[id(client), window, asked] = client
        return replace(page, records=page.records[1:]) if again else page


class CountsRuns(Saboteur):
    def client(self, client: Any) -> Any:
        client.memory = next(self.numbers)
        return client

    def page(self, ask: Callable[..., Page], client: Any, window: Window, asked: tuple[Any, ...]) -> Page:
        return self.records(ask(), lambda record: {**record, "run": client.memory})


class Circles(Saboteur):
    def seen(self, page: Page, stream: Stream) -> Page:
        return replace(page, next=self.kept.setdefault("next", page.next))


class ParsesInstants(Saboteur):
    def seen(self, page: Page, stream: Stream) -> Page:
        return self.records(page, lambda record: {**record, "read_at": datetime(2026, 1, 1, tzinfo=UTC)})


class LosesKeys(Saboteur):
    def seen(self, page: Page, stream: Stream) -> Page:
        return self.records(page, lambda record: {name: record[name] for name in record if name != "id"})


class LosesVersions(Saboteur):
    def seen(self, page: Page, stream: Stream) -> Page:
        return self.records(page, lambda record: {**record, "updated_at": "yesterday"})


class SharesKeys(Saboteur):
    def seen(self, page: Page, stream: Stream) -> Page:
        return self.records(page, lambda record: {**record, "id": 1, "was": record["id"]})


class OneAtATime(Saboteur):
    def __init__(self) -> None:
        super().__init__()
        self.busy = threading.Lock()

    def page(self, ask: Callable[..., Page], client: Any, window: Window, asked: tuple[Any, ...]) -> Page:
        if not self.busy.acquire(blocking=False):
            return replace(ask(), records=[])
        try:
            time.sleep(0.01)
            return ask()
        finally:
            self.busy.release()


class ReusesItsList(Saboteur):
    def page(self, ask: Callable[..., Page], client: Any, window: Window, asked: tuple[Any, ...]) -> Page:
        page = ask()
        buffer: list[Any] = self.kept.setdefault("buffer", [])
        buffer[:] = page.records
        return replace(page, records=buffer)

    def seen(self, page: Page, stream: Stream) -> Page:
        return page


# --- windows


class Exclusive(Saboteur):
    def page(self, ask: Callable[..., Page], client: Any, window: Window, asked: tuple[Any, ...]) -> Page:
        page = ask()
        first = None if window.lower is None else f"{window.lower:%Y-%m-%dT%H:%M:%SZ}"
        return replace(page, records=[record for record in page.records if record.get("updated_at") != first])


class ReadsAll(Saboteur):
    def page(self, ask: Callable[..., Page], client: Any, window: Window, asked: tuple[Any, ...]) -> Page:
        return ask(replace(window, lower=None))


class SettlesTooMuch(Saboteur):
    def seen(self, page: Page, stream: Stream) -> Page:
        return replace(page, settled=datetime(2100, 1, 1, tzinfo=UTC))


class LosesItsPlace(Saboteur):
    """Its state covers everything, wherever it comes."""

    def found(self, streams: tuple[Stream, ...], client: Any) -> tuple[Stream, ...]:
        return tuple(replace(one, replication_key=None, stateful=True) for one in streams if one.parent is None)

    def page(self, ask: Callable[..., Page], client: Any, window: Window, asked: tuple[Any, ...]) -> Page:
        return Page(records=[]) if window.state else replace(ask(), state={"read": True})


# --- the wire


class TakesTroubleForTheEnd(Saboteur):
    def page(self, ask: Callable[..., Page], client: Any, window: Window, asked: tuple[Any, ...]) -> Page:
        try:
            return ask()
        except RetryableError:
            return Page(records=[])


class ForgetsHowLong(Saboteur):
    def page(self, ask: Callable[..., Page], client: Any, window: Window, asked: tuple[Any, ...]) -> Page:
        try:
            return ask()
        except RetryableError as error:
            error.retry_after = None
            raise


class RemembersTrouble(Saboteur):
    def page(self, ask: Callable[..., Page], client: Any, window: Window, asked: tuple[Any, ...]) -> Page:
        if self.kept.pop("trouble", False):
            return Page(records=[])
        try:
            return ask()
        except RetryableError:
            self.kept["trouble"] = True
            raise


class RetriesItself(Saboteur):
    def page(self, ask: Callable[..., Page], client: Any, window: Window, asked: tuple[Any, ...]) -> Page:
        try:
            return ask()
        except RetryableError:
            return ask()


class WaitsItself(Saboteur):
    def page(self, ask: Callable[..., Page], client: Any, window: Window, asked: tuple[Any, ...]) -> Page:
        try:
            return ask()
        except RetryableError:
            time.sleep(0.01)
            raise


class Translates(Saboteur):
    """Raises another error than it should."""

    def __init__(self, caught: type[SourceError], raised: type[SourceError]) -> None:
        super().__init__()
        self.caught, self.raised = caught, raised

    def page(self, ask: Callable[..., Page], client: Any, window: Window, asked: tuple[Any, ...]) -> Page:
        try:
            return ask()
        except self.caught as error:
            if type(error) is not self.caught:
                raise
            raise self.raised(error.message) from None


class DiscoversInSpite(Saboteur):
    def found(self, streams: tuple[Stream, ...], client: Any) -> tuple[Stream, ...]:
        with suppress(AuthError):
            client.get("/orders")
        return streams


class FollowsAnywhere(Saboteur):
    def page(self, ask: Callable[..., Page], client: Any, window: Window, asked: tuple[Any, ...]) -> Page:
        with suppress(OSError), urllib.request.urlopen(f"{client.transport.base}/orders", timeout=5) as answer:  # noqa: S310 - the front's address
            answer.read()
        return ask()


class TellsSecrets(Saboteur):
    def page(self, ask: Callable[..., Page], client: Any, window: Window, asked: tuple[Any, ...]) -> Page:
        try:
            return ask()
        except SourceError as error:
            error.message += f" for {client.config['token']}"
            raise


class ShowsSecretsInAddresses(Saboteur):
    def page(self, ask: Callable[..., Page], client: Any, window: Window, asked: tuple[Any, ...]) -> Page:
        page = ask()
        return replace(page, url=f"{page.url}?token={client.config['token']}")


# --- values


class RoundsNumbers(Saboteur):
    def seen(self, page: Page, stream: Stream) -> Page:
        return self.records(page, lambda record: {name: rounded(value) for name, value in record.items()})


class TidiesNames(Saboteur):
    def seen(self, page: Page, stream: Stream) -> Page:
        return self.records(page, lambda record: {name.strip(): value for name, value in record.items()})


class DropsOddities(Saboteur):
    def seen(self, page: Page, stream: Stream) -> Page:
        return replace(page, records=[record for record in page.records if isinstance(record, dict)])


def rounded(value: Any) -> Any:
    """A number as a double has it."""
    return value if value is None or isinstance(value, bool | str | list | dict | int) else float(value)


SABOTEURS: Mapping[str, tuple[Callable[[], Saboteur], str]] = {
    "moody": (Moody, "describe_says_the_same"),
    "calls_home": (CallsHome, "describe_needs_no_network"),
    "says_destination": (SaysDestination, "describe_names_a_source"),
    "wants_more": (WantsMore, "schema_that_it_fits"),
    "new_keys": (NewKeys, "discover_names_the_same"),
    "children_first": (ChildrenFirst, "discover_puts_parents_first"),
    "hides_its_key": (HidesItsKey, "declare_their_keys"),
    "loses_its_place": (LosesItsPlace, "a_state_goes_on"),
    "generates": (Generates, "one_finished_page"),
    "has_no_items": (HasNoItems, "records_to_judge"),
    "consumes": (Consumes, "same_page_twice"),
    "counts_runs": (CountsRuns, "another_run"),
    "circles": (Circles, "in_a_circle"),
    "parses_instants": (ParsesInstants, "plain_json"),
    "loses_keys": (LosesKeys, "records_have_their_keys"),
    "loses_versions": (LosesVersions, "records_have_their_keys"),
    "shares_keys": (SharesKeys, "different_keys"),
    "one_at_a_time": (OneAtATime, "several_threads"),
    "reuses_its_list": (ReusesItsList, "not_changed_after"),
    "exclusive": (Exclusive, "begins_with_its_lower_end"),
    "reads_all": (ReadsAll, "second_run"),
    "settles_too_much": (SettlesTooMuch, "what_a_page_settles"),
    "takes_trouble_for_the_end": (TakesTroubleForTheEnd, "passing_trouble"),
    "forgets_how_long": (ForgetsHowLong, "passing_trouble"),
    "remembers_trouble": (RemembersTrouble, "after_trouble"),
    "retries_itself": (RetriesItself, "neither_waits"),
    "waits_itself": (WaitsItself, "neither_waits"),
    "hides_refused": (lambda: Translates(AuthError, SourceError), "credentials_are_an_auth_error"),
    "discovers_in_spite": (DiscoversInSpite, "told_by_discover"),
    "repeats_what_is_final": (lambda: Translates(SourceError, RetryableError), "refused_request_is_final"),
    "hides_gone": (lambda: Translates(NotFoundError, SourceError), "gone_is_not_found"),
    "follows_anywhere": (FollowsAnywhere, "another_origin"),
    "tells_secrets": (TellsSecrets, "errors_do_not_show"),
    "shows_secrets_in_addresses": (ShowsSecretsInAddresses, "clients_and_pages"),
    "rounds_numbers": (RoundsNumbers, "hard_values"),
    "tidies_names": (TidiesNames, "hostile_names"),
    "drops_oddities": (DropsOddities, "entries_that_are_no_objects"),
}
"""By name: the source, and words out of the name of the test that must go red for it."""
