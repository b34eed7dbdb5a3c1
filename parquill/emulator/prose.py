"""The emulator's words: plain sentences that say of themselves that they are simulated.

A long text is cut into pieces once, so that an answer of n tokens is a slice.
"""

from __future__ import annotations

import random
from functools import cache
from typing import NamedTuple

from parquill.emulator.tokens import PIECE

MARK = "[simulated] "
"""What every plain answer begins with."""

_SCENE = """a quiet harbour with small boats and long shadows on grey water near the old stone wall
where two people in red coats look at bright yellow flowers under a wide blue sky while
birds cross above green hills and a wooden table holds fresh bread beside the open window"""
_WORDS = _SCENE.split()

_MARK_TOKENS = len(PIECE.findall(MARK))


class _Corpus(NamedTuple):
    text: str
    starts: list[int]  # of each piece
    sentences: list[int]  # the pieces that begin a sentence


@cache
def _corpus() -> _Corpus:
    rng = random.Random(20260819)  # noqa: S311 - words, not secrets
    text = " ".join(" ".join(rng.choices(_WORDS, k=rng.randint(6, 14))).capitalize() + "." for _ in range(2_000))
    starts = [piece.start() for piece in PIECE.finditer(text)]
    return _Corpus(text, starts, [0, *(index + 1 for index, start in enumerate(starts[:4_000]) if text[start] == ".")])


def phrase(rng: random.Random, words: int) -> str:
    """Return `words` words without a full stop."""
    return " ".join(rng.choices(_WORDS, k=words))


def sentences(rng: random.Random, tokens: int) -> tuple[str, int]:
    """Return a marked text of `tokens` tokens (at most about 16,000) and its exact count.

    At least the mark itself is returned.
    """
    text, starts, beginnings = _corpus()
    first = rng.choice(beginnings)
    count = max(1, min(tokens - _MARK_TOKENS, len(starts) - first - 1))
    return MARK + text[starts[first] : starts[first + count]].rstrip(), _MARK_TOKENS + count
