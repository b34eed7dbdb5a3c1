"""Everything that one emulator remembers while it runs, shared by its routes."""

from __future__ import annotations

import base64
import os
from collections import Counter, OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from parquill.clock import Clock
from parquill.emulator.account import Account
from parquill.emulator.billing import BillLog, LogEntry, iter_log
from parquill.emulator.limits import RateLimits
from parquill.emulator.misbehaviour import Fates
from parquill.emulator.settings import EmulatorSettings

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


class Generation(NamedTuple):
    """A completion as `GET /generation` will tell of it; `born` in monotonic seconds."""

    born: float
    entry: LogEntry
    finish_reason: str
    streamed: bool


class ServerState:
    """The state behind the routes; `settings` may be replaced while it runs."""

    def __init__(self, settings: EmulatorSettings, clock: Clock) -> None:
        self.settings = settings
        self.clock = clock
        self.account = Account(lambda: self.settings, clock)
        self.limits = RateLimits(settings, clock)
        self.fates = Fates(settings.seed)
        self.log = BillLog(None)
        self.origins: tuple[str, ...] = ()
        self.running = 0
        self.generations: OrderedDict[str, Generation] = OrderedDict()
        self._peak = 0
        self._prompt_tokens = 0
        self._completion_tokens = 0
        self._statuses: Counter[int] = Counter()
        self._kinds: Counter[str] = Counter()
        self._tag = base64.b32encode(os.urandom(10)).decode()[:12]
        self._serial = 0

    def open_log(self) -> None:
        """Write to `settings.log_path` from now on; raises OSError where that is impossible.

        Tries that stand there already count, so that a later run does not meet the same
        misfortunes again.
        """
        path = self.settings.log_path
        if path is not None and path.exists() and self.settings.misbehaviour:
            for entry in iter_log(path):
                if entry.status == 200 or entry.kind is not None:
                    self.fates.recall(entry.body)
        self.log = BillLog(path)

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
        self.generations[entry.generation_id] = Generation(self.clock.monotonic(), entry, finish_reason, streamed)
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
