"""Tells refusals that mean a limit from random ones, which do not depend on our load.

A pool shared with strangers refuses now and then; taking each refusal for a limit makes the run
very slow. Three rules:

- Unexplained refusals are suspects first. Up to a tolerated share of requests nothing follows;
  three in quick succession are always more than that.
- A limit refuses less when less is sent, and several in a row. If lone refusals are as frequent
  at half the load (or less), they have nothing to do with us: the cuts are taken back, and for
  half an hour twice their share is tolerated. A short Retry-After then holds back the row that
  was refused, and not all others.
- Cuts may come so fast that a high load is never seen for long. A limit, cut below, is silent;
  if lone refusals go on at a share of 2 %, the cuts are taken back for a minute: either that
  shows them to be as frequent at a high load, or a limit stops it again. Each time twice as many
  are wanted.
"""

from __future__ import annotations

import math

TOLERATED = 0.004
MOST_TOLERATED = 0.2
ENOUGH = 2.5
ENOUGH_NOISY = 8.0
"""Suspects, less what is tolerated, that make it a limit: more where they are known to be common."""
LONE = 10
"""Requests sent since the last refusal that make one a lone refusal."""
FEWEST_LONE = 4
FEWEST_SENT = 30
ALIKE = 2.5
"""Two shares of lone refusals differ by less than this factor: they are much the same."""
APART = 3
"""Half octaves of load between what is compared: at least twice the load."""
MEMORY = 300.0
NOISY_FOR = 1800.0
FEWEST_STUBBORN = 3
STUBBORN = 0.02
"""Share of lone refusals that no limit has that was cut below: searches meet theirs in under 1 %."""
TRIED_FOR = 60.0


class RandomRefusals:
    """Suspects, and lone refusals by load."""

    __slots__ = ("_by_load", "_faded_at", "_last", "_lone", "_noisy_until", "_suspicion", "_tolerated", "_wanted")

    def __init__(self) -> None:
        self._suspicion = 0.0
        self._last = 0
        self._lone = 0
        self._tolerated = TOLERATED
        self._noisy_until = -math.inf
        self._by_load: dict[int, tuple[float, float]] = {}
        self._faded_at = 0.0
        self._wanted = FEWEST_STUBBORN

    def noisy(self, now: float) -> bool:
        """Whether refusals without a word of explanation are known to be unrelated to us."""
        return now < self._noisy_until

    def exceeds(self, now: float, sent: int) -> bool:
        """Count a suspect after `sent` requests in all; say whether there are more than tolerated."""
        noisy = self.noisy(now)
        since, self._last = sent - self._last, sent
        self._lone += since >= LONE
        tolerated = self._tolerated if noisy else TOLERATED
        self._suspicion = max(0.0, self._suspicion - since * tolerated) + 1.0
        if self._suspicion <= (ENOUGH_NOISY if noisy else ENOUGH):
            return False
        self._suspicion = 0.0
        return True

    def stretch(self, now: float, seconds: float, sent: int) -> bool:
        """Count a time without pauses; say whether its refusals turn out to be unrelated to the load."""
        lone, self._lone = self._lone, 0
        if seconds <= 0 or sent <= 0:
            return False
        if now - self._faded_at > MEMORY:
            self._faded_at = now
            self._by_load = {load: (n / 2, r / 2) for load, (n, r) in self._by_load.items() if n > 1}
        load = math.floor(2 * math.log2(sent / seconds))
        before = self._by_load.get(load, (0.0, 0.0))
        self._by_load[load] = (before[0] + sent, before[1] + lone)
        share, seconds_noisy = self._unrelated_share(), NOISY_FOR
        if share is not None:
            self._by_load.clear()
        elif not self.noisy(now):
            share, seconds_noisy = self._stubborn_share(load), TRIED_FOR
        if share is None:
            return False
        # Of refusals at random some follow another closely and are not counted as lone ones.
        self._tolerated = min(MOST_TOLERATED, 2 * share / (1 - share) ** LONE)
        self._noisy_until = now + seconds_noisy
        return True

    def _stubborn_share(self, load: int) -> float | None:
        """Return the share of lone refusals at this load and below, if it is more than a limit's."""
        share = self._share([cell for at, cell in self._by_load.items() if at < load + APART], self._wanted)
        if share is None or share <= STUBBORN:
            return None
        self._wanted *= 2
        return share

    def _unrelated_share(self) -> float | None:
        """Return the share of lone refusals if a low and a high load have much the same."""
        for top in sorted(self._by_load):
            low = self._share([cell for load, cell in self._by_load.items() if load <= top])
            high = self._share([cell for load, cell in self._by_load.items() if load >= top + APART])
            if low and high and high / ALIKE <= low <= high * ALIKE:
                return max(low, high)
        return None

    @staticmethod
    def _share(cells: list[tuple[float, float]], fewest: int = FEWEST_LONE) -> float | None:
        sent, lone = sum(n for n, _ in cells), sum(r for _, r in cells)
        return lone / sent if sent >= FEWEST_SENT and lone >= fewest else None
