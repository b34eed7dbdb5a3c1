"""Values between the gate and its callers: needs, tickets, replies, statistics."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from enum import Enum, StrEnum

from parquill.errors import ParquillError, Stop
from parquill.limits.rate_limit_headers import Told
from parquill.limits.window import Bin


@dataclass(frozen=True, slots=True)
class Need:
    """What one request takes: `tokens` as calibrated, for the rate; the worst case for the budget."""

    tokens: int
    worst_pico: int
    worst_tokens: int
    worst_each: tuple[int, ...] = ()
    """The worst case in money at each endpoint, where the run has several; `worst_pico` is the highest."""

    def worst_at(self, endpoint: int) -> int:
        """Return the worst case in money at one of the run's endpoints."""
        return self.worst_each[endpoint] if self.worst_each else self.worst_pico


class Outcome(Enum):
    """What came back for a request, as far as limits are concerned."""

    OK = "ok"
    THROTTLED = "throttled"  # 429, or the 402 that says "too much in flight"
    SERVER_FAULT = "server_fault"  # 5xx
    TIMEOUT = "timeout"
    CONNECTION = "connection"
    OTHER = "other"  # a refusal of this one request: the endpoint itself is well


class Scope(StrEnum):
    """Which limit a throttled reply speaks of, when it says so."""

    UNCLEAR = "unclear"
    RATE = "rate"
    CONCURRENCY = "concurrency"
    IN_FLIGHT_MONEY = "in_flight_money"
    DAILY = "daily"


@dataclass(frozen=True, slots=True)
class Reply:
    """What a settled request tells the gate.

    `wait` in seconds, as the server asked for it; `told`, what it said of limits; `words`, the fault's own.
    """

    outcome: Outcome
    wait: float | None = None
    scope: Scope = Scope.UNCLEAR
    told: Told | None = None
    words: str = ""


class Binding(StrEnum):
    """The limit that keeps the first waiting request waiting."""

    BUDGET = "budget"
    IN_FLIGHT = "max_in_flight"
    REQUESTS = "requests_per_minute"
    TOKENS = "tokens_per_minute"
    DAY = "requests_per_day"
    PAUSE = "pause"
    BREAKER = "breaker"


class GateClosed(ParquillError):  # noqa: N818 - it tells a worker to go home, not of a fault
    """The run is stopping: nothing more is admitted."""

    def __init__(self, stop: Stop, message: str) -> None:
        super().__init__(message)
        self.stop = stop
        self.message = message


class Phase(Enum):
    """Where a ticket is; it moves down this list, and may leave it for GONE at any point."""

    NEW = 0
    RESERVED = 1
    ADMITTED = 2
    SETTLED = 3
    GONE = 4


NO_ENDPOINT: frozenset[int] = frozenset()

NEW, RESERVED, ADMITTED, SETTLED, GONE = Phase
"""By their own names: for Python 3.11 a member of an enum is slow to find, and the gate asks ten times a request."""


class Ticket:
    """One attempt's way through the gate. Opaque to callers but for `need`, the three flags, and `at`.

    `at`: which of the run's endpoints it was sent to, once it is admitted.
    """

    __slots__ = (
        "at",
        "avoid",
        "blocked_since",
        "budget_day",
        "day",
        "failed_after",
        "level",
        "need",
        "phase",
        "probe",
        "refused",
        "request_bin",
        "retry",
        "sent_at",
        "token_bin",
        "waiter",
        "waiting",
    )

    def __init__(
        self, need: Need, *, retry: bool, avoid: int | None = None, refused: frozenset[int] = NO_ENDPOINT
    ) -> None:
        """Ask for an attempt.

        Args:
            need: what it takes.
            retry: whether its row was sent before.
            avoid: the endpoint that failed it last: it goes to another one that takes it as soon.
            refused: the endpoints that refused it: it goes to them only where no other one is left.
        """
        self.at = 0
        self.avoid = avoid
        self.refused = refused
        self.need = need
        self.retry = retry
        self.phase = NEW
        self.waiting = False
        self.sent_at = 0.0
        self.day = 0.0
        self.budget_day: float | None = None
        self.probe = 0
        self.failed_after = math.nan
        self.level = 0
        self.blocked_since: float | None = None
        self.request_bin: Bin | None = None
        self.token_bin: Bin | None = None
        self.waiter: asyncio.Future[None] | None = None

    @property
    def reserved(self) -> bool:
        """Whether the budget holds this ticket's worst case now."""
        return self.phase is RESERVED or self.phase is ADMITTED

    @property
    def admitted(self) -> bool:
        """Whether this ticket has a slot in flight now."""
        return self.phase is ADMITTED

    @property
    def settled(self) -> bool:
        """Whether its request was sent and booked."""
        return self.phase is SETTLED


@dataclass(frozen=True, slots=True)
class GateStatistics:
    """The gate at one moment. Times are monotonic seconds, rates per minute, money pico-USD."""

    waiting_for_budget: int
    waiting: int
    waiting_retries: int
    in_flight: int
    in_flight_limit: int
    requests_last_minute: int
    requests_per_minute: float | None
    tokens_last_minute: int
    tokens_per_minute: float | None
    day_used: int
    day_limit: int | None
    binding: Binding | None
    binding_since: float | None
    sent: int
    throttled: int
    pauses: int
    paused_until: float | None
    breaker_open: bool
    breaker_trips: int
    unanswered_since: float | None
    last_fault: str
    asked_to_wait: bool
    spent_pico: int
    reserved_pico: int
    free_pico: int | None
    spent_tokens: int
    reserved_tokens: int
    free_tokens: int | None
    stop: Stop | None
    resting: tuple[str, ...] = ()
    """Of several endpoints, those that take nothing now, and why."""
    left_out: tuple[str, ...] = ()
    """Of several endpoints, those that take nothing more in this run, and why."""
