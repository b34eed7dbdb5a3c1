"""Everything that one emulator remembers while it runs, shared by its routes."""

from __future__ import annotations

import base64
import datetime as dt
import os
from collections import Counter, OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from parquill.chat import PICO
from parquill.clock import Clock
from parquill.emulator.account import Account
from parquill.emulator.billing import BillLog, LogEntry
from parquill.emulator.limits import RateLimits
from parquill.emulator.misbehaviour import Fates
from parquill.emulator.settings import EmulatorSettings
from parquill.emulator.wire import PROVIDER

GENERATIONS_KEPT = 4_096
"""How many generations `GET /generation` still knows: memory does not grow with a run."""


@dataclass(frozen=True, slots=True)
class EmulatorStats:
    """What an emulator has done so far; `answered` counts 200s, `rate_limited` 429s."""

    requests: int
    answered: int
    rate_limited: int
    running: int
    peak_concurrent: int
    billed_pico: int
    prompt_tokens: int
    completion_tokens: int
    by_status: Mapping[int, int]
    by_kind: Mapping[str, int]


class World:
    """The state behind the routes; `settings` may be replaced while it runs."""

    def __init__(self, settings: EmulatorSettings, clock: Clock) -> None:
        self.settings = settings
        self.clock = clock
        self.account = Account(lambda: self.settings, clock)
        self.limits = RateLimits(settings, clock)
        self.fates = Fates(settings.seed)
        self.log = BillLog(settings.log_path)
        self.origins: tuple[str, ...] = ()
        self.running = 0
        self.generations: OrderedDict[str, tuple[float, dict[str, Any]]] = OrderedDict()
        self._peak = 0
        self._prompt_tokens = 0
        self._completion_tokens = 0
        self._statuses: Counter[int] = Counter()
        self._kinds: Counter[str] = Counter()
        self._tag = base64.b32encode(os.urandom(10)).decode()[:12]
        self._serial = 0

    def new_id(self) -> str:
        """Return `gen-<unix seconds>-<20 characters>`, different each time and in each process."""
        self._serial += 1
        return f"gen-{int(self.clock.wall())}-{self._tag}{self._serial:08x}"

    def enter(self) -> None:
        """Count one more request that is being worked on."""
        self.running += 1
        self._peak = max(self._peak, self.running)

    def leave(self) -> None:
        """Count one request less."""
        self.running -= 1

    def book(self, entry: LogEntry) -> None:
        """Write the bill's line, then charge the account."""
        self.log.write(entry)
        self.account.used_pico += entry.cost_pico
        self._prompt_tokens += entry.prompt_tokens
        self._completion_tokens += entry.completion_tokens
        self._statuses[entry.status] += 1
        if entry.kind is not None:
            self._kinds[entry.kind] += 1

    def remember(self, entry: LogEntry, finish_reason: str, *, streamed: bool) -> None:
        """Keep a generation for `GET /generation`."""
        cost = entry.cost_pico / PICO
        created = dt.datetime.fromtimestamp(entry.time, dt.UTC).isoformat().replace("+00:00", "Z")
        self.generations[entry.generation_id] = (
            self.clock.monotonic(),
            {
                "id": entry.generation_id,
                "upstream_id": None,
                "model": entry.model,
                "provider_name": PROVIDER,
                "created_at": created,
                "streamed": streamed,
                "cancelled": False,
                "finish_reason": finish_reason,
                "native_finish_reason": finish_reason,
                "total_cost": cost,
                "usage": cost,
                "upstream_inference_cost": 0,
                "cache_discount": None,
                "is_byok": False,
                "tokens_prompt": entry.prompt_tokens,
                "tokens_completion": entry.completion_tokens,
                "native_tokens_prompt": entry.prompt_tokens,
                "native_tokens_completion": entry.completion_tokens,
                "native_tokens_reasoning": 0,
                "native_tokens_cached": 0,
            },
        )
        if len(self.generations) > GENERATIONS_KEPT:
            self.generations.popitem(last=False)

    def stats(self) -> EmulatorStats:
        """Return what was done so far."""
        return EmulatorStats(
            requests=self._statuses.total(),
            answered=self._statuses[200],
            rate_limited=self._statuses[429],
            running=self.running,
            peak_concurrent=self._peak,
            billed_pico=self.account.used_pico,
            prompt_tokens=self._prompt_tokens,
            completion_tokens=self._completion_tokens,
            by_status=dict(self._statuses),
            by_kind=dict(self._kinds),
        )
