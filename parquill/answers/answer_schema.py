"""`AnswerSchema`: everything about a job's answers, from the output settings to the Arrow column."""

from __future__ import annotations

import asyncio
import keyword
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
import pyarrow as pa

from parquill.answers.arrow import Lowering, arrow_type, json_text_paths, lowering, sound
from parquill.answers.control import without_control
from parquill.answers.functions import (
    JSON_FORM,
    PROMPT_FORM,
    CallReading,
    CallsValidator,
    Function,
    call_value,
    calls_instruction,
    calls_node,
    read_functions,
    read_text_calls,
    read_tool_calls,
    request_node,
)
from parquill.answers.model_check import find_model
from parquill.answers.output_modes import Kind, OutputMode
from parquill.answers.parse import ENDED, Answer, Check, choose, failed, make_check, parse_json, parse_undamaged
from parquill.answers.plain import parse_text
from parquill.answers.schema import read_document
from parquill.answers.schema_dialects import ANY, STRICT, SchemaDialect
from parquill.answers.schema_document import make_document
from parquill.answers.schema_source import read_schema
from parquill.answers.schema_tree import Kind as NodeKind
from parquill.answers.schema_tree import Node, digest_schema, wrapped
from parquill.answers.sent_schema import is_closed, request_schema, words_in
from parquill.answers.validator import compile_validator
from parquill.chat import ChatCompletion
from parquill.errors import SchemaError
from parquill.finish_reasons import Ending
from parquill.job import OutputSettings

ANSWER_FUNCTION = "answer"
"""The name of the schema in `response_format`, and of the one forced function in the output mode `tools`."""

_OBJECT_WANTED = (
    "Reply with one JSON object and nothing else: no other text, no code fence. Give every key, with null only where "
    "the schema allows it and nothing is known. The object, which is not the schema itself, has to fit this JSON "
    "Schema:\n"
)


_NO_ARGUMENTS = frozenset({"", "{}", "null"})
"""Arguments of a native call beside which the object may stand in the content."""


