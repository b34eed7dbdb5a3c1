"""An endpoint in memory: it answers, refuses, breaks off and sends odd usage, and keeps its own bill."""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from parquill.clock import Clock
from parquill.job import Job, Secret
from parquill.replies import Exchange
from tests.simulation.whole.machine import Log
from tests.simulation.whole.plans import MAX_TOKENS, PRICE, Plan

BASE = "http://endpoint.example/v1"


@dataclass(frozen=True)
class Reply:
    """What comes back, and what is billed for it, whatever the usage says."""

    status: int
    body: Any
    billed: int
    told: bool
    """Whether the usage says all that was billed."""
    broken: str | None = None
    headers: Mapping[str, str] | None = None


class Endpoint:
    """A transport that leads nowhere."""

    def __init__(self, plan: Plan, life: int, clock: Clock, log: Log, *, well: bool) -> None:
        """`well`: fast, and without faults."""
        self._plan, self._life, self._clock, self._log = plan, life, clock, log
        self._rng = random.Random(f"endpoint {plan.seed} {life}")
        self._well = well
        self._flying = 0

    @contextlib.asynccontextmanager
    async def connect(
        self, job: Job, key: Secret | None, log: Path | None, where: str | None = None, /
    ) -> AsyncIterator[tuple[Endpoint, str]]:
        yield self, BASE

    async def get_json(self, path: str, *, seconds: float = 20.0) -> tuple[int, Any]:
        return 200, {"data": []}

    async def is_there(self, path: str, *, seconds: float) -> bool:
        return True

    async def complete(self, body: bytes, *, seconds: float, on_id: Callable[[str], object]) -> Exchange:
        text = _text(json.loads(body))
        reply = self._reply(text)
        takes = self._rng.lognormvariate(0.0, 0.6) * (0.05 if self._well else self._plan.latency)
        if reply.broken == "timeout":
            takes = seconds + 1
        self._flying += 1
        self._log.add(
            "sent", life=self._life, text=text, at=self._clock.monotonic(), wall=self._clock.wall(), seconds=seconds,
            flying=self._flying, well=self._well, billed=reply.billed, told=reply.told and takes < seconds,
        )  # fmt: skip
        began = self._clock.monotonic()
        try:
            await self._clock.sleep(min(takes, seconds))
        finally:
            self._flying -= 1
        latency = int((self._clock.monotonic() - began) * 1000)
        if takes >= seconds:
            return Exchange(0, {}, b"", latency, "timeout", detail=f"no whole reply within {seconds:g} s")
        if reply.broken is not None:
            return Exchange(0, {}, b"", latency, "connection", sent=reply.broken != "unsent", detail=reply.broken)
        self._log.add("received", life=self._life, text=text, status=reply.status)
        return Exchange(reply.status, dict(reply.headers or {}), json.dumps(reply.body).encode(), latency)

    def _reply(self, text: str) -> Reply:
        prompt, completion = 6 + len(text) // 4, self._rng.randint(1, MAX_TOKENS)
        faults = {} if self._well else self._plan.faults
        kind = next((name for name, share in faults.items() if self._rng.random() < share), "answer")
        return _REPLIES[kind](text, prompt, completion)


def _text(body: dict[str, Any]) -> str:
    content = body["messages"][-1]["content"]
    return str(content if isinstance(content, str) else content[0]["text"])


def answer_to(text: str) -> str:
    """The answer to a row's text."""
    return f"an answer to {text}"


def _usd(pico: int) -> float:
    return float(Decimal(pico).scaleb(-12))


def _chat(text: str, usage: Any, *, finish: str = "stop", **more: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": answer_to(text)}
    choices = [{"index": 0, "message": message, "finish_reason": finish}]
    body = {"id": "gen-1", "object": "chat.completion", "model": "m", "choices": choices, "usage": usage}
    return {name: value for name, value in {**body, **more}.items() if value is not None}


def _usage(prompt: int, completion: int, **more: Any) -> dict[str, Any]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion, **more}


def _answer(text: str, prompt: int, completion: int) -> Reply:
    pico = (prompt + completion) * PRICE
    return Reply(200, _chat(text, _usage(prompt, completion, cost=_usd(pico))), pico, told=True)


def _billed(text: str, prompt: int, completion: int) -> int:
    return (prompt + completion) * PRICE


def _byok(text: str, prompt: int, completion: int, *, told: bool) -> Reply:
    """The provider bills the user's own key; the endpoint itself took nothing."""
    pico = (prompt + completion) * PRICE
    details = {"cost_details": {"upstream_inference_cost": _usd(pico)}} if told else {}
    return Reply(200, _chat(text, _usage(prompt, completion, cost=0, is_byok=True, **details)), pico, told=told)


def _more_tokens(text: str, prompt: int, completion: int) -> Reply:
    """Tokens that were thought, not written: in the total alone, and billed."""
    hidden = MAX_TOKENS - completion
    usage = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion + hidden}
    return Reply(200, _chat(text, usage), (prompt + completion + hidden) * PRICE, told=True)


def _half_usage(text: str, prompt: int, completion: int) -> Reply:
    usage = {"prompt_tokens": prompt, "total_tokens": prompt + completion}
    return Reply(200, _chat(text, usage), (prompt + completion) * PRICE, told=True)


def _error(status: int, code: int, **headers: str) -> Callable[[str, int, int], Reply]:
    body = {"error": {"message": "simulated", "code": code}}
    return lambda text, prompt, completion: Reply(status, body, 0, told=True, headers=headers)


def _broken(how: str, *, billed: bool) -> Callable[[str, int, int], Reply]:
    return lambda text, prompt, completion: Reply(
        0, None, _billed(text, prompt, completion) if billed else 0, told=not billed and how == "unsent", broken=how
    )


def _of(status: int, body: Callable[[str, int, int], Any], *, told: bool) -> Callable[[str, int, int], Reply]:
    return lambda text, prompt, completion: Reply(
        status, body(text, prompt, completion), _billed(text, prompt, completion), told=told
    )


def _costed(prompt: int, completion: int) -> dict[str, Any]:
    return _usage(prompt, completion, cost=_usd((prompt + completion) * PRICE))


_SIMULATED = {"message": "simulated", "code": 502}
_REPLIES: dict[str, Callable[[str, int, int], Reply]] = {
    "answer": _answer,
    "timeout": _broken("timeout", billed=True),
    "reset": _broken("connection", billed=True),
    "unsent": _broken("unsent", billed=False),
    "throttled": _error(429, 429, **{"retry-after": "2"}),
    "server_error": _error(500, 500),
    "overloaded": _error(503, 503),
    "gateway_timeout": _of(504, lambda *_: {"error": {"message": "simulated", "code": 504}}, told=False),
    "error_in_200": _error(200, 502),
    "error_with_usage": _of(200, lambda _, p, c: {"error": _SIMULATED, "usage": _costed(p, c)}, told=True),
    "no_choices": _of(200, lambda text, p, c: _chat(text, None, choices=[]), told=False),
    "finish_error": _of(200, lambda text, p, c: _chat(text, None, finish="error"), told=False),
    "no_usage": _of(200, lambda text, p, c: _chat(text, None), told=False),
    "byok": lambda text, p, c: _byok(text, p, c, told=True),
    "byok_untold": lambda text, p, c: _byok(text, p, c, told=False),
    "more_tokens": _more_tokens,
    "half_usage": _half_usage,
}
