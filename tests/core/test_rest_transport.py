"""What a single call makes of every fault of the wire: a right page, or the right error. Numbers are those of
facts/fault_catalogue.md."""

from __future__ import annotations

import gzip
import re
import ssl
import threading
import time
import traceback
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from connector_core.errors import AuthError, ConfigError, NotFoundError, RetryableError, SourceError
from connector_core.rest import HeaderKey, Limits, QueryKey, site
from connector_core.rest.addresses import within
from connector_core.streams import RateLimit
from connector_core.testing.faults import (
    Action,
    Body,
    CanaryServer,
    DeadConnection,
    Entries,
    Fault,
    FaultFront,
    Fin,
    Framing,
    GzipBomb,
    Headers,
    Latency,
    Nested,
    NextLink,
    Redirect,
    Reset,
    Response,
    Silence,
    SlowLoris,
    Status,
    Total,
    Value,
)
from tests.support.shop_api import CREDENTIALS, RATE, Api, Reader, ids, reader, shop

ALL = [1, 2, 3, 4, 5, 6, 7]
QUICK = Limits(deadline=0.6)


@contextmanager
def broken(*actions: Action, times: int | None = 1, nth: int = 1, limits: Limits | None = None) -> Iterator[Reader]:
    """A reader of a shop whose `nth` answer (and the following, `times` in all) is broken."""
    with FaultFront(None, [Fault(action=actions, times=times, nth=nth)], respond=Api()) as front:
        made = reader(front, shop(limits=limits))
        made.front = front  # type: ignore[attr-defined]
        yield made


def front_of(made: Reader) -> FaultFront:
    found: FaultFront = made.front  # type: ignore[attr-defined]
    return found


def heals(made: Reader) -> RetryableError:
    """The first call fails with something that may pass; the same call then gives the right page, and so does the
    rest."""
    with pytest.raises(RetryableError) as caught:
        made.page()
    assert ids(made.records()) == ALL
    assert front_of(made).hits, "the fault never happened"
    return caught.value


def told(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)) + repr(error) + repr(vars(error))


# --- statuses


def test_a1_429_with_retry_after_in_seconds() -> None:
    with broken(Status(code=429, retry_after=7)) as made:
        assert heals(made).retry_after == 7.0


def test_a2_429_without_a_header_leaves_the_waiting_to_the_engine() -> None:
    with broken(Status(code=429)) as made:
        error = heals(made)
    assert error.retry_after is None
    assert error.rate is None


@pytest.mark.parametrize(("reset", "wait"), [("17", 17.0), ("0", 1.0)])
def test_a2_429_of_a_source_that_tells_its_budget_waits_for_the_next_window(reset: str, wait: float) -> None:
    headers = RATE | {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset}
    with broken(Status(code=429, body="Too Many Requests", content_type="text/plain", headers=headers)) as made:
        error = heals(made)
    assert error.retry_after == wait
    assert error.rate == RateLimit(limit=60, remaining=0, reset=float(reset))


@pytest.mark.parametrize(
    ("header", "wait"),
    [("1.5", 1.5), ("0", 0.0), ("-3", None), ("soon", None), ("", None), ("nan", None), ("978307200", 978307200.0)],
)
def test_a3_a5_retry_after_in_every_spelling(header: str, wait: float | None) -> None:
    with broken(Status(code=503, retry_after=header)) as made:
        assert heals(made).retry_after == wait


def test_a3_retry_after_as_a_date() -> None:
    with broken(Status(code=503, retry_after_date=3600)) as made:
        wait = heals(made).retry_after
    assert wait is not None
    assert 3590 <= wait <= 3600


def test_a3_retry_after_as_a_past_date() -> None:
    with broken(Status(code=503, retry_after_date=-3600)) as made:
        assert heals(made).retry_after is None


@pytest.mark.parametrize("code", [408, 425, 500, 501, 502, 503, 504, 599])
def test_a6_statuses_that_may_pass(code: int) -> None:
    with broken(Status(code=code, headers=RATE)) as made:
        error = heals(made)
    assert f"answers {code}" in error.message
    assert error.rate == RateLimit(limit=60, remaining=41, reset=17.0)


