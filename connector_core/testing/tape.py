"""A recording as it lies in its folder: a small JSON file for each request and its answer, found again by request."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from connector_core.testing.faults import Request, Response
from connector_core.testing.faults.pages import dump, load
from connector_core.testing.scrubbing import HOLDER, Scrubber

RECORD: Final = "CONNECTOR_CORE_RECORD"
"""The environment variable that has the contract ask the real API and record it."""
SITE: Final = "https://recorded.invalid"
"""Stands in the files for the API's own address; whoever plays them says his."""


class RecordingError(Exception):
    """A recording that cannot be made or played; the text says why."""


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """A request and its answer as they are kept. `body` of the answer is a JSON value, or text, or (binary) base64, as
    `kind` says."""

    method: str
    target: str
    sent: str
    status: int
    headers: Mapping[str, str]
    kind: str
    body: Any

    def answer(self, host: str) -> Response:
        """The answer for a client that knows the API as `host`."""
        url = f"http://{host}"
        if self.kind == "json":
            body = dump(each_text(self.body, lambda text: text.replace(SITE, url)))
        else:
            body = base64.b64decode(self.body) if self.kind == "base64" else self.body.replace(SITE, url).encode()
        headers = tuple((name, text.replace(SITE, url)) for name, text in self.headers.items())
        return Response(status=self.status, headers=headers, body=body)

    def told(self) -> dict[str, Any]:
        """As it stands in its file."""
        asked = {"method": self.method, "target": self.target} | ({"body": self.sent} if self.sent else {})
        return {"request": asked, "response": {"status": self.status, "headers": self.headers, self.kind: self.body}}

    def scrubbed(self, scrubber: Scrubber) -> Exchange:
        """Without values that were met after it was made."""
        return replace(
            self,
            target=scrubber.text(self.target, long=True),
            sent=scrubber.text(self.sent),
            headers={name: scrubber.text(text) for name, text in self.headers.items()},
            body=each_text(self.body, scrubber.text) if self.kind != "base64" else self.body,
        )


@dataclass(kw_only=True)
class Tape:
    """Exchanges by their requests: method, path and parameters in any order, less the `ignored` ones; where several
    have the same, by their bodies."""

    ignored: set[str] = field(default_factory=set)
    exchanges: list[Exchange] = field(default_factory=list)

    def find(self, method: str, target: str, sent: str) -> Exchange | None:
        """The exchange of exactly this request, None where there is none."""
        return next((one for one in self.of(method, target) if one.sent == sent), None)

    def of(self, method: str, target: str) -> list[Exchange]:
        """The exchanges of requests of this target."""
        key = self._key(method, target)
        return [one for one in self.exchanges if self._key(one.method, one.target) == key]

    def _key(self, method: str, target: str) -> tuple[str, str, list[tuple[str, str]]]:
        path, pairs = split(target)
        kept = (pair for pair in pairs if pair[0] not in self.ignored or HOLDER.fullmatch(pair[1]))
        return method, unquote(path), sorted(kept)


def read(folder: Path) -> Tape:
    """The recording in a folder. Raises `RecordingError` where there is none, or a file is none."""
    try:
        tape = Tape(ignored=set(json.loads((folder / "recording.json").read_text())["ignored"]))
    except FileNotFoundError:
        raise RecordingError(f"there is no recording in {folder.name}: run the tests once with {RECORD}=1") from None
    for path in files(folder):
        if path.name != "recording.json":
            try:
                tape.exchanges.append(_exchange(load(path.read_bytes())))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise RecordingError(f"{path.name} is no recorded exchange: {error!r}") from None
    return tape


def _exchange(told: Any) -> Exchange:
    asked, given = told["request"], told["response"]
    (kind,) = given.keys() - {"status", "headers"}
    return Exchange(
        method=asked["method"],
        target=asked["target"],
        sent=asked.get("body", ""),
        status=given["status"],
        headers=given["headers"],
        kind=kind,
        body=given[kind],
    )


def files(folder: Path) -> list[Path]:
    """The files of a recording, in the order in which they were asked for."""
    return sorted([*folder.glob("[0-9][0-9][0-9]*-*.json"), *folder.glob("recording.json")])


def slug(target: str) -> str:
    """What a file is called after its request."""
    return re.sub(r"[^a-z0-9]+", "-", urlsplit(target).path.lower()).strip("-")[-40:].strip("-") or "root"


def split(target: str) -> tuple[str, list[tuple[str, str]]]:
    """Path and parameters of a request's target."""
    path, _, query = target.partition("?")
    return path, parse_qsl(query, keep_blank_values=True)


def body_of(request: Request) -> str:
    """A request's body in one spelling: JSON with sorted properties, a form with sorted fields, or as it is."""
    text = request.body.decode("utf-8", "backslashreplace")
    try:
        return dump(load(request.body), sort_keys=True).decode()
    except ValueError:
        pairs = parse_qsl(text, keep_blank_values=True)
        return urlencode(sorted(pairs)) if pairs else text


def each_text(value: Any, change: Callable[[str], str]) -> Any:
    """A JSON value with every text changed, names of properties excepted."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {name: each_text(one, change) for name, one in value.items()}
    return [each_text(one, change) for one in value] if isinstance(value, list) else value
