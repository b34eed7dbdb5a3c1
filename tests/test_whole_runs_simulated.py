"""Some seeds of the simulation of whole runs; `make simulate` has a thousand."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lanes import is_thorough
from tests.simulation.whole.plans import DAY, FAULTS, Plan, draw

ROOT = Path(__file__).parents[1]
SEEDS = 24 if is_thorough() else 8


def simulate(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Simulate in a process of its own: it forks, and orders of sets are part of a seed."""
    command = [sys.executable, "-m", "tests.simulation.whole", *arguments]
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.timeout(900)
def test_every_guarantee_holds_in_some_simulated_runs() -> None:
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


def test_many_seeds_have_a_days_cap_and_a_clock_that_jumps_over_its_end_while_rows_are_asked() -> None:
    plans = [draw(seed) for seed in range(100)]
    jumping = [plan for plan in plans if plan.sections["limits"].get("requests_per_day") and _turns_utc_day(plan)]
    assert len(jumping) >= 10
    assert any(plan.sections["limits"].get("wait") for plan in jumping)
    assert any(by < 0 for plan in jumping for _, by in plan.lives[0].jumps)


def test_many_seeds_begin_processes_in_a_midnight_hour_that_comes_again() -> None:
    """In Havana it is midnight at 04:00 and 05:00 UTC on 2026-11-01, in the Azores at 00:00 and 01:00 on 2026-10-25."""
    hours = {"America/Havana": "2026-11-01T04:00+00:00", "Atlantic/Azores": "2026-10-25T00:00+00:00"}
    begin = 0
    for plan in map(draw, range(100)):
        first = dt.datetime.fromisoformat(
            hours.get(plan.sections["budget"].get("timezone", ""), "1970-01-01T00:00+00:00")
        )
        since, daily = plan.start - first.timestamp(), plan.sections["budget"].get("per") == "day"
        begin += daily and 0 <= since < 3600 and any(3600 <= since + life.pause < 7200 for life in plan.lives)
    assert begin >= 8


def _turns_utc_day(plan: Plan) -> bool:
    return any(plan.start // DAY != (plan.start + when + by) // DAY for when, by in plan.lives[0].jumps if by > 0)
