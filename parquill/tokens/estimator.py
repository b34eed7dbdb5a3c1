r"""Counts texts without the tokenizer: a fitted sum over bytes, with a proven upper bound.

**Expected.** Every byte of the UTF-8 text adds the coefficient of the two bytes it ends and that of
the four around it: about the chance that a token begins there, shifted by how much these bytes tell
about the language. Both tables have 65,536 entries in 1/64 token; four bytes are hashed into 16
bits. `python -m benchmarks.token_fit` fits them on the real tokenizer and writes them, with their
errors by kind of text, to `coefficients.json`.

**Upper bound.** A byte-pair encoding with byte fallback starts from one symbol a character (its
UTF-8 bytes where the character is not in the vocabulary) and only ever merges; so the symbols at the
start are a bound. It ends when no two neighbours can be merged; so of two neighbouring characters
that can be merged, at least one lies in a token of two or more characters. A token of L >= 2
characters touches at most L + 1 such neighbourhoods and saves L - 1 symbols, and (L + 1) <= 3 (L - 1):
with E mergeable neighbourhoods in the text, at least E / 3 symbols are saved. Only pairs of printable
ASCII are counted as mergeable: none of those is cut apart by a token that is matched beforehand.
"""

from __future__ import annotations

import base64
import functools
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

import numpy as np
import numpy.typing as npt
import orjson

from parquill.tokens.text import ManyTokens, TextTokens

TABLE_SIZE = 1 << 16
SCALE = 64
"""Coefficients are int8 in units of 1/64 token: rounding averages out to 0.1 token in 300 bytes."""

_HASH = np.uint32(0x9E3779B1)  # 2**32 / golden ratio: consecutive values are spread evenly
_SHIFT = np.uint32(16)
_U2, _U4 = np.dtype("<u2"), np.dtype("<u4")

_EDGE_BITS = 40
"""A pair's table entry is packed: its coefficient below, one mergeable neighbourhood from here up."""
_HALF = 1 << (_EDGE_BITS - 1)

_BLOCK = 1 << 16
"""Bytes measured at once: larger blocks fall out of the cache and are half as fast."""


@dataclass(frozen=True)
class Coefficients:
    """The fitted tables and what is known of the tokenizer's vocabulary."""

    pairs: npt.NDArray[np.int8]
    """Coefficient of a byte and the one before it; index: before + 256 x byte."""
    quads: npt.NDArray[np.int8]
    """Coefficient of the two bytes before, the byte and the one after, hashed."""
    mergeable: npt.NDArray[np.bool_]
    """128 x 128: whether two printable ASCII characters in this order can be merged."""
    single: npt.NDArray[np.bool_]
    """Whether the character of this code point is in the vocabulary."""
    mean_error: float
    spread: float


@functools.cache
def load_coefficients() -> Coefficients:
    """Read the coefficients that come with the package."""
    raw = orjson.loads((resources.files("parquill.tokens") / "coefficients.json").read_bytes())
    single = np.zeros(0x110000, np.bool_)
    known = np.unpackbits(np.frombuffer(_unpack(raw["single"]), np.uint8)).astype(np.bool_)
    single[: len(known)] = known
    mergeable = np.unpackbits(np.frombuffer(_unpack(raw["mergeable"]), np.uint8)).astype(np.bool_)
    return Coefficients(
        pairs=np.frombuffer(_unpack(raw["pairs"]), np.int8),
        quads=np.frombuffer(_unpack(raw["quads"]), np.int8),
        mergeable=mergeable.reshape(128, 128),
        single=single,
        mean_error=float(raw["mean_error"]),
        spread=float(raw["spread"]),
    )


def _unpack(text: str) -> bytes:
    return zlib.decompress(base64.b64decode(text))


def pair_index(data: bytes, count: int) -> npt.NDArray[np.uint16]:
    """For each of `count` bytes from the third of `data` on: that byte and the one before it."""
    return np.ndarray(count, _U2, data, 1, (1,))


def quad_index(data: bytes, count: int) -> npt.NDArray[np.uint32]:
    """For each of `count` bytes from the third of `data` on: the four bytes around it, hashed."""
    quads: npt.NDArray[np.uint32] = np.ndarray(count, _U4, data, 0, (1,))
    return (quads * _HASH) >> _SHIFT


