"""Errors as OpenRouter words them: status, body and headers of every refusal.

An `ErrorReply` is raised where the fault is found and becomes the reply in one place. The
texts and fields follow OpenRouter's documentation and captures of 2026.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

USER_ID = "user_emulator"
DOCS = "https://openrouter.ai/docs"


@dataclass(eq=False)
class ErrorReply(Exception):  # noqa: N818 - it is a reply, not a fault of this program
    """A reply that is an error: HTTP status, JSON body (bytes: a web page) and headers."""

    status: int
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)


def classic(
    status: int,
    message: str,
    *,
    error_type: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> ErrorReply:
    """Return the usual form: `error {message, code, metadata}` and `user_id`."""
    error: dict[str, Any] = {"message": message, "code": status}
    details = {**({"error_type": error_type} if error_type else {}), **(metadata or {})}
    if details:
        error["metadata"] = details
    return ErrorReply(status, {"error": error, "user_id": USER_ID}, headers or {})


def unavailable_model(
    status: int, message: str, code: str, models: list[str], *, constraint: Mapping[str, str] | None = None
) -> ErrorReply:
    """Return the form with `availability`, which has `http_status` and no `code`."""
    availability: dict[str, Any] = {
        "code": code,
        "retryable": False,
        "requested_models": models,
        "docs_url": f"{DOCS}/api-reference/errors",
    }
    if constraint:
        availability["constraint"] = dict(constraint)
    error_type = "invalid_request" if status == 400 else "not_found"
    error = {
        "message": message,
        "error_type": error_type,
        "http_status": status,
        "availability": availability,
        "metadata": {"previous_errors": []},
    }
    return ErrorReply(status, {"error": error})


def invalid_request(message: str) -> ErrorReply:
    """Return the 400 of a body that does not fit the API."""
    return classic(400, message, error_type="invalid_request")


def upstream_rejected(message: str, *, error_type: str = "invalid_request") -> ErrorReply:
    """Return the 400 of a provider, its own words as a JSON string in `metadata.raw`."""
    raw = orjson.dumps({"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None}})
    return classic(
        400,
        "Provider returned error",
        error_type=error_type,
        metadata={"raw": raw.decode(), "provider_name": "emulator", "is_byok": False, "previous_errors": []},
    )


def own_limit(name: str, limit: int, reset_wall: float) -> ErrorReply:
    """Return OpenRouter's own 429: X-RateLimit-* headers, Reset in epoch milliseconds."""
    headers = {
        "X-RateLimit-Limit": str(limit),
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": str(math.ceil(reset_wall * 1000)),
    }
    hint = "Wait until the time in X-RateLimit-Reset, then send fewer requests."
    metadata = {"headers": headers, "limit_source": "openrouter_rate_limit", "remedy_hint": hint}
    if name.startswith("free-models"):
        metadata["limit_source"] = "openrouter_free_tier_daily"
        if name == "free-models-per-day":
            name += ". Add 10 credits to unlock 1000 free model requests per day"
    return classic(429, f"Rate limit exceeded: {name}", metadata=metadata, headers=headers)


def upstream_limit(model: str, retry_after: float | None, reason: str = "engine_overloaded") -> ErrorReply:
    """Return a provider's 429; `retry_after` in seconds, rounded up as the header wants it."""
    metadata = {
        "raw": f"{model} is temporarily rate-limited upstream. Please retry shortly, or add your own key to "
        "accumulate your rate limits: https://openrouter.ai/settings/integrations",
        "provider_name": "emulator",
        "is_byok": False,
        "provider_error_code": reason,
        "limit_source": "upstream_provider_shared_pool",
        "remedy_hint": "Retry later, or send fewer requests at once.",
    }
    headers = {} if retry_after is None else {"Retry-After": str(max(1, math.ceil(retry_after)))}
    return classic(429, "Provider returned error", metadata=metadata, headers=headers)


def gateway_limit(model: str, cause: str) -> ErrorReply:
    """Return a 429 of LiteLLM's proxy (1.110): the wait is a minute wherever it is in its own."""
    message = f"litellm.RateLimitError: {cause}\n\nLiteLLM: model group '{model}' failed with the error above. "
    error = {
        "message": message + "No fallback was attempted.",
        "type": "throttling_error",
        "param": None,
        "code": "429",
    }
    return ErrorReply(429, {"error": error}, {"llm_provider-retry-after": "60"})


def gateway_slots(model: str, slots: int) -> ErrorReply:
    """Return its 429 for too many at once, which names no wait."""
    cause = (
        f"Deployment has all max_parallel_requests slots in use. Deployment model_group={model} already has "
        f"max_parallel_requests={slots} requests in flight."
    )
    refusal = gateway_limit(model, cause)
    return ErrorReply(refusal.status, refusal.body)


def in_flight_budget(retry_after: int = 1) -> ErrorReply:
    """Return the passing 402: too much is held by requests that still run."""
    return classic(
        402,
        "This request would exceed your available credits given your current in-flight requests. "
        "Retry after in-flight requests settle, or add credits.",
        metadata={
            "reason": "in_flight_budget_exhausted",
            "limit_source": "openrouter_in_flight_budget",
            "remedy_hint": "Wait for running requests to settle, or lower concurrency.",
        },
        headers={"Retry-After": str(retry_after)},
    )


def weight_exceeds_budget(max_tokens: int, affordable: int) -> ErrorReply:
    """Return the final 402 of one request that is too dear by itself."""
    return classic(
        402,
        "This request requires more credits, or fewer max_tokens. You requested up to "
        f"{max_tokens} tokens, but can only afford {affordable}.",
        metadata={
            "reason": "weight_exceeds_budget",
            "limit_source": "openrouter_credits",
            "remedy_hint": "Lower max_tokens or add credits.",
        },
    )


def no_credit() -> ErrorReply:
    """Return the plain final 402."""
    return classic(
        402,
        "Insufficient credits. Add more using https://openrouter.ai/credits",
        error_type="payment_required",
    )


def key_limit() -> ErrorReply:
    """Return the final 402 of a key whose own cap is spent."""
    return classic(
        402,
        "Key limit exceeded (total limit). Manage it using https://openrouter.ai/settings/keys",
        metadata={"limit_source": "openrouter_key_limit", "remedy_hint": "Raise the key's limit."},
    )


def guardrail_budget(limit_usd: float, spend_usd: float, resets_at: str) -> ErrorReply:
    """Return the 403 of a guardrail whose budget is spent."""
    return classic(
        403,
        "Guardrail budget exceeded.",
        error_type="permission_denied",
        metadata={
            "limit_source": "openrouter_guardrail_budget",
            "scope": "guardrail",
            "limit_usd": limit_usd,
            "spend_usd": spend_usd,
            "resets_at": resets_at,
        },
    )


def moderated(model: str, text: str) -> ErrorReply:
    """Return the 403 of input moderation; `flagged_input` holds at most 100 characters."""
    flagged = text if len(text) <= 100 else f"{text[:49]}...{text[-48:]}"
    return classic(
        403,
        "Input flagged by moderation",
        error_type="permission_denied",
        metadata={
            "reasons": ["violence"],
            "flagged_input": flagged,
            "provider_name": "emulator",
            "model_slug": model,
        },
    )


def guardrail_patterns() -> ErrorReply:
    """Return the 403 of a guardrail that found a forbidden pattern."""
    return classic(
        403,
        "Request blocked by guardrail",
        error_type="permission_denied",
        metadata={"patterns": ["simulated-pattern"]},
    )
