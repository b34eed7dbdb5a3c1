"""Who goes next: the two queues, and what must be free for their first entries.

Attempts wait in the first queue for money, in the second for a slot in flight, the rates and the
day, which are taken together or not at all. Each queue is first in first out, retries before new
rows. A request too large for the tokens left may be overtaken for two seconds, then it blocks.
"""

from __future__ import annotations

import math
from collections import deque

from parquill.errors import Stop
from parquill.limits.events import Decisions
from parquill.limits.state import LOOK_AGAIN, Line, State, count_on_day, day_opens_at, day_used_up
from parquill.limits.tickets import ADMITTED, GONE, NEW, RESERVED, SETTLED, Binding, Ticket
from parquill.limits.window import EstimateMeter

OVERTAKEN_FOR = 2.0
OVERTAKEN_BY = 32
PACED = frozenset({Binding.REQUESTS, Binding.TOKENS})


def pump_money(state: State, now: float, decisions: Decisions) -> None:
    """Reserve money for waiting attempts, in their order, while it is free."""
    money, budget = state.money, state.budget
    while money.count and not state.common.closed:
        line = money.retries if Line.first(money.retries) else money.new
        ticket = Line.first(line)
        assert ticket is not None
        need = ticket.need
        if take_money(state, ticket, decisions):
            line.popleft()
            money.leave(ticket)
        elif budget.outstanding:
            return
        elif state.waits and budget.daily:
            decisions.wake_at = min(decisions.wake_at, state.next_midnight - state.wall_offset, now + LOOK_AGAIN)
            return
        else:
            close(state, Stop.BUDGET, budget.refusal(need.worst_pico, need.worst_tokens), decisions)


def take_money(state: State, ticket: Ticket, decisions: Decisions) -> bool:
    """Reserve an attempt's worst case; False where the budget has too little left."""
    if not state.budget.reserve(ticket.need.worst_pico, ticket.need.worst_tokens):
        return False
    ticket.phase = RESERVED
    decisions.decided.append(ticket)
    return True


def pump_line(state: State, now: float, decisions: Decisions) -> None:
    """Admit waiting attempts, in their order, while rates, the day and a slot are free."""
    line = state.line
    while line.count and not state.closed and not state.held:
        queue, retries_at = _queue_whose_turn_it_is(state, now)
        if queue is None:
            return
        ticket = queue[0]
        held = blocked(state, now, ticket)
        if held is not None:
            until, binding = held
            if binding is Binding.DAY and not state.waits:
                leave(state, Stop.DAILY_LIMIT, day_used_up(state), decisions)
                return
            if binding is Binding.BUDGET and not state.waits and not any(one.in_flight for one in state.common.states):
                need = ticket.need
                close(state, Stop.BUDGET, state.budget.refusal(need.worst_pico, need.worst_tokens), decisions)
                return
            bind(state, now, binding)
            small = _overtaker(state, now, queue) if binding is Binding.TOKENS else None
            if small is None:
                decisions.wake_at = min(decisions.wake_at, retries_at, until)
                return
            ticket = small
        line.leave(ticket)
        send(state, now, ticket, decisions, late=state.binding in PACED)
    if not line.count:
        bind(state, now, Binding.BUDGET if state.money.count else None)


def _queue_whose_turn_it_is(state: State, now: float) -> tuple[deque[Ticket] | None, float]:
    """Retries first, while their allowance lasts: it matters only while new rows wait.

    A retry is left to another endpoint than the one that failed it, while this one has new rows to take; one that this
    endpoint refused, in any case. Also returns when retries may resume.
    """
    line = state.line
    retry, new = Line.first(line.retries), Line.first(line.new)
    if retry is None:
        return line.new, math.inf
    if state.at in retry.refused and _another_takes(state, retry):
        return (None if new is None else line.new), math.inf
    if new is None:
        return line.retries, math.inf
    if state.at == retry.avoid and any(is_healthy(one) for one in state.common.open_states if one is not state):
        return line.new, math.inf
    if state.breaker.is_open:
        return line.new, math.inf  # what fails for its own content does not stand for the endpoint
    free_at = state.allowance.free_at(now)
    if free_at <= now:
        return line.retries, math.inf
    return line.new, free_at


def _another_takes(state: State, ticket: Ticket) -> bool:
    """Whether the run has an endpoint that has not refused `ticket`, and can ever take it."""
    return any(
        one.at not in ticket.refused and fits(one, ticket.need.tokens)
        for one in state.common.open_states
        if one is not state
    )


def is_healthy(state: State) -> bool:
    """Whether an endpoint takes requests as far as is known: its limits apart, nothing holds them back."""
    return (
        state.closed is None and not state.held and state.breaker.until is None and state.throttle.pause.until is None
    )


def fits(state: State, tokens: int) -> bool:
    """Whether a request of so many tokens can ever pass an endpoint's limit of tokens per minute."""
    return state.tokens is None or tokens <= state.tokens.limit


