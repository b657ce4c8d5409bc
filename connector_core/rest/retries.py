"""Answers of a source that pass although their status does not say so."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from connector_core.errors import Place, RetryableError
from connector_core.parse import UnreadablePage, page
from connector_core.rest.paginators import dig

if TYPE_CHECKING:
    from connector_core.rest.transport import Answer


@dataclass(frozen=True, kw_only=True)
class Retry:
    """Answers that the engine asks for again, besides 408, 425, 429 and 5xx, which it always does.

    `statuses` say so by their number. `body` is a dotted path whose value says so when it is neither missing, null,
    false, empty nor 0, or a function of the document that says so; it is looked at whatever the status is. `after` is
    how many seconds to wait where the answer has no Retry-After; without it the engine's own pauses hold. Raises
    ValueError or TypeError for what cannot work.
    """

    statuses: Collection[int] = ()
    body: str | Callable[[Any], Any] = ""
    after: float | None = None

    def __post_init__(self) -> None:
        if isinstance(self.statuses, int | str) or not all(type(code) is int for code in self.statuses):
            raise TypeError(f"Retry: statuses is {self.statuses!r}; it must be numbers, as in {{403, 409}}")
        for code in self.statuses:
            if not 400 <= code < 600 or code == 401:
                why = "401 means that the credentials are refused" if code == 401 else "it is no error"
                raise ValueError(f"Retry: status {code} cannot be repeated: {why}")
        if not isinstance(self.body, str) and not callable(self.body):
            raise TypeError(f"Retry: body is {type(self.body).__name__}; it must be a path or a function")
        if not self.statuses and not self.body:
            raise ValueError("Retry: it needs statuses or a body")
        if self.after is not None and not self.after >= 0:
            raise ValueError(f"Retry: after is {self.after!r}; it must be seconds")

    def check(self, answer: Answer, wait: float | None) -> None:
        """Raises `RetryableError` for an answer to ask for again; `wait` are the seconds that the answer itself asks
        for."""
        after = self.after if wait is None else wait
        place = Place(url=answer.shown)
        if answer.status in self.statuses:
            text, code = f"the source answers {answer.status}, which passes here", f"http_{answer.status}"
            raise RetryableError(text, retry_after=after, rate=answer.rate, place=place, code=code)
        if self.body and self._told(answer):
            text = "the answer says that it is to be asked for again"
            raise RetryableError(text, retry_after=after, rate=answer.rate, place=place, code="asked_again")

    def _told(self, answer: Answer) -> bool:
        try:
            document = page(answer.body)
        except UnreadablePage:
            return False
        return bool(self.body(document) if callable(self.body) else dig(document, self.body))
