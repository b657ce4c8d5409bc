"""The whole site behind one function: a request in, a reply out; credentials, call budget, scripts and faults around
the endpoints."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import math
import threading
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate
from random import Random
from typing import Any, Final, Literal

from . import dump
from .api import NOT_FOUND, Endpoint, View, route
from .clock import Clock
from .ledger import Ledger, Served
from .limits import Allowance, Window
from .oauth import Call, Gate, RefusedError, credentials
from .pages import Answer, Ask, FailedError, failure
from .record import dumps
from .script import Do, Script, When
from .settings import Settings, is_fixed, unix_seconds
from .site import plan_site
from .store import Store
from .wire import API

HTML: Final = (
    "<html><head><title>{0}</title></head><body><center><h1>{0}</h1></center><hr><center>nginx</center></body></html>"
)
REASONS: Final = {
    500: "500 Internal Server Error",
    502: "502 Bad Gateway",
    503: "503 Service Unavailable",
    504: "504 Gateway Timeout",
}


@dataclass(frozen=True, kw_only=True)
class Incoming:
    """A request as it came: names of headers in lower case, path still percent-encoded."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What goes out. ``delay``: seconds to wait before it; ``silent``: the connection is closed then instead."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    chunked: bool = False
    delay: float = 0.0
    silent: bool = False


