"""Some seeds of the simulation of whole runs; `make simulate` has a thousand."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.whole.plans import FAULTS, draw

ROOT = Path(__file__).parents[1]
SEEDS = 24


def simulate(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Simulate in a process of its own: it forks, and orders of sets are part of a seed."""
    command = [sys.executable, "-m", "tests.simulation.whole", *arguments]
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.timeout(900)
def test_every_guarantee_holds_in_some_dozens_of_simulated_runs() -> None:
    ended = simulate("--seeds", str(SEEDS))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert f"{SEEDS} seeds, 0 broken" in ended.stdout


@pytest.mark.timeout(300)
def test_a_seed_does_the_same_again() -> None:
    seed = next(seed for seed in range(100) if draw(seed).kills and len(draw(seed).faults) > 2)
    first, second = simulate("--seed", str(seed)), simulate("--seed", str(seed))
    assert first.stdout == second.stdout
    assert "'killed': True" in first.stdout or "killed=True" in first.stdout


def test_seeds_draw_all_that_can_happen() -> None:
    plans = [draw(seed) for seed in range(300)]
    assert {fault for plan in plans for fault in plan.faults} == set(FAULTS)
    assert {plan.workers for plan in plans} == {1, 2}
    assert {plan.sections["budget"].get("timezone") for plan in plans} >= {"Atlantic/Azores", "America/Havana"}
    assert any(life.step for plan in plans for life in plan.lives)
    assert any(life.turn for plan in plans for life in plan.lives)
    assert any(by < 0 for plan in plans for life in plan.lives for _, by in life.jumps)
    assert draw(7) == draw(7)
