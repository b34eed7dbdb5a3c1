"""Several endpoints of one run: one gate each, and which of them an attempt goes to.

Money is reserved before the choice, in one line for all. Then an attempt goes to an endpoint that can take it now:
among several, in proportion to their weights. Where none can, it waits in one line, and the first that can takes
it; so a limit is used to the full, and what an endpoint that rests does not take goes to the others. The decision is
docs/adr/0013.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import replace

from parquill.errors import Stop
from parquill.limits.gate import Gate
from parquill.limits.queue import fits, is_healthy
from parquill.limits.state import Line, State
from parquill.limits.tickets import (
    ADMITTED,
    NO_ENDPOINT,
    Binding,
    GateClosed,
    GateStatistics,
    Need,
    Reply,
    Ticket,
)

_LEAST_HOLDING = (
    Binding.IN_FLIGHT, Binding.REQUESTS, Binding.TOKENS, Binding.PAUSE, Binding.DAY, Binding.BREAKER, Binding.BUDGET,
)  # fmt: skip
"""Of several limits that hold the first attempt back, the one that is told: the likeliest to let it go."""


class Shares:
    """In proportion to weights, among those that can take an attempt: start-time fair queueing.

    What an endpoint did not take while it could not is not made good for later.
    """

    def __init__(self, weights: Sequence[float]) -> None:
        self._weights = tuple(weights)
        self._ends = [0.0] * len(weights)
        self._now = 0.0

    def begins(self, at: int) -> float:
        """Return what ranks an endpoint: the least goes first."""
        return max(self._now, self._ends[at])

    def took(self, at: int) -> None:
        """Note that an endpoint took an attempt."""
        self._now = self.begins(at)
        self._ends[at] = self._now + 1.0 / self._weights[at]


class Gates:
    """The gates before a run's endpoints; for its attempts, one gate."""

    def __init__(self, gates: Sequence[Gate], weights: Sequence[float]) -> None:
        """`gates` were made one beside the other, in the endpoints' order; `weights` are greater than 0."""
        self._gates = tuple(gates)
        self._common = gates[0].state.common
        self._shares = Shares(weights)
        self._sent = [0] * len(gates)
        self._seen = self._view()
        self._is_passing_on = False
        for gate in gates:
            gate.after = self._pass_on

    async def reserve(
        self, need: Need, *, retry: bool = False, avoid: int | None = None, refused: frozenset[int] = NO_ENDPOINT
    ) -> Ticket:
        """Hold the worst case of one attempt, as `Gate.reserve` does: whichever endpoint it will go to."""
        return await self._any.reserve(need, retry=retry, avoid=avoid, refused=refused)

    async def admit(self, ticket: Ticket) -> None:
        """Wait until the attempt may be sent to one of the endpoints, `ticket.at`; else as `Gate.admit`."""
        if not self._common.line.count and any(gate.offer(ticket) for gate in self._in_order(ticket)):
            return
        try:
            await self._any.admit(ticket)
        except asyncio.CancelledError:
            self._gates[ticket.at].look_again()  # it may just have been given a slot there
            raise

    def settle(self, ticket: Ticket, *, cost_pico: int, tokens: int | None, reply: Reply) -> None:
        """Book what a sent attempt took, where it was sent."""
        self._gates[ticket.at].settle(ticket, cost_pico=cost_pico, tokens=tokens, reply=reply)

    def release(self, ticket: Ticket) -> None:
        """Give everything back: the attempt is not sent."""
        gate = self._gates[ticket.at] if ticket.phase is ADMITTED else self._any
        gate.release(ticket)

    def close(self, stop: Stop, message: str) -> None:
        """Admit nothing more, at any endpoint. The first reason stands."""
        self._any.close(stop, message)

    def leave(self, at: int, stop: Stop, message: str) -> None:
        """An endpoint takes no more requests of this run; with the last one the run stops."""
        self._gates[at].leave(at, stop, message)

    def end(self) -> None:
        """Forget timers and looks: the run is over."""
        for gate in self._gates:
            gate.end()

    def fits(self, need: Need) -> str | None:
        """Say in words why a request can never pass the rates of any endpoint; None when it can."""
        whys = [gate.fits(need) for gate in self._gates if gate.state.closed is None]
        return next(iter(whys), None) if all(whys) else None

    def at(self, number: int) -> Gate:
        """Return the gate of one endpoint."""
        return self._gates[number]

    @property
    def open_endpoints(self) -> tuple[int, ...]:
        """Numbers of the endpoints that take requests of this run."""
        return self._any.open_endpoints

    @property
    def closed(self) -> GateClosed | None:
        """Why the run takes no more requests; None while it does."""
        return self._any.closed

    def statistics(self) -> GateStatistics:
        """Return what is used, free and waiting at all endpoints together."""
        found = [gate.statistics() for gate in self._gates]
        states = [gate.state for gate in self._gates]
        open_ones = [one for one, state in zip(found, states, strict=True) if state.closed is None]
        return replace(
            joined(found, open_ones or found),
            resting=tuple(_rests(state) for state in states if not is_healthy(state)),
            left_out=tuple(_rests(state) for state in states if state.closed is not None and state.left),
        )

    @property
    def _any(self) -> Gate:
        """An endpoint's gate that is open, if any is: what they have in common can be asked of it."""
        return next((gate for gate in self._gates if gate.state.closed is None), self._gates[0])

    def _in_order(self, ticket: Ticket) -> list[Gate]:
        """The open endpoints, the one first whose turn it is; those that failed or refused the row last."""
        tokens, shares = ticket.need.tokens, self._shares

        def rank(gate: Gate) -> tuple[bool, bool, float]:
            at = gate.state.at
            return not fits(gate.state, tokens), at == ticket.avoid, shares.begins(at)

        open_ones = [gate for gate in self._gates if gate.state.closed is None]
        others = [gate for gate in open_ones if gate.state.at not in ticket.refused]
        return sorted(others or open_ones, key=rank)

    def _pass_on(self) -> None:
        """After a step at one endpoint, let the others see who waits first now."""
        if self._is_passing_on:
            return
        self._is_passing_on = True
        try:
            self._count()
            while (view := self._view()) != self._seen:
                self._seen = view
                for gate in self._gates:
                    if gate.state.closed is None:
                        gate.look_again()
                        self._count()
        finally:
            self._is_passing_on = False

    def _count(self) -> None:
        for at, gate in enumerate(self._gates):
            for _ in range(self._sent[at], gate.state.sent):
                self._shares.took(at)
            self._sent[at] = gate.state.sent

    def _view(self) -> tuple[Ticket | None, Ticket | None, int]:
        line = self._common.line
        return Line.first(line.retries), Line.first(line.new), len(self._common.open_states)


