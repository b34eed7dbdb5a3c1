"""Replies of every known kind, and what each means: for the row, the run, the gate and the books."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parquill.emulator import Misbehaviour
from parquill.emulator.misbehaviour import BILLED
from parquill.errors import ErrorKind, Stop
from parquill.replies import Exchange, Verdict, classify
from tests.emulator_calls import calling

K = ErrorKind
USAGE = {"prompt_tokens": 279, "completion_tokens": 9, "total_tokens": 288, "cost": 0.00001485}


def reply(status: int, body: Any, **headers: str) -> Verdict:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return classify(Exchange(status, headers, raw, 12))


def error(code: object, message: str, **metadata: Any) -> dict[str, Any]:
    """OpenRouter's classic form."""
    inner = {"code": code, "message": message, **({"metadata": metadata} if metadata else {})}
    return {"error": inner, "user_id": "user_1"}


def completion(content: Any = "a cat", finish: str | None = "stop", **changes: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": content, "refusal": None}
    whole = {
        "id": "gen-1768414327-n9nnQrvnhHU8HF0oRVKq",
        "provider": "DeepInfra",
        "model": "google/gemma-3-4b-it",
        "object": "chat.completion",
        "choices": [{"index": 0, "finish_reason": finish, "native_finish_reason": finish, "message": message}],
        "usage": USAGE,
    }
    return {key: value for key, value in {**whole, **changes}.items() if value is not ...}


class TestAnswers:
    def test_an_answer_is_one_whatever_stands_around_it(self) -> None:
        for body in (completion(), completion(error=None), completion(new_field={"a": 1}), completion(finish=None)):
            verdict = reply(200, body)
            assert verdict.completion is not None
            assert (verdict.completion.text, verdict.kind, verdict.stop) == ("a cat", None, None)
            assert not (verdict.retry or verdict.lost)
        assert reply(200, b" \n\t " + json.dumps(completion()).encode()).completion is not None

    def test_an_answer_without_usage_is_an_answer_whose_cost_is_not_known(self) -> None:
        verdict = reply(200, completion(usage=...))
        assert verdict.completion is not None
        assert verdict.usage is None

    def test_an_answer_by_tool_calls_needs_no_text(self) -> None:
        body = completion(None, "tool_calls")
        body["choices"][0]["message"]["tool_calls"] = [{"function": {"name": "tag", "arguments": "{}"}}]
        assert reply(200, body).completion is not None

    def test_a_text_that_was_cut_is_still_an_answer_with_its_reason(self) -> None:
        verdict = reply(200, completion("a c", "length"))
        assert verdict.completion is not None
        assert verdict.completion.finish_reason == "length"

    @pytest.mark.parametrize("finish", ["content_filter", "SAFETY", "RECITATION", "Prohibited-Content"])
    def test_a_text_that_was_filtered_is_moderated_and_kept_beside_the_fault(self, finish: str) -> None:
        verdict = reply(200, completion("a c", finish))
        assert (verdict.kind, verdict.retry) == (K.MODERATED, False)
        assert verdict.unused is not None
        assert verdict.unused.text == "a c"
        assert finish in verdict.message

    @pytest.mark.parametrize("content", [None, "", [], [{"type": "text", "text": ""}], 7])
    def test_an_empty_answer_is_asked_for_again_and_billed_as_its_usage_says(self, content: Any) -> None:
        verdict = reply(200, completion(content))
        assert (verdict.kind, verdict.retry, verdict.lost) == (K.BAD_RESPONSE, True, False)
        assert verdict.usage is not None
        assert verdict.usage.cost_pico == 14_850_000

    def test_an_empty_answer_without_usage_may_have_been_billed(self) -> None:
        assert reply(200, completion("", usage=...)).lost

    def test_an_answer_that_never_began_is_truncated_and_not_bought_again(self) -> None:
        verdict = reply(200, completion("", "length"))
        assert (verdict.kind, verdict.retry) == (K.TRUNCATED, False)

    def test_an_answer_that_the_provider_filtered_or_the_model_declined_is_moderated(self) -> None:
        declined = completion(None)
        declined["choices"][0]["message"]["refusal"] = "I cannot help with that."
        for body in (completion(None, "content_filter"), declined):
            verdict = reply(200, body)
            assert (verdict.kind, verdict.retry) == (K.MODERATED, False)
            assert verdict.usage is not None

    @pytest.mark.parametrize("choices", [[], None, {}, "x", [None], ["x"], ...])
    def test_a_reply_without_choices_is_asked_for_again_and_may_have_been_billed(self, choices: Any) -> None:
        verdict = reply(200, completion(choices=choices, usage=...))
        assert (verdict.kind, verdict.retry, verdict.lost) == (K.BAD_RESPONSE, True, True)
        verdict = reply(200, completion(choices=choices))
        assert verdict.usage is not None
        assert not verdict.lost

    def test_a_text_that_broke_off_with_an_error_is_no_answer(self) -> None:
        broken = completion("partial out", "error", usage=...)
        broken["choices"][0]["error"] = {"code": 502, "message": "Provider disconnected mid-stream"}
        verdict = reply(200, broken)
        assert (verdict.kind, verdict.retry, verdict.lost) == (K.SERVER_ERROR, True, True)
        assert verdict.message == "HTTP 502: Provider disconnected mid-stream"
        verdict = reply(200, completion("partial out", "error"))
        assert (verdict.kind, verdict.retry, verdict.usage is not None) == (K.SERVER_ERROR, True, True)


class TestCutBodies:
    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b" ",
            b'{"id":"gen-1","choi',
            b"<html>ok</html>",
            b"null",
            b"[]",
            b"[1]",
            b'"text"',
            b"7",
            b"\xff",
            b"NaN",
        ],
    )
    def test_a_200_that_is_no_json_object_may_be_a_billed_answer_that_was_cut(self, body: bytes) -> None:
        verdict = reply(200, body)
        assert (verdict.kind, verdict.retry, verdict.lost) == (K.BAD_RESPONSE, True, True)

    def test_the_beginning_of_a_web_page_is_told_without_its_tags(self) -> None:
        page = b"<html><head><title>502 Bad Gateway</title></head>\n<body><h1>nginx</h1></body></html>"
        verdict = reply(502, page)
        assert (verdict.kind, verdict.retry, verdict.lost) == (K.SERVER_ERROR, True, False)
        assert verdict.message == "HTTP 502: 502 Bad Gateway nginx"

    @pytest.mark.parametrize("sent", [True, False])
    @pytest.mark.parametrize(("broken", "kind"), [("timeout", K.TIMEOUT), ("connection", K.CONNECTION)])
    def test_no_whole_reply_is_lost_unless_the_request_never_left(self, broken: Any, kind: K, sent: bool) -> None:
        verdict = classify(Exchange(0, {}, b"", 5, broken, sent, "why"))
        assert (verdict.kind, verdict.message, verdict.retry, verdict.lost) == (kind, "why", True, sent)

    def test_a_certificate_that_is_not_trusted_stops_the_run(self) -> None:
        verdict = classify(Exchange(0, {}, b"", 5, "certificate", False, "self-signed"))
        assert (verdict.stop, verdict.lost) == (Stop.REFUSED, False)
        assert "self-signed" in verdict.message