def test_a7_401_in_the_middle_is_not_repeated_and_names_the_settings_but_no_secret() -> None:
    said = '{"message":"Unauthorized for canary-token-3"}'
    with broken(Status(code=401, body=said, content_type="application/json"), nth=2, times=None) as made:
        first = made.page()
        with pytest.raises(AuthError) as caught:
            made.page(first.next)
        assert len(front_of(made).requests) == 2
    assert "credentials refused" in caught.value.message
    assert "renew key, secret, token and token_secret" in caught.value.hint
    assert "canary" not in told(caught.value)


@pytest.mark.parametrize(
    ("code", "hint"), [(403, "right to read"), (410, "removed"), (400, "refused"), (415, "refused")]
)
def test_a8_statuses_that_do_not_pass(code: int, hint: str) -> None:
    said = '{"message":"No\\u001b[31m access"}'
    expected = re.escape(f"{code}: No\\x1b[31m access")
    with (
        broken(Status(code=code, body=said, content_type="application/json"), times=None) as made,
        pytest.raises(SourceError, match=expected) as caught,
    ):
        made.page()
    assert type(caught.value) is SourceError
    assert caught.value.code == f"http_{code}"
    assert hint in caught.value.hint


def test_h5_a_secret_that_the_source_repeats_in_its_message_is_not_shown() -> None:
    said = '{"error":"no access for canary-token-3 or canary%2Dsecret%2D2"}'
    with (
        broken(Status(code=403, body=said, content_type="application/json"), times=None) as made,
        pytest.raises(SourceError, match=r"no access for \*\*\*") as caught,
    ):
        made.page()
    assert "canary-token" not in told(caught.value)


def test_a8_404() -> None:
    with broken(Status(code=404), times=None) as made, pytest.raises(NotFoundError):
        made.page()


# --- connections


@pytest.mark.parametrize("at", ["start", "head", "half", "body"])
def test_a9_reset(at: Any) -> None:
    with broken(Reset(at=at, framing="chunked")) as made:
        heals(made)


@pytest.mark.parametrize(
    ("framing", "at"), [("length", "head"), ("length", "half"), ("chunked", "half"), ("chunked", "body")]
)
def test_a10_a_body_that_ends_early_is_never_a_page(framing: Any, at: Any) -> None:
    with broken(Fin(at=at, framing=framing)) as made:
        heals(made)


@pytest.mark.parametrize("how", ["reset", "fin"])
def test_a11_a_pooled_connection_that_is_dead(how: Any) -> None:
    with broken(DeadConnection(how=how)) as made:
        first = made.page()
        with pytest.raises(RetryableError):
            made.page(first.next)
        assert ids(list(made.page(first.next).records)) == [4, 5, 6]


def test_a11_a_pooled_connection_that_was_closed_is_noticed() -> None:
    with broken(Fin(at="end")) as made:
        first = made.page()
        time.sleep(0.3)  # its FIN arrives
        assert ids(list(made.page(first.next).records)) == [4, 5, 6]


def test_connections_are_used_again() -> None:
    with broken(Latency(seconds=0.0)) as made:
        assert ids(made.records()) == ALL
        assert len(front_of(made).contacts) == 1


def test_a12_latency() -> None:
    with broken(Latency(seconds=0.1, jitter=0.1), times=None) as made:
        assert ids(made.records()) == ALL


@pytest.mark.parametrize("head", [True, False])
def test_a13_slow_loris_meets_the_total_deadline(head: bool) -> None:
    # 24 KB of headers or 10 KB of body, a byte at a time: they would take minutes, and the server gives up earlier
    trickle = SlowLoris(every=0.02, head=head, max_hold=10.0)
    plan = [Fault(action=(Headers(filler=24_576), trickle))]
    with FaultFront(None, plan, respond=Api(things=300, size=300)) as front:
        made = reader(front, shop(limits=QUICK))
        with pytest.raises(RetryableError) as caught:
            made.page()
        assert len(made.records()) == 300
    error = caught.value
    assert error.code == "timeout"
    assert "0.6 seconds for connecting, headers and body together" in error.message


