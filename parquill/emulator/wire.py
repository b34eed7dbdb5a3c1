"""The bytes of replies: a completion as one JSON body or as a stream of chunks.

The field set is what OpenRouter sends in 2026. A cost is a JSON number; the float nearest
to the exact decimal is written, and its shortest form is that decimal up to 15 digits
(a thousand dollars in pico-USD).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

from parquill.emulator.answers import Answer
from parquill.money import PICO

PROVIDER = "emulator"
"""The name of the provider, wherever one is named."""


_COMMENT = b": OPENROUTER PROCESSING\n\n"
_DONE = b"data: [DONE]\n\n"


class Charge(NamedTuple):
    """What one completion counts and costs, in tokens and pico-USD."""

    prompt_tokens: int
    completion_tokens: int
    prompt_pico: int
    completion_pico: int

    @property
    def pico(self) -> int:
        """Prompt and completion together, in pico-USD."""
        return self.prompt_pico + self.completion_pico


def usage(charge: Charge) -> dict[str, Any]:
    """Return the `usage` object of a charge."""
    cost = charge.pico / PICO
    return {
        "prompt_tokens": charge.prompt_tokens,
        "completion_tokens": charge.completion_tokens,
        "total_tokens": charge.prompt_tokens + charge.completion_tokens,
        "cost": cost,
        "is_byok": False,
        "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0, "audio_tokens": 0, "video_tokens": 0},
        "cost_details": {
            "upstream_inference_cost": cost,
            "upstream_inference_prompt_cost": charge.prompt_pico / PICO,
            "upstream_inference_completions_cost": charge.completion_pico / PICO,
        },
        "completion_tokens_details": {"reasoning_tokens": 0, "image_tokens": 0, "audio_tokens": 0},
    }


def completion(generation_id: str, created: int, model: str, answer: Answer, charge: Charge) -> dict[str, Any]:
    """Return the body of a whole chat completion."""
    message: dict[str, Any] = {"role": "assistant", "content": answer.text, "refusal": None, "reasoning": None}
    if answer.tool is not None:
        message["content"] = None
        message["tool_calls"] = [_tool_call(generation_id, answer)]
    return {
        "id": generation_id,
        "provider": PROVIDER,
        "model": model,
        "object": "chat.completion",
        "created": created,
        "system_fingerprint": None,
        "service_tier": None,
        "choices": [
            {
                "index": 0,
                "logprobs": None,
                "finish_reason": answer.finish_reason,
                "native_finish_reason": answer.finish_reason,
                "message": message,
            }
        ],
        "usage": usage(charge),
    }


def events(body: Any, pieces: int = 4) -> list[bytes]:
    """Return a body as server-sent events: a comment, deltas, usage, [DONE]; or one error."""
    if not isinstance(body, dict) or not body.get("choices"):
        return [_COMMENT, _event(body), _DONE]
    head = {key: body[key] for key in ("id", "provider", "model", "created")} | {"object": "chat.completion.chunk"}
    choice = body["choices"][0]
    reasons = {key: choice[key] for key in ("finish_reason", "native_finish_reason")}
    last = {"index": 0, "delta": {"role": "assistant", "content": ""}, "logprobs": None, **reasons}
    sent = [
        {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None, "logprobs": None}]}
        for delta in _deltas(choice["message"], pieces)
    ]
    if "error" in choice:
        return [_COMMENT, *map(_event, [*sent, {**head, "error": choice["error"], "choices": [last]}])]
    sent.append({**head, "choices": [last]})
    if "usage" in body:
        sent.append({**head, "choices": [], "usage": body["usage"]})
    return [_COMMENT, *map(_event, sent), _DONE]


def _deltas(message: dict[str, Any], pieces: int) -> list[dict[str, Any]]:
    if "tool_calls" in message:
        call = {**message["tool_calls"][0], "index": 0}
        return [{"role": "assistant", "content": None, "tool_calls": [call]}]
    text = message["content"] or ""
    step = max(1, -(-len(text) // pieces))
    return [{"role": "assistant", "content": text[at : at + step]} for at in range(0, len(text), step)]


def _event(value: Any) -> bytes:
    return b"data: " + orjson.dumps(value) + b"\n\n"


def _tool_call(generation_id: str, answer: Answer) -> dict[str, Any]:
    return {
        "index": 0,
        "id": f"call_{generation_id[-20:]}",
        "type": "function",
        "function": {"name": answer.tool, "arguments": answer.text},
    }
