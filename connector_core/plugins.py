"""Finding plugins by name: which are installed, by whom, and loading only the ones that are asked for.

A plugin is an object (a module, an instance) that an entry point of one of three groups leads to. Nothing is
imported until its name is asked for, so a broken plugin that nobody uses hurts nobody, and only names that stand in
connectors.toml run.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, Literal

import pluggy

from connector_core import hookspecs
from connector_core.errors import ConfigError, PluginError
from connector_core.events import Event
from connector_core.hooks import Hooks, Origin
from connector_core.hookspecs import PROJECT
from connector_core.streams import Description

if TYPE_CHECKING:
    from connector_core.config import Config, Connector

Kind = Literal["source", "destination", "extension"]

GROUPS: dict[Kind, str] = {
    "source": "connector_core.sources",
    "destination": "connector_core.destinations",
    "extension": "connector_core.extensions",
}
REQUIRED: dict[Kind, tuple[str, ...]] = {
    "source": ("describe", "authenticate", "discover", "extract"),
    "destination": ("describe", "connect", "load"),
    "extension": ("describe",),
}

_AUTHOR = "report it to the plugin's author; --debug shows the traceback"


@dataclass(frozen=True, kw_only=True)
class Installed:
    """One entry point that some distribution installed. `error` says why it cannot be used, as far as that is known
    without importing it."""

    kind: Kind
    name: str
    distribution: str
    version: str
    entry_point: str
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class Plugin:
    """A loaded plugin: the object with the hook implementations, and where it came from."""

    kind: Kind
    name: str
    object: Any
    distribution: str = ""
    version: str = ""
    module: str = ""

    @property
    def origin(self) -> Origin:
        """Whom the typed facade blames."""
        return Origin(plugin=self.name, distribution=self.distribution, version=self.version, module=self.module)

    @cached_property
    def description(self) -> Description:
        """What the plugin says of itself. Raises `PluginError` when `describe` fails or contradicts the entry point."""
        try:
            answers = _manager([self]).hook.describe()
        except Exception as error:
            raise self.broken("describe", f"raised {type(error).__name__}: {error}") from error
        description = answers[0] if answers else None
        if not isinstance(description, Description):
            raise self.broken("describe", f"returned {type(description).__name__} where Description is due")
        if (description.kind, description.name) != (self.kind, self.name):
            said, due = f"{description.kind} {description.name!r}", f"{self.kind} {self.name!r}"
            raise self.broken("describe", f"says that it is the {said}, its entry point says {due}")
        return description

    def broken(self, hook: str, what: str) -> PluginError:
        """An error that names this plugin, its distribution and version."""
        return PluginError(
            what, plugin=self.name, distribution=self.distribution, version=self.version, hook=hook, hint=_AUTHOR
        )


def installed() -> list[Installed]:
    """All plugins that some installed distribution offers, sorted by kind and name, without importing any.

    Two distributions that claim one name are both listed, each with an error that names the other.
    """
    found = [_installed(kind, point) for kind, group in GROUPS.items() for point in entry_points(group=group)]
    claims: dict[tuple[str, str], list[Installed]] = {}
    for plugin in found:
        claims.setdefault((plugin.kind, plugin.name), []).append(plugin)
    listed = []
    for plugin in found:
        others = [other for other in claims[plugin.kind, plugin.name] if other is not plugin]
        if others:
            named = ", ".join(f"{other.distribution} {other.version}" for other in others)
            plugin = replace(plugin, error=f"also claimed by {named}")
        listed.append(plugin)
    order = list(GROUPS)
    return sorted(listed, key=lambda p: (order.index(p.kind), p.name, p.distribution))


def load(kind: Kind, name: str) -> Plugin:
    """Import one plugin and check its hook implementations.

    Raises `ConfigError` when it is not installed or claimed twice, `PluginError` when it cannot be imported,
    implements a hook that does not exist, takes an argument that the hook does not have, or lacks a hook of its kind.
    """
    points = list(entry_points(group=GROUPS[kind], name=name))
    if not points:
        raise _unknown(kind, name)
    if len(points) > 1:
        owners = " and ".join(sorted(f"{p.distribution} {p.version}" for p in (_installed(kind, p) for p in points)))
        raise ConfigError(
            f"the {kind} {name!r} is claimed by {owners}",
            hint="uninstall all but one of them",
            code="plugin_claimed_twice",
        )
    (point,) = points
    known = _installed(kind, point)
    plugin = Plugin(
        kind=kind,
        name=name,
        object=None,
        distribution=known.distribution,
        version=known.version,
        module=point.value.partition(":")[0].strip(),
    )
    try:
        loaded = point.load()
    except (Exception, SystemExit) as error:
        raise plugin.broken("import", f"cannot be imported: {type(error).__name__}: {error}") from error
    plugin = replace(plugin, object=loaded)
    _check(plugin)
    return plugin


def assemble(connector: Connector, config: Config) -> Hooks:
    """The hooks of one run of `connector`: its source, its destination and its extensions, with whom to blame."""
    source, destination, others = config.source(connector), config.destination(connector), config.extensions(connector)
    manager = build(source, destination, others)
    return Hooks(
        manager,
        source=source.origin,
        destination=destination.origin,
        others=tuple(other.origin for other in others),
        sections={
            _registered(source): (config.source_config(connector.key),),
            _registered(destination): (config.destination_config(connector.destination),),
            **_sections(connector, config),
        },
    )


def observers(connector: Connector, config: Config) -> Callable[[Event], None]:
    """Tells an event outside of a run to the connector's extensions."""
    others = config.extensions(connector)
    hooks = Hooks(
        _manager(others),
        source=Origin(plugin=connector.source),
        destination=Origin(plugin=connector.destination),
        others=tuple(other.origin for other in others),
        sections=_sections(connector, config),
    )
    return hooks.observe


