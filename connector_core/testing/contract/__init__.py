"""The promises of a destination as pytest classes: what docs/testing-destinations.md is about."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

import pytest

from connector_core.testing.child import Processes
from connector_core.testing.contract.claims import ClaimsContract
from connector_core.testing.contract.crashes import CrashesContract
from connector_core.testing.contract.passes import PassesContract
from connector_core.testing.contract.rows import RowsContract
from connector_core.testing.contract.tables import TablesContract
from connector_core.testing.contract.users import UserChangesContract
from connector_core.testing.contract.values import ValuesContract
from connector_core.testing.reading import Reader
from connector_core.testing.warehouse import Warehouse, connected

__all__ = ["DestinationContract", "UserChangesContract"]

_numbers = itertools.count(1)


class DestinationContract(
    RowsContract, TablesContract, ValuesContract, PassesContract, ClaimsContract, CrashesContract
):
    """Every promise that a destination gives. Subclass it and give the fixtures `destination`, `config` and `reader`.

    The tests go through the hooks and the `Target` as the engine does, and look at the tables through the reader.
    Each test has a namespace of its own, so the fixtures may be shared between tests.
    """

    preload: tuple[str, ...] = ()
    """Modules that processes would import anew for each crash: the driver."""

    @pytest.fixture
    def destination(self) -> Any:
        """The plugin object that the entry point leads to: a module, or an instance that can be pickled."""
        raise LookupError(f"{type(self).__name__} needs a fixture `destination`: the plugin object")

    @pytest.fixture
    def config(self) -> Mapping[str, Any]:
        """The destination's section of connectors.toml, without `type`."""
        raise LookupError(f"{type(self).__name__} needs a fixture `config`: what `connect` gets")

    @pytest.fixture
    def reader(self) -> Reader:
        """How to look at the tables without the code under test; `SqlReader` does it for databases."""
        raise LookupError(f"{type(self).__name__} needs a fixture `reader`: a connector_core.testing.Reader")

    @pytest.fixture
    def break_connection(self) -> Callable[[Warehouse], None] | None:
        """Ends the destination's connection to its server from the server's side; None where there is no server."""
        return None

    @pytest.fixture
    def exclusive(self, destination: Any) -> bool:
        """Whether one process at a time may open the destination, as the plugin says itself."""
        return bool(destination.describe().exclusive)

    @pytest.fixture
    def namespace(self, reader: Reader) -> Iterator[str]:
        """A namespace that no other test uses."""
        name = f"contract_{os.getpid()}_{next(_numbers)}"
        yield name
        reader.drop(name)

    @pytest.fixture
    def house(self, destination: Any, config: Mapping[str, Any], namespace: str, reader: Reader) -> Iterator[Warehouse]:
        """The namespace, connected."""
        with connected(destination, config, namespace, reader) as house:
            yield house

    @pytest.fixture
    def connect(
        self, destination: Any, config: Mapping[str, Any], namespace: str, reader: Reader
    ) -> Iterator[Callable[..., AbstractContextManager[Warehouse]]]:
        """Makes another connection, to the same namespace or to one with a longer name."""
        others: set[str] = set()

        def connect(more: str = "") -> AbstractContextManager[Warehouse]:
            others.add(namespace + more)
            return connected(destination, config, namespace + more, reader)

        yield connect
        for other in others:
            reader.drop(other)

    @pytest.fixture
    def processes(self, destination: Any, config: Mapping[str, Any]) -> Iterator[Processes]:
        """Starts processes that claim and load, to be killed."""
        with Processes(destination, config, connector=Warehouse.connector, preload=self.preload) as processes:
            yield processes
