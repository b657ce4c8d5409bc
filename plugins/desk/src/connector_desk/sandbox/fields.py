"""Custom fields: the definitions of the invented site and the value that a seeded record has for each."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any, Final

from .words import pick

# facts/desk_api.md section 7.7: where a field belongs, and the types of its data.
KINDS: Final = ("ticket", "customer", "company")
TYPES: Final = ("string", "integer", "boolean", "date", "list")


@dataclass(frozen=True, kw_only=True)
class Definition:
    """A row of ``GET /custom_fields``. ``default`` is what records have that set nothing; seeded ones draw their own
    values."""

    id: int
    kind: str
    name: str
    label: str
    type: str
    choices: tuple[str, ...] = ()
    active: bool = True
    default: Any = None
    seeded: bool = False


def _seeded(id: int, kind: str, name: str, label: str, type: str, *choices: str) -> Definition:
    return Definition(id=id, kind=kind, name=name, label=label, type=type, choices=choices, seeded=True)


SEEDED: Final = (
    _seeded(11, "ticket", "market", "Market", "list", "nordics", "DACH", "日本", "rest of world"),
    _seeded(12, "ticket", "order_no", "Order number", "string"),
    _seeded(13, "ticket", "vip", "VIP?", "boolean"),
    _seeded(15, "ticket", "seats", "Seats", "integer"),
    _seeded(16, "ticket", "due", "Due", "date"),
    _seeded(
        19, "ticket", "topic", "Topic", "list", "Billing::Refund", "Billing::Invoice", "Technical::Log in", "Other"
    ),
    _seeded(21, "customer", "level", "Level", "list", "bronze", "silver", "gold"),
    _seeded(22, "customer", "newsletter", "Newsletter", "boolean"),
    _seeded(23, "customer", "employees", "Employees", "integer"),
    _seeded(26, "customer", "renewal", "Renewal", "date"),
    _seeded(27, "customer", "region", "Region", "list", "Europe::Sverige", "Europe::Österreich", "Asia::日本"),
    _seeded(28, "customer", "memo", "Memo", "string"),
    _seeded(31, "company", "tier", "Tier", "list", "A", "B"),
    _seeded(32, "company", "vat_no", "VAT number", "string"),
    _seeded(33, "company", "branches", "Branches", "integer"),
    _seeded(34, "company", "partner", "Partner", "boolean"),
    _seeded(36, "company", "founded", "Founded", "date"),
    _seeded(37, "company", "trade", "Trade", "list", "Retail::Food", "Retail::Schuhe", "卸売業"),
    Definition(id=41, kind="ticket", name="old_queue", label="Queue (until 2013)", type="string", active=False),
)


def draw(definition: Definition, rng: Random) -> Any:
    """A value as the wire has it: integers are text, dates a midnight instant, unset is null (facts/desk_api.md section
    7.1)."""
    chance = rng.random()
    if chance < 0.4:
        return None
    if definition.type == "boolean":
        return chance < 0.7
    if definition.type == "integer":
        return str(int(chance * 4000) - 1600)
    if definition.type == "date":
        return f"20{14 + int(chance * 12)}-{1 + int(chance * 97) % 12:02d}-{1 + int(chance * 991) % 28:02d}T00:00:00Z"
    if definition.choices:
        return pick(rng, definition.choices)
    return pick(rng, ("", "A-77", "007", 'say "hi"\tthere', "Größe: 5 µm", f"A-{int(chance * 1e6)}"))


def draw_all(kind: str, rng: Random) -> dict[str, Any]:
    """The values of all seeded definitions of a kind, by name."""
    return {
        definition.name: draw(definition, rng) for definition in SEEDED if definition.kind == kind and definition.active
    }
