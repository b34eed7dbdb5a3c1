"""Refuses words of JSON Schema in the schema of a request, as providers do that hold to a part of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from parquill.emulator.error_replies import invalid_request, upstream_rejected
from parquill.emulator.parsed_request import ParsedRequest
from parquill.emulator.settings import EmulatorSettings


def check_schema_words(asked: ParsedRequest, settings: EmulatorSettings) -> None:
    """Raise `ErrorReply` (400) in Anthropic's words for the first value that says one of the refused words."""
    if not settings.refused_words:
        return
    for place, schema in _schemas(asked):
        for value in _values(schema):
            if found := sorted(settings.refused_words & value.keys()):
                kinds = value.get("type")
                kind = kinds[0] if isinstance(kinds, list) else kinds
                said = f"properties {', '.join(found)} are" if len(found) > 1 else f"property '{found[0]}' is"
                message = f"{place}: For '{kind}' type, {said} not supported"
                raise upstream_rejected(message) if settings.dialect == "openrouter" else invalid_request(message)


def _schemas(asked: ParsedRequest) -> Iterator[tuple[str, Mapping[str, Any]]]:
    named = (asked.response_format or {}).get("json_schema") or {}
    if isinstance(named.get("schema"), Mapping):
        yield "output_config.format.schema", named["schema"]
    for at, tool in enumerate(asked.tools):
        yield f"tools.{at}.custom", tool.get("parameters") or {}


def _values(schema: Any) -> Iterator[Mapping[str, Any]]:
    """Yield a schema and those inside it; names of properties are no words."""
    if not isinstance(schema, Mapping):
        return
    yield schema
    for inner in (*schema.get("properties", {}).values(), schema.get("items"), schema.get("additionalProperties")):
        yield from _values(inner)
    for branch in schema.get("anyOf", ()):
        yield from _values(branch)
