"""Answers of a real API kept as small files, and a server that plays them: what a contract or a run needs offline."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

import requests
from requests.auth import AuthBase

from connector_core.clock import SystemClock
from connector_core.redact import redactor
from connector_core.rest.transport import retry_after
from connector_core.testing.faults import FaultFront, Request, Response
from connector_core.testing.faults.pages import dump, load
from connector_core.testing.scrubbing import HOLDER, Scrubber
from connector_core.testing.tape import (
    RECORD,
    SITE,
    Exchange,
    RecordingError,
    Tape,
    body_of,
    each_text,
    files,
    read,
    slug,
    split,
)

_TOLD = re.compile(r"content-type|date|link|location|retry-after|.*(rate|limit|page|total|count|next|cursor).*")
_PATIENCE: Final = 30.0  # seconds that a 429 of the real API is waited for, once
_TELLING: Final = 12  # characters; a shorter secret that was not configured may be a word like others
_DEADLINE: Final = 120.0  # seconds for one answer of the real API


@dataclass(frozen=True, kw_only=True)
class Recording:
    """Where answers of a real API are kept, and what of them must not be.

    `folder` holds a file for each request. `site` is the API's origin, `https://api.example.com`; `others` are further
    origins by the path below which the source finds them, `{"/login": "https://login.example.com"}`. `personal` are
    names of properties whose values, and all within them, are replaced; `secret` are further names of properties and
    parameters that hold secrets, beside those that sound so. `ignored` are parameters that differ in each run, such as
    a time stamp: requests are told apart without them. `headers` are further headers of answers to keep. `edit` may
    shorten a JSON document before the source sees it: it changes it in place.
    """

    folder: Path
    site: str
    others: Mapping[str, str] = field(default_factory=dict)
    personal: Collection[str] = ()
    secret: Collection[str] = ()
    ignored: Collection[str] = ()
    headers: Collection[str] = ()
    edit: Callable[[Any], object] | None = None

    def server(self) -> FaultFront:
        """What plays the recording, or makes it where the environment says CONNECTOR_CORE_RECORD=1."""
        return Recorder(self) if os.environ.get(RECORD) == "1" else Playback(self.folder)


class Playback(FaultFront):
    """Plays a recording on 127.0.0.1; a request that is not in it is answered with 400 and says so. Use it as a context
    manager. Raises `RecordingError` for a folder without a recording."""

    def __init__(self, folder: Path) -> None:
        super().__init__(None, respond=self._answer)
        self._tape = read(folder)

    def _answer(self, request: Request) -> Response:
        exchange = self._tape.find(request.method, request.target, body_of(request))
        alike = self._tape.of(request.method, request.target)
        if exchange is None and len(alike) == 1:  # its body may hold a time stamp, or credentials
            (exchange,) = alike
        if exchange is None:
            return Response.of_json({"message": f"not recorded: {request.line}; record again"}, status=400)
        return exchange.answer(request.header("Host") or "")


class Recorder(FaultFront):
    """Stands on 127.0.0.1 for a real API, asks it, and keeps what it answered, scrubbed, for `Playback`.

    The source sees the scrubbed answers; what was taken out of them is put back into its requests on their way. Each
    request reaches the API once: the same again is answered from memory. Answers that ask for another try (408, 425,
    429, 5xx) are passed on and not kept. Use it as a context manager: leaving it writes the files, in place of those of
    an earlier recording, or raises `RecordingError` and writes nothing when a known secret is still in them.
    """

    def __init__(self, recording: Recording) -> None:
        super().__init__(None, respond=self._answer)
        for one in (recording.site, *recording.others.values()):
            parts = urlsplit(one)
            if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/") or parts.query:
                raise RecordingError(f"site must be an origin like https://api.example.com, not {one!r}")
        self._recording = recording
        self._origins = {path: one.rstrip("/") for path, one in (*recording.others.items(), ("", recording.site))}
        self._scrubber = Scrubber(secret=recording.secret, personal=recording.personal)
        self._tape = Tape(ignored=set(recording.ignored))
        self._configured: set[str] = set()
        self._sign: Callable[[], AuthBase | None] = lambda: None
        self._session = requests.Session()
        self._session.trust_env = False
        self._asking = threading.Lock()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        self._session.close()
        if error is None:
            self.write()

    def know(self, secrets: Collection[str], sign: Callable[[], AuthBase | None] | None = None) -> None:
        """The values that must not be written. `sign` signs each request anew where its signature covers the address
        of the API (OAuth 1.0a), which the source does not know."""
        with self._asking:
            self._scrubber.hide(secrets)
            self._configured |= {secret for secret in secrets if secret}
            self._sign = sign or self._sign

    def write(self) -> None:
        """Write the files; see the class."""
        exchanges = [one.scrubbed(self._scrubber) for one in self._tape.exchanges]
        about = {"version": 1, "ignored": sorted(self._tape.ignored)}
        texts = {"recording.json": dump(about, indent=1).decode() + "\n"}
        hide = redactor(self._configured | {secret for secret in self._scrubber.secrets if len(secret) >= _TELLING})
        for number, exchange in enumerate(exchanges, 1):
            text = dump(exchange.told(), indent=1).decode() + "\n"
            shown = f"{exchange.method} {exchange.target}"
            if hide(text) != text or (exchange.kind == "base64" and _holds(exchange.body, hide)):
                raise RecordingError(
                    f"a secret is still in the answer to {hide(shown)}; nothing was written: name the property that "
                    "holds it in `secret`, or take it out with `edit`"
                )
            texts[f"{number:03}-{slug(exchange.target)}.json"] = text
        if not exchanges:
            raise RecordingError(f"nothing was asked of {self._recording.site}; nothing was written")
        folder = self._recording.folder
        folder.mkdir(parents=True, exist_ok=True)
        for old in files(folder):
            old.unlink()
        for name, text in texts.items():
            (folder / name).write_text(text)

    def _answer(self, request: Request) -> Response:
        host = request.header("Host") or ""
        with self._asking:
            self._learn(request)
            target, sent = self._told(request.target), body_of(request)
            exchange = self._tape.find(request.method, target, sent)
            if exchange is None:
                answer = self._asked(request)
                exchange = self._kept(request.method, target, sent, answer)
                if answer.status_code not in (408, 425, 429) and answer.status_code < 500:
                    self._tape.exchanges.append(exchange)
            return exchange.answer(host)

    def _learn(self, request: Request) -> None:
        """Learn the secrets of a request's headers, which are not kept, but may be told by an answer."""
        for name, value in request.headers:
            if self._scrubber.is_secret(name):
                self._scrubber.hide(_credentials(self._scrubber.restored(value)))

    def _told(self, target: str) -> str:
        """The request's target without what proves who asks; parameters with these names are ignored from now on."""
        path, pairs = split(target)
        kept = [pair for pair in pairs if not self._proves(*pair)]
        self._tape.ignored |= {name for name, _ in pairs if name not in dict(kept)}
        return f"{path}?{urlencode(kept)}" if kept else path

    def _proves(self, name: str, value: str) -> bool:
        if not value or HOLDER.fullmatch(value):  # a page's token, as an answer told it
            return False
        return name.startswith("oauth_") or self._scrubber.is_secret(name) or value in self._configured

    def _asked(self, request: Request) -> requests.Response:
        """The real API's answer."""
        restored = self._scrubber.restored
        usual = ("host", "connection", "content-length", "accept-encoding", "transfer-encoding")
        headers = {name: restored(value) for name, value in request.headers if name.lower() not in usual}
        sign = self._sign()
        if sign is not None:
            headers = {name: value for name, value in headers.items() if name.lower() != "authorization"}
        write = _in_json if request.body[:1] in (b"{", b"[") else _quoted
        body = restored(request.body.decode("latin-1"), write).encode() or None
        target = restored(request.target, _quoted)
        path = next(path for path in self._origins if target.startswith(f"{path}/"))
        for last in (False, True):
            answer = self._session.request(
                request.method, self._origins[path] + target[len(path) :], headers=headers, data=body, auth=sign,
                allow_redirects=False, timeout=_DEADLINE,
            )  # fmt: skip
            if answer.status_code != 429 or last:
                break
            time.sleep(min(_PATIENCE, retry_after(answer.headers.get("Retry-After"), SystemClock().now()) or 1.0))
        self._scrubber.hide(filter(_is_telling, answer.cookies.values()))
        self._session.cookies.clear()
        return answer

    def _kept(self, method: str, target: str, sent: str, answer: requests.Response) -> Exchange:
        kind, body = _read(answer.content)
        if kind == "json":
            if self._recording.edit is not None:
                self._recording.edit(body)
            body = self._scrubber.document(each_text(body, self._placed))
        elif kind == "text":
            body = self._scrubber.text(self._placed(body))
        wanted = {name.lower() for name in self._recording.headers}
        headers = {
            name: self._scrubber.document(self._placed(value), name)
            for name, value in answer.headers.items()
            if name.lower() in wanted or _TOLD.fullmatch(name.lower())
        }
        return Exchange(
            method=method, target=target, sent=sent, status=answer.status_code, headers=headers, kind=kind, body=body
        )

    def _placed(self, text: str) -> str:
        for path, origin in self._origins.items():
            text = text.replace(origin, SITE + path)
        return text


def _read(content: bytes) -> tuple[str, Any]:
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return "base64", base64.b64encode(content).decode()
    try:
        return "json", load(content)
    except (ValueError, RecursionError):
        return "text", text


def _credentials(value: str) -> Iterator[str]:
    """What of a header is secret: after the scheme, within Basic, or each of several values. Those of OAuth 1.0a but
    the configured ones are new each time."""
    scheme, _, rest = value.partition(" ")
    if scheme.lower() == "oauth":
        return
    if scheme.lower() == "basic":
        with contextlib.suppress(ValueError):
            yield from filter(_is_telling, base64.b64decode(rest).decode("utf-8", "replace").split(":", 1))
    yield from filter(_is_telling, re.findall(r'="?([^"\s;,]+)', value) or [rest or value])


def _is_telling(value: str | None) -> bool:
    return value is not None and len(value) >= 6 and not value.isdecimal()


def _quoted(text: str) -> str:
    return quote(text, safe="")


def _in_json(text: str) -> str:
    return json.dumps(text)[1:-1]


def _holds(packed: str, hide: Callable[[str], str]) -> bool:
    text = base64.b64decode(packed).decode("latin-1")
    return hide(text) != text