@pytest.mark.parametrize("at", ["start", "head", "half"])
def test_a14_a15_silence_meets_the_total_deadline(at: Any) -> None:
    with broken(Silence(at=at), limits=QUICK) as made:
        assert heals(made).code == "timeout"


def test_nobody_listens() -> None:
    with FaultFront(None) as front:
        made = reader(front)
    with pytest.raises(RetryableError, match="Connection refused") as caught:
        made.page()
    assert caught.value.code == "connection"


# --- bodies


def test_a16_truncated_json_names_the_page_without_secrets_of_the_query() -> None:
    source = shop(auth=QueryKey(name="api_key", key="key"))
    with FaultFront(None, [Fault(action=Body(kind="truncated"), nth=2)], respond=Api()) as front:
        made = reader(front, source)
        first = made.page()
        with pytest.raises(RetryableError) as caught:
            made.page(first.next)
        assert front.requests[1].target == "/api/things?page=2&api_key=canary-key-1"
    assert caught.value.place.url == f"{front.url}/api/things?page=2"
    assert "canary" not in told(caught.value)


def test_a17_200_with_html() -> None:
    with broken(Status(code=200)) as made:
        assert heals(made).code == "html"


def test_a17_html_that_is_labelled_json() -> None:
    with broken(Status(code=200, content_type="application/json")) as made:
        assert heals(made).code == "html"


def test_a18_an_error_object_is_never_the_end_of_the_data() -> None:
    with broken(Body(kind="error_object")) as made:
        assert heals(made).code == "no_records"


def test_a19_zero_bytes() -> None:
    with broken(Status(code=200, body="")) as made:
        heals(made)


def test_a19_204() -> None:
    with broken(Status(code=204)) as made:
        assert "204" in heals(made).message


@pytest.mark.parametrize("kind", ["not_utf8", "bom", "utf16", "wrong_gzip", "unlabelled_gzip"])
def test_a20_a21_bytes_that_are_not_what_they_say(kind: Any) -> None:
    with broken(Body(kind=kind)) as made:
        heals(made)


def test_gzip_is_asked_for_and_unpacked() -> None:
    with broken(Body(kind="gzip"), times=None) as made:
        assert ids(made.records()) == ALL
        asked = front_of(made).requests[0]
        names = ("Accept", "Accept-Encoding", "User-Agent")
        assert [asked.header(name) for name in names] == ["application/json", "gzip", "connector-core"]


def test_a10_a_packed_body_that_ends_early_is_never_a_page() -> None:
    def answer(request: Any) -> Response | None:
        if len(front.requests) > 1:
            return None
        packed = gzip.compress(b'{"_embedded": {"entries": []}, "_links": {"next": null}}' + b" " * 100_000)
        return Response(body=packed[:-12]).with_headers({"Content-Encoding": "gzip"})

    with FaultFront(None, respond=Api(answer=answer)) as front:
        made = reader(front)
        with pytest.raises(RetryableError) as caught:
            made.page()
        assert ids(made.records()) == ALL
    assert caught.value.code == "short_body"


def test_gzip_of_several_members_is_unpacked() -> None:
    body = b'{"_embedded": {"entries": [{"id": 1}]}, "_links": {"next": null}}'
    packed = gzip.compress(body[:20]) + gzip.compress(body[20:]) + gzip.compress(b" " * 200_000)
    with FaultFront(
        None, respond=lambda request: Response(body=packed).with_headers({"Content-Encoding": "gzip"})
    ) as f:
        page = reader(f).page()
    assert ids(list(page.records)) == [1]
    assert page.size == len(body) + 200_000


def test_another_packing_is_refused() -> None:
    with broken(Headers(set={"Content-Encoding": "br"})) as made:
        assert heals(made).code == "packing"


