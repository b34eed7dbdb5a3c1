"""What an emulator is told before it starts, and the named profiles of it."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from parquill.emulator.misbehaviour import OF_BODY, Misbehaviour
from parquill.errors import UsageError
from parquill.money import PICO

GEMMA_PARAMETERS = (
    "max_tokens",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "stop",
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "repetition_penalty",
    "response_format",
    "structured_outputs",
)
"""`supported_parameters` of google/gemma-3-4b-it on OpenRouter in 2026; no tools."""

TOOL_PARAMETERS = ("tools", "tool_choice")


@dataclass(frozen=True, slots=True)
class Spread:
    """A log-normal distribution by its median; `sigma` 0 makes it a fixed value."""

    median: float = 0.0
    sigma: float = 0.0

    def __post_init__(self) -> None:
        if self.median < 0 or self.sigma < 0:
            raise UsageError(f"emulator: a spread needs a median and a sigma of at least 0, not {self}")


@dataclass(frozen=True, slots=True)
class EmulatorSettings:
    """One emulator. Money is in USD, time in seconds; None means without that limit.

    `seed` decides answers and misfortunes. `port` 0 takes a free one. `latency` passes between
    accepting a request and answering it; `output_tokens` is how long plain answers are.
    `tokens_counted` says what a request weighs in `tokens_per_minute`: what it `used`, or its `worst`
    case, prompt and max_tokens; `answered`: what it used, counted with its answer only. `window_phase`
    shifts fixed windows, which otherwise begin when the emulator starts. `count_rejected`: a request
    refused by a minute's limit counts in it as well. `limit_form` is whose 429 it is: OpenRouter's
    `own` (X-RateLimit-*), the provider's (`upstream`, Retry-After), or that of LiteLLM's proxy.
    `limit_headers`: what good replies say of the minute's limits, nothing as OpenRouter's, or what
    `openai` or `litellm` does (that one without resets). `dialect`: whose words and fields its replies
    have, OpenRouter's or a server's at home (`dialects`). `refused_words`: words of JSON Schema that
    are refused in a request's schema (`schema_words`).
    `misbehaviour` holds probabilities by kind.

    Raises `UsageError` for values that make no sense, and for a host outside this machine
    unless `allow_remote` is set.
    """

    seed: int = 0
    host: str = "127.0.0.1"
    port: int = 0
    allow_remote: bool = False
    log_path: Path | None = None
    models: tuple[str, ...] = ("google/gemma-3-4b-it", "google/gemma-3-12b-it", "google/gemma-3-27b-it")
    prompt_price: Decimal = Decimal("0.00000002")
    completion_price: Decimal = Decimal("0.00000004")
    context_length: int = 131_072
    max_completion_tokens: int = 16_384
    supported_parameters: tuple[str, ...] = GEMMA_PARAMETERS
    fetches_urls: bool = True
    latency: Spread = Spread()
    output_tokens: Spread = Spread(40, 0.4)
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    free_requests_per_minute: int | None = 20
    free_requests_per_day: int | None = 50
    window: Literal["fixed", "sliding"] = "fixed"
    window_phase: float = 0.0
    tokens_counted: Literal["used", "worst", "answered"] = "used"
    count_rejected: bool = False
    limit_form: Literal["own", "upstream", "litellm"] = "own"
    limit_headers: Literal["none", "openai", "litellm"] = "none"
    max_concurrent: int | None = None
    credit_usd: Decimal | None = None
    key_limit_usd: Decimal | None = None
    guardrail_usd: Decimal | None = None
    in_flight_budget_usd: Decimal | None = None
    api_keys: tuple[str, ...] | None = None
    management_key: bool = False
    generation_delay: float = 0.0
    stall_seconds: float = 120.0
    drip_seconds: float = 2.0
    dialect: Literal["openrouter", "ollama", "lmstudio"] = "openrouter"
    refused_words: frozenset[str] = frozenset()
    misbehaviour: Mapping[Misbehaviour, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.allow_remote and not _is_loopback(self.host):
            raise UsageError(
                f"emulator: {self.host!r} can be reached from other machines; "
                "use 127.0.0.1, or say allow_remote if that is meant"
            )
        for price in (self.prompt_price, self.completion_price):
            pico(price)
        _check_odds(self.misbehaviour)

    @classmethod
    def of_profile(cls, name: str, **changes: Any) -> EmulatorSettings:
        """Return the settings that `name` (one of `PROFILES`) stands for, with `changes` to them."""
        if name not in PROFILES:
            raise UsageError(f"emulator: no profile {name!r}; there are {', '.join(PROFILES)}")
        return cls(**{**PROFILES[name], **changes})


def pico(usd: Decimal) -> int:
    """Return an amount in pico-USD; raises `UsageError` where it is negative or finer than that."""
    amount = usd * PICO
    if not usd.is_finite() or amount < 0 or amount != amount.to_integral_value():
        raise UsageError(f"emulator: {usd} is no amount of money in whole 10**-12 USD")
    return int(amount)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_odds(odds: Mapping[Misbehaviour, float]) -> None:
    per_try = sum(odd for kind, odd in odds.items() if kind not in OF_BODY)
    if any(odd < 0 for odd in odds.values()) or per_try > 1 + 1e-9:
        raise UsageError(f"emulator: probabilities of misbehaviour lie between 0 and 1 in total, not {per_try}")


_AT_HOME: dict[str, Any] = {
    "prompt_price": Decimal(0),
    "completion_price": Decimal(0),
    "context_length": 8_192,
    "fetches_urls": False,
}

PROFILES: dict[str, dict[str, Any]] = {
    # Answers at once and never fails.
    "calm": {},
    # A good working day: some latency, a limit of its own, a few refusals and fences.
    "busy": {
        "latency": Spread(0.4, 0.5),
        "requests_per_minute": 3_000,
        "max_concurrent": 200,
        "limit_form": "upstream",
        "misbehaviour": {Misbehaviour.UPSTREAM_LIMIT: 0.01, Misbehaviour.UNAVAILABLE: 0.005, Misbehaviour.FENCED: 0.02},
    },
    # A bad day: one request in five is lost, late or wrong.
    "stormy": {
        "latency": Spread(0.6, 0.8),
        "max_concurrent": 64,
        "limit_form": "upstream",
        "stall_seconds": 20.0,
        "misbehaviour": {
            Misbehaviour.UPSTREAM_LIMIT: 0.05,
            Misbehaviour.SERVER_ERROR: 0.02,
            Misbehaviour.BAD_GATEWAY: 0.02,
            Misbehaviour.UNAVAILABLE: 0.02,
            Misbehaviour.OVERLOADED: 0.02,
            Misbehaviour.EDGE_TIMEOUT: 0.01,
            Misbehaviour.ERROR_IN_200: 0.01,
            Misbehaviour.PARTIAL_ERROR: 0.01,
            Misbehaviour.NULL_CONTENT: 0.01,
            Misbehaviour.RESET_EARLY: 0.01,
            Misbehaviour.RESET_LATE: 0.01,
            Misbehaviour.STALL: 0.005,
            Misbehaviour.FENCED: 0.02,
        },
    },
    # Everything that was ever seen to go wrong, each at 1.5 %: two requests in five.
    "broken": {
        "stall_seconds": 5.0,
        "drip_seconds": 0.5,
        "misbehaviour": dict.fromkeys(Misbehaviour, 0.015),
    },
    # Gemma 3 4B on a machine of one's own, with a context of 8192 tokens.
    "ollama": {**_AT_HOME, "dialect": "ollama", "models": ("gemma3:4b",)},
    "lmstudio": {**_AT_HOME, "dialect": "lmstudio", "models": ("gemma-3-4b-it",)},
}
"""Named settings; repeatable by seed, whatever the order and the concurrency of requests."""
