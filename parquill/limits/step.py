"""The gate's policy: `step(state, now, event) -> (state, decisions)`.

Deterministic, without a clock, a lock or I/O. For speed the state that is handed in is changed
in place and handed back: use it linearly, never the old one again.

Two queues, each first in first out with retries before new rows. In the first, attempts wait
for money: a worst case that does not fit yet waits while something outstanding may still be
settled lower; when nothing is, the budget is used up and the gate closes. In the second they
wait for a slot in flight, the rates and the day, which are taken together or not at all, at the
instant of sending. A request too large for the tokens left may be overtaken by smaller ones for
two seconds, then it blocks.
"""

from __future__ import annotations

import datetime as dt
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from parquill.budget import Budget
from parquill.errors import Stop
from parquill.job import LimitSettings
from parquill.limits.breaker import Breaker, RetryAllowance
from parquill.limits.search import RateSearch, SlotSearch
from parquill.limits.throttle import Throttle
from parquill.limits.values import Binding, Need, Outcome, Phase, Reply, Scope, Ticket
from parquill.limits.window import EstimateMeter, Meter

FIRST_SLOTS = 32
MOST_SLOTS = 1024
"""In flight with `max_in_flight: auto`: at the start, and at most."""
PACED_SLOTS = 512
"""In flight at the start where a rate is told: its pace fills no more of them than it needs."""
OVERTAKEN_FOR = 2.0
OVERTAKEN_BY = 32
DAY = 86_400.0
LOOK_AGAIN = 60.0
"""Longest sleep: a suspended machine's monotonic clock may stand still while days pass."""
PACED = frozenset({Binding.REQUESTS, Binding.TOKENS})
FAULTS = frozenset({Outcome.SERVER_FAULT, Outcome.TIMEOUT, Outcome.CONNECTION})


@dataclass(slots=True)
class Reserve:
    """An attempt asks for money."""

    ticket: Ticket


@dataclass(slots=True)
class Admit:
    """A reserved attempt asks to be sent."""

    ticket: Ticket


@dataclass(slots=True)
class Settle:
    """A sent attempt has ended."""

    ticket: Ticket
    cost_pico: int
    tokens: int | None
    reply: Reply


@dataclass(slots=True)
class Release:
    """An attempt is given up: not sent, and not going to be."""

    ticket: Ticket


@dataclass(slots=True)
class Close:
    """The run stops."""

    stop: Stop
    message: str


@dataclass(slots=True)
class Tick:
    """Time has passed; `wall_offset` is unix time less `now`."""

    wall_offset: float


Event = Reserve | Admit | Settle | Release | Close | Tick


@dataclass(slots=True)
class Decisions:
    """What a step decided: who waited and goes on, who is refused, when to look again."""

    granted: list[Ticket] = field(default_factory=list)
    refused: list[Ticket] = field(default_factory=list)
    wake_at: float = math.inf


class Line:
    """Attempts that wait, retries first; those that gave up are skipped when their turn comes."""

    __slots__ = ("count", "new", "retries")

    def __init__(self) -> None:
        self.new: deque[Ticket] = deque()
        self.retries: deque[Ticket] = deque()
        self.count = 0

    def append(self, ticket: Ticket) -> None:
        ticket.waiting = True
        self.count += 1
        (self.retries if ticket.retry else self.new).append(ticket)

    def leave(self, ticket: Ticket) -> None:
        ticket.waiting = False
        self.count -= 1

    def drain(self) -> list[Ticket]:
        waiting = [ticket for line in (self.retries, self.new) for ticket in line if ticket.waiting]
        for ticket in waiting:
            self.leave(ticket)
        self.retries.clear()
        self.new.clear()
        return waiting

    @staticmethod
    def first(line: deque[Ticket]) -> Ticket | None:
        while line and not line[0].waiting:
            line.popleft()
        return line[0] if line else None


@dataclass(slots=True)
class State:
    """All the gate knows. Made by `new_state`, changed by `step` only."""

    budget: Budget
    requests: Meter
    tokens: EstimateMeter | None
    throttle: Throttle
    breaker: Breaker
    allowance: RetryAllowance
    day_limit: int | None
    day_used: int
    day_ends: float
    next_midnight: float
    waits: bool
    wall_offset: float
    money: Line = field(default_factory=Line)
    line: Line = field(default_factory=Line)
    in_flight: int = 0
    sent: int = 0
    day_shut_until: float | None = None
    closed: tuple[Stop, str] | None = None
    binding: Binding | None = None
    binding_since: float = 0.0


