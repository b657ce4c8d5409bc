"""Seeded messages and replies of the invented site, in the variants of their channels (facts/desk_api.md sections 7.2
and 8)."""

from __future__ import annotations

from random import Random
from typing import Any

from .record import Record, stamp
from .site import CasePlan, Site, rng_for
from .topics import begin, letter
from .words import customer_address, person, pick

# facts/desk_api.md section 7.1: what stands in the feed of a chat without anybody having said it.
CHAT_EVENTS = (
    "chat_agent_enter", "chat_agent_end", "chat_agent_exit", "chat_customer_end", "chat_customer_exit",
    "chat_customer_timeout", "chat_content_erased", "queue_item_added", "queue_item_available", "queue_item_pulled",
)  # fmt: skip
HELP = "Acme Support <help@acme.example.test>"


def message(plan: CasePlan, site: Site) -> Record:
    """The original message of a case, whose beginning is the case's blurb. It is not among the replies; ``id`` of the
    record is its site-wide interaction id."""
    about, rng = begin(plan, site)
    body = letter(rng, about, plan.channel, first=True)
    return interaction(
        rng,
        id=plan.interaction,
        body_id=plan.body,
        channel=plan.channel,
        body=body,
        direction="in",
        status="received",
        created=plan.created,
        updated=plan.created + int(rng.random() * 3),
        customer=plan.customer,
        agent=None,
        subject=about.subject,
    )


def replies(plan: CasePlan, site: Site) -> list[Record]:
    """The replies of a case, oldest first: drafts without a body, updates that are older than the creation, deleted
    senders."""
    rng = rng_for(site.seed, "replies", plan.id)
    about, _ = begin(plan, site)
    made = []
    for index in range(plan.replies):
        last = index == plan.replies - 1
        mixed = last and plan.twin > 0
        huge = last and site.huge_body > 0 and plan.id == site.huge_case
        draft = last and not huge and (rng.random() < 0.12 or plan.id % 10 == 3)
        outgoing = draft or rng.random() < 0.6
        created = created_at(plan, index + 1)
        updated = (
            created - int(1 + rng.random() * 3600)
            if rng.random() < 0.1
            else min(plan.updated, created + int(rng.random() * 4))
        )
        channel = "email" if mixed else plan.channel
        body: str | None = letter(rng, about, channel, answer=outgoing) if rng.random() < 0.96 else ""
        if huge:
            body = ("Huge body, never cut. " * (site.huge_body // 22 + 1))[: site.huge_body]
        made.append(
            interaction(
                rng,
                id=plan.interaction + 1 + index,
                body_id=plan.twin if mixed else plan.body + 1 + index,
                channel=channel,
                body=None if draft else body,
                direction="out" if outgoing else "in",
                status="draft" if draft else _sending(rng) if outgoing else "received",
                created=created,
                updated=updated,
                customer=plan.customer,
                agent=pick(rng, site.agents) if outgoing and not draft else None,
                subject=f"Re: {about.subject}",
            )
        )
    return made


def _sending(rng: Random) -> str:
    chance = rng.random()
    return "failed" if chance < 0.03 else "pending" if chance < 0.06 else "sent"


def created_at(plan: CasePlan, place: int) -> int:
    """When an interaction of a seeded case came, in unix seconds: ``place`` 0 is the message, from 1 on the replies."""
    return plan.created + (plan.updated - plan.created) * place // (plan.replies + 1)


def interaction(
    rng: Random,
    *,
    id: int,
    body_id: int,
    channel: str,
    body: str | None,
    direction: str,
    status: str,
    created: int,
    updated: int,
    customer: int,
    agent: int | None,
    subject: str = "Added",
) -> Record:
    """An interaction with the fields and the key order of its channel. ``body_id`` counts per channel, ``id`` over the
    site."""
    sent = None if status in ("draft", "pending") else stamp(updated)
    common: dict[str, Any] = {
        "id": body_id,
        "created_at": stamp(created),
        "updated_at": stamp(updated),
        "sent_at": sent,
        "erased_at": stamp(updated) if status == "received" and rng.random() < 0.02 else None,
    }
    said: dict[str, Any] = {"body": body, "direction": direction, "status": status}
    refs = {"sent_by": agent}
    if channel == "email":
        fields = (
            common | {"hidden_by": None, "hidden_at": None, "body": body} | _envelope(rng, direction, status, customer)
        )
        fields |= {
            "direction": direction,
            "status": status,
            "subject": pick(rng, (subject, subject, subject, subject, "", None)),
        }
        fields["hidden"] = rng.random() < 0.02
        fields["hidden_at"] = stamp(updated) if fields["hidden"] else None
    elif channel == "phone":
        fields = common | {"entered_at": sent} | said
        refs = {"entered_by": agent}
    elif channel == "twitter":
        fields = {"id": body_id} | said
        fields["type"] = pick(rng, ("mention", "mention", "dm"))
        fields["twitter_status_id"] = None if status == "draft" else str(4 * 10**17 + id * 7919)
        fields |= {"from": "acme" if direction == "out" else f"tw_{customer}", "to": None} | common
    elif channel == "chat":
        fields = common | said | {"event_type": None if body or status == "draft" else pick(rng, CHAT_EVENTS)}
        refs = {"created_by": agent}
    elif channel == "facebook":
        first, last = person(customer)
        fields = common | said | {"from_facebook_name": None if direction == "out" else f"{first} {last}"}
    else:
        fields = common | said | _rating(rng, id)
        refs = {"sent_by": agent}
    return Record(id=id, fields=fields, refs=refs, channel=channel)


def _envelope(rng: Random, direction: str, status: str, customer: int) -> dict[str, Any]:
    first, last = person(customer)
    writer = pick(
        rng, (f"{first} {last} <{customer_address(customer)}>", f'"{last}, {first}" <{customer_address(customer)}>')
    )
    outward = direction == "out"
    bare = status == "draft" and rng.random() < 0.5
    return {
        "from": HELP if outward else writer,
        "to": None if bare else customer_address(customer) if outward else HELP,
        "cc": pick(rng, (None, None, None, "", 'Boss <boss@example.test>, "B, C" <bc@example.test>')),
        "bcc": "archive@acme.example.test" if outward and rng.random() < 0.1 else None,
        "client_type": pick(rng, (None, "unknown", "desk_api", "desk_portal")) if outward else None,
    }


def _rating(rng: Random, id: int) -> dict[str, Any]:
    count = int(rng.random() * 9)
    return {
        "is_best_answer": rng.random() < 0.2,
        "hidden": False,
        "hidden_at": None,
        "rating": count // 2,
        "rating_count": count,
        "rating_score": 0.25 + count / 2,
        "public_url": f"https://acme.example.test/customer/portal/answers/{id}",
        "are_answers_disallowed": False,
        "answers_disallowed_at": None,
    }