def seen(means: str) -> list[Any]:
    """Replies of `data/replies.jsonl`: seen on OpenRouter or another server, or documented."""
    lines = (Path(__file__).parent / "data" / "replies.jsonl").read_text(encoding="utf-8").splitlines()
    cases = [case for line in lines if (case := json.loads(line))["means"] == means]
    return [pytest.param(case, id=f"{case['status']} {case.get('says') or case.get('kind')}") for case in cases]


def told(case: dict[str, Any]) -> Verdict:
    return reply(case["status"], case["text"].encode() if "text" in case else case["body"])


@pytest.mark.parametrize("case", seen("row"))
def test_a_rows_own_fault_is_final_costs_nothing_and_touches_no_other_row(case: dict[str, Any]) -> None:
    verdict = told(case)
    assert (verdict.kind, verdict.stop, verdict.retry, verdict.lost) == (K(case["kind"]), None, False, False)
    assert case["says"] in verdict.message
    assert verdict.status == case["status"]


@pytest.mark.parametrize("case", seen("run"))
def test_a_fault_of_the_run_stops_it_and_is_no_rows_fault(case: dict[str, Any]) -> None:
    verdict = told(case)
    assert (verdict.stop, verdict.kind, verdict.retry, verdict.lost) == (Stop.REFUSED, None, False, False)
    assert case["says"] in verdict.message


