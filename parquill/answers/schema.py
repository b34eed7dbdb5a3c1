"""Reads a JSON Schema document into a tree of nodes: follows references, checks everything else.

What is refused, with its place in the schema: words that are not known or not supported, words
that do nothing for their type, references to elsewhere, cycles, more than `MAX_DEPTH` levels or
`MAX_NODES` values after references are followed, property names that readers of Parquet cannot
tell apart, and a top level that is not an object.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from parquill.answers import keywords
from parquill.answers.schema_cursor import SchemaCursor, SchemaLocation
from parquill.answers.schema_references import LostReferenceError
from parquill.answers.schema_tree import Field, Kind, Node

MAX_DEPTH = 24
MAX_NODES = 2_000
"""Ten definitions that each refer ten times to the next make 10**10 values without a cycle."""

RESERVED = frozenset(
    {
        "answer", "answer_text", "status", "error_kind", "error_message", "attempts", "model", "provider",
        "generation_id", "finish_reason", "prompt_tokens", "completion_tokens", "cached_tokens", "cost_usd",
        "cost_source", "estimated_cost_usd", "latency_ms", "answer_repairs", "finished_at", "fingerprint",
        "images", "upstream_cost_usd",
    }
)  # fmt: skip
"""The output's own columns: `SELECT *, answer.*` and Polars' `unnest` put the top level beside them."""

_ONLY_NULL = "a value that can only be null has nothing to say; leave it out"
_SCALAR = {"string": Kind.STRING, "integer": Kind.INTEGER, "number": Kind.NUMBER, "boolean": Kind.BOOLEAN}
_PYTHON: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}


def read_root(cursor: SchemaCursor, place: SchemaLocation | None = None) -> Node:
    """Return the document's tree; raises `SchemaError`."""
    place = place or SchemaLocation()
    node = read_node(cursor, cursor.document.root, place)
    if node.kind is not Kind.OBJECT or node.nullable:
        raise cursor.fault(place.schema, "the top level must be an object with properties: they become the columns")
    for child in node.fields:
        if child.name.lower() in RESERVED:
            raise cursor.fault(
                (*place.schema, "properties", child.name),
                f"{child.name!r} is a column of the output itself; rename the property, say to {child.name + '_'!r}",
            )
    return node


def read_node(cursor: SchemaCursor, schema: Any, place: SchemaLocation) -> Node:
    """Return the tree of one schema; raises `SchemaError`."""
    cursor.nodes += 1
    if place.depth > MAX_DEPTH:
        raise cursor.fault(place.schema, f"nested deeper than {MAX_DEPTH} levels")
    if cursor.nodes > MAX_NODES:
        raise cursor.fault(place.schema, f"more than {MAX_NODES} values once all references are followed")
    if schema is True:
        schema = {}
    if not isinstance(schema, dict):
        raise cursor.fault(place.schema, "no value fits `false`; leave the property out")
    _check_words(cursor, schema, place)
    if "$ref" in schema:
        return _follow(cursor, schema, place)
    if "allOf" in schema:
        return _single_all_of(cursor, schema, place)
    node = _read_shape(cursor, schema, place)
    description = schema.get("description", "")
    return replace(node, description=description or node.description, nullable=node.nullable or _says_null(schema))


def _check_words(cursor: SchemaCursor, schema: dict[str, Any], place: SchemaLocation) -> None:
    for word in schema:
        if word in keywords.UNSUPPORTED:
            raise cursor.fault((*place.schema, word), f"{word!r} is not supported: it cannot become a column")
        if word not in keywords.KNOWN:
            near = keywords.nearest(word, keywords.KNOWN)
            raise cursor.fault((*place.schema, word), f"{word!r} is not a word of JSON Schema{near}")


def _says_null(schema: dict[str, Any]) -> bool:
    kinds = schema.get("type")
    return schema.get("nullable") is True or kinds == "null" or (isinstance(kinds, list) and "null" in kinds)


def _follow(cursor: SchemaCursor, schema: dict[str, Any], place: SchemaLocation) -> Node:
    ref = schema["$ref"]
    at = (*place.schema, "$ref")
    if ref in place.through or ref == "#":
        chain = " -> ".join([*place.through, ref])
        raise cursor.fault(at, f"a cycle ({chain}): an answer that holds itself has no column type")
    try:
        target = cursor.references.find(ref, cursor.references.base_of(schema, ""))
    except LostReferenceError as error:
        raise cursor.fault(at, f"{ref!r} {error}") from None
    there = replace(place, schema=target.place, through=(*place.through, ref), depth=place.depth + 1)
    return read_node(cursor, _beside(cursor, schema, "$ref", target.schema, place), there)


def _single_all_of(cursor: SchemaCursor, schema: dict[str, Any], place: SchemaLocation) -> Node:
    parts = schema["allOf"]
    if len(parts) != 1:
        raise cursor.fault(
            (*place.schema, "allOf"), "only one schema inside allOf is supported; write it as one object"
        )
    return read_node(cursor, _beside(cursor, schema, "allOf", parts[0], place), place.down("allOf", 0))


