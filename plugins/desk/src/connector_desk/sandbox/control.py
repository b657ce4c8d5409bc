"""The sandbox's own endpoints for tests in other processes: unauthenticated, outside the call budget and the ledger."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from .record import Raw, dumps, encodable
from .script import matches
from .store import Store

if TYPE_CHECKING:
    from .desk import Desk, Incoming, Reply

PREFIX: Final = "/_sandbox/"
OPERATIONS: Final = (
    "update_case", "update_cases", "add_case", "delete_case", "add_reply", "update_reply", "delete_reply",
    "update_customer", "add_customer", "delete_customer", "add_user", "update_user", "delete_user", "add_group",
    "update_group", "delete_group", "add_membership", "remove_membership", "define_custom_field", "remove_custom_field",
    "put_raw",
)  # fmt: skip


def respond(desk: Desk, incoming: Incoming) -> Reply:
    """GET ledger, dump, expected, settings; POST mutate, script, clear_script, settings, reset_ledger. 400 with the
    reason for a bad request."""
    from .desk import Reply

    name = incoming.path.removeprefix(PREFIX)
    try:
        given = json.loads(incoming.body) if incoming.body else None
        status, result = 200, _act(desk, incoming.method, name, given)
    except (ValueError, TypeError, KeyError, LookupError) as error:
        status, result = 400, {"error": f"{type(error).__name__}: {error}"}
    headers = {"Content-Type": "application/json; charset=utf-8"}
    return Reply(status=status, headers=headers, body=dumps(result))


def _act(desk: Desk, method: str, name: str, given: Any) -> Any:
    match method, name:
        case "GET", "ledger":
            return desk.ledger.report() | {"failures": desk.failures}
        case "GET", "dump":
            return encodable(desk.dump())
        case "GET", "expected":
            return encodable(desk.expected())
        case "GET", "settings":
            return _shown(desk)
        case "POST", "mutate":
            operations = [operation(item) for item in _list(given)]
            return {"results": [operate(desk.store) for operate in operations]}
        case "POST", "script":
            for item in _list(given):
                _plan(desk, dict(item))
            return {"planned": len(_list(given))}
        case "POST", "clear_script":
            desk.clear_script()
            return {}
        case "POST", "settings":
            changes = dict(given)
            if "auth" in changes:
                changes["auth"] = tuple(changes["auth"])
            desk.configure(**changes)
            return _shown(desk)
        case "POST", "reset_ledger":
            desk.ledger.reset()
            return {}
    raise LookupError(f"{method} {PREFIX}{name} is unknown")


def operation(item: Mapping[str, Any]) -> Callable[[Store], Any]:
    """A mutation from JSON, e.g. ``{"op": "update_case", "id": 5, "status": "open"}``: the arguments are those of the
    `Store` method. ``{"$raw": "1e400"}`` anywhere is JSON text that is sent as it stands."""
    arguments = {name: _raw(value) for name, value in item.items() if name != "op"}
    name = item.get("op")
    if name not in OPERATIONS:
        raise ValueError(f"op must be one of {', '.join(OPERATIONS)}, not {name!r}")
    return lambda store: getattr(store, name)(**arguments)


def _plan(desk: Desk, item: dict[str, Any]) -> None:
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


def _shown(desk: Desk) -> dict[str, Any]:
    hidden = ("clock", "key", "secret", "token", "token_secret")
    shown = {name: value for name, value in asdict(desk.settings).items() if name not in hidden}
    return shown | {"now": desk.now, "clock": desk.clock()}
