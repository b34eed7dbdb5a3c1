"""Reads a schema of objects: a struct of the named properties, with one field for other keys where they are allowed.

An object that names no property is JSON text. One that names some and says nothing of other keys takes no others:
models are asked for closed objects. One that says that it takes others (`additionalProperties`, `patternProperties`)
keeps them in one more field, as JSON text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from parquill.answers import keywords
from parquill.answers.schema_cursor import SchemaCursor, SchemaLocation
from parquill.answers.schema_merge import RecursionCutError, UntypedError, flatten
from parquill.answers.schema_tree import Field, Kind, Node

EXTRAS = "additional_properties"
"""The field of a struct that holds the keys which its schema does not name, as one JSON object."""

ReadNode = Callable[[SchemaCursor, Any, SchemaLocation], Node]


@dataclass(slots=True)
class _Members:
    """What the parts of a schema say of an object's keys."""

    sure: dict[str, Any] = field(default_factory=dict)
    """Properties that are named whatever alternative holds."""
    maybe: dict[str, list[Any]] = field(default_factory=dict)
    """Properties that only some alternatives name."""
    open: bool = False
    closed: bool = False


def is_object(flat: dict[str, Any]) -> bool:
    """Tell whether a flat schema is of objects alone."""
    kinds = flat.get("type")
    if kinds is not None:
        return kinds in ("object", ["object"], ["object", "null"], ["null", "object"])
    return bool(flat.keys() & keywords.OBJECT_WORDS) and not flat.keys() & {"enum", "const", "anyOf", "oneOf"}


def read_object(
    cursor: SchemaCursor,
    schema: dict[str, Any],
    place: SchemaLocation,
    read: ReadNode,
    alternatives: Sequence[dict[str, Any]] = (),
) -> Node:
    """Return the node of a schema of objects.

    Args:
        cursor: The pass over the document.
        schema: Flat, without `anyOf` and `oneOf`.
        place: Where it stands.
        read: Reads the schema of a property.
        alternatives: The flat branches of `anyOf` and `oneOf` beside it.
    """
    members = _members(cursor, schema, place, alternatives)
    required = _required(cursor, schema, members, place)
    if not members.sure and not members.maybe:
        return _map(cursor, schema, place, read)
    if (clash := _unreadable([*members.sure, *members.maybe])) is not None:
        cursor.say(place, clash)
        cursor.more_than_sent = True
        return Node(Kind.MAP, item=Node(Kind.ANY))
    if schema.keys() & {"minProperties", "maxProperties"}:
        cursor.more_than_sent = True
    fields = []
    for name, inner, at in _named(members, place, schema.get("propertyOrdering")):
        if inner is False:
            if name in required:
                raise cursor.fault(at.schema, f"{name!r} is required, and no value fits `false`")
            continue
        node = read(cursor, inner, at)
        mandatory = name in required
        left_out = not mandatory and not node.nullable and node.kind is not Kind.ANY
        fields.append(Field(name, node if mandatory else replace(node, nullable=True), mandatory, left_out))
    extras = ""
    if members.open and not (members.closed and not _patterns(schema)):
        extras = EXTRAS
        while any(child.name.casefold() == extras.casefold() for child in fields):
            extras += "_"
        said = f"{place.answer}: keys that the schema does not name are kept as one JSON object in {extras!r}"
        cursor.notices.append(said)
    return Node(Kind.OBJECT, fields=tuple(fields), extras=extras)


def _patterns(schema: dict[str, Any]) -> bool:
    return bool(schema.get("patternProperties"))


def _members(
    cursor: SchemaCursor, schema: dict[str, Any], place: SchemaLocation, alternatives: Sequence[dict[str, Any]]
) -> _Members:
    found = _Members(sure=dict(schema.get("properties", {})))
    _note_others(found, schema)
    for flat in _alternatives(cursor, schema, place, alternatives):
        closed = flat.get("additionalProperties") is False
        _note_others(found, {word: held for word, held in flat.items() if not closed or word == "patternProperties"})
        for name, inner in flat.get("properties", {}).items():
            if name not in found.sure or (found.sure[name] in (True, {}) and inner is not False):
                found.maybe.setdefault(name, []).append(inner)
        for name in flat.get("required", ()):
            if name not in found.sure:
                found.maybe.setdefault(name, [])
    for name in [name for name in found.maybe if name in found.sure]:
        del found.sure[name]
    return found


