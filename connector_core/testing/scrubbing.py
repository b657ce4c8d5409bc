"""Takes what nobody may read out of recorded answers, and puts it back into the requests that are made with them."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from decimal import Decimal
from itertools import pairwise
from typing import Any
from urllib.parse import unquote

_WORDS = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])")
_SECRET = frozenset(
    {
        "apikey",
        "auth",
        "authorization",
        "bearer",
        "cookie",
        "credential",
        "credentials",
        "csrf",
        "jwt",
        "nonce",
        "otp",
        "passphrase",
        "passwd",
        "password",
        "pwd",
        "secret",
        "session",
        "sig",
        "signature",
        "token",
        "tokens",
    }
)
_KEYS = frozenset({"access", "api", "private", "secret", "client", "signing", "subscription"})
_PARAMETER = re.compile(r"[?&;]([^=&?#\s]+)=([^&#\s\"'<>]+)")
_BARE = re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]+|(?<=[Bb]earer )[\w.~+/-]{6,}=*")
_DIGIT = re.compile(r"\d")
_INSTANT = re.compile(r"\d{4}-\d\d-\d\d(?=[T ]\d\d:\d\d|$)")
_LONG = 8  # characters; a shorter text is only replaced where it stands alone

HOLDER = re.compile(r"scrubbed-\d+")
"""What stands for a value that was taken out: the same for the same value."""


def sounds_secret(name: str) -> bool:
    """Whether a property, parameter or header of this name holds a secret: `access_token`, `apiKey`, `X-Signature`."""
    words = [word.lower() for word in _WORDS.findall(name)]
    pairs = pairwise(words)
    return any(word in _SECRET for word in words) or any(word in _KEYS and after == "key" for word, after in pairs)


class Scrubber:
    """Replaces secrets and personal values by `scrubbed-1`, `scrubbed-2`, ..., always the same for the same value.

    Secret are the values given to `hide`, those of properties and parameters whose names sound like secrets or are in
    `secret`, JSON Web Tokens and bearer tokens. Personal are those of properties named in `personal`, and all within
    them: text becomes a placeholder, a number its number, an instant the first one of 2000. A value with letters that
    was met once is replaced wherever it stands in a text.
    """

    def __init__(self, *, secret: Collection[str] = (), personal: Collection[str] = ()) -> None:
        self._secret = {name.lower() for name in secret}
        self._personal = {name.lower() for name in personal}
        self._holders: dict[str, str] = {}
        self._values: dict[str, str] = {}
        self._spread: set[str] = set()
        self._patterns: tuple[re.Pattern[str], re.Pattern[str]] | None = None
        self.secrets: set[str] = set()

    def hide(self, values: Iterable[str]) -> None:
        """These are secrets."""
        for value in values:
            if value and value not in self.secrets:
                self.secrets.add(value)
                self._holder(value, spread=True)

    def is_secret(self, name: str) -> bool:
        """Whether what is called so is secret."""
        return name.lower() in self._secret or sounds_secret(name)

    def document(self, value: Any, name: str = "") -> Any:
        """A JSON value, which may belong to a property called `name`, without them."""
        if name.lower() in self._personal:
            return self._within(value)
        if isinstance(value, dict):
            return {inner: self.document(one, inner) for inner, one in value.items()}
        if isinstance(value, list):
            return [self.document(one, name) for one in value]
        if not isinstance(value, str):
            return value
        if self.is_secret(name) and value and not value.isdecimal() and not HOLDER.fullmatch(value):
            self.secrets.add(value)
            return self._holder(value)
        return self.text(value)

    def text(self, text: str, *, long: bool = False) -> str:
        """A text without them; of personal values only the `long` ones, if it says so."""
        for name, value in _PARAMETER.findall(text):
            if (self.is_secret(name) or name == "key") and not value.isdecimal() and not HOLDER.fullmatch(value):
                self.secrets.add(value)
                self._values[self._holder(value, spread=True)] = unquote(value)
        self.hide(value for value in _BARE.findall(text) if not HOLDER.fullmatch(value))
        if self._patterns is None:
            ordered = sorted(self._spread, key=len, reverse=True)
            most = [value for value in ordered if len(value) >= _LONG or value in self.secrets]
            self._patterns = _any_of(ordered), _any_of(most)
        return self._patterns[long].sub(lambda found: self._holders[found[0]], text)

    def restored(self, text: str, write: Callable[[str], str] = str) -> str:
        """The text with the values that the placeholders in it stand for, written as the text needs it."""
        return HOLDER.sub(lambda found: write(self._values.get(found[0], found[0])), text)

    def _holder(self, value: str, *, spread: bool = False) -> str:
        if value not in self._holders:
            holder = f"scrubbed-{len(self._holders) + 1}"
            self._holders[value], self._values[holder] = holder, value
        if value not in self._spread and (spread or (len(value) > 2 and any(map(str.isalpha, value)))):
            self._spread.add(value)
            self._patterns = None
        return self._holders[value]

    def _within(self, value: Any) -> Any:
        """A personal value, with all that it holds."""
        if isinstance(value, dict):
            return {name: self._within(one) for name, one in value.items()}
        if isinstance(value, list):
            return [self._within(one) for one in value]
        if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
            return int(self._holder(str(value)).rpartition("-")[2])
        if not isinstance(value, str) or not value or HOLDER.fullmatch(value):
            return value
        dated = _INSTANT.match(value)
        return f"2000-01-01{_DIGIT.sub('0', value[len(dated[0]) :])}" if dated else self._holder(value)


def _any_of(values: Iterable[str]) -> re.Pattern[str]:
    found = [re.escape(v) if len(v) >= _LONG else rf"(?<!\w){re.escape(v)}(?!\w)" for v in values]
    return re.compile("|".join(found) or r"(?!)")
