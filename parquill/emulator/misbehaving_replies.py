"""What each kind of misbehaviour does: refusals, answers gone wrong, bodies gone wrong.

Three places where a reply can go wrong, in the order of a request's way: `refusal` (an
error instead of an answer), `spoilt_answer` (the model's text), `spoilt_body` (the JSON
around it). How the bytes travel is `delivery`'s.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import orjson

from parquill.emulator import error_replies
from parquill.emulator.answers import Answer
from parquill.emulator.error_replies import ErrorReply
from parquill.emulator.misbehaviour import OF_JSON, Fate, Misbehaviour
from parquill.emulator.tokens import count_text, cut

_ERRORS = {
    Misbehaviour.TIMEOUT: (408, "Operation timed out. Please try again later.", "timeout"),
    Misbehaviour.SERVER_ERROR: (500, "Internal Server Error", "server"),
    Misbehaviour.BAD_GATEWAY: (502, "Provider returned error", "provider_unavailable"),
    Misbehaviour.GATEWAY_TIMEOUT: (504, "The provider did not answer in time.", "timeout"),
    Misbehaviour.EDGE_TIMEOUT: (524, "Request timed out. Please try again later.", "timeout"),
    Misbehaviour.OVERLOADED: (529, "Provider returned error", "provider_overloaded"),
}

PAGE = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"


def refusal(fate: Fate, model: str, text: str) -> ErrorReply | None:
    """Return the error reply that the fate means; None when there will be an answer."""
    kind = fate.kind
    if kind in _ERRORS:
        status, message, error_type = _ERRORS[kind]
        metadata = {"provider_name": "emulator"} if status in (502, 529) else None
        return error_replies.classic(status, message, error_type=error_type, metadata=metadata)
    if kind == Misbehaviour.UNAVAILABLE:
        headers = {"Retry-After": "1"} if fate.chance < 0.5 else None
        message = "Service temporarily unavailable"
        return error_replies.classic(503, message, error_type="provider_overloaded", headers=headers)
    if kind == Misbehaviour.UPSTREAM_LIMIT:
        return error_replies.upstream_limit(model, 1.0 if fate.chance < 0.7 else None)
    if kind == Misbehaviour.MODERATED:
        return error_replies.moderated(model, text)
    if kind == Misbehaviour.GUARDRAIL:
        return error_replies.guardrail_patterns()
    if kind == Misbehaviour.HTML:
        return ErrorReply(502, PAGE)
    return None


def applies(fate: Fate, answer: Answer) -> bool:
    """Tell whether the answer can go wrong in this way: only JSON can be fenced."""
    return fate.kind not in OF_JSON or (answer.is_json and answer.tool is None)


def spoilt_answer(fate: Fate, answer: Answer, max_tokens: int) -> Answer:
    """Return what the model says under this fate; never more than `max_tokens`."""
    text, kind = answer.text, fate.kind
    if kind == Misbehaviour.NULL_CONTENT:
        return replace(answer, text="", completion_tokens=0, finish_reason="stop", tool=None)
    if kind == Misbehaviour.WHITESPACE_LOOP:
        beginning = text[:1] if answer.is_json else ""
        return replace(
            answer, text=beginning + "\n \n" * max_tokens, completion_tokens=max_tokens, finish_reason="length"
        )
    if kind == Misbehaviour.PHRASE_LOOP:
        beginning = cut(text, max(1, answer.completion_tokens // 2))
        looped = cut(beginning + " the same again and again" * (max_tokens // 5 + 1), max_tokens)
        return replace(answer, text=looped, completion_tokens=max_tokens, finish_reason="length")
    if kind == Misbehaviour.PARTIAL_ERROR:
        half = cut(text, max(1, answer.completion_tokens // 2))
        return replace(answer, text=half, completion_tokens=count_text(half), finish_reason="error", tool=None)
    changed = _changed_json(kind, text)
    if changed is None:
        return answer
    count = count_text(changed)
    if count <= max_tokens:
        return replace(answer, text=changed, completion_tokens=count)
    return replace(answer, text=cut(changed, max_tokens), completion_tokens=max_tokens, finish_reason="length")


def _changed_json(kind: Misbehaviour | None, text: str) -> str | None:
    if kind == Misbehaviour.PROSE_AROUND:
        return f"Sure, here is the JSON that you asked for:\n\n{text}\n\nLet me know if you need more."
    if kind == Misbehaviour.FENCED:
        return f"```json\n{text}\n```"
    if kind == Misbehaviour.TRAILING_COMMA:
        return re.sub(r"([\]}])$", r",\1", text) if len(text) > 2 else text
    return None


def spoilt_body(fate: Fate, whole: dict[str, Any]) -> Any:
    """Return the JSON body under this fate, made from a good completion."""
    kind = fate.kind
    message = "Provider disconnected mid-stream"
    error = {"code": 502, "message": message, "metadata": {"error_type": "provider_unavailable"}}
    if kind in _INSTEAD:
        return _INSTEAD[kind]
    if kind == Misbehaviour.EMPTY_CHOICES:
        whole["choices"] = [] if fate.chance < 0.5 else None
        del whole["usage"]
    elif kind == Misbehaviour.NULL_CONTENT:
        whole["choices"][0]["message"]["content"] = None
    elif kind == Misbehaviour.PARTIAL_ERROR:
        whole["choices"][0]["error"] = error
        del whole["usage"]
    elif kind == Misbehaviour.NO_USAGE:
        del whole["usage"]
    elif kind == Misbehaviour.NEGATIVE_USAGE:
        whole["usage"] |= {"prompt_tokens": -1, "completion_tokens": -1, "total_tokens": -2, "cost": -1e-7}
    return whole


_INSTEAD: dict[Misbehaviour | None, Any] = {
    Misbehaviour.ERROR_IN_200: {
        "error": {
            "code": 502,
            "message": "Provider returned error",
            "metadata": {"provider_name": "emulator", "error_type": "provider_unavailable"},
        },
        "user_id": error_replies.USER_ID,
    },
    Misbehaviour.ERROR_STRING: {"error": "simulated failure of the model"},
    Misbehaviour.ERROR_DETAIL: {"detail": "simulated failure of the model"},
    Misbehaviour.ERROR_LIST: [{"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}],
}


def encoded(fate: Fate, body: Any) -> bytes:
    """Return a body's bytes; half of them for a body that is cut off."""
    data = orjson.dumps(body)
    return data[: len(data) // 2] if fate.kind == Misbehaviour.TRUNCATED_BODY else data
