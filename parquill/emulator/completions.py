"""One chat request's way: who asks, what, at which price, with which fate, and the reply.

The order of checks is OpenRouter's: key, body, money, model, pictures, context, rates,
concurrency. Nothing waits between the checks of rates and money and the booking, so no two
requests pass on the same left. The bill is written when a request is accepted.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import web

from parquill.emulator import delivery, dialects, misbehaving_replies, wire
from parquill.emulator.answers import Answer, sample, write_answer
from parquill.emulator.billing import LogEntry
from parquill.emulator.catalogue import prices, route
from parquill.emulator.error_replies import ErrorReply, classic
from parquill.emulator.misbehaviour import BILLED, FAIR, OF_PROVIDER, Fate, Misbehaviour
from parquill.emulator.parsed_request import ParsedRequest, read_request
from parquill.emulator.pictures import check_images
from parquill.emulator.schema_words import check_schema_words
from parquill.emulator.server_state import ServerState
from parquill.emulator.settings import EmulatorSettings, pico
from parquill.emulator.wire import Charge
from parquill.money import usd

MAX_BODY = 30 * 10**6
"""Bytes of a request body that OpenRouter takes."""


@dataclass(slots=True)
class Exchange:
    """One request and what has become of it so far."""

    generation_id: str
    key: str = ""
    digest: bytes = b""
    model: str = ""
    last: str = ""
    fate: Fate = FAIR
    held: int = 0


@dataclass(frozen=True, slots=True)
class Accepted:
    """A request that will be answered, well or not."""

    asked: ParsedRequest
    answer: Answer
    charge: Charge


async def read_body(http: web.BaseRequest) -> bytes:
    """Return the request's body; raises the 413 `ErrorReply` for one above 30 MB.

    A larger one is read to its end all the same: a client that still sends would meet a
    reset instead of the reply.
    """
    body = bytearray()
    size = 0
    while block := await http.content.readany():
        size += len(block)
        if size <= MAX_BODY:
            body += block
    if size > MAX_BODY:
        raise classic(413, "Request payload too large", error_type="payload_too_large")
    return bytes(body)


class Completions:
    """The route POST /chat/completions."""

    def __init__(self, state: ServerState) -> None:
        self._state = state

    async def serve(self, http: web.BaseRequest, generation_id: str) -> web.StreamResponse:
        """Answer one chat request; every one leaves exactly one line on the bill."""
        state, exchange = self._state, Exchange(generation_id)
        state.enter()
        try:
            try:
                accepted = await self._accept(http, exchange)
            except ErrorReply as refusal:
                refusal = dialects.refusal(refusal, state.settings)
                self._book(exchange, refusal.status, Charge(0, 0, 0, 0))
                return delivery.refused(refusal, generation_id)
            return await self._reply(http, exchange, accepted)
        finally:
            state.account.release(exchange.held)
            state.leave()

    async def _accept(self, http: web.BaseRequest, exchange: Exchange) -> Accepted:
        state, settings = self._state, self._state.settings
        exchange.key = state.account.authorize(http.headers.get("Authorization"))
        body = await read_body(http)
        exchange.digest = hashlib.sha256(body).digest()
        asked = dialects.fitted(read_request(body, settings.models[0]), settings)
        exchange.last, exchange.model = asked.last, asked.models[0]
        check_schema_words(asked, settings)
        state.account.check_funds()
        models = route(asked, settings)
        exchange.model = models[0]
        if asked.images:
            await check_images(asked.images, state.origins, fetches_urls=settings.fetches_urls)
            settings = state.settings
        max_tokens = output_cap(asked, settings)
        answer = write_answer(asked, settings, exchange.digest, max_tokens)
        return self._admitted(exchange, asked, answer, max_tokens, models[1:])

    def _admitted(
        self, exchange: Exchange, asked: ParsedRequest, answer: Answer, max_tokens: int, fallbacks: Sequence[str]
    ) -> Accepted:
        """Check rates and money, draw the fate and count the request: without a pause."""
        state, settings, model = self._state, self._state.settings, exchange.model
        worst = charge_of(model, settings, asked.prompt_tokens, max_tokens)
        counted = settings.tokens_counted
        tokens = {"worst": max_tokens, "used": answer.completion_tokens, "answered": 0}[counted]
        state.limits.check(settings, model, asked.prompt_tokens + tokens)
        state.limits.check_running(settings, model, state.running)
        exchange.held = state.account.hold(worst)
        fate = state.fates.decide(exchange.digest, settings.misbehaviour)
        if fate.kind in OF_PROVIDER and fallbacks:
            exchange.model = model = fallbacks[0]
        elif fate.kind is not None and misbehaving_replies.applies(fate, answer):
            exchange.fate = fate
            answer = misbehaving_replies.spoilt_answer(fate, answer, max_tokens)
            tokens = answer.completion_tokens if counted == "used" else tokens
        state.limits.count(settings, model, 0 if counted == "answered" else asked.prompt_tokens + tokens)
        return Accepted(asked, answer, charge_of(model, settings, asked.prompt_tokens, answer.completion_tokens))

    async def _reply(self, http: web.BaseRequest, exchange: Exchange, accepted: Accepted) -> web.StreamResponse:
        state, kind = self._state, exchange.fate.kind
        refusal = misbehaving_replies.refusal(exchange.fate, exchange.model, exchange.last) if kind else None
        status = refusal.status if refusal else 0 if kind in (Misbehaviour.RESET_EARLY, Misbehaviour.STALL) else 200
        billed = kind is None or kind in BILLED
        entry = self._book(exchange, status, accepted.charge if billed else Charge(0, 0, 0, 0))
        if kind == Misbehaviour.RESET_EARLY:
            return delivery.reset(http)
        if billed:
            state.remember(entry, accepted.answer.finish_reason, streamed=accepted.asked.stream)
        if state.settings.latency.median:
            rng = random.Random(exchange.digest[8:16])  # noqa: S311 - repeatable on purpose
            await state.clock.sleep(sample(rng, state.settings.latency))
        if refusal is not None:
            return delivery.refused(refusal, exchange.generation_id)
        return await self._answer(http, exchange, accepted, int(entry.time))

    async def _answer(
        self, http: web.BaseRequest, exchange: Exchange, accepted: Accepted, created: int
    ) -> web.StreamResponse:
        generation_id, fate, charge = exchange.generation_id, exchange.fate, accepted.charge
        self._state.limits.count_answer(self._state.settings, charge.prompt_tokens + charge.completion_tokens)
        if fate.kind == Misbehaviour.STALL:
            await self._state.clock.sleep(self._state.settings.stall_seconds)
            return delivery.reset(http)
        body = wire.completion(generation_id, created, exchange.model, accepted.answer, charge)
        if fate.kind is not None:
            body = misbehaving_replies.spoilt_body(fate, body)
        if accepted.asked.stream:
            return await self._stream(http, exchange, body)
        data = misbehaving_replies.encoded(fate, dialects.completion(body, self._state.settings))
        if fate.kind not in (Misbehaviour.SLOW_DRIP, Misbehaviour.RESET_LATE):
            return delivery.whole(data, generation_id, self._state.limits.headers(self._state.settings))
        step = -(-len(data) // 20)
        parts = [data[at : at + step] for at in range(0, len(data), step)]
        return await self._in_parts(http, exchange, parts, events=False)

    async def _stream(self, http: web.BaseRequest, exchange: Exchange, body: object) -> web.StreamResponse:
        events = wire.events(body)
        if exchange.fate.kind == Misbehaviour.TRUNCATED_BODY:
            events = events[: len(events) // 2]
        return await self._in_parts(http, exchange, events, events=True)

    async def _in_parts(
        self, http: web.BaseRequest, exchange: Exchange, parts: list[bytes], *, events: bool
    ) -> web.StreamResponse:
        slow = exchange.fate.kind == Misbehaviour.SLOW_DRIP
        return await delivery.in_parts(
            http,
            parts,
            exchange.generation_id,
            events=events,
            clock=self._state.clock,
            seconds=self._state.settings.drip_seconds if slow else 0.0,
            break_off=exchange.fate.kind == Misbehaviour.RESET_LATE,
        )

    def _book(self, exchange: Exchange, status: int, charge: Charge) -> LogEntry:
        entry = LogEntry(
            time=self._state.clock.wall(),
            generation_id=exchange.generation_id,
            status=status,
            kind=exchange.fate.kind,
            model=exchange.model,
            body=exchange.digest[:8].hex(),
            text=hashlib.sha256(exchange.last.encode()).hexdigest()[:8],
            prompt_tokens=charge.prompt_tokens,
            completion_tokens=charge.completion_tokens,
            cost_pico=charge.pico,
            cost_usd=usd(charge.pico),
            key=exchange.key,
        )
        self._state.book(entry)
        return entry


def output_cap(asked: ParsedRequest, settings: EmulatorSettings) -> int:
    """Return how many tokens the answer may have; raises the 400 `ErrorReply` of a prompt that is too long."""
    wanted = asked.max_tokens or 0
    if asked.prompt_tokens + wanted > settings.context_length:
        raise classic(
            400,
            f"This endpoint's maximum context length is {settings.context_length} tokens. However, you requested about "
            f"{asked.prompt_tokens + wanted} tokens ({asked.prompt_tokens} of text input, {wanted} in the output). "
            "Please reduce the length of either one.",
            error_type="context_length_exceeded",
            metadata={"provider_name": None},
        )
    left = settings.context_length - asked.prompt_tokens
    return min(asked.max_tokens or settings.max_completion_tokens, settings.max_completion_tokens, max(1, left))


def charge_of(model: str, settings: EmulatorSettings, prompt_tokens: int, completion_tokens: int) -> Charge:
    """Return what a completion of that size costs."""
    prompt, completion = prices(model, settings)
    return Charge(prompt_tokens, completion_tokens, prompt_tokens * pico(prompt), completion_tokens * pico(completion))
