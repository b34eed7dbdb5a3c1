"""The fit itself: two tables of 65,536 coefficients over bytes (see `parquill/tokens/estimator.py`).

1. Each coefficient starts as the mean number of tokens that begin at such a byte; the four-byte
   table takes what the two-byte table leaves, shrunk where it was seen seldom.
2. Both are then tuned on whole texts' counts (Adam, relative squared error): the same bytes tell
   about the language, and so about the words that no table of bytes can know.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from parquill.tokens.estimator import SCALE, TABLE_SIZE, pair_index, quad_index

Table = npt.NDArray[np.float64]
Tables = list[Table]

SHRINK = 8.0
"""A four-byte context seen this often counts half of what it was seen to do."""


@dataclass
class Sample:
    """Texts as indices into both tables, with the tokens that begin at each byte."""

    owner: npt.NDArray[np.int64]
    indices: list[npt.NDArray[np.int32]]
    begins: npt.NDArray[np.float64]
    counts: npt.NDArray[np.float64]
    ends: npt.NDArray[np.int64]


def count_tokens(tokenizer: Tokenizer, texts: Sequence[str]) -> npt.NDArray[np.int64]:
    """The real counts."""
    counts = [len(encoding) for encoding in tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]
    return np.array(counts, np.int64)


def prepare(tokenizer: Tokenizer, texts: Sequence[str]) -> Sample:
    """Tokenize and index `texts`."""
    begins, pairs, quads = [], [], []
    for start in range(0, len(texts), 1024):
        batch = list(texts[start : start + 1024])
        for text, encoding in zip(batch, tokenizer.encode_batch(batch, add_special_tokens=False), strict=True):
            data = b"\0\0" + text.encode() + b"\0"
            size = len(data) - 3
            begins.append(_begins(text, [offset for offset, _ in encoding.offsets], size))
            pairs.append(pair_index(data, size).astype(np.int32))
            quads.append(quad_index(data, size).astype(np.int32))
    lengths = np.array([len(part) for part in begins])
    return Sample(
        owner=np.repeat(np.arange(len(texts)), lengths),
        indices=[np.concatenate(pairs), np.concatenate(quads)],
        begins=np.concatenate(begins),
        counts=np.array([part.sum() for part in begins]),
        ends=np.concatenate(([0], np.cumsum(lengths))),
    )


def _begins(text: str, offsets: Sequence[int], size: int) -> npt.NDArray[np.float64]:
    """Tokens that begin at each byte; the tokenizer's offsets are in characters."""
    widths = np.fromiter((len(character.encode()) for character in text), np.int64, len(text))
    first_byte = np.cumsum(widths) - widths
    return np.bincount(first_byte[np.array(offsets)], minlength=size).astype(np.float64)


def start(sample: Sample) -> Tables:
    """Step 1."""
    tables: Tables = []
    rest = sample.begins.copy()
    for index, shrink in zip(sample.indices, (0.01, SHRINK), strict=True):
        seen = np.bincount(index, minlength=TABLE_SIZE)
        table = np.bincount(index, rest, TABLE_SIZE) / (seen + shrink)
        tables.append(table)
        rest -= table[index]
    return tables


def tune(tables: Tables, sample: Sample, *, epochs: int = 8, rate: float = 0.006, batch: int = 1000) -> Tables:
    """Step 2; returns new tables."""
    tables = [table.copy() for table in tables]
    moments = [(np.zeros(TABLE_SIZE), np.zeros(TABLE_SIZE)) for _ in tables]
    rng = np.random.default_rng(0)
    texts = len(sample.counts)
    steps, step = epochs * -(-texts // batch), 0
    for _ in range(epochs):
        for first in rng.permutation(range(0, texts, batch)):
            step += 1
            cooled = rate / 2 * (1 + np.cos(np.pi * step / steps))
            gradients = _gradients(tables, sample, first, min(first + batch, texts))
            for table, moment, gradient in zip(tables, moments, gradients, strict=True):
                _descend(table, moment, gradient, cooled, step)
    return tables


def _descend(table: Table, moment: tuple[Table, Table], gradient: Table, rate: float, step: int) -> None:
    """One step of Adam, in place."""
    mean, square = moment
    mean += 0.1 * (gradient - mean)
    square += 0.001 * (gradient * gradient - square)
    table -= rate * mean / (1 - 0.9**step) / (np.sqrt(square / (1 - 0.999**step)) + 1e-3)


def _gradients(tables: Tables, sample: Sample, first: int, last: int) -> list[npt.NDArray[np.float64]]:
    """Of the squared relative error of the texts from `first` to `last`, times 10,000."""
    span = slice(sample.ends[first], sample.ends[last])
    owner, size = sample.owner[span] - first, last - first
    predicted = sum(
        np.bincount(owner, table[index[span]], size) for table, index in zip(tables, sample.indices, strict=True)
    )
    counts = sample.counts[first:last]
    # Twenty tokens more, so that the shortest texts do not outweigh all others.
    error = (predicted - counts) / np.square(counts + 20) * 1e4 / size
    return [np.bincount(index[span], error[owner], TABLE_SIZE) for index in sample.indices]


def quantized(table: npt.NDArray[np.float64]) -> npt.NDArray[np.int8]:
    """In units of 1 / SCALE token."""
    return np.clip(np.round(table * SCALE), -127, 127).astype(np.int8)
