"""For an API with a limit the number of calls is the run time: calls made against calls needed, and how long they take.

Three runs of the Desk source by the real engine: the first one, one after a hundredth of the records has changed, and
one that finds nothing new. Time passes only while somebody waits for the call budget. 1,000 cases are read from the
sandbox over HTTP, more from a site that makes its records up (`model_site.py`).
"""

from __future__ import annotations

import argparse
import shutil
import sys
import threading
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import ceil
from pathlib import Path
from typing import Any

from model_site import BEGIN, GROUPS, REPLIES, USERS, YEAR, Site, extension
from report import Gate, Section, gates_table, markdown
from tools import install_plugin

from connector_core import config
from connector_core.clock import SystemClock
from connector_core.events import Event
from connector_core.ledger import Ledger
from connector_core.pipeline import run_connector
from connector_core.run_report import RunOptions
from connector_desk.sandbox import Sandbox, Settings

LIMIT = 60  # calls a minute
SIZE = 100  # records of a page
MODELLED = (100_000, 1_000_000)
REAL = 1_000
START = BEGIN - 86_400
TOML = """\
[destinations.out]
type = "duckdb"
path = "out.duckdb"

[connectors.stitch_desk]
source = "desk"
version = "15-10-2015"
destination = "out"
start_date = 2024-12-31
run_seconds = "7d"
batch_seconds = "1h"
{extensions}
[connectors.stitch_desk.config]
site_url = "{url}"
key = "${{KEY}}"
secret = "${{SECRET}}"
token = "${{TOKEN}}"
token_secret = "${{TOKEN_SECRET}}"
"""


class SimulatedClock:
    """Time that passes only while somebody waits. A thread waits from the moment at which it last looked, so that
    several that wait for the same moment wait together and not one after the other."""

    def __init__(self, begin: float) -> None:
        self._begin, self._seconds = begin, 0.0
        self._lock, self._looked = threading.Lock(), threading.local()

    def now(self) -> datetime:
        """The simulated instant."""
        return datetime.fromtimestamp(self._begin + self._seconds, UTC)

    @property
    def passed(self) -> float:
        """Seconds since the beginning; nobody who waits has looked."""
        return self._seconds

    def monotonic(self) -> float:
        """Seconds since the beginning."""
        self._looked.at = self._seconds
        return self._seconds

    def advance(self, seconds: float) -> None:
        """So many seconds pass between two runs."""
        self._seconds += seconds

    def wait(self, seconds: float, stop: threading.Event) -> bool:
        """Let so many seconds pass."""
        with self._lock:
            self._seconds = max(self._seconds, getattr(self._looked, "at", self._seconds) + max(0.0, seconds))
        return stop.is_set()


@dataclass(frozen=True, kw_only=True)
class Quiet:
    """What a run over data that stand still has to ask for: the lists of the site, when the records of cases and
    customers were changed (ascending Unix seconds), and the replies of the cases that are fetched."""

    users: int
    groups: int
    cases: Sequence[int]
    customers: Sequence[int]
    replies: int


def needed(quiet: Quiet, *, cases_from: int, customers_from: int) -> int:
    """How many calls that takes: custom fields, users, groups, memberships, both walks, replies."""
    lists = 1 + ceil(quiet.users / 1000) + ceil(quiet.groups / 1000) + min(quiet.users, quiet.groups)
    return lists + walk(quiet.cases, cases_from) + walk(quiet.customers, customers_from) + quiet.replies


