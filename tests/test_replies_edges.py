"""Replies at the edges of the rules that read them."""

from __future__ import annotations

from typing import Any

import pytest

from parquill.answers.repair import read_objects
from parquill.errors import ErrorKind, Stop
from parquill.replies.error_objects import find_fault
from tests.test_replies import error, reply


@pytest.mark.parametrize("status", [400, 413, 422])
def test_words_about_a_picture_in_a_refusal_are_the_rows_own_fault(status: int) -> None:
    assert reply(status, error(status, "could not download the image")).kind is ErrorKind.IMAGE_UNREACHABLE
    assert reply(status, error(status, "the image is broken")).kind is ErrorKind.IMAGE_INVALID


@pytest.mark.parametrize("status", [200, 500, 404, 503])
def test_the_same_words_in_a_success_or_a_servers_fault_say_nothing_of_the_picture(status: int) -> None:
    kind = reply(status, {"error": {"message": "could not download the image"}}).kind
    assert kind not in (ErrorKind.IMAGE_UNREACHABLE, ErrorKind.IMAGE_INVALID)


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_servers_fault_that_names_a_quota_passes_and_stops_no_run(status: int) -> None:
    body = {"error": {"message": "quota", "type": "insufficient_quota", "code": "insufficient_quota"}}
    verdict = reply(status, body)
    assert (verdict.kind, verdict.retry, verdict.stop, verdict.of_run) == (ErrorKind.SERVER_ERROR, True, None, "")
    assert reply(429, body).stop is Stop.REFUSED


@pytest.mark.parametrize(
    ("code", "read"),
    [(404, 404), ("429", 429), (True, None), (False, None), (404.0, None), ("4040", None), (600, None), (None, None)],
)
def test_a_code_is_a_status_only_where_it_looks_like_one(code: Any, read: int | None) -> None:
    fault = find_fault({"error": {"message": "no", "code": code}})
    assert fault is not None
    assert fault.code == read


@pytest.mark.parametrize(
    ("said", "seconds"),
    [(0, 0.0), (12.5, 12.5), ("7", 7.0), (1e9, None), (-1, None), (True, None), ("soon", None), (None, None)],
)
def test_a_wait_is_a_number_of_seconds_below_thirty_years(said: Any, seconds: float | None) -> None:
    fault = find_fault({"error": {"message": "no", "metadata": {"retry_after_seconds": said}}})
    assert fault is not None
    assert fault.retry_after == seconds


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": [{"b": 1}, 2, 3]', {"a": [{"b": 1}, 2, 3]}),
        ('{"a": [{"b": "x"}, "y"]', {"a": [{"b": "x"}, "y"]}),
        ('{"a": {"b": 1,},} and that is all.', {"a": {"b": 1}}),
        ('```json\n{"a": {"b": 1,},}\n```', {"a": {"b": 1}}),
    ],
)
def test_what_follows_the_last_brace_belongs_to_the_object_where_it_goes_on(text: str, value: dict[str, Any]) -> None:
    assert read_objects(text, ended=True).objects == (value,)
