"""The loading report: what a run has read and written, stream by stream and table by table."""

from __future__ import annotations

from collections.abc import Sequence

from connector_core.batch import Counts
from connector_core.cli.output import counted, print_line, print_table
from connector_core.cli.session import Session
from connector_core.config.units import spoken
from connector_core.run_report import RunReport

FATES = ("extracted", "loaded", "unchanged", "superseded", "rejected", "filtered")
UNUSUAL = ("staged", "discarded")
"""Fates that are shown only where records have no other: an interrupted pass, an end before the commit."""


def headline(report: RunReport, *, replay: bool = False) -> str:
    """One line that says how the run ended and what it wrote."""
    total = report.total
    if replay:
        did = f"{counted(total.loaded + total.unchanged + total.superseded, 'rejected record')} could be loaded now"
    elif report.status == "succeeded" and not report.rows_written and not report.rows_deleted and not total.rejected:
        did = f"nothing new: {counted(total.unchanged, 'record')} unchanged, 0 rows written"
    else:
        did = f"{counted(report.rows_written, 'row')} written, {report.rows_deleted:,} deleted"
        if total.unchanged:
            did += f", {counted(total.unchanged, 'record')} unchanged"
        if total.rejected:
            did += f", {total.rejected:,} rejected"
    waited = f", {spoken(report.waited)} waited" if report.waited >= 0.05 else ""
    ended = f"{report.status} in {spoken(report.seconds)}"
    return f"{report.connector}: {ended}; {did}; {counted(report.calls, 'call')}{waited}"


def coded(report: RunReport) -> str:
    """The codes of what stopped the run: short for its error where that was told before."""
    return ", ".join(f"[{code}]" for code in report.error_codes)


def print_report(session: Session, report: RunReport, *, replay: bool = False) -> None:
    """Print the headline, the streams' records, the tables' rows, rejects and changes of tables."""
    print_line(session.redact(headline(report, replay=replay)))
    if report.error:
        print_line(f"  error: {coded(report)}, told in full on standard error")
    if report.counts:
        print_line()
        _print_streams(report)
    if report.tables:
        print_line()
        rows = [(name, count.written, count.deleted) for name, count in report.tables.items()]
        print_table(["table", "rows written", "rows deleted"], rows, numbers=(1, 2), indent=2)
    for code, count in report.rejects.items():
        print_line(f"  rejected: {count:,} {code}; `connector-core rejects list {report.connector}` shows why")
    tables = [change.table for change in report.changes if change.what == "created" and not change.column]
    if tables:
        print_line(f"  created {', '.join(tables)}")
    for change in report.changes:
        if change.column or change.what != "created":
            column = f".{change.column}" if change.column else ""
            detail = f" ({change.detail})" if change.detail else ""
            print_line(session.redact(f"  {change.what} {change.table}{column}{detail}"))
    if report.status == "partial":
        print_line("  not finished: run_seconds was over, or the quota used up; the next run goes on from the bookmark")


def _print_streams(report: RunReport) -> None:
    open_ones = [c for c in report.counts.values() if sum(_fates(c, FATES[1:])) < c.extracted]
    fates = [*FATES, *(fate for fate in UNUSUAL if any(getattr(c, fate) for c in open_ones))]
    rows = [(name, *_fates(counts, fates), report.bookmarks.get(name)) for name, counts in report.counts.items()]
    print_table(["stream", *fates, "bookmark"], rows, numbers=range(1, len(fates) + 1), indent=2)


def _fates(counts: Counts, fates: Sequence[str]) -> list[int]:
    return [getattr(counts, fate) for fate in fates]
