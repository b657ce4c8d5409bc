"""Records that a test adds: what the site fills in when hardly anything is given."""

from __future__ import annotations

from typing import Any, Final

from .people import gravatar
from .record import Record

# In the order of the wire, facts/desk_api.md sections 7.1 and 7.4.
CASE_FIELDS: Final = (
    "id", "blurb", "changed_at", "created_at", "custom_fields", "description", "external_id", "first_opened_at",
    "first_resolved_at", "label_ids", "labels", "language", "locked_until", "opened_at", "priority", "received_at",
    "resolved_at", "status", "subject", "type", "updated_at", "active_at", "active_attachments_count",
    "active_notes_count", "has_pending_interactions", "has_failed_interactions", "route_status",
)  # fmt: skip
CUSTOMER_FIELDS: Final = (
    "id", "first_name", "last_name", "display_name", "company", "company_name", "title", "external_id", "locked_until",
    "created_at", "updated_at", "label_ids", "background", "language", "access_private_portal", "access_company_cases",
    "avatar", "uid", "opportunity_value", "custom_fields", "emails", "phone_numbers", "addresses",
)  # fmt: skip


def case(id: int, channel: str, instant: str | None, customer: int | None) -> Record:
    """An untouched new case."""
    fields: dict[str, Any] = dict.fromkeys(CASE_FIELDS)
    fields |= {"id": id, "blurb": "A new case", "subject": "Added", "status": "new", "type": channel, "priority": 4}
    fields |= dict.fromkeys(("created_at", "updated_at", "changed_at"), instant)
    fields |= {"label_ids": [], "labels": [], "active_attachments_count": 0, "active_notes_count": 0}
    fields |= {"has_pending_interactions": False, "has_failed_interactions": False}
    refs = {"customer": customer, "assigned_user": None, "assigned_group": None, "locked_by": None}
    return Record(id=id, fields=fields, refs=refs, channel=channel)


def customer(id: int, instant: str | None) -> Record:
    """A customer without names, addresses and company."""
    fields: dict[str, Any] = dict.fromkeys(CUSTOMER_FIELDS)
    fields |= {"id": id, "display_name": f"Added {id}", "created_at": instant, "updated_at": instant}
    fields |= {"label_ids": [], "emails": [], "phone_numbers": [], "addresses": [], "opportunity_value": "$0.00"}
    fields |= {"access_private_portal": False, "access_company_cases": False, "avatar": gravatar(str(id))}
    return Record(id=id, fields=fields, refs={"company": None, "twitter_user": None})


def user(id: int, instant: str | None) -> Record:
    """An agent who never logged in."""
    address = f"agent{id}@acme.example.test"
    fields = {
        "id": id,
        "name": f"Agent {id}",
        "public_name": f"Agent {id}",
        "email": address,
        "email_verified": False,
        "avatar": gravatar(address),
        "level": "agent",
        "created_at": instant,
        "updated_at": instant,
        "current_login_at": None,
        "last_login_at": None,
    }
    return Record(id=id, fields=fields)


def label(id: int, name: str) -> Record:
    """A label that a case brought in by its name."""
    fields = {"id": id, "name": name, "description": None, "enabled": True, "types": ["case"]}
    return Record(id=id, fields=fields | {"color": "default", "position": id})