def walk(seconds: Sequence[int], last: int) -> int:
    """The calls of the walk from the second `last` on: a page each, and twice k pages where k are needed to get two
    seconds ahead."""
    calls = 0
    while True:
        first = bisect_right(seconds, last - 1)
        left = len(seconds) - first
        pages = max(1, ceil(left / SIZE))
        begin = max(seconds[first], last - 1) if left else last - 1
        ends = ((page, seconds[first + min(page * SIZE, left) - 1]) for page in range(1, pages + 1) if left)
        read, last = next(((page, end) for page, end in ends if end >= begin + 2), (pages, last))
        calls += read if read == 1 else 2 * read
        if read == pages:
            return calls


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One run: `minutes` of simulated time, `refused` calls that met the limit."""

    site: str
    cases: int
    run: str
    made: int
    needed: int
    refused: int
    minutes: float

    @property
    def floor(self) -> int:
        """Minutes below which the limit allows no run that makes the calls needed: the first window costs nothing."""
        return (self.needed - 1) // LIMIT


Runs = Iterator[Measured]
Watch = Callable[[Event, float], None]
"""Told each event of the runs, and the simulated seconds."""


class Project:
    """A folder with a configuration, whose runs happen in this process on the simulated clock."""

    def __init__(self, folder: Path, clock: SimulatedClock, *, url: str, secrets: Mapping[str, str], more: str) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self._file, self._clock = folder / "connectors.toml", clock
        self._env = {name.upper(): secret for name, secret in secrets.items()}
        path = str(folder / "out.duckdb")
        text = TOML.format(url=url, extensions=more).replace('"out.duckdb"', f'"{path}"')
        self._file.write_text(text)
        self._file.chmod(0o600)

    def minutes(self, watch: Watch | None = None) -> float:
        """Run to the end; the minutes that it took."""

        def report_event(event: Event) -> None:
            if watch:
                watch(event, self._clock.passed)

        loaded = config.load(self._file, env=self._env)
        begun = self._clock.now()
        with Ledger.open(loaded.ledger.url.reveal(), clock=SystemClock().now) as ledger:
            while True:
                report = run_connector(
                    loaded.connectors["stitch_desk"],
                    config=loaded,
                    ledger=ledger,
                    options=RunOptions(),
                    stop=threading.Event(),
                    report=report_event,
                    clock=self._clock,
                )
                if report.exit_code:
                    raise SystemExit(f"calls: {report.error}")
                if report.status != "partial":
                    return (self._clock.now() - begun) / timedelta(minutes=1)


def model(folder: Path, cases: int, watch: Watch | None = None) -> Runs:
    """The three runs against a site that makes its records up."""
    clock = SimulatedClock(BEGIN + YEAR + 86_400)
    site = extension.site = Site(cases=cases, limit=LIMIT, clock=clock)
    secrets = dict.fromkeys(("key", "secret", "token", "token_secret"), "none")
    with _installed(folder / "plugin"):
        project = Project(folder / "run", clock, url=site.address, secrets=secrets, more='extensions = ["model_site"]')
        tops = dict.fromkeys(("/cases", "/customers/search"), START)
        for run, moved in (("first", 0), ("increment", cases // 100), ("idle", cases // 100)):
            site.moved, site.calls, site.refused = moved, 0, 0
            lists = site.lists()
            fetched = {"first": range(cases), "increment": range(moved), "idle": range(0)}[run]
            replies = sum(REPLIES[number % len(REPLIES)] > 0 for number in fetched)
            quiet = Quiet(
                users=USERS, groups=GROUPS, cases=lists["/cases"], customers=lists["/customers/search"], replies=replies
            )
            calls = needed(quiet, cases_from=tops["/cases"], customers_from=tops["/customers/search"])
            minutes = project.minutes(watch)
            yield Measured(
                site="model",
                cases=cases,
                run=run,
                made=site.calls,
                needed=calls,
                refused=site.refused,
                minutes=minutes,
            )
            tops = {path: changes[len(changes) - 1] for path, changes in lists.items()}
            clock.advance(60)  # the next run begins in another minute


def sandbox(folder: Path, cases: int) -> Runs:
    """The three runs against the sandbox, over HTTP and signed."""
    now = datetime.fromtimestamp(BEGIN + YEAR, UTC)
    clock = SimulatedClock(now.timestamp() + 86_400)
    settings = Settings(
        cases=cases,
        customers=cases // 2,
        now=now,
        rate_limit=LIMIT,
        clock=lambda: clock.now().timestamp(),
        oauth_window=10**10,
    )
    with Sandbox(settings) as site:
        secrets = {name: str(getattr(site.credentials, name)) for name in ("key", "secret", "token", "token_secret")}
        project = Project(folder / "run", clock, url=site.url, secrets=secrets, more="")
        tops, before = {"cases": START, "customers": START}, {}
        for run in ("first", "increment", "idle"):
            if run == "increment":
                for case in site.expected()["cases"][: cases // 100]:
                    site.store.update_case(case["id"], subject="changed")
                clock.advance(60)  # a case of this very second would be read once more by the next run
            held = site.expected()
            seconds = {name: sorted(map(_second, held[name])) for name in tops}
            fetched = [case for case in held["cases"] if before.get(case["id"]) != case["updated_at"]]
            fetched = [case for case in fetched if _second(case) >= START]
            replies = sum(ceil(case["_links"]["replies"]["count"] / SIZE) for case in fetched)
            quiet = Quiet(users=len(held["users"]), groups=len(held["groups"]), replies=replies, **seconds)
            calls = needed(quiet, cases_from=tops["cases"], customers_from=tops["customers"])
            site.ledger.reset()
            minutes = project.minutes()
            yield Measured(
                site="sandbox",
                cases=cases,
                run=run,
                made=site.ledger.count(),
                needed=calls,
                refused=site.ledger.count(status=429),
                minutes=minutes,
            )
            tops = {name: found[-1] for name, found in seconds.items()}
            before = {case["id"]: case["updated_at"] for case in held["cases"]}
            clock.advance(60)


def _second(record: Mapping[str, Any]) -> int:
    return int(datetime.fromisoformat(record["updated_at"]).timestamp())


@contextmanager
def _installed(folder: Path) -> Iterator[None]:
    install_plugin(folder, "model_site", "model_site:extension", group="extensions")
    sys.path.append(str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


def called(wanted: argparse.Namespace) -> Section:
    """Measure all sizes; the gate is that no call is made in vain."""
    runs = [*sandbox(wanted.cache / "work" / "calls", REAL)]
    for cases in wanted.sizes or MODELLED:
        runs += model(wanted.cache / "work" / "calls", cases)
    lines = [
        ["cases", "site", "run", "calls made", "calls needed", "refused (429)", "time", "the limit's floor", "ratio"],
        ["---:", "---", "---", *["---:"] * 6],
    ]
    for one in runs:
        times = [_spoken(one.minutes), _spoken(one.floor), f"{one.minutes / one.floor:.2f}" if one.floor else ""]
        numbers = [f"{one.made:,}", f"{one.needed:,}", f"{one.refused:,}"]
        lines.append([f"{one.cases:,}", one.site, one.run, *numbers, *times])
    gates = [
        Gate(
            what="calls made for each call needed, at worst",
            value=max(run.made / run.needed for run in runs),
            gate=1.001,  # a load of more than seven days is several runs, each of which asks for the lists
            goal=1.0005,
        ),
        Gate(what="calls that met the limit", value=sum(run.refused for run in runs), gate=0, goal=0),
    ]
    text = (
        f"**Calls**: Desk at {LIMIT} calls a minute, of which a run takes nine tenths (`rate_limit_share`); "
        "a load of more than seven days is several runs, each of which asks for users and groups anew."
        f"\n\n{markdown(lines)}\n\n{gates_table(gates)}"
    )
    return Section(name="calls", text=text, good=all(gate.held for gate in gates))


def _spoken(minutes: float) -> str:
    return (
        f"{minutes:.1f} min"
        if minutes < 120
        else f"{minutes / 60:.1f} h"
        if minutes < 2880
        else f"{minutes / 1440:.1f} d"
    )
