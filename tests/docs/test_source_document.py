"""The page on writing a source: its test file holds the README's example to the whole contract."""

from __future__ import annotations

import json
import re
from urllib.parse import parse_qs, urlsplit

import pytest

from connector_core.testing.faults import Request
from connector_core.testing.json_api import JsonApi, Pages
from tests.docs.blocks import README, ROOT, block

PAGE = ROOT / "docs" / "testing-sources.md"


def test_the_test_file_of_the_readmes_source_runs(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        connector_shop=block(README, "python", "RestSource("), test_contract=block(PAGE, "python", "TestContract")
    )
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    outcomes = result.parseoutcomes()
    result.assert_outcomes(passed=outcomes["passed"])
    assert outcomes["passed"] >= 40


def test_the_recorded_contract_runs_without_the_api_it_was_recorded_from(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = "canary-of-the-real-shop"
    orders = [
        {"id": number, "email": f"canary{number}@buyers.test", "updated_at": f"2026-03-0{number}T10:00:00Z"}
        for number in range(1, 6)
    ]

    def served(request: Request) -> object:
        (since,) = parse_qs(urlsplit(request.target).query).get("updated_since", [""])
        assert request.header("Authorization") == f"Bearer {token}"
        return Pages(records=[one for one in orders if str(one["updated_at"]) >= since], size=2).document(request)

    def contract() -> None:
        result = pytester.runpytest_inprocess("-p", "no:cacheprovider")
        outcomes = result.parseoutcomes()
        assert outcomes == {"passed": outcomes["passed"]}
        assert outcomes["passed"] >= 40

    items = [{"id": 10, "order_id": 1, "sku": "cup"}]
    example = block(PAGE, "python", "TestRecorded")
    with JsonApi({"/api/orders": served, "/api/orders/{order}/items": lambda request, order: items}) as api:
        pytester.makepyfile(
            connector_shop=block(README, "python", "RestSource("),
            test_recorded=re.sub(r"https://shop[.\w]+", api.url, example),
        )
        with monkeypatch.context() as environment:
            environment.setenv("CONNECTOR_CORE_RECORD", "1")
            environment.setenv("SHOP_TOKEN", token)
            contract()
        assert len(set(api.requests)) == len({request.target for request in api.requests})
    files = sorted((pytester.path / "recorded").iterdir())
    assert "canary" not in "".join(path.read_text() for path in files)
    assert json.loads(files[0].read_text())["response"]["json"]["data"][0]["email"].startswith("scrubbed-")
    contract()


def test_without_fixtures_the_contract_says_what_is_missing(pytester: pytest.Pytester) -> None:
    text = "from connector_core.testing import SourceContract\n\nclass TestMine(SourceContract):\n    pass\n"
    pytester.makepyfile(test_contract=text)
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "-k", "describe_says_the_same")
    result.assert_outcomes(errors=1, deselected=result.parseoutcomes()["deselected"])
    result.stdout.fnmatch_lines(["*TestMine needs a fixture `source`*"])


def test_a_source_without_http_keeps_the_rest_of_the_contract(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_contract="""
        import pytest

        from connector_core.hookspecs import hookimpl
        from connector_core.streams import Catalog, Description, Page, Stream
        from connector_core.testing import LocalSourceContract

        SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}}}

        class Files:
            @hookimpl
            def describe(self):
                return Description(kind="source", name="files")

            @hookimpl
            def authenticate(self, config):
                return config["folder"]

            @hookimpl
            def discover(self, config, client):
                return Catalog(streams=(Stream(name="files", schema=SCHEMA, primary_key=("name",)),))

            @hookimpl
            def extract(self, client, config, stream, window, parent, page):
                return Page(records=[{"name": path.name} for path in sorted(client.iterdir())])

        class TestFiles(LocalSourceContract):
            @pytest.fixture
            def source(self):
                return Files()

            @pytest.fixture
            def config(self, tmp_path):
                (tmp_path / "one").touch()
                return {"folder": tmp_path}
        """
    )
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=result.parseoutcomes()["passed"])
