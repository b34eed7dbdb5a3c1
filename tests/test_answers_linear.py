"""No answer takes more than its length's worth of work: ten times the text, about ten times the time."""

from __future__ import annotations

import asyncio
import functools
import itertools
import random
import re
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from parquill.answers import repair
from parquill.answers.answer_schema import APART, load_answer_schema, parse_apart
from parquill.answers.coerce import coerce
from parquill.answers.control import without_control
from parquill.answers.inner_json import inner_json
from parquill.answers.json_slips import without_slips
from parquill.answers.output_modes import OutputMode
from parquill.answers.schema_tree import Kind, Node
from parquill.answers.words_around import one_value
from parquill.answers.written_numbers import plain_number
from parquill.chat import ChatCompletion
from parquill.job import OutputSettings
from parquill.replies.streams import join_events

_PIECES = ["# ", "// ", "/* ", "{//", '\\"', "\\", '", ', "{", " ", "\n", ", ", '{"a":', "'", "```", "<"]
_MARKS = [
    "<|channel|>analysis<|message|>",
    "[THINK]",
    "<s>",
    "</s>",
    "</s> ",
    "<think>",
    "<think></think>",
    "<|im_end|>",
    "<|im_start|>",
    "< ",
    " ",
]


def _seconds(work: Callable[[], object]) -> float:
    best = float("inf")
    for _ in range(3):
        start = time.thread_time()
        work()
        best = min(best, time.thread_time() - start)
    return best


