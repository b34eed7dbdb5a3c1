"""The wire format: equal requests give equal bytes, and every reply's fields are read as far as they go."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parquill.chat import (
    ChatRequest,
    ImageFigures,
    ImagePart,
    RequestBody,
    ToolCall,
    Turn,
    Usage,
    read_completion,
    read_usage,
    turn_content,
)
from parquill.money import PICO

CAT = ImagePart("https://a.example/cat.jpg")
CAT_PART = {"type": "image_url", "image_url": {"url": CAT.url}}


def user(*parts: str | ImagePart) -> Turn:
    return Turn("user", parts)


def text_part(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}


class TestRequests:
    def test_a_turn_of_text_alone_is_sent_as_plain_text(self) -> None:
        assert turn_content(user("a")) == "a"
        assert turn_content(user("a", "b")) == "a\nb"

    def test_a_turn_with_pictures_is_sent_as_parts_in_their_order(self) -> None:
        assert turn_content(user(CAT)) == [CAT_PART]
        assert turn_content(user("a", CAT, "b")) == [text_part("a"), CAT_PART, text_part("b")]

    def test_neighbouring_texts_are_merged_since_the_models_template_puts_nothing_between_them(self) -> None:
        assert turn_content(user("a", "b", CAT, CAT, "c", "d")) == [
            text_part("a\nb"),
            CAT_PART,
            CAT_PART,
            text_part("c\nd"),
        ]

    def test_pictures_are_counted(self) -> None:
        assert [turn.images for turn in (user("a"), user(CAT, "a", CAT))] == [0, 2]

    def test_a_picture_is_the_same_whatever_was_measured_of_it(self) -> None:
        assert ImagePart("u", b"k", ImageFigures(1, 2, 3, 4)) == ImagePart("u", b"k")

    def test_a_body_holds_messages_and_settings(self) -> None:
        body = RequestBody({"model": "m", "max_tokens": 5, "stop": None})
        raw = body.build(ChatRequest((Turn("system", ("s",)), user("é 😀", CAT))))
        assert json.loads(raw) == {
            "messages": [
                {"role": "system", "content": "s"},
                {"role": "user", "content": [text_part("é 😀"), CAT_PART]},
            ],
            "model": "m",
            "max_tokens": 5,
            "stop": None,
        }

    def test_changed_settings_hold_for_one_body_only_and_replace_what_was_there(self) -> None:
        body, request = RequestBody({"model": "m", "seed": 1}), ChatRequest((user("a"),))
        plain = body.build(request)
        changed = body.build(request, {"seed": 2, "temperature": 0.5})
        assert changed.count(b'"seed"') == 1
        assert json.loads(changed) == {**json.loads(plain), "seed": 2, "temperature": 0.5}
        assert body.build(request) == plain
        assert body.build(request, {}) == plain

    def test_settings_that_are_changed_later_do_not_reach_the_body(self) -> None:
        settings: dict[str, Any] = {"model": "m"}
        body = RequestBody(settings)
        settings["model"] = "other"
        assert json.loads(body.build(ChatRequest((user("a"),)), {"seed": 1}))["model"] == "m"

    @given(
        st.lists(st.lists(st.text(max_size=5) | st.just(CAT), min_size=1, max_size=4), min_size=1, max_size=3),
        st.dictionaries(st.text(min_size=1, max_size=5), st.integers(-9, 9) | st.text(max_size=3), min_size=1),
    )
    def test_equal_requests_give_equal_bytes_of_valid_json(self, turns: Any, settings: dict[str, Any]) -> None:
        request = ChatRequest(tuple(user(*parts) for parts in turns))
        settings.pop("messages", None)
        raw = RequestBody({"model": "m", **settings}).build(request)
        assert raw == RequestBody({"model": "m", **settings}).build(ChatRequest(tuple(user(*parts) for parts in turns)))
        assert json.loads(raw).keys() == {"messages", "model", *settings}


class TestUsage:
    def test_tokens_and_cost_are_read_to_the_last_digit(self) -> None:
        raw = {
            "prompt_tokens": 279,
            "completion_tokens": 9,
            "cost": 0.00001485,
            "prompt_tokens_details": {"cached_tokens": 7},
        }
        assert read_usage(raw) == Usage(279, 9, 7, 14_850_000)

    @pytest.mark.parametrize(
        ("cost", "pico"),
        [(6e-7, 600_000), ("6e-7", 600_000), (0.1, PICO // 10), (1, PICO), (0, 0), (0.0, 0), ("0.000000000001", 1)],
    )
    def test_a_cost_is_exact_however_it_is_written(self, cost: object, pico: int) -> None:
        assert read_usage({"prompt_tokens": 1, "completion_tokens": 1, "cost": cost}) == Usage(1, 1, 0, pico)

    def test_deepinfra_calls_it_estimated_cost(self) -> None:
        for raw in ({"estimated_cost": 2e-6}, {"estimated_cost": 2e-6, "cost": None}):
            usage = read_usage({"prompt_tokens": 1, "completion_tokens": 1, **raw})
            assert usage is not None
            assert usage.cost_pico == 2_000_000

    @pytest.mark.parametrize("cost", [None, -1e-7, "free", True, [], {}, float("nan"), float("inf"), "snan", "-0.1"])
    def test_a_cost_that_is_none_leaves_the_tokens(self, cost: object) -> None:
        assert read_usage({"prompt_tokens": 1, "completion_tokens": 2, "cost": cost}) == Usage(1, 2, 0, None)

    @pytest.mark.parametrize("cost", [1e300, "1e999999", 10**40, 1000.1])
    def test_a_cost_beyond_all_reason_is_cut_so_that_sums_still_fit_the_output(self, cost: object) -> None:
        assert read_usage({"prompt_tokens": 1, "completion_tokens": 2, "cost": cost}) == Usage(1, 2, 0, 1000 * PICO)

    @pytest.mark.parametrize(
        "raw",
        [
            None,
            [],
            "x",
            {},
            {"prompt_tokens": 5},
            {"prompt_tokens": None, "completion_tokens": 1},
            {"prompt_tokens": -1, "completion_tokens": -1, "cost": -1e-7},
            {"prompt_tokens": 1.5, "completion_tokens": 1},
            {"prompt_tokens": True, "completion_tokens": 1},
            {"prompt_tokens": "5", "completion_tokens": 1},
            {"prompt_tokens": 1e30, "completion_tokens": 1},
            {"prompt_tokens": float("inf"), "completion_tokens": 1},
            {"prompt_tokens": float("nan"), "completion_tokens": 1},
            {"prompt_tokens": 0, "completion_tokens": 0},
        ],
    )
    def test_counts_that_cannot_be_are_no_usage(self, raw: object) -> None:
        assert read_usage(raw) is None

    def test_all_zeros_with_a_cost_are_the_usage_of_a_cached_answer(self) -> None:
        assert read_usage({"prompt_tokens": 0, "completion_tokens": 0, "cost": 0}) == Usage(0, 0, 0, 0)

    @pytest.mark.parametrize("details", [None, [], {}, {"cached_tokens": None}, {"cached_tokens": -1}])
    def test_details_may_be_missing(self, details: object) -> None:
        raw = {"prompt_tokens": 3.0, "completion_tokens": 1, "prompt_tokens_details": details}
        assert read_usage(raw) == Usage(3, 1, 0, None)

    @given(st.decimals(0, 999, places=12))
    def test_any_amount_in_whole_pico_dollars_comes_back_unchanged(self, usd: Decimal) -> None:
        usage = read_usage({"prompt_tokens": 1, "completion_tokens": 1, "cost": str(usd)})
        assert usage is not None
        assert usage.cost_pico == int(usd.scaleb(12))


class TestCompletions:
    def test_every_field_is_read(self) -> None:
        body = {
            "id": "gen-1",
            "model": "m:dated",
            "provider": "DeepInfra",
            "choices": [{"finish_reason": "stop", "message": {"role": "assistant", "content": "a"}}, {"ignored": 1}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1},
        }
        read = read_completion(body)
        assert (read.generation_id, read.model, read.provider, read.text) == ("gen-1", "m:dated", "DeepInfra", "a")
        assert (read.finish_reason, read.tool_calls, read.usage) == ("stop", (), Usage(1, 1, 0, None))

    @pytest.mark.parametrize("body", [{}, {"choices": []}, {"choices": [None]}, {"choices": [{"message": []}]}])
    def test_every_field_may_be_missing_or_of_another_kind(self, body: dict[str, Any]) -> None:
        read = read_completion({**body, "id": 5, "model": [], "provider": "", "usage": "x"})
        assert (read.generation_id, read.model, read.provider, read.text) == (None, None, None, "")
        assert (read.finish_reason, read.tool_calls, read.usage) == (None, (), None)

    @pytest.mark.parametrize(
        ("content", "text"),
        [
            ("a", "a"),
            (None, ""),
            ([{"type": "text", "text": "a"}, {"type": "image"}, {"type": "text", "text": "b"}, None, "c"], "ab"),
            (5, ""),
            ({"type": "text", "text": "a"}, "a"),
            ({"caption": "a", "text": "b"}, '{"caption":"a","text":"b"}'),
            ({}, ""),
        ],
    )
    def test_content_is_text_nothing_or_parts(self, content: object, text: str) -> None:
        assert read_completion({"choices": [{"message": {"content": content}}]}).text == text

    def test_tool_calls_keep_their_arguments_as_json_text(self) -> None:
        calls = [
            {"function": {"name": "f", "arguments": '{"a": 1}'}},
            {"function": {"name": "g", "arguments": {"a": 1}}},
            {"function": {"name": "h"}},
            {"function": {"arguments": "{}"}},
            None,
        ]
        read = read_completion({"choices": [{"message": {"tool_calls": calls}}]})
        assert read.tool_calls == (ToolCall("f", '{"a": 1}'), ToolCall("g", '{"a":1}'))

    def test_arguments_nested_deeper_than_can_be_written_are_an_answer_that_fits_nothing(self) -> None:
        deep: Any = "x"
        for _ in range(900):
            deep = [deep]
        call = {"function": {"name": "f", "arguments": deep}}
        assert read_completion({"choices": [{"message": {"tool_calls": [call]}}]}).tool_calls == (ToolCall("f", ""),)
