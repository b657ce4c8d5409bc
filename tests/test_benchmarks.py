"""The benchmarks work: our own tool end to end, the calls of runs at a limit, and what is written into the document."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from connector_core.cli.progress import RunProgress
from connector_core.events import Event, PageExtracted

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Benchmarks are scripts beside each other, which nobody else imports."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(BENCHMARKS)):
            del sys.modules[name]


def test_our_own_load_is_measured_and_compared_record_by_record(tmp_path: Path) -> None:
    from generate import generate
    from places import files
    from tools import FILES
    from verify import LAYOUTS, findings
    from works import Bench

    data = generate(tmp_path / "data", 200)
    with files(data) as place:
        full, changed = Bench(work="files", cache=tmp_path).measure(FILES[0], data, place, every=True)
    assert (full.wrong, changed.wrong) == ((), ())
    assert full.rows == sum(data.full.values())
    assert full.cost.cpu > 0
    assert full.cost.peak > 20_000_000

    file = tmp_path / "work" / "files" / "connector-core" / "out.duckdb"
    with duckdb.connect(str(file)) as connection:
        connection.execute("update bench.customers__emails set value = 'x' where _sdc_source_key_id = 77")
    (wrong,) = findings(str(file), LAYOUTS["stitch"], data, changed=True, every=True)
    assert wrong.startswith("customers 77 emails:")


@pytest.mark.parametrize(("site", "cases"), [("model", 1_000), ("sandbox", 150)])
def test_runs_make_no_call_too_many_and_take_what_the_limit_takes(tmp_path: Path, site: str, cases: int) -> None:
    import calls

    first, increment, idle = getattr(calls, site)(tmp_path, cases)
    for run in (first, increment, idle):
        assert (run.made, run.refused) == (run.needed, 0)
        assert run.minutes == (run.made - 1) // 54, "nine tenths of 60 a minute"
    assert first.made > cases / 2 > increment.made > idle.made


def test_the_estimate_of_the_end_is_right_while_the_limit_decides(tmp_path: Path) -> None:
    import calls

    now, ends = 0.0, []
    progress = RunProgress(connector="stitch_desk", clock=lambda: now)

    def watch(event: Event, seconds: float) -> None:
        nonlocal now
        now = seconds
        progress.take(event)
        if isinstance(event, PageExtracted) and event.stream == "cases":
            left = progress.left(progress.stream("cases"), now)
            ends.extend([] if left is None else [now + left])

    run = next(calls.model(tmp_path, 1_000, watch))
    assert len(ends) >= 5
    assert all(abs(end / 60 - run.minutes) <= 2 for end in ends), "within two windows of the limit"


def test_sections_are_put_between_their_marks_and_nothing_else_changes(tmp_path: Path) -> None:
    from report import Section, write

    document = tmp_path / "performance.md"
    document.write_text("# Before\n\n<!-- bench api -->\nold\n<!-- end of api -->\n\nAfter\n")
    new: list[Any] = [Section(name="api", text="new", good=True)]
    write(document, new)
    write(document, new)
    assert document.read_text() == "# Before\n\n<!-- bench api -->\n\nnew\n\n<!-- end of api -->\n\nAfter\n"
    with pytest.raises(SystemExit, match="no place for files"):
        write(document, [Section(name="files", text="", good=True)])