def test_a22_a_gzip_bomb_is_stopped_while_it_is_unpacked() -> None:
    limits = Limits(deadline=30.0, body=2 << 20)
    with broken(GzipBomb(size=256 << 20), limits=limits) as made:
        tracemalloc.start()
        try:
            with pytest.raises(SourceError, match="larger than 2,097,152 bytes") as caught:
                made.page()
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert type(caught.value) is SourceError
    assert peak < 16 << 20


def test_a22_a_plain_body_over_the_limit() -> None:
    limits = Limits(deadline=30.0, body=1 << 20)
    with (
        broken(Nested(depth=2 << 20), limits=limits) as made,
        pytest.raises(SourceError, match="larger than") as caught,
    ):
        made.page()
    assert caught.value.code == "too_large"


def test_a23_deep_nesting() -> None:
    with broken(Nested(depth=200_000), times=None) as made, pytest.raises(RetryableError) as caught:
        made.page()
    assert caught.value.code == "unreadable"


def test_a24_a_bad_literal_spoils_the_page() -> None:
    with broken(Value(at="_embedded.entries.0.id", text="0123x")) as made:
        assert heals(made).code == "unreadable"


def test_a33_entries_missing() -> None:
    with broken(Entries(how="missing")) as made:
        assert heals(made).code == "no_records"


def test_a33_links_missing_are_not_the_end() -> None:
    def answer(request: Any) -> Response | None:
        return Response.of_json({"_embedded": {"entries": [{"id": 1}]}}) if len(front.requests) == 1 else None

    with FaultFront(None, respond=Api(answer=answer)) as front:
        made = reader(front)
        with pytest.raises(RetryableError) as caught:
            made.page()
        assert ids(made.records()) == ALL
    assert caught.value.code == "no_links"


def test_a33_an_empty_page_with_a_next_link_is_turned_over() -> None:
    with broken(Entries(how="empty"), nth=2) as made:
        assert ids(made.records()) == [1, 2, 3, 7]


@pytest.mark.parametrize("value", [None, "many", -1, 7.5, True])
def test_a30_a_total_that_is_no_count_is_remarked_and_not_used(value: Any) -> None:
    with broken(Total(value=value)) as made:
        page = made.page()
    assert page.total is None
    assert any("count of records" in note for note in page.notes)


# --- links


def test_a34_next_points_at_itself() -> None:
    with broken(NextLink(to="self"), times=None) as made:
        with pytest.raises(SourceError) as caught:
            made.records()
        assert len(front_of(made).requests) == 1
    assert caught.value.code == "loop"


def test_a34_next_goes_in_a_circle() -> None:
    with broken(NextLink(to="circle"), nth=3) as made:
        with pytest.raises(SourceError) as caught:
            made.records()
        assert len(front_of(made).requests) == 3, "the circle is seen before anything is read twice"
    assert caught.value.code == "loop"


@pytest.mark.parametrize("to", ["relative", "absolute"])
def test_a36_relative_and_absolute_next_links(to: Any) -> None:
    with broken(NextLink(to=to), times=2) as made:
        assert ids(made.records()) == ALL


def test_a39_a_clock_that_is_off_is_named() -> None:
    with broken(Status(code=401), Headers(clock=-4_000), times=None) as made, pytest.raises(AuthError) as caught:
        made.page()
    found = re.search(r"this machine's clock is 4,00\d seconds ahead of the source's", caught.value.message)
    assert found


def test_a39_a_clock_that_is_right_is_not_blamed() -> None:
    with broken(Status(code=401), Headers(clock=-200), times=None) as made, pytest.raises(AuthError) as caught:
        made.page()
    assert "clock" not in caught.value.message


def nonces(front: FaultFront) -> list[str]:
    found = [re.search(r'oauth_nonce="([^"]+)"', request.header("Authorization") or "") for request in front.requests]
    return [match[1] for match in found if match]


