"""Reads a JSON Schema document into a tree of nodes: the type of the answer's column, and what is sent.

Guarantees: a document that some value fits loads. What has no exact Arrow type becomes JSON text, with one notice.
Refused, with the place in the schema: words that are nearly real ones, references to nothing or to elsewhere, and
schemas that no value fits. At most `MAX_DEPTH` levels and `MAX_NODES` values have columns of their own, and a
definition inside itself `RECURSIONS` times; below that stands JSON text. The tree decides no answer: `validator.py`
does.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from parquill.answers import keywords
from parquill.answers.arrow import arrow_type
from parquill.answers.schema_cursor import (
    MAX_DEPTH,
    MAX_NODES,
    RECURSIONS,
    SchemaCursor,
    SchemaLocation,
    TooManyNodesError,
)
from parquill.answers.schema_document import SchemaDocument
from parquill.answers.schema_merge import ContradictionError, RecursionCutError, UntypedError, flatten, merge
from parquill.answers.schema_objects import is_object, read_object
from parquill.answers.schema_references import LocalReferences
from parquill.answers.schema_tree import JSON_TEXT, Kind, Node
from parquill.answers.schema_words import read_words

_SCALAR = {"string": Kind.STRING, "integer": Kind.INTEGER, "number": Kind.NUMBER, "boolean": Kind.BOOLEAN}
_PYTHON: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}
_SMALLER = ((MAX_DEPTH, RECURSIONS), (MAX_DEPTH, 1), *((depth, 0) for depth in (16, 12, 8, 6, 5, 4, 3, 2, 1, 0)))
"""Depths and recursions to try, until the values are few enough."""
_NAMED_TEXTS = 10
"""Values kept as JSON text that have a notice of their own."""


def read_document(document: SchemaDocument, answer: str = "answer") -> tuple[Node, SchemaCursor]:
    """Return the document's tree and what was noted on the way.

    Args:
        document: The schema.
        answer: What the answer is called in notices.

    Raises:
        SchemaError: No value fits, or a word or a reference is wrong.
    """
    references = LocalReferences(document)
    words = read_words(document, references)
    node, cursor = _read_what_is_bearable(document, references, answer)
    cursor.more_than_sent |= words.check_only
    more = len(cursor.notices) - _NAMED_TEXTS
    if more > 1:
        cursor.notices[_NAMED_TEXTS:] = [f"{more} more values inside {answer} are kept as JSON text"]
    cursor.notices[:0] = [*document.notices, *words.notices()]
    return node, cursor


def _read_what_is_bearable(
    document: SchemaDocument, references: LocalReferences, answer: str
) -> tuple[Node, SchemaCursor]:
    """Read to the largest depth at which the values are few enough; a search by halves, since each try takes long."""
    place = SchemaLocation(answer=answer)
    found: tuple[Node, SchemaCursor] | None = None
    first, last, at = 0, len(_SMALLER) - 1, 0
    while first <= last:
        cursor = SchemaCursor(document, references, *_SMALLER[at])
        try:
            found = read_node(cursor, document.root, place), cursor
            last = at - 1
        except TooManyNodesError:
            first = at + 1
        at = (first + last) // 2
    if found is not None:
        return found
    cursor = SchemaCursor(document, references)
    node = _text(cursor, place, f"more than {MAX_NODES} values side by side")
    return (Node(Kind.MAP, item=node) if is_object(document.root) else node), cursor


def read_node(cursor: SchemaCursor, schema: Any, place: SchemaLocation) -> Node:
    """Return the tree of one schema; raises `SchemaError` or `TooManyNodesError`."""
    cursor.count()
    if schema is False:
        raise cursor.fault(place.schema, "no value fits `false`; leave the property out")
    if not isinstance(schema, dict):
        schema = {}
    if place.depth > cursor.max_depth:
        return _text(cursor, place, f"nested deeper than {cursor.max_depth} levels")
    try:
        flat, there = flatten(cursor, schema, place)
    except RecursionCutError:
        return _text(cursor, place, f"a definition inside itself more than {cursor.recursions} times")
    except UntypedError:
        return _text(cursor, place, "a schema of schemas")
    node = _read_shape(cursor, flat, there)
    said = flat.get("description", "")
    return replace(
        node,
        description=(said if isinstance(said, str) else "") or node.description,
        nullable=node.nullable or "null" in keywords.type_names(flat.get("type")),
    )


def _text(cursor: SchemaCursor, place: SchemaLocation, why: str) -> Node:
    cursor.more_than_sent = True
    cursor.say(place, why)
    return Node(Kind.ANY)


def _read_shape(cursor: SchemaCursor, schema: dict[str, Any], place: SchemaLocation) -> Node:
    alternatives = schema.keys() & {"anyOf", "oneOf"}
    if alternatives:
        beside = schema.keys() & keywords.RESTRICTING - {"anyOf", "oneOf"}
        if beside or len(alternatives) == 2 or place.depth == 0:
            return _read_composed(cursor, schema, place)
        return _read_union(cursor, schema, place)
    names = _types(schema)
    if "const" in schema or "enum" in schema:
        return _read_values(cursor, schema, names, place)
    if schema.get("type") is not None and not names:
        return _only_null(cursor, place)
    if not names:
        cursor.say(place, "no type is given")
        return Node(Kind.ANY, constraints=_picked(schema, "minimum", "maximum", "minLength", "maxLength", "pattern"))
    if len(names) > 1:
        parts = [({**_picked(schema, *keywords.words_for(kind)), "type": kind}, place) for kind in names]
        return _join(cursor, _quietly(cursor, parts), place)
    if names == ["object"]:
        return read_object(cursor, schema, place, read_node)
    if names == ["array"]:
        return _read_array(cursor, schema, place)
    return _read_scalar(cursor, schema, names[0], place)


def _only_null(cursor: SchemaCursor, place: SchemaLocation) -> Node:
    cursor.say(place, "a value that can only be null")
    return Node(Kind.ANY, nullable=True, constraints={"type": "null"})


def _types(schema: dict[str, Any]) -> list[str]:
    """Return the types less null, guessed from the words where none is given."""
    names = keywords.type_names(schema.get("type"))
    if not names:
        words = {"object": keywords.OBJECT_WORDS, "array": keywords.ARRAY_WORDS}
        names = [kind for kind in ("object", "array") if words[kind] & schema.keys()]
    names = [name for name in dict.fromkeys(names) if name not in ("null", "any")]
    if "integer" in names and "number" in names:
        names.remove("integer")
    return names


def _picked(schema: dict[str, Any], *words: str) -> dict[str, Any]:
    return {key: value for key, value in schema.items() if key in words}


def _read_values(cursor: SchemaCursor, schema: dict[str, Any], names: list[str], place: SchemaLocation) -> Node:
    values = [schema["const"]] if "const" in schema else schema["enum"]
    given = schema.get("type")
    nullable = None in values and (given is None or "null" in keywords.type_names(given))
    kept = tuple(
        value for value in values if value is not None and (given is None or any(_is_of(value, name) for name in names))
    )
    if not kept and nullable:
        return _only_null(cursor, place)
    if not kept:
        at = (*place.schema, "const" if "const" in schema else "enum")
        raise cursor.fault(at, f"{values[0]!r} is not of type {given!r}: no value fits")
    kinds = {kind for kind in ("string", "boolean", "integer", "number") if all(_is_of(v, kind) for v in kept)}
    if "string" in kinds:
        return Node(Kind.ENUM, nullable=nullable, values=kept)
    for kind in ("boolean", "integer", "number"):
        if kind in kinds and (given is None or names == [kind]):
            return Node(_SCALAR[kind], nullable=nullable, values=kept)
    if names == ["array"] and all(isinstance(value, list) for value in kept):
        node = _read_array(cursor, schema, place)
        return replace(node, nullable=nullable, constraints={**node.constraints, "enum": list(kept)})
    cursor.say(place, "its values are of several types")
    return Node(Kind.ANY, nullable=nullable, values=kept)


def _is_of(value: Any, name: str) -> bool:
    whole = name == "integer" and isinstance(value, float) and value.is_integer()
    return whole or (isinstance(value, _PYTHON[name]) and (name == "boolean" or not isinstance(value, bool)))


def _read_composed(cursor: SchemaCursor, schema: dict[str, Any], place: SchemaLocation) -> Node:
    """Read `anyOf` and `oneOf` beside other words: those give the type where they can."""
    base = {word: held for word, held in schema.items() if word not in ("anyOf", "oneOf")}
    branches = [
        (part, place.down(word, i)) for word in ("anyOf", "oneOf") for i, part in enumerate(schema.get(word, ()))
    ]
    names = _types(base)
    try:
        flats = [flatten(cursor, part, at)[0] for part, at in branches if isinstance(part, dict) and not _is_null(part)]
    except (RecursionCutError, UntypedError):
        flats = []
    if names == ["object"] or (not names and flats and all(map(is_object, flats))):
        nullable = not names and len(flats) < len(branches)
        cursor.more_than_sent = True
        return replace(read_object(cursor, base, place, read_node, flats), nullable=nullable)
    if names or "enum" in base or "const" in base:
        cursor.more_than_sent = True
        return _read_shape(cursor, base, place)
    if len(schema.keys() & {"anyOf", "oneOf"}) == 2:
        return _text(cursor, place, "both anyOf and oneOf")
    beside = {word: held for word, held in base.items() if word in keywords.RESTRICTING}
    word = "anyOf" if "anyOf" in schema else "oneOf"
    if beside:
        cursor.more_than_sent = True
        schema = {**schema, word: [_with_beside(beside, part) for part in schema[word]]}
    return _read_union(cursor, schema, place)


def _with_beside(beside: dict[str, Any], part: Any) -> Any:
    """Return a branch with the words beside the union; a branch that no value fits with them is `false`."""
    if not isinstance(part, dict) or part.keys() & {"$ref", "allOf"}:
        return part
    try:
        return merge(beside, part)
    except ContradictionError:
        return False


def _is_null(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") == "null"


def _read_union(cursor: SchemaCursor, schema: dict[str, Any], place: SchemaLocation) -> Node:
    word = "anyOf" if "anyOf" in schema else "oneOf"
    possible = [(part, place.down(word, i)) for i, part in enumerate(schema[word]) if part is not False]
    parts = [(part, at) for part, at in possible if not _is_null(part)]
    if not possible:
        raise cursor.fault((*place.schema, word), "no value fits: every branch is `false`")
    if not parts:
        return _only_null(cursor, place)
    node = read_node(cursor, *parts[0]) if len(parts) == 1 else _join(cursor, _quietly(cursor, parts), place)
    return replace(node, nullable=node.nullable or len(parts) < len(possible))


def _quietly(cursor: SchemaCursor, parts: list[tuple[Any, SchemaLocation]]) -> list[Node]:
    """Read schemas whose values end up inside JSON text: what becomes of their parts needs no notice."""
    said = len(cursor.notices)
    nodes = [read_node(cursor, part, place) for part, place in parts]
    del cursor.notices[said:]
    return nodes


def _join(cursor: SchemaCursor, nodes: list[Node], place: SchemaLocation) -> Node:
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
    return Node(Kind.UNION, nullable=nullable, branches=tuple(nodes))


def _read_array(cursor: SchemaCursor, schema: dict[str, Any], place: SchemaLocation) -> Node:
    constraints = _picked(schema, "minItems", "maxItems", "uniqueItems")
    items = schema.get("items", True)
    if "prefixItems" in schema or isinstance(items, list):
        return _read_tuple(cursor, schema, constraints, place)
    if items is False:
        return Node(Kind.ARRAY, constraints={**constraints, "maxItems": 0}, item=Node(Kind.ANY))
    item = read_node(cursor, items, place.down("items", answer="[]"))
    return Node(Kind.ARRAY, constraints=constraints, item=item)


def _read_tuple(
    cursor: SchemaCursor, schema: dict[str, Any], constraints: dict[str, Any], place: SchemaLocation
) -> Node:
    """Read a list whose places have schemas of their own: a list where all are of one type, else JSON text."""
    cursor.more_than_sent = True
    word = "prefixItems" if "prefixItems" in schema else "items"
    rest = schema.get("items" if word == "prefixItems" else "additionalItems", True)
    parts = [(part, place.down(word, i, answer="[]")) for i, part in enumerate(schema[word]) if part is not False]
    if rest is not False and schema.get("maxItems", len(parts) + 1) > len(parts):
        parts.append((rest, place.down("items", answer="[]")))
    nodes = _quietly(cursor, parts)
    if nodes and all(node.kind not in JSON_TEXT for node in nodes):
        first = nodes[0]
        if all(node.kind is first.kind and arrow_type(node) == arrow_type(first) for node in nodes):
            plain = Node(first.kind, fields=first.fields, item=first.item, extras=first.extras)
            values = dict.fromkeys(value for node in nodes for value in node.values)
            held = first.kind is Kind.ENUM or all(node.values for node in nodes)
            item = replace(plain, nullable=any(node.nullable for node in nodes), values=tuple(values) if held else ())
            return Node(Kind.ARRAY, constraints=constraints, item=item)
    cursor.say(place, "a list whose places have different types")
    return Node(Kind.ANY, constraints={"type": "array", **constraints})


def _read_scalar(cursor: SchemaCursor, schema: dict[str, Any], name: str, place: SchemaLocation) -> Node:
    constraints = _picked(schema, *keywords.FOR_TYPE[name])
    kind, form = _SCALAR[name], ""
    said = constraints.pop("format", None)
    if name == "string" and said in keywords.TYPED_FORMATS:
        constraints = _picked(schema, *keywords.FOR_TYPE[name])
        kind = Kind(said) if said in ("date", "date-time") else kind
    elif name == "string" and said in keywords.CHECKED_FORMATS:
        form = said
    elif said is not None and name == "string" and said in keywords.UNCHECKED_FORMATS:
        cursor.notices.append(f"{place.answer}: the format {said} is not checked")
    for bound, limit in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if isinstance(constraints.get(bound), bool):  # draft 4 says whether the limit itself is excluded
            excluded = constraints.pop(bound)
            if excluded and limit in constraints:
                constraints[bound] = constraints.pop(limit)
    return Node(kind, constraints=constraints, format=form)
