"""A JSON Schema document made ready: taken out of its wrapper, its draft known, OpenAPI's `nullable` understood.

Guarantees: what leaves here is plain JSON of a bounded size, shares no object between two places, names its
draft in `$schema`, and is a valid schema of that draft. Nothing is fetched. Faults name the place inside the
document (`#/properties/tags`).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import quote

import orjson

from parquill.answers.keywords import type_names
from parquill.answers.patterns import UNUSABLE, ecma_pattern
from parquill.errors import SchemaError

MAX_SCHEMA_BYTES = 4_000_000
"""Kubernetes' whole API in one document has some 1.3 MB; a larger file is hardly one answer's schema."""


class Draft(StrEnum):
    """The versions of JSON Schema that are understood."""

    DRAFT4 = "4"
    DRAFT6 = "6"
    DRAFT7 = "7"
    DRAFT201909 = "2019-09"
    DRAFT202012 = "2020-12"

    @property
    def uri(self) -> str:
        """Return what `$schema` says in a document of this draft."""
        if self in (Draft.DRAFT201909, Draft.DRAFT202012):
            return f"https://json-schema.org/draft/{self}/schema"
        return f"http://json-schema.org/draft-0{self}/schema#"


_BY_URI = {one.uri.removeprefix("http://").removeprefix("https://").rstrip("#"): one for one in Draft}


@dataclass(frozen=True, slots=True)
class SchemaDocument:
    """One document, as the tree (`schema.py`) and the validator (`validator.py`) read it."""

    name: str
    """For messages: the file, the model, or the job's key."""
    draft: Draft
    root: dict[str, Any]
    """Plain JSON; `$schema` names `draft`."""
    inside: tuple[str, ...] = ()
    """Where the root stood in what the user gave: ("schema",) for OpenAI's wrapper."""
    notices: tuple[str, ...] = ()

    def fault(self, place: tuple[str | int, ...], message: str) -> SchemaError:
        """Make the error for one place in the document."""
        return SchemaError(f"{self.name}: {pointer([*self.inside, *place])}: {message}")


def pointer(path: list[str | int]) -> str:
    """Write a place in a schema as `$ref` does: `#/properties/tags/items`."""
    return "/".join(["#", *(str(step).replace("~", "~0").replace("/", "~1") for step in path)])


def make_document(name: str, given: dict[str, Any]) -> SchemaDocument:
    """Return a checked document.

    Args:
        name: What to call it in messages.
        given: The schema as the user has it; left as it is.

    Raises:
        SchemaError: It is too large, no JSON, or no valid schema of its draft.
    """
    _check_size(name, given)
    inside, bare = _unwrapped(given)
    said = bare.get("$schema")
    draft = _draft_named(said)
    notices: tuple[str, ...] = ()
    if draft is None:
        draft = _draft_by_words(bare)
        if said is not None:
            notices = (f"#/$schema: {str(said)[:200]} is no draft that is known; read as draft {draft}",)
    root = {"$schema": draft.uri} | {key: item for key, item in _normalised(bare).items() if key != "$schema"}
    document = SchemaDocument(name, draft, root, inside, notices)
    _check_meta(document)
    return document


def subschemas(schema: dict[str, Any]) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Give every schema that stands directly inside one, with the steps to it, by the words that hold schemas."""
    for word, held in schema.items():
        if word in HOLD_ONE or word == "items":
            if isinstance(held, list):
                yield from (((word, i), item) for i, item in enumerate(held))
            else:
                yield (word,), held
        elif word in HOLD_LIST and isinstance(held, list):
            yield from (((word, i), item) for i, item in enumerate(held))
        elif word in HOLD_NAMED and isinstance(held, dict):
            yield from (((word, name), item) for name, item in held.items() if not isinstance(item, list))


HOLD_ONE = frozenset(
    {
        "additionalProperties", "additionalItems", "not", "if", "then", "else", "contains", "propertyNames",
        "unevaluatedItems", "unevaluatedProperties", "contentSchema",
    }
)  # fmt: skip
HOLD_LIST = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
HOLD_NAMED = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies"})
VALUES = frozenset({"const", "enum", "default", "example", "examples"})
"""Words that hold values: what looks like a schema inside them is none."""


def _check_size(name: str, given: dict[str, Any]) -> None:
    try:
        size = len(orjson.dumps(given))
    except (TypeError, orjson.JSONEncodeError) as error:
        if (large := _large_number(given, ())) is not None:
            said = "a whole number of more than 64 bits, which no column holds; leave the bound out"
            raise SchemaError(f"{name}: {pointer([*large])}: {said}") from None
        raise SchemaError(f"{name}: #: not a JSON document: {error}") from None
    if size > MAX_SCHEMA_BYTES:
        raise SchemaError(f"{name}: #: {size} bytes, at most {MAX_SCHEMA_BYTES} are taken. Split the schema")


_LARGEST_DEPTH = 255
"""Levels that orjson writes."""


def _large_number(value: Any, place: tuple[str, ...]) -> tuple[str, ...] | None:
    """Return where the first whole number stands that has more than 64 bits."""
    if isinstance(value, int):
        return None if -(2**63) <= value < 2**64 else place
    if len(place) > _LARGEST_DEPTH:
        return None
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = (_large_number(item, (*place, str(key))) for key, item in members)
    return next((large for large in found if large is not None), None)


_SCHEMA_WORDS = frozenset({"type", "properties", "$ref", "allOf", "anyOf", "oneOf", "enum", "const", "items"})
_WRAPPERS: tuple[tuple[str, ...], ...] = (
    ("json_schema", "schema"),
    ("function", "parameters"),
    ("schema",),
    ("parameters",),
    ("input_schema",),
)
"""How APIs hold a schema beside its name: OpenAI's `response_format` and tools, Anthropic's tools."""


def _unwrapped(given: dict[str, Any]) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Return a schema out of an API's wrapper, and the steps to it."""
    for steps in _WRAPPERS:
        outer: Any = given
        for step in steps[:-1]:
            outer = outer.get(step) if isinstance(outer, dict) else None
        if not isinstance(outer, dict) or not isinstance(outer.get("name"), str):
            continue
        inner = outer.get(steps[-1])
        if isinstance(inner, dict) and not _SCHEMA_WORDS & (given.keys() - {"type"}) and _SCHEMA_WORDS & inner.keys():
            return steps, inner
    return (), given


