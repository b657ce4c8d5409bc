"""Which addresses may be asked: the configured site and nothing else, whatever a body or a redirect says."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Collection
from functools import lru_cache
from urllib.parse import SplitResult, parse_qsl, quote, urlencode, urljoin, urlsplit, urlunsplit

from connector_core.errors import ConfigError, Place, SourceError

_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(?:\.(?!-)[a-z0-9_-]{1,63}(?<!-))*")
_UNSAFE = re.compile(r"[\x00-\x20\x7f\\]")  # urlsplit drops some of these silently, other readers do not
_SECRET = re.compile(r"key|token|secret|passw|sig|auth|credential|session", re.IGNORECASE)


def is_loopback(host: str) -> bool:
    """Whether a host name or address stays on this machine."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


@lru_cache(maxsize=32)  # each address is looked at several times on its way
def origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port of an absolute http(s) address. ValueError where it is none, or carries a user."""
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname or parts.username is not None or parts.password is not None:
        raise ValueError("not a plain http(s) address")
    return parts.scheme, parts.hostname.rstrip("."), parts.port or _PORTS[parts.scheme]


def site(url: str, *, setting: str = "site_url", path: bool = False) -> str:
    """A configured address in its one spelling: scheme, lower-case host, port unless it is the usual one, no slash at
    the end.

    A missing scheme is https. http is for loopback only. A path is kept where `path` allows one. Raises `ConfigError`
    that names `setting` for anything else: query, fragment, user, other schemes, and link-local hosts (they serve a
    cloud's credentials).
    """

    def refuse(why: str) -> ConfigError:
        return ConfigError(f"{setting}: {why}", hint="write it like https://acme.example.com", code="site_url")

    text = url.strip()
    if not text or _UNSAFE.search(text):
        raise refuse("the address is empty or holds blanks, control characters or a backslash")
    if "://" not in text:
        text = f"https://{text}"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise refuse(f"this is not an address: {error}") from None
    if parts.scheme.lower() not in _PORTS:
        raise refuse(f"{parts.scheme!r} is not https")
    if "@" in parts.netloc:
        raise refuse("the address must not carry a user or a password")
    if "?" in text or "#" in text:
        raise refuse("the address must not carry a query or a fragment")
    if parts.path.strip("/") and not path:
        raise refuse(f"the address must not carry a path ({parts.path})")
    if ".." in parts.path.split("/"):
        raise refuse("the path must not climb")
    host = _host(parts, refuse)
    if parts.scheme == "http" and not is_loopback(host):
        raise refuse("http would send the credentials readable to everybody on the way; only https is allowed")
    shown = f"[{host}]" if ":" in host else host
    explicit = "" if port is None or port == _PORTS[parts.scheme] else f":{port}"
    return f"{parts.scheme}://{shown}{explicit}{parts.path.rstrip('/') if path else ''}"


def _host(parts: SplitResult, refuse: Callable[[str], ConfigError]) -> str:
    host = (parts.hostname or "").removesuffix(".")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        try:
            host = host.encode("idna").decode("ascii").lower()
        except UnicodeError:
            host = ""
        if not _HOST.fullmatch(host):
            raise refuse("the address has no proper host name") from None
    else:
        if address.is_link_local or address.is_multicast or address.is_unspecified:
            raise refuse(f"{host} is no host of a site")
        host = address.compressed
    return host


def within(base: str, link: object, *, asked: str) -> str:
    """The absolute address of `link`, met in an answer to `asked`, if it stays on the site of `base`.

    Relative links are joined with `asked` (facts/desk_api.md section 2: hrefs are relative to the host). Raises
    `SourceError` (code foreign_origin) for another scheme, host or port, `//host`, a user, blanks, control characters
    and backslashes: nothing has been contacted then.
    """
    why = "it is not text"
    if isinstance(link, str):
        why = "it holds blanks, control characters or a backslash"
        if link and not _UNSAFE.search(link):
            why = "it leads to another origin"
            try:
                if not link.startswith("//"):
                    target = urljoin(asked, link)
                    if origin(target) == origin(base):
                        return urlunsplit(urlsplit(target)._replace(fragment=""))
            except ValueError:
                why = "it is not a plain http(s) address"
    shown = quote(str(link)[:120], safe=":/?&=@[].,;%-_~")
    raise SourceError(
        f"the source names an address that must not be followed: {redacted(shown)}: {why}",
        hint=f"nothing was sent there, only {'://'.join(origin(base)[:2])} is asked; did the site move?",
        place=Place(url=redacted(asked)),
        code="foreign_origin",
    )


def redacted(url: str, secrets: Collection[str] = ()) -> str:
    """An address for people: no user, and `***` for the values of parameters that are named in `secrets` or sound like
    secrets."""
    try:
        parts = urlsplit(url)
        netloc = parts.netloc.rpartition("@")[2]
        pairs = parse_qsl(parts.query, keep_blank_values=True)
    except ValueError:
        return "(unreadable address)"
    shown = [(name, "***" if name in secrets or _SECRET.search(name) else value) for name, value in pairs]
    return urlunsplit(parts._replace(netloc=netloc, query=urlencode(shown, safe="*:/,"), fragment=""))


def without(url: str, names: Collection[str]) -> str:
    """The address without parameters of these names: what a source repeats in its links is signed anew anyway."""
    parts = urlsplit(url)
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    if not any(name in names for name, _ in pairs):
        return url
    return urlunsplit(parts._replace(query=urlencode([pair for pair in pairs if pair[0] not in names])))


@lru_cache(maxsize=32)
def canonical(url: str) -> str:
    """The same address with its parameters sorted: two spellings of one request are equal."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(query=urlencode(sorted(parse_qsl(parts.query, keep_blank_values=True)))))
