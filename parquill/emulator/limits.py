"""The emulator's rate limits: fixed and sliding minutes, free models' days, concurrency.

A request that was admitted counts in its windows whatever becomes of it later: failed
attempts use up a limit as good ones do. A day's limit counts refused ones too.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from typing import Protocol

from parquill.clock import Clock
from parquill.emulator.error_replies import ErrorReply, gateway_limit, gateway_slots, own_limit, upstream_limit
from parquill.emulator.settings import EmulatorSettings

MINUTE = 60.0
DAY = 86_400.0


class Window(Protocol):
    """What was used of a limit that holds over a minute; `now` in monotonic seconds."""

    def used(self, now: float) -> int:
        """Return the weight inside the window that ends now."""

    def add(self, now: float, weight: int) -> None:
        """Count a weight that passes now."""

    def free_at_least(self, now: float, excess: int) -> float:
        """Return when `excess` of what is used now will have left the window."""


class FixedWindow:
    """A counter that falls to zero at each full minute after `origin`."""

    def __init__(self, origin: float) -> None:
        self._origin = origin
        self._index = -1
        self._count = 0

    def used(self, now: float) -> int:
        """Return the weight that counts at `now` (monotonic seconds)."""
        index = math.floor((now - self._origin) / MINUTE)
        if index != self._index:
            self._index, self._count = index, 0
        return self._count

    def add(self, now: float, weight: int) -> None:
        """Count a weight that passes at `now` (monotonic seconds)."""
        self._count = self.used(now) + weight

    def free_at_least(self, now: float, excess: int) -> float:
        """Return when `excess` of the weight will have left, in monotonic seconds."""
        del excess
        return self._origin + (math.floor((now - self._origin) / MINUTE) + 1) * MINUTE


class SlidingWindow:
    """Exact: every weight leaves 60 seconds after it came."""

    def __init__(self) -> None:
        self._entries: deque[tuple[float, int]] = deque()
        self._sum = 0

    def used(self, now: float) -> int:
        """Return the weight that counts at `now` (monotonic seconds)."""
        while self._entries and self._entries[0][0] <= now - MINUTE:
            self._sum -= self._entries.popleft()[1]
        return self._sum

    def add(self, now: float, weight: int) -> None:
        """Count a weight that passes at `now` (monotonic seconds)."""
        self._entries.append((now, weight))
        self._sum += weight

    def free_at_least(self, now: float, excess: int) -> float:
        """Return when `excess` of the weight will have left, in monotonic seconds."""
        for came, weight in self._entries:
            excess -= weight
            if excess <= 0:
                return came + MINUTE
        return now + MINUTE


class RateLimits:
    """All rate limits of one emulator."""

    def __init__(self, settings: EmulatorSettings, clock: Clock) -> None:
        origin = clock.monotonic() - settings.window_phase

        def window() -> Window:
            return FixedWindow(origin) if settings.window == "fixed" else SlidingWindow()

        self._clock = clock
        self._requests = window()
        self._tokens = window()
        self._free_minute = FixedWindow(origin)
        self._free_day = (-1, 0)

    def check(self, settings: EmulatorSettings, model: str, tokens: int) -> None:
        """Raise the `ErrorReply` (429) of the first limit that does not allow this request."""
        if model.endswith(":free"):
            self._check_free(settings)
        now = self._clock.monotonic()
        for name, limit, window, weight in (
            ("requests-per-minute", settings.requests_per_minute, self._requests, 1),
            ("tokens-per-minute", settings.tokens_per_minute, self._tokens, tokens),
        ):
            if limit is not None and (excess := window.used(now) + weight - limit) > 0:
                if settings.count_rejected:
                    self.count(settings, model, tokens)
                raise self._refusal(settings, model, name, limit, window.free_at_least(now, excess))

    def count(self, settings: EmulatorSettings, model: str, tokens: int) -> None:
        """Count an admitted request."""
        now = self._clock.monotonic()
        if settings.requests_per_minute is not None:
            self._requests.add(now, 1)
        if settings.tokens_per_minute is not None:
            self._tokens.add(now, tokens)
        if model.endswith(":free"):
            self._free_minute.add(now, 1)

    def count_answer(self, settings: EmulatorSettings, tokens: int) -> None:
        """Count the tokens of an answer, where they count only then."""
        if settings.tokens_per_minute is not None and settings.tokens_counted == "answered":
            self._tokens.add(self._clock.monotonic(), tokens)

    def check_running(self, settings: EmulatorSettings, model: str, running: int) -> None:
        """Raise the `ErrorReply` (429) of more requests at once than there are slots."""
        slots = settings.max_concurrent
        if slots is not None and running > slots:
            raise gateway_slots(model, slots) if settings.limit_form == "litellm" else upstream_limit(model, None)

    def headers(self, settings: EmulatorSettings) -> Mapping[str, str]:
        """Return what a good reply says of the minute's limits, if it says anything."""
        if settings.limit_headers == "none":
            return {}
        now, said = self._clock.monotonic(), {}
        for name, limit, window in (
            ("requests", settings.requests_per_minute, self._requests),
            ("tokens", settings.tokens_per_minute, self._tokens),
        ):
            if limit is None:
                continue
            used = window.used(now)
            said[f"x-ratelimit-limit-{name}"] = str(limit)
            said[f"x-ratelimit-remaining-{name}"] = str(max(0, limit - used))
            if settings.limit_headers == "openai":
                free_in = window.free_at_least(now, used) - now if used else 0.0
                said[f"x-ratelimit-reset-{name}"] = f"{free_in:.3f}s"
        return said

    def free_used_today(self) -> int:
        """Return how many requests to free models came on this UTC day."""
        day = math.floor(self._clock.wall() / DAY)
        return self._free_day[1] if self._free_day[0] == day else 0

    def _check_free(self, settings: EmulatorSettings) -> None:
        day, used = math.floor(self._clock.wall() / DAY), self.free_used_today()
        self._free_day = (day, used + 1)
        if settings.free_requests_per_day is not None and used >= settings.free_requests_per_day:
            raise own_limit("free-models-per-day", settings.free_requests_per_day, (day + 1) * DAY)
        now, limit = self._clock.monotonic(), settings.free_requests_per_minute
        if limit is not None and self._free_minute.used(now) >= limit:
            raise own_limit("free-models-per-min", limit, self._unix_time(self._free_minute.free_at_least(now, 1)))

    def _refusal(self, settings: EmulatorSettings, model: str, name: str, limit: int, free_at: float) -> ErrorReply:
        if settings.limit_form == "own":
            return own_limit(name, limit, self._unix_time(free_at))
        if settings.limit_form == "litellm":
            return gateway_limit(model, f"No deployments available for selected model. Passed model={model}.")
        return upstream_limit(model, free_at - self._clock.monotonic(), "rate_limited")

    def _unix_time(self, moment: float) -> float:
        return self._clock.wall() + moment - self._clock.monotonic()
