"""The one classifier of an endpoint's replies: what came back, and what it means for the run.

Every form that OpenRouter and the servers that speak its dialect are known to send is read
here and nowhere else: HTTP 200 with an error inside, empty choices, null content, HTML,
`{"error": "text"}`, `{"detail": …}`, an array of errors, `object: "error"`.

A `Verdict` says whether there is an answer; if not, whose fault it is (the row's, the
endpoint's passing one, or the run's), whether to ask again, and whether the attempt may
have been billed although we hold no receipt (`lost`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import orjson

from parquill.chat import ChatCompletion, Usage, read_completion, read_usage
from parquill.errors import ErrorKind, Stop


@dataclass(frozen=True, slots=True)
class Exchange:
    """One attempt at the wire: either a status with a whole body, or why there is none.

    `broken` says how it ended without a whole body; `sent` is False when the request cannot have
    reached the endpoint (no connection was made), so that nothing can have been billed.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    latency_ms: int
    broken: Literal["timeout", "connection", "certificate"] | None = None
    sent: bool = True
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a reply means. Exactly one of `completion` and `kind` is set, but for a run's fault."""

    completion: ChatCompletion | None = None
    kind: ErrorKind | None = None
    message: str = ""
    retry: bool = False
    throttled: bool = False
    """The endpoint asked us to slow down: the gate closes and learns."""
    daily: bool = False
    """The limit that was hit resets once a day."""
    in_flight_money: bool = False
    """The 402 that waits: money is held for requests in flight."""
    wait_hint: float | None = None
    """Seconds to wait as the body says; headers are read by the gate's own parser."""
    stop: Stop | None = None
    lost: bool = False
    """Maybe billed, and no receipt: the attempt keeps its worst case."""
    usage: Usage | None = None
    status: int = 0
    """The HTTP status of a reply that is no answer."""


_RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529})
_MAYBE_BILLED = frozenset({408, 504, 524})
_KEY_LIMITS = (
    "openrouter_key_limit",
    "openrouter_credits",
    "openrouter_workspace_budget",
    "openrouter_guardrail_budget",
)


def classify(exchange: Exchange) -> Verdict:
    """Return what one exchange means; total over every status and body."""
    verdict = _classify(exchange)
    return verdict if verdict.completion is not None else replace(verdict, status=exchange.status)


def _classify(exchange: Exchange) -> Verdict:
    if exchange.broken == "certificate":
        return Verdict(stop=Stop.REFUSED, message=f"the endpoint's certificate is not trusted: {exchange.detail}")
    if exchange.broken is not None:
        kind = ErrorKind.TIMEOUT if exchange.broken == "timeout" else ErrorKind.CONNECTION
        return Verdict(kind=kind, message=exchange.detail, retry=True, lost=exchange.sent)
    try:
        body: Any = orjson.loads(exchange.body.strip() or b"null")
    except orjson.JSONDecodeError:
        return _not_json(exchange)
    fault = find_fault(body)
    if 200 <= exchange.status < 300:
        if isinstance(body, dict) and fault is None:
            return _answer(body)
        return _error(fault or Fault("the endpoint answered 200 without a completion"), 200, body)
    return _error(fault or Fault(f"HTTP {exchange.status}"), exchange.status, body)


def _not_json(exchange: Exchange) -> Verdict:
    text = re.sub(r"<[^>]*>|\s+", " ", exchange.body[:2000].decode("utf-8", "replace"))
    start = re.sub(r"\s+", " ", text).strip()[:160]
    if 200 <= exchange.status < 300:
        # Maybe an answer that was cut on its way: it was billed, whatever we hold of it.
        return Verdict(kind=ErrorKind.BAD_RESPONSE, message=f"the reply is not JSON: {start!r}", retry=True, lost=True)
    return _error(
        Fault(f"HTTP {exchange.status}: {start}" if start else f"HTTP {exchange.status}"), exchange.status, None
    )


@dataclass(frozen=True, slots=True)
class Fault:
    """An error object in any of its dialects, read into one form."""

    message: str
    code: int | None = None
    error_type: str = ""
    metadata: Mapping[str, Any] | None = None
    retryable: bool | None = None
    retry_after: float | None = None

    @property
    def limit_source(self) -> str:
        """Which of OpenRouter's limits was hit, where it says so."""
        return str((self.metadata or {}).get("limit_source") or "")


