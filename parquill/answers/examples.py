"""Few-shot examples: what a user would say and the answer wanted, as turns before the row's own.

An example's answer must fit the schema like any other: an example that does not fit teaches the
model to fail. It is written in its normal form in every output mode: the turns decide the
fingerprint, the mode does not.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from parquill.answers.answer_schema import AnswerSchema
from parquill.answers.functions import call_text
from parquill.answers.output_modes import OutputMode
from parquill.answers.schema_tree import Kind, Node
from parquill.chat import ChatCompletion, ImagePart, Turn
from parquill.errors import SchemaError
from parquill.job import Example


def example_turns(
    examples: Sequence[Example],
    shape: AnswerSchema,
    images: Callable[[str], ImagePart],
    *,
    images_first: bool = False,
) -> tuple[Turn, ...]:
    """Return a user and an assistant turn for each example, in order.

    `images` turns an example's picture (path or URL) into a part. Raises `SchemaError` naming the
    example whose answer does not fit.
    """
    turns: list[Turn] = []
    for i, example in enumerate(examples):
        pictures = tuple(images(source) for source in example.images)
        text = (example.user,) if example.user else ()
        parts = (*pictures, *text) if images_first else (*text, *pictures)
        turns += [Turn("user", parts), Turn("assistant", (_answer_text(example.answer, shape, i),))]
    return tuple(turns)


def _answer_text(answer: str | dict[str, Any] | list[Any], shape: AnswerSchema, i: int) -> str:
    text = answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)
    if shape.kind == "text":
        return text
    completion = ChatCompletion(None, None, None, text, (), "stop", None)
    parsed = shape.parse(completion, OutputMode.PROMPT)
    if not parsed.ok:
        raise SchemaError(f"prompt.examples[{i}].answer: does not fit output.{shape.kind}: {'; '.join(parsed.errors)}")
    if shape.kind == "schema":
        assert shape.check is not None
        parsed = shape.without_model().parse(completion, OutputMode.PROMPT)
        return json.dumps(_with_nulls(shape.check.node, parsed.value), ensure_ascii=False)
    name = parsed.value["name"]
    arguments = parsed.value["arguments"][name]
    if shape.speaks_python:
        return call_text(name, arguments)
    return json.dumps({"name": name, "parameters": arguments}, ensure_ascii=False)


def _with_nulls(node: Node, value: Any) -> Any:
    """Write optional properties that an example leaves out as null: models are asked for every key."""
    if node.kind is Kind.OBJECT and isinstance(value, dict):
        named = {child.name: _with_nulls(child.node, value.get(child.name)) for child in node.fields}
        return named | {key: item for key, item in value.items() if key not in named}
    if node.kind is Kind.ARRAY and node.item is not None and isinstance(value, list):
        return [_with_nulls(node.item, item) for item in value]
    return value
