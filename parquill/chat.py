"""The wire format, both ways, pure: what is asked, and what a chat completion says.

A `ChatRequest` is what decides the answer: turns of text and pictures. `RequestBody` joins
it with the settings that are the same for every row into the bytes of one request; equal
requests give equal bytes (sorted by construction, so that a response cache can hit).
`read_completion` takes a body that `replies/verdicts.py` has accepted as a completion.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

import orjson

from parquill.finish_reasons import Ending, read_ending
from parquill.money import PICO

_MOST_TOKENS = 10**9
_MOST_USD = 1000
"""No request has or costs more. A reply that says so must not overflow the sums of the output."""


@dataclass(frozen=True, slots=True)
class ImageFigures:
    """What a picture of a row weighs, and which state of it was seen.

    Of a picture that the endpoint fetches, and whose host was asked for its state only, `version`
    is all that is known.
    """

    bytes_fetched: int | None
    """The file as it was read or downloaded; a page's whole document."""
    bytes_sent: int | None
    """The data: URL in the request."""
    width: int | None
    height: int | None
    """Pixels before it was shrunk, upright; for a page, as it was drawn."""
    digest: str | None = None
    """The first 32 hex digits of the file's SHA-256."""
    version: str | None = None
    """Its host's own name for its state: the ETag, else the Last-Modified date."""

    @classmethod
    def of_state(cls, version: str) -> ImageFigures:
        """Return those of a picture that was not opened here."""
        return cls(None, None, None, None, version=version)


@dataclass(frozen=True, slots=True)
class ImagePart:
    """One picture as it is sent: an http(s) URL or a data: URL."""

    url: str
    content_key: bytes | None = None
    """16 bytes that name the picture's content; None for a URL that the endpoint fetches."""
    figures: ImageFigures | None = field(default=None, compare=False)
    """None for a URL that the endpoint fetches."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One message: text parts (str) and pictures in the order they are sent."""

    role: Literal["system", "developer", "user", "assistant"]
    parts: tuple[str | ImagePart, ...]

    @property
    def images(self) -> int:
        """How many pictures the turn holds."""
        return sum(isinstance(part, ImagePart) for part in self.parts)


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What one row asks: at most one system turn, then user and assistant turns in turn."""

    turns: tuple[Turn, ...]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens and money as the endpoint counted them, in tokens and pico-USD.

    Both token counts are known unless `cost_pico` is: a usage without a cost and without them says nothing.
    """

    prompt_tokens: int | None
    completion_tokens: int | None
    """All that was generated: thinking that the endpoint counts only in its total is among them."""
    cached_tokens: int
    cost_pico: int | None
    """What the user pays in all, the bill of a provider whose key is the user's own included; None where untold."""
    upstream_pico: int | None = None
    """The part of it that such a provider bills (OpenRouter's `cost_details.upstream_inference_cost`)."""
    fee_pico: int = 0
    """What the endpoint takes for itself where it does not say what such a provider bills."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A function call in an answer; `arguments` is the raw JSON text."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ChatCompletion:
    """One answer as the endpoint gave it."""

    generation_id: str | None
    model: str | None
    provider: str | None
    text: str
    tool_calls: tuple[ToolCall, ...]
    finish_reason: str | None
    """As the endpoint said it; where it gave only a native one, that."""
    usage: Usage | None
    native_finish_reason: str | None = None
    repairs: tuple[str, ...] = ()
    """What of the reply around the answer had to be read leniently (`replies.decoding`)."""
    at_limit: bool = False
    """It has as many tokens as it was allowed: without a reason that says otherwise, it was cut."""

    @property
    def ending(self) -> Ending:
        """How the answer ended, by the one table of reasons."""
        ending = read_ending(self.finish_reason, self.native_finish_reason)
        return Ending.CUT if self.at_limit and ending in (Ending.UNSAID, Ending.UNKNOWN) else ending


def turn_content(turn: Turn) -> str | list[dict[str, Any]]:
    """Return a message's `content`: plain text where it has no picture, else parts.

    Neighbouring text parts are merged by a newline: Gemma's template joins them with nothing.
    """
    merged: list[str | ImagePart] = []
    for part in turn.parts:
        if isinstance(part, str) and merged and isinstance(merged[-1], str):
            merged[-1] = f"{merged[-1]}\n{part}"
        else:
            merged.append(part)
    if len(merged) == 1 and isinstance(merged[0], str):
        return merged[0]
    return [
        {"type": "text", "text": part}
        if isinstance(part, str)
        else {"type": "image_url", "image_url": {"url": part.url}}
        for part in merged
    ]


class RequestBody:
    """Builds the bytes of requests: settings are serialised once, messages for each row."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        """`settings`: every key of the body but `messages` (model, max_tokens, response_format…)."""
        self._settings = dict(settings)
        self._raw = orjson.dumps(self._settings)[1:]

    def build(self, request: ChatRequest, changed: Mapping[str, Any] | None = None) -> bytes:
        """Return the body for one row; `changed` settings hold for this attempt only (a new seed)."""
        messages = orjson.dumps([{"role": turn.role, "content": turn_content(turn)} for turn in request.turns])
        settings = orjson.dumps({**self._settings, **changed})[1:] if changed else self._raw
        return b'{"messages":' + messages + b"," + settings


def first_choice(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the choice that counts: the one with the index 0, else the first; None where there is none."""
    raw = body.get("choices")
    if isinstance(raw, list) and raw and isinstance(raw[0], dict) and raw[0].get("index") == 0:
        return raw[0]
    choices = [choice for choice in raw if isinstance(choice, dict)] if isinstance(raw, list) else []
    return next((choice for choice in choices if choice.get("index") == 0), choices[0] if choices else None)


