"""What a source does to values it does not know: nothing. The front puts them into the API's own pages."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from decimal import Decimal
from typing import Any

from connector_core.streams import Stream
from connector_core.testing.faults import Edit, Fault, FaultFront, Request
from connector_core.testing.faults.pages import Raw, get
from connector_core.testing.sources.reader import SourceReader, objects

HARD_VALUES: tuple[str, ...] = (
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551616",
    "0.1",
    "0.1234567890123456789",
    "12345678901234567.25",
    "1e-7",
    "true",
    "false",
    "null",
    '""',
    '" 1 "',
    '"null"',
    '"0000-00-00"',
    '"2016-02-30T25:61:00Z"',
    '"\\u0000 \\u001b[31m \\u2028 \\u202e"',
    '"\\ud800"',
    '"\\ud83d\\ude00 e\\u0301 \\u00e9 \\ufeff"',
    '"\'; drop table x; -- \\\\ % {0} ${HOME}"',
    json.dumps("long " * 20_000),
    "{}",
    "[]",
    '[[null, {"": [1, "a", {}]}]]',
)
"""Values as JSON text that databases, parsers and templates stumble over."""

HOSTILE_NAMES: tuple[str, ...] = (
    "",
    " ",
    "select",
    'quo"te',
    "a.b",
    "a__b",
    "%s",
    "{0}",
    "\u00dc\u00f1\u00ef \U0001f600",
    "line\nbreak",
    "nul\0",
    "_sdc_sequence",
    "__class__",
    "x" * 300,
)
"""Names of properties that may be anything in JSON."""


_HARD: Mapping[str, str] = {f"hard_{number}": text for number, text in enumerate(HARD_VALUES)}
_HOSTILE: Mapping[str, str] = {name: json.dumps(f"named {name}") for name in HOSTILE_NAMES}


def hard_values(at: str = "data") -> Edit:
    """An action of a fault front: each record of the list at this place of a page gets every hard value, as `hard_0`
    and so on."""
    return adding(_HARD, at)


def hostile_names(at: str = "data") -> Edit:
    """The same with every hostile name, each with a text of its own as value."""
    return adding(_HOSTILE, at)


def adding(properties: Mapping[str, str], at: str) -> Edit:
    """An action that adds properties, whose values are JSON text, to each record of the list at a place of a page."""

    def add(page: Any) -> None:
        for entry in listed(page, at):
            entry.update({name: Raw(text=text) for name, text in properties.items()})

    return Edit(run=add)


def listed(page: Any, at: str) -> Any:
    """The list of records of a page; the empty path is the page itself."""
    return get(page, at) if at else page


ODDITIES: tuple[Any, ...] = (None, 7, "an entry", True, [])
"""What a list of records may hold instead of records."""


class ValuesContract:
    """Hard values, hostile names, entries that are no objects."""

    entries: str | Mapping[str, str] = "data"
    """Where in a page of the API its records are, as a dotted path, empty for the page itself; by stream where it
    is not the same for all."""

    composed: Collection[str] = ()
    """Streams whose records the source puts together itself, out of several answers: what the API adds is not passed
    on."""

    def test_hard_values_pass_unchanged(self, reading: SourceReader, front: FaultFront) -> None:
        self._pass(reading, front, _HARD)

    def test_hostile_names_pass_unchanged(self, reading: SourceReader, front: FaultFront) -> None:
        self._pass(reading, front, _HOSTILE)

    def test_entries_that_are_no_objects_are_kept(self, reading: SourceReader, front: FaultFront) -> None:
        def insert(at: str) -> Edit:
            return Edit(run=lambda page: listed(page, at).__setitem__(slice(0, 0), ODDITIES))

        for stream, page in self._edited(reading, front, insert):
            assert all(any(odd is one or odd == one for one in page.records) for odd in ODDITIES), stream.name

    def _pass(self, reading: SourceReader, front: FaultFront, added: Mapping[str, str]) -> None:
        for stream, page in self._edited(reading, front, lambda at: adding(added, at)):
            for record in objects(page):
                for name, text in added.items():
                    assert name in record, f"stream {stream.name!r} loses the property {name[:40]!r}"
                    wanted = json.loads(text, parse_int=Decimal, parse_float=Decimal)
                    assert same(wanted, record[name]), f"stream {stream.name!r} changes {text[:40]}"

    def _edited(
        self, reading: SourceReader, front: FaultFront, change: Callable[[str], Edit]
    ) -> list[tuple[Stream, Any]]:
        """The first page of each stream, whose entries were changed on the wire."""
        found = []
        for target in reading.targets():
            stream = target[0]
            at = self.entries if isinstance(self.entries, str) else self.entries.get(stream.name)
            if stream.name in self.composed:
                continue
            assert at is not None, f"`entries` does not say where the records of {stream.name!r} are"
            asked = len(front.requests)
            reading.page(target)  # what is asked before, for instance for a token, is left as it is
            assert len(front.requests) > asked, f"stream {stream.name!r} asks nothing: name it in `composed`"
            front.replan([Fault(match=_alike(front.requests[-1]), action=change(at))])
            found.append((stream, reading.page(target)))
            assert front.hits, f"stream {stream.name!r} asks nothing the second time: name it in `composed`"
            front.replan([])
        return found


def _alike(one: Request) -> Callable[[Request], bool]:
    """Whether a request is for the same, whatever its parameters are."""
    place = one.method, one.target.partition("?")[0]
    return lambda other: (other.method, other.target.partition("?")[0]) == place


def same(wanted: Any, found: Any) -> bool:
    """Whether a value is exactly the wanted one, in which every number is a Decimal."""
    if isinstance(wanted, dict):
        return type(found) is dict and wanted.keys() == found.keys() and all(same(wanted[n], found[n]) for n in wanted)
    if isinstance(wanted, list):
        return isinstance(found, list) and len(wanted) == len(found) and all(map(same, wanted, found))
    if isinstance(wanted, Decimal):
        return type(found) in (int, float, Decimal) and Decimal(str(found)) == wanted
    return type(found) is type(wanted) and bool(found == wanted)
