"""Function calls: several functions of which the model calls one.

The answer is a struct that readers take by name, `answer.arguments.get_weather.city`:

    struct<name: dictionary<int32, string>, arguments: struct<get_weather: struct<…>, …>>

with one field for each function, null for those that were not called. A map or a union would
keep the arguments' types from the readers. A function without parameters holds `{}` as text.

Calls come as native `tool_calls`, in Gemma's prompt style `[get_weather(city="Paris")]`, or as
JSON: `{"name": "get_weather", "parameters": {"city": "Paris"}}`, in every output mode.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from parquill.answers.python_literals import literal, parse_expression
from parquill.answers.repair import read_objects
from parquill.answers.schema import read_document
from parquill.answers.schema_dialects import ANY, SchemaDialect
from parquill.answers.schema_document import make_document
from parquill.answers.schema_tree import Field, Kind, Node, digest_schema
from parquill.answers.sent_schema import is_closed, request_schema
from parquill.answers.validator import Validator, compile_validator
from parquill.chat import ToolCall
from parquill.errors import SchemaError
from parquill.job import FunctionSettings


@dataclass(frozen=True, slots=True)
class Function:
    """A function the model may call; `node` is the tree of its parameters."""

    name: str
    description: str
    node: Node
    validator: Validator | None = field(default=None, repr=False, compare=False)

    @property
    def definition(self) -> dict[str, Any]:
        """What is shown in a prompt."""
        return self._with(request_schema(self.node))

    @property
    def digested(self) -> dict[str, Any]:
        """What of it the fingerprint holds."""
        return self._with(digest_schema(self.node))

    def tool(self, dialect: SchemaDialect) -> dict[str, Any]:
        """Return what is sent in `tools`."""
        strict = {"strict": True} if dialect.strict_tools and is_closed(self.node) else {}
        return self._with(request_schema(self.node, dialect)) | strict

    def _with(self, parameters: dict[str, Any]) -> dict[str, Any]:
        return {"name": self.name, "description": self.description, "parameters": parameters}


def read_functions(settings: Sequence[FunctionSettings]) -> tuple[tuple[Function, ...], tuple[str, ...]]:
    """Return the functions and the notices about their parameters; raises `SchemaError`."""
    if not settings:
        raise SchemaError("output.functions: the list is empty; name at least one function, or leave it out")
    functions: dict[str, Function] = {}
    notices: list[str] = []
    for i, item in enumerate(settings):
        where = f"output.functions[{i}].parameters"
        if item.name.casefold() in functions:
            raise SchemaError(f"output.functions[{i}].name: {item.name!r} stands twice (case does not count)")
        document = make_document(where, _closed(item.parameters))
        node, cursor = read_document(document, f"answer.arguments.{item.name}")
        if node.kind not in (Kind.OBJECT, Kind.MAP) or node.nullable:
            raise SchemaError(f"{where}: #: a function's parameters are an object with properties")
        functions[item.name.casefold()] = Function(item.name, item.description, node, compile_validator(document))
        notices += cursor.notices if node.kind is Kind.OBJECT else ()
    return tuple(functions.values()), tuple(notices)


def _closed(parameters: dict[str, Any]) -> dict[str, Any]:
    """A function without parameters takes none; elsewhere `properties: {}` leaves any key free."""
    if parameters.get("properties") == {} and "additionalProperties" not in parameters:
        return {**parameters, "additionalProperties": False}
    return parameters


def calls_node(functions: Sequence[Function]) -> Node:
    """Return the tree of the answer: the called function's name and, under it, its arguments."""
    names = Node(Kind.ENUM, values=tuple(function.name for function in functions))
    arguments = [Field(one.name, replace(one.node, nullable=True), required=False) for one in functions]
    return Node(
        Kind.OBJECT,
        fields=(
            Field("name", names, required=True),
            Field("arguments", Node(Kind.OBJECT, fields=tuple(arguments)), required=True),
        ),
    )


class CallsValidator:
    """Checks the arguments of a call by the whole schema of the function that is called."""

    def __init__(self, functions: Sequence[Function]) -> None:
        self._by_name = {one.name: one.validator for one in functions if one.validator is not None}

    def is_valid(self, value: Any) -> bool:
        """Tell whether a call's arguments fit."""
        validator, arguments = self._called(value)
        return validator is None or validator.is_valid(arguments)

    def faults(self, value: Any) -> list[str]:
        """Say what of a call's arguments does not fit."""
        validator, arguments = self._called(value)
        return [] if validator is None else [f"arguments.{fault}" for fault in validator.faults(arguments)]

    def _called(self, value: Any) -> tuple[Validator | None, Any]:
        if not isinstance(value, dict) or not isinstance(value.get("arguments"), dict):
            return None, None
        name = value.get("name")
        return self._by_name.get(name) if isinstance(name, str) else None, value["arguments"].get(name)


