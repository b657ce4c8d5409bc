"""SIGKILL at every named seam of a run, then one restart: nothing missing, nothing doubled, nothing counted twice
(D1, D3, D14, E6)."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.support.crash import Proof, crash_proof


@pytest.fixture(scope="module")
def proof(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proof]:
    with crash_proof(tmp_path_factory.mktemp("crash")) as proof:
        yield proof


def test_the_seams_are_those_that_the_proof_expects(proof: Proof) -> None:
    names = set(proof.seams)
    for verb in ("authenticate", "discover", "extract", "connect", "load"):
        assert {f"hook.{verb}.before", f"hook.{verb}.after"} <= names
    for step in ("fence", "schema", "stage", "insert", "commit_row", "commit"):
        assert {f"load.{step}.before", f"load.{step}.after"} <= names
    assert {
        "ledger.begin_run.before",
        "ledger.record.before",
        "ledger.record.after",
        "ledger.finish_run.after",
    } <= names


@pytest.mark.timeout(800)
def test_d1_a_kill_at_every_seam(proof: Proof) -> None:
    """Each seam at its first passage and at a seeded later one."""
    dice = random.Random(20)
    killed = 0
    for name, passages in sorted(Counter(proof.seams).items()):
        for passage in sorted({1, dice.randint(1, passages)}):
            project = proof.project(f"{name}-{passage}")
            ended = proof.zygote.run(["run"], cwd=project.folder, env=project.env, kill_at=(name, passage))
            if not ended.killed:  # threads interleave anew each time: the last passage may not come about
                assert passage > 1, f"{name} was never passed"
            killed += ended.killed
            proof.restart(project)
            proof.holds(project)
    assert killed >= len(set(proof.seams))
