"""An endpoint that goes away for a while, in simulated time.

Kinds: `gone` (nothing listens), `502` (a gateway answers in its place), `silent` (requests are taken and
nothing comes), `slow` (answers take twenty times as long). Looks go the same way as requests do, but where
`looks_answer`: then what they ask is answered all the time, and only completions fail.
"""

from __future__ import annotations

from dataclasses import dataclass

from parquill.job import LimitSettings
from parquill.limits.events import Event, Looked, Settle
from parquill.limits.gate_policy import step
from parquill.limits.tickets import Outcome, Reply, Ticket
from tests.simulation.servers import Queueing, Server
from tests.simulation.world import WALL, Traffic, World

KINDS = ("gone", "502", "silent", "slow")
TIMEOUT = 100.0
LOOK_SECONDS = 2.5
SLOWER = 20.0
WATCHED = 60.0
"""Seconds after the endpoint was found in which what is in flight is compared with before."""


@dataclass
class Seen:
    """What came of an outage. `found`: seconds from its end until a request is taken, or rows are held back no more.

    `most_before`: the most in flight until its first fault was seen (what grows until then, nothing can stop);
    `most_after`: the most in flight whenever a request left after its end.
    """

    into: int = 0
    looks: int = 0
    found: float | None = None
    most_before: int = 0
    most_after: int = 0


class OutageWorld(World):
    """A world whose server is away from `begin` for `length` seconds."""

    def __init__(
        self,
        kind: str,
        begin: float,
        length: float,
        *,
        seed: int,
        server: Server | None = None,
        looks_answer: bool = False,
    ) -> None:
        self.looks_answer = looks_answer or kind == "slow"
        self.kind, self.begin, self.end = kind, begin, begin + length
        self.seen = Seen()
        self._noticed = False
        traffic = Traffic(latency=1.0, waiting=400)
        super().__init__(LimitSettings(), server or Queueing(8), seed=seed, traffic=traffic)
        self.state.breaker.looks = True
        if kind == "gone":
            self._at(begin, self._drop)

    @property
    def away(self) -> bool:
        return self.begin <= self.now < self.end

    def _step(self, event: Event) -> None:
        self.state, decisions = step(self.state, self.now, WALL + self.now, event)
        for ticket in decisions.decided:
            if ticket.admitted:
                self._leave(ticket)
        self._wake(decisions)
        self._measure(left=any(ticket.admitted for ticket in decisions.decided))
        if decisions.look:
            self.seen.looks += 1
            found = not self.away or self.looks_answer
            self._at(self.now + (LOOK_SECONDS if not found and self.kind == "silent" else 0.05), self._looked, found)

    def _measure(self, *, left: bool) -> None:
        level = self.state.in_flight - self.state.lost
        if self.now >= self.end and self.seen.found is None and self.seen.looks and not self.state.breaker.is_open:
            self.seen.found = self.now - self.end
        if not self._noticed:
            self.seen.most_before = max(self.seen.most_before, level)
        elif left and self.end <= self.now < self.end + (self.seen.found or 0.0) + WATCHED:
            self.seen.most_after = max(self.seen.most_after, level)

    def _drop(self) -> None:
        """What is under way when the endpoint goes is cut off."""
        for ticket in self._truth:
            if ticket.admitted:
                self._at(self.now + 0.01, self._failed, ticket, Outcome.CONNECTION)
        self.server = Queueing(8)

    def _looked(self, found: bool) -> None:
        self._step(Looked(found))

    def _arrive(self, ticket: Ticket) -> None:
        if not self.away:
            if self.now >= self.end and self.seen.found is None:
                self.seen.found = self.now - self.end
            super()._arrive(ticket)
            return
        if self.kind == "gone":
            self._at(self.now + 0.01, self._failed, ticket, Outcome.CONNECTION)
            return
        self.seen.into += 1
        if self.kind == "502":
            self._at(self.now + self._way(), self._failed, ticket, Outcome.SERVER_FAULT)
        elif self.kind == "silent":
            self._at(self.now + TIMEOUT, self._failed, ticket, Outcome.TIMEOUT)
        else:
            done = self.server.done_at(self.now, SLOWER * self.random.lognormvariate(0, 0.5))
            if done > ticket.sent_at + TIMEOUT:
                self._at(ticket.sent_at + TIMEOUT, self._failed, ticket, Outcome.TIMEOUT)
            else:
                self._at(done, self._answer, ticket)

    def _answer(self, ticket: Ticket) -> None:
        if ticket not in self._truth:
            return  # it was cut off
        if self.away and self.kind == "silent":
            self._at(max(self.now, ticket.sent_at + TIMEOUT), self._failed, ticket, Outcome.TIMEOUT)
        else:
            super()._answer(ticket)

    def _answered(self, ticket: Ticket, lost: bool, reply: Reply) -> None:
        if ticket in self._truth:
            super()._answered(ticket, lost, reply)

    def _failed(self, ticket: Ticket, outcome: Outcome) -> None:
        if self._truth.pop(ticket, None) is None:
            return
        self._noticed = True
        self._step(Settle(ticket, 0, None, Reply(outcome)))
        self._at(self.now + self.random.uniform(0.0, 1.0), self._new_row, True)
