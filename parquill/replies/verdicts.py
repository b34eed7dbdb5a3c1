"""`classify`: decides what one attempt at the wire means."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from parquill.chat import ChatCompletion, Usage, find_usage, first_choice, read_completion
from parquill.errors import ErrorKind, Stop
from parquill.finish_reasons import Ending
from parquill.replies import kinds
from parquill.replies.decoding import Decoded, decode, header
from parquill.replies.error_objects import Fault, find_fault, mapping, short
from parquill.replies.exchange import Exchange, Verdict

_RETRIED = frozenset({408, 409, 425, 429})
"""Below 500; everything above is the server's fault and may pass."""
_OF_THE_REQUEST = frozenset({400, 411, 413, 414, 415, 422, 431})
"""They speak of the request's own form or size."""
_MAYBE_BILLED = frozenset({408, 504, 524})


def classify(exchange: Exchange) -> Verdict:
    """Return what one exchange means; total over every status and body."""
    try:
        verdict = _classify(exchange)
    except Exception as error:  # a reply no one foresaw: it may hold a paid answer, and ends no run
        verdict = _cut(f"the reply cannot be read: unexpected {type(error).__name__}")
    lost = verdict.lost and verdict.usage is None
    return verdict if verdict.completion is not None else replace(verdict, status=exchange.status, lost=lost)


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
        decoded = decode(exchange.body, exchange.headers)
        decoded = replace(decoded, repairs=(*exchange.repairs, *decoded.repairs)) if exchange.repairs else decoded
    except ValueError:
        text = _readable(exchange.body)
        return _cut(f"the reply is not JSON: {text!r}") if answered else _error(Fault(text), exchange.status, None)
    body = decoded.body
    fault = find_fault(body)
    if not answered:
        return _error(fault or Fault(""), exchange.status, find_usage(mapping(body)))
    if fault is not None:  # beside a choice it may have come after tokens that are billed
        verdict = _error(fault, fault.code or 200, find_usage(mapping(body)))
        if first_choice(mapping(body)) is None:
            return verdict
        return replace(verdict, lost=True, unused=read_completion(body, decoded.repairs))
    return _answer(decoded) if isinstance(body, dict) else _cut(f"the reply is no JSON object: {short(body)!r}")


def _cut(message: str) -> Verdict:
    """Maybe an answer that was cut on its way: it was billed, whatever we hold of it."""
    return Verdict(kind=ErrorKind.BAD_RESPONSE, message=message, retry=True, lost=True)


def _redirected(exchange: Exchange) -> str:
    target = re.sub(r"(?<=//)[^/]*@|[?#].*", "", header(exchange.headers, "location"))
    target = target.encode("ascii", "backslashreplace").decode()
    return (
        f"HTTP {exchange.status}: the endpoint redirects{f' to {target[:200]}' if target else ''}; "
        "redirects are not followed: name the final address in model.endpoint"
    )


def _readable(body: bytes) -> str:
    """The beginning of a body that is no JSON, without a web page's tags."""
    text = re.sub(r"<[^>]*>|\s+", " ", body[:2000].decode("utf-8", "replace"))
    return re.sub(r"\s+", " ", text).strip()[:160]


def _answer(decoded: Decoded) -> Verdict:
    """Judge a reply that names no error; whatever is no answer here may have been billed."""
    choice = first_choice(decoded.body)
    completion = read_completion(decoded.body, decoded.repairs)
    usage = completion.usage
    if choice is None:
        message = "the reply has no choices"
        return Verdict(kind=ErrorKind.BAD_RESPONSE, message=message, retry=True, usage=usage, lost=True)
    if completion.ending in (Ending.BROKEN, Ending.FILTERED):
        return _withheld(completion)
    if completion.text or completion.tool_calls:
        return Verdict(completion=completion, usage=usage)
    return _empty(completion, mapping(choice.get("message")))


def _withheld(completion: ChatCompletion) -> Verdict:
    """An answer that the provider broke off or filtered, whatever of it came."""
    reason = completion.finish_reason
    if completion.native_finish_reason not in (None, reason):
        reason = f"{reason}, {completion.native_finish_reason}"
    filtered = completion.ending is Ending.FILTERED
    return Verdict(
        kind=ErrorKind.MODERATED if filtered else ErrorKind.SERVER_ERROR,
        message=f"the provider {'filtered the answer' if filtered else 'broke off'} (finish_reason {short(reason)})",
        retry=not filtered,
        usage=completion.usage,
        lost=True,
        unused=completion,
    )


_THOUGHTS = ("reasoning_content", "reasoning", "reasoning_details", "thinking")
"""Where servers put what a model thought before its answer."""
_TRIES_FOR_THOUGHTS = 2


def _empty(completion: ChatCompletion, message: Mapping[str, Any]) -> Verdict:
    """A whole reply without text and without a call."""
    usage, refusal = completion.usage, message.get("refusal")
    thoughts = next((name for name in _THOUGHTS if message.get(name)), None)
    kind, said, tries = ErrorKind.BAD_RESPONSE, "the answer is empty", None
    if isinstance(refusal, str) and refusal:
        kind, said = ErrorKind.MODERATED, f"the model declined: {short(refusal)}"
    elif completion.ending is Ending.CUT:
        kind, said = ErrorKind.TRUNCATED, "max_tokens was used up before the answer began"
        said += f" (message.{thoughts} holds what it thought: raise model.max_tokens)" if thoughts else ""
    elif thoughts:
        tries = _TRIES_FOR_THOUGHTS
        said = (
            f"the answer is empty, message.{thoughts} alone holds text: the server takes the whole answer for "
            "thinking; switch its reasoning parser off, or thinking in the model"
        )
    return Verdict(
        kind=kind,
        message=said,
        retry=kind is ErrorKind.BAD_RESPONSE,
        usage=usage,
        lost=True,
        unused=completion,
        most_tries=tries,
    )


def _error(fault: Fault, status: int, usage: Usage | None) -> Verdict:
    """`status` is the HTTP status, or the one that an error within a 200 names (200 where it names none)."""
    message = fault.message or f"HTTP {status}"
    lost = usage is None and status in _MAYBE_BILLED
    kind = kinds.row_kind_by_type(fault, status)
    if kind is None and kinds.is_in_flight_money(fault, status):
        return replace(_throttled(fault, message, usage), in_flight_money=True)
    said = message if status == 200 or not fault.message else f"HTTP {status}: {message}"
    if kind is None and (refusal := kinds.run_fault(fault, status)) is not None:
        if kinds.is_money(fault, status):
            return Verdict(stop=Stop.REFUSED, message=refusal, usage=usage)
        return Verdict(kind=ErrorKind.REFUSED, message=said, of_run=refusal, usage=usage)
    if kind is None and status == 429:
        return replace(_throttled(fault, message, usage), daily=kinds.is_daily(fault), at_once=kinds.is_at_once(fault))
    kind = kind or kinds.row_kind_by_words(fault, status)
    if kind is not None:
        blind = kind is ErrorKind.IMAGE_REFUSED
        return Verdict(kind=kind, message=message, of_run=said if blind else "", usage=usage, lost=lost)
    if 400 <= status < 500 and status not in _RETRIED:
        kind = ErrorKind.BAD_REQUEST if status in _OF_THE_REQUEST else ErrorKind.REFUSED
        return Verdict(kind=kind, message=said, of_run=said, usage=usage)
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
