"""JSON Schemas of the five streams: every documented attribute, and every further field of the 2016 wire.

Stitch's attributes: facts/stitch_desk_page.txt. The wire: facts/desk_api.md sections 7.1, 7.2, 7.4 to 7.6 and 8. All
but the keys may be null: which fields a record has depends on its channel, its age and the site's settings. What is not
named here still gets a column when it appears.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

Schema = dict[str, Any]

TEXT: Final[Schema] = {"type": ["string", "null"]}
WHOLE: Final[Schema] = {"type": ["integer", "null"]}
NUMBER: Final[Schema] = {"type": ["number", "null"]}
FLAG: Final[Schema] = {"type": ["boolean", "null"]}
INSTANT: Final[Schema] = {"type": ["string", "null"], "format": "date-time"}
KEY: Final[Schema] = {"type": "integer"}
TEXTS: Final[Schema] = {"type": ["array", "null"], "items": {"type": "string"}}
WHOLES: Final[Schema] = {"type": ["array", "null"], "items": {"type": "integer"}}
CONTACTS: Final[Schema] = {
    "type": ["array", "null"],
    "items": {"type": "object", "properties": {"type": TEXT, "value": TEXT}},
}
CUSTOM: Final[Schema] = {"type": ["object", "null"], "properties": {}}


def _record(keys: tuple[str, ...], **properties: Schema) -> Schema:
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": properties,
        "required": list(keys),
    }


CASES: Final = _record(
    ("id",),
    id=KEY,
    external_id=TEXT,
    blurb=TEXT,
    subject=TEXT,
    priority=WHOLE,
    description=TEXT,
    status=TEXT,
    type=TEXT,
    labels=TEXTS,
    label_ids=WHOLES,
    language=TEXT,
    route_status=TEXT,
    public_url=TEXT,
    suppress_rules=FLAG,  # a parameter of writing; no answer has ever held it, the column is NULL
    active_attachments_count=WHOLE,
    active_notes_count=WHOLE,
    has_pending_interactions=FLAG,
    has_failed_interactions=FLAG,
    locked_until=INSTANT,
    changed_at=INSTANT,
    active_at=INSTANT,
    received_at=INSTANT,
    first_opened_at=INSTANT,
    opened_at=INSTANT,
    last_opened_at=INSTANT,  # Stitch's name of opened_at
    first_resolved_at=INSTANT,
    resolved_at=INSTANT,
    created_at=INSTANT,
    updated_at=INSTANT,
    customer_id=WHOLE,
    assigned_user_id=WHOLE,
    assigned_group_id=WHOLE,
    locked_by_id=WHOLE,
    custom_fields=CUSTOM,
)

CUSTOMERS: Final = _record(
    ("id",),
    id=KEY,
    first_name=TEXT,
    last_name=TEXT,
    display_name=TEXT,
    company=TEXT,
    company_name=TEXT,
    title=TEXT,
    external_id=TEXT,
    avatar=TEXT,
    uid=TEXT,
    background=TEXT,
    language=TEXT,
    opportunity_value=TEXT,  # formatted money: "$3,540.00"
    access_private_portal=FLAG,
    access_company_cases=FLAG,
    emails=CONTACTS,
    phone_numbers=CONTACTS,
    addresses=CONTACTS,
    label_ids=WHOLES,
    locked_until=INSTANT,
    created_at=INSTANT,
    updated_at=INSTANT,
    company_id=WHOLE,
    locked_by_id=WHOLE,
    twitter_user_id=WHOLE,
    facebook_user_id=WHOLE,
    custom_fields=CUSTOM,
)

REPLIES: Final = _record(
    ("case_id", "reply_id"),
    case_id=KEY,
    reply_id=KEY,
    id=WHOLE,  # counts per channel: two replies of one case may share it
    subject=TEXT,
    body=TEXT,
    direction=TEXT,
    status=TEXT,
    to=TEXT,
    cc=TEXT,
    bcc=TEXT,
    client_type=TEXT,
    suppress_rules=FLAG,
    hidden=FLAG,
    hidden_by=TEXT,
    # tweet
    type=TEXT,
    twitter_status_id=TEXT,
    # chat, facebook, questions and answers
    event_type=TEXT,
    from_facebook_name=TEXT,
    is_best_answer=FLAG,
    rating=NUMBER,
    rating_count=WHOLE,
    rating_score=NUMBER,
    public_url=TEXT,
    are_answers_disallowed=FLAG,
    answers_disallowed_at=INSTANT,
    entered_at=INSTANT,
    sent_at=INSTANT,
    hidden_at=INSTANT,
    erased_at=INSTANT,
    created_at=INSTANT,
    updated_at=INSTANT,
    sent_by=WHOLE,
    customer_id=WHOLE,
    entered_by_id=WHOLE,
    created_by_id=WHOLE,
    erased_by_id=WHOLE,
    hidden_by_id=WHOLE,
    favorited_by_id=WHOLE,
    favorited_by_twitter_account_id=WHOLE,
    retweeted_by_id=WHOLE,
    twitter_account_id=WHOLE,
    outbound_mailbox_id=WHOLE,
    topic_id=WHOLE,
    best_answer_id=WHOLE,
    answers_disallowed_by_id=WHOLE,
    **{"from": TEXT},
)

USERS: Final = _record(
    ("id",),
    id=KEY,
    name=TEXT,
    public_name=TEXT,
    email=TEXT,
    email_verified=FLAG,
    avatar=TEXT,
    level=TEXT,
    available=FLAG,
    current_login_at=INSTANT,
    last_login_at=INSTANT,
    created_at=INSTANT,
    updated_at=INSTANT,
)

USER_GROUPS: Final = _record(("user_id", "id"), user_id=KEY, id=KEY, name=TEXT)

# facts/desk_api.md section 7.1: a number field is text on the wire ("3"), a date an instant at midnight, a list its
# chosen text
_CUSTOM_TYPES: Final[Mapping[str, Schema]] = {
    "string": TEXT,
    "integer": TEXT,
    "boolean": FLAG,
    "date": INSTANT,
    "list": TEXT,
}


def with_custom_fields(schema: Schema, definitions: list[tuple[str, str]]) -> Schema:
    """The schema with a property under `custom_fields` for each (name, type of data). A type that nobody knows is left
    to the values."""
    known = {name: _CUSTOM_TYPES[kind] for name, kind in definitions if kind in _CUSTOM_TYPES}
    return {**schema, "properties": {**schema["properties"], "custom_fields": {**CUSTOM, "properties": known}}}