def _beside(cursor: SchemaCursor, schema: dict[str, Any], word: str, target: Any, place: SchemaLocation) -> Any:
    """Merge what stands beside a reference into what it points to; annotations beside it win."""
    extra = {key: value for key, value in schema.items() if key != word}
    if not extra or not isinstance(target, dict):
        return target
    for key in extra.keys() & target.keys() - keywords.ANNOTATIONS:
        if extra[key] != target[key]:
            raise cursor.fault((*place.schema, key), f"{key!r} contradicts the schema that {word} points to")
    return target | extra


def _read_shape(cursor: SchemaCursor, schema: dict[str, Any], place: SchemaLocation) -> Node:
    if "anyOf" in schema or "oneOf" in schema:
        return _read_union(cursor, schema, place)
    name = _one_type(cursor, schema, place)
    if "const" in schema or "enum" in schema:
        return _read_values(cursor, schema, name, place)
    if isinstance(name, list):
        parts = [({**_picked(schema, *keywords.FOR_TYPE[kind]), "type": kind}, place) for kind in name]
        return _join(cursor, _quietly(cursor, parts), False, place)
    if name == "object":
        return _read_object(cursor, schema, place)
    if name == "array":
        return _read_array(cursor, schema, place)
    if name is None:
        cursor.say(place, "no type is given")
        return Node(Kind.ANY)
    return _read_scalar(cursor, schema, name, place)


def _one_type(cursor: SchemaCursor, schema: dict[str, Any], place: SchemaLocation) -> str | list[str] | None:
    """Return the type less null, guessed from the words where none is given, and check the words against it."""
    given = schema.get("type")
    names = [given] if isinstance(given, str) else list(given or ())
    if not names:
        names = [kind for kind in ("object", "array") if keywords.FOR_TYPE[kind] & schema.keys()]
    names = [name for name in names if name != "null"]
    if "integer" in names and "number" in names:
        names.remove("integer")
    fitting = frozenset().union(*(keywords.FOR_TYPE[name] for name in names))
    for word in schema.keys() - keywords.ANNOTATIONS - keywords.SHAPE - fitting:
        kinds = " or ".join(kind for kind, words in keywords.FOR_TYPE.items() if word in words)
        what = f"for {' or '.join(names)}" if names else "without a `type`"
        raise cursor.fault((*place.schema, word), f"{word!r} does nothing {what}; it is a word for {kinds}")
    if given is not None and not names:
        raise cursor.fault((*place.schema, "type"), _ONLY_NULL)
    if not names:
        return None
    return names[0] if len(names) == 1 else names


def _picked(schema: dict[str, Any], *words: str) -> dict[str, Any]:
    return {key: value for key, value in schema.items() if key in words}


def _read_values(
    cursor: SchemaCursor, schema: dict[str, Any], name: str | list[str] | None, place: SchemaLocation
) -> Node:
    values = [schema["const"]] if "const" in schema else schema["enum"]
    nullable = None in values
    kept = tuple(value for value in values if value is not None)
    at = (*place.schema, "const" if "const" in schema else "enum")
    if not kept:
        raise cursor.fault(at, _ONLY_NULL)
    if isinstance(name, str) and name in _PYTHON:
        for value in kept:
            if not _is_of(value, name):
                raise cursor.fault(at, f"{value!r} is not of type {name!r}")
    kinds = {kind for kind in ("string", "boolean", "integer", "number") if all(_is_of(v, kind) for v in kept)}
    if "string" in kinds:
        return Node(Kind.ENUM, nullable=nullable, values=kept)
    for kind in ("boolean", "integer", "number"):
        if kind in kinds and name in (None, kind):
            return Node(_SCALAR[kind], nullable=nullable, values=kept)
    cursor.say(place, "its values are of several types")
    return Node(Kind.ANY, nullable=nullable, values=kept)


def _is_of(value: Any, name: str) -> bool:
    return isinstance(value, _PYTHON[name]) and (name == "boolean" or not isinstance(value, bool))


def _read_union(cursor: SchemaCursor, schema: dict[str, Any], place: SchemaLocation) -> Node:
    word = "anyOf" if "anyOf" in schema else "oneOf"
    for key in schema.keys() - keywords.ANNOTATIONS - {word, "nullable"}:
        raise cursor.fault((*place.schema, key), f"{key!r} beside {word} is not supported; write it into each branch")
    parts = [
        (part, place.down(word, i))
        for i, part in enumerate(schema[word])
        if not (isinstance(part, dict) and part.get("type") == "null")
    ]
    if not parts:
        raise cursor.fault((*place.schema, word), _ONLY_NULL)
    node = (
        read_node(cursor, *parts[0])
        if len(parts) == 1
        else _join(cursor, _quietly(cursor, parts), word == "oneOf", place)
    )
    return replace(node, nullable=node.nullable or len(parts) < len(schema[word]))


def _quietly(cursor: SchemaCursor, parts: list[tuple[Any, SchemaLocation]]) -> list[Node]:
    """Read schemas whose values end up inside JSON text: what becomes of their parts needs no notice."""
    said = len(cursor.notices)
    nodes = [read_node(cursor, part, place) for part, place in parts]
    del cursor.notices[said:]
    return nodes


