"""Finds the answer inside the names that a model put around it: `{"answer": {…}}`, the schema's words, a call in words.

Only an object that does not fit as it stands is looked into, and only along one path: at every step one member holds
the answer and the others say nothing of it. A draft or an example is not an answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from parquill.answers.inner_json import inner_json
from parquill.answers.schema_tree import JSON_TEXT, Kind, Node
from parquill.answers.words_around import plain

_MOST_LAYERS = 4

_NO_ANSWER = frozenset(
    {
        "draft", "drafts", "example", "examples", "sample", "template", "schema", "jsonschema", "format", "expected",
        "previous", "old", "wrong", "incorrect", "bad", "error", "errors", "input", "request", "prompt",
        "instruction", "instructions", "default", "defaults", "test", "reference", "question", "query", "definitions",
        "defs", "context", "history", "original",
    }
)  # fmt: skip
"""Names of what is not the answer, though it may have its form."""
_ANSWERS = frozenset({"answer", "finalanswer", "result", "output", "response", "json"})
_THOUGHTS = frozenset(
    {"reasoning", "thought", "thoughts", "thinking", "analysis", "explanation", "rationale", "chainofthought"}
)
"""Names of what may stand beside the answer's own name: a text about it."""
_SCHEMA_WORDS = frozenset(
    {"type", "properties", "required", "additionalProperties", "title", "description", "$schema", "$id", "$defs"}
)
_TYPES = ("string", "number", "integer", "boolean", "object", "array", "null")
_OF_SCHEMAS = frozenset({"anyOf", "oneOf", "allOf", "enum", "const", "$ref"})
_CALLED = ("name", "function", "tool", "tool_name", "function_name")
_ARGUMENTS = ("arguments", "parameters", "args", "input", "tool_input", "kwargs")
_BESIDE_CALLS = frozenset({"type", "id", "call_id", "index"})


def readings(node: Node, found: Any) -> Iterator[tuple[Any, str]]:
    """Yield what a value, an object mostly, may give as the answer, itself first, each with the note of its way.

    A call in words is not itself the answer, though its `name` may be a property's too.
    """
    if not isinstance(found, dict) or _call(found) is None:
        yield found, ""
    if not isinstance(found, dict):
        return
    names = {plain(child.name) for child in node.fields}
    note = ""
    for _ in range(_MOST_LAYERS):
        call = _call(found)
        is_call = call is not None and plain(call[2]) not in names
        if not is_call and (any(plain(key) in names for key in found) if note else call is not None):
            yield found, note
        step = (call and call[:2]) or _of_schema(node, found) or _only_member(names, found)
        if step is None:
            return
        inner, how = step
        if isinstance(inner, str):
            inner = inner_json(inner)
        if isinstance(inner, list) and len(inner) == 1:
            inner = inner[0]
        if not isinstance(inner, dict):
            return
        note = note or how
        found = inner


def _call(found: dict[str, Any]) -> tuple[Any, str, str] | None:
    """Return the arguments of a call in words, a note, and their key: `{"name": …, "arguments": …}`."""
    arguments = [key for key in _ARGUMENTS if key in found]
    called = [key for key in _CALLED if key in found]
    if found.keys() - _BESIDE_CALLS == {"function"} and isinstance(found["function"], dict):
        return found["function"], "call", "function"
    if len(arguments) != 1 or len(called) != 1 or not isinstance(found[called[0]], str):
        return None
    if found.keys() - _BESIDE_CALLS != {arguments[0], called[0]}:
        return None
    return found[arguments[0]], "call", arguments[0]


def _of_schema(node: Node, found: dict[str, Any]) -> tuple[Any, str] | None:
    """Return what stands in the schema's own place of the properties; None for the schema itself."""
    inner = found.get("properties")
    if not isinstance(inner, dict) or not found.keys() <= _SCHEMA_WORDS or found.get("type", "object") != "object":
        return None
    open_kinds = {child.name for child in node.fields if child.node.kind in JSON_TEXT or child.node.kind is Kind.OBJECT}
    for name, value in inner.items():
        if name in open_kinds and isinstance(value, dict) and _is_schema(value):
            return None
    return inner, "wrapper"


def _is_schema(value: dict[str, Any]) -> bool:
    kind = value.get("type")
    return bool(value.keys() & _OF_SCHEMAS) or isinstance(kind, list) or kind in _TYPES


def _is_thought(name: str, inner: Any) -> bool:
    return isinstance(inner, str) and plain(name) in _THOUGHTS


def _only_member(names: set[str], found: dict[str, Any]) -> tuple[Any, str] | None:
    """Return the only member, if its name is none of the schema's and none of what is not an answer."""
    members = [(name, inner) for name, inner in found.items() if not _is_thought(name, inner)]
    if len(members) != 1 or (len(found) > 1 and plain(members[0][0]) not in _ANSWERS):
        return None
    ((name, inner),) = members
    return None if plain(name) in names or plain(name) in _NO_ANSWER else (inner, "wrapper")
