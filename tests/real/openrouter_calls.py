"""Run in an environment of its own: OpenRouter's Python SDK makes one call and prints what it read.

python openrouter_calls.py BASE_URL KEY CALL [ARGUMENT]; one JSON object on standard output.
The SDK checks every reply against its own models: what it cannot read raises here.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

from openrouter import OpenRouter, errors

MODEL = "google/gemma-3-4b-it"
SCHEMA = {
    "type": "object",
    "properties": {"caption": {"type": "string"}, "tone": {"enum": ["warm", "cold"]}},
    "required": ["caption", "tone"],
    "additionalProperties": False,
}
TOOL = {"type": "function", "function": {"name": "tag", "description": "Gives the tag.", "parameters": SCHEMA}}


def say(content: Any, **settings: Any) -> Callable[[OpenRouter], Any]:
    messages = [{"role": "user", "content": content}]
    return lambda sdk: sdk.chat.send(**{"model": MODEL, "messages": messages, "max_tokens": 64, **settings})


def picture(url: str) -> Callable[[OpenRouter], Any]:
    return say([{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": url}}])


def schema(_: str) -> Callable[[OpenRouter], Any]:
    form = {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": SCHEMA}}
    return say("Describe it.", response_format=form, provider={"require_parameters": True})


def tool(_: str) -> Callable[[OpenRouter], Any]:
    return say("Tag it.", tools=[TOOL], tool_choice={"type": "function", "function": {"name": "tag"}})


CALLS: dict[str, Callable[[str], Callable[[OpenRouter], Any]]] = {
    "chat": lambda _: say("Hello"),
    "model": lambda name: say("Hello", model=name),
    "picture": picture,
    "schema": schema,
    "tool": tool,
    "models": lambda _: lambda sdk: sdk.models.list().result,
    "endpoints": lambda _: lambda sdk: sdk.endpoints.list(author="google", slug="gemma-3-4b-it"),
    "key": lambda _: lambda sdk: sdk.api_keys.get_current_key_metadata(),
    "credits": lambda _: lambda sdk: sdk.credits.get_credits(),
    "generation": lambda generation: lambda sdk: sdk.generations.get_generation(id=generation),
}


def main(base_url: str, key: str, call: str, argument: str = "") -> None:
    with OpenRouter(api_key=key, server_url=base_url, retry_config=None, timeout_ms=20_000) as sdk:
        try:
            said = {"ok": json.loads(CALLS[call](argument)(sdk).model_dump_json(by_alias=True))}
        except errors.OpenRouterError as error:
            said = {"error": type(error).__name__, "status": error.status_code, "message": str(error)}
    print(json.dumps(said))


if __name__ == "__main__":
    main(*sys.argv[1:])
