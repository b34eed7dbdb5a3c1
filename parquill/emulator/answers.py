"""What the emulator answers: text, JSON or a tool call, the same for the same body.

The forms of a structured answer, from strict to loose, as far as `supported_parameters`
reaches: tools, json_schema, json_object, and a schema that merely stands in the prompt.
What is not supported is ignored, as OpenRouter's routing does.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from parquill.emulator.error_replies import upstream_rejected
from parquill.emulator.parsed_request import ParsedRequest
from parquill.emulator.prose import sentences
from parquill.emulator.schemas import SchemaUnusableError, SchemaWriter
from parquill.emulator.settings import EmulatorSettings, Spread
from parquill.emulator.tokens import count_text, cut


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer. `tool` is the function's name when `text` is a call's arguments."""

    text: str
    completion_tokens: int
    finish_reason: str
    tool: str | None = None
    is_json: bool = False


def write_answer(asked: ParsedRequest, settings: EmulatorSettings, digest: bytes, max_tokens: int) -> Answer:
    """Return the answer to a request whose body has this digest, cut at `max_tokens`.

    Raises the 400 `ErrorReply` of a schema that no decoder could follow.
    """
    rng = random.Random(int.from_bytes(digest[:8], "big") ^ settings.seed)  # noqa: S311 - repeatable on purpose
    length = sample(rng, settings.output_tokens)
    tool = _called(asked, settings, rng)
    schema = _schema(asked, settings) if tool is None else tool.get("parameters") or {"type": "object"}
    if schema is not None:
        try:
            text = _fitting(schema, rng, length)
        except SchemaUnusableError as error:
            if asked.response_format or tool is not None:
                raise upstream_rejected(f"JSON schema conversion failed: {error}") from error
        else:
            return _cut(_typed(text, tool, asked.stop), max_tokens)
    text, tokens = sentences(rng, min(round(length), max_tokens))
    return _cut(_stopped(Answer(text, tokens, "stop"), asked.stop), max_tokens)


def _typed(text: str, tool: Mapping[str, Any] | None, stop: tuple[str, ...]) -> Answer:
    if tool is not None:
        return Answer(text, count_text(text), "tool_calls", str(tool["name"]), True)
    return _stopped(Answer(text, count_text(text), "stop", None, True), stop)


def sample(rng: random.Random, spread: Spread) -> float:
    """Draw from a log-normal distribution given by its median."""
    return spread.median * math.exp(spread.sigma * rng.gauss(0.0, 1.0)) if spread.sigma else spread.median


def _called(asked: ParsedRequest, settings: EmulatorSettings, rng: random.Random) -> Mapping[str, Any] | None:
    if not asked.tools or asked.tool_choice == "none" or "tools" not in settings.supported_parameters:
        return None
    if isinstance(asked.tool_choice, Mapping):
        name = (asked.tool_choice.get("function") or {}).get("name")
        return next((tool for tool in asked.tools if tool["name"] == name), asked.tools[0])
    return rng.choice(asked.tools)


def _schema(asked: ParsedRequest, settings: EmulatorSettings) -> Mapping[str, Any] | None:
    """Return the schema that the answer shall fit; None for prose."""
    kind = asked.response_format["type"] if asked.response_format else None
    supported = settings.supported_parameters
    if asked.response_format and kind == "json_schema" and "structured_outputs" in supported:
        schema: Mapping[str, Any] = asked.response_format["json_schema"].get("schema") or {"type": "object"}
        return schema
    found = schema_in(asked.text)
    if found is None and kind in ("json_object", "json_schema") and "response_format" in supported:
        return {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]}
    return found


def schema_in(text: str) -> Mapping[str, Any] | None:
    """Return the first JSON Schema of an object that stands in the text."""
    if '"properties"' not in text and '"object"' not in text:
        return None
    decoder, at = json.JSONDecoder(), text.find("{")
    while at >= 0:
        try:
            value, end = decoder.raw_decode(text, at)
        except ValueError:
            end = at + 1
        else:
            if isinstance(value, dict) and (isinstance(value.get("properties"), dict) or value.get("type") == "object"):
                return value
        at = text.find("{", end)
    return None


def _fitting(schema: Mapping[str, Any], rng: random.Random, length: float) -> str:
    return orjson.dumps(SchemaWriter(schema, rng, words=round(length / 6)).value()).decode()


def _stopped(answer: Answer, stop: tuple[str, ...]) -> Answer:
    found = [at for word in stop if (at := answer.text.find(word)) >= 0]
    if not found:
        return answer
    text = answer.text[: min(found)]
    return Answer(text, count_text(text), "stop", answer.tool, answer.is_json)


def _cut(answer: Answer, max_tokens: int) -> Answer:
    if answer.completion_tokens <= max_tokens:
        return answer
    return Answer(cut(answer.text, max_tokens), max_tokens, "length", answer.tool, answer.is_json)
