"""A client and a server in simulated time: a queue that never runs dry, driving `step` directly.

Nothing sleeps; an hour takes about a second. Each request takes a way up, is taken or refused,
is answered after a log-normal time and takes a way down; each way varies by up to `jitter`.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from parquill.budget import Budget
from parquill.job import LimitSettings
from parquill.limits.events import Admit, Decisions, Event, Reserve, Settle, Tick
from parquill.limits.gate_policy import step
from parquill.limits.state import State, new_state
from parquill.limits.tickets import Need, Outcome, Reply, Ticket
from tests.simulation.servers import RefusedError, Server

OK = Reply(Outcome.OK)
LOST = Reply(Outcome.CONNECTION)
WALL = 1_790_000_000.0


@dataclass
class Traffic:
    """What the rows are like, and the network."""

    latency: float = 2.3
    spread: float = 0.5
    delay: float = 0.02
    jitter: float = 0.1
    lost: float = 0.0
    tokens: float = 1000.0
    token_spread: float = 0.0
    error: float = 0.0
    bias: float = 1.0
    waiting: int = 400


@dataclass
class Log:
    """What happened, by simulated minute."""

    sent: list[float] = field(default_factory=list)
    taken: list[float] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)

    def fill(self, limit: float, start: int, end: int) -> float:
        """Share of `limit` per minute that the server took in minutes `start` to `end`."""
        return sum(self.taken[start:end]) / (limit * (end - start))

    def refusals(self, start: int = 0, end: int | None = None) -> float:
        """Share of requests that were refused."""
        return sum(self.refused[start:end]) / max(1, sum(self.sent[start:end]))


class World:
    """One run: `World(limits, server, seed=1).run(600)`, as often as wanted."""

    def __init__(
        self,
        limits: LimitSettings,
        server: Server,
        *,
        seed: int,
        traffic: Traffic | None = None,
        by_tokens: bool = False,
        start: float = 0.0,
    ) -> None:
        self.random = random.Random(seed)
        self.server = server
        self.traffic = traffic or Traffic()
        self.by_tokens = by_tokens
        self.now = self.start = start
        self.state: State = new_state(limits, Budget(), start, WALL + start)
        self.log = Log()
        self._events: list[tuple[float, int, Callable[..., None], tuple[object, ...]]] = []
        self._order = 0
        self._tick_at = math.inf
        self._asked: dict[Ticket, float] = {}
        self._truth: dict[Ticket, float] = {}
        for _ in range(self.traffic.waiting):
            self._at(start, self._new_row, False)

    def run(self, seconds: float) -> Log:
        end = self.now + seconds
        events = self._events
        while events and events[0][0] <= end:
            self.now, _, call, arguments = heapq.heappop(events)
            call(*arguments)
        self.now = end
        return self.log

    def _at(self, when: float, call: Callable[..., None], *arguments: object) -> None:
        self._order += 1
        heapq.heappush(self._events, (when, self._order, call, arguments))

    def _new_row(self, retry: bool) -> None:
        traffic, rng = self.traffic, self.random
        truth = traffic.tokens
        if traffic.token_spread:
            truth *= rng.lognormvariate(-(traffic.token_spread**2) / 2, traffic.token_spread)
        truth = max(1.0, round(truth))
        estimate = truth * traffic.bias * (1.0 + rng.uniform(-traffic.error, traffic.error))
        ticket = Ticket(Need(max(1, round(estimate)), 0, 0), retry=retry)
        self._truth[ticket] = truth
        self._asked[ticket] = self.now
        self._step(Reserve(ticket))
        self._step(Admit(ticket))

    def _step(self, event: Event) -> None:
        self.state, decisions = step(self.state, self.now, WALL + self.now, event)
        for ticket in decisions.decided:
            if ticket.admitted:
                self._leave(ticket)
        self._wake(decisions)

    def _wake(self, decisions: Decisions) -> None:
        if decisions.wake_at < self._tick_at:
            self._tick_at = max(decisions.wake_at, self.now)
            self._at(self._tick_at, self._tick, self._tick_at)

    def _tick(self, due: float) -> None:
        if due == self._tick_at:
            self._tick_at = math.inf
        self._step(Tick())

    def _leave(self, ticket: Ticket) -> None:
        self.log.waits.append(self.now - self._asked.pop(ticket))
        if not ticket.retry:
            self._at(self.now, self._new_row, False)
        self._at(self.now + self._way(), self._arrive, ticket)

    def _way(self) -> float:
        return self.traffic.delay + self.random.random() * self.traffic.jitter

    def _minute(self, series: list[float] | list[int], amount: float) -> None:
        minute = int((self.now - self.start) // 60)
        while len(series) <= minute:
            series.append(0)
        series[minute] += amount  # type: ignore[assignment]  # a series of whole numbers

    def _arrive(self, ticket: Ticket) -> None:
        weight = self._truth[ticket] if self.by_tokens else 1.0
        self._minute(self.log.sent, 1)
        try:
            self.server.arrive(self.now, weight)
        except RefusedError as refused:
            self._minute(self.log.refused, 1)
            self._at(self.now + self._way(), self._refused, ticket, refused.wait)
            return
        self._minute(self.log.taken, weight)
        traffic = self.traffic
        takes = self.random.lognormvariate(math.log(traffic.latency) - traffic.spread**2 / 2, traffic.spread)
        self._minute(self.log.busy, takes)
        self._at(self.server.done_at(self.now, takes), self._answer, ticket)

    def _answer(self, ticket: Ticket) -> None:
        if self.server.slots:
            self.server.leave(self.now)
        lost = self.traffic.lost and self.random.random() < self.traffic.lost
        told = self.server.told(by_tokens=self.by_tokens)
        self._at(
            self.now + self._way(), self._answered, ticket, lost, OK if told is None else Reply(Outcome.OK, told=told)
        )

    def _answered(self, ticket: Ticket, lost: bool, reply: Reply) -> None:
        truth = self._truth.pop(ticket)
        if lost:
            self._step(Settle(ticket, 0, None, LOST))
            self._at(self.now + self.random.uniform(0.5, 1.0), self._new_row, True)
        else:
            self._step(Settle(ticket, 0, int(truth), reply))

    def _refused(self, ticket: Ticket, wait: float | None) -> None:
        self._truth.pop(ticket)
        self._step(Settle(ticket, 0, None, Reply(Outcome.THROTTLED, wait=wait)))
        self._at(self.now + max(wait or 0.0, self.random.uniform(0.5, 1.5)), self._new_row, True)
