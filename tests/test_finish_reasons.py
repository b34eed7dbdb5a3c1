"""Finish reasons: one table, compared without case; what is cut is never taken for whole."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parquill.answers import OutputMode, load_answer_schema
from parquill.asking.answer_endings import AnswerEndings
from parquill.chat import ChatCompletion, Usage
from parquill.errors import ErrorKind
from parquill.finish_reasons import FINISH_REASONS, Ending, read_ending
from parquill.job import OutputSettings
from parquill.replies import Exchange, Verdict, classify

TEXT = load_answer_schema(OutputSettings(path="out"))
SCHEMA = {"type": "object", "properties": {"caption": {"type": "string"}}, "required": ["caption"]}
TYPED = load_answer_schema(OutputSettings(path="out", schema=SCHEMA))


def reply(finish: object, native: object = None, text: str = "A red boat lies on the") -> Verdict:
    choice = {"finish_reason": finish, "native_finish_reason": native, "message": {"content": text}}
    return classify(Exchange(200, {}, json.dumps({"choices": [choice]}).encode(), 1))


def is_ok(verdict: Verdict) -> bool:
    return verdict.completion is not None and TEXT.parse(verdict.completion, OutputMode.TEXT).ok


@pytest.mark.parametrize(
    "finish", ["length", "LENGTH", "MAX_TOKENS", "max_tokens", "max-tokens", "max_output_tokens", "model_length",
               "FINISH_REASON_MAX_TOKENS", "model_context_window_exceeded", " Length "],
)  # fmt: skip
def test_a_cut_answer_is_never_ok_whatever_the_endpoint_calls_it(finish: str) -> None:
    for verdict in (reply(finish), reply(None, finish), reply("stop", finish), reply(finish, "stop")):
        assert verdict.completion is not None
        assert TEXT.parse(verdict.completion, OutputMode.TEXT).fault == "truncated"


@pytest.mark.parametrize("finish", ["content_filter", "SAFETY", "RECITATION", "guardrail_intervened", "refusal"])
def test_a_filtered_answer_is_moderated_and_is_not_asked_again(finish: str) -> None:
    for verdict in (reply(finish), reply(None, finish)):
        assert (verdict.kind, verdict.retry) == (ErrorKind.MODERATED, False)


@pytest.mark.parametrize("finish", ["error", "abort", "ABORTED", "cancelled", "insufficient_system_resource"])
def test_an_answer_that_broke_off_is_asked_again_and_keeps_its_worst_case(finish: str) -> None:
    verdict = reply(finish)
    assert (verdict.kind, verdict.retry, verdict.lost) == (ErrorKind.SERVER_ERROR, True, True)


@pytest.mark.parametrize("finish", ["stop", "STOP", "end_turn", "eos", "tool_calls", "COMPLETE", "stop_sequence"])
def test_an_answer_that_the_model_ended_is_whole(finish: str) -> None:
    assert is_ok(reply(finish))
    assert is_ok(reply(finish, "no such word"))


@pytest.mark.parametrize("finish", [None, "", "null", 7, [], {}, True, "FINISH_REASON_UNSPECIFIED"])
def test_no_reason_is_no_reason_to_refuse(finish: Any) -> None:
    assert read_ending(finish) is Ending.UNSAID
    assert is_ok(reply(finish))


@pytest.mark.parametrize("finish", ["STOP", None, "odd"])
def test_free_repairs_are_made_whether_or_not_a_reason_is_told(finish: str | None) -> None:
    verdict = reply(finish, text='```json\n{"caption": "a red boat",}\n```')
    assert verdict.completion is not None
    answer = TYPED.parse(verdict.completion, OutputMode.PROMPT)
    assert (answer.ok, answer.value) == (True, {"caption": "a red boat"})


@pytest.mark.parametrize("text", ['{"caption": "a red b', '{"caption": "a red boat"', '```json\n{"caption": "a'])
def test_without_a_reason_a_json_answer_that_has_no_end_was_cut(text: str) -> None:
    verdict = reply(None, text=text)
    assert verdict.completion is not None
    assert TYPED.parse(verdict.completion, OutputMode.PROMPT).fault == "truncated"


def test_without_a_reason_an_answer_of_all_its_tokens_was_cut_and_an_unknown_reason_is_said_once() -> None:
    said: list[str] = []
    endings = AnswerEndings(said.append)
    for finish in (None, "odd\x1b[31m", "odd\x1b[31m", "stop"):
        for tokens, ok in ((64, finish == "stop"), (63, True)):
            completion = ChatCompletion(None, None, None, "A red boat", (), finish, Usage(9, tokens, 0, None))
            assert TEXT.parse(endings.judge(completion, 64), OutputMode.TEXT).ok is ok
    assert len(said) == 1
    assert "'odd'" in said[0]
    assert "\x1b" not in said[0]
    for number in range(100):
        endings.judge(ChatCompletion(None, None, None, "A", (), f"odd {number}", None), 64)
    assert len(said) <= 8


def test_of_several_choices_the_one_with_the_index_0_counts() -> None:
    choices = [{"index": at, "finish_reason": "stop", "message": {"content": f"answer {at}"}} for at in (1, 0, 2)]
    verdict = classify(Exchange(200, {}, json.dumps({"choices": [None, *choices]}).encode(), 1))
    assert verdict.completion is not None
    assert verdict.completion.text == "answer 0"


@given(st.sampled_from(sorted(FINISH_REASONS)), st.randoms())
def test_case_and_separators_do_not_matter(reason: str, rng: Any) -> None:
    written = "".join(rng.choice([letter, letter.upper()]) for letter in reason).replace("_", rng.choice("_- ."))
    assert read_ending(written) is FINISH_REASONS[reason]


@given(st.lists(st.none() | st.text(max_size=20) | st.integers() | st.sampled_from(sorted(FINISH_REASONS)), max_size=3))
def test_every_reason_has_a_meaning_and_none_makes_a_cut_answer_whole(reasons: list[Any]) -> None:
    assert isinstance(read_ending(*reasons), Ending)
    assert read_ending(*reasons, "length") is not Ending.COMPLETE
