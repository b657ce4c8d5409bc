"""From the wire to the stored record: ids that Desk tells only in links become columns, nothing is taken away.

A link is `{"href": "/api/v2/customers/9001", "class": "customer"}`, null, or left out (facts/desk_api.md section 2).
The functions change the given object, which nobody else holds, and put up with any JSON in any place.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

Wire = dict[str, Any]

# relation -> column. `<relation>_id` everywhere but in `sent_by`, whose name is Stitch's.
CASE_LINKS: Final = (
    ("customer", "customer_id"),
    ("assigned_user", "assigned_user_id"),
    ("assigned_group", "assigned_group_id"),
    ("locked_by", "locked_by_id"),
)
CUSTOMER_LINKS: Final = (
    ("company", "company_id"),
    ("locked_by", "locked_by_id"),
    ("twitter_user", "twitter_user_id"),
    ("facebook_user", "facebook_user_id"),
)
REPLY_LINKS: Final = (
    ("sent_by", "sent_by"),
    *(
        (name, f"{name}_id")
        for name in (
            *("customer", "entered_by", "created_by", "erased_by", "hidden_by", "favorited_by", "retweeted_by"),
            *("favorited_by_twitter_account", "twitter_account", "outbound_mailbox"),
            *("topic", "best_answer", "answers_disallowed_by"),
        )
    ),
)


def id_of(link: Any) -> int | None:
    """The id at the end of a link's address, None where there is none."""
    href = link.get("href") if isinstance(link, dict) else None
    if not isinstance(href, str):
        return None
    last = href.partition("?")[0].rstrip("/").rpartition("/")[2]
    return int(last) if last.isascii() and last.isdigit() and len(last) < 19 else None


def _links(record: Wire) -> Mapping[str, Any]:
    links = record.get("_links")
    return links if isinstance(links, dict) else {}


def _add_ids(record: Wire, links: Mapping[str, Any], columns: tuple[tuple[str, str], ...]) -> None:
    for relation, column in columns:
        if relation in links and record.get(column) is None:
            record[column] = id_of(links[relation])


def case(record: Wire) -> Wire:
    """A case; `last_opened_at` is `opened_at` under Stitch's name."""
    _add_ids(record, _links(record), CASE_LINKS)
    if record.get("last_opened_at") is None:
        record["last_opened_at"] = record.get("opened_at")
    return record


def customer(record: Wire) -> Wire:
    """A customer."""
    _add_ids(record, _links(record), CUSTOMER_LINKS)
    return record


def reply(record: Wire) -> Wire:
    """A reply, whatever its channel. Its key comes from its links: the body's `id` counts per channel
    (facts/desk_api.md section 7.2)."""
    links = _links(record)
    for relation, column in (("case", "case_id"), ("self", "reply_id")):
        if (found := id_of(links.get(relation))) is not None:
            record[column] = found
    _add_ids(record, links, REPLY_LINKS)
    return record


def has_replies(record: Mapping[str, Any]) -> bool:
    """Whether a case is worth asking for its replies; one whose link does not count them is."""
    link = _links(dict(record)).get("replies")
    count = link.get("count") if isinstance(link, dict) else None
    return count is None or isinstance(count, bool) or not isinstance(count, int) or count > 0
