"""How much each lane tries: `make test` a little of everything, `make test-thorough`, `make chaos` and CI all of it.

The lane is a profile of Hypothesis, which `tests/conftest.py` loads before any test is imported. What a lane leaves
out are more examples of the same, never a test.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from hypothesis import HealthCheck, settings

T = TypeVar("T")

FAST, THOROUGH = "fast", "thorough"
FEWEST = 20
_FAST_EXAMPLES = 35


def register_lanes() -> None:
    """Tell Hypothesis of both. A machine that is busy is no fault of what is tested: every test has a time-out."""
    patient = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
    settings.register_profile(FAST, settings(), max_examples=_FAST_EXAMPLES, **patient)
    settings.register_profile(THOROUGH, settings(), max_examples=100, **patient)


def is_thorough() -> bool:
    return settings.get_current_profile_name() == THOROUGH


def examples(count: int) -> int:
    """Return how many examples are tried of a property that deserves `count`: in the fast lane a third, at least 20."""
    return count if is_thorough() else min(count, max(FEWEST, count // 3))


def some(values: Sequence[T], few: int = 1) -> Sequence[T]:
    """Return the values that a lane tries: in the fast lane the first few."""
    return values if is_thorough() else values[:few]
