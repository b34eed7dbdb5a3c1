"""Foreign text is read in linear time: ten times the text takes at most twelve times the time.

Every regular expression of the project is found in its source. Those that read foreign text are held against texts
made from themselves, which begin to match again and again. Times are measured by `make fuzz` only; what the
lists below say is checked in every run.
"""

from __future__ import annotations

import functools
import gc
import re
import time
from collections.abc import Callable
from typing import Any

import pytest

from parquill.answers import OutputMode, load_answer_schema
from parquill.chat import ChatCompletion
from parquill.client.client import _without_quoted
from parquill.client.redactor import Redactor, _writings
from parquill.job import OutputSettings, Secret
from parquill.job.syntax import parse
from parquill.replies import Exchange, classify, straighten
from tests.patterns import Found, found_in, hard_texts

FOUND = tuple(found_in("parquill"))

BOUNDED = {
    "parquill/asking/refusals.py:_VARYING": 500,
    "parquill/job/error_messages.py: (://[^?\\s]*\\?).*": 4_000,
    "parquill/limits/retry_after.py:_STEP": 40,
    "parquill/replies/verdicts.py: <[^>]*>|\\s+": 2_000,
    "parquill/storage/patterns.py:_WILDCARD": 4_096,
}
"""Expressions whose time is not linear, and the characters that each is given at most."""

MADE_WHILE_RUNNING = {
    "parquill/answers/functions.py": 1,  # names of functions, then a bracket: measured with its module's texts
    "parquill/answers/verify_repair.py": 1,  # a string up to its closing mark, from one place
    "parquill/client/redactor.py": 3,  # a secret, literally; the ways of writing it are in `_written_otherwise`
    "parquill/emulator/patterns.py": 1,  # the job's own pattern, on a text that the emulator made of it
    "parquill/job/gateways.py": 1,  # the job's own header names
    "parquill/job/syntax.py": 1,  # the kinds of YAML's scalars: alternatives of single repeats
    "parquill/job/setting_types.py": 1,  # the job's own values
    "parquill/storage/patterns.py": 1,  # the job's own wildcards
}
"""Calls of `re` whose pattern is put together while the program runs, by file."""


def test_every_regular_expression_is_known_or_put_together_where_it_is_said() -> None:
    made: dict[str, int] = {}
    for one in FOUND:
        if one.pattern is None:
            made[one.file] = made.get(one.file, 0) + 1
    assert made == MADE_WHILE_RUNNING
    assert len(FOUND) > 120
    assert BOUNDED.keys() <= {one.place for one in FOUND}


@pytest.mark.usefixtures("long_look")
def test_texts_that_are_hard_for_an_expression_show_one_that_is_not_linear() -> None:
    slow = Found("x", 1, re.compile(r"\s*x\s*$"), frozenset({"search"}))
    assert not _is_linear_for(slow, "search", longest=10_000)


def _seconds(work: Callable[[], object]) -> float:
    best = float("inf")
    gc.disable()  # as a run does, mostly
    try:
        for _ in range(2):
            start = time.thread_time()
            work()
            best = min(best, time.thread_time() - start)
    finally:
        gc.enable()
    return best


