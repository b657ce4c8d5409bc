"""The live data of the sandbox: change it between and during runs, from any thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from random import Random
from typing import Any, Final

from . import fresh, interactions
from .data import Data
from .fields import KINDS, TYPES, Definition
from .record import Raw, Record, encodable, seconds_of, stamp
from .settings import unix_seconds
from .site import CHANNELS, Site, rng_for
from .table import Table

# Keyword of a mutation -> name of the link whose target it sets.
REFS: Final = {
    "customer_id": "customer",
    "assigned_user_id": "assigned_user",
    "assigned_group_id": "assigned_group",
    "locked_by_id": "locked_by",
    "company_id": "company",
    "sent_by_id": "sent_by",
    "entered_by_id": "entered_by",
    "created_by_id": "created_by",
}
_KIND: Final = {"cases": "ticket", "customers": "customer", "companies": "company"}


class Store:
    """Mutations of the site, each atomic for readers of the API.

    Instants are given as wire text, aware datetime or unix seconds; a change sets ``updated_at`` to the clock's second
    unless it is given. ``custom_fields`` are merged over those that the record has. Ids are those of the wire; a
    reply's is the one in its href. Errors: KeyError for a record or field that does not exist (`put_raw` puts strange
    fields), ValueError for a strange value."""

    def __init__(self, site: Site, clock: Callable[[], float]) -> None:
        self.lock = threading.RLock()
        self.data = Data(site)
        self.clock = clock

    # --- cases

    def update_case(self, id: int, **fields: Any) -> None:
        """Change a case, e.g. ``status="open", labels=["vip"], assigned_user_id=31, custom_fields={"vip": True}``."""
        self.update_cases([id], **fields)

    def update_cases(self, ids: Iterable[int], **fields: Any) -> None:
        """Change several cases in one second, as a bulk job does."""
        with self.lock:
            fields.setdefault("updated_at", int(self.clock()))
            fields.setdefault("changed_at", fields["updated_at"])
            for id in ids:
                self._update("cases", id, fields)

    def add_case(self, **fields: Any) -> int:
        """A new case, created now; ``type`` is its channel (email), ``customer_id`` its customer. Returns its id."""
        with self.lock:
            table, now = self.data.tables["cases"], int(self.clock())
            id = table.next_id()
            channel = fields.pop("type", "email")
            if channel not in CHANNELS:
                raise ValueError(f"type must be one of {', '.join(CHANNELS)}, not {channel!r}")
            instant = stamp(unix_seconds(fields.pop("created_at", now)))
            created = seconds_of(instant) or now
            customer = fields.pop("customer_id", None)
            table.add(fresh.case(id, channel, instant, customer), (created, created), self.clock())
            interaction, body = self.data.new_ids(channel)
            message = interactions.interaction(
                self._rng("case", id),
                id=interaction,
                body_id=body,
                channel=channel,
                body="A new case",
                direction="in",
                status="received",
                created=created,
                updated=created,
                customer=customer or 0,
                agent=None,
            )
            self.data.open_case(id, message)
            self.data.cases_of[customer or 0] += 1
            self._update("cases", id, {"updated_at": instant, **fields})
            return id

    def delete_case(self, id: int) -> None:
        """The case and its replies vanish: 404, and a gap in the lists."""
        with self.lock:
            table = self.data.tables["cases"]
            record = table.get(id)
            table.remove(id, self.clock())
            if record is not None:
                self.data.cases_of[record.refs["customer"] or 0] -= 1

    # --- replies

    def add_reply(self, case_id: int, *, move_case: bool = True, **fields: Any) -> int:
        """A new reply, e.g. ``body="Hi", status="sent", sent_by_id=31, channel="email"``. Returns its id (that of the
        href). The case's updated_at moves to the reply's unless ``move_case`` is false."""
        with self.lock:
            case, now = self._get("cases", case_id), int(self.clock())
            channel = fields.pop("channel", case.channel)
            created = unix_seconds(fields.pop("created_at", now))
            id, body_id = self.data.new_ids(channel)
            status = fields.pop("status", "sent")
            reply = interactions.interaction(
                self._rng("reply", id),
                id=id,
                body_id=body_id,
                channel=channel,
                body=None if status == "draft" else "Added reply",
                direction=fields.pop("direction", "in" if status == "received" else "out"),
                status=status,
                created=created,
                updated=created,
                customer=case.refs["customer"] or 0,
                agent=None,
            )
            _assign(reply, fields)
            self.data.add_reply(case_id, reply)
            if move_case:
                self._update("cases", case_id, {"updated_at": max(created, now)})
            return id

    def update_reply(self, reply_id: int, *, move_case: bool = True, **fields: Any) -> None:
        """Change a reply (draft to sent, an erased body); its case moves too unless ``move_case`` is false."""
        with self.lock:
            case_id, reply = self._reply(reply_id)
            fields.setdefault("updated_at", int(self.clock()))
            _assign(reply, fields)
            if move_case:
                self._update("cases", case_id, {"updated_at": int(self.clock())})

    def delete_reply(self, reply_id: int, *, move_case: bool = True) -> None:
        """The reply vanishes from its case."""
        with self.lock:
            case_id, reply = self._reply(reply_id)
            self.data.own_replies(case_id).remove(reply)
            if move_case:
                self._update("cases", case_id, {"updated_at": int(self.clock())})

    # --- customers

    def update_customer(self, id: int, **fields: Any) -> None:
        """Change a customer, e.g. ``first_name="Jo", emails=[], company_id=4, custom_fields={"level": "gold"}``."""
        with self.lock:
            fields.setdefault("updated_at", int(self.clock()))
            self._update("customers", id, fields)

    def add_customer(self, **fields: Any) -> int:
        """A new customer, created now. Returns its id."""
        with self.lock:
            table = self.data.tables["customers"]
            id = table.next_id()
            created = unix_seconds(fields.pop("created_at", self.clock()))
            instant = stamp(created)
            table.add(fresh.customer(id, instant), (created, created), self.clock())
            self._update("customers", id, {"updated_at": instant, **fields})
            return id

    def delete_customer(self, id: int) -> None:
        """The customer vanishes; its cases stay and keep their link."""
        with self.lock:
            self.data.tables["customers"].remove(id, self.clock())

    # --- users and groups

    def add_user(self, **fields: Any) -> int:
        """A new user, in no group. Returns its id."""
        with self.lock:
            table = self.data.tables["users"]
            id = table.next_id()
            table.add(fresh.user(id, stamp(int(self.clock()))), (0, 0), self.clock())
            _assign(table.own(id), fields)
            return id

    def update_user(self, id: int, **fields: Any) -> None:
        """Change a user."""
        with self.lock:
            fields.setdefault("updated_at", int(self.clock()))
            _assign(self._own("users", id), fields)

    def delete_user(self, id: int) -> None:
        """The user leaves the list and all groups and answers 404; cases and replies keep their links."""
        with self.lock:
            self.data.tables["users"].remove(id, self.clock())
            for members in self.data.members.values():
                if id in members:
                    members.remove(id)

    def add_group(self, name: str) -> int:
        """A new group without members. Returns its id."""
        with self.lock:
            table = self.data.tables["groups"]
            id = table.next_id()
            table.add(Record(id=id, fields={"id": id, "name": name}), (0, 0), self.clock())
            self.data.members[id] = []
            return id

    def update_group(self, id: int, **fields: Any) -> None:
        """Change a group's ``name``."""
        with self.lock:
            _assign(self._own("groups", id), fields)

    def delete_group(self, id: int) -> None:
        """The group and its memberships vanish; cases keep their link."""
        with self.lock:
            self.data.tables["groups"].remove(id, self.clock())
            del self.data.members[id]

    def add_membership(self, group_id: int, user_id: int) -> None:
        """Put a user into a group; once more changes nothing."""
        with self.lock:
            self._get("users", user_id)
            if user_id not in self.data.members[group_id]:
                self.data.members[group_id].append(user_id)

    def remove_membership(self, group_id: int, user_id: int) -> None:
        """Take a user out of a group. KeyError when it is not in it."""
        with self.lock:
            if user_id not in self.data.members[group_id]:
                raise KeyError(f"user {user_id} is not in group {group_id}")
            self.data.members[group_id].remove(user_id)

    # --- custom fields and strange values

    def define_custom_field(
        self,
        kind: str,
        name: str,
        type: str,
        *,
        default: Any = None,
        choices: Collection[str] = (),
        label: str = "",
        overwrite: bool = False,
    ) -> None:
        """Define or redefine a field of ``ticket``, ``customer`` or ``company``. The key appears on every record
        without moving updated_at, with ``default`` (a value, or in process a function of the record's id) where the
        record has none of its own; ``overwrite``: everywhere."""
        if kind not in KINDS or type not in TYPES:
            raise ValueError(f"kind must be one of {', '.join(KINDS)} and type one of {', '.join(TYPES)}")
        with self.lock:
            fields = self.data.definitions[kind]
            ids = [definition.id for known in self.data.definitions.values() for definition in known.values()]
            fields[name] = Definition(
                id=fields[name].id if name in fields else max(ids, default=10) + 1,
                kind=kind,
                name=name,
                label=label or name,
                type=type,
                choices=tuple(choices),
                default=default if callable(default) else encodable(default),
            )
            self.data.removed[kind].discard(name)
            if overwrite:
                self._forget_values(kind, name)

    def remove_custom_field(self, kind: str, name: str) -> None:
        """The key disappears from every record without moving updated_at. KeyError when it is not defined."""
        with self.lock:
            del self.data.definitions[kind][name]
            self.data.removed[kind].add(name)
            self._forget_values(kind, name)

    def put_raw(
        self, resource: str, id: int, fields: Mapping[str, Any] | Raw, *, drop: Collection[str] = (), move: bool = False
    ) -> None:
        """Put any fields over the finished wire object of a record of ``cases``, ``customers``, ``replies``, ``users``
        or ``groups``, ``_links`` and ``custom_fields`` included, and take ``drop`` out of it; `Raw` values are JSON
        text that is sent as it stands, a `Raw` instead of the mapping replaces the whole object. A readable
        ``updated_at`` among them moves the record in the order; ``move`` sets it to the clock first."""
        with self.lock:
            if resource == "replies":
                case_id, record = self._reply(id)
                self.data.own_replies(case_id)
            else:
                record = self._own(resource, id)
            if move:
                record.fields["updated_at"] = stamp(int(self.clock()))
            if isinstance(fields, Raw):
                record.whole = fields
            else:
                record.raw |= {name: encodable(value) for name, value in fields.items()}
            record.dropped |= frozenset(drop)
            if resource in ("cases", "customers"):
                readable = {name: value for name, value in record.raw.items() if seconds_of(value) is not None}
                self._place(self.data.tables[resource], record, {**record.fields, **readable})

    # --- inside

    def _rng(self, kind: str, id: int) -> Random:
        return rng_for(self.data.site.seed, f"added {kind}", id)

    def _get(self, resource: str, id: int) -> Record:
        record = self.data.tables[resource].get(id)
        if record is None:
            raise KeyError(f"{resource}: no record {id}")
        return record

    def _own(self, resource: str, id: int) -> Record:
        return self.data.tables[resource].own(id)

    def _reply(self, reply_id: int) -> tuple[int, Record]:
        case_id = self.data.case_of(reply_id)
        if case_id is not None and case_id in self.data.tables["cases"]:
            for reply in self.data.own_replies(case_id):
                if reply.id == reply_id:
                    return case_id, reply
        raise KeyError(f"no reply {reply_id}")

    def _update(self, resource: str, id: int, fields: Mapping[str, Any]) -> None:
        record = self._own(resource, id)
        if "customer_id" in fields:
            self.data.cases_of[record.refs["customer"] or 0] -= 1
            self.data.cases_of[fields["customer_id"] or 0] += 1
        derived: dict[str, Any] = {}
        if "labels" in fields and "label_ids" not in fields:
            derived["label_ids"] = [self._label_id(name) for name in fields["labels"]]
        if fields.get("company_id") and "company" not in fields:
            name = self._get("companies", fields["company_id"]).fields["name"]
            derived |= {"company": name, "company_name": name}
        _assign(record, {**fields, **derived})
        self._place(self.data.tables[resource], record, record.fields)

    def _label_id(self, name: str) -> int:
        known = self.data.label_id(name)
        if known is not None:
            return known
        table = self.data.tables["labels"]
        id = table.next_id()
        table.add(fresh.label(id, name), (0, 0), self.clock())
        return id

    def _place(self, table: Table, record: Record, fields: Mapping[str, Any]) -> None:
        before = table.orders.instants[record.id]
        created, updated = seconds_of(fields.get("created_at")), seconds_of(fields.get("updated_at"))
        after = (before[0] if created is None else created, before[1] if updated is None else updated)
        if after != before:
            table.place(record.id, after, self.clock())

    def _forget_values(self, kind: str, name: str) -> None:
        self.data.overwritten[kind].add(name)
        for resource, fields_of in _KIND.items():
            if fields_of == kind:
                for record in self.data.tables[resource].changed():
                    record.custom.pop(name, None)


def _assign(record: Record, fields: Mapping[str, Any]) -> None:
    """Set known fields, relations and custom fields of a record."""
    for name, value in fields.items():
        if name == "custom_fields":
            record.custom |= {key: encodable(item) for key, item in value.items()}
        elif name in REFS and REFS[name] in record.refs:
            record.refs[REFS[name]] = value
        elif name not in record.fields:
            raise KeyError(f"no field {name!r}; put_raw puts fields that the site does not know")
        elif name.endswith("_at") or name == "locked_until":
            record.fields[name] = value if value is None or isinstance(value, str) else stamp(unix_seconds(value))
        else:
            record.fields[name] = encodable(value)