def test_a40_every_attempt_is_signed_anew() -> None:
    with broken(Status(code=503), times=3) as made:
        for _ in range(3):
            with pytest.raises(RetryableError):
                made.page()
        made.page()
        assert len(set(nonces(front_of(made)))) == 4


def test_a40_threads_never_share_a_nonce() -> None:
    with FaultFront(None, respond=Api()) as front:
        made = reader(front)
        workers = [threading.Thread(target=made.records) for _ in range(6)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert len(front.requests) == 18
        assert len(set(nonces(front))) == 18


@pytest.mark.parametrize(
    "framing",
    [
        Framing(chunk=1),
        Framing(chunk=7, extensions=True, trailers=True),
        Framing(body="close"),
        Framing(http10=True),
        Framing(body="length", lower_case=True),
        Framing(body="length", folded=True),
        Headers(filler=24_576),
    ],
)
def test_a43_odd_framings_and_many_headers(framing: Action) -> None:
    with broken(framing, times=None) as made:
        assert ids(made.records()) == ALL


# --- foreign addresses


def foreign_links(canary: str, own: str) -> list[NextLink]:
    return [
        NextLink(to="foreign", origin=canary),
        NextLink(to="foreign", origin="https://evil.example.test"),
        NextLink(to="foreign", origin=own.replace("127.0.0.1", "localhost")),
        NextLink(to="foreign", origin=own.replace("http:", "https:")),
        NextLink(to="protocol_relative", origin=canary),
        NextLink(to="protocol_relative", origin=own),
        NextLink(to="userinfo", origin=canary),
        NextLink(to="literal", href=own.replace("://", "://user:password@") + "/api/things?page=2"),
        NextLink(to="file"),
        NextLink(to="crlf"),
        NextLink(to="literal", href="http://169.254.169.254/latest/meta-data/"),
        NextLink(to="literal", href="\\\\evil.example.test\\api"),
        NextLink(to="literal", href="/api/things\t?page=2"),
        NextLink(to="literal", href="javascript:alert(1)"),
        NextLink(to="literal", href="http://[::1"),
    ]


@pytest.mark.parametrize("index", range(15))
def test_h1_a_next_link_to_anywhere_else_is_refused_before_any_contact(index: int) -> None:
    with CanaryServer() as canary, FaultFront(None, respond=Api()) as front:
        front.replan([Fault(action=foreign_links(canary.url, front.url)[index], times=None)])
        made = reader(front)
        with pytest.raises(SourceError) as caught:
            made.records()
        assert caught.value.code == "foreign_origin"
        assert not isinstance(caught.value, RetryableError)
        assert canary.contacts == []
        assert len(front.requests) == 1


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("where", ["canary", "file:///etc/passwd", "//evil.example.test/", "https://127.0.0.1:1/api"])
def test_h2_a_redirect_to_anywhere_else_is_refused_before_any_contact(code: int, where: str) -> None:
    with CanaryServer() as canary, FaultFront(None, respond=Api()) as front:
        target = f"{canary.url}/api/things" if where == "canary" else where
        front.replan([Fault(action=Redirect(code=code, location=target), times=None)])
        made = reader(front)
        with pytest.raises(SourceError) as caught:
            made.page()
        assert caught.value.code == "foreign_origin"
        assert canary.contacts == []
        assert len(front.requests) == 1


def test_h2_a_redirect_loop() -> None:
    with broken(Redirect(), times=None) as made, pytest.raises(SourceError) as caught:
        made.page()
    assert caught.value.code == "redirect_loop"


def test_h2_too_many_redirects() -> None:
    def away(request: Any) -> Response | None:
        return Response(status=302, headers=(("Location", f"/api/hop{len(front.requests)}"),))

    with FaultFront(None, respond=Api(answer=away)) as front:
        with pytest.raises(SourceError) as caught:
            reader(front).page()
        assert len(front.requests) == 6
    assert caught.value.code == "redirect_loop"


def test_h2_a_redirect_without_a_location() -> None:
    with broken(Status(code=302, body=""), times=None) as made, pytest.raises(SourceError) as caught:
        made.page()
    assert caught.value.code == "foreign_origin"


def test_h2_a40_a_redirect_on_the_site_is_followed_with_a_fresh_signature() -> None:
    with broken(Redirect(location="/api/things?page=2")) as made:
        page = made.page()
        assert ids(list(page.records)) == [4, 5, 6]
        assert page.requests == 2
        assert len(set(nonces(front_of(made)))) == 2


def test_h2_a_downgrade_to_http_is_refused() -> None:
    with pytest.raises(SourceError) as caught:
        within("https://acme.example.test", "http://acme.example.test/api", asked="https://acme.example.test/api")
    assert caught.value.code == "foreign_origin"


# --- the environment


def test_h4_netrc_and_proxies_of_the_environment_have_no_effect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with CanaryServer() as canary, FaultFront(None, respond=Api()) as front:
        netrc = tmp_path / ".netrc"
        netrc.write_text("machine 127.0.0.1 login stolen password stolen\n")
        netrc.chmod(0o600)
        monkeypatch.setenv("NETRC", str(netrc))
        monkeypatch.setenv("HOME", str(tmp_path))
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, canary.url)
            monkeypatch.setenv(name.upper(), canary.url)
        monkeypatch.setenv("no_proxy", "")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "nothing.pem"))
        monkeypatch.setenv("CURL_CA_BUNDLE", str(tmp_path / "nothing.pem"))
        made = reader(front)
        assert ids(made.records()) == ALL
        assert canary.contacts == []
        assert all((request.header("Authorization") or "").startswith("OAuth ") for request in front.requests)


