"""The seeded plan of the whole site: ids, instants and relations of every record, small enough for 100,000 cases.

The rest of a record is drawn from its own seed when somebody asks for it (`cases`, `interactions`, `people`).
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final, NamedTuple

from .settings import Settings
from .words import pick

DAY: Final = 86_400
SPAN: Final = 400 * DAY  # the data reaches further back than the default start date of one year
CHANNELS: Final = ("email", "twitter", "phone", "chat", "qna", "facebook")
# The mix of facts/desk_api.md section 7.1, with the rare channels raised so that small sites have them too.
MIX: Final = ("email",) * 14 + ("twitter",) * 3 + ("phone",) * 2 + ("chat", "qna", "facebook")
# (channel, replies) of the first cases of any site: every channel, and the kinds that a test must not miss by luck.
FIRST_CASES: Final = (
    ("twitter", 3),
    ("phone", 3),
    ("email", 4),
    ("chat", 2),
    ("qna", 2),
    ("facebook", 2),
    ("email", 0),
    ("twitter", 2),
    ("email", 1),
)


class CasePlan(NamedTuple):
    """``interaction``: site-wide id of the message, its replies follow; ``body``: the message's id in its channel's own
    table; ``twin``: id in the e-mail table of the last reply of a case that mixes channels, equal to another reply's
    body id (0: none)."""

    id: int
    created: int
    updated: int
    channel: str
    customer: int
    replies: int
    interaction: int
    body: int
    twin: int


class CustomerPlan(NamedTuple):
    id: int
    created: int
    updated: int
    company: int


@dataclass(frozen=True, kw_only=True)
class Site:
    """The plan and what is left after it: ``agents`` and ``groups`` are the ids that seeded records link to, with the
    ``gone`` agents among the former; ``bodies``: next free id of each channel's table; ``companies``: position of
    each company's id."""

    seed: int
    now: int
    cases: Sequence[CasePlan]
    customers: Sequence[CustomerPlan]
    agents: tuple[int, ...]
    gone: tuple[int, ...]
    groups: tuple[int, ...]
    companies: dict[int, int]
    labels: tuple[int, ...]
    next_interaction: int
    bodies: dict[str, int]
    nul_share: float
    huge_body: int
    huge_case: int


def rng_for(seed: int, kind: str, number: int) -> Random:
    """The random source of one record, the same in every process."""
    digest = hashlib.blake2b(f"{seed}/{kind}/{number}".encode(), digest_size=8).digest()
    return Random(int.from_bytes(digest, "big"))


def plan_site(settings: Settings, now: int) -> Site:
    """The site of a seed, whose newest possible instant is ``now`` (unix seconds)."""
    rng = rng_for(settings.seed, "site", 0)
    agents = tuple(_ids(rng, 31, settings.users + settings.deleted_agents))
    gone = tuple(sorted(rng.sample(agents[:-1], settings.deleted_agents)))
    companies = tuple(_ids(rng, 4, max(1, settings.customers // 4)))
    customers = [
        CustomerPlan(id, created, updated, pick(rng, companies) if rng.random() < 0.65 else 0)
        for id, created, updated in _instants(rng, now, 9001, settings.customers, settings.same_second)
    ]
    bodies = dict.fromkeys(CHANNELS, 1)
    cases: list[CasePlan] = []
    interaction = 1_180
    for index, (id, created, updated) in enumerate(_instants(rng, now, 3011, settings.cases, settings.same_second)):
        if index < len(FIRST_CASES):
            channel, replies = FIRST_CASES[index]
        else:
            channel, replies = pick(rng, MIX), _reply_count(rng, settings.replies)
        customer = customers[int(rng.random() ** 2 * len(customers))].id if customers else 0
        body = bodies[channel]
        twin = 0
        if channel in ("twitter", "phone") and replies > 1 and index % 3 < 2:
            body = max(body, bodies["email"] - 1)
            twin = body + 1
            bodies["email"] = twin + 1
        bodies[channel] = body + 1 + replies - (twin > 0)
        cases.append(CasePlan(id, created, updated, channel, customer, replies, interaction, body, twin))
        interaction += 1 + replies + (rng.random() < 0.05)
    return Site(
        seed=settings.seed,
        now=now,
        cases=cases,
        customers=customers,
        agents=agents,
        gone=gone,
        groups=tuple(_ids(rng, 7, settings.groups)),
        companies={id: position for position, id in enumerate(companies)},
        labels=tuple(_ids(rng, 501, 14)),
        next_interaction=interaction,
        bodies=bodies,
        nul_share=settings.nul_share,
        huge_body=settings.huge_body,
        huge_case=next((plan.id for plan in reversed(cases) if plan.replies), 0),
    )


def _ids(rng: Random, first: int, count: int) -> Iterator[int]:
    """Ascending ids with gaps, as after deletions."""
    for _ in range(count):
        yield first
        first += 1 + (rng.random() < 0.15) * int(1 + rng.random() * 6)


def _reply_count(rng: Random, mean: float) -> int:
    """A third of the cases has none; the others a long tail around the mean."""
    if rng.random() < 0.33 or mean <= 0:
        return 0
    return 1 + min(int(rng.expovariate(1) * max(0.0, mean * 1.5 - 0.5)), 400)


def _instants(rng: Random, now: int, first: int, count: int, cluster: int) -> Iterator[tuple[int, int, int]]:
    """(id, created, updated), created ascending; every twentieth record was last touched by a job that touched
    ``cluster`` of them in the same second."""
    instants = sorted(now - 3600 - int(rng.random() * (SPAN - DAY)) for _ in range(count))
    jobs = sorted(now - int(rng.random() * SPAN / 2) for _ in range(1 + count // (20 * cluster))) if cluster > 0 else []
    ids = _ids(rng, first, count)
    for index, (id, created) in enumerate(zip(ids, instants, strict=True)):
        updated = created + int((now - created) * rng.random() ** 4)
        if rng.random() < 0.1:
            updated = created
        if jobs and (index % 20 == 3 or (count < 200 and index % 10 == 3)):
            after = bisect_left(jobs, created)
            if after < len(jobs):
                updated = jobs[after + int(rng.random() * (len(jobs) - after))]
        yield id, created, updated