@pytest.mark.parametrize("case", seen("refused"))
def test_a_refusal_that_may_be_the_rows_or_the_runs_has_words_for_both(case: dict[str, Any]) -> None:
    verdict = told(case)
    assert (verdict.kind, verdict.stop, verdict.retry, verdict.lost) == (K.REFUSED, None, False, False)
    assert case["says"] in verdict.of_run
    assert verdict.message


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_stops_the_run_and_says_where_it_leads_without_what_may_be_secret(status: int) -> None:
    verdict = reply(status, b"", location="https://user:pass@elsewhere.example/v1/chat?token=hush#x")
    assert verdict.stop is Stop.REFUSED
    assert "https://elsewhere.example/v1/chat;" in verdict.message
    assert "pass" not in verdict.message
    assert "hush" not in verdict.message


@pytest.mark.parametrize("case", seen("passing"))
def test_a_passing_fault_is_asked_again_and_may_be_billed_only_where_the_model_ran_on(case: dict[str, Any]) -> None:
    verdict = told(case)
    assert (verdict.kind, verdict.stop, verdict.retry, verdict.lost) == (K(case["kind"]), None, True, case["lost"])
    assert not verdict.throttled
    assert verdict.message


def test_an_error_with_usage_is_booked_by_it_and_not_at_worst_case() -> None:
    for status in (500, 504, 400, 429):
        verdict = reply(status, {**error(status, "late"), "usage": USAGE})
        assert verdict.usage is not None
        assert (verdict.usage.cost_pico, verdict.lost) == (14_850_000, False)


def test_a_server_that_says_not_to_retry_is_believed_below_and_above_500() -> None:
    for retryable in (True, False):
        body = {"error": {"message": "x", "http_status": 503, "availability": {"retryable": retryable}}}
        assert reply(503, body).retry is retryable
    assert reply(503, {"error": {"message": "x", "availability": {"retryable": "no"}}}).retry


@pytest.mark.parametrize("case", seen("throttled"))
def test_a_429_throttles_and_a_daily_one_says_so(case: dict[str, Any]) -> None:
    verdict = told(case)
    assert (verdict.kind, verdict.retry, verdict.throttled, verdict.lost) == (K.RATE_LIMITED, True, True, False)
    assert (verdict.daily, verdict.in_flight_money) == (case["daily"], False)
    assert verdict.at_once is case.get("at_once", False)
    assert verdict.message


def test_a_429_within_a_200_throttles_too() -> None:
    assert reply(200, error(429, "Rate limit exceeded")).throttled


@pytest.mark.parametrize(
    "metadata", [{"reason": "in_flight_budget_exhausted"}, {"limit_source": "openrouter_in_flight_budget"}]
)
def test_the_402_of_money_held_in_flight_throttles_instead_of_stopping(metadata: dict[str, str]) -> None:
    verdict = reply(402, error(402, "This request would exceed your available credits", **metadata))
    assert (verdict.kind, verdict.stop, verdict.throttled, verdict.in_flight_money) == (
        K.RATE_LIMITED,
        None,
        True,
        True,
    )


@pytest.mark.parametrize(
    ("inner", "seconds"),
    [
        ({"availability": {"retry_after": 7}}, 7.0),
        ({"availability": {"retry_after": None}, "metadata": {"retry_after_seconds": "2.5"}}, 2.5),
        ({"details": [{"@type": "x"}, {"retryDelay": "37s"}]}, 37.0),
        ({"details": [{"retryDelay": "soon"}]}, None),
        ({"availability": {"retry_after": -1}}, None),
        ({"availability": {"retry_after": 1e12}}, None),
        ({"availability": {"retry_after": "nan"}}, None),
        ({"availability": {"retry_after": True}}, None),
        ({"availability": []}, None),
    ],
)
def test_the_bodys_own_hint_of_how_long_to_wait_is_read(inner: dict[str, Any], seconds: float | None) -> None:
    for status in (429, 503):
        assert reply(status, {"error": {"message": "x", **inner}}).wait_hint == seconds


