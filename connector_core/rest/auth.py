"""How a source proves who asks: each scheme names the settings of the configuration that hold its credentials."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from requests import PreparedRequest
from requests.auth import AuthBase, HTTPBasicAuth

from connector_core.errors import AuthError, ConfigError, RetryableError
from connector_core.parse import UnreadablePage, page

if TYPE_CHECKING:
    from connector_core.rest.transport import Answer

Post = Callable[[str, Mapping[str, str], AuthBase], "Answer"]
"""Sends a form to an address with these credentials and gives the answer, whatever its status below 500 but 429."""


@runtime_checkable
class Auth(Protocol):
    """A way to sign requests. `settings` are the configuration's names that a person has to renew when it is refused,
    `hidden` the query parameters whose values no message may show."""

    @property
    def settings(self) -> tuple[str, ...]: ...

    @property
    def hidden(self) -> tuple[str, ...]: ...

    def signer(self, config: Mapping[str, Any], post: Post) -> Signer:
        """What signs the requests of one client."""


@dataclass(frozen=True, kw_only=True)
class Signer:
    """Signs each request anew. `renew` is told with what a refused request was signed, and says whether signing it
    again may help."""

    sign: Callable[[], AuthBase | None]
    renew: Callable[[AuthBase | None], bool] = lambda refused: False


_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def _named(auth: object, *settings: str) -> None:
    """Raises ValueError for a scheme that does not name the settings with its credentials."""
    for field in settings:
        value = getattr(auth, field)
        if not isinstance(value, str) or not value.isidentifier():
            raise ValueError(
                f"{type(auth).__name__}: {field} must be the name of a setting (letters, digits, _), not the credential"
            )  # nor is it shown: it may be one


def _secret(config: Mapping[str, Any], setting: str) -> str:
    value = config.get(setting)
    if value is None or value == "":
        raise ConfigError(
            f"the setting {setting!r} is missing", hint="the source needs it to prove who asks", code="missing_secret"
        )
    text = str(value)
    if not text.isprintable():
        raise ConfigError(f"the setting {setting!r} holds a line break or another control character", code="bad_secret")
    return text


def _header_secret(config: Mapping[str, Any], setting: str) -> str:
    text = _secret(config, setting)
    if not text.isascii():
        raise ConfigError(f"the setting {setting!r} holds a character that no HTTP header can carry", code="bad_secret")
    return text


@dataclass(frozen=True, kw_only=True)
class OAuth1:
    """OAuth 1.0a with HMAC-SHA1 in the Authorization header (RFC 5849), a new nonce for every request. The values are
    names of settings."""

    key: str = "key"
    secret: str = "secret"  # noqa: S105 - the name of a setting
    token: str = "token"  # noqa: S105
    token_secret: str = "token_secret"  # noqa: S105
    hidden = ()

    def __post_init__(self) -> None:
        _named(self, "key", "secret", "token", "token_secret")

    @property
    def settings(self) -> tuple[str, ...]:
        """The four settings."""
        return (self.key, self.secret, self.token, self.token_secret)

    def signer(self, config: Mapping[str, Any], post: Post) -> Signer:
        """One signer for all threads: it keeps no state between requests."""
        from requests_oauthlib import OAuth1 as Signing  # 30 ms that only sources with OAuth 1.0a pay

        oauth = Signing(*(_secret(config, name) for name in self.settings))
        return Signer(sign=lambda: oauth)


@dataclass(frozen=True, kw_only=True)
class Basic:
    """User and password in the Authorization header (RFC 7617). The values are names of settings."""

    user: str = "user"
    password: str = "password"  # noqa: S105 - the name of a setting
    hidden = ()

    def __post_init__(self) -> None:
        _named(self, "user", "password")

    @property
    def settings(self) -> tuple[str, ...]:
        """The two settings."""
        return (self.user, self.password)

    def signer(self, config: Mapping[str, Any], post: Post) -> Signer:
        """The same header each time, in UTF-8."""
        basic = HTTPBasicAuth(*(_secret(config, name).encode() for name in self.settings))
        return Signer(sign=lambda: basic)


class _Header(AuthBase):
    def __init__(self, name: str, value: str) -> None:
        self._name, self._value = name, value

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        request.headers[self._name] = self._value
        return request


class _Query(AuthBase):
    def __init__(self, name: str, value: str) -> None:
        self._name, self._value = name, value

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        parts = urlsplit(request.url or "")
        pairs = [pair for pair in parse_qsl(parts.query, keep_blank_values=True) if pair[0] != self._name]
        request.url = urlunsplit(parts._replace(query=urlencode([*pairs, (self._name, self._value)])))
        return request


@dataclass(frozen=True)
class Bearer:
    """A token in the Authorization header (RFC 6750); `token` is the name of its setting."""

    token: str = "token"  # noqa: S105 - the name of a setting
    hidden = ()

    def __post_init__(self) -> None:
        _named(self, "token")

    @property
    def settings(self) -> tuple[str, ...]:
        """The one setting."""
        return (self.token,)

    def signer(self, config: Mapping[str, Any], post: Post) -> Signer:
        """The same header each time."""
        header = _Header("Authorization", f"Bearer {_header_secret(config, self.token)}")
        return Signer(sign=lambda: header)


@dataclass(frozen=True, kw_only=True)
class HeaderKey:
    """A key in a header called `name`; `key` is the name of its setting."""

    name: str
    key: str = "key"
    hidden = ()

    def __post_init__(self) -> None:
        _named(self, "key")
        if not _TOKEN.fullmatch(self.name):
            raise ValueError(f"HeaderKey: {self.name!r} cannot be the name of a header")

    @property
    def settings(self) -> tuple[str, ...]:
        """The one setting."""
        return (self.key,)

    def signer(self, config: Mapping[str, Any], post: Post) -> Signer:
        """The same header each time."""
        header = _Header(self.name, _header_secret(config, self.key))
        return Signer(sign=lambda: header)


@dataclass(frozen=True, kw_only=True)
class QueryKey:
    """A key in the query parameter `name`; `key` is the name of its setting. Only for sources that know nothing better:
    servers log queries."""

    name: str
    key: str = "key"

    def __post_init__(self) -> None:
        _named(self, "key")
        if not self.name:
            raise ValueError("QueryKey: it needs the name of a parameter")

    @property
    def settings(self) -> tuple[str, ...]:
        """The one setting."""
        return (self.key,)

    @property
    def hidden(self) -> tuple[str, ...]:
        """The parameter itself."""
        return (self.name,)

    def signer(self, config: Mapping[str, Any], post: Post) -> Signer:
        """The same parameter each time."""
        query = _Query(self.name, _secret(config, self.key))
        return Signer(sign=lambda: query)


@dataclass(frozen=True, kw_only=True)
class ClientCredentials:
    """OAuth 2 client credentials (RFC 6749 section 4.4): a token is fetched from `token_url` when one is needed and
    again before it expires, or once when it is refused. `client_id` and `client_secret` are names of settings;
    `token_url` may be a template over the configuration.
    """

    token_url: str
    client_id: str = "client_id"
    client_secret: str = "client_secret"  # noqa: S105 - the name of a setting
    scope: str = ""
    hidden = ()

    def __post_init__(self) -> None:
        _named(self, "client_id", "client_secret")

    @property
    def settings(self) -> tuple[str, ...]:
        """The two settings."""
        return (self.client_id, self.client_secret)

    def signer(self, config: Mapping[str, Any], post: Post) -> Signer:
        """One token for all threads, fetched by the first one that needs it."""
        basic = HTTPBasicAuth(*(_secret(config, name).encode() for name in self.settings))
        url = self.token_url.format_map(config)
        form = {"grant_type": "client_credentials", **({"scope": self.scope} if self.scope else {})}
        tokens = _Tokens(lambda: post(url, form, basic), self.settings)
        return Signer(sign=tokens.current, renew=tokens.renew)


class _Tokens:
    """The present token of one client."""

    EARLY = 30.0  # seconds before its end at which a token is not used any more

    def __init__(self, fetch: Callable[[], Answer], settings: tuple[str, ...]) -> None:
        self._fetch, self._settings = fetch, settings
        self._lock = threading.Lock()
        self._header: _Header | None = None
        self._until = 0.0

    def current(self) -> AuthBase:
        """The header with a token that holds, fetched if there is none."""
        with self._lock:
            if self._header is None or time.monotonic() >= self._until:
                self._header, self._until = self._fresh()
            return self._header

    def renew(self, refused: AuthBase | None) -> bool:
        """This token was refused: the next request gets another one."""
        with self._lock:
            if self._header is refused:
                self._header = None
        return True

    def _fresh(self) -> tuple[_Header, float]:
        answer = self._fetch()
        if answer.status in (400, 401, 403):
            names = " and ".join(self._settings)
            raise AuthError(
                "credentials refused: no token for them", hint=f"renew {names} in the connector's configuration"
            )
        try:
            document = page(answer.body)
            token, lasts = document["access_token"], document.get("expires_in")
        except (UnreadablePage, KeyError, TypeError, AttributeError):
            raise RetryableError("the token endpoint's answer holds no access_token", code="no_token") from None
        if not isinstance(token, str) or not token.isprintable():
            raise RetryableError("the token endpoint's access_token is not text", code="no_token")
        seconds = float(lasts) if isinstance(lasts, int | float) and not isinstance(lasts, bool) else 3600.0
        return _Header("Authorization", f"Bearer {token}"), time.monotonic() + max(1.0, seconds - self.EARLY)
