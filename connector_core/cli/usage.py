"""`connector-core usage`: what was written, what of it counts, and what the period will cost. From receipts alone."""

from __future__ import annotations

import csv
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from connector_core.cli.moments import moment
from connector_core.cli.output import as_json as plain
from connector_core.cli.output import counted, instant, print_json, print_line, print_table
from connector_core.cli.session import Session
from connector_core.clock import SystemClock
from connector_core.config import Config
from connector_core.config.metering import MeteringSettings
from connector_core.config.units import brief, interval
from connector_core.errors import ConfigError
from connector_core.ledger import FREE_WINDOW, Ledger, UsageRow
from connector_core.metering.forecast import Forecast
from connector_core.metering.periods import DAY, Period, period, previous
from connector_core.metering.summary import Usage, summary, what_ifs
from connector_core.metering.whatif import WhatIf

BAR = 40
"""Characters of the longest bar."""
MINUTE = timedelta(minutes=1)
COUNTS = {"rows": "new and changed rows and sub-rows", "stitch": "every row that passes through, as Stitch billed"}


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the options ask for, as they were typed."""

    names: tuple[str, ...] = ()
    before: bool = False
    since: str | None = None
    until: str | None = None
    sync: bool = False


def usage(session: Session, wanted: Wanted, *, as_csv: bool, as_json: bool) -> int:
    """Print the usage of the present period, of the one before, or of any time."""
    with _opened(session, wanted) as (config, ledger):
        settings, found = config.metering, None
        if ledger is not None:
            now = ledger.now()
            when = _when(ledger, settings, wanted, now)
            found = summary(ledger, settings, now=now, connectors=_keys(session, config, ledger, wanted), when=when)
    if as_csv:
        _print_csv(session, found.rows if found else ())
    elif as_json:
        print_json(plain({**vars(found), "settings": _settings(settings)}, session.redact) if found else {"rows": []})
    elif found is None or not found.first:
        print_line("Nothing was loaded yet.")
    else:
        _print(session, found, settings)
    return 0


def what_would(session: Session, wanted: Wanted, text: str, *, as_json: bool) -> int:
    """Print what a period would cost at another frequency."""
    other = _frequency(text)
    with _opened(session, wanted) as (config, ledger):
        settings, found = config.metering, []
        if ledger is not None:
            keys = _keys(session, config, ledger, wanted)
            found = what_ifs(ledger, settings, now=ledger.now(), connectors=keys, other=other)
    if as_json:
        totals = [{"present_rows": one.present_rows, "other_rows": one.other_rows} for one in found]
        print_json({"what_if": [{**plain(one), **total} for one, total in zip(found, totals, strict=True)]})
        return 0
    if not found:
        print_line("Too little is known: a connector needs three runs, and a day from the first to the last.")
    for one in found:
        _print_what_if(one)
    if found and settings.count == "rows":
        print_line("At most: a record that changes several times between two runs is written once.")
    return 0


@contextmanager
def _opened(session: Session, wanted: Wanted) -> Iterator[tuple[Config, Ledger | None]]:
    """Configuration and ledger (None where there is none), with `sync` after taking from the destinations the receipts
    that it lacks."""
    if not wanted.sync:
        config = session.load(())
        with session.ledger_if_there(config) as ledger:
            yield config, ledger
        return
    from connector_core.claiming import sync

    config = session.load(wanted.names or None)
    with session.ledger(config) as ledger:
        for connector in session.chosen(config, wanted.names):
            new = sync(connector, config=config, ledger=ledger, clock=SystemClock(), stop=threading.Event())
            session.say(f"{connector.key}: {counted(new, 'receipt')} taken from the destination")
        yield config, ledger


def _keys(session: Session, config: Config, ledger: Ledger, wanted: Wanted) -> list[str]:
    for name in wanted.names:
        session.known_anywhere(config, ledger, name)
    return list(wanted.names) or [one.connector for one in ledger.connectors()]


def _when(ledger: Ledger, settings: MeteringSettings, wanted: Wanted, now: datetime) -> Period | None:
    """The time that is asked for; None for the present period."""
    this = period(now, settings, ledger.first_data_of_all())
    if wanted.before:
        return previous(this, settings)
    since, until = moment(wanted.since, now, "--since"), moment(wanted.until, now, "--until")
    if since is None and until is None:
        return None
    return Period(begin=since or this.begin, end=until or now + timedelta(seconds=1))


def _frequency(text: str) -> timedelta:
    name, _, value = text.partition("=")
    if name != "frequency" or not value:
        raise ConfigError(f"--what-if {text!r} cannot be answered", hint="write --what-if frequency=24h", code="usage")
    try:
        other = timedelta(seconds=interval(value))
    except (ValueError, OverflowError) as error:
        raise ConfigError(f"--what-if {text!r}: the frequency {error}", code="usage") from None
    if not timedelta(minutes=1) <= other <= timedelta(days=31):
        raise ConfigError(f"--what-if {text!r}: the frequency should be at least 1m and at most 31d", code="usage")
    return other


# --- printing


def _print(session: Session, found: Usage, settings: MeteringSettings) -> None:
    when = found.period
    print_line(f"{instant(when.begin)} to {instant(when.end)}; what counts: {COUNTS[settings.count]}")
    _print_connectors(found)
    for key in found.first:
        mine = [row for row in found.rows if row.connector == key]
        if mine:
            print_line()
            print_line(f"{key}:")
            _print_tables(mine)
    print_line()
    _print_days(found)
    print_line()
    if settings.quota is not None:
        left = max(0, settings.quota - found.used)
        share = found.used * 100 // settings.quota
        print_line(f"Quota: {found.used:,} of {settings.quota:,} rows are used ({share} %), {left:,} are left.")
    if found.forecast is not None:
        _print_forecast(found.forecast)
    for hint in found.hints:
        print_line(session.redact(f"Hint: {hint}."))


def _print_forecast(told: Forecast) -> None:
    if set(told.unknown) == set(told.by_connector):
        print_line("Forecast: from the first full day (UTC) on.")
        return
    rough = ", roughly: less than a week is known" if told.rough else ""
    without = f", without {', '.join(told.unknown)}, whose first full day is not over" if told.unknown else ""
    print_line(f"Forecast: {counted(told.rows, 'row')} will count in this period{rough}{without}.")
    if told.reached is not None:
        print_line(f"At this pace the quota is used up on {told.reached}.")


def _print_connectors(found: Usage) -> None:
    total = sum(row.counted for row in found.rows)
    rows: list[tuple[object, ...]] = []
    for key, first in found.first.items():
        mine = [row for row in found.rows if row.connector == key]
        own = sum(row.counted for row in mine)
        ahead = found.forecast.by_connector.get(key) if found.forecast else None
        share = f"{round(100 * own / total)} %" if total else ""
        free_until = first + FREE_WINDOW
        rows.append((key, own, share, *_sums(mine)[1:], found.rejected[key], ahead, free_until))
    headers = ["connector", "counted", "share", "free", "unchanged", "rejected", "forecast", "free until"]
    print_table(headers, rows, numbers=range(1, 7), indent=2)


def _print_tables(rows: Sequence[UsageRow]) -> None:
    tables = {row.table: row for row in rows}
    order = sorted(tables.values(), key=lambda row: (row.stream, row.subtable, row.table))
    shown = [
        (
            f"{'  ' if one.subtable else ''}{one.table}",
            *_sums([row for row in rows if row.table == one.table]),
        )
        for one in order
    ]
    print_table(["table", "counted", "free", "unchanged"], shown, numbers=(1, 2, 3), indent=2)


def _sums(rows: Sequence[UsageRow]) -> tuple[int, int, int]:
    return sum(row.counted for row in rows), sum(row.free for row in rows), sum(row.unchanged for row in rows)


def _print_days(found: Usage) -> None:
    """Rows by UTC day; on a terminal as bars, the free ones lighter."""
    by_day: dict[date, list[UsageRow]] = {}
    for row in found.rows:
        by_day.setdefault(row.day, []).append(row)
    if not by_day:
        print_line("No rows.")
        return
    days = [min(by_day) + DAY * n for n in range((max(by_day) - min(by_day)).days + 1)]
    totals = {day: _sums(by_day.get(day, ())) for day in days}
    most = max(1, *(counted_rows + free for counted_rows, free, _ in totals.values()))
    bars = sys.stdout.isatty()
    rows = [(str(day), *totals[day], *((_bar(*totals[day][:2], most),) if bars else ())) for day in days]
    print_table(
        ["day (UTC)", "counted", "free", "unchanged", *([""] if bars else [])], rows, numbers=(1, 2, 3), indent=2
    )


def _bar(own: int, free: int, most: int) -> str:
    whole = round(BAR * (own + free) / most)
    solid = min(whole, round(BAR * own / most))
    return "█" * solid + "░" * (whole - solid)


def _print_what_if(one: WhatIf) -> None:
    now, then = brief(round(one.every / MINUTE) * 60 or 60), brief(one.other.total_seconds())
    print_line(
        f"{one.connector}: now every {now} ({counted(one.runs, 'run')} a period), "
        f"then every {then} ({counted(one.other_runs, 'run')})"
    )
    rows: list[tuple[object, ...]] = [(s.stream, s.present, s.other, s.other - s.present) for s in one.streams]
    rows.append(("all", one.present_rows, one.other_rows, one.other_rows - one.present_rows))
    print_table(["stream", "rows now", "rows then", "difference"], rows, numbers=(1, 2, 3), indent=2)


def _print_csv(session: Session, rows: Iterable[UsageRow]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["connector", "stream", "table", "day", "free", "counted", "unchanged"])
    for row in rows:
        texts = [session.clean(text) for text in (row.connector, row.stream, row.table)]
        writer.writerow([*texts, row.day.isoformat(), row.free, row.counted, row.unchanged])


def _settings(settings: MeteringSettings) -> dict[str, Any]:
    return {"count": settings.count, "period": settings.period, "quota": settings.quota}
