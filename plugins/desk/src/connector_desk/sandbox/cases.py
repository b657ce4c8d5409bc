"""Seeded cases of the invented site, drawn when asked for (facts/desk_api.md section 7.1)."""

from __future__ import annotations

from random import Random
from typing import Any, Final

from .fields import draw_all
from .record import Record, stamp
from .site import DAY, CasePlan, Site, rng_for
from .topics import Topic, begin, letter
from .words import LABELS, NUL_BLURB, pick

STATUSES: Final = ("new",) * 8 + ("open",) * 7 + ("resolved",) * 3 + ("pending",) * 2 + ("closed",)
ROUTES: Final = (None, None, "added", "available", "assigned", "scheduled")


def case(plan: CasePlan, site: Site) -> Record:
    """A case as a list entry has it, without links."""
    rng = rng_for(site.seed, "case", plan.id)
    about, begun = begin(plan, site)
    status = pick(rng, STATUSES)
    opened = plan.created + int((plan.updated - plan.created) * rng.random()) if status != "new" else None
    resolved = _resolved(rng, plan, status, opened)
    changed = plan.created + int((plan.updated - plan.created) * rng.random())
    if rng.random() < 0.1:  # a bulk job that leaves updated_at alone
        changed = min(site.now, plan.updated + 1 + int(rng.random() * 30 * DAY))
    label_ids = rng.sample(site.labels, int(rng.random() ** 2 * 5))
    blurb = letter(begun, about, plan.channel, first=True)[:250] if rng.random() < 0.9 else pick(rng, (None, ""))
    if rng.random() < site.nul_share:
        blurb = NUL_BLURB
    fields: dict[str, Any] = {
        "id": plan.id,
        "blurb": blurb,
        "changed_at": stamp(changed),
        "created_at": stamp(plan.created),
        "custom_fields": None,
        "description": _description(rng, about),
        "external_id": _external_id(rng, plan.id),
        "first_opened_at": stamp(opened),
        "first_resolved_at": stamp(resolved),
        "label_ids": sorted(label_ids),
        "labels": [LABELS[site.labels.index(id)] for id in label_ids],
        "language": about.language,
        "locked_until": stamp(min(site.now, plan.updated + 900)) if rng.random() < 0.03 else None,
        "opened_at": stamp(opened),
        "priority": 1 + int(rng.random() * 10) if rng.random() < 0.3 else 4,
        "received_at": stamp(plan.created + (plan.updated - plan.created) // 2) if rng.random() < 0.9 else None,
        "resolved_at": stamp(resolved),
        "status": status,
        "subject": "(No Subject)" if plan.channel == "phone" else about.subject,
        "type": plan.channel,
        "updated_at": stamp(plan.updated),
        "active_at": stamp(max(plan.created, plan.updated - int(rng.random() * 600))) if rng.random() < 0.95 else None,
        "active_attachments_count": int(rng.random() ** 4 * 4),
        "active_notes_count": int(rng.random() ** 3 * 3),
        "has_pending_interactions": rng.random() < 0.05,
        "has_failed_interactions": rng.random() < 0.03,
        "route_status": pick(rng, ROUTES),
    }
    if plan.channel == "qna":
        fields["public_url"] = f"https://acme.example.test/customer/portal/questions/{plan.id}"
    return Record(
        id=plan.id,
        fields=fields,
        refs={
            "customer": plan.customer or None,
            "assigned_user": pick(rng, site.agents) if rng.random() < 0.55 else None,
            "assigned_group": pick(rng, site.groups) if site.groups and rng.random() < 0.8 else None,
            "locked_by": None,
        },
        custom=draw_all("ticket", rng),
        channel=plan.channel,
    )


def _resolved(rng: Random, plan: CasePlan, status: str, opened: int | None) -> int | None:
    """Set on resolved and closed cases, and on those that were opened again after it."""
    if status in ("resolved", "closed"):
        return plan.updated
    if opened is not None and rng.random() < 0.2:
        return plan.created + (opened - plan.created) // 2
    return None


def _description(rng: Random, about: Topic) -> str | None:
    chance = rng.random()
    if chance < 0.5:
        return None
    if chance < 0.65:
        return "" if chance < 0.6 else "(No Description)"
    return letter(rng, about, "email", first=True).replace("\r\n", "\n").replace("\n", "\r\n")


def _external_id(rng: Random, id: int) -> str | None:
    chance = rng.random()
    return None if chance < 0.7 else "" if chance < 0.8 else f"{id:010d}" if chance < 0.9 else f"sf-{id}"
