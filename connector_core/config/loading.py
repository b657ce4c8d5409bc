"""Loading the configuration: read, replace placeholders, check every table, then every plugin's own section."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, ValidationError

from connector_core import plugins
from connector_core.clock import SystemClock
from connector_core.config import placeholders, section
from connector_core.config.document import Document, Draft, line_of, parse, read
from connector_core.config.metering import MeteringSettings
from connector_core.config.models import (
    Connector,
    Destination,
    Extension,
    LedgerSettings,
    ServeSettings,
    StreamSettings,
    namespace_problem,
)
from connector_core.config.problems import InvalidConfigError, KeyPath, Problem, did_you_mean, spelled
from connector_core.config.secrets import Secret, revealed, texts_of
from connector_core.config.units import brief
from connector_core.errors import AuthError, ConfigError, PluginError
from connector_core.plugins import Kind, Plugin
from connector_core.streams import Description

M = TypeVar("M", bound=BaseModel)

TABLES = ("ledger", "serve", "metering", "destinations", "connectors", "extensions")
ONE = ("ledger", "serve", "metering")  # tables that there is one of; the others hold one for each name
MOST_TABLES = 200  # destinations, or connectors, in one file; each one costs checks
MOST_HINTS = 50  # a hint is a search for the nearest word; nobody reads more of them


@dataclass(frozen=True, kw_only=True)
class Config:
    """A checked configuration. A run keeps its copy; a later change of the file does not reach it.

    `connectors` and `destinations` are by key, in the order of the file. The plugins of the connectors that were
    wanted are loaded, the sections of the others are unchecked text. `warnings` are lines for people.
    """

    path: Path
    ledger: LedgerSettings
    destinations: Mapping[str, Destination]
    connectors: Mapping[str, Connector]
    extension_tables: Mapping[str, Extension] = field(default_factory=dict)
    serve: ServeSettings = field(default_factory=ServeSettings)
    metering: MeteringSettings = field(default_factory=MeteringSettings)
    plugins: Mapping[tuple[Kind, str], Plugin | PluginError] = field(default_factory=dict, repr=False)
    hidden: frozenset[str] = field(default=frozenset(), repr=False)
    warnings: tuple[str, ...] = ()
    lines: Mapping[KeyPath, int] = field(default_factory=dict, repr=False)

    @contextmanager
    def blamed(self, *table: str) -> Iterator[None]:
        """A refusal of the configuration or of the credentials that is raised inside names this table of the file."""
        try:
            yield
        except (ConfigError, AuthError) as error:
            line = line_of(self.lines, table)
            raise error.at(file=str(self.path), line=line, path=spelled(table)) from error.__cause__

    @property
    def folder(self) -> Path:
        """The folder of the file: relative paths in it start there."""
        return self.path.parent

    def source_config(self, key: str) -> dict[str, Any]:
        """What `authenticate` gets for this connector: the source's own section, its secrets in plain text."""
        return dict(revealed(self.connectors[key].config))

    def destination_config(self, key: str) -> dict[str, Any]:
        """What `connect` gets for this destination: its own settings, its secrets in plain text."""
        return dict(revealed(self.destinations[key].config))

    def destination_id(self, key: str) -> str:
        """The name by which the ledger knows a destination: its key. Epochs keep two databases under one key apart."""
        return key

    def source(self, connector: Connector) -> Plugin:
        """The source plugin of a wanted connector. Raises `PluginError` when it is broken; so do the next two."""
        return self._plugin("source", connector.source)

    def destination(self, connector: Connector) -> Plugin:
        """The destination plugin of a wanted connector."""
        return self._plugin("destination", self.destinations[connector.destination].type)

    def extensions(self, connector: Connector) -> tuple[Plugin, ...]:
        """The extension plugins of a wanted connector."""
        names = dict.fromkeys(self.extension_tables[name].type for name in connector.extensions)
        return tuple(self._plugin("extension", name) for name in names)

    def extension_config(self, name: str) -> dict[str, Any]:
        """What an extension's `observe` gets for this section: its secrets in plain text."""
        return dict(revealed(self.extension_tables[name].config))

    def loaded(self, connector: Connector) -> tuple[Plugin, ...]:
        """All plugins of a wanted connector that are not broken."""
        kinds: list[tuple[Kind, str]] = [
            ("source", connector.source),
            ("destination", self.destinations[connector.destination].type),
            *(("extension", self.extension_tables[name].type) for name in connector.extensions),
        ]
        return tuple(found for key in kinds if isinstance(found := self.plugins.get(key), Plugin))

    def _plugin(self, kind: Kind, name: str) -> Plugin:
        found = self.plugins[kind, name]
        if isinstance(found, PluginError):
            raise found
        return found

    def secrets(self) -> frozenset[str]:
        """The texts of all secrets: what the redaction filter hides. Includes the passwords of URLs."""
        sections = [
            *(one.config for one in self.connectors.values()),
            *(one.config for one in self.destinations.values()),
            *(one.config for one in self.extension_tables.values()),
        ]
        found = set().union(*(texts_of(one) for one in sections))
        for url in (self.ledger.url.reveal(), *_strings(sections)):
            found |= _passwords(url)
        return frozenset((found | self.hidden) - {""})


