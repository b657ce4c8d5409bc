"""Discovery and loading of plugins, with distributions made by hand: good, broken, claimed twice, unknown hook."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from connector_core.errors import ConfigError, PluginError
from connector_core.plugins import Installed, Plugin, build, installed, load
from connector_core.streams import Description
from tests.support.trees import acme, distribution

HOOKS = """
from connector_core import Catalog, Description, Page, hookimpl

class Shop:
    @hookimpl
    def describe(self):
        return Description(kind="source", name="shop")

    @hookimpl
    def authenticate(self, config):
        return config

    @hookimpl
    def discover(self):
        return Catalog(streams=())

    @hookimpl
    def extract(self, stream, page):
        return Page(records=[])
"""

Install = Callable[..., str]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """A function that installs a source called `shop` from a module's text; gives the module's name."""

    def added(
        text: str, *, name: str = "shop-plugin", points: Mapping[str, str] | None = None, leads: str = ":Shop()"
    ) -> str:
        module = f"shop_{uuid.uuid4().hex}"
        if leads == ":Shop()":
            text, leads = f"{text}\n\nshop = Shop()\n", ":shop"
        sources = points if points is not None else {"shop": f"{module}{leads}"}
        tree = distribution(tmp_path / module, name, version="1.4", sources=sources, modules={module: text})
        monkeypatch.syspath_prepend(tree)
        return module

    return added


def broken(name: str = "shop") -> str:
    """Why the source cannot be loaded; the error blames plugin, distribution and version."""
    with pytest.raises(PluginError) as caught:
        load("source", name)
    error = caught.value
    assert error.exit_code == 6
    assert (error.plugin, error.distribution, error.version) == (name, "shop-plugin", "1.4")
    assert str(error).startswith(f"plugin '{name}' (shop-plugin 1.4), hook ")
    return f"{error.hook}: {error.message}"


def test_a_good_plugin_is_listed_without_being_imported_and_loaded_by_name(install: Install) -> None:
    module = install(HOOKS)
    listed = [plugin for plugin in installed() if plugin.name == "shop"]
    assert listed == [
        Installed(kind="source", name="shop", distribution="shop-plugin", version="1.4", entry_point=f"{module}:shop")
    ]
    assert module not in sys.modules
    plugin = load("source", "shop")
    assert (plugin.distribution, plugin.version, plugin.module) == ("shop-plugin", "1.4", module)
    assert plugin.description == Description(kind="source", name="shop")
    assert (plugin.origin.plugin, plugin.origin.distribution, plugin.origin.module) == ("shop", "shop-plugin", module)


def test_a_module_may_be_the_plugin_and_kinds_do_not_mix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(acme(tmp_path / "site", f"acme_{uuid.uuid4().hex}"))
    assert load("destination", "sink").description.kind == "destination"
    with pytest.raises(ConfigError, match="there is no source plugin 'sink'"):
        load("source", "sink")


def test_h12_a_broken_plugin_that_nobody_names_hurts_nobody(install: Install) -> None:
    install("raise SystemExit(99)", name="other-plugin", points={"other": "nowhere:at:all"}, leads="")
    install(HOOKS)
    assert {"other", "shop"} <= {plugin.name for plugin in installed()}
    assert load("source", "shop").description.name == "shop"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1 / 0", "import: cannot be imported: ZeroDivisionError: division by zero"),
        ("import no_such_driver", "import: cannot be imported: ModuleNotFoundError: No module named 'no_such_driver'"),
        ("raise SystemExit(3)", "import: cannot be imported: SystemExit: 3"),
        ("def nothing(:", "import: cannot be imported: SyntaxError"),
        ("x = 1", "import: cannot be imported: AttributeError: module 'shop_"),
    ],
)
def test_d12_what_cannot_be_imported(install: Install, text: str, said: str) -> None:
    install(text, leads=":shop")
    assert broken().startswith(said)


def test_an_entry_point_that_leads_nowhere(install: Install) -> None:
    install("", points={"shop": "no_such_module_at_all:shop"})
    assert "import: cannot be imported: ModuleNotFoundError" in broken()


def test_g9_an_unknown_hook(install: Install) -> None:
    install(HOOKS.replace("def extract(self, stream, page)", "def extrakt(self)"))
    assert broken() == "register: unknown hook 'extrakt'"


def test_g9_an_unknown_argument(install: Install) -> None:
    install(HOOKS.replace("def extract(self, stream, page)", "def extract(self, stream, cursor)"))
    text = broken()
    assert text.startswith("register: ")
    assert "{'cursor'}" in text
    assert "\n" not in text


def test_a_missing_hook(install: Install) -> None:
    install(HOOKS.partition("    @hookimpl\n    def extract")[0])
    assert broken() == "extract: implements no extract; a source needs describe, authenticate, discover, extract"


def test_a_forgotten_marker(install: Install) -> None:
    install(HOOKS.replace("    @hookimpl\n", ""))
    assert broken().startswith("describe: implements no describe, authenticate, discover, extract;")


def test_a_class_instead_of_an_instance(install: Install) -> None:
    install(HOOKS, leads=":Shop")
    assert broken() == "register: the entry point leads to a class; it has to lead to an instance or a module"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("None", "describe: returned NoneType where Description is due"),
        ("'shop'", "describe: returned str where Description is due"),
        ("1 / 0", "describe: raised ZeroDivisionError: division by zero"),
        (
            'Description(kind="destination", name="shop")',
            "describe: says that it is the destination 'shop', its entry point",
        ),
        ('Description(kind="source", name="store")', "describe: says that it is the source 'store', its entry point"),
    ],
)
def test_describe_keeps_its_contract(install: Install, answer: str, said: str) -> None:
    install(HOOKS.replace('Description(kind="source", name="shop")', answer))
    plugin = load("source", "shop")
    with pytest.raises(PluginError) as caught:
        _ = plugin.description
    assert f"{caught.value.hook}: {caught.value.message}".startswith(said)
    assert caught.value.distribution == "shop-plugin"


def test_g9_two_distributions_that_claim_one_name_are_both_listed(install: Install) -> None:
    install(HOOKS, name="shop-plugin")
    install(HOOKS, name="shop-fork")
    listed = {plugin.distribution: plugin.error for plugin in installed() if plugin.name == "shop"}
    assert listed == {"shop-plugin": "also claimed by shop-fork 1.4", "shop-fork": "also claimed by shop-plugin 1.4"}
    with pytest.raises(ConfigError, match=r"'shop' is claimed by shop-fork 1\.4 and shop-plugin 1\.4 - uninstall"):
        load("source", "shop")


def test_g9_an_unknown_name_lists_what_is_installed(install: Install) -> None:
    install(HOOKS)
    with pytest.raises(ConfigError) as caught:
        load("source", "shp")
    assert caught.value.exit_code == 2
    assert "there is no source plugin 'shp' - did you mean \"shop\"? installed: " in str(caught.value)
    assert "shop (shop-plugin 1.4)" in str(caught.value)


def test_one_run_gets_its_own_manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(acme(tmp_path / "site", f"acme_{uuid.uuid4().hex}"))
    source, destination = load("source", "acme"), load("destination", "sink")
    manager = build(source, destination)
    assert [name for name, _ in manager.list_name_plugin()] == ["source acme", "destination sink"]
    assert manager is not build(source, destination)


class Doubling:
    """An extension that wraps a verb."""

    from connector_core.hookspecs import hookimpl

    @hookimpl
    def describe(self) -> Description:
        return Description(kind="extension", name="doubling")

    @hookimpl(wrapper=True)
    def authenticate(self, config: Any) -> Any:
        found = yield
        return (found, found)


def test_extensions_lie_around_the_owner_of_a_verb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(acme(tmp_path / "site", f"acme_{uuid.uuid4().hex}"))
    extension = Plugin(kind="extension", name="doubling", object=Doubling())
    manager = build(load("source", "acme"), load("destination", "sink"), [extension])
    assert manager.hook.authenticate(config={"a": 1}) == ({"a": 1}, {"a": 1})


def test_one_object_cannot_take_part_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(acme(tmp_path / "site", f"acme_{uuid.uuid4().hex}"))
    source, sink = load("source", "acme"), load("destination", "sink")
    with pytest.raises(PluginError, match="hook register: cannot be registered"):
        build(source, sink, [Plugin(kind="extension", name="same", object=source.object)])
