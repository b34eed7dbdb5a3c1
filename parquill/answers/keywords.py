"""JSON Schema keywords: which are known, and which fit which type.

Words of drafts 7 to 2020-12. A word that is none of JSON Schema's is refused with its nearest
neighbour; one that is, but cannot become a column, is refused as such: a keyword that silently
did nothing would let answers pass that the schema forbids.
"""

from __future__ import annotations

import difflib

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
TYPES = (*FOR_TYPE, "null")

KNOWN = ANNOTATIONS | SHAPE | frozenset().union(*FOR_TYPE.values())

UNSUPPORTED = frozenset(
    {
        "$anchor", "$dynamicRef", "$dynamicAnchor", "$recursiveRef", "$recursiveAnchor", "$vocabulary", "if", "then",
        "else", "not", "dependencies", "dependentRequired", "dependentSchemas", "patternProperties", "propertyNames",
        "unevaluatedItems", "unevaluatedProperties", "prefixItems", "additionalItems", "contains", "minContains",
        "maxContains", "contentEncoding", "contentMediaType", "contentSchema",
    }
)  # fmt: skip

TYPED_FORMATS = frozenset({"date", "date-time", "uuid"})
"""Formats that decide a column's type or are checked in every answer."""

UNCHECKED_FORMATS = frozenset(
    {
        "time", "duration", "email", "idn-email", "hostname", "idn-hostname", "ipv4", "ipv6", "uri", "uri-reference",
        "uri-template", "iri", "iri-reference", "url", "json-pointer", "relative-json-pointer", "regex", "password",
        "byte", "binary", "path", "file-path", "directory-path", "decimal", "int32", "int64", "float", "double",
    }
)  # fmt: skip
"""Formats that schemas out there name (JSON Schema's, OpenAPI's, pydantic's): passed on, not checked."""


def nearest(word: str, known: frozenset[str] | tuple[str, ...]) -> str:
    """Return "; did you mean …?" for a word's nearest neighbour, or nothing."""
    near = difflib.get_close_matches(word, sorted(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""
