"""Reading a chat request: what is asked, or the 400 that OpenRouter would answer.

`read_request` checks the body by hand (a model of it would cost more time than the whole
reply) and returns a `ParsedRequest`. It looks at nothing outside the body: pictures, limits, money
and models are checked elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from parquill.emulator.error_replies import invalid_request, upstream_rejected
from parquill.emulator.tokens import count_prompt

ROLES = frozenset({"system", "developer", "user", "assistant", "tool"})
FORMATS = frozenset({"text", "json_object", "json_schema", "grammar", "python"})
PROVIDER_KEYS = frozenset(
    (
        *("order", "allow_fallbacks", "only", "ignore", "sort", "require_parameters", "max_price"),
        *("data_collection", "zdr", "quantizations", "enforce_distillable_text", "options"),
        *("preferred_min_throughput", "preferred_max_latency"),
    )
)
PARAMETERS = frozenset(
    (
        *("temperature", "top_p", "top_k", "min_p", "top_a", "seed", "stop"),
        *("frequency_penalty", "presence_penalty", "repetition_penalty"),
        *("logit_bias", "logprobs", "top_logprobs"),
        *("response_format", "tools", "tool_choice", "parallel_tool_calls"),
    )
)
"""Request fields that `supported_parameters` speaks of."""


@dataclass(frozen=True, slots=True)
class ParsedRequest:
    """One chat request, checked. `images` are URLs in order; `text` is all text, `last` the last user's."""

    models: tuple[str, ...]
    text: str
    last: str
    images: tuple[str, ...]
    prompt_tokens: int
    max_tokens: int | None
    stream: bool
    stop: tuple[str, ...]
    response_format: Mapping[str, Any] | None
    tools: tuple[Mapping[str, Any], ...]
    tool_choice: str | Mapping[str, Any]
    provider: Mapping[str, Any]
    parameters: frozenset[str]


def read_request(body: bytes, default_model: str) -> ParsedRequest:
    """Return what the body asks; raises `ErrorReply` (400) naming the field that is wrong."""
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise invalid_request("Invalid JSON in request body") from None
    if not isinstance(data, dict):
        raise invalid_request("Invalid request parameters: an object is expected")
    _check_numbers(data)
    system, turns, images = _conversation(data.get("messages"))
    texts = [part for parts in turns for part in parts if part is not None]
    return ParsedRequest(
        models=_models(data, default_model),
        text="\n".join(texts if system is None else [system, *texts]),
        last=_last_text(turns),
        images=images,
        prompt_tokens=count_prompt(system, turns),
        max_tokens=_max_tokens(data),
        stream=data.get("stream") is True,
        stop=_stop(data.get("stop")),
        response_format=_response_format(data.get("response_format")),
        tools=_tools(data.get("tools")),
        tool_choice=data.get("tool_choice") or "auto",
        provider=_provider(data.get("provider")),
        parameters=frozenset(key for key in data.keys() & PARAMETERS if data[key] is not None),
    )


Turns = list[list[str | None]]

_SCHEMA_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")

_RANGES: dict[str, Callable[[float], bool]] = {
    "temperature": lambda value: 0 <= value <= 2,
    "top_p": lambda value: 0 < value <= 1,
    "top_k": lambda value: value >= 0 and value == int(value),
    "min_p": lambda value: 0 <= value <= 1,
    "frequency_penalty": lambda value: -2 <= value <= 2,
    "presence_penalty": lambda value: -2 <= value <= 2,
    "repetition_penalty": lambda value: 0 < value <= 2,
    "seed": lambda value: value == int(value),
}


def _check_numbers(data: Mapping[str, Any]) -> None:
    for key in data.keys() & _RANGES.keys():
        value = data[key]
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not _RANGES[key](value):
            raise invalid_request(f"Invalid request parameters: {key} is out of range")


def _models(data: Mapping[str, Any], default_model: str) -> tuple[str, ...]:
    first, more = data.get("model"), data.get("models") or []
    if not isinstance(first, str | None) or not isinstance(more, list) or not all(isinstance(m, str) for m in more):
        raise invalid_request("Invalid request parameters: model is a string, models a list of strings")
    names = [first, *more] if first else more
    return tuple(dict.fromkeys(names)) or (default_model,)