@dataclass(frozen=True, slots=True)
class AnswerSchema:
    """What every answer of a job has to be; made once by `load_answer_schema`, the same for every row."""

    kind: Kind
    arrow_type: pa.DataType
    notices: tuple[str, ...]
    """What the user should know, said once: fields that become JSON text, formats that are not checked."""
    digest_source: bytes
    """What of the shape decides an answer, for the fingerprint; equal schemas give equal bytes."""
    functions: tuple[Function, ...] = ()
    max_chars: int | None = None
    check: Check | None = field(default=None, repr=False, compare=False)
    _lower: Lowering | None = field(default=None, repr=False, compare=False)

    @property
    def json_schema(self) -> dict[str, Any] | None:
        """The JSON Schema that an answer's text fits, the longest call for functions; None for plain text."""
        if self.kind == "functions":
            return {"anyOf": [one.definition["parameters"] for one in self.functions]}
        return request_schema(self._asked) if self.kind == "schema" else None

    @property
    def hidden_text(self) -> str:
        """The text that an endpoint may add to a prompt for what is asked for: its tokens are paid."""
        return orjson.dumps(self.json_schema).decode() if self.kind == "schema" else self.digest_source.decode()

    @property
    def json_text(self) -> tuple[tuple[str, ...], ...]:
        """Where in an answer's column values stand as JSON text; a part's footer says so, for who reads it back."""
        return () if self.kind == "text" else json_text_paths(self._node)

    def without_model(self) -> AnswerSchema:
        """Return the same without the user's model: what an answer is before validators change it."""
        return self if self.check is None else replace(self, check=replace(self.check, model=None))

    def to_arrow(self, answers: list[Any]) -> pa.Array:
        """Return values of `Answer.value` (None = null) as an array of `arrow_type`."""
        if self._lower is not None:
            answers = [None if value is None else self._lower(value) for value in answers]
        return sound(pa.array(answers, type=self.arrow_type))

    def settings_for(self, output_mode: OutputMode, dialect: SchemaDialect = ANY) -> dict[str, Any]:
        """Return the keys of a request body that an output mode adds, the schema in an endpoint's dialect."""
        if output_mode is OutputMode.JSON_OBJECT:
            return {"response_format": {"type": "json_object"}}
        if output_mode is OutputMode.JSON_SCHEMA:
            return {"response_format": {"type": "json_schema", "json_schema": self._named_schema(dialect)}}
        if output_mode is not OutputMode.TOOLS:
            return {}
        functions = self.functions or (Function(ANSWER_FUNCTION, "Gives the answer.", self._asked),)
        definitions = [one.tool(dialect) for one in functions]
        forced = {"type": "function", "function": {"name": definitions[0]["name"]}}
        return {
            "tools": [{"type": "function", "function": one} for one in definitions],
            "tool_choice": forced if len(definitions) == 1 else "required",
        }

    def words_for(self, output_mode: OutputMode, dialect: SchemaDialect = ANY) -> frozenset[str]:
        """Return what of the schema that an output mode sends could be left out, the flag `strict` among it."""
        if self.kind == "text" or output_mode not in (OutputMode.JSON_SCHEMA, OutputMode.TOOLS):
            return frozenset()
        nodes = [one.node for one in self.functions] or [self._asked]
        words = frozenset[str]().union(*(words_in(node, dialect) for node in nodes))
        claimed = output_mode is OutputMode.JSON_SCHEMA and _is_strict(nodes, dialect)
        return words | {STRICT} if claimed and not all(map(is_closed, nodes)) else words

    def instruction_for(self, output_mode: OutputMode) -> str | None:
        """Return the text that the prompt needs in an output mode; None where the mode itself sends the schema."""
        if self.kind == "functions":
            return (
                None
                if output_mode is OutputMode.TOOLS
                else calls_instruction(self.functions, self._call_form(output_mode))
            )
        if self.kind == "schema" and output_mode in (OutputMode.JSON_OBJECT, OutputMode.PROMPT):
            return _OBJECT_WANTED + orjson.dumps(request_schema(self._asked)).decode()
        return None

    def parse(self, completion: ChatCompletion, output_mode: OutputMode) -> Answer:
        """Return what a completion says; a bad answer is a fault, never an exception.

        In every output mode, a native call and text are both understood: models answer in the
        content where a call was forced, and some servers call where none was.
        """
        try:
            return self._parse(completion)
        except Exception as error:  # a library's, for an answer that was not foreseen
            return failed(completion.text, completion.ending, f"cannot be read: unexpected {type(error).__name__}")

    def parse_quickly(self, completion: ChatCompletion) -> Answer | None:
        """Return what `parse` does where that takes no time to speak of: plain text, and JSON that needs no repair."""
        try:
            if self.kind == "text" or self.check is None:
                return self._parse(completion)
            if self.kind == "schema" and not completion.tool_calls:
                return parse_undamaged(self.check, completion.text)
        except Exception:
            return None  # `parse` says what is wrong
        return None

    def _parse(self, completion: ChatCompletion) -> Answer:
        calls, text, ending = completion.tool_calls, completion.text, completion.ending
        if self.kind == "text" or self.check is None:
            return parse_text(text, ending, self.max_chars)
        if self.kind == "functions":
            return self._parse_calls(completion)
        if not calls:
            return parse_json(self.check, text, ending)
        arguments = {call.arguments for call in calls}
        if len(arguments) > 1:
            return failed("\n".join(call.arguments for call in calls), ending, "several calls, and one is wanted")
        answer = parse_json(self.check, said := arguments.pop(), ending)
        if answer.ok or said.strip() not in _NO_ARGUMENTS or not text.strip():
            return answer
        beside = parse_json(self.check, text, ending)
        return replace(beside, repairs=("content", *beside.repairs)) if beside.ok else answer

    def _parse_calls(self, completion: ChatCompletion) -> Answer:
        ended = completion.ending in ENDED
        if completion.tool_calls:
            text = "\n".join(f"{call.name}({call.arguments})" for call in completion.tool_calls)
            reading = read_tool_calls(completion.tool_calls, ended=ended)
        else:
            text = completion.text
            bare, notes = without_control(text, plain=False)
            reading = read_text_calls(bare, self.functions, ended=ended)
            reading = replace(reading, notes=(*notes, *reading.notes))
        return self._answer_of(reading, text, completion.ending)

    def _answer_of(self, reading: CallReading, text: str, ending: Ending) -> Answer:
        names = [one.name for one in self.functions]
        unknown = [name for name, _ in reading.calls if name not in names]
        if reading.problem or unknown:
            said = reading.problem or f"there is no function {unknown[0]!r}; there are {', '.join(names)}"
            return failed(text, ending, said)
        values = [call_value(name, arguments) for name, arguments in reading.calls]
        assert self.check is not None
        return choose(self.check, values, text, reading.notes, ending)

    def _named_schema(self, dialect: SchemaDialect) -> dict[str, Any]:
        if self.functions:
            strict = _is_strict([one.node for one in self.functions], dialect)
            return {"name": "call", "strict": strict, "schema": request_node(self.functions, dialect)}
        schema = request_schema(self._asked, dialect)
        return {"name": ANSWER_FUNCTION, "strict": _is_strict([self._asked], dialect), "schema": schema}

    def _call_form(self, output_mode: OutputMode) -> str:
        if output_mode is OutputMode.JSON_SCHEMA:
            return f'{{"call": {JSON_FORM}}}'
        return PROMPT_FORM if output_mode is OutputMode.PROMPT and self.speaks_python else JSON_FORM

    @property
    def _node(self) -> Node:
        assert self.check is not None
        return self.check.node

    @property
    def _asked(self) -> Node:
        """The tree of what is asked for: an object, which holds the answer where that is none."""
        assert self.check is not None
        return wrapped(self._node) if self.check.wrapped else self._node

    @property
    def speaks_python(self) -> bool:
        """Gemma's prompt style names arguments as Python does: not every property name can be written so."""
        names = [child.name for one in self.functions for child in one.node.fields]
        return all(name.isidentifier() and not keyword.iskeyword(name) for name in names)