def _draft_named(uri: Any) -> Draft | None:
    if not isinstance(uri, str):
        return None
    bare = uri.strip().removeprefix("http://").removeprefix("https://").rstrip("#/")
    return _BY_URI.get(bare) or (Draft.DRAFT4 if bare == "json-schema.org/draft-05/schema" else None)


_NEWER_THAN_4 = frozenset({"const", "contains", "propertyNames", "if", "$id", "$defs", "$anchor", "prefixItems"})
_ONLY_BEFORE_2019 = frozenset({"dependencies", "additionalItems"})
_SINCE_2019 = frozenset(
    {"$defs", "$anchor", "prefixItems", "dependentRequired", "dependentSchemas", "unevaluatedProperties", "minContains"}
)


def _draft_by_words(schema: dict[str, Any]) -> Draft:
    """Tell the draft of a document that does not name one.

    `definitions` alone tells nothing: 2020-12 follows references into it too, and there words beside `$ref` count.
    """
    words: set[str] = set()
    for inner in _every(schema):
        words |= inner.keys()
        for word in ("exclusiveMinimum", "exclusiveMaximum"):
            if isinstance(inner.get(word), bool):
                words.add("4")
        if isinstance(inner.get("items"), list):
            words.add("7")
    if "4" in words or (isinstance(schema.get("id"), str) and ":" in schema["id"] and not words & _NEWER_THAN_4):
        return Draft.DRAFT4
    if ("7" in words or words & _ONLY_BEFORE_2019) and not words & _SINCE_2019:
        return Draft.DRAFT7
    return Draft.DRAFT202012


def _every(schema: Any) -> Iterator[dict[str, Any]]:
    """Give a schema and all inside it."""
    left = [schema]
    while left:
        one = left.pop()
        if isinstance(one, dict):
            yield one
            left += [inner for _, inner in subschemas(one)]


_NO_ADDRESS = re.compile(r"[^\x21\x23-\x3b\x3d\x3f-\x5b\x5d\x5f\x61-\x7a\x7e]")
"""Characters that an address holds percent-encoded; generators of TypeScript's types write `Spec<Unit>`."""


def _normalised(schema: Any) -> Any:
    """Return a deep copy in which `nullable: true` is a null type and `$schema` of a foreign draft is gone.

    Words that are unknown may hold schemas too (`components.schemas`): they are treated as schemas.
    """
    if isinstance(schema, list):
        return [_normalised(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    out: dict[str, Any] = {}
    for word, held in schema.items():
        if word in VALUES:
            out[word] = orjson.loads(orjson.dumps(held))
        elif word == "pattern" and isinstance(held, str):
            out[word] = ecma_pattern(held)
        elif word == "$ref" and isinstance(held, str):
            out[word] = _NO_ADDRESS.sub(lambda char: quote(char[0]), held)
        elif word in HOLD_NAMED and isinstance(held, dict):
            named = ecma_pattern if word == "patternProperties" else str
            out[word] = {named(name): _normalised(item) for name, item in held.items()}
        elif word != "$schema" or _draft_named(held) is not None:
            out[word] = _normalised(held)
    return _with_null(out) if out.get("nullable") is True else out


def _with_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Write OpenAPI's `nullable: true` as JSON Schema does."""
    rest = {word: held for word, held in schema.items() if word != "nullable"}
    outer: dict[str, Any] = {}
    if "$ref" in rest or any(word in rest for word in (*HOLD_LIST, "not", "const", "if")):
        for word in ("title", "description", "$defs", "definitions"):
            if word in rest:
                outer[word] = rest.pop(word)
        return outer | {"anyOf": [rest, {"type": "null"}]}
    kinds = rest.get("type")
    if kinds is not None:
        named = type_names(kinds)
        rest["type"] = named if "null" in named else [*named, "null"]
    if isinstance(rest.get("enum"), list) and None not in rest["enum"]:
        rest["enum"] = [*rest["enum"], None]
    return rest


def _check_meta(document: SchemaDocument) -> None:
    import jsonschema_rs  # noqa: PLC0415 - a job of plain text starts without it

    try:
        jsonschema_rs.meta.validate(document.root, registry=nothing_is_fetched())
    except jsonschema_rs.ValidationError as error:
        said = error.message[:300]
        if said.endswith('is not a "regex"'):
            said = f"{said[:-17]} {UNUSABLE}"
        raise document.fault(tuple(error.instance_path), said) from None
    except (ValueError, jsonschema_rs.ReferencingError) as error:
        raise document.fault(("$schema",), f"cannot be checked as draft {document.draft}: {error}") from None


def refuse_to_fetch(address: str) -> Any:
    """Retrieve nothing: a schema names other documents at its author's will, and Parquill asks for none of them."""
    raise ValueError(f"{address[:200]} is not fetched: write what it says into the schema itself")


@functools.cache
def nothing_is_fetched() -> Any:
    """Return a registry that knows the drafts of JSON Schema and nothing else."""
    import jsonschema_rs  # noqa: PLC0415 - as above

    return jsonschema_rs.Registry([], retriever=refuse_to_fetch)