def find_fault(body: object) -> Fault | None:
    """Read the error in a reply's body, or None where the body holds none."""
    if isinstance(body, list):
        return find_fault(body[0]) if body else Fault("the reply is an empty list")
    if not isinstance(body, dict):
        return Fault("the reply is no JSON object")
    if body.get("error"):
        return _read_error(body["error"])
    if "choices" in body and body.get("object") != "error":
        choices = body["choices"]
        first = choices[0] if isinstance(choices, list) and choices else None
        if isinstance(first, dict) and first.get("error"):
            return _read_error(first["error"])
        return None
    if "detail" in body:
        return Fault(_short(body["detail"]))
    if "message" in body:
        return _read_error(body)
    return None


def _read_error(error: object) -> Fault:
    if not isinstance(error, dict):
        return Fault(_short(error))
    metadata, availability = _dict(error.get("metadata")), _dict(error.get("availability"))
    raw = metadata.get("raw")
    message = _short(error.get("message") or error.get("code") or "error")
    if raw and message.startswith("Provider returned error"):
        message = f"{message}: {_short(raw)}"
    retryable = availability.get("retryable")
    return Fault(
        message=message,
        code=_as_int(error.get("code", error.get("http_status"))) or _as_int(error.get("http_status")),
        error_type=str(metadata.get("error_type") or error.get("error_type") or error.get("type") or ""),
        metadata=metadata,
        retryable=retryable if isinstance(retryable, bool) else None,
        retry_after=_as_float(availability.get("retry_after", metadata.get("retry_after_seconds")))
        or _retry_delay(error.get("details")),
    )


def _retry_delay(details: object) -> float | None:
    """Google's RetryInfo: `{"retryDelay": "37s"}` among the details."""
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, dict) and isinstance(delay := detail.get("retryDelay"), str):
            return _as_float(delay.removesuffix("s"))
    return None


def _answer(body: Mapping[str, Any]) -> Verdict:
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        return Verdict(
            kind=ErrorKind.BAD_RESPONSE,
            message="the reply has no choices",
            retry=True,
            usage=read_usage(body.get("usage")),
        )
    completion = read_completion(body)
    if completion.finish_reason == "error":
        return Verdict(
            kind=ErrorKind.SERVER_ERROR, message="the provider broke off", retry=True, usage=completion.usage
        )
    if completion.finish_reason == "content_filter" and not completion.text:
        return Verdict(kind=ErrorKind.MODERATED, message="the provider filtered the answer", usage=completion.usage)
    if not completion.text and not completion.tool_calls:
        # Without usage we cannot tell an insured empty answer from a billed one.
        return Verdict(
            kind=ErrorKind.BAD_RESPONSE,
            message="the answer is empty",
            retry=True,
            usage=completion.usage,
            lost=completion.usage is None,
        )
    return Verdict(completion=completion, usage=completion.usage)


def _error(fault: Fault, http_status: int, body: object) -> Verdict:
    status = fault.code if http_status == 200 and fault.code else http_status
    usage = read_usage(body.get("usage")) if isinstance(body, dict) else None
    lost = usage is None and status in _MAYBE_BILLED
    if fault.error_type in _TYPES:
        return Verdict(kind=_TYPES[fault.error_type], message=fault.message, usage=usage)
    if status == 200:
        return Verdict(kind=ErrorKind.SERVER_ERROR, message=fault.message, retry=True, usage=usage)
    if status in (402, 403):
        return _money_or_permission(fault, status, usage)
    if status == 401:
        return Verdict(stop=Stop.REFUSED, message=f"the endpoint does not accept the key: {fault.message}", usage=usage)
    if status == 429:
        daily = _is_daily(fault)
        return Verdict(
            kind=ErrorKind.RATE_LIMITED,
            message=fault.message,
            retry=True,
            throttled=True,
            daily=daily,
            wait_hint=fault.retry_after,
            usage=usage,
        )
    if _is_unknown_model(fault, status):
        return Verdict(stop=Stop.REFUSED, message=f"the endpoint has no such model: {fault.message}", usage=usage)
    if status == 404:
        return Verdict(stop=Stop.REFUSED, message=f"no endpoint takes this job: {fault.message}", usage=usage)
    return _row_or_server(fault, status, usage, lost)


