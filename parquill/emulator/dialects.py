"""How servers at home say what OpenRouter says otherwise: Ollama and LM Studio, as they are documented.

Read, not run: Ollama's `openai/openai.go` and `middleware`, LM Studio's documentation and bug tracker.
Both: no key, no cost, no provider, no page of a model's endpoints, no picture by address. Ollama cuts
what is too long for its context without a word; LM Studio says so in words around llama.cpp's own JSON,
and answers a path it does not know with a 200. Errors are OpenAI's object there, a bare string here.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import orjson

from parquill.emulator.error_replies import ErrorReply
from parquill.emulator.parsed_request import ParsedRequest
from parquill.emulator.settings import EmulatorSettings

Body = dict[str, Any]
LIMITS = 429
"""A limit is refused in the common form in every dialect: these servers have no limits."""


def completion(body: Any, settings: EmulatorSettings) -> Any:
    """Return a whole completion as the server writes it; what is none (a spoilt one) stays."""
    write = _COMPLETIONS.get(settings.dialect)
    return write(body) if write is not None and isinstance(body, dict) and body.get("choices") else body


def refusal(refused: ErrorReply, settings: EmulatorSettings) -> ErrorReply:
    """Return a refusal as the server words it."""
    write = _REFUSALS.get(settings.dialect)
    if write is None or refused.status == LIMITS or not isinstance(refused.body, dict):
        return refused
    return write(refused)


def model_list(settings: EmulatorSettings) -> Body:
    """Return what such a server's `GET /v1/models` holds."""
    owner = {"ollama": "library", "lmstudio": "organization_owner"}[settings.dialect]
    created = {"created": 1_750_000_000} if settings.dialect == "ollama" else {}
    return {
        "object": "list",
        "data": [{"id": name, "object": "model", **created, "owned_by": owner} for name in settings.models],
    }


def fitted(asked: ParsedRequest, settings: EmulatorSettings) -> ParsedRequest:
    """Return a request as the model sees it: Ollama leaves out the beginning of what is too long."""
    allowed = settings.context_length - (asked.max_tokens or 0)
    if settings.dialect != "ollama" or asked.prompt_tokens <= allowed:
        return asked
    return replace(asked, prompt_tokens=max(1, min(asked.prompt_tokens, allowed)))


def _plain(body: Mapping[str, Any], name: str, fingerprint: str, **choice: Any) -> Body:
    """OpenAI's fields alone."""
    first = body["choices"][0]
    message = {key: first["message"][key] for key in ("role", "content", "tool_calls") if key in first["message"]}
    counted = body.get("usage") or {}
    tokens = {key: counted[key] for key in ("prompt_tokens", "completion_tokens", "total_tokens") if key in counted}
    return {
        "id": name,
        "object": "chat.completion",
        "created": body.get("created"),
        "model": body.get("model"),
        "system_fingerprint": fingerprint,
        "choices": [{"index": 0, "message": message, **choice, "finish_reason": first.get("finish_reason")}],
        **({"usage": tokens} if tokens else {}),
    }


def _ollama_completion(body: Mapping[str, Any]) -> Body:
    return _plain(body, f"chatcmpl-{_number(body) % 1000}", "fp_ollama")


def _lmstudio_completion(body: Mapping[str, Any]) -> Body:
    plain = _plain(body, f"chatcmpl-{_number(body):08x}", str(body.get("model")), logprobs=None)
    return {**plain, "stats": {}}


def _number(body: Mapping[str, Any]) -> int:
    return zlib.crc32(str(body.get("id")).encode())


def _ollama_refusal(refused: ErrorReply) -> ErrorReply:
    status, message = refused.status, _message(refused)
    if (name := _unknown_model(refused)) is not None:
        status, message = 404, f"model '{name}' not found, try pulling it first"
    elif message.startswith("No such route"):
        return ErrorReply(404, b"404 page not found")
    kind = {400: "invalid_request_error", 404: "not_found_error"}.get(status, "api_error")
    return ErrorReply(status, {"error": {"message": message, "type": kind, "param": None, "code": None}})


def _lmstudio_refusal(refused: ErrorReply) -> ErrorReply:
    status, message = refused.status, _message(refused)
    if message.startswith("No such route: "):
        return ErrorReply(200, {"error": f"Unexpected endpoint or method. ({message.removeprefix('No such route: ')})"})
    if (name := _unknown_model(refused)) is not None:
        return ErrorReply(404, {"error": f'Model "{name}" not found.'})
    if "maximum context length" in message:
        inner = orjson.dumps({"error": {"message": message, "type": "exceed_context_size_error"}}).decode()
        message = f"Trying to keep the first tokens when context the overflows. {inner}"
    elif message == "invalid image input":
        message = "'url' field must be a base64 encoded image."
    return ErrorReply(status, {"error": message})


def _message(refused: ErrorReply) -> str:
    return str(refused.body["error"]["message"])


def _unknown_model(refused: ErrorReply) -> str | None:
    availability = refused.body["error"].get("availability") or {}
    return availability["requested_models"][0] if availability.get("code") == "model_not_found" else None


_COMPLETIONS: dict[str, Callable[[Mapping[str, Any]], Body]] = {
    "ollama": _ollama_completion,
    "lmstudio": _lmstudio_completion,
}
_REFUSALS: dict[str, Callable[[ErrorReply], ErrorReply]] = {"ollama": _ollama_refusal, "lmstudio": _lmstudio_refusal}
