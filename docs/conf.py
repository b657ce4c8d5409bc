"""How Sphinx makes a site of README and docs: `python3 dev.py docs`.

The pages are the repository's own files, as they stand. Nothing on the site comes from elsewhere: it reads, and is
searched, without a network and without a server.
"""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]

NAVIGATION: Mapping[str, Sequence[str]] = {
    "Begin": ("first-hour", "tables", "scheduling"),
    "Sources and destinations": ("files", "singer", "duckdb", "postgres", "snowflake", "sandbox"),
    "Operate": ("deploy", "operations"),
    "Write a plugin": (
        "write-a-source",
        "rest-source",
        "write-a-destination",
        "write-an-extension",
        "testing-sources",
        "testing-destinations",
        "hooks",
    ),
    "Reference": ("commands", "configuration", "errors", "promises", "faults", "performance", "dependencies"),
}
"""Every document of this folder, once, below the heading of its part. A document that is missing here is an error."""

project = "connector-core"
author = "the authors of connector-core"
version = release = str(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"])
extensions = ["myst_parser"]
include_patterns = ["README.md", "CHANGELOG.md", "docs/*.md"]
exclude_patterns = [".*", "build"]
root_doc = "README"
myst_heading_anchors = 3
suppress_warnings = ["misc.highlighting_failure"]  # the signature of a hook is no statement
html_theme = "furo"
html_title = "connector-core"
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False


def navigation() -> str:
    """The site's navigation, as Sphinx reads it."""
    parts = [*NAVIGATION.items(), ("News", ["../CHANGELOG"])]
    return "".join(
        f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n" + "".join(f"docs/{name}\n" for name in names) + "```\n"
        for caption, names in parts
    )


def setup(app: Any) -> None:
    """Sphinx calls this: the navigation stands in no file, and the first page is found by a browser."""

    def read(_: Any, name: str, source: list[str]) -> None:
        if name == root_doc:
            source[0] += navigation()

    def finished(app: Any, error: Exception | None) -> None:
        if error is None:
            shutil.copy(Path(app.outdir) / f"{root_doc}.html", Path(app.outdir) / "index.html")

    app.connect("source-read", read)
    app.connect("build-finished", finished)
