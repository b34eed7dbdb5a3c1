"""A schema in the words of a prompt: short, and in the form of the answer it asks for.

A JSON Schema costs Gemma three times the tokens and reads like an answer to copy; a sketch of
the object with remarks is followed better. One line for each key, in the order of the schema.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from parquill.answers.nodes import Kind, Node

_WORDS = {
    Kind.STRING: "string",
    Kind.INTEGER: "integer",
    Kind.NUMBER: "number",
    Kind.BOOLEAN: "true or false",
    Kind.DATE: '"YYYY-MM-DD"',
    Kind.DATETIME: '"YYYY-MM-DDThh:mm:ssZ"',
    Kind.ANY: "any JSON value",
}


def object_instruction(node: Node) -> str:
    """Return the text that asks for one object of this form."""
    lines = [f'"{child.name}": {sketch(child.node)}{remarks(child.node)}' for child in node.fields]
    return (
        "Reply with one JSON object and nothing else: no other text, no code fence. "
        "Give exactly these keys, in this order" + (", with null where nothing is known" if _may_be_null(node) else "")
        + ":\n{\n" + "\n".join(lines) + "\n}"
    )  # fmt: skip


def sketch(node: Node) -> str:
    """Return the form of a value: `[string, …]`, `"red" or "blue"`, `{"name": string}`."""
    if node.values:
        form = " or ".join(json.dumps(value, ensure_ascii=False) for value in node.values)
    elif node.kind is Kind.OBJECT:
        inner = (f'"{child.name}": {sketch(child.node)}{remarks(child.node)}' for child in node.fields)
        form = "{" + ", ".join(inner) + "}"
    elif node.kind is Kind.ARRAY and node.item is not None:
        form = f"[{sketch(node.item)}{remarks(node.item)}, …]"
    elif node.kind is Kind.MAP and node.item is not None:
        form = "{}" if node.constraints.get("maxProperties") == 0 else f'{{"…": {sketch(node.item)}}}'
    elif node.kind is Kind.UNION:
        form = " or ".join(sketch(branch) for branch in node.branches)
    else:
        form = _WORDS[node.kind]
    return f"{form} or null" if node.nullable else form


def remarks(node: Node) -> str:
    """Return a value's description and limits in brackets, or nothing."""
    said = [node.description.strip().rstrip("."), *_limits(node)]
    text = "; ".join(part for part in said if part)
    return f" ({text})" if text else ""


def _limits(node: Node) -> Iterator[str]:
    rules = node.constraints
    for unit, low, high in (
        (" characters", rules.get("minLength"), rules.get("maxLength")),
        (" items", rules.get("minItems"), rules.get("maxItems")),
        ("", rules.get("minimum"), rules.get("maximum")),
    ):
        if low == 1 and unit:
            yield "not empty"
        elif low is not None:
            yield f"at least {low}{unit}"
        if high is not None:
            yield f"at most {high}{unit}"
    for word, text in (
        ("exclusiveMinimum", "more than {}"),
        ("exclusiveMaximum", "less than {}"),
        ("multipleOf", "a multiple of {}"),
        ("pattern", "matching {}"),
    ):
        if word in rules:
            yield text.format(rules[word])
    if rules.get("uniqueItems"):
        yield "no item twice"
    if rules.get("format") == "uuid":
        yield "a UUID"


def _may_be_null(node: Node) -> bool:
    return node.nullable or any(_may_be_null(child.node) for child in node.fields) or (
        node.item is not None and _may_be_null(node.item)
    )  # fmt: skip