def _max_tokens(data: Mapping[str, Any]) -> int | None:
    value = data.get("max_completion_tokens")
    value = data.get("max_tokens") if value is None else value
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise invalid_request("Invalid request parameters: max_tokens is an integer of at least 1")
    return value


def _conversation(messages: Any) -> tuple[str | None, Turns, tuple[str, ...]]:
    """Return the system text, the turns' parts (None for a picture) and the pictures' URLs.

    Gemma's template wants user and assistant in turn and takes only the first part of a
    system message; both are as the model would have it.
    """
    if not isinstance(messages, list) or not messages:
        raise invalid_request("Invalid request parameters: messages is a list with at least 1 message")
    system: str | None = None
    turns: Turns = []
    images: list[str] = []
    for index, message in enumerate(messages):
        role = message.get("role") if isinstance(message, dict) else None
        if role not in ROLES:
            raise invalid_request(f"Invalid request parameters: messages[{index}].role is none of {sorted(ROLES)}")
        parts = _parts(message, index, images)
        if role in ("system", "developer") and index == 0:
            system = parts[0] if parts and parts[0] else ""
            continue
        if (role in ("user", "tool")) != (len(turns) % 2 == 0):
            raise upstream_rejected("Conversation roles must alternate user/assistant/user/assistant/...")
        turns.append(parts)
    if not turns:
        raise upstream_rejected("Conversation roles must alternate user/assistant/user/assistant/...")
    return system, turns, tuple(images)


def _parts(message: Mapping[str, Any], index: int, images: list[str]) -> list[str | None]:
    content = message.get("content")
    if isinstance(content, str):
        return [content]
    if content is None and message["role"] == "assistant":
        return [""]
    if not isinstance(content, list) or not content:
        raise invalid_request(f"Invalid request parameters: messages[{index}].content is a string or a list of parts")
    return [_part(part, message["role"], f"messages[{index}].content[{i}]", images) for i, part in enumerate(content)]


def _part(part: Any, role: str, where: str, images: list[str]) -> str | None:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind == "text" and isinstance(part.get("text"), str):
        return str(part["text"])
    if (
        kind == "image_url"
        and isinstance(part.get("image_url"), dict)
        and isinstance(part["image_url"].get("url"), str)
    ):
        if role != "user":
            raise invalid_request(f"Invalid request parameters: {where}: images stand in user messages only")
        images.append(part["image_url"]["url"])
        return None
    raise invalid_request(f"Invalid request parameters: {where} is neither a text nor an image_url part")


def _last_text(turns: Turns) -> str:
    return next((part for part in reversed(turns[-1]) if part), "") if turns else ""


def _stop(value: Any) -> tuple[str, ...]:
    words = [value] if isinstance(value, str) else value or []
    if not isinstance(words, list) or len(words) > 4 or not all(isinstance(word, str) for word in words):
        raise invalid_request("Invalid request parameters: stop is a string or a list of at most 4")
    return tuple(filter(None, words))


def _response_format(value: Any) -> Mapping[str, Any] | None:
    if value is None:
        return None
    if not isinstance(value, dict) or value.get("type") not in FORMATS:
        raise invalid_request("Invalid request parameters: response_format.type is none of " + ", ".join(FORMATS))
    if value["type"] == "json_schema":
        inner = value.get("json_schema")
        inner = inner if isinstance(inner, dict) else {}
        if not _SCHEMA_NAME.fullmatch(str(inner.get("name", ""))):
            raise invalid_request("Invalid request parameters: response_format.json_schema.name is needed")
        if not isinstance(inner.get("schema", {}), dict):
            raise invalid_request("Invalid request parameters: response_format.json_schema.schema is an object")
    return value if value["type"] != "text" else None


def _tools(value: Any) -> tuple[Mapping[str, Any], ...]:
    if value is None:
        return ()
    functions = [tool.get("function") if isinstance(tool, dict) else None for tool in value] if value else []
    if not all(isinstance(function, dict) and isinstance(function.get("name"), str) for function in functions):
        raise invalid_request("Invalid request parameters: tools[].function.name is needed")
    return tuple(function for function in functions if function)


def _provider(value: Any) -> Mapping[str, Any]:
    if value is None:
        return {}
    unknown = sorted(value.keys() - PROVIDER_KEYS) if isinstance(value, dict) else ["it is no object"]
    if unknown:
        raise invalid_request(f"Invalid request parameters: provider: unrecognized keys: {', '.join(unknown)}")
    return dict(value)
