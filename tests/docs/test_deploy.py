"""The document about running it for good: its units and its container file say what the program does."""

from __future__ import annotations

import configparser
import json
import re

from connector_core import config
from connector_core.cli.app import commands
from connector_core.config import ServeSettings
from tests.docs.blocks import ROOT, block, blocks

DEPLOY = ROOT / "docs" / "deploy.md"


def unit(holding: str) -> configparser.ConfigParser:
    read = configparser.ConfigParser(interpolation=None)
    read.optionxform = str  # type: ignore[assignment, method-assign]
    read.read_string(block(DEPLOY, "text", holding))
    return read


def test_the_daemon_ends_before_systemd_loses_patience() -> None:
    service = unit("Restart=always")["Service"]
    assert service["KillMode"] == "mixed"
    assert float(service["TimeoutStopSec"]) >= ServeSettings().drain + 30
    assert service["SuccessExitStatus"] == "143"


def test_units_cron_and_container_type_commands_that_exist() -> None:
    known = commands()
    typed = [unit("Restart=always")["Service"]["ExecStart"], unit("Type=oneshot")["Service"]["ExecStart"]]
    typed.append(block(DEPLOY, "text", "*/5 * * * *").strip())
    for line in typed:
        found = re.search(r"connector-core (serve|run --due)$", line)
        assert found, line
        assert found[1].split()[0] in known
    container = block(DEPLOY, "text", "ENTRYPOINT")
    words = json.loads(re.findall(r"ENTRYPOINT (.*)", container)[0]) + json.loads(re.findall(r"CMD (.*)", container)[0])
    assert words == ["connector-core", "serve"]


def test_the_settings_of_several_machines_load(tmp_path) -> None:  # type: ignore[no-untyped-def]
    (example,) = blocks(DEPLOY, "toml")
    path = tmp_path / "connectors.toml"
    path.write_text(
        example.text + '[destinations.w]\ntype = "duckdb"\n[connectors.a]\nsource = "x"\ndestination = "w"\n'
    )
    loaded = config.load(path, wanted=())
    assert (loaded.serve.max_parallel, loaded.serve.drain) == (8, 600)
    assert loaded.ledger.url.reveal().startswith("postgresql://")
