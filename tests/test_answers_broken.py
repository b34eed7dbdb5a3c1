"""Broken answers of small models: one that can be read in one way is repaired for free, any other is asked again."""

from __future__ import annotations

import pytest

from parquill.answers import Answer, OutputMode, load_answer_schema
from parquill.chat import ChatCompletion, ToolCall
from parquill.job import OutputSettings
from tests.broken_answers import ANSWERS, NO_MEANING, ONE_MEANING, SCHEMAS, Broken

SHAPES = {name: load_answer_schema(OutputSettings(path="out", schema=schema)) for name, schema in SCHEMAS.items()}


def read(one: Broken) -> Answer:
    calls = (ToolCall("answer", one.call),) if one.call is not None else ()
    completion = ChatCompletion("gen-1", "google/gemma-3-4b-it", "DeepInfra", one.text, calls, one.finish_reason, None)
    return SHAPES[one.schema].parse(completion, OutputMode.PROMPT)


def test_the_table_has_seventy_answers_of_each_kind() -> None:
    assert (len(ONE_MEANING), len(NO_MEANING)) == (70, 70)
    assert len({one.name for one in ANSWERS}) == 140


@pytest.mark.parametrize("one", ONE_MEANING, ids=lambda one: one.name)
def test_an_answer_with_one_meaning_is_read_for_free_and_its_repairs_are_named(one: Broken) -> None:
    answer = read(one)
    assert answer.errors == ()
    assert answer.value == one.means
    assert answer.text == (one.text or one.call)
    assert answer.repairs or one.name in ("backticks on the line", "a whole number with a fraction of zero")


@pytest.mark.parametrize("one", NO_MEANING, ids=lambda one: one.name)
def test_an_answer_with_a_doubt_is_asked_again(one: Broken) -> None:
    answer = read(one)
    assert (answer.ok, answer.value) == (False, None)
    assert answer.errors
