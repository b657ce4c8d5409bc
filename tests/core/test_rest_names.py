"""Who is really asked: certificates (A44), and names that lead into a private network (H3). Numbers are those of
facts/fault_catalogue.md."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import certifi
import pytest

from connector_core.errors import RetryableError, SourceError
from connector_core.rest import Limits
from connector_core.testing.faults import CanaryServer, Fault, FaultFront, Fin, Headers
from connector_desk.sandbox import Sandbox, Settings
from tests.support.certificates import DAY, Authority, tls_server
from tests.support.desk import Desk
from tests.support.shop_api import CREDENTIALS, Api, Reader, ids, reader, shop

QUICK = 'start_date = "2020-01-01"\nretry_attempts = 3\nretry_wait = 0.01\n'
Ask = Callable[..., list[Any]]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(Settings(cases=1, customers=1)) as running:
        yield running


@pytest.fixture
def trusting(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test's authority is among those that certifi lists."""
    monkeypatch.setattr(certifi, "where", lambda: str(authority.file))


def name_server(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Looks up every name to these addresses, the last ones for ever; gives the names that were asked for."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def look_up(host: Any, port: Any, *more: Any, **options: Any) -> Any:
        if isinstance(host, str) and not host[:1].isdigit() and ":" not in host:
            asked.append(host)
            found = answers[min(len(asked), len(answers)) - 1]
            return [info for address in found for info in real(address, port, type=socket.SOCK_STREAM)]
        return real(host, port, *more, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return asked


def asking(url: str, **changes: Any) -> Reader:
    source = shop(**changes)
    config = {"url": url, **CREDENTIALS}
    client = source.authenticate(config)
    return Reader(source, client, config, {one.name: one for one in source.discover(config, client).streams})


# --- certificates

BAD: dict[str, dict[str, Any]] = {
    "self-signed": {"trusted": False},
    "for another host": {"host": "other.example"},
    "expired": {"since": -9 * DAY, "until": -timedelta(hours=1)},
    "not valid yet": {"since": timedelta(hours=1), "until": 9 * DAY},
}


@pytest.mark.usefixtures("trusting")
@pytest.mark.parametrize("what", BAD)
def test_a44_a_certificate_that_does_not_hold_ends_the_run_before_any_header_is_sent(
    tmp_path: Path, authority: Authority, sandbox: Sandbox, what: str
) -> None:
    certificate = authority.issue(**{"host": "localhost", **BAD[what]})
    with tls_server(certificate) as server:
        project = Desk(tmp_path, sandbox, QUICK, url=f"https://localhost:{server.port}")
        report = project.go(code=4)
        assert "TLS certificate does not hold" in (report.error or "")
        assert server.arrived == []
        assert server.contacts == 1, "it is not tried again"
        assert not any(str(secret) in (report.error or "") for secret in vars(sandbox.credentials).values())


@pytest.mark.usefixtures("trusting")
def test_a44_a_certificate_that_holds_is_accepted(authority: Authority) -> None:
    with tls_server(authority.issue("localhost")) as server:
        assert ids(asking(f"https://localhost:{server.port}").records()) == [1]
        assert len(server.arrived) == 1
        assert "Authorization: OAuth" in server.arrived[0]


# --- names

PRIVATE = {
    "10.0.0.5": "10.0.0.5",
    "192.168.1.1": "192.168.1.1",
    "172.16.0.1": "172.16.0.1",
    "100.64.0.1": "100.64.0.1",
    "127.0.0.1": "127.0.0.1",
    "169.254.169.254": "169.254.169.254",
    "0.0.0.0": "0.0.0.0",  # noqa: S104  an address that is refused
    "224.0.0.1": "224.0.0.1",
    "::1": "::1",
    "fd00::1": "fd00::1",
    "fe80::1": "fe80::1",
    "::ffff:10.0.0.5": "10.0.0.5",
}


@pytest.mark.parametrize("address", PRIVATE)
def test_h3_a_name_that_leads_into_a_private_network_is_refused(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    with CanaryServer() as canary:
        name_server(monkeypatch, [address])
        with pytest.raises(SourceError) as caught:
            asking(f"https://shop.example:{canary.port}").page()
        assert caught.value.code == "private_address"
        assert not isinstance(caught.value, RetryableError)
        assert f"shop.example leads to {PRIVATE[address]}" in caught.value.message
        assert "shop.example" in (caught.value.place.url or "")
        assert canary.contacts == []


def test_h3_one_private_address_among_public_ones_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    with CanaryServer() as canary:
        name_server(monkeypatch, ["8.8.8.8", "127.0.0.1"])
        with pytest.raises(SourceError, match=r"leads to 127\.0\.0\.1"):
            asking(f"https://shop.example:{canary.port}").page()
        assert canary.contacts == []


@pytest.mark.parametrize("second", ["127.0.0.2", "10.0.0.5"])
def test_h3_the_addresses_of_the_first_look_up_are_kept_for_the_run(
    monkeypatch: pytest.MonkeyPatch, second: str
) -> None:
    # each request needs a connection of its own
    plan = [Fault(times=None, action=[Headers(set={"Connection": "close"}), Fin(at="end")])]
    with FaultFront(None, plan, respond=Api()) as front:
        asked = name_server(monkeypatch, ["127.0.0.1"], [second])
        made = asking(f"http://localhost:{front.port}")
        assert ids(made.records()) == [1, 2, 3, 4, 5, 6, 7]
        assert (len(front.contacts), asked) == (3, ["localhost"])
        later = asking(f"http://localhost:{front.port}", limits=Limits(deadline=0.5))
        with pytest.raises(SourceError):  # another run looks the name up anew
            later.page()
        assert asked == ["localhost"] * 2


def test_h3_localhost_is_this_machine_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    name_server(monkeypatch, ["10.0.0.5"])
    with pytest.raises(SourceError, match="localhost leads to") as caught:
        asking("http://localhost:9", private_network=True).page()
    assert caught.value.code == "private_address"


@pytest.mark.usefixtures("trusting")
def test_h3_a_site_in_a_private_network_is_read_when_it_is_allowed(
    monkeypatch: pytest.MonkeyPatch, authority: Authority
) -> None:
    with tls_server(authority.issue("shop.example")) as server:
        asked = name_server(monkeypatch, ["127.0.0.1"], ["127.0.0.2"])
        url = f"https://shop.example:{server.port}"
        assert ids(asking(url, private_network=True).records()) == [1]
        assert f"Host: shop.example:{server.port}" in server.arrived[0], "the name stays that of the site"
        assert asked == ["shop.example"]


@pytest.mark.parametrize("address", ["169.254.169.254", "fe80::1", "224.0.0.1"])
def test_h3_link_local_addresses_are_refused_even_then(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    name_server(monkeypatch, [address])
    with pytest.raises(SourceError) as caught:
        asking("https://shop.example", private_network=True).page()
    assert caught.value.code == "private_address"
    assert "private_network" not in caught.value.hint


@pytest.mark.parametrize("allowed", [False, True])
def test_h3_a_run_of_desk_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sandbox: Sandbox, authority: Authority, allowed: bool
) -> None:
    name_server(monkeypatch, ["127.0.0.1"])
    config = f"private_network = {str(allowed).lower()}\n"
    with tls_server(authority.issue("stitch.example", trusted=False)) as server:
        project = Desk(tmp_path, sandbox, QUICK, url=f"https://stitch.example:{server.port}", config=config)
        report = project.go(code=4)
        assert ("private_network = true" in (report.error or "")) is not allowed
        assert (server.contacts > 0) is allowed, "allowed, it is asked, and its certificate is refused"


def test_a_name_that_nobody_knows_may_be_known_later(monkeypatch: pytest.MonkeyPatch) -> None:
    with FaultFront(None, respond=Api()) as front:
        made = reader(front)  # by its address: nothing is looked up

        def fail(*_: Any, **__: Any) -> Any:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

        lost = asking(f"http://localhost:{front.port}")
        monkeypatch.setattr("connector_core.rest.resolve.socket.getaddrinfo", fail)
        with pytest.raises(RetryableError, match="connection failed"):
            lost.page()
        monkeypatch.undo()
        assert ids(lost.records()) == ids(made.records())
