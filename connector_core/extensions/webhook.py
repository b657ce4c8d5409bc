"""The extension `webhook`: tells an address of yours what happens.

Each event is one POST of a JSON object, signed as the Standard Webhooks specification asks (webhook-id,
webhook-timestamp, webhook-signature), so that its libraries verify it. Deliveries are made by a thread in the
background, in order, and are repeated until they have arrived or `give_up` seconds have passed; a process that ends
waits that long at most.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import logging
import random
import threading
import uuid
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from importlib.metadata import version
from typing import Any

from connector_core.clock import Clock, SystemClock
from connector_core.events import Event, QuotaReached, RecordsRejected, RunFinished, SchemaChanged, SlotSkipped
from connector_core.hookspecs import hookimpl
from connector_core.streams import Description

log = logging.getLogger("connector_core.extensions.webhook")

RUNS: Mapping[str, str] = {
    "succeeded": "run_finished",
    "partial": "run_partial",
    "stopped": "run_stopped",
    "failed": "run_failed",
    "rejected": "run_failed",
}
OTHERS: Mapping[type[Event], str] = {
    SlotSkipped: "slot_skipped",
    SchemaChanged: "schema_changed",
    RecordsRejected: "rejects",
    QuotaReached: "quota",
}
EVENTS: Mapping[str, str] = {
    "run_finished": "a run is complete",
    "run_partial": "a run has ended at its time limit; the next one goes on",
    "run_stopped": "a run was stopped by a signal",
    "run_failed": "a run has failed, or was stopped by max_rejects",
    "slot_skipped": "a slot of the schedule was not run",
    "schema_changed": "a table was made or changed",
    "rejects": "records of a commit were rejected",
    "quota": "the rows of the period have reached a threshold",
}
GIVE_UP = 30.0
STOPPED = 3.0
"""Seconds for what is told of a run that was stopped by a signal: somebody waits for its end."""
ATTEMPT = 10.0
"""Seconds that one attempt may take."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0
MOST_WAITING = 1000

SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "url": {
            "type": "string",
            "maxLength": 2000,
            "pattern": r"^(https://[^/?#@\s]+|http://(localhost|127\.0\.0\.1|\[::1\])(:[0-9]+)?)([/?][^\s#]*)?$",
            "description": "where to; https, or http on this machine; no user name in it",
            "writeOnly": True,
        },
        "secret": {
            "type": "string",
            "minLength": 8,
            "writeOnly": True,
            "description": "signs each delivery; a text, or whsec_ and base64 as Standard Webhooks has it",
        },
        "events": {
            "type": "array",
            "items": {"type": "string", "enum": list(EVENTS)},
            "description": "which events; all when left out",
            "default": list(EVENTS),
        },
        "give_up": {
            "type": "number",
            "minimum": 1,
            "maximum": 300,
            "default": GIVE_UP,
            "description": "seconds in which a delivery is repeated until it arrives",
        },
    },
    "required": ["url", "secret"],
    "additionalProperties": False,
}


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """One event on its way to one address. `deadline` is an instant of the monotonic clock (seconds)."""

    id: str
    event: str
    body: bytes
    url: str
    secret: bytes
    deadline: float


class NotDeliveredError(Exception):
    """The address did not take the delivery; says why, without the address."""


