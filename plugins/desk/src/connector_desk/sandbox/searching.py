"""The filters of /cases/search and /customers/search that look into records (a small part of facts/desk_api.md section
4)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from .pages import BOUNDED, Ask, invalid
from .record import Record

Test = Callable[[Record, str], bool]


def _equals(field: str) -> Test:
    return lambda record, text: str(record.fields[field]).casefold() == text.casefold()


def _contains(field: str) -> Test:
    return lambda record, text: text.casefold() in str(record.fields[field] or "").casefold()


def _among(field: str) -> Test:
    return lambda record, text: text in record.fields[field]


CASE_TESTS: Final[Mapping[str, Test]] = {
    "case": _equals("id"),
    "case_id": _equals("id"),
    "status": _equals("status"),
    "priority": _equals("priority"),
    "subject": _contains("subject"),
    "description": _contains("description"),
    "labels": _among("labels"),
    "label": _among("labels"),
    "channels": _equals("type"),
    "channel": _equals("type"),
}
CUSTOMER_TESTS: Final[Mapping[str, Test]] = {
    "email": lambda record, text: any(item["value"].casefold() == text.casefold() for item in record.fields["emails"]),
    "phone": lambda record, text: any(item["value"] == text for item in record.fields["phone_numbers"]),
    "first_name": _equals("first_name"),
    "last_name": _equals("last_name"),
    "full_name": _equals("display_name"),
    "external_id": _equals("external_id"),
    "company": _equals("company"),
}


@dataclass(frozen=True, kw_only=True)
class Filter:
    """What a search asks of a record: of each of the ``wanted`` fields one of the values. Equal searches are equal."""

    resource: str
    wanted: tuple[tuple[str, tuple[str, ...]], ...]

    def __call__(self, record: Record) -> bool:
        tests = CASE_TESTS if self.resource == "cases" else CUSTOMER_TESTS
        return all(any(tests[name](record, value) for value in values) for name, values in self.wanted)


def case_filter(ask: Ask) -> Filter | None:
    """What ``q`` or the field parameters ask of a case."""
    return _filter(ask, "cases", CASE_TESTS)


def customer_filter(ask: Ask) -> Filter | None:
    """What ``q`` or the field parameters ask of a customer."""
    return _filter(ask, "customers", CUSTOMER_TESTS)


def _filter(ask: Ask, resource: str, tests: Mapping[str, Test]) -> Filter | None:
    """``q`` silences all other filters; without it some filter or bound is needed (422 otherwise). A comma means or."""
    wanted: dict[str, list[str]] = {}
    if "q" in ask.params:
        for term in ask.params["q"].split():
            name, _, values = term.partition(":")
            if term != "*" and (name not in tests or not values):
                raise invalid("q")
            if term != "*":
                wanted[name] = values.split(",")
        if not ask.params["q"].strip():
            raise invalid("q", "blank")
    else:
        wanted = {name: ask.names(name) for name in tests if ask.names(name)}
        if not wanted and not any(ask.params.get(f"{side}_{name}") for name in BOUNDED for side in ("since", "max")):
            raise invalid("q", "blank")
    if not wanted:
        return None
    return Filter(resource=resource, wanted=tuple((name, tuple(values)) for name, values in wanted.items()))
