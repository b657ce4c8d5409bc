"""`JsonApi`: any JSON API on 127.0.0.1, made of the documents and lists it serves, which breaks answers as a plan
says."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connector_core.testing.faults import Fault, FaultFront, Request, Response
from connector_core.testing.faults.pages import put


@dataclass(frozen=True, kw_only=True)
class Pages:
    """A list that is served page by page, `size` records each; the test may change `records` while it is read.

    `at` and `next` are the dotted places of the records and of the link to the next page (null on the last one) in the
    document, `total` that of their number (None: it is not told), `page` the parameter that holds the page's number,
    from 1. The link is relative and keeps the other parameters of the request.
    """

    records: Sequence[Any]
    size: int = 50
    at: str = "data"
    next: str = "next"
    total: str | None = None
    page: str = "page"

    def document(self, request: Request) -> Any:
        """The page that the request asks for. ValueError where its number is none."""
        path, _, query = request.target.partition("?")
        asked = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
        number = int(asked.get(self.page, "1"))
        if number < 1:
            raise ValueError(f"there is no page {number}")
        records = list(self.records)
        last = number * self.size >= len(records)
        following = urllib.parse.urlencode(asked | {self.page: str(number + 1)})
        document: dict[str, Any] = {}
        put(document, self.at, records[(number - 1) * self.size : number * self.size])
        put(document, self.next, None if last else f"{path}?{following}")
        if self.total is not None:
            put(document, self.total, len(records))
        return document


class JsonApi(FaultFront):
    """A fault front that answers by itself: `routes` say what each path serves.

    A route is a path, in which `{name}` stands for one segment, and what it serves: `Pages`, a function, or any JSON
    document. A function is given the request and the segments by name and returns a document or a `Response`; it alone
    answers other methods than GET. Where nothing fits the answer is 404, for a page that makes no sense 400. Use it as
    a context manager; `url`, `requests`, `hits`, `replan` and the rest are those of `FaultFront`.
    """

    def __init__(
        self, routes: Mapping[str, Any], plan: Sequence[Fault] = (), *, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(None, plan, respond=self._answer)
        self.routes = dict(routes)
        self._headers = dict(headers or {})

    def _answer(self, request: Request) -> Response:
        path = request.target.partition("?")[0]
        for pattern, served in list(self.routes.items()):
            found = _pattern(pattern).fullmatch(path)
            if found:
                parts = {name: urllib.parse.unquote(text) for name, text in found.groupdict().items()}
                return self._served(served, request, parts)
        return self._json({"message": f"nothing is served at {path}"}, 404)

    def _served(self, served: Any, request: Request, parts: Mapping[str, str]) -> Response:
        if callable(served):
            document = served(request, **parts)
        elif request.method not in ("GET", "HEAD"):
            return self._json({"message": f"{request.method} is not served here"}, 405)
        elif isinstance(served, Pages):
            try:
                document = served.document(request)
            except ValueError as error:
                return self._json({"message": str(error)}, 400)
        else:
            document = served
        return document if isinstance(document, Response) else self._json(document, 200)

    def _json(self, document: Any, status: int) -> Response:
        return Response.of_json(document, status=status, headers=self._headers)


def _pattern(route: str) -> re.Pattern[str]:
    literal = re.split(r"\{(\w+)\}", route)
    return re.compile("".join(f"(?P<{t}>[^/]+)" if n % 2 else re.escape(t) for n, t in enumerate(literal)))
