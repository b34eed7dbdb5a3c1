"""The gate's whole state, and its days."""

from __future__ import annotations

import datetime as dt
import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from parquill.budget import Budget
from parquill.days import Day, DaySums, day_at
from parquill.errors import Stop
from parquill.job import LimitSettings
from parquill.limits.breaker import Breaker, RetryAllowance
from parquill.limits.concurrency_search import ConcurrencySearch
from parquill.limits.rate_limit_headers import Belief, Told
from parquill.limits.rate_search import RateSearch
from parquill.limits.silence import Silence
from parquill.limits.throttle import Throttle
from parquill.limits.tickets import Binding, Ticket
from parquill.limits.unanswered import Unanswered
from parquill.limits.window import EstimateMeter, Meter

FIRST_SLOTS = 8
MOST_SLOTS = 1024
"""In flight with `max_in_flight: auto`: at the start, and at most. Until the first answers nothing is known,
and all that leave at once may be too many: gateways derive single figures from a limit of tokens."""
PACED_SLOTS = 512
"""In flight at the start where a rate is told: its pace fills no more of them than it needs."""
LOOK_AGAIN = 60.0
"""Longest sleep: a suspended machine's monotonic clock may stand still while days pass."""


class Line:
    """Attempts that wait, retries first; those that gave up are skipped when their turn comes."""

    __slots__ = ("count", "new", "retries")

    def __init__(self) -> None:
        self.new: deque[Ticket] = deque()
        self.retries: deque[Ticket] = deque()
        self.count = 0

    def append(self, ticket: Ticket) -> None:
        """Add an attempt at the end: of the retries, or of the new ones."""
        ticket.waiting = True
        self.count += 1
        (self.retries if ticket.retry else self.new).append(ticket)

    def leave(self, ticket: Ticket) -> None:
        """Take an attempt out."""
        ticket.waiting = False
        self.count -= 1

    def drain(self) -> list[Ticket]:
        """Take all attempts out, and return them in order."""
        waiting = [ticket for line in (self.retries, self.new) for ticket in line if ticket.waiting]
        for ticket in waiting:
            self.leave(ticket)
        self.retries.clear()
        self.new.clear()
        return waiting

    @staticmethod
    def first(line: deque[Ticket]) -> Ticket | None:
        """Return the first attempt that still waits; drops those that left."""
        while line and not line[0].waiting:
            line.popleft()
        return line[0] if line else None


@dataclass(frozen=True, slots=True)
class DayShut:
    """The endpoint's own daily limit is used up until `wall` (unix seconds), or for so long that it is `now`.

    Whichever comes first: a machine that sleeps stops the one, a clock that is set back the other.
    """

    wall: float
    now: float


class Common:
    """What the endpoints of one run have in common: its budget, and the lines that its attempts wait in.

    An attempt in the second line belongs to no endpoint: the first one that can take it does.
    """

    __slots__ = ("allowance", "budget", "closed", "line", "money", "states", "unanswered")

    def __init__(self, budget: Budget, give_up: float | None) -> None:
        self.budget = budget
        self.money = Line()
        self.line = Line()
        self.allowance = RetryAllowance()
        self.unanswered = Unanswered(give_up)
        self.states: list[State] = []
        self.closed: tuple[Stop, str] | None = None
        """Why the run takes no more requests at all."""

    @property
    def open_states(self) -> list[State]:
        """The endpoints that take requests of this run."""
        return [state for state in self.states if state.closed is None]


@dataclass(slots=True)
class State:
    """All the gate knows of one endpoint. Made by `new_state`, changed by `step` only."""

    common: Common
    at: int
    """Which endpoint of the run it is."""
    name: str
    """The endpoint, as it stands in messages; empty where the run has only one."""
    budget: Budget
    money: Line
    line: Line
    allowance: RetryAllowance
    unanswered: Unanswered
    """The last five are the run's own (`common`)."""
    requests: Meter
    tokens: EstimateMeter | None
    throttle: Throttle
    breaker: Breaker
    day_limit: int | None
    day_used: int
    """Requests that count on the present UTC day."""
    requests_by_day: DaySums
    utc: Day
    days_begin: float
    next_midnight: float
    """Between these two (unix seconds) neither the UTC day of requests nor the budget's day turns."""
    waits: bool
    wall_offset: float
    told_requests: Belief | None
    told_tokens: Belief | None
    sharers: int
    silence: Silence = field(default_factory=Silence)
    in_flight: int = 0
    lost: int = 0
    """Of those in flight, the ones that a silent endpoint has lost: they take no slot until they end."""
    lost_before: float = 0.0
    """They were sent before this."""
    sent: int = 0
    day_shut: DayShut | None = None
    closed: tuple[Stop, str] | None = None
    """Why this endpoint takes no more requests; where it is the only one, why the run does not."""
    held: bool = False
    """Whether nothing is sent to it for now, as the caller wants it."""
    left: bool = False
    """Whether it was closed for reasons of its own, before the run."""
    binding: Binding | None = None
    binding_since: float = 0.0


