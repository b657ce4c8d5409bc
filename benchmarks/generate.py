"""Makes the benchmark's data: cases and customers as a help desk's API has them, and one per cent of them changed.

The same `n` gives the same bytes everywhere. At n = 100,000 there are exactly 150,000 records, which become 725,000
rows of seven tables. The text holds quotes, tabs, backslashes, commas and letters outside ASCII on purpose: a tool
that loses one of them is seen by `verify`. A third of the bytes are `_links`, which every tool reads and drops.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

FORMAT = 1  # rises when other data come out: kept data of an older format are made again
BEGIN = datetime(2012, 1, 1, tzinfo=UTC)
SPAN = 3 * 365 * 86_400  # seconds; every record of the full files was last changed within it
CHANGED = datetime(2015, 6, 1, tzinfo=UTC)  # the day on which one record of a hundred changed

PLAIN = """order invoice printer refund the a my login password error shipment late broken cannot account please help
with upgrade billing email customer urgent question about feature naïve café 日本語 it's"""
WORDS = [*PLAIN.split(), '"quoted"', "back\\slash", "tab\there", "one,two"]
LABELS = ["billing", "vip", "bug", "feature request", "spam", "refund", "naïve", "a,b", 'q"uote', "it's"]
ARRAYS = {"cases": ("labels", "label_ids"), "customers": ("emails", "phone_numbers", "addresses")}


@dataclass(frozen=True, kw_only=True)
class Data:
    """Generated files: `full/STREAM.ndjson` and `changed/STREAM.ndjson` in `folder`.

    `full` and `after` count the rows of every table after a full load, and after the changed records were upserted too.
    """

    folder: Path
    n: int
    full: dict[str, int]
    after: dict[str, int]

    def file(self, stream: str, *, changed: bool = False) -> Path:
        """Where a stream's records lie, one JSON object in a line, ordered by id."""
        return self.folder / ("changed" if changed else "full") / f"{stream}.ndjson"


