"""Counts texts by the model's own tokenizer, through the optional package `tokenizers`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from parquill.errors import JobError
from parquill.tokens.text import ManyTokens, TextTokens

if TYPE_CHECKING:
    from tokenizers import Tokenizer


class ExactMeter:
    """A `TextMeter` whose upper bound is the count itself."""

    mean_error = 0.0
    spread = 0.0

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    def measure(self, text: str) -> TextTokens:
        """Count a text's tokens with the tokenizer."""
        count = len(self._tokenizer.encode(text, add_special_tokens=False))
        return float(count), count

    def measure_many(self, texts: Sequence[str]) -> ManyTokens:
        """Count each text's tokens with the tokenizer, in one call."""
        encodings = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        counts = np.fromiter((len(encoding) for encoding in encodings), np.int64, len(texts))
        return counts.astype(np.float64), counts


def load_tokenizer(name: str) -> ExactMeter:
    """Load `model.tokenizer`: the path of a tokenizer.json, else the id of a repository on the hub.

    Raises `JobError` when the package is missing, or the tokenizer cannot be read or fetched.
    """
    try:
        from tokenizers import Tokenizer  # noqa: PLC0415 - optional, and 30 ms to import
    except ImportError as error:
        raise JobError(
            f"model.tokenizer: {name!r} needs the package `tokenizers`: install parquill[tokenizer], "
            "or leave the key out to count with the fitted estimator"
        ) from error
    is_file = Path(name).is_file()
    if not is_file and (name.endswith(".json") or name.startswith((".", "/", "~"))):
        raise JobError(f"model.tokenizer: there is no file {name!r}")
    try:
        return ExactMeter(Tokenizer.from_file(name) if is_file else Tokenizer.from_pretrained(name))
    except Exception as error:  # the package raises bare Exception for a broken file, a missing id and no network
        what = "is not a tokenizer.json" if is_file else "cannot be fetched from the hub (is there a network?)"
        raise JobError(f"model.tokenizer: {name!r} {what}: {error}") from error
