"""Names of tables and columns: what becomes of a source's property names in a destination.

Identifiers are always quoted, so almost any name may stay as it is. A name that a destination cannot hold gets a new
one that depends only on the name (or, for collisions, on the order of arrival); the destination remembers it in
`_sdc_columns`. Nothing is rejected for its name (facts/fault_catalogue.md B27 to B29).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Container, Iterable
from hashlib import blake2b

from connector_core.tables import Traits

SEPARATOR = "__"
RESERVED_PREFIXES = ("_sdc", "__sdc")
_SUFFIX_ROOM = 4  # "__" and the two letters of a split column's type
_HASH_LETTERS = 8


def identifier(parts: Iterable[str], traits: Traits) -> str:
    """The name for a path: its parts joined by `__`, in the destination's case, short enough to get a split suffix.

    Names that need no change stay as they are, spaces, quotes and all letters included.
    """
    raw = SEPARATOR.join(parts)
    name = "".join("_" if unicodedata.category(c) in ("Cc", "Cs") else c for c in raw)
    changed = name != raw
    name = _folded(name, traits)
    if not name.strip():
        name, changed = "field", True
    if name.lower().startswith(RESERVED_PREFIXES) or _is_reserved(name, traits):
        name = _folded("field", traits) + ("" if name.startswith("_") else "_") + name
    limit = traits.name_bytes - _SUFFIX_ROOM
    if changed or len(name.encode()) > limit:
        name = f"{_cut(name, limit - _HASH_LETTERS - 1)}_{_folded(_digest(raw), traits)}"
    return name


def unique(name: str, taken: Container[str], traits: Traits) -> str:
    """`name`, or `name__2`, `name__3` ... : the first whose `clash_key` is not in `taken`."""
    limit = traits.name_bytes - _SUFFIX_ROOM
    candidate, number = name, 1
    while clash_key(candidate, traits) in taken:
        number += 1
        tail = f"{SEPARATOR}{number}"
        candidate = _cut(name, limit - len(tail)) + tail
    return candidate


def split_name(base: str, suffix: str, taken: Container[str], traits: Traits) -> str:
    """The name of a split column: `base__suffix`, numbered when that is taken."""
    candidate, number = f"{base}{SEPARATOR}{_folded(suffix, traits)}", 1
    while clash_key(candidate, traits) in taken:
        number += 1
        tail = f"{SEPARATOR}{number}{SEPARATOR}{_folded(suffix, traits)}"
        candidate = _cut(base, traits.name_bytes - len(tail)) + tail
    return candidate


def clash_key(name: str, traits: Traits) -> str:
    """What two names must not have in common: the name itself, or its folded form where case does not count.

    Composed and decomposed accents count as one letter everywhere, as many tools normalise what they print.
    """
    key = unicodedata.normalize("NFC", name)
    return key if traits.case_sensitive else key.casefold()


def _is_reserved(name: str, traits: Traits) -> bool:
    key = clash_key(name, traits)
    return any(key == clash_key(reserved, traits) for reserved in traits.reserved)


def _folded(name: str, traits: Traits) -> str:
    return {"keep": name, "lower": name.lower(), "upper": name.upper()}[traits.fold]


def _cut(name: str, size: int) -> str:
    """At most `size` bytes of `name` in UTF-8, whole characters."""
    return name.encode()[:size].decode(errors="ignore")


def _digest(raw: str) -> str:
    return blake2b(raw.encode(errors="surrogatepass"), digest_size=_HASH_LETTERS // 2).hexdigest()
