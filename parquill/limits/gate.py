"""The gate: waits with futures and one timer. `step` makes all decisions."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Protocol

from parquill.budget import Budget
from parquill.clock import Clock, Timer
from parquill.errors import Stop
from parquill.event_loop import Tasks
from parquill.job import LimitSettings
from parquill.limits.events import (
    NEVER,
    Admit,
    Close,
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
from parquill.limits.gate_log import GateLog
from parquill.limits.gate_policy import step
from parquill.limits.state import State, crowd, new_state
from parquill.limits.tickets import (
    ADMITTED,
    GONE,
    NO_ENDPOINT,
    RESERVED,
    GateClosed,
    GateStatistics,
    Need,
    Reply,
    Ticket,
)

Look = Callable[[], Coroutine[Any, Any, bool]]
"""Says whether the endpoint is there."""


class RunGate(Protocol):
    """What a run needs of the gate before its endpoint (`Gate`), or of those before its endpoints (`Gates`)."""

    async def reserve(
        self, need: Need, *, retry: bool = False, avoid: int | None = None, refused: frozenset[int] = NO_ENDPOINT
    ) -> Ticket:
        """Hold the worst case of one attempt; see `Gate.reserve`."""

    async def admit(self, ticket: Ticket) -> None:
        """Wait for rates and a slot; see `Gate.admit`."""

    def settle(self, ticket: Ticket, *, cost_pico: int, tokens: int | None, reply: Reply) -> None:
        """Book what an attempt cost (pico-USD, tokens), and learn from its reply."""

    def release(self, ticket: Ticket) -> None:
        """Give back what an attempt holds that is not sent."""

    def close(self, stop: Stop, message: str) -> None:
        """Admit nothing more; the first reason stands."""

    def leave(self, at: int, stop: Stop, message: str) -> None:
        """Send nothing more to endpoint number `at`."""

    def end(self) -> None:
        """Forget timers and looks: the run is over."""

    def fits(self, need: Need) -> str | None:
        """Say why a request can never pass; None when it can."""

    def at(self, number: int) -> Gate:
        """Return the gate of one endpoint."""

    @property
    def open_endpoints(self) -> tuple[int, ...]:
        """Numbers of the endpoints that take requests of this run."""

    @property
    def closed(self) -> GateClosed | None:
        """Why the run takes no more requests; None while it does."""

    def statistics(self) -> GateStatistics:
        """Return what is used, free and waiting now."""


class Gate:
    """Admits attempts at one endpoint: money first, then rates, the day and a slot in flight at once.

    One event loop owns it. At most one timer is set at any time; waiting attempts are futures.
    """

    def __init__(
        self,
        limits: LimitSettings,
        budget: Budget,
        clock: Clock,
        *,
        day_used: int = 0,
        earlier: Iterable[tuple[float, int]] = (),
        crowded: bool = False,
        sharers: int = 1,
        most_slots: int | None = None,
        give_up: float | None = None,
        look: Look | None = None,
        beside: Gate | None = None,
        name: str = "",
    ) -> None:
        """Open; `day_used` is how many requests this UTC day has seen already.

        `earlier`: requests of other days or this, with the time (unix seconds) at which they were sent.
        `crowded`: others may just have used the rates to the full, so they are free again in a minute.
        `sharers`: so many gates keep, together, the limits that the endpoint tells.
        `most_slots`: requests in flight that this process has files for, whatever the job says.
        `give_up`: seconds without
        one answer after which the gate closes. `look`: says, by a request that costs nothing, whether the endpoint
        is there; it is called while requests fail, and must not raise. `beside`: another endpoint's gate in the same
        run; `budget`, what waits and `give_up` are then common to them (`endpoints.py`). `name`: the endpoint's.
        """
        self._clock = clock
        self._state = new_state(
            limits,
            budget,
            clock.monotonic(),
            clock.wall(),
            day_used=day_used,
            earlier=earlier,
            sharers=sharers,
            most_slots=most_slots,
            give_up=give_up,
            looks=look is not None,
            beside=None if beside is None else beside.state,
            name=name,
        )
        self.after: Callable[[], None] | None = None
        """Called after each step, where the run has other endpoints."""
        self._look = look
        self._looks = Tasks[None](self._not_looked)
        self._told = GateLog(name, self._state)
        if crowded:
            crowd(self._state, clock.monotonic())
        self._tokens_per_minute = limits.tokens_per_minute
        self._timer: Timer | None = None
        self._wake_at = math.inf

    @property
    def state(self) -> State:
        """All that is known of the endpoint; read, not changed."""
        return self._state

    async def reserve(
        self, need: Need, *, retry: bool = False, avoid: int | None = None, refused: frozenset[int] = NO_ENDPOINT
    ) -> Ticket:
        """Hold the worst case of one attempt; waits its turn while it may still fit.

        `avoid` and `refused` are the ticket's. Raises `GateClosed` when the run is stopping or the budget is used up.
        """
        ticket = Ticket(need, retry=retry, avoid=avoid, refused=refused)
        self._apply(Reserve(ticket))
        if ticket.phase is not RESERVED:
            await self._wait(ticket)
        return ticket

    async def admit(self, ticket: Ticket) -> None:
        """Wait until the attempt may be sent; return at the instant it should be.

        Raises `GateClosed` when the run is stopping. When it raises, or is cancelled, all that
        the ticket held has been given back.
        """
        self._apply(Admit(ticket))
        if ticket.phase is not ADMITTED:
            await self._wait(ticket)

    def offer(self, ticket: Ticket) -> bool:
        """Send a reserved attempt if that may be at once; say whether it is sent."""
        self._apply(Offer(ticket))
        return ticket.phase is ADMITTED

    def look_again(self) -> None:
        """Let go what may go: something has changed beside this endpoint."""
        self._apply(Tick())

    def settle(self, ticket: Ticket, *, cost_pico: int, tokens: int | None, reply: Reply) -> None:
        """Book what a sent attempt took, free its slot, and learn from its reply.

        `tokens` as the endpoint counted them; None, when it did not say, books the worst case
        and keeps the estimate for the rate. Exactly once for each admitted ticket.
        """
        self._apply(Settle(ticket, cost_pico, tokens, reply))

    def release(self, ticket: Ticket) -> None:
        """Give everything back: the attempt is not sent. Harmless when that is done already."""
        self._apply(Release(ticket))

    def close(self, stop: Stop, message: str) -> None:
        """Admit nothing more; all who wait get `GateClosed` at once. The first reason stands."""
        self._apply(Close(stop, message))

    def leave(self, at: int, stop: Stop, message: str) -> None:
        """The endpoint takes no more requests of this run. The first reason stands."""
        assert at == self._state.at
        self._apply(Leave(stop, message))

    def hold(self, holds: bool) -> None:
        """Send nothing from now on, or again; what is under way goes on."""
        self._apply(Hold(holds))

    @property
    def open_endpoints(self) -> tuple[int, ...]:
        """Numbers of the run's endpoints that take requests."""
        return tuple(state.at for state in self._state.common.open_states)

    def at(self, number: int) -> Gate:
        """Return the gate of one of the run's endpoints: this one's."""
        assert number == self._state.at
        return self

    def end(self) -> None:
        """Forget timer and looks: the run is over."""
        self._looks.cancel()
        if self._timer is not None:
            self._timer.cancel()

    def fits(self, need: Need) -> str | None:
        """Say in words why a request can never pass the rates, for its row's error; None when it can.

        A worst case above the whole budget is not the row's fault: `reserve` then closes the
        gate with `Stop.BUDGET`.
        """
        limit = self._tokens_per_minute
        if limit is None or need.tokens <= limit:
            return None
        return (
            f"the request needs about {need.tokens} tokens, more than limits.tokens_per_minute ({limit}) "
            "lets through in a whole minute"
        )

    @property
    def shut(self) -> bool:
        """Whether a refusal has shut the gate for a while, for all."""
        return self._state.throttle.pause.until is not None or self._state.day_shut is not None

    @property
    def is_endpoint_failing(self) -> bool:
        """Whether a fault is the endpoint's and no row's: it has answered nothing yet, or fails for all."""
        return not self._state.unanswered.any or self._state.breaker.is_certain

    @property
    def is_held(self) -> bool:
        """Whether requests wait here until the endpoint is found again."""
        return self._state.breaker.is_open

    @property
    def closed(self) -> GateClosed | None:
        """Why the run takes no more requests; None while it does."""
        why = self._state.common.closed
        return None if why is None else GateClosed(*why)

    def statistics(self) -> GateStatistics:
        """Return what is used, free and waiting, and which limit binds, at this moment."""
        state, now = self._state, self._clock.monotonic()
        budget, throttle = state.budget, state.throttle
        return GateStatistics(
            waiting_for_budget=state.money.count,
            waiting=state.line.count,
            waiting_retries=sum(ticket.waiting for ticket in state.line.retries),
            in_flight=state.in_flight,
            in_flight_limit=throttle.pause.slots_at(now, throttle.slots.value),
            requests_last_minute=round(state.requests.used(now)),
            requests_per_minute=None if state.requests.limit == math.inf else state.requests.limit,
            tokens_last_minute=0 if state.tokens is None else round(state.tokens.used(now)),
            tokens_per_minute=None if state.tokens is None or state.tokens.limit == math.inf else state.tokens.limit,
            day_used=state.day_used,
            day_limit=state.day_limit,
            binding=state.binding,
            binding_since=None if state.binding is None else state.binding_since,
            sent=state.sent,
            throttled=throttle.throttled,
            pauses=throttle.pauses,
            paused_until=throttle.pause.until,
            breaker_open=state.breaker.is_open,
            breaker_trips=state.breaker.trips,
            unanswered_since=state.unanswered.since,
            last_fault=state.unanswered.words,
            asked_to_wait=state.unanswered.asked_to_wait,
            spent_pico=budget.spent_pico,
            reserved_pico=budget.reserved_pico,
            free_pico=budget.free_pico,
            spent_tokens=budget.spent_tokens,
            reserved_tokens=budget.reserved_tokens,
            free_tokens=budget.free_tokens,
            stop=None if state.common.closed is None else state.common.closed[0],
        )

    def _apply(self, event: Event) -> None:
        # The wall time is read at each decision: a machine that slept, or whose clock was set, gives no other sign.
        now = self._clock.monotonic()
        self._state, decisions = step(self._state, now, self._clock.wall(), event)
        for ticket in decisions.decided:
            if ticket.waiter is not None and not ticket.waiter.done():
                ticket.waiter.set_result(None)
        if decisions.look and self._look is not None:
            self._looks.start(self._looked(self._look))
        if decisions.wake_at != NEVER:
            self._wake_by(now, decisions.wake_at)
        self._told.compare(self._state)
        if self.after is not None:
            self.after()

    async def _looked(self, look: Look) -> None:
        self._apply(Looked(await look()))

    def _not_looked(self, fault: BaseException) -> None:
        self.close(Stop.SIGTERM, f"a fault stopped the run: {fault}")

    async def _wait(self, ticket: Ticket) -> None:
        """Wait for the decision about `ticket`; cancelled, give back what it holds by then."""
        if ticket.phase is not GONE:
            ticket.waiter = asyncio.get_running_loop().create_future()
            try:
                await ticket.waiter
            except asyncio.CancelledError:
                self._apply(Release(ticket))
                raise
            finally:
                ticket.waiter = None
        if ticket.phase is GONE:
            if self.closed is None:
                raise RuntimeError("a ticket was released while it waited")
            raise self.closed

    def _wake_by(self, now: float, when: float) -> None:
        """Keep one timer, set to the earliest moment asked for."""
        if self._timer is not None:
            if self._wake_at <= when:
                return
            self._timer.cancel()
        self._wake_at = when
        self._timer = self._clock.call_later(max(0.0, when - now), self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._wake_at = math.inf
        self._apply(Tick())
