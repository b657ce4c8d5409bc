"""Every promise of a source, kept by Desk."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from connector_core.testing import SourceContract
from connector_desk import source
from connector_desk.sandbox import Sandbox, Settings
from tests.support.desk_reader import settings


@pytest.fixture(scope="module")
def desk() -> Iterator[Sandbox]:
    """A few records of every kind, that nobody changes."""
    switches = Settings(now="2026-01-01T00:00:00Z", cases=16, customers=9, users=4, groups=3, rate_limit=1_000_000)
    with Sandbox(switches) as running:
        yield running


class TestDesk(SourceContract):
    entries = "_embedded.entries"
    composed = ("user_groups",)

    @pytest.fixture
    def source(self) -> Any:
        return source

    @pytest.fixture
    def api(self, desk: Sandbox) -> str:
        return desk.url

    @pytest.fixture
    def config(self, desk: Sandbox, url: str) -> dict[str, Any]:
        return settings(desk, site_url=url, page_size=5)
