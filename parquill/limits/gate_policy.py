"""The gate's policy: `step(state, now, event) -> (state, decisions)`.

Deterministic, without a clock, a lock or I/O. For speed the state that is handed in is changed
in place and handed back: use it linearly, never the old one again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from parquill.errors import Stop
from parquill.limits.events import (
    Admit,
    Close,
    Decisions,
    Event,
    Hold,
    Leave,
    Looked,
    Offer,
    Release,
    Reserve,
    Settle,
    Tick,
)
from parquill.limits.queue import (  # fmt: skip
    bind,
    blocked,
    close,
    free_slot,
    give_up,
    leave,
    pump_line,
    pump_money,
    send,
    take_money,
)
from parquill.limits.state import State, comes_back, hear, shut_day, turn_days
from parquill.limits.tickets import ADMITTED, GONE, RESERVED, SETTLED, Binding, Outcome, Reply, Scope, Ticket

OK, THROTTLED = Outcome.OK, Outcome.THROTTLED
FAULTS = frozenset({Outcome.SERVER_FAULT, Outcome.TIMEOUT, Outcome.CONNECTION})
IN_FLIGHT, TOKENS = Binding.IN_FLIGHT, Binding.TOKENS


def step(state: State, now: float, wall: float, event: Event) -> tuple[State, Decisions]:
    """Let `event` happen at `now` (monotonic seconds, never less than before).

    `wall` is in unix seconds, and may be anything: machines sleep, and their clocks are set.
    """
    state.wall_offset = wall - now
    if not state.days_begin <= wall < state.next_midnight:
        turn_days(state, wall)
    decisions = Decisions()
    _TURNS[type(event)](state, now, event, decisions)
    if state.unanswered.since is not None and not state.closed:
        _give_up_or_wait(state, now, decisions)
    if state.breaker.until is None and state.in_flight and state.line.count:
        _hear_or_look(state, now, decisions)
    if state.breaker.until is not None and state.line.count and state.breaker.wants_look(now):
        decisions.look = True
    return state, decisions


def _give_up_or_wait(state: State, now: float, decisions: Decisions) -> None:
    """Stop the run once no endpoint answered for too long."""
    unanswered, open_states = state.unanswered, state.common.open_states
    in_flight = any(one.in_flight for one in open_states)
    waits_for_day = any(one.binding is Binding.DAY for one in open_states)
    if waits_for_day or (state.binding is Binding.BUDGET and not in_flight):
        unanswered.forget()
    elif now < unanswered.due:
        decisions.wake_at = min(decisions.wake_at, unanswered.due)
    elif in_flight or state.line.count:
        close(state, Stop.UNREACHABLE, unanswered.why(), decisions)


def _reserve(state: State, now: float, event: Reserve, decisions: Decisions) -> None:
    ticket = event.ticket
    if state.closed:
        ticket.phase = GONE
        decisions.decided.append(ticket)
        return
    if not state.money.count and take_money(state, ticket, decisions):
        return
    state.money.append(ticket)
    pump_money(state, now, decisions)


def _admit(state: State, now: float, event: Admit, decisions: Decisions) -> None:
    ticket = event.ticket
    if ticket.phase is not RESERVED or ticket.waiting:
        raise RuntimeError("only a reserved ticket is admitted, and only once")
    if state.closed:
        give_up(state, ticket)
        decisions.decided.append(ticket)
        return
    if not state.line.count and blocked(state, now, ticket) is None:
        send(state, now, ticket, decisions, late=False)
        return
    behind = state.line.count and not ticket.retry
    state.line.append(ticket)
    # A request appended behind others cannot change who is next, unless a large one may be overtaken.
    if not behind or state.binding is TOKENS:
        pump_line(state, now, decisions)


def _offer(state: State, now: float, event: Offer, decisions: Decisions) -> None:
    ticket = event.ticket
    if state.closed is None and not state.held and blocked(state, now, ticket) is None:
        send(state, now, ticket, decisions, late=False)


def _settle(state: State, now: float, event: Settle, decisions: Decisions) -> None:
    ticket, reply, outcome = event.ticket, event.reply, event.reply.outcome
    if ticket.phase is not ADMITTED:
        raise RuntimeError("a ticket is settled once, and only after it was admitted")
    need = ticket.need
    used = need.worst_tokens if event.tokens is None else event.tokens
    state.budget.settle(
        need.worst_pico, need.worst_tokens, cost_pico=event.cost_pico, used_tokens=used, sent_on=ticket.budget_day
    )
    ticket.phase = SETTLED
    state.silence.heard(now)
    if state.tokens is not None and ticket.token_bin is not None:
        # Only an answer says what its kind of request takes; what was refused keeps its estimate.
        state.tokens.settle(ticket.token_bin, need.tokens, event.tokens if outcome is OK else None)
    if outcome is THROTTLED:
        _throttled(state, now, ticket, reply, decisions)
    else:
        failed = outcome is not OK and outcome in FAULTS
        was_open = state.breaker.until is not None
        if failed:
            ticket.level = state.throttle.slots.value
        state.breaker.record(now, ticket, failed=failed, wait=reply.wait or 0.0)
        if failed:
            state.unanswered.failed(ticket.sent_at, reply.words, asked_to_wait=reply.wait is not None)
            if not was_open and state.breaker.until is not None:
                state.throttle.broke_off(now, state.breaker.level)
        else:
            state.unanswered.answered(now)
            if was_open and state.breaker.until is None:
                _found_again(state, now, ticket)
            state.throttle.answered(now, ticket.sent_at, waiting=state.binding is IN_FLIGHT)
        if reply.told is not None:
            hear(state, now, reply.told, need.tokens if event.tokens is None else event.tokens)
    if state.unanswered.due <= now and not state.common.closed:
        close(state, Stop.UNREACHABLE, state.unanswered.why(), decisions)
    free_slot(state, ticket)
    if state.budget.alarm is not None and not state.common.closed:
        close(state, Stop.COST_ALARM, state.budget.alarm, decisions)
    _pump(state, now, decisions)


def _found_again(state: State, now: float, ticket: Ticket) -> None:
    """The request was answered and the breaker has closed: let the rest follow, unless nothing was wrong."""
    breaker = state.breaker
    if breaker.is_lost and ticket.probe:
        state.lost, state.lost_before = state.in_flight - 1, ticket.sent_at
    if breaker.is_lost or not breaker.was_silent:
        state.throttle.recovered(now)


def _hear_or_look(state: State, now: float, decisions: Decisions) -> None:
    """Hold rows back, and look, once the endpoint has been silent for too long."""
    due = state.silence.due
    if now < due:
        decisions.wake_at = min(decisions.wake_at, due)
        return
    state.breaker.open_silent(now, state.silence.since, state.throttle.slots.value)
    _pump(state, now, decisions)


def _throttled(state: State, now: float, ticket: Ticket, reply: Reply, decisions: Decisions) -> None:
    state.breaker.unsent(ticket)
    state.allowance.excuse()
    if reply.told is not None:
        hear(state, now, reply.told, ticket.need.tokens, answered=False)
    if reply.scope is not Scope.DAILY:
        state.unanswered.failed(ticket.sent_at, reply.words, asked_to_wait=reply.wait is not None)
        state.throttle.refused(now, ticket.sent_at, state.in_flight - state.lost, reply.wait, reply.scope)
        return
    state.throttle.throttled += 1
    wall = now + state.wall_offset
    until = state.utc.end if reply.wait is None else wall + reply.wait
    shut_day(state, until)
    if not state.waits:
        leave(state, Stop.DAILY_LIMIT, f"the endpoint's daily limit is used up; {comes_back(until)}", decisions)


def _release(state: State, now: float, event: Release, decisions: Decisions) -> None:
    if event.ticket.waiting:
        decisions.decided.append(event.ticket)
    give_up(state, event.ticket)
    _pump(state, now, decisions)


def _close_event(state: State, now: float, event: Close, decisions: Decisions) -> None:
    if not state.common.closed:
        close(state, event.stop, event.message, decisions)


def _leave(state: State, now: float, event: Leave, decisions: Decisions) -> None:
    leave(state, event.stop, event.message, decisions)


def _hold(state: State, now: float, event: Hold, decisions: Decisions) -> None:
    state.held = event.holds
    _pump(state, now, decisions)


def _tick(state: State, now: float, event: Tick, decisions: Decisions) -> None:
    _pump(state, now, decisions)


def _looked(state: State, now: float, event: Looked, decisions: Decisions) -> None:
    state.breaker.looked(now, found=event.found)
    _pump(state, now, decisions)


_TURNS: dict[type, Callable[[State, float, Any, Decisions], None]] = {
    Reserve: _reserve,
    Admit: _admit,
    Offer: _offer,
    Settle: _settle,
    Release: _release,
    Close: _close_event,
    Leave: _leave,
    Hold: _hold,
    Tick: _tick,
    Looked: _looked,
}


def _pump(state: State, now: float, decisions: Decisions) -> None:
    if state.money.count:
        pump_money(state, now, decisions)
    if state.line.count:
        pump_line(state, now, decisions)
    elif state.money.count or state.binding is not None:
        bind(state, now, Binding.BUDGET if state.money.count else None)
