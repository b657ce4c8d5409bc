"""What the site holds at this moment: seeded records and all that was changed since. Not locked: `store` is the guarded
door."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from typing import Any

from . import cases, interactions, people
from .fields import KINDS, SEEDED, Definition
from .record import Record, seconds_of
from .site import CasePlan, CustomerPlan, Site
from .table import Table


class Data:
    """Tables by resource name (cases, customers, users, groups, companies, labels), replies by case, members by
    group."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.plans: dict[int, CasePlan] = {plan.id: plan for plan in site.cases}
        people_plans: dict[int, CustomerPlan] = {plan.id: plan for plan in site.customers}
        self.tables: dict[str, Table] = {
            "cases": Table(
                ((plan.id, plan.created, plan.updated) for plan in site.cases),
                lambda id: self._without_overwritten("ticket", cases.case(self.plans[id], site)),
            ),
            "customers": Table(
                ((plan.id, plan.created, plan.updated) for plan in site.customers),
                lambda id: self._without_overwritten("customer", people.customer(people_plans[id], site)),
            ),
            "users": Table(((id, 0, 0) for id in site.agents if id not in site.gone), lambda id: people.user(site, id)),
            "groups": Table(((id, 0, 0) for id in site.groups), lambda id: people.group(site, id)),
            "labels": Table(((id, 0, 0) for id in site.labels), lambda id: people.label(site, id)),
            "companies": Table(
                ((id, 0, 0) for id in site.companies),
                lambda id: self._without_overwritten("company", people.company(site, id)),
            ),
        }
        self.members: dict[int, list[int]] = people.members(site)
        self.definitions: dict[str, dict[str, Definition]] = {kind: {} for kind in KINDS}
        for definition in SEEDED:
            self.definitions[definition.kind][definition.name] = definition
        self.removed: dict[str, set[str]] = {kind: set() for kind in KINDS}
        self.overwritten: dict[str, set[str]] = {kind: set() for kind in KINDS}
        self.cases_of: Counter[int] = Counter(plan.customer for plan in site.cases)
        self.bodies = dict(site.bodies)
        self.next_interaction = site.next_interaction
        self._starts = [plan.interaction for plan in site.cases]
        self._replies: dict[int, list[Record]] = {}
        self._messages: dict[int, Record] = {}
        self._added: dict[int, int] = {}  # interaction id -> case id, of those that were not seeded; ascending

    def _without_overwritten(self, kind: str, record: Record) -> Record:
        for name in self.overwritten[kind]:
            record.custom.pop(name, None)
        return record

    def custom_fields(self, kind: str, record: Record) -> dict[str, Any]:
        """Every active defined field, null when unset, and the fields that only this record has."""
        values = {}
        for name, definition in self.definitions[kind].items():
            if definition.active:
                default = definition.default(record.id) if callable(definition.default) else definition.default
                values[name] = record.custom.get(name, default)
        known = self.definitions[kind].keys() | self.removed[kind]
        return values | {name: value for name, value in record.custom.items() if name not in known}

    def label_id(self, name: str) -> int | None:
        """The id of the label with that name."""
        for id in self.tables["labels"]:
            label = self.tables["labels"].get(id)
            if label is not None and label.fields["name"] == name:
                return id
        return None

    def cases_with(self, customer: int) -> set[int]:
        """The ids of the cases of a customer."""
        changed = {record.id: record.refs["customer"] for record in self.tables["cases"].changed()}
        seeded = {plan.id for plan in self.site.cases if plan.customer == customer and plan.id not in changed}
        return seeded | {id for id, other in changed.items() if other == customer}

    # --- interactions

    def message(self, case_id: int) -> Record:
        """The original message of a case that exists."""
        return self._messages.get(case_id) or interactions.message(self.plans[case_id], self.site)

    def replies(self, case_id: int) -> list[Record]:
        """The replies of a case that exists, in the order of their creation."""
        found = self._replies.get(case_id)
        return interactions.replies(self.plans[case_id], self.site) if found is None else found

    def own_replies(self, case_id: int) -> list[Record]:
        """The list of replies, kept from now on, so that it may be changed."""
        return self._replies.setdefault(case_id, self.replies(case_id))

    def reply_count(self, case_id: int) -> int:
        """How many replies a case has; the message is not counted."""
        found = self._replies.get(case_id)
        return self.plans[case_id].replies if found is None else len(found)

    def open_case(self, case_id: int, message: Record) -> None:
        """A case that was not seeded begins with its message and no replies."""
        self._messages[case_id] = message
        self._replies[case_id] = []
        self._added[message.id] = case_id

    def add_reply(self, case_id: int, reply: Record) -> None:
        """One more reply, at the end."""
        self.own_replies(case_id).append(reply)
        self._added[reply.id] = case_id

    def new_ids(self, channel: str) -> tuple[int, int]:
        """The next site-wide interaction id and the next id of the channel's own table."""
        interaction, body = self.next_interaction, self.bodies[channel]
        self.next_interaction += 1
        self.bodies[channel] += 1
        return interaction, body

    def case_of(self, interaction: int) -> int | None:
        """The case to which an interaction id belongs, whether or not that still exists."""
        if interaction in self._added:
            return self._added[interaction]
        at = bisect_right(self._starts, interaction) - 1
        if at < 0 or interaction > self.site.cases[at].interaction + self.site.cases[at].replies:
            return None
        return self.site.cases[at].id

    def interaction_places(self) -> list[tuple[int, int, int]]:
        """(created in unix seconds, interaction id, case id) of every message and reply, without drawing those that
        nobody has changed."""
        places: list[tuple[int, int, int]] = []
        cases_table = self.tables["cases"]
        for plan in self.site.cases:
            if plan.id in cases_table and plan.id not in self._replies:
                places.extend(
                    (interactions.created_at(plan, place), plan.interaction + place, plan.id)
                    for place in range(plan.replies + 1)
                )
        for case_id in self._replies:
            if case_id in cases_table:
                places.extend(
                    (seconds_of(record.fields["created_at"]) or 0, record.id, case_id)
                    for record in (self.message(case_id), *self.replies(case_id))
                )
        return places

    def interaction(self, case_id: int, id: int) -> Record:
        """The message or reply of a case with that interaction id. KeyError when there is none."""
        for record in (self.message(case_id), *self.replies(case_id)):
            if record.id == id:
                return record
        raise KeyError(f"no interaction {id}")

    def interactions_from(self, interaction: int) -> Iterator[tuple[int, Record]]:
        """(case id, message or reply) of the whole site from an interaction id on, ascending; of deleted cases none."""
        cases_table = self.tables["cases"]
        for plan in self.site.cases[max(0, bisect_right(self._starts, interaction) - 1) :]:
            if plan.id in cases_table:
                for record in (self.message(plan.id), *self.replies(plan.id)):
                    if interaction <= record.id <= plan.interaction + plan.replies:
                        yield plan.id, record
        for id, case_id in list(self._added.items()):
            if id >= interaction and case_id in cases_table:
                for record in (self.message(case_id), *self.replies(case_id)):
                    if record.id == id:
                        yield case_id, record