class FittedMeter:
    """A `TextMeter` for Gemma 3's tokenizer that needs nothing but numpy."""

    def __init__(self, coefficients: Coefficients | None = None) -> None:
        known = coefficients or load_coefficients()
        self.mean_error = known.mean_error
        self.spread = known.spread
        edges = np.zeros((256, 256), np.int64)
        edges[:128, :128] = known.mergeable.T  # the later byte is the high one of a little-endian pair
        self._pairs = known.pairs.astype(np.int64) + (edges.reshape(-1) << _EDGE_BITS)
        self._quads = known.quads.astype(np.int64)
        self._saved = _saved_bytes(known.single)

    def measure(self, text: str) -> TextTokens:
        """Tokens of one text; about 6 us for 300 characters of ASCII, 9 us of anything else."""
        data = b"\0\0" + text.encode("utf-8", "surrogatepass") + b"\0"
        count = len(data) - 3
        if not count:
            return 0.0, 0
        pairs = self._pairs.take(pair_index(data, count), None, None, "clip")
        quads = self._quads.take(quad_index(data, count), None, None, "clip")
        packed = int(np.add.reduce(pairs)) + int(np.add.reduce(quads))
        edges = (packed + _HALF) >> _EDGE_BITS
        if not text.isascii():
            points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
            count -= int(self._saved.take(points).sum())
        upper = count - -(-edges // 3)
        return min(max((packed - (edges << _EDGE_BITS)) / SCALE, 1.0), upper), upper

    def measure_many(self, texts: Sequence[str]) -> ManyTokens:
        """Tokens of many texts; 2 us for 300 characters each."""
        expected = np.zeros(len(texts), np.float64)
        upper = np.zeros(len(texts), np.int64)
        encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
        first = size = 0
        for index, data in enumerate(encoded):
            size += len(data)
            if size >= _BLOCK or index + 1 == len(encoded):
                block = slice(first, index + 1)
                expected[block], upper[block] = self._measure_block(encoded[block], texts[block])
                first, size = index + 1, 0
        return expected, upper

    def _measure_block(self, encoded: Sequence[bytes], texts: Sequence[str]) -> ManyTokens:
        """Measure texts as one buffer, two zero bytes between them, and sum each one's stretch."""
        data = b"\0\0" + b"\0\0".join(encoded) + b"\0\0"
        count = len(data) - 3
        values = self._pairs.take(pair_index(data, count), None, None, "clip")
        values += self._quads.take(quad_index(data, count), None, None, "clip")
        lengths = np.fromiter(map(len, encoded), np.int64, len(encoded))
        packed = _sums(values, lengths, gap=2)
        edges = (packed + _HALF) >> _EDGE_BITS
        symbols = lengths - self._saved_many(texts)
        upper = symbols - -(-edges // 3)
        expected = np.maximum((packed - (edges << _EDGE_BITS)) / SCALE, 1.0)
        return np.minimum(expected, upper), upper

    def _saved_many(self, texts: Sequence[str]) -> npt.NDArray[np.int64]:
        wide = [index for index, text in enumerate(texts) if not text.isascii()]
        saved = np.zeros(len(texts), np.int64)
        if wide:
            joined = "\0".join(texts[index] for index in wide) + "\0"
            points = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), np.uint32)
            lengths = np.fromiter((len(texts[index]) for index in wide), np.int64, len(wide))
            saved[wide] = _sums(self._saved.take(points).astype(np.int64), lengths, gap=1)
        return saved


def _sums(values: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64], gap: int) -> npt.NDArray[np.int64]:
    """Sum each stretch of `lengths` values; `gap` values between two stretches are left out."""
    starts = np.cumsum(lengths + gap) - lengths - gap
    bounds = np.column_stack((starts, starts + lengths)).reshape(-1)
    np.minimum(bounds, len(values) - 1, out=bounds)
    sums: npt.NDArray[np.int64] = np.add.reduceat(values, bounds)[::2]
    return np.where(lengths > 0, sums, 0)  # an empty stretch would count the value it begins at


def _saved_bytes(single: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """By code point: UTF-8 bytes less the symbols a character starts as (one, or all its bytes)."""
    saved = np.zeros(0x110000, np.uint8)
    saved[0x80:], saved[0x800:], saved[0x10000:] = 1, 2, 3
    return np.where(single, saved, np.uint8(0))
