"""The seven verbs of the engine, as pluggy hook specifications. Their docstrings are the contract.

A run builds its own plugin manager that holds the one source, the one destination and the enabled extensions. Each
verb has one owner in a run (`observe` is everybody's); an extension may wrap any verb with `@hookimpl(wrapper=True)`.
Hooks are called once per page, batch or run, never once per record.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import pluggy

from connector_core.batch import Batch, Receipt, Target
from connector_core.events import Event
from connector_core.streams import Catalog, Description, Page, Stream, Window

PROJECT = "connector_core"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def describe() -> Description:  # type: ignore[empty-body]
    """Say what this plugin is: kind, name, versions, feature snapshot, JSON Schema of its configuration.

    Owner: each plugin, asked alone. Called once a run and by `plugins`, `describe` and `check`; must not touch the
    network, the disk or the environment, and gives the same answer each time. Errors are reported as the plugin's.
    """


@hookspec(firstresult=True)
def authenticate(config: Mapping[str, Any]) -> Any:
    """Make the client that `discover` and `extract` will use.

    Owner: the source; once a run, before `discover`; not called when the destination cannot be claimed. `config` is
    the plugin's own section, checked against its schema, secrets as plain text. The client is used from several
    threads at once. Needs no request; when it makes one and the credentials are refused it raises `AuthError`, which
    is never retried. If the client has a method `close`, it is called when the run is over, however it ended: what the
    source has opened or started ends there. Must not return None.
    """


@hookspec(firstresult=True)
def discover(config: Mapping[str, Any], client: Any) -> Catalog:  # type: ignore[empty-body]
    """List the streams, parents before children, root streams in the order in which reports show them.

    Owner: the source; once a run, after `authenticate`. The same config gives the same names and keys at any time;
    fields may come and go. May make requests; raises `RetryableError` (the engine waits and calls again), `AuthError`
    or `SourceError`.
    """


@hookspec(firstresult=True)
def extract(  # type: ignore[empty-body]
    client: Any,
    config: Mapping[str, Any],
    stream: Stream,
    window: Window,
    parent: Mapping[str, Any] | None,
    page: Hashable | None,
) -> Page:
    """Fetch ONE page of a stream: one request, one answer.

    Owner: the source; once a page, from several threads with the same client. `page` is None for the first page,
    afterwards what the last `Page.next` said; `parent` is the parent's record, as this source returned it, for a
    child stream and None otherwise. Must be repeatable after `RetryableError`: a call with the same arguments asks
    for the same page. It never sleeps, never retries and never yields: waiting, retrying and the call budget are the
    engine's. Not called for a child stream's parent for which `stream.when` is false, nor after the run was stopped.
    Raises `RetryableError`, `NotFoundError` (for a child: the parent vanished), `AuthError`, `SourceError`.
    """


@hookspec(firstresult=True)
def connect(config: Mapping[str, Any], namespace: str) -> AbstractContextManager[Target]:  # type: ignore[empty-body]
    """Give a context manager that yields the `Target` for one namespace.

    Owner: the destination; once a run. Entering it must not need the network: the `Target` opens its connection when it
    is first used and may close it between loads. Leaving it closes everything, also after an error.
    """


@hookspec(firstresult=True)
def load(target: Target, batch: Batch) -> Receipt:  # type: ignore[empty-body]
    """Do what the batch says and write its commit record, in one transaction, or nothing at all.

    Owner: the destination; once a batch, always from one thread, in the order of `batch.number`. The first statement
    is the fence; when it finds no row `StaleWriterError` is raised. Raises `RetryableError` when nothing was written
    and a repeat may succeed (deadlock, serialization, a lost connection), `UnknownCommitError` when the connection was
    lost at COMMIT, `RefusedError` for records that the destination does not take, `ActivationError`, otherwise
    `DestinationError`. The receipt comes from the same transaction.
    """


@hookspec
def observe(event: Event, config: Mapping[str, Any]) -> None:
    """Be told what has happened: after each page, batch, run, skip, reject and schema change.

    Owner: anyone. `config` is the plugin's own section, secrets as plain text (an extension: `[extensions.NAME]`, once
    for each that the connector names; a source, a destination: their own). Called after the fact, from one thread at
    a time; it cannot change or stop anything: an exception is logged and the run goes on. It should return at once.
    A slot that is skipped is told outside of a run, to extensions alone.
    """
