"""The few requests of an examination: each sent once, each booked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from parquill.booking import Request, book
from parquill.chat import ChatRequest, RequestBody
from parquill.client import Client
from parquill.prices import Price
from parquill.replies import Verdict, classify
from parquill.tokens import TokenCounter, TokenEstimate

MOST = 3


class Trial:
    """Sends at most three chat requests and adds up what they cost."""

    def __init__(self, client: Client, price: Price | None, counter: TokenCounter, seconds: float) -> None:
        """Each request may take so many `seconds`, as in a run: a local server may have to load the model first."""
        self._client = client
        self._seconds = seconds
        self._price = price
        self._counter = counter
        self.sent = 0
        self.cost_pico: int | None = 0

    @property
    def left(self) -> int:
        """Requests that may still be sent."""
        return MOST - self.sent

    def count(self, request: ChatRequest) -> TokenEstimate:
        """Return how many prompt tokens a request should have."""
        return self._counter.count(request)

    async def ask(self, request: ChatRequest, settings: Mapping[str, Any]) -> Verdict:
        """Send one request; `settings` is its body without the messages."""
        assert self.left
        images = sum(turn.images for turn in request.turns)
        body = RequestBody(settings).build(request)
        exchange = await self._client.complete(body, seconds=self._seconds, on_id=lambda _: None)
        self.sent += exchange.sent
        verdict = classify(exchange)
        most_tokens = settings.get("max_tokens") or settings["max_completion_tokens"]
        most = self._price.worst_pico(self.count(request).upper, most_tokens, images) if self._price else 0
        cost = book(Request(most, images), verdict, self._price).cost_pico
        self.cost_pico = None if cost is None or self.cost_pico is None else self.cost_pico + cost
        return verdict