def test_a_message_is_one_line_of_bounded_length() -> None:
    for body in (error(500, "a\n\n b " * 10_000), b"x\n" * 10_000, {"detail": ["x" * 10_000]}):
        message = reply(500, body).message
        assert len(message) < 450
        assert "\n" not in message


def test_an_error_nested_as_deep_as_json_goes_is_read() -> None:
    deep: Any = "x"
    for _ in range(1000):
        deep = [deep]
    for status in (200, 400, 500):
        for body in (deep, {"error": deep}, {"detail": deep}, {"error": {"message": deep, "metadata": {"raw": deep}}}):
            assert reply(status, _json(body)).message


def _json(value: Any) -> bytes:
    """JSON of any depth: the standard encoder stops before a thousand."""
    if isinstance(value, list):
        depth = 0
        while isinstance(value, list):
            depth, value = depth + 1, value[0]
        return b"[" * depth + _json(value) + b"]" * depth
    if isinstance(value, dict):
        return b"{" + b",".join(orjson.dumps(key) + b":" + _json(item) for key, item in value.items()) + b"}"
    return orjson.dumps(value)


KEYS = """error code message metadata availability choices finish_reason content usage detail cost prompt_tokens
completion_tokens raw retry_after type tool_calls function arguments 429 name details retryDelay object id model
provider refusal"""
WORDS = st.sampled_from([*KEYS.split(), "Provider returned error"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=6) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=5),
    max_leaves=15,
)
BODIES = st.binary(max_size=60) | st.builds(lambda value: json.dumps(value).encode(), JSON)


@given(st.integers(0, 999), BODIES)
def test_every_status_and_body_has_a_meaning_and_only_one(status: int, body: bytes) -> None:
    verdict = reply(status, body)
    assert [verdict.completion is not None, verdict.kind is not None, verdict.stop is not None].count(True) == 1
    assert verdict.message or verdict.completion is not None
    assert not (verdict.retry and verdict.stop)
    assert not verdict.throttled or verdict.retry
    assert not verdict.lost or verdict.usage is None
    assert verdict.status == (0 if verdict.completion else status)
    verdict.message.encode()
    if verdict.usage is not None:
        assert 0 <= (verdict.usage.prompt_tokens or 0) <= 10**9
        assert verdict.usage.cost_pico is None or 0 <= verdict.usage.cost_pico <= 2 * 10**15


MEANT = {
    Misbehaviour.TIMEOUT: K.TIMEOUT,
    Misbehaviour.SERVER_ERROR: K.SERVER_ERROR,
    Misbehaviour.BAD_GATEWAY: K.SERVER_ERROR,
    Misbehaviour.UNAVAILABLE: K.SERVER_ERROR,
    Misbehaviour.GATEWAY_TIMEOUT: K.TIMEOUT,
    Misbehaviour.EDGE_TIMEOUT: K.TIMEOUT,
    Misbehaviour.OVERLOADED: K.SERVER_ERROR,
    Misbehaviour.UPSTREAM_LIMIT: K.RATE_LIMITED,
    Misbehaviour.HTML: K.SERVER_ERROR,
    Misbehaviour.MODERATED: K.MODERATED,
    Misbehaviour.GUARDRAIL: K.MODERATED,
    Misbehaviour.ERROR_IN_200: K.SERVER_ERROR,
    Misbehaviour.ERROR_STRING: K.SERVER_ERROR,
    Misbehaviour.ERROR_DETAIL: K.SERVER_ERROR,
    Misbehaviour.ERROR_LIST: K.SERVER_ERROR,
    Misbehaviour.EMPTY_CHOICES: K.BAD_RESPONSE,
    Misbehaviour.NULL_CONTENT: K.BAD_RESPONSE,
    Misbehaviour.PARTIAL_ERROR: K.SERVER_ERROR,
    Misbehaviour.TRUNCATED_BODY: K.BAD_RESPONSE,
}


async def test_what_the_emulator_does_wrong_is_understood_and_nothing_it_bills_is_booked_at_nothing() -> None:
    async with calling() as caller:
        for kind, meant in MEANT.items():
            caller.emulator.plan(kind)
            answer = await caller.ask()
            verdict = classify(Exchange(answer.status, answer.headers, answer.raw, 1))
            assert verdict.kind is meant, kind
            if kind in BILLED:
                assert verdict.lost or (verdict.usage is not None and verdict.usage.cost_pico), kind
