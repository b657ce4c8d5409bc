"""What data, addresses and bombs must never do: H6, H10 and H18 of facts/fault_catalogue.md."""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
import tracemalloc
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from types import ModuleType
from urllib.parse import quote, unquote

import pytest

import connector_core
import connector_desk
import connector_duckdb
from connector_core import config
from connector_core.errors import ConfigError, RetryableError, SourceError
from connector_core.rest import Limits
from connector_core.testing.faults import Action, Fault, FaultFront, GzipBomb, Nested, Redirect
from connector_desk.sandbox import Raw, Sandbox, Settings
from tests.support.desk import EVERYTHING, NOW, SMALL_PAGES, Desk, desk
from tests.support.engine import Shop, raw, stream
from tests.support.shop_api import Api, reader, shop

# --- H6


def test_h6_data_that_looks_like_a_secret_is_stored_unchanged(tmp_path: Path) -> None:
    """Also data that really is the connector's own secret, in a column and in the full text of a rejected record; what
    is told about the run has none of it."""
    with desk(tmp_path / "given", cases=12, customers=3) as project:
        secret = project.sandbox.credentials.token_secret
        texts = [
            secret,
            f"my token is {secret}, keep it",
            "Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.e30.c2ln",
            "password=hunter2&api_key=AKIAIOSFODNN7EXAMPLE",
            "https://user:pa55@example.test/?token=abc#secret",
            "-----BEGIN PRIVATE KEY-----\r\nMIIB\r\n-----END PRIVATE KEY-----",
            "***",
        ]
        ids = [case["id"] for case in project.sandbox.dump()["cases"]]
        for id, text in zip(ids, texts, strict=False):
            project.sandbox.store.update_case(id, subject=text, external_id=text)
        project.sandbox.store.put_raw("cases", ids[-1], {"subject": secret, "priority": Raw("1e999999")})
        report = project.go()
        rows = {row["id"]: row for row in project.rows("cases")}
        assert [rows[id]["subject"] for id, _ in zip(ids, texts, strict=False)] == texts
        assert [rows[id]["external_id"] for id, _ in zip(ids, texts, strict=False)] == texts
        (rejected,) = project.rows("_sdc_rejected")
        assert json.loads(rejected["record"])["subject"] == secret
        assert secret not in rejected["reason"] + repr(report) + repr(project.events)


# --- H18


def test_h18_credentials_are_in_the_authorization_header_and_nowhere_else(tmp_path: Path) -> None:
    """Over all requests of a run, with a redirect and with links to follow."""
    settings = Settings(seed=5, cases=30, customers=24, now=NOW, rate_limit=1_000_000, max_per_page=SMALL_PAGES)
    plan = [Fault(match="^GET /api/v2/users", action=Redirect(location="/api/v2/users?moved=1"))]
    with Sandbox(settings) as sandbox, FaultFront(sandbox.url, plan) as front:
        project = Desk(tmp_path, sandbox, EVERYTHING, url=front.url)
        project.go()
        assert front.hits, "a redirect was followed"
        known = sandbox.credentials
        secrets = [known.key, known.secret, known.token, known.token_secret]
        assert len(front.requests) > 40
        for request in front.requests:
            names = [name.lower() for name, _ in request.headers]
            assert names.count("authorization") == 1
            assert not {"referer", "cookie", "proxy-authorization"} & set(names)
            others = [value for name, value in request.headers if name.lower() != "authorization"]
            seen = " ".join([unquote(request.target), *others, request.body.decode()])
            assert "oauth_" not in seen
            assert not [secret for secret in secrets if secret in seen]
            signed = unquote(request.header("Authorization") or "")
            assert known.secret not in signed, "the two secrets sign, they are never sent"
            assert known.token_secret not in signed
            assert quote(known.token) in signed


# --- H10: bombs in answers

MIB = 1024 * 1024
BOMBS: dict[str, Action] = {"gzip": GzipBomb(size=256 * MIB), "depth": Nested()}


@pytest.mark.parametrize("bomb", BOMBS)
def test_h10_a_bomb_in_an_answer_is_an_error_that_needs_little_memory(bomb: str) -> None:
    plan = [Fault(action=BOMBS[bomb], times=None)]
    with FaultFront(None, plan, respond=Api()) as front:
        made = reader(front, shop(limits=Limits(deadline=20.0, body=MIB)))
        tracemalloc.start()
        try:
            with pytest.raises(SourceError) as caught:
                made.page()
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert caught.value.code == {"gzip": "too_large", "depth": "unreadable"}[bomb]
    assert isinstance(caught.value, RetryableError) is (bomb == "depth")
    assert peak < 12 * MIB