def _is_linear(work: Callable[[str], object], piece: str, before: str, after: str, size: int) -> bool:
    """Whether ten times the text takes at most twelve times as long."""
    small, large = (before + piece * (length // len(piece)) + after for length in (size, 10 * size))
    return _takes_at_most(12, lambda: work(large), lambda: work(small))


def _takes_at_most(times: float, large: Callable[[], object], small: Callable[[], object]) -> bool:
    """Whether one piece of work takes so many times as long as another; under 20 ms it is quick enough."""
    for _ in range(6):  # a busy machine may disturb one look
        seconds = _seconds(large)
        if seconds < 0.02 or seconds <= times * _seconds(small):
            return True
    return False


@pytest.mark.parametrize("piece", _PIECES)
def test_ten_times_the_damage_takes_about_ten_times_the_time_to_repair(piece: str) -> None:
    for before, after in itertools.product(["", '{"a": '], ['"}', "\\", " }x"]):
        assert _is_linear(lambda text: repair.read_objects(text, ended=True), piece, before, after, 3_900), before


_AROUND = [
    "a ",
    "a_",
    "**",
    "-",
    ", ",
    "(",
    "\\_",
    "1,234,",
    "1.234",
    "undefined",
    ',a"',
    ": 1,234",
    '{a" ',
    "positive ",
]


@pytest.mark.parametrize("piece", _AROUND)
def test_ten_times_the_words_around_a_value_take_about_ten_times_the_time(piece: str) -> None:
    for read in (without_slips, plain_number, inner_json, functools.partial(one_value, ("positive", "negative"))):
        for before, after in itertools.product(["", '{"a": '], ["", '"}']):
            assert _is_linear(read, piece, before, after, 10_000), (read, before)


@pytest.mark.parametrize("piece", _MARKS)
def test_ten_times_the_control_text_takes_about_ten_times_the_time(piece: str) -> None:
    for before, after in itertools.product(["", '{"a": <'], ["", "x"]):
        assert _is_linear(lambda text: without_control(text, plain=False), piece, before, after, 5_000), before


def test_ten_times_the_unknown_keys_take_about_ten_times_the_time_to_repair() -> None:
    node = Node(Kind.OBJECT, fields=())
    small, large = ({f"key {number}": 1 for number in range(count)} for count in (500, 5_000))
    assert _takes_at_most(15, lambda: coerce(node, large, "", []), lambda: coerce(node, small, "", []))


def test_pieces_of_a_stream_are_joined_once() -> None:
    copied = 0

    class Counting(str):
        __slots__ = ()

        def __format__(self, spec: str) -> str:
            nonlocal copied
            copied += len(self)
            return super().__format__(spec)

    def read(event: str) -> Any:
        return {"choices": [{"index": 0, "delta": {"content": Counting("x" * 100)}}]} if event == "1" else {}

    body = join_events("data: 1\n\n" * 1_000 + "data: [DONE]\n\n", read)
    assert body["choices"][0]["message"]["content"] == "x" * 100_000
    assert copied <= 100_000


def _comments_taken_out_as_before(text: str) -> str:
    """The expressions that took quadratic time: right, and slow."""
    both = re.compile(
        r'("(?:[^"\\]|\\.)*+(?:"|$))|(?<=[\s,{}\[\]])(?://[^\n"]*(?=\n|$)|/\*[^"]{0,500}?\*/)|(?<=\s)#[^\n"]*(?=\n|$)',
        re.S,
    )
    comma = re.compile(r'("(?:[^"\\]|\\.)*+(?:"|$))|,(?=\s*[}\]])', re.S)
    return comma.sub(lambda match: match[1] or "", both.sub(lambda match: match[1] or " ", text))


def test_comments_are_taken_out_of_random_texts_as_by_the_slow_expressions() -> None:
    rng = random.Random(7)
    for _ in range(20_000):
        text = "".join(rng.choices([*'{}[]",\\/*#\n :a1', "//", "/*", "*/", " # ", '"a"'], k=rng.randrange(40)))
        if not text.endswith("\\"):  # a string that ends so was no string to them
            assert repair._without_comments(text) == _comments_taken_out_as_before(text), text


def _where_read(text: str, shape: Any) -> bool:
    """Whether an answer was read in the event loop's own thread."""
    seen: list[threading.Thread] = []

    class Noting:
        def parse(self, completion: ChatCompletion, output_mode: str) -> str:
            seen.append(threading.current_thread())
            return "read"

        def parse_quickly(self, completion: ChatCompletion) -> Any:
            return shape.parse_quickly(completion)

    noting: Any = Noting()
    asyncio.run(parse_apart(noting, ChatCompletion(None, None, None, text, (), "stop", None), OutputMode.TEXT))
    return seen in ([], [threading.main_thread()])


def test_an_answer_that_takes_long_is_read_beside_the_event_loop_and_any_other_in_it() -> None:
    text, schema = (
        load_answer_schema(OutputSettings(path="out")),
        load_answer_schema(
            OutputSettings(
                path="out",
                schema={"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False},
            )
        ),
    )
    assert _where_read("x " * (APART // 2), text)
    assert not _where_read("x " * (APART // 2) + "x", text)
    whole = '{"a": "' + "x y z " * 300 + '"}'
    assert _where_read(whole, schema)
    assert not _where_read(whole[:-1], schema), "a damaged one is repaired elsewhere"
    assert _where_read('{"a": 1', schema)


def _guess_steps(text: str) -> int:
    """Count how often json-repair looks at a part of a text before it ends or is stopped."""
    looked = 0

    class Looking(repair._Counted):
        __slots__ = ()

        def __getitem__(self, place: Any) -> str:
            nonlocal looked
            looked += 1
            return super().__getitem__(place)

    kept, repair._Counted = repair._Counted, Looking  # type: ignore[misc]  # a class that counts in its place
    try:
        repair._guess(text)
    finally:
        repair._Counted = kept  # type: ignore[misc]  # as above
    return looked


@pytest.mark.parametrize("piece", ["1}{", '{"title"', '{"a" ', "{", "}{true", '}{"a":', '"t": "x" y'])
def test_a_guess_looks_at_each_character_a_bounded_number_of_times(piece: str) -> None:
    for size in (200, 2_000):
        assert _guess_steps('{"title" ' + piece * (size // len(piece))) <= 1_001 + 8 * (size + 10)


def test_damage_that_can_be_repaired_is_repaired_within_its_steps() -> None:
    parts = ", ".join(f'"key {number}": "a "quoted" word and, more" ' for number in range(100))
    reading = repair.read_objects("{" + parts + "}", ended=True)
    assert not reading.problem and len(reading.objects[0]) == 100
