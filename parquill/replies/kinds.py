"""Decides the error kind: by the type that the sender names, else by status and words.

Types are those of OpenRouter's documentation; words are those of OpenRouter, vLLM, llama.cpp,
Ollama, LM Studio, DeepInfra, Google AI Studio, OpenAI and LiteLLM as captured in 2025 and 2026.
"""

from __future__ import annotations

import re

from parquill.errors import ErrorKind
from parquill.replies.error_objects import Fault

_TYPES = {
    "context_length_exceeded": ErrorKind.CONTEXT_OVERFLOW,
    "exceed_context_size_error": ErrorKind.CONTEXT_OVERFLOW,
    "max_tokens_exceeded": ErrorKind.CONTEXT_OVERFLOW,
    "token_limit_exceeded": ErrorKind.CONTEXT_OVERFLOW,
    "string_too_long": ErrorKind.CONTEXT_OVERFLOW,
    "image_download_failed": ErrorKind.IMAGE_UNREACHABLE,
    "image_not_found": ErrorKind.IMAGE_UNREACHABLE,
    "invalid_image": ErrorKind.IMAGE_INVALID,
    "image_too_large": ErrorKind.IMAGE_INVALID,
    "image_too_small": ErrorKind.IMAGE_INVALID,
    "unsupported_image_format": ErrorKind.IMAGE_INVALID,
    "content_policy_violation": ErrorKind.MODERATED,
    "content_filter": ErrorKind.MODERATED,
    "refusal": ErrorKind.MODERATED,
}
_CONTEXT = re.compile(
    r"context (length|size|window)|maximum (context|model|input) length|too many tokens|prompt is too long"
    r"|token count[^.]{0,40}exceeds|exceeds the maximum number of tokens",
    re.I,
)
_IMAGE = re.compile(r"\b(image|image_url|picture)\b", re.I)
_UNREACHABLE = re.compile(r"download|fetch|retriev|unreachable|could not (get|load).{0,20}url", re.I)
_VLLM_FETCHES = re.compile(r"^Cannot connect to host \S+ ssl:")
"""vLLM 0.32 answers with a 500 when it cannot reach the host of a picture's URL."""
_TOO_LARGE = re.compile(r"cannot exceed|too (large|big)|larger than|exceeds", re.I)

_AT_ONCE = re.compile(
    r"max_parallel_requests|(parallel|concurrent) (requests?|connections?)|concurrency limit|requests in flight", re.I
)

_MODERATION = re.compile(r"flagged by moderation|blocked by (a )?guardrail|content (policy|filter)", re.I)

_KEY_LIMITS = (
    "openrouter_key_limit",
    "openrouter_credits",
    "openrouter_workspace_budget",
    "openrouter_guardrail_budget",
)
_NO_MONEY = frozenset({"insufficient_quota", "billing_hard_limit_reached", "payment_required"})
_NO_MODEL = frozenset({"model_not_found", "not_found_error", "wrong_endpoint"})
_BAD_KEY = re.compile(
    r"api.?key\W{0,3}(is |was )?(not valid|invalid|expired)|(invalid|incorrect|expired) api.?key", re.I
)
_UNKNOWN_MODEL = re.compile(
    r"not a valid model|no such model|unknown model|model not found|invalid model( name| id|:)"
    r"|\bmodel:? \S{1,200} (is |was |could )?(not (be )?found|does not exist)",
    re.I,
)
_WRONG_ADDRESS = re.compile(r"unexpected endpoint|method not allowed|no such route|unknown request url", re.I)


def row_kind_by_type(fault: Fault, status: int) -> ErrorKind | None:
    """Faults of this row's own prompt or picture, where the sender names their type."""
    for name in fault.names:
        if name in _TYPES:
            return _TYPES[name]
    if status == 403 and fault.limit_source not in _KEY_LIMITS and _is_moderation(fault):
        return ErrorKind.MODERATED
    return None


def row_kind_by_words(fault: Fault, status: int) -> ErrorKind | None:
    """The same by the message. llama.cpp says some of them with a 500, LM Studio with a 200."""
    if status not in (200, 400, 413, 422, 500):
        return None
    if _CONTEXT.search(fault.message):
        return ErrorKind.CONTEXT_OVERFLOW
    if "image input is not supported" in fault.message:
        return ErrorKind.IMAGE_REFUSED
    if status == 500 and "InternalServerError" in fault.names and _VLLM_FETCHES.search(fault.message):
        return ErrorKind.IMAGE_UNREACHABLE
    if status in (200, 500) or not _IMAGE.search(fault.message):
        return None
    if _UNREACHABLE.search(fault.message) and not _TOO_LARGE.search(fault.message):
        return ErrorKind.IMAGE_UNREACHABLE
    return ErrorKind.IMAGE_INVALID


def run_fault(fault: Fault, status: int) -> str | None:
    """What is wrong with the run as a whole (key, credit, model, address), or None."""
    said = f"HTTP {status}: {fault.message}"
    if status == 401 or (status == 400 and ("invalid_api_key" in fault.names or _BAD_KEY.search(fault.message))):
        return f"the endpoint does not accept the key: {fault.message}"
    if status == 400 and "no_db_connection" in fault.names:
        return f"the gateway does not know the key, and has no database of keys: {fault.message}"
    if status == 402 or (status < 500 and _NO_MONEY.intersection(fault.names)):
        return f"{said} (add credit or raise the key's limit)"
    if status == 403:
        return f"{said} (check the key's permissions and budget)"
    if status in (400, 404, 422) and (_NO_MODEL.intersection(fault.names) or _UNKNOWN_MODEL.search(fault.message)):
        return f"the endpoint has no such model: {fault.message}"
    if status in (200, 405) and _WRONG_ADDRESS.search(fault.message):
        return f"model.endpoint is not the address of a chat API: {fault.message}"
    return f"no endpoint takes this job: {fault.message}" if status == 404 else None


def is_money(fault: Fault, status: int) -> bool:
    """Whether a refusal is for want of money, which no row can have for reasons of its own."""
    return status == 402 or bool(_NO_MONEY.intersection(fault.names)) or fault.limit_source in _KEY_LIMITS


def is_in_flight_money(fault: Fault, status: int) -> bool:
    """The 402 that passes: the balance is positive, but held for requests in flight."""
    return status == 402 and (
        fault.limit_source == "openrouter_in_flight_budget"
        or (fault.metadata or {}).get("reason") == "in_flight_budget_exhausted"
    )


def is_daily(fault: Fault) -> bool:
    """Whether the limit that was hit resets once a day: the message's word, else its source's."""
    if re.search(r"per[- ]?min", fault.message, re.I):
        return False
    return bool(re.search(r"per[- ]?day|daily", f"{fault.message} {fault.limit_source}", re.I))


def is_at_once(fault: Fault) -> bool:
    """Whether the message says that too many requests run at once, whatever a minute allows."""
    return bool(_AT_ONCE.search(fault.message))


def _is_moderation(fault: Fault) -> bool:
    """By what comes with it; a gateway such as LiteLLM passes on the words alone."""
    named = any(key in (fault.metadata or {}) for key in ("reasons", "flagged_input", "patterns"))
    return named or bool(_MODERATION.search(fault.message))