def _is_linear(work: Callable[[int], object], sizes: tuple[int, ...]) -> bool:
    """Whether each size takes at most twelve times what a tenth of it does; under 20 ms nothing is said."""
    for size in sizes:
        large = small = float("inf")
        for _ in range(20):  # a busy machine disturbs single looks: the best of each counts
            large = min(large, _seconds(functools.partial(work, size)))
            if large < 0.02:
                break
            small = min(small, _seconds(functools.partial(work, size // 10)))
            if large <= 12 * small:
                break
        else:
            return False
    return True


def _use(pattern: re.Pattern[Any], method: str, text: Any) -> None:
    if method in ("sub", "subn"):
        pattern.sub(text[:0], text)
    elif method == "finditer":
        for _ in pattern.finditer(text):
            pass
    else:
        getattr(pattern, method)(text)


def _is_linear_for(one: Found, method: str, longest: int) -> bool:
    assert one.pattern is not None
    pattern = one.pattern
    sizes = tuple(size for size in (1_000, 10_000, 100_000) if size <= longest)
    made = {size: list(hard_texts(pattern, size)) for size in (100, *sizes)}

    def look(at: int, size: int) -> None:
        _use(pattern, method, made[size][at])

    return all(_is_linear(functools.partial(look, at), sizes) for at in range(len(made[100])))


@pytest.fixture
def long_look(request: pytest.FixtureRequest) -> None:
    if not request.config.getoption("--fuzz-seconds"):
        pytest.skip("times are measured by `make fuzz`")


@pytest.mark.timeout(900)
@pytest.mark.parametrize("one", [one for one in FOUND if one.pattern], ids=lambda one: f"{one.file}:{one.line}")
@pytest.mark.usefixtures("long_look")
def test_ten_times_the_text_takes_about_ten_times_the_time_to_match(one: Found) -> None:
    for method in sorted(one.uses):
        if (bound := BOUNDED.get(one.place)) is None:
            assert _is_linear_for(one, method, longest=100_000), f"{one.place}: {method}"
            continue
        pattern = one.pattern
        assert pattern is not None
        for text in hard_texts(pattern, bound):
            assert _seconds(functools.partial(_use, pattern, method, text)) < 0.2, one.place


_REDACTOR = Redactor(Secret("sk-or-v1-0123456789abcdef+/CANARY"), {"A": "hunter2/hunter2+="})
_HEADERS = {"Content-Type": "text/event-stream"}
_SCHEMA = {
    "type": "object",
    "properties": {
        "label": {"type": "string", "enum": ["red", "green"]},
        "n": {"type": "integer"},
        "day": {"type": "string", "format": "date"},
        "tags": {"type": "array", "items": {"type": "string"}},
    },
}
_SHAPES = {
    "text": load_answer_schema(OutputSettings(path="o")),
    "schema": load_answer_schema(OutputSettings(path="o", schema=_SCHEMA)),
    "functions": load_answer_schema(
        OutputSettings(path="o", functions=[{"name": "get", "description": "", "parameters": _SCHEMA}])  # type: ignore[list-item]  # pydantic makes the value
    ),
}


def _reply(text: str) -> None:
    body, repairs = straighten(text.encode(), _HEADERS)
    classify(Exchange(200, _HEADERS, body, 1, repairs=repairs))
    classify(Exchange(500, {}, text.encode(), 1))


def _yaml(text: str) -> None:
    try:
        parse(text)
    except Exception:
        return


def _answered(kind: str) -> Callable[[str], object]:
    return lambda text: _SHAPES[kind].parse(ChatCompletion(None, None, None, text, (), "stop", None), OutputMode.PROMPT)


_PIECES = {
    "secrets": (
        "\\u0073", "\\/", "\\", "%73", "%2573", "&amp;", "&#115;", "&amp;#115;", "\\u005cu0073", "%5cu0073",
        "sk-or-v1-",
        "sk-or-v1-0123456789abcdef+/CANARY ", "%2573&amp;#115;\\u005cu0073 ",
    ),
    "replies": (
        "data: {}\n\n", "data: 1\n\n", "\n", "\r", ":\n", "data: [\n", "[", "{", '{"a":', "\\ud83d", '"', "NaN,", "<",
        "<a ",
        'data: {"choices":[{"delta":{"content":"x"}}]}\n\n', "1e5,", " ", "\0", "error: \n\n",
    ),
    "yaml": (
        "[", "{", "[{", "- ", "? ", "a: ", "a: [", "[a, ", "#", "'", '"', "|\n", "\n", "-\n", "&a ", "!a ",
        "%Y\n", "---\n",
    ),
    "fault": (" ", ":", ",", "\\n", "message=", "a", " : "),
}  # fmt: skip
_PIECES["text"] = _PIECES["functions"] = _PIECES["schema"] = (
    "# ", "// ", "{", "}", "[", '"', "'", ":", ",", "\\", '{"label"', '"label":', '{"a" ', "1}{", "label: ", "get(",
    "get(a='x')", "```", "<think>", "</think>", "<s>", "</s>", "<", " ", "\n", "9", "-", "\u201c", "(", "True,", "/*",
)  # fmt: skip
_READERS: dict[str, tuple[Callable[[str], object], int]] = {
    "secrets": (lambda text: _REDACTOR.redact_body(text.encode(), 200), 300_000),
    "replies": (_reply, 300_000),
    "yaml": (_yaml, 30_000),
    "fault": (_without_quoted, 300_000),
    "text": (_answered("text"), 100_000),
    "schema": (_answered("schema"), 39_000),
    "functions": (_answered("functions"), 100_000),
}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("reader", _READERS)
@pytest.mark.usefixtures("long_look")
def test_ten_times_the_foreign_text_takes_about_ten_times_the_time_to_read(reader: str) -> None:
    read, longest = _READERS[reader]
    for piece in _PIECES[reader]:
        for before in ("", '{"label": "', '{"label": ', "data: ", "["):
            for after in ("", '"}', "]"):

                def look(size: int, piece: str = piece, before: str = before, after: str = after) -> None:
                    read(before + piece * (size // len(piece)) + after)

                assert _is_linear(look, (longest // 10, longest)), (before, piece, after)


def test_open_brackets_of_a_job_file_are_refused_at_once() -> None:
    for text in ("[" * 100_000, "a: " + "{" * 100_000, "- " * 1_000, '{"a": ' + "[" * 500 + "]" * 500 + "}"):
        with pytest.raises(Exception, match="nested more than 100 deep"):
            parse(text)
        counted = _signs_read(text)
        assert counted <= 4_000, counted


def _signs_read(text: str) -> int:
    """How many signs of a text PyYAML passes before it ends."""
    from parquill.job import syntax

    passed = 0

    class Looking(syntax._Loader):
        def forward(self, length: int = 1) -> None:
            nonlocal passed
            passed += length
            super().forward(length)

    loader = Looking(text)
    try:
        loader.get_single_data()
    except Exception:
        return passed
    return passed


def test_a_long_body_is_looked_through_part_by_part_and_secrets_across_the_parts_are_found() -> None:
    key = "sk-or-v1-0123456789abcdef+/CANARY"
    escaped = "".join(f"\\u{ord(sign):04x}" for sign in key)
    for at in (999_970, 999_999):
        for written in (key, escaped):
            text = "x" * at + written + "y" * 200_000
            assert _REDACTOR.redact(text) == "x" * at + "***" + "y" * 200_000


def test_the_ways_of_writing_a_secret_are_read_in_linear_time() -> None:
    for signs in ("sk-or/+", "s\u00e9cret"):
        for writing in _writings(frozenset(signs)):
            assert not re.search(r"(?<!\\)[*+]", writing.escape.pattern), "every repeat is bounded"