def _row_or_server(fault: Fault, status: int, usage: Usage | None, lost: bool) -> Verdict:
    row_kind = _row_fault(fault, status)
    if row_kind is not None:
        return Verdict(kind=row_kind, message=fault.message, usage=usage, lost=lost)
    retry = fault.retryable if fault.retryable is not None else status in _RETRIED or status >= 500
    if status < 500 and status not in _RETRIED:
        return Verdict(kind=ErrorKind.BAD_REQUEST, message=f"HTTP {status}: {fault.message}", retry=False, usage=usage)
    return Verdict(
        kind=ErrorKind.TIMEOUT if status in _MAYBE_BILLED else ErrorKind.SERVER_ERROR,
        message=f"HTTP {status}: {fault.message}",
        retry=retry,
        wait_hint=fault.retry_after,
        usage=usage,
        lost=lost,
    )


def _money_or_permission(fault: Fault, status: int, usage: Usage | None) -> Verdict:
    metadata = fault.metadata or {}
    if status == 402 and (
        fault.limit_source == "openrouter_in_flight_budget" or metadata.get("reason") == "in_flight_budget_exhausted"
    ):
        return Verdict(
            kind=ErrorKind.RATE_LIMITED,
            message=fault.message,
            retry=True,
            throttled=True,
            in_flight_money=True,
            wait_hint=fault.retry_after,
            usage=usage,
        )
    if status == 403 and fault.limit_source not in _KEY_LIMITS and _is_moderation(metadata):
        return Verdict(kind=ErrorKind.MODERATED, message=fault.message, usage=usage)
    remedy = "add credit or raise the key's limit" if status == 402 else "check the key's permissions and budget"
    return Verdict(stop=Stop.REFUSED, message=f"HTTP {status}: {fault.message} ({remedy})", usage=usage)


def _is_moderation(metadata: Mapping[str, Any]) -> bool:
    return any(key in metadata for key in ("reasons", "flagged_input", "patterns"))


def _is_daily(fault: Fault) -> bool:
    words = f"{fault.message} {fault.limit_source}".lower()
    return "per-day" in words or "daily" in words or "per day" in words


_UNKNOWN_MODEL = re.compile(
    r"not a valid model|no such model|unknown model|model[^.]{0,80}(not found|does not exist)|invalid model", re.I
)


def _is_unknown_model(fault: Fault, status: int) -> bool:
    if status not in (400, 404, 422):
        return False
    return fault.error_type in ("model_not_found", "not_found_error") or bool(_UNKNOWN_MODEL.search(fault.message))


_CONTEXT = re.compile(r"context (length|size|window)|maximum context|too many tokens|prompt is too long", re.I)
_IMAGE = re.compile(r"\b(image|picture)\b", re.I)
_UNREACHABLE = re.compile(r"download|fetch|retriev|unreachable|could not (get|load).{0,20}url", re.I)
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
    "refusal": ErrorKind.MODERATED,
}


def _row_fault(fault: Fault, status: int) -> ErrorKind | None:
    """Faults of this row's own prompt or picture. llama.cpp says some of them with a 500."""
    if status in (400, 413, 422, 500):
        if _CONTEXT.search(fault.message):
            return ErrorKind.CONTEXT_OVERFLOW
        if _IMAGE.search(fault.message) and status != 500:
            return ErrorKind.IMAGE_UNREACHABLE if _UNREACHABLE.search(fault.message) else ErrorKind.IMAGE_INVALID
        if "image input is not supported" in fault.message:
            return ErrorKind.IMAGE_REFUSED
    return None


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _as_int(value: object) -> int | None:
    try:
        return int(value) if isinstance(value, (int, str)) and not isinstance(value, bool) else None
    except ValueError:
        return None


def _as_float(value: object) -> float | None:
    try:
        number = float(value) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else None
    except ValueError:
        return None
    return number if number is not None and 0 <= number < 1e9 else None


def _short(value: object) -> str:
    text = value if isinstance(value, str) else orjson.dumps(value, default=str).decode()
    return re.sub(r"\s+", " ", text).strip()[:400]
