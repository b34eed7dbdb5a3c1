"""One level of retry in the whole program, and the only import of tenacity.

A retryer is made afresh for each row: one that is shared between tasks mixes their states.
The first attempt does not pass through tenacity (most rows need no second), so a run without
faults pays nothing for it. How long the whole gate pauses is the gate's matter; here a row
only waits for its own next turn: full jitter, doubling, at most half a minute.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

FIRST_WAIT = 0.5
LONGEST_WAIT = 30.0
"""Seconds that the first wait, and any wait, may take at most."""
SHORTEST_ATTEMPT = 1.0
"""Seconds that an attempt needs where nothing is known of how long they take; of a short deadline a tenth will do."""
LONGER = 1.25
"""By this factor an attempt may take longer than others did."""
THROTTLES_PER_ATTEMPT = 10
"""A 429 is no fault of the row: it may be told to wait this many times for each attempt it has."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often one row is sent, and for how long after its first send (gate time apart)."""

    max_attempts: int
    deadline_seconds: float

    def is_enough(self, left: float, taken: float) -> bool:
        """Whether an attempt can come to its end in the `left` seconds, where others took `taken` seconds.

        One that is cut off is booked at its worst case, for nothing.
        """
        return left >= max(min(SHORTEST_ATTEMPT, self.deadline_seconds / 10), LONGER * taken)


async def again(
    attempt: Callable[[], Awaitable[T]],
    last: T,
    *,
    wants: Callable[[T], bool],
    may: Callable[[], bool],
    rest: Callable[[T], float | None],
    sleep: Callable[[float], Awaitable[None]],
    rng: random.Random,
) -> T:
    """Repeat `attempt` while its result `wants` it and the row `may`; return the last result.

    Whether the row `may` is asked before each wait, and after it: a wait may take what time the
    row had. `last` is what the first attempt gave. `rest` says of a result how many seconds the row
    waits where the endpoint asked for it, or 0 where the gate itself decides when it lets the row
    through. None, for others: a wait of this module's own.
    """
    import tenacity  # noqa: PLC0415 - a run starts, and most often ends, without it

    tries = 0

    def pause() -> float:
        nonlocal tries
        if (asked := rest(last)) is not None:
            return asked
        longest = min(LONGEST_WAIT, FIRST_WAIT * 2**tries)
        tries += 1
        return rng.uniform(0, longest)

    async def next_attempt() -> T:
        nonlocal last
        if may():
            last = await attempt()
        return last

    if not (wants(last) and may()):
        return last
    await sleep(pause())
    retrying = tenacity.AsyncRetrying(
        sleep=sleep,
        wait=lambda _: pause(),
        stop=lambda _: not may(),
        retry=tenacity.retry_if_result(wants),
        retry_error_callback=lambda _: last,
    )
    return await retrying(next_attempt)