def blocked(state: State, now: float, ticket: Ticket) -> tuple[float, Binding] | None:
    """Say which limit holds `ticket` back, and when to look again; None when it may leave."""
    throttle = state.throttle
    if _slots_are_taken(state, now):
        return throttle.pause.next_step(now, throttle.slots.value), Binding.IN_FLIGHT
    if throttle.pause.until is not None:
        until = throttle.opens_at(now)
        if until > now:
            return until, Binding.PAUSE
    if state.breaker.until is not None:
        until = state.breaker.opens_at(now)
        if until > now:
            return until, Binding.BREAKER
    if state.day_limit is not None or state.day_shut is not None:
        until = day_opens_at(state, now)
        if until > now:
            return min(until, now + LOOK_AGAIN), Binding.DAY
    if state.budget.daily and state.budget.is_over:
        # It was reserved on another day, before the clock was set back to one that has no money left.
        return min(state.next_midnight - state.wall_offset, now + LOOK_AGAIN), Binding.BUDGET
    until = state.requests.ready_at(now, 1)
    if until > now:
        return until, Binding.REQUESTS
    if state.tokens is not None:
        until = _tokens_ready_at(state, state.tokens, now, ticket)
        if until > now:
            return until, Binding.TOKENS
    return None


def _slots_are_taken(state: State, now: float) -> bool:
    """Say whether no slot in flight is free."""
    in_flight, breaker, throttle = state.in_flight, state.breaker, state.throttle
    if breaker.until is not None:
        return in_flight >= throttle.slots.ceiling  # one goes at a time, though requests that hang take all slots
    if in_flight >= throttle.slots.ceiling:
        return True
    in_flight -= state.lost
    usable = throttle.slots.value
    if throttle.pause.ramp_from is not None:
        usable = throttle.pause.slots_at(now, usable)
    # A fault keeps its slot until something sent later is answered: an endpoint that fails fast would else be
    # sent more, and faster, than one that answers.
    return in_flight >= usable or (in_flight > 0 and in_flight + breaker.suspects >= usable)


def _tokens_ready_at(state: State, meter: EstimateMeter, now: float, ticket: Ticket) -> float:
    """Return when a request's tokens may leave; never, where it is too large here and not for another endpoint."""
    if ticket.need.tokens > meter.limit and _another_takes(state, ticket):
        return math.inf
    return meter.ready_at(now, ticket.need.tokens)


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


def send(state: State, now: float, ticket: Ticket, decisions: Decisions, *, late: bool) -> None:
    """Count an attempt as sent at `now`; `late`: it waited for its turn."""
    if not state.in_flight:
        state.silence.listen(now)
    ticket.at = state.at
    state.in_flight += 1
    state.sent += 1
    count_on_day(state, state.utc.start, 1)
    ticket.phase = ADMITTED
    ticket.sent_at, ticket.day, ticket.budget_day = now, state.utc.start, state.budget.day
    ticket.request_bin = state.requests.take(now, 1, late=late)
    if state.tokens is not None:
        ticket.token_bin = state.tokens.take(now, ticket.need.tokens, late=late)
    state.throttle.sent(now, state.in_flight)
    state.breaker.sent(ticket)
    state.allowance.sent(now, retry=ticket.retry)
    decisions.decided.append(ticket)


def give_up(state: State, ticket: Ticket) -> None:
    """Take back all that `ticket` holds; it was not sent."""
    if ticket.waiting:
        (state.money if ticket.phase is NEW else state.line).leave(ticket)
    if ticket.phase is ADMITTED:
        state = state.common.states[ticket.at]
        free_slot(state, ticket)
        state.sent -= 1
        count_on_day(state, ticket.day, -1)
        state.throttle.unsent(ticket.sent_at)
        state.breaker.unsent(ticket)
        if ticket.request_bin is not None:
            state.requests.amend(ticket.request_bin, -1)
        if state.tokens is not None and ticket.token_bin is not None:
            state.tokens.give_back(ticket.token_bin, ticket.need.tokens)
    if ticket.reserved:
        state.budget.release(ticket.need.worst_pico, ticket.need.worst_tokens)
    if ticket.phase is not SETTLED:
        ticket.phase = GONE


def free_slot(state: State, ticket: Ticket) -> None:
    """Count one less in flight: this request has ended, or was not sent."""
    state.in_flight -= 1
    if state.lost and ticket.sent_at < state.lost_before:
        state.lost -= 1


def leave(state: State, stop: Stop, message: str, decisions: Decisions) -> None:
    """The endpoint takes no more requests of this run; with the last one that did, the run stops."""
    if state.closed is not None:
        return
    state.closed, state.left, state.binding = (stop, message), True, None
    states = state.common.states
    if state.common.open_states:
        return
    whys = [one.closed for one in states if one.closed is not None]
    # What comes back by itself decides: the same command goes on then.
    stop = Stop.DAILY_LIMIT if any(why[0] is Stop.DAILY_LIMIT for why in whys) else stop
    if len(states) > 1:
        told = "; ".join(f"{one.name}: {one.closed[1]}" for one in states if one.closed is not None)
        message = f"no endpoint is left: {told}"
    close(state, stop, message, decisions)


def close(state: State, stop: Stop, message: str, decisions: Decisions) -> None:
    """The run takes no more requests, whichever endpoint they would go to."""
    state.common.closed = (stop, message)
    for one in state.common.states:
        one.closed, one.binding = one.closed or (stop, message), None
    for ticket in (*state.money.drain(), *state.line.drain()):
        give_up(state, ticket)
        decisions.decided.append(ticket)


def bind(state: State, now: float, binding: Binding | None) -> None:
    """Note which limit keeps the first waiting attempt waiting, and since when."""
    if state.binding is not binding:
        state.binding = binding
        state.binding_since = now