def generate(folder: Path, n: int) -> Data:
    """Makes the files for `n` cases and n/2 customers in `folder`, unless they are there already."""
    manifest = folder / "manifest.json"
    if manifest.exists():
        known = json.loads(manifest.read_text())
        if (known["format"], known["n"]) == (FORMAT, n):
            return Data(folder=folder, n=n, full=known["full"], after=known["after"])
    full: dict[str, int] = {}
    after: dict[str, int] = {}
    for stream, make in (("cases", case), ("customers", customer)):
        total = n if stream == "cases" else n // 2
        ids = sorted(random.Random(f"{stream} changed").sample(range(1, total + 1), total // 100))
        before = rows_of(stream, (make(i, n, changed=False) for i in ids))
        change = _write(folder / "changed", stream, ids, make, n)
        whole = _write(folder / "full", stream, range(1, total + 1), make, n)
        for table, rows in whole.items():
            full[table] = rows
            after[table] = rows + change[table] - before[table]
    document = {"format": FORMAT, "n": n, "full": full, "after": after}
    manifest.write_text(json.dumps(document, indent=1) + "\n")  # last: an interrupted generation is done again
    return Data(folder=folder, n=n, full=full, after=after)


def rows_of(stream: str, records: Iterable[dict[str, Any]]) -> Counter[str]:
    """How many rows of each table the records become."""
    counts: Counter[str] = Counter({stream: 0, **{f"{stream}__{array}": 0 for array in ARRAYS[stream]}})
    for record in records:
        counts[stream] += 1
        for array in ARRAYS[stream]:
            counts[f"{stream}__{array}"] += len(record[array])
    return counts


def _write(folder: Path, stream: str, ids: Iterable[int], make: Callable[..., dict[str, Any]], n: int) -> Counter[str]:
    folder.mkdir(parents=True, exist_ok=True)
    counts = rows_of(stream, ())
    with (folder / f"{stream}.ndjson").open("w", encoding="utf-8", newline="\n") as file:
        for i in ids:
            record = make(i, n, changed=folder.name == "changed")
            counts.update(rows_of(stream, [record]))
            file.write(json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n")
    return counts


def case(i: int, n: int, *, changed: bool) -> dict[str, Any]:
    """One case: 20 scalars, nought to four labels, their ids, custom fields."""
    chance = random.Random(f"case {i} {changed}")
    created, updated = _life(chance, changed=changed)
    labels = chance.sample(range(len(LABELS)), (i + changed) % 5)
    here = f"/api/v2/cases/{i}"
    return {
        "id": i,
        "external_id": f"ext-{i}" if i % 3 == 0 else None,
        "subject": ("updated " if changed else "") + _words(chance, 3, 10),
        "priority": chance.randint(1, 10),
        "blurb": _words(chance, 5, 20),
        "description": _words(chance, 10, 60) if chance.random() < 0.7 else None,
        "status": chance.choice(["new", "open", "pending", "resolved", "closed"]),
        "type": chance.choice(["email", "phone", "chat", "twitter", "qna"]),
        "labels": [LABELS[position] for position in labels],
        "label_ids": [1000 + position for position in labels],
        "language": "en_us",
        "locked_until": None,
        "active_at": created,
        "changed_at": updated,
        "created_at": created,
        "updated_at": updated,
        "first_opened_at": created,
        "opened_at": created if i % 2 else None,
        "first_resolved_at": None,
        "resolved_at": updated if i % 4 == 0 else None,
        "custom_fields": {"level": "vip" if i % 10 == 0 else None, "score": str(chance.randint(0, 9))},
        "_links": {
            "self": _link(here, "case"),
            "message": _link(f"{here}/message", "email"),
            "customer": _link(f"/api/v2/customers/{chance.randint(1, max(1, n // 2))}", "customer"),
            "labels": _link(f"{here}/labels", "label"),
            "assigned_user": _link(f"/api/v2/users/{chance.randint(1, 50)}", "user"),
            "assigned_group": _link(f"/api/v2/groups/{chance.randint(1, 9)}", "group"),
            "locked_by": None,
            "history": _link(f"{here}/history", "history"),
            "replies": _link(f"{here}/replies", "reply", count=chance.randint(0, 9)),
            "notes": _link(f"{here}/notes", "note", count=chance.randint(0, 3)),
            "attachments": _link(f"{here}/attachments", "attachment", count=0),
        },
    }


def customer(i: int, n: int, *, changed: bool) -> dict[str, Any]:
    """One customer: 15 scalars, one to three e-mail addresses, up to two telephone numbers, nought or one address."""
    chance = random.Random(f"customer {i} {changed}")
    created, updated = _life(chance, changed=changed)
    place = i + changed  # the arrays' lengths come round: their sums are exact where n is a multiple of 32
    here = f"/api/v2/customers/{i}"
    return {
        "id": i,
        "first_name": ("updated " if changed else "") + chance.choice(["Ann", "Bob", "Zoë", "O'Neil", "李"]),
        "last_name": _words(chance, 1, 2),
        "company": chance.choice([None, "Acme, Inc.", 'Widgets "R" Us']),
        "title": chance.choice([None, "CEO", "Dr"]),
        "avatar": f"https://gravatar.example/{i}.png",
        "uid": None,
        "external_id": f"c-{i}" if i % 3 == 0 else None,
        "background": _words(chance, 0, 20) if i % 2 else None,
        "language": "en_us",
        "locked_until": None,
        "access_private_portal": i % 7 == 0,
        "access_company_cases": i % 11 == 0,
        "created_at": created,
        "updated_at": updated,
        "emails": [
            {"type": chance.choice(["home", "work"]), "value": f"u{i}.{k}@example.com"}
            for k in range((1, 2, 3, 2)[place % 4])
        ],
        "phone_numbers": [
            {"type": "work", "value": f"+1 555 {chance.randrange(10**7):07}"}
            for _ in range((0, 1, 2, 1)[place // 4 % 4])
        ],
        "addresses": [
            {"type": "home", "value": f"{chance.randrange(999)} Main St, Springfield"}
            for _ in range((place + place // 4) % 2)
        ],
        "custom_fields": {"level": "vip" if i % 10 == 0 else None},
        "_links": {
            "self": _link(here, "customer"),
            "cases": _link(f"{here}/cases", "case", count=chance.randint(0, 5)),
            "company": None,
            "facebook_user": None,
            "twitter_user": None,
            "integration_urls": _link(f"{here}/integration_urls", "integration_url"),
        },
    }


def _life(chance: random.Random, *, changed: bool) -> tuple[str, str]:
    """When a record was created and last changed."""
    created = chance.randrange(SPAN - 86_400)
    updated = chance.randrange(created, SPAN)
    last = CHANGED + timedelta(seconds=chance.randrange(86_400)) if changed else BEGIN + timedelta(seconds=updated)
    return _text(BEGIN + timedelta(seconds=created)), _text(last)


def _text(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")


def _words(chance: random.Random, least: int, most: int) -> str:
    return " ".join(chance.choices(WORDS, k=chance.randint(least, most)))


def _link(href: str, kind: str, **more: int) -> dict[str, Any]:
    return {"href": href, "class": kind, **more}
