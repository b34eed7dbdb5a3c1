"""Foreign data of every kind, made up at random around what once did harm: it becomes a row's error or a value.

The short look is part of every run of the tests; `make fuzz` looks for minutes.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from yarl import URL

from parquill.answers import OutputMode, load_answer_schema
from parquill.chat import ChatCompletion
from parquill.clock import SystemClock
from parquill.errors import ErrorKind, RowError
from parquill.fetch import Fetcher, UrlRules, check_url, judge_url
from parquill.fetch.faults import retry_after
from parquill.fetch.session import _Answer, _next_hop
from parquill.images.values import DataPicture, decode_data_url, named, read_cell
from parquill.job import OutputSettings, load_job
from parquill.job.syntax import parse
from parquill.prompts import UserText
from parquill.replies import Exchange, classify

_RULES = UrlRules()
_SHAPE = load_answer_schema(
    OutputSettings(path="out", schema=str(Path(__file__).parents[2] / "configs/schemas/tag.json"))
)


def _around(*pieces: str) -> st.SearchStrategy[str]:
    """Texts made of pieces that mean something, with anything between them."""
    return st.lists(st.sampled_from(pieces) | st.text(max_size=4), max_size=14).map("".join)


_URLS = _around(
    "http://", "https://", "//", "a.b", "[", "]", "@", ":", "80", "/", "?", "#", "%", "%41", "xn--", "[::1]", "..",
    "data:image/png", ";base64", ",", "AA==", "s3://", "b/", "127.0.0.1", "0x7f", "\u3002", "\ud800", "[]@", "v1.a",
)  # fmt: skip
_JSON_TEXT = _around(
    "{", "}", "[", "]", '"', '"choices"', ":", ",", "1", "-", "1e999", "NaN", "null", "\\u", "\\ud83d", '"message"',
    '"content"', '{"choices":[{"message":{"content":"x"}}]}', "data: ", "\n\n", "[DONE]", '"usage"', "\ufeff", "'",
)  # fmt: skip
_WORDS = _around(
    "{", "}", "[", "]", '"', "'", ":", ",", "# ", "// ", "/*", "*/", "\\", "```json", "<think>", "</think>", "<s>",
    "</s>", "<|im_end|>", '"label"', "label", "1", "True", "None", "\n", "\u201c", "\u201d", "(", ")", "2026-01-02",
)  # fmt: skip
_TEMPLATES = _around(
    "{{", "}}", "{%", "%}", " a ", " b ", "|", "tojson", "upper", "join", "for x in", "endfor", "if", "endif", "[", "]",
    "(", ")", ".", "'", "0", "*", "%", "~", "__class__", "format", "x", "loop", "list", "map", "replace",
)  # fmt: skip
_ODD: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["stop", "429"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "choices",
                    "message",
                    "content",
                    "usage",
                    "error",
                    "code",
                    "metadata",
                    "cost",
                    "tool_calls",
                    "function",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


def _cells() -> st.SearchStrategy[Any]:
    leaf = st.none() | _URLS | st.binary(max_size=20) | st.integers() | st.floats()
    return leaf | st.lists(leaf, max_size=3) | st.fixed_dictionaries({"bytes": leaf, "path": leaf})


def _url(text: str) -> None:
    for judge in (check_url, judge_url):
        try:
            judge(text, _RULES)
        except RowError as fault:
            assert fault.kind in (ErrorKind.BAD_ROW, ErrorKind.IMAGE_REFUSED)


def _location(text: str) -> None:
    response: Any = type("Response", (), {"headers": {"Location": text}})
    try:
        _next_hop(_Answer(response, URL("https://a.example/x"), 1.0))
    except RowError as fault:
        assert fault.kind is ErrorKind.IMAGE_UNREACHABLE
    retry_after(text, 0.0)


def _cell(cell: Any) -> None:
    for wanted in ("picture", "document"):
        try:
            for value in read_cell(cell, _RULES, wanted):  # type: ignore[arg-type]  # two of its words
                named(value)
                if isinstance(value, DataPicture):
                    decode_data_url(value.url)
        except RowError:
            pass


def _reply(one: tuple[int, Any, str]) -> None:
    status, body, kind = one
    raw = body if isinstance(body, bytes) else body.encode("utf-8", "surrogatepass")
    verdict = classify(Exchange(status, {"Content-Type": kind}, raw, 1))
    assert sum(one is not None for one in (verdict.completion, verdict.kind, verdict.stop)) == 1
    assert "unexpected" not in verdict.message


def _answer(text: str) -> None:
    completion = ChatCompletion(None, None, None, text, (), "stop", None)
    for shape in (_SHAPE, load_answer_schema(OutputSettings(path="out"))):
        answer = shape.parse(completion, OutputMode.TEXT)
        assert answer.ok or answer.errors
        assert not any("unexpected" in error and "Error" in error for error in answer.errors)


def _template(source: str) -> None:
    base: Mapping[str, Any] = {"name": "n", "manifest": {"path": "m"}, "output": {"path": "o"}}
    try:
        text = UserText(load_job({**base, "prompt": {"user": source}}, environ={}), ["a", "b", "x"])
    except Exception as fault:
        assert type(fault).__module__ == "parquill.errors", fault
        return
    for made in text.render_all({name: ["t", None, [1, {"b": b"\0"}]] for name in text.columns}, 3):
        assert isinstance(made, (str, RowError))


def _job_file(text: str) -> None:
    try:
        parse(text)
    except Exception as fault:
        assert isinstance(fault, ValueError) or type(fault).__module__.startswith("yaml"), fault


_REPLIES = st.tuples(
    st.sampled_from([200, 200, 302, 400, 402, 404, 408, 429, 500, 529, 999]),
    st.binary(max_size=40) | _JSON_TEXT | _ODD.map(json.dumps),
    st.sampled_from(["", "application/json", "text/event-stream", "text/html; charset=idna", "x; charset=utf-16"]),
)
_PLACES: list[tuple[st.SearchStrategy[Any], Callable[[Any], None]]] = [
    (_URLS, _url),
    (_URLS, _location),
    (_cells(), _cell),
    (_REPLIES, _reply),
    (_WORDS, _answer),
    (_TEMPLATES, _template),
    (_WORDS, _job_file),
]


@pytest.mark.parametrize(("made", "look"), _PLACES, ids=[look.__name__[1:] for _, look in _PLACES])
def test_foreign_data_becomes_a_value_or_a_row_s_error(
    made: st.SearchStrategy[Any], look: Callable[[Any], None], request: pytest.FixtureRequest
) -> None:
    seconds = float(request.config.getoption("--fuzz-seconds")) / len(_PLACES)
    checks = [HealthCheck.too_slow, HealthCheck.filter_too_much]
    tried = settings(max_examples=300 if seconds else 150, deadline=None, database=None, suppress_health_check=checks)(
        given(made)(look)
    )
    end = time.monotonic() + seconds
    tried()
    while time.monotonic() < end:
        tried()


@pytest.mark.parametrize("text", ["http://a.b[]@", "https://a.b[]@/x.png"])
def test_an_address_that_the_url_library_stumbles_over_is_its_row_s_error(text: str) -> None:
    with pytest.raises(RowError) as caught:
        check_url(text, _RULES)
    assert caught.value.kind is ErrorKind.BAD_ROW
    with pytest.raises(RowError):
        read_cell(text, _RULES)
    _location(text)


def test_whatever_a_library_raises_over_a_fetch_is_the_row_s_error(monkeypatch: pytest.MonkeyPatch) -> None:
    async def stumble(*_: object, **__: object) -> None:
        raise IndexError("https://a.example/x?signature=secret")

    monkeypatch.setattr(aiohttp.ClientSession, "request", stumble)

    async def get() -> None:
        fetcher, lease = Fetcher(_RULES, SystemClock()), Any
        try:
            await fetcher.get("https://a.example/x?signature=secret", lease)  # type: ignore[arg-type]  # never held
        finally:
            await fetcher.close()

    with pytest.raises(RowError) as caught:
        asyncio.run(get())
    assert caught.value.kind is ErrorKind.IMAGE_UNREACHABLE
    assert caught.value.message == "https://a.example/x cannot be fetched: unexpected IndexError"
