"""JSON Schema keywords: which are known, which fit which type, and which words are a misspelling of one.

Words of drafts 4 to 2020-12 and those that OpenAPI and Google add. A word that is none of them does nothing, so
it is ignored and said; one that is nearly a word which restricts answers is refused with its neighbour named,
since what it was meant to forbid would pass.
"""

from __future__ import annotations

import difflib
import functools
from typing import Any

ANNOTATIONS = frozenset(
    {
        "$schema", "$id", "$comment", "$defs", "definitions", "title", "description", "default", "examples",
        "deprecated", "readOnly", "writeOnly", "discriminator",
    }
)  # fmt: skip
"""Words that change no answer; `discriminator` is OpenAPI's, pydantic writes it beside `oneOf`."""

SHAPE = frozenset({"type", "enum", "const", "nullable", "anyOf", "oneOf", "allOf", "$ref"})

FOR_TYPE = {
    "object": frozenset({"properties", "required", "additionalProperties", "minProperties", "maxProperties"}),
    "array": frozenset({"items", "minItems", "maxItems", "uniqueItems"}),
    "string": frozenset({"minLength", "maxLength", "pattern", "format"}),
    "integer": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "format"}),
    "number": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "format"}),
    "boolean": frozenset(),
}  # fmt: skip
"""The words that a request shows, by the type that they restrict."""

OBJECT_WORDS: frozenset[str] = FOR_TYPE["object"] | {
    "patternProperties", "propertyNames", "dependencies", "dependentRequired", "dependentSchemas",
    "unevaluatedProperties",
}  # fmt: skip
ARRAY_WORDS: frozenset[str] = FOR_TYPE["array"] | {
    "prefixItems", "additionalItems", "contains", "minContains", "maxContains", "unevaluatedItems",
}  # fmt: skip

TYPES = ("object", "array", "string", "integer", "number", "boolean")


def type_names(kinds: Any) -> list[str]:
    """Return what the word `type` names, written as one name, as a list, or left out."""
    return [kinds] if isinstance(kinds, str) else list(kinds or ())


def words_for(kind: str) -> frozenset[str]:
    """Return the words that restrict values of one type and no other."""
    return {"object": OBJECT_WORDS, "array": ARRAY_WORDS}.get(kind, FOR_TYPE[kind])


CHECK_ONLY = frozenset(
    {
        "if", "then", "else", "not", "dependencies", "dependentRequired", "dependentSchemas", "patternProperties",
        "propertyNames", "unevaluatedItems", "unevaluatedProperties", "prefixItems", "additionalItems", "contains",
        "minContains", "maxContains", "$anchor", "$dynamicRef", "$dynamicAnchor", "$recursiveRef",
        "$recursiveAnchor",
    }
)  # fmt: skip
"""Words that restrict an answer but are sent to no endpoint: a change of one asks the rows again all the same."""

_WITHOUT_EFFECT = frozenset(
    {"id", "$vocabulary", "contentEncoding", "contentMediaType", "contentSchema", "example", "xml", "externalDocs",
     "propertyOrdering", "readonly", "note", "notes"}
)  # fmt: skip
RESTRICTING = frozenset({*SHAPE, *OBJECT_WORDS, *ARRAY_WORDS, *CHECK_ONLY}).union(*FOR_TYPE.values()) - {"nullable"}
KNOWN = ANNOTATIONS | _WITHOUT_EFFECT | RESTRICTING | {"nullable"}
SILENT = ANNOTATIONS | {"example", "propertyOrdering", "nullable"} | RESTRICTING | {"$vocabulary"}
"""Words about which there is nothing to say."""

DRAFT_3 = {"divisibleBy": "multipleOf", "disallow": "not", "extends": "allOf"}
"""Words of draft 3, which restricted answers, and what says the same today."""

SINCE = {
    "const": "6", "contains": "6", "propertyNames": "6", "if": "7", "dependentRequired": "2019-09",
    "dependentSchemas": "2019-09", "unevaluatedProperties": "2019-09", "unevaluatedItems": "2019-09",
    "minContains": "2019-09", "maxContains": "2019-09", "prefixItems": "2020-12",
}  # fmt: skip
"""The first draft in which a word means something."""

_LOWER = {known.lower(): known for known in RESTRICTING if len(known) >= 4}

TYPED_FORMATS = frozenset({"date", "date-time", "uuid"})
"""Formats that decide a column's type or are part of the fingerprint."""

CHECKED_FORMATS = frozenset(
    {
        "time", "duration", "email", "idn-email", "hostname", "idn-hostname", "ipv4", "ipv6", "uri", "uri-reference",
        "uri-template", "iri", "iri-reference", "json-pointer", "relative-json-pointer", "regex",
    }
)  # fmt: skip
"""JSON Schema's other formats: checked in every answer, and sent where the endpoint takes them."""

UNCHECKED_FORMATS = frozenset(
    {"url", "password", "byte", "binary", "path", "file-path", "directory-path", "decimal", "int32", "int64", "float",
     "double"}
)  # fmt: skip
"""Formats that OpenAPI and pydantic name: nothing checks them."""


@functools.lru_cache(maxsize=4096)
def misspelt(word: str) -> str | None:
    """Return the restricting word that an unknown one is nearly; None for any other.

    A longer word around a known one (`tsAdditionalProperties`, `maxUniqueItems`) is a tool's own, no slip.
    """
    lower = word.lower()
    if word in KNOWN or lower.startswith("x-") or len(word) < 3:
        return None
    near = difflib.get_close_matches(lower, sorted(_LOWER), n=1, cutoff=0.85)
    if (
        not near
        or (lower != near[0] and lower.endswith(near[0]))
        or (near[0] in lower and len(lower) > len(near[0]) + 1)
    ):
        return None
    return _LOWER[near[0]]


_HOLDS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("pattern", "format", "$ref"), (str,)),
    **dict.fromkeys(("enum", "required", "allOf", "anyOf", "oneOf", "prefixItems"), (list,)),
    **dict.fromkeys(("properties", "patternProperties", "dependencies", "dependentSchemas"), (dict,)),
    **dict.fromkeys(("minimum", "maximum", "multipleOf", "minLength", "maxLength", "minItems"), (int, float)),
    **dict.fromkeys(("maxItems", "minProperties", "maxProperties"), (int, float)),
    "type": (str, list),
}


def could_hold(word: str, value: object) -> bool:
    """Tell whether a value is one that a word may have: a folder of schemas named `patterns` is no slip."""
    return isinstance(value, _HOLDS.get(word, (object,)))


def nearest(word: str, known: frozenset[str] | tuple[str, ...], cutoff: float = 0.6) -> str:
    """Return "; did you mean …?" for a word's nearest neighbour, or nothing."""
    near = difflib.get_close_matches(word, sorted(known), n=1, cutoff=cutoff)
    return f"; did you mean {near[0]!r}?" if near else ""