RECORDS = {
    "a million digits": ('{"id": 2, "n": ' + "9" * 1_000_000 + "}", None),
    "a million digits behind the point": ('{"id": 2, "n": 0.' + "3" * 1_000_000 + "}", None),
    "an exponent": ('{"id": 2, "n": 1e999999999}', "number_out_of_range"),
    "an exponent below": ('{"id": 2, "n": 1e-999999999}', "number_out_of_range"),
    "depth": ('{"id": 2, "d": ' + '{"a":' * 900 + "1" + "}" * 900 + "}", "too_deep"),
    "a long array": ('{"id": 2, "a": [' + "1," * 199_999 + "1]}", None),
    "200,000 keys": ("{" + "".join(f'"k{n}": {n}, ' for n in range(200_000)) + '"id": 2}', "too_many_columns"),
}


@pytest.mark.parametrize("bomb", RECORDS)
def test_h10_a_record_that_is_a_bomb_costs_one_record(tmp_path: Path, bomb: str) -> None:
    record, code = RECORDS[bomb]
    made = Shop(tmp_path, raw([stream("things")], {"things": ['{"id": 1}', record, '{"id": 3}']}))
    report = made.go()
    assert report.rejects == ({code: 1} if code else {})
    rows = {row["id"]: row for row in made.rows("things")}
    assert set(rows) == ({1, 3} if code else {1, 2, 3})
    if "digits" in bomb:
        number = record[record.index('"n": ') + 5 : -1]
        assert number in {str(value) for value in rows[2].values()}, "stored exactly"
    if "array" in bomb:
        assert made.query('select count(*), sum("value") from "shop"."things__a"') == [(200_000, 200_000)]


# --- H10: bombs in the configuration

TOML = '[destinations.w]\ntype = "duckdb"\npath = "w.duckdb"\n[connectors.s]\nsource = "desk"\ndestination = "w"\n'
FILES = {
    "a million digits": f"{TOML}batch_records = {'9' * 1_000_000}\n",
    "an exponent": f"{TOML}batch_records = 1e999999999\n",
    "depth": f"{TOML}x = {'[' * 50_000}{']' * 50_000}\n",
    "tables in tables": f"[{'.'.join('a' * 20_000)}]\n",
    "200,000 keys": TOML + "".join(f"k{n} = {n}\n" for n in range(20_000)),
}


@pytest.mark.parametrize("bomb", FILES)
def test_h10_a_configuration_that_is_a_bomb_is_one_clear_error(tmp_path: Path, bomb: str) -> None:
    path = tmp_path / "connectors.toml"
    path.write_text(FILES[bomb])
    path.chmod(0o600)
    with pytest.raises(ConfigError) as caught:
        config.load(path, env={})
    assert len(str(caught.value)) < 10_000, "a bomb is not printed"


def test_h10_placeholders_are_not_replaced_in_what_they_give(tmp_path: Path) -> None:
    """No billion laughs: a variable that names others twice, which name others twice …"""
    env = {f"V{n}": f"${{V{n + 1}}}${{V{n + 1}}}" for n in range(64)}
    names = ("site_url", "key", "secret", "token", "token_secret")
    settings = "".join(f'{name} = "{"https://x.example" if name == "site_url" else "${V0}"}"\n' for name in names)
    path = tmp_path / "connectors.toml"
    path.write_text(f"{TOML}[connectors.s.config]\n{settings}")
    path.chmod(0o600)
    assert config.load(path, env=env).source_config("s")["token"] == "${V1}${V1}"


# --- H10: our own patterns


def modules(*packages: ModuleType) -> Iterator[ModuleType]:
    for package in packages:
        yield package
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not found.name.endswith(("__main__", "fixtures")):
                yield importlib.import_module(found.name)


PIECES = [
    *"a0A_-. \t\n:+,;\\\"'/%*@${}[]()é",
    "aA",
    "a.",
    "a-",
    "0.",
    "${",
    "${A}",
    "1e",
    "0T",
    "a_",
    ", ",
    "\\u",
    "::",
    "é\u0301",
]


@pytest.mark.timeout(60)
def test_h10_no_pattern_of_ours_can_be_made_to_run_for_ever() -> None:
    """Each against texts that pile up what it may repeat, with an end that fits nothing: a pattern that tries every
    way to divide them would not end in this test's time."""
    patterns = {
        value.pattern: value
        for module in modules(connector_core, connector_desk, connector_duckdb)
        for value in vars(module).values()
        if isinstance(value, re.Pattern)
    }
    assert len(patterns) > 15
    for pattern, (piece, end) in product(patterns.values(), product(PIECES, ("", "!", "\x00"))):
        text = piece * 3_000 + end
        subject = text.encode() if isinstance(pattern.pattern, bytes) else text
        for way in (pattern.match, pattern.fullmatch, pattern.search):
            way(subject)