class Webhook:
    """The plugin. It keeps nothing but deliveries that are on their way."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._waiting: deque[Delivery] = deque()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    @hookimpl
    def describe(self) -> Description:
        """What this plugin is."""
        return Description(
            kind="extension",
            name="webhook",
            title="Webhook",
            summary="tells an address of yours what happens: signed, repeated until it arrives",
            config_schema=SCHEMA,
        )

    @hookimpl
    def observe(self, event: Event, config: Mapping[str, Any]) -> None:
        """Put the event on its way, if it is one that was asked for."""
        name = name_of(event)
        if name is None or name not in config["events"]:
            return
        stopped = isinstance(event, RunFinished) and event.status == "stopped"
        delivery = made(name, event, config, now=self._clock.monotonic(), seconds=STOPPED if stopped else None)
        with self._lock:
            if len(self._waiting) >= MOST_WAITING:
                log.warning("webhook: %s is not told: too many deliveries wait", self._waiting.popleft().event)
            self._waiting.append(delivery)
            if self._thread is None:  # no daemon thread: the process ends when the last delivery was made or given up
                self._thread = threading.Thread(target=self._work, name="webhook")
                self._thread.start()

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._thread = None
                    return
                delivery = self._waiting.popleft()
            try:
                deliver(delivery, clock=self._clock)
            except NotDeliveredError as error:
                log.warning("webhook: %s was not delivered: %s", delivery.event, error)


def name_of(event: Event) -> str | None:
    """The name by which `events` selects it; None for one that is not told."""
    return RUNS.get(event.status) if isinstance(event, RunFinished) else OTHERS.get(type(event))


def made(name: str, event: Event, config: Mapping[str, Any], *, now: float, seconds: float | None = None) -> Delivery:
    """The delivery of one event. `now` is the monotonic clock, `seconds` the time that it may take (default:
    `give_up`)."""
    identity = f"msg_{uuid.uuid4().hex}"
    facts = {key: value for key, value in _plain(event).items() if key not in ("connector", "run_id", "at")}
    told = {
        "version": 1,
        "type": name,
        "timestamp": _plain(event.at),
        "connector": event.connector,
        "run_id": event.run_id or None,
        "data": facts,
    }
    return Delivery(
        id=identity,
        event=name,
        body=json.dumps(told, ensure_ascii=True).encode(),
        url=config["url"],
        secret=key_of(config["secret"]),
        deadline=now + min(config["give_up"], seconds or config["give_up"]),
    )


def key_of(secret: str) -> bytes:
    """The bytes that sign: of `whsec_` the base64 behind it, of any other text its UTF-8."""
    if secret.startswith("whsec_"):
        try:
            return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except binascii.Error:
            pass
    return secret.encode()


def signature(secret: bytes, identity: str, timestamp: int, body: bytes) -> str:
    """`v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`."""
    signed = b".".join((identity.encode(), str(timestamp).encode(), body))
    return "v1," + base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()


def deliver(delivery: Delivery, *, clock: Clock) -> int:
    """Post it until it is taken (an answer of 2xx); returns how many attempts it took.

    Repeats after no answer, 408, 429 and 5xx, with growing pauses, until the deadline. Raises `NotDeliveredError` then,
    and at once after any other answer. No redirect is followed, no proxy and no .netrc is used.
    """
    attempt, pause, never = 0, FIRST_PAUSE, threading.Event()
    while True:
        left = delivery.deadline - clock.monotonic()
        if left <= 0:
            raise NotDeliveredError("its time was over before it could be tried")
        attempt += 1
        problem, final = _attempt(delivery, clock, min(ATTEMPT, left))
        if problem is None:
            return attempt
        wait = pause * random.uniform(0.8, 1.2)  # noqa: S311 - jitter is no secret
        if final or clock.monotonic() + wait >= delivery.deadline:
            raise NotDeliveredError(f"{problem}, after {attempt} attempt{'' if attempt == 1 else 's'}")
        clock.wait(wait, never)
        pause = min(LONGEST_PAUSE, pause * 2)


def _attempt(delivery: Delivery, clock: Clock, seconds: float) -> tuple[str | None, bool]:
    """What went wrong (None: nothing), and whether it is final."""
    import requests  # a run without webhooks does not pay for it

    timestamp = int(clock.now().timestamp())
    headers = {
        "Content-Type": "application/json",
        "User-Agent": f"connector-core/{version('connector-core')}",
        "webhook-id": delivery.id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature(delivery.secret, delivery.id, timestamp, delivery.body),
    }
    with requests.Session() as session:
        session.trust_env = False
        try:
            with session.post(
                delivery.url, data=delivery.body, headers=headers, timeout=seconds, allow_redirects=False, stream=True
            ) as answer:
                status = answer.status_code
        except requests.RequestException as error:
            return f"no answer ({type(error).__name__})", False  # its text would show the address
    if 200 <= status < 300:
        return None, True
    return f"status {status}", status not in (408, 429) and status < 500


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


webhook = Webhook()