def load(
    path: Path | str,
    env: Mapping[str, str] | None = None,
    *,
    wanted: Collection[str] | None = None,
    now: datetime | None = None,
    draft: Draft | None = None,
) -> Config:
    """Read, check and return the configuration in `path`. `env` is the environment (default: this process's).

    `wanted` are the keys of the connectors that the caller is going to use (None: all enabled ones, empty: none).
    Only their variables have to be set and only their plugins are imported and asked to describe themselves; the
    shape of everything is always checked. `draft` stands for a file that is not written yet. Raises
    `InvalidConfigError` (a `ConfigError`) with all problems at once, and `PluginError` for a plugin that is broken.
    """
    where = Path(path)
    document = parse(where, draft.text.encode()) if draft else read(where)
    replaced = placeholders.replace(
        document.data, os.environ if env is None else env, where.parent, drafts=draft.files if draft else None
    )
    return _Loading(document, replaced, wanted, now or SystemClock().now()).config()


class _Loading:
    """One pass over a document, collecting problems."""

    def __init__(
        self, document: Document, replaced: placeholders.Replaced, wanted: Collection[str] | None, now: datetime
    ) -> None:
        self.document, self.replaced, self.now = document, replaced, now
        self.problems: list[Problem] = []
        self.plugins: dict[tuple[Kind, str], Plugin | PluginError] = {}
        self.extensions: dict[str, Extension] = {}
        self.unusable: dict[tuple[Kind, str], ConfigError] = {}
        self.warnings: list[str] = []
        self.raw: dict[str, Any] = replaced.data
        self.wanted = self._wanted(wanted)
        self.wanted_destinations = {
            str(table.get("destination")) for key, table in self._tables("connectors").items() if key in self.wanted
        }

    def config(self) -> Config:
        """Every check, then the configuration or all problems."""
        self._top()
        ledger = self._model(LedgerSettings, ("ledger",), self.raw.get("ledger", {}))
        metering = self._model(MeteringSettings, ("metering",), self.raw.get("metering", {}))
        serve = self._model(ServeSettings, ("serve",), self.raw.get("serve", {}))
        destinations = {key: self._destination(key, table) for key, table in self._tables("destinations").items()}
        connectors = {key: self._connector(key, table) for key, table in self._tables("connectors").items()}
        self._distinct({key: connector for key, connector in connectors.items() if connector})
        self._refuse()
        return Config(
            path=self.document.path,
            ledger=_placed(ledger or LedgerSettings(), self.document.path.parent),
            metering=metering or MeteringSettings(),
            extension_tables=self.extensions,
            serve=serve or ServeSettings(),
            destinations={key: value for key, value in destinations.items() if value},
            connectors={key: value for key, value in connectors.items() if value},
            plugins=self.plugins,
            hidden=self._unmarked_secrets(),
            warnings=tuple(self.warnings),
            lines=self.document.lines,
        )

    # --- what is there

    def _tables(self, name: str) -> dict[str, dict[str, Any]]:
        tables = self.raw.get(name)
        return {k: v for k, v in tables.items() if isinstance(v, dict)} if isinstance(tables, dict) else {}

    def _wanted(self, wanted: Collection[str] | None) -> set[str]:
        tables = self._tables("connectors")
        if wanted is None:
            return {key for key, table in tables.items() if table.get("enabled", True) not in (False, "false", "False")}
        for name in wanted:
            if name not in tables:
                raise ConfigError(
                    f"there is no connector {name!r} in {self.document.path}",
                    hint=did_you_mean(
                        name, list(tables), f"there are: {', '.join(tables)}" if tables else "there are none"
                    ),
                    code="connector_unknown",
                )
        return set(wanted)

    def _top(self) -> None:
        for key, value in self.raw.items():
            if key not in TABLES:
                self._problem((key,), "is not a known table", self._nearest(key, TABLES))
            elif not isinstance(value, dict):
                self._problem((key,), "should be a table")
            elif key not in ONE:
                if len(value) > MOST_TABLES:
                    self._problem((key,), f"has {len(value)} tables, more than {MOST_TABLES}", "split the file")
                    self._refuse()
                for name, table in value.items():
                    if not isinstance(table, dict):
                        self._problem((key, name), "should be a table")
                    elif not re.fullmatch(r"[A-Za-z0-9_-]{1,50}", name, re.ASCII):
                        self._problem((key, name), "should be named with at most 50 letters, digits, _ and -")
        if not self._tables("connectors") and not isinstance(self.raw.get("connectors", {}), str):
            self._problem(("connectors",), "needs at least one [connectors.NAME]")

    # --- tables of the engine

    def _model(self, model: type[M], at: KeyPath, table: Any, **known: Any) -> M | None:
        if not isinstance(table, dict):
            return None
        if "key" in table:
            self._problem((*at, "key"), "is not a known setting", did_you_mean("key", _names(model)))
        try:
            return model.model_validate({**table, **known}, context={"now": self.now})
        except ValidationError as error:
            for one in error.errors(include_url=False, include_input=False):
                self._explain(model, at, one)
            return None

    def _explain(self, model: type[BaseModel], at: KeyPath, error: Any) -> None:
        path: KeyPath = (*at, *error["loc"])
        if error["type"] == "missing":
            return self._problem(path, "is missing", _about(model, str(error["loc"][-1])))
        if error["type"] == "extra_forbidden":
            within = StreamSettings if len(error["loc"]) > 1 else model
            return self._problem(path, "is not a known setting", self._nearest(str(path[-1]), _names(within)))
        if error["type"] in ("model_type", "dict_type", "mapping_type"):
            return self._problem(path, "should be a table")
        if error["type"] == "value_error":
            return self._problem(path, str(error["ctx"]["error"]))
        return self._problem(path, error["msg"].replace("Input should", "should", 1))

    def _destination(self, key: str, table: dict[str, Any]) -> Destination | None:
        at: KeyPath = ("destinations", key)
        own = {name: value for name, value in table.items() if name != "type"}
        typed = {"type": table["type"]} if "type" in table else {}
        found = self._model(Destination, at, typed, key=key, config=own)
        if found is None or key not in self.wanted_destinations:
            return found
        described = self._described("destination", found.type, (*at, "type"))
        if described is None:
            return found
        self._fixed(described, at, table)
        return found.model_copy(update={"config": self._section(described, own, at)})

    def _extension(self, name: str, named_at: KeyPath) -> None:
        """An extension that a wanted connector names: of a table, or of a plugin that needs no settings."""
        if name in self.extensions:
            return
        tables, at = self._tables("extensions"), ("extensions", name)
        table = tables.get(name, {})
        own = {key: value for key, value in table.items() if key != "type"}
        found = self._model(Extension, at, {"type": table.get("type", name)}, key=name, config=own)
        described = found and self._described("extension", found.type, (*at, "type") if name in tables else named_at)
        if found and described:
            self.extensions[name] = found.model_copy(update={"config": self._section(described, own, at)})
        elif found:
            self.extensions[name] = found

    def _connector(self, key: str, table: dict[str, Any]) -> Connector | None:
        at: KeyPath = ("connectors", key)
        own = table.get("config", {})
        found = self._model(Connector, at, table, key=key)
        if key in self.wanted:
            own = self._source(at, table, own if isinstance(own, dict) else {}, found)
            for index, name in enumerate(found.extensions if found else ()):
                self._extension(name, (*at, "extensions", index))
        target, targets = table.get("destination"), list(self._tables("destinations"))
        if isinstance(target, str) and target and target not in targets:
            listed = f"there are: {', '.join(targets)}" if targets else "add [destinations.NAME]"
            hint = did_you_mean(target, targets, listed)
            self._problem((*at, "destination"), f"names no [destinations.{target[:60]}]", hint)
        if found is None:
            return None
        namespace = found.namespace or found.fallback_namespace
        if problem := namespace_problem(namespace):
            field = "namespace" if found.namespace else "name" if found.name else "namespace"
            made = "cannot be a schema" if found.namespace else f"gives no possible schema ({namespace[:60]!r})"
            self._problem(
                (*at, field), f"{made}: {problem}", "" if found.namespace else "set namespace to the schema you want"
            )
        return found.model_copy(update={"config": own, "namespace": namespace, "name": found.name or key})

    # --- what the plugins say

    def _source(
        self, at: KeyPath, table: dict[str, Any], own: dict[str, Any], found: Connector | None
    ) -> dict[str, Any]:
        name = table.get("source")
        described = self._described("source", name, (*at, "source")) if isinstance(name, str) and name else None
        if described is None:
            return own
        self._fixed(described, at, table)
        self._version(described, at, table.get("version"))
        if found and found.anchor_time and found.frequency is None and not found.cron:
            default = described.frequency
            if default is None or default < 3600:
                own_default = f"the default of {name} is {brief(default)}" if default else f"{name} has no default"
                self._problem((*at, "anchor_time"), "needs a frequency of at least 1h", own_default)
        return self._section(described, own, (*at, "config"))

    def _version(self, described: Description, at: KeyPath, version: Any) -> None:
        known = described.versions
        if version is None:
            if len(known) > 1:
                self._problem((*at, "version"), "is missing", f"{described.name} has: {', '.join(known)}")
        elif isinstance(version, str) and version not in known:
            has = (
                f"{described.name} has: {', '.join(known)}"
                if known
                else f"{described.name} has no versions; leave it out"
            )
            self._problem((*at, "version"), f"is not a version of {described.name}", has)

    def _described(self, kind: Kind, name: str, at: KeyPath) -> Description | None:
        if at in self.replaced.missing:
            return None
        if (kind, name) not in self.plugins and (kind, name) not in self.unusable:
            try:
                plugin = plugins.load(kind, name)
                section.check_schema(plugin)
                self.plugins[kind, name] = plugin
            except PluginError as error:
                self.plugins[kind, name] = error
            except ConfigError as error:
                self.unusable[kind, name] = error
        if unusable := self.unusable.get((kind, name)):
            self._problem(at, unusable.message, unusable.hint)
            return None
        found = self.plugins[kind, name]
        return found.description if isinstance(found, Plugin) else None

    def _section(self, described: Description, own: Mapping[str, Any], at: KeyPath) -> dict[str, Any]:
        checked, problems = section.check(described.config_schema, own, at, self.replaced, self.document.path.parent)
        self.problems += problems
        if self.document.readable_by_all:
            for path in section.secret_paths(described.config_schema, own):
                if (*at, *path) not in self.replaced.origins:
                    self._warn_of_literal((*at, *path))
        return checked

    def _unmarked_secrets(self) -> frozenset[str]:
        """Everything that came from elsewhere, as long as a broken plugin does not tell what is secret."""
        if not any(isinstance(plugin, PluginError) for plugin in self.plugins.values()):
            return frozenset()
        return frozenset(text for path in self.replaced.origins for text in _strings(_at(self.raw, path)))

    def _warn_of_literal(self, path: KeyPath) -> None:
        problem = Problem(
            path=path,
            message="is a secret in a file that every user of this machine can read",
            hint=f"chmod 600 {self.document.path.name}, or write ${{NAME}} and set the variable NAME",
            line=line_of(self.document.lines, path),
        )
        self.warnings += InvalidConfigError(self.document.path, [problem]).lines()

    def _fixed(self, described: Description, at: KeyPath, table: Mapping[str, Any]) -> None:
        """Settings that this plugin's snapshot does not allow. A pattern may be dotted: `streams.*.selected`."""
        for pattern, reason in described.fixed.items():
            for path in _matching(table, pattern.split(".")):
                self._problem((*at, *path), f"cannot be set for {described.title or described.name}", reason)

    # --- all together

    def _distinct(self, connectors: Mapping[str, Connector]) -> None:
        owners: dict[str, str] = {}
        for key, connector in connectors.items():
            first = owners.setdefault(connector.namespace, key)
            if first != key:
                self._problem(
                    ("connectors", key),
                    f"and connectors.{first} both load into the schema {connector.namespace}",
                    "give one of them another name or namespace",
                )

    def _nearest(self, word: str, known: Sequence[str]) -> str:
        return did_you_mean(word, known) if len(self.problems) < MOST_HINTS else ""

    def _problem(self, path: KeyPath, message: str, hint: str = "") -> None:
        self.problems.append(Problem(path=path, message=message, hint=hint))

    def _refuse(self) -> None:
        """Raise everything that was found, except what merely follows from a variable that is not needed now."""
        missing = self.replaced.missing
        problems = [p for p in self.problems if p.path not in missing]
        problems += [p for p in self.replaced.problems if self._needed(p.path)]
        if problems:
            unique = {(p.path, p.message): p for p in problems}.values()
            raise InvalidConfigError(self.document.path, [self._with_line(p) for p in unique])

    def _with_line(self, problem: Problem) -> Problem:
        line = line_of(self.document.lines, problem.path)
        return Problem(path=problem.path, message=problem.message, hint=problem.hint, line=line)

    def _needed(self, path: KeyPath) -> bool:
        top, *rest = path
        if top == "connectors" and rest:
            return rest[0] in self.wanted
        if top == "extensions" and rest:
            return rest[0] in self.extensions
        return rest[0] in self.wanted_destinations if top == "destinations" and rest else True


