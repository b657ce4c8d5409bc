"""The documentation site, built as `python3 dev.py docs` builds it: whole, and with nothing from elsewhere."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import unquote, urlsplit

import pytest

import dev
from docs import command_parts, parts
from tests.docs.blocks import DOCUMENTS, ROOT
from tests.support.commands import environment

LOADING = {"src", "srcset", "data", "poster", "background"}
"""Attributes whose address a browser fetches by itself."""


class Page(HTMLParser):
    """A page of the site: what it loads, where its links lead, and its anchors."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path, self.loads, self.links = path, list[str](), list[str]()
        self.anchors, self.navigation = set[str](), list[str]()
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        self.loads += [value for name, value in given.items() if name in LOADING]
        if "href" in given:
            (self.links if tag == "a" else self.loads).append(given["href"])
        if tag == "a" and "reference internal" in given.get("class", "") and "#" not in given["href"]:
            self.navigation.append(given["href"])


@pytest.fixture(scope="module")
def site() -> Iterator[Path]:
    """The site. Not among the tests' files, which may hold no credentials: a page has public ones."""
    with TemporaryDirectory() as made:
        folder = Path(made).resolve()
        words = [str(word) for word in dev.site(folder)]
        built = subprocess.run(words, cwd=ROOT, env=environment(), capture_output=True, text=True)
        assert built.returncode == 0, built.stdout + built.stderr
        yield folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    """Its pages."""
    return {path: Page(path) for path in sorted(site.rglob("*.html"))}


def test_every_document_is_a_page_and_the_first_one_leads_to_all(site: Path, pages: dict[Path, Page]) -> None:
    made = {site / path.relative_to(ROOT).with_suffix(".html") for path in DOCUMENTS}
    assert made <= pages.keys()
    first = site / "index.html"
    assert first.read_bytes() == (site / "README.html").read_bytes()
    led_to = {(first.parent / target).resolve() for target in pages[first].navigation}
    assert led_to >= made - {site / "README.html"}


def test_nothing_is_loaded_from_elsewhere(site: Path, pages: dict[Path, Page]) -> None:
    assert [(path, load) for path, page in pages.items() for load in page.loads if is_foreign(load)] == []
    styles = [path for path in site.rglob("*.css") if path.is_file()]
    assert styles
    found = re.compile(r"@import|url\(\s*['\"]?\s*(?:https?:)?//", re.IGNORECASE)
    inline = [path for path in pages if re.search(r"<style|url\(", path.read_text()) and found.search(path.read_text())]
    assert [path for path in styles if found.search(path.read_text())] == inline == []


def is_foreign(target: str) -> bool:
    return bool(urlsplit(target).netloc) or urlsplit(target).scheme not in ("", "data")


def test_no_link_within_leads_nowhere(pages: dict[Path, Page]) -> None:
    assert list(broken(pages)) == []
    assert sum(len(page.links) for page in pages.values()) > 1_000


def broken(pages: dict[Path, Page]) -> Iterator[tuple[str, str]]:
    for path, page in pages.items():
        for target in [*page.links, *page.loads]:
            parts = urlsplit(target)
            if is_foreign(target) or parts.scheme:
                continue
            there = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchors = pages[there].anchors if there in pages else set()
            if not there.is_file() or (parts.fragment and there in pages and unquote(parts.fragment) not in anchors):
                yield path.name, target


def test_the_reference_is_whole(site: Path) -> None:
    """Every command, option, hook and event has its place on the page that lists them."""
    commands, hooks = ((site / "docs" / f"{name}.html").read_text() for name in ("commands", "hooks"))
    listed = re.findall(r"^### `(.*)`$", command_parts.commands(), re.MULTILINE)
    assert len(listed) > 20
    assert [name for name in listed if f'id="{name.replace(" ", "-")}"' not in commands] == []
    assert [name for name in parts.hooks() if f'id="{name}"' not in hooks] == []
