"""What holds for every text and every chat, not only for the samples."""

from __future__ import annotations

import functools
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models

from parquill.chat import ChatRequest, ImagePart, Turn
from parquill.job import ModelSettings
from parquill.tokens import ImageCost, TokenCounter
from parquill.tokens.estimator import TABLE_SIZE, Coefficients, FittedMeter
from tests.lanes import examples

LETTERS = "abcd"


@functools.cache
def _meter() -> FittedMeter:
    return FittedMeter()


@functools.cache
def _counter(style: ImageCost) -> TokenCounter:
    return TokenCounter(ModelSettings(), image_style=style, meter=_meter())


@st.composite
def _merges(draw: st.DrawFn) -> list[tuple[str, str]]:
    """Merges of any byte-pair encoding over four letters: each joins two tokens known before it."""
    known = list(LETTERS)
    merges: list[tuple[str, str]] = []
    for _ in range(draw(st.integers(0, 25))):
        pair = draw(st.sampled_from(known)), draw(st.sampled_from(known))
        if pair not in merges and len(pair[0] + pair[1]) <= 6:
            merges.append(pair)
            known += [pair[0] + pair[1]] if pair[0] + pair[1] not in known else []
    return merges


def _meter_of(merges: list[tuple[str, str]]) -> FittedMeter:
    mergeable = np.zeros((128, 128), np.bool_)
    for first, second in merges:
        if len(first) == len(second) == 1:
            mergeable[ord(first), ord(second)] = True
    nothing = np.zeros(TABLE_SIZE, np.int8)
    return FittedMeter(Coefficients(nothing, nothing, mergeable, np.ones(0x110000, np.bool_), 0.0, 0.0))


@settings(max_examples=examples(200))
@given(_merges(), st.lists(st.text(LETTERS, min_size=1, max_size=60), min_size=1, max_size=8))
def test_the_bound_holds_for_every_byte_pair_encoding(merges: list[tuple[str, str]], texts: list[str]) -> None:
    tokens = dict.fromkeys(itertools.chain(LETTERS, (first + second for first, second in merges)))
    vocabulary = {token: number for number, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    meter = _meter_of(merges)
    for text in texts:
        assert meter.measure(text)[1] >= len(tokenizer.encode(text).ids)


@settings(max_examples=examples(100))
@given(st.lists(st.text(max_size=60), max_size=12))
def test_texts_together_count_as_each_alone(texts: list[str]) -> None:
    expected, upper = _meter().measure_many(texts)
    assert list(zip(expected.tolist(), upper.tolist(), strict=True)) == [_meter().measure(text) for text in texts]


@settings(max_examples=examples(100))
@given(st.text(min_size=1, max_size=200))
def test_the_bound_lies_between_what_is_expected_and_the_bytes(text: str) -> None:
    expected, upper = _meter().measure(text)
    assert 1 <= expected <= upper <= len(text.encode("utf-8", "surrogatepass"))


Parts = list[str | ImagePart]
PARTS = st.lists(st.one_of(st.text(" \nab", max_size=6), st.just(ImagePart("https://e.com/1"))), min_size=1, max_size=6)
CHATS = st.builds(
    lambda system, contents: ChatRequest(
        tuple(
            [Turn("system", (system,))] * (system is not None)
            + [Turn("assistant" if number % 2 else "user", tuple(parts)) for number, parts in enumerate(contents)]
        )
    ),
    st.none() | st.text(" \nab", max_size=8),
    st.lists(PARTS, min_size=1, max_size=5),
)


@pytest.mark.parametrize("style", ImageCost)
@settings(max_examples=examples(60))
@given(st.lists(CHATS, max_size=4))
def test_requests_together_count_as_each_alone(style: ImageCost, chats: list[ChatRequest]) -> None:
    counter = _counter(style)
    assert list(counter.count_requests(chats)) == [counter.count(chat) for chat in chats]


@settings(max_examples=examples(100))
@given(
    CHATS,
    PARTS | st.just([]),
    PARTS | st.just([]),
    st.lists(st.text(" \nab\ue000", max_size=6), max_size=5),
    st.booleans(),
)
def test_requests_that_differ_by_one_text_count_as_each_alone(
    chat: ChatRequest, before: Parts, after: Parts, texts: list[str], told: bool
) -> None:
    counter = TokenCounter(ModelSettings(), meter=_meter())
    if told:
        counter.usage_records.add(50.0, 1, 17.25, None)
        counter.usage_records.raise_upper(10, 12)

    def request(text: str) -> ChatRequest:
        return ChatRequest((*chat.turns[:-1], Turn("user", (*before, text, *after))))

    assert list(counter.count_alike(texts, request)) == [counter.count(request(text)) for text in texts]
    assert list(counter.count_requests([request(text) for text in texts])) == [
        counter.count(request(text)) for text in texts
    ]


@settings(max_examples=examples(100))
@given(CHATS)
def test_newlines_fuse_only_downwards(chat: ChatRequest) -> None:
    """Fused pictures never cost more than flat ones, nor less by more than two runs a picture."""
    images = sum(turn.images for turn in chat.turns)
    fused, flat = (_counter(style).count(chat) for style in (ImageCost.FUSED, ImageCost.FLAT))
    assert flat.expected - 2 * images <= fused.expected <= flat.expected
    assert fused.upper == flat.upper >= flat.expected
