"""`connector-core check`: everything that can be tried before a run, without changing anything."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from connector_core.budget import Budget
from connector_core.cli.exit_codes import worst
from connector_core.cli.output import as_json as plain
from connector_core.cli.output import counted, print_json, print_line, print_table
from connector_core.cli.session import Session
from connector_core.clock import SystemClock
from connector_core.config import Config, Connector
from connector_core.config.problems import did_you_mean
from connector_core.config.units import spoken
from connector_core.errors import ConfigError, ConnectorError
from connector_core.fetch import Fetcher, RetryRules
from connector_core.hooks import Hooks
from connector_core.plugins import assemble
from connector_core.streams import Catalog, Window

PATIENCE = 2.0
"""Seconds for which a call that failed is repeated: somebody waits for the answer, and most likely has to mend it."""


@dataclass(kw_only=True)
class Checked:
    """What was found out about one part of a connector: `ok`, and lines for people; `code` is that of its error."""

    part: str
    ok: bool = True
    found: list[str] = field(default_factory=list)
    code: str | None = None
    exit_code: int = 0


def check(session: Session, names: Collection[str], *, as_json: bool) -> int:
    """Check the named connectors, disabled ones too, else all enabled ones; gives the worst exit code of all."""
    config = session.load(names or None)
    codes = []
    for connector in session.chosen(config, names):
        found = parts(session, config, connector, keep=True)
        codes += [part.exit_code for part in found]
        if as_json:
            print_json(
                {
                    "connector": connector.key,
                    "namespace": connector.namespace,
                    "ok": all(part.ok for part in found),
                    "parts": plain(found, session.redact),
                }
            )
            continue
        print_checked(session, connector, found)
    return worst(codes)


def print_checked(session: Session, connector: Connector, found: list[Checked]) -> None:
    """The parts of one connector, for people."""
    version = f" {connector.version}" if connector.version else ""
    into = f"{connector.destination}, schema {connector.namespace}"
    print_line(f"{connector.key}: {connector.source}{version} into {into}")
    rows = [("ok" if p.ok else "failed", p.part, "; ".join(session.clean(line) for line in p.found)) for p in found]
    print_table(["", "", ""], rows, indent=2)


def parts(session: Session, config: Config, connector: Connector, *, keep: bool) -> list[Checked]:
    """Try one connector's plugins, its source and its destination. With `keep` a page that the source sent and that
    cannot be used is kept in a file."""
    enabled = "" if connector.enabled else ", not enabled"
    found = [Checked(part="configuration", found=[f"{config.path}{enabled}"])]
    found.append(_tried(session, "plugins", lambda: _plugins(config, connector)))
    if not found[-1].ok:
        return found
    hooks = assemble(connector, config)
    return [
        *found,
        _tried(session, "source", lambda: _source(session, hooks, config, connector), keep=keep),
        _tried(session, "destination", lambda: _destination(hooks, config, connector)),
    ]


def _plugins(config: Config, connector: Connector) -> list[str]:
    assemble(connector, config)
    plugins = [config.source(connector), config.destination(connector), *config.extensions(connector)]
    return list(dict.fromkeys(f"{plugin.distribution} {plugin.version}" for plugin in plugins))


def _tried(session: Session, part: str, work: Callable[[], list[str]], *, keep: bool = False) -> Checked:
    try:
        return Checked(part=part, found=work())
    except ConnectorError as error:
        session.show_traceback(error)
        if keep:
            session.keep(error)
        return Checked(part=part, ok=False, found=[str(error)], code=error.code, exit_code=error.exit_code)


@contextmanager
def fetcher(
    session: Session, hooks: Hooks, config: Config, connector: Connector, *, within: float = math.inf
) -> Iterator[Fetcher]:
    """Signs in at the source and calls it as a run does: within the call budget, repeating what may pass, but nothing
    later than `within` seconds after it was asked first."""

    clock, stop = SystemClock(), threading.Event()
    settings = config.source_config(connector.key)

    def waiting(stream: str, seconds: float, reason: str, detail: str) -> None:
        session.say(f"{connector.key}: waits {spoken(seconds)} for the source ({reason.replace('_', ' ')})")

    budget = Budget(
        share=connector.rate_limit_share,
        in_flight=1,
        clock=clock,
        stop=stop,
        waiting=lambda seconds: waiting("", seconds, "rate_limit", ""),
    )
    rules = RetryRules(
        attempts=connector.retry_attempts,
        seconds=connector.retry_seconds,
        pause=connector.retry_wait,
        longest_wait=connector.longest_wait,
        within=within,
    )
    with ExitStack() as held:
        with config.blamed("connectors", connector.key, "config"):
            client = held.enter_context(hooks.client(settings))
        yield Fetcher(hooks, settings, client, budget=budget, rules=rules, clock=clock, stop=stop, waiting=waiting)


def _source(session: Session, hooks: Hooks, config: Config, connector: Connector) -> list[str]:
    """Sign in, list the streams, and ask for one page where that needed no call: else a wrong credential of a declared
    source would be found by the first run only."""
    with fetcher(session, hooks, config, connector, within=PATIENCE) as fetch:
        with config.blamed("connectors", connector.key, "config"):
            catalog = fetch.discover()
        _known_streams(connector, catalog)
        roots = (one for one in catalog.streams if one.parent is None and connector.stream(one.name).selected)
        calls, first = catalog.requests, next(roots, None)
        if not calls and first is not None:
            yesterday = SystemClock().now().replace(microsecond=0) - timedelta(days=1)
            lower = yesterday if first.replication == "incremental" and not first.stateful else None
            with config.blamed("connectors", connector.key, "config"):
                calls = fetch.page(first, Window(lower=lower, upper=catalog.served_at), None, None).requests
    names = ", ".join(stream.name for stream in catalog.streams)
    return [f"{counted(len(catalog.streams), 'stream')} ({names}), {counted(calls, 'call')}", *catalog.notes]


def _known_streams(connector: Connector, catalog: Catalog) -> None:
    names = [stream.name for stream in catalog.streams]
    for name in connector.streams:
        if name not in names:
            raise ConfigError(
                f"[connectors.{connector.key}.streams.{name}] names no stream of {connector.source}",
                hint=did_you_mean(name, names),
                code="stream_unknown",
            )


def _destination(hooks: Hooks, config: Config, connector: Connector) -> list[str]:
    with hooks.connect(config.destination_config(connector.destination), connector.namespace) as target:
        try:
            return list(target.check()) or ["can be used"]
        except ConnectorError:
            raise
        except Exception as error:
            what = f"raised {type(error).__name__} in Target.check: {error}"
            raise config.destination(connector).broken("connect", what) from error
