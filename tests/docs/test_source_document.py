"""The page on writing a source: its test file holds the README's example to the whole contract."""

from __future__ import annotations

import pytest

from tests.docs.blocks import README, ROOT, block

PAGE = ROOT / "docs" / "testing-sources.md"


def test_the_test_file_of_the_readmes_source_runs(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        connector_shop=block(README, "python", "RestSource("), test_contract=block(PAGE, "python", "SourceContract")
    )
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    outcomes = result.parseoutcomes()
    result.assert_outcomes(passed=outcomes["passed"])
    assert outcomes["passed"] >= 40


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
