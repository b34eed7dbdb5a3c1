"""A good answer is not lost over something else in its reply: what is read leniently, and what it is called."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parquill.errors import ErrorKind
from parquill.replies import Exchange, Verdict, classify
from parquill.replies.decoding import decode

WHOLE: dict[str, Any] = {
    "id": "gen-1",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "a café boat"}}],
    "usage": {"prompt_tokens": 20, "completion_tokens": 5, "cost": 6e-7},
}
RAW = json.dumps(WHOLE)


def reply(body: bytes | str, content_type: str = "application/json") -> Verdict:
    raw = body if isinstance(body, bytes) else body.encode()
    return classify(Exchange(200, {"Content-Type": content_type}, raw, 1))


def read(verdict: Verdict) -> tuple[str, tuple[str, ...]]:
    assert verdict.completion is not None, verdict.message
    assert verdict.usage is not None
    assert verdict.usage.cost_pico == 600_000
    return verdict.completion.text, verdict.completion.repairs


def beside(member: str) -> str:
    return f"{RAW[:-1]}, {member}}}"


@pytest.mark.parametrize(
    ("body", "repair"),
    [
        (beside('"speed": NaN'), "reply:number"),
        (beside('"logprobs": [-Infinity, Infinity]'), "reply:number"),
        (beside('"x": 1e400'), "reply:number"),
        (beside(f'"created": {"9" * 5000}'), "reply:number"),
        (beside('"note": "line\nbreak"'), "reply:control"),
        (beside('"note": "half \\ud83d"'), "reply:surrogate"),
        (beside('"note": "half ').encode() + b'\xf0\x9f"}', "reply:encoding"),
        (b"\xef\xbb\xbf" + RAW.encode(), "reply:bom"),
        (RAW.encode("utf-16"), "reply:bom"),
        (RAW + "\n<!-- served by a proxy -->", "reply:trailing"),
        (RAW + '\n{"done": true}', "reply:trailing"),
        (f'{{"success": true, "result": {RAW}}}', "reply:wrapped"),
        (f"[{RAW}]", "reply:wrapped"),
    ],
)
def test_an_answer_survives_what_is_wrong_elsewhere_in_its_reply(body: bytes | str, repair: str) -> None:
    assert read(reply(body)) == ("a café boat", (repair,))


def test_nothing_is_noted_where_nothing_was_wrong() -> None:
    for body in (RAW, f"\n \t{RAW}\n", RAW + "\0\0"):
        assert read(reply(body)) == ("a café boat", ())


@pytest.mark.parametrize("half", ["\\ud83d", "\\ude00"])
def test_half_an_emoji_in_the_answer_becomes_a_replacement_character(half: str) -> None:
    text, repairs = read(reply(RAW.replace("boat", f"boat {half}")))
    assert (text, repairs) == ("a café boat \ufffd", ("reply:surrogate",))
    assert read(reply(RAW.replace("boat", "boat \\ud83d\\ude00"))) == ("a café boat \U0001f600", ())
    cut = RAW.replace("boat", "boat @").encode().replace(b"@", b"\xf0\x9f")
    assert read(reply(cut)) == ("a café boat \ufffd", ("reply:encoding",))


def test_a_charset_that_is_declared_is_believed_where_the_bytes_are_not_utf_8() -> None:
    plain = json.dumps(WHOLE, ensure_ascii=False)
    assert read(reply(plain.encode("latin-1"), "application/json; charset=iso-8859-1"))[0] == "a café boat"
    assert read(reply(plain.encode(), "application/json; charset=iso-8859-1"))[0] == "a café boat"
    assert read(reply(plain.encode("latin-1"), "application/json; charset=no-such"))[0] == "a caf\ufffd boat"


def test_a_cost_that_is_no_number_counts_as_absent_and_the_tokens_stay() -> None:
    for cost in ("NaN", "Infinity", "-Infinity", "1e400"):
        usage = reply(RAW.replace("6e-07", cost)).usage
        assert usage is not None
        assert (usage.prompt_tokens, usage.completion_tokens, usage.cost_pico) == (20, 5, None)


@pytest.mark.parametrize("body", [RAW[:-1], RAW[:40], "[1] 2", "7 8", '{"a": NaN', "x" + RAW, "[" * 100_000])
def test_what_is_cut_or_no_reply_at_all_is_not_guessed(body: str) -> None:
    verdict = reply(body)
    assert (verdict.kind, verdict.retry, verdict.lost) == (ErrorKind.BAD_RESPONSE, True, True)


def events(*values: Any, end: str = "data: [DONE]\n\n") -> str:
    return ": PROCESSING\r\n\r\n" + "".join(f"data: {json.dumps(value)}\n\n" for value in values) + end


def piece(text: str | None, finish: str | None = None, index: int = 0, **delta: Any) -> dict[str, Any]:
    return {"id": "gen-1", "choices": [{"index": index, "delta": {"content": text, **delta}, "finish_reason": finish}]}


LAST = {"id": "gen-1", "choices": [], "usage": WHOLE["usage"]}


class TestStreams:
    def test_an_event_stream_that_was_not_asked_for_is_put_together(self) -> None:
        parts = [piece("a café "), piece("other", index=1), piece(None, role="assistant"), piece("boat", "stop"), LAST]
        for kind in ("text/event-stream; charset=utf-8", "application/json"):
            assert read(reply(events(*parts), kind)) == ("a café boat", ("reply:stream",))
            assert read(reply(events(*parts, end=""), kind)) == ("a café boat", ("reply:stream",))

    def test_a_whole_completion_as_one_event_is_one(self) -> None:
        assert read(reply(events(WHOLE))) == ("a café boat", ("reply:stream",))
        assert read(reply(RAW, "text/event-stream")) == ("a café boat", ())

    def test_a_stream_without_an_end_was_cut(self) -> None:
        for body in (events(piece("a café "), end=""), events(piece("a"), end="data: {"), "data: [DO"):
            verdict = reply(body)
            assert (verdict.kind, verdict.lost) == (ErrorKind.BAD_RESPONSE, True)

    def test_an_error_in_a_stream_is_one_and_after_tokens_may_be_billed(self) -> None:
        error = {"error": {"code": 429, "message": "slow down"}}
        verdict = reply(events(error))
        assert (verdict.throttled, verdict.lost) == (True, False)
        verdict = reply(events(piece("a caf"), error, end=""))
        assert (verdict.kind, verdict.lost) == (ErrorKind.RATE_LIMITED, True)
        verdict = reply('error: {"code": 500, "message": "no slot"}\n\n', "text/event-stream")
        assert (verdict.kind, verdict.message) == (ErrorKind.SERVER_ERROR, "HTTP 500: no slot")

    def test_the_pieces_of_calls_are_joined_by_their_index(self) -> None:
        def call(index: int, **function: str) -> dict[str, Any]:
            return piece(None, tool_calls=[{"index": index, "function": function}])

        body = events(
            call(0, name="tag", arguments='{"a"'), call(1, name="b", arguments="{}"), call(0, arguments=": 1}"), LAST
        )
        verdict = reply(body)
        assert verdict.completion is not None
        calls = [(one.name, one.arguments) for one in verdict.completion.tool_calls]
        assert calls == [("tag", '{"a": 1}'), ("b", "{}")]


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning", "reasoning_details"])
def test_thoughts_alone_name_their_field_and_are_worth_two_tries(field: str) -> None:
    message = {"content": None, field: [{"text": "hm"}] if field == "reasoning_details" else "hm"}
    verdict = reply(json.dumps({**WHOLE, "choices": [{"message": message, "finish_reason": "stop"}]}))
    assert (verdict.kind, verdict.retry, verdict.most_tries) == (ErrorKind.BAD_RESPONSE, True, 2)
    assert f"message.{field}" in verdict.message
    verdict = reply(json.dumps({**WHOLE, "choices": [{"message": message, "finish_reason": "length"}]}))
    assert (verdict.kind, verdict.retry) == (ErrorKind.TRUNCATED, False)
    assert f"message.{field}" in verdict.message


def test_older_and_other_forms_of_an_answer_are_read() -> None:
    for choice in ({"text": "a café boat"}, {"message": "a café boat"}, {"delta": {"content": "a café boat"}}):
        assert read(reply(json.dumps({**WHOLE, "choices": [choice]})))[0] == "a café boat"
    call = {"message": {"content": None, "function_call": {"name": "tag", "arguments": "{}"}}}
    verdict = reply(json.dumps({**WHOLE, "choices": [call]}))
    assert verdict.completion is not None
    assert [one.name for one in verdict.completion.tool_calls] == ["tag"]


@given(st.binary(max_size=200), st.sampled_from(["", "text/event-stream", "application/json; charset=utf-16"]))
def test_any_bytes_are_read_or_refused_with_a_value_error(raw: bytes, content_type: str) -> None:
    try:
        decoded = decode(raw, {"Content-Type": content_type})
    except ValueError:
        return
    json.dumps(decoded.body, allow_nan=False).encode()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=5), JSON, max_size=4))
def test_the_lenient_reading_agrees_with_the_standard_library_where_nothing_is_wrong(body: dict[str, Any]) -> None:
    raw = b"\xef\xbb\xbf" + json.dumps(body).encode()
    decoded = decode(raw, {})
    assert decoded.repairs == ("reply:bom",)
    assert decoded.body == json.loads(raw.decode("utf-8-sig"))