def joined(every: Sequence[GateStatistics], open_ones: Sequence[GateStatistics]) -> GateStatistics:
    """Add up the gates of several endpoints; limits are those of the endpoints that take requests.

    What they have in common (money, lines, the time without an answer) is told alike by each.
    """
    holding = [one.binding for one in open_ones if one.binding is not None]
    binding = min(holding, key=_LEAST_HOLDING.index) if len(holding) == len(open_ones) else None
    since = [one.binding_since for one in open_ones if one.binding_since is not None]
    pauses = [math.inf if one.paused_until is None else one.paused_until for one in open_ones]
    return replace(
        every[0],
        in_flight=sum(one.in_flight for one in every),
        in_flight_limit=sum(one.in_flight_limit for one in open_ones),
        requests_last_minute=sum(one.requests_last_minute for one in every),
        requests_per_minute=_sum([one.requests_per_minute for one in open_ones]),
        tokens_last_minute=sum(one.tokens_last_minute for one in every),
        tokens_per_minute=_sum([one.tokens_per_minute for one in open_ones]),
        day_used=sum(one.day_used for one in open_ones),
        day_limit=_whole(_sum([one.day_limit for one in open_ones])),
        binding=binding,
        binding_since=None if binding is None else max(since, default=None),
        sent=sum(one.sent for one in every),
        throttled=sum(one.throttled for one in every),
        pauses=sum(one.pauses for one in every),
        paused_until=None if math.inf in pauses else min(pauses, default=None),
        breaker_open=all(one.breaker_open for one in open_ones),
        breaker_trips=sum(one.breaker_trips for one in every),
    )


def _sum(limits: Sequence[float | None]) -> float | None:
    """What several limits let through together; None where one of them lets anything through."""
    known = [limit for limit in limits if limit is not None]
    return sum(known) if len(known) == len(limits) else None


def _whole(limit: float | None) -> int | None:
    return None if limit is None else int(limit)


def _rests(state: State) -> str:
    """Say in words why an endpoint takes nothing."""
    if state.closed is not None:
        return f"{state.name} is left out: {state.closed[1]}"
    if state.breaker.is_open:
        return f"{state.name} is failing and rests until it is back"
    return f"{state.name} takes no more for now"
