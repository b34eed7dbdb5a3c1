"""Control text around an answer: a template's marks and a model's thoughts are taken out and named."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parquill.answers import Answer, OutputMode, load_answer_schema
from parquill.chat import ChatCompletion
from parquill.job import OutputSettings

TEXT = load_answer_schema(OutputSettings(path="out"))
SCHEMA = {"type": "object", "properties": {"caption": {"type": "string"}}, "required": ["caption"]}
TYPED = load_answer_schema(OutputSettings(path="out", schema=SCHEMA))


def parse(text: str, *, typed: bool = False, reason: str = "stop") -> Answer:
    shape = TYPED if typed else TEXT
    return shape.parse(ChatCompletion(None, None, None, text, (), reason, None), OutputMode.PROMPT)


@pytest.mark.parametrize(
    ("text", "notes"),
    [
        ("A red boat.<end_of_turn>\n<end_of_turn>", ("<end_of_turn>",)),
        ("A red boat.<end_of_turn>\n<start_of_turn>user\nAnd now?", ("<end_of_turn>",)),
        ("<start_of_turn>model\nA red boat.", ("<start_of_turn>model",)),
        ("<bos>A red boat.<eos>", ("<bos>", "<eos>")),
        ("A red boat.<|im_end|>", ("<|im_end|>",)),
        ("A red boat.<|eot_id|><|endoftext|>", ("<|eot_id|>",)),
        ("A red boat.</s>", ("</s>",)),
        ("<think>\nThe user wants a caption.\n</think>\n\nA red boat.", ("<think>",)),
        ("<think></think>A red boat.", ("<think>",)),
        ("The user wants a caption.\n</think>\nA red boat.", ("</think>",)),
        ("<Thinking>hm</Thinking> A red boat.<end_of_turn>", ("<thinking>", "<end_of_turn>")),
    ],
)
def test_control_text_is_taken_out_of_a_plain_answer_and_named(text: str, notes: tuple[str, ...]) -> None:
    answer = parse(text)
    assert (answer.ok, answer.value) == (True, "A red boat.")
    assert answer.repairs == tuple(f"control:{note}" for note in notes)
    assert answer.text == text


@pytest.mark.parametrize(
    "text",
    ["a < b and c > d", "<b>bold</b>", "<s>struck</s> out", "Use <thing> here.", "He said: <think about it>.", "1<2"],
)
def test_other_angle_brackets_are_the_models_words(text: str) -> None:
    assert (parse(text).value, parse(text).repairs) == (text, ())


@pytest.mark.parametrize("text", ["<think>The user wants", "<think>hm</think>", "<end_of_turn>", "<think>a</think> \n"])
def test_control_text_alone_is_no_answer(text: str) -> None:
    answer = parse(text)
    assert (answer.ok, answer.fault) == (False, "empty")
    assert answer.errors[0].startswith("no answer stands beside <")
    assert parse(text, reason="length").fault == "truncated"


@pytest.mark.parametrize(
    ("text", "caption"),
    [
        ('<think>Maybe {"caption": "a blue boat"}? No.</think>\n{"caption": "a red boat"}', "a red boat"),
        ('{"caption": "a red boat"}<end_of_turn>', "a red boat"),
        ('{"caption": "the mark <end_of_turn> in words"}', "the mark <end_of_turn> in words"),
        ('<think>x</think>{"caption": "the mark <end_of_turn> in words",}', "the mark <end_of_turn> in words"),
    ],
)
def test_control_text_around_json_does_not_make_a_good_answer_invalid(text: str, caption: str) -> None:
    answer = parse(text, typed=True)
    assert (answer.ok, answer.value) == (True, {"caption": caption})


@given(st.text(st.characters(exclude_characters="<", exclude_categories=["Cs"]), max_size=80))
def test_a_text_without_angle_brackets_is_kept_as_it_is(text: str) -> None:
    answer = parse(text)
    assert answer.value == (text.strip() or None)
    assert answer.repairs == ()
