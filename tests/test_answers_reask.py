"""Paid second tries, and few-shot examples."""

from __future__ import annotations

from typing import Any

import pytest

from parquill.answers import (
    Answer,
    AnswerSchema,
    OutputMode,
    example_turns,
    load_answer_schema,
    reask_settings,
    reask_turns,
)
from parquill.chat import ChatCompletion, ChatRequest, ImagePart, Turn
from parquill.errors import SchemaError
from parquill.job import Example, FunctionSettings, OutputSettings

SCHEMA = {
    "type": "object",
    "properties": {
        "caption": {"type": "string", "maxLength": 20},
        "kind": {"enum": ["cat", "dog"]},
        "day": {"type": "string", "format": "date"},
    },
    "required": ["caption"],
}
TEXT = load_answer_schema(OutputSettings(path="out"))
SHAPE = load_answer_schema(OutputSettings(path="out", schema=SCHEMA))
CALLS = load_answer_schema(
    OutputSettings(
        path="out",
        functions=(
            FunctionSettings(
                name="tag", parameters={"type": "object", "properties": {"words": {"type": "array", "items": {}}}}
            ),
        ),
    )
)
REQUEST = ChatRequest((Turn("system", ("Be brief.",)), Turn("user", ("What is it?", ImagePart("https://x.org/a.jpg")))))


def answer_to(text: str, reason: str = "stop", shape: AnswerSchema = SHAPE) -> Answer:
    return shape.parse(ChatCompletion(None, None, None, text, (), reason, None), OutputMode.PROMPT)


def test_an_answer_that_does_not_fit_is_shown_with_its_faults() -> None:
    answer = answer_to('{"caption": "far too long for this schema", "kind": "cow"}')
    again = reask_turns(REQUEST, answer, SHAPE)
    assert again.turns[:2] == REQUEST.turns
    assert [turn.role for turn in again.turns] == ["system", "user", "assistant", "user"]
    assert again.turns[2].parts == (answer.text,)
    said = str(again.turns[3].parts[0])
    assert "- caption: the value is longer than 20 characters" in said
    assert "- kind: " in said
    assert said.endswith("Reply again with the whole corrected JSON object and nothing else.")


def test_a_long_wrong_answer_is_not_paid_for_in_full_again() -> None:
    answer = answer_to('{"caption": "' + "".join(map(str, range(9_000))) + '"}')
    again = reask_turns(REQUEST, answer, SHAPE)
    assert sum(len(str(part)) for turn in again.turns[2:] for part in turn.parts) < 5_000


@pytest.mark.parametrize(
    ("text", "reason", "fault"),
    [("", "stop", "empty"), ('{"caption": "A c', "length", "truncated"), ("{" + " " * 300, "length", "loop")],
)
def test_only_an_invalid_answer_is_shown_again(text: str, reason: str, fault: str) -> None:
    answer = answer_to(text, reason)
    assert answer.fault == fault
    assert reask_turns(REQUEST, answer, SHAPE) is REQUEST


def test_functions_are_asked_for_as_functions() -> None:
    again = reask_turns(REQUEST, answer_to("What?", shape=CALLS), CALLS)
    assert str(again.turns[-1].parts[0]).endswith("exactly one function call and nothing else.")


INVALID = answer_to("{}")
EMPTY = answer_to("")
LOOP = answer_to("{" + " " * 300, "length")
CUT = answer_to('{"caption": "A c', "length")


@pytest.mark.parametrize(
    ("answer", "settings", "n", "changed"),
    [
        (CUT, {"max_tokens": 256}, 1, {"max_tokens": 512}),
        (CUT, {"max_completion_tokens": 256}, 1, {"max_completion_tokens": 512}),
        (CUT, {"max_tokens": 256}, 2, {}),
        (CUT, {}, 1, {}),
        (INVALID, {"temperature": 0.0, "seed": 7}, 1, {"temperature": 0.3, "seed": 8}),
        (INVALID, {"temperature": 0.0, "seed": 7}, 2, {"temperature": 0.4, "seed": 9}),
        (INVALID, {}, 1, {"temperature": 0.3}),
        (INVALID, {"temperature": 1.2, "seed": 0}, 1, {"temperature": 1.3, "seed": 1}),
        (LOOP, {"temperature": 0.0}, 1, {"temperature": 0.8}),
        (EMPTY, {"temperature": 0.0}, 1, {"temperature": 0.8}),
    ],
)
def test_a_second_try_samples_differently_and_a_cut_one_gets_more_tokens_once(
    answer: Answer, settings: dict[str, Any], n: int, changed: dict[str, Any]
) -> None:
    assert reask_settings(answer, settings, n) == pytest.approx(changed)


@pytest.mark.parametrize("answer", [INVALID, LOOP, EMPTY])
@pytest.mark.parametrize("first", [None, 0.0, 0.7, 1.5, 2.0])
def test_no_try_is_sampled_like_another(answer: Answer, first: float | None) -> None:
    """An equal request may be answered from a response cache, with the same bad answer."""
    tries = [reask_settings(answer, {"temperature": first}, n)["temperature"] for n in range(1, 11)]
    assert len({*tries, first}) == 11
    assert all(0 <= temperature <= 2 for temperature in tries)


def picture(source: str) -> ImagePart:
    return ImagePart(f"data:{source}")


def test_examples_become_turns_in_turn() -> None:
    examples = (
        Example(user="First?", images=("a.png",), answer={"kind": "cat", "caption": "A cat"}),
        Example(user="Second?", answer='{"caption": "Größe", "day": "3 May 2024"}'),
    )
    turns = example_turns(examples, SHAPE, picture)
    assert turns == (
        Turn("user", ("First?", ImagePart("data:a.png"))),
        Turn("assistant", ('{"caption": "A cat", "kind": "cat", "day": null}',)),
        Turn("user", ("Second?",)),
        Turn("assistant", ('{"caption": "Größe", "kind": null, "day": "2024-05-03"}',)),
    )
    assert example_turns(examples[:1], SHAPE, picture, images_first=True)[0].parts[0] == ImagePart("data:a.png")


def test_an_example_without_a_schema_is_plain_text() -> None:
    assert example_turns((Example(user="", images=("a",), answer="A cat"),), TEXT, picture) == (
        Turn("user", (ImagePart("data:a"),)),
        Turn("assistant", ("A cat",)),
    )


def test_an_example_of_a_call_is_written_in_gemma_s_style() -> None:
    example = Example(user="Go", answer={"name": "tag", "parameters": {"words": ["ä", None, True]}})
    assert example_turns((example,), CALLS, picture)[1].parts == ('[tag(words=["ä", null, true])]',)
    assert answer_to('[tag(words=["ä", null, true])]', shape=CALLS).ok


def test_an_example_that_does_not_fit_is_refused() -> None:
    examples = (Example(user="x", answer={"caption": "A"}), Example(user="x", answer={"caption": "A", "kind": "cow"}))
    with pytest.raises(SchemaError, match=r"prompt\.examples\[1\]\.answer: does not fit output\.schema: kind"):
        example_turns(examples, SHAPE, picture)
