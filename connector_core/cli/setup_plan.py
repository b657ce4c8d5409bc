"""What `init` has found out, as the text of a commented connectors.toml and the files of its secrets."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

from connector_core.config import toml_text as toml
from connector_core.config.json_schema import FILE as SCHEMA_FILE
from connector_core.config.units import brief
from connector_core.errors import ConfigError, Place
from connector_core.streams import Description

SECRETS = ".secrets"
"""The folder of the secrets' files, beside connectors.toml."""

HEAD = (
    f"#:schema ./{SCHEMA_FILE}",
    "# Written by `connector-core init`. What is commented out shows a default, or what else there is.",
    "# `connector-core check` tries this file, `connector-core run` loads what is new.",
)


@dataclass(frozen=True, kw_only=True)
class Given:
    """What the options say; None and empty where they say nothing. `settings` are texts `KEY=VALUE`."""

    name: str | None = None
    source: str | None = None
    version: str | None = None
    settings: Sequence[str] = ()
    destination: str | None = None
    destination_type: str | None = None
    destination_settings: Sequence[str] = ()
    start_date: str | None = None
    frequency: str | None = None
    anchor_time: str | None = None
    overwrite: bool = False
    tried: bool = True


@dataclass(kw_only=True)
class Settings:
    """The settings of one plugin: values for the file, and secrets, whose texts go into files of their own."""

    plugin: Description
    values: dict[str, Any] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def properties(self) -> Mapping[str, Mapping[str, Any]]:
        """The plugin's settings as its JSON Schema has them."""
        found = self.plugin.config_schema.get("properties", {})
        return {name: about for name, about in found.items() if isinstance(about, Mapping)}


@dataclass(kw_only=True)
class Plan:
    """One connector to be written, its destination if that is new, and what stands in the file already."""

    path: Path
    before: str = ""
    key: str = ""
    name: str = ""
    source: Settings
    version: str | None = None
    destination: str = ""
    new: Settings | None = None
    start_date: date | datetime | None = None
    frequency: str | None = None
    anchor_time: datetime | None = None

    @property
    def files(self) -> dict[Path, str]:
        """The texts of the secrets by the full paths of their files."""
        folder = self.path.parent
        found: dict[Path, str] = {}
        for table, settings in self._parts():
            found |= {folder / _secret_file(table, name): text for name, text in settings.secrets.items()}
        return found

    def text(self) -> str:
        """The whole file: what is there already, unchanged, and the new tables after it."""
        lines = [*([] if self.before else HEAD), "", *self._destination(), *self._connector()]
        before = self.before.rstrip("\n") + "\n" if self.before else ""
        return before + "\n".join(lines) + "\n"

    def _parts(self) -> Iterator[tuple[str, Settings]]:
        yield f"connectors.{self.key}", self.source
        if self.new:
            yield f"destinations.{self.destination}", self.new

    def _destination(self) -> list[str]:
        if not self.new:
            return []
        about = self.new.plugin.summary or self.new.plugin.title
        table = f"destinations.{self.destination}"
        first = [toml.header("destinations", self.destination), toml.setting("type", self.new.plugin.name, about=about)]
        return [*first, *_settings(table, self.new), ""]

    def _connector(self) -> list[str]:
        described = self.source.plugin
        lines = [
            toml.header("connectors", self.key, about=f"-> schema {self.key}; cannot change after the first run"),
            toml.setting("name", self.name),
            toml.setting("source", described.name, about=described.summary),
        ]
        if self.version:
            lines.append(toml.setting("version", self.version))
        lines.append(toml.setting("destination", self.destination))
        lines += self._schedule()
        lines += ["", toml.header("connectors", self.key, "config")]
        if told := described.config_schema.get("description"):
            lines += toml.comment(str(told).splitlines())
        return [*lines, *_settings(f"connectors.{self.key}", self.source)]

    def _schedule(self) -> Iterator[str]:
        fixed = self.source.plugin.fixed
        if self.start_date is not None:
            yield toml.setting("start_date", self.start_date, about="the first run reads what changed since then")
        elif "start_date" not in fixed:
            yield "# start_date: where the first run begins; left out: one year before it, midnight UTC"
        default = self.source.plugin.frequency
        if self.frequency:
            yield toml.setting("frequency", self.frequency, about="time between starts")
        elif default and "frequency" not in fixed:
            yield toml.setting("frequency", brief(default), about="time between starts; the default", out=True)
        if self.anchor_time is not None:
            yield toml.setting("anchor_time", self.anchor_time, about="an instant of the schedule's grid")


def _settings(table: str, settings: Settings) -> Iterator[str]:
    for name, about in settings.properties.items():
        told = str(about.get("description") or about.get("title") or "")
        if name in settings.secrets:
            yield toml.setting(name, {"file": _secret_file(table, name)}, about=told)
        elif name in settings.values:
            yield toml.setting(name, settings.values[name], about=told)
        elif "default" in about and about["default"] is not None:
            yield toml.setting(name, about["default"], about=told, out=True)
        else:
            yield from toml.comment([f"{name}: {told}" if told else name])
    for name, value in settings.values.items():
        if name not in settings.properties:
            yield toml.setting(name, value)


def _secret_file(table: str, name: str) -> str:
    return f"{SECRETS}/{re.sub(r'[^A-Za-z0-9_.-]', '_', f'{table}.{name}')}"


def write(plan: Plan, schema: str, *, overwrite: bool) -> list[Path]:
    """Write the secrets, the JSON Schema for editors and the configuration, in this order; returns the paths.

    A new configuration and a secret never take the place of another file unless `overwrite`; the former configuration
    is then kept as `.bak`. Raises `ConfigError`.
    """
    folder, secrets = plan.path.parent, plan.files
    if not overwrite:
        for path in [*secrets, *([] if plan.before else [plan.path])]:
            if path.exists():
                raise ConfigError(
                    "there is such a file already, and nothing was written",
                    hint="move it away, or give --overwrite",
                    place=Place(file=str(path)),
                    code="file_exists",
                )
    if secrets:
        with _explained(folder / SECRETS):
            (folder / SECRETS).mkdir(mode=0o700, exist_ok=True)
        put(folder / SECRETS / ".gitignore", "*\n", mode=0o600)
    for path, text in secrets.items():
        put(path, text + "\n", mode=0o600)
    put(folder / SCHEMA_FILE, schema)
    if overwrite and plan.path.exists():
        with _explained(plan.path):
            plan.path.replace(plan.path.with_name(plan.path.name + ".bak"))
    put(plan.path, plan.text())
    return [*secrets, folder / SCHEMA_FILE, plan.path]


def put(path: Path, text: str, *, mode: int | None = None) -> None:
    """Write a file as a whole or not at all. Without `mode` one that is there keeps its permissions, and a new one gets
    0644; a symbolic link stays one. Raises `ConfigError`."""
    with _explained(path):
        target = path.resolve()
        if mode is None:
            mode = target.stat().st_mode & 0o777 if target.exists() else 0o644
        draft = target.with_name(f"{target.name}.{os.getpid()}.new")
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), mode)
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(target)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"cannot be written: {error.strerror}",
            hint="check the folder, its owner and its permissions",
            place=Place(file=str(path)),
            code="not_writable",
        ) from None
