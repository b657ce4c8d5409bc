"""The sandbox's own endpoints for people and for tests in other processes: without credentials, outside the call
budget, the ledger and the faults.

Only programs on this machine may use them. A web page that a browser shows cannot: its requests name an ``Origin`` or
say ``Sec-Fetch-Site: cross-site``, a page behind a rebound name sends its own name as ``Host``, and a POST must be
``application/json``, which no page may send elsewhere without being allowed to first. All of these are refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from connector_core.testing.faults import plan_from_json, plan_to_json

from .desk import Incoming, Reply
from .record import Raw, dumps, encodable
from .script import matches
from .store import Store

if TYPE_CHECKING:
    from .server import Sandbox

PREFIX: Final = "/_sandbox/"
LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
OPERATIONS: Final = (
    "update_case", "update_cases", "add_case", "delete_case", "add_reply", "update_reply", "delete_reply",
    "update_customer", "add_customer", "delete_customer", "add_user", "update_user", "delete_user", "add_group",
    "update_group", "delete_group", "add_membership", "remove_membership", "define_custom_field", "remove_custom_field",
    "put_raw",
)  # fmt: skip


def respond(desk: Sandbox, incoming: Incoming) -> Reply:
    """The answer to a call of `CALLS`: 400 with the reason for a body that makes no sense, 403 and 415 for what a web
    page may have sent, 404 for an unknown call."""
    if refused := _refused(incoming):
        return refused
    name = incoming.path.removeprefix(PREFIX)
    call = CALLS.get((incoming.method, name))
    if call is None:
        known = ", ".join(f"{method} {PREFIX}{name}" for method, name in CALLS)
        return reply(404, {"error": f"{incoming.method} {PREFIX}{name} is unknown; there are {known}"})
    try:
        return reply(200, call(desk, json.loads(incoming.body) if incoming.body else None))
    except (ValueError, TypeError, KeyError, LookupError, RecursionError) as error:
        return reply(400, {"error": f"{type(error).__name__}: {error}"})


def reply(status: int, document: Any) -> Reply:
    """An answer of the control, always JSON."""
    headers = {"Content-Type": "application/json; charset=utf-8", "Cache-Control": "no-store"}
    return Reply(status=status, headers=headers, body=dumps(document))


def _refused(incoming: Incoming) -> Reply | None:
    host, origin = incoming.headers.get("host", ""), incoming.headers.get("origin")
    try:
        local = urlsplit(f"//{host}").hostname in LOOPBACK
    except ValueError:
        local = False
    if not local:
        return reply(403, {"error": "the control is for programs on this machine: ask 127.0.0.1 or localhost"})
    site = incoming.headers.get("sec-fetch-site", "none")
    if origin not in (None, f"http://{host}") or site not in ("none", "same-origin"):
        return reply(403, {"error": "the control is not for web pages of other sites"})
    kind = incoming.headers.get("content-type", "").partition(";")[0].strip().lower()
    if incoming.method == "POST" and kind != "application/json":
        return reply(415, {"error": "send JSON, with the header Content-Type: application/json"})
    return None


# --- the calls; their docstrings are the reference that docs/sandbox.md shows


def _ledger(desk: Sandbox, _: Any) -> Any:
    """What was served: `requests` (each with number, method, path, query, resource, status, entries, remaining calls,
    times and the reason of a refusal), how many by `statuses`, the most that were under way at once by resource
    (`in_flight_max`), and `failures` of the sandbox itself."""
    return desk.ledger.report() | {"failures": desk.failed()}


def _reset_ledger(desk: Sandbox, _: Any) -> Any:
    """Forget what was served."""
    desk.ledger.reset()
    return {}


def _dump(desk: Sandbox, _: Any) -> Any:
    """All that the site holds now, wire records by resource."""
    return encodable(desk.dump())


def _expected(desk: Sandbox, _: Any) -> Any:
    """What a reader who misses nothing gets from the lists now, wire records by resource."""
    return encodable(desk.expected())


def _settings(desk: Sandbox, _: Any) -> Any:
    """The settings as they are, and the clock."""
    return _shown(desk)


def _configure(desk: Sandbox, given: Any) -> Any:
    """Change switches: an object of settings by name. Those that shape the data are refused."""
    changes = dict(given)
    if "auth" in changes:
        changes["auth"] = tuple(changes["auth"])
    desk.configure(**changes)
    return _shown(desk)


def _advance(desk: Sandbox, given: Any) -> Any:
    """Move the site's clock by `{"seconds": 3600}`; back with a negative number. Answers with the settings."""
    unknown = set(dict(given)) - {"seconds"}
    if unknown:
        raise ValueError(f"advance knows seconds, not {', '.join(sorted(unknown))}")
    desk.advance(given["seconds"])
    return _shown(desk)