def _sections(connector: Connector, config: Config) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for name in connector.extensions:
        found.setdefault(f"extension {config.extension_tables[name].type}", []).append(config.extension_config(name))
    return found


def _registered(plugin: Plugin) -> str:
    """The name under which a plugin is registered in a run's manager."""
    return f"{plugin.kind} {plugin.name}"


def build(source: Plugin, destination: Plugin, extensions: Sequence[Plugin] = ()) -> pluggy.PluginManager:
    """The small plugin manager of one run. Extensions come last: their wrappers lie around source and destination."""
    return _manager([source, destination, *extensions])


def _manager(plugins: Sequence[Plugin]) -> pluggy.PluginManager:
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(hookspecs)
    for plugin in plugins:
        try:
            manager.register(plugin.object, name=_registered(plugin))
            manager.check_pending()
        except pluggy.PluginValidationError as error:
            raise plugin.broken("register", _readable(error)) from error
        except ValueError as error:  # one object registered twice, for instance by two extensions
            raise plugin.broken("register", f"cannot be registered: {error}") from error
    return manager


def _readable(error: pluggy.PluginValidationError) -> str:
    """pluggy's explanation in one line, without the representation of the plugin object."""
    text = " ".join(str(error).split())
    for start in ("unknown hook", "Argument(s)", "hookimpl definition"):
        if start in text:
            return text[text.index(start) :].replace(" in plugin", "").split(" <")[0]
    return text


def _check(plugin: Plugin) -> None:
    if inspect.isclass(plugin.object):
        raise plugin.broken("register", "the entry point leads to a class; it has to lead to an instance or a module")
    manager = _manager([plugin])
    implemented = {caller.name for caller in manager.get_hookcallers(plugin.object) or []}
    lacking = [name for name in REQUIRED[plugin.kind] if name not in implemented]
    if lacking:
        what = f"implements no {', '.join(lacking)}; a {plugin.kind} needs {', '.join(REQUIRED[plugin.kind])}"
        raise plugin.broken(lacking[0], what)


def _installed(kind: Kind, point: EntryPoint) -> Installed:
    distribution = point.dist
    return Installed(
        kind=kind,
        name=point.name,
        distribution=(distribution.name if distribution else None) or "unknown",
        version=(distribution.version if distribution else None) or "",
        entry_point=point.value,
    )


def _unknown(kind: Kind, name: str) -> ConfigError:
    there = [f"{plugin.name} ({plugin.distribution} {plugin.version})" for plugin in installed() if plugin.kind == kind]
    names = [plugin.name for plugin in installed() if plugin.kind == kind]
    near = difflib.get_close_matches(name, names, n=1)
    listed = f"installed: {', '.join(there)}" if there else f"no {kind} is installed"
    more = f'did you mean "{near[0]}"?' if near else "install it with pip;"
    return ConfigError(f"there is no {kind} plugin {name!r}", hint=f"{more} {listed}", code="plugin_unknown")
