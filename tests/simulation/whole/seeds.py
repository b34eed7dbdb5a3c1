"""One seed: drawn, lived through, and held against the guarantees."""

from __future__ import annotations

import gc
import tempfile
import warnings
from pathlib import Path

from tests.simulation.whole.guarantees import broken
from tests.simulation.whole.lives import live_through
from tests.simulation.whole.plans import draw

MEMORY = Path("/dev/shm")


def simulate(seed: int) -> tuple[list[str], str]:
    """Return the guarantees that a seed broke, and the log of all that happened."""
    plan = draw(seed)
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None, prefix="parquill-") as folder:
        ended = live_through(plan, Path(folder))
        log = Path(folder, "log.jsonl").read_text().replace(folder, "FOLDER")
        lives = "".join(f"{one}\n" for one in ended).replace(folder, "FOLDER")
        return broken(plan, Path(folder), ended), f"{plan}\n{log}{lives}"


def warm_up() -> None:
    """What every life needs is loaded once, before the first fork."""
    warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads: none of ours is alive then
    simulate(0)
    gc.freeze()  # what is loaded is not looked at in each forked process, nor copied for it