def _note_others(found: _Members, schema: dict[str, Any]) -> None:
    for word in ("additionalProperties", "unevaluatedProperties"):
        if word in schema:
            found.closed |= schema[word] is False
            found.open |= schema[word] is not False
    found.open |= _patterns(schema)


def _alternatives(
    cursor: SchemaCursor, schema: dict[str, Any], place: SchemaLocation, given: Sequence[dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    """Give every flat schema that may or may not hold: branches, `then`, `else`, dependent schemas, and theirs."""
    yield from given
    left: list[Any] = [*given, schema]
    while left:
        one = left.pop()
        held = [one.get("then"), one.get("else"), *one.get("dependentSchemas", {}).values()]
        held += one.get("dependencies", {}).values()
        if one is not schema:
            held += [*one.get("anyOf", ()), *one.get("oneOf", ())]
        for inner in held:
            if isinstance(inner, dict):
                try:
                    flat, _ = flatten(cursor, inner, place)
                except (RecursionCutError, UntypedError):
                    continue
                yield flat
                left.append(flat)


def _required(cursor: SchemaCursor, schema: dict[str, Any], members: _Members, place: SchemaLocation) -> frozenset[str]:
    """Return the names that have to be there; those that no property names become properties of any value."""
    required = schema.get("required", ())
    required = required if isinstance(required, list) else ()
    others = schema.get("additionalProperties", True)
    for name in required:
        if name in members.sure:
            continue
        if name in members.maybe:
            members.sure[name] = _either(members.maybe.pop(name))
            continue
        near = keywords.nearest(name, tuple(one for one in members.sure if one not in required), cutoff=0.8)
        if near or (others is False and not _patterns(schema)):
            raise cursor.fault((*place.schema, "required"), f"{name!r} is required, but no property{near}")
        members.sure[name] = others if isinstance(others, dict) else {}
    return frozenset(required)


def _either(schemas: list[Any]) -> Any:
    """Return one schema for a property that several alternatives name."""
    possible = [one for one in schemas if one is not False]
    if schemas and not possible:
        return False
    if not possible or any(one in (True, {}) for one in possible):
        return {}
    first, *more = possible
    if not more:
        return first
    plain = {frozenset((one.get("type"),) if isinstance(one.get("type"), str) else ()) for one in possible}
    kind = next(iter(plain)) if len(plain) == 1 else frozenset()
    if kind and not any({"enum", "const", "format", "properties", "items"} & one.keys() for one in possible):
        return {"type": next(iter(kind))}
    if all(one.keys() & {"enum", "const"} for one in possible):
        values = [value for one in possible for value in ([one["const"]] if "const" in one else one["enum"])]
        return {"enum": [value for i, value in enumerate(values) if value not in values[:i]]}
    return first if all(one == first for one in more) else {"anyOf": possible}


def _named(members: _Members, place: SchemaLocation, order: Any) -> Iterator[tuple[str, Any, SchemaLocation]]:
    named = members.sure | {name: _either(schemas) for name, schemas in members.maybe.items()}
    first = [name for name in order if name in named] if isinstance(order, list) else []
    for name in dict.fromkeys((*first, *named)):
        yield name, named[name], place.down("properties", name, answer=f".{name}")


def _unreadable(names: list[str]) -> str | None:
    """Say why an object's names cannot be those of columns."""
    seen: dict[str, str] = {}
    for name in names:
        if not name.strip() or any(ord(char) < 32 or 0xD800 <= ord(char) < 0xE000 for char in name):
            return f"{name!r} cannot be a column's name"
        if name.casefold() in seen:
            return f"{name!r} and {seen[name.casefold()]!r} differ only in case, which DuckDB cannot tell apart"
        seen[name.casefold()] = name
    return None


def _map(cursor: SchemaCursor, schema: dict[str, Any], place: SchemaLocation, read: ReadNode) -> Node:
    """Return the node of an object that names no property."""
    others = schema.get("additionalProperties", True)
    limits: dict[str, Any] = {word: schema[word] for word in ("minProperties", "maxProperties") if word in schema}
    cursor.say(place, "an object without named properties")
    said = len(cursor.notices)
    if _patterns(schema):
        cursor.more_than_sent = True
        held = list(schema["patternProperties"].values())
        others = held[0] if len(held) == 1 and others is False else True
    elif others is False:
        return Node(Kind.MAP, constraints={"maxProperties": 0}, item=Node(Kind.ANY))
    item = read(cursor, others, place.down("additionalProperties")) if others is not False else Node(Kind.ANY)
    del cursor.notices[said:]
    return Node(Kind.MAP, constraints=limits, item=item)