def _mutate(desk: Sandbox, given: Any) -> Any:
    """Change data: one operation or a list of them, `{"op": "update_case", "id": 3011, "status": "open"}`, each with
    the arguments of the method of `Store` that has its name. `{"$raw": "1e400"}` anywhere is JSON text that is sent as
    it stands. Answers with the `results` (ids of what was added)."""
    operations = [operation(item) for item in _list(given)]
    return {"results": [operate(desk.store) for operate in operations]}


def _script(desk: Sandbox, given: Any) -> Any:
    """Change data between two requests of a reader: an operation, or a list of them, with `after_request` (the n-th
    from now on), or with `when` (`path`, `resource`, `method`, `status`, `params`, all of which must hold) and `times`
    (1; null: always). `before: true` acts before that request is answered instead of after it."""
    for item in _list(given):
        _plan(desk, dict(item))
    return {"planned": len(_list(given))}


def _clear_script(desk: Sandbox, _: Any) -> Any:
    """Forget the steps of the script that have not happened yet."""
    desk.clear_script()
    return {}


def _faults(desk: Sandbox, _: Any) -> Any:
    """The faults in force, and which requests met which of them: `plan` and `hits` (number of the request, its line,
    the fault's place in the plan)."""
    return _broken(desk)


def _break(desk: Sandbox, given: Any) -> Any:
    """Break answers by a plan from now on, counted from its start; an empty list heals all."""
    desk.break_answers(plan_from_json(_list(given)))
    return _broken(desk)


def _release(desk: Sandbox, _: Any) -> Any:
    """Let the answers go that a `gate` holds at this moment; says how many they were."""
    held = desk.front.held
    desk.front.release()
    return {"released": held}


Call = Callable[["Sandbox", Any], Any]
CALLS: Final[Mapping[tuple[str, str], Call]] = {
    ("GET", "ledger"): _ledger,
    ("POST", "reset_ledger"): _reset_ledger,
    ("GET", "dump"): _dump,
    ("GET", "expected"): _expected,
    ("POST", "mutate"): _mutate,
    ("POST", "script"): _script,
    ("POST", "clear_script"): _clear_script,
    ("GET", "settings"): _settings,
    ("POST", "settings"): _configure,
    ("POST", "advance"): _advance,
    ("GET", "faults"): _faults,
    ("POST", "faults"): _break,
    ("POST", "release"): _release,
}
"""Every call by method and name: what it does with the site and the parsed body, and gives back as JSON."""


def operation(item: Mapping[str, Any]) -> Callable[[Store], Any]:
    """A mutation from JSON, e.g. ``{"op": "update_case", "id": 5, "status": "open"}``: the arguments are those of the
    `Store` method. ``{"$raw": "1e400"}`` anywhere is JSON text that is sent as it stands."""
    arguments = {name: _raw(value) for name, value in item.items() if name != "op"}
    name = item.get("op")
    if name not in OPERATIONS:
        raise ValueError(f"op must be one of {', '.join(OPERATIONS)}, not {name!r}")
    return lambda store: getattr(store, name)(**arguments)


def _plan(desk: Sandbox, item: dict[str, Any]) -> None:
    after, times, before = item.pop("after_request", None), item.pop("times", 1), item.pop("before", False)
    conditions = item.pop("when", None)
    desk.script(
        after_request=after,
        when=None if conditions is None else matches(conditions),
        do=operation(item),
        times=times,
        before=before,
    )


def _list(given: Any) -> list[Any]:
    if isinstance(given, dict):
        return [given]
    if not isinstance(given, list):
        raise ValueError("a JSON object or list of objects is needed")
    return given


def _raw(value: Any) -> Any:
    if isinstance(value, dict):
        if set(value) == {"$raw"}:
            return Raw(value["$raw"])
        return {name: _raw(item) for name, item in value.items()}
    return [_raw(item) for item in value] if isinstance(value, list) else value


def _shown(desk: Sandbox) -> dict[str, Any]:
    hidden = ("clock", "key", "secret", "token", "token_secret")
    shown = {name: value for name, value in asdict(desk.settings).items() if name not in hidden}
    return shown | {"now": desk.now, "clock": desk.clock()}


def _broken(desk: Sandbox) -> dict[str, Any]:
    plan, hits = desk.front.plan, desk.front.hits
    places = {id(fault): place for place, fault in enumerate(plan)}
    return {
        "plan": plan_to_json(plan),
        "hits": [
            {"request": hit.request.number, "line": hit.request.line, "fault": places[id(hit.fault)]}
            for hit in hits
            if id(hit.fault) in places
        ],
    }
