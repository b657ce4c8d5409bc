"""What `init` asks, in its order: driven by the JSON Schemas of the source and the destination, whatever they are."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from connector_core.cli.asking import Check, Questions
from connector_core.cli.check import Checked, parts
from connector_core.cli.session import Session
from connector_core.cli.setup_plan import Given, Plan, Settings
from connector_core.clock import SystemClock
from connector_core.config import Config, Connector, Draft, load, namespace_problem, slug
from connector_core.config.placeholders import Replaced
from connector_core.config.problems import did_you_mean
from connector_core.config.section import check as check_section
from connector_core.config.section import secret_paths
from connector_core.config.units import brief, interval
from connector_core.errors import ConfigError, ConnectorError
from connector_core.plugins import Kind, Plugin, installed
from connector_core.plugins import load as load_plugin

FROM_ELSEWHERE = ("env", "file")


class Setup:
    """The questions in their order. Asked a second time, the former answers are the defaults."""

    def __init__(self, session: Session, given: Given, questions: Questions) -> None:
        self._session, self._given, self._questions = session, given, questions
        self._now = SystemClock().now()
        self._path = session.file
        self._existing, self._before = self._what_is_there()
        self._plan: Plan | None = None
        self._source: Plugin | None = None

    def _what_is_there(self) -> tuple[Config | None, str]:
        if not self._path.exists() or self._given.overwrite:
            return None, ""
        existing = load(self._path, wanted=())
        return existing, self._path.read_text(encoding="utf-8")

    def plan(self) -> Plan:
        """Everything that is asked for."""
        questions, former = self._questions, self._plan
        plugin = self._source = self._source or self._plugin("source", "Source", self._given.source, "--source")
        described = plugin.description
        if not former:
            about = f"{described.title or plugin.name} ({plugin.distribution} {plugin.version})"
            questions.say(f"{about}: {described.summary}" if described.summary else about)
        name = self._name(described.title or plugin.name)
        plan = Plan(path=self._path, before=self._before, name=name, key=slug(name), source=Settings(plugin=described))
        plan.version = self._version(plugin)
        if (told := described.config_schema.get("description")) and not former:
            questions.say("", *str(told).splitlines(), "")
        self._settings(plan.source, self._given.settings, "--set", former.source if former else None)
        self._schedule(plan)
        self._destination(plan)
        questions.settle()
        self._plan = plan
        self._session.hide({*plan.source.secrets.values(), *(plan.new.secrets.values() if plan.new else ())})
        return plan

    def tried(self, plan: Plan) -> tuple[Config | None, list[Checked]]:
        """Load what would be written, sign in at the source, look at the destination. Changes nothing."""
        try:
            config = load(self._path, wanted=[plan.key], draft=Draft(text=plan.text(), files=plan.files))
        except ConnectorError as error:
            if not self._questions.terminal:
                raise
            return None, [Checked(part="configuration", ok=False, exit_code=self._session.failed(error))]
        self._session.use(config)
        return config, parts(self._session, config, config.connectors[plan.key], keep=False)

    def write_anyway(self) -> bool:
        """What to do after a failure: True is to write, False to ask again (or, without a terminal, to give up)."""
        if not self._questions.terminal:
            return False
        options = ["again", "write", "stop"]
        answer = self._questions.choose("Answer again, write it as it is, or stop", options, flag="", default="again")
        if answer == "stop":
            raise EOFError
        return answer == "write"

    # --- one thing after the other

    def _plugin(self, kind: Kind, prompt: str, given: str | None, flag: str) -> Plugin:
        names = [plugin.name for plugin in installed() if plugin.kind == kind]
        if not names:
            raise ConfigError(f"no {kind} is installed", hint="install one with pip", code="plugin_unknown")
        if given is None and len(names) == 1:
            return load_plugin(kind, names[0])
        chosen = self._questions.choose(prompt, names, flag=flag, given=given)
        if chosen not in names:
            self._questions.settle()  # what follows depends on it
        return load_plugin(kind, chosen)

    def _name(self, title: str) -> str:
        known = self._existing.connectors if self._existing else {}
        spaces = {connector.namespace for connector in known.values()}

        def check(name: str) -> str | None:
            if wrong := self._engine_problem("name", name, {}):
                return wrong
            if problem := namespace_problem(slug(name)) or ("$ is kept for namespace" if "$" in name else None):
                return f"gives no possible schema ({slug(name)[:60]!r}): {problem}"
            if slug(name) in known or slug(name) in spaces:
                return f"is taken: {self._path} has a connector with the schema {slug(name)} already"
            return None

        former = self._plan.name if self._plan else None
        given = None if self._plan else self._given.name
        default = former or (title if check(title) is None else None)
        name = self._questions.ask(
            "Name of the connector; it also makes the schema", flag="--name", given=given, default=default, check=check
        )
        if name:
            self._questions.say(f"  schema {slug(name)}; this cannot change after the first run")
        return name

    def _version(self, plugin: Plugin) -> str | None:
        versions = plugin.description.versions
        if not versions:
            return None
        default = versions[0] if len(versions) == 1 else None
        if default and self._given.version is None:
            return default
        return self._questions.choose(
            "Version", versions, flag="--source-version", given=self._given.version, default=default
        )

    def _settings(self, into: Settings, given: Sequence[str], flag: str, former: Settings | None) -> None:
        """The required settings of a plugin; everything else has a default, or an option says it."""
        said = {} if former else self._pairs(given, flag)
        schema = into.plugin.config_schema
        required, free = schema.get("required", ()), schema.get("additionalProperties") is not False
        for name in said:
            if name not in into.properties and not free:
                self._questions.refuse(
                    ConfigError(
                        f"{flag} {name}: is not a setting of {into.plugin.name}",
                        hint=did_you_mean(name, list(into.properties)),
                        code="init_values",
                    )
                )
        for name, about in into.properties.items():
            secret = bool(list(secret_paths(schema, {name: "?"})))
            if former and name in former.values and (name not in required or isinstance(former.values[name], Mapping)):
                into.values[name] = former.values[name]
            elif former and name in former.secrets and name not in required:
                self._secret(into, name, about, flag, former)
            elif name in said and (secret or self._elsewhere(said[name])):
                into.values[name] = self._placeholder(name, said[name], flag)
            elif name in said or (name in required and not secret and "default" not in about):
                self._plain(into, name, about, said.get(name), flag, former)
            elif secret and name in required:
                self._secret(into, name, about, flag, former)
        into.values |= {name: _typed({}, value) for name, value in said.items() if name not in into.properties}
        self._optional(into, flag, former)

    def _optional(self, into: Settings, flag: str, former: Settings | None) -> None:
        """Settings that nothing asks for and that have no default: whoever wants one types its name."""
        schema = into.plugin.config_schema
        while self._questions.terminal:
            known = {*into.values, *into.secrets}
            free = [name for name, about in into.properties.items() if name not in known and "default" not in about]
            if not free:
                return
            prompt = f"Another setting, by its name ({', '.join(free)}); Enter goes on"
            name = self._questions.choose(prompt, free, flag="", default="")
            if not name:
                return
            if list(secret_paths(schema, {name: "?"})):
                self._secret(into, name, into.properties[name], flag, former)
            else:
                self._plain(into, name, into.properties[name], None, flag, former)

    def _plain(
        self, into: Settings, name: str, about: Mapping[str, Any], said: str | None, flag: str, former: Settings | None
    ) -> None:
        default = former.values.get(name) if former else None
        answer = self._questions.ask(
            _prompt(name, about),
            flag=f"{flag} {name}=...",
            given=said,
            default=None if default is None else str(default),
            check=_setting_check(into.plugin.config_schema, name, about, self._path.parent),
        )
        if answer:
            into.values[name] = _typed(about, answer)

    def _secret(self, into: Settings, name: str, about: Mapping[str, Any], flag: str, former: Settings | None) -> None:
        kept = former.secrets.get(name, "") if former else ""
        answer = self._questions.secret(_prompt(name, about), flag=f"{flag} {name}=env:NAME", kept=bool(kept))
        into.secrets[name] = answer or kept

    def _pairs(self, given: Sequence[str], flag: str) -> dict[str, str]:
        found = {}
        for pair in given:
            name, equals, value = pair.partition("=")
            if equals and name:
                found[name.strip()] = value.strip()
            else:
                self._questions.refuse(
                    ConfigError(f"{flag} takes KEY=VALUE", hint=f"for example {flag} page_size=50", code="init_values")
                )
        return found

    def _elsewhere(self, value: str) -> bool:
        kind, colon, name = value.partition(":")
        return kind in FROM_ELSEWHERE and bool(colon and name)

    def _placeholder(self, name: str, value: str, flag: str) -> dict[str, str]:
        if not self._elsewhere(value):
            self._questions.refuse(
                ConfigError(
                    f"{flag} {name}=... would show a secret to every user of this machine",
                    hint=f"write {flag} {name}=env:NAME or {flag} {name}=file:PATH",
                    code="secret_in_arguments",
                )
            )
            return {}
        kind, _, where = value.partition(":")
        if kind == "file":  # in connectors.toml a relative path starts at its folder, on the command line where we are
            where = os.path.relpath(Path(where).expanduser().absolute(), self._path.parent.absolute())
        return {kind: where}

    def _schedule(self, plan: Plan) -> None:
        fixed, questions, former = plan.source.plugin.fixed, self._questions, self._plan
        so_far: dict[str, str] = {}

        def asked(setting: str, prompt: str, given: str | None, before: object, shown: str) -> str:
            if setting in fixed:
                return ""
            answer = questions.ask(
                prompt,
                flag=f"--{setting.replace('_', '-')}",
                given=None if former else given,
                default="" if before is None else str(before),
                shown="" if before is not None else shown,
                check=lambda answer: self._engine_problem(setting, answer, so_far),
            )
            if answer:
                so_far[setting] = answer
            return answer

        start = asked(
            "start_date", "Read what changed since", self._given.start_date,
            former and former.start_date, "one year before the first run",
        )  # fmt: skip
        plan.start_date = _instant(start) if start and self._engine_problem("start_date", start, {}) is None else None
        default = plan.source.plugin.frequency
        frequency = asked(
            "frequency", "Time between runs, such as 30m, 1h, 6h, 12h, 24h", self._given.frequency,
            former and former.frequency, brief(default) if default else "none",
        )  # fmt: skip
        plan.frequency = frequency or None
        seconds = interval(frequency) if frequency and not self._engine_problem("frequency", frequency, {}) else default
        if (seconds and seconds >= 3600) or self._given.anchor_time:
            anchor = asked(
                "anchor_time", "Anchor: an instant that fixes the runs' times of day, such as 2026-01-01T07:30:00Z",
                self._given.anchor_time, former and former.anchor_time, "none",
            )  # fmt: skip
            if anchor and self._engine_problem("anchor_time", anchor, {"frequency": "24h"}) is None:
                found = _instant(anchor)
                plan.anchor_time = found if isinstance(found, datetime) else None

    def _destination(self, plan: Plan) -> None:
        questions, given, former = self._questions, self._given, self._plan
        there = list(self._existing.destinations) if self._existing else []
        new = given.destination_type is not None or given.destination_settings or not there
        default = (former.destination if former else None) or (
            "warehouse" if new else there[0] if len(there) == 1 else None
        )
        prompt = "Destination, of these or a new name" if there else "Name of the destination"
        named = f"{prompt} ({', '.join(there)})" if there else prompt
        plan.destination = questions.ask(
            named, flag="--destination", given=None if former else given.destination, default=default, check=_table_name
        )
        if plan.destination in there:
            if new:
                questions.refuse(
                    ConfigError(
                        f"{self._path} has a destination {plan.destination} already",
                        hint="leave out its type and settings to load into it, or give a new one another --destination",
                        code="init_values",
                    )
                )
            return
        kept = former.new if former and former.destination == plan.destination else None
        described = (
            kept.plugin
            if kept
            else self._plugin("destination", "Its type", given.destination_type, "--destination-type").description
        )
        plan.new = Settings(plugin=described)
        self._settings(plan.new, given.destination_settings, "--destination-set", kept)

    def _engine_problem(self, setting: str, answer: str, so_far: Mapping[str, str]) -> str | None:
        """What the engine has against a value of one of its own settings."""
        known = {"key": "x", "source": "x", "destination": "x", "name": "x", **so_far, setting: answer}
        try:
            Connector.model_validate(known, context={"now": self._now})
        except ValidationError as error:
            for one in error.errors(include_url=False, include_input=False):
                if one["loc"][:1] == (setting,):
                    return str(one["ctx"]["error"]) if one["type"] == "value_error" else one["msg"]
        return None


def _table_name(name: str) -> str | None:
    fits = 1 <= len(name) <= 50 and name.isascii() and all(c.isalnum() or c in "_-" for c in name)
    return None if fits else "should be named with at most 50 letters, digits, _ and -"


def _prompt(name: str, about: Mapping[str, Any]) -> str:
    title, told = str(about.get("title") or name), str(about.get("description") or "").rstrip(".")
    if told.lower().startswith(title.lower()):
        return told
    return f"{title} ({told})" if told else title


def _setting_check(schema: Mapping[str, Any], name: str, about: Mapping[str, Any], folder: Path) -> Check:
    def check(answer: str) -> str | None:
        if "${" in answer:
            return None  # only the environment knows; the trial tells
        _, problems = check_section(schema, {name: _typed(about, answer)}, (), Replaced(), folder)
        return next((problem.message for problem in problems if problem.path[:1] == (name,)), None)

    return check


def _typed(about: Mapping[str, Any], answer: str) -> Any:
    """An answer as the value that the setting's schema asks for; text where it asks for text or for anything."""
    kinds = about.get("type", "string")
    if kinds == "string" or "string" in kinds or "${" in answer:
        return answer
    try:
        return tomllib.loads(f"value = {answer}")["value"]
    except ValueError:
        return answer


def _instant(text: str) -> date | datetime:
    return date.fromisoformat(text) if len(text) <= 10 else datetime.fromisoformat(text)
