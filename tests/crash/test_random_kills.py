"""SIGKILL at 200 seeded random instants, then one restart: nothing missing, nothing doubled, nothing counted twice
(D2)."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from tests.support.crash import Proof, crash_proof

ROUNDS = 4
KILLS = 50


@pytest.fixture(scope="module")
def proof(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proof]:
    with crash_proof(tmp_path_factory.mktemp("random")) as proof:
        yield proof


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(ROUNDS))
def test_d2_kills_at_random_instants(proof: Proof, seed: int) -> None:
    """The instants are spread evenly over the length of an undisturbed run, and a little beyond it."""
    dice = random.Random(seed)
    killed, seconds = 0, proof.seconds
    for number in range(KILLS):
        project = proof.project(f"{seed}-{number}")
        after = dice.uniform(0.0, 1.05) * seconds
        ended = proof.zygote.run(["run"], cwd=project.folder, env=project.env, kill_after=after)
        killed += ended.killed
        seconds = seconds if ended.killed else ended.seconds  # the machine may be faster by now
        proof.restart(project)
        proof.holds(project)
    assert killed >= KILLS // 2, "most instants lie within the run"
