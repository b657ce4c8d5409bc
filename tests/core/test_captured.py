"""What the other side sent when it went wrong lies in a file that the error names: private, bounded, no secrets."""

from __future__ import annotations

import base64
import json
import re
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

from connector_core.captured import FOLDER, MOST_FILES, keep
from connector_core.errors import Evidence, SourceError
from connector_core.redact import redactor
from connector_core.testing.faults import FaultFront, Request, Response
from tests.support.commands import command
from tests.support.engine import INTEGER, START, Shop
from tests.support.project import DUCKDB, TOML

NOW = datetime(2026, 11, 25, 7, 30, 2, 114512, tzinfo=UTC)
SECRET = "canary/of-the+token"


def kept(folder: Path) -> list[Path]:
    return sorted((folder / FOLDER).iterdir())


def error(text: bytes | str, *, code: str = "html") -> SourceError:
    return SourceError("no page", code=code).showing(Evidence(kind="page", text=text, head={"Status": "200"}))


def test_h5_h15_a_page_is_kept_for_its_owner_alone_and_without_secrets(tmp_path: Path) -> None:
    spelled = [SECRET, quote(SECRET, safe=""), base64.b64encode(SECRET.encode()).decode()]
    sent = f"<html>\x1b[31m\n{' '.join(spelled)}\n</html>".encode() + b"\xff"
    one = error(sent)
    keep(one, beside=tmp_path, redact=redactor([SECRET]), now=NOW)
    (path,) = kept(tmp_path)
    assert str(one) == f"no page (captured {path}) [html]"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert {stat.S_IMODE(one.stat().st_mode) for one in (path.parent, path.parent.parent)} == {0o700}
    text = path.read_text()
    assert [spelling for spelling in spelled if spelling in text] == []
    assert text.splitlines() == [
        "Error: no page [html]", "Captured: 2026-11-25T07:30:02Z, the page without secrets", "Status: 200", "",
        "<html>\\x1b[31m", "*** *** ***g==", "</html>\\xff",
    ]  # fmt: skip


def test_only_the_beginning_of_a_page_and_the_newest_files_are_kept(tmp_path: Path) -> None:
    for second in range(MOST_FILES + 3):
        keep(error("x" * 100_000), beside=tmp_path, redact=str, now=NOW + timedelta(seconds=second))
    files = kept(tmp_path)
    assert len(files) == MOST_FILES
    assert files[0].name.startswith("20261125T073005.")
    assert all(path.stat().st_size < 66_000 and path.read_text().endswith("(cut here)\n") for path in files)


def test_a_folder_that_takes_no_file_changes_nothing_about_the_error(tmp_path: Path) -> None:
    (tmp_path / ".connector-core").write_text("a file where the folder should be")
    one = error("page")
    keep(one, beside=tmp_path, redact=str, now=NOW)
    assert str(one) == "no page [html]"


def test_a17_h5_check_and_run_name_the_captured_page_and_it_holds_no_secret(tmp_path: Path) -> None:
    env = {f"DESK_{name}": f"canary-{name}-0123" for name in ("KEY", "SECRET", "TOKEN", "TOKEN_SECRET")}
    (tmp_path / "connectors.toml").write_text(
        TOML.format(settings="retry_attempts = 2\nretry_wait = 0.01\n", destination=DUCKDB, name="Stitch Desk")
    )

    def login(request: Request) -> Response:
        body = f"<html>Please log in. {env['DESK_TOKEN']} {request.header('Authorization')}</html>".encode()
        return Response(status=200, headers=(("Content-Type", "text/html"),), body=body)

    with FaultFront(None, respond=login) as front:
        env["DESK_SITE_URL"] = front.url
        checked = command("check", "--json", cwd=tmp_path, env=env)
        ran = command("--debug", "run", cwd=tmp_path, env=env)
    assert (checked.returncode, ran.returncode) == (4, 4)
    (failed,) = [part for part in json.loads(checked.stdout)["parts"] if not part["ok"]]
    assert failed["code"] == "html"
    named = [re.search(r"captured (\S+\.txt)\)", text) for text in (failed["found"][0], ran.stderr)]
    assert [str(one and one[1]) for one in named] == [str(path.relative_to(tmp_path)) for path in kept(tmp_path)]
    for path in kept(tmp_path):
        text = path.read_text()
        assert "Content-Type: text/html" in text
        assert "<html>Please log in. *** OAuth " in text
    whole = [checked.stdout, checked.stderr, ran.stdout, ran.stderr, *(path.read_text() for path in kept(tmp_path))]
    assert [text for text in whole if "canary-" in text] == []


def test_the_records_that_cross_max_rejects_are_captured(tmp_path: Path) -> None:
    stream = {"name": "orders", "primary_key": ["id"], "schema": {"type": "object", "properties": {"id": INTEGER}}}
    data = {"streams": [stream], "records": {"orders": [{"id": 1}, {"id": "none"}, {"id": None, "text": "kept?"}]}}
    shop = Shop(tmp_path, data, START + "max_rejects = 1\n")
    report = shop.go(code=3)
    (path,) = kept(tmp_path)
    assert f"captured {path}" in str(report.error)
    assert '{"id":null,"text":"kept?"}' in path.read_text().replace(" ", "")