def _join(cursor: SchemaCursor, nodes: list[Node], exclusive: bool, place: SchemaLocation) -> Node:
    """Make one node of a union's branches: their common type where there is one, else JSON text."""
    nullable = any(node.nullable for node in nodes)
    plain = all(not node.constraints and not node.values and node.kind in _SCALAR.values() for node in nodes)
    kinds = {node.kind for node in nodes}
    if plain and kinds == {Kind.INTEGER, Kind.NUMBER}:
        return Node(Kind.NUMBER, nullable=nullable)
    if all(node.kind is Kind.ENUM for node in nodes):
        values = dict.fromkeys(value for node in nodes for value in node.values)
        return Node(Kind.ENUM, nullable=nullable, values=tuple(values))
    cursor.say(place, f"a union ({', '.join(sorted(kinds))})")
    return Node(Kind.UNION, nullable=nullable, branches=tuple(nodes), exclusive=exclusive)


def _read_object(cursor: SchemaCursor, schema: dict[str, Any], place: SchemaLocation) -> Node:
    properties = schema.get("properties", {})
    others = schema.get("additionalProperties", True)
    limits = _picked(schema, "minProperties", "maxProperties")
    required = schema.get("required", [])
    for name in required:
        if name not in properties:
            near = keywords.nearest(name, tuple(properties))
            raise cursor.fault((*place.schema, "required"), f"{name!r} is required, but no property{near}")
    if not properties:
        cursor.say(place, "an object without named properties")
        if others is False or ("properties" in schema and "additionalProperties" not in schema):
            return Node(Kind.MAP, constraints={"maxProperties": 0}, item=Node(Kind.ANY))
        item = _quietly(cursor, [(others, place.down("additionalProperties"))])[0]
        return Node(Kind.MAP, constraints=limits, item=item)
    if isinstance(others, dict) and others:
        raise cursor.fault(
            (*place.schema, "additionalProperties"), "beside named properties it has no column; name them"
        )
    for key in limits:
        raise cursor.fault((*place.schema, key), f"{key!r} is not supported beside named properties; use `required`")
    _check_names(cursor, properties, place)
    fields = []
    for name, inner in properties.items():
        node = read_node(cursor, inner, place.down("properties", name, answer=f".{name}"))
        mandatory = name in required
        left_out = not mandatory and not node.nullable and node.kind is not Kind.ANY
        fields.append(Field(name, node if mandatory else replace(node, nullable=True), mandatory, left_out))
    return Node(Kind.OBJECT, fields=tuple(fields))


def _check_names(cursor: SchemaCursor, properties: dict[str, Any], place: SchemaLocation) -> None:
    seen: dict[str, str] = {}
    for name in properties:
        at = (*place.schema, "properties", name)
        if not name.strip() or any(ord(char) < 32 or 0xD800 <= ord(char) < 0xE000 for char in name):
            raise cursor.fault(at, f"{name!r} cannot be a column's name")
        if name.casefold() in seen:
            other = seen[name.casefold()]
            raise cursor.fault(at, f"{name!r} and {other!r} differ only in case: DuckDB cannot tell them apart")
        seen[name.casefold()] = name


def _read_array(cursor: SchemaCursor, schema: dict[str, Any], place: SchemaLocation) -> Node:
    constraints = _picked(schema, "minItems", "maxItems", "uniqueItems")
    item = read_node(cursor, schema.get("items", True), place.down("items", answer="[]"))
    return Node(Kind.ARRAY, constraints=constraints, item=item)


def _read_scalar(cursor: SchemaCursor, schema: dict[str, Any], name: str, place: SchemaLocation) -> Node:
    constraints = _picked(schema, *keywords.FOR_TYPE[name])
    kind = _SCALAR[name]
    form = constraints.get("format")
    if form is not None and form not in keywords.TYPED_FORMATS:
        if form not in keywords.UNCHECKED_FORMATS:
            near = keywords.nearest(form, keywords.TYPED_FORMATS | keywords.UNCHECKED_FORMATS)
            raise cursor.fault((*place.schema, "format"), f"{form!r} is not a known format{near}")
        del constraints["format"]
        if kind is Kind.STRING:
            cursor.notices.append(f"{place.answer}: the format {form} is not checked")
    elif form in ("date", "date-time"):
        kind = Kind(form)
    if "pattern" in constraints:
        _check_pattern(cursor, constraints["pattern"], place)
    return Node(kind, constraints=constraints)


def _check_pattern(cursor: SchemaCursor, pattern: str, place: SchemaLocation) -> None:
    import jsonschema_rs  # noqa: PLC0415 - a job of plain text starts without it

    try:
        jsonschema_rs.validator_for({"pattern": pattern}, pattern_options=jsonschema_rs.RegexOptions())
    except (ValueError, jsonschema_rs.ValidationError):
        raise cursor.fault(
            (*place.schema, "pattern"),
            f"{pattern!r} cannot be used: only patterns that are matched in linear time "
            "are taken (no look-around, no back-references)",
        ) from None
