"""`classify`: from one attempt at the wire to what it means."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson

from parquill.chat import Usage, read_completion, read_usage
from parquill.errors import ErrorKind, Stop
from parquill.replies import kinds
from parquill.replies.faults import Fault, find_fault, mapping, short
from parquill.replies.values import Exchange, Verdict

_RETRIED = frozenset({408, 409, 425, 429})
"""Below 500; everything above is the server's fault and may pass."""
_MAYBE_BILLED = frozenset({408, 504, 524})


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
    if 300 <= exchange.status < 400:
        return Verdict(stop=Stop.REFUSED, message=_redirected(exchange))
    answered = 200 <= exchange.status < 300
    try:
        body: Any = orjson.loads(exchange.body)
    except orjson.JSONDecodeError:
        text = _readable(exchange.body)
        return _cut(f"the reply is not JSON: {text!r}") if answered else _error(Fault(text), exchange.status, None)
    fault = find_fault(body)
    if not answered:
        return _error(fault or Fault(""), exchange.status, read_usage(mapping(body).get("usage")))
    if fault is not None:
        return _error(fault, fault.code or 200, read_usage(mapping(body).get("usage")))
    return _answer(body) if isinstance(body, dict) else _cut(f"the reply is no JSON object: {short(body)!r}")


def _cut(message: str) -> Verdict:
    """Maybe an answer that was cut on its way: it was billed, whatever we hold of it."""
    return Verdict(kind=ErrorKind.BAD_RESPONSE, message=message, retry=True, lost=True)


def _redirected(exchange: Exchange) -> str:
    target = next((value for name, value in exchange.headers.items() if name.lower() == "location"), "")
    target = re.sub(r"(?<=//)[^/]*@|[?#].*", "", target).encode("ascii", "backslashreplace").decode()
    return (
        f"HTTP {exchange.status}: the endpoint redirects{f' to {target[:200]}' if target else ''}; "
        "redirects are not followed: name the final address in model.endpoint"
    )


def _readable(body: bytes) -> str:
    """The beginning of a body that is no JSON, without a web page's tags."""
    text = re.sub(r"<[^>]*>|\s+", " ", body[:2000].decode("utf-8", "replace"))
    return re.sub(r"\s+", " ", text).strip()[:160]


def _answer(body: Mapping[str, Any]) -> Verdict:
    choices = body.get("choices")
    completion = read_completion(body)
    usage = completion.usage
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        return Verdict(kind=ErrorKind.BAD_RESPONSE, message="the reply has no choices", retry=True, usage=usage)
    if completion.finish_reason == "error":
        return Verdict(kind=ErrorKind.SERVER_ERROR, message="the provider broke off", retry=True, usage=usage)
    if completion.text or completion.tool_calls:
        return Verdict(completion=completion, usage=usage)
    # Without usage we cannot tell an insured empty answer from a billed one.
    lost = usage is None
    refusal = mapping(choices[0].get("message")).get("refusal")
    if isinstance(refusal, str) and refusal:
        return Verdict(
            kind=ErrorKind.MODERATED, message=f"the model declined: {short(refusal)}", usage=usage, lost=lost
        )
    if completion.finish_reason == "content_filter":
        return Verdict(kind=ErrorKind.MODERATED, message="the provider filtered the answer", usage=usage, lost=lost)
    if completion.finish_reason == "length":
        message = "max_tokens was used up before the answer began"
        return Verdict(kind=ErrorKind.TRUNCATED, message=message, usage=usage, lost=lost)
    return Verdict(kind=ErrorKind.BAD_RESPONSE, message="the answer is empty", retry=True, usage=usage, lost=lost)


def _error(fault: Fault, status: int, usage: Usage | None) -> Verdict:
    """`status` is the HTTP status, or the one that an error within a 200 names (200 where it names none)."""
    message = fault.message or f"HTTP {status}"
    lost = usage is None and status in _MAYBE_BILLED
    kind = kinds.row_kind_by_type(fault, status)
    if kind is None and kinds.is_in_flight_money(fault, status):
        return replace(_throttled(fault, message, usage), in_flight_money=True)
    if kind is None and (refusal := kinds.run_fault(fault, status)) is not None:
        return Verdict(stop=Stop.REFUSED, message=refusal, usage=usage)
    if kind is None and status == 429:
        return replace(_throttled(fault, message, usage), daily=kinds.is_daily(fault), at_once=kinds.is_at_once(fault))
    kind = kind or kinds.row_kind_by_words(fault, status)
    if kind is not None:
        return Verdict(kind=kind, message=message, usage=usage, lost=lost)
    said = message if status == 200 or not fault.message else f"HTTP {status}: {message}"
    if 400 <= status < 500 and status not in _RETRIED:
        return Verdict(kind=ErrorKind.BAD_REQUEST, message=said, usage=usage)
    return Verdict(
        kind=ErrorKind.TIMEOUT if status in _MAYBE_BILLED else ErrorKind.SERVER_ERROR,
        message=said,
        retry=fault.retryable is not False,
        wait_hint=fault.retry_after,
        usage=usage,
        lost=lost,
    )


def _throttled(fault: Fault, message: str, usage: Usage | None) -> Verdict:
    return Verdict(
        kind=ErrorKind.RATE_LIMITED,
        message=message,
        retry=True,
        throttled=True,
        wait_hint=fault.retry_after,
        usage=usage,
    )