def read_completion(body: Mapping[str, Any], repairs: tuple[str, ...] = ()) -> ChatCompletion:
    """Read a completion's fields; every one but `choices` may be missing or of another type."""
    choice = first_choice(body) or {}
    message = _mapping(choice.get("message") or choice.get("delta"))
    said, native = _text(choice.get("finish_reason")), _text(choice.get("native_finish_reason"))
    return ChatCompletion(
        generation_id=_text(body.get("id")),
        model=_text(body.get("model")),
        provider=_text(body.get("provider")),
        text=_content_text(message.get("content")) or _text(choice.get("text")) or _text(choice.get("message")) or "",
        tool_calls=_tool_calls(message),
        finish_reason=said or native,
        usage=find_usage(body),
        native_finish_reason=native,
        repairs=repairs,
    )


def find_usage(body: Mapping[str, Any]) -> Usage | None:
    """Read a reply's usage wherever endpoints put it: at the top, in a choice, inside an error."""
    if (usage := read_usage(body.get("usage"))) is not None:
        return usage
    error, choice = _mapping(body.get("error")), first_choice(body) or {}
    metadata = _mapping(error.get("metadata"))
    places = (choice, error, metadata, _mapping(choice.get("error")), _mapping(body.get("x_groq")))
    return next((usage for place in places if (usage := read_usage(place.get("usage"))) is not None), None)


def read_usage(raw: object) -> Usage | None:
    """Read `usage`; None where it is missing, not an object, negative or all zeros without a cost.

    `cost` is in USD as a JSON number, sometimes in exponent form; DeepInfra calls it
    `estimated_cost`. A float's shortest decimal form is exact to more digits than are billed.
    Counts that cannot be are none; a cost that cannot be is cut to 1000 USD, which still alarms.
    """
    usage = _mapping(raw)
    prompt, completion = _counts(usage)
    cost, upstream, fee = _costs(usage)
    if (prompt is None or completion is None or prompt == completion == 0) and cost is None:
        return None
    cached = _count(_mapping(usage.get("prompt_tokens_details")).get("cached_tokens")) or 0
    return Usage(prompt, completion, cached, cost, upstream, fee)


def _counts(usage: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """Prompt and completion tokens, each completed from the total where that says more.

    Thinking is billed as output, and some endpoints count it neither in `completion_tokens` (the total tells it)
    nor in the total (`reasoning_tokens` is then the larger number).
    """
    prompt = _count(usage["prompt_tokens"] if "prompt_tokens" in usage else usage.get("input_tokens"))
    completion = _count(usage["completion_tokens"] if "completion_tokens" in usage else usage.get("output_tokens"))
    total = _count(usage.get("total_tokens"))
    if prompt is None and completion is not None and total is not None and total >= completion:
        prompt = total - completion
    thought = _count(_mapping(usage.get("completion_tokens_details")).get("reasoning_tokens")) or 0
    if completion is not None and thought > completion:
        completion += thought
    if prompt is not None and total is not None and total - prompt >= (completion or 0):
        completion = total - prompt
    return prompt, completion


def _costs(usage: Mapping[str, Any]) -> tuple[int | None, int | None, int]:
    """What is paid in all, the upstream part of it, and a fee whose upstream part is not told.

    With a provider key of the user's own (BYOK) OpenRouter's `cost` is its fee, mostly 0; the provider bills
    `upstream_inference_cost` itself. Without one, that is what the endpoint paid, and no cost of the user's.
    """
    said = usage.get("estimated_cost") if usage.get("cost") is None else usage["cost"]
    cost = _cost(_mapping(said).get("total_cost") if isinstance(said, dict) else said)
    own_key = usage.get("is_byok")
    if own_key is False:
        return cost, None, 0
    upstream = _cost(_mapping(usage.get("cost_details")).get("upstream_inference_cost"))
    if own_key is True and upstream is None:
        return None, None, cost or 0
    if upstream is not None and (own_key is True or upstream > (cost or 0)):
        return (cost or 0) + upstream, upstream, 0
    return cost, None, 0


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _count(value: object) -> int | None:
    if type(value) is int and 0 <= value <= _MOST_TOKENS:
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= _MOST_TOKENS:
        return None
    return int(value) if value == int(value) else None


def _cost(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        usd = Decimal(str(value))
    except ArithmeticError:
        return None
    if not usd.is_finite() or usd < 0:
        return None
    return int((usd * PICO).to_integral_value()) if usd < _MOST_USD else _MOST_USD * PICO


def _content_text(content: object) -> str:
    """Content is text, null, a list of parts, one part, or an object that a server made of the model's JSON."""
    if isinstance(content, str):
        return content
    if isinstance(content, dict) and content:
        text = content.get("text")
        return text if isinstance(text, str) and content.keys() <= {"type", "text"} else _dumped(content)
    if isinstance(content, list):
        return "".join(_text(_mapping(part).get("text")) or "" for part in content)
    return ""


def _tool_calls(message: Mapping[str, Any]) -> tuple[ToolCall, ...]:
    """The calls of a message; `function_call` is the form of before there could be several."""
    raw = message.get("tool_calls")
    if not raw and "function_call" not in message:
        return ()
    calls: Sequence[Any] = raw if isinstance(raw, list) else ()
    functions = [_mapping(_mapping(call).get("function")) for call in calls] or [_mapping(message.get("function_call"))]
    return tuple(
        ToolCall(name, arguments if isinstance(arguments, str) else _dumped(arguments))
        for function in functions
        if (name := _text(function.get("name"))) is not None and (arguments := function.get("arguments")) is not None
    )


def _dumped(value: object) -> str:
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError:  # orjson reads deeper nesting than it writes; no schema is met by such an answer
        return ""
