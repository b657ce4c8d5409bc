"""Plans: which requests meet which fault, counted from the first; also read from JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import Any

from connector_core.testing.faults import bodies, pages, wire
from connector_core.testing.faults.action import Action
from connector_core.testing.faults.messages import Request

# Call and Edit are missing: their parameter is a function, for which JSON has no form.
ACTIONS: dict[str, type[Action]] = {
    "body": bodies.Body,
    "dead_connection": wire.DeadConnection,
    "entries": pages.Entries,
    "fin": wire.Fin,
    "framing": wire.Framing,
    "gate": wire.Gate,
    "gzip_bomb": bodies.GzipBomb,
    "headers": wire.Headers,
    "latency": wire.Latency,
    "nested": bodies.Nested,
    "next_link": pages.NextLink,
    "redirect": wire.Redirect,
    "repeat": wire.Repeat,
    "replace": bodies.Replace,
    "reset": wire.Reset,
    "silence": wire.Silence,
    "slow_loris": wire.SlowLoris,
    "status": wire.Status,
    "total": pages.Total,
    "value": pages.Value,
}


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What goes wrong, and when.

    `match` is a regex searched in `METHOD path?query`, or a function of the request. `nth` is the first matching
    request that is hit, from 1; `times` how many matching requests in a row are hit, None for all from there on.
    `action` may be several, applied in their order. Each fault counts by itself the requests that match it, by arrival,
    whatever else hits them.
    """

    action: Action | Sequence[Action]
    match: str | Callable[[Request], bool] = ""
    nth: int = 1
    times: int | None = 1

    def __post_init__(self) -> None:
        if isinstance(self.match, str):
            re.compile(self.match)
        elif not callable(self.match):
            raise ValueError(f"Fault: match is {self.match!r}; it must be a regex or a function of the request")
        for name, value in (("nth", self.nth), ("times", self.times)):
            if not (value is None and name == "times") and (type(value) is not int or value < 1):
                raise ValueError(f"Fault: {name} is {value!r}; it must be 1 or more")
        if not self.actions or not all(isinstance(action, Action) for action in self.actions):
            raise ValueError(f"Fault: action is {self.action!r}; it must be an Action or several")

    @property
    def actions(self) -> tuple[Action, ...]:
        """The actions in their order."""
        return (self.action,) if isinstance(self.action, Action) else tuple(self.action)

    def matches(self, request: Request) -> bool:
        """Whether this request counts for this fault."""
        if isinstance(self.match, str):
            return re.search(self.match, request.line) is not None
        return self.match(request)

    def hits(self, count: int) -> bool:
        """Whether the matching request of this number, from 1, is hit."""
        return count >= self.nth and (self.times is None or count < self.nth + self.times)


@dataclass(frozen=True, kw_only=True)
class Hit:
    """One request that met one fault."""

    fault: Fault
    request: Request


def plan_from_json(plan: str | bytes | list[Any]) -> list[Fault]:
    """A plan out of JSON text, or of the list it stands for.

    Each item has the fields of Fault; its `action`, or each in a list of them, is an object with a `name` of ACTIONS
    and that action's parameters: `{"match": "^GET /cases", "nth": 2, "action": {"name": "status", "code": 429,
    "retry_after": 1}}`. ValueError names the item and what is wrong with it.
    """
    try:
        items = json.loads(plan) if isinstance(plan, str | bytes) else plan
    except RecursionError:
        raise ValueError("the plan is nested too deeply") from None
    if not isinstance(items, list):
        raise ValueError("a plan is a list of faults")
    faults = []
    for number, item in enumerate(items):
        try:
            given = _checked(item, Fault)
            several = given["action"] if isinstance(given["action"], list) else [given["action"]]
            faults.append(Fault(**{**given, "action": [_action(one) for one in several]}))
        except (ValueError, re.error) as error:
            raise ValueError(f"plan[{number}]: {error}") from error
    return faults


def plan_to_json(plan: Sequence[Fault]) -> list[dict[str, Any]]:
    """The plan as `plan_from_json` takes it. What has no form in JSON (functions, `Raw`) is told as text."""
    names = {kind: name for name, kind in ACTIONS.items()}
    return [
        {
            "match": _plain(fault.match),
            "nth": fault.nth,
            "times": fault.times,
            "action": [
                {
                    "name": names.get(type(action), type(action).__name__),
                    **{field.name: _plain(getattr(action, field.name)) for field in _fields(action)},
                }
                for action in fault.actions
            ],
        }
        for fault in plan
    ]


def _fields(action: Any) -> tuple[Any, ...]:
    return fields(action) if is_dataclass(action) else ()


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def _action(given: Any) -> Action:
    name = given.get("name") if isinstance(given, dict) else None
    if not isinstance(name, str) or name not in ACTIONS:
        raise ValueError(f"action is {given!r}; its name must be one of {', '.join(ACTIONS)}")
    kind = ACTIONS[name]
    return kind(**_checked({key: value for key, value in given.items() if key != "name"}, kind))


def _checked(given: Any, kind: Any) -> dict[str, Any]:
    """The given parameters when `kind` has them all and lacks none it needs."""
    if not isinstance(given, dict):
        raise ValueError(f"{given!r} is no object")
    known = [field.name for field in fields(kind)]
    needed = [f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING]
    if wrong := sorted(set(given) - set(known)):
        raise ValueError(f"{kind.__name__} has no {', '.join(wrong)}; it has {', '.join(known) or 'no parameters'}")
    if missing := [name for name in needed if name not in given]:
        raise ValueError(f"{kind.__name__} needs {', '.join(missing)}")
    return given
