"""The fitted estimator, held against the real tokenizer's counts of texts it never saw."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from parquill.chat import ChatRequest, Turn
from parquill.job import ModelSettings
from parquill.tokens import TokenCounter
from parquill.tokens.estimator import FittedMeter
from parquill.tokens.text import TextTokens

TEXTS: dict[str, list[list[Any]]] = orjson.loads((Path(__file__).parent / "data" / "token_samples.json").read_bytes())[
    "texts"
]


@pytest.fixture(scope="module")
def meter() -> FittedMeter:
    return FittedMeter()


@pytest.mark.parametrize("kind", TEXTS)
def test_each_kind_of_text_is_counted_closely(meter: FittedMeter, kind: str) -> None:
    truth = np.array([count for _, count in TEXTS[kind]])
    expected, _ = meter.measure_many([text for text, _ in TEXTS[kind]])
    assert len(truth) >= 8
    assert abs(expected.sum() / truth.sum() - 1) < 0.05
    assert np.abs(expected / truth - 1).max() < 0.2


def test_a_job_of_mixed_texts_is_within_three_percent(meter: FittedMeter) -> None:
    pairs = [pair for some in TEXTS.values() for pair in some]
    expected, _ = meter.measure_many([text for text, _ in pairs])
    assert abs(expected.sum() / sum(count for _, count in pairs) - 1) < 0.03


@pytest.mark.parametrize("kind", TEXTS)
def test_no_bound_is_below_the_truth(meter: FittedMeter, kind: str) -> None:
    for text, count in TEXTS[kind]:
        assert meter.measure(text)[1] >= count


def test_the_bound_is_tighter_than_bytes(meter: FittedMeter) -> None:
    for kind, least in (("Latin prose", 1.3), ("CJK", 2.5), ("Indic", 2.5), ("Cyrillic and Greek", 1.7)):
        data = sum(len(text.encode()) for text, _ in TEXTS[kind])
        assert data > least * sum(meter.measure(text)[1] for text, _ in TEXTS[kind])


def test_every_byte_of_a_character_outside_the_vocabulary_may_be_a_token(meter: FittedMeter) -> None:
    """Old Persian's U+103A0 takes four tokens, one a byte (counted with the real tokenizer)."""
    assert meter.measure("\U000103a0" * 5)[1] == 20


def test_a_character_of_the_vocabulary_is_at_most_one_token(meter: FittedMeter) -> None:
    assert meter.measure("漢字")[1] == 2
    assert meter.measure("😀")[1] == 1


def test_an_empty_text_has_no_tokens_and_any_other_at_least_one(meter: FittedMeter) -> None:
    assert meter.measure("") == (0.0, 0)
    for text in ("a", " ", "\n", "é", "漢", "\0"):
        expected, upper = meter.measure(text)
        assert 1 <= expected <= upper


def test_many_texts_count_as_each_alone_in_whatever_blocks(meter: FittedMeter) -> None:
    texts = ["", "a", *(text for some in TEXTS.values() for text, _ in some), "", "x" * 70_000, "é" * 40_000, ""]
    expected, upper = meter.measure_many(texts)
    assert list(zip(expected.tolist(), upper.tolist(), strict=True)) == [meter.measure(text) for text in texts]


def test_a_lone_surrogate_is_counted_not_refused(meter: FittedMeter) -> None:
    assert meter.measure("a\ud800b")[1] >= 3


class Unasked(FittedMeter):
    """Measures many texts at once, and no text alone."""

    def measure(self, text: str) -> TextTokens:
        raise AssertionError(f"measured alone: {text!r}")


def test_texts_that_were_looked_ahead_at_are_not_measured_again_and_count_the_same() -> None:
    texts = ["A cat on a wall.", "Ein Kätzchen, auf der Mauer", "", "塀の上の猫"]
    alone, ahead = TokenCounter(ModelSettings()), TokenCounter(ModelSettings(), meter=Unasked())
    ahead.look_ahead(texts[:2])
    ahead.look_ahead(texts[2:])
    for text in texts:
        request = ChatRequest((Turn("user", (text,)),))
        assert ahead.count(request) == alone.count(request)


def test_what_was_looked_at_long_ago_is_measured_again() -> None:
    counter = TokenCounter(ModelSettings(), meter=Unasked())
    for text in ("a cat", "a dog", "a cow"):
        counter.look_ahead([text])
    with pytest.raises(AssertionError, match="measured alone: 'a cat'"):
        counter.count(ChatRequest((Turn("user", ("a cat",)),)))
