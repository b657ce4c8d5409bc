"""What a source says of itself and of its streams: always the same, without the network, and valid."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

import jsonschema
import pytest

from connector_core import catalog, validate
from connector_core.streams import Description
from connector_core.testing.sources.reader import SourceReader, begins_with_a_key, shape


class DeclarationsContract:
    """`describe`, `authenticate` and `discover`."""

    def test_describe_says_the_same_each_time(self, source: Any) -> None:
        first, second = (told(source) for _ in range(2))
        for field in fields(Description):
            if field.name != "streams":
                assert getattr(first, field.name) == getattr(second, field.name), field.name
        assert [shape(stream) for stream in first.streams] == [shape(stream) for stream in second.streams]

    def test_describe_needs_no_network(self, source: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        calls: list[str] = []

        def refuse(name: str) -> Callable[..., Any]:
            def call(*args: Any, **named: Any) -> Any:
                calls.append(name)
                raise OSError("there is no network here")

            return call

        for name in ("getaddrinfo", "gethostbyname", "create_connection"):
            monkeypatch.setattr(socket, name, refuse(name))
        for name in ("connect", "connect_ex"):
            monkeypatch.setattr(socket.socket, name, refuse(name))
        told(source)
        monkeypatch.undo()
        assert calls == []

    def test_describe_names_a_source_and_valid_streams(self, source: Any) -> None:
        description = told(source)
        assert description.kind == "source"
        assert description.name
        assert catalog.problem(description.streams) is None
        for stream in description.streams:
            validate.check_schema(stream)

    def test_the_configuration_has_a_schema_that_it_fits(self, source: Any, config: Mapping[str, Any]) -> None:
        schema = told(source).config_schema
        jsonschema.Draft202012Validator.check_schema(schema)
        errors = list(jsonschema.Draft202012Validator(schema).iter_errors(dict(config)))
        assert [error.message for error in errors] == []

    def test_discover_names_the_same_streams_and_keys_each_time(
        self, reading: SourceReader, connect: Callable[[], SourceReader]
    ) -> None:
        first = [shape(stream) for stream in reading.catalog.streams]
        assert first == [shape(stream) for stream in reading.hooks.discover(reading.config, reading.client).streams]
        assert first == [shape(stream) for stream in connect().catalog.streams]

    def test_discover_puts_parents_first_and_names_each_stream_once(self, connect: Callable[[], SourceReader]) -> None:
        streams = connect().catalog.streams
        assert streams
        assert catalog.problem(streams) is None
        roots = [stream.name for stream in streams if stream.parent is None]
        for stream in streams:
            assert set(stream.after) <= set(roots) - {stream.name}, stream.name

    def test_streams_declare_their_keys(self, reading: SourceReader) -> None:
        for stream in reading.catalog.streams:
            validate.check_schema(stream)
            assert set(stream.primary_key) <= stream.schema.get("properties", {}).keys(), stream.name
            if begins_with_a_key(stream):
                assert stream.replication_key in stream.schema["properties"], stream.name


def told(source: Any) -> Description:
    """What the source says of itself."""
    description = source.describe()
    assert isinstance(description, Description)
    return description
