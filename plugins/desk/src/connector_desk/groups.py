"""The table user_groups: no list of the API has user and group in one row, so it is put together from the shorter side.

`/groups/{id}/users` for each group or `/users/{id}/groups` for each user, whichever are fewer (facts/desk_api.md
section 7.6).
"""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from connector_core.errors import NotFoundError
from connector_core.rest import Client, NextLink, RestStream
from connector_core.streams import Page, Stream, Window

from .schemas import USER_GROUPS, USERS


class Users:
    """The ids of the site's users, remembered while the stream `users` is read. Thread-safe; reading again starts
    again."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pages: dict[Hashable | None, tuple[int, ...]] = {}
        self._complete = False

    def learn(self, token: Hashable | None, page: Page) -> None:
        """A page of users has come; the same page again changes nothing."""
        with self._lock:
            if token is None:
                self._pages.clear()
            self._pages[token] = _ids(page)
            self._complete = page.next is None

    @property
    def ids(self) -> tuple[int, ...] | None:
        """All ids, None as long as the list was not read to its end."""
        with self._lock:
            return tuple(dict.fromkeys(id for page in self._pages.values() for id in page)) if self._complete else None


_LIST: Final[dict[str, Any]] = {
    "records": "_embedded.entries",
    "total": "total_entries",
    "paginator": NextLink("_links.next.href"),
    "per_page": 1000,
    "discard": frozenset({"_links", "_embedded"}),
}
GROUPS: Final = RestStream(name="groups", path="/groups", schema=USERS, **_LIST)
ALL_USERS: Final = RestStream(name="all_users", path="/users", schema=USERS, **_LIST)
_USERS_OF_GROUP: Final = RestStream(
    name="users_of_group", parent="groups", path="/groups/{parent.id}/users", schema=USERS, **_LIST
)
_GROUPS_OF_USER: Final = RestStream(
    name="groups_of_user", parent="users", path="/users/{parent.id}/groups", schema=USERS, **_LIST
)


@dataclass(frozen=True, kw_only=True)
class Work:
    """Token: where the table stands. `phase` groups and users read those lists, members asks for one group (`by_group`)
    or user after the other; `page` is the page within the present list, `at` the present one of `names`, `total` the
    memberships counted so far (None: not all told)."""

    phase: str = "groups"
    page: Hashable | None = None
    at: int = 0
    by_group: bool = True
    total: int | None = 0
    groups: tuple[tuple[int, str | None], ...] = field(default=(), repr=False, compare=False)
    users: tuple[int, ...] = field(default=(), repr=False, compare=False)

    @property
    def parents(self) -> tuple[tuple[int, str | None], ...]:
        """Whom to ask, in order."""
        return self.groups if self.by_group else tuple((id, None) for id in self.users)

    def __str__(self) -> str:
        return (
            self.phase
            if self.phase != "members"
            else f"{'group' if self.by_group else 'user'} {self.parents[self.at][0]}"
        )


def read_users(
    client: Client,
    config: Mapping[str, Any],
    stream: Stream,
    window: Window,
    parent: Mapping[str, Any] | None,
    page: Hashable | None,
) -> Page:
    """The stream `users`; its ids are remembered for `user_groups`."""
    answer = client.list(ALL_USERS, window, parent, page)
    client.memory.learn(page, answer)
    return answer


def read_user_groups(
    client: Client,
    config: Mapping[str, Any],
    stream: Stream,
    window: Window,
    parent: Mapping[str, Any] | None,
    page: Hashable | None,
) -> Page:
    """The stream `user_groups`, one request a call. The last page tells how many memberships the lists have counted in
    all."""
    work = page if isinstance(page, Work) else Work()
    if work.phase == "groups":
        return _listed(client.list(GROUPS, window, None, work.page), work, client.memory)
    if work.phase == "users":
        return _listed(client.list(ALL_USERS, window, None, work.page), work, client.memory)
    return _members(client, window, work)


def _listed(answer: Page, work: Work, users: Users) -> Page:
    """A page of the groups or the users has come: it brings no memberships yet."""
    if work.phase == "groups":
        work = replace(work, groups=work.groups + _named(answer))
    else:
        work = replace(work, users=work.users + _ids(answer))
    if answer.next is not None:
        after: Work | None = replace(work, page=answer.next)
    elif work.phase == "groups" and (known := users.ids) is None:
        after = replace(work, phase="users", page=None)
    else:
        ids = work.users if work.phase == "users" else known or ()
        ready = replace(
            work,
            phase="members",
            page=None,
            users=tuple(dict.fromkeys(ids)),
            by_group=len(work.groups) <= len(set(ids)),
        )
        after = ready if ready.parents else None
    return replace(answer, records=[], next=after, total=0 if after is None else None)


def _members(client: Client, window: Window, work: Work) -> Page:
    id, name = work.parents[work.at]
    stream = _USERS_OF_GROUP if work.by_group else _GROUPS_OF_USER
    try:
        answer = client.list(stream, window, {"id": id}, work.page)
    except NotFoundError as error:  # it was deleted since the list was read, and its memberships with it
        gone = f"{'group' if work.by_group else 'user'} {id} does not exist any more"
        answer = Page(records=[], total=0, notes=(gone,), url=error.place.url or "")
    if work.by_group:
        records: list[Any] = [_row(id, entry, name) for entry in answer.records]
    else:
        records = [_row(entry, id, None) for entry in answer.records]
    total = work.total
    if work.page is None:
        total = None if total is None or answer.total is None else total + answer.total
    if answer.next is not None:
        after: Work | None = replace(work, page=answer.next, total=total)
    else:
        after = replace(work, at=work.at + 1, page=None, total=total) if work.at + 1 < len(work.parents) else None
    return replace(answer, records=records, next=after, total=total if after is None else None)


def _row(group: Any, user: Any, name: str | None) -> Any:
    """A membership; an entry that is no object stays as it is (the engine rejects it)."""
    if isinstance(group, dict):
        return {"user_id": user, "id": group.get("id"), "name": group.get("name")}
    if isinstance(user, dict):
        return {"user_id": user.get("id"), "id": group, "name": name}
    return group if not isinstance(group, int) else user


def _ids(page: Page) -> tuple[int, ...]:
    return tuple(entry["id"] for entry in page.records if isinstance(entry, dict) and type(entry.get("id")) is int)


def _named(page: Page) -> tuple[tuple[int, str | None], ...]:
    rows: Iterable[dict[str, Any]] = (entry for entry in page.records if isinstance(entry, dict))
    return tuple((row["id"], row.get("name")) for row in rows if type(row.get("id")) is int)


__all__ = ["USER_GROUPS", "Users", "read_user_groups", "read_users"]
