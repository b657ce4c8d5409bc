"""Who asks: OAuth 1.0a signatures really verified (RFC 5849), and Basic where it is switched on."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Final
from urllib.parse import quote, unquote

from oauthlib.oauth1.rfc5849 import signature  # type: ignore[import-untyped]  # it ships no types
from oauthlib.oauth1.rfc5849.utils import parse_authorization_header  # type: ignore[import-untyped]

from .settings import Settings


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """Of the one API application and its one access token; ``email`` and ``password`` of the agent for Basic. The key
    of an OAuth client in requests_oauthlib is ``client_key=key, client_secret=secret, resource_owner_key=token,
    resource_owner_secret=token_secret``."""

    key: str
    secret: str
    token: str
    token_secret: str
    email: str
    password: str


@dataclass(frozen=True, kw_only=True)
class Call:
    """What is signed: the method, the whole URL as the client sent it, the headers (names in lower case) and a form
    body."""

    method: str
    url: str
    query: str
    headers: Mapping[str, str]
    form: str = ""


class RefusedError(Exception):
    """The credentials do not hold; the text says why, for the ledger only."""


CANARY: Final = "5eedcafe5eed"
"""How every drawn credential begins: who finds it in a log, a table or a file has found a leak."""


def credentials(settings: Settings) -> Credentials:
    """The configured credentials, the missing ones drawn from the seed."""
    rng = Random(f"credentials {settings.seed}")
    drawn = [f"{CANARY}{rng.getrandbits(80):020x}" for _ in range(5)]
    given = (settings.key, settings.secret, settings.token, settings.token_secret)
    key, secret, token, token_secret = (text or new for text, new in zip(given, drawn, strict=False))
    return Credentials(
        key=key,
        secret=secret,
        token=token,
        token_secret=token_secret,
        email="owner@acme.example.test",
        password=drawn[4],
    )


class Gate:
    """Lets requests in that carry valid credentials, each nonce once."""

    def __init__(self, known: Credentials) -> None:
        self._known = known
        self._signing_key = f"{quote(known.secret, safe='~')}&{quote(known.token_secret, safe='~')}"
        self._nonces: set[tuple[int, str]] = set()
        self._order: deque[tuple[float, tuple[int, str]]] = deque()

    def admit(self, call: Call, settings: Settings, now: float) -> str | None:
        """The nonce (None for Basic). Raises RefusedError."""
        header = call.headers.get("authorization", "")
        scheme = header.partition(" ")[0].lower()
        if scheme == "basic" and "BASIC" in settings.auth:
            self._basic(header)
            return None
        if scheme != "oauth":
            raise RefusedError("no OAuth header" if not header else f"scheme {scheme} is not accepted")
        try:
            given = {name: unquote(value) for name, value in parse_authorization_header(header)}
        except ValueError as error:
            raise RefusedError(f"header: {error}") from error
        self._parties(given)
        method = given.get("oauth_signature_method", "")
        if method not in settings.auth:
            raise RefusedError(f"signature method {method!r} is not accepted")
        stamped = self._timestamp(given, settings, now)
        expected = self._signing_key if method == "PLAINTEXT" else self._signature(call, header)
        if not hmac.compare_digest(expected.encode(), given.get("oauth_signature", "").encode()):
            raise RefusedError("bad signature")
        nonce: str = given.get("oauth_nonce", "")
        self._once((stamped, nonce), settings, now)
        return nonce

    def _basic(self, header: str) -> None:
        try:
            text = base64.b64decode(header.partition(" ")[2], validate=True)
        except binascii.Error as error:
            raise RefusedError(f"basic: {error}") from error
        if not hmac.compare_digest(text, f"{self._known.email}:{self._known.password}".encode()):
            raise RefusedError("wrong e-mail or password")

    def _parties(self, given: Mapping[str, str]) -> None:
        if not hmac.compare_digest(given.get("oauth_consumer_key", "").encode(), self._known.key.encode()):
            raise RefusedError("unknown consumer key")
        if not hmac.compare_digest(given.get("oauth_token", "").encode(), self._known.token.encode()):
            raise RefusedError("unknown token")
        if given.get("oauth_version", "1.0") != "1.0":
            raise RefusedError("oauth_version is not 1.0")

    def _timestamp(self, given: Mapping[str, str], settings: Settings, now: float) -> int:
        text = given.get("oauth_timestamp", "")
        if not (text.isascii() and text.isdigit()):
            raise RefusedError(f"timestamp {text!r} is no number")
        if abs(int(text) - now) > settings.oauth_window:
            raise RefusedError(f"timestamp {text} is {int(text) - now:+.0f} s off the clock")
        return int(text)

    def _signature(self, call: Call, header: str) -> str:
        try:
            parameters = signature.collect_parameters(
                uri_query=call.query, body=call.form, headers={"Authorization": header}
            )
            base = signature.signature_base_string(
                call.method, signature.base_string_uri(call.url), signature.normalize_parameters(parameters)
            )
        except ValueError as error:
            raise RefusedError(f"request cannot be signed: {error}") from error
        digest = hmac.new(self._signing_key.encode(), base.encode(), "sha1").digest()
        return binascii.b2a_base64(digest, newline=False).decode()

    def _once(self, seen: tuple[int, str], settings: Settings, now: float) -> None:
        if not seen[1]:
            raise RefusedError("no nonce")
        while self._order and self._order[0][0] < now - 2 * settings.oauth_window - 1:
            self._nonces.discard(self._order.popleft()[1])
        if seen in self._nonces:
            raise RefusedError("nonce was used before")
        self._nonces.add(seen)
        self._order.append((now, seen))
