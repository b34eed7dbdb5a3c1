"""What the search for unnamed limits gains over plain AIMD, in simulated time.

    python -m benchmarks.limits_aimd [seeds, default 6]

Additive increase, multiplicative decrease (AIMD, as in TCP and in most adaptive concurrency limiters): one
slot more for each turnover that was answered, a share fewer at a refusal, and nothing else. The pause after a refusal
(Retry-After, then one request, then a ramp) is the gate's own in both, since without it AIMD would
be compared at its worst. Printed for each kind of server, over minutes 12 to 60 and the seeds: the share of the
limit that was used, and the share of requests that were refused.
"""

from __future__ import annotations

import math
import statistics
import sys
from collections.abc import Callable

from parquill.limits.concurrency_search import ConcurrencySearch
from parquill.limits.rate_search import RateSearch
from parquill.limits.throttle import Episode, Throttle
from tests.simulation.scenes import KINDS, Scene, unknown

SINCE, UNTIL = 12, 60


class AimdSlots(ConcurrencySearch):
    """Requests in flight: one more for each turnover, a share fewer at a refusal."""

    def __init__(self, start: int, ceiling: int, now: float, keep: float) -> None:
        super().__init__(start, ceiling, now)
        self._exact = float(start)
        self._keep_share = keep

    def answered(self, now: float, sent_at: float, *, waiting: bool) -> None:
        """Grow by one slot a turnover while rows wait."""
        if waiting:
            self._exact = min(self.ceiling, self._exact + 1 / self._exact)
            self.value = int(self._exact)

    def refused(self, now: float, level: int, accepted: int) -> None:
        """Shrink."""
        self.refusals += 1
        self._exact = max(1.0, self._exact * self._keep_share)
        self.value = int(self._exact)


class AimdThrottle(Throttle):
    """The gate's throttle with its judgement of refusals taken out: each episode is one cut of the slots."""

    def _suspect(self, now: float, in_flight: int, *, told: bool) -> Episode:
        self._episode = Episode(began=now, full=in_flight, attempted=0.0, counted=0.0, certain=True)
        self.pauses += 1
        self.pause.shut(now)
        return self._episode

    def _is_rate(self, episode: Episode) -> bool:
        return False


def aimd(keep: float) -> Callable[[Scene], None]:
    """Return what puts AIMD into a scene; `keep` is the share of the slots that a refusal leaves."""

    def put(scene: Scene) -> None:
        state = scene.world.state
        old = state.throttle
        slots = AimdSlots(old.slots.value, old.slots.ceiling, 0.0, keep)
        state.throttle = AimdThrottle(state.requests, RateSearch(math.inf, 0.0), slots, 0.0)

    return put


def figures(kind: str, seeds: int, put: Callable[[Scene], None] | None) -> tuple[float, float]:
    """Return the share of the limit that was used and the share refused, as means over the seeds."""
    used, refused = [], []
    for seed in range(1, seeds + 1):
        scene = unknown(kind, seed)
        if put is not None:
            put(scene)
        log = scene.world.run(UNTIL * 60)
        used.append(scene.fill(SINCE, UNTIL))
        refused.append(log.refusals(SINCE, UNTIL))
    return statistics.mean(used), statistics.mean(refused)


def main(seeds: int = 6) -> None:
    """Print the table."""
    policies = {"search": None, "AIMD, keeps 0.9": aimd(0.9), "AIMD, keeps 0.5": aimd(0.5)}
    print(f"{'limit that is not named':<26}" + "".join(f"{name:>24}" for name in policies))
    for kind in KINDS:
        cells = [figures(kind, seeds, put) for put in policies.values()]
        told = (f"{used:.1%} used, {share:.2%} 429" for used, share in cells)
        print(f"{kind:<26}" + "".join(f"{cell:>24}" for cell in told), flush=True)


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:2]))