def call_value(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return a call as a plain JSON value of `calls_node`."""
    return {"name": name, "arguments": {name: arguments}}


def request_node(functions: Sequence[Function], dialect: SchemaDialect = ANY) -> dict[str, Any]:
    """Return a JSON Schema for one call in the JSON form; strict endpoints want an object on top."""
    calls = [
        {
            "type": "object",
            "properties": {
                "name": {"type": "string", "enum": [one.name]},
                "parameters": request_schema(one.node, dialect),
            },
            "required": ["name", "parameters"],
            "additionalProperties": False,
        }
        for one in functions
    ]
    call = calls[0] if len(calls) == 1 else {"anyOf": calls}
    return {"type": "object", "properties": {"call": call}, "required": ["call"], "additionalProperties": False}


def call_text(name: str, arguments: dict[str, Any]) -> str:
    """Write a call in Gemma's prompt style, as few-shot answers show it."""
    inside = ", ".join(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in arguments.items())
    return f"[{name}({inside})]"


PROMPT_FORM = "[func_name(params_name1=params_value1, params_name2=params_value2)]"
JSON_FORM = '{"name": function name, "parameters": dictionary of argument name and its value}'


def calls_instruction(functions: Sequence[Function], form: str) -> str:
    """Return the text that shows the functions and asks for one call in a form.

    The wording is Google's for Gemma 3 (ai.google.dev/gemma/docs/capabilities/function-calling),
    narrowed to exactly one call.
    """
    definitions = orjson.dumps([one.definition for one in functions]).decode()
    return (
        "You have access to functions. You MUST call exactly one of them, and you MUST put it in the format of\n"
        f"{form}\nYou SHOULD NOT include any other text in the response.\n{definitions}"
    )


@dataclass(frozen=True, slots=True)
class CallReading:
    """The calls found in an answer, and what was repaired to find them."""

    calls: tuple[tuple[str, dict[str, Any]], ...] = ()
    notes: tuple[str, ...] = ()
    problem: str = ""


def read_tool_calls(calls: Sequence[ToolCall], *, ended: bool) -> CallReading:
    """Read native calls; arguments are JSON text and as damaged as any."""
    found: list[tuple[str, dict[str, Any]]] = []
    notes: list[str] = []
    for call in calls:
        reading = read_objects(call.arguments if call.arguments.strip() else "{}", ended=ended)
        if len(reading.objects) != 1 or reading.unclosed:
            return CallReading(problem=f"{call.name}: {reading.problem or 'not one whole object'}")
        found.append((call.name, reading.objects[0]))
        notes += reading.notes
    return CallReading(tuple(found), tuple(notes))


def read_text_calls(text: str, functions: Sequence[Function], *, ended: bool) -> CallReading:
    """Find calls in text, in the JSON form or in Gemma's prompt style; never raises."""
    if re.search(r"[\"'“]name[\"'”]\s*:", text):
        return _read_json_calls(text, ended=ended)
    return _read_prompt_calls(text, functions)


def _read_json_calls(text: str, *, ended: bool) -> CallReading:
    reading = read_objects(text, ended=ended)
    if reading.unclosed:
        return CallReading(problem="the end is missing: the last brackets, and maybe more")
    calls = []
    for found in reading.objects:
        call = found["call"] if list(found) == ["call"] and isinstance(found["call"], dict) else found
        arguments = call.get("parameters", call.get("arguments", {}))
        if not (isinstance(call.get("name"), str) and isinstance(arguments, dict)):
            return CallReading(problem='a call has the form {"name": …, "parameters": {…}}')
        if extra := call.keys() - {"name", "parameters", "arguments", "type", "id"}:
            return CallReading(problem=f"a call has no key {min(extra)!r}")
        calls.append((call["name"], arguments))
    return CallReading(tuple(calls), reading.notes, reading.problem)


def _read_prompt_calls(text: str, functions: Sequence[Function]) -> CallReading:
    names = "|".join(re.escape(one.name) for one in sorted(functions, key=lambda one: -len(one.name)))
    opening = re.compile(rf"(?<![\w.-])({names})\s*\(")
    calls: list[tuple[str, dict[str, Any]]] = []
    outside, position = "", 0
    while match := opening.search(text, position):
        outside += text[position : match.start()]
        end = _closing(text, match.end() - 1)
        if not end:
            return CallReading(problem=f"the call of {match[1]} is not closed")
        try:
            arguments = _arguments(text[match.end() - 1 : end])
        except ValueError as error:
            return CallReading(problem=f"{match[1]}: arguments cannot be read: {error}"[:200])
        calls.append((match[1], arguments))
        position = end
    outside += text[position:]
    if not calls:
        return CallReading(problem="no call of a function that was offered")
    notes = [note for note, there in (("fence", "```" in outside), ("prose", _has_words(outside))) if there]
    return CallReading(tuple(calls), tuple(notes))


def _has_words(outside: str) -> bool:
    return bool(re.sub(r"```\w*|[\s\[\],;]", "", outside))


def _closing(text: str, opening: int) -> int:
    """Return where the bracket at `opening` is closed, 0 where it is not; strings are skipped."""
    depth = 0
    for match in re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|[\"'()\[\]{}]", re.S).finditer(text, opening):
        if match[0] in "([{":
            depth += 1
        elif match[0] in ")]}":
            depth -= 1
        elif match[0] in "\"'":
            return 0
        if depth == 0:
            return match.end()
    return 0


def _arguments(source: str) -> dict[str, Any]:
    """Read `(city="Paris", days=3)`: literals only, by name only; raises `ValueError`."""
    call = parse_expression(f"f{source}")
    if not isinstance(call, ast.Call) or call.args or any(keyword.arg is None for keyword in call.keywords):
        raise ValueError('write each argument with its name, as in city="Paris"')
    arguments = {str(keyword.arg): literal(keyword.value) for keyword in call.keywords}
    if len(arguments) < len(call.keywords):
        raise ValueError("an argument stands twice")
    return arguments
