"""One row's attempts. Order of steps: money, intent, rate and slot, request, booking.

This order is what guarantees the budget and the ledger. Money is reserved first (first come, first served). Then
the intent is made durable. Then the gate lets the request go at the very moment it is sent. An intent is
withdrawn only when the request was certainly not sent. Every other attempt that ends without usage in its reply
keeps its worst case booked. See ADR 0001.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Sequence

from parquill.asking.attempt_log import AttemptEvidence, EvidenceFile
from parquill.asking.endpoint_refusals import EndpointRefusals
from parquill.asking.gate_reply import fault_of, reply_of, wait_of
from parquill.asking.row_state import RowState
from parquill.booking import Booking, Request, book
from parquill.clock import Clock
from parquill.endpoint import Endpoint
from parquill.errors import ErrorKind
from parquill.event_loop import apart
from parquill.ledger import Durable, Ledger
from parquill.limits import Gate, Need, Reply, RunGate, Ticket
from parquill.replies import Exchange, Verdict, classify
from parquill.results import CostSource, ItemResult, Status
from parquill.retry import THROTTLES_PER_ATTEMPT, RetryPolicy, again

_log = logging.getLogger(__name__)

LONGEST_ATTEMPT = 120.0
"""Seconds one attempt may take, of a row that has longer."""
SHARE = 0.05
"""Weight of one answer in how long they take."""


class Attempts:
    """Sends rows' requests and books them; one for a run."""

    def __init__(
        self,
        gate: RunGate,
        ledger: Ledger,
        endpoints: Sequence[Endpoint],
        refusals: EndpointRefusals,
        *,
        run: int,
        policy: RetryPolicy,
        clock: Clock,
        rng: random.Random,
        evidence: EvidenceFile[AttemptEvidence] | None = None,
    ) -> None:
        self._gate = gate
        self._ledger = ledger
        self._endpoints = tuple(endpoints)
        self._notes_endpoint = len(endpoints) > 1 or endpoints[0].job.limits.requests_per_day is not None
        """Each endpoint's requests of the day are counted, for the next command."""
        self.refusals = refusals
        self._run = run
        self._policy = policy
        self._clock = clock
        self._rng = rng
        self._resting: set[asyncio.Future[None]] = set()
        self._evidence = evidence
        self._answer_seconds = 0.0
        """How long an answer takes, of late."""

    async def ask(self, asked: RowState, body: Callable[[int], bytes], need: Need, *, images: int) -> Verdict:
        """Send what `body` gives for an endpoint until there is an answer, a final fault, or no attempt left.

        A verdict with a completion leaves the attempt unsettled: its outcome is written with the
        row's. Nothing is sent for a row that was asked before and has no time left. Raises `GateClosed` when the run
        takes no more requests.
        """
        if not self.has_time(asked):
            return _NO_TIME

        async def attempt() -> Verdict:
            return await self._attempt(asked, body, need, images)

        verdict = await attempt()
        if not verdict.retry:
            return verdict
        return await again(
            attempt,
            verdict,
            wants=lambda last: last.retry and not _is_settled(asked, last),
            may=lambda: self._may_try(asked),
            rest=lambda _: asked.rest,
            sleep=self._rest,
            rng=self._rng,
        )

    def hurry(self) -> None:
        """Wake the rows that rest before their next try: the gate has closed."""
        for resting in self._resting:
            _wake(resting)

    async def _rest(self, seconds: float) -> None:
        resting = asyncio.get_running_loop().create_future()
        self._resting.add(resting)
        timer = self._clock.call_later(seconds, lambda: _wake(resting))
        try:
            await resting
        finally:
            timer.cancel()
            self._resting.discard(resting)

    def settle(self, asked: RowState, *, error_kind: str | None) -> None:
        """Write the unsettled attempt's outcome alone: the row goes on, or stops here."""
        if asked.unsettled is None:
            return
        attempt, booking = asked.unsettled
        asked.unsettled = None
        self._ledger.settle(
            attempt,
            cost_pico=booking.cost_pico or 0,
            cost_source=booking.source,
            prompt_tokens=booking.prompt_tokens,
            completion_tokens=booking.completion_tokens,
            cached_tokens=booking.cached_tokens,
            error_kind=error_kind,
            upstream_pico=booking.upstream_pico,
        )

    def record(self, asked: RowState, result: ItemResult) -> Durable:
        """Write a row's outcome, and that of the attempt it ended with, in one."""
        attempt, booking = asked.unsettled or (None, _NOTHING)
        asked.unsettled = None
        return self._ledger.record(
            run=self._run,
            slice_id=asked.ref.slice_id,
            row=asked.ref.row,
            fingerprint=asked.ref.fingerprint,
            ok=result.status is Status.OK,
            payload=result.encode(),
            attempt=attempt,
            cost_pico=booking.cost_pico or 0,
            prompt_tokens=booking.prompt_tokens,
            completion_tokens=booking.completion_tokens,
        )

    def _may_try(self, asked: RowState) -> bool:
        policy = self._policy
        return not asked.is_over and (
            asked.tries - asked.throttles < policy.max_attempts
            and asked.throttles <= policy.max_attempts * THROTTLES_PER_ATTEMPT
            and self.has_time(asked)
        )

    def has_time(self, asked: RowState) -> bool:
        """Whether one more attempt of this row can come to its end; the first always may try."""
        taken = max(asked.reply_seconds, self._answer_seconds)
        return asked.first_sent is None or self._policy.is_enough(self._left(asked), taken)

    def _left(self, asked: RowState) -> float:
        """Seconds the row has left; waiting at the gate does not count."""
        if asked.first_sent is None:
            return self._policy.deadline_seconds
        return self._policy.deadline_seconds - (self._clock.monotonic() - asked.first_sent - asked.gate_seconds)

    def _attempt_seconds(self, asked: RowState) -> float:
        """A stalled attempt must leave time for another."""
        share = max(1.0, self._policy.deadline_seconds / 3)
        return max(0.05, min(LONGEST_ATTEMPT, share, self._left(asked)))

    async def _attempt(self, asked: RowState, body: Callable[[int], bytes], need: Need, images: int) -> Verdict:
        ticket, attempt = await self._through_the_gate(asked, need)
        at = asked.at = ticket.at
        endpoint = self._endpoints[at]
        seconds = self._attempt_seconds(asked)
        exchange: Exchange | None = None
        read: Verdict | None = None
        self.refusals.sent(asked.ref.key, at)
        try:
            exchange = await endpoint.client.complete(
                body(at), seconds=seconds, on_id=lambda generation: self._ledger.headers(attempt, generation)
            )
            read = await apart(len(exchange.body), classify, exchange)
        finally:
            # Also when the run is cut off while waiting: maybe billed, and no usage came.
            verdict = read if read is not None else _CUT_OFF if exchange is None else classify(exchange)
            booking = book(Request(need.worst_at(at), images), verdict, endpoint.facts.price)
            self.refusals.ended(asked.ref.key, at, answered=verdict.completion is not None)
            asked.account.add(booking)
            asked.unsettled = (attempt, booking)
            asked.last_latency_ms = exchange.latency_ms if exchange is not None else None
            self._time_reply(asked, exchange, verdict)
            reply = reply_of(verdict, exchange, self._clock.wall())
            self._gate.settle(ticket, cost_pico=booking.cost_pico or 0, tokens=booking.tokens, reply=reply)
            if self._evidence is not None:
                self._evidence.add(self._evidence_of(asked, verdict, booking))
            if verdict.completion is None:
                self.settle(asked, error_kind=verdict.kind)
        _log.debug(
            "row %d of %s: %s after %d ms, %d tokens booked",
            asked.ref.row,
            asked.ref.part,
            "answered" if verdict.completion is not None else verdict.kind,
            exchange.latency_ms,
            booking.tokens,
        )
        asked.limited += verdict.most_tries is not None
        if verdict.retry:
            self._before_next(asked, verdict, exchange, reply)
        return verdict

    def _before_next(self, asked: RowState, verdict: Verdict, exchange: Exchange, reply: Reply) -> None:
        """Say how long a row waits for its next try, and whether this one counts.

        What an endpoint asks to wait holds for its own gate; the row goes on at another one, where there is one.
        """
        gate, asked.avoid = self._gate.at(asked.at), asked.at
        goes_on = len(self._gate.open_endpoints) > 1
        if verdict.throttled:
            asked.throttles += 1
            asked.rest = 0.0 if gate.shut or goes_on else reply.wait or 0.0
            asked.gate_seconds += asked.rest
            return
        wait = None if goes_on else wait_of(verdict, exchange, self._clock.wall())
        asked.is_over = wait is not None and wait.full > self._left(asked)
        if not asked.is_over and self._is_endpoints(gate, verdict, exchange):
            asked.begin_again()
        asked.rest = wait.seconds if wait is not None else None
        if gate.is_held:
            asked.rest = 0.0

    def _is_endpoints(self, gate: Gate, verdict: Verdict, exchange: Exchange) -> bool:
        """Whether a fault says nothing of the row: no connection was made, or nothing is answered at all."""
        if fault_of(verdict) is None:
            return False
        maybe_billed = verdict.kind is ErrorKind.TIMEOUT
        return not exchange.sent or (gate.is_endpoint_failing and not maybe_billed)

    def _time_reply(self, asked: RowState, exchange: Exchange | None, verdict: Verdict) -> None:
        if exchange is None or exchange.broken is not None:
            return
        seconds = asked.reply_seconds = exchange.latency_ms / 1000
        if verdict.completion is not None:
            self._answer_seconds += (seconds - self._answer_seconds) * (SHARE if self._answer_seconds else 1.0)

    def _evidence_of(self, asked: RowState, verdict: Verdict, booking: Booking) -> AttemptEvidence:
        completion, fingerprint = verdict.completion or verdict.unused, asked.ref.fingerprint
        return AttemptEvidence(
            part=asked.ref.part,
            row=asked.ref.row,
            fingerprint=fingerprint.hex() if fingerprint else None,
            number=asked.account.attempts,
            generation_id=completion.generation_id if completion else None,
            endpoint=self._endpoints[asked.at].facts.base_url,
            http_status=verdict.status or 200,
            error_kind=verdict.kind,
            error_message=verdict.message or None,
            text=completion.text if completion else None,
            cost_pico=booking.cost_pico,
            cost_source=booking.source,
            prompt_tokens=booking.prompt_tokens,
            completion_tokens=booking.completion_tokens,
            latency_ms=asked.last_latency_ms,
            ended_at=self._now_us(),
        )

    def _now_us(self) -> int:
        return int(self._clock.wall() * 1_000_000)

    async def _through_the_gate(self, asked: RowState, need: Need) -> tuple[Ticket, int]:
        """Reserve the money, make the intent durable, and pass; return when it is time to send."""
        entered = self._clock.monotonic()
        ticket = await self._gate.reserve(need, retry=asked.tries > 0, avoid=asked.avoid, refused=asked.refused)
        attempt: int | None = None
        try:
            attempt, durable = self._ledger.intend(
                run=self._run,
                slice_id=asked.ref.slice_id,
                row=asked.ref.row,
                number=asked.account.attempts + 1,
                fingerprint=asked.ref.fingerprint or b"",
                worst_pico=need.worst_pico,
                worst_tokens=need.worst_tokens,
                sent_at=self._now_us(),
            )
            await durable
            await self._gate.admit(ticket)
            # What waited at the gate is sent only now, perhaps on another day: that date has to be durable as well.
            if (redated := self._ledger.redate(attempt, self._now_us())) is not None:
                await redated
            if self._notes_endpoint:
                self._ledger.note_endpoint(attempt, self._endpoints[ticket.at].mark)
        except BaseException:
            self._gate.release(ticket)
            if attempt is not None:
                self._ledger.withdraw(attempt)
            raise
        now = self._clock.monotonic()
        if asked.first_sent is None:
            asked.first_sent = now
        else:
            asked.gate_seconds += now - entered
        asked.sent_at = now
        asked.tries += 1
        return ticket, attempt


def _is_settled(asked: RowState, verdict: Verdict) -> bool:
    """Whether the row was asked as often as an end of this kind is worth."""
    return verdict.most_tries is not None and asked.limited >= verdict.most_tries


def _wake(resting: asyncio.Future[None]) -> None:
    if not resting.done():
        resting.set_result(None)


_NOTHING = Booking(0, CostSource.ENDPOINT, 0, 0, 0)
_CUT_OFF = classify(
    Exchange(0, {}, b"", 0, "connection", sent=True, detail="the run was cut off while waiting for the reply")
)


_NO_TIME = Verdict(
    kind=ErrorKind.TIMEOUT,
    message="no time is left for another request of this row (retry.deadline_seconds)",
)
