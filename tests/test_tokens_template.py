"""The chat template's arithmetic, held against prompts rendered in full and really tokenized."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from parquill.chat import ChatRequest, ImagePart, Turn
from parquill.job import ModelSettings
from parquill.tokens import ImageCost, TokenCounter
from parquill.tokens.text import ManyTokens, TextTokens

CHATS: list[dict[str, Any]] = orjson.loads((Path(__file__).parent / "data" / "token_samples.json").read_bytes())[
    "chats"
]
PICTURE = ImagePart("https://example.com/picture.jpg")


class KnownTexts:
    """A meter that knows the real counts of some texts, and no others."""

    mean_error = spread = 0.0

    def __init__(self, counts: dict[str, int]) -> None:
        self._counts = counts

    def measure(self, text: str) -> TextTokens:
        return float(self._counts[text]), self._counts[text]

    def measure_many(self, texts: Sequence[str]) -> ManyTokens:
        counts = np.array([self._counts[text] for text in texts], np.int64)
        return counts.astype(np.float64), counts


def _counter(counts: dict[str, int], style: ImageCost = ImageCost.FUSED) -> TokenCounter:
    return TokenCounter(ModelSettings(), image_style=style, meter=KnownTexts(counts))


def _chat(*turns: tuple[str | ImagePart, ...], system: str | None = None) -> ChatRequest:
    roles = ("user", "assistant") * len(turns)
    said = tuple(Turn(role, parts) for role, parts in zip(roles, turns, strict=False))
    return ChatRequest((Turn("system", (system,)), *said) if system is not None else said)


def _read(turns: list[list[Any]]) -> ChatRequest:
    return ChatRequest(
        tuple(
            Turn(role, tuple(ImagePart(part["url"]) if isinstance(part, dict) else part for part in parts))
            for role, *parts in turns
        )
    )


@pytest.mark.parametrize("number", range(len(CHATS)))
def test_a_chat_counts_as_its_rendered_prompt_does(number: int) -> None:
    sample = CHATS[number]
    counter = _counter(sample["texts"])
    assert counter.count(_read(sample["turns"])).expected == sample["tokens"]


TEN = {"ten": 10, "two": 2, "sys": 4}


@pytest.mark.parametrize(
    ("chat", "tokens"),
    [
        (_chat(("ten",)), 19),
        (_chat((PICTURE, "ten")), 278),
        (_chat(("ten", PICTURE)), 279),
        (_chat((PICTURE, PICTURE, "ten")), 537),
        (_chat(("ten", PICTURE, PICTURE)), 538),
        (_chat(("ten", PICTURE, PICTURE, PICTURE)), 797),
        (_chat(("ten",), system="sys"), 24),
        (_chat((PICTURE, "ten"), system="sys"), 283),
        (_chat(("ten", PICTURE), system="sys"), 284),
        (_chat(("ten",), ("two",), ("ten",)), 19 + 5 + 2 + 5 + 10),
    ],
)
def test_the_counts_measured_on_the_real_tokenizer_come_out(chat: ChatRequest, tokens: int) -> None:
    assert _counter(TEN).count(chat).expected == tokens


@pytest.mark.parametrize(("style", "each"), [(ImageCost.FLAT, 260), (ImageCost.LLAMA_CPP, 258)])
def test_other_servers_count_each_picture_alike(style: ImageCost, each: int) -> None:
    counter = _counter(TEN, style)
    for pictures in range(1, 5):
        assert counter.count(_chat((*[PICTURE] * pictures, "ten"))).expected == 19 + each * pictures


def test_the_upper_bound_holds_a_tenth_more_for_each_picture() -> None:
    estimate = _counter(TEN).count(_chat((PICTURE, PICTURE, "ten")))
    assert estimate.upper == 19 + 2 * 286


def test_text_around_pictures_is_trimmed_as_the_template_does() -> None:
    counter = _counter(TEN)
    plain = counter.count(_chat(("ten", PICTURE, "two")))
    assert counter.count(_chat(("  ten\n", PICTURE, "\n\ttwo "))) == plain


def test_neighbouring_text_parts_count_as_the_one_text_they_are_sent_as() -> None:
    counter = _counter({"a\nb": 3})
    assert counter.count(_chat(("a", "b"))).expected == 9 + 3


def test_empty_texts_cost_nothing_and_leave_pictures_adjacent() -> None:
    counter = _counter(TEN)
    assert counter.count(_chat(("",))).expected == 9
    assert counter.count(_chat((PICTURE, " \n", PICTURE))) == counter.count(_chat((PICTURE, PICTURE)))


def test_only_the_text_before_a_picture_survives_of_a_system_turn() -> None:
    system = Turn("system", ("sys", PICTURE, "lost"))
    counted = _counter(TEN).count(ChatRequest((system, Turn("user", ("ten",)))))
    assert counted.expected == 24


def test_another_system_text_is_not_taken_for_the_one_before() -> None:
    counter = _counter({**TEN, "other": 40})
    counts = [counter.count(_chat(("ten",), system=system)).expected for system in ("sys", "other", "sys")]
    assert counts == [24, 60, 24]


def test_many_requests_count_as_each_alone() -> None:
    counter = _counter(TEN)
    chats = [_chat(("ten",)), _chat((PICTURE, "ten", PICTURE, "two"), system="sys"), _chat((PICTURE,)), _chat(("",))]
    assert list(counter.count_requests(chats)) == [counter.count(chat) for chat in chats]
    assert list(counter.count_requests([])) == []


def test_text_a_server_may_add_raises_the_bound_only() -> None:
    chat = _chat(("ten",))
    plain = TokenCounter(ModelSettings()).count(chat)
    hidden = TokenCounter(ModelSettings(), hidden_text='{"name": "describe"}').count(chat)
    assert hidden.expected == plain.expected
    assert hidden.upper > plain.upper + 10
