"""Counting with the model's own tokenizer, and what is said when it cannot be had."""

from __future__ import annotations

from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from parquill.chat import ChatRequest, Turn
from parquill.errors import JobError
from parquill.job import ModelSettings
from parquill.tokens import TokenCounter
from parquill.tokens.exact import load_tokenizer


@pytest.fixture
def tokenizer_file(tmp_path: Path) -> Path:
    """A tokenizer whose tokens are words."""
    tokenizer = Tokenizer(models.WordLevel({"red": 0, "bag": 1, "?": 2}, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    path = tmp_path / "tokenizer.json"
    tokenizer.save(str(path))
    return path


def _chat(text: str) -> ChatRequest:
    return ChatRequest((Turn("user", (text,)),))


def test_a_tokenizer_file_counts_exactly_and_its_bound_is_the_count(tokenizer_file: Path) -> None:
    counter = TokenCounter(ModelSettings(tokenizer=str(tokenizer_file)))
    estimate = counter.count(_chat("red bag red bag bag"))
    assert estimate.expected == estimate.upper == 9 + 5
    assert counter.error(rows=1, text=9.0, text_squares=81.0, images=0) == 0
    assert list(counter.count_requests([_chat("red"), _chat(""), _chat("bag bag")])) == [
        counter.count(_chat(text)) for text in ("red", "", "bag bag")
    ]


def test_texts_alone_are_counted_in_one_go(tokenizer_file: Path) -> None:
    expected, upper = load_tokenizer(str(tokenizer_file)).measure_many(["red bag", "", "red"])
    assert expected.tolist() == upper.tolist() == [2, 0, 1]


@pytest.mark.parametrize("name", ["missing/tokenizer.json", "./tokenizer", "/nowhere/at/all"])
def test_a_file_that_is_not_there_is_named(name: str) -> None:
    with pytest.raises(JobError, match=f"model.tokenizer: there is no file '{name}'"):
        TokenCounter(ModelSettings(tokenizer=name))


def test_a_file_that_is_no_tokenizer_is_named(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text('{"model": 3}')
    with pytest.raises(JobError, match=r"tokenizer\.json' is not a tokenizer\.json"):
        TokenCounter(ModelSettings(tokenizer=str(path)))
