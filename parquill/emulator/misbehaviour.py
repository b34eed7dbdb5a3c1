"""What the emulator does wrong on purpose, and when.

A fate is decided by (seed, body digest, how often this body was seen before), never by the
order in which requests arrive: the same job meets the same weather whatever its concurrency.
"""

from __future__ import annotations

import hashlib
from collections import Counter, deque
from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple


class Misbehaviour(StrEnum):
    """Kinds of odd replies; each was seen on OpenRouter or a compatible server.

    Only those in `BILLED` are charged: OpenRouter does not charge failed runs nor an answer
    that ends in an error, but a non-streaming run goes on when its client is gone.
    """

    TIMEOUT = "timeout"  # 408
    SERVER_ERROR = "server_error"  # 500
    BAD_GATEWAY = "bad_gateway"  # 502
    UNAVAILABLE = "unavailable"  # 503 with Retry-After
    GATEWAY_TIMEOUT = "gateway_timeout"  # 504
    EDGE_TIMEOUT = "edge_timeout"  # 524: the edge gave up, the model ran on
    OVERLOADED = "overloaded"  # 529
    UPSTREAM_LIMIT = "upstream_limit"  # 429 of the provider's shared pool, with Retry-After
    HTML = "html"  # 502 as a web page
    MODERATED = "moderated"  # 403 with reasons and flagged_input, each time for the same body
    GUARDRAIL = "guardrail"  # 403 with patterns, each time for the same body
    ERROR_IN_200 = "error_in_200"
    ERROR_STRING = "error_string"
    ERROR_DETAIL = "error_detail"
    ERROR_LIST = "error_list"
    EMPTY_CHOICES = "empty_choices"
    NULL_CONTENT = "null_content"
    PARTIAL_ERROR = "partial_error"  # some text, then finish_reason error
    TRUNCATED_BODY = "truncated_body"  # valid HTTP, half of the JSON
    RESET_EARLY = "reset_early"  # before any byte, before the request was accepted
    RESET_LATE = "reset_late"  # in the middle of the body
    STALL = "stall"  # accepted, then silence until the connection ends
    SLOW_DRIP = "slow_drip"
    NO_USAGE = "no_usage"
    NEGATIVE_USAGE = "negative_usage"
    WHITESPACE_LOOP = "whitespace_loop"
    PHRASE_LOOP = "phrase_loop"
    PROSE_AROUND = "prose_around"
    FENCED = "fenced"
    TRAILING_COMMA = "trailing_comma"


BILLED = frozenset(
    {
        Misbehaviour.EDGE_TIMEOUT,
        Misbehaviour.NULL_CONTENT,
        Misbehaviour.TRUNCATED_BODY,
        Misbehaviour.RESET_LATE,
        Misbehaviour.STALL,
        Misbehaviour.SLOW_DRIP,
        Misbehaviour.NO_USAGE,
        Misbehaviour.NEGATIVE_USAGE,
        Misbehaviour.WHITESPACE_LOOP,
        Misbehaviour.PHRASE_LOOP,
        Misbehaviour.PROSE_AROUND,
        Misbehaviour.FENCED,
        Misbehaviour.TRAILING_COMMA,
    }
)
"""Kinds whose tokens are charged all the same."""

OF_JSON = frozenset({Misbehaviour.PROSE_AROUND, Misbehaviour.FENCED, Misbehaviour.TRAILING_COMMA})
"""Kinds that only an answer in JSON can have."""

OF_PROVIDER = frozenset(
    {
        Misbehaviour.SERVER_ERROR,
        Misbehaviour.BAD_GATEWAY,
        Misbehaviour.UNAVAILABLE,
        Misbehaviour.OVERLOADED,
        Misbehaviour.UPSTREAM_LIMIT,
    }
)
"""Kinds after which OpenRouter tries the next of `models`."""

OF_BODY = frozenset({Misbehaviour.MODERATED, Misbehaviour.GUARDRAIL})
"""Kinds that a body meets at every try, or never."""


class Fate(NamedTuple):
    """What happens to one request; `chance` in [0, 1) is for what the kind leaves open."""

    kind: Misbehaviour | None
    chance: float


FAIR = Fate(None, 0.0)


def roll(seed: int, digest: bytes, seen: int) -> Fate:
    """Return two independent uniform numbers for one try; the first is in `chance`."""
    drawn = hashlib.blake2b(digest + seen.to_bytes(8, "big"), digest_size=8, key=seed.to_bytes(16, "big", signed=True))
    return Fate(None, int.from_bytes(drawn.digest(), "big") / 2**64)


class Fates:
    """Decides each request's fate; remembers how often a body came while any kind is possible."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._seen: Counter[bytes] = Counter()
        self._planned: deque[Misbehaviour | None] = deque()

    def plan(self, kinds: tuple[Misbehaviour | None, ...]) -> None:
        """Give the next requests these fates, in order of arrival; None is a good reply."""
        self._planned.extend(kinds)

    def recall(self, body: str) -> None:
        """Count a try of an earlier run; `body` is the digest's first 16 hex digits."""
        self._seen[bytes.fromhex(body)] += 1

    def decide(self, digest: bytes, odds: Mapping[Misbehaviour, float]) -> Fate:
        """Return the fate of a request whose body has this digest (16 bytes)."""
        if self._planned:
            return Fate(self._planned.popleft(), 0.5)
        if not odds:
            return FAIR
        key = digest[:8]
        seen = self._seen[key]
        self._seen[key] = seen + 1
        return self._drawn(digest, seen, odds)

    def _drawn(self, digest: bytes, seen: int, odds: Mapping[Misbehaviour, float]) -> Fate:
        by_body, by_try = roll(self._seed, digest, 2**40).chance, roll(self._seed, digest, seen).chance
        body_floor = try_floor = 0.0
        for kind, odd in odds.items():
            if kind in OF_BODY:
                if body_floor <= by_body < body_floor + odd:
                    return Fate(kind, 0.5)
                body_floor += odd
            elif try_floor <= by_try < try_floor + odd:
                return Fate(kind, (by_try - try_floor) / odd)
            else:
                try_floor += odd
        return FAIR
