"""Rate limits as servers keep them. Each says of an arriving request whether it takes it.

`limit` is per minute (for `Slots`: at once) and may be changed while the simulation runs.
`hint` is what a refusal says about waiting: nothing, or the seconds until the limit frees.
`tells`: its answers say in headers what the limit is and what is used of it.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import deque

from parquill.limits import HeaderLimit, Told


class RefusedError(Exception):
    """A 429, with the seconds its Retry-After asks for, if it has one."""

    def __init__(self, wait: float | None = None) -> None:
        super().__init__()
        self.wait = wait


class Server:
    """A server without limits; the others refuse in `weigh`."""

    slots = False
    tells = False
    used = 0.0

    def __init__(self, limit: float = math.inf, *, hint: bool = False) -> None:
        self.limit = limit
        self.hint = hint

    def arrive(self, now: float, weight: float) -> None:
        """Take a request; raises `RefusedError`."""

    def leave(self, now: float) -> None:
        """Learn that a request is answered."""

    def done_at(self, now: float, takes: float) -> float:
        """Return when a request taken now, which takes so long to answer, is answered."""
        return now + takes

    def told(self, *, by_tokens: bool) -> Told | None:
        """What an answer says of the limit."""
        if not self.tells:
            return None
        quota = HeaderLimit(self.limit, int(self.used))
        return Told(None, quota) if by_tokens else Told(quota, None)

    def refuse(self, wait: float) -> RefusedError:
        return RefusedError(math.ceil(wait) if self.hint else None)


class FixedWindow(Server):
    """So many in each minute of its own clock, which began at `phase`."""

    def __init__(self, limit: float, *, phase: float = 0.0, hint: bool = False, span: float = 60.0) -> None:
        super().__init__(limit, hint=hint)
        self.phase = phase
        self.span = span
        self.window = -1
        self.used = 0.0

    def arrive(self, now: float, weight: float) -> None:
        window = math.floor((now - self.phase) / self.span)
        if window != self.window:
            self.window, self.used = window, 0.0
        if self.used + weight > self.limit * self.span / 60.0:
            raise self.refuse(self.phase + (window + 1) * self.span - now)
        self.used += weight


class Quanta(FixedWindow):
    """A minute's limit enforced in each second."""

    def __init__(self, limit: float, *, phase: float = 0.0, hint: bool = False) -> None:
        super().__init__(limit, phase=phase, hint=hint, span=1.0)


class SlidingLog(Server):
    """So many in every 60 seconds, to the instant."""

    def __init__(self, limit: float, *, hint: bool = False) -> None:
        super().__init__(limit, hint=hint)
        self.log: deque[tuple[float, float]] = deque()
        self.used = 0.0

    def arrive(self, now: float, weight: float) -> None:
        while self.log and self.log[0][0] <= now - 60.0:
            self.used -= self.log.popleft()[1]
        if self.used + weight > self.limit:
            raise self.refuse(self.log[0][0] + 60.0 - now if self.log else 1.0)
        self.log.append((now, weight))
        self.used += weight


class Bucket(Server):
    """A token bucket that holds `seconds` of its rate."""

    def __init__(self, limit: float, *, seconds: float = 5.0, hint: bool = False) -> None:
        super().__init__(limit, hint=hint)
        self.seconds = seconds
        self.level = math.inf
        self.at = 0.0

    def arrive(self, now: float, weight: float) -> None:
        rate = self.limit / 60.0
        self.level = min(self.seconds * rate, self.level + (now - self.at) * rate)
        self.at = now
        if self.level < weight:
            raise self.refuse((weight - self.level) / rate)
        self.level -= weight


class Slots(Server):
    """So many at once."""

    slots = True

    def __init__(self, limit: float, *, hint: bool = False) -> None:
        super().__init__(limit, hint=hint)
        self.busy = 0

    def arrive(self, now: float, weight: float) -> None:
        if self.busy >= self.limit:
            raise self.refuse(1.0)
        self.busy += 1

    def leave(self, now: float) -> None:
        self.busy -= 1


class Queueing(Server):
    """Refuses nothing, and answers so many at once: the others wait inside."""

    def __init__(self, at_once: int) -> None:
        super().__init__()
        self.free = [0.0] * at_once

    def done_at(self, now: float, takes: float) -> float:
        done = max(now, self.free[0]) + takes
        heapq.heapreplace(self.free, done)
        return done


class Moody(Slots):
    """Refuses now and then for reasons of its own, a pool shared with strangers; `wait` is what it says then."""

    def __init__(self, share: float, seed: int, *, wait: float | None = None, limit: float = math.inf) -> None:
        super().__init__(limit)
        self.share = share
        self.wait = wait
        self.random = random.Random(seed)

    def arrive(self, now: float, weight: float) -> None:
        super().arrive(now, weight)
        if self.random.random() < self.share:
            self.busy -= 1
            raise RefusedError(self.wait)


class Gateway(Slots):
    """A gateway as LiteLLM's proxy is one: tokens count in a fixed minute once they are answered.

    It lets six requests at once through for each 1000 of them, and says the limit with its answers.
    """

    tells = True

    def __init__(self, limit: float, *, phase: float = 0.0) -> None:
        super().__init__(limit)
        self.at_once = max(1, int(limit / 1000 * 6))
        self.phase = phase
        self.used = 0.0
        self.window = -1
        self.under_way: deque[float] = deque()

    def arrive(self, now: float, weight: float) -> None:
        self._turn(now)
        if self.used + weight / 2 > self.limit:  # of a request it knows the prompt only
            raise RefusedError(60.0)
        if self.busy >= self.at_once:
            raise RefusedError(None)
        self.busy += 1
        self.under_way.append(weight)

    def leave(self, now: float) -> None:
        self._turn(now)
        self.busy -= 1
        self.used += self.under_way.popleft()

    def _turn(self, now: float) -> None:
        window = math.floor((now - self.phase) / 60.0)
        if window != self.window:
            self.window, self.used = window, 0.0