def _names(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items() if name != "key"]


def _about(model: type[BaseModel], name: str) -> str:
    found = model.model_fields.get(name)
    return (found.description if found else None) or ""


def _matching(table: Any, pattern: list[str]) -> Iterable[KeyPath]:
    if not isinstance(table, Mapping):
        return
    for key, value in table.items():
        if fnmatchcase(key, pattern[0]):
            if len(pattern) == 1:
                yield (key,)
            for rest in _matching(value, pattern[1:]) if len(pattern) > 1 else ():
                yield (key, *rest)


def _placed(ledger: LedgerSettings, folder: Path) -> LedgerSettings:
    """The ledger with a relative SQLite file completed from the folder of the configuration."""
    start, slashes, file = ledger.url.reveal().partition(":///")
    if not start.startswith("sqlite") or not slashes or file.startswith(("/", ":memory:", "file:")):
        return ledger
    return ledger.model_copy(update={"url": Secret(f"{start}:///{folder / file}")})


def _at(value: Any, path: KeyPath) -> Any:
    for key in path:
        value = value[key]
    return value


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    items = value.values() if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else ()
    return [text for item in items for text in _strings(item)]


def _passwords(text: str) -> set[str]:
    """The password of a URL, as written and unquoted."""
    if "://" not in text or "@" not in text:
        return set()
    try:
        password = urlsplit(text).password
    except ValueError:
        return set()
    return {password, unquote(password)} if password else set()
