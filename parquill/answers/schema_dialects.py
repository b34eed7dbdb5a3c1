"""Which words of JSON Schema an endpoint takes in the schema that is sent, as its maker documents them.

Every word is checked in the answer here, so a word that is not sent costs nothing but guidance. Where the maker is not
known, all words are sent, and what the endpoint refuses is left out from then on (`refused_words`). The sources of
each table stand in docs/typed-answers.md.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

STRICT = "strict"
"""Not a word of the schema but the flag beside it; left out, the schema is sent without the claim."""

_LENGTHS = frozenset({"minLength", "maxLength"})
_BOUNDS = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"})
_COUNTS = frozenset({"maxItems", "uniqueItems", "minProperties", "maxProperties"})
DROPPABLE = _LENGTHS | _BOUNDS | _COUNTS | {"minItems", "pattern", "format"}
"""Words that only narrow a value of a type; without them the endpoint still gives the right structure."""


@dataclass(frozen=True, slots=True)
class SchemaDialect:
    """What may stand in the schema of a request."""

    left_out: frozenset[str] = frozenset()
    formats: frozenset[str] | None = None
    """The formats that are taken; None: any."""
    small_min_items: bool = False
    """Of minItems, 0 and 1 alone are taken."""
    strict_when_open: bool = True
    """`strict` is taken beside objects with any keys."""
    strict_tools: bool = False
    """A function may say `strict` of itself."""

    def without(self, words: frozenset[str]) -> SchemaDialect:
        """Return the dialect with more words left out."""
        return replace(self, left_out=self.left_out | words) if words else self

    def sent(self, constraints: Mapping[str, Any]) -> dict[str, Any]:
        """Return those of a value's constraints that are sent."""
        return {word: value for word, value in constraints.items() if self._takes(word, value)}

    def _takes(self, word: str, value: Any) -> bool:
        if word in self.left_out or (word == "format" and self.formats is not None and value not in self.formats):
            return False
        return not (word == "minItems" and self.small_min_items and value not in (0, 1))


ANY = SchemaDialect()
"""Of an endpoint whose maker is not known."""

_FORMATS = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"})
DIALECTS = {
    "openai": SchemaDialect(
        _LENGTHS | {"uniqueItems", "minProperties", "maxProperties"},
        _FORMATS,
        strict_when_open=False,
        strict_tools=True,
    ),
    "anthropic": SchemaDialect(
        _LENGTHS | _BOUNDS | _COUNTS, _FORMATS | {"uri"}, small_min_items=True, strict_when_open=False
    ),
    "google": SchemaDialect(
        _LENGTHS
        | {"pattern", "multipleOf", "exclusiveMinimum", "exclusiveMaximum"}
        | {"uniqueItems", "minProperties", "maxProperties"},
        frozenset({"date-time", "date", "time"}),
    ),
    "fireworks": SchemaDialect(_LENGTHS | _COUNTS | {"minItems", "pattern"}),
    "vllm": SchemaDialect(
        frozenset({"multipleOf", "uniqueItems"}),
        _FORMATS | {"uri", "uri-reference", "uri-template", "json-pointer", "relative-json-pointer"},
    ),
}
_HOSTS = {
    "openai.com": "openai",
    "openai.azure.com": "openai",
    "anthropic.com": "anthropic",
    "googleapis.com": "google",
    "fireworks.ai": "fireworks",
}
_PROVIDERS = {
    "openai": "openai", "azure": "openai", "anthropic": "anthropic", "google-vertex": "google",
    "google-ai-studio": "google", "google": "google", "fireworks": "fireworks",
}  # fmt: skip
_PREFIXES = {
    "openai/gpt-oss": "", "openai/": "openai", "anthropic/": "anthropic", "google/gemini": "google",
    "fireworks_ai/": "fireworks", "hosted_vllm/": "vllm",
}  # fmt: skip
"""How model names begin; a model with open weights is served by many."""


def dialect_of(base_url: str, model: str, provider: Mapping[str, Any]) -> SchemaDialect:
    """Return the dialect of the endpoint that answers.

    Args:
        base_url: The endpoint's address.
        model: The model's name, whose beginning may name its maker.
        provider: OpenRouter's routing object: what it allows alone decides before the name.
    """
    host = urlsplit(base_url).hostname or ""
    for ending, name in _HOSTS.items():
        if host == ending or host.endswith(f".{ending}"):
            return DIALECTS[name]
    allowed = provider.get("only") or []
    names = {_PROVIDERS.get(str(one).casefold().partition("/")[0], "") for one in allowed}
    if names:
        return DIALECTS.get(names.pop(), ANY) if len(names) == 1 else ANY
    name = next((name for beginning, name in _PREFIXES.items() if model.startswith(beginning)), "")
    return DIALECTS.get(name, ANY)


_PATHS = re.compile(r"\b(?:response_format|output_config|output_format|text)\b[\w.\[\]]*")
"""Names of places in a request, whose parts are no words of the schema."""
_ONE_MEANING = frozenset(word for word in DROPPABLE if not word.islower())
"""Words that are no English ones: they are recognised without quotation marks."""
_WORD = re.compile(r"\w+")
_QUOTED = re.compile(r"['\"`](\w+)['\"`]")
_CLOSED = re.compile(r"additionalProperties|\bstrict\b")
_SCHEMA = re.compile(r"schema|response_format|output_(?:format|config)|\btools?\b|propert(?:y|ies)\b", re.IGNORECASE)


def refused_words(status: int, message: str, sent: frozenset[str]) -> frozenset[str]:
    """Return the words of the schema that an error reply names as not taken, of those that were `sent`.

    `minItems` is recognised wherever it stands; `maximum` or `format`, which are English words too, only in quotation
    marks or where the message speaks of a schema, a tool or a property.
    """
    if status not in (400, 422) or not sent:
        return frozenset()
    text = _PATHS.sub(" ", message)
    named = sent & DROPPABLE & set(_WORD.findall(text))
    if not _SCHEMA.search(message):
        named &= _ONE_MEANING | set(_QUOTED.findall(text))
    if not named and STRICT in sent and _CLOSED.search(text):
        return frozenset({STRICT})
    return named