def new_state(limits: LimitSettings, budget: Budget, now: float, wall: float, *, day_used: int = 0) -> State:
    """Make the state of a gate that opens at `now` (monotonic) and `wall` (unix) seconds."""
    rate = float(limits.requests_per_minute or math.inf)
    start = ceiling = limits.max_in_flight if isinstance(limits.max_in_flight, int) else MOST_SLOTS
    if limits.max_in_flight == "auto":
        paced = limits.requests_per_minute is not None or limits.tokens_per_minute is not None
        start = PACED_SLOTS if paced else FIRST_SLOTS
    requests = Meter(rate, now)
    state = State(
        budget=budget,
        requests=requests,
        tokens=None if limits.tokens_per_minute is None else EstimateMeter(float(limits.tokens_per_minute), now),
        throttle=Throttle(requests, RateSearch(rate, now), SlotSearch(start, ceiling, now), now),
        breaker=Breaker(),
        allowance=RetryAllowance(),
        day_limit=limits.requests_per_day,
        day_used=day_used,
        day_ends=utc_midnight_after(wall),
        next_midnight=0.0,
        waits=limits.wait,
        wall_offset=wall - now,
    )
    _turn_days(state, wall)
    return state


def utc_midnight_after(wall: float) -> float:
    """Return when the UTC day of `wall` ends, in unix seconds."""
    return (wall // DAY + 1) * DAY


def _turn_days(state: State, wall: float) -> None:
    """Start the UTC day of requests and the local day of the budget anew, whichever has turned."""
    if wall >= state.day_ends:
        state.day_used = 0
        state.day_ends = utc_midnight_after(wall)
    budget_day_ends = state.budget.turn_day(wall)
    state.next_midnight = state.day_ends if budget_day_ends is None else min(state.day_ends, budget_day_ends)


def step(state: State, now: float, event: Event) -> tuple[State, Decisions]:
    """Let `event` happen at `now` (monotonic seconds, never less than before)."""
    if now + state.wall_offset >= state.next_midnight:
        _turn_days(state, now + state.wall_offset)
    decisions = Decisions()
    _TURNS[type(event)](state, now, event, decisions)
    return state, decisions


def _reserve(state: State, now: float, event: Reserve, decisions: Decisions) -> None:
    ticket = event.ticket
    if state.closed:
        ticket.phase = Phase.GONE
        decisions.refused.append(ticket)
        return
    if not state.money.count and state.budget.fits(ticket.need.worst_pico, ticket.need.worst_tokens):
        _grant_money(state, ticket, decisions)
        return
    state.money.append(ticket)
    _pump_money(state, now, decisions)


def _admit(state: State, now: float, event: Admit, decisions: Decisions) -> None:
    ticket = event.ticket
    if ticket.phase is not Phase.RESERVED or ticket.waiting:
        raise RuntimeError("only a reserved ticket is admitted, and only once")
    if state.closed:
        _give_up(state, ticket)
        decisions.refused.append(ticket)
        return
    if not state.line.count and _blocked(state, now, ticket) is None:
        _send(state, now, ticket, decisions, late=False)
        return
    state.line.append(ticket)
    _pump_line(state, now, decisions)


def _settle(state: State, now: float, event: Settle, decisions: Decisions) -> None:
    ticket, reply, outcome = event.ticket, event.reply, event.reply.outcome
    if ticket.phase is not Phase.ADMITTED:
        raise RuntimeError("a ticket is settled once, and only after it was admitted")
    need = ticket.need
    used = need.worst_tokens if event.tokens is None else event.tokens
    state.budget.settle(need.worst_pico, need.worst_tokens, cost_pico=event.cost_pico, used_tokens=used)
    ticket.phase = Phase.SETTLED
    if state.tokens is not None and ticket.token_bin is not None:
        state.tokens.settle(ticket.token_bin, need.tokens, event.tokens)
    if outcome is Outcome.THROTTLED:
        _throttled(state, now, ticket, reply, decisions)
    else:
        failed = outcome in FAULTS
        state.breaker.record(now, ticket.probe, failed=failed)
        if not failed:
            state.throttle.answered(now, ticket.sent_at, waiting=state.binding is Binding.IN_FLIGHT)
    state.in_flight -= 1
    if state.budget.alarm is not None and not state.closed:
        _close(state, Stop.COST_ALARM, state.budget.alarm, decisions)
    _pump(state, now, decisions)


def _throttled(state: State, now: float, ticket: Ticket, reply: Reply, decisions: Decisions) -> None:
    state.breaker.unsent(ticket.probe)
    state.allowance.excuse()
    if reply.scope is not Scope.DAILY:
        state.throttle.refused(now, ticket.sent_at, state.in_flight, reply.wait, reply.scope)
        return
    state.throttle.throttled += 1
    wall = now + state.wall_offset
    until = utc_midnight_after(wall) if reply.wait is None else wall + reply.wait
    state.day_shut_until = max(until, state.day_shut_until or 0.0)
    if not state.waits and not state.closed:
        _close(state, Stop.DAILY_LIMIT, f"the endpoint's daily limit is used up; {_comes_back(until)}", decisions)


def _release(state: State, now: float, event: Release, decisions: Decisions) -> None:
    _give_up(state, event.ticket)
    _pump(state, now, decisions)


def _close_event(state: State, now: float, event: Close, decisions: Decisions) -> None:
    if not state.closed:
        _close(state, event.stop, event.message, decisions)


def _tick(state: State, now: float, event: Tick, decisions: Decisions) -> None:
    state.wall_offset = event.wall_offset
    _pump(state, now, decisions)


_TURNS: dict[type, Callable[[State, float, Any, Decisions], None]] = {
    Reserve: _reserve,
    Admit: _admit,
    Settle: _settle,
    Release: _release,
    Close: _close_event,
    Tick: _tick,
}


def _pump(state: State, now: float, decisions: Decisions) -> None:
    if state.money.count:
        _pump_money(state, now, decisions)
    if state.line.count:
        _pump_line(state, now, decisions)
    else:
        _bind(state, now, Binding.BUDGET if state.money.count else None)


def _pump_money(state: State, now: float, decisions: Decisions) -> None:
    money, budget = state.money, state.budget
    while money.count and not state.closed:
        line = money.retries if Line.first(money.retries) else money.new
        ticket = Line.first(line)
        assert ticket is not None
        need = ticket.need
        if budget.fits(need.worst_pico, need.worst_tokens):
            line.popleft()
            money.leave(ticket)
            _grant_money(state, ticket, decisions)
        elif budget.outstanding:
            return
        elif state.waits and budget.daily:
            decisions.wake_at = min(decisions.wake_at, state.next_midnight - state.wall_offset, now + LOOK_AGAIN)
            return
        else:
            _close(state, Stop.BUDGET, budget.refusal(need.worst_pico, need.worst_tokens), decisions)


def _grant_money(state: State, ticket: Ticket, decisions: Decisions) -> None:
    state.budget.reserve(ticket.need.worst_pico, ticket.need.worst_tokens)
    ticket.phase = Phase.RESERVED
    decisions.granted.append(ticket)


def _pump_line(state: State, now: float, decisions: Decisions) -> None:
    line = state.line
    while line.count and not state.closed:
        queue, held_until = _queue_whose_turn_it_is(state, now)
        if queue is None:
            decisions.wake_at = min(decisions.wake_at, held_until)
            _bind(state, now, Binding.RETRIES)
            return
        ticket = queue[0]
        blocked = _blocked(state, now, ticket)
        if blocked is None:
            queue.popleft()
        else:
            until, binding = blocked
            if binding is Binding.DAY and not state.waits:
                _close(state, Stop.DAILY_LIMIT, _day_used_up(state), decisions)
                return
            _bind(state, now, binding)
            small = _overtaker(state, now, queue) if binding is Binding.TOKENS else None
            if small is None:
                decisions.wake_at = min(decisions.wake_at, held_until, until)
                return
            ticket = small
        line.leave(ticket)
        _send(state, now, ticket, decisions, late=state.binding in PACED)
    if not line.count:
        _bind(state, now, Binding.BUDGET if state.money.count else None)


def _queue_whose_turn_it_is(state: State, now: float) -> tuple[deque[Ticket] | None, float]:
    """Retries first, while their allowance lasts; it does not matter when no new row waits."""
    line = state.line
    retry, new = Line.first(line.retries), Line.first(line.new)
    if retry is None:
        return line.new, math.inf
    if new is None:
        return line.retries, math.inf
    free_at = state.allowance.free_at(now)
    if free_at <= now:
        return line.retries, math.inf
    return line.new, free_at


def _blocked(state: State, now: float, ticket: Ticket) -> tuple[float, Binding] | None:
    """Say which limit holds `ticket` back, and when to look again; None when it may leave."""
    throttle = state.throttle
    slots = throttle.slots.value
    if state.in_flight >= throttle.pause.slots_at(now, slots):
        return throttle.pause.next_step(now, slots), Binding.IN_FLIGHT
    if throttle.pause.until is not None:
        until = throttle.opens_at(now)
        if until > now:
            return until, Binding.PAUSE
    if state.breaker.until is not None:
        until = state.breaker.opens_at(now)
        if until > now:
            return until, Binding.BREAKER
    if state.day_limit is not None or state.day_shut_until is not None:
        until = _day_opens_at(state, now)
        if until > now:
            return min(until, now + LOOK_AGAIN), Binding.DAY
    until = state.requests.ready_at(now, 1)
    if until > now:
        return until, Binding.REQUESTS
    if state.tokens is not None:
        until = state.tokens.ready_at(now, ticket.need.tokens)
        if until > now:
            return until, Binding.TOKENS
    return None


def _day_opens_at(state: State, now: float) -> float:
    if state.day_shut_until is not None:
        if now + state.wall_offset < state.day_shut_until:
            return state.day_shut_until - state.wall_offset
        state.day_shut_until = None
    if state.day_limit is not None and state.day_used >= state.day_limit:
        return state.day_ends - state.wall_offset
    return now


def _overtaker(state: State, now: float, queue: deque[Ticket]) -> Ticket | None:
    """Find a smaller request that fits while the first one has been too large for under 2 s."""
    head, meter = queue[0], state.tokens
    assert meter is not None
    if head.blocked_since is None:
        head.blocked_since = now
    if now - head.blocked_since >= OVERTAKEN_FOR or meter.ready_at(now, 0) > now:
        return None
    for ticket, _ in zip(queue, range(OVERTAKEN_BY + 1), strict=False):
        if ticket.waiting and meter.fits_window(ticket.need.tokens):
            return ticket
    return None


def _send(state: State, now: float, ticket: Ticket, decisions: Decisions, *, late: bool) -> None:
    state.in_flight += 1
    state.sent += 1
    state.day_used += 1
    ticket.phase = Phase.ADMITTED
    ticket.sent_at = now
    ticket.level = state.in_flight
    ticket.request_bin = state.requests.take(now, 1, late=late)
    if state.tokens is not None:
        ticket.token_bin = state.tokens.take(now, ticket.need.tokens, late=late)
    state.throttle.sent(now, ticket.level)
    ticket.probe = state.breaker.sent()
    state.allowance.sent(now, retry=ticket.retry)
    decisions.granted.append(ticket)


def _give_up(state: State, ticket: Ticket) -> None:
    """Take back all that `ticket` holds; it was not sent."""
    if ticket.waiting:
        (state.money if ticket.phase is Phase.NEW else state.line).leave(ticket)
    if ticket.phase is Phase.ADMITTED:
        state.in_flight -= 1
        state.sent -= 1
        state.day_used = max(0, state.day_used - 1)
        state.throttle.unsent(ticket.sent_at)
        state.breaker.unsent(ticket.probe)
        if ticket.request_bin is not None:
            state.requests.amend(ticket.request_bin, -1)
        if state.tokens is not None and ticket.token_bin is not None:
            state.tokens.give_back(ticket.token_bin, ticket.need.tokens)
    if ticket.reserved:
        state.budget.release(ticket.need.worst_pico, ticket.need.worst_tokens)
    if ticket.phase is not Phase.SETTLED:
        ticket.phase = Phase.GONE


def _close(state: State, stop: Stop, message: str, decisions: Decisions) -> None:
    state.closed = (stop, message)
    for ticket in (*state.money.drain(), *state.line.drain()):
        _give_up(state, ticket)
        decisions.refused.append(ticket)
    state.binding = None


def _bind(state: State, now: float, binding: Binding | None) -> None:
    if state.binding is not binding:
        state.binding = binding
        state.binding_since = now


def _day_used_up(state: State) -> str:
    if state.day_shut_until is not None:
        return f"the endpoint's daily limit is used up; {_comes_back(state.day_shut_until)}"
    used_up = f"limits.requests_per_day: all {state.day_limit} requests of the UTC day are sent"
    return f"{used_up}; {_comes_back(state.day_ends)}"


def _comes_back(wall: float) -> str:
    when = dt.datetime.fromtimestamp(wall, dt.UTC)
    return f"it resets at {when:%Y-%m-%d %H:%M} UTC. The same command goes on then; limits.wait: true waits for it"


def fits(state: State, need: Need) -> str | None:
    """Say in words why a request can never be admitted; None when it can."""
    limit = None if state.tokens is None else int(state.tokens.limit)
    if limit is not None and need.tokens > limit:
        return (
            f"the request needs about {need.tokens} tokens, more than limits.tokens_per_minute ({limit}) "
            "lets through in a whole minute"
        )
    return None
