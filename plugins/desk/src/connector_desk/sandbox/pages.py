"""HAL pages: query parameters in, list body out (facts/desk_api.md sections 2 to 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote_plus

from .settings import Settings
from .table import SORTS
from .wire import API, Document

BOUNDED = ("id", "created_at", "updated_at")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the API says: a JSON document or None for no body. ``entries``: rows of a list; ``tagged``: carries an ETag;
    ``broken``: it is never sent, or its body is cut."""

    status: int = 200
    document: Document | None = None
    entries: int | None = None
    tagged: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    broken: Literal["", "silent", "cut"] = ""


class FailedError(Exception):
    """The request ends with this answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


def failure(status: int, message: str) -> Answer:
    """An error body of the common shape."""
    return Answer(status=status, document={"message": message})


def invalid(name: str, code: str = "invalid") -> FailedError:
    """422 that names the parameter; the values of ``errors`` are lists of short codes."""
    return FailedError(Answer(status=422, document={"message": "Validation Failed", "errors": {name: [code]}}))


@dataclass(frozen=True, kw_only=True)
class Ask:
    """A request for a list or record: path below the host, query as sent and its decoded parameters (the last of each
    name)."""

    path: str
    query: str
    params: dict[str, str]

    @classmethod
    def of(cls, path: str, query: str) -> Ask:
        """From path and query as they came."""
        return cls(path=path, query=query, params=dict(parse_qsl(query, keep_blank_values=True)))

    def integer(self, name: str) -> int | None:
        """A whole number, None when the parameter is absent or empty, 422 for anything else."""
        text = self.params.get(name, "")
        if not text:
            return None
        try:
            return int(text)
        except ValueError:
            raise invalid(name) from None

    def names(self, name: str) -> list[str]:
        """A comma-separated list; blanks around the names are tolerated."""
        return [item for item in (part.strip() for part in self.params.get(name, "").split(",")) if item]

    def kept(self) -> str:
        """The other parameters as they were sent: links carry them before page and per_page."""
        pairs = [pair for pair in self.query.split("&") if pair]
        kept = [pair for pair in pairs if unquote_plus(pair.partition("=")[0]) not in ("page", "per_page")]
        return "".join(f"{pair}&" for pair in kept)


@dataclass(frozen=True, kw_only=True)
class Paging:
    """Which rows: page from 1, rows of a page."""

    page: int
    per_page: int

    @property
    def start(self) -> int:
        """Number of rows before the page."""
        return (self.page - 1) * self.per_page


def paging(ask: Ask, resource: str, settings: Settings) -> Paging:
    """Page and per_page as the site's limits make them. A per_page above the most is clamped, or 422, as the switch
    says."""
    page = ask.integer("page")
    rows = ask.integer("per_page")
    page = 1 if page is None else page
    rows = min(settings.per_page, settings.most(resource)) if rows is None else rows
    if page < 1:
        raise invalid("page")
    if rows < 1:
        raise invalid("per_page")
    if rows > settings.most(resource):
        if settings.per_page_over == "422":
            raise invalid("per_page")
        rows = settings.most(resource)
    return Paging(page=page, per_page=rows)


def beyond_cap(paging: Paging, settings: Settings) -> bool:
    """Whether the page lies beyond the cap and is to be empty; the other kinds of refusal are raised."""
    if not settings.page_cap or paging.page <= settings.page_cap:
        return False
    if settings.page_cap_answer == "422":
        raise invalid("page")
    if settings.page_cap_answer == "400":
        raise FailedError(failure(400, "Bad Request"))
    return True


def sorting(ask: Ask, allowed: Sequence[str] = SORTS) -> tuple[str, bool]:
    """(sort field, descending); id ascending when nothing is asked."""
    name, direction = ask.params.get("sort_field") or "id", ask.params.get("sort_direction") or "asc"
    if name not in allowed:
        raise invalid("sort_field")
    if direction not in ("asc", "desc"):
        raise invalid("sort_direction")
    return name, direction == "desc"


def bounds(ask: Ask, settings: Settings) -> dict[str, tuple[int | None, int | None]]:
    """Inclusive bounds of id, created_at and updated_at from since_* (exclusive unless switched) and max_*
    (inclusive)."""
    found: dict[str, tuple[int | None, int | None]] = {}
    for name in BOUNDED:
        low, high = ask.integer(f"since_{name}"), ask.integer(f"max_{name}")
        if low is not None and settings.since == "exclusive":
            low += 1
        if low is not None or high is not None:
            found[name] = (low, high)
    return found


def page_answer(
    ask: Ask, paging: Paging, total: int, entries: Sequence[Any], settings: Settings, *, tagged: bool = False
) -> Answer:
    """The list body. ``last`` and ``next`` know nothing of the page cap, as on the real site."""
    last = max(1, -(-total // paging.per_page))

    def href(page: int) -> dict[str, str]:
        address = f"{API}/{ask.path}?{ask.kept()}page={page}&per_page={paging.per_page}"
        return {"href": address, "class": "page"}

    document: dict[str, Any] = {"page": paging.page} if settings.page_key else {}
    document["total_entries"] = total
    document["_links"] = {
        "self": href(paging.page),
        "first": href(1),
        "last": href(last),
        "previous": href(paging.page - 1) if paging.page > 1 else None,
        "next": href(paging.page + 1) if paging.page < last else None,
    }
    document["_embedded"] = {"entries": [narrowed(ask, entry) for entry in entries]}
    return Answer(document=document, entries=len(entries), tagged=tagged)


def narrowed(ask: Ask, entry: Any) -> Any:
    """The entry with only the keys of ``fields=``; links and embedded records stay."""
    wanted = ask.names("fields")
    if not wanted or not isinstance(entry, dict):
        return entry
    return {name: value for name, value in entry.items() if name in wanted or name in ("_links", "_embedded")}
