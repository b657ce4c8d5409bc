"""SIGKILL while a run recovers from SIGKILL, again and again (D3), and at the very end of the interpreter (D14)."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.support.crash import Proof, crash_proof, metered
from tests.support.engine import Shop, incremental, served

# What a first kill leaves behind: a commit that only the destination knows, and one that was in doubt.
CRASHES = (("load.commit.after", 1), ("load.commit.before", 2))
BEGINS = re.compile(r"(claim|load|activate|hook\.(connect|load))\..*before$")  # the steps that write to the destination
CHAIN = 6  # kills in a row, each in the recovery from the one before


@pytest.fixture(scope="module")
def proof(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proof]:
    with crash_proof(tmp_path_factory.mktemp("recovery")) as proof:
        yield proof


def recovery(proof: Proof) -> list[str]:
    """The seams that the recovery from the first kind of crash passes, each once, in their order: the beginning of each
    step that writes, and both sides of each commit. D1 has all seams of a run."""
    project, trace = proof.project("traced"), proof.folder / "recovery.txt"
    assert proof.zygote.run(["run"], cwd=project.folder, env=project.env, kill_at=CRASHES[0]).killed
    ended = proof.zygote.run(["run"], cwd=project.folder, env=project.env, trace=trace)
    assert ended.code == 0, ended.output
    proof.holds(project)
    passed = dict.fromkeys(trace.read_text().split())
    return [name for name in passed if "commit" in name or BEGINS.match(name)]


@pytest.mark.timeout(300)
def test_d3_a_kill_at_every_seam_of_a_recovery(proof: Proof) -> None:
    """Each seam once; a chain of kills hits one project, and one run after it puts everything right."""
    seams = recovery(proof)
    assert {"ledger.begin_run.commit", "claim.commit.after", "ledger.rebuild.commit", "load.commit.after"} <= set(seams)
    killed = 0
    chains: list[Sequence[str]] = [seams[start :: -(-len(seams) // CHAIN)] for start in range(-(-len(seams) // CHAIN))]
    for number, chain in enumerate(chains):
        project = proof.project(f"chain-{number}")
        crash = CRASHES[number % len(CRASHES)]
        assert proof.zygote.run(["run"], cwd=project.folder, env=project.env, kill_at=crash).killed
        for seam in chain:
            killed += proof.zygote.run(["run"], cwd=project.folder, env=project.env, kill_at=(seam, 1)).killed
        proof.restart(project)
        proof.holds(project)
    assert killed > 0.8 * len(seams), "late in a chain little is left to load, and some seams are not passed"


def records(count: int) -> list[dict[str, object]]:
    return [{"id": n, "at": f"2026-01-01T00:00:{n:02d}Z"} for n in range(count)]


@pytest.mark.parametrize("stopped", [False, True], ids=["complete", "stopped with threads at work"])
def test_d14_a_kill_while_the_interpreter_ends(tmp_path: Path, stopped: bool) -> None:
    """SIGKILL from an exit handler: after a complete run, and after one that SIGTERM ends while threads still read and
    load."""
    signals = {"exit": int(signal.SIGKILL), **({"2": int(signal.SIGTERM)} if stopped else {})}
    data = served([incremental("a"), incremental("b")], {"a": records(40), "b": records(40)}, page_size=4)
    shop = Shop(
        tmp_path, {**data, "delay": 0.02, "signals": signals}, settings='start_date = "2020-01-01"\nbatch_records = 8\n'
    )
    process = shop.popen("run")
    output, errors = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, output + errors
    before = {name: len(shop.rows(name)) for name in ("a", "b")}
    assert (before == {"a": 40, "b": 40}) is not stopped, before
    shop.serve(data)
    report = shop.go()
    assert {name: sorted(row["id"] for row in shop.rows(name)) for name in ("a", "b")} == {
        name: list(range(40)) for name in ("a", "b")
    }
    loaded = sum(counts.loaded for counts in report.counts.values())
    assert loaded == 80 - sum(before.values()), "what was loaded is not loaded again"
    assert metered(shop) == {"a": 40, "b": 40}