def test_cookies_are_not_kept() -> None:
    with broken(Headers(set={"Set-Cookie": "session=1"}), times=None) as made:
        made.records()
        assert [request.header("Cookie") for request in front_of(made).requests] == [None] * 3


CERTIFICATE = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgaGEDJ6gQ9FMCEIeg
dMtZ5+JdiUqQ/U7+giqQ53fxWmShRANCAAQzrFjlDBkH62FRZdP107F5zlLzVGVH
Ja8o+QLBMZht2FIV6wQuS5tTaGPBTKu7TO1WucRxLNY/Ff6X21V1OqRw
-----END PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIIBnDCCAUGgAwIBAgIUSRgHl5OIs27mVe+iH7j87uv0FBkwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMzIzNTI1OFoYDzIxMjYxMDMw
MjM1MjU4WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAAQzrFjlDBkH62FRZdP107F5zlLzVGVHJa8o+QLBMZht2FIV6wQuS5tT
aGPBTKu7TO1WucRxLNY/Ff6X21V1OqRwo28wbTAdBgNVHQ4EFgQU63RQooCMt7qg
Zpwl66RLTUSI7xgwHwYDVR0jBBgwFoAU63RQooCMt7qgZpwl66RLTUSI7xgwDwYD
VR0TAQH/BAUwAwEB/zAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEwCgYIKoZI
zj0EAwIDSQAwRgIhAJSTGbHRfEgQQVffxi/mRuCs2axi08BJJ1KTxsCMZbWxAiEA
8E1Gw6FFfvjT2D5hYFdXf56bce0scxhjQWuN6zBhWKE=
-----END CERTIFICATE-----
"""


@contextmanager
def tls(tmp_path: Path) -> Iterator[tuple[str, list[bytes]]]:
    """A TLS server with a self-signed certificate; gives its address and what arrived decrypted."""
    import socket

    pem = tmp_path / "server.pem"
    pem.write_text(CERTIFICATE)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    listener = socket.create_server(("127.0.0.1", 0))
    arrived: list[bytes] = []

    def serve() -> None:
        try:
            connection, _ = listener.accept()
            with context.wrap_socket(connection, server_side=True) as secured:
                arrived.append(secured.recv(1000))
        except (OSError, ssl.SSLError):
            pass

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"https://localhost:{listener.getsockname()[1]}", arrived
    finally:
        thread.join(timeout=10)
        listener.close()


def test_a44_h4_a_self_signed_certificate_is_refused_before_any_header_and_no_key_is_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = tmp_path / "keys.log"
    monkeypatch.setenv("SSLKEYLOGFILE", str(keys))
    with tls(tmp_path) as (url, arrived):
        source = shop()
        config = {"url": url, **CREDENTIALS}
        client = source.authenticate(config)
        stream = source.discover(config, client).streams[0]
        made = Reader(source, client, config, {"things": stream})
        with pytest.raises(SourceError, match="certificate does not hold") as caught:
            made.page()
    assert type(caught.value) is SourceError
    assert b"".join(arrived) == b""
    assert not keys.exists()


def test_https_to_a_server_that_speaks_plain_http_is_told_and_not_repeated() -> None:
    with FaultFront(None, respond=Api()) as front:
        made = reader(front, url=front.url.replace("http://", "https://"))
        with pytest.raises(SourceError, match="does not speak TLS") as caught:
            made.page()
    assert type(caught.value) is SourceError
    assert caught.value.code == "tls"
    assert "http:// is for this machine only" in caught.value.hint


def test_a_server_that_is_silent_at_the_tls_handshake_is_told_as_that() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent, FaultFront(None, respond=Api()) as front:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        made = reader(front, shop(limits=Limits(deadline=0.3, connect=0.3)), url=url)
        with pytest.raises(RetryableError, match="did not answer the TLS handshake within"):
            made.page()


# --- configured addresses and credentials


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("https://acme.desk.com", "https://acme.desk.com"),
        ("acme.desk.com", "https://acme.desk.com"),
        (" https://ACME.Desk.com/ ", "https://acme.desk.com"),
        ("https://acme.desk.com.", "https://acme.desk.com"),
        ("https://acme.desk.com:443/", "https://acme.desk.com"),
        ("https://acme.desk.com:8443", "https://acme.desk.com:8443"),
        ("https://müller.example", "https://xn--mller-kva.example"),
        ("https://[2001:db8::1]:8443", "https://[2001:db8::1]:8443"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://localhost:8080", "http://localhost:8080"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_g5_a_site_address_has_one_spelling(given: str, used: str) -> None:
    assert site(given) == used


@pytest.mark.parametrize(
    "given",
    [
        "",
        "https://",
        "http://acme.desk.com",
        "ftp://acme.desk.com",
        "https://acme.desk.com/api",
        "https://acme.desk.com?x=1",
        "https://acme.desk.com#top",
        "https://user:secret-canary@acme.desk.com",
        "https://acme desk.com",
        "https://acme.desk.com\\@evil.example",
        "https://acme.desk.com:99999",
        "https://169.254.169.254",
        "https://-acme.desk.com",
        "https://acme..desk.com",
        "https://ac\nme.desk.com",
    ],
)
def test_g5_an_address_that_is_no_site_is_a_configuration_error(given: str) -> None:
    with pytest.raises(ConfigError) as caught:
        site(given)
    assert caught.value.message.startswith("site_url: ")
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(("value", "code"), [("", "missing_secret"), (None, "missing_secret"), ("a\nb", "bad_secret")])
def test_g8_a_missing_or_broken_secret_is_named_but_not_shown(value: Any, code: str) -> None:
    with FaultFront(None, respond=Api()) as front, pytest.raises(ConfigError, match="token_secret") as caught:
        reader(front, token_secret=value)
    assert caught.value.code == code


def test_h5_nothing_shows_the_credentials() -> None:
    with broken(Status(code=500), nth=2) as made:
        made.page()
        with pytest.raises(RetryableError) as caught:
            made.page()
        shown = [repr(made.client), repr(made.source), repr(made.client.transport), told(caught.value)]
    assert not [text for text in shown if "canary" in text]


def test_a_header_value_that_no_header_can_hold_is_a_configuration_error() -> None:
    with FaultFront(None, respond=Api()) as front, pytest.raises(ConfigError, match="'key'"):
        reader(front, shop(auth=HeaderKey(name="X-Api-Key", key="key")), key="schlüssel-日本")
