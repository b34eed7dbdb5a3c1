"""How often the truth lies inside an estimate's interval, and how wide that is, over simulated jobs of many kinds.

    python -m benchmarks.intervals [JOBS]

Goals: inside in 93 of 100 jobs; half of the interval under 5 % after fifty rows, wherever the answers' own spread
allows it. `ideal` is the half of one who knows every prompt's tokens and the answers' true spread and has the
mean of fifty of them: nothing can do better from fifty answers that have nothing to do with their prompts.
The jobs are those of `tests/simulation/bills.py`: the emulator's arithmetic at settings that differ.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from parquill.emulator.settings import Spread
from tests.simulation.bills import CAPTIONS, Setting, SimulatedJob, any_setting

JOBS = 100
CALIBRATE = 50

Mix = Callable[[random.Random], Setting]

MIXES: dict[str, tuple[Mix, int, int]] = {
    "any job, no usage records": (any_setting, 300, 0),
    "any job": (any_setting, 300, CALIBRATE),
    "any job, 3,000 rows": (any_setting, 3_000, CALIBRATE),
    "captions, prose": (lambda _: CAPTIONS, 300, CALIBRATE),
    "captions, by schema": (lambda rng: replace(CAPTIONS, schema="caption", kind=rng.randrange(5)), 300, CALIBRATE),
    "texts only, prose": (lambda rng: replace(any_setting(rng), schema=None, pictures=0), 300, CALIBRATE),
    "texts only, by schema": (lambda rng: replace(any_setting(rng), schema="tag", pictures=0), 300, CALIBRATE),
    "answers follow prompts": (lambda rng: replace(any_setting(rng), schema=None, follows=True), 300, CALIBRATE),
    "answers all alike": (lambda rng: replace(any_setting(rng), answers=Spread(60)), 300, CALIBRATE),
}


def measure(name: str, mix: Mix, rows: int, calibrate: int, jobs: int) -> None:
    """Print one line about a mix."""
    inside, halves, ideals, errors = [], [], [], []
    for seed in range(jobs):
        job = SimulatedJob(seed, mix(random.Random(10_000 + seed)), rows)
        cost, actual = job.estimate(calibrate)
        inside.append(cost.low_pico <= actual <= cost.high_pico)
        halves.append((cost.high_pico - cost.low_pico) / 2 / cost.expected_pico)
        errors.append(abs(actual / cost.expected_pico - 1))
        if calibrate:
            ideals.append(job.ideal_half(calibrate))
    half = np.array(halves)
    told = f"{name:24} inside {np.mean(inside):4.0%}  error {np.mean(errors):5.1%}  half {_spread(half)}"
    if calibrate:
        ideal = np.array(ideals)
        told += f"  ideal {_spread(ideal)}  times ideal {np.median(half / np.maximum(ideal, 1e-3)):.2f}"
    print(told, flush=True)


def _spread(half: np.ndarray[tuple[int], np.dtype[np.float64]]) -> str:
    tenth, middle, ninth = np.quantile(half, (0.1, 0.5, 0.9))
    return f"{tenth:4.1%} {middle:4.1%} {ninth:5.1%}, {np.mean(half < 0.05):4.0%} under 5 %"


def main(jobs: int) -> None:
    """Print a line for each mix: half widths as their 10, 50 and 90 % quantiles over the jobs."""
    for name, (mix, rows, calibrate) in MIXES.items():
        measure(name, mix, rows, calibrate, jobs)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else JOBS)
