"""The promises of a source as pytest classes: what docs/testing-sources.md is about."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from typing import Any

import pytest

from connector_core.rest import OAuth1, RestSource
from connector_core.testing.faults import FaultFront
from connector_core.testing.recording import Recorder, Recording
from connector_core.testing.sources.declarations import DeclarationsContract
from connector_core.testing.sources.pages import PagesContract
from connector_core.testing.sources.reader import SourceReader
from connector_core.testing.sources.values import ValuesContract
from connector_core.testing.sources.windows import WindowsContract
from connector_core.testing.sources.wire import WireContract

__all__ = ["LocalSourceContract", "SourceContract"]


class LocalSourceContract(DeclarationsContract, PagesContract, WindowsContract):
    """What every source promises, also one that speaks no HTTP. Give the fixtures `source` and `config`.

    The tests go through the hooks as the engine does. What is served must not change while they run.
    """

    start: datetime = datetime(2000, 1, 1, tzinfo=UTC)
    """Where incremental streams begin: before every record that is served."""

    parents: int = 3
    """For how many records of a parent each child stream is asked."""

    @pytest.fixture
    def source(self) -> Any:
        """The plugin object that the entry point leads to: a `RestSource`, a module, an instance."""
        raise LookupError(f"{type(self).__name__} needs a fixture `source`: the plugin object")

    @pytest.fixture
    def config(self) -> Mapping[str, Any]:
        """The source's own section of connectors.toml."""
        raise LookupError(f"{type(self).__name__} needs a fixture `config`: what `authenticate` gets")

    @pytest.fixture
    def connect(self, source: Any, config: Mapping[str, Any]) -> Iterator[Callable[[], SourceReader]]:
        """Begins another run: authenticates and discovers."""
        with ExitStack() as runs:
            yield lambda: runs.enter_context(
                closing(SourceReader(source, config, start=self.start, parents=self.parents))
            )

    @pytest.fixture
    def reading(self, connect: Callable[[], SourceReader]) -> SourceReader:
        """A run that has begun."""
        return connect()


class SourceContract(LocalSourceContract, WireContract, ValuesContract):
    """Every promise that a source of an HTTP API gives. Give the fixtures `source`, `api` and `config`, which uses
    `url`.

    The API is a local one, or the recording of a real one; a fault front stands before it and breaks its answers.
    """

    recording: Recording | None = None
    """Answers of the real API, in place of a fixture `api`."""

    @pytest.fixture(scope="class")
    @classmethod
    def recorded(cls) -> Iterator[FaultFront]:
        """Plays the recording; with CONNECTOR_CORE_RECORD=1 in the environment makes it."""
        assert cls.recording is not None
        with cls.recording.server() as server:
            yield server

    @pytest.fixture
    def api(self, request: pytest.FixtureRequest) -> str:
        """The address of a local server with the API, `http://127.0.0.1:port`; it may be shared between tests."""
        if self.recording is None:
            raise LookupError(f"{type(self).__name__} needs a fixture `api` (a local server's address), or a recording")
        server: FaultFront = request.getfixturevalue("recorded")
        return server.url

    @pytest.fixture(autouse=True)
    def _told_to_the_recorder(self, request: pytest.FixtureRequest) -> None:
        """What must not be written, before the first request is made."""
        server = request.getfixturevalue("recorded") if self.recording is not None else None
        if isinstance(server, Recorder):
            source, config = request.getfixturevalue("source"), request.getfixturevalue("config")
            signs = isinstance(source, RestSource) and isinstance(source.auth, OAuth1)
            sign = source.auth.signer(config, _no_post).sign if signs else None
            server.know(request.getfixturevalue("secrets"), sign)

    @pytest.fixture
    def front(self, api: str) -> Iterator[FaultFront]:
        """Stands before the API and breaks what a test plans."""
        with FaultFront(api) as front:
            yield front

    @pytest.fixture
    def url(self, front: FaultFront) -> str:
        """Where the source finds the API: what `config` has to name."""
        return front.url

    @pytest.fixture
    def secrets(self, source: Any, config: Mapping[str, Any]) -> Sequence[str]:
        """The values of the settings that the source declares as secret."""
        properties = source.describe().config_schema.get("properties", {})
        return [str(config[name]) for name, told in properties.items() if told.get("writeOnly") and config.get(name)]


def _no_post(url: str, form: Mapping[str, str], auth: Any) -> Any:
    """OAuth 1.0a fetches nothing."""
    raise AssertionError(url)
