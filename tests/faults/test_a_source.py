"""Faults of the source, through the whole engine over real sockets: what is in the destination afterwards, and how
the run ends.

Each case breaks answers of a Desk site with the fault front. E0: the run ends well and the destination equals the
source. EX 4: the run says so, what is stored is right, and the next run over a healed wire makes it E0. EH: the run
may end either way, the next healthy runs make it E0. Nothing may ever be stored twice or change on the way.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

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
    Repeat,
    Reset,
    Silence,
    SlowLoris,
    Status,
    Total,
    Value,
)
from connector_desk.sandbox import Sandbox, Settings
from tests.support.desk import EVERYTHING, NOW, SMALL_PAGES, Desk
from tests.support.desk_tables import expected, found

SETTINGS = EVERYTHING + "retry_attempts = 3\nretry_wait = 0.01\ncalls_in_flight = 4\nlongest_wait = 30\n"
CASES = r"^GET /api/v2/cases\?"
REPLIES = r"^GET /api/v2/cases/\d+/replies"
CUSTOMERS = r"^GET /api/v2/customers"
USERS = r"^GET /api/v2/users\?"


@contextmanager
def broken(folder: Path, plan: Sequence[Fault], *, timeout: float = 1.0) -> Iterator[tuple[Desk, FaultFront]]:
    """A project that reads a small site through a front which breaks answers."""
    settings = Settings(seed=5, cases=30, customers=24, now=NOW, rate_limit=1_000_000, max_per_page=SMALL_PAGES)
    with Sandbox(settings) as sandbox, FaultFront(sandbox.url, plan) as front:
        yield Desk(folder, sandbox, SETTINGS, url=front.url, config=f"request_timeout = {timeout}\n"), front


def fault(*actions: Action, match: str = CASES, nth: int = 1, times: int | None = 1) -> list[Fault]:
    return [Fault(match=match, nth=nth, times=times, action=actions)]


PASSING = {
    "A1 429 with Retry-After": fault(Status(code=429, retry_after=1), nth=2),
    "A2 429 without a header": fault(Status(code=429), match=REPLIES, nth=3, times=2),
    "A3 Retry-After as a date": fault(Status(code=429, retry_after_date=1.0)),
    "A3 Retry-After as a past date": fault(Status(code=429, retry_after_date=-1000.0)),
    "A3 Retry-After as a float": fault(Status(code=429, retry_after="0.5")),
    "A3 Retry-After negative": fault(Status(code=429, retry_after=-3)),
    "A3 Retry-After as text": fault(Status(code=429, retry_after="soon")),
    "A6 a burst of 500": fault(Status(code=500), nth=2, times=2),
    "A6 a mix of 502, 503, 504": [
        *fault(Status(code=502), match=CUSTOMERS),
        *fault(Status(code=503), match=REPLIES, nth=4),
        *fault(Status(code=504), match=USERS),
    ],
    "A9 RST before the answer": fault(Reset(at="start"), nth=2),
    "A9 RST inside the body": fault(Reset(at="half"), match=REPLIES, nth=2),
    "A10 Content-Length not reached": fault(Fin(at="half"), nth=3),
    "A10 chunked without end": fault(Fin(at="body", framing="chunked"), nth=2),
    "A11 a pooled connection that is dead": fault(DeadConnection(how="reset"), nth=2),
    "A12 high and varying latency": fault(Latency(seconds=0.05, jitter=0.05, seed=1), match="^GET", times=None),
    "A13 slow loris once": fault(SlowLoris(size=200, every=0.2)),
    "A14 no answer once": fault(Silence(at="start"), nth=2),
    "A16 truncated JSON once": fault(Body(kind="truncated"), match=CUSTOMERS, nth=2),
    "A17 200 with HTML": fault(Status(code=200), match=REPLIES),
    "A18 200 with an error object": fault(Body(kind="error_object"), nth=2),
    "A19 200 without a byte": fault(Status(code=200, body="")),
    "A19 204": fault(Status(code=204), match=USERS),
    "A21 a byte order mark once": fault(Body(kind="bom")),
    "A21 UTF-16 labelled UTF-8 once": fault(Body(kind="utf16"), nth=2),
    "A21 a wrong gzip label once": fault(Body(kind="wrong_gzip"), match=CUSTOMERS),
    "A26 a row twice in a page": fault(Entries(how="duplicate", index=2, count=3)),
    "A27 rows in any order inside pages": fault(Entries(how="shuffle", seed=4), match="^GET /api/v2/c", times=None),
    "A30 total too high": fault(Total(value=10_000), times=None),
    "A30 total too low": fault(Total(value=1), times=None),
    "A30 total null": fault(Total(value=None), match=CUSTOMERS, times=None),
    "A30 total is text": fault(Total(value="many"), match=CUSTOMERS, times=None),
    "A33 _embedded missing once": fault(Entries(how="missing"), nth=2),
    "A36 an absolute next link": fault(NextLink(to="absolute"), match=CUSTOMERS),
    "A38 the server's clock is hours behind": fault(Headers(clock=-7200.0), match="^GET", times=None),
    "A38 the server's clock is hours ahead": fault(Headers(clock=7200.0), match="^GET", times=None),
    "A43 odd framings": fault(Framing(chunk=1, extensions=True, lower_case=True), times=2),
    "A43 24 KB of headers": fault(Headers(filler=24_000), times=2),
}


@pytest.mark.parametrize("name", PASSING)
def test_a_fault_that_passes_ends_complete(tmp_path: Path, name: str) -> None:
    with broken(tmp_path, PASSING[name]) as (project, front):
        project.go()
        assert front.hits, "the fault really happened"
        project.equals_source()
        if "A1 " in name:
            times = [r.at for r in front.requests if "/cases?" in r.target]
            assert times[2] - times[1] >= 1.0, "no request before its time"


LASTING = {
    "A4 429 for ever": (fault(Status(code=429), nth=3, times=None), "429"),
    "A5 Retry-After of 31 years": (fault(Status(code=429, retry_after=31 * 365 * 86400), nth=2), "977,616,000 seconds"),
    "A8 403": (fault(Status(code=403), match=CUSTOMERS, times=None), "403"),
    "A8 404": (fault(Status(code=404), match=CUSTOMERS, times=None), "404"),
    "A13 slow loris for ever": (
        fault(SlowLoris(size=20, every=0.2), match=CUSTOMERS, times=None),
        "no complete answer",
    ),
    "A14 no answer for ever": (fault(Silence(at="start"), match=CUSTOMERS, times=None), ""),
    "A15 half a body, then silence": (fault(Silence(at="half"), match=CUSTOMERS, times=None), ""),
    "A16 truncated JSON always": (fault(Body(kind="truncated"), nth=2, times=None), "/api/v2/cases"),
    "A20 bytes that are not UTF-8": (fault(Body(kind="not_utf8"), times=None), "UTF-8"),
    "A22 1 GiB behind 1 MB of gzip": (fault(GzipBomb(), match=CUSTOMERS, times=None), ""),
    "A23 200,000 nested arrays": (fault(Nested(), match=CUSTOMERS, times=None), ""),
    "A24 a bad literal always": (
        fault(Value(at="_embedded.entries.0.id", text="0123x"), match=CUSTOMERS, times=None),
        "/api/v2/customers",
    ),
    "A34 next points at itself": (fault(NextLink(to="self"), match=REPLIES, times=None), ""),
}


@pytest.mark.parametrize("name", LASTING)
def test_a_fault_that_lasts_is_exit_code_4_and_heals(tmp_path: Path, name: str) -> None:
    plan, says = LASTING[name]
    with broken(tmp_path, plan) as (project, front):
        report = project.go(code=4)
        assert says in (report.error or "")
        assert report.counts["users"].loaded > 0, "other streams go on"
        stored_is_right(project)
        front.replan([])
        project.go()
        project.equals_source()


def test_a7_401_in_the_middle_ends_the_run_without_a_storm(tmp_path: Path) -> None:
    with broken(tmp_path, fault(Status(code=401), match="^GET", nth=9, times=None)) as (project, front):
        report = project.go(code=4)
        assert "credentials refused" in (report.error or "").lower()
        for secret in vars(project.credentials).values():
            assert secret not in (report.error or "")
        assert len(front.requests) - 8 <= 2 * 4 + 2, "each call under way may meet it once"
        stored_is_right(project)
        front.replan([])
        project.go()
        project.equals_source()


HEALING = {
    "A25 the same page served twice": fault(Repeat(), nth=2),
    "A31 rows missing from a page once": fault(Entries(how="drop", index=3, count=2), nth=2),
    "A33 an empty page with a next link": fault(Entries(how="empty")),
    "A35 next null too early": fault(NextLink(to="null"), nth=2),
}


@pytest.mark.parametrize("name", HEALING)
def test_what_a_fault_has_hidden_comes_with_the_next_run(tmp_path: Path, name: str) -> None:
    with broken(tmp_path, HEALING[name]) as (project, front):
        project.go()
        assert front.hits
        stored_is_right(project)
        front.replan([])
        project.go()
        project.equals_source()


def test_a24_a_bad_literal_costs_its_record_only(tmp_path: Path) -> None:
    plan = fault(Value(at="_embedded.entries.0.priority", text="NaN"), times=None)
    with broken(tmp_path, plan) as (project, front):
        report = project.go()
        assert report.counts["cases"].rejected >= 1
        assert set(report.rejects) == {"not_json"}
        front.replan([])
        project.go(full=True)
        project.equals_source()


@pytest.mark.parametrize("how", ["null", "not_object"])
def test_a32_entries_that_are_no_objects_are_rejected_each(tmp_path: Path, how: Any) -> None:
    with broken(tmp_path, fault(Entries(how=how, index=1, count=3))) as (project, _):
        report = project.go()
        assert report.rejects == {"not_an_object": 3}
        assert report.counts["cases"].rejected == 3
        assert len(project.rows("_sdc_rejected")) == len({r["record"] for r in project.rows("_sdc_rejected")})
        project.equals_source()


def test_a39_a_clock_that_is_off_is_named(tmp_path: Path) -> None:
    with broken(tmp_path, fault(Status(code=401), Headers(clock=7200.0), match="^GET", times=None)) as (project, _):
        report = project.go(code=4)
        assert "clock" in (report.error or "")


def test_a40_every_attempt_has_its_own_nonce(tmp_path: Path) -> None:
    with broken(tmp_path, fault(Status(code=503), nth=2, times=2)) as (project, front):
        project.go()
        nonces = [r.header("Authorization") for r in front.requests]
        assert len(nonces) == len(set(nonces))


FOREIGN = {
    "another host": lambda url: NextLink(to="foreign", origin=url),
    "protocol relative": lambda url: NextLink(to="protocol_relative", origin=url),
    "userinfo": lambda url: NextLink(to="userinfo", origin=url),
    "file": lambda url: NextLink(to="file"),
    "metadata address": lambda url: NextLink(to="literal", href="http://169.254.169.254/latest/meta-data/"),
    "line break": lambda url: NextLink(to="crlf"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_h1_a_next_link_elsewhere_is_never_followed(tmp_path: Path, name: str) -> None:
    with (
        CanaryServer() as canary,
        broken(tmp_path, fault(FOREIGN[name](canary.url), match=REPLIES, times=None)) as (project, _),
    ):
        report = project.go(code=4)
        assert "replies" in (report.error or "")
        assert canary.contacts == []
        stored_is_right(project)


AWAY = {
    "302": lambda url: Redirect(code=302, location=f"{url}/api/v2/cases"),
    "307": lambda url: Redirect(code=307, location=f"{url}/api/v2/cases"),
    "file": lambda url: Redirect(location="file:///etc/passwd"),
    "circle": lambda url: Redirect(),
}


@pytest.mark.parametrize("name", AWAY)
def test_h2_a_redirect_elsewhere_is_never_followed(tmp_path: Path, name: str) -> None:
    with CanaryServer() as canary:
        plan = fault(AWAY[name](canary.url), nth=2, times=None)
        with broken(tmp_path, plan) as (project, _):
            project.go(code=4)
            assert canary.contacts == []
            stored_is_right(project)


def stored_is_right(project: Desk) -> None:
    """Whatever is stored is stored once and as the source has it."""
    if not project.warehouse.exists() or not project.tables():
        return
    here = expected(project.sandbox.expected())
    for table, rows in found(project).items():
        remaining = list(here[table])
        for row in rows:
            assert row in remaining, f"{table}: {row}"
            remaining.remove(row)
