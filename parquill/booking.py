"""The one booking rule: decides what one request cost, from what was sent and what came back.

`book` is pure and decides every amount that Parquill writes down for a request: `run`, its
portions, `doctor` and `estimate --calibrate` all use it. Its table, row by row with the replies
that lead there, is docs/booking.md, which the tests read and run.

Guarantee: what is booked is what the endpoint told where it told it, and never less than it may
have billed otherwise. The one other amount is written by the ledger itself: a request whose
process died keeps the `worst_pico` that was noted before it was sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from parquill.chat import Usage
from parquill.prices import Price
from parquill.replies import Verdict
from parquill.results import CostSource


@dataclass(frozen=True, slots=True)
class Request:
    """What of a request bears on its cost."""

    worst_pico: int
    """The most it can cost in pico-USD; 0 where no price is known."""
    images: int
    """Pictures sent."""


class Reason(StrEnum):
    """Why an amount was booked."""

    TOLD = "told"
    """The endpoint told the cost."""
    COUNTED = "counted"
    """The endpoint counted the tokens: they cost what the price says."""
    POSSIBLE = "possible"
    """It may have been billed, and nothing tells how much: the worst case."""
    NOTHING = "nothing"
    """It was not sent, or refused as a whole: nothing was billed."""


@dataclass(frozen=True, slots=True)
class Booking:
    """One request as it is booked; money in pico-USD.

    `cost_pico` is None where no price is known; token counts are None where the endpoint may have counted some
    and did not tell.
    """

    cost_pico: int | None
    source: CostSource
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    upstream_pico: int | None = None
    """The part that a provider bills whose key is the user's own; None where there is none."""
    reason: Reason | None = None
    """None for sums that were read back from a part or a ledger."""

    @property
    def tokens(self) -> int | None:
        """Prompt and completion together; None where they are not known."""
        if self.prompt_tokens is None or self.completion_tokens is None:
            return None
        return self.prompt_tokens + self.completion_tokens


def book(request: Request, verdict: Verdict, price: Price | None) -> Booking:
    """Return how one request is booked.

    Args:
        request: What was sent.
        verdict: What came back, as `replies.classify` read it.
        price: The run's price; None where it is not known.
    """
    usage = verdict.usage
    if usage is None:
        if verdict.completion is None and not verdict.lost:
            return Booking(0, CostSource.ENDPOINT, 0, 0, 0, reason=Reason.NOTHING)
        cost, source = (None, CostSource.UNKNOWN) if price is None else (request.worst_pico, CostSource.ESTIMATE)
        return Booking(cost, source, reason=Reason.POSSIBLE)
    tokens = usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens
    if usage.cost_pico is not None:
        upstream = usage.upstream_pico
        return Booking(usage.cost_pico, CostSource.ENDPOINT, *tokens, upstream_pico=upstream, reason=Reason.TOLD)
    if price is None:
        return Booking(None, CostSource.UNKNOWN, *tokens, reason=Reason.COUNTED)
    cost = usage.fee_pico + _priced(usage, price, _provider(verdict), request.images)
    return Booking(cost, CostSource.PRICE, *tokens, reason=Reason.COUNTED)


def _provider(verdict: Verdict) -> str | None:
    reply = verdict.completion or verdict.unused
    return reply.provider if reply is not None else None


def _priced(usage: Usage, price: Price, provider: str | None, images: int) -> int:
    """What counted tokens cost: at the provider that answered, else at the most that any of them asks."""
    counts = usage.prompt_tokens or 0, usage.completion_tokens or 0, images
    known = price.for_provider(provider)
    if known is price and price.offers:
        return price.worst_pico(*counts)
    return known.cost_pico(*counts)
