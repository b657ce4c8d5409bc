"""GET that gives a good answer or raises the right error: statuses, redirects, waiting times, clocks and
credentials."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NoReturn
from urllib.parse import urlencode

from requests.auth import AuthBase

from connector_core.clock import SystemClock
from connector_core.entries import Columns
from connector_core.errors import AuthError, ConnectorError, Evidence, NotFoundError, Place, RetryableError, SourceError
from connector_core.parse import UnreadablePage, page
from connector_core.redact import printable, redactor
from connector_core.rest.addresses import canonical, is_loopback, origin, redacted, within, without
from connector_core.rest.auth import Auth, Signer
from connector_core.rest.rates import Meter, RateFigure, RateReader, http_date, number
from connector_core.rest.resolve import Resolver
from connector_core.rest.retries import Retry
from connector_core.rest.wire import Limits, Raw, Wire
from connector_core.streams import RateLimit

REDIRECTS = 5
TOLD = ("Content-Type", "Content-Length", "Content-Encoding", "Date", "Retry-After", "Server")
"""Headers of an answer that help to find out why it could not be used; none of them carries a credential."""
MOST_EVIDENCE = 68 * 1024  # bytes of a body that are kept with an error; a little more than is written
CLOCK_DOUBT = 300.0  # seconds; OAuth 1.0a servers refuse timestamps that are further off (facts/fault_catalogue.md A39)
_WAIT = frozenset({408, 425, 429})
_REDIRECT = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A good answer: status 200 (or, for `Transport.post`, whatever came).

    `headers` ignore case, `body` is unpacked, `url` the full address that answered (with its secrets), `shown` the one
    for people, `elapsed` seconds, `requests` how many were made (redirects count), `served_at` the server's `Date`.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    url: str = field(repr=False)
    shown: str
    elapsed: float = 0.0
    requests: int = 1
    rate: RateLimit | None = None
    served_at: datetime | None = None

    @contextmanager
    def blamed(self) -> Iterator[None]:
        """An error that is raised inside shows this answer."""
        try:
            yield
        except ConnectorError as error:
            told = {name: self.headers[name] for name in TOLD if name in self.headers}
            head = {"Status": str(self.status), "Address": self.shown, "Size": f"{len(self.body):,} bytes", **told}
            error.showing(Evidence(kind="page", text=self.body[:MOST_EVIDENCE], head=head))
            raise

    def document(self, columns: Columns | None = None) -> Any:
        """The body as JSON, its records by `columns` if they are given. Raises `RetryableError` for HTML and for
        everything that cannot be read: a cut answer is never the end of the data."""
        with self.blamed():
            return self._document(Place(url=self.shown), columns.document if columns else page)

    def _document(self, place: Place, read: Callable[[bytes], Any]) -> Any:
        if "html" in self.headers.get("Content-Type", "").lower() or self.body[:64].lstrip()[:1] == b"<":
            raise RetryableError("the answer is a web page instead of JSON", place=place, rate=self.rate, code="html")
        if not self.body.strip():
            raise RetryableError("the answer is empty", place=place, rate=self.rate, code="empty")
        try:
            return read(self.body)
        except UnreadablePage as error:
            text = f"the answer cannot be read: {printable(error.reason)}"
            raise RetryableError(text, place=place, rate=self.rate, code="unreadable") from None


class Transport:
    """Asks one site, and no other. Safe for several threads. Never sleeps, never repeats a request that failed."""

    def __init__(
        self,
        base: str,
        *,
        auth: Auth | None = None,
        config: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        rate: RateReader | RateFigure | None = None,
        retry: Retry | None = None,
        limits: Limits | None = None,
        secrets: tuple[str, ...] = (),
        private_network: bool = False,
        now: Callable[[], datetime] | None = None,
    ) -> None:
        """`base` is the site (https, or loopback), `secrets` are texts that no error may show, `private_network` allows
        a name that leads into a private network. Raises `ConfigError` for missing credentials."""
        self.base = base
        self._wire = Wire(limits or Limits(), headers or {}, Resolver(private=private_network))
        self._auth, self._retry, self._now = auth, retry, now or SystemClock().now
        self._meter = Meter(rate) if isinstance(rate, RateFigure) else None
        self._rate: RateReader | None = None if isinstance(rate, RateFigure) else rate
        self._redact = redactor(secrets)
        self._hidden = frozenset(auth.hidden if auth else ())
        self._signer = auth.signer(config or {}, self.post) if auth else Signer(sign=lambda: None)

    def get(self, target: str, params: Mapping[str, Any] | None = None) -> Answer:
        """GET a path below the base, or an absolute address on its origin. `params` are added to its query.

        Redirects within the origin are followed, at most 5, each signed anew. Raises `RetryableError` (no or no
        complete answer, 408, 425, 429, 5xx, 204), `AuthError` (401), `NotFoundError` (404), `SourceError` (other
        statuses, foreign addresses).
        """
        started, requests, renewed = time.monotonic(), 0, False
        url = with_params(self._join(target), params or {})
        visited = {canonical(url)}
        while True:
            signed = self._signer.sign()
            raw = self._send("GET", url, auth=signed)
            requests += 1
            if raw.status == 401 and not renewed and self._signer.renew(signed):
                renewed = True
                continue
            answer = self._answer(raw, url, elapsed=time.monotonic() - started, requests=requests)
            if self._retry is not None:
                with answer.blamed():
                    self._retry.check(answer, self._wait(answer))
            if answer.status == 200:
                return answer
            if answer.status not in _REDIRECT:
                with answer.blamed():
                    self._refuse(answer)
            url = self.link(answer.headers.get("Location"), asked=url)
            if canonical(url) in visited or len(visited) > REDIRECTS:
                raise SourceError(
                    "the source redirects in a circle, or too often",
                    hint="tell the source's administrator",
                    place=Place(url=answer.shown),
                    code="redirect_loop",
                )
            visited.add(canonical(url))

    def post(self, url: str, form: Mapping[str, str], auth: AuthBase) -> Answer:
        """POST a form to an absolute address that the plugin's author has declared. Raises `RetryableError`."""
        scheme, host, _ = origin(url)
        if scheme != "https" and not is_loopback(host):
            raise SourceError(
                "credentials are only sent over https", place=Place(url=self._shown(url)), code="plain_http"
            )
        answer = self._answer(self._send("POST", url, auth=auth, data=form), url)
        if answer.status in _WAIT or answer.status >= 500:
            self._refuse(answer)
        return answer

    def link(self, link: object, *, asked: str) -> str:
        """The absolute address of a link met in the answer to `asked`, without credentials that the source repeats in
        it. Raises `SourceError` (foreign_origin)."""
        return without(within(self.base, link, asked=asked), self._hidden)

    def _join(self, target: str) -> str:
        if target.startswith(("http://", "https://")):
            return within(self.base, target, asked=self.base)
        return f"{self.base}/{target.lstrip('/')}"

    def _shown(self, url: str) -> str:
        return printable(self._redact(redacted(url, self._hidden)))

    def _send(self, method: str, url: str, *, auth: AuthBase | None, data: Mapping[str, str] | None = None) -> Raw:
        if self._meter is not None:
            self._meter.call()
        return self._wire.send(method, url, auth=auth, shown=self._shown(url), data=data)

    def _budget(self, headers: Mapping[str, str]) -> RateLimit | None:
        if self._meter is not None:
            return self._meter.read()
        return self._rate(headers) if self._rate else None

    def _answer(self, raw: Raw, url: str, *, elapsed: float = 0.0, requests: int = 1) -> Answer:
        return Answer(
            status=raw.status,
            headers=raw.headers,
            body=raw.body,
            url=url,
            shown=self._shown(url),
            elapsed=elapsed,
            requests=requests,
            rate=self._budget(raw.headers),
            served_at=http_date(raw.headers.get("Date")),
        )

    def _refuse(self, answer: Answer) -> NoReturn:
        """Raise what this status means. Nothing of the body is read but the source's own short message."""
        status, place = answer.status, Place(url=answer.shown)
        if status in _WAIT or status >= 500 or status < 300:
            raise RetryableError(
                f"the source answers {status}{self._said(answer)}"
                if status >= 300
                else f"the source answers {status} without a page",
                retry_after=self._wait(answer),
                rate=answer.rate,
                place=place,
                code=f"http_{status}",
            )
        if status == 401:
            raise AuthError("credentials refused by the source" + self._clock(answer), hint=self._renew(), place=place)
        if status == 404:
            raise NotFoundError(
                f"the source knows no such thing (404{self._said(answer)})",
                hint="look at the site's address in the configuration",
                place=place,
            )
        hints = {
            403: "give the user of these credentials the right to read this",
            410: "the source has removed it for good",
        }
        raise SourceError(
            f"the source answers {status}{self._said(answer)}",
            hint=hints.get(status, "the request is refused as it is; repeating it would not help"),
            place=place,
            code=f"http_{status}",
        )

    def _wait(self, answer: Answer) -> float | None:
        asked = retry_after(answer.headers.get("Retry-After"), answer.served_at or self._now())
        if asked is None and answer.status == 429 and answer.rate and answer.rate.reset is not None:
            return max(1.0, answer.rate.reset)  # may be 0, as Desk's is (facts/desk_api.md section 5)
        return asked

    def _renew(self) -> str:
        names = self._auth.settings if self._auth else ()
        if not names:
            return "this source is asked without credentials, but wants some"
        if len(names) == 1:
            return f"renew {names[0]} in the connector's configuration"
        listed = f"{', '.join(names[:-1])} and {names[-1]}"
        return f"renew {listed} in the connector's configuration; the source does not say which of them is wrong"

    def _clock(self, answer: Answer) -> str:
        if answer.served_at is None:
            return ""
        seconds = (self._now() - answer.served_at).total_seconds()
        if abs(seconds) <= CLOCK_DOUBT:
            return ""
        side = "ahead of" if seconds > 0 else "behind"
        apart = f"{abs(seconds):,.0f} seconds {side} the source's"
        return f"; this machine's clock is {apart}, which alone makes a signature invalid"

    def _said(self, answer: Answer) -> str:
        """The source's short message, if there is one, without secrets and control characters."""
        try:
            document = page(answer.body[:4096]) if answer.body[:1] == b"{" else None
        except UnreadablePage:
            return ""
        text = document.get("message") or document.get("error") if isinstance(document, dict) else None
        return f": {printable(self._redact(text[:200]))}" if isinstance(text, str) and text else ""


def with_params(url: str, params: Mapping[str, Any]) -> str:
    """An address with parameters added to its query; None leaves one out, booleans become true and false."""
    given = [
        (name, str(value).lower() if isinstance(value, bool) else value)
        for name, value in params.items()
        if value is not None
    ]
    return f"{url}{'&' if '?' in url else '?'}{urlencode(given, doseq=True)}" if given else url


def retry_after(text: str | None, now: datetime) -> float | None:
    """Seconds to wait by a Retry-After header: a number or an HTTP date after `now`. None where it is missing, past,
    negative or no such thing (facts/fault_catalogue.md A3); then the engine takes its own pauses."""
    if text is None:
        return None
    seconds = number(text)
    if seconds is None and (until := http_date(text)) is not None:
        seconds = (until - now).total_seconds()
    return seconds if seconds is not None and seconds >= 0 else None
