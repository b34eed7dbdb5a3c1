"""Makes one flat schema of a schema's references, of its `allOf` and of what stands beside them.

The flat schema only decides a column's type and what is sent. Whether an answer is valid is decided by the
document as the user wrote it (`validator.py`), so nothing that is left out here lets a wrong answer pass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from parquill.answers import keywords
from parquill.answers.schema_cursor import SchemaCursor, SchemaLocation
from parquill.answers.schema_document import Draft
from parquill.answers.schema_references import LostReferenceError, Place
from parquill.answers.strict_json import same

_JOINS = ("$ref", "$dynamicRef", "$recursiveRef", "allOf")
_NOT_MERGED = frozenset({*_JOINS, "$id", "id", "$schema", "$defs", "definitions", "$anchor", "$dynamicAnchor"})


class ContradictionError(ValueError):
    """Two schemas that no value fits; names the word."""

    def __init__(self, word: str) -> None:
        super().__init__(word)
        self.word = word


class RecursionCutError(Exception):
    """A definition stands inside itself more often than it has columns."""


class UntypedError(Exception):
    """It is one of JSON Schema's own schemas, which stand outside the document."""


def flatten(
    cursor: SchemaCursor, schema: dict[str, Any], place: SchemaLocation, chain: tuple[Place, ...] = ()
) -> tuple[dict[str, Any], SchemaLocation]:
    """Return a schema without references and `allOf`, and its place.

    Raises:
        SchemaError: No value fits, or a reference leads to itself.
        RecursionCutError: It stands inside itself too often.
        UntypedError: It is one of JSON Schema's own schemas.
    """
    if not any(word in schema for word in _JOINS):
        return schema, place
    own = {word: held for word, held in schema.items() if word not in _JOINS}
    parts: list[dict[str, Any]] = []
    for word in ("$ref", "$dynamicRef", "$recursiveRef"):
        if isinstance(schema.get(word), str):
            flat, place = _followed(cursor, schema, word, place, chain)
            parts.append(flat)
    for i, part in enumerate(schema.get("allOf", ())):
        if part is False:
            raise cursor.fault((*place.schema, "allOf", i), "no value fits `false`")
        if isinstance(part, dict):
            flat, inner = flatten(cursor, part, place.down("allOf", i), chain)
            parts.append(flat)
            place = replace(place, through=tuple(dict.fromkeys((*place.through, *inner.through))))
    merged: dict[str, Any] = {}
    for part in parts:
        merged = _joined(cursor, merged, part, place)
    try:
        return merge(merged, own), place
    except ContradictionError as error:
        if "$ref" in schema and cursor.document.draft in (Draft.DRAFT4, Draft.DRAFT6, Draft.DRAFT7):
            return merged, place  # there, words beside a reference do nothing
        at = (*cursor.references.place_of(schema, place.schema), error.word)
        raise cursor.fault(at, f"{error.word!r} contradicts the schema beside it: no value fits both") from None


def _joined(cursor: SchemaCursor, one: dict[str, Any], other: dict[str, Any], place: SchemaLocation) -> dict[str, Any]:
    try:
        return merge(one, other)
    except ContradictionError as error:
        said = f"no value fits all of allOf: {error.word!r} contradicts"
        raise cursor.fault((*place.schema, "allOf"), said) from None


def _followed(
    cursor: SchemaCursor, schema: dict[str, Any], word: str, place: SchemaLocation, chain: tuple[Place, ...]
) -> tuple[dict[str, Any], SchemaLocation]:
    try:
        target = cursor.references.find(schema[word], cursor.references.base_of(schema, ""))
    except LostReferenceError:  # JSON Schema's own: `schema_words.py` refuses any other
        raise UntypedError from None
    if target.place in chain:
        at = (*cursor.references.place_of(schema, place.schema), word)
        raise cursor.fault(at, f"{schema[word]!r} leads to itself and says nothing")
    if place.through.count(target.place) + (target.place == ()) > cursor.recursions:
        raise RecursionCutError
    if target.schema is True:
        return {}, place
    if target.schema is False:
        raise cursor.fault((*cursor.references.place_of(schema, place.schema), word), "no value fits `false`")
    there = replace(place, schema=target.place, through=(*place.through, target.place), depth=place.depth + 1)
    return flatten(cursor, target.schema, there, (*chain, target.place))


def merge(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Return what both of two flat schemas say; the second one's annotations win.

    Raises:
        ContradictionError: Nothing fits both.
    """
    if not one or not other:
        return {word: held for word, held in (one or other).items() if word not in _NOT_MERGED}
    out = {word: held for word, held in one.items() if word not in _NOT_MERGED}
    for word, held in other.items():
        if word in _NOT_MERGED:
            continue
        if word not in out or word in keywords.ANNOTATIONS:
            out[word] = held
        elif not same(out[word], held):
            out[word] = _BOTH.get(word, _both_kept)(word, out[word], held)
    return out


def _both_kept(word: str, one: Any, other: Any) -> Any:
    """Keep the first: the document's validator checks both."""
    return one


def _types(word: str, one: Any, other: Any) -> Any:
    first, second = map(keywords.type_names, (one, other))
    both = [kind for kind in first if kind in second or (kind == "integer" and "number" in second)]
    both += [kind for kind in second if kind == "integer" and "number" in first and kind not in both]
    if not both:
        raise ContradictionError(word)
    return both[0] if len(both) == 1 else both


def _values(word: str, one: Any, other: Any) -> Any:
    both = [value for value in one if any(same(value, more) for more in other)]
    if not both:
        raise ContradictionError(word)
    return both


def _equal(word: str, one: Any, other: Any) -> Any:
    raise ContradictionError(word)


def _properties(word: str, one: Any, other: Any) -> Any:
    return one | {name: _all_of(one[name], held) if name in one else held for name, held in other.items()}


def _all_of(one: Any, other: Any) -> Any:
    if one is False or other is False:
        return False
    if one is True or one == {}:
        return other
    if other is True or other == {} or same(one, other):
        return one
    return {"allOf": [one, other]}


def _schemas(word: str, one: Any, other: Any) -> Any:
    return one if isinstance(one, list) or isinstance(other, list) else _all_of(one, other)


def _named(word: str, one: Any, other: Any) -> Any:
    return [*one, *(name for name in other if name not in one)] if isinstance(one, list) else {**one, **other}


def _alternatives(word: str, one: Any, other: Any) -> Any:
    return [*one, *other]


_BOTH: dict[str, Callable[[str, Any, Any], Any]] = {
    "type": _types,
    "enum": _values,
    "const": _equal,
    "properties": _properties,
    "patternProperties": _named,
    "dependencies": _named,
    "dependentSchemas": _named,
    "dependentRequired": _named,
    "required": _named,
    "items": _schemas,
    "additionalProperties": _schemas,
    "minimum": lambda word, one, other: max(one, other),
    "maximum": lambda word, one, other: min(one, other),
    "minLength": lambda word, one, other: max(one, other),
    "maxLength": lambda word, one, other: min(one, other),
    "minItems": lambda word, one, other: max(one, other),
    "maxItems": lambda word, one, other: min(one, other),
    "anyOf": _alternatives,
    "oneOf": _alternatives,
}