class Desk:
    """One site: its data (``store``), what it served (``ledger``), its credentials and switches."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.clock = Clock(lambda: self.settings)
        self.now = unix_seconds(self.clock() if settings.now is None else settings.now)
        self.store = Store(plan_site(settings, self.now), self.clock)
        self.ledger = Ledger()
        self.credentials = credentials(settings)
        self.failures: list[str] = []
        self._gate = Gate(self.credentials)
        self._window = Window()
        self._script = Script()
        self._errors = Random(f"errors {settings.seed}")
        self._churn = Random(f"churn {settings.seed}")
        self._lock = threading.Lock()

    def configure(self, **changes: Any) -> Settings:
        """Change switches while the sandbox serves. ValueError for one that shapes the data, TypeError for an unknown
        one."""
        fixed = [name for name in changes if name in {f.name for f in dataclasses.fields(Settings)} and is_fixed(name)]
        if fixed:
            raise ValueError(f"{', '.join(fixed)} cannot change while the sandbox serves")
        with self._lock:
            self.settings = dataclasses.replace(self.settings, **changes)
            return self.settings

    def advance(self, seconds: float) -> None:
        """Move the site's clock, back with a negative number; the offset stays among the switches."""
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not math.isfinite(seconds):
            raise ValueError(f"seconds must be a number, not {seconds!r}")
        with self._lock:
            self.settings = dataclasses.replace(self.settings, clock_offset=self.settings.clock_offset + seconds)

    def script(
        self,
        *,
        do: Do,
        after_request: int | None = None,
        when: When | None = None,
        times: int | None = 1,
        before: bool = False,
    ) -> None:
        """Change data while somebody pages: ``do(store)`` runs when the answer to a request has been made and before
        the next request is read. Which request: the ``after_request``-th from now on, or the first ``times`` (None:
        all) for which ``when(served)`` is true; it sees number, path, params, resource and, unless ``before``, status
        and entries. ``before``: ``do`` runs before that answer is made. Requests that are refused (401, 429) count and
        are asked about too."""
        self._script.add(after_request=after_request, when=when, do=do, times=times, before=before)

    def clear_script(self) -> None:
        """Forget all steps of the script that have not happened yet."""
        self._script.clear()

    def dump(self) -> dict[str, list[Any]]:
        """All that the site holds now, wire records by resource."""
        with self.store.lock:
            return dump.everything(self.store.data, missing_company=self.settings.company_link == "missing")

    def expected(self) -> dict[str, list[Any]]:
        """What a reader who misses nothing gets from the lists now, wire records by resource."""
        with self.store.lock:
            return dump.listed(self.store.data, missing_company=self.settings.company_link == "missing")

    # --- one request

    def answer(self, incoming: Incoming, served: Served) -> Reply:
        """The reply to an API request. A defect of the sandbox or of a script is kept in ``failures`` and shown as
        500."""
        settings, now = self.settings, self.clock()
        parts = incoming.path.removeprefix(API).strip("/").split("/")
        found = route(parts, settings) if incoming.path.startswith(f"{API}/") else None
        self.ledger.enter(served, found[0] if found else "unknown")
        self._script.arrived()
        try:
            self._play(served, before=True)
            answer, allowance = self._checked(incoming, served, settings, now, found)
            served.status, served.entries, served.remaining = answer.status, answer.entries, allowance.remaining
            reply = self._encoded(answer, allowance, incoming, settings, now)
            served.status = reply.status
            if settings.churn and served.entries is not None:
                self._touch(served, settings)
            self._play(served, before=False)
        except Exception:
            self.failures.append(traceback.format_exc())
            served.status = 500
            allowance = self._window.spend(now, settings.rate_limit, settings.window_seconds, cost=0)
            return self._encoded(failure(500, "Internal Server Error"), allowance, incoming, settings, now)
        return reply

    def _play(self, served: Served, *, before: bool) -> None:
        for do in self._script.due(served, before=before):
            do(self.store)

    def _checked(
        self, incoming: Incoming, served: Served, settings: Settings, now: float, found: tuple[str, Endpoint] | None
    ) -> tuple[Answer, Allowance]:
        form = incoming.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
        call = Call(
            method=incoming.method,
            url=f"http://{incoming.headers.get('host', '')}{incoming.path}",
            query=incoming.query,
            headers=incoming.headers,
            form=incoming.body.decode("latin-1") if form else "",
        )
        try:
            served.nonce = self._gate.admit(call, settings, now)
        except RefusedError as refusal:
            served.reason = str(refusal)
            allowance = self._window.spend(now, settings.rate_limit, settings.window_seconds, cost=0)
            headers = {"WWW-Authenticate": 'Basic realm="desk.com"'}
            return Answer(status=401, document={"message": "Unauthorized"}, headers=headers), allowance
        allowance = self._window.spend(now, settings.rate_limit, settings.window_seconds)
        if not allowance.allowed:
            served.reason = "no calls left in this window"
            return failure(429, "Too Many Requests"), allowance
        fault = self._misfortune(settings)
        if fault:
            served.reason = f"random fault: {fault}"
        if fault == "error":
            return Answer(status=self._errors.choice((500, 502, 503, 504))), allowance
        answer = self._found(incoming, settings, now, found)
        return (dataclasses.replace(answer, broken=fault) if fault else answer), allowance

    def _found(self, incoming: Incoming, settings: Settings, now: float, found: tuple[str, Endpoint] | None) -> Answer:
        if found is None:
            return NOT_FOUND
        if incoming.method != "GET":
            return failure(405, "Method Not Allowed")
        with self.store.lock:
            view = View(data=self.store.data, settings=settings, now=now)
            try:
                return found[1](view, Ask.of(incoming.path.removeprefix(f"{API}/").rstrip("/"), incoming.query))
            except FailedError as failed:
                return failed.answer

    def _misfortune(self, settings: Settings) -> Literal["", "error", "silent", "cut"]:
        """What the shares of the settings make of the next answer."""
        shares: tuple[tuple[Literal["error", "silent", "cut"], float], ...] = (
            ("error", settings.error_share),
            ("silent", settings.timeout_share),
            ("cut", settings.truncated_share),
        )
        if not any(share for _, share in shares):
            return ""
        chance = self._errors.random()
        for name, share in shares:
            if chance < share:
                return name
            chance -= share
        return ""

    def _touch(self, served: Served, settings: Settings) -> None:
        """Update one record of the list that was served, as life goes on while somebody pages."""
        resource = served.resource.removesuffix("_search")
        if resource not in ("cases", "customers") or self._churn.random() >= settings.churn:
            return
        with self.store.lock:
            ids = list(self.store.data.tables[resource])
            if ids:
                update = self.store.update_case if resource == "cases" else self.store.update_customer
                update(self._churn.choice(ids))

    def _encoded(
        self, answer: Answer, allowance: Allowance, incoming: Incoming, settings: Settings, now: float
    ) -> Reply:
        headers = {
            "Server": "nginx",
            "Date": formatdate(int(now), usegmt=True),
            "Content-Type": "application/json; charset=utf-8",
            "Vary": "Accept-Encoding",
            "X-Api-Version": hashlib.blake2b(str(settings.seed).encode(), digest_size=20).hexdigest(),
            **allowance.headers(),
            **answer.headers,
        }
        if answer.status >= 400:
            headers["Cache-Control"] = "no-cache, private" if answer.status == 404 else "no-cache"
        if answer.document is None:
            body = HTML.format(REASONS.get(answer.status, str(answer.status))).encode()
            headers["Content-Type"] = "text/html"
        elif answer.status == 429 and settings.too_many == "text":
            body = b"Too Many Requests"
            headers["Content-Type"] = "text/plain; charset=utf-8"
        else:
            body = dumps(answer.document)
            if settings.escaped_slashes:
                body = body.replace(b"/", b"\\/")
        if answer.broken == "cut":
            body = body[: len(body) // 2]
        status = answer.status
        if answer.tagged:
            headers["ETag"] = f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'
            if incoming.headers.get("if-none-match") == headers["ETag"]:
                status, body = 304, b""
        if settings.gzip and len(body) > 512 and "gzip" in incoming.headers.get("accept-encoding", ""):
            body = gzip.compress(body, 1, mtime=0)
            headers["Content-Encoding"] = "gzip"
        silent = answer.broken == "silent"
        delay = settings.timeout_seconds if silent else settings.latency
        return Reply(status=status, headers=headers, body=body, chunked=settings.chunked, delay=delay, silent=silent)
