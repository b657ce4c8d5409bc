"""Seeded customers, companies, users, groups and labels of the invented site (facts/desk_api.md sections 7.4 to
7.7)."""

from __future__ import annotations

import hashlib
from typing import Any

from .fields import draw_all
from .record import Record, stamp
from .site import DAY, SPAN, CustomerPlan, Site, rng_for
from .words import ADDRESSES, BIOS, COMPANIES, FIRST, GROUPS, LABELS, TITLES, customer_address, person, pick


def gravatar(address: str) -> str:
    """The picture that Desk shows for a mail address."""
    digest = hashlib.md5(address.encode(), usedforsecurity=False).hexdigest()
    return f"http://www.gravatar.com/avatar/{digest}?default=404&rating=PG&size=50"


def company_name(site: Site, id: int) -> str:
    """The name of a company's id."""
    index = site.companies[id]
    name = COMPANIES[index % len(COMPANIES)]
    return name if index < len(COMPANIES) else f"{name} {index}"


def customer(plan: CustomerPlan, site: Site) -> Record:
    """A customer; one in nine has no names, one in eight came over Twitter and has no address at all."""
    rng = rng_for(site.seed, "customer", plan.id)
    first, last = person(plan.id)
    nameless, tweeting = rng.random() < 0.11, rng.random() < 0.125
    address = customer_address(plan.id)
    emails: list[dict[str, str]] = []
    phones: list[dict[str, str]] = []
    places: list[dict[str, str]] = []
    if not tweeting:
        emails = [{"type": "home", "value": address}]
        emails += [
            {"type": pick(rng, ("work", "other")), "value": f"alt{n}.{address}"}
            for n in range(int(rng.random() ** 3 * 5))
        ]
        phones = [
            {
                "type": pick(rng, ("home", "work", "mobile", "other")),
                "value": f"+46 (0)8-{555_0100 + int(rng.random() * 99)}",
            }
            for _ in range(int(rng.random() ** 2 * 4))
        ]
        places = [
            {"type": pick(rng, ("home", "work")), "value": pick(rng, ADDRESSES)} for _ in range(int(rng.random() * 2.4))
        ]
    company = company_name(site, plan.company) if plan.company else None
    fields: dict[str, Any] = {
        "id": plan.id,
        "first_name": None if nameless else first,
        "last_name": None if nameless else last,
        "display_name": address if nameless else f"{first} {last}",
        "company": company,
        "company_name": company,
        "title": pick(rng, TITLES),
        "external_id": _external_id(rng.random(), plan.id),
        "locked_until": stamp(plan.updated + 600) if rng.random() < 0.02 and plan.updated + 600 < site.now else None,
        "created_at": stamp(plan.created),
        "updated_at": stamp(plan.updated),
        "label_ids": sorted(rng.sample(site.labels, int(rng.random() ** 3 * 4))),
        "background": pick(rng, BIOS) if tweeting or rng.random() < 0.1 else None,
        "language": pick(rng, (None, None, "en", "de", "ja", "pt_br")),
        "access_private_portal": rng.random() < 0.2,
        "access_company_cases": rng.random() < 0.1,
        "avatar": f"https://pbs.example.test/{plan.id}_normal.png" if tweeting else gravatar(address),
        "uid": f"uid-{plan.id}" if rng.random() < 0.2 else None,
        "opportunity_value": f"${int(rng.random() ** 6 * 9000):,}.{int(rng.random() * 100):02d}",
        "custom_fields": None,
        "emails": emails,
        "phone_numbers": phones,
        "addresses": places,
    }
    return Record(
        id=plan.id,
        fields=fields,
        refs={"company": plan.company or None, "twitter_user": plan.id if tweeting else None},
        custom=draw_all("customer", rng),
    )


def _external_id(chance: float, id: int) -> str | None:
    """Null for most; the empty text that means the same; or a text, at times one that looks like a number."""
    if chance < 0.6:
        return None
    return "" if chance < 0.75 else f"{id:08d}" if chance < 0.85 else f"ext/{id}"


def user(site: Site, id: int) -> Record:
    """An agent. The last one owns the site and the credentials."""
    rng = rng_for(site.seed, "user", id)
    index = site.agents.index(id)
    first, last = person(id)
    address = f"agent{id}@acme.example.test"
    created = site.now - SPAN - int(rng.random() * SPAN)
    login = site.now - int(rng.random() * 40 * DAY)
    levels = ("siteadmin_billing",) if id == site.agents[-1] else ("agent", "agent", "agent", "siteadmin")
    return Record(
        id=id,
        fields={
            "id": id,
            "name": f"{first} {last}",
            "public_name": first if rng.random() < 0.8 else "",
            "email": address,
            "email_verified": rng.random() < 0.9,
            "avatar": gravatar(address),
            "level": pick(rng, levels),
            "created_at": stamp(created),
            "updated_at": stamp(max(created, login)),
            "current_login_at": stamp(login) if index % 5 != 4 else None,
            "last_login_at": stamp(login - int(rng.random() * 20 * DAY)) if index % 5 not in (3, 4) else None,
        },
    )


def group(site: Site, id: int) -> Record:
    """A group: an id and a name, no instants."""
    index = site.groups.index(id)
    name = GROUPS[index % len(GROUPS)]
    return Record(id=id, fields={"id": id, "name": name if index < len(GROUPS) else f"{name} {index}"})


def members(site: Site) -> dict[int, list[int]]:
    """User ids by group id: most agents are in one or two groups, some in none; the deleted ones in none."""
    rng = rng_for(site.seed, "members", 0)
    groups: dict[int, list[int]] = {id: [] for id in site.groups}
    for agent in site.agents:
        chosen = rng.sample(site.groups, min(len(site.groups), int(rng.random() * 3.4)))
        if agent not in site.gone:
            for id in chosen:
                groups[id].append(agent)
    return groups


def label(site: Site, id: int) -> Record:
    """A label; cases carry its name and id."""
    index = site.labels.index(id)
    fields = {
        "id": id,
        "name": LABELS[index % len(LABELS)],
        "description": None if index % 2 else f"For {LABELS[index % len(LABELS)]}",
        "enabled": index % 7 != 6,
        "types": ["case", "customer"] if index % 3 else ["case", "macro"],
        "color": ("default", "blue", "red", "green")[index % 4],
        "position": index + 1,
    }
    return Record(id=id, fields=fields)


def company(site: Site, id: int) -> Record:
    """A company; customers carry its name, their link its id."""
    rng = rng_for(site.seed, "company", id)
    created = site.now - SPAN + int(rng.random() * SPAN / 2)
    fields = {
        "id": id,
        "name": company_name(site, id),
        "domains": [f"{pick(rng, FIRST).encode('ascii', 'ignore').decode().lower() or 'x'}{id}.example.test"],
        "created_at": stamp(created),
        "updated_at": stamp(created + int(rng.random() * (site.now - created))),
        "custom_fields": None,
    }
    return Record(id=id, fields=fields, custom=draw_all("company", rng))