def _is_strict(nodes: Sequence[Node], dialect: SchemaDialect) -> bool:
    """Whether the schema is sent with `strict`: an endpoint that refuses open objects there gets it without."""
    return STRICT not in dialect.left_out and (dialect.strict_when_open or all(map(is_closed, nodes)))


def load_answer_schema(output: OutputSettings) -> AnswerSchema:
    """Read and check what the job wants its answers to be.

    Raises `SchemaError` naming the place inside the schema.
    """
    if output.functions is not None:
        return _functions_shape(output)
    if output.schema_ is not None:
        return _schema_shape(output, output.schema_)
    if output.mode != "auto":
        raise SchemaError(f"output.mode: {output.mode} needs an output.schema or output.functions; else leave it out")
    source = b"" if output.max_chars is None else f"max_chars={output.max_chars}".encode()
    return AnswerSchema("text", pa.string(), (), source, max_chars=output.max_chars)


def _schema_shape(output: OutputSettings, source: str | dict[str, Any]) -> AnswerSchema:
    _no_max_chars(output)
    model = find_model(source)
    document = make_document(model.name, model.document) if model else make_document(*read_schema(source))
    node, cursor = read_document(document)
    asked_wrapped = node.kind not in (NodeKind.OBJECT, NodeKind.MAP) or node.nullable
    check = make_check(node, compile_validator(document), wrapped=asked_wrapped, model=model)
    digest = orjson.dumps(digest_schema(wrapped(node) if asked_wrapped else node))
    if cursor.more_than_sent:
        digest += orjson.dumps(document.root, option=orjson.OPT_SORT_KEYS)
    notices = (*cursor.notices, *(model.notices if model else ()))
    return AnswerSchema("schema", arrow_type(node), notices, digest, check=check, _lower=lowering(node))


def _functions_shape(output: OutputSettings) -> AnswerSchema:
    _no_max_chars(output)
    functions, notices = read_functions(output.functions or ())
    node = calls_node(functions)
    digest = orjson.dumps([one.digested for one in functions])
    return AnswerSchema(
        "functions",
        arrow_type(node),
        notices,
        digest,
        functions,
        check=make_check(node, CallsValidator(functions)),
        _lower=lowering(node),
    )


def _no_max_chars(output: OutputSettings) -> None:
    if output.max_chars is not None:
        raise SchemaError("output.max_chars is for plain text; in a schema, give a string its maxLength")


APART = 20_000
"""Characters of an answer above which it is read in a thread: signals and other rows do not wait for it."""
APART_IF_DAMAGED = 1_000
"""The same of one that may need repairs: they take up to a hundred microseconds a character."""


async def parse_apart(shape: AnswerSchema, completion: ChatCompletion, output_mode: OutputMode) -> Answer:
    """Return what `AnswerSchema.parse` does; an answer that takes long is read beside the event loop."""
    size = len(completion.text) + sum(len(call.arguments) for call in completion.tool_calls)
    if size <= APART_IF_DAMAGED:
        return shape.parse(completion, output_mode)
    if size <= APART and (answer := shape.parse_quickly(completion)) is not None:
        return answer
    return await asyncio.to_thread(shape.parse, completion, output_mode)