def new_state(
    limits: LimitSettings,
    budget: Budget,
    now: float,
    wall: float,
    *,
    day_used: int = 0,
    earlier: Iterable[tuple[float, int]] = (),
    sharers: int = 1,
    most_slots: int | None = None,
    give_up: float | None = None,
    looks: bool = False,
    beside: State | None = None,
    name: str = "",
) -> State:
    """Make the state of a gate that opens at `now` (monotonic) and `wall` (unix) seconds.

    `beside` is that of another endpoint of the same run, with which it then shares `budget`, lines and give-up time.
    """
    common = Common(budget, give_up) if beside is None else beside.common
    rate = float(limits.requests_per_minute or math.inf)
    start = ceiling = limits.max_in_flight if isinstance(limits.max_in_flight, int) else MOST_SLOTS
    if limits.max_in_flight == "auto":
        paced = limits.requests_per_minute is not None or limits.tokens_per_minute is not None
        start = PACED_SLOTS if paced else FIRST_SLOTS
    if most_slots is not None:
        start, ceiling = min(start, most_slots), min(ceiling, most_slots)
    requests = Meter(rate, now)
    state = State(
        common=common,
        at=len(common.states),
        name=name,
        budget=common.budget,
        money=common.money,
        line=common.line,
        allowance=common.allowance,
        unanswered=common.unanswered,
        requests=requests,
        tokens=None if limits.tokens_per_minute is None else EstimateMeter(float(limits.tokens_per_minute), now),
        throttle=Throttle(requests, RateSearch(rate, now), ConcurrencySearch(start, ceiling, now), now),
        breaker=Breaker(looks=looks),
        day_limit=limits.requests_per_day,
        day_used=0,
        requests_by_day=DaySums(dt.UTC, 1, ((at, (count,)) for at, count in earlier)),
        utc=day_at(wall, dt.UTC),
        days_begin=0.0,
        next_midnight=0.0,
        waits=limits.wait,
        wall_offset=wall - now,
        told_requests=Belief() if limits.requests_per_minute is None else None,
        told_tokens=Belief() if limits.tokens_per_minute is None else None,
        sharers=sharers,
    )
    common.states.append(state)
    turn_days(state, wall)
    count_on_day(state, state.utc.start, day_used)
    return state


def crowd(state: State, now: float) -> None:
    """Count both rates as used up at `now`: other processes may have used them."""
    for meter in (state.requests, state.tokens):
        if meter is not None and meter.limit != math.inf:
            meter.book(now, meter.limit)


def hear(state: State, now: float, told: Told, tokens: int, *, answered: bool = True) -> None:
    """Take in what the reply to a request of `tokens` says of limits that the job does not name.

    A refusal (not `answered`) tells them as well, and weighs nothing against them.
    """
    told = told.shared_by(state.sharers)
    quota, belief = told.requests, state.told_requests
    if quota is not None and belief is not None and belief.hear(now, quota.limit, 1 if answered else 0):
        state.throttle.tell(now, belief.limit, quota.used or 0)
    quota, belief = told.tokens, state.told_tokens
    if quota is not None and belief is not None and belief.hear(now, quota.limit, tokens if answered else 0):
        if state.tokens is None:
            state.tokens = EstimateMeter(belief.limit, now)
            state.tokens.book(now, max(quota.used or 0, tokens * state.requests.used(now)))
        state.tokens.limit = belief.limit


def turn_days(state: State, wall: float) -> None:
    """Make the UTC day of requests and the budget's day those of `wall`, whichever way the clock went."""
    days = state.requests_by_day
    (state.day_used,) = days.turn(wall)
    assert days.day is not None
    state.utc = days.day
    ends = state.budget.turn_day(wall)
    begins = state.budget.day
    state.next_midnight = state.utc.end if ends is None else min(state.utc.end, ends)
    state.days_begin = state.utc.start if begins is None else max(state.utc.start, begins)


def count_on_day(state: State, start: float, requests: int) -> None:
    """Count requests on the UTC day that begins at `start`, and on the present one if that is earlier."""
    state.requests_by_day.add(start, requests)
    if start >= state.utc.start:
        state.day_used += requests


def shut_day(state: State, until: float) -> None:
    """Send nothing before `until` (unix seconds)."""
    known = state.day_shut
    if known is None or until > known.wall:
        state.day_shut = DayShut(until, until - state.wall_offset)


def day_opens_at(state: State, now: float) -> float:
    """Return when a request of the next day may leave, in monotonic seconds."""
    if state.day_shut is not None:
        opens = min(state.day_shut.now, state.day_shut.wall - state.wall_offset)
        if now < opens:
            return opens
        state.day_shut = None
    if state.day_limit is not None and state.day_used >= state.day_limit:
        return state.utc.end - state.wall_offset
    return now


def day_used_up(state: State) -> str:
    """Say which daily limit is used up, and when it is free again."""
    if state.day_shut is not None:
        return f"the endpoint's daily limit is used up; {comes_back(state.day_shut.wall)}"
    used_up = f"limits.requests_per_day: all {state.day_limit} requests of the UTC day are sent"
    return f"{used_up}; {comes_back(state.utc.end)}"


def comes_back(wall: float) -> str:
    """Say when a limit is free again; `wall` in unix seconds."""
    when = dt.datetime.fromtimestamp(wall, dt.UTC)
    return f"it resets at {when:%Y-%m-%d %H:%M} UTC. The same command goes on then; limits.wait: true waits for it"
