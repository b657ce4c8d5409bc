"""The benchmark's command: `python3 dev.py bench [--work WORK ...] [--n CASES] [--runs RUNS] [--only TOOL ...]`.

Works: `files` (NDJSON files into a DuckDB file) and `api` (an API into Postgres) compare us with others; `start-up`,
`calls`, `steps` and, when asked for, `scale` measure us alone. Exit code 1 when a gate was missed or what we left was
wrong; what others left wrong is told below the table.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import works
from calls import called
from report import Section, write
from scale import scaled
from start_up import started
from steps import profiled
from tools import HERE, TOOLS

DOCUMENT = HERE.parent / "docs" / "performance.md"
WORKS: Mapping[str, Callable[[argparse.Namespace], Section | None]] = {
    "files": partial(works.measured, "files"),
    "api": partial(works.measured, "api"),
    "start-up": started,
    "calls": called,
    "steps": profiled,
    "scale": scaled,
}


def main() -> int:
    """Measure one work after the other, print, and write it into the document where that is wanted."""
    wanted = _arguments()
    if sys.platform != "linux":
        print("the benchmark reads its figures from /proc, so it needs Linux", file=sys.stderr)
        return 2
    sections = []
    for name in wanted.work:
        if (section := WORKS[name](wanted)) is not None:
            print(f"\n{section.text}", flush=True)
            sections.append(section)
    if wanted.write:
        write(DOCUMENT, sections)
    return 0 if sections and all(section.good for section in sections) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python3 dev.py bench", description=(__doc__ or "").split("\n\n")[1])
    usual = [name for name in WORKS if name != "scale"]
    parser.add_argument("--work", nargs="+", choices=[*WORKS], default=usual, help="measure only these works")
    parser.add_argument("--scale", dest="work", action="store_const", const=["scale"], help="measure only scale")
    parser.add_argument("--sizes", nargs="+", type=int, metavar="CASES", help="the sizes of calls and of scale")
    parser.add_argument("--n", type=int, default=100_000, help="cases; customers are half as many (default 100000)")
    parser.add_argument("--runs", type=int, default=3, help="runs of each tool; medians are printed (default 3)")
    names = sorted({tool.name for work in TOOLS.values() for tool in work})
    parser.add_argument("--only", nargs="+", choices=names, metavar="TOOL", help=f"only these: {', '.join(names)}")
    parser.add_argument("--write", action="store_true", help="write what was measured into docs/performance.md")
    parser.add_argument("--calm", type=float, default=10, help="wait up to so many seconds for others to be quiet")
    default = Path(tempfile.gettempdir()) / "connector-core-bench"
    parser.add_argument("--cache", type=Path, default=default, help=f"environments, data, work (default {default})")
    wanted = parser.parse_args()
    if wanted.n < 100 or wanted.runs < 1:
        parser.error("at least 100 cases and one run")
    return wanted


if __name__ == "__main__":
    sys.exit(main())
